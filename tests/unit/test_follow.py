"""How long work is followed from the controller, and what is said meanwhile."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.wavesmith.provision.plugins.plugin_utils import follow, progress

ROOT = Path(__file__).resolve().parents[2]


class Action(follow.FollowAction):
    """An action whose module gives the answers of a list."""

    def __init__(self, *answers: dict[str, Any], **arguments: Any) -> None:
        self._task = SimpleNamespace(
            args=arguments, action="packages", resolved_action="wavesmith.provision.packages", _uuid="u"
        )
        self._templar = SimpleNamespace(template=lambda value: value)
        self.answers = list(answers)
        self.asked: list[dict[str, Any]] = []

    def _execute_module(
        self, module_name: str, module_args: dict[str, Any], task_vars: dict[str, Any]
    ) -> dict[str, Any]:
        self.asked.append({"module": module_name, **module_args})
        return self.answers.pop(0)


def goes_on(state: str, **more: Any) -> dict[str, Any]:
    return {"finished": False, "state": state, "progress": {"phase": state, "n": 2, "m": 5, "detail": "torch"}, **more}


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(follow, "_display", SimpleNamespace(display=lines.append))
    monkeypatch.setattr(progress, "Display", lambda: SimpleNamespace(display=lines.append))
    monkeypatch.setattr(follow, "QUIET", 0.0)
    return lines


def test_a_job_is_followed_until_it_has_finished_and_its_runs_are_counted(said: list[str]) -> None:
    action = Action(goes_on("one"), goes_on("two"), {"finished": True, "changed": True})
    assert action.run(task_vars={"inventory_hostname": "thor01"}) == {
        "finished": True,
        "changed": True,
        "remote_runs": 3,
    }


def test_every_question_names_the_same_run_and_what_was_seen(said: list[str]) -> None:
    action = Action(goes_on("one"), {"finished": True})
    action.run()
    assert [question["seen"] for question in action.asked] == ["", "one"]
    assert len({question["run"] for question in action.asked}) == 1
    assert action.asked[0]["module"] == "wavesmith.provision.packages"


def test_the_estimate_is_what_the_plan_says_of_the_phase(said: list[str]) -> None:
    action = Action(goes_on("one"), {"finished": True})
    action.phase = "install"
    steps = [{"phase": "build", "seconds": 60}, {"phase": "install", "seconds": 90}]
    action.run(task_vars={"inventory_hostname": "thor01", "wavesmith_plan": {"plan": {"steps": steps}}})
    assert said == ["  [thor01] one 2/5 (torch): 0 s, about 90 s left"]


def test_what_was_said_once_is_not_said_again(said: list[str]) -> None:
    Action(goes_on("one"), goes_on("one"), {"finished": True}).run()
    assert len(said) == 1


def test_a_run_that_came_back_to_earlier_work_says_so(said: list[str]) -> None:
    Action(goes_on("one", adopted=True), {"finished": True}).run(task_vars={"inventory_hostname": "thor01"})
    assert said[0] == "  [thor01] resumed the job of an earlier run"


def test_a_failure_keeps_the_lines_that_matter_in_its_message(said: list[str]) -> None:
    answer = Action({"failed": True, "msg": "it failed. Remedy: mend it", "lines": ["gcc: error", "make: stop"]}).run()
    assert answer["msg"] == "it failed. Remedy: mend it\n  | gcc: error\n  | make: stop"


def test_a_worker_whose_controller_was_killed_lets_the_work_go(
    said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    parents = iter([4711, 1])
    monkeypatch.setattr(follow.os, "getppid", lambda: next(parents))
    action = Action(goes_on("one"), {"finished": True})
    assert action.run()["failed"]
    assert len(action.asked) == 1


def test_a_module_that_says_nothing_of_finishing_has_finished(said: list[str]) -> None:
    assert Action({"changed": False}).run()["remote_runs"] == 1


FOLLOWED = sorted(path.stem for path in (ROOT / "plugins/action").glob("*.py") if "FollowAction" in path.read_text())


@pytest.mark.parametrize("name", FOLLOWED)
def test_every_module_that_is_followed_takes_what_the_action_adds(
    name: str, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    action = Action({"finished": True})
    action.run()
    module = importlib.import_module(f"ansible_collections.wavesmith.provision.plugins.modules.{name}")
    takes: dict[str, Any] = {}

    def asked(**arguments: Any) -> None:
        takes.update(arguments["argument_spec"])
        raise InterruptedError

    monkeypatch.setattr(module, "AnsibleModule", asked)
    with pytest.raises(InterruptedError):
        module.main()
    assert set(action.asked[0]) - {"module"} <= set(takes)
