"""The lock of an environment: what is asked of the resolver, and whether the lock at hand answers it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from ..records.host import Observed
from ..terms import names
from ..terms.digest import digest
from ..terms.refusal import Refusal
from ..wanted.catalog import INDEX, Origin, Package, Stack
from ..wanted.project import Project
from . import guard, lockfile
from .record import SCHEMA, EnvironmentPlan


def lock_of(
    item: EnvironmentPlan,
    packages: Sequence[Package],
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
        {requirement for package in packages for requirement in package.requires}
        | {requirement for project in projects for requirement in project.requires}
        | {f"{name}=={version}" for name, version in built.items()}
    )
    overrides = {line for package in packages for line in package.overrides}
    overrides |= {line for project in projects for line in project.overrides}
    requirements, overridden = (
        [*(pins[name] for name in sorted(named)), *stack.requires, *requirements],
        sorted({*pins.values(), *brought, *stack.requires, *overrides}),
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
    item.versions = {
        name: resolved.get(name, version) if version.startswith(">=") else version
        for name, version in stack.versions.items()
        if name in named or name in resolved or name in built
    }
    item.lock = {
        "key": found.key,
        "status": found.status,
        "inputs": digest(inputs),
        "requirements": requirements,
        "overrides": overridden,
        "built": sorted(built),
        "sha256": hashlib.sha256(text.encode()).hexdigest() if at_hand else None,
        "declared": [
            *([declared.requirement, declared.by] for project in projects for declared in project.declared),
            *([line, f"the overrides of {project.name}"] for project in projects for line in project.overrides),
        ],
    }
    family = [*stack.versions, *stack.brings, *map(names.name_of, stack.requires)]
    item.held = guard.held(stack.name, family, [(package.name, package.overrides) for package in packages], projects)
    item.overrides = guard.contradicted(
        [declared for project in projects for declared in project.declared],
        {name: version for name, version in {**item.versions, **resolved, **built}.items() if version[0].isdigit()},
        item.held,
        item.python["version"],
        observed["cpu"]["architecture"],
        at_hand,
    )
    return found.damage


def _pin(version: str, local: str) -> str:
    """``==2.11.0+cpu``; a nightly stack's ``>=2.16.0.dev0`` stays as it is."""
    return version if version.startswith(">=") else f"=={version}{local}"
