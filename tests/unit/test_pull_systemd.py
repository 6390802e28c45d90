"""A host with systemd of its own provisions itself: the documented steps, the real units, the real timer."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HOSTS = ROOT / "molecule" / "resources"
PLACE = "/opt/wavesmith-pull"
SOON = "[Timer]\nOnBootSec=\nOnActiveSec=1s\nOnUnitInactiveSec=5s\nRandomizedDelaySec=0\n"
"""What is changed of the timer: an hour is an hour."""

pytestmark = pytest.mark.slow


class Machine:
    """A container with systemd as its first process, and this project in it."""

    def __init__(self, name: str) -> None:
        self.name = name

    def run(self, script: str, stdin: bytes = b"", check: bool = True) -> str:
        """Run a script in it as root."""
        argv = ["podman", "exec", "-i", self.name, "bash", "-euc", script]
        done = subprocess.run([str(HOSTS / "hosts.sh"), *argv], input=stdin, capture_output=True, check=False)
        assert done.returncode == 0 or not check, (done.stdout + done.stderr).decode(errors="replace")[-3000:]
        return done.stdout.decode(errors="replace").strip()

    def wait(self, script: str, seconds: float = 300.0) -> None:
        """Wait until a script ends well."""
        deadline = time.monotonic() + seconds
        while self.run(f"({script}) >/dev/null 2>&1 && echo yes || true") != "yes":
            journal = self.run("journalctl -u wavesmith-pull.service --no-pager | tail -40", check=False)
            assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {script}\n{journal}"
            time.sleep(1)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    hosts = [str(HOSTS / "hosts.sh"), sys.executable, str(HOSTS / "hosts.py")]
    made = subprocess.run(
        [*hosts, "create", "--state", str(tmp_path), "board01"], capture_output=True, text=True, check=False
    )
    if made.returncode == 77:
        pytest.skip(made.stderr.strip().splitlines()[-1])
    assert made.returncode == 0, made.stderr
    try:
        inventory = json.loads((tmp_path / "inventory" / "testbed.yml").read_text())
        yield Machine(inventory["testbed"]["hosts"]["board01"]["testbed_container"])
    finally:
        subprocess.run([*hosts, "destroy", "--state", str(tmp_path)], check=False, capture_output=True)


def fleet(machine: Machine, packages: list[str]) -> None:
    """Commit what the fleet wants of its board."""
    wanted = {
        "ansible_connection": "local", "wavesmith_system_packages": False,
        "wavesmith_environments": {"small": {"stack": "none", "packages": packages}},
    }  # fmt: skip
    inventory = json.dumps({"all": {"hosts": {"board01": {}}, "vars": wanted}})
    machine.run(
        "mkdir -p /srv/fleet && cd /srv/fleet && cat > hosts.yml && git init -q . && "
        "echo '- import_playbook: wavesmith.provision.site' > pull.yml && git add . && "
        "git -c user.name=ada -c user.email=ada@example.org commit -qm fleet",
        inventory.encode(),
    )


def test_the_timer_provisions_a_board_and_follows_its_repository(machine: Machine) -> None:
    machine.run("DEBIAN_FRONTEND=noninteractive apt-get install -qq -y git make python3-venv || "
                "(apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y git make python3-venv)")  # fmt: skip
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    packed = subprocess.run(["tar", "-c", "--null", "-T", "-"], cwd=ROOT, input=files, capture_output=True, check=True)
    machine.run(f"mkdir -p {PLACE}/wavesmith && tar -x --no-same-owner -C {PLACE}/wavesmith", packed.stdout)
    machine.run(f"make -C {PLACE}/wavesmith venv")
    fleet(machine, ["six"])
    machine.run(
        "echo FLEET=file:///srv/fleet > /etc/wavesmith-pull.env && echo NAME=board01 >> /etc/wavesmith-pull.env"
    )
    machine.run(f"cp {PLACE}/wavesmith/units/wavesmith-pull.* /etc/systemd/system/")
    machine.run(
        "mkdir -p /etc/systemd/system/wavesmith-pull.timer.d && cat > /etc/systemd/system/wavesmith-pull.timer.d/soon.conf",
        SOON.encode(),
    )
    machine.run("systemctl daemon-reload && systemctl enable --now wavesmith-pull.timer")
    python = "/opt/wavesmith/envs/small/current/bin/python"
    machine.wait(f"{python} -c 'import six'")
    before = machine.run("readlink /opt/wavesmith/envs/small/current")
    fleet(machine, ["six", "idna"])
    machine.wait(f"{python} -c 'import six, idna'")
    assert machine.run("readlink /opt/wavesmith/envs/small/current") != before
    machine.wait('test "$(systemctl show -p ActiveState --value wavesmith-pull.service)" = inactive')
    assert machine.run("systemctl show -p Result --value wavesmith-pull.service") == "success"
    assert "nothing to do" in machine.run("sleep 15; journalctl -u wavesmith-pull.service --no-pager"), "the later ones"
