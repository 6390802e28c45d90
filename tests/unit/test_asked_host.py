"""Any distribution, any pinned commit: resolved, installed and imported with the real tools, from an index and repositories of our own."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.build.source import fetch
from ansible_collections.wavesmith.provision.plugins.module_utils.doctor import guard as doctor_guard
from ansible_collections.wavesmith.provision.plugins.module_utils.doctor.base import Context, Spec, perform
from ansible_collections.wavesmith.provision.plugins.module_utils.doctor.installed import (
    main_modules,
    modules_of,
    top_modules,
)
from ansible_collections.wavesmith.provision.plugins.module_utils.export.bundle import bundle, context
from ansible_collections.wavesmith.provision.plugins.module_utils.host.job import Failed
from ansible_collections.wavesmith.provision.plugins.module_utils.plan import guard
from ansible_collections.wavesmith.provision.plugins.module_utils.prefix import generation, inspect, repositories

from .test_prefix import BASE, UV, VERSION, Host, wheel

# --- the modules of an installed distribution


@pytest.mark.parametrize(
    ("record", "package", "modules"),
    [
        (["voice/__init__.py", "voice/pitch.py", "voice-1.0.dist-info/RECORD"], "voice", ["voice"]),
        (["six.py", "six-1.0.dist-info/METADATA"], "six", ["six"]),
        (["_cffi_backend.cpython-311-x86_64-linux-gnu.so", "cffi/__init__.py"], "cffi", ["cffi"]),
        (["yaml/__init__.py", "_yaml/__init__.py"], "pyyaml", ["yaml"]),
        (["attr/__init__.py", "attrs/__init__.py"], "attrs", ["attrs"]),
        (["cv2/__init__.py", "opencv.libs/libx.so"], "opencv-python", ["cv2"]),
        (["google/protobuf/__init__.py", "google/_upb/_message.abi3.so"], "protobuf", ["google.protobuf"]),
        (["pyannote/audio/__init__.py", "pyannote/audio/core/__init__.py"], "pyannote-audio", ["pyannote.audio"]),
        (["fast.abi3.so", "tests/__init__.py"], "fast-thing", ["fast"]),
        (["one/__init__.py", "two/__init__.py", "examples/__init__.py"], "pair", ["one", "two"]),
        (["_only/__init__.py"], "private", ["_only"]),
        (["yaml-stubs/__init__.pyi", "types_PyYAML-6.dist-info/RECORD"], "types-pyyaml", []),
        (["../../../bin/tool", "tool-1.0.data/scripts/tool"], "tool", []),
    ],
)
def test_the_modules_of_a_wheel_are_those_that_its_record_lists(
    record: list[str], package: str, modules: list[str]
) -> None:
    assert main_modules(top_modules(record), package) == modules


# --- from an index


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def task(*requirements: str, **more: Any) -> Any:
    return {
        "environment": "speech",
        "generation": None,
        "python": {"path": BASE, "version": VERSION},
        "origin_url": "",
        "wheels": [],
        "key": "k",
        "inputs": "",
        "requirements": list(requirements),
        "overrides": [],
        "declared": [],
        **more,
    }


def resolve(host: Host, *requirements: str, **more: Any) -> str:
    return generation.resolve(host.job, str(host.root), task(*requirements, **more), host.index)


@pytest.mark.process
def test_a_package_that_nobody_described_is_installed_and_imported_by_what_its_wheel_lists(host: Host) -> None:
    wheel(host.simple, "plainname", {"other_module/__init__.py": ""}, requires=["helper>=1"])
    wheel(host.simple, "helper", {"helper.py": ""})
    wheel(host.simple, "onlydata", {"onlydata.pth": ""})
    host.lock = resolve(host, "plainname==1.*", "onlydata")
    host.install()
    found = modules_of(host.prefix(), {"plainname": "", "onlydata": "", "helper": "helper", "missing": ""})
    assert found == ({"plainname": "other_module", "helper": "helper"}, ["onlydata"], ["missing"])


@pytest.mark.process
def test_a_name_that_the_index_does_not_have_is_refused_with_the_nearest(host: Host) -> None:
    wheel(host.simple, "helper", {"helper.py": ""})
    with pytest.raises(Failed, match="the package index has no soundfilee.*did you mean soundfile\\?"):
        resolve(host, "helper", "soundfilee>=1", known=["soundfile", "librosa"])
    with pytest.raises(Failed, match="the package index has no xyzzy123.*correct the name"):
        resolve(host, "xyzzy123", known=["soundfile", "librosa"])


@pytest.mark.process
def test_what_brings_in_torch_without_a_stack_is_refused_with_who_needs_it(host: Host) -> None:
    wheel(host.simple, "torch", {"torch.py": ""}, version="2.15.0")
    wheel(host.simple, "torchaudio", {"torchaudio.py": ""}, version="2.11.0", requires=["torch"])
    wheel(host.simple, "codec", {"codec.py": ""}, requires=["torch", "torchaudio"])
    wheel(host.simple, "voice", {"voice.py": ""}, requires=["codec"])
    banned = ["torch", "torchaudio", "triton"]
    with pytest.raises(
        Failed, match="environment speech: codec needs torch, which belongs to a stack.*leave codec out"
    ):
        resolve(host, "codec", banned=banned)
    with pytest.raises(Failed, match=r"voice needs torch \(by way of codec\).*give the environment a stack"):
        resolve(host, "voice", banned=banned)
    assert "torch==2.15.0" in resolve(host, "voice"), "with a stack its versions are overridden, not refused"


@pytest.mark.process
def test_nothing_brings_torch_into_an_environment_without_a_stack_by_hand(host: Host, tmp_path: Path) -> None:
    wheel(host.simple, "torch", {"torch.py": ""}, version="2.15.0")
    wheel(host.simple, "codec", {"codec.py": ""}, requires=["torch"])
    wheel(host.simple, "other", {"other.py": ""})
    host.serve("helper", {"helper.py": ""})
    spec = {**host.spec(), "held": {"torch": guard.WITHOUT_STACK}}
    generation.make_prefix(host.job, str(host.root), spec)
    generation.install(host.job, str(host.root), spec, host.index, {})
    constraints = host.prefix() / guard.CONSTRAINTS
    assert "helper==1.0\n" in constraints.read_text() and "torch<0\n" in constraints.read_text()

    def by_hand(name: str) -> str:
        argv = [UV, "pip", "install", "--python", host.prefix() / "bin" / "python", "--default-index", host.index, name]
        environ = {**os.environ, "UV_CONSTRAINT": str(constraints), "UV_NO_CONFIG": "1"}
        return subprocess.run(argv, env=environ, capture_output=True, text=True, check=False).stderr

    assert "torch<0" in by_hand("codec") and "torch<0" in by_hand("torch")
    assert "+ other==1.0" in by_hand("other")

    def judged() -> str:
        spec = Spec("speech", "one", host.prefix(), host.root)
        return str(perform(doctor_guard.CHECKS[0], Context(spec, tmp_path, tmp_path)))

    assert "the stack names no versions" in judged()
    argv = [
        UV,
        "pip",
        "install",
        "--no-deps",
        "--python",
        host.prefix() / "bin" / "python",
        "--default-index",
        host.index,
    ]
    subprocess.run([*argv, "torch"], env={**os.environ, "UV_NO_CONFIG": "1"}, capture_output=True, check=True)
    assert "torch was installed by hand, and the environment has no stack" in judged()


@pytest.mark.parametrize(
    ("annotated", "said"),
    [
        (
            "encodec==0.1.1    # via -r in.txt\ntorch==2.15.0    # via encodec, torchaudio\ntorchaudio==2.11.0    # via encodec\n",
            "encodec needs torch,",
        ),
        ("a==1    # via -r in.txt\nb==1    # via a\ntorch==2    # via b\n", r"a needs torch (by way of b),"),
        ("triton==3    # via w\nw==1    # via -r in.txt\n", "w needs triton,"),
        ("a @ file:///x    # via -r in.txt\ntorch==2    # via a\n", "a needs torch,"),
        ("torch==2    # via a, b\na==1    # via b\nb==1    # via a\n", "needs torch"),
    ],
)
def test_who_needs_torch_is_read_out_of_the_resolvers_own_words(annotated: str, said: str) -> None:
    assert said in guard.brought("plain", annotated, ["torch", "torchaudio", "triton"])


# --- from a repository

BACKEND = """\
import base64, hashlib, os, zipfile
def build_wheel(folder, config_settings=None, metadata_directory=None):
    open("scribble.txt", "w").write("what builds writes where it builds")
    name = "tiny_tool-1.0-py3-none-any.whl"
    info = "tiny_tool-1.0.dist-info/"
    files = {"tiny_tool.py": open("tiny_tool.py").read(),
             info + "METADATA": "Metadata-Version: 2.1\\nName: tiny-tool\\nVersion: 1.0\\nRequires-Dist: helper\\n",
             info + "WHEEL": "Wheel-Version: 1.0\\nGenerator: t\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"}
    rows = "".join("%s,sha256=%s,%d\\n" % (path, base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode(),
                   len(text.encode())) for path, text in files.items())
    with zipfile.ZipFile(os.path.join(folder, name), "w") as archive:
        for path, text in {**files, info + "RECORD": rows + info + "RECORD,,\\n"}.items():
            archive.writestr(path, text)
    return name
