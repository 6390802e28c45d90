"""Which GPUs a wheel or a prefix can serve, and what else its binaries betray: pure rules over what `binaries` read."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

from ..records.audit import AuditFinding, AuditReport, GpuVerdict, Targets, Verdict, Wants
from .fatbin import SASS, Code, Target
from .libraries import (
    OF_ACCELERATORS,
    Alternatives,
    Dynamic,
    Missing,
    Part,
    alternatives,
    remedy,
    some,
    spared,
)

Kind = Literal["wheel", "prefix", "library"]
WHEEL: Literal["wheel"] = "wheel"
PREFIX: Literal["prefix"] = "prefix"
LIBRARY: Literal["library"] = "library"
SERVES: Literal["serves"] = "serves"
CPU_ONLY: Literal["cpu_only"] = "cpu_only"
"""Most packages are of this kind, and rightly so; where one also has a build for GPUs, that is worth a warning."""
CANNOT: Literal["cannot_serve"] = "cannot_serve"
BEST_FIRST: list[Verdict] = [SERVES, CPU_ONLY, CANNOT]

_SM = re.compile(r"(?:sm_?)?(?:([0-9]{1,2})\.([0-9])|([0-9]{2,3}))", re.IGNORECASE)
# Libraries whose soname carries CUDA's own major version; libcufft, libcusparse and others count for themselves.
_CUDA_MAJOR = re.compile(r"lib(?:cudart|cublas|cublasLt|nvrtc|nvJitLink|nvfatbin|npp[a-z]+)\.so\.([0-9]+)(?:\.[0-9]+)*")
_NEEDS_CUDA = re.compile(r"lib(?:torch_cuda|c10_cuda|cudart|cublas|cublasLt|nvrtc|cudnn|nccl)[_a-z]*\.so.*")
# NVIDIA's own libraries hold each kernel in a fatbin of its own or keep fatbins as data (libcufft of CUDA 13.0 all but one, for
# SM 7.5), and pick or generate what the GPU takes at run time: what share of the linked ones runs says nothing.
_OF_NVIDIA = re.compile(
    r"lib(?:cublas|cublasLt|cudnn|cufft|cufftw|cufile|curand|cusolver|cusolverMg|cusparse|cusparseLt|cutensor|nccl|npp|nvjpeg|nvshmem)"
    r"[_a-zA-Z]*(?:-[0-9a-f]{8})?\.so[.0-9]*"
)
# The integrated GPUs of Jetson boards: code for them runs on nothing else, and code for discrete GPUs of the same major version not on
# them. Thor is 10.1 for CUDA 12 and 11.0 for CUDA 13, where that difference ended.
# Source: torch 2.11.0, torch/cuda/__init__.py, DEVICE_REQUIREMENT ("accounting for incompatibility of iGPU and dGPU").
INTEGRATED = frozenset({53, 62, 72, 87, 101})
ON_ARM = INTEGRATED | {110, 121}
"""GPUs that are part of a chip with Arm cores: those of Jetson boards, Thor, and GB10 (DGX Spark). No x86_64 machine has one."""
# Python packages that have builds for GPUs elsewhere, where theirs is for the CPU only: folder, and who has the other one.
GPU_BUILDS = {
    "torch": "an index with CUDA builds",
    "torchaudio": "the index that torch is from",
    "torchvision": "the index that torch is from",
    "ctranslate2": "the x86_64 wheels of the index hold CUDA 12 code; a build from source for the rest",
    "onnxruntime": "the distribution onnxruntime-gpu",
    "sherpa_onnx": "a build from source on a stack of CUDA 12, for which upstream has an onnxruntime",
    "k2": "a build from source",
    "bitsandbytes": "the manylinux wheels of the index",
    "faiss": "conda, or a build from source",
    "llama_cpp": "a build from source with GGML_CUDA",
    "pywhispercpp": "a build from source with GGML_CUDA",
    "jaxlib": "the extra of jax for CUDA, as jax[cuda13]",
    "onnxruntime_genai": "the distribution onnxruntime-genai-cuda",
}
# Distributions that are not named after their folder.
FOLDERS = {"faiss-cpu": "faiss", "llama-cpp-python": "llama_cpp"}


def gpu_build(distribution: str) -> str:
    """Who has the build for GPUs of a distribution; empty where none is known."""
    known = {name.replace("_", "-"): name for name in GPU_BUILDS}
    return GPU_BUILDS.get(FOLDERS.get(distribution) or known.get(distribution, ""), "")


_OF_ROCM = re.compile(r"lib(?:torch_hip|c10_hip|amdhip64|hip\w+|roc\w+|MIOpen|rccl|hsa-runtime64)\.so[.0-9]*")
_SYSTEMS = {
    "win": "Windows",
    "macosx": "macOS",
    "musllinux": "Linux with musl (Alpine)",
    "ios": "iOS",
    "android": "Android",
}
_MACHINES = {
    "x86_64": "x86_64",
    "amd64": "x86_64",
    "aarch64": "aarch64",
    "arm64": "aarch64",
    "i686": "i386",
    "win32": "i386",
    "armv7l": "arm",
}


@dataclass(frozen=True)
class Library:
    """One shared library: its path within the artifact, the package it belongs to, and what was read out of it."""

    path: str
    package: str
    code: Code = field(default_factory=Code)
    dynamic: Dynamic = field(default_factory=Dynamic)

    @property
    def judged(self) -> bool:
        """Whether its GPU code says which GPUs it serves; see `_OF_NVIDIA`."""
        name = self.path.rsplit("/", 1)[-1]
        return bool(self.code.fatbins) and not self.package.startswith("nvidia") and not _OF_NVIDIA.fullmatch(name)

    @property
    def uses(self) -> tuple[str, ...]:
        """The libraries of accelerators that it needs or opens."""
        return tuple(name for name in (*self.dynamic.needed, *self.dynamic.opens) if OF_ACCELERATORS.fullmatch(name))


@dataclass(frozen=True)
class Artifact:
    """A wheel, a prefix or a single library.

    Attributes:
        path: As it was asked for.
        kind: `WHEEL`, `PREFIX` or `LIBRARY`.
        libraries: All shared libraries in it.
        missing: What nothing provides.
        unread: Files that look like libraries and could not be read, with the reason.
        skipped: Libraries that were left unread because of their size.
        distributions: The distributions in it.
        rocblas: AMD targets that the files of rocBLAS in a wheel have kernels for.
        backend: What the torch in it was built for; empty where it has none.
    """

    path: str
    kind: Kind
    libraries: tuple[Library, ...] = ()
    missing: tuple[Missing, ...] = ()
    unread: tuple[tuple[str, str], ...] = ()
    skipped: tuple[str, ...] = ()
    distributions: tuple[str, ...] = ()
    backend: str = ""
    rocblas: tuple[str, ...] = ()

    @property
    def machines(self) -> list[str]:
        """The CPU architectures of its libraries; where it has none, those that the wheel's name says."""
        found = {library.dynamic.machine for library in self.libraries if library.dynamic.machine}
        return sorted(found or set(_of_name(self)[1]))

    @property
    def systems(self) -> list[str]:
        """The other systems than Linux with glibc that the wheel's name says it is for."""
        return _of_name(self)[0]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing in it to run anywhere."""
        return not (self.libraries or self.distributions or self.unread or self.skipped)


def _of_name(artifact: Artifact) -> tuple[list[str], list[str]]:
    """Systems and machines in the platform tags of a wheel's name."""
    name = artifact.path.rpartition("/")[2]
    if artifact.kind != WHEEL or not name.endswith(".whl") or name.count("-") < 4:
        return [], []
    systems, machines = [], []
    for tag in name[: -len(".whl")].rpartition("-")[2].split("."):
        systems.append(next((shown for start, shown in _SYSTEMS.items() if tag.startswith(start)), ""))
        machines += [found for end, found in _MACHINES.items() if tag.endswith(end)][:1]
    return ([] if "" in systems else list(dict.fromkeys(systems))), list(dict.fromkeys(machines))


