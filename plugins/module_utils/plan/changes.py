"""What another generation changes: packages that come, go, or get another version."""

from __future__ import annotations

from collections.abc import Mapping

from ..terms.names import normal
from ..wanted.project import OwnWheel
from . import guard, lockfile
from .record import WheelPlan


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """``+ a 1.2``, ``- b``, ``c 1.0 → 1.1``, in the order of the names.

    Args:
        before: Version of each package of the generation in use.
        after: Version of each package of the other one; empty where only its name is known.
    """
    found = []
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old is None:
            found.append(f"+ {name} {new}".rstrip())
        elif new is None:
            found.append(f"- {name}")
        elif new and not _same(old, new):
            found.append(f"{name} {old} → {new}")
    return found


def _same(one: str, other: str) -> bool:
    """Whether two versions are one: a wheel of ours may have a local part that its recipe does not name, and zeros say nothing."""
    if ("+" in one) != ("+" in other):
        one, other = one.partition("+")[0], other.partition("+")[0]
    return [part.lstrip("0") for part in one.split(".")] == [part.lstrip("0") for part in other.split(".")]


def wanted_packages(lock: str, wheels: list[WheelPlan], projects: list[OwnWheel]) -> dict[str, str]:
    """Version of each package that a generation of this lock and these wheels will have; empty where it is not known before it is built."""
    return {
        **{repository.name: "" for repository in lockfile.repositories(lock)},
        **guard.locked(lock),
        **{wheel.name: wheel.version for wheel in wheels},
        **{normal(file[0]): file[1] for file in (project.file.split("-") for project in projects)},
    }
