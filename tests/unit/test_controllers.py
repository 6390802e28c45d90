"""A fleet through several controllers: ansible-runner's own streams over real SSH, one record."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.fleet import SSHD, sshd
from wavesmith.controllers import PROGRAM, Controller, controllers, pack, waves

from .test_reprovision import OLD, ROOT, Fleet

RUNNER = str(Path(sys.executable).with_name("ansible-runner"))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ctl1", [("ctl1", PROGRAM)]),
        ("ctl1, ada@ctl2", [("ctl1", PROGRAM), ("ada@ctl2", PROGRAM)]),
        ("ctl1:/opt/w/bin/ansible-runner,ctl2", [("ctl1", "/opt/w/bin/ansible-runner"), ("ctl2", PROGRAM)]),
        ("ssh://ada@ctl1:2222:/opt/r", [("ssh://ada@ctl1:2222", "/opt/r")]),
        ("ssh://ctl1:2222", [("ssh://ctl1:2222", PROGRAM)]),
    ],
)
def test_controllers_are_named_as_ssh_takes_them(text: str, found: list[tuple[str, str]]) -> None:
    assert controllers(text) == [Controller(*pair) for pair in found]


@pytest.mark.parametrize(
    ("count", "sizes", "found"),
    [
        (10, "1,10%,50%,100%", [1, 1, 5, 3]),
        (5, "1,2", [1, 2, 2]),
        (3, "100%", [3]),
        (7, "30%", [2, 2, 2, 1]),
        (4, "1%", [1, 1, 1, 1]),
        (0, "1", []),
    ],
)
def test_waves_are_those_of_ansibles_serial(count: int, sizes: str, found: list[int]) -> None:
    hosts = [f"h{number}" for number in range(count)]
    assert [len(wave) for wave in waves(hosts, sizes)] == found
    assert [host for wave in waves(hosts, sizes) for host in wave] == hosts


def test_what_travels_is_the_project_and_the_inventory_with_its_locks(tmp_path: Path) -> None:
    fleet, cargo = tmp_path / "fleet", tmp_path / "cargo"
    for name in ("locks/a.txt", "group_vars/all.yml", "artifacts/secret", "hosts.yml"):
        (fleet / name).parent.mkdir(parents=True, exist_ok=True)
        (fleet / name).write_text("")
    cargo.mkdir()
    assert pack(cargo, [str(fleet / "hosts.yml"), str(fleet), "h1,"]) == [
        "../inventories/0/hosts.yml",
        "../inventories/1",
        "h1,",
    ]
    travelled = {
        str(path.relative_to(cargo / "inventories" / "0")) for path in (cargo / "inventories" / "0").rglob("*.*")
    }
    assert travelled == {"locks/a.txt", "group_vars/all.yml", "hosts.yml"}
    assert not (cargo / "inventories" / "1" / "artifacts").exists()
    assert (
        cargo / "project/collections/ansible_collections/wavesmith/provision/plugins"
    ).resolve() == cargo / "project/plugins"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A controller that is this machine, by SSH; its address."""
    if not SSHD:
        pytest.skip("sshd is not here")
    with sshd(tmp_path) as port:
        known = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
        monkeypatch.setenv("ANSIBLE_SSH_COMMON_ARGS", f"-i {tmp_path}/key {known}")
        yield f"ssh://{os.environ.get('USER') or 'root'}@127.0.0.1:{port}"


@pytest.mark.process
def test_two_controllers_leave_one_record_and_stop_at_the_budget_together(tmp_path: Path, machine: str) -> None:
    fleet = Fleet(tmp_path, 6)
    doctor = fleet.put("h3", "doctor", "failed")
    two = f"{machine}:{RUNNER},{machine.replace('127.0.0.1', 'localhost')}:{RUNNER}"
    done = fleet.run("reprovision", "--waves", "1,2,100%", "--controllers", two)
    assert done.returncode == 1, done.stdout + done.stderr
    assert fleet.outcomes() == {
        "h1": "switched", "h2": "switched", "h3": "failed", "h4": "planned", "h5": "planned", "h6": "planned",
    }  # fmt: skip
    assert fleet.current() == {"h1": "new", "h2": "new", "h3": "old", "h4": "old", "h5": "old", "h6": "old"}
    assert "stopped after wave 2: 1 of 2 hosts failed" in done.stderr
    assert "h1 (ssh://" in done.stdout and "localhost" in done.stdout
    (run,) = fleet.ledger.runs()
    first = fleet.ledger.hosts(run["id"])[0]
    assert first["environments"][0]["before"] == OLD and first["environments"][0]["after"] == fleet.wanted
    assert first["environments"][0]["verdict"] == "healthy" and first["seconds"]["verify"] > 0
    assert json.loads((tmp_path / "artifacts" / "h2" / "plan.json").read_text())["environments"]
    doctor.unlink()
    again = fleet.run("resume")
    assert again.returncode == 0, again.stdout + again.stderr
    assert set(fleet.current().values()) == {"new"}


@pytest.mark.process
@pytest.mark.parametrize("gone", ["ssh://127.0.0.1:9", "{machine}:/nowhere/ansible-runner", "{machine}:/bin/true"])
def test_a_controller_that_is_gone_leaves_its_hosts_and_the_others_go_on(
    tmp_path: Path, machine: str, gone: str
) -> None:
    fleet = Fleet(tmp_path, 4)
    named = f"{machine}:{RUNNER},{gone.format(machine=machine)}"
    done = fleet.run("reprovision", "--controllers", named)
    assert done.returncode == 1, done.stdout + done.stderr
    assert fleet.outcomes() == {"h1": "switched", "h2": "unreachable", "h3": "switched", "h4": "unreachable"}
    (why,) = {host["reason"] for host in fleet.ledger.hosts(fleet.ledger.runs()[0]["id"]) if host["reason"]}
    assert why.startswith("controller ") and "Remedy: log in there" in why
    assert fleet.run("resume", "--controllers", f"{machine}:{RUNNER}").returncode == 0
    assert set(fleet.current().values()) == {"new"}


@pytest.mark.process
def test_a_missing_lock_is_resolved_here_first(tmp_path: Path, machine: str) -> None:
    fleet = Fleet(tmp_path, 2)
    shutil.rmtree(tmp_path / "locks")
    done = fleet.run("reprovision", "--controllers", f"{machine}:{RUNNER}")
    assert done.returncode == 1
    assert fleet.outcomes() == {"h1": "refused", "h2": "refused"}, done.stdout + done.stderr
    assert "Remedy: resolve it here first: wavesmith lock -l h1" in done.stdout


def test_nothing_of_the_project_that_playbooks_need_is_left_behind() -> None:
    """Git's list of the project's folders, without those that only this command, the tests and people need."""
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.splitlines()
    if not listed:
        pytest.skip("not a checkout")
    from wavesmith.controllers import TRAVELS

    rest = {name.partition("/")[0] for name in listed} - set(TRAVELS)
    assert not {name for name in rest if not name.startswith(".")} - {
        "CONTRIBUTING.md", "LICENSE", "Makefile", "README.md", "benchmarks", "changelogs", "docs", "inventories", "molecule", "pyproject.toml",
        "site.yml", "tests", "wavesmith", "execution-environment", "units", "bindep.txt", "release", "requirements.txt",
    }  # fmt: skip
