"""What the host tests share: the environment under test and ways to reach a host other than testinfra's.

Run by molecule's verify step, which sets ANSIBLE_INVENTORY and ANSIBLE_CONFIG.
"""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Environment:
    """The environment that the scenario provisions, as it lies on the host."""

    name: str
    root: str

    @property
    def home(self) -> str:
        """The folder of the environment's generations."""
        return f"{self.root}/envs/{self.name}"

    @property
    def prefix(self) -> str:
        """The prefix as its user names it."""
        return f"{self.home}/current"


@pytest.fixture(scope="module")
def variables(host: Any) -> dict[str, Any]:
    """Return the host's inventory variables."""
    found: dict[str, Any] = host.ansible.get_variables()
    return found


@pytest.fixture(scope="module")
def environment(variables: dict[str, Any]) -> Environment:
    """Return the environment under test."""
    return Environment(variables["testbed_environment"], variables.get("wavesmith_root", "/opt/wavesmith"))


@pytest.fixture(scope="module")
def ssh(variables: dict[str, Any]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs `ssh USER@host COMMAND` with the run's key and known host keys."""

    def run(user: str, command: str, *, tty: bool = False, stdin: str = "") -> subprocess.CompletedProcess[str]:
        argv = ["ssh", "-o", "BatchMode=yes", "-i", variables["ansible_ssh_private_key_file"]]
        argv += shlex.split(variables["ansible_ssh_common_args"]) + (["-tt"] if tty else [])
        argv += [f"{user}@{variables['ansible_host']}", command]
        return subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=180, check=False)

    return run


@pytest.fixture(scope="module")
def start_playbook() -> Callable[..., subprocess.Popen[str]]:
    """Return a function that starts one of the project's playbooks against the scenario's hosts."""

    def start(*argv: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["ansible-playbook", *argv],
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return start
