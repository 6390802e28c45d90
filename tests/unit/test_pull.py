"""Hosts that provision themselves: the real ansible-pull with a repository of the fleet, and the units that start it."""

from __future__ import annotations

import configparser
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from .test_reprovision import ENVIRONMENTS, ROOT, Fleet

UNITS = ROOT / "units"
BIN = Path(sys.executable).parent


def service() -> configparser.SectionProxy:
    parsed = configparser.RawConfigParser(strict=False)
    parsed.optionxform = str  # type: ignore[assignment,method-assign]
    parsed.read(UNITS / "wavesmith-pull.service")
    return parsed["Service"]


def repository(folder: Path, fleet: Fleet) -> Path:
    """The fleet's repository: inventory, locks, and the playbook that is pulled."""
    made = folder / "fleet.git"
    made.mkdir()
    shared = {"wavesmith_environments": ENVIRONMENTS, "wavesmith_artifacts": str(folder / "artifacts")}
    (made / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": fleet.hosts, "vars": shared}}))
    (made / "pull.yml").write_text("- import_playbook: wavesmith.provision.site\n")
    shutil.copytree(folder / "locks", made / "locks")
    git = ["git", "-C", str(made), "-c", "user.name=ada", "-c", "user.email=ada@example.org"]
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "fleet"]):
        subprocess.run([*git, *words], check=True)
    return made


@pytest.mark.process
def test_a_host_pulls_the_repository_and_brings_itself_to_what_it_wants(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, 2)
    repo = repository(tmp_path, fleet)
    values = {"FLEET": repo.as_uri(), "NAME": "h2"}
    line = service()["ExecStart"].replace("/opt/wavesmith-pull/wavesmith/.venv/bin", str(BIN))
    line = line.replace("/opt/wavesmith-pull", str(tmp_path))
    argv = [word.replace("${FLEET}", values["FLEET"]).replace("${NAME}", values["NAME"]) for word in shlex.split(line)]
    env = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "WAVESMITH_RECORD": str(tmp_path / "runs.sqlite")}
    env["PATH"] = f"{BIN}:{env['PATH']}"

    def pull() -> str:
        done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    pull()
    assert fleet.current() == {"h1": "old", "h2": "new"}, "the host itself, and no other"
    assert json.loads((tmp_path / "artifacts" / "h2" / "report.json").read_text())["host"] == "h2"
    assert "nothing to do" in pull()


@pytest.mark.parametrize("unit", ["wavesmith-pull.service", "wavesmith-pull.timer"])
def test_systemd_takes_the_units(tmp_path: Path, unit: str) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not here")
    for path in UNITS.iterdir():
        # The program is not installed here, and systemd wants one that is.
        text = path.read_text().replace("/opt/wavesmith-pull/wavesmith/.venv/bin/ansible-pull", "/bin/true")
        (tmp_path / path.name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", str(tmp_path / unit)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and "wavesmith-pull" not in done.stderr, done.stderr


def test_the_timer_starts_the_service_and_spreads_the_boards() -> None:
    timer = configparser.RawConfigParser()
    timer.read(UNITS / "wavesmith-pull.timer")
    assert timer["Timer"]["RandomizedDelaySec"] == "15min" and timer["Install"]["WantedBy"] == "timers.target"
    assert "ansible-pull" in service()["ExecStart"]
