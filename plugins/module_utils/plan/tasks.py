"""What the roles of each phase get from a plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import cast

from ..records.plan import CondaPlan
from ..records.task import ChannelLockTask, CodeFile, InstallTask, LockTask, OwnWheelFile, Tasks
from ..records.wheel import KeptWheel
from ..wanted.weights import key
from .lockfile import before
from .record import EnvironmentPlan, Plan


def tasks(
    planned: Plan,
    locks: Mapping[str, str],
    known: Sequence[str] = (),
    bundle: str = "",
    upgrade: Sequence[str] = (),
) -> Tasks:
    """What the roles of each phase get: everything in plain data, so that no decision is left for a template."""
    todo: Tasks = {"build": [], "lock": [], "weights": [], "install": [], "verify": [], "activate": {}, "current": []}
    for item in planned.environments:
        if "build" in item.phases:
            todo["build"] += [wheel.spec for wheel in item.wheels if wheel.status == "build"]
        if "lock" in item.phases:
            todo["lock"] += _to_lock(item, locks, known, bundle, upgrade)
        if "install" in item.phases:
            todo["install"].append(_to_install(item, locks, bundle))
        if "weights" in item.phases:
            todo["weights"] += item.weights
        if "verify" in item.phases:
            todo["verify"].append({"environment": item.name, "generation": _known(item.generation)})
        if item.current:
            todo["current"].append({"environment": item.name, "generation": item.current})
        if "activate" in item.phases:
            todo["activate"][item.name] = _known(item.generation)
    # Wheels of one key are built once, whichever environments need them.
    todo["build"] = list({spec.get("key", spec["name"]): spec for spec in todo["build"]}.values())
    todo["weights"] = list({key(weights): weights for weights in todo["weights"]}.values())
    return todo


def _to_lock(
    item: EnvironmentPlan, locks: Mapping[str, str], known: Sequence[str], bundle: str, upgrade: Sequence[str]
) -> list[LockTask | ChannelLockTask]:
    found: list[LockTask | ChannelLockTask] = []
    if item.lock["status"] != "hit":
        task: LockTask = {
            "environment": item.name,
            "generation": item.generation,
            "python": item.python,
            "origin_url": item.origin_url,
            "wheels": _wheels(item),
            "key": item.lock["key"],
            "inputs": item.lock["inputs"],
            "requirements": item.lock["requirements"],
            "overrides": item.lock["overrides"],
            "declared": item.lock["declared"],
            "banned": item.lock["banned"],
        }
        if bundle:
            task["bundle"] = bundle.rstrip("/")
        if known:
            task["known"] = list(known)
        if upgrade and "*" not in upgrade:
            task["before"], task["upgrade"] = before(locks, item.lock["key"]), list(upgrade)
        found.append(task)
    if item.conda and item.conda["status"] != "hit":
        asked = item.conda
        found.append(
            {
                "environment": item.name,
                "key": asked["key"],
                "specs": asked["specs"],
                "channels": asked["channels"],
                "subdir": asked["subdir"],
                "banned": asked["banned"],
                "offline": asked["offline"],
            }
        )
    return found


def _to_install(item: EnvironmentPlan, locks: Mapping[str, str], bundle: str) -> InstallTask:
    conda: CondaPlan = {**item.conda, "lock": locks.get(item.conda["key"], "")} if item.conda else {}
    task: InstallTask = {
        "environment": item.name,
        "generation": _known(item.generation),
        "digest": _known(item.digest),
        "stack": item.stack,
        "backend": item.backend,
        "versions": item.versions,
        "origin": item.origin,
        "origin_url": item.origin_url,
        "variant": item.variant,
        "engine": item.engine,
        "python": item.python,
        "imports": item.imports,
        "accelerated": item.accelerated,
        "variables": item.variables,
        "sms": item.sms,
        "prebuilt": item.prebuilt,
        "held": item.held,
        "overrides": item.overrides,
        "models": item.models,
        "wheels": _wheels(item),
        "projects": [cast(OwnWheelFile, asdict(wheel)) for wheel in item.projects],
        "code": [cast(CodeFile, asdict(archive)) for archive in item.code],
        "key": item.lock["key"],
        "lock": locks.get(item.lock["key"], ""),
        "conda": conda,
        "constraints": item.constraints,
        "links": item.links,
    }
    if bundle:
        task["bundle"] = bundle.rstrip("/")
    return task


def _wheels(item: EnvironmentPlan) -> list[KeptWheel]:
    return [{"name": wheel.name, "key": _known(wheel.key)} for wheel in item.wheels]


def _known(name: str | None) -> str:
    """A name that is known when the task runs; before, in check mode on a bare host, it is `None`, and the task does nothing."""
    return cast(str, name)
