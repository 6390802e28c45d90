#!/usr/bin/env python3
"""Inject faults into the making of generations and into what is kept on a host, and write a table of what they did: `make faults`.

For each: what was hit, whether `current` names a whole generation afterwards, and whether the next run gets to the wanted one. Killing and full
disks hit the k-th thing that the work does to files or processes; damage hits each file that is kept.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import signal
import sys
import tempfile
from collections import Counter
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "collections")]

from ansible_collections.wavesmith.provision.plugins.module_utils.host import store  # noqa: E402

from tests import faults_world  # noqa: E402
from tests.faults_base import DAMAGES, Place, Row, converge, in_child  # noqa: E402


def timed(count: int, kind: str) -> list[Row]:
    """Kill, or a full disk, at so many moments spread over a run."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        whole = events(Path(name))
    for number in range(count):
        at = 1 + number * whole // count
        with tempfile.TemporaryDirectory() as name:
            place = Place(Path(name))
            place.provision("one")

            def hook(event: str, seen: int, at: int = at) -> None:
                if seen == at and kind == "SIGKILL":
                    os.kill(os.getpid(), signal.SIGKILL)
                if seen >= at and kind != "SIGKILL" and event != "os.remove":
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

            in_child(partial(place.provision, "two"), hook)
            rows.append((f"{kind} at event {at} of {whole}", "run", place.runs() or "BROKEN", converge(place, "two")))
    return rows


def events(folder: Path) -> int:
    """How many events a whole run has, told through its exit by a pipe."""
    place = Place(folder)
    place.provision("one")
    reading, writing = os.pipe()
    in_child(partial(place.provision, "two"), lambda _event, _seen: _tell(writing))
    os.close(writing)
    with os.fdopen(reading, "rb") as said:
        return len(said.read())


def _tell(writing: int) -> None:
    os.write(writing, b".")


KEPT = (
    "state/lock", "state/speech.history.json", "state/build-memory.json", "envs/speech/current", "envs/speech/one/wavesmith/manifest.json",
    "envs/speech/one/wavesmith/verdict.json", "envs/speech/one/wavesmith/files.json", "envs/speech/one/bin/python", "bin/wavesmith-run",
    "envs/speech/one/pip.conf",
)  # fmt: skip


def damaged() -> list[Row]:
    """Each file that is kept, damaged in each way."""
    rows = []
    for file in KEPT:
        for damage, harm in DAMAGES.items():
            with tempfile.TemporaryDirectory() as name:
                place = Place(Path(name))
                place.provision("one")
                path = Path(place.root, file)
                if not path.exists():
                    store.write_json(str(path), {})
                if path.is_symlink() and damage in (
                    "empty",
                    "cut off",
                    "a foreign list",
                    "a foreign mapping",
                    "no text",
                ):
                    path.unlink()
                    path.write_text("")
                harm(path)
                rows.append((f"{file} is {damage}", "kept file", _survey(place), converge(place, "two")))
    return rows


def _survey(place: Place) -> str:
    """What the next observation says of it; it never fails."""
    try:
        seen = store.survey(place.root, ["speech"])["environments"]["speech"]["current"]
    except Exception as error:
        return f"BROKEN: {type(error).__name__}: {error}"[:90]
    return "none" if seen is None else f"{seen['generation']}{', damage seen' if seen['damaged'] else ''}"


def main() -> int:
    """Inject, and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=80, help="moments at which it is killed (default: 80)")
    parser.add_argument("--full", type=int, default=60, help="moments at which the disk is full (default: 60)")
    parser.add_argument(
        "--table", type=Path, default=Path("artifacts/faults.md"), help="the table (default: artifacts/faults.md)"
    )
    options = parser.parse_args()
    rows = [*damaged(), *timed(options.kills, "SIGKILL"), *timed(options.full, "full disk"), *faults_world.rows()]
    broken = sum("BROKEN" in row[2] for row in rows)
    astray = [row for row in rows if row[3] != "yes"]
    counts = Counter(row[0].split(" at event")[0] if " at event" in row[0] else row[1] for row in rows)
    options.table.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        f"| {' | '.join(row)} |"
        for row in [("hit", "kind", "the host then", "the next run converged"), ("---",) * 4, *rows]
    ]
    options.table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(
        f"{len(rows)} faults ({json.dumps(counts)}): {broken} left current broken, {len(astray)} did not converge; {options.table}"
    )
    for row in astray[:40]:
        print(" ", " | ".join(row))
    return 1 if broken or astray else 0


if __name__ == "__main__":
    sys.exit(main())
