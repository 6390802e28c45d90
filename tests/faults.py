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
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "collections")]

from ansible_collections.wavesmith.provision.plugins.module_utils.host import store  # noqa: E402
from ansible_collections.wavesmith.provision.plugins.module_utils.host.store import StoreError  # noqa: E402

from tests.unit.test_prefix import Host  # noqa: E402


def _replaced(path: Path) -> Path:
    path.unlink()
    return path


EVENTS = ("open", "os.rename", "os.mkdir", "os.symlink", "os.remove", "os.rmdir", "subprocess.Popen", "shutil.rmtree")
DAMAGES: dict[str, Callable[[Path], None]] = {
    "gone": lambda path: path.unlink(),
    "empty": lambda path: path.write_text(""),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[: max(1, path.stat().st_size // 2)]),
    "a foreign list": lambda path: path.write_text("[1, 2]"),
    "a foreign mapping": lambda path: path.write_text('{"schema": 99, "pid": "x"}'),
    "no text": lambda path: path.write_bytes(os.urandom(200)),
    "a folder": lambda path: _replaced(path).mkdir(),
    "a dangling link": lambda path: _replaced(path).symlink_to("nowhere"),
}
Row = tuple[str, str, str, str]


class Place:
    """A host's folder in which a generation is current, and another one is wanted."""

    def __init__(self, folder: Path) -> None:
        self.host = Host(folder)
        self.host.serve("tiny", {"tiny.py": ""})
        self.root, self.folder = str(self.host.root), folder / "root" / "envs" / "speech"

    def provision(self, name: str) -> None:
        """All the way: prefix, packages, verdict, switch."""
        with store.locked(self.root, "a run"):
            self.host.install(name)
            verdict = {"schema": 1, "verdict": "healthy", "exit": 0, "checks": []}
            store.write_json(os.path.join(self.folder, name, store.VERDICT), verdict)
            store.activate(self.root, "speech", name)

    def runs(self) -> str:
        """What `current` names; empty where it is not a whole generation."""
        now = store.pointed(str(self.folder)) or ""
        return now if now and not store.damage(str(self.folder / now)) else ""


def in_child(work: Callable[[], None], hook: Callable[[str, int], None]) -> int:
    """Run something in a process of its own, with each of its events counted; its exit status."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    seen = 0

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        if event in EVENTS and (event != "open" or writes(arguments)):
            seen += 1
            hook(event, seen)

    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 2)
    try:
        sys.addaudithook(audit)
        work()
    except BaseException:
        os._exit(1)
    os._exit(0)


def writes(arguments: tuple[Any, ...]) -> bool:
    """Whether an `open` event is one for writing."""
    return isinstance(arguments[2], int) and bool(arguments[2] & (os.O_WRONLY | os.O_RDWR))


def converge(place: Place, name: str) -> str:
    """Whether the next run, left alone, ends at what is wanted; it may need a new name where the old one is taken."""
    for attempt in (name, f"{name}-r1"):
        try:
            place.provision(attempt)
        except (StoreError, OSError, Exception) as error:  # what it says is the row's own
            said = str(error).splitlines()[0][:90] if str(error) else type(error).__name__
            continue
        return "yes" if place.runs() == attempt else "no"
    return f"no: {said}"


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
    rows = [*damaged(), *timed(options.kills, "SIGKILL"), *timed(options.full, "full disk")]
    broken = sum("BROKEN" in row[2] for row in rows)
    astray = [row for row in rows if row[3] != "yes"]
    counts = Counter(row[0].split(" at event")[0] if " at event" in row[0] else "damage" for row in rows)
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
