"""Decide what a host needs: a pure function from the wanted state, the observed state and the catalog to a plan.

No I/O and no clock: the same input gives the same bytes. What is not known yet (a generation's digest before its lock
was resolved, a wheel key before a compiler is there) is `None`, and the same function is asked again afterwards.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from . import activation, conda
from .audit import parse_sm, runs
from .catalog import PACKAGE_INDEX, Catalog, Origin, Package, Stack
from .fatbin import Target
from .variant import Variant
from .wanted import Environment, Refusal, Wanted, suggest

SCHEMA = 1
ISOLATION = 2
"""Version of what `python_env` writes into a prefix; a change makes new generations."""
PHASES = ("prepare", "build", "lock", "install", "verify", "activate")
LOCK_MARK = "# wavesmith-lock inputs: "
OTHER_PACKAGES_GIB = 2.0
"""Room for everything beside the torch family, GiB: about 1 was measured for `speech`, the rest is for unpacking and byte code."""
SECONDS = {"system packages": 90, "toolbox": 15, "lock": 15, "install": 90, "verify": 75, "activate": 1}
"""Rough times on two cores with a fast index, for the estimate; the summary shows what it really took."""
DECIDED = (
    "digest",
    "stack",
    "backend",
    "versions",
    "origin",
    "variant",
    "engine",
    "python",
    "imports",
    "accelerated",
    "variables",
)
"""What the plan decides about a generation and its manifest keeps."""
NO_STACK = Stack(
    name="none",
    description="no torch at all",
    backend="cpu",
    versions={},
    python_minimum=(3, 10),
    python_maximum=(3, 14),
    sms={},
    driver_minimum=0,
    origins=(Origin(PACKAGE_INDEX, "", "", 0.5, "nothing of the torch family is needed"),),
)


def digest(value: Any) -> str:
    """sha256 of a value's canonical JSON, as hex."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@dataclass
class WheelPlan:
    """One package built from source: `key` is `None` until a compiler is there, `status` is `hit` or `build`."""

    name: str
    version: str
    key: str | None
    status: str
    seconds: int
    spec: dict[str, Any]


@dataclass
class EnvironmentPlan:
    """What one environment needs."""

    name: str
    state: str = ""
    stack: str = ""
    stack_why: str = ""
    backend: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    variant: str = ""
    python: dict[str, str] = field(default_factory=dict)
    origin: str = ""
    origin_url: str = ""
    origin_why: str = ""
    engine: str = "venv"
    conda: dict[str, Any] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    lock: dict[str, Any] = field(default_factory=dict)
    wheels: list[WheelPlan] = field(default_factory=list)
    imports: dict[str, str] = field(default_factory=dict)
    accelerated: bool = False
    digest: str | None = None
    generation: str | None = None
    current: str | None = None
    damage: list[str] = field(default_factory=list)
    phases: list[str] = field(default_factory=list)


@dataclass
class Plan:
    """Everything that will be done on one host, and why."""

    root: str
    environments: list[EnvironmentPlan] = field(default_factory=list)
    system_missing: list[str] = field(default_factory=list)
    toolbox: str = ""
    phases: list[str] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    seconds: int = 0
    disk_gib: float = 0.0

    def data(self) -> dict[str, Any]:
        """The plan as plain data, ready for JSON."""
        return {"schema": SCHEMA, **asdict(self)}


def runs_on(sm: str, targets: Sequence[str]) -> bool:
    """Whether machine code for one of `targets` runs on compute capability `sm`; the rule is the audit's.

    Raises:
        ValueError: one of them is no compute capability.
    """
    return any(runs(Target(parse_sm(target)), parse_sm(sm)) for target in targets)


