"""Choose the stack of an environment: every stack of the catalog is judged for the host, the best that works is taken.

The rules, in the order they apply:

1. A forced stack is taken, or refused with the reason why it cannot work on the host.
2. A stack must work: CPU architecture, kind of machine, an accelerator of its kind with code for it, a driver new enough, and an
   origin that the policy allows.
3. Of those that work: CUDA before ROCm before DirectML before the CPU; then what the policy names first; then what the catalog prefers.
   A stack gives way to another of CUDA where a package's wheels on the index are built for the other one's, and it cannot be built here.
4. A host with an NVIDIA GPU gets CUDA or nothing, unless something else is forced; so does a host with an AMD GPU on which a stack
   would start and fail.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from ..audit.fatbin import Target
from ..audit.verdict import capability, parse_sm, runs
from ..observe.tables import NVIDIA_DRIVERS
from ..records.host import Gpu, Observed
from ..records.plan import Considered
from ..terms.refusal import Refusal, suggest
from ..wanted.catalog import INDEX, PACKAGE_INDEX, SOURCE, WHEELHOUSE, Catalog, Origin, Stack
from ..wanted.variables import Environment, Wanted
from .fitness import packages_of, prefers_another

FAMILIES = ("cuda", "rocm", "directml", "cpu")
"""Kinds of backend, best first."""
ARCHITECTURES = ("x86_64", "aarch64")
NO_STACK = Stack(
    name="none",
    description="no torch at all",
    backend="cpu",
    versions={},
    python_minimum=(3, 10),
    python_maximum=(3, 14),
    origins=(Origin(PACKAGE_INDEX, INDEX, "", "", 0.5, "nothing of the torch family is needed"),),
)


@dataclass(frozen=True)
class Fit:
    """Whether a stack works on a host.

    Attributes:
        problem: Why not; empty where it does.
        remedy: What could be done about it.
        unused: GPUs that it would leave idle.
        hidden: GPUs on which it would start and fail, beside others that it serves.
        meant: Whether the stack is for machines like this one at all.
        code: Whether it has code for a GPU of the host.
        starts: Whether it would start on a GPU of the host, and end at the first work.
    """

    problem: str = ""
    remedy: str = ""
    unused: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    meant: bool = True
    code: bool = True
    starts: bool = False


@dataclass
class Choice:
    """The stack of one environment.

    Attributes:
        stack: What was taken; None where nothing was.
        why: The reason in words.
        considered: Each stack of the catalog, best first: ``stack``, ``taken`` and ``why``.
        sm: Compute capability that packages with CUDA code are built for; empty where there is none.
        sms: Compute capabilities of this host that the stack serves.
    """

    stack: Stack | None = None
    why: str = ""
    sm: str = ""
    sms: list[str] = field(default_factory=list)
    considered: list[Considered] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)


@lru_cache(maxsize=64)
def family(backend: str) -> str:
    """``cuda`` of ``cuda13_0``."""
    return next(name for name in FAMILIES if backend.startswith(name))


def runs_on(sm: int, targets: Iterable[str]) -> bool:
    """Whether machine code for one of `targets` (``9.0``) runs on compute capability `sm` (90); the rule is the audit's."""
    return any(runs(Target(parse_sm(target)), sm) for target in targets)


def build_sm(gpus: Iterable[Gpu]) -> str:
    """The one compute capability whose code runs on all of these GPUs; empty where there is none."""
    known = sorted({sm for gpu in gpus if (sm := _sm(gpu))})
    return capability(known[0]) if known and all(runs(Target(known[0]), sm) for sm in known) else ""


def _served(stack: Stack, observed: Observed) -> list[str]:
    targets = stack.sms.get(observed["cpu"]["architecture"], ())
    known = {sm for gpu in observed["accelerators"] if gpu["vendor"] == "nvidia" and (sm := _sm(gpu))}
    return [capability(sm) for sm in sorted(known) if runs_on(sm, targets)]


def _sm(gpu: Gpu) -> int | None:
    try:
        return parse_sm(gpu.get("sm") or "")
    except ValueError:
        return None


