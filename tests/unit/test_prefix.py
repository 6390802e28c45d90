"""A real prefix, made with the real tool: isolated, filled from a lock, and its bytes proven."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import itertools
import json
import marshal
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.host import store
from ansible_collections.wavesmith.provision.plugins.module_utils.host.job import Failed, Job
from ansible_collections.wavesmith.provision.plugins.module_utils.prefix import generation as prefix_generation
from ansible_collections.wavesmith.provision.plugins.module_utils.prefix import links, proof

from .conftest import known, make_fatbin, make_library, make_provenance

pytestmark = pytest.mark.process

UV = Path(sys.prefix) / "bin" / "uv"
BASE = os.path.realpath(sys.executable)
VERSION = "{}.{}.{}".format(*sys.version_info[:3])
TAG = "{}{}".format(*sys.version_info[:2])
WHEEL = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def wheel(
    folder: Path,
    name: str,
    files: dict[str, Any],
    declared: dict[str, str] | None = None,
    version: str = "1.0",
    requires: Sequence[str] = (),
) -> Path:
    """A wheel with an index page beside it; `declared` is what its RECORD says of a file's text."""
    info = f"{name}-{version}.dist-info"
    needs = "".join(f"Requires-Dist: {line}\n" for line in requires)
    files = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        f"{info}/WHEEL": WHEEL,
    }
    record = ""
    for path, text in {**files, **(declared or {})}.items():
        data = text if isinstance(text, bytes) else text.encode()
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={digest},{len(data)}\n"
    made = folder / name / f"{name}-{version}-py3-none-any.whl"
    made.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(made, "w") as archive:
        for path, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            archive.writestr(path, text)
    links = [f'<a href="{path.name}#sha256={sha256(path)}">{path.name}</a>' for path in made.parent.glob("*.whl")]
    made.with_name("index.html").write_text("\n".join(links))
    return made


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Host:
    """A host's folder with a toolbox, and a package index of its own that lies in a folder."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.simple = folder / "simple"
        self.index = self.simple.as_uri()
        tools = self.root / "toolbox" / "current" / "bin"
        tools.mkdir(parents=True)
        (tools / "uv").symlink_to(UV)
        (self.root / "state").mkdir()
        self.job = Job(str(self.root / "state"), os.open(os.devnull, os.O_RDONLY))
        self.job.known = known()
        self.lock = ""
        self.links = "auto"
        self.sms: list[str] = []
        self.prebuilt = True

    def serve(self, name: str, files: dict[str, Any], **options: Any) -> None:
        version = options.get("version", "1.0")
        self.lock += f"{name}=={version} --hash=sha256:{sha256(wheel(self.simple, name, files, **options))}\n"

    def spec(self, generation: str = "one") -> dict[str, Any]:
        fields = {
            "digest": "d",
            "imports": {},
            "accelerated": False,
            "sms": self.sms,
            "prebuilt": self.prebuilt,
            "stack": "none",
            "backend": "cpu",
            "versions": {},
            "origin": "package_index",
            "variant": "v",
            "engine": "venv",
            "variables": {},
            "held": {},
            "overrides": [],
            "projects": [],
            "models": [],
        }
        python = {"path": BASE, "version": VERSION}
        return {
            **fields,
            "environment": "speech",
            "generation": generation,
            "python": python,
            "key": "k",
            "lock": self.lock,
            "wheels": [],
            "links": self.links,
            "origin_url": "",
        }

    def prefix(self, generation: str = "one") -> Path:
        return self.root / "envs" / "speech" / generation

    def site(self, generation: str = "one") -> Path:
        return Path(prefix_generation.site_packages(str(self.prefix(generation)), VERSION))

    def make(self, generation: str = "one") -> Path:
        prefix_generation.make_prefix(self.job, str(self.root), self.spec(generation))
        return self.prefix(generation)

    def install(self, generation: str = "one") -> dict[str, Any]:
        self.make(generation)
        return prefix_generation.install(self.job, str(self.root), self.spec(generation), self.index, {})


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One empty prefix that tests only look at, with pip in it where this Python carries one."""
    host = Host(tmp_path_factory.mktemp("made"))
    prefix = host.make()
    found = [
        *Path(os.__file__).parent.glob("ensurepip/_bundled/pip-*.whl"),
        *Path("/usr/share/python-wheels").glob("pip-*.whl"),
    ]
    if found:
        python = str(prefix / "bin" / "python")
        subprocess.run(
            [UV, "pip", "install", "--quiet", "--no-index", "--offline", "--python", python, found[0]], check=True
        )
    yield prefix


