"""The life of a conda environment on real SSH hosts, x86_64 and aarch64: made, left alone, changed, damaged, repaired, rolled back, pruned.

Run by molecule's verify step of the scenario `conda`, which sets ANSIBLE_INVENTORY and ANSIBLE_CONFIG, after its converge step has made
the environment. Each test goes on where the one before has ended.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parents[2]
HOME = "/opt/wavesmith/envs/voice"
LOCKS = Path(os.environ.get("MOLECULE_EPHEMERAL_DIRECTORY", ".")) / "locks"
SUBDIRS = {"x86_64": "linux-64", "aarch64": "linux-aarch64"}
MORE = {"wavesmith_environments": {"voice": {"engine": "conda", "stack": "none", "packages": ["numpy", "soundfile"]}}}


def run(*arguments: str) -> str:
    """Run a playbook for both hosts at once and return its output; it must work."""
    argv = ["ansible-playbook", *arguments]
    done = subprocess.run(argv, cwd=PROJECT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def hosts(host: Any) -> list[Any]:
    """Both hosts, the aarch64 one first."""
    return [host, host.get_host("ansible://box01")]


@pytest.fixture(scope="module")
def made(hosts: list[Any]) -> list[str]:
    """The generation that converge made, on each host."""
    return [current(host) for host in hosts]


def current(host: Any, *imports: str) -> str:
    """The current generation; it must have been found healthy, and work."""
    assert json.loads(host.check_output(f"sudo cat {HOME}/current/wavesmith/verdict.json"))["exit"] == 0
    code = (
        f"import {', '.join(['numpy', 'pip', 'sys', *imports])}; assert numpy.arange(3).sum() == 3; print(sys.prefix)"
    )
    prefix = host.check_output(f"{HOME}/current/bin/python -c %s", code)
    assert prefix == host.check_output(f"readlink -f {HOME}/current")
    return Path(prefix).name


def test_python_is_the_channels_and_the_lock_is_for_the_hosts_architecture(hosts: list[Any], made: list[str]) -> None:
    machines = [host.check_output("uname -m") for host in hosts]
    assert machines[0] == "aarch64"
    for host, machine in zip(hosts, machines, strict=True):
        code = "import os; print(os.uname().machine)"
        assert host.check_output(f"{HOME}/current/bin/python -c %s", code) == machine
        manifest = json.loads(host.check_output(f"sudo cat {HOME}/current/wavesmith/manifest.json"))
        assert manifest["engine"] == "conda" and list(manifest["channel_packages"]) == ["python"]
        assert list(LOCKS.glob(f"voice-python3*-conda-{SUBDIRS[machine]}-*.txt"))
        assert host.check_output("cat ~/.conda/environments.txt") == f"{HOME}/current"


def test_a_second_run_looks_once_and_changes_nothing(hosts: list[Any], made: list[str]) -> None:
    output = run("site.yml")
    assert re.search(r"REMOTE RUNS +arm01 1, box01 1$", output, re.MULTILINE), output
    assert [current(host) for host in hosts] == made


def test_a_damaged_environment_is_made_anew_beside_it(hosts: list[Any], made: list[str]) -> None:
    for host in hosts:
        host.check_output(f"sudo sh -c 'rm {HOME}/current/lib/python3.*/json/decoder.py'")
    assert "drift" in run("site.yml")
    assert [current(host, "json.decoder") for host in hosts] == [f"{name}-r1" for name in made]


def test_another_package_makes_another_generation(hosts: list[Any], made: list[str]) -> None:
    run("site.yml", "-e", json.dumps(MORE))
    for host, name in zip(hosts, made, strict=True):
        assert current(host, "soundfile").partition("-")[0] != name


def test_rolling_back_gives_the_repaired_one(hosts: list[Any], made: list[str]) -> None:
    run("playbooks/rollback.yml")
    assert [current(host) for host in hosts] == [f"{name}-r1" for name in made]


def test_pruning_leaves_the_two_that_are_to_be_kept(hosts: list[Any], made: list[str]) -> None:
    run("playbooks/prune.yml")
    for host, name in zip(hosts, made, strict=True):
        left = set(host.check_output(f"ls {HOME}").split())
        assert len(left) == 3 and {"current", f"{name}-r1"} < left and name not in left
        current(host)
