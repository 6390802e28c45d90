"""What docs/security.md promises, a test for each of its lines; with a real Ansible in test_hostile.py."""

from __future__ import annotations

import ast
import io
import json
import os
import re
import resource
import stat
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.audit.binaries import Unusable, inspect
from ansible_collections.wavesmith.provision.plugins.module_utils.audit.verdict import judge
from ansible_collections.wavesmith.provision.plugins.module_utils.build import source as build_source
from ansible_collections.wavesmith.provision.plugins.module_utils.host import owner, store
from ansible_collections.wavesmith.provision.plugins.module_utils.host.job import Failed, Job
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.lockfile import flaw, head
from ansible_collections.wavesmith.provision.plugins.module_utils.prefix.generation import resolve
from ansible_collections.wavesmith.provision.plugins.module_utils.terms.shown import one_line, printable
from ansible_collections.wavesmith.provision.plugins.module_utils.terms.url import masked, split_url
from ansible_collections.wavesmith.provision.plugins.module_utils.wheels.manifest import Untrusted, read_manifest
from ansible_collections.wavesmith.provision.plugins.plugin_utils import answer, catalog_files, git, project_source
from hypothesis import given, settings
from hypothesis import strategies as st

from .conftest import make_fatbin, make_library, make_provenance

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "security.md"
TOOLS = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LC_ALL": "C"}
SECRET = "S3cr3tToken"


def collected(text: str) -> list[str]:
    """The tests that pytest finds in a file: functions of the module, and methods of its classes Test…."""
    bodies = [ast.parse(text).body]
    bodies += [item.body for item in bodies[0] if isinstance(item, ast.ClassDef) and item.name.startswith("Test")]
    functions = [item for body in bodies for item in body if isinstance(item, ast.FunctionDef)]
    fixed = {"skip", "xfail"}
    return [
        item.name
        for item in functions
        if item.name.startswith("test_")
        and not any(fixed & set(re.findall(r"pytest\.mark\.(\w+)", ast.unparse(mark))) for mark in item.decorator_list)
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("def test_a(): ...\nclass TestB:\n    def test_b(self): ...", ["test_a", "test_b"]),
        ("def helper():\n    def test_a(): ...", []),
        ("TEXT = 'def test_a(): ...'", []),
        ("class Host:\n    def test_a(self): ...", []),
        ("@pytest.mark.skip(reason='x')\ndef test_a(): ...", []),
        ("@pytest.mark.skipif(no_root, reason='x')\ndef test_a(): ...", ["test_a"]),
    ],
)
def test_only_what_pytest_collects_counts_as_a_test(text: str, found: list[str]) -> None:
    assert collected(text) == found


def test_every_line_of_the_threat_model_names_its_test() -> None:
    """The tests that the document names are there, and each row of its tables names one, or says that nothing is done."""
    known = {name for file in (ROOT / "tests" / "unit").glob("test_*.py") for name in collected(file.read_text())}
    text = DOCUMENT.read_text(encoding="utf-8")
    named = re.findall(r"`(test_\w+)`", text)
    assert named and set(named) <= known, sorted(set(named) - known)
    rows = [
        line
        for line in text.split("## A hostile host", 1)[1].split("## What is accepted")[0].splitlines()
        if line.startswith("| ") and "---" not in line
    ]
    bare = [row for row in rows if not re.search(r"`test_\w+`", row) and not row.startswith("| threat ")]
    assert not bare, bare