def ask(prefix: Path, code: str, *options: str, **environment: str) -> Any:
    """What the prefix's Python prints as JSON, asked through `bin/python` in a given environment."""
    done = subprocess.run(
        [prefix / "bin" / "python", *options, "-c", f"import json, os, sys\nprint(json.dumps({code}))"],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


# Isolation


def test_the_interpreter_knows_its_prefix(made: Path) -> None:
    assert ask(made, "[sys.prefix, sys.executable]") == [str(made), str(made / "bin" / "python")]


@pytest.mark.parametrize("name", ["python3", f"python{sys.version_info[0]}.{sys.version_info[1]}"])
def test_every_name_of_the_interpreter_is_the_isolated_one(made: Path, name: str) -> None:
    assert os.readlink(made / "bin" / name) == "python"


@pytest.mark.parametrize("name", ["PYTHONPATH", "PYTHONUSERBASE", "PYTHONSTARTUP"])
def test_a_hostile_variable_brings_nothing_onto_the_search_path(made: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "torch.py").write_text("raise SystemExit(9)")
    assert str(tmp_path) not in str(ask(made, "sys.path", **{name: str(tmp_path)}))


def test_a_hostile_python_home_does_not_stop_the_interpreter(made: Path) -> None:
    assert ask(made, "sys.prefix", PYTHONHOME="/nowhere") == str(made)


def test_packages_of_the_user_are_not_seen(made: Path, tmp_path: Path) -> None:
    minor = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    site = tmp_path / ".local" / "lib" / minor / "site-packages"
    site.mkdir(parents=True)
    (site / "hostile.pth").write_text("import sys; sys.exit(9)\n")
    assert ask(made, "[__import__('site').ENABLE_USER_SITE, sys.flags.no_user_site]", HOME=str(tmp_path)) == [False, 1]


def test_what_the_interpreter_starts_is_isolated_too(made: Path) -> None:
    assert ask(made, "[os.environ.get('PYTHONNOUSERSITE'), 'PYTHONPATH' in os.environ]", PYTHONPATH="/hostile") == [
        "1",
        False,
    ]


def test_a_foreign_path_is_taken_off_though_python_was_started_past_its_wrapper(made: Path, tmp_path: Path) -> None:
    code = f"import sys; sys.path.append({str(tmp_path)!r}); import _wavesmith_isolation as own, importlib; importlib.reload(own); print(sys.path)"
    done = subprocess.run(
        [made / "bin" / "python", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": os.environ["PATH"]},
    )
    assert str(tmp_path) not in done.stdout


def test_arguments_reach_the_interpreter_unchanged(made: Path) -> None:
    done = subprocess.run(
        [made / "bin" / "python", "-c", "import sys; print(sys.argv[1:])", "a b", "$HOME", '"', ""],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == str(["a b", "$HOME", '"', ""])


def test_a_hostile_start_file_of_bash_is_not_read(made: Path, tmp_path: Path) -> None:
    (tmp_path / "env").write_text("exit 9\n")
    assert ask(made, "1", BASH_ENV=str(tmp_path / "env")) == 1


def test_activation_finds_python_in_the_prefix_and_gives_back_what_was_there(made: Path) -> None:
    script = (
        f'set -eu; export PYTHONPATH=/mine; . "{made}/bin/activate"; command -v python; echo "${{PYTHONPATH-none}} $PYTHONNOUSERSITE"; '
        'deactivate; echo "$PYTHONPATH ${PYTHONNOUSERSITE-none}"'
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", script], capture_output=True, text=True, check=True, env={"PATH": os.environ["PATH"]}
    )
    assert done.stdout.splitlines() == [str(made / "bin" / "python"), "none 1", "/mine none"]


@pytest.mark.parametrize("variable", ["", "PIP_USER"])
def test_pip_does_not_install_to_the_user(made: Path, tmp_path: Path, variable: str) -> None:
    if not (made / "bin" / "pip").exists():
        pytest.skip("this Python carries no pip")
    found = wheel(tmp_path / "simple", "tinyvoice", {"tinyvoice.py": ""})
    user = [] if variable else ["--user"]
    target = [] if not variable else ["--dry-run"]
    done = subprocess.run(
        [made / "bin" / "pip", "install", "--no-index", *user, *target, found],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **({variable: "1"} if variable else {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if variable:
        assert (done.returncode, "Defaulting to user" in done.stdout) == (0, False)
    else:
        assert done.returncode != 0 and "user" in done.stderr.lower()
    assert not (tmp_path / ".local").exists()


# Making


def test_a_complete_generation_is_left_as_it_is(host: Host) -> None:
    """A run whose controller was gone finished it; the next run finds it done."""
    host.serve("tinyvoice", {"tinyvoice.py": ""})
    host.install()
    before = (host.prefix() / store.MANIFEST).stat().st_mtime_ns
    host.install()
    assert (host.prefix() / store.MANIFEST).stat().st_mtime_ns == before


@pytest.mark.parametrize("harm", ["another digest", "a missing file"])
def test_a_complete_generation_that_is_not_the_wanted_one_is_never_touched(host: Host, harm: str) -> None:
    host.make()
    store.seal(str(host.prefix()), {"digest": "d"})
    if harm == "a missing file":
        (host.prefix() / "pip.conf").unlink()
    else:
        store.write_json(str(host.prefix() / store.MANIFEST), {"digest": "other"})
    with pytest.raises(
        Failed, match="generation one of speech is complete and must not be changed. Remedy: plan again"
    ):
        host.make()
    assert (host.prefix() / store.MANIFEST).exists()


def test_an_unfinished_generation_is_made_anew(host: Host) -> None:
    host.prefix().mkdir(parents=True)
    (host.prefix() / "half").touch()
    host.make()
    assert not (host.prefix() / "half").exists()


def test_what_killed_runs_left_is_cleared_away(host: Host) -> None:
    folder = host.prefix().parent
    (folder / ".removing-old" / "deep").mkdir(parents=True)
    (folder / ".current.7").symlink_to("gone")
    host.make()
    assert [item.name for item in folder.iterdir()] == ["one"]


def test_a_python_that_is_not_there_is_a_failure_with_a_remedy(host: Host) -> None:
    spec = {**host.spec(), "python": {"path": "/nowhere/python3", "version": VERSION}}
    with pytest.raises(Failed, match=r"environment speech: .*Remedy"):
        prefix_generation.make_prefix(host.job, str(host.root), spec)


# Installing from a lock


def test_the_packages_of_a_lock_are_installed_and_sealed(host: Host) -> None:
    host.serve("tinyvoice", {"tinyvoice.py": "SOUND = 440\n"})
    assert host.install() == {
        "environment": "speech",
        "generation": "one",
        "packages": 1,
        "overrides": [],
        "contents": {"tinyvoice": "1.0"},
    }
    assert ask(host.prefix(), "__import__('tinyvoice').SOUND") == 440
    assert store.read_json(str(host.prefix() / store.MANIFEST))["packages"] == {"tinyvoice": "1.0"}
    assert store.damage(str(host.prefix())) == []


def test_a_script_of_a_package_runs_in_the_prefix(host: Host) -> None:
    entry = "[console_scripts]\nsay = tinyvoice:say\n"
    code = "import sys\ndef say(): print(sys.executable)\n"
    host.serve("tinyvoice", {"tinyvoice.py": code, "tinyvoice-1.0.dist-info/entry_points.txt": entry})
    host.install()
    done = subprocess.run(
        [host.prefix() / "bin" / "say"], capture_output=True, text=True, check=True, env={"PYTHONPATH": "/hostile"}
    )
    assert done.stdout.strip() == str(host.prefix() / "bin" / "python")


def test_generations_share_their_files_with_the_cache(host: Host) -> None:
    host.serve("tinyvoice", {"tinyvoice.py": "SOUND = 440\n"})
    host.install("one")
    host.install("two")
    assert os.path.samefile(host.site("one") / "tinyvoice.py", host.site("two") / "tinyvoice.py")


def switch(host: Host, generation: str) -> None:
    store.point(str(host.prefix().parent), generation)


def test_a_generation_shares_no_file_with_the_one_it_takes_over_from(host: Host) -> None:
    host.serve("tinyvoice", {"tinyvoice.py": "SOUND = 440\n", "tinyvoice_data.txt": "x" * 9000})
    host.serve("large", {"large/__init__.py": "", "large/library.so": make_library()})
    names = ["one", "two", "three", "four"]
    for name in names:
        host.install(name)
        switch(host, name)
    assert [store.read_json(str(host.prefix(name) / store.MANIFEST))["shares_files"] for name in names] == [
        True,
        False,
    ] * 2
    for before, after in itertools.pairwise(names):
        for file in ("tinyvoice.py", "tinyvoice_data.txt", "large/library.so"):
            assert not os.path.samefile(host.site(before) / file, host.site(after) / file)
            assert (host.site(before) / file).read_bytes() == (host.site(after) / file).read_bytes()
    assert all(not store.damage(str(host.prefix(name))) for name in names)


@pytest.mark.parametrize("file", ["tinyvoice.py", "tinyvoice/part.py", "tinyvoice/library.so"])
def test_after_an_edit_in_place_another_generation_still_works(host: Host, file: str) -> None:
    files = {"tinyvoice.py": "SOUND = 440\n", "tinyvoice/part.py": "A = 1\n", "tinyvoice/library.so": make_library()}
    host.serve("tinyvoice", files)
    for name in ("one", "two", "three"):
        host.install(name)
        switch(host, name)
    assert os.path.samefile(host.site("one") / file, host.site("three") / file)
    os.chmod(host.site("three") / file, 0o644)
    with open(host.site("three") / file, "rb+") as opened:
        opened.write(b"666666")
    assert [bool(store.damage(str(host.prefix(name)))) for name in ("one", "two", "three")] == [True, False, True]
    assert ask(host.prefix("two"), "__import__('tinyvoice').__file__").startswith(str(host.prefix("two")))
    host.install("four")
    assert (host.site("four") / file).read_bytes() == (host.site("two") / file).read_bytes()


def edited(path: Path) -> None:
    """An edit in place: it reaches every name of the file."""
    os.chmod(path, 0o644)
    with open(path, "rb+") as opened:
        opened.write(b"666666")


@pytest.mark.parametrize("file", ["tinyvoice.py", "tinyvoice/part.py", "tinyvoice/library.so"])
def test_a_repair_of_the_only_generation_fetches_what_was_changed_and_copies_nothing(host: Host, file: str) -> None:
    files = {"tinyvoice.py": "SOUND = 440\n", "tinyvoice/part.py": "A = 1\n", "tinyvoice/library.so": make_library()}
    host.serve("tinyvoice", files)
    host.serve("large", {"large/__init__.py": "", "large/data": "x" * 90000})
    host.install("one")
    switch(host, "one")
    whole = (host.site("one") / file).read_bytes()
    edited(host.site("one") / file)
    host.install("two")
    assert (host.site("two") / file).read_bytes() == whole and not store.damage(str(host.prefix("two")))
    assert os.path.samefile(host.site("one") / "large/data", host.site("two") / "large/data")


def test_a_repair_shares_no_file_with_the_generation_that_a_rollback_goes_to(three: Host) -> None:
    edited(three.site("three") / "parts/data")
    three.install("four")
    assert not store.damage(str(three.prefix("four")))
    for file in FILES_AND_CODE:
        assert not os.path.samefile(three.site("two") / file, three.site("four") / file), file


@pytest.fixture
def three(host: Host) -> Host:
    """Three generations; the second one has files of its own, the third one is in use and shares the cache's."""
    host.serve("tinyvoice", {"tinyvoice.py": "SOUND = 440\n", "parts/part.py": "A = 1\n", "parts/data": "x" * 9000})
    for name in ("one", "two", "three"):
        host.install(name)
        store.write_json(str(host.prefix(name) / store.VERDICT), {"exit": 0})
        switch(host, name)
    return host


FILES_AND_CODE = ("tinyvoice.py", "parts/part.py", "parts/data", f"__pycache__/tinyvoice.cpython-{TAG}.pyc")


def test_copies_are_made_once_and_then_shared_by_every_second_generation(three: Host) -> None:
    three.serve("other", {"other.py": "y = 1\n"})
    three.install("four")
    for file in FILES_AND_CODE:
        assert os.path.samefile(three.site("two") / file, three.site("four") / file), file
        assert not os.path.samefile(three.site("three") / file, three.site("four") / file), file
    assert (three.site("four") / "tinyvoice.py").stat().st_mode & 0o222 == 0, "what is shared is read-only"
    assert ask(three.prefix("four"), "[__import__('tinyvoice').SOUND, __import__('other').y]") == [440, 1]
    assert not store.damage(str(three.prefix("two"))) and not store.damage(str(three.prefix("four")))


@pytest.mark.parametrize("harm", ["written", "gone", "time kept", "replaced"])
def test_a_file_that_was_changed_in_an_older_generation_is_not_taken_from_it(three: Host, harm: str) -> None:
    path = three.site("two") / "parts/part.py"
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    if harm in ("gone", "replaced"):
        path.unlink()
    if harm != "gone":
        path.write_text("A = 6\n")
    if harm == "time kept":
        os.utime(path, ns=times)  # nothing but its bytes says so
    three.install("four")
    assert (three.site("four") / "parts/part.py").read_text() == "A = 1\n"
    assert ask(three.prefix("four"), "__import__('parts.part').part.A") == 1
    assert not store.damage(str(three.prefix("four")))


@pytest.mark.parametrize("wanted", ["copy", "hardlink"])
def test_where_it_is_said_how_files_are_kept_none_is_taken_from_an_older_generation(three: Host, wanted: str) -> None:
    three.links = wanted
    three.install("four")
    assert not os.path.samefile(three.site("two") / "tinyvoice.py", three.site("four") / "tinyvoice.py")


def test_byte_code_in_a_wheel_that_is_not_of_its_source_is_compiled(host: Host) -> None:
    code = b"".join([importlib.util.MAGIC_NUMBER, bytes(12), marshal.dumps(compile("x = 2", "tiny.py", "exec"))])
    host.serve("tiny", {"tiny.py": "x = 1\n", f"__pycache__/tiny.cpython-{TAG}.pyc": code})
    in_use(host)
    assert ask(host.prefix("one"), "__import__('tiny').x") == 1
    assert compiled(host, "one", "tiny").read_bytes()[8:] != code[8:]


def test_shared_files_are_read_only_and_own_ones_are_not(host: Host) -> None:
    host.serve("tinyvoice", {"tinyvoice.py": "SOUND = 440\n"})
    host.install("one")
    switch(host, "one")
    host.install("two")
    modes = [(host.site(name) / "tinyvoice.py").stat().st_mode & 0o222 for name in ("one", "two")]
    assert modes[0] == 0 and modes[1] != 0


@pytest.mark.parametrize(("wanted", "shares"), [("copy", False), ("hardlink", True)])
def test_whether_files_are_shared_can_be_said(host: Host, wanted: str, shares: bool) -> None:
    host.serve("tinyvoice", {"tinyvoice.py": "SOUND = 440\n"})
    for name in ("one", "two"):
        host.links = wanted
        host.install(name)
        switch(host, name)
    assert os.path.samefile(host.site("one") / "tinyvoice.py", host.site("two") / "tinyvoice.py") is shares


def test_where_the_file_system_has_reflinks_every_generation_has_its_own_files(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def clone(_fd: int, _request: int, source: int) -> int:
        os.lseek(source, 0, os.SEEK_SET)
        data = os.pread(source, 1 << 20, 0)
        os.pwrite(_fd, data, 0)
        return 0

    monkeypatch.setattr(links.fcntl, "ioctl", clone)
    host.serve("tinyvoice", {"tinyvoice.py": "SOUND = 440\n"})
    for name in ("one", "two"):
        host.install(name)
        switch(host, name)
        assert (host.site(name) / "tinyvoice.py").stat().st_nlink == 1
    assert ask(host.prefix("two"), "__import__('tinyvoice').SOUND") == 440


def test_a_file_with_a_wrong_sha256_is_refused_and_the_generation_stays_unfinished(host: Host) -> None:
    host.serve("tinyvoice", {"tinyvoice.py": ""})
    host.lock = f"tinyvoice==1.0 --hash=sha256:{'0' * 64}\n"
    with pytest.raises(
        Failed, match=r"the file of tinyvoice==1.0 is not the one that its lock .* \(wrong sha256\).* Remedy"
    ):
        host.install()
    assert not (host.prefix() / store.MANIFEST).exists()


def test_a_cached_file_that_was_changed_in_place_is_fetched_again(host: Host) -> None:
    """Files are hard links: one who edits a file of a generation edits the cache, and every later generation with it."""
    host.serve("tinyvoice", {"tinyvoice.py": "SOUND = 440\n"})
    host.install("one")
    with open(host.site("one") / "tinyvoice.py", "r+") as file:
        file.write("SOUND = 666\n")
    host.install("two")
    assert ask(host.prefix("two"), "__import__('tinyvoice').SOUND") == 440


def test_a_package_whose_bytes_are_not_what_it_declares_is_refused(host: Host) -> None:
    host.serve("liar", {"liar.py": "x = 1\n"}, declared={"liar.py": "x = 2\n"})
    with pytest.raises(Failed, match=r"liar: liar.py is not the file its wheel declares. Remedy"):
        host.install()
    assert not (host.prefix() / store.MANIFEST).exists()


def test_two_packages_may_have_a_program_of_one_name(host: Host) -> None:
    for name in ("langid", "py3langid"):  # as these two have
        points = f"[console_scripts]\nlangid = {name}:main\n"
        host.serve(name, {f"{name}.py": "def main(): pass\n", f"{name}-1.0.dist-info/entry_points.txt": points})
    host.install()
    assert "langid" in (host.prefix() / "bin" / "langid").read_text()
    assert (host.prefix() / store.MANIFEST).exists()


@pytest.mark.parametrize("change", ["x = 3\n", ""])
def test_a_program_that_is_neither_packages_is_refused(host: Host, change: str) -> None:
    host.serve(
        "langid",
        {"langid.py": "", "langid-1.0.dist-info/entry_points.txt": "[console_scripts]\nlangid = langid:main\n"},
    )
    host.install()
    site = prefix_generation.site_packages(str(host.prefix()), VERSION)
    (host.prefix() / "bin" / "langid").write_text(change)
    assert proof.wrong_bytes(site) == {"langid": "../../../bin/langid"}


def test_a_package_without_machine_code_for_the_gpu_of_the_host_is_refused(host: Host) -> None:
    host.serve("fast", {"fast/kernels.so": make_library(make_fatbin((90, "", "sass")))})
    host.sms = ["11.0"]
    with pytest.raises(Failed, match=r"cannot serve SM 11\.0 .*fast: none of its 1 fatbins.* Remedy: choose a stack"):
        host.install()
    assert not host.prefix().exists()


def test_a_package_with_machine_code_for_the_gpu_is_installed(host: Host) -> None:
    host.serve("fast", {"fast/kernels.so": make_library(make_fatbin((110, "", "sass")))})
    host.sms = ["11.0"]
    assert host.install()["packages"] == 1


def test_cuda_code_that_others_built_is_refused_where_the_policy_wants_it_built(host: Host) -> None:
    host.serve("fast", {"quick/kernels.so": make_library(make_fatbin((110, "", "sass")))})
    host.sms, host.prebuilt = ["11.0"], False
    with pytest.raises(Failed, match=r"CUDA code of fast was built elsewhere.*add index to wavesmith_policy"):
        host.install()


def test_the_libraries_of_nvidia_itself_may_be_prebuilt_everywhere(host: Host) -> None:
    host.serve("cublas", {"nvidia/cu13/lib/libcublas.so.13": make_library(make_fatbin((75, "", "sass")))})
    host.sms, host.prebuilt = ["11.0"], False
    assert host.install()["packages"] == 1


@pytest.mark.parametrize(
    "path", ["scripts/python", "scripts/python3", "scripts/activate", "data/pip.conf", "data/pyvenv.cfg"]
)
def test_a_wheel_does_not_put_a_script_over_python(host: Host, path: str) -> None:
    host.serve("evil", {"evil.py": "", f"evil-1.0.data/{path}": "#!/bin/sh\necho owned\n"})
    # uv itself refuses scripts by the name of python.
    with pytest.raises(
        Failed, match=r"a package replaces \S+, which isolates this environment. Remedy: |uv ended with"
    ):
        host.install()
    assert not host.prefix().exists()


def test_a_wheel_does_not_replace_what_isolates(host: Host) -> None:
    host.serve("evil", {"_wavesmith_isolation.py": ""})
    with pytest.raises(Failed, match="a package replaces .*_wavesmith_isolation.py"):
        host.install()


def test_a_wheel_that_is_not_in_the_wheelhouse_is_refused(host: Host) -> None:
    host.make()
    spec = {**host.spec(), "wheels": [{"name": "pyworld", "key": "abc"}]}
    with pytest.raises(Failed, match=r"wheel abc is not in the wheelhouse. Remedy"):
        prefix_generation.install(host.job, str(host.root), spec, host.index, {})


def test_a_wheel_of_the_wheelhouse_is_installed(host: Host) -> None:
    made = wheel(host.root / "built", "pyworld", {"pyworld.py": "BUILT = True\n"})
    kept = host.root / "wheels" / "abc"
    kept.mkdir(parents=True)
    shutil.copy(made, kept)
    store.write_json(str(kept / "provenance.json"), make_provenance(made.name, sha256(made)))
    host.serve("tinyvoice", {"tinyvoice.py": ""})
    host.make()
    prefix_generation.install(
        host.job, str(host.root), {**host.spec(), "wheels": [{"name": "pyworld", "key": "abc"}]}, host.index, {}
    )
    assert ask(host.prefix(), "__import__('pyworld').BUILT") is True


def own_wheel(made: Path, data: bytes | None = None) -> dict[str, str]:
    """A project's own wheel as the controller sends it."""
    sent = base64.b64encode(made.read_bytes() if data is None else data).decode()
    return {"file": made.name, "sha256": sha256(made), "content": "c", "path": str(made), "data": sent}


def test_a_project_itself_is_installed_and_its_wheel_kept_with_the_generation(host: Host) -> None:
    made = wheel(host.root / "built", "voice", {"voice.py": "SOUND = 440\n"})
    host.serve("tinyvoice", {"tinyvoice.py": ""})
    host.make()
    prefix_generation.install(host.job, str(host.root), {**host.spec(), "projects": [own_wheel(made)]}, host.index, {})
    assert ask(host.prefix(), "__import__('voice').SOUND") == 440
    assert sha256(host.prefix() / "wavesmith" / made.name) == sha256(made)
    assert store.read_json(str(host.prefix() / store.MANIFEST))["packages"]["voice"] == "1.0"


def test_a_project_whose_wheel_was_changed_on_the_way_is_refused(host: Host) -> None:
    made = wheel(host.root / "built", "voice", {"voice.py": ""})
    host.make()
    spec = {**host.spec(), "projects": [own_wheel(made, b"swapped")]}
    with pytest.raises(Failed, match="voice-1.0-py3-none-any.whl is not the wheel that was built. Remedy"):
        prefix_generation.install(host.job, str(host.root), spec, host.index, {})


def test_a_wheel_that_is_not_the_one_that_was_built_is_removed(host: Host) -> None:
    kept = host.root / "wheels" / "abc"
    kept.mkdir(parents=True)
    (kept / "x.whl").write_text("swapped")
    store.write_json(str(kept / "provenance.json"), make_provenance("x.whl", "0" * 64))
    host.make()
    with pytest.raises(Failed, match=r"wrong sha256\) and was removed. Remedy: start again"):
        prefix_generation.install(
            host.job, str(host.root), {**host.spec(), "wheels": [{"name": "x", "key": "abc"}]}, host.index, {}
        )
    assert not kept.exists()


# Resolving


def resolve(host: Host, *requirements: str) -> str:
    spec = {**host.spec(), "requirements": list(requirements), "overrides": [], "declared": []}
    return prefix_generation.resolve(host.job, str(host.root), spec, host.index)


def test_a_lock_names_versions_and_hashes_and_no_index(host: Host) -> None:
    host.serve("tinyvoice", {"tinyvoice.py": ""})
    text = resolve(host, "tinyvoice")
    assert text.startswith("tinyvoice==1.0") and f"--hash=sha256:{host.lock.strip()[-64:]}" in text
    assert "file://" not in text and "--index" not in text


def test_what_nothing_satisfies_is_a_failure_with_a_remedy(host: Host) -> None:
    host.serve("tinyvoice", {"tinyvoice.py": ""})
    with pytest.raises(Failed, match="the package index has no tinyvoice>=2, only tinyvoice==1.0. Remedy") as error:
        resolve(host, "tinyvoice>=2")
    assert any("tinyvoice>=2" in line for line in error.value.log)


def test_a_resolution_leaves_nothing_behind(host: Host) -> None:
    host.serve("tinyvoice", {"tinyvoice.py": ""})
    resolve(host, "tinyvoice")
    assert list((host.root / "state").glob("lock-*")) == []


# Byte code of the generation in use


def compiled(host: Host, generation: str, module: str) -> Path:
    tag = f"cpython-{sys.version_info[0]}{sys.version_info[1]}"
    return host.site(generation) / "__pycache__" / f"{module}.{tag}.pyc"


def in_use(host: Host, generation: str = "one") -> None:
    host.install(generation)
    store.point(str(host.root / "envs" / "speech"), generation)


def test_byte_code_of_the_generation_in_use_is_taken_as_a_file_of_its_own(host: Host) -> None:
    host.serve("tiny", {"tiny.py": "x = 1\n"})
    in_use(host)
    old = compiled(host, "one", "tiny")
    host.serve("other", {"other.py": "y = 1\n"})
    host.install("two")
    new = compiled(host, "two", "tiny")
    assert new.read_bytes()[16:] == old.read_bytes()[16:] and new.stat().st_ino != old.stat().st_ino
    assert compiled(host, "two", "other").is_file(), "what is new is compiled"
    assert ask(host.prefix("two"), "[__import__('tiny').x, __import__('other').y]") == [1, 1]


def test_byte_code_of_a_changed_package_is_not_taken(host: Host) -> None:
    host.serve("tiny", {"tiny.py": "x = 1\n"})
    in_use(host)
    host.lock = ""
    host.serve("tiny", {"tiny.py": "x = 222\n"}, version="2.0")
    host.install("two")
    assert compiled(host, "two", "tiny").read_bytes() != compiled(host, "one", "tiny").read_bytes()
    assert ask(host.prefix("two"), "__import__('tiny').x") == 222


@pytest.mark.parametrize("harm", ["written", "gone", "a link"])
def test_byte_code_that_somebody_changed_is_not_taken(host: Host, harm: str) -> None:
    host.serve("tiny", {"tiny.py": "x = 1\n"})
    in_use(host)
    old = compiled(host, "one", "tiny")
    good = old.read_bytes()
    evil = old.with_name("evil")
    evil.write_bytes(good[:16] + b"evil")
    if harm == "written":
        old.write_bytes(evil.read_bytes())
    else:
        old.unlink()
        if harm == "a link":
            old.symlink_to(evil)
    host.install("two")
    assert str(host.prefix("two")).encode() in compiled(host, "two", "tiny").read_bytes(), "compiled for this one"
    assert ask(host.prefix("two"), "__import__('tiny').x") == 1


def test_without_a_list_of_files_all_is_compiled(host: Host) -> None:
    host.serve("tiny", {"tiny.py": "x = 1\n"})
    in_use(host)
    (host.prefix("one") / "wavesmith" / "bytecode.json").unlink()
    host.install("two")
    assert compiled(host, "two", "tiny").is_file()
