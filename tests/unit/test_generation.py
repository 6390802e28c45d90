"""The module that switches, rolls back and prunes, run as Ansible runs it."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.wavesmith.provision.plugins.module_utils.host import store
from ansible_collections.wavesmith.provision.plugins.modules import generation as module


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A host with the generations a, b and c of speech, of which c is current and b was before."""
    for number, name in enumerate("abc"):
        prefix = tmp_path / "envs" / "speech" / name
        (prefix / "bin").mkdir(parents=True)
        (prefix / "bin" / "python").write_text("")
        (prefix / "bin" / "python").chmod(0o755)
        store.seal(str(prefix), {"digest": name, "created": number})
        store.write_json(str(prefix / store.VERDICT), {"exit": 0})
    for name in "bc":
        store.activate(str(tmp_path), "speech", name)
    return tmp_path


def call(root: Path, state: str, generation: Any = "", check: bool = False, **options: Any) -> dict[str, Any]:
    arguments = {"root": str(root), "state": state, "environments": {"speech": generation}, **options}
    output = io.StringIO()
    arguments["_ansible_check_mode"] = check
    with patch_module_args(arguments), contextlib.redirect_stdout(output), pytest.raises(SystemExit):
        module.main()
    answer: dict[str, Any] = json.loads(output.getvalue().strip().splitlines()[-1])
    return answer


def current(root: Path) -> str | None:
    return store.pointed(str(root / "envs" / "speech"))


def names(root: Path) -> list[str]:
    return sorted(item.name for item in (root / "envs" / "speech").iterdir() if not item.is_symlink())


def test_a_switch_is_a_change_with_a_difference(root: Path) -> None:
    answer = call(root, "active", "a")
    assert (answer["changed"], answer["current"], current(root)) == (True, {"speech": "a"}, "a")
    assert answer["diff"]["before"] == {"current": {"speech": "c"}}


def test_a_switch_to_what_is_current_changes_nothing(root: Path) -> None:
    assert call(root, "active", "c")["changed"] is False


def test_a_rollback_goes_back_in_under_a_second(root: Path) -> None:
    answer = call(root, "rolled_back")
    assert (answer["changed"], current(root)) == (True, "b")
    assert answer["seconds"] < 1


def test_a_rollback_may_be_given_the_environments_as_they_are_wanted(root: Path) -> None:
    assert call(root, "rolled_back", {"stack": "auto", "packages": ["torch"]})["current"] == {"speech": "b"}


def test_of_several_environments_one_without_another_generation_stays_as_it_is(root: Path) -> None:
    prefix = root / "envs" / "trial" / "x"
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin" / "python").write_text("")
    (prefix / "bin" / "python").chmod(0o755)
    store.seal(str(prefix), {"digest": "x", "created": 1})
    store.write_json(str(prefix / store.VERDICT), {"exit": 0})
    store.activate(str(root), "trial", "x")
    both = {"speech": "", "trial": ""}
    assert call(root, "rolled_back", environments=both)["current"] == {"speech": "b", "trial": "x"}
    for environments, said in (
        ({"trial": ""}, "environment trial: there is no other generation"),
        ({"speech": "", "trial": "y"}, "generation y"),
    ):
        answer = call(root, "rolled_back", environments=environments)
        assert answer["failed"] and said in answer["msg"] and current(root) == "b"


def test_pruning_keeps_as_many_as_it_is_told(root: Path) -> None:
    answer = call(root, "pruned", keep=2)
    assert (answer["removed"], names(root)) == ({"speech": ["a"]}, ["b", "c"])


def test_pruning_again_changes_nothing(root: Path) -> None:
    call(root, "pruned", keep=2)
    assert call(root, "pruned", keep=2)["changed"] is False


def test_repair_removes_what_was_changed_and_is_not_in_use_and_says_what(root: Path) -> None:
    for name in ("a", "c"):
        (root / "envs" / "speech" / name / "bin" / "python").unlink()
    would = call(root, "repaired", check=True)
    assert (
        would["changed"] and names(root) == ["a", "b", "c"] and "speech: would remove a (bin/python" in would["text"][0]
    )
    answer = call(root, "repaired")
    assert (answer["removed"], names(root), current(root)) == ({"speech": ["a"]}, ["b", "c"], "c")
    assert "speech: removed a (bin/python does not run)" in answer["text"][0]
    assert call(root, "repaired")["changed"] is False


@pytest.mark.parametrize(("state", "generation"), [("active", "a"), ("rolled_back", ""), ("pruned", "")])
def test_check_mode_says_what_would_be_and_leaves_it(root: Path, state: str, generation: str) -> None:
    answer = call(root, state, generation, check=True, keep=1)
    assert answer["changed"] is True
    assert (current(root), names(root)) == ("c", ["a", "b", "c"])


def test_a_generation_that_is_not_there_is_refused_with_a_remedy(root: Path) -> None:
    answer = call(root, "active", "nope")
    assert answer["failed"] and "Remedy" in answer["msg"]
    assert current(root) == "c"


def test_a_host_that_was_never_provisioned_is_refused_with_a_remedy(tmp_path: Path) -> None:
    answer = call(tmp_path / "nowhere", "rolled_back")
    assert answer["failed"] and "Remedy: provision this host first" in answer["msg"]


def test_a_host_another_run_works_on_is_refused(root: Path) -> None:
    with store.locked(str(root), "a long build"):
        answer = call(root, "rolled_back")
    assert answer["failed"] and "another run works on this host: a long build" in answer["msg"]
