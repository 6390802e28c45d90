"""The file of a lock: named after what was asked for, read under its old name, refused where it is damaged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.wavesmith.provision.plugins.action.lock import _write as keep
from ansible_collections.wavesmith.provision.plugins.module_utils.plan import conda, lockfile
from ansible_collections.wavesmith.provision.plugins.plugin_utils import variables

A, B = "a" * 64, "b" * 64
STEM = "speech-python311-cpu-x86_64-package_index"
# Three kinds of what a resolver gives: a small one; extras, markers and other hashes; a channel's records.
SMALL = f"flatbuffers==25.12.19 \\\n    --hash=sha256:{A}\nnumpy==2.3.5 \\\n    --hash=sha256:{A} \\\n    --hash=sha256:{B}\n"
RICH = (
    f"# the index gave these\nuvicorn[standard]==0.38.0 ; python_version >= '3.9' \\\n    --hash=sha512:{A}{B}\n\n"
    f"torch==2.11.0+cpu \\\n    --hash=sha256:{B}\n"
)
CHANNEL = conda.lock_text(
    [
        {
            "channel": "conda-forge",
            "fn": f"{name}-1-0.conda",
            "name": name,
            "subdir": "noarch",
            "version": "1",
            "sha256": A,
        }
        for name in ("python", "tzdata")
    ]
)
BODIES = {"small": SMALL, "rich": RICH, "channel": CHANNEL}


def sealed(body: str, inputs: str = A) -> str:
    return lockfile.head(inputs, body) + body


def old(body: str, inputs: str = A) -> str:
    """As locks were written before their first line sealed the others."""
    return f"{lockfile.LOCK_MARK}{inputs}\n{body}"


def inspection(*versions: str) -> str:
    files = [{"name": name, "version": version} for name, _, version in (entry.partition("==") for entry in versions)]
    return json.dumps({"schema": 1, "files": files})


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("write", [sealed, old])
def test_what_was_resolved_has_no_flaw(body: str, write: object) -> None:
    assert callable(write) and lockfile.flaw(write(body)) is None


@pytest.mark.parametrize(
    "path", sorted(Path(__file__).resolve().parents[2].glob("inventories/*/locks/*.txt")), ids=lambda path: path.stem
)
def test_the_locks_of_the_project_have_no_flaw(path: Path) -> None:
    assert lockfile.flaw(path.read_text(encoding="utf-8")) is None


# names


def test_two_wishes_of_one_name_have_two_files() -> None:
    assert lockfile.find(STEM, A, {}).key == f"{STEM}-aaaaaaaa"
    assert lockfile.find(STEM, B, {}).key == f"{STEM}-bbbbbbbb"
    locks = {f"{STEM}-aaaaaaaa": sealed(SMALL), f"{STEM}-bbbbbbbb": sealed(RICH, B)}
    assert [lockfile.find(STEM, inputs, locks).text for inputs in (A, B)] == list(locks.values())


def test_a_file_of_before_is_read_under_its_name_and_nothing_is_resolved_anew() -> None:
    found = lockfile.find(STEM, A, {STEM: old(SMALL)})
    assert (found.key, found.status, found.text) == (STEM, "hit", old(SMALL))


@pytest.mark.parametrize(
    "locks", [{STEM: old(SMALL)}, {f"{STEM}-aaaaaaaa": sealed(SMALL)}, {STEM: sealed(RICH)}], ids=str
)
def test_another_wish_is_stale_and_gets_a_file_beside_the_old_one(locks: dict[str, str]) -> None:
    found = lockfile.find(STEM, B, locks)
    assert (found.key, found.status, found.text, found.damage) == (f"{STEM}-bbbbbbbb", "stale", "", ())


@pytest.mark.parametrize(
    "other", [f"{STEM}-native", "voice-python311-cpu-x86_64-package_index", f"{STEM}-aaaaaaaa.inspected"]
)
def test_a_lock_of_something_else_is_not_this_one(other: str) -> None:
    assert lockfile.find(STEM, A, {other: old(SMALL)}).status == "missing"


def test_a_file_under_the_name_of_another_wish_is_refused() -> None:
    found = lockfile.find(STEM, B, {f"{STEM}-bbbbbbbb": sealed(SMALL, A)})
    assert found.status == "damaged"
    assert str(found.damage[0]).startswith(f"lock {STEM}-bbbbbbbb.txt: line 1 is not that of this lock")


# damage


def conflict(body: str) -> str:
    first, rest = body.split("\n", 1)
    return f"<<<<<<< HEAD\n{first}\n=======\n{first.replace('1', '2')}\n>>>>>>> theirs\n{rest}"


DAMAGE = {
    "git's marker in the body": (old(conflict(SMALL)), 2, "a conflict marker of git (<<<<<<<)"),
    "git's marker in the first line": (conflict(sealed(RICH)), 1, "a conflict marker of git"),
    "git's marker in a channel's lock": (old(conflict(CHANNEL)), 2, "a conflict marker of git"),
    "git's end of a conflict left behind": (old(SMALL + ">>>>>>> main\n"), 7, "(>>>>>>>)"),
    "git's middle of a conflict left behind": (old(RICH + "=======\n"), 8, "(=======)"),
    "no text": (old(SMALL.replace("numpy", "num\ufffdpy")), 4, "bytes that are no text"),
    "zeros of a disk that was full": (old(SMALL + "\0\0\0\0"), 7, "bytes that are no text"),
    "an empty file": ("", 1, "does not say what it was resolved from"),
    "a pointer of git-lfs": ("version https://git-lfs.github.com/spec/v1\noid sha256:1\n", 1, "does not say"),
    "a cut first line": (old(SMALL)[:40], 1, "does not say"),
    "a sha256 cut short": (old(SMALL.replace(A, A[:-1], 1)), 2, "has no sha256 for flatbuffers"),
    "a sha256 of other letters": (old(RICH.replace(B, "g" * 64)), 3, "has no sha256 for uvicorn"),
    "a pin without a sha256": (old(f"aiohttp==3.9.0\n{SMALL}"), 2, "has no sha256 for aiohttp"),
    "a last pin without a sha256": (old(f"{SMALL}zstd==1.0\n"), 7, "has no sha256 for zstd"),
    "a range instead of a pin": (
        old(SMALL.replace("numpy==2.3.5", "numpy>=2")),
        4,
        "neither a pinned version nor a sha256",
    ),
    "an address of an index": (old(f"--index-url https://example.org\n{SMALL}"), 2, "neither a pinned version"),
    "a channel's record cut short": (old(CHANNEL[:-20]), 3, "is no package with a sha256"),
    "a channel's record without sha256": (old(CHANNEL.replace(A, "")), 2, "is no package with a sha256"),
    "an edited pin": (sealed(SMALL).replace("2.3.5", "2.3.4"), 1, "no longer fits the lines below it"),
    "an edited sha256": (sealed(RICH).replace(f"sha256:{B}", f"sha256:{A}"), 1, "no longer fits"),
    "a package taken out": (sealed(SMALL).rsplit("numpy", 1)[0], 1, "no longer fits"),
    "a channel's version edited": (sealed(CHANNEL).replace('"1"', '"2"', 1), 1, "no longer fits"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_lock_is_refused_with_its_line(case: str) -> None:
    text, line, problem = DAMAGE[case]
    found = lockfile.find(STEM, A, {f"{STEM}-aaaaaaaa": text})
    (said,) = found.damage
    assert (found.status, found.text, said.item) == ("damaged", "", f"lock {STEM}-aaaaaaaa.txt")
    assert said.problem.startswith(f"line {line} ") and problem in said.problem, said
    assert said.remedy == lockfile.ANEW


@pytest.mark.parametrize("write", [sealed, old])
@pytest.mark.parametrize(
    ("body", "resolved", "edited", "line"),
    [
        (SMALL, "numpy==2.3.5", "numpy==2.3.4", 4),
        (SMALL, "flatbuffers==25.12.19", "flatbuffers==25.9", 2),
        (RICH, "torch==2.11.0+cpu", "torch==2.11.0", 6),
    ],
)
def test_an_edited_pin_is_found_by_what_was_inspected(
    write: object, body: str, resolved: str, edited: str, line: int
) -> None:
    assert callable(write)
    locks = {STEM: write(body).replace(resolved, edited), STEM + lockfile.SUFFIX: inspection(resolved)}
    (said,) = lockfile.find(STEM, A, locks).damage
    name, _, version = resolved.partition("==")
    assert (
        said.problem
        == f"line {line} was edited: {name} {edited.partition('==')[2]} is not the {version} that was resolved"
    )


@pytest.mark.parametrize(
    "broken", ["", "{", "[]", '{"files": null}', '{"files": [1]}', '{"files": [{"name": "numpy"}]}']
)
def test_an_inspection_that_cannot_be_read_damages_no_lock(broken: str) -> None:
    assert lockfile.find(STEM, A, {STEM: old(SMALL), STEM + lockfile.SUFFIX: broken}).status == "hit"


def test_windows_line_ends_and_wrong_bytes_are_read_as_a_file_of_the_controller(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(sealed(SMALL).replace("\n", "\r\n").encode())
    (tmp_path / "b.txt").write_bytes(old(SMALL).encode().replace(b"numpy", b"num\xff"))
    locks = variables.read_locks({"wavesmith_locks": str(tmp_path)})
    assert lockfile.flaw(locks["a"]) is None
    assert lockfile.flaw(locks["b"]) == (4, "holds bytes that are no text")


# Upgrades

OLD = "# wavesmith-lock inputs: x\nnumpy==2.4.0 \\\n    --hash=sha256:0\nlibrosa==0.11.0\n"
NEW = "numpy==2.4.1 \\\n    --hash=sha256:1\nlibrosa==0.11.0\nsoxr==1.0\n"


@pytest.mark.parametrize(
    ("names", "staying"),
    [(["*"], []), (["numpy"], ["b"]), (["Soxr"], ["a", "a.inspected"]), (["librosa"], [])],
)
def test_only_the_locks_that_hold_a_package_are_resolved_again_for_it(names: list[str], staying: list[str]) -> None:
    locks = {"a": OLD, "a.inspected": "{}", "b": "soxr==1.0\nlibrosa==0.11.0\n"}
    kept, refusals = lockfile.upgrading(locks, names)
    assert (sorted(kept), refusals) == (staying, [])


def test_a_package_that_no_lock_holds_is_refused_with_the_nearest_name() -> None:
    _, refusals = lockfile.upgrading({"a": OLD}, ["libroza"])
    assert [str(refusal) for refusal in refusals] == [
        "variable wavesmith_upgrade: no lock holds a package 'libroza'. Remedy: did you mean librosa?"
    ]


def test_what_moved_between_two_locks_is_said() -> None:
    assert lockfile.moved(OLD, NEW) == ["numpy 2.4.0 -> 2.4.1", "soxr (new) -> 1.0"]
    assert lockfile.moved(OLD, OLD) == []


@pytest.mark.parametrize(("key", "found"), [("stem-01234567", OLD), ("other-01234567", "")])
def test_the_lock_before_is_that_of_the_same_name_or_of_before_names_had_a_digest(key: str, found: str) -> None:
    assert lockfile.before({"stem": OLD}, key) == found


@pytest.mark.parametrize(("before", "changed"), [(None, True), ("numpy==2\n", False), ("numpy==1\n", True)])
def test_a_lock_that_is_as_before_is_no_change(tmp_path: Path, before: str | None, changed: bool) -> None:
    path = tmp_path / "locks" / "small.txt"
    if before is not None:
        path.parent.mkdir()
        path.write_text(before)
    assert keep(path, "numpy==2\n") is changed
    assert path.read_text() == "numpy==2\n"