def plan(
    wanted: Wanted,
    refusals: Sequence[Refusal],
    observed: Mapping[str, Any],
    catalog: Catalog,
    locks: Mapping[str, str],
    toolbox: str,
) -> Plan:
    """Plan one host.

    Args:
        wanted: The wanted state.
        refusals: What was already found wrong while it was read.
        observed: What the module `observe` returned.
        catalog: What can be installed.
        locks: Text of the locks at hand, by lock key.
        toolbox: Digest of the toolbox's lock.
    """
    result = Plan(root=observed["root"], toolbox=toolbox, refusals=list(refusals))
    if wanted.stack not in (*catalog.stacks, "auto", "none"):
        result.refusals.append(_unknown_stack("variable wavesmith_stack", wanted.stack, catalog))
    if not wanted.environments and not result.refusals:
        result.warnings.append("no environment is wanted here: wavesmith_environments is empty")
    for environment in wanted.environments:
        result.environments.append(_environment(environment, wanted, observed, catalog, locks, result))
    # A host that has what it shall have needs nothing: neither sources nor system packages nor disk are asked about it.
    idle = not any(item.phases for item in result.environments)
    _system(wanted, observed, catalog, result, idle)
    if (not observed["toolbox"]["intact"] or observed["toolbox"]["digest"] != toolbox) and not idle:
        result.steps.insert(0, _step("prepare", "toolbox", "install the pinned tools", SECONDS["toolbox"]))
    if result.system_missing:
        detail = ", ".join(result.system_missing)
        result.steps.insert(0, _step("prepare", "system packages", detail, SECONDS["system packages"]))
    for item in result.environments:
        result.steps.extend(_environment_steps(item))
    result.phases = [phase for phase in PHASES if any(step["phase"] == phase for step in result.steps)]
    result.seconds = sum(step["seconds"] for step in result.steps)
    _room(observed, catalog, result)
    if result.steps and observed.get("busy"):
        # No refusal: work that a killed run left behind is taken over; where its run still follows it, the step itself refuses.
        busy = observed["busy"]
        result.warnings.append(
            f"another run's work goes on here: {busy.get('purpose', 'unknown')} (process {busy.get('pid', '?')})"
        )
    if result.refusals:
        result.phases, result.steps = [], []
    return result


def _step(phase: str, name: str, detail: str, seconds: int) -> dict[str, Any]:
    return {"phase": phase, "name": name, "detail": detail, "seconds": seconds}


def _environment(
    environment: Environment,
    wanted: Wanted,
    observed: Mapping[str, Any],
    catalog: Catalog,
    locks: Mapping[str, str],
    result: Plan,
) -> EnvironmentPlan:
    item = EnvironmentPlan(environment.name, engine=environment.engine)
    present = observed["environments"].get(environment.name, {"current": None, "generations": []})
    current = present["current"]
    item.current = current["generation"] if current else None
    before = len(result.refusals)
    packages = _packages(environment, wanted, catalog, result)
    stack, item.stack_why = _stack(environment, wanted, observed, catalog, result)
    python = _python(wanted, stack, observed, environment, result) if stack else None
    if stack is None or python is None or len(result.refusals) > before:
        return item
    item.stack, item.backend, item.versions = stack.name, stack.backend, dict(stack.versions)
    item.accelerated = stack.backend != "cpu"
    item.python = {"path": python["path"], "version": python["version"]}
    minor = ".".join(python["version"].split(".")[:2])
    sm = next((gpu["sm"] for gpu in observed["accelerators"] if gpu.get("sm")), "") if item.accelerated else ""
    item.variant = Variant(minor, stack.backend, sm or "", observed["cpu"]["isa"]).name
    item.imports = {name: name for name in stack.versions}
    item.imports.update({package.name: package.module for package in packages if package.module})
    item.variables = activation.variables(asdict(item), observed, wanted.native)
    item.wheels = [_wheel(package, item, observed) for package in packages if package.recipe]
    result.refusals.extend(
        conda.refusals(
            environment, wanted, [wheel.name for wheel in item.wheels], item.python, observed["cpu"]["architecture"]
        )
    )
    if len(result.refusals) > before:
        return item
    if item.engine == "conda":
        item.conda = conda.lock_plan(
            item.name, minor, observed["cpu"]["architecture"], wanted, locks, LOCK_MARK, digest
        )
        item.python = {"path": "", "version": minor}  # the system's built the wheels; the environment's is in the lock
    for origin, why in _origins(stack, current, observed):
        item.origin, item.origin_url, item.origin_why = origin.name, origin.url, why
        _lock(item, packages, stack, minor, observed, locks)
        _state(item, present)
        if not item.phases or _answers(origin, observed):
            break
    if item.damage:
        more = f" (and {current['damaged'] - 1} more)" if current and current["damaged"] > 1 else ""
        result.warnings.append(f"environment {item.name} drifted: {item.damage[0]}{more}")
    return item


