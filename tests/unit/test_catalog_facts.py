"""`wavesmith catalog` on a small index that was recorded by us: what is wrong, new, withdrawn, changed or out of reach."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.version import Version

from wavesmith.cli import main
from wavesmith.facts import compare, wheels
from wavesmith.facts.index import File, Index, Project, Unreachable

from .conftest import make_fatbin, make_library

ROOT = Path(__file__).resolve().parents[2]
X86_64 = 62
FINE, WRONG, UNUSABLE, UNASKED = 0, 1, 2, 3


class Recorded:
    """An index in a folder, and a catalog that says what is on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "index"
        self.catalog = folder / "catalog"
        for name in ("schema", "platforms", "packages/locks", "packages/patches"):
            shutil.copytree(ROOT / "catalog" / name, self.catalog / name)
        for path in (ROOT / "catalog").glob("*.yml"):
            shutil.copy(path, self.catalog)
        (self.catalog / "stacks").mkdir()
        self.files: dict[str, list[dict[str, Any]]] = {}

    @property
    def url(self) -> str:
        return f"file://{self.folder}"

    def add(self, project: str, name: str, data: bytes = b"", **more: Any) -> str:
        """Put a file on the index; its sha256."""
        place = self.folder / "files" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        entry = {"filename": name, "url": f"../files/{name}", "hashes": {"sha256": digest}, "size": len(data), **more}
        self.files.setdefault(project, []).append(entry)
        page = self.folder / project / "index.json"
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(json.dumps({"meta": {"api-version": "1.1"}, "name": project, "files": self.files[project]}))
        return digest

    def wheel(
        self,
        project: str,
        version: str,
        tags: str = "cp312-cp312-manylinux_2_28_x86_64",
        requires: tuple[str, ...] = (),
        members: dict[str, bytes] | None = None,
        **more: Any,
    ) -> str:
        name = f"{project.replace('-', '_')}-{version}-{tags}.whl"
        path = self.folder / "scratch.whl"
        path.parent.mkdir(parents=True, exist_ok=True)
        head = "".join(f"Requires-Dist: {line}\n" for line in requires)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(
                f"{project}-{version}.dist-info/METADATA", f"Name: {project}\nVersion: {version}\n{head}\nText\n"
            )
            for member, data in (members or {}).items():
                archive.writestr(member, data)
        return self.add(project, name, path.read_bytes(), **more)

    def edit(self, place: str, change: Callable[[Any], None]) -> None:
        path = self.catalog / place
        data = yaml.safe_load(path.read_text())
        change(data)
        path.write_text(yaml.safe_dump(data, default_flow_style=None, sort_keys=False, width=200))

    def entry(self, place: str, text: str) -> None:
        (self.catalog / place).write_text(text)

    def check(self, name: str, *more: str) -> int:
        return main(["catalog", "check", name, "--catalog", str(self.catalog), "--index", self.url, *more])

    def update(self, name: str, *more: str) -> int:
        return main(["catalog", "update", name, "--catalog", str(self.catalog), "--index", self.url, *more])


@pytest.fixture
def recorded(tmp_path: Path) -> Recorded:
    return Recorded(tmp_path)


RECIPE = """\
name: voicer
requires: []
module: voicer
recipe:
  use: always
  releases:
    - version: 1.0.0
      source: {{index: voicer-1.0.0.tar.gz, sha256: {digest}}}
      build_lock: locks/pure.txt{more}
  must_contain: {{modules: [voicer]}}
  memory_gib: 1
  seconds: 60
sources: ["made by us"]
"""


def recipe(recorded: Recorded, digest: str = "", more: str = "") -> str:
    """A recipe whose archive is on the index, with its own sha256 where none is named."""
    there = recorded.add("voicer", "voicer-1.0.0.tar.gz", b"voice")
    recorded.entry("packages/voicer.yml", RECIPE.format(digest=digest or there, more=more))
    return there


# --- all as the catalog says


def test_a_catalog_that_says_what_is_there_is_right(recorded: Recorded, capsys: pytest.CaptureFixture[str]) -> None:
    recipe(recorded)
    assert recorded.check("voicer") == FINE
    assert capsys.readouterr().out == "1 facts: 1 right, 0 wrong, 0 with something newer, 0 could not be asked\n"


