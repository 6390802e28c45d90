"""What the process of a check loaded, looked for in vain, and started: what its finding depends on, seen and not declared."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..records.generation import Touched
from .base import below

STARTED: Mapping[str, int] = {"subprocess.Popen": 0, "os.system": -1, "os.posix_spawn": 0, "os.exec": 0, "os.fork": -1}
"""Events of a process that is started, and which of their arguments is the program; -1 where none is."""


class Watch:
    """Sees what one process does, from its beginning: a nursery has one, and the children that it forks inherit it.

    Args:
        prefix: The environment's folder.
        root: Wavesmith's folder: its other environments are not the system's either.
    """

    def __init__(self, prefix: Path, root: Path) -> None:
        self._own = [os.path.realpath(folder) for folder in (prefix, root) if folder.is_absolute()]
        self._missing: set[str] = set()
        self._unknown = False
        sys.meta_path.append(self)  # asked last: for what nobody else found
        sys.addaudithook(self._heard)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        """A module that is not there."""
        if path is None:
            self._missing.add(name.partition(".")[0])

    def find_distributions(self, context: Any = None) -> Sequence[Any]:
        """A distribution that is not there."""
        name = getattr(context, "name", None)
        if name:
            self._missing.add(str(name))
        return ()

    def begin(self) -> None:
        """In a child, before its check."""
        self._unknown = False

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in STARTED and not self._unknown:
            place = STARTED[event]
            self._unknown = place < 0 or not self._systems(arguments[place], arguments[1] if len(arguments) > 1 else ())

    def _systems(self, program: Any, argv: Any) -> bool:
        """Whether a program is the system's own, and runs nothing else: what it does changes with the system only."""
        named = os.fsdecode(program or (argv[0] if argv else ""))
        found = shutil.which(named) or named
        real = os.path.realpath(found)
        plain = os.path.basename(real).partition(".")[0] not in ("sh", "bash", "dash", "env", "python3", "python")
        return bool(plain and os.path.isabs(found) and not any(below(real, folder) for folder in self._own))

    def seen(self) -> Touched | None:
        """What was touched; `None` where a program was started whose doings are not known."""
        if self._unknown:
            return None
        paths = {str(getattr(module, "__file__", None) or "") for module in list(sys.modules.values())}
        try:
            with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
                paths |= {line.split(None, 5)[5].rstrip("\n") for line in maps if line.count(" /")}
        except OSError:
            return None  # which libraries it loaded is not known
        found = {part for path in paths for part in [_component(path)] if part}
        return {"components": sorted(found), "missing": sorted(self._missing)}


def _component(path: str) -> str:
    """The first part of a path below `site-packages`; empty where it is not there."""
    _, there, rest = path.partition("/site-packages/")
    return rest.partition("/")[0] if there else ""
