"""The steps of a plan with rough times, and what they need of the system and the disk."""

from __future__ import annotations

from collections.abc import Mapping

from ..records.host import Observed
from ..records.plan import Step
from ..terms.refusal import Refusal
from ..wanted.catalog import PACKAGE_INDEX, Catalog, Stack
from ..wanted.variables import Environment, Wanted
from . import conda
from .choose import NO_STACK
from .inspection import inspection_of
from .origins import asked_source, unsure
from .record import SECONDS, EnvironmentPlan, Plan

UNPACKED = 4.2
"""Room that a byte of a wheel takes: 3.4 unpacked and 0.8 of byte code, as measured for librosa with all that it needs."""
GUESSED_GIB, GUESSED_MOST, GUESSED_LEAST = 0.12, 2.0, 0.3
"""Room for each package that is asked for beside the torch family, GiB, before its lock says what comes with it: `speech` asks for 14 and takes 2."""
TOOLBOX_GIB = 0.15
"""Room of the toolbox, GiB, as measured."""
INSTALLING, INSTALLING_GIB = 15, 45
"""Seconds that an installation takes, and more for each GiB that it writes, on two cores with a fast index."""
VERIFYING, VERIFYING_PACKAGE, VERIFYING_MOST = 15, 4, 75
"""Seconds that the doctor takes, and more for each package that is asked for: `speech` takes 75."""
WEIGHTS_PER_SECOND = 30e6
"""Bytes per second that weights are thought to come with, for the estimate."""


def step(phase: str, name: str, detail: str, seconds: int) -> Step:
    return {"phase": phase, "name": name, "detail": detail, "seconds": seconds}


def room_of(item: EnvironmentPlan, catalog: Catalog, locks: Mapping[str, str]) -> float:
    """Room that a new generation takes, GiB: the stack's as the catalog states it, all else by the sizes of its files.

    Before its lock was resolved, or where the index does not tell sizes, by the number of packages that are asked for.
    """
    if "install" not in item.phases:
        return 0.0
    stack = catalog.stacks.get(item.stack)
    own = next(origin.disk_gib for origin in stack.origins if origin.name == item.origin) if stack else 0.0
    seen = inspection_of(item.lock["key"], locks)
    files = [file for file in seen["files"] if not _of_stack(file["name"], stack)] if seen else []
    sizes = [file["size"] for file in files if "size" in file]
    if sizes and len(sizes) * 2 > len(files):
        return own + sum(sizes) / len(sizes) * len(files) * UNPACKED / 2**30
    return own + min(GUESSED_MOST, GUESSED_LEAST + GUESSED_GIB * len(item.lock["requirements"]))


def _of_stack(name: str, stack: Stack | None) -> bool:
    """Whether the catalog's room for the stack counts a package in."""
    return stack is not None and (
        name in stack.versions or name in stack.brings or name.startswith(("nvidia-", "triton"))
    )


def environment_steps(item: EnvironmentPlan, room: float) -> list[Step]:
    """The steps of an environment that takes so much room, in GiB."""
    steps: list[Step] = []
    verifying = min(VERIFYING_MOST, VERIFYING + VERIFYING_PACKAGE * len(item.lock.get("requirements", ())))
    seconds = {**SECONDS, "install": round(INSTALLING + INSTALLING_GIB * room), "verify": verifying}
    for phase in item.phases:
        if phase == "build":
            steps.extend(
                step(
                    "build",
                    f"{item.name}: {wheel.name} {wheel.version}",
                    ("from source for " if wheel.status == "build" else "from the wheelhouse for ") + item.variant,
                    wheel.seconds,
                )
                for wheel in item.wheels
                if wheel.status != "hit"
            )
        elif phase == "lock":
            steps.extend(
                step("lock", f"{item.name}: lock", f"resolve {lock['key']}", SECONDS["lock"])
                for lock in (item.conda, item.lock)
                if lock and lock["status"] != "hit"
            )
        elif phase == "weights":
            size = sum(weights["bytes"] for weights in item.weights)
            detail = f"{', '.join(weights['name'] for weights in item.weights)}, {size / 2**30:.1f} GiB"
            loading = max(1, round(size / WEIGHTS_PER_SECOND))
            steps.append(step("weights", f"{item.name}: weights", detail, loading))
        else:
            names = {"install": "into a new generation", "verify": "with the doctor", "activate": "switch current"}
            steps.append(
                step(
                    phase,
                    f"{item.name}: {phase}",
                    f"{names[phase]} {item.generation or '(known after the lock)'}",
                    seconds[phase],
                )
            )
    return steps