# --- what a host answers


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J\x1b]0;owned\x07", r"\x1b[2J\x1b]0;owned\x07"),
        ("a\rb\x08\x7f", r"a\x0db\x08\x7f"),
        ("\x9b31m", r"\x9b31m"),
        ("user\u202etxt.exe", r"user\u202etxt.exe"),
        ("half \ud800", r"half \ud800"),
        ("Grüße, 世界\tπ\n", "Grüße, 世界\tπ\n"),
    ],
)
def test_what_steers_a_terminal_is_written_out(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(printable(text)) == printable(text)


def test_a_line_end_cannot_make_a_line_of_ours() -> None:
    assert one_line("ada\n  nothing to do") == "ada\\n  nothing to do"


@given(st.text())
def test_no_text_at_all_steers_a_terminal(text: str) -> None:
    printable(text).encode()
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", printable(text))


def test_an_answer_is_taken_in_whole_and_printable() -> None:
    given_answer = {"a\x1b": ["\x1b[0m", {"n": 1, "ok": True, "none": None}], "f": 0.5}
    assert answer.safe(given_answer) == {"a\\x1b": ["\\x1b[0m", {"n": 1, "ok": True, "none": None}], "f": 0.5}


def _deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return {"deep": value}


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: {"text": ["x" * (1 << 20)] * 80}, "larger than 64 MiB"),
        (lambda: {"key " + "k" * (answer.LARGEST + 1): 1}, "larger than 64 MiB"),
        (lambda: _deep(200), "64 levels deep"),
    ],
)
def test_a_huge_answer_is_refused(made: Callable[[], dict[str, Any]], said: str) -> None:
    with pytest.raises(answer.TooMuch, match=rf"{said}.* Remedy: "):
        answer.safe(made())


# --- what one host could do to the others


@pytest.mark.parametrize(
    "line",
    [
        "--index-url https://evil.example/simple",
        "-e git+https://evil.example/x@main",
        "numpy @ https://evil.example/numpy-1-py3-none-any.whl",
        "numpy",
        "numpy>=1",
        "-r /etc/passwd",
        "numpy==1 --index-url=https://evil.example",
        "git+https://evil.example/x@main",
        "../evil.whl",
    ],
)
def test_a_lock_of_a_hostile_host_holds_pinned_packages_only(line: str) -> None:
    good = (
        "numpy==2.5.5 \\\n    --hash=sha256:"
        + "0" * 64
        + "\ntiny[x]==1.0+cpu ; python_version < '3.12' \\\n    --hash=sha256:"
        + "1" * 64
        + "\n"
    )
    assert flaw(head("0" * 64, good) + good) is None
    bad = good + line + "\n"
    assert flaw(head("0" * 64, bad) + bad)


@pytest.mark.parametrize("name", ["../../etc/cron.d/x", "/etc/passwd", ".hidden.whl", "-rf.whl", "a b.whl", "x\n.whl"])
def test_a_manifest_names_no_file_elsewhere(name: str) -> None:
    key = "0" * 32
    found = {"schema": 1, "key": key, "variant": "v", "name": "n", "version": "1", "builder": "b", "wheel": "n-1.whl"}
    files = {"n-1.whl": "0" * 64, "provenance.json": "0" * 64}
    assert read_manifest(json.dumps({**found, "files": files}), key)["wheel"] == "n-1.whl"
    for wrong in (
        {**found, "files": {**files, name: "0" * 64}},
        {**found, "wheel": name, "files": {**files, name: "0" * 64}},
    ):
        with pytest.raises(Untrusted):
            read_manifest(json.dumps(wrong), key)


