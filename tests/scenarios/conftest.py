"""What the tests of the scenarios share: the hosts, and the project's playbooks against them.

Run by molecule's verify step, which sets ANSIBLE_INVENTORY, ANSIBLE_CONFIG and MOLECULE_EPHEMERAL_DIRECTORY.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[2]
ROOT = "/opt/wavesmith"
ARTIFACTS = Path(os.environ.get("MOLECULE_EPHEMERAL_DIRECTORY", ".")) / "artifacts"


@dataclass(frozen=True)
class Answer:
    """How a command ended, and what it said, in one line."""

    status: int
    said: str


@dataclass(frozen=True)
class Scene:
    """One host of the scenario."""

    host: Any
    name: str
    variables: dict[str, Any]

    def play(self, playbook: str, *words: str, **variables: Any) -> Answer:
        """Run a playbook for this host alone."""
        argv = ["ansible-playbook", playbook, "-l", self.name, *words]
        return said(*argv, *(("-e", json.dumps(variables)) if variables else ()))

    def works(self, playbook: str, *words: str, **variables: Any) -> str:
        """Run a playbook that must work; what it said."""
        answer = self.play(playbook, *words, **variables)
        assert answer.status == 0, answer.said
        return answer.said

    def root(self, command: str) -> str:
        """Run a command on the host as root; what it printed."""
        return str(self.host.check_output("sudo sh -c %s", command)).strip()

    def read(self, path: str) -> Any:
        return json.loads(self.root(f"cat {path}"))

    def kept(self, name: str) -> Any:
        """A file that the run kept about this host."""
        return json.loads((ARTIFACTS / self.name / name).read_text())

    def current(self, environment: str = "small") -> str:
        """The name of the current generation; nothing where there is none."""
        return self.root(f"readlink {ROOT}/envs/{environment}/current || true")

    def python(self, code: str, environment: str = "small") -> str:
        """Run code with the current generation's Python; what it printed."""
        return str(self.host.check_output(f"{ROOT}/envs/{environment}/current/bin/python -c %s", code)).strip()

    def verdict(self, environment: str = "small") -> dict[str, Any]:
        """The doctor's verdict on the current generation."""
        found: dict[str, Any] = self.read(f"{ROOT}/envs/{environment}/current/wavesmith/verdict.json")
        return found

    def checks(self, environment: str = "small") -> dict[str, Any]:
        """The checks of that verdict by their ids."""
        return {check["id"]: check for check in self.verdict(environment)["checks"]}

    def inside(self, *argv: str) -> None:
        """Run a command in the container that the host is, where nobody can reach it."""
        subprocess.run(["podman", "exec", self.variables["testbed_container"], *argv], check=True, capture_output=True)


def said(*argv: str, **environ: str) -> Answer:
    """Run a command of the controller."""
    done = subprocess.run(
        argv,
        cwd=PROJECT,
        env={**os.environ, **environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1500,
    )
    return Answer(done.returncode, re.sub(r"\s+", " ", done.stdout))


def scene(host: Any) -> Scene:
    variables = host.ansible.get_variables()
    return Scene(host, variables["inventory_hostname"], variables)


@pytest.fixture(scope="module")
def here(host: Any) -> Scene:
    """The host that a test is about."""
    return scene(host)


@pytest.fixture(scope="module")
def scenes(host: Any) -> dict[str, Scene]:
    """All hosts of the scenario by their names, for tests that are about several."""
    names = host.ansible.get_variables()["groups"]["testbed"]
    return {name: scene(host.get_host(f"ansible://{name}")) for name in names}


@pytest.fixture(scope="module")
def recorded(here: Scene) -> dict[str, Any]:
    """What the recorded machine that the host shows is, and which stack is right for it."""
    sample = PROJECT / "tests" / "unit" / "samples" / here.variables["testbed_machine"]
    found: dict[str, Any] = yaml.safe_load((sample / "machine.yml").read_text())
    return found