def _packages(environment: Environment, wanted: Wanted, catalog: Catalog, result: Plan) -> list[Package]:
    found = []
    for name in dict.fromkeys([*catalog.base, *environment.packages]):
        if name in catalog.packages:
            found.append(catalog.packages[name])
        elif not any(name in stack.versions for stack in catalog.stacks.values()):
            known = [*catalog.packages, *{torch for stack in catalog.stacks.values() for torch in stack.versions}]
            result.refusals.append(
                Refusal(
                    f"environment {environment.name}", f"package {name!r} is not in the catalog", suggest(name, known)
                )
            )
        elif "none" in (environment.stack, wanted.stack if environment.stack == "auto" else ""):
            result.refusals.append(
                Refusal(
                    f"environment {environment.name}",
                    f"package {name!r} belongs to a stack, but stack is none",
                    "say stack: auto",
                )
            )
    for name in environment.models:
        if name not in catalog.models:
            result.refusals.append(
                Refusal(
                    f"environment {environment.name}",
                    f"model {name!r} is not in the catalog",
                    suggest(name, catalog.models),
                )
            )
    return found


def _stack(
    environment: Environment, wanted: Wanted, observed: Mapping[str, Any], catalog: Catalog, result: Plan
) -> tuple[Stack | None, str]:
    architecture = observed["cpu"]["architecture"]
    gpus = [gpu for gpu in observed["accelerators"] if gpu["vendor"] == "nvidia"]
    forced = environment.stack if environment.stack != "auto" else wanted.stack
    if forced == "none":
        return NO_STACK, "the environment wants no torch"
    if forced != "auto":
        if forced not in catalog.stacks:
            if environment.stack != "auto":  # the variable for all of them was refused already
                result.refusals.append(_unknown_stack(f"environment {environment.name}", forced, catalog))
            return None, ""
        reason = _unfit(catalog.stacks[forced], architecture, gpus, observed)
        if reason:
            result.refusals.append(
                Refusal(
                    f"environment {environment.name}",
                    f"stack {forced} cannot work on this host: {reason}",
                    "say stack: auto, or name one that fits",
                )
            )
            return None, ""
        return catalog.stacks[forced], "forced by a variable"
    others = sorted({gpu["vendor"] for gpu in observed["accelerators"]} - {"nvidia"})
    if others and not gpus:
        result.warnings.append(
            f"accelerators of {', '.join(others)} stay unused: the catalog has no stack for them yet"
        )
    reasons = []
    for name in sorted(catalog.stacks):
        stack = catalog.stacks[name]
        if bool(gpus) != (stack.backend != "cpu"):
            continue
        reason = _unfit(stack, architecture, gpus, observed)
        if not reason:
            seen = ", ".join(f"{gpu['name']} (SM {gpu['sm']})" for gpu in gpus)
            return stack, f"chosen for {seen}" if gpus else "chosen: no accelerator was found"
        reasons.append(f"{name}: {reason}")
    result.refusals.append(
        Refusal(
            f"environment {environment.name}",
            "no stack fits this host (" + ("; ".join(reasons) or "the catalog has none for its accelerator") + ")",
            "say wavesmith_stack: cpu if the CPU is enough, or add a stack to the catalog",
        )
    )
    return None, ""


def _unknown_stack(item: str, name: str, catalog: Catalog) -> Refusal:
    return Refusal(item, f"stack {name!r} is not in the catalog", suggest(name, [*catalog.stacks, "none", "auto"]))