def test_every_fact_is_printed_as_json(recorded: Recorded, capsys: pytest.CaptureFixture[str]) -> None:
    digest = recipe(recorded, digest="f" * 64)
    assert recorded.check("voicer", "--json") == WRONG
    (fact,) = json.loads(capsys.readouterr().out)
    assert (fact["place"], fact["item"], fact["verdict"]) == ("packages/voicer.yml", "voicer 1.0.0", "wrong")
    assert fact["change"]["new"] == digest and fact["change"]["path"] == "packages/voicer.yml"


# --- a wrong sha256


def test_an_archive_with_another_sha256_is_named(recorded: Recorded, capsys: pytest.CaptureFixture[str]) -> None:
    digest = recipe(recorded, digest="f" * 64)
    assert recorded.check("voicer") == WRONG
    said = capsys.readouterr().out
    assert f"✗ packages/voicer.yml: voicer 1.0.0: its sha256 is {digest}, the catalog says {'f' * 64}" in said


def test_a_pin_of_a_lock_with_another_sha256_is_named(recorded: Recorded, capsys: pytest.CaptureFixture[str]) -> None:
    digest = recorded.add("tinylib", "tinylib-2.0.tar.gz", b"tiny")
    path = recorded.catalog / "packages/locks/pure.txt"
    path.write_text(f"tinylib==2.0 \\\n    --hash=sha256:{digest} \\\n    --hash=sha256:{'1' * 64}\n")
    assert recorded.check("pure") == WRONG
    said = capsys.readouterr().out
    assert (
        "packages/locks/pure.txt: tinylib 2.0: 1 of 2 files have another sha256, or are gone (111111111111 …)" in said
    )


def test_an_archive_at_an_address_with_another_sha256_is_named(
    recorded: Recorded, capsys: pytest.CaptureFixture[str]
) -> None:
    recorded.add("other", "other-1.0.tar.gz", b"x")
    archive = recorded.folder / "files/voicer-1.0.0.tar.gz"
    archive.write_bytes(b"voice")
    text = RECIPE.format(digest="f" * 64, more="").replace("index: voicer-1.0.0.tar.gz", f"archive: 'file://{archive}'")
    recorded.entry("packages/voicer.yml", text)
    assert recorded.check("voicer") == WRONG
    assert hashlib.sha256(b"voice").hexdigest() in capsys.readouterr().out


# --- a release that is not there


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("archive", "packages/voicer.yml: voicer 1.0.0: there is no file voicer-1.0.0.tar.gz: its newest is 0.9"),
        ("lock", "packages/locks/pure.txt: voicer 3.0: there is no release 3.0: its newest is 0.9"),
        ("requirement", "packages/voicer.yml: voicer>=2: no release answers it: its newest is 0.9"),
        ("project", "packages/unvoiced.yml: unvoiced: no release answers it: it does not know unvoiced"),
    ],
)
def test_a_release_that_is_not_there_is_named_with_the_newest(
    recorded: Recorded, capsys: pytest.CaptureFixture[str], place: str, said: str
) -> None:
    recorded.wheel("voicer", "0.9", "py3-none-any")
    name = {"lock": "pure", "project": "unvoiced"}.get(place, "voicer")
    if place == "archive":
        recorded.entry("packages/voicer.yml", RECIPE.format(digest="f" * 64, more=""))
    elif place == "lock":
        (recorded.catalog / "packages/locks/pure.txt").write_text(f"voicer==3.0 \\\n    --hash=sha256:{'1' * 64}\n")
    elif place == "requirement":
        recorded.entry("packages/voicer.yml", 'name: voicer\nrequires: ["voicer>=2"]\nmodule: voicer\n')
    else:
        recorded.entry("packages/unvoiced.yml", "name: unvoiced\nrequires: [unvoiced]\nmodule: unvoiced\n")
    assert recorded.check(name) == WRONG
    assert said in capsys.readouterr().out


# --- something newer


def test_a_newer_archive_is_told_and_is_no_error(recorded: Recorded, capsys: pytest.CaptureFixture[str]) -> None:
    recipe(recorded)
    recorded.add("voicer", "voicer-1.1.0.tar.gz", b"newer")
    recorded.add("voicer", "voicer-2.0.0rc1.tar.gz", b"preview")
    assert recorded.check("voicer") == FINE
    assert "+ packages/voicer.yml: voicer 1.0.0: 1.1.0 is there" in capsys.readouterr().out