@pytest.mark.process
@pytest.mark.parametrize("theirs", ["1.0", "9.0", "1.0+evil"])
def test_what_was_built_here_is_never_what_an_index_has_under_its_name(tmp_path: Path, theirs: str) -> None:
    """Dependency confusion: what the index's file of that name requires would get into the lock."""

    def wheel(folder: Path, name: str, version: str, *requires: str) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path, info = folder / f"{name}-{version}-py3-none-any.whl", f"{name}-{version}.dist-info"
        wanted = "".join(f"Requires-Dist: {line}\n" for line in requires)
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nProvides-Extra: more\n{wanted}"
        kind = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        path.write_bytes(_zip((f"{info}/METADATA", metadata), (f"{info}/WHEEL", kind), (f"{info}/RECORD", "")))
        return path

    key, root, index = "0" * 32, tmp_path / "root", tmp_path / "index"
    ours = wheel(root / "wheels" / key, "tiny", "1.0", "good", "extra ; extra == 'more'")
    provenance = make_provenance(ours.name, store.sha256(str(ours)))
    (ours.parent / "provenance.json").write_text(json.dumps(provenance))
    for name, version, *requires in (("tiny", theirs, "evil"), ("evil", "1"), ("good", "1"), ("extra", "1")):
        file = wheel(index / name, name, version, *requires)
        (index / name / "index.html").write_text(
            f'<a href="{file.name}#sha256={store.sha256(str(file))}">{file.name}</a>'
        )
    tools = root / "toolbox" / "current" / "bin"
    tools.mkdir(parents=True)
    (tools / "uv").symlink_to(Path(sys.prefix, "bin", "uv"))
    asked: Any = {
        "key": "k", "requirements": ["tiny[more]==1.0"], "overrides": ["tiny==1.0"], "declared": [], "origin_url": "",
        "wheels": [{"name": "tiny", "key": key}], "python": {"path": sys.executable, "version": "3.11"},
    }  # fmt: skip
    lock = resolve(_job(tmp_path), str(root), asked, index.as_uri())
    assert re.findall(r"^(\w+)==", lock, re.MULTILINE) == ["extra", "good"]


# --- archives, patches and addresses


def _job(folder: Path) -> Job:
    (folder / "job").mkdir()
    return Job(str(folder / "job"), os.open(os.devnull, os.O_RDONLY))