def _unfit(stack: Stack, architecture: str, gpus: Sequence[Mapping[str, Any]], observed: Mapping[str, Any]) -> str:
    """Why a stack cannot work on a host; empty where it can."""
    if architecture not in ("x86_64", "aarch64"):
        return f"there are no wheels for {architecture}"
    if stack.backend == "cpu":
        return ""
    if not gpus:
        return "it needs an NVIDIA GPU and none was found"
    targets = stack.sms.get(architecture, ())
    for gpu in gpus:
        try:
            served = runs_on(gpu.get("sm") or "", targets)
        except ValueError:
            return f"the compute capability of {gpu['name']} could not be read"
        if not served:
            return f"its wheels carry no code for SM {gpu['sm']} of {gpu['name']} (they carry {', '.join(targets)})"
    driver = observed["nvidia"].get("driver")
    if driver and driver.split(".")[0].isdigit() and int(driver.split(".")[0]) < stack.driver_minimum:
        return f"it needs driver {stack.driver_minimum} or newer, this host has {driver}"
    return ""


def _python(
    wanted: Wanted, stack: Stack, observed: Mapping[str, Any], environment: Environment, result: Plan
) -> Mapping[str, Any] | None:
    fit = []
    for python in observed["pythons"]:
        minor = tuple(int(part) for part in python["version"].split(".")[:2])
        if stack.python_minimum <= minor <= stack.python_maximum and (
            not wanted.python or wanted.python == ".".join(map(str, minor))
        ):
            fit.append((python["path"].startswith("/usr/bin/"), minor, python["path"], python))
    if fit:
        return dict(max(fit, key=lambda entry: entry[:3])[3])
    if environment.engine == "conda":
        minor = tuple(map(int, wanted.python.split("."))) if wanted.python else stack.python_maximum
        if stack.python_minimum <= minor <= stack.python_maximum:
            return {"path": "", "version": ".".join(map(str, minor))}
    span = wanted.python or f"{'.'.join(map(str, stack.python_minimum))} to {'.'.join(map(str, stack.python_maximum))}"
    seen = ", ".join(f"{python['version']} ({python['path']})" for python in observed["pythons"]) or "none"
    result.refusals.append(
        Refusal(
            f"environment {environment.name}",
            f"stack {stack.name} needs Python {span}, this host has {seen}",
            f"install Python {span} on the host, or set wavesmith_python",
        )
    )
    return None


def _answers(origin: Origin, observed: Mapping[str, Any]) -> bool:
    return bool(observed["sources"].get(origin.name, {"answers": False})["answers"])


def _origins(stack: Stack, current: Mapping[str, Any] | None, observed: Mapping[str, Any]) -> list[tuple[Origin, str]]:
    """The origins to try, each with why it is its turn.

    The one in use comes first even where it does not answer: a host that needs nothing must not get a new generation
    because an index is slow. Then those that answer, in the stack's order; where none does, the first stands for the refusal.
    """
    manifest = (current or {}).get("manifest") or {}
    in_use = manifest.get("origin") if manifest.get("stack") == stack.name else None
    found = [(origin, "in use by the current generation") for origin in stack.origins if origin.name == in_use]
    passed: list[str] = []
    for origin in stack.origins:
        if _answers(origin, observed):
            found.append((origin, "; ".join([*passed, origin.note])))
        detail = observed["sources"].get(origin.name, {"detail": "it was not asked"})["detail"]
        passed.append(f"{origin.name} does not answer ({detail})")
    return found or [(stack.origins[0], "; ".join(passed))]


def _wheel(package: Package, item: EnvironmentPlan, observed: Mapping[str, Any]) -> WheelPlan:
    recipe = package.recipe
    assert recipe is not None
    compiler = observed["compilers"].get("gcc")
    spec: dict[str, Any] = {
        "name": package.name,
        "version": recipe.version,
        "sdist": recipe.sdist,
        "sha256": recipe.sha256,
        "build_lock": recipe.build_lock,
        "environment": dict(recipe.environment),
        "extensions": list(recipe.extensions),
        "python": item.python["path"],
    }
    key = None
    if compiler:
        identity = {
            **spec,
            "python": item.python["version"],
            "variant": item.variant,
            "compiler": f"gcc {compiler}",
            "schema": SCHEMA,
        }
        key = digest(identity)[:32]
        spec["key"], spec["variant"], spec["compiler"] = key, item.variant, f"gcc {compiler}"
    hit = key is not None and key in observed["wheels"]
    return WheelPlan(package.name, recipe.version, key, "hit" if hit else "build", recipe.seconds, spec)


