"""Whether a package can be had with a stack, and whether an index's wheel of it uses the GPU: build it, take another stack, or warn."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from ..audit.fatbin import Target
from ..audit.verdict import capability, gpu_build, parse_sm, runs
from ..records.host import Gpu, Observed
from ..terms.refusal import Refusal
from ..terms.versions import numbers
from ..wanted.catalog import ALWAYS, SOURCE, WITH_STACK, Catalog, Package, Stack, cuda_version
from .record import EnvironmentPlan


@dataclass(frozen=True)
class Unfit:
    """A package that cannot be had with a stack, or whose wheels on an index do not use the GPUs of a host.

    Attributes:
        package: Its name.
        why: What they are.
        cpu_only: Whether they work without the GPU, as they are meant to.
        built: Whether it can be built here instead, for this stack.
        remedy: What makes it so; where it is built, empty.
        limit: Whether it cannot be had at all.
    """

    package: str
    why: str
    cpu_only: bool
    built: bool
    remedy: str = field(default="", compare=False)
    limit: bool = False


def _limited(package: Package, stack: Stack, observed: Observed) -> Unfit | None:
    """Why a package cannot be had with a stack on a host; `None` where nothing is known against it."""
    torch = stack.versions.get("torch", "")
    if package.for_torch and torch not in package.for_torch:
        why = f"its releases are built for torch {', '.join(sorted(package.for_torch))}"
        got = f"stack {stack.name} has {torch}" if torch else "the environment has no stack"
        remedy = f"choose a stack with such a torch, or leave {package.name} out"
        return Unfit(package.name, f"{why}, and {got}", False, False, remedy, limit=True)
    facts = {
        "architecture": observed["cpu"]["architecture"],
        "backend": stack.backend.rstrip("_0123456789"),
        "machine": observed.get("machine", {}).get("kind", ""),
        "stack": stack.name,
        "sm": _lowest(observed) if stack.backend.startswith("cuda") else "",
    }
    for limit in package.limits:
        if all(facts[fact] in values for fact, values in limit.when.items()):
            other = (
                "choose another stack (wavesmith_explain=true lists them), or "
                if not {"architecture", "sm"} & limit.when.keys()
                else ""
            )
            return Unfit(package.name, limit.why, False, False, f"{other}leave {package.name} out", limit=True)
    return None


def _lowest(observed: Observed) -> str:
    """The lowest compute capability of the host's NVIDIA GPUs; empty where none is known."""
    known = [gpu["sm"] for gpu in observed["accelerators"] if gpu["vendor"] == "nvidia" and gpu["sm"]]
    return min(known, key=numbers, default="")


def unfit(packages: Sequence[Package], stack: Stack, policy: Collection[str], observed: Observed) -> list[Unfit]:
    """The packages of an environment that cannot be had with a stack, and with one for a GPU those whose wheels do not use this host's."""
    found = []
    cuda = cuda_version(stack.backend)
    gpus = [gpu for gpu in observed["accelerators"] if gpu["vendor"] == "nvidia"]
    for package in packages:
        limit = _limited(package, stack, observed)
        if limit:
            found.append(limit)
            continue
        held = package.index_wheels.get(observed["cpu"]["architecture"])
        if held is None:
            continue
        if stack.backend.startswith("rocm"):
            remedy = "for the GPU: a build of it for ROCm, from an index or a recipe of your own"
            made = "the CPU" if held.backend == "cpu" else f"CUDA {held.backend.removeprefix('cuda')}"
            found.append(Unfit(package.name, f"its wheels on the index are for {made} only", True, False, remedy))
        if not cuda:
            continue
        if package.recipe and package.recipe.use == WITH_STACK and _from_source(stack):
            continue  # it is built with the stack
        if held.backend == "cpu":
            why = f"its wheels on the index for {observed['cpu']['architecture']} are for the CPU only"
        elif held.backend.removeprefix("cuda") != cuda.partition(".")[0]:
            why = f"its wheels on the index are built for CUDA {held.backend.removeprefix('cuda')}, stack {stack.name} is CUDA {cuda}"
        elif held.sms and (lacking := _unserved(gpus, held.sms)):
            why = f"its wheels on the index have code for {', '.join(held.sms)}, not for SM {lacking}"
        else:
            continue
        remedy = _no_build(package, stack, policy, observed)
        found.append(Unfit(package.name, why, held.backend == "cpu", not remedy, remedy))
    return found


def _unserved(gpus: Sequence[Gpu], targets: Sequence[str]) -> str:
    for gpu in gpus:
        try:
            sm = parse_sm(gpu["sm"] or "")
        except ValueError:
            continue
        if not any(runs(Target(parse_sm(name.rstrip("af")), name.lstrip("0123456789.")), sm) for name in targets):
            return capability(sm)
    return ""


