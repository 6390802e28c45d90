"""Decide what a host needs: a pure function from the wanted state, the observed state and the catalog to a plan.

No I/O and no clock: the same input gives the same bytes. What is not known yet (a generation's digest before its lock
was resolved, a wheel key before a compiler is there) is `None`, and the same function is asked again afterwards.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass, replace
from typing import Any

from . import activation, conda, guard
from .catalog import INDEX, PACKAGE_INDEX, SOURCE, Catalog, Origin, Package, Stack, cuda_version
from .choose import NO_STACK, allowed_origins, choose, unknown_stack
from .recipe import Target, builds, jobs, target_of, wanted_builds
from .recipe import digest as digest  # for those who ask the plan
from .variant import Variant, mismatch
from .wanted import Environment, Refusal, Wanted, suggest

SCHEMA = 1
ISOLATION = 3
"""Version of what `python_env` writes into a prefix; a change makes new generations."""
PHASES = ("prepare", "build", "lock", "install", "verify", "activate")
_SAID_ELSEWHERE = ("source.", "user.", "nvidia.no_memory")
"""Findings that are no warning: those that matter are refused by name, and memory that GPU and CPU share is as it shall be."""
LOCK_MARK = "# wavesmith-lock inputs: "
OTHER_PACKAGES_GIB = 2.0
"""Room for everything beside the torch family, GiB: about 1 was measured for `speech`, the rest is for unpacking and byte code."""
SECONDS = {"system packages": 90, "toolbox": 15, "lock": 15, "fetch": 5, "install": 90, "verify": 75, "activate": 1}
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
    "sms",
    "prebuilt",
    "held",
    "overrides",
)
"""What the plan decides about a generation and its manifest keeps."""


@dataclass
class WheelPlan:
    """One package built from source: `key` is `None` until a compiler is there, `status` is `hit`, `fetch` or `build`."""

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
    considered: list[dict[str, Any]] = field(default_factory=list)
    instead: dict[str, Any] = field(default_factory=dict)
    backend: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    variant: str = ""
    python: dict[str, str] = field(default_factory=dict)
    origin: str = ""
    origin_url: str = ""
    origin_why: str = ""
    engine: str = "venv"
    builder: dict[str, str] = field(default_factory=dict)
    conda: dict[str, Any] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    lock: dict[str, Any] = field(default_factory=dict)
    wheels: list[WheelPlan] = field(default_factory=list)
    imports: dict[str, str] = field(default_factory=dict)
    accelerated: bool = False
    sms: list[str] = field(default_factory=list)
    prebuilt: bool = True
    held: dict[str, str] = field(default_factory=dict)
    overrides: list[dict[str, str]] = field(default_factory=list)
    projects: list[guard.OwnWheel] = field(default_factory=list)
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
        return {"schema": SCHEMA, **_plain(self)}


def _plain(value: Any) -> Any:
    """Records as mappings. Not `asdict`, which copies all that is in them and takes as long as the planning itself."""
    if is_dataclass(value):
        return {name: _plain(item) for name, item in vars(value).items()}
    return [_plain(item) for item in value] if isinstance(value, list) and value and is_dataclass(value[0]) else value


def plan(
    wanted: Wanted,
    refusals: Sequence[Refusal],
    observed: Mapping[str, Any],
    catalog: Catalog,
    locks: Mapping[str, str],
    toolbox: str,
    wheelhouse: Collection[str] = (),
) -> Plan:
    """Plan one host.

    Args:
        wanted: The wanted state.
        refusals: What was already found wrong while it was read.
        observed: What the module `observe` returned.
        catalog: What can be installed.
        locks: Text of the locks at hand, by lock key.
        toolbox: Digest of the toolbox's lock.
        wheelhouse: Keys of the wheels that the wheelhouse offers.
    """
    result = Plan(root=observed["root"], toolbox=toolbox, refusals=list(refusals))
    if wanted.stack not in (*catalog.stacks, "auto", "none"):
        result.refusals.append(unknown_stack(wanted.forced_by or "variable wavesmith_stack", wanted.stack, catalog))
    if not wanted.environments and not result.refusals:
        result.warnings.append("no environment is wanted here: wavesmith_environments is empty")
    for environment in wanted.environments:
        result.environments.append(_environment(environment, wanted, observed, catalog, locks, result, wheelhouse))
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
    result.warnings += [
        f"{finding['detail']}. Remedy: {finding['remedy']}"
        for finding in observed.get("findings", ())
        if not finding["id"].startswith(_SAID_ELSEWHERE)
    ]
    result.refusals = list(dict.fromkeys(result.refusals))
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
    wheelhouse: Collection[str],
) -> EnvironmentPlan:
    item = EnvironmentPlan(environment.name, engine=environment.engine)
    present = observed["environments"].get(environment.name, {"current": None, "generations": []})
    current = present["current"]
    item.current = current["generation"] if current else None
    before = len(result.refusals)
    packages, variants = _packages(environment, wanted, catalog, result)
    choice = choose(environment, wanted, observed, catalog)
    item.stack_why, item.considered = choice.why, choice.considered
    result.refusals += choice.refusals
    result.warnings += choice.warnings
    stack = choice.stack
    python = _python(wanted, stack, observed, environment, result) if stack else None
    if stack is None or python is None or len(result.refusals) > before:
        return item
    item.stack, item.backend = stack.name, stack.backend
    item.accelerated = stack.backend != "cpu"
    item.sms, item.prebuilt = choice.sms, not item.accelerated or INDEX in wanted.policy
    item.builder = {"path": python["path"], "version": python["version"]}
    minor = ".".join(python["version"].split(".")[:2])
    item.python = item.builder if item.engine == "venv" else {"path": "", "version": minor}
    item.variables = activation.variables(stack.backend, observed, wanted.native)
    result.refusals += conda.refusals(environment, wanted, observed["cpu"]["architecture"])
    if len(result.refusals) > before:
        return item
    if item.engine == "conda":
        item.conda = conda.lock_plan(
            item.name, minor, observed["cpu"]["architecture"], wanted, locks, LOCK_MARK, digest
        )
    variant = Variant(minor, stack.backend, choice.sm if cuda_version(stack.backend) else "", observed["cpu"]["isa"])
    item.variant, target = variant.name, target_of(observed, variant)
    for name, asked in variants.items():
        problem = mismatch(asked, variant)
        if problem:
            remedy = f"say {name} alone, or {variant.full_name(name)}"
            result.refusals.append(
                Refusal(f"environment {item.name}", f"{asked.full_name(name)} does not match torch: {problem}", remedy)
            )
    projects = _projects(environment, stack, catalog, result)
    item.projects = [project.wheel for project in projects if project.wheel]
    required = {guard.name_of(line) for project in projects for line in project.requires}
    named = [name for name in stack.versions if name in {*environment.packages, *variants, *required}]
    for origin, why in _origins(stack, wanted, current, observed):
        item.origin, item.origin_url, item.origin_why = origin.name, origin.url, why
        item.wheels, unbuildable = _wheels(
            [*named, *(package.name for package in packages)], stack, origin, target, item, observed, catalog
        )
        for wheel in item.wheels:
            if wanted.bundle:
                wheel.spec["bundle"] = wanted.bundle.rstrip("/")
        _offer(item.wheels, wheelhouse)
        _lock(item, packages, projects, stack, origin, named, observed, locks)
        item.imports = {name: name for name in item.versions}
        item.imports.update({package.name: package.module for package in packages if package.module})
        _state(item, present, item.name in wanted.repair)
        # A bundle answers for every origin, and has the wheels of those that its locks were made with.
        if not item.phases or (_answers(origin, observed) and (not wanted.bundle or item.lock["status"] == "hit")):
            break
    result.refusals += unbuildable
    _buildable(item, stack, observed, result)
    if INDEX not in wanted.policy:
        item.instead = _instead(item, choose(environment, replace(wanted, policy=(INDEX,)), observed, catalog).stack)
    if item.engine == "conda" and item.wheels:
        result.refusals += conda.build_refusals(
            item.name, wanted, {wheel.name: wheel.status for wheel in item.wheels}, item.builder
        )
    if item.damage:
        more = f" (and {current['damaged'] - 1} more)" if current and current["damaged"] > 1 else ""
        result.warnings.append(f"environment {item.name} drifted: {item.damage[0]}{more}")
    return item


def _packages(
    environment: Environment, wanted: Wanted, catalog: Catalog, result: Plan
) -> tuple[list[Package], dict[str, Variant]]:
    """What the environment asks for beside the torch family, and the variants that it names."""
    item = f"environment {environment.name}"
    family = {name for stack in catalog.stacks.values() for name in stack.versions}
    found: list[Package] = []
    variants: dict[str, Variant] = {}
    for asked in dict.fromkeys([*catalog.base, *environment.packages]):
        name = asked
        try:
            name, variants[name] = Variant.parse_full(asked)
        except ValueError:
            pass
        if name in family:
            if "none" in (environment.stack, wanted.stack if environment.stack == "auto" else ""):
                problem = f"package {name!r} belongs to a stack, but stack is none"
                result.refusals.append(Refusal(item, problem, "say stack: auto"))
        elif name in catalog.packages:
            found.append(catalog.packages[name])
        else:
            remedy = suggest(name, [*catalog.packages, *family])
            result.refusals.append(Refusal(item, f"package {name!r} is not in the catalog", remedy))
    for name in environment.models:
        if name not in catalog.models:
            remedy = suggest(name, catalog.models)
            result.refusals.append(Refusal(item, f"model {name!r} is not in the catalog", remedy))
    return found, variants


def _projects(environment: Environment, stack: Stack, catalog: Catalog, result: Plan) -> list[guard.Project]:
    """The environment's projects; what they say of the stack's packages that the stack cannot give them is refused."""
    found = [catalog.projects[name] for name in environment.projects if name in catalog.projects]
    family = {name for other in catalog.stacks.values() for name in other.versions} if stack is NO_STACK else set()
    decided = {guard.name_of(line) for project in found for line in project.overrides}
    for asked in (asked for project in found for asked in project.declared):
        if guard.name_of(asked.requirement) in family - decided:
            problem = f"{asked.requirement} ({asked.by}) belongs to a stack, but stack is none"
            result.refusals.append(Refusal(f"environment {environment.name}", problem, "say stack: auto"))
    for project in found:
        for line in project.overrides:
            if guard.name_of(line) in {*stack.versions, *stack.brings}:
                problem = f"its override {line} is on a package that belongs to the stack {stack.name}"
                remedy = (
                    f"leave it out; to have it, choose a stack for environment {environment.name} that has this version"
                )
                result.refusals.append(Refusal(f"project {project.name}", problem, remedy))
    return found


def _buildable(item: EnvironmentPlan, stack: Stack, observed: Mapping[str, Any], result: Plan) -> None:
    """Refuse a build of CUDA code without its toolkit, or with a compiler that the toolkit does not take."""
    cuda = cuda_version(stack.backend)
    if not cuda or not any(
        wheel.status == "build" and "CUDA_HOME" in wheel.spec["environment"] for wheel in item.wheels
    ):
        return
    toolkits = [toolkit["version"] for toolkit in observed.get("toolkits", ()) if toolkit["nvcc"]]
    if cuda not in toolkits:
        problem = f"building for stack {stack.name} needs the CUDA {cuda} toolkit, this host has {', '.join(toolkits) or 'none'}"
        remedy = f"install cuda-toolkit-{cuda.replace('.', '-')} beside what is there, or put index first in wavesmith_policy"
        result.refusals.append(Refusal(f"environment {item.name}", problem, remedy))
    gcc = observed["compilers"].get("gcc")
    if gcc and stack.gcc and gcc not in stack.gcc:
        problem = f"CUDA {cuda} takes gcc {stack.gcc} as host compiler, this host has {gcc}"
        result.refusals.append(
            Refusal(f"environment {item.name}", problem, "install a gcc of that range and make it the default")
        )


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


def _asked(origin: Origin) -> str:
    """The source that an origin takes from: building needs the package index, for the archives and what builds them."""
    return PACKAGE_INDEX if origin.kind == SOURCE else origin.name


def _answers(origin: Origin, observed: Mapping[str, Any]) -> bool:
    return bool(observed["sources"].get(_asked(origin), {"answers": False})["answers"])


def _origins(
    stack: Stack, wanted: Wanted, current: Mapping[str, Any] | None, observed: Mapping[str, Any]
) -> list[tuple[Origin, str]]:
    """The origins to try, each with why it is its turn.

    The one in use comes first even where it does not answer: a host that needs nothing must not get a new generation
    because an index is slow. Then those that answer, in the policy's order; where none does, the first stands for the refusal.
    """
    manifest = (current or {}).get("manifest") or {}
    in_use = manifest.get("origin") if manifest.get("stack") == stack.name else None
    allowed = allowed_origins(stack, wanted.policy)
    found = [(origin, "in use by the current generation") for origin in allowed if origin.name == in_use]
    passed: list[str] = []
    for origin in allowed:
        if _answers(origin, observed):
            found.append((origin, "; ".join([*passed, origin.note])))
        detail = observed["sources"].get(_asked(origin), {"detail": "it was not asked"})["detail"]
        passed.append(f"{origin.name} does not answer ({detail})")
    return found or [(allowed[0], "; ".join(passed))]


def _wheels(
    names: Sequence[str],
    stack: Stack,
    origin: Origin,
    target: Target,
    item: EnvironmentPlan,
    observed: Mapping[str, Any],
    catalog: Catalog,
) -> tuple[list[WheelPlan], list[Refusal]]:
    """The wheels of an environment that are built from source, and why some cannot be."""
    wanted = wanted_builds(names, catalog, stack.versions, origin.kind == SOURCE)
    specs, problems = builds(wanted, catalog, stack.versions, origin, target, item.builder["path"])
    wheels = []
    for spec in specs:
        # What an earlier build on this host needed is better known than the recipe's estimate.
        spec["memory_gib"] = max(spec["memory_gib"], observed.get("build_memory", {}).get(spec["name"], 0.0))
        spec["needed_by"] = [item.name]
        status = "hit" if spec.get("key") in observed["wheels"] else "build"
        available = observed["memory"]["available"] / 2**30
        seconds = round(spec["seconds"] * 2 / jobs(observed["cpu"]["cores"], available, spec["memory_gib"]))
        wheels.append(WheelPlan(spec["name"], spec["version"], spec.get("key"), status, seconds, spec))
    subject = f"environment {item.name}"
    return wheels, [Refusal(subject, problem.what, problem.remedy) for problem in problems]


def _instead(item: EnvironmentPlan, other: Stack | None) -> dict[str, Any]:
    """What wheels of an index would save: the stack that they are, and the seconds of building the torch family."""
    seconds = sum(wheel.seconds for wheel in item.wheels if wheel.status == "build" and wheel.name in item.versions)
    return {"stack": other.name, "torch": other.versions["torch"], "seconds": seconds} if other and seconds else {}


def _offer(wheels: Sequence[WheelPlan], wheelhouse: Collection[str]) -> None:
    """What the wheelhouse has is fetched, not built."""
    for wheel in wheels:
        if wheel.status == "build" and wheel.key in wheelhouse:
            wheel.status, wheel.seconds = "fetch", SECONDS["fetch"]


def _lock(
    item: EnvironmentPlan,
    packages: Sequence[Package],
    projects: Sequence[guard.Project],
    stack: Stack,
    origin: Origin,
    named: Sequence[str],
    observed: Mapping[str, Any],
    locks: Mapping[str, str],
) -> None:
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
    inputs = {
        "requirements": [*(pins[name] for name in sorted(named)), *stack.requires, *requirements],
        "overrides": sorted({*pins.values(), *brought, *stack.requires, *overrides}),
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
    # The family's members that were asked for, and once the lock is there also those that something else needs.
    resolved = guard.locked(text) if at_hand else {}
    item.versions = {
        name: resolved.get(name, version) if version.startswith(">=") else version
        for name, version in stack.versions.items()
        if name in named or name in resolved or name in built
    }
    item.lock = {
        "key": key,
        "status": "hit" if at_hand else ("stale" if text else "missing"),
        "inputs": digest(inputs),
        "requirements": inputs["requirements"],
        "overrides": inputs["overrides"],
        "built": inputs["built"],
        "sha256": hashlib.sha256(text.encode()).hexdigest() if at_hand else None,
        "declared": [
            *([declared.requirement, declared.by] for project in projects for declared in project.declared),
            *([line, f"the overrides of {project.name}"] for project in projects for line in project.overrides),
        ],
    }
    family = [*stack.versions, *stack.brings, *map(guard.name_of, stack.requires)]
    item.held = guard.held(stack.name, family, [(package.name, package.overrides) for package in packages], projects)
    item.overrides = guard.contradicted(
        [declared for project in projects for declared in project.declared],
        {name: version for name, version in {**item.versions, **resolved, **built}.items() if version[0].isdigit()},
        item.held,
        item.python["version"],
        observed["cpu"]["architecture"],
        at_hand,
    )


def _pin(version: str, local: str) -> str:
    """``==2.11.0+cpu``; a nightly stack's ``>=2.16.0.dev0`` stays as it is."""
    return version if version.startswith(">=") else f"=={version}{local}"


