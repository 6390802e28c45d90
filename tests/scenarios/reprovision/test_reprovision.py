"""Four real SSH hosts are brought up to date in waves by the command: one is found unfit, one cannot be reached, and the rest is resumed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.conftest import ARTIFACTS, Answer, said

MARK = "/etc/testbed-unfit"
MORE = {"wavesmith_environments": {"small": {"stack": "none", "packages": ["numpy", "soundfile"]}}}
NEW = "import soundfile; print(1)"


def command(name: str, *words: str) -> Answer:
    """Run a subcommand on the scenario's inventories."""
    inventories = [word for place in os.environ["ANSIBLE_INVENTORY"].split(",") for word in ("-i", place)]
    return said("wavesmith", name, *inventories, "--artifacts", str(ARTIFACTS), *words)


def fleet() -> dict[str, dict[str, Any]]:
    """What is recorded of each host."""
    answer = said("wavesmith", "fleet", "--json", "--artifacts", str(ARTIFACTS))
    return {row["name"]: row for row in json.loads(answer.said)["hosts"]}


@pytest.fixture(scope="module")
def old(scenes: dict[str, Any]) -> dict[str, str]:
    """The generation of each host that converge made."""
    return {name: scene.current() for name, scene in scenes.items()}


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: Any) -> Iterator[tuple[str, str]]:
    """The option that asks for one package more."""
    path: Path = tmp_path_factory.mktemp("wanted") / "more.json"
    path.write_text(json.dumps(MORE))
    yield "-e", f"@{path}"


def has_new(scene: Any) -> bool:
    """Whether a host has the package; whichever generation it has must work."""
    assert scene.python("import numpy; print(numpy.arange(3).sum())") == "3"
    return bool(scene.host.run(f"/opt/wavesmith/envs/small/current/bin/python -c '{NEW}'").rc == 0)


def test_a_canary_that_fails_stops_the_run_and_keeps_what_it_had(
    scenes: dict[str, Any], old: dict[str, str], wanted: tuple[str, str]
) -> None:
    scenes["box01"].root(f"touch {MARK}")
    answer = command("reprovision", "--waves", "1,100%", *wanted)
    assert answer.status == 1, answer.said
    outcomes = {name: row["outcome"] for name, row in fleet().items()}
    assert outcomes == {"box01": "failed", "box02": "planned", "box03": "planned", "box04": "planned"}
    assert f"remove {MARK}" in answer.said and "verdict on environment small is failed" in fleet()["box01"]["reason"]
    assert {name: scene.current() for name, scene in scenes.items()} == old
    assert not any(has_new(scene) for scene in scenes.values())
    scenes["box01"].root(f"rm {MARK}")


def test_waves_go_on_past_one_that_fails_and_one_that_cannot_be_reached_where_the_budget_allows_it(
    scenes: dict[str, Any], old: dict[str, str], wanted: tuple[str, str]
) -> None:
    scenes["box02"].root(f"touch {MARK}")
    scenes["box04"].inside("systemctl", "stop", "ssh")
    scenes["box04"].inside("pkill", "sshd")  # connections that are kept open
    try:
        answer = command("reprovision", "--waves", "2,100%", "--budget", "50", *wanted)
    finally:
        scenes["box04"].inside("systemctl", "start", "ssh")
    assert answer.status == 1, answer.said
    outcomes = {name: row["outcome"] for name, row in fleet().items()}
    assert outcomes == {"box01": "switched", "box02": "failed", "box03": "switched", "box04": "unreachable"}
    assert {name: has_new(scene) for name, scene in scenes.items()} == {
        "box01": True,
        "box02": False,
        "box03": True,
        "box04": False,
    }
    assert {name: scenes[name].current() for name in ("box02", "box04")} == {
        name: old[name] for name in ("box02", "box04")
    }


def test_what_is_left_is_resumed(scenes: dict[str, Any], wanted: tuple[str, str]) -> None:
    before = {name: scenes[name].current() for name in ("box01", "box03")}
    scenes["box02"].root(f"rm {MARK}")
    answer = said("wavesmith", "resume", "--artifacts", str(ARTIFACTS), *wanted)
    assert answer.status == 0, answer.said
    assert all(has_new(scene) for scene in scenes.values())
    rows = fleet()
    assert all(row["generation"] == row["wanted"] == scenes[name].current() for name, row in rows.items())
    assert {name: scenes[name].current() for name in before} == before, "those that were done are left alone"
    last, *_ = json.loads(said("wavesmith", "history", "--json", "--artifacts", str(ARTIFACTS)).said)
    assert {host["host"] for host in last["hosts"]} == {"box02", "box04"}, last
