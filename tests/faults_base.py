"""What the injections of faults share: a host's folder with a generation in use, a run in a process of its own, and the next run."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
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
"""What was hit, its kind, the host then, and whether the next run converged."""


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


def in_child(work: Callable[[], object], hook: Callable[[str, int], None]) -> int:
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