"""
PYPROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


def git(place: Path, *words: str) -> str:
    argv = ["git", "-c", "user.name=us", "-c", "user.email=us@example.org", "-C", str(place), *words]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def commit(tmp_path: Path, host: Host) -> str:
    """A repository's commit that the host fetched before: no network is here. What it asks for is on the index."""
    place = tmp_path / "tool"
    (place / "py").mkdir(parents=True)
    for folder in (place, place / "py"):
        for name, text in (("backend.py", BACKEND), ("pyproject.toml", PYPROJECT), ("tiny_tool.py", "VALUE = 7\n")):
            (folder / name).write_text(text)
    git(place, "init", "--quiet")
    git(place, "add", ".")
    git(place, "commit", "--quiet", "-m", "one")
    found = git(place, "rev-parse", "HEAD")
    source: Any = {"kind": "git", "name": "tool", "digest": found, "urls": [place.as_uri()]}
    fetch(host.job, str(host.root), "tool", source, dict(os.environ), "")
    wheel(host.simple, "helper", {"helper.py": ""})
    return found


@pytest.mark.process
@pytest.mark.parametrize("form", ["tiny-tool @ git+{}", "git+{}", "git+{}#subdirectory=py", "tiny_tool@git+{}#egg=x"])
def test_a_commit_is_locked_built_installed_and_imported(host: Host, commit: str, form: str) -> None:
    from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.asked import read

    line = read(form.format(f"https://git.example/a/tool.git@{commit}")).line
    inner = "#subdirectory=py" if "subdirectory" in form else ""
    lock = resolve(host, line)
    assert f"tiny-tool @ git+https://git.example/a/tool.git@{commit}{inner}" in lock.splitlines()
    assert "helper==1.0" in lock and "file://" not in lock
    seen = inspect.inspect(host.job, str(host.root), task(line), lock, host.index)
    assert {file["name"]: file["kind"] for file in seen["files"]} == {"helper": "wheel", "tiny-tool": "other"}
    assert not seen["problem"]
    host.lock = lock
    installed = host.install()
    assert installed["packages"] == 2
    assert (host.site() / "tiny_tool.py").read_text() == "VALUE = 7\n"
    proven = host.root / "cache" / "sources" / commit / "tool"
    assert git(proven, "status", "--porcelain", "--ignored") == "", "what builds it writes elsewhere"
    assert not (host.root / "state" / "install-speech").exists()