def choose(environment: Environment, wanted: Wanted, observed: Observed, catalog: Catalog) -> Choice:
    """Choose the stack of one environment on one host."""
    item = f"environment {environment.name}"
    forced, by = _forced(environment, wanted)
    if forced == "none":
        return Choice(NO_STACK, f"no torch is wanted ({by})")
    if forced != "auto" and forced not in catalog.stacks:
        return Choice(refusals=[unknown_stack(by, forced, catalog)])
    gpus = observed["accelerators"]
    choice = Choice(sm=build_sm([gpu for gpu in gpus if gpu["vendor"] == "nvidia"]))
    ranked = sorted(catalog.stacks.values(), key=lambda stack: _rank(stack, wanted.policy))
    fits = {stack.name: judge(stack, observed, wanted.policy, forced == stack.name) for stack in ranked}
    needs_cuda = any(gpu["vendor"] == "nvidia" for gpu in gpus)
    starts = next((stack.name for stack in ranked if fits[stack.name].starts), "")
    alike = [
        stack
        for stack in ranked
        if family(stack.backend) == "cuda" and stack.channel == "stable" and not fits[stack.name].problem
    ]
    for stack in ranked:
        fit, taken, why = fits[stack.name], False, ""
        if fit.problem:
            why = fit.problem
        elif forced not in ("auto", stack.name):
            why = f"{forced} is forced by {by}"
        elif forced == "auto" and stack.channel != "stable":
            why = f"a {stack.channel} stack is taken only when it is forced"
        elif forced == "auto" and needs_cuda and family(stack.backend) != "cuda":
            why = "this host has an NVIDIA GPU: a stack that does not use it is taken only when it is forced"
        elif forced == "auto" and starts and stack.backend == "cpu" and not choice.stack:
            why = f"{starts} would start on this host's GPU and fail: a stack that does not use it is taken only when it is forced"
        elif choice.stack:
            why = f"{choice.stack.name} goes before it"
        elif forced == "auto" and (
            other := prefers_another(stack, alike, packages_of(environment.packages, catalog), wanted.policy, observed)
        ):
            why = other
        else:
            taken = True
            why = f"forced by {by}" if forced != "auto" else _chosen(stack, gpus)
            choice.stack, choice.why = stack, why
            choice.sms = _served(stack, observed)
            choice.warnings += [f"{name} stays unused: {stack.name} has no code for it" for name in fit.unused]
            choice.warnings += [
                f"{name} fails at its first matrix product: rocBLAS of {stack.name} has no kernels for it. "
                "Remedy: hide it with HIP_VISIBLE_DEVICES"
                for name in fit.hidden
            ]
        choice.considered.append({"stack": stack.name, "taken": taken, "why": why})
    if forced != "auto" and choice.stack is None:
        fit = fits[forced]
        problem = f"stack {forced}, forced by {by}, cannot work on this host: {fit.problem}"
        choice.refusals.append(Refusal(item, problem, fit.remedy or "set stack: auto, or name one that fits"))
    elif choice.stack is None:
        choice.refusals.append(_nothing_fits(item, ranked, fits, gpus))
    elif choice.stack.backend == "cpu" and forced == "auto" and gpus:
        names = ", ".join(dict.fromkeys(gpu["name"] for gpu in gpus))
        near = [fits[stack.name].problem for stack in ranked if _wants(stack, gpus) and fits[stack.name].meant]
        nearest = near[0] if near else "no stack is for it"
        choice.warnings.append(f"{names} stays unused, torch computes on the CPU: {nearest}")
    return choice


def _forced(environment: Environment, wanted: Wanted) -> tuple[str, str]:
    """The stack that is asked for, and what asks: the run's own variables go before the inventory's."""
    if environment.stack == "none":
        return "none", f"environment {environment.name}"
    if wanted.forced_by:
        return wanted.stack, wanted.forced_by
    if environment.stack != "auto":
        return environment.stack, f"environment {environment.name}"
    return wanted.stack, "variable wavesmith_stack"


def unknown_stack(item: str, name: str, catalog: Catalog) -> Refusal:
    """The refusal of a name that the catalog does not have."""
    return Refusal(item, f"stack {name!r} is not in the catalog", suggest(name, [*catalog.stacks, "none", "auto"]))


def _rank(stack: Stack, policy: Sequence[str]) -> tuple[int, int, int, str]:
    place = min(_place(origin, policy) for origin in stack.origins)
    return FAMILIES.index(family(stack.backend)), place, stack.preference, stack.name


def _place(origin: Origin, policy: Sequence[str]) -> int:
    """Where an origin stands in the policy; behind its end where it is not allowed.

    What is built from source may also come from the wheelhouse: where that alone is allowed, it must have it.
    """
    kinds = [kind for kind in kinds_of(origin) if kind in policy]
    return policy.index(kinds[0]) if kinds else len(policy)


def kinds_of(origin: Origin) -> tuple[str, ...]:
    """What the policy can name for an origin, either of them allows it."""
    return (SOURCE, WHEELHOUSE) if origin.kind == SOURCE else (origin.kind,)


def allowed_origins(stack: Stack, policy: Sequence[str]) -> list[Origin]:
    """The origins that the policy allows, in its order; it is about CUDA code alone."""
    if family(stack.backend) != "cuda":
        return list(stack.origins)
    allowed = [origin for origin in stack.origins if _place(origin, policy) < len(policy)]
    return sorted(allowed, key=lambda origin: _place(origin, policy))