def _tar(*members: tuple[str, bytes, str]) -> bytes:
    """An archive of (name, type, target or text)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, kind, text in members:
            member = tarfile.TarInfo(name)
            member.type = kind
            if kind == tarfile.REGTYPE:
                member.size = len(text)
            else:
                member.linkname = text
            archive.addfile(member, io.BytesIO(text.encode()))
    return out.getvalue()


def _zip(*members: tuple[str, str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, text in members:
            archive.writestr(name, text)
    return out.getvalue()


@pytest.mark.parametrize(
    "archive",
    [
        _tar(("src/a", tarfile.REGTYPE, "x"), ("../outside", tarfile.REGTYPE, "x")),
        _tar(("src/a", tarfile.REGTYPE, "x"), ("src/../../outside", tarfile.REGTYPE, "x")),
        _tar(("src/link", tarfile.SYMTYPE, "../.."), ("src/link/outside", tarfile.REGTYPE, "x")),
        _tar(("src/link", tarfile.SYMTYPE, "/etc"), ("src/a", tarfile.REGTYPE, "x")),
        _tar(("src/hard", tarfile.LNKTYPE, "../outside"), ("src/a", tarfile.REGTYPE, "x")),
        _tar(("src/device", tarfile.BLKTYPE, ""), ("src/a", tarfile.REGTYPE, "x")),
        _tar(("src/device", tarfile.CHRTYPE, ""), ("src/a", tarfile.REGTYPE, "x")),
        _tar(("src/pipe", tarfile.FIFOTYPE, ""), ("src/a", tarfile.REGTYPE, "x")),
        _zip(("src/a", "x"), ("../outside", "x"), ("/tmp/outside", "x")),
    ],
    ids=["dots", "inner dots", "through a link", "link to /etc", "hard link", "block", "character", "pipe", "zip"],
)
def test_a_source_archive_writes_nowhere_else(tmp_path: Path, archive: bytes) -> None:
    file = tmp_path / "x-1.tar.gz"
    file.write_bytes(archive)
    place = tmp_path / "in" / "source"
    place.parent.mkdir()
    try:
        build_source.unpack(_job(tmp_path), str(file), str(place), {}, TOOLS)
    except Failed as error:
        assert "cannot be unpacked" in str(error) and "Remedy: " in str(error)
    assert not list(tmp_path.glob("outside")) and not list((tmp_path / "in").glob("outside"))
    for path in tmp_path.rglob("*"):
        assert not path.is_symlink() or path.resolve().is_relative_to(tmp_path / "in"), path
        mode = path.lstat().st_mode
        assert stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode), path


@pytest.mark.parametrize("target", ["../victim", "/tmp/wavesmith-victim", "sub/../../victim"])
def test_a_patch_changes_nothing_outside_of_its_tree(tmp_path: Path, target: str) -> None:
    (tmp_path / "in" / "proven").mkdir(parents=True)
    (tmp_path / "in" / "proven" / "a.c").write_text("int a;\n")
    patch = f"--- a/{target}\n+++ b/{target}\n@@ -0,0 +1 @@\n+owned\n"
    proven, place = str(tmp_path / "in/proven"), tmp_path / "in" / "source"
    try:
        build_source.unpack(_job(tmp_path), proven, str(place), {"p.patch": patch}, TOOLS)
    except Failed as error:
        assert "does not fit the source" in str(error)
    made = [path for path in tmp_path.rglob("*victim") if not path.is_relative_to(place)]
    assert not made and not Path("/tmp/wavesmith-victim").exists()


def test_a_patch_does_not_follow_a_link_out(tmp_path: Path) -> None:
    (tmp_path / "proven").mkdir()
    (tmp_path / "victim").write_text("kept\n")
    (tmp_path / "proven" / "a.c").symlink_to("../victim")
    patch = "--- a/a.c\n+++ b/a.c\n@@ -1 +1 @@\n-kept\n+owned\n"
    with pytest.raises(Failed):
        build_source.unpack(
            _job(tmp_path), str(tmp_path / "proven"), str(tmp_path / "source"), {"p.patch": patch}, TOOLS
        )
    assert (tmp_path / "victim").read_text() == "kept\n"


ADDRESSES = [
    "ext::sh -c touch% {}",
    "--upload-pack=touch {}",
    "-oProxyCommand=touch {}",
    "ssh://-oProxyCommand=touch%20{}/x",
    "fd::17",
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_of_a_repository_runs_nothing(tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("GIT_ALLOW_PROTOCOL", "ext")
    url = address.format(tmp_path / "owned")
    with pytest.raises(git.Unusable):
        project_source.open_source({"git": url, "commit": "0" * 40}, tmp_path)
    source: Any = {"kind": "git", "name": "x", "digest": "0" * 40, "urls": [url]}
    with pytest.raises(Failed):
        build_source.fetch(_job(tmp_path), str(tmp_path), "x", source, TOOLS, "")
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("address", ADDRESSES)
def test_such_an_address_is_refused_in_the_catalog_and_in_projects(address: str) -> None:
    url = address.format("/tmp/x")
    assert catalog_files.problem({"git": url, "commit": "0" * 40}, "project")
    recipe = {"releases": [{"version": "1", "source": {"git": url, "commit": "0" * 40}}]}
    assert catalog_files.problem({"name": "x", "sources": ["s"], "recipe": recipe}, "package")


def test_a_submodule_that_names_a_folder_of_the_host_is_not_fetched() -> None:
    said = build_source._GIT["GIT_ALLOW_PROTOCOL"].split(":")
    assert "file" not in said and "ext" not in said


# --- secrets


@pytest.mark.parametrize(
    "text",
    [
        f"error: https://ada:{SECRET}@index.example/simple/x/ does not answer",
        f"https://{SECRET}@index.example/simple",
        f"fatal: unable to access 'https://oauth2:{SECRET}@git.example/x.git/'",
        f"https://ada:p/{SECRET}@index.example/simple",
    ],
)
def test_a_token_in_an_address_is_not_shown(text: str) -> None:
    assert SECRET not in masked(text)
    assert (
        masked("see https://example.org/project/x/ and ada@example.org")
        == "see https://example.org/project/x/ and ada@example.org"
    )
    assert SECRET not in split_url(text[text.index("https") :].split("'")[0].split(" ")[0]).shown


def test_a_failing_tools_lines_hold_no_token(tmp_path: Path) -> None:
    job = _job(tmp_path)
    with pytest.raises(Failed) as failed:
        job.run(["sh", "-c", f"echo https://ada:{SECRET}@index.example/ is gone; exit 1"], TOOLS)
    assert SECRET not in "\n".join(failed.value.log)


def test_a_password_of_a_repository_is_in_no_process_list(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    git = tmp_path / "bin" / "git"
    git.parent.mkdir()
    git.write_text(f'#!/bin/sh\necho "$@" >> {seen}\n/usr/bin/env -u X git-not-there 2>/dev/null; exit 1\n')
    git.chmod(0o755)
    source: Any = {"kind": "git", "name": "x", "digest": "0" * 40, "urls": [f"https://ada:{SECRET}@git.invalid/x"]}
    with pytest.raises(Failed) as failed:
        build_source.fetch(
            _job(tmp_path), str(tmp_path), "x", source, {**TOOLS, "PATH": f"{git.parent}:{TOOLS['PATH']}"}, ""
        )
    assert SECRET not in seen.read_text() + str(failed.value)


# --- other users of the host


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_whatever_the_umask_all_may_read_and_only_the_owner_may_write(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        owner.settle()
        root = str(tmp_path / "root")
        with store.locked(root, "a test"):
            store.write_json(os.path.join(root, "state", "x.json"), {})
            os.makedirs(os.path.join(root, "envs", "speech", "one"))
            store.point(os.path.join(root, "envs", "speech"), "one")
        made = [path for path in Path(root).rglob("*") if not path.is_symlink()]
        assert made and all(stat.S_IMODE(path.stat().st_mode) & 0o022 == 0 for path in made)
        assert all(stat.S_IMODE(path.stat().st_mode) & 0o044 == 0o044 for path in made)
    finally:
        os.umask(before)


@pytest.mark.parametrize("name", owner.FOLDERS)
def test_a_folder_that_everybody_may_write_to_is_refused(tmp_path: Path, name: str) -> None:
    root = tmp_path / "root"
    (root / name).mkdir(parents=True, exist_ok=True)
    assert owner.trouble(str(root)) == ("", "")
    (root / name).chmod(0o777)
    problem, remedy = owner.trouble(str(root))
    assert "every user may write to" in problem and "chmod o-w" in remedy
    assert owner.findings(str(root))[0]["id"] == "root.owner"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
@pytest.mark.parametrize("name", owner.FOLDERS)
def test_a_folder_that_another_user_owns_is_refused(tmp_path: Path, name: str) -> None:
    root = tmp_path / "root"
    (root / name).mkdir(parents=True, exist_ok=True)
    os.chown(root / name, 65534, 65534)
    problem, remedy = owner.trouble(str(root))
    assert "belongs to nobody, who could change what root runs from it" in problem and f"chown -R root {root}" in remedy


def _as_nobody(work: Callable[[], str]) -> str:
    """What a function returns in a process of the user nobody."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            os.write(writing, work().encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as said:
        return said.read()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_another_user_cannot_write_to_what_root_keeps_nor_root_run_what_a_user_keeps() -> None:
    """There and back: root's folder, a user's run on it, and the other way round."""

    def write(root: Path) -> str:
        try:
            with store.locked(str(root), "a test"):
                store.write_json(str(root / "state" / "x.json"), {})
            return "written"
        except store.StoreError as error:
            return str(error)

    owner.settle()
    with tempfile.TemporaryDirectory() as name:
        roots, theirs = Path(name, "roots"), Path(name, "theirs")
        os.chmod(name, 0o755)
        for folder in owner.FOLDERS:
            (roots / folder).mkdir(exist_ok=True, parents=True)
        assert write(roots) == "written"
        said = _as_nobody(lambda: write(roots))
        assert "cannot be written" in said and "Remedy: run as the owner" in said
        assert _as_nobody(lambda: owner.trouble(str(roots))[0]) == ""
        theirs.mkdir()
        os.chown(theirs, 65534, 65534)
        assert _as_nobody(lambda: write(theirs)) == "written"
        assert "belongs to nobody" in owner.trouble(str(theirs))[0]
        assert _as_nobody(lambda: write(theirs)) == "written"