@lru_cache(maxsize=256)
def parse_sm(text: str) -> int:
    """Return 110 for ``11.0``, ``110``, ``sm110`` and ``sm_110``.

    Raises:
        ValueError: `text` is no compute capability.
    """
    match = _SM.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a compute capability (an example: 11.0)")
    if match[3] and int(match[3]) < 20:
        # CUDA knows nothing below 2.0 any more, so 11 cannot mean 1.1; but it is not guessed.
        raise ValueError(f"{text!r} is ambiguous as a compute capability: did you mean {match[3]}.0 (or {match[3]}0)?")
    return int(match[3]) if match[3] else int(match[1]) * 10 + int(match[2])


def capability(sm: int) -> str:
    """Write 110 as ``11.0``."""
    return f"{sm // 10}.{sm % 10}"


def runs(target: Target, sm: int) -> bool:
    """Whether code for `target` runs on a GPU of compute capability `sm`.

    Source: CUDA C++ Programming Guide, "Binary Compatibility", "PTX Compatibility" and "Feature Sets": machine code runs on the same
    major version with the same or a later minor one, PTX on anything later; with the suffix ``a`` both run on exactly that one,
    with ``f`` on the same family, which shares the major version.
    """
    if target.suffix == "a":
        return target.sm == sm
    if target.kind == SASS and {target.sm, sm} & INTEGRATED:
        return target.sm == sm or (target.sm, sm) == (101, 110)
    if target.kind == SASS or target.suffix == "f":
        return target.sm // 10 == sm // 10 and target.sm <= sm
    return target.sm <= sm