@pytest.mark.process
@pytest.mark.parametrize("url", ["file://{}", "ext::sh -c touch% {}.run", "http://127.0.0.1:1/{}"])
def test_no_other_transport_is_used_even_where_a_line_came_by_another_way(host: Host, tmp_path: Path, url: str) -> None:
    place = tmp_path / "elsewhere"
    place.mkdir()
    git(place, "init", "--quiet")
    (place / "a").write_text("")
    git(place, "add", ".")
    git(place, "commit", "--quiet", "-m", "one")
    repository = repositories.Repository("tool", "", url.format(place), git(place, "rev-parse", "HEAD"), "")
    with pytest.raises(Failed, match="could not be fetched .*transport .* not allowed"):
        repositories.checkout(host.job, str(host.root), repository, str(tmp_path / "work"), dict(os.environ), "")
    assert not (tmp_path / "elsewhere.run").exists()


@pytest.mark.process
def test_a_folder_that_the_commit_does_not_have_is_refused(host: Host, commit: str, tmp_path: Path) -> None:
    repository = repositories.Repository("tool", "", "https://git.example/a/tool.git", commit, "nowhere")
    with pytest.raises(Failed, match="has no folder nowhere.*Remedy"):
        repositories.checkout(host.job, str(host.root), repository, str(tmp_path / "work"), dict(os.environ), "")


def test_this_python_is_one_that_environments_can_have() -> None:
    assert VERSION.startswith(f"{sys.version_info[0]}.")


# --- a commit travels


@pytest.mark.process
def test_a_commit_is_had_from_a_bundle_without_its_repository(host: Host, commit: str, tmp_path: Path) -> None:
    line = f"tiny-tool @ git+https://git.example/a/tool.git@{commit}"
    lock = resolve(host, line)
    toolbox = tmp_path / "toolbox"
    venv.create(toolbox, with_pip=True)
    (host.root / "toolbox" / "current" / "bin" / "python").symlink_to(toolbox / "bin" / "python")
    for name in ("wheel", "setuptools"):  # what is asked for where a project names no requirements of its build
        wheel(host.simple, name, {f"{name}.py": ""}, version="80.0")
    spec: Any = {**task(line), "lock": lock, "conda": {}, "inspected": "", "wheels": []}
    made = Path(bundle(host.job, str(host.root), [spec], [], [], host.index, "", "", ""))
    assert (made / "sources" / commit / "objects.pack").is_file()
    assert (made / "index" / "simple" / "helper" / "index.html").is_file()
    other = Host(tmp_path / "other")
    other.lock, other.index = lock, (made / "index" / "simple").as_uri()
    generation.make_prefix(other.job, str(other.root), other.spec())
    without = {**other.spec(), "bundle": made.as_uri()}
    assert generation.install(other.job, str(other.root), without, other.index, {})["packages"] == 2
    assert (other.site() / "tiny_tool.py").is_file()
    context_folder = Path(
        context(host.job, str(host.root), spec, host.index, {"id": "debian", "version_id": "12"}, [], True)
    )
    assert "tiny-tool==1.0 --hash=sha256:" in (context_folder / "wheels.txt").read_text()
