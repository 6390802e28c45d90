"""What is kept on a host: generations, the switch between them, and the lock against two runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.host import store

from .conftest import make_manifest

COLLECTIONS = Path(__file__).resolve().parents[2] / "collections"
IMPORT = "from ansible_collections.wavesmith.provision.plugins.module_utils.host import store"
NOT_AS_ROOT = pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")


def make(root: Path, name: str, created: float = 1.0, verdict: int | None = 0, digest: str = "d") -> Path:
    """A sealed generation of the environment speech; `verdict` is the doctor's exit."""
    prefix = root / "envs" / "speech" / name
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin" / "python").write_text("#!/bin/sh\n")
    (prefix / "bin" / "python").chmod(0o755)
    (prefix / "bin" / "python3").symlink_to("python")
    (prefix / "lib" / "__pycache__").mkdir(parents=True)
    (prefix / "lib" / "torch.py").write_text("x = 1\n")
    (prefix / "lib" / "__pycache__" / "torch.pyc").write_text("byte code")
    store.seal(str(prefix), make_manifest(digest=digest, created=created))
    if verdict is not None:
        store.write_json(
            str(prefix / store.VERDICT),
            {"schema": 1, "verdict": "healthy", "exit": verdict, "checks": [{"id": "a", "evidence": {"long": "x"}}]},
        )
    return prefix


def current(root: Path) -> str | None:
    return store.pointed(store.environment_folder(str(root), "speech"))


def survey(root: Path) -> dict[str, Any]:
    found: dict[str, Any] = store.survey(str(root), ["speech"])["environments"]["speech"]
    return found


