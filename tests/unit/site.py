"""Hosts of an inventory with a folder each on this machine, planned by real Ansible; what they have can be written down instead of made."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from ansible_collections.wavesmith.provision.plugins.module_utils.host import store
from ansible_collections.wavesmith.provision.plugins.module_utils.plan import lockfile

from .conftest import make_manifest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = Path(sys.executable).parent
HASH = "0" * 64


class Site:
    """An inventory below a folder; each host's root is the folder of its name beside it."""

    def __init__(self, folder: Path, *hosts: str) -> None:
        self.folder, self.hosts = folder, {host: dict[str, Any]() for host in hosts}
        self.asked = ("", "")  # name and inputs of the lock that a host without variables of its own asks for
        self.inventory = folder / "inventory"
        self.variables: dict[str, Any] = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "wavesmith_artifacts": str(folder / "artifacts"),
            "wavesmith_system_packages": False,
            "wavesmith_environments": {"small": {"stack": "none", "packages": ["numpy"]}},
        }

    def write(self) -> None:
        self.inventory.mkdir(exist_ok=True)
        hosts = {host: {"wavesmith_root": str(self.root(host)), **own} for host, own in self.hosts.items()}
        inventory = {"all": {"hosts": hosts, "vars": self.variables}}
        (self.inventory / "hosts.json").write_text(json.dumps(inventory))

    def root(self, host: str) -> Path:
        return self.folder / "roots" / host

    def run(
        self, *words: str | Path, playbook: str = "plan.yml", inventory: Path | None = None, **environ: str
    ) -> tuple[int, str]:
        """Run a playbook; its exit status, and what it said in one line."""
        self.write()
        clean = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
        clean |= {"LC_ALL": "C.UTF-8", "NO_COLOR": "1", "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
        clean |= {"WAVESMITH_BOARD": "detail", **environ}
        argv = [
            str(TOOLS / "ansible-playbook"),
            "-i",
            str(inventory or self.inventory),
            str(ROOT / "playbooks" / playbook),
        ]
        done = subprocess.run(
            [*argv, *map(str, words)],
            cwd=ROOT,
            env=clean,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return done.returncode, re.sub(r"\s+", " ", done.stdout + done.stderr)

    def plan(self, host: str) -> dict[str, Any]:
        """The plan as it was saved."""
        found: dict[str, Any] = json.loads((self.folder / "artifacts" / host / "plan.json").read_text())
        return found

    def lock(self, host: str, body: str = f"numpy==2.3.5 \\\n    --hash=sha256:{HASH}\n") -> None:
        """Keep the locks that a host's plan asks for, as if they had been resolved."""
        for item in self.plan(host)["environments"]:
            lock = item["lock"]
            path = self.inventory / "locks" / f"{lock['key']}.txt"
            path.parent.mkdir(exist_ok=True)
            path.write_text(lockfile.head(lock["inputs"], body) + body)

    def settle(self, *hosts: str) -> None:
        """Give hosts what their plans want: afterwards there is nothing to do."""
        self.run()
        for host in hosts:
            self.lock(host)
        self.run()
        for host in hosts:
            root, plan = self.root(host), self.plan(host)
            tool = root / "toolbox" / plan["toolbox"] / "bin" / "uv"
            tool.parent.mkdir(parents=True, exist_ok=True)
            tool.write_text("#!/bin/sh\n")
            tool.chmod(0o755)
            store.point(str(root / "toolbox"), plan["toolbox"])
            for item in plan["environments"]:
                self.generation(host, item["name"], item["generation"], digest=item["digest"], origin=item["origin"])

    def generation(self, host: str, environment: str, name: str, current: bool = True, **manifest: Any) -> Path:
        """A small generation that is whole and healthy."""
        prefix = self.root(host) / "envs" / environment / name
        (prefix / "bin").mkdir(parents=True)
        (prefix / "bin" / "python").write_text("#!/bin/sh\n")
        (prefix / "bin" / "python").chmod(0o755)
        own = {"environment": environment, "generation": name, "stack": "none", "created": time.time(), **manifest}
        store.seal(str(prefix), make_manifest(**own))  # type: ignore[arg-type]
        verdict = {"schema": 1, "exit": 0, "verdict": "healthy", "checks": [], "environment": environment}
        store.write_json(str(prefix / "wavesmith" / "verdict.json"), verdict)
        if current:
            store.point(str(prefix.parent), name)
        return prefix