def test_a_newer_release_without_an_archive_is_told_with_why_it_is_not_taken(
    recorded: Recorded, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe(recorded)
    recorded.wheel("voicer", "1.1.0", "py3-none-any")
    assert recorded.check("voicer") == FINE
    assert "voicer 1.0.0: 1.1.0 is there; it has no source archive" in capsys.readouterr().out


def test_a_newer_archive_of_what_we_patch_is_told_but_not_proposed(
    recorded: Recorded, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe(recorded, more="\n      patches: [patches/vocos-0.1.0-requirements.patch]")
    recorded.add("voicer", "voicer-1.1.0.tar.gz", b"newer")
    assert recorded.update("voicer") == FINE
    assert recorded.check("voicer") == FINE
    assert "1.1.0 is there; its patches are for this one" in capsys.readouterr().out


def test_a_newer_torch_than_that_of_any_stack_is_told() -> None:
    project = Project("torch", tuple(File(f"torch-{v}-py3-none-any.whl", Version(v), "") for v in ("2.14.1", "2.16.0")))
    (fact,) = compare.newer_torch(project, ["2.14.1", "2.11.0"], "here")
    assert (fact.verdict, fact.detail) == ("new", "2.16.0 is there, the newest of a stack is 2.14.1")


def test_a_newer_toolkit_is_told(recorded: Recorded) -> None:
    versions = ("13.5.37", "13.6.12", "14.0.1rc1")
    project = Project("nvidia-cuda-nvcc", tuple(File(f"x-{v}-py3-none-any.whl", Version(v), "") for v in versions))
    (fact,) = compare.newer_toolkits(project, ["12.9", "13.5"], "here")
    assert (fact.verdict, fact.detail) == ("new", "13.6 is there")


# --- withdrawn


@pytest.mark.parametrize("what", ["archive", "lock", "requirement"])
def test_a_release_that_was_withdrawn_is_named(
    recorded: Recorded, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    digest = recorded.add("voicer", "voicer-1.0.0.tar.gz", b"voice", yanked="it does not work")
    if what == "archive":
        recorded.entry("packages/voicer.yml", RECIPE.format(digest=digest, more=""))
    elif what == "lock":
        (recorded.catalog / "packages/locks/pure.txt").write_text(f"voicer==1.0.0 \\\n    --hash=sha256:{digest}\n")
    else:
        recorded.entry("packages/voicer.yml", "name: voicer\nrequires: [voicer]\nmodule: voicer\n")
    assert recorded.check("pure" if what == "lock" else "voicer") == WRONG
    said = capsys.readouterr().out
    assert ("no release answers it" if what == "requirement" else "the release 1.0.0 was withdrawn (yanked)") in said


# --- stacks


def stack(recorded: Recorded, sms: str = '["9.0", "12.0"]', **torch: Any) -> None:
    """A stack for Python 3.12 on x86_64, and wheels that are what it says but for what `torch` names."""
    recorded.entry(
        "stacks/cuda13_0.yml",
        f"""\
name: cuda13_0
description: "made by us"
backend: cuda13_0
versions: {{torch: 2.14.1, torchaudio: 2.11.0}}
brings: {{triton: 3.8.0}}
python: {{minimum: "3.12", maximum: "3.12"}}
architectures: [x86_64]
sms:
  x86_64: {sms}
driver_minimum: 580
preference: 10
origins:
  - {{name: package_index, disk_gib: 1, note: "made by us"}}
sources: ["made by us"]
""",
    )
    said = {"cuda": "13.0", "requires": ("triton~=3.8.0; platform_system == 'Linux'",), "code": (90, 120), **torch}
    fatbins = make_fatbin(*[(sm, "", "sass") for sm in said["code"]]) * 3
    members = {
        "torch/version.py": f"__version__ = '2.14.1+cu130'\ncuda: Optional[str] = '{said['cuda']}'\n".encode(),
        "torch/lib/libtorch_cuda.so": make_library(fatbins, needed=["libcudart.so.13"], machine=X86_64),
    }
    more = {key: said[key] for key in ("tags", "yanked") if key in said}
    recorded.wheel("torch", "2.14.1", requires=said["requires"], members=members, **more)
    audio = {"torchaudio/version.py": f"__version__ = '2.11.0+{said.get('audio', 'cu130')}'\n".encode()}
    recorded.wheel("torchaudio", "2.11.0", requires=said.get("audio_requires", ()), members=audio)


def test_a_stack_whose_wheels_are_what_it_says_is_right(recorded: Recorded) -> None:
    stack(recorded)
    assert recorded.check("cuda13_0") == FINE


@pytest.mark.parametrize(
    ("torch", "said"),
    [
        ({"cuda": "13.2"}, "torch 2.14.1: it was built for CUDA 13.2, the stack is 13.0"),
        ({"audio": "cu132"}, "torchaudio 2.11.0: it was built for CUDA 13.2, the stack is 13.0"),
        ({"requires": ("triton==3.9.0",)}, "torch 2.14.1: it requires triton==3.9.0, the stack has 3.8.0"),
        ({"audio_requires": ("torch==2.11.0",)}, "torchaudio 2.11.0: it requires torch==2.11.0, the stack has 2.14.1"),
        ({"yanked": True}, "torch 2.14.1: the release 2.14.1 was withdrawn (yanked)"),
        ({"tags": "cp313-cp313-manylinux_2_28_x86_64"}, "torch 2.14.1: it has no wheel for Python 3.12 on x86_64"),
        ({"tags": "cp312-cp312-win_amd64"}, "torch 2.14.1: it has no wheel for Python 3.12 on x86_64"),
        (
            {"code": (80, 90, 120)},
            "torch 2.14.1 machine code for x86_64: it has 8.0 9.0 12.0, the catalog says 9.0 12.0",
        ),
        ({"code": (90,)}, "torch 2.14.1 machine code for x86_64: it has 9.0, the catalog says 9.0 12.0"),
    ],
)
def test_what_is_wrong_with_a_stack_is_named(
    recorded: Recorded, capsys: pytest.CaptureFixture[str], torch: dict[str, Any], said: str
) -> None:
    stack(recorded, **torch)
    assert recorded.check("cuda13_0") == WRONG
    assert f"stacks/cuda13_0.yml: {said}" in capsys.readouterr().out


# --- wheels of an index, and their GPU code


def package(recorded: Recorded, held: str, *code: tuple[int, str], needed: str = "libcudart.so.13") -> None:
    recorded.entry(
        "packages/voicer.yml",
        f"name: voicer\nrequires: [voicer]\nmodule: voicer\nindex_wheels:\n  x86_64: {held}\nsources: [x]\n",
    )
    fatbins = make_fatbin(*[(sm, suffix, "sass") for sm, suffix in code]) if code else b""
    library = make_library(fatbins, needed=[needed] if needed else [], machine=X86_64)
    recorded.wheel("voicer", "1.0", members={"voicer/libvoicer.so": library})


@pytest.mark.parametrize(
    ("held", "code", "needed"),
    [
        ('{backend: cuda13, sms: ["9.0a", "12.0"]}', [(90, "a"), (120, "")], "libcudart.so.13"),
        ("{backend: cuda12}", [(80, ""), (90, "")], "libcublas.so.12"),
        ("{backend: cpu}", [], ""),
    ],
)
def test_wheels_that_are_what_the_catalog_says_are_right(
    recorded: Recorded, held: str, code: list[tuple[int, str]], needed: str
) -> None:
    package(recorded, held, *code, needed=needed)
    assert recorded.check("voicer") == FINE


@pytest.mark.parametrize(
    ("held", "code", "needed", "said", "line"),
    [
        (
            '{backend: cuda13, sms: ["9.0"]}', [(90, ""), (110, "")], "libcudart.so.13",
            "it is cuda13 9.0 11.0, the catalog says cuda13 9.0", '{backend: cuda13, sms: ["9.0", "11.0"]}',
        ),
        (
            '{backend: cuda12, sms: ["9.0"]}', [(90, "")], "libcudart.so.13",
            "it is cuda13 9.0, the catalog says cuda12 9.0", '{backend: cuda13, sms: ["9.0"]}',
        ),
        (
            "{backend: cpu}", [(90, "")], "libcublas.so.13",
            "it is cuda13 9.0, the catalog says cpu", "{backend: cuda13}",
        ),
        ("{backend: cuda13}", [], "", "it is cpu, the catalog says cuda13", "{backend: cpu}"),
    ],
)  # fmt: skip
def test_wheels_that_changed_are_named_and_the_change_is_written(
    recorded: Recorded,
    capsys: pytest.CaptureFixture[str],
    held: str,
    code: list[tuple[int, str]],
    needed: str,
    said: str,
    line: str,
) -> None:
    package(recorded, held, *code, needed=needed)
    assert recorded.check("voicer") == WRONG
    assert said in capsys.readouterr().out
    assert recorded.update("voicer", "--write") == FINE
    assert f"  x86_64: {line}\n" in (recorded.catalog / "packages/voicer.yml").read_text()
    assert recorded.check("voicer") == FINE


def test_a_large_library_is_read_only_where_that_is_asked_for(
    recorded: Recorded, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    package(recorded, '{backend: cuda13, sms: ["9.0"]}', (90, ""))
    monkeypatch.setattr("wavesmith.facts.questions.SMALL", 10)
    assert recorded.check("voicer") == UNASKED
    assert (
        "? packages/voicer.yml: voicer wheels for x86_64: libvoicer.so is large; --large reads it"
        in capsys.readouterr().out
    )
    assert recorded.check("voicer", "--large") == FINE


@pytest.mark.parametrize(
    ("held", "requires", "code"),
    [
        ("{backend: cuda13}", ("flashinfer_python[cu13]==0.7.2",), FINE),
        ("{backend: cuda13}", ("nvidia-cublas-cu13; sys_platform == 'linux'",), FINE),
        ("{backend: cuda12}", ("nvidia-cublas-cu13",), WRONG),
        ("{backend: cuda13}", ("torch",), WRONG),
        ("{backend: cpu}", ("torch",), FINE),
    ],
)
def test_what_computes_may_be_in_what_a_wheel_requires(
    recorded: Recorded, held: str, requires: tuple[str, ...], code: int
) -> None:
    package(recorded, held, needed="")
    recorded.wheel("voicer", "1.1", requires=requires)
    assert recorded.check("voicer") == code


# --- every way to state a requirement


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("packages/voicer.yml", "requires: ['tinylib>=3']\nmodule: voicer\n"),
        ("packages/voicer.yml", "requires: []\noverrides: ['tinylib>=3']\nmodule: voicer\n"),
        ("packages/voicer.yml", "requires: []\nfor_torch: {2.14.1: ['tinylib>=3']}\nmodule: voicer\nsources: [x]\n"),
        ("packages/voicer.yml", "requires: []\npins: {tinylib: '>=3'}\nmodule: voicer\nsources: [x]\n"),
    ],
)
def test_a_requirement_is_asked_for_however_it_is_stated(
    recorded: Recorded, capsys: pytest.CaptureFixture[str], place: str, text: str
) -> None:
    recorded.wheel("tinylib", "2.0", "py3-none-any")
    recorded.entry(place, f"name: voicer\n{text}")
    assert recorded.check("voicer") == WRONG
    assert f"{place}: tinylib>=3: no release answers it: its newest is 2.0" in capsys.readouterr().out


# --- compilers


def toolkit(
    recorded: Recorded,
    gcc: str = "16",
    code: tuple[int, ...] = (75, 80, 86, 87, 88, 89, 90, 100, 103, 107, 110, 120, 121),
) -> None:
    recorded.edit(
        "cuda.yml",
        lambda data: data.update(
            toolkits={key: data["toolkits"][key] for key in ("12.6", "12.8", "13.0", "13.2", "13.5")}
        ),
    )
    header = f"#if defined(__GNUC__)\n#if __GNUC__ > {gcc}\n#error -- unsupported GNU version!\n".encode()
    program = b"\x7fELF" + b"".join(f"compute_{sm}\0compute_{sm}a\0".encode() for sm in code)
    recorded.wheel(
        "nvidia-cuda-crt",
        "13.5.37",
        "py3-none-manylinux_2_17_x86_64",
        members={"nvidia/cu13/include/crt/host_config.h": header},
    )
    recorded.wheel(
        "nvidia-cuda-nvcc", "13.5.37", "py3-none-manylinux_2_17_x86_64", members={"nvidia/cu13/bin/nvcc": program}
    )


def test_a_compiler_that_is_what_the_catalog_says_is_right_and_those_out_of_reach_are_said(
    recorded: Recorded, capsys: pytest.CaptureFixture[str]
) -> None:
    toolkit(recorded)
    assert recorded.check("cuda") == UNASKED
    said = capsys.readouterr().out
    assert "has no nvidia-cuda-nvcc-cu12 of CUDA 12.8" in said and "CUDA 13.5" not in said


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ({"gcc": "17"}, "CUDA 13.5 host compiler: it takes gcc to 17, the catalog says 16"),
        ({"gcc": "15"}, "CUDA 13.5 host compiler: it takes gcc to 15, the catalog says 16"),
        (
            {"code": (75, 80, 86, 87, 88, 89, 90, 100, 103, 107, 110, 120, 121, 130)},
            "CUDA 13.5 compute capabilities: the catalog has no 13.0 for it",
        ),
        (
            {"code": (80, 86, 87, 88, 89, 90, 100, 103, 110, 120, 121)},
            "CUDA 13.5 compute capabilities: it does not know 7.5, 10.7",
        ),
    ],
)
def test_a_compiler_that_changed_is_named(
    recorded: Recorded, capsys: pytest.CaptureFixture[str], made: dict[str, Any], said: str
) -> None:
    toolkit(recorded, **made)
    assert recorded.check("cuda") == WRONG
    assert f"✗ cuda.yml: {said}" in capsys.readouterr().out


