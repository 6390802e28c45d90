"""What two other tools would install for a host: their published rules, in our words, as functions of what was observed.

The picks are judged with our own rule (`audit.runs`) and what is known to be in the builds (``official_builds.yml``). Everything here
is pure but `BUILDS`, which reads that file, and `replay`, which reads a sample.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.wavesmith.provision.plugins.module_utils.audit.fatbin import Target
from ansible_collections.wavesmith.provision.plugins.module_utils.audit.verdict import capability, parse_sm, runs
from ansible_collections.wavesmith.provision.plugins.module_utils.observe import probe
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.decide import plan
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.record import Plan
from ansible_collections.wavesmith.provision.plugins.module_utils.terms.variant import Variant
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.catalog import SOURCE, Catalog
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.variables import Environment, Wanted

BUILDS: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("official_builds.yml").read_text())
SAMPLES = Path(__file__).with_name("samples")
UV_RELEASE, VARIANTS_RELEASE = "2.11.0", BUILDS["variants"]["release"]
"""The release that each is asked for: the newest with builds for CUDA 12.8 and 13.0, and the newest that has variants."""

POLICY = Wanted(()).policy
CPU, NONE = "cpu", "none"
NVML = ("nvidia-smi", "nvml")
"""Witnesses of a GPU that ask NVML; with another one appended, NVML did not know the compute capability."""
UNUSED = "the GPU stays unused"
UNKNOWN = "compute capability unknown"

# astral-sh/uv:crates/uv-torch/src/backend.rs@26a9dd4, LINUX_CUDA_DRIVERS: index tag and oldest driver, in uv's order.
UV_DRIVERS: tuple[tuple[str, tuple[int, ...]], ...] = (
    ("cu132", (580,)),
    ("cu130", (580,)),
    *((f"cu{tag}", (525, 60, 13)) for tag in (129, 128, 126, 125, 124, 123, 122, 121, 120)),
    *((f"cu{tag}", (450, 80, 2)) for tag in (118, 117, 116, 115, 114, 113, 112, 111)),
    ("cu110", (450, 36, 6)),
    ("cu102", (440, 33)),
    ("cu101", (418, 39)),
    ("cu100", (410, 48)),
    ("cu92", (396, 26)),
    ("cu91", (390, 46)),
    ("cu90", (384, 81)),
    ("cu80", (375, 26)),
)
# The same file, LINUX_AMD_GPU_DRIVERS: the ROCm versions whose index is asked for a target, newest first; targets in uv's order.
_SINCE_6_0 = ("7.2", "7.1", "7.0", "6.4", "6.3", "6.2.4", "6.2", "6.1", "6.0")
UV_TARGETS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("gfx900", "gfx906", "gfx908", "gfx90a", "gfx942"), _SINCE_6_0),
    "gfx950": ("7.2", "7.1", "7.0"),
    "gfx1030": _SINCE_6_0,
    "gfx1100": _SINCE_6_0,
    "gfx1101": ("7.2", "7.1", "7.0", "6.4", "6.3", "6.2.4", "6.1"),
    "gfx1102": ("7.2", "7.1", "7.0", "6.4", "6.3", "6.2.4"),
    "gfx1150": ("7.2",),
    "gfx1151": ("7.2",),
    "gfx1200": ("7.2", "7.1", "7.0", "6.4", "6.3", "6.2.4"),
    "gfx1201": ("7.2", "7.1", "7.0", "6.4", "6.3", "6.2.4"),
}


@dataclass(frozen=True)
class Pick:
    """A build of torch: the release, the tag of its index, and why it does not run on all GPUs of the host (empty where it does)."""

    release: str
    tag: str
    problem: str = ""

    @property
    def wrong(self) -> bool:
        """Whether it certainly does not run."""
        return self.problem not in ("", UNKNOWN)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)))


def _gpus(observed: Mapping[str, Any], vendor: str) -> list[Mapping[str, Any]]:
    return [gpu for gpu in observed["accelerators"] if gpu["vendor"] == vendor]


def uv_tags(observed: Mapping[str, Any]) -> list[str]:
    """The indexes that ``uv pip install --torch-backend=auto`` asks, in order.

    The first that is there decides: NVIDIA's driver (``/sys/module/nvidia/version``, ``/proc/driver/nvidia/version``, nvidia-smi), the
    lowest target that it knows of ``rocm_agent_enumerator`` (a part of ROCm), any display controller of Intel on the PCI bus. Then
    every index that goes with it, and the one for the CPU. The GPUs themselves are not looked at.

    Source: astral-sh/uv:crates/uv-torch/src/{accelerator,backend}.rs@26a9dd4, `Accelerator::detect` and `TorchStrategy::index_urls`.
    """
    if observed["nvidia"]["driver"]:
        driver = _numbers(observed["nvidia"]["driver"])
        return [*(tag for tag, oldest in UV_DRIVERS if driver >= oldest), CPU]
    targets = {gpu["gfx"] for gpu in _gpus(observed, "amd")} if observed["rocm"]["version"] else set()
    for target, versions in UV_TARGETS.items():
        if target in targets:
            return [*(f"rocm{version}" for version in versions), CPU]
    return ["xpu"] if _gpus(observed, "intel") else [CPU]


def uv(observed: Mapping[str, Any], release: str = UV_RELEASE) -> Pick:
    """The build of a release that uv takes: that of the first of its indexes that has one for the CPU architecture.

    Source: astral-sh/uv:crates/uv-client/src/registry_client.rs@26a9dd4, `index_strategy_for` (`UnsafeFirstMatch`).
    """
    builds, architecture = BUILDS["releases"][release], observed["cpu"]["architecture"]
    tag = next((tag for tag in uv_tags(observed) if architecture in builds.get(tag, {})), NONE)
    return _judged(release, tag, observed)


def variants(observed: Mapping[str, Any]) -> Pick:
    """The variant of torch that an installer with variant support takes: NVIDIA's provider is asked before AMD's.

    Source: wheelnext/variant-repack:configs/torch-2.10/torch-2.10.0-variants.json@4abbf95 (priorities and variants),
    wheelnext/variantlib:variantlib/resolver/{filtering,sorting}.py@c3f54f3 (of each feature that a variant names, one value must be
    supported; they are ranked by the place of their best value, feature after feature), variantlib/plugins/loader.py (a provider that
    raises ends it all).
    """
    by_nvidia = _nvidia_variants(observed)
    if by_nvidia is None:
        return Pick(VARIANTS_RELEASE, NONE, "NVIDIA's provider fails")
    builds, architecture = BUILDS["releases"][VARIANTS_RELEASE], observed["cpu"]["architecture"]
    tag = next((tag for tag in by_nvidia + _amd_variants(observed) if architecture in builds[tag]), CPU)
    return _judged(VARIANTS_RELEASE, tag, observed)


def _nvidia_variants(observed: Mapping[str, Any]) -> list[str] | None:
    """Those that NVIDIA's provider supports, best first; None where it raises.

    It asks NVML for the newest CUDA of the driver and for the compute capabilities, of which it takes *the highest*: machine code for
    the same or a lower minor version, and PTX for the major one. Without NVML, or below 5.0, nothing is supported; where NVML knows of
    no compute capability (Jetson Orin) it takes the first of an empty list.

    Source: wheelnext/nvidia-variant-provider:nvidia_variant_provider/{plugin,detect_cuda}.py@ffea5d3, `get_supported_configs`.
    """
    by_nvml = [gpu for gpu in _gpus(observed, "nvidia") if gpu["source"].startswith(NVML)]
    cuda = _numbers(observed["nvidia"]["cuda"] or "0")
    if not by_nvml or not (11, 0) <= cuda <= (15, 20):
        return []
    sms = [parse_sm(gpu["sm"]) for gpu in by_nvml if gpu["sm"] and gpu["source"] in NVML]
    if not sms:
        return None
    major, minor = divmod(max(sms), 10)
    if major < 5:
        return []
    supported = [f"{major}{lower}_real" for lower in range(minor, -1, -1)] + [f"{major}0_virtual"]
    ranked = []
    for tag, asked in BUILDS["variants"]["nvidia"].items():
        places = [supported.index(value) for value in asked["sm_arch"] if value in supported]
        oldest = _numbers(asked["cuda"])
        if places and cuda >= oldest:
            ranked.append((tuple(-number for number in oldest), min(places), asked["order"], tag))
    return [tag for *_, tag in sorted(ranked)]


def _amd_variants(observed: Mapping[str, Any]) -> list[str]:
    """Those that AMD's provider supports: any target of the host is in it, and it is for exactly the ROCm version of the host.

    Source: wheelnext/amd-variant-provider:amd_variant_provider/{plugin,detect_rocm}.py@4d985a9; its list of targets changes nothing, as
    targets that are not in it are asked for again of ``rocm_agent_enumerator``, without the list.
    """
    targets = {gpu["gfx"] for gpu in _gpus(observed, "amd")}
    return [
        tag
        for tag, asked in BUILDS["variants"]["amd"].items()
        if asked["rocm"] == observed["rocm"]["version"] and targets & set(asked["gfx_arch"])
    ]


def _judged(release: str, tag: str, observed: Mapping[str, Any]) -> Pick:
    """A pick with what is wrong with it: a build without GPU code is wrong where another one of the release has code for the GPUs."""
    others = [other for other in BUILDS["releases"][release] if _accelerated(other)]
    if not _accelerated(tag) and any(_uncovered(release, other, observed) in ("", UNKNOWN) for other in others):
        return Pick(release, tag, UNUSED)
    problem = _uncovered(release, tag, observed)
    driver = observed["nvidia"]["driver"]
    if tag.startswith("cu") and driver and _numbers(driver)[0] < BUILDS["drivers"][tag[2:4]]:
        problem = f"needs driver {BUILDS['drivers'][tag[2:4]]}"
    return Pick(release, tag, problem)


def _accelerated(tag: str) -> bool:
    return tag.startswith(("cu", "rocm"))


def _uncovered(release: str, tag: str, observed: Mapping[str, Any]) -> str:
    """The first GPU of the kind a build is for that it has no code for, in words; empty where all are served."""
    architecture = observed["cpu"]["architecture"]
    code = BUILDS["releases"][release].get(tag, {}).get(architecture)
    if code is None:
        return f"no build for {architecture}"
    if tag.startswith("rocm"):
        gpus = _gpus(observed, "amd")
        # torch passes over an integrated GPU that it has no code for where a card beside it is served.
        kernels = BUILDS["rocblas"].get(tag, code)
        if any(gpu["gfx"] in code and gpu["gfx"] in kernels for gpu in gpus):
            return ""
        starts = next((gpu["gfx"] for gpu in gpus if gpu["gfx"] in code), "")
        if starts:
            return f"rocBLAS has no kernels for {starts}"
        return next((f"no code for {gpu['gfx']}" if gpu["gfx"] else UNKNOWN for gpu in gpus), "no AMD GPU")
    if tag.startswith("cu"):
        return lacking(code, _gpus(observed, "nvidia"))
    return ""


def lacking(code: Iterable[int], gpus: Sequence[Mapping[str, Any]]) -> str:
    """The first NVIDIA GPU that machine code for these compute capabilities (110 for 11.0) does not run on; empty where all are served."""
    for gpu in gpus:
        if not gpu["sm"]:
            return UNKNOWN
        sm = parse_sm(gpu["sm"])
        if not any(runs(Target(target), sm) for target in code):
            return f"no code for SM {capability(sm)}"
    return "" if gpus else "no NVIDIA GPU"


def replay(machine: str) -> dict[str, Any]:
    """What is observed on a recorded machine, with what does not bear on the choice of a stack as it should be."""
    observed = probe.observe(probe_root=str(SAMPLES / machine), timeout=0.2)
    return {
        **observed,
        "os": {**observed["os"], "id": "debian", "version_id": "12", "pretty_name": "Debian GNU/Linux 12 (bookworm)"},
        "disk": {"path": "/opt", "free": 2**40, "total": 2**40},
        "pythons": [
            {"path": f"/usr/bin/python3.{minor}", "version": f"3.{minor}.1", "headers": True, "venv": True}
            for minor in range(10, 14)
        ],
        "toolbox": {"digest": None, "intact": False},
        "environments": {},
        "wheels": [],
        "busy": None,
    }


def ours(observed: Mapping[str, Any], catalog: Catalog, policy: tuple[str, ...] = POLICY) -> tuple[Plan, Pick | None]:
    """What our plan decides for an environment with torch, and the build that this means; none where the plan refuses."""
    answers = {"answers": True, "detail": "HTTP 200"}
    sources = {origin.name: answers for stack in catalog.stacks.values() for origin in stack.origins}
    wanted = Wanted(environments=(Environment("speech", packages=("torch",)),), policy=policy)
    result = plan(wanted, [], {**observed, "sources": sources}, catalog, {}, "0123456789abcdef")
    (item,) = result.environments
    if result.refusals:
        return result, None
    release, tag = item.versions["torch"], tag_of(item.backend)
    (origin,) = (origin for origin in catalog.stacks[item.stack].origins if origin.name == item.origin)
    if origin.kind == SOURCE:
        sm = Variant.parse(item.variant).sm
        return result, Pick(release, f"{tag} built for {sm}", lacking([parse_sm(sm)], _gpus(observed, "nvidia")))
    if tag == "directml":
        return result, Pick(release, tag)
    return result, _judged(release, tag, observed)


def tag_of(backend: str) -> str:
    """``cu130`` of ``cuda13_0``, ``rocm7.2`` of ``rocm7_2``: how PyTorch names the index of a backend."""
    if backend.startswith("cuda"):
        return "cu" + backend[4:].replace("_", "")
    return backend.replace("_", ".")


@dataclass(frozen=True)
class Row:
    """What everyone would install on one recorded machine; `ours` is None where our plan refuses."""

    machine: str
    observed: Mapping[str, Any]
    uv: Pick
    variants: Pick
    ours: Pick | None
    plan: Plan


def compare(machine: str, catalog: Catalog) -> Row:
    """Ask everyone about one recorded machine."""
    observed = replay(machine)
    result, own = ours(observed, catalog)
    return Row(machine, observed, uv(observed), variants(observed), own, result)


def document(rows: Sequence[Row]) -> str:
    """``docs/peers.md``: all rows as a table for people, and what they show."""
    lines = [
        _TEXT.format(
            uv_release=UV_RELEASE,
            variants_release=VARIANTS_RELEASE,
            all=len(rows),
            uv=sum(row.uv.wrong for row in rows),
            variants=sum(row.variants.wrong for row in rows),
            either=sum(row.uv.wrong or row.variants.wrong for row in rows),
            refused=sum(row.ours is None for row in rows),
        ),
        "| machine | GPUs | uv | variants | Wavesmith |",
        "| --- | --- | --- | --- | --- |",
        *(
            f"| `{row.machine}` | {_gpu_text(row.observed)} | {_cell(row.uv)} | {_cell(row.variants)} | {_cell(row.ours)} |"
            for row in rows
        ),
    ]
    return "\n".join(lines) + "\n"


def _cell(pick: Pick | None) -> str:
    if pick is None:
        return "refused"
    text = f"{pick.tag}: {pick.problem}" if pick.problem else pick.tag
    return f"**{text}**" if pick.wrong else text


def _gpu_text(observed: Mapping[str, Any]) -> str:
    counted = Counter(f"{gpu['name']} ({gpu['sm'] or gpu['gfx'] or '?'})" for gpu in observed["accelerators"])
    names = ", ".join(f"{number} x {name}" if number > 1 else name for name, number in counted.items())
    driver = observed["nvidia"]["driver"]
    rocm = observed["rocm"]["version"]
    words = [names or "none", f"driver {driver}" if driver else "", f"ROCm {rocm}" if rocm else ""]
    return "; ".join(word for word in words if word)


_TEXT = """\
# What others would install

