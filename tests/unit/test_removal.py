"""What nobody wants any more is named by the plan, and removed only by the playbook for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.host import removal, store
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.unwanted import chosen, for_removal
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.weights import BLOBS, KEPT, folder, key
from ansible_collections.wavesmith.provision.plugins.plugin_utils.text import plan_text

from .site import Site
from .test_plan import SPEECH, decide, host, settled

# The plan


def test_what_is_there_and_not_wanted_is_named_and_changes_nothing_else() -> None:
    observed, locks, _ = settled(host())
    before = decide(observed, locks=locks)
    observed |= {
        "all_environments": ["old", "speech"],
        "toolboxes": [observed["toolbox"]["digest"], "fedcba98"],
        "weights": ["piper-0123456789abcdef"],
    }
    result = decide(observed, locks=locks)
    named = ["environment old", "weights piper-0123456789abcdef", "toolbox fedcba98"]
    assert (result.unwanted, result.steps, result.refusals) == (named, before.steps, [])
    text = plan_text("h", result, {**observed, "memory": {"total": 2**30}})
    assert "  unwanted: environment old (wavesmith remove takes it off)" in text


def test_weights_are_not_called_unwanted_where_an_environment_is_refused() -> None:
    observed = {**host(), "weights": ["piper-0"], "all_environments": ["old"]}
    result = decide(observed, SPEECH, stack="cuda99")
    assert result.refusals and "weights piper-0" not in result.unwanted


FOUND = ["environment old", "toolbox 0123", "weights piper-0"]
WANTED = ["environment speech", "toolbox 4567", "weights piper-1"]


@pytest.mark.parametrize(
    ("asked", "everything", "taken", "refused"),
    [
        ([], True, FOUND, 0),
        ([], False, [], 0),
        (["old"], True, ["environment old"], 0),
        (["old"], False, ["environment old"], 0),
        (["environment old", "piper-0"], True, ["environment old", "weights piper-0"], 0),
        (["caches"], True, ["caches"], 0),
        (["old", "environment old"], True, ["environment old"], 0),
        (["speech"], True, [], 1),
        (["toolbox 4567"], True, [], 1),
        (["weights piper-1", "old"], True, ["environment old"], 1),
        (["odl"], True, [], 0),
    ],
)
def test_what_is_removed_is_what_was_asked_for(
    asked: list[str], everything: bool, taken: list[str], refused: int
) -> None:
    found, refusals = chosen(asked, WANTED, FOUND, everything)
    assert (found, len(refusals)) == (taken, refused)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("speech", "environment speech is still wanted. Remedy: take it out of wavesmith_environments first"),
        ("piper-1", "weights piper-1 is still wanted. Remedy: take its model out of wavesmith_environments first"),
        ("4567", "toolbox 4567 is still wanted. Remedy: keep it"),
    ],
)
def test_what_is_wanted_is_refused_with_what_comes_first(name: str, said: str) -> None:
    (_, (refusal,)) = chosen([name], WANTED, FOUND)
    assert str(refusal).startswith(f"variable wavesmith_remove: {said}")


def test_a_refused_plan_removes_all_the_same_but_not_where_it_was_not_read() -> None:
    observed = {**host(), "weights": ["piper-0"], "all_environments": ["old"]}
    refused = decide(observed, SPEECH, stack="cuda99")
    found = for_removal(refused, [])
    assert refused.refusals and (found.remove, found.refusals) == (["environment old"], [])
    assert for_removal(refused, refused.refusals).refusals == refused.refusals
    asked = decide(observed, SPEECH, stack="cuda99", remove=["speech", "piper-0"])
    said = [refusal.problem for refusal in for_removal(asked, []).refusals]
    assert said == ["environment speech is still wanted", "weights piper-0 is still wanted"]


# The host


def weights(name: str, *files: str, kind: str = "hub", place: str = "") -> Any:
    listed = [{"path": f"{file}.bin", "sha256": file, "bytes": 1} for file in files]
    return {
        "name": name,
        "kind": kind,
        "place": place or f"ada/{name}",
        "revision": "r",
        "files": listed,
        "archive": None,
        "licence": "MIT",
        "commercial": True,
        "bytes": len(files),
        "mirrors": [],
        "folder": "",
        "unknown": "",
    }


def keep(root: Path, *sets: Any) -> None:
    for entry in sets:
        store.write_json(str(root / KEPT / f"{key(entry)}.json"), {"schema": 1, "weights": entry})
        (root / folder(entry)).mkdir(parents=True, exist_ok=True)
        for file in entry["files"]:
            (root / BLOBS).mkdir(parents=True, exist_ok=True)
            (root / BLOBS / file["sha256"]).write_bytes(b"x" * 8192)


@pytest.mark.parametrize("kind", ["hub", "url"])
def test_weights_go_with_their_files_but_those_that_others_have(tmp_path: Path, kind: str) -> None:
    one, other = weights("one", "aa", "shared", kind=kind), weights("other", "bb", "shared", kind=kind)
    keep(tmp_path, one, other)
    (found,) = removal.remove(str(tmp_path), [f"weights {key(one)}"], check=False)
    assert found[1] >= 8192
    assert sorted(path.name for path in (tmp_path / BLOBS).iterdir()) == ["bb", "shared"]
    assert not (tmp_path / folder(one)).exists() and (tmp_path / folder(other)).is_dir()
    assert [path.stem for path in (tmp_path / KEPT).iterdir()] == [key(other)]


@pytest.mark.parametrize("kind", ["hub", "url"])
def test_what_only_doomed_weights_share_goes_with_them(tmp_path: Path, kind: str) -> None:
    sets = [weights(name, name, "shared", kind=kind, place="ada/both") for name in ("one", "two")]
    stays = weights("stays", "cc", kind=kind)
    keep(tmp_path, *sets, stays)
    items = [f"weights {key(entry)}" for entry in sets]
    shown = removal.remove(str(tmp_path), items, check=True)
    assert removal.remove(str(tmp_path), items, check=False) == shown and len(shown) == 2
    assert [path.name for path in (tmp_path / BLOBS).iterdir()] == ["cc"]
    assert not any((tmp_path / folder(entry)).exists() for entry in sets) and (tmp_path / folder(stays)).is_dir()


def test_files_that_no_weights_have_go_with_the_caches_unless_a_record_cannot_be_read(tmp_path: Path) -> None:
    keep(tmp_path, weights("one", "aa"))
    for name in ("bb", ".cc.part"):
        (tmp_path / BLOBS / name).write_bytes(b"x" * 8192)
    broken = tmp_path / KEPT / "broken.json"
    broken.write_text("{")
    assert removal.remove(str(tmp_path), ["caches"], check=False) == []
    removal.remove(str(tmp_path), [f"weights {key(weights('one', 'aa'))}", "weights broken"], check=True)
    broken.unlink()
    assert [item for item, _ in removal.remove(str(tmp_path), ["caches"], check=False)] == ["caches"]
    assert [path.name for path in (tmp_path / BLOBS).iterdir()] == ["aa"]


def test_of_a_repository_that_others_use_only_the_files_go(tmp_path: Path) -> None:
    one, other = weights("one", "aa", place="ada/both"), weights("other", "bb", place="ada/both")
    keep(tmp_path, one, other)
    removal.remove(str(tmp_path), [f"weights {key(one)}"], check=False)
    assert (tmp_path / folder(other)).is_dir() and (tmp_path / BLOBS / "bb").exists()


def test_an_environment_goes_with_its_history_and_a_toolbox_that_is_not_current(tmp_path: Path) -> None:
    for path in ("envs/old/g", "envs/speech/g", "toolbox/aa", "toolbox/bb", "cache/uv/x"):
        (tmp_path / path).mkdir(parents=True)
        (tmp_path / path / "file").write_bytes(b"x" * 4096)
    store.write_json(str(tmp_path / "state" / "old.history.json"), [])
    store.point(str(tmp_path / "toolbox"), "bb")
    items = ["environment old", "toolbox aa", "caches", "environment gone"]
    shown = removal.remove(str(tmp_path), items, check=True)
    assert (tmp_path / "envs" / "old").is_dir() and [item for item, _ in shown] == items[:3]
    assert removal.remove(str(tmp_path), items, check=False) == shown
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_dir()}
    assert left == {
        "envs",
        "envs/speech",
        "envs/speech/g",
        "toolbox",
        "toolbox/bb",
        "state",
        "cache",
        "toolbox/current",
    } - (set() if (tmp_path / "toolbox" / "current").is_dir() else {"toolbox/current"})


@pytest.mark.parametrize(
    "item", ["toolbox bb", "environment ../etc", "environment ", "toolbox current", "nonsense x", "weights .."]
)
def test_what_is_in_use_or_no_name_is_refused_and_nothing_is_removed(tmp_path: Path, item: str) -> None:
    (tmp_path / "toolbox" / "bb").mkdir(parents=True)
    (tmp_path / "envs" / "old").mkdir(parents=True)
    store.point(str(tmp_path / "toolbox"), "bb")
    with pytest.raises(store.StoreError, match="Remedy: "):
        removal.remove(str(tmp_path), ["environment old", item], check=False)
    assert (tmp_path / "envs" / "old").is_dir()


# Through Ansible


@pytest.mark.process
def test_the_playbook_removes_what_the_plan_names_and_in_check_mode_only_says_it(tmp_path: Path) -> None:
    site = Site(tmp_path, "one")
    site.settle("one")
    site.generation("one", "old", "0123456789abcdef")
    old = site.root("one") / "envs" / "old"
    status, output = site.run("--check", playbook="remove.yml")
    assert status == 0 and old.is_dir() and "environment old: would be removed" in output, output
    status, output = site.run("-e", "wavesmith_remove=small", playbook="remove.yml")
    assert status != 0 and "environment small is still wanted" in output and old.is_dir()
    status, output = site.run("-e", '{"wavesmith_environments": {}}', playbook="remove.yml")
    assert status == 0 and old.is_dir() and (old.parent / "small").is_dir(), output
    status, output = site.run(playbook="remove.yml")
    assert status == 0 and not old.exists() and "environment old: removed" in output, output
    assert (old.parent / "small").is_dir() and "nothing to remove" in site.run(playbook="remove.yml")[1]
