"""Where packages come from: the origins to try, the wheels to build or fetch."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..records.host import CurrentGeneration, Observed, SourceState
from ..records.plan import Instead
from ..terms.refusal import Refusal
from ..wanted.catalog import PACKAGE_INDEX, SOURCE, Catalog, Origin, Stack, cuda_version
from ..wanted.variables import Wanted
from .choose import allowed_origins
from .recipe import Target, builds, jobs, wanted_builds
from .record import SECONDS, EnvironmentPlan, Plan, WheelPlan


def refuse_unbuildable(item: EnvironmentPlan, stack: Stack, observed: Observed, result: Plan) -> None:
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


def asked_source(origin: Origin) -> str:
    """The source that an origin takes from: building needs the package index, for the archives and what builds them."""
    return PACKAGE_INDEX if origin.kind == SOURCE else origin.name


def usable(origin: Origin, observed: Observed) -> bool:
    """Whether its source answers, or gave no answer that refuses: then the download will show."""
    return _state(origin, observed)["answers"] or unsure(_state(origin, observed))


def unsure(state: SourceState) -> bool:
    return not state["answers"] and state.get("inconclusive", False)


def _state(origin: Origin, observed: Observed) -> SourceState:
    return observed["sources"].get(asked_source(origin), {"answers": False, "detail": "it was not asked"})


def origins_of(
    stack: Stack, wanted: Wanted, current: CurrentGeneration | None, observed: Observed
) -> list[tuple[Origin, str]]:
    """The origins to try, each with why it is its turn.

    The one in use comes first even where it does not answer: a host that needs nothing must not get a new generation
    because an index is slow. Then those that answer, in the policy's order, and those that may only be busy; where all refuse,
    the first stands for the refusal.
    """
    manifest = current["manifest"] if current else None
    in_use = manifest.get("origin") if manifest and manifest.get("stack") == stack.name else None
    allowed = allowed_origins(stack, wanted.policy)
    found = [(origin, "used by the current generation") for origin in allowed if origin.name == in_use]
    passed: list[str] = []
    for origin in allowed:
        state = _state(origin, observed)
        if state["answers"]:
            found.append((origin, "; ".join([*passed, origin.note])))
        passed.append(f"{origin.name} does not answer ({state['detail']})")
    found += [
        (origin, f"{origin.note}; no source answered in time") for origin in allowed if unsure(_state(origin, observed))
    ]
    return found or [(allowed[0], "; ".join(passed))]


def wheels_of(
    names: Sequence[str],
    stack: Stack,
    origin: Origin,
    target: Target,
    item: EnvironmentPlan,
    observed: Observed,
    catalog: Catalog,
    also: Collection[str] = (),
) -> tuple[list[WheelPlan], list[Refusal]]:
    """The wheels of an environment that are built from source, `also` those whose wheels on an index do not serve; and why some cannot be."""
    wanted = list(dict.fromkeys([*wanted_builds(names, catalog, stack.versions, origin.kind == SOURCE), *also]))
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


def instead(item: EnvironmentPlan, other: Stack | None) -> Instead:
    """What wheels of an index would save: the stack that they are, and the seconds of building the torch family."""
    seconds = sum(wheel.seconds for wheel in item.wheels if wheel.status == "build" and wheel.name in item.versions)
    return {"stack": other.name, "torch": other.versions["torch"], "seconds": seconds} if other and seconds else {}


def offer(wheels: Sequence[WheelPlan], wheelhouse: Collection[str]) -> None:
    """What the wheelhouse has is fetched, not built."""
    for wheel in wheels:
        if wheel.status == "build" and wheel.key in wheelhouse:
            wheel.status, wheel.seconds = "fetch", SECONDS["fetch"]
