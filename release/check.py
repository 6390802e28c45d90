#!/usr/bin/env python3
"""Install a release where nothing else is, and use it: release/check.py ARTIFACT WHEEL.

The artifact with its own requirements.txt and Ansible's defaults (no ansible.cfg): its example inventory, a play of one role. The wheel alone: the
command with an inventory that `wavesmith init` wrote. Both provision a small environment and find nothing to do afterwards; neither warns.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

UV = Path(sys.prefix) / "bin" / "uv"
COLLECTION = Path("ansible_collections", "wavesmith", "provision")
SMALL = "wavesmith_environments:\n  small: {stack: none, packages: [numpy, soundfile]}\n"
ONE_ROLE = """\
- name: One role alone
  hosts: all
  gather_facts: false
  roles:
    - role: wavesmith.provision.toolbox
      toolbox_root: "{{ wavesmith_root }}"
"""


class Empty:
    """An empty environment with a home and a working directory of its own."""

    def __init__(self, folder: Path, *installed: str | Path) -> None:
        self.folder, self.home, self.work = folder, folder / "home", folder / "work"
        for path in (self.home, self.work):
            path.mkdir(parents=True)
        venv.create(folder / "venv", with_pip=False)
        self.python = folder / "venv" / "bin" / "python"
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("ANSIBLE_", "WAVESMITH_", "PYTHON", "VIRTUAL_ENV", "MAKE"))
        }
        path = os.pathsep.join(
            [str(self.python.parent), "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
        )
        self.environ = {**kept, "HOME": str(self.home), "PATH": path, "LC_ALL": "C.UTF-8", "NO_COLOR": "1"}
        self.run(UV, "pip", "install", "--quiet", "--python", self.python, *installed)

    def run(self, *words: str | Path, code: int = 0) -> str:
        """Run a program there; what it said. It must end with that code, without a warning."""
        print("$", *words, flush=True)
        done = subprocess.run(
            list(map(str, words)),
            cwd=self.work,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=1500,
            check=False,
        )
        said = done.stdout + done.stderr
        if done.returncode != code:
            raise SystemExit(f"release: it ended with {done.returncode}, not {code}:\n{said}")
        if re.search(r"warning|deprecat|Traceback", said, re.IGNORECASE):
            raise SystemExit(f"release: it warns:\n{said}")
        return said


def expect(pattern: str, said: str) -> None:
    """Fail where something was not said."""
    if not re.search(pattern, said):
        raise SystemExit(f"release: it did not say {pattern!r}:\n{said}")


def the_artifact(folder: Path, artifact: Path) -> None:
    """The collection as Ansible's own tools install it, with nothing but what it declares."""
    with_ansible = Empty(folder, "ansible-core")
    with_ansible.run("ansible-galaxy", "collection", "install", "--offline", artifact)
    there = with_ansible.home / ".ansible" / "collections" / COLLECTION
    with_ansible.run(
        UV, "pip", "install", "--quiet", "--python", with_ansible.python, "--requirement", there / "requirements.txt"
    )
    root = {"wavesmith_root": str(folder / "root")}
    said = ["-i", there / "inventories" / "example" / "hosts.yml", "-e", json.dumps(root)]
    (with_ansible.work / "one.yml").write_text(ONE_ROLE)
    expect("failed=0", with_ansible.run("ansible-playbook", *said, "one.yml"))
    expect(r"changed=0 .*failed=0", with_ansible.run("ansible-playbook", *said, "one.yml"))
    expect("failed=0", with_ansible.run("ansible-playbook", *said, "wavesmith.provision.site"))
    expect(r"changed=0 .*failed=0", with_ansible.run("ansible-playbook", *said, "wavesmith.provision.site"))
    if not (folder / "root" / "envs" / "small" / "current" / "bin" / "python").exists():
        raise SystemExit("release: the artifact made no environment")


def the_wheel(folder: Path, wheel: Path) -> None:
    """The command alone, in a folder of one's own."""
    alone = Empty(folder, wheel)
    expect(wheel.name.split("-")[1], alone.run("wavesmith", "--version"))
    expect("wavesmith init", alone.run("wavesmith", "plan", code=2))
    alone.run("wavesmith", "init", "fleet", "--local")
    (alone.work / "fleet" / "group_vars" / "all.yml").write_text(f"wavesmith_root: {folder / 'root'}\n{SMALL}")
    named = ["-i", "fleet"]
    expect("will be made", alone.run("wavesmith", "plan", *named))
    expect("1 of 1 host healthy, 1 changed", alone.run("wavesmith", "provision", *named))
    expect("1 of 1 host healthy, nothing to do", alone.run("wavesmith", "provision", *named))
    expect("healthy", alone.run("wavesmith", "status", *named))
    expect("pyworld", alone.run("wavesmith", "build", "--dry-run", "--package", "pyworld"))


def all_of(artifact: Path, wheel: Path) -> None:
    """Check both."""
    with tempfile.TemporaryDirectory(prefix="wavesmith-release-") as name:
        the_artifact(Path(name) / "artifact", artifact.absolute())
        the_wheel(Path(name) / "wheel", wheel.absolute())


if __name__ == "__main__":
    all_of(Path(sys.argv[1]), Path(sys.argv[2]))
    print("release: installed, used, nothing to complain about")
