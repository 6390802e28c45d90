"""The lock of an environment: what is asked of the resolver, and whether the lock at hand answers it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from ..records.host import Observed
from ..terms import names
from ..terms.digest import digest
from ..terms.refusal import Refusal
from ..wanted.catalog import INDEX, Catalog, Origin, Package, Stack
from ..wanted.project import Project
from . import guard, lockfile
from .ask import Asks, for_torch
from .ask import overrides as narrowed
from .lockfile import repositories
from .record import SCHEMA, EnvironmentPlan


def lock_of(
    item: EnvironmentPlan,
    asks: Asks,
    projects: Sequence[Project],
    stack: Stack,
    origin: Origin,
    named: Sequence[str],
    observed: Observed,
    locks: Mapping[str, str],
) -> tuple[Refusal, ...]:
    """Settle the lock of an environment; refusals where the one at hand is damaged."""
    local = f"+{origin.local_version}" if origin.kind == INDEX and origin.local_version else ""
    pins = {name: f"{name}{_pin(version, local)}" for name, version in sorted(stack.versions.items())}
    brought = [f"{name}=={version}" for name, version in sorted(stack.brings.items())]
    minor = ".".join(item.python["version"].split(".")[:2])
    built = {wheel.name: wheel.version for wheel in item.wheels}
    requirements = sorted(
        {requirement for package in asks.packages for requirement in for_torch(package, stack)}
        | {requirement for project in projects for requirement in project.requires}
        | {f"{name}=={version}" for name, version in built.items()}
    )
    overrides = {line for package in asks.packages for line in package.overrides}
    overrides |= {line for project in projects for line in project.overrides}
    requirements, overridden = (
        [*(pins[name] for name in sorted(named)), *stack.requires, *requirements],
        sorted({*pins.values(), *brought, *stack.requires, *narrowed({*overrides, *stack.overrides}, asks.lines)}),
    )
    inputs = {
        "requirements": requirements,
        "overrides": overridden,
        "built": sorted(built),
        "python": minor,
        "architecture": observed["cpu"]["architecture"],
        "origin": item.origin,
        "schema": SCHEMA,
    }
    # Index wheels do not depend on the CPU's instruction set, so one lock serves all ISA levels of an architecture.
    stem = f"{item.name}-python{minor.replace('.', '')}-{stack.backend}-{inputs['architecture']}-{item.origin}"
    found = lockfile.find(stem, digest(inputs), locks)
    text, at_hand = found.text, found.status == "hit"
    # The family's members that were asked for, and once the lock is there also those that something else needs.
    resolved = guard.locked(text) if at_hand else {}
    unpinned = {repository.name for repository in repositories(text)}
    item.versions = {
        name: resolved.get(name, version) if version.startswith(">=") else version
        for name, version in stack.versions.items()
        if name in named or name in resolved or name in built
    }
    # Without a stack nothing decides the versions of the torch family, so what brings it in is refused. Only a line of the inventory can ask for one of it.
    banned = sorted(_deciding(asks.catalog) - set(asks.lines) - set(item.versions)) if not stack.versions else []
    item.lock = {
        "key": found.key,
        "status": found.status,
        "inputs": digest(inputs),
        "requirements": requirements,
        "overrides": overridden,
        "built": sorted(built),
        "banned": banned,
        "sha256": hashlib.sha256(text.encode()).hexdigest() if at_hand else None,
        "declared": [
            *([declared.requirement, declared.by] for project in projects for declared in project.declared),
            *([line, f"the overrides of {project.name}"] for project in projects for line in project.overrides),
        ],
    }
    family = [*stack.versions, *stack.brings, *map(names.name_of, (*stack.requires, *stack.overrides)), *banned]
    overriding = [(package.name, package.overrides) for package in asks.packages]
    item.held = guard.held(stack.name if stack.versions else "", family, overriding, projects)
    item.overrides = guard.contradicted(
        [
            declared
            for project in projects
            for declared in project.declared
            if names.name_of(declared.requirement) not in unpinned
        ],
        {name: version for name, version in {**item.versions, **resolved, **built}.items() if version[0].isdigit()},
        item.held,
        item.python["version"],
        observed["cpu"]["architecture"],
        at_hand,
    )
    return found.damage


def _deciding(catalog: Catalog) -> set[str]:
    """The torch family and what its wheels bring (triton). What a stack requires beside it, such as numpy, anybody may have."""
    return {name for stack in catalog.stacks.values() for name in (*stack.versions, *stack.brings)}


def imports_of(packages: Sequence[Package], lock: str | None) -> dict[str, str]:
    """The module of each package that must import; empty where only the installed package has it. The lock lists what is there at all."""
    found = {package.name: package.module for package in packages if package.module}
    unknown = [
        package.name
        for package in packages
        if not package.module and "@" not in package.name and "+" not in package.name
    ]
    if lock is not None:
        fetched = {repository.name for repository in repositories(lock)}
        there = {*guard.locked(lock), *fetched}
        unknown = [*(name for name in unknown if names.normal(name) in there), *(fetched - {*map(names.normal, found)})]
    return {**found, **dict.fromkeys(unknown, "")}


def _pin(version: str, local: str) -> str:
    """``==2.11.0+cpu``; a nightly stack's ``>=2.16.0.dev0`` stays as it is."""
    return version if version.startswith(">=") else f"=={version}{local}"