def need_system(wanted: Wanted, observed: Observed, catalog: Catalog, result: Plan, idle: bool) -> None:
    system = observed["os"]
    needed = {*catalog.apt_run, *catalog.apt_build}
    for item in result.environments:
        if "build" in item.phases:
            needed.update(
                name for wheel in item.wheels if wheel.status == "build" for name in wheel.spec["system_packages"]
            )
    needed.update(name for environment in wanted.environments for name in _apt(environment, catalog))
    if wanted.native == "channel":
        needed -= set(conda.NATIVE.values())
    platform = catalog.platform(system["id"], system["version_id"])
    if platform:
        needed = {platform.packages.get(name, name) for name in needed}
    missing = sorted(needed & set(observed["apt"]["missing"]))
    if idle and not missing:
        return
    if platform is None:
        known = "; ".join(f"{name} {', '.join(other.versions)}" for name, other in sorted(catalog.platforms.items()))
        result.refusals.append(
            Refusal(
                "this host",
                f"its operating system, {system['pretty_name'] or 'unknown'}, is not supported",
                f"use one of: {known}; or add it to catalog/platforms/",
            )
        )
        return
    if not missing:
        return
    if not wanted.system_packages:
        result.warnings.append(
            f"system packages are missing and wavesmith_system_packages is false: {', '.join(missing)}"
        )
    elif observed["user"]["privilege"] == "none":
        result.refusals.append(
            Refusal(
                "system packages",
                f"{', '.join(missing)} are missing and user {observed['user']['name']} may not install them",
                f"ask an administrator to run: apt-get install -y {' '.join(missing)}; or add -K where sudo asks this user for a password",
            )
        )
    else:
        result.system_missing = missing


def _apt(environment: Environment, catalog: Catalog) -> list[str]:
    return [name for model in environment.models if model in catalog.models for name in catalog.models[model].apt]


def need_room(observed: Observed, catalog: Catalog, result: Plan, locks: Mapping[str, str]) -> None:
    """Refuse what cannot be had: no source answers, or the disk is too small."""
    need = TOOLBOX_GIB if any(step["name"] == "toolbox" for step in result.steps) else 0.0
    for item in result.environments:
        need += sum(weights["bytes"] for weights in item.weights) / 2**30 if "weights" in item.phases else 0
        if "install" not in item.phases:
            continue
        stack = catalog.stacks.get(item.stack, NO_STACK)
        origin = next(origin for origin in stack.origins if origin.name == item.origin)
        source = observed["sources"].get(asked_source(origin), {"answers": False, "detail": "it was not asked"})
        index = observed["sources"].get(PACKAGE_INDEX, source)
        for name, state in {asked_source(origin): source, PACKAGE_INDEX: index}.items():
            if unsure(state):
                result.warnings.append(
                    f"the source {name} gave no answer ({state['detail']}), which may only mean that it is busy; the download will "
                    "show. Remedy: raise wavesmith_source_timeout, or check the network or proxy of the host"
                )
            elif not state["answers"]:
                result.refusals.append(
                    Refusal(
                        f"environment {item.name}",
                        f"the source {name} does not answer ({state['detail']})",
                        "check the network or proxy of the host, or name a mirror in wavesmith_package_index",
                    )
                )
        result.refusals.extend(conda.silent(item.name, item.conda, observed["sources"]))
        need += room_of(item, catalog, locks)
    result.disk_gib = round(need, 1)
    unusable = [
        Refusal(f"folder {observed['root']}", finding["detail"], finding["remedy"])
        for finding in observed.get("findings", ())
        if finding["id"].startswith("root.")
    ]
    if unusable and (any(item.phases for item in result.environments) or result.steps):
        result.refusals += unusable
        return
    free = observed["disk"]["free"] / 2**30
    if need and free < need:
        result.refusals.append(
            Refusal(
                f"disk of {observed['disk']['path']}",
                f"{free:.1f} GiB are free, about {need:.1f} GiB are needed",
                "free some space (wavesmith prune removes old generations), or set wavesmith_root to a larger disk",
            )
        )
