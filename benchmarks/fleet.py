"""Runs over SSH: hosts with nothing to do, the first provisioning, a change, a rollback; each beside what it is compared with.

The hosts are this machine, by an SSH server of its own on the loopback, each with a folder of its own: transport, Ansible and the work on a host are real, and all
of them share these cores with the controller, so what hosts would do at once in a fleet they do here one after the other.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.prefix) / "bin"
SSHD = next((path for path in ("/usr/sbin/sshd", "/usr/local/sbin/sshd") if os.access(path, os.X_OK)), "")
PYINFRA = "pyinfra==3.10.*"
CALLBACKS = "wavesmith.provision.record,clock"
SYSTEM_PACKAGES = ["ca-certificates", "openssh-client", "python3"]
"""What both others check by apt: packages that such a machine has, so that nothing is installed by a benchmark."""
PACKAGES = ["numpy", "soundfile"]
Row = tuple[str, str, str, str]
"""What was measured, the result, its bound, and what it is compared with."""


@contextlib.contextmanager
def sshd(folder: Path) -> Iterator[int]:
    """An SSH server of our own on a free port, for the key in that folder."""
    for name in ("host", "key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    shutil.copy(folder / "key.pub", folder / "authorized")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    settings = {
        "Port": port, "ListenAddress": "127.0.0.1", "HostKey": folder / "host", "AuthorizedKeysFile": folder / "authorized",
        "StrictModes": "no", "PidFile": "none", "UsePAM": "no", "MaxStartups": "100", "PermitRootLogin": "prohibit-password",
    }  # fmt: skip
    (folder / "sshd").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    server = subprocess.Popen([SSHD, "-D", "-f", str(folder / "sshd")], stderr=subprocess.DEVNULL)
    try:
        yield port
    finally:
        server.terminate()
        server.wait()


@contextlib.contextmanager
def silent() -> Iterator[str]:
    """The address of a package index that takes connections and never says a word."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(100)
        yield f"http://127.0.0.1:{server.getsockname()[1]}/simple"