def _chosen(stack: Stack, gpus: Sequence[Gpu]) -> str:
    if not gpus:
        return "no accelerator was found"
    vendors = _VENDORS[family(stack.backend)]
    served = [
        f"{gpu['name']} ({'SM ' + (gpu['sm'] or '') if gpu.get('sm') else gpu.get('gfx') or gpu['vendor']})"
        for gpu in gpus
        if gpu["vendor"] in vendors
    ]
    return "for " + ", ".join(dict.fromkeys(served)) if served else "no accelerator of this host has a stack"


def _wants(stack: Stack, gpus: Sequence[Gpu]) -> bool:
    """Whether the stack is for accelerators of the kind that is there."""
    vendors = {gpu["vendor"] for gpu in gpus}
    return bool(_VENDORS[family(stack.backend)] & vendors) and stack.channel == "stable"


def _nothing_fits(item: str, ranked: Sequence[Stack], fits: Mapping[str, Fit], gpus: Sequence[Gpu]) -> Refusal:
    """One sentence for all stacks that come into question, each reason once."""
    near = [stack for stack in ranked if _wants(stack, gpus)] or [stack for stack in ranked if stack.backend == "cpu"]
    # What a stack without code for the GPU would say is beside the point where another one has it.
    near = [stack for stack in near if fits[stack.name].code and fits[stack.name].meant] or near
    names: dict[str, list[str]] = {}
    told: set[tuple[str, tuple[str, ...]]] = set()
    for stack in near:
        # Of stacks for one backend, or for one kind of machine, the first stands for the others that lack the same.
        kin = (fits[stack.name].problem, stack.machines or (stack.backend,))
        if fits[stack.name].meant and kin not in told:
            told.add(kin)
            names.setdefault(fits[stack.name].problem, []).append(stack.name)
    problem = "; ".join(f"{', '.join(stacks)}: {why}" for why, stacks in names.items())
    remedies = [next((fits[stack.name].remedy for stack in near if fits[stack.name].remedy), "")]
    if any(stack.backend == "cpu" and not fits[stack.name].problem for stack in ranked):
        remedies.append("set wavesmith_stack: cpu if the CPU is enough")
    remedy = "; or ".join(text for text in remedies if text) or "add a stack to the catalog"
    return Refusal(item, f"no stack fits this host ({problem or 'the catalog has none for its accelerator'})", remedy)


def alternatives(stack: Stack, observed: Observed, catalog: Catalog, policy: Sequence[str]) -> list[Stack]:
    """The other stable stacks of the same family that work on a host."""
    return [
        other
        for other in catalog.stacks.values()
        if other.name != stack.name
        and other.channel == "stable"
        and stack.name in catalog.stacks
        and family(other.backend) == family(stack.backend)
        and not judge(other, observed, policy).problem
    ]


def judge(stack: Stack, observed: Observed, policy: Sequence[str], forced: bool = False) -> Fit:
    """Whether a stack works on a host; a forced one need not serve every GPU."""
    architecture = observed["cpu"]["architecture"]
    if architecture not in ARCHITECTURES:
        return Fit(f"there are no wheels for {architecture}", "use a host with x86_64 or aarch64")
    if architecture not in stack.architectures:
        return Fit(f"it is for {' and '.join(stack.architectures)}, this host is {architecture}", meant=False)
    machine = observed.get("machine", {}).get("kind", "")
    if stack.machines and machine not in stack.machines:
        return Fit(f"it is for {' or '.join(stack.machines)} only", meant=False)
    kind = family(stack.backend)
    if kind == "cpu":
        return Fit()
    gpus = [gpu for gpu in observed["accelerators"] if gpu["vendor"] in _VENDORS[kind]]
    if not gpus:
        return Fit(f"it needs {_NEEDED[kind]} and none was found")
    if not allowed_origins(stack, policy):
        offered = " or ".join(dict.fromkeys(kind for origin in stack.origins for kind in kinds_of(origin)))
        return Fit(
            f"the policy allows {', '.join(policy) or 'nothing'}, it comes from {offered}",
            f"add {offered} to wavesmith_policy",
        )
    if kind == "directml":
        return Fit()
    if kind == "rocm":
        return _blocked(observed, _NO_ROCM) or _rocm(stack, gpus)
    return _cuda(stack, gpus, observed, forced)


_VENDORS = {"cuda": {"nvidia"}, "rocm": {"amd"}, "directml": {"directx", "amd", "intel"}, "cpu": set[str]()}
_NEEDED = {"cuda": "an NVIDIA GPU", "rocm": "an AMD GPU", "directml": "a GPU that Windows shares"}


# Findings of `observe` about NVIDIA's GPUs that leave them able to compute; every other one does not: docs/platform.md.
_CUDA_WORKS = {f"nvidia.{name}" for name in ("smi_old", "sm_unknown", "no_memory", "mig", "missing", "idle")}
_NO_ROCM = {"amd.no_kfd", "amd.access", "amd.driver"}


