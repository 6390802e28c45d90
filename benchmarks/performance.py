#!/usr/bin/env python3
"""All figures that have a bound, measured in one run side by side with what they are compared with, and written to docs/performance.md.

make benchmark            # about eight minutes on two cores; `--quick` leaves out the largest fleets
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "collections")]
DOCUMENT = ROOT / "docs" / "performance.md"
from ansible_collections.wavesmith.provision.plugins.module_utils.host import store  # noqa: E402

from benchmarks import fleet, generation  # noqa: E402
from benchmarks.fleet import Row  # noqa: E402


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


def idle(options: argparse.Namespace) -> list[Row]:
    """Fleets over SSH."""
    if not fleet.SSHD:
        return [("runs over SSH", "not measured: sshd is not here", "", "")]
    with tempfile.TemporaryDirectory(prefix="wavesmith-fleet-") as name, fleet.sshd(Path(name)) as port:
        return fleet.measure(Path(name), port, options.rounds, [1, 10] if options.quick else [1, 5, 10, 20])


def generations() -> list[Row]:
    """What a generation takes that differs in one package from the one in use."""
    with tempfile.TemporaryDirectory(prefix="wavesmith-generation-") as name:
        made = {
            which: (wall, copied)
            for which, wall, _, copied in generation.rounds(
                Path(name), generation.PACKAGES, ["first", "second", "third", "fourth"]
            )
        }
    said = {"second": ", when it copies the files of the first", "third": "", "fourth": ", the next one"}
    return [
        (
            f"a generation that differs in one package ({' and '.join(generation.PACKAGES)}){more}",
            f"{made[which][0]:.2f} s",
            "2 s",
            f"{made[which][0] / made[which][1]:.2f} times `cp -a` of it ({made[which][1]:.2f} s)",
        )
        for which, more in said.items()
    ]


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
    parser.add_argument("--quick", action="store_true", help="leave out the largest fleets")
    parser.add_argument("--rounds", type=int, default=3, help="times that each pair is measured (default: 3)")
    options = parser.parse_args()
    parts: list[Callable[[], list[Row]]] = [
        lambda: plans([1000] if options.quick else [1000, 10000]),
        lambda: idle(options),
        generations,
        lambda: [switches(100), hits(options.rounds)],
    ]
    rows: list[Row] = []
    for part in parts:
        rows += part()
        print(" | ".join(rows[-1]), file=sys.stderr, flush=True)
    load, cores = os.getloadavg()[0], os.cpu_count()
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    DOCUMENT.write_text(
        "# Performance\n\n"
        f"Written by `make benchmark` on {platform.machine()}, {cores} cores, Python {platform.python_version()}, with a load of {load:.1f} at its end. "
        "Seconds\ndiffer between machines and with what else they do; a ratio compares two things that were measured in turn, in one run. Nothing fails\n"
        "because a machine is slow. The hosts are this machine, by an SSH server on the loopback, each with a folder of its own: controller and hosts share its cores. What each\n"
        "script measures: [benchmarks/README.md](../benchmarks/README.md).\n\n"
        f"| measured | result | bound | of it |\n| --- | --- | --- | --- |\n{table}\n",
        encoding="utf-8",
    )
    print(DOCUMENT.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