def _state(item: EnvironmentPlan, present: Mapping[str, Any], anew: bool = False) -> None:
    """Compare the wanted generation with those on the host; `anew`: those there are no longer good."""
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
                "projects": [wheel.content for wheel in item.projects],
            }
        )
    current = present["current"]
    if item.digest is None:
        item.state = "change" if current else "new"
        item.phases = [phase for phase in ("build", "lock") if _needs(item, phase)] + ["install", "verify", "activate"]
        return
    short = item.digest[:16]
    same = [entry for entry in present["generations"] if entry["complete"] and entry["digest"] == item.digest]
    good = [entry for entry in same if entry["intact"] and not anew]
    # Without a manifest nobody knows what it was: it counts as damaged, and is never made again in its place.
    if current and current["manifest"].get("digest", item.digest) == item.digest:
        verdict = current["verdict"]
        if not current["damage"] and verdict and verdict.get("exit") == 0 and not anew:
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
        return any(wheel.status != "hit" for wheel in item.wheels)
    return any(lock["status"] != "hit" for lock in (item.lock, item.conda) if lock)


def _environment_steps(item: EnvironmentPlan) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = []
    for phase in item.phases:
        if phase == "build":
            steps.extend(
                _step(
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
    needed = {*catalog.platforms.apt, *catalog.platforms.apt_build}
    for item in result.environments:
        if "build" in item.phases:
            needed.update(
                name for wheel in item.wheels if wheel.status == "build" for name in wheel.spec["system_packages"]
            )
    if wanted.native == "channel":
        needed -= set(conda.NATIVE.values())
    missing = sorted(needed & set(observed["apt"]["missing"]))
    if idle and not missing:
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
        stack = catalog.stacks.get(item.stack, NO_STACK)
        origin = next(origin for origin in stack.origins if origin.name == item.origin)
        source = observed["sources"].get(_asked(origin), {"answers": False, "detail": "it was not asked"})
        index = observed["sources"].get(PACKAGE_INDEX, source)
        for name, state in {_asked(origin): source, PACKAGE_INDEX: index}.items():
            if not state["answers"]:
                result.refusals.append(
                    Refusal(
                        f"environment {item.name}",
                        f"the source {name} does not answer ({state['detail']})",
                        "check the network or proxy of the host, or name a mirror in wavesmith_package_index",
                    )
                )
        result.refusals.extend(conda.silent(item.name, item.conda, observed["sources"]))
        need += OTHER_PACKAGES_GIB + origin.disk_gib
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
