#!/usr/bin/env python3
"""All figures that have a bound, measured in one run side by side with what they are compared with, and written to docs/performance.md.

make benchmark            # about three minutes on two idle cores; `--quick` leaves out the largest fleet
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "collections")]
DOCUMENT = ROOT / "docs" / "performance.md"
BIN = Path(sys.prefix) / "bin"
SSHD = next((path for path in ("/usr/sbin/sshd", "/usr/local/sbin/sshd") if os.access(path, os.X_OK)), "")
Row = tuple[str, str, str, str]

from ansible_collections.wavesmith.provision.plugins.module_utils.host import store  # noqa: E402


def plans(sizes: list[int]) -> list[Row]:
    """Planning whole fleets, each in a process of its own so that its memory is its own."""
    rows = []
    for size in sizes:
        argv = [sys.executable, str(ROOT / "benchmarks" / "plan_fleet.py"), "--hosts", str(size)]
        said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
        seconds = float(next(line.split()[1] for line in said if line.split()[:1] == [str(size)]))
        memory = said[-1].removeprefix("peak memory ")
        bound = "1 s" if size == 1000 else "10 s, 300 MiB"
        rows.append(
            (
                f"plan of {size:,} hosts, one core",
                f"{seconds:.2f} s, {memory} at most",
                bound,
                f"{1000 * seconds / size:.2f} ms a host",
            )
        )
    return rows


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


def idle(number: int, rounds: int) -> list[Row]:
    """A fleet with nothing to do, and one host of it, against `ansible -m ping` of the same hosts over the same SSH."""
    if not SSHD:
        return [("nothing to do", "not measured: sshd is not here", "", "")]
    with tempfile.TemporaryDirectory(prefix="wavesmith-idle-") as name, sshd(Path(name)) as port:
        folder = Path(name)
        ssh = f"-i {folder}/key -p {port} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
        shared = {
            "ansible_host": "127.0.0.1", "ansible_ssh_common_args": ssh, "wavesmith_environments": {},
            "wavesmith_artifacts": f"{folder}/artifacts", "wavesmith_locks": f"{folder}/locks", "wavesmith_probe_timeout": 10.0,
        }  # fmt: skip
        hosts = {f"host{place:02}": {"wavesmith_root": f"{folder}/root{place}"} for place in range(number)}
        inventory = folder / "hosts.yml"
        inventory.write_text(json.dumps({"all": {"hosts": hosts, "vars": shared}}))
        env = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "WAVESMITH_RECORD": f"{folder}/runs.sqlite"}

        def run(*argv: str) -> float:
            start = time.perf_counter()
            done = subprocess.run(
                [str(BIN / argv[0]), "-i", str(inventory), *argv[1:]],
                cwd=ROOT,
                env=env,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise SystemExit(done.stdout[-2000:] + done.stderr[-2000:])
            return time.perf_counter() - start

        rows = []
        for count, limit in ((number, "all"), (1, "host00")):
            ping, ours = [], []
            for turn in range(rounds + 1):  # the first opens the connections, and is not counted
                times = (
                    run("ansible", limit, "-m", "ansible.builtin.ping"),
                    run("ansible-playbook", "site.yml", "-l", limit),
                )
                if turn:
                    ping.append(times[0])
                    ours.append(times[1])
            ratio = statistics.median(ours) / statistics.median(ping)
            hosts_said = f"{count} hosts" if count > 1 else "one host"
            bound = "1.5 times ping" if count > 1 else "1 s"
            rows.append(
                (
                    f"site.yml, {hosts_said} with nothing to do, over SSH",
                    f"{statistics.median(ours):.2f} s",
                    bound,
                    f"{ratio:.2f} times `ansible -m ping` ({statistics.median(ping):.2f} s)",
                )
            )
        return rows


def switches(rounds: int) -> Row:
    """Switching back and forth between two generations: what a rollback does once its target is known to be whole."""
    with tempfile.TemporaryDirectory(prefix="wavesmith-switch-") as root:
        for name in ("one", "two"):
            for relative, value in ((store.MANIFEST, {"digest": name}), (store.VERDICT, {"exit": 0})):
                store.write_json(os.path.join(store.generation_folder(root, "speech", name), relative), value)
        times = []
        for turn in range(rounds):
            start = time.perf_counter()
            store.activate(root, "speech", ("one", "two")[turn % 2])
            times.append(1000 * (time.perf_counter() - start))
    return (
        "switch to another generation",
        f"{statistics.median(times):.1f} ms",
        "50 ms",
        f"slowest of {rounds}: {max(times):.1f} ms",
    )


def hits(rounds: int) -> Row:
    """Finding a wheel that was built before, and proving that it is the file that was built."""
    from ansible_collections.wavesmith.provision.plugins.module_utils.host.wheels import kept_wheel

    from tests.unit.conftest import make_provenance

    with tempfile.TemporaryDirectory(prefix="wavesmith-hit-") as root:
        place = Path(root, "wheels", "0" * 32)
        place.mkdir(parents=True)
        wheel = place / "tiny-1.0-py3-none-any.whl"
        wheel.write_bytes(os.urandom(64 << 20))
        store.write_json(str(place / "provenance.json"), make_provenance(wheel.name, store.sha256(str(wheel))))
        return (
            "hit in the wheel cache, 64 MiB, sha256 compared",
            _median(lambda: kept_wheel(root, "0" * 32), rounds),
            "0.3 s",
            "",
        )


def _median(work: Callable[[], object], rounds: int) -> str:
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return f"{statistics.median(times):.3f} s"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="leave out the largest fleet")
    parser.add_argument("--rounds", type=int, default=5, help="times that each pair is measured (default: 5)")
    options = parser.parse_args()
    rows = [
        *plans([1000] if options.quick else [1000, 10000]),
        *idle(10, options.rounds),
        switches(100),
        hits(options.rounds),
    ]
    load, cores = os.getloadavg()[0], os.cpu_count()
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    DOCUMENT.write_text(
        "# Performance\n\n"
        f"Written by `make benchmark` on {platform.machine()}, {cores} cores, Python {platform.python_version()}, with a load of {load:.1f} at its end. "
        "Seconds\ndiffer between machines and with what else they do; a ratio compares two things that were measured in turn, in one run. Nothing fails\n"
        "because a machine is slow. Hosts with nothing to do have no environment here, so no files are compared. What each script measures: [benchmarks/README.md](../benchmarks/README.md).\n\n"
        f"| measured | result | bound | of it |\n| --- | --- | --- | --- |\n{table}\n",
        encoding="utf-8",
    )
    print(DOCUMENT.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