class Fleet:
    """Hosts, the files of the controller, and its runs."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port, self.packages = folder, port, list(PACKAGES)
        self.roots = [str(folder / f"root{place}") for place in range(5)]
        ssh = f"-i {folder}/key -p {port} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
        self.vars: dict[str, Any] = {
            "ansible_host": "127.0.0.1", "ansible_ssh_common_args": ssh, "wavesmith_artifacts": f"{folder}/artifacts",
            "wavesmith_locks": f"{folder}/locks", "conventional_root": f"{folder}/conventional",
            "conventional_environment": f"{folder}/others", "conventional_system_packages": SYSTEM_PACKAGES, "conventional_lock": "",
        }  # fmt: skip
        self.env = {
            **os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "WAVESMITH_RECORD": f"{folder}/runs.sqlite", "WAVESMITH_CLOCK": f"{folder}/clock",
            "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "benchmarks" / "callbacks"), "ANSIBLE_CALLBACKS_ENABLED": CALLBACKS,
        }  # fmt: skip
        self.clock: dict[str, Any] = {}

    def hosts(self, roots: list[str], **variables: Any) -> Path:
        """An inventory with a host for each of these folders."""
        environments = {"small": {"stack": "none", "packages": self.packages}}
        hosts = {f"host{place:02}": {"wavesmith_root": root} for place, root in enumerate(roots)}
        path = self.folder / f"hosts{len(roots)}.yml"
        every = {**self.vars, "wavesmith_environments": environments, **variables}
        path.write_text(json.dumps({"all": {"hosts": hosts, "vars": every}}))
        return path

    def run(self, *argv: str) -> float:
        """Seconds of a command that must work; the playbook's own clock is kept."""
        start = time.perf_counter()
        done = subprocess.run([str(BIN / argv[0]), *argv[1:]], cwd=ROOT, env=self.env, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(argv)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        seconds = time.perf_counter() - start
        if argv[0] == "ansible-playbook":
            self.clock = json.loads((self.folder / "clock").read_text())
        return seconds

    def site(self, inventory: Path) -> float:
        """Seconds of ``site.yml``."""
        return self.run("ansible-playbook", "-i", str(inventory), "site.yml")

    def ping(self, inventory: Path) -> float:
        """Seconds of Ansible's own ping."""
        return self.run("ansible", "-i", str(inventory), "all", "-m", "ansible.builtin.ping")


def in_turn(rounds: int, *ways: Callable[[], float], warm: bool = False) -> list[list[float]]:
    """The seconds of each way, run one after the other so that all meet the same machine.

    The first round opens connections, and does not count; where they are `warm` it is left out.
    """
    found: list[list[float]] = [[] for _ in ways]
    for turn in range(int(warm), rounds + 1):
        for place, way in enumerate(ways):
            seconds = way()
            if turn:
                found[place].append(seconds)
    return found


def measure(folder: Path, port: int, rounds: int, sizes: list[int]) -> list[Row]:
    """All of it."""
    fleet = Fleet(folder, port)
    rows = first(fleet)
    rows += changed(fleet)
    rows += idle(fleet, rounds, sizes)
    rows += others(fleet, rounds)
    return rows


def first(fleet: Fleet) -> list[Row]:
    """Bare hosts: one alone, then three of the same variant at once; another one has resolved the lock before."""
    fleet.site(fleet.hosts(fleet.roots[:1]))
    alone = fleet.site(fleet.hosts(fleet.roots[1:2]))
    three = fleet.site(fleet.hosts(fleet.roots[2:5]))
    said = f"{three / (3 * alone):.2f} times 3 times one ({alone:.1f} s); each host downloads for itself"
    return [
        (f"first provisioning of 3 hosts, {' and '.join(PACKAGES)}", f"{three:.1f} s", "less than 3 times one", said)
    ]


def changed(fleet: Fleet) -> list[Row]:
    """One more package on a host, and back again."""
    before = list(fleet.packages)
    inventory = fleet.hosts(fleet.roots[:1])
    fleet.packages = [*before, "soxr"]
    inventory = fleet.hosts(fleet.roots[:1])
    whole = fleet.site(inventory)
    phases = json.loads((fleet.folder / "artifacts" / "host00" / "times.json").read_text())["phases"]
    parts = ", ".join(
        f"{name} {[*times.values()][-1][-1]:.1f} s"
        for name in ("lock", "install", "verify", "activate")
        if (times := phases.get(name))
    )
    back, modules = [], []
    for _ in range(3):
        back.append(fleet.run("ansible-playbook", "-i", str(inventory), "playbooks/rollback.yml"))
        modules += fleet.clock["modules"]
        fleet.site(inventory)
    fleet.packages = before
    return [
        ("site.yml, one package more on one host, with the lock and the doctor", f"{whole:.1f} s", "", parts),
        (
            "rollback.yml, one host",
            f"{statistics.median(back):.2f} s",
            "",
            f"{1000 * statistics.median(modules):.0f} ms of it on the host: the one before is found whole, and the switch",
        ),
    ]


def idle(fleet: Fleet, rounds: int, sizes: list[int]) -> list[Row]:
    """Hosts at the state that is wanted, whose files are compared, against `ansible -m ping` of the same hosts over the same SSH."""
    rows: list[Row] = []
    for size in sizes:
        inventory = fleet.hosts([fleet.roots[1 + place % 4] for place in range(size)])
        plays: list[float] = []

        def ours(inventory: Path = inventory, plays: list[float] = plays) -> float:
            seconds = fleet.site(inventory)
            plays.append(fleet.clock["plays"])
            return seconds

        ping, site = in_turn(rounds, lambda inventory=inventory: fleet.ping(inventory), ours)  # type: ignore[misc]
        first, second = statistics.median(site), statistics.median(ping)
        hosts = f"{size} hosts" if size > 1 else "one host"
        bound = {1: "1 s of the plays", 10: "1.5 times ping"}.get(size, "")
        said = f"{first / second:.2f} times `ansible -m ping` ({second:.2f} s); the plays {statistics.median(plays[1:]):.2f} s"
        rows.append((f"site.yml, {hosts} with nothing to do", f"{first:.2f} s", bound, said))
    growth = (float(rows[-1][1].split()[0]) - float(rows[0][1].split()[0])) / (sizes[-1] - sizes[0])
    rows.append(("each host more with nothing to do", f"{growth:.2f} s", "", f"from {sizes[0]} to {sizes[-1]} hosts"))
    return rows


def others(fleet: Fleet, rounds: int) -> list[Row]:
    """Ten hosts with nothing to do: ours with sources that answer and with silent ones, pyinfra, and a conventional role."""
    tool, roots = _pyinfra(), [fleet.roots[1 + place % 4] for place in range(10)]
    lock = next((fleet.folder / "locks").glob("small-*.txt")).read_text()
    pins = [line.split()[0] for line in lock.splitlines() if "==" in line and not line.startswith((" ", "#"))]
    fleet.vars["conventional_lock"] = "".join(f"{pin}\n" for pin in pins)
    answering = fleet.hosts(roots)
    with silent() as address:
        quiet = answering.with_name("quiet.yml")
        shutil.copy(answering, quiet)
        quiet = fleet.hosts(roots, wavesmith_package_index=address).rename(quiet)
        answering = fleet.hosts(roots)
        role = ("ansible-playbook", "-i", str(answering), "benchmarks/conventional.yml")
        fleet.run(*role[:-1], "--limit", "host00", role[-1])  # makes what both others check
        asked = fleet.folder / "pyinfra_hosts.py"
        data = {"system_packages": SYSTEM_PACKAGES, "environment": f"{fleet.folder}/others", "packages": pins}
        data |= {"ssh_hostname": "127.0.0.1", "ssh_port": fleet.port, "ssh_key": f"{fleet.folder}/key"}
        data |= {"ssh_strict_host_key_checking": "no", "ssh_known_hosts_file": f"{fleet.folder}/known"}
        asked.write_text(f"data = {data!r}\nhosts = [(f'host{{place:02}}', data) for place in range(10)]\n")
        argv = [tool, "-y", str(asked), str(ROOT / "benchmarks" / "pyinfra_checks.py")]

        def pyinfra() -> float:
            start = time.perf_counter()
            done = subprocess.run(argv, cwd=fleet.folder, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(f"pyinfra failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
            return time.perf_counter() - start

        ours, still, theirs = in_turn(rounds, lambda: fleet.site(answering), lambda: fleet.site(quiet), pyinfra)
        beside, conventional = in_turn(1, lambda: fleet.site(answering), lambda: fleet.run(*role), warm=True)
    mine, other = statistics.median(ours), statistics.median(theirs)
    slow, near = statistics.median(conventional), statistics.median(beside)
    stopped = statistics.median(still)
    return [
        ("the same 10 hosts, a package index that says nothing", f"{stopped:.2f} s", "as with one that answers", f"{stopped / mine:.2f} times that ({mine:.2f} s)"),
        ("the same 10 hosts, pyinfra 3.10: apt, venv, pip", f"{other:.2f} s", "ours not slower", f"ours {mine / other:.2f} times that; it compares no file"),
        ("the same 10 hosts, a conventional role", f"{slow:.1f} s", "10 times ours", f"{slow / near:.1f} times ours ({near:.2f} s)"),
    ]  # fmt: skip


def _pyinfra() -> str:
    """pyinfra in a virtual environment of its own."""
    folder = ROOT / ".cache" / "benchmarks" / "pyinfra"
    if not (folder / "bin" / "pyinfra").exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run(
            [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", PYINFRA],
            check=True,
            stderr=subprocess.DEVNULL,
        )
    return str(folder / "bin" / "pyinfra")