# --- out of reach


def test_an_index_that_does_not_answer_is_no_verdict_on_the_catalog(
    recorded: Recorded, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe(recorded)
    argv = ["catalog", "check", "voicer", "--catalog", str(recorded.catalog), "--index", "http://127.0.0.1:9/simple"]
    assert main(argv) == UNUSABLE
    assert "nothing could be asked: http://127.0.0.1:9/simple does not answer" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("git: 'https://127.0.0.1:9/voicer', commit: " + "a" * 40, "https://127.0.0.1:9/voicer does not answer"),
        (
            "archive: 'https://127.0.0.1:9/v.tar.gz', sha256: " + "a" * 64,
            "https://127.0.0.1:9/v.tar.gz does not answer",
        ),
    ],
)
def test_an_upstream_that_does_not_answer_is_said_with_the_reason(
    recorded: Recorded, capsys: pytest.CaptureFixture[str], source: str, said: str
) -> None:
    digest = recipe(recorded)
    text = (recorded.catalog / "packages/voicer.yml").read_text()
    other = f"    - version: 0.9.0\n      source: {{{source}}}\n      build_lock: locks/pure.txt\n"
    assert digest in text
    recorded.entry("packages/voicer.yml", text.replace("  must_contain", f"{other}  must_contain"))
    assert recorded.check("voicer") == UNASKED
    assert f"? packages/voicer.yml: voicer 0.9.0: {said}" in capsys.readouterr().out