# --- the readers of binaries


def _limited(path: Path) -> subprocess.CompletedProcess[str]:
    """The audit of a file in a process that gets 1 GiB of memory and 10 seconds."""
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'collections')!r})\n"
        "from ansible_collections.wavesmith.provision.plugins.module_utils.audit.binaries import Unusable, inspect\n"
        "from ansible_collections.wavesmith.provision.plugins.module_utils.audit.verdict import judge\n"
        "try: print(judge(inspect(sys.argv[1]), [80])['verdict'])\n"
        "except Unusable as error: print(error)\n"
    )

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))

    argv = [sys.executable, "-c", code, str(path)]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60, preexec_fn=limit)


def _bomb(path: Path) -> None:
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("x/lib.so", "w", force_zip64=True) as member,
    ):
        member.write(b"\x7fELF\x02\x01" + bytes(58))
        for _ in range(300):
            member.write(bytes(1 << 20))


def _overlapping(path: Path) -> None:
    """60,000 sections that all claim to be the whole of a large file."""
    library = bytearray(make_library(b"", section=".rodata") + bytes(32 << 20))
    table = len(library)
    row = bytearray(library[int.from_bytes(library[0x28:0x30], "little") + 64 :][:64])
    row[24:32], row[32:40] = (64).to_bytes(8, "little"), (table - 64).to_bytes(8, "little")
    library += bytes(row) * 60000
    library[0x28:0x30], library[0x3C:0x3E] = table.to_bytes(8, "little"), (60000).to_bytes(2, "little")
    path.write_bytes(library)


