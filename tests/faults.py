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
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "collections")]

from ansible_collections.wavesmith.provision.plugins.module_utils.host import store  # noqa: E402
from ansible_collections.wavesmith.provision.plugins.module_utils.host.wheels import kept_wheel  # noqa: E402

from tests import faults_ssh, faults_world  # noqa: E402
from tests.faults_base import DAMAGES, Place, Row, converge, in_child  # noqa: E402
from tests.unit import builder  # noqa: E402


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
            rows.append((f"{kind} at event {at} of {whole}", kind, place.runs() or "BROKEN", converge(place, "two")))
    return rows


def events(folder: Path) -> int:
    """How many events a whole run has."""
    place = Place(folder)
    place.provision("one")
    return _counted(partial(place.provision, "two"))


def _counted(work: Callable[[], object]) -> int:
    """How many events something has, told by a pipe."""
    reading, writing = os.pipe()
    in_child(work, lambda _event, _seen: _tell(writing))
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


def built(count: int) -> list[Row]:
    """The builder of a wheel is killed; what it leaves is no wheel, and the next build makes one."""
    with tempfile.TemporaryDirectory() as name:
        whole = _counted(partial(_build, Path(name)))
    rows = []
    for number in range(count):
        at = 1 + number * number * whole // count**2  # most of the events are the removal of what it was built in
        with tempfile.TemporaryDirectory() as name:
            in_child(partial(_build, Path(name)), partial(_killed, at))
            left = sorted(Path(name, "root", "wheels").glob("*/*.whl"))
            whole_ones = [path for path in left if kept_wheel(str(Path(name, "root")), path.parent.name)]
            then = "a whole wheel" if left and left == whole_ones else "no wheel" if not left else f"BROKEN: {left}"
            try:
                made = _build(Path(name))
                kept_wheel(str(Path(name, "root")), made.name)
                again = "yes"
            except Exception as error:
                again = f"no: {type(error).__name__}: {error}"[:90]
            rows.append((f"SIGKILL of the builder at event {at} of {whole}", "SIGKILL of the builder", then, again))
    return rows


def _build(folder: Path) -> Path:
    for left in ("root/toolbox", "root/state"):  # it makes these itself
        shutil.rmtree(folder / left, ignore_errors=True)
    host = builder.Host(folder)
    return host.build(host.recipe())


def _killed(at: int, _event: str, seen: int) -> None:
    if seen == at:
        os.kill(os.getpid(), signal.SIGKILL)


MARKS = ("<!-- tests/faults.py: begin -->", "<!-- tests/faults.py: end -->")


def summary(rows: list[Row]) -> str:
    """By kind: how many, what the host had afterwards, and how many of the next runs got to what is wanted."""
    kinds: dict[str, list[Row]] = {}
    for row in rows:
        kinds.setdefault(KINDS.get(row[1], row[1]), []).append(row)
    lines = ["| fault | injected | `current` broken | the next run converged |", "| --- | --- | --- | --- |"]
    for kind, found in [*kinds.items(), ("all", rows)]:
        broken, well = sum("BROKEN" in row[2] for row in found), sum(row[3] == "yes" for row in found)
        lines.append(f"| {kind} | {len(found)} | {broken} | {well} |")
    return "\n".join(lines)


KINDS = {
    "kept file": "a file that is kept, or `current`: gone, empty, cut off, foreign, no text, a folder, a dangling link",
    "SIGKILL": "SIGKILL of what makes a generation, at moments spread over it",
    "full disk": "disk full from a moment on",
    "clock": "clock wrong by a year",
    "read-only": "root, or a part of it, read-only",
    "controllers": "two that make a generation at once",
    "uv's cache": "every file of uv's cache damaged",
    "wheelhouse": "a wheelhouse that lies",
    "made anew": "a host made anew under its old name",
}
"""What the kinds of rows are called for people."""


def main() -> int:
    """Inject, and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=80, help="moments at which it is killed (default: 80)")
    parser.add_argument("--full", type=int, default=60, help="moments at which the disk is full (default: 60)")
    parser.add_argument("--builds", type=int, default=16, help="moments at which a builder is killed (default: 16)")
    parser.add_argument("--ssh", type=int, default=3, help="moments of each fault of a whole run over SSH (default: 3)")
    parser.add_argument("--write", action="store_true", help="put the numbers by kind into docs/fleet.md")
    parser.add_argument(
        "--table", type=Path, default=Path("artifacts/faults.md"), help="the table (default: artifacts/faults.md)"
    )
    options = parser.parse_args()
    rows = [*damaged(), *timed(options.kills, "SIGKILL"), *timed(options.full, "full disk"), *faults_world.rows()]
    rows += [*built(options.builds), *faults_ssh.rows(options.ssh)]
    broken = sum("BROKEN" in row[2] for row in rows)
    astray = [row for row in rows if row[3] != "yes"]
    counts = Counter(row[1] for row in rows)
    options.table.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        f"| {' | '.join(row)} |"
        for row in [("hit", "kind", "the host then", "the next run converged"), ("---",) * 4, *rows]
    ]
    options.table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(summary(rows))
    if options.write:
        document = ROOT / "docs" / "fleet.md"
        head, begin, rest = document.read_text(encoding="utf-8").partition(MARKS[0])
        _, end, tail = rest.partition(MARKS[1])
        document.write_text(f"{head}{begin}\n\n{summary(rows)}\n\n{end}{tail}", encoding="utf-8")
    print(
        f"{len(rows)} faults ({json.dumps(counts)}): {broken} left current broken, {len(astray)} did not converge; {options.table}"
    )
    for row in astray[:40]:
        print(" ", " | ".join(row))
    return 1 if broken or astray else 0


if __name__ == "__main__":
    sys.exit(main())