def other(code: str, *argv: str) -> subprocess.Popen[str]:
    """Another process that runs `code` with the store at hand; it says a line when it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-c", f"import sys, time, os\n{IMPORT}\n{code}", *argv],
        env={**os.environ, "PYTHONPATH": str(COLLECTIONS)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


HOLD = "with store.locked(sys.argv[1], 'a long build'):\n    print('held', flush=True)\n    time.sleep(60)"


# The switch


def test_activation_switches_to_a_healthy_generation_and_names_the_one_before(tmp_path: Path) -> None:
    make(tmp_path, "one")
    make(tmp_path, "two")
    assert store.activate(str(tmp_path), "speech", "one") is None
    assert store.activate(str(tmp_path), "speech", "two") == "one"
    assert current(tmp_path) == "two"


def test_current_is_a_relative_link_so_that_the_root_can_be_moved(tmp_path: Path) -> None:
    make(tmp_path, "one")
    store.activate(str(tmp_path), "speech", "one")
    tmp_path.joinpath("envs").rename(tmp_path / "moved")
    assert (tmp_path / "moved" / "speech" / "current" / "bin" / "python").exists()


def test_a_generation_without_a_manifest_is_not_activated(tmp_path: Path) -> None:
    (make(tmp_path, "one") / store.MANIFEST).unlink()
    with pytest.raises(store.StoreError, match="one of speech is not complete. Remedy: run the playbook again"):
        store.activate(str(tmp_path), "speech", "one")
    assert current(tmp_path) is None


@pytest.mark.parametrize("verdict", [None, 1, 2])
def test_a_generation_that_was_not_found_healthy_is_not_activated(tmp_path: Path, verdict: int | None) -> None:
    make(tmp_path, "one")
    make(tmp_path, "two", verdict=verdict)
    store.activate(str(tmp_path), "speech", "one")
    with pytest.raises(store.StoreError, match="was not found healthy. Remedy"):
        store.activate(str(tmp_path), "speech", "two")
    assert current(tmp_path) == "one"


def test_a_reader_never_finds_current_missing_while_it_is_switched(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mark").write_text(name)
    store.point(str(tmp_path), "one")
    seen: list[str] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            try:
                seen.append((tmp_path / "current" / "mark").read_text())
            except OSError as error:
                seen.append(str(error))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(200):
        store.point(str(tmp_path), ("two", "one")[number % 2])
    stop.set()
    reader.join()
    assert set(seen) <= {"one", "two"}


def test_a_run_killed_while_it_switches_leaves_the_old_or_the_new_current(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    code = "print('go', flush=True)\nwhile True:\n    for name in ('one', 'two'): store.point(sys.argv[1], name)"
    for delay in (0.0, 0.01, 0.03):
        process = other(code, str(tmp_path))
        time.sleep(delay + 0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert (tmp_path / "current").resolve() in (tmp_path / "one", tmp_path / "two")


def test_a_link_left_by_a_killed_run_does_not_stop_the_next_switch(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / f".current.{os.getpid()}").symlink_to("gone")
    store.point(str(tmp_path), "one")
    assert store.pointed(str(tmp_path)) == "one"


# Writing


def test_a_run_killed_while_it_writes_leaves_the_old_or_the_new_file(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    store.write_json(str(path), {"n": -1})
    code = "print('go', flush=True)\nfor n in range(10**9): store.write_json(sys.argv[1], {'n': n, 'fill': 'x' * 9000})"
    process = other(code, str(path))
    time.sleep(0.1)
    process.kill()
    process.wait()
    assert "n" in json.loads(path.read_text())


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    store.write_json(str(path), {"n": 1})
    with pytest.raises(UnicodeEncodeError):
        store.write_text(str(path), "\ud800")
    assert [item.name for item in tmp_path.iterdir()] == ["state.json"]
    assert store.read_json(str(path)) == {"n": 1}


@pytest.mark.parametrize("text", ["", "{", "\x00", '{"a": 1'])
def test_a_file_that_is_no_json_reads_as_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    assert store.read_json(str(tmp_path / "x.json")) is None


# Damage


def test_a_sealed_generation_is_intact(tmp_path: Path) -> None:
    assert store.damage(str(make(tmp_path, "one"))) == []


def test_a_file_that_was_deleted_is_damage(tmp_path: Path) -> None:
    prefix = make(tmp_path, "one")
    (prefix / "lib" / "torch.py").unlink()
    assert store.damage(str(prefix)) == ["missing: lib/torch.py"]


def test_a_file_whose_size_changed_is_damage(tmp_path: Path) -> None:
    prefix = make(tmp_path, "one")
    (prefix / "lib" / "torch.py").write_text("x = 23\n")
    assert store.damage(str(prefix)) == ["changed: lib/torch.py"]


def test_a_file_swapped_for_one_of_the_same_size_is_damage(tmp_path: Path) -> None:
    prefix = make(tmp_path, "one")
    path = prefix / "lib" / "torch.py"
    status = path.stat()
    (prefix / "lib" / "swap").write_text("x = 2\n")
    (prefix / "lib" / "swap").rename(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert store.damage(str(prefix)) == ["changed: lib/torch.py"]


def test_a_link_that_points_elsewhere_is_damage(tmp_path: Path) -> None:
    prefix = make(tmp_path, "one")
    (prefix / "bin" / "python3").unlink()
    (prefix / "bin" / "python3").symlink_to("/usr/bin/python3")
    assert store.damage(str(prefix)) == ["changed: bin/python3"]


def test_an_interpreter_that_may_not_be_run_is_damage(tmp_path: Path) -> None:
    prefix = make(tmp_path, "one")
    (prefix / "bin" / "python").chmod(0o644)
    assert "bin/python does not run" in store.damage(str(prefix))


def test_a_file_that_was_added_is_no_damage(tmp_path: Path) -> None:
    prefix = make(tmp_path, "one")
    (prefix / "lib" / "mine.py").write_text("")
    assert store.damage(str(prefix)) == []


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("pandas-3.0.1.dist-info", "a package that its lock does not name"),
        ("mine.egg-info", "a package that its lock does not name"),
        ("torch-2.7.0.dist-info", "a second version of a package"),
        ("~orch-2.11.0.dist-info", ""),
        ("notes.txt", ""),
    ],
)
def test_a_package_that_somebody_installed_is_damage(tmp_path: Path, entry: str, said: str) -> None:
    prefix = make(tmp_path, "one")
    sealed = prefix / "lib" / "torch-2.11.0.dist-info"
    sealed.mkdir()
    (sealed / "METADATA").write_text("")
    store.seal(str(prefix), make_manifest(generation="one"))  # type: ignore[arg-type]
    (prefix / "lib" / entry).mkdir()
    assert store.damage(str(prefix)) == ([f"added: lib/{entry}, {said}"] if said else [])


def test_byte_code_is_no_damage(tmp_path: Path) -> None:
    prefix = make(tmp_path, "one")
    (prefix / "lib" / "__pycache__" / "torch.pyc").unlink()
    assert store.damage(str(prefix)) == []


@pytest.mark.parametrize("text", [None, "[]", "{"])
def test_without_a_record_of_its_files_a_generation_is_damaged(tmp_path: Path, text: str | None) -> None:
    prefix = make(tmp_path, "one")
    (prefix / store.FILES).unlink()
    if text is not None:
        (prefix / store.FILES).write_text(text)
    assert store.damage(str(prefix)) == ["wavesmith/files.json is missing or unreadable"]


def test_the_manifest_is_written_after_the_record_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    monkeypatch.setattr(store, "write_text", lambda path, text: written.append(path))
    monkeypatch.setattr(store, "write_json", lambda path, value: written.append(path))
    store.seal(str(tmp_path), {})
    assert [os.path.basename(path) for path in written] == ["files.json", "manifest.json"]


# The survey


def test_an_empty_host_is_surveyed(tmp_path: Path) -> None:
    assert store.survey(str(tmp_path / "nowhere"), ["speech"]) == {
        "toolbox": {"digest": None, "intact": False},
        "environments": {"speech": {"current": None, "generations": []}},
        "wheels": [],
        "weights": [],
        "all_environments": [],
        "toolboxes": [],
        "build_memory": {},
        "busy": None,
    }


def test_the_current_generation_is_surveyed_with_manifest_and_verdict(tmp_path: Path) -> None:
    make(tmp_path, "one")
    store.activate(str(tmp_path), "speech", "one")
    found = survey(tmp_path)["current"]
    assert (found["generation"], found["damage"], found["manifest"]["digest"]) == ("one", [], "d")
    assert found["verdict"] == {"schema": 1, "verdict": "healthy", "exit": 0, "checks": [{"id": "a"}]}


def test_much_damage_is_counted_and_its_first_files_named(tmp_path: Path) -> None:
    prefix = make(tmp_path, "one")
    for number in range(9):
        (prefix / "lib" / f"{number}.py").touch()
    store.seal(str(prefix), make_manifest())
    store.activate(str(tmp_path), "speech", "one")
    for number in range(9):
        (prefix / "lib" / f"{number}.py").unlink()
    found = survey(tmp_path)["current"]
    assert (found["damaged"], found["damage"]) == (9, [f"missing: lib/{number}.py" for number in range(5)])


def test_a_current_generation_that_lost_its_manifest_is_surveyed_as_damaged(tmp_path: Path) -> None:
    prefix = make(tmp_path, "one")
    store.activate(str(tmp_path), "speech", "one")
    (prefix / store.MANIFEST).unlink()
    found = survey(tmp_path)["current"]
    assert (found["generation"], found["damage"]) == ("one", ["missing: wavesmith/manifest.json"])


def test_a_current_that_points_nowhere_is_surveyed_as_damaged(tmp_path: Path) -> None:
    make(tmp_path, "one")
    store.point(store.environment_folder(str(tmp_path), "speech"), "gone")
    assert survey(tmp_path)["current"]["generation"] == "gone"


def test_a_half_removed_generation_is_none(tmp_path: Path) -> None:
    """Killed between the rename and the removal, a pruned generation once counted as a good one."""
    make(tmp_path, "one").rename(tmp_path / "envs" / "speech" / ".removing-one")
    assert survey(tmp_path)["generations"] == []


def test_only_finished_wheels_are_surveyed(tmp_path: Path) -> None:
    for name in ("whole", ".staging-part"):
        (tmp_path / "wheels" / name).mkdir(parents=True)
    (tmp_path / "wheels" / "whole" / "provenance.json").write_text("{}")
    (tmp_path / "wheels" / "empty").mkdir()
    assert store.survey(str(tmp_path), [])["wheels"] == ["whole"]


def test_a_toolbox_without_its_tool_is_not_intact(tmp_path: Path) -> None:
    (tmp_path / "toolbox" / "abc").mkdir(parents=True)
    store.point(str(tmp_path / "toolbox"), "abc")
    assert store.survey(str(tmp_path), [])["toolbox"] == {"digest": "abc", "intact": False}


# Rollback


def test_a_rollback_goes_to_the_generation_that_was_current_before(tmp_path: Path) -> None:
    for number, name in enumerate(("one", "two", "three")):
        make(tmp_path, name, created=number)
    for name in ("three", "one", "two"):
        store.activate(str(tmp_path), "speech", name)
    assert store.rollback_target(str(tmp_path), "speech") == "one"


def test_a_rollback_passes_over_what_is_damaged_or_was_not_healthy(tmp_path: Path) -> None:
    make(tmp_path, "good", created=1)
    make(tmp_path, "ill", created=2, verdict=1)
    (make(tmp_path, "damaged", created=3) / "lib" / "torch.py").unlink()
    make(tmp_path, "now", created=4)
    store.activate(str(tmp_path), "speech", "now")
    assert store.rollback_target(str(tmp_path), "speech") == "good"


def test_a_rollback_goes_to_the_generation_that_is_named(tmp_path: Path) -> None:
    for number, name in enumerate(("one", "two", "three")):
        make(tmp_path, name, created=number)
        store.activate(str(tmp_path), "speech", name)
    assert store.rollback_target(str(tmp_path), "speech", "one") == "one"


def test_a_rollback_to_what_is_current_is_none(tmp_path: Path) -> None:
    make(tmp_path, "now", verdict=1)
    store.point(str(tmp_path / "envs" / "speech"), "now")
    assert store.rollback_target(str(tmp_path), "speech", "now") == "now"


@pytest.mark.parametrize("wanted", ["", "nope"])
def test_a_rollback_that_cannot_be_is_refused_with_what_is_there(tmp_path: Path, wanted: str) -> None:
    make(tmp_path, "now")
    store.activate(str(tmp_path), "speech", "now")
    with pytest.raises(store.StoreError, match=r"on this host: now \(current\)\). Remedy: "):
        store.rollback_target(str(tmp_path), "speech", wanted)


def test_there_and_back_again_ends_where_it_began(tmp_path: Path) -> None:
    for number, name in enumerate(("one", "two")):
        make(tmp_path, name, created=number)
        store.activate(str(tmp_path), "speech", name)
    for _ in range(2):
        store.activate(str(tmp_path), "speech", store.rollback_target(str(tmp_path), "speech"))
    assert current(tmp_path) == "two"


# Pruning


def test_pruning_keeps_the_current_one_and_the_newest_healthy_ones(tmp_path: Path) -> None:
    for number, name in enumerate(("a", "b", "c", "d")):
        make(tmp_path, name, created=number)
    store.activate(str(tmp_path), "speech", "a")
    assert store.prunable(str(tmp_path), "speech", 3) == ["b"]


def test_what_stays_has_its_reason(tmp_path: Path) -> None:
    for number, name in enumerate(("a", "b", "c", "d")):
        make(tmp_path, name, created=number)
    for name in ("b", "a"):
        store.activate(str(tmp_path), "speech", name)
    said = {"a": "current", "b": "a rollback goes there", "c": "one of the newest 3", "d": "one of the newest 3"}
    assert store.kept(str(tmp_path), "speech", 3) == said
    assert store.kept(str(tmp_path), "nothing", 3) == {}


@pytest.mark.parametrize("keep", [1, 2])
def test_the_current_generation_and_the_one_to_roll_back_to_are_never_pruned(tmp_path: Path, keep: int) -> None:
    for number, name in enumerate(("a", "b", "c", "d")):
        make(tmp_path, name, created=number)
    for name in ("a", "c", "b"):
        store.activate(str(tmp_path), "speech", name)
    kept = {"a", "b", "c", "d"} - set(store.prunable(str(tmp_path), "speech", keep))
    assert kept == {"b", "c"} | ({"d"} if keep == 2 else set())
    assert store.rollback_target(str(tmp_path), "speech") == "c"


@pytest.mark.parametrize("keep", [0, -1, -300])
def test_to_keep_none_is_refused(tmp_path: Path, keep: int) -> None:
    make(tmp_path, "now")
    with pytest.raises(store.StoreError, match=rf"keep is {keep}, but must be 1 or more. Remedy"):
        store.prunable(str(tmp_path), "speech", keep)


def test_a_generation_that_shares_no_file_with_the_others_is_kept(tmp_path: Path) -> None:
    for number, name in enumerate(("own", "b", "c", "now")):
        make(tmp_path, name, created=number)
    manifest = tmp_path / "envs" / "speech" / "own" / store.MANIFEST
    store.write_json(str(manifest), {**store.read_json(str(manifest)), "shares_files": False})
    for name in ("c", "now"):
        store.activate(str(tmp_path), "speech", name)
    assert store.prunable(str(tmp_path), "speech", 2) == ["b"]


def test_the_room_that_removing_frees_leaves_out_what_has_a_name_elsewhere(tmp_path: Path) -> None:
    for folder in ("one", "two", "cache"):
        (tmp_path / folder).mkdir()
    (tmp_path / "one" / "own").write_bytes(b"x" * 8192)
    (tmp_path / "one" / "cached").write_bytes(b"x" * 65536)
    os.link(tmp_path / "one" / "cached", tmp_path / "cache" / "cached")
    (tmp_path / "one" / "both").write_bytes(b"x" * 32768)
    os.link(tmp_path / "one" / "both", tmp_path / "two" / "both")
    assert store.room(str(tmp_path / "one")) == 8192
    assert store.room(str(tmp_path / "one"), str(tmp_path / "two")) == 8192 + 32768


def test_what_is_unfinished_damaged_or_ill_is_pruned_whatever_is_kept(tmp_path: Path) -> None:
    make(tmp_path, "now", created=1)
    store.activate(str(tmp_path), "speech", "now")
    make(tmp_path, "ill", created=2, verdict=1)
    (make(tmp_path, "damaged", created=3) / "lib" / "torch.py").unlink()
    (tmp_path / "envs" / "speech" / "unfinished").mkdir()
    assert sorted(store.prunable(str(tmp_path), "speech", 9)) == ["damaged", "ill", "unfinished"]


def test_a_removed_tree_is_gone_though_an_earlier_removal_was_killed(tmp_path: Path) -> None:
    (tmp_path / ".removing-x" / "deep").mkdir(parents=True)
    (tmp_path / "x").mkdir()
    store.remove(str(tmp_path / "x"))
    assert list(tmp_path.iterdir()) == []


def test_what_killed_runs_left_is_found(tmp_path: Path) -> None:
    for name in (".removing-a", ".current.7", ".staging-b", "kept", ".hidden"):
        (tmp_path / name).mkdir()
    assert store.leftovers(str(tmp_path)) == [".current.7", ".removing-a", ".staging-b"]


# The lock


def test_a_second_process_gets_who_works_and_what_to_do(tmp_path: Path) -> None:
    process = other(HOLD, str(tmp_path))
    try:
        with pytest.raises(store.Busy) as busy:
            store.take_lock(str(tmp_path), "mine")
    finally:
        process.kill()
        process.wait()
    assert f"a long build (process {process.pid}, since " in str(busy.value)
    assert "Remedy: wait until it has ended" in str(busy.value)


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    process = other(HOLD, str(tmp_path))
    process.kill()
    process.wait()
    with store.locked(str(tmp_path), "mine"):
        pass


def test_the_holder_is_known_while_it_holds_and_only_then(tmp_path: Path) -> None:
    assert store.holder(str(tmp_path)) is None
    with store.locked(str(tmp_path), "mine"):
        held = store.holder(str(tmp_path))
    assert held is not None and (held["pid"], held["purpose"]) == (os.getpid(), "mine")
    assert store.holder(str(tmp_path)) is None


def test_one_who_only_looks_does_not_keep_a_run_from_the_lock(tmp_path: Path) -> None:
    """Looking who holds the lock takes it for an instant; a run that came in that instant was once told that it is busy."""
    with store.locked(str(tmp_path), "mine"):
        pass
    process = other("print('go', flush=True)\nwhile True: store.holder(sys.argv[1]); time.sleep(0.001)", str(tmp_path))
    try:
        for _ in range(300):
            with store.locked(str(tmp_path), "mine"):
                pass
    finally:
        process.kill()
        process.wait()


def test_a_holder_that_said_nothing_yet_is_busy_all_the_same(tmp_path: Path) -> None:
    with store.locked(str(tmp_path), "mine"):
        Path(store.lock_path(str(tmp_path))).write_text("{")
        assert store.holder(str(tmp_path)) == {}
    assert "unknown (process ?, since an unknown time)" in store.busy_message({})


@NOT_AS_ROOT
def test_a_root_that_may_not_be_written_is_refused_with_its_owner_as_the_remedy(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(store.StoreError, match="cannot be written .* Remedy: run as the owner"):
        store.take_lock(str(tmp_path), "mine")


def test_a_root_that_is_a_file_is_refused_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "root").write_text("")
    with pytest.raises(store.StoreError, match="state/lock cannot be written"):
        store.take_lock(str(tmp_path / "root"), "mine")


def test_what_killed_tools_left_in_their_caches_goes_and_packages_stay(tmp_path: Path) -> None:
    left = [
        "uv/.tmpA/x",
        "uv/simple-v27/pypi/.tmpB",
        "uv/wheels-v6/pypi/numpy/.tmpC/y",
        "conda/archives/ab/.numpy.part",
    ]
    kept = ["uv/archive-v0/1/.tmpl/z", "uv/simple-v27/pypi/numpy.rkyv", "conda/archives/ab/numpy.conda"]
    for name in left + kept:
        (tmp_path / "cache" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "cache" / name).touch()
    store.sweep(str(tmp_path))
    assert sorted(str(p.relative_to(tmp_path / "cache")) for p in tmp_path.rglob("*") if p.is_file()) == sorted(kept)


def test_a_folder_in_the_place_of_a_file_or_of_current_is_moved_aside_and_kept(tmp_path: Path) -> None:
    for name in ("state/lock", "state/x.json", "envs/speech/current"):
        (tmp_path / name / "theirs").mkdir(parents=True)
    with store.locked(str(tmp_path), "a test"):
        store.write_json(str(tmp_path / "state" / "x.json"), {})
        store.point(str(tmp_path / "envs" / "speech"), "one")
    assert store.pointed(str(tmp_path / "envs" / "speech")) == "one"
    assert len(list(tmp_path.rglob(".aside-*/theirs"))) == 3


@pytest.mark.parametrize(
    ("uid", "owner", "sudo", "there", "root"),
    [
        (0, 0, False, "both", "shared"),
        (1000, 0, False, "both", "own"),
        (1000, 0, False, "shared", "own"),
        (1000, 0, True, "shared", "shared"),
        (1000, 1000, False, "shared", "shared"),
        (1000, 1000, False, "own", "own"),
        (1000, 1000, False, "none", "shared"),
    ],
)
def test_where_nobody_names_a_root_it_is_the_one_that_a_plan_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uid: int, owner: int, sudo: bool, there: str, root: str
) -> None:
    places = {name: tmp_path / name for name in ("shared", "own")}
    for name in places if there == "both" else [there] if there != "none" else []:
        places[name].mkdir()
        os.chown(places[name], owner, -1)
    monkeypatch.setattr(store, "default_roots", lambda: (str(places["shared"]), str(places["own"])))
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    (tmp_path / "sudo").write_text(f"#!/bin/sh\nexit {0 if sudo else 1}\n")
    (tmp_path / "sudo").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert store.existing_root() == str(places[root])