def judge(artifact: Artifact, sms: Iterable[int] = (), machine: str = "") -> AuditReport:
    """Judge an artifact, for each compute capability that is asked about.

    Args:
        artifact: What was read.
        sms: Compute capabilities.
        machine: CPU architecture that it must run on; empty: where the GPU itself says it (`ON_ARM`), that one.
    """
    asked = list(dict.fromkeys(sms))
    parts = [Part(library.path, library.dynamic.needed) for library in artifact.libraries]
    choices = [group for group in alternatives(parts) if group.by_backend]
    never = spared(parts, artifact.backend)
    counted = [library for library in artifact.libraries if library.path not in never]
    accelerated = [library for library in artifact.libraries if library.code.fatbins]
    judged = [library for library in counted if library.judged]
    verdicts = [_verdict(artifact, counted, choices, sm, machine) for sm in asked]
    findings = list(_findings(artifact, counted, choices, asked, machine))
    worst = max((verdict["verdict"] for verdict in verdicts), key=BEST_FIRST.index, default=SERVES)
    return {
        "path": artifact.path,
        "kind": artifact.kind,
        "machines": artifact.machines,
        "systems": artifact.systems,
        "backend": artifact.backend,
        "examined": len(artifact.libraries),
        "targets": summary(library.code for library in judged or accelerated),
        "libraries": [
            {
                "path": library.path,
                "package": library.package,
                "judged": library.judged,
                "fatbins": library.code.total,
                "targets": summary([library.code]),
            }
            for library in accelerated
        ],
        "cpu_only": cpu_only(artifact.libraries),
        "wants": _wants(artifact),
        "verdicts": verdicts,
        "findings": findings,
        "verdict": worst,
        "serves": not findings and worst == SERVES,
    }


def _wants(artifact: Artifact) -> Wants:
    """The libraries of accelerators that a wheel or a library wants from elsewhere: ``needed``, and ``opened`` by name."""
    if artifact.kind == PREFIX:
        return {"needed": [], "opened": []}
    own = {name for lib in artifact.libraries for name in (lib.path.rpartition("/")[2], lib.dynamic.soname)}
    needed = {name for lib in artifact.libraries for name in lib.dynamic.needed if OF_ACCELERATORS.fullmatch(name)}
    opened = {name for lib in artifact.libraries for name in lib.dynamic.opens}
    return {"needed": sorted(needed - own), "opened": sorted(opened - own - needed)}


def cpu_only(libraries: Iterable[Library]) -> list[str]:
    """The packages among `GPU_BUILDS` that are built for the CPU only here: none of their libraries has to do with an accelerator."""
    known: dict[str, list[Library]] = {}
    for library in libraries:
        if library.package in GPU_BUILDS:
            known.setdefault(library.package, []).append(library)
    return sorted(
        name
        for name, parts in known.items()
        if (_cpu_only_torch(parts) if name == "torch" else not any(_accelerated(library) for library in parts))
    )


def _accelerated(library: Library) -> bool:
    name = library.path.rpartition("/")[2]
    return bool(library.code.fatbins or library.uses or OF_ACCELERATORS.fullmatch(name))


def summary(codes: Iterable[Code]) -> Targets:
    """Which targets some libraries hold ``throughout`` (in half of their fatbins or more), and which only in ``part``.

    A few kernels of a library are often compiled for targets of their own (``90a`` for Hopper's matrix units): those say nothing
    about the rest. Each is given with the number of fatbins it is in, for ``sass`` and ``ptx``.
    """
    total, counts = 0, Counter[Target]()
    for code in codes:
        total += code.total
        counts.update(code.counts())
    found: Targets = {"sass": {"throughout": {}, "partial": {}}, "ptx": {"throughout": {}, "partial": {}}}
    for target, number in sorted(counts.items()):
        kind = found["sass"] if target.kind == SASS else found["ptx"]
        kind["throughout" if 2 * number >= total else "partial"][f"{target.sm}{target.suffix}"] = number
    return found


