"""Which GPUs a wheel or a prefix can serve, and what else its binaries betray: pure rules over what `_binaries` read."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .fatbin import PTX, SASS, Code, Target
from .libraries import Dynamic

WHEEL, PREFIX, LIBRARY = "wheel", "prefix", "library"

_SM = re.compile(r"(?:sm_?)?(?:([0-9]{1,2})\.([0-9])|([0-9]{2,3}))", re.IGNORECASE)
# Libraries whose soname carries CUDA's own major version; libcufft, libcusparse and others count for themselves.
_CUDA_MAJOR = re.compile(r"lib(?:cudart|cublas|cublasLt|nvrtc|nvJitLink|nvfatbin|npp[a-z]+)\.so\.([0-9]+)")
_NEEDS_CUDA = re.compile(r"lib(?:torch_cuda|c10_cuda|cudart|cublas|cublasLt|nvrtc|cudnn|nccl)[_a-z]*\.so.*")
# NVIDIA's own libraries hold each kernel in a fatbin of its own or keep fatbins as data (libcufft of CUDA 13.0 all but one, for
# SM 7.5), and pick or generate what the GPU takes at run time: what share of the linked ones runs says nothing.
_OF_NVIDIA = re.compile(
    r"lib(?:cublas|cublasLt|cudnn|cufft|cufftw|cufile|curand|cusolver|cusolverMg|cusparse|cusparseLt|cutensor|nccl|npp|nvjpeg|nvshmem)"
    r"[_a-zA-Z]*\.so[.0-9]*"
)
# The integrated GPUs of Jetson boards: code for them runs on nothing else, and code for discrete GPUs of the same major version not on
# them. Thor is 10.1 for CUDA 12 and 11.0 for CUDA 13, where that difference ended.
# Source: torch 2.11.0, torch/cuda/__init__.py, DEVICE_REQUIREMENT ("accounting for incompatibility of iGPU and dGPU").
INTEGRATED = frozenset({53, 62, 72, 87, 101})
_SHOWN = 5


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


@dataclass(frozen=True)
class Artifact:
    """A wheel, a prefix or a single library.

    Attributes:
        path: As it was asked for.
        kind: `WHEEL`, `PREFIX` or `LIBRARY`.
        libraries: All shared libraries in it.
        missing: What nothing provides, as (path of the library that needs it, name needed).
        unread: Files that look like libraries and could not be read, with the reason.
    """

    path: str
    kind: str
    libraries: tuple[Library, ...] = ()
    missing: tuple[tuple[str, str], ...] = ()
    unread: tuple[tuple[str, str], ...] = ()


def parse_sm(text: str) -> int:
    """Return 110 for ``11.0``, ``110``, ``sm110`` and ``sm_110``.

    Raises:
        ValueError: `text` is no compute capability.
    """
    match = _SM.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a compute capability (an example: 11.0)")
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


def judge(artifact: Artifact, sms: Iterable[int] = ()) -> dict[str, Any]:
    """Judge an artifact, for each compute capability that is asked about.

    Returns plain data: ``serves`` (all of `sms`, and nothing is wrong), ``targets``, ``libraries`` (those with GPU code),
    ``verdicts`` (one per compute capability), ``findings`` (each with ``id``, ``detail`` and ``remedy``).
    """
    asked = list(dict.fromkeys(sms))
    accelerated = [library for library in artifact.libraries if library.code.fatbins]
    judged = [library for library in accelerated if library.judged]
    verdicts = [_verdict(artifact.libraries, judged, sm) for sm in asked]
    findings = list(_findings(artifact, accelerated, asked))
    return {
        "path": artifact.path,
        "kind": artifact.kind,
        "machines": sorted({library.dynamic.machine for library in artifact.libraries if library.dynamic.machine}),
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
        "verdicts": verdicts,
        "findings": findings,
        "serves": not findings and all(verdict["serves"] for verdict in verdicts),
    }


def summary(codes: Iterable[Code]) -> dict[str, dict[str, dict[str, int]]]:
    """Which targets some libraries hold ``throughout`` (in half of their fatbins or more), and which only in ``part``.

    A few kernels of a library are often compiled for targets of their own (``90a`` for Hopper's matrix units): those say nothing
    about the rest. Each is given with the number of fatbins it is in, for ``sass`` and ``ptx``.
    """
    total, counts = 0, Counter[Target]()
    for code in codes:
        total += code.total
        counts.update(code.counts())
    found: dict[str, dict[str, dict[str, int]]] = {kind: {"throughout": {}, "partial": {}} for kind in (SASS, PTX)}
    for target, number in sorted(counts.items()):
        extent = "throughout" if 2 * number >= total else "partial"
        found[target.kind][extent][f"{target.sm}{target.suffix}"] = number
    return found


def _verdict(libraries: Sequence[Library], judged: Sequence[Library], sm: int) -> dict[str, Any]:
    """Whether every package with GPU code has nearly as much of it for `sm` as for the GPU it is best for, and why."""
    packages: dict[str, list[Library]] = {}
    for library in judged:
        packages.setdefault(library.package, []).append(library)
    reasons, lacking = [], False
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
    if _cpu_only_torch(libraries):
        lacking = True
        reasons.append("torch: it is built for the CPU only")
    without = sorted(library.path for library in judged if not _fit([library.code], sm))
    how = ""
    if not lacking and used:
        main = max(used, key=lambda target: (used[target], target))
        how = main.kind
        number, all_of_it = sum(used.values()), sum(library.code.total for library in judged)
        mostly = "" if used[main] == number else "most of them "
        by = "" if how == SASS else ", compiled by the driver when it is first used"
        reasons.append(f"{number} of {all_of_it} fatbins run, {mostly}as {main.name}{by}")
        if without:
            reasons.append(f"but nothing runs of {_some(without)}")
    elif not lacking:
        what = "GPU code but NVIDIA's own" if any(library.code.fatbins for library in libraries) else "GPU code"
        reasons.append(f"it holds no {what}")
    return {"sm": capability(sm), "serves": not lacking, "how": how, "reasons": reasons, "without": without}


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


def _findings(artifact: Artifact, accelerated: Sequence[Library], asked: Sequence[int]) -> Iterable[dict[str, Any]]:
    """What is wrong whichever GPU it is for."""
    if _cpu_only_torch(artifact.libraries):
        needing = [library.path for library in accelerated] + [
            library.path
            for library in artifact.libraries
            if library.package != "torch" and any(_NEEDS_CUDA.fullmatch(name) for name in library.dynamic.needed)
        ]
        if needing or asked:
            why = f"{_some(needing)} want CUDA" if needing else "a GPU was asked for"
            yield _finding(
                "cpu_only_torch",
                f"torch is built for the CPU only, but {why}",
                "install torch from an index with CUDA builds, or build it from source: a CPU build never uses a GPU",
            )
    majors: dict[str, list[str]] = {}
    for library in artifact.libraries:
        for name in library.dynamic.needed:
            match = _CUDA_MAJOR.fullmatch(name)
            if match:
                majors.setdefault(match[1], []).append(f"{library.path} needs {name}")
    if len(majors) > 1:
        each = "; ".join(f"CUDA {major}: {_some(places)}" for major, places in sorted(majors.items()))
        yield _finding(
            "mixed_cuda",
            f"libraries of different CUDA major versions are mixed ({each})",
            "take all packages with CUDA code from one origin, built for one CUDA version",
        )
    if artifact.missing:
        yield _finding(
            "missing_library",
            f"nothing provides {_some(f'{name} (needed by {path})' for path, name in artifact.missing)}",
            "install the package that has the library; where it is libcudart, libc10_cuda or libcublas, wheels of different "
            "backends were mixed",
        )
    damaged = [library.path for library in artifact.libraries if library.code.damaged]
    if damaged or artifact.unread:
        unread = [f"{path} ({why})" for path, why in artifact.unread]
        yield _finding(
            "damaged",
            f"damaged: {_some([*damaged, *unread])}",
            "fetch or build it again, and compare its sha256",
        )


def _finding(name: str, detail: str, remedy: str) -> dict[str, Any]:
    return {"id": name, "detail": detail, "remedy": remedy}


def _some(items: Iterable[str]) -> str:
    known = list(dict.fromkeys(items))
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    return ", ".join(known[:_SHOWN]) + more


def by_host(report: Mapping[str, Any], hosts: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """For each host whether the artifact serves all its GPUs, out of a report that was asked about their SMs."""
    serves = {verdict["sm"]: verdict["serves"] for verdict in report["verdicts"]}
    return [
        {
            "host": name,
            "gpus": [f"{gpu['name']} (SM {gpu['sm']})" for gpu in gpus],
            "serves": all(serves[capability(parse_sm(gpu["sm"]))] for gpu in gpus),
        }
        for name, gpus in hosts.items()
    ]


def unfit(
    report: Mapping[str, Any], owners: Mapping[str, str], built: Iterable[str], prebuilt: bool
) -> list[dict[str, Any]]:
    """Why an environment must not be used on its host, out of the judgement of its prefix; empty where it may.

    Args:
        report: What `judge` said, asked about the GPUs of the host.
        owners: Distribution by path of its files within the prefix.
        built: Distributions that this fleet built from source.
        prebuilt: Whether the policy allows CUDA code that others built. NVIDIA's own libraries are always allowed: they
            cannot be built.
    """
    problems = []
    for verdict in report["verdicts"]:
        if not verdict["serves"]:
            problems.append(
                _finding(
                    "no_code_for_gpu",
                    f"it cannot serve SM {verdict['sm']} of this host ({'; '.join(verdict['reasons'])})",
                    "choose a stack with code for it (wavesmith_explain=true says which), or build it from source",
                )
            )
    own = set(built)
    foreign = {
        owners.get(library["path"], library["package"])
        for library in report["libraries"]
        if library["judged"] and owners.get(library["path"]) not in own
    }
    if foreign and not prebuilt:
        problems.append(
            _finding(
                "prebuilt_cuda_code",
                f"CUDA code of {_some(sorted(foreign))} was built by others, and the policy of this host wants it built from source",
                "add recipes for them, or add index to wavesmith_policy",
            )
        )
    return problems


def targets_text(targets: Mapping[str, Mapping[str, Mapping[str, int]]]) -> str:
    """The targets in one line: ``SASS 80 90 110; in part 90a (4)``."""
    words = []
    for kind in (SASS, PTX):
        throughout, partial = targets[kind]["throughout"], targets[kind]["partial"]
        if throughout or partial:
            part = ", ".join(f"{name} ({number})" for name, number in partial.items())
            both = [" ".join(throughout), f"in part {part}" if part else ""]
            words.append(f"{kind.upper()} {'; '.join(text for text in both if text)}")
    return " | ".join(words) or "no GPU code"


def text(report: Mapping[str, Any]) -> str:
    """The judgement for people, a few lines without colours."""
    lines = [f"{report['path']}: {targets_text(report['targets'])}"]
    for verdict in report["verdicts"]:
        word = "serves" if verdict["serves"] else "cannot serve"
        lines.append(f"  {word} SM {verdict['sm']}: {'; '.join(verdict['reasons'])}")
    lines += [f"  {item['id']}: {item['detail']}. Remedy: {item['remedy']}" for item in report["findings"]]
    return "\n".join(lines)
