"""NVIDIA's driver and GPUs, out of what nvidia-smi, NVML and the kernel print."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..records.host import Finding
from . import tables
from .gpus import Accelerator
from .texts import MIB, finding, first_line, natural, version_in


def parse_nvidia_smi(text: str) -> tuple[list[Accelerator], str | None]:
    """Parse ``name, compute_cap, memory.total, driver_version`` rows; return the GPUs and the driver's version.

    One line per GPU; any field may be ``[N/A]`` (unified memory, old L4T). Lines that are no such row are messages.
    """
    found: list[Accelerator] = []
    driver = None
    for line in text.split("\n"):
        fields = [field.strip() for field in line.rsplit(",", 3)]
        if len(fields) != 4 or not fields[0] or not re.fullmatch(r"\d+\.\d+|\[.*\]|N/A", fields[1], re.ASCII):
            continue
        if re.search(r"\b(?:lost|reset|Unknown Error)\b", f"{fields[0]} {fields[1]}"):
            continue
        memory = natural(fields[2])
        found.append(
            Accelerator(
                vendor="nvidia",
                name=fields[0],
                sm=version_in(fields[1]),
                memory=memory * MIB if memory else None,
                source="nvidia-smi",
            )
        )
        driver = driver or version_in(fields[3])
    return found, driver


def parse_driver_cuda(text: str) -> str | None:
    """Return the newest CUDA the driver serves, from the header of plain ``nvidia-smi``."""
    match = re.search(r"CUDA (?:UMD )?Version:\s*(\d{1,4}\.\d{1,4})", text, re.ASCII)
    return match.group(1) if match else None


def parse_driver(text: str) -> str | None:
    """Return the driver's version, from the header of plain ``nvidia-smi`` (it may crash after that)."""
    match = re.search(r"(?:Driver|KMD) Version:\s*(\d{1,9}(?:\.\d{1,9})+)", text, re.ASCII)
    return match.group(1) if match else None


def parse_nvidia_version(text: str) -> str | None:
    """Return the driver's version from ``/proc/driver/nvidia/version`` (closed and open kernel module)."""
    match = re.search(r"Kernel Module(?:\s+for\s+\S+)?\s+(\d{1,9}(?:\.\d{1,9})+)", text, re.ASCII)
    return match.group(1) if match else None


def parse_flavour(text: str) -> str:
    """Return the flavour of the kernel module from ``/proc/driver/nvidia/version``, '' where there is none."""
    if "Kernel Module" not in text:
        return ""
    return tables.OPEN if "Open Kernel Module" in text else tables.PROPRIETARY


def parse_nvidia_proc(text: str) -> list[Accelerator]:
    """Return the GPUs in ``/proc/driver/nvidia/gpus/*/information``, one after the other."""
    names = re.findall(r"^Model:[ \t]*(\S.*?)[ \t]*$", text, re.MULTILINE)
    return [Accelerator(vendor="nvidia", name=name, source="proc") for name in names]


def driver_cuda(driver: str | None) -> str | None:
    """Return the newest CUDA that a driver of this version serves by NVIDIA's table; None below the table."""
    branch = natural((driver or "").partition(".")[0])
    return next((cuda for first, cuda in tables.DRIVER_CUDA if branch is not None and branch >= first), None)


@dataclass(frozen=True)
class Symptom:
    """What nvidia-smi said instead of a GPU.

    Attributes:
        id: Name of the finding where nothing else is known.
        detail: Its words.
        library: Version of NVML that it names; empty for none.
    """

    id: str
    detail: str = ""
    library: str = ""


# What nvidia-smi says when it shows no GPU: the words, the finding's name.
SMI_TROUBLES = (
    ("version mismatch", "nvidia.version_mismatch"),
    ("libnvidia-ml", "nvidia.no_library"),
    ("No devices were found", "nvidia.no_devices"),
    ("No devices found", "nvidia.no_devices"),
    ("couldn't communicate with the NVIDIA driver", "nvidia.not_loaded"),
    ("Driver Not Loaded", "nvidia.not_loaded"),
    ("blocked by the operating system", "nvidia.blocked"),
    ("NVML: Unknown Error", "nvidia.container_lost"),
    ("Insufficient Permissions", "nvidia.access"),
    ("is lost", "nvidia.lost"),
    ("device handle for", "nvidia.lost"),
    ("is not a valid field to query", "nvidia.smi_old"),
)


def symptom_of(code: int | None, text: str, trouble: str) -> Symptom | None:
    """Name what an nvidia-smi that shows no GPU said; None where there is none to run."""
    if trouble == "not found":
        return None
    said = first_line(text)[:200]
    if trouble:
        name = "nvidia.smi_hangs" if trouble.startswith("no answer") else "nvidia.smi"
        return Symptom(name, f"nvidia-smi: {trouble}")
    if code is not None and (code < 0 or 128 < code < 160):
        number = -code if code < 0 else code - 128
        try:
            died = signal.Signals(number).name
        except ValueError:
            died = f"signal {number}"
        return Symptom("nvidia.smi_crashes", f"nvidia-smi died of {died}{f' ({said})' if said else ''}")
    name = next((name for words, name in SMI_TROUBLES if words in text), "nvidia.smi")
    library = re.search(r"library version:?\s*(\d{1,9}(?:\.\d{1,9})+)", text, re.ASCII)
    return Symptom(
        name, f"nvidia-smi: {(said or 'it printed nothing').rstrip('.')}", library.group(1) if library else ""
    )


def judge_nvidia(gpus: Sequence[Accelerator], header: str) -> Iterable[Finding]:
    """Say what else is to know of NVIDIA's GPUs."""
    unknown = [gpu.name for gpu in gpus if gpu.sm is None]
    if unknown:
        yield finding(
            "nvidia.sm_unknown",
            f"Nothing tells the compute capability of {', '.join(dict.fromkeys(unknown))}",
            "Fix the driver so that nvidia-smi answers; until then no stack for CUDA can be judged.",
        )
    unified = [gpu.name for gpu in gpus if gpu.memory is None and gpu.source.startswith(("nvidia-smi", "nvml"))]
    if unified:
        yield finding(
            "nvidia.no_memory",
            f"The driver states no memory for {', '.join(dict.fromkeys(unified))}: it shares the main memory",
            "Nothing: the main memory is counted instead.",
        )
    if gpus and re.search(r"CUDA Version:\s*(N/A|Not Found|ERR)", header):
        yield finding(
            "nvidia.no_libcuda",
            "nvidia-smi knows no version of CUDA: the driver's library libcuda.so.1 is not there",
            "Install the driver's compute libraries; start a container with NVIDIA_DRIVER_CAPABILITIES=compute,utility.",
        )
    if "MIG devices:" in header:
        yield finding(
            "nvidia.mig",
            "MIG is on: a process sees one instance of the GPU, with less memory than the whole has",
            "Choose the instance by CUDA_VISIBLE_DEVICES (`nvidia-smi -L` lists them), or turn MIG off.",
        )
