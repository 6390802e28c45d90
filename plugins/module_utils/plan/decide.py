"""Decide what a host needs: a pure function from the wanted state, the observed state and the catalog to a plan.

No I/O and no clock: the same input gives the same bytes. What is not known yet (a generation's digest before its lock
was resolved, a wheel key before a compiler is there) is `None`, and the same function is asked again afterwards.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from ..records.generation import PythonOf
from ..records.host import Observed
from ..terms import names
from ..terms.refusal import Refusal
from ..terms.variant import Variant, mismatch
from ..wanted.catalog import INDEX, Catalog, Stack, cuda_version
from ..wanted.model import Model
from ..wanted.project import Project
from ..wanted.variables import Environment, Wanted
from . import ask, conda, environ, models
from .changes import expected
from .choose import NO_STACK, alternatives, choose, unknown_stack
from .expect import unexpected
from .fitness import tell, unfit, with_own_toolkit
from .generation import reached, settle
from .guard import locked
from .inspection import inspection_of, judge
from .lock import imports_of, lock_of
from .origins import instead, offer, origins_of, refuse_unbuildable, usable, wheels_of
from .recipe import target_of
from .record import PHASES, SECONDS, EnvironmentPlan, Plan
from .steps import environment_steps, need_room, need_system, room_of, step
from .unwanted import apart, chosen

_SAID_ELSEWHERE = ("root.", "source.", "user.", "nvidia.no_memory")
"""Findings that are no warning: those that matter are refused by name, and memory that GPU and CPU share is as intended."""


def plan(
    wanted: Wanted,
    refusals: Sequence[Refusal],
    observed: Observed,
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
    result.refusals += unexpected(wanted, observed)
    if not wanted.environments and not result.refusals:
        result.warnings.append("no environment is wanted here: wavesmith_environments is empty")
    for environment in wanted.environments:
        result.environments.append(_environment(environment, wanted, observed, catalog, locks, result, wheelhouse))
    result.warnings += reached(observed["environments"])
    known = not result.refusals
    # A host that already has what is wanted needs nothing: neither sources nor system packages nor disk are asked about it.
    idle = not any(item.phases for item in result.environments)
    need_system(wanted, observed, catalog, result, idle)
    if (not observed["toolbox"]["intact"] or observed["toolbox"]["digest"] != toolbox) and not idle:
        result.steps.insert(0, step("prepare", "toolbox", "install the pinned tools", SECONDS["toolbox"]))
    if result.system_missing:
        detail = ", ".join(result.system_missing)
        result.steps.insert(0, step("prepare", "system packages", detail, SECONDS["system packages"]))
    for item in result.environments:
        result.steps.extend(environment_steps(item, room_of(item, catalog, locks)))
    result.phases = [phase for phase in PHASES if any(step["phase"] == phase for step in result.steps)]
    result.seconds = sum(step["seconds"] for step in result.steps)
    need_room(observed, catalog, result, locks)
    busy = observed.get("busy")
    if result.steps and busy is not None:
        # No refusal: work that a killed run left behind is taken over; where its run still follows it, the step itself refuses.
        result.warnings.append(
            f"another run's job is still running here: {busy.get('purpose', 'unknown')} (process {busy.get('pid', '?')})"
        )
    result.warnings += [
        f"{finding['detail']}. Remedy: {finding['remedy']}"
        for finding in observed.get("findings", ())
        if not finding["id"].startswith(_SAID_ELSEWHERE)
    ]
    needed, unneeded = apart(observed, result.environments, toolbox, known)
    # What is refused while it is read could be an environment that is wanted.
    result.unwanted = [] if refusals else unneeded
    result.remove, wrong = chosen(wanted.remove, needed, result.unwanted, everything=bool(wanted.environments))
    result.refusals = list(dict.fromkeys([*result.refusals, *wrong]))
    if result.refusals:
        result.phases, result.steps = [], []
    return result


def _environment(
    environment: Environment,
    wanted: Wanted,
    observed: Observed,
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
    asked = models.asked(environment, catalog, result)
    no_stack = "none" in (environment.stack, wanted.stack if environment.stack == "auto" else "")
    own = [name for model in asked for name in model.packages]
    asks = ask.ask(environment, catalog, own, no_stack)
    result.refusals += asks.refusals
    packages, catalog = asks.packages, asks.catalog
    environment = replace(environment, packages=tuple(package.name for package in packages))
    choice = choose(environment, wanted, observed, catalog)
    item.stack_why, item.considered = choice.why, choice.considered
    result.refusals += choice.refusals
    result.warnings += choice.warnings
    stack = choice.stack
    python = _python(wanted, models.narrowed(stack, asked, packages), observed, environment, result) if stack else None
    if stack is None or python is None or len(result.refusals) > before:
        return item
    item.stack, item.backend = stack.name, stack.backend
    item.accelerated = stack.backend != "cpu"
    item.sms, item.prebuilt = choice.sms, not item.accelerated or INDEX in wanted.policy
    item.builder = {"path": python["path"], "version": python["version"]}
    minor = ".".join(python["version"].split(".")[:2])
    item.python = item.builder if item.engine == "venv" else {"path": "", "version": minor}
    item.links = wanted.links
    item.variables = environ.variables(stack.backend, observed, wanted.native)
    models.settle_models(item, asked, observed, result, bool(wanted.hub_token), environment.services)
    result.refusals += conda.refusals(environment, wanted, observed["cpu"]["architecture"])
    if len(result.refusals) > before:
        return item
    if item.engine == "conda":
        item.conda, damage = conda.lock_plan(item.name, minor, observed["cpu"]["architecture"], wanted, locks)
        result.refusals += damage
    variant = Variant(minor, stack.backend, choice.sm if cuda_version(stack.backend) else "", observed["cpu"]["isa"])
    item.variant, target = variant.name, target_of(observed, variant)
    for name, said in asks.variants.items():
        problem = mismatch(said, variant)
        if problem:
            remedy = f"name {name} alone, or {variant.full_name(name)}"
            result.refusals.append(
                Refusal(f"environment {item.name}", f"{said.full_name(name)} does not match torch: {problem}", remedy)
            )
    short = unfit(packages, stack, wanted.policy, observed)
    limited = {entry.package for entry in short if entry.limit}
    projects = _projects(environment, stack, catalog, asked, result)
    item.projects = [project.wheel for project in projects if project.wheel]
    required = {names.name_of(line) for project in projects for line in project.requires}
    named = [name for name in stack.versions if name in {*asks.family, *required}]
    others = alternatives(stack, observed, catalog, wanted.policy)
    result.refusals += ask.contradictions(f"environment {item.name}", asks, stack, projects, others)
    for origin, why in origins_of(stack, wanted, current, observed):
        item.origin, item.origin_url, item.origin_why = origin.name, origin.url, why
        item.wheels, unbuildable = wheels_of(
            [*named, *(package.name for package in packages if package.name not in limited)],
            stack,
            origin,
            target,
            item,
            observed,
            catalog,
            [entry.package for entry in short if entry.built],
        )
        for wheel in item.wheels:
            if wanted.bundle:
                wheel.spec["bundle"] = wanted.bundle.rstrip("/")
        offer(item.wheels, wheelhouse)
        damaged = lock_of(item, asks, projects, stack, origin, named, observed, locks)
        item.imports = {name: name for name in item.versions}
        item.imports.update(imports_of(packages, locks[item.lock["key"]] if item.lock["status"] == "hit" else None))
        item.imports.update({name: module for model in asked for name, module in model.imports.items()})
        settle(item, present, item.name in wanted.repair)
        _with_weights(item)
        # A bundle answers for every origin, and has the wheels of those that its locks were made with.
        if not item.phases or (usable(origin, observed) and (not wanted.bundle or item.lock["status"] == "hit")):
            break
    result.refusals += [*unbuildable, *damaged]
    refuse_unbuildable(item, stack, observed, result)
    if item.lock["status"] == "hit":
        result.refusals += ask.unguarded(
            f"environment {item.name}", locked(locks[item.lock["key"]]), item.lock["banned"]
        )
    if item.phases:
        built = {wheel.name for wheel in item.wheels}
        warnings, refusals = tell(
            item,
            [entry for entry in short if entry.package not in built],
            with_own_toolkit(stack, catalog, wanted.policy, observed),
        )
        result.warnings += warnings
        result.refusals += refusals
    if item.phases and item.state in ("new", "change", "switch"):
        at_hand = locks[item.lock["key"]] if item.lock["status"] == "hit" else ""
        item.changes = expected(item, current["manifest"] if current else None, at_hand, catalog.base)
    if "install" in item.phases and item.lock["status"] == "hit":
        judged = judge(item, inspection_of(item.lock["key"], locks), observed, catalog, wanted.policy)
        item.constraints, item.archives = judged.constraints, judged.archives
        result.warnings += judged.warnings
        result.refusals += judged.refusals
    if INDEX not in wanted.policy:
        item.instead = instead(item, choose(environment, replace(wanted, policy=(INDEX,)), observed, catalog).stack)
    if item.engine == "conda" and item.wheels:
        result.refusals += conda.build_refusals(
            item.name, wanted, {wheel.name: wheel.status for wheel in item.wheels}, item.builder
        )
    if item.damage:
        more = f" (and {current['damaged'] - 1} more)" if current and current["damaged"] > 1 else ""
        keep = "; to keep a package, name it in wavesmith_environments" if item.damage[0].startswith("added: ") else ""
        result.warnings.append(
            f"environment {item.name} drifted: {item.damage[0]}{more}. Remedy: wavesmith provision makes a good generation{keep}"
        )
    result.warnings += [
        f"environment {item.name}: generation {entry['name']}, which is not in use, was changed, so it cannot be rolled back to: "
        f"{entry['damage'][0]}. Remedy: wavesmith repair removes it"
        for entry in present["generations"]
        if entry.get("damage") and entry["name"] != item.current
    ]
    return item


def _with_weights(item: EnvironmentPlan) -> None:
    """Weights are fetched before they are first needed; where they went missing, what is current is judged again with them."""
    if not item.weights:
        return
    if not item.phases:
        item.phases = ["weights", "verify"]
        return
    first = next((phase for phase in ("install", "verify") if phase in item.phases), "activate")
    item.phases.insert(item.phases.index(first), "weights")


def _projects(
    environment: Environment, stack: Stack, catalog: Catalog, asked: Sequence[Model], result: Plan
) -> list[Project]:
    """What the environment's projects and models require; what of the stack's packages the stack cannot give them is refused."""
    found = [catalog.projects[name] for name in environment.projects if name in catalog.projects]
    found += [model.requirements for model in asked]
    family = ask.family_of(catalog) if stack is NO_STACK else set()
    decided = {names.name_of(line) for project in found for line in project.overrides}
    for said in (said for project in found for said in project.declared):
        if names.name_of(said.requirement) in family - decided:
            problem = f"{said.requirement} ({said.by}) belongs to a stack, but stack is none"
            result.refusals.append(Refusal(f"environment {environment.name}", problem, "set stack: auto"))
    for project in found:
        for line in project.overrides:
            if names.name_of(line) in {*stack.versions, *stack.brings}:
                problem = f"its override {line} is on a package that belongs to the stack {stack.name}"
                remedy = f"leave it out; for that version, choose a stack for environment {environment.name} that has this version"
                name = project.name if project.name.startswith("model ") else f"project {project.name}"
                result.refusals.append(Refusal(name, problem, remedy))
    return found


def _other_python(wanted: Wanted, stack: Stack, observed: Observed) -> str:
    """What else helps where no Python of a host fits."""
    minors = {tuple(int(part) for part in python["version"].split(".")[:2]) for python in observed["pythons"]}
    fit = [
        ".".join(map(str, minor)) for minor in sorted(minors) if stack.python_minimum <= minor <= stack.python_maximum
    ]
    other = "or give the environment engine: conda, which brings its own"
    return f"or set wavesmith_python to what is there ({', '.join(fit)})" if wanted.python and fit else other


def _python(
    wanted: Wanted, stack: Stack, observed: Observed, environment: Environment, result: Plan
) -> PythonOf | None:
    fit = []
    for python in observed["pythons"]:
        minor = tuple(int(part) for part in python["version"].split(".")[:2])
        if stack.python_minimum <= minor <= stack.python_maximum and (
            not wanted.python or wanted.python == ".".join(map(str, minor))
        ):
            fit.append((python["path"].startswith("/usr/bin/"), minor, python["path"], python["version"]))
    if fit:
        _usual, _minor, path, version = max(fit)
        return {"path": path, "version": version}
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
            f"install Python {span} on the host, {_other_python(wanted, stack, observed)}",
        )
    )
    return None