For each recorded machine of the tests (`tests/unit/samples`): the build of torch that uv takes with `--torch-backend=auto` (release
{uv_release}), the one that wheel variants take (release {variants_release}, the newest that has variants), and ours. In bold what does
not run on every GPU of the machine, or leaves them unused though the release has a build with code for them.

The rules of the others are in `tests/unit/peers.py`, each with its source; `tests/unit/test_differential.py` compares them with the real
uv and with what the real providers answered. Whether a build runs is decided by the rule of [the audit](audit.md) and by what is in
the official builds (`tests/unit/official_builds.yml`). `WAVESMITH_WRITE_DOCS=1 make test-unit TESTS=tests/unit/test_differential.py`
writes this file.

Of {all} machines, uv is wrong on {uv}, the variants on {variants}, one of the two on {either}. Wavesmith takes what runs, refuses with the
remedy ({refused} times), or warns which AMD GPU stays unused. Of an NVIDIA GPU uv looks at the driver and at nothing else: 580 or newer
means CUDA 13, which has no code for Maxwell, Pascal and Volta, an older one CUDA 12.8, whatever the GPU. Of AMD's targets it takes the
lowest that it knows, and only where ROCm's own tools are installed, though the wheels bring ROCm along. Where it finds nothing that it
knows it takes the CPU build without a word.

The variants' providers look at the GPUs, so that a Volta card gets CUDA 12.8, but only at the one with the highest compute capability:
an older card beside a newer one is forgotten. They ask the driver's library for it. Where that does not answer, and where no variant
lists the GPU (Thor in {variants_release}, though the wheel has the code), the CPU build is what remains; where it does not know (Orin)
the installation fails. AMD's provider wants the host's ROCm to be exactly the version that a variant names. Intel's, which asks Level
Zero, is not modelled. Wavesmith looks at each GPU, at the driver and at the code in the wheels, and takes a CPU build on a machine with
an NVIDIA GPU only if it is forced to.
"""