def _no_build(package: Package, stack: Stack, policy: Collection[str], observed: Observed) -> str:
    """What is to be done before a package can be built for the stack's CUDA on this host; empty where it can be."""
    cuda = cuda_version(stack.backend)
    recipe = package.recipe
    if recipe is None or not (recipe.contents.not_cpu_only or recipe.contents.sass):
        other = gpu_build(package.name)
        return f"for the GPU: {other}" if other else "add a recipe that builds it for the GPU (docs/recipes.md)"
    steps = []
    if SOURCE not in policy:
        steps.append("add source to wavesmith_policy")
    if cuda not in _toolkits(observed):
        steps.append(f"install cuda-toolkit-{cuda.replace('.', '-')} on the host")
    gcc = observed["compilers"].get("gcc")
    if gcc and stack.gcc and gcc not in stack.gcc:
        steps.append(f"install a gcc of {stack.gcc}")
    return " and ".join(steps) + _BUILT if steps else ""


_BUILT = ", so that it is built from source"


def prefers_another(
    stack: Stack, others: Sequence[Stack], packages: Sequence[Package], policy: Collection[str], observed: Observed
) -> str:
    """Why a stack gives way to another that fits as well and has none of its obstacles. Empty where it does not."""
    wrong = _obstacles(stack, packages, policy, observed)
    for other in others:
        if _TOOLKIT in wrong and not _from_source(other):
            continue  # what is to be built from source is not taken from an index for want of a toolkit
        if wrong and not wrong.keys() & _obstacles(other, packages, policy, observed).keys():
            return next(iter(wrong.values()))
    return ""


_TOOLKIT = "nvcc"


def _obstacles(
    stack: Stack, packages: Sequence[Package], policy: Collection[str], observed: Observed
) -> dict[str, str]:
    """What would not work with a stack where another one may do: by the name of a package, or `_TOOLKIT`."""
    found = {
        item.package: f"{item.package}: {item.why}"
        for item in unfit(packages, stack, policy, observed)
        if not item.built and not item.cpu_only
    }
    for package in packages:
        if why := _of_other_torch(package, stack):
            found[package.name] = f"{package.name}: {why}"
    cuda, toolkits = cuda_version(stack.backend), _toolkits(observed)
    if _from_source(stack) and SOURCE in policy and toolkits and cuda not in toolkits:
        found[_TOOLKIT] = f"it is built with CUDA {cuda}, this host has the toolkit of {', '.join(toolkits)}"
    return found


def _of_other_torch(package: Package, stack: Stack) -> str:
    """Why what is always built has no release for the stack's torch; empty where it has one."""
    torch, recipe = stack.versions.get("torch", ""), package.recipe
    if recipe is None or recipe.use != ALWAYS or not torch:
        return ""
    if any(not release.torch or torch in release.torch for release in recipe.releases):
        return ""
    known = dict.fromkeys(version for release in recipe.releases for version in release.torch)
    return f"it builds against torch {', '.join(known)}, not {torch}"


def _from_source(stack: Stack) -> bool:
    return all(origin.kind == SOURCE for origin in stack.origins)


def _toolkits(observed: Observed) -> list[str]:
    return [toolkit["version"] for toolkit in observed.get("toolkits", ()) if toolkit["nvcc"]]


def with_own_toolkit(stack: Stack, catalog: Catalog, policy: Collection[str], observed: Observed) -> str:
    """The stack that is built for this kind of machine with the toolkit that the host has, where the stack's own is not there."""
    toolkits, kind = _toolkits(observed), observed.get("machine", {}).get("kind", "")
    if SOURCE not in policy or cuda_version(stack.backend) in toolkits:
        return ""
    for other in catalog.stacks.values():
        if _from_source(other) and kind in other.machines and cuda_version(other.backend) in toolkits:
            return other.name
    return ""


def tell(item: EnvironmentPlan, found: Sequence[Unfit], other: str = "") -> tuple[list[str], list[Refusal]]:
    """Warnings about packages that do not use the GPU and are not built; also kept in `item.on_cpu`.

    Args:
        item: The environment.
        found: The packages.
        other: A stack that is built with the toolkit of the host (`with_own_toolkit`).
    """
    warnings, refusals = [], []
    subject = f"environment {item.name}"
    for entry in found:
        if entry.built:
            continue
        if entry.limit:
            refusals.append(Refusal(subject, f"{entry.package} cannot be had here: {entry.why}", entry.remedy))
        elif entry.cpu_only:
            item.on_cpu.append(entry.package)
            another = (
                f"; or set wavesmith_stack: {other}, which is built with the toolkit of this host" if other else ""
            )
            way = f"{entry.remedy}{another if entry.remedy.endswith(_BUILT) else ''}"
            remedy = f"{way}; none is needed where the CPU is enough"
            warnings.append(f"{subject}: {entry.package} will not use the GPU, {entry.why}. Remedy: {remedy}")
        else:
            problem = f"{entry.package} would not run on the GPU: {entry.why}"
            remedy = f"{entry.remedy}; or choose another stack (wavesmith_explain=true lists them), or leave {entry.package} out"
            refusals.append(Refusal(subject, problem, remedy))
    return warnings, refusals


def packages_of(names: Sequence[str], catalog: Catalog) -> list[Package]:
    """The catalog's packages among some names."""
    known: Mapping[str, Package] = catalog.packages
    return [known[name] for name in names if name in known]