def test_a_wheel_that_is_gone_from_the_index_is_said(recorded: Recorded, capsys: pytest.CaptureFixture[str]) -> None:
    package(recorded, "{backend: cpu}", needed="")
    for path in (recorded.folder / "files").glob("*.whl"):
        path.unlink()
    assert recorded.check("voicer") == UNASKED
    assert "voicer-1.0-cp312-cp312-manylinux_2_28_x86_64.whl cannot be read in parts" in capsys.readouterr().out


def test_a_name_that_nothing_has_is_refused(recorded: Recorded, capsys: pytest.CaptureFixture[str]) -> None:
    assert recorded.check("nobody") == UNUSABLE
    assert "nothing is pinned under the name 'nobody'" in capsys.readouterr().err


def test_a_catalog_that_is_broken_is_refused(recorded: Recorded, capsys: pytest.CaptureFixture[str]) -> None:
    recorded.entry("packages/voicer.yml", "name: other\n")
    assert recorded.check("voicer") == UNUSABLE
    assert "Remedy: " in capsys.readouterr().err


def test_a_page_that_is_none_of_an_index_is_unreachable(recorded: Recorded) -> None:
    (recorded.folder / "voicer").mkdir(parents=True)
    (recorded.folder / "voicer" / "index.json").write_text("<html>please log in")
    with pytest.raises(Unreachable, match="gives no page of an index"):
        Index(recorded.url).project("voicer")