def _lock(
    item: EnvironmentPlan,
    packages: Sequence[Package],
    stack: Stack,
    minor: str,
    observed: Mapping[str, Any],
    locks: Mapping[str, str],
) -> None:
    local = next((origin.local_version for origin in stack.origins if origin.name == item.origin), "")
    pins = [f"{name}=={version}{'+' + local if local else ''}" for name, version in sorted(stack.versions.items())]
    built = {wheel.name: wheel.version for wheel in item.wheels}
    requirements = sorted(
        {requirement for package in packages for requirement in package.requires}
        | {f"{name}=={version}" for name, version in built.items()}
    )
    inputs = {
        "requirements": [*pins, *requirements],
        "overrides": sorted([*pins, *{line for package in packages for line in package.overrides}]),
        "built": sorted(built),
        "python": minor,
        "architecture": observed["cpu"]["architecture"],
        "origin": item.origin,
        "schema": SCHEMA,
    }
    # Index wheels do not depend on the CPU's instruction set, so one lock serves all ISA levels of an architecture.
    key = f"{item.name}-python{minor.replace('.', '')}-{stack.backend}-{inputs['architecture']}-{item.origin}"
    text = locks.get(key, "")
    at_hand = text.startswith(LOCK_MARK + digest(inputs))
    item.lock = {
        "key": key,
        "status": "hit" if at_hand else ("stale" if text else "missing"),
        "inputs": digest(inputs),
        "requirements": inputs["requirements"],
        "overrides": inputs["overrides"],
        "built": inputs["built"],
        "sha256": hashlib.sha256(text.encode()).hexdigest() if at_hand else None,
    }


def _state(item: EnvironmentPlan, present: Mapping[str, Any]) -> None:
    """Compare the wanted generation with those on the host."""
    item.state, item.digest, item.generation, item.damage, item.phases = "", None, None, [], []
    if item.lock["sha256"] and item.conda.get("sha256", True) and all(wheel.key for wheel in item.wheels):
        item.digest = digest(
            {
                "schema": SCHEMA,
                "isolation": ISOLATION,
                "environment": item.name,
                "engine": item.engine,
                "stack": item.stack,
                "versions": item.versions,
                "origin": item.origin,
                "python": item.python,
                "conda": item.conda.get("sha256"),
                "variables": item.variables,
                "lock": item.lock["sha256"],
                "wheels": {wheel.name: wheel.key for wheel in item.wheels},
            }
        )
    current = present["current"]
    if item.digest is None:
        item.state = "change" if current else "new"
        item.phases = [phase for phase in ("build", "lock") if _needs(item, phase)] + ["install", "verify", "activate"]
        return
    short = item.digest[:16]
    same = [entry for entry in present["generations"] if entry["complete"] and entry["digest"] == item.digest]
    good = [entry for entry in same if entry["intact"]]
    # Without a manifest nobody knows what it was: it counts as damaged, and is never made again in its place.
    if current and current["manifest"].get("digest", item.digest) == item.digest:
        verdict = current["verdict"]
        if not current["damage"] and verdict and verdict.get("exit") == 0:
            item.state, item.generation = "kept", current["generation"]
            return
        if current["damage"]:
            item.state = "drifted"
            more = current["damaged"] - len(current["damage"])
            item.damage = [*current["damage"], *([f"and {more} more"] if more > 0 else [])]
    if good:
        newest = max(good, key=lambda entry: (entry["exit"] == 0, entry["created"]))
        item.generation = newest["name"]
        item.state = item.state or "switch"
        item.phases = ([] if newest["exit"] == 0 else ["verify"]) + ["activate"]
        return
    taken = {entry["name"] for entry in present["generations"] if entry["complete"]} | (
        {item.current} if item.current else set()
    )
    item.generation = next(
        name for name in [short, *[f"{short}-r{n}" for n in range(1, len(taken) + 2)]] if name not in taken
    )
    item.state = item.state or ("change" if current else "new")
    item.phases = [phase for phase in ("build",) if _needs(item, phase)] + ["install", "verify", "activate"]