def _verdict(
    artifact: Artifact, counted: Sequence[Library], choices: Sequence[Alternatives], sm: int, machine: str
) -> GpuVerdict:
    """Whether it runs beside such a GPU at all, and every package with GPU code has nearly as much of it for `sm` as for its best GPU."""
    found: GpuVerdict = {
        "sm": capability(sm),
        "verdict": CANNOT,
        "serves": False,
        "how": "",
        "without": [],
        "reasons": [],
    }
    elsewhere = _elsewhere(artifact, machine or ("aarch64" if sm in ON_ARM else ""), sm if not machine else 0)
    if artifact.is_empty or elsewhere:
        return {**found, "reasons": [elsewhere or "there is nothing in it"]}
    reasons: list[str] = []
    judged = _of_choices([library for library in counted if library.judged], choices, sm, reasons)
    packages: dict[str, list[Library]] = {}
    for library in judged:
        packages.setdefault(library.package, []).append(library)
    lacking = False
    used: Counter[Target] = Counter()
    for name, parts in sorted(packages.items()):
        codes = [library.code for library in parts]
        fit = _fit(codes, sm)
        known = {target.sm for code in codes for target in code.counts()}
        best = max(known, key=lambda other: (sum(_fit(codes, other).values()), other))
        served, most = sum(fit.values()), sum(_fit(codes, best).values())
        if 2 * served < most:
            lacking = True
            total = sum(code.total for code in codes)
            reasons.append(
                f"{name}: {served or 'none'} of its {total} fatbins run there"
                + (f", {most} on SM {capability(best)}" if served else "")
            )
        used += fit
    found["without"] = sorted(library.path for library in judged if not _fit([library.code], sm))
    if lacking:
        return {**found, "reasons": reasons}
    if used:
        main = max(used, key=lambda target: (used[target], target))
        found["how"] = main.kind
        number, all_of_it = sum(used.values()), sum(library.code.total for library in judged)
        mostly = "" if used[main] == number else "most of them "
        by = "" if main.kind == SASS else ", compiled by the driver when it is first used"
        reasons.insert(0, f"{number} of {all_of_it} fatbins run, {mostly}as {main.name}{by}")
        if found["without"]:
            reasons.append(f"but nothing runs of {some(found['without'])}")
    verdict, more = _beside(artifact, counted, bool(used))
    return {**found, "verdict": verdict, "serves": verdict == SERVES, "reasons": [*reasons, *more]}


def _elsewhere(artifact: Artifact, wanted: str, sm: int) -> str:
    """Why an artifact does not run on a machine of this CPU architecture; empty where it does, or nothing is known against it."""
    if artifact.systems:
        return f"it is for {' and '.join(artifact.systems)}"
    if not wanted or not artifact.machines:
        return ""
    why = f"SM {capability(sm)} is part of {wanted} machines only" if sm else f"wanted is {wanted}"
    if wanted not in artifact.machines:
        return f"it is for {' and '.join(artifact.machines)}, {why}"
    machines: dict[str, set[str]] = {}
    for library in artifact.libraries:
        machines.setdefault(library.package, set()).add(library.dynamic.machine)
    foreign = sorted(name for name, found in machines.items() if wanted not in found)
    return f"{some(foreign)} in it is for another architecture, {why}" if foreign else ""


def _of_choices(judged: list[Library], choices: Sequence[Alternatives], sm: int, reasons: list[str]) -> list[Library]:
    """Of alternatives among which a stack will choose, only the one that serves best; which serve is added to the reasons."""
    for group in choices:
        members = {key: lib for key, path in group.members.items() for lib in judged if lib.path == path}
        if len(members) < 2:
            continue
        fits = {key: sum(_fit([library.code], sm).values()) for key, library in members.items()}
        serving = sorted(key for key, number in fits.items() if 2 * number >= members[key].code.total)
        if serving and len(serving) < len(members):
            reasons.append(f"with {some(map(_shown, serving))} only, of {len(members)} alternatives")
        best = max(fits, key=lambda key: (key in serving, fits[key], key))
        judged = [library for library in judged if library not in members.values() or library is members[best]]
    return judged


def _shown(key: str) -> str:
    kind, number = key.rstrip("0123456789"), key.lstrip("abcdefghijklmnopqrstuvwxyz")
    cut = 2 if kind == "cuda" else 1
    return f"{kind.upper()} {number[:cut]}.{number[cut:]}" if number else kind.upper()