def _blocked(observed: Observed, ids: Iterable[str]) -> Fit | None:
    """What `observe` found in the way of an accelerator, with its own remedy."""
    for finding in observed.get("findings", ()):
        if finding["id"] in ids:
            return Fit(finding["detail"], finding["remedy"].rstrip("."))
    return None


def _cuda(stack: Stack, gpus: Sequence[Gpu], observed: Observed, forced: bool) -> Fit:
    driver = observed["nvidia"].get("driver") or ""
    answers = any(str(gpu.get("source")).startswith(("nvidia-smi", "nvml")) for gpu in gpus)
    found = {finding["id"] for finding in observed.get("findings", ())}
    silenced = {name for name in found if name.startswith(("nvidia.", "wsl."))} - _CUDA_WORKS
    blocked = _blocked(observed, {"nvidia.no_libcuda"} if answers else silenced)
    targets = stack.sms.get(observed["cpu"]["architecture"], ())
    unused = [
        f"{gpu['name']} (SM {capability(sm)})"
        for gpu in gpus
        if (sm := _sm(gpu)) is not None and not runs_on(sm, targets)
    ]
    carried = ", ".join(targets) or "none for this CPU architecture"
    if len(unused) == len(gpus):
        return Fit(f"it has no code for {unused[0]}, it has {carried}", code=False)
    if blocked:
        return blocked
    unknown = [gpu["name"] or "a GPU without a name" for gpu in gpus if _sm(gpu) is None]
    if unknown:
        problem = f"the compute capability of {unknown[0]} could not be read"
        return Fit(problem, "make `nvidia-smi` answer (driver, container toolkit), then plan again")
    if unused and not forced:
        remedy = f"set wavesmith_stack: {stack.name} to leave {', '.join(unused)} unused"
        return Fit(f"it has no code for {unused[0]}, it has {carried}", remedy)
    if any(origin.kind == SOURCE for origin in stack.origins) and not build_sm(gpus):
        return Fit("it is built for one compute capability, the GPUs of this host need several")
    major = driver.partition(".")[0]
    if major.isdigit() and int(major) < stack.driver_minimum:
        return Fit(
            f"it needs driver {stack.driver_minimum} or newer, this host has {driver}", _newer(stack, gpus, observed)
        )
    return Fit(unused=tuple(unused))


def _newer(stack: Stack, gpus: Sequence[Gpu], observed: Observed) -> str:
    """Which driver to take, and where it is installed."""
    kind = observed.get("machine", {}).get("kind", "")
    if kind == "jetson":
        return "update JetPack: a Jetson's driver is part of its L4T"
    if kind == "wsl2":
        return f"update NVIDIA's driver in Windows to {stack.driver_minimum} or newer; install none in WSL"
    last = [
        row[2] for gpu in gpus if (row := NVIDIA_DRIVERS.get(gpu.get("sm") or "")) and row[2] >= stack.driver_minimum
    ]
    newer = f"{min(last)}, the last branch for this GPU" if last else f"{stack.driver_minimum} or newer"
    where = " on the container's host, not in it" if kind == "container" else ""
    return f"update NVIDIA's driver{where} to {newer}"


def _rocm(stack: Stack, gpus: Sequence[Gpu]) -> Fit:
    # An integrated GPU beside a card is common, so one that is served is enough; torch sees only those it has code for.
    works = stack.rocblas or stack.gfx
    unserved = [gpu for gpu in gpus if gpu.get("gfx") not in works]
    known = [f"{gpu['name']} ({gpu['gfx']})" for gpu in unserved if gpu.get("gfx")]
    if len(unserved) < len(gpus):
        shown = {
            f"{gpu['name']} ({gpu.get('gfx') or 'target unknown'})": gpu.get("gfx") in stack.gfx for gpu in unserved
        }
        unused = tuple(name for name, starts in shown.items() if not starts)
        return Fit(unused=unused, hidden=tuple(name for name, starts in shown.items() if starts))
    if not known:
        problem = f"the gfx target of {gpus[0]['name']} could not be read"
        return Fit(problem, "load the amdgpu driver with its compute part (/dev/kfd), then plan again")
    starting = [f"{gpu['name']} ({gpu['gfx']})" for gpu in unserved if gpu.get("gfx") in stack.gfx]
    if starting:
        return Fit(
            f"it has code for {', '.join(starting)}, but its rocBLAS has no kernels for that, only for {', '.join(works)}: "
            "the first matrix product would abort the process",
            "take AMD's own builds (TheRock), which are made for more GPUs: add a stack of them to wavesmith_catalog (docs/stacks.md#amds-own-builds)",
            starts=True,
        )
    return Fit(f"it has no code for {', '.join(known)}, it has {', '.join(stack.gfx)}")
