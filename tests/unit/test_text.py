"""The plan as people read it, and what each phase of a run gets from it."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from ansible_collections.wavesmith.provision.plugins.action import lock as lock_action
from ansible_collections.wavesmith.provision.plugins.module_utils.plan import lockfile
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.decide import plan
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.lockfile import LOCK_MARK
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.record import Plan
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.tasks import tasks
from ansible_collections.wavesmith.provision.plugins.module_utils.records.host import Observed
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.variables import Environment, Wanted
from ansible_collections.wavesmith.provision.plugins.plugin_utils import catalog_files, text, variables

ANSWERS = {"answers": True, "detail": "HTTP 200"}
OBSERVED: dict[str, Any] = {
    "user": {"name": "root", "privilege": "root"},
    "os": {"id": "debian", "version_id": "12", "pretty_name": "Debian GNU/Linux 12"},
    "cpu": {"architecture": "x86_64", "isa": "avx2", "cores": 4},
    "memory": {"total": 16 * 2**30, "available": 8 * 2**30},
    "disk": {"path": "/opt", "free": 100 * 2**30, "total": 200 * 2**30},
    "accelerators": [],
    "nvidia": {"driver": None},
    "compilers": {"gcc": "12.2.0"},
    "pythons": [{"path": "/usr/bin/python3.11", "version": "3.11.2"}],
    "apt": {"missing": []},
    "sources": {"cpu_wheels": ANSWERS, "package_index": ANSWERS},
    "root": "/opt/wavesmith",
    "toolbox": {"digest": "t", "intact": True},
    "environments": {},
    "wheels": [],
    "busy": None,
}
SPEECH = Environment("speech", packages=("torch", "pyworld"))
OTHER = Environment("other", packages=("torch", "pyworld"))


def decide(*environments: Environment, locks: dict[str, str] | None = None, **observed: Any) -> Plan:
    return plan(Wanted(environments=environments), [], {**OBSERVED, **observed}, catalog_files.load(), locks or {}, "t")


def locked(*environments: Environment) -> dict[str, str]:
    items = decide(*environments).environments
    return {item.lock["key"]: f"{LOCK_MARK}{item.lock['inputs']}\n" for item in items}


def read(planned: Plan) -> str:
    return text.plan_text("thor01", planned, cast(Observed, OBSERVED))


def phases(*environments: Environment) -> dict[str, Any]:
    locks = locked(*environments)
    return tasks(decide(*environments, locks=locks), locks)


# Read by people


@pytest.mark.parametrize(
    "line",
    [
        "thor01: Debian GNU/Linux 12, x86_64 avx2, 4 cores, 16 GiB, no accelerator; 100 GiB free for /opt/wavesmith",
        "  environment speech: will be made",
        "    stack    cpu (no accelerator was found): torch 2.11.0",
        "    variant  python311-cpu-avx2",
        "    now      nothing -> known after the lock",
    ],
)
def test_a_plan_says_what_the_host_is_and_what_it_gets(line: str) -> None:
    assert line in read(decide(SPEECH)).splitlines()


def test_steps_are_numbered_in_their_order() -> None:
    lines = read(decide(SPEECH)).splitlines()
    assert [line.strip()[:3] for line in lines if line.endswith(" s)")] == ["1. ", "2. ", "3. ", "4. ", "5. "]


def test_a_plan_without_steps_says_so() -> None:
    assert "  nothing to do" in read(decide())


def test_a_refused_environment_points_to_its_refusal() -> None:
    said = read(decide(Environment("speech", packages=("torhc",))))
    assert "environment speech: not planned, see the refusals" in said
    assert "refused: environment speech: package 'torhc' is not in the catalog. Remedy: did you mean torch" in said


def test_refusals_are_one_a_line() -> None:
    planned = decide(Environment("speech", packages=("nope",)), os={**OBSERVED["os"], "id": "arch"})
    assert len(text.refusal_text(planned).splitlines()) == len(planned.refusals) == 1


# Read by the roles


def test_what_the_phases_get_is_plain_data() -> None:
    todo = phases(SPEECH)
    assert json.loads(json.dumps(todo)) == todo


def test_a_wheel_that_two_environments_need_is_built_once() -> None:
    assert [spec["name"] for spec in phases(OTHER, SPEECH)["build"]] == ["pyworld"]


def test_a_lock_at_hand_goes_to_the_installation() -> None:
    (spec,) = phases(SPEECH)["install"]
    assert spec["lock"].startswith(LOCK_MARK)
    assert spec["wheels"][0]["name"] == "pyworld" and spec["wheels"][0]["key"]


def test_what_is_activated_is_what_is_verified() -> None:
    todo = phases(OTHER, SPEECH)
    assert todo["activate"] == {spec["environment"]: spec["generation"] for spec in todo["verify"]}


# What the controller keeps


def test_locks_lie_beside_the_inventory_unless_they_are_said_to_lie_elsewhere(tmp_path: Path) -> None:
    assert variables.locks_folder({"inventory_dir": str(tmp_path)}) == tmp_path / "locks"
    assert variables.locks_folder({"inventory_dir": "/x", "wavesmith_locks": str(tmp_path)}) == tmp_path


def test_a_resolved_lock_is_kept_with_what_it_was_resolved_from(tmp_path: Path) -> None:
    action = object.__new__(lock_action.ActionModule)
    action._templar = SimpleNamespace(template=lambda value: value)
    action._task = SimpleNamespace(args={"locks": [{"key": "speech-cpu", "inputs": "a" * 64}]})
    body = "torch==2.11.0\n"
    action.conclude({"result": {"speech-cpu": body}}, {"inventory_dir": str(tmp_path)})
    assert (tmp_path / "locks" / "speech-cpu.txt").read_text() == lockfile.head("a" * 64, body) + body
    assert [item.name for item in (tmp_path / "locks").iterdir()] == ["speech-cpu.txt"]


def test_the_plan_takes_a_lock_it_kept() -> None:
    (item,) = decide(SPEECH, locks=locked(SPEECH)).environments
    assert item.lock["status"] == "hit"
