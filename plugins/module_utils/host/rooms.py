"""The files of rooms that travel on: into an environment, where its own interpreter runs them."""

from __future__ import annotations

import pkgutil
from collections.abc import Sequence
from types import ModuleType


def sources(rooms: Sequence[ModuleType]) -> dict[str, bytes]:
    """The files of rooms by path. They travel inside a module's archive, which is gone once the connection's own run has ended, so
    they are read before a job is started.
    """
    found: dict[str, bytes] = {}
    for room in rooms:
        folder = room.__name__.rpartition(".")[2]
        for name in ("__init__", *(module.name for module in pkgutil.iter_modules(room.__path__))):
            text = pkgutil.get_data(room.__name__, f"{name}.py")
            if text is not None:
                found[f"{folder}/{name}.py"] = text
    return found