def _chained(path: Path) -> None:
    """A fatbin that begins anew in each of its entries."""
    head = make_fatbin((80, "", "sass"))
    entry = bytearray(48)
    entry[0:8] = (0xBA55ED50).to_bytes(4, "little") + (48).to_bytes(4, "little")
    body = bytes(entry) * 100_000
    path.write_bytes(make_library(head[:8] + (1 << 40).to_bytes(8, "little") + body))


def _sections(path: Path) -> None:
    """Nothing but a table of sections, which says that it is as long as the file."""
    library = bytearray(make_library() + bytes(64 << 20))
    library[0x28:0x30], library[0x3C:0x3E] = (64).to_bytes(8, "little"), (0xFFFF).to_bytes(2, "little")
    path.write_bytes(library)


@pytest.mark.parametrize(
    ("name", "make"), [("x-1-py3-none-any.whl", _bomb), ("x.so", _overlapping), ("x.so", _chained), ("x.so", _sections)]
)
def test_a_trap_for_the_readers_costs_neither_time_nor_memory(
    tmp_path: Path, name: str, make: Callable[[Path], None]
) -> None:
    make(tmp_path / name)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = _limited(tmp_path / name)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr[-2000:]
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 10


@settings(max_examples=60)
@given(st.data())
def test_a_wheel_of_any_bytes_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    library = make_library(make_fatbin((80, "", "sass")), needed=["libcudart.so.13"], soname="x.so")
    wheel = bytearray(_zip(("x/__init__.py", ""), ("x-1.dist-info/METADATA", "Name: x\n")))
    out = io.BytesIO(bytes(wheel))
    with zipfile.ZipFile(out, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/lib.so", library)
    wheel = bytearray(out.getvalue())
    for place in data.draw(st.lists(st.integers(0, len(wheel) - 1), max_size=8)):
        wheel[place] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("wheel") / "x-1-py3-none-any.whl"
    path.write_bytes(wheel[: data.draw(st.integers(4, len(wheel)))])
    try:
        judge(inspect(str(path)), [80])
    except Unusable as error:
        assert "Remedy: " in str(error)