def test_an_index_of_html_pages_is_read_as_well(recorded: Recorded) -> None:
    page = recorded.folder / "voicer" / "index.html"
    page.parent.mkdir(parents=True)
    page.write_text(
        '<a href="../files/voicer-1.0%2Bcpu-py3-none-any.whl#sha256=aa" data-requires-python="&gt;=3.11">x</a>'
        '<a href="voicer-0.9.tar.gz" data-yanked="">y</a><a href="README">z</a>'
    )
    first, second = Index(recorded.url).project("Voicer").files
    assert (first.version, first.sha256, first.requires_python) == (Version("1.0+cpu"), "aa", ">=3.11")
    assert first.url == f"{recorded.url}/files/voicer-1.0%2Bcpu-py3-none-any.whl" and second.yanked


# --- commits


def test_a_commit_that_upstreams_wheel_was_not_built_from_is_named() -> None:
    file = File("torch-2.13.0-cp312-cp312-manylinux_2_28_x86_64.whl", Version("2.13.0"), "")
    held = wheels.Said(commit="b" * 40)
    fact = compare.commit(Path("torch.yml"), "packages/torch.yml", "torch 2.13.0", file, held, "a" * 40)
    assert (fact.verdict, fact.change and fact.change.new) == ("wrong", "b" * 40)


