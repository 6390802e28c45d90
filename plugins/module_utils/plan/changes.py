"""What another generation changes: packages that come, go, or get another version."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ..records.generation import GenerationManifest
from ..terms.names import name_of, normal
from ..wanted.project import OwnWheel
from . import guard, lockfile
from .record import EnvironmentPlan, WheelPlan


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


def expected(item: EnvironmentPlan, before: GenerationManifest | None, lock: str, base: Collection[str]) -> list[str]:
    """What the next generation of an environment changes, as far as it is known.

    Args:
        item: The environment, with what is asked of its resolver.
        before: The manifest of the generation in use; `None` where there is none.
        lock: The text of its lock; empty before it was resolved: then it is what was asked for that differs.
        base: Packages that every environment has.
    """
    asked = {name: said for name, said in map(_asked, item.lock["requirements"]) if name not in base}
    there: Mapping[str, str] = before.get("packages", {}) if before else {}
    imported: Mapping[str, str] = before.get("imports", {}) if before else {}
    if lock:
        after = wanted_packages(lock, item.wheels, item.projects)
        if there and before:
            return changes(there, after) or _around(item, before)
        named = {name: after[name] for name in asked if name in after}
        more = len(after) - len(named)
        return [*changes({}, named), *([f"+ {more} that these need"] if more else [])]
    if not there:
        return [*(f"+ {name}" for name in sorted(asked)), "+ what these need: known after the lock"]
    told = {normal(name) for name in imported}
    found = {name: f"+ {name}" for name in asked if name not in there}
    found |= {name: f"- {name}" for name in told - {*asked, *base, *map(normal, item.imports)}}
    found |= {
        name: f"{name} {there[name]} → {said}"
        for name, said in asked.items()
        if name in there and not _fits(there[name], said)
    }
    return [*(found[name] for name in sorted(found)), "all other versions: known after the lock"]


def _around(item: EnvironmentPlan, before: GenerationManifest) -> list[str]:
    """Why another generation is wanted though no package differs."""
    pairs = (
        ("stack", before.get("stack"), item.stack),
        ("origin", before.get("origin"), item.origin),
        ("engine", before.get("engine"), item.engine),
        ("Python", before["python"]["version"] if "python" in before else "", item.python["version"]),
    )
    found = [f"{name} {old} → {new}" for name, old, new in pairs if old and old != new]
    return found or [
        "no package: what Wavesmith itself puts into an environment is another version now, or its settings are"
    ]


def _asked(line: str) -> tuple[str, str]:
    """The name and the versions of a requirement line."""
    fetched = lockfile.repositories(line)
    if fetched:
        return fetched[0].name or fetched[0].url, ""
    name = name_of(line)
    return name, line.partition(";")[0][len(name) :].partition("]")[2 if "[" in line else 0].strip()


def _fits(version: str, wanted: str) -> bool:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        return SpecifierSet(wanted).contains(version, prereleases=True)
    except InvalidSpecifier:
        return True


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