def _needs(item: EnvironmentPlan, phase: str) -> bool:
    if phase == "build":
        return any(wheel.status == "build" for wheel in item.wheels)
    return any(lock["status"] != "hit" for lock in (item.lock, item.conda) if lock)


def _environment_steps(item: EnvironmentPlan) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = []
    for phase in item.phases:
        if phase == "build":
            steps.extend(
                _step(
                    "build",
                    f"{item.name}: {wheel.name} {wheel.version}",
                    f"from source for {item.variant}",
                    wheel.seconds,
                )
                for wheel in item.wheels
                if wheel.status == "build"
            )
        elif phase == "lock":
            steps.extend(
                _step("lock", f"{item.name}: lock", f"{lock['key']} ({lock['status']})", SECONDS["lock"])
                for lock in (item.conda, item.lock)
                if lock and lock["status"] != "hit"
            )
        else:
            names = {"install": "into a new generation", "verify": "with the doctor", "activate": "switch current"}
            steps.append(
                _step(
                    phase,
                    f"{item.name}: {phase}",
                    f"{names[phase]} {item.generation or '(known after the lock)'}",
                    SECONDS[phase],
                )
            )
    return steps


def _system(wanted: Wanted, observed: Mapping[str, Any], catalog: Catalog, result: Plan, idle: bool) -> None:
    system = observed["os"]
    if idle and not observed["apt"]["missing"]:
        return
    versions = catalog.platforms.systems.get(system["id"])
    if versions is None or not any(
        system["version_id"] == version or system["version_id"].startswith(version + ".") for version in versions
    ):
        known = "; ".join(f"{name} {', '.join(listed)}" for name, listed in sorted(catalog.platforms.systems.items()))
        result.refusals.append(
            Refusal(
                "this host",
                f"its operating system, {system['pretty_name'] or 'unknown'}, is not supported",
                f"use one of: {known}; or add it to catalog/platforms.yml",
            )
        )
        return
    unneeded = set(conda.NATIVE.values()) if wanted.native == "channel" else set()
    missing = sorted(set(observed["apt"]["missing"]) - unneeded)
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
                f"ask an administrator to run: apt-get install -y {' '.join(missing)}",
            )
        )
    else:
        result.system_missing = missing


def _room(observed: Mapping[str, Any], catalog: Catalog, result: Plan) -> None:
    """Refuse what cannot be had: no source answers, or the disk is too small."""
    need = 0.0
    for item in result.environments:
        if "install" not in item.phases:
            continue
        source = observed["sources"].get(item.origin, {"answers": False, "detail": "it was not asked"})
        index = observed["sources"].get(PACKAGE_INDEX, source)
        for name, state in {item.origin: source, PACKAGE_INDEX: index}.items():
            if not state["answers"]:
                result.refusals.append(
                    Refusal(
                        f"environment {item.name}",
                        f"the source {name} does not answer ({state['detail']})",
                        "check the network or proxy of the host, or name a mirror in wavesmith_package_index",
                    )
                )
        result.refusals.extend(conda.silent(item.name, item.conda, observed["sources"]))
        stack = catalog.stacks.get(item.stack, NO_STACK)
        need += OTHER_PACKAGES_GIB + next(
            (origin.disk_gib for origin in stack.origins if origin.name == item.origin), 0.0
        )
    result.disk_gib = round(need, 1)
    free = observed["disk"]["free"] / 2**30
    if need and free < need:
        result.refusals.append(
            Refusal(
                f"disk of {observed['disk']['path']}",
                f"{free:.1f} GiB are free, about {need:.1f} GiB are needed",
                "free some space (playbooks/prune.yml removes old generations), or set wavesmith_root to a larger disk",
            )
        )