@pytest.mark.process
def test_a_commit_that_is_not_that_of_its_tag_is_named(
    recorded: Recorded, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    recipe(recorded)
    home = tmp_path / "upstream"
    git = ["git", "-C", str(home), "-c", "user.name=x", "-c", "user.email=x@y"]
    subprocess.run(["git", "init", "-q", str(home)], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "one"], check=True)
    subprocess.run([*git, "tag", "-a", "-m", "one", "v0.9.0"], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    text = (recorded.catalog / "packages/voicer.yml").read_text()
    for pinned, code in ((commit, FINE), ("a" * 40, WRONG)):
        other = f"    - version: 0.9.0\n      source: {{git: 'file://{home}', commit: {pinned}}}\n      build_lock: locks/pure.txt\n"
        recorded.entry("packages/voicer.yml", text.replace("  must_contain", f"{other}  must_contain"))
        assert recorded.check("voicer") == code
    assert f"the tag is {commit[:12]}" in capsys.readouterr().out


# --- update


def test_an_update_is_a_diff_with_its_source_that_patch_takes(
    recorded: Recorded, capsys: pytest.CaptureFixture[str]
) -> None:
    digest = recipe(recorded, digest="f" * 64)
    newer = recorded.add("voicer", "voicer-1.1.0.tar.gz", b"newer")
    assert recorded.update("voicer") == WRONG
    diff = capsys.readouterr().out
    assert f"# source: voicer-1.0.0.tar.gz on {recorded.url}\n" in diff
    assert "--- a/catalog/packages/voicer.yml\n+++ b/catalog/packages/voicer.yml\n" in diff
    before = (recorded.catalog / "packages/voicer.yml").read_text()
    assert "f" * 64 in before  # nothing was written
    assert recorded.update("voicer", "--json") == WRONG
    assert json.loads(capsys.readouterr().out) == {"schema": 1, "files": ["packages/voicer.yml"], "diff": diff}
    subprocess.run(["patch", "-p1"], input=diff, text=True, check=True, cwd=recorded.catalog.parent)
    assert digest in (recorded.catalog / "packages/voicer.yml").read_text()
    # With the sha256 right, the next step is the newer release.
    assert recorded.update("voicer", "--write") == FINE
    after = (recorded.catalog / "packages/voicer.yml").read_text()
    assert f"- version: 1.1.0\n      source: {{index: voicer-1.1.0.tar.gz, sha256: {newer}}}" in after


def test_nothing_is_written_that_would_not_load(recorded: Recorded, capsys: pytest.CaptureFixture[str]) -> None:
    stack(recorded, sms='["9.0", "12.0"]', code=(33,))
    before = (recorded.catalog / "stacks/cuda13_0.yml").read_text()
    assert recorded.update("cuda13_0", "--write") in (FINE, UNUSABLE)
    recorded.entry("stacks/cuda13_0.yml", before.replace('["9.0", "12.0"]', '[ "9.0", "12.0" ]'))
    assert recorded.update("cuda13_0", "--write") == FINE
    assert "change it by hand: it is not written as expected" in capsys.readouterr().err


def test_where_all_is_right_nothing_is_proposed(recorded: Recorded, capsys: pytest.CaptureFixture[str]) -> None:
    recipe(recorded)
    assert recorded.update("voicer", "--write") == FINE
    assert capsys.readouterr() == ("", "1/1 asked\nnothing to change that is known how\n")