def _beside(artifact: Artifact, counted: Sequence[Library], code: bool) -> tuple[Verdict, list[str]]:
    """The verdict on what has, or lacks, GPU code that runs; and its message."""
    without = cpu_only(artifact.libraries)
    built = f"{some(without)} {'is' if len(without) == 1 else 'are'} built for the CPU only" if without else ""
    if "torch" in without:
        return CPU_ONLY, [built]
    if code:
        return SERVES, [f"but {built}"] if built else []
    if not artifact.libraries:
        return SERVES, ["it holds no machine code: it runs wherever what it requires does"]
    others = [library for library in counted if not library.package.startswith("nvidia")]
    uses = list(dict.fromkeys(name for library in others for name in library.uses))
    amd = [name for name in uses if _OF_ROCM.fullmatch(name)]
    if amd and len(amd) == len(uses):
        return CANNOT, [f"it is built for AMD's GPUs ({some(amd)})"]
    if uses:
        return SERVES, [f"it holds no GPU code of its own, and uses {some(name for name in uses if name not in amd)}"]
    if any(library.code.fatbins for library in counted):
        return SERVES, ["it holds no GPU code but NVIDIA's own"]
    if built:
        other = "; ".join(f"{name} for GPUs: {GPU_BUILDS[name]}" for name in without)
        return CPU_ONLY, [built, other]
    return CPU_ONLY, ["it holds no GPU code, and uses no library of CUDA or ROCm"]


def _fit(codes: Iterable[Code], sm: int) -> Counter[Target]:
    """How many fatbins run on `sm`, by the target that the driver takes: machine code before PTX, of each the nearest."""
    found: Counter[Target] = Counter()
    for code in codes:
        for targets, number in code.fatbins.items():
            fit = max((target for target in targets if runs(target, sm)), key=_nearest, default=None)
            if fit is not None:
                found[fit] += number
    return found


def _nearest(target: Target) -> tuple[bool, int, str]:
    return target.kind == SASS, target.sm, target.suffix


def _cpu_only_torch(libraries: Iterable[Library]) -> bool:
    names = {library.path.rsplit("/", 1)[-1] for library in libraries if library.package == "torch"}
    return "libtorch_cpu.so" in names and not names & {"libtorch_cuda.so", "libtorch_hip.so", "libtorch_xpu.so"}


def _findings(
    artifact: Artifact,
    counted: Sequence[Library],
    choices: Sequence[Alternatives],
    asked: Sequence[int],
    machine: str,
) -> Iterable[AuditFinding]:
    """What is wrong whichever GPU it is for."""
    if artifact.is_empty:
        what = "no package and no library" if artifact.kind == PREFIX else "no file of a package"
        yield finding("empty", f"there is {what} in it", "name the folder of an environment, or fetch the wheel again")
    elsewhere = "" if asked else _elsewhere(artifact, machine, 0)
    if elsewhere:
        yield finding("wrong_machine", elsewhere, f"take the wheel or the environment for {machine}")
    if _cpu_only_torch(artifact.libraries):
        needing = [library.path for library in counted if library.code.fatbins] + [
            library.path
            for library in counted
            if library.package != "torch" and any(_NEEDS_CUDA.fullmatch(name) for name in library.dynamic.needed)
        ]
        if needing or asked:
            why = f"{some(needing)} want CUDA" if needing else "a GPU was asked for"
            yield finding(
                "cpu_only_torch",
                f"torch is built for the CPU only, but {why}",
                "install torch from an index with CUDA builds, or build it from source: a CPU build never uses a GPU",
            )
    either = {path for group in choices for path in group.members.values()} if not artifact.backend else set()
    majors: dict[str, list[str]] = {}
    for library in counted:
        if library.path in either:
            continue
        for name in library.dynamic.needed:
            match = _CUDA_MAJOR.fullmatch(name)
            if match:
                majors.setdefault(match[1], []).append(f"{library.path} needs {name}")
    if len(majors) > 1:
        each = "; ".join(f"CUDA {major}: {some(places)}" for major, places in sorted(majors.items()))
        yield finding(
            "mixed_cuda",
            f"libraries of different CUDA major versions are mixed ({each})",
            "take all packages with CUDA code from one origin, built for one CUDA version",
        )
    if artifact.missing:
        yield finding("missing_library", some(item.text for item in artifact.missing), remedy(artifact.missing))
    damaged = [library.path for library in artifact.libraries if library.code.damaged]
    if damaged or artifact.unread:
        unread = [f"{path} ({why})" for path, why in artifact.unread]
        yield finding(
            "damaged",
            f"damaged: {some([*damaged, *unread])}",
            "fetch or build it again, and compare its sha256",
        )


def finding(name: str, detail: str, remedy: str) -> AuditFinding:
    """Something that is wrong, and what to do about it."""
    return {"id": name, "detail": detail, "remedy": remedy}
