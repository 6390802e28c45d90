"""NVIDIA's driver and GPUs, out of what nvidia-smi, NVML and the kernel print."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterable, Sequence

from ..records.host import Finding
from . import tables
from .gpus import Accelerator, Slot
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


def parse_nvidia_proc(text: str) -> list[Accelerator]:
    """Return the GPUs in ``/proc/driver/nvidia/gpus/*/information``, one after the other."""
    names = re.findall(r"^Model:[ \t]*(\S.*?)[ \t]*$", text, re.MULTILINE)
    return [Accelerator(vendor="nvidia", name=name, source="proc") for name in names]


def driver_cuda(driver: str | None) -> str | None:
    """Return the newest CUDA that a driver of this version serves by NVIDIA's table; None below the table."""
    branch = natural((driver or "").partition(".")[0])
    return next((cuda for first, cuda in tables.DRIVER_CUDA if branch is not None and branch >= first), None)


# What nvidia-smi says when it shows no GPU: the text, the finding's name, the remedy.
SMI_TROUBLES = (
    (
        "version mismatch",
        "nvidia.version_mismatch",
        "Reboot: the driver was updated, and the kernel still runs the old module.",
    ),
    (
        "No devices were found",
        "nvidia.no_devices",
        "Give the container its GPU; else see `dmesg | grep NVRM` (GPUs from Blackwell on need the open kernel modules).",
    ),
    (
        "couldn't communicate with the NVIDIA driver",
        "nvidia.not_loaded",
        "Install the driver for this kernel (its headers, then dkms) and reboot.",
    ),
    (
        "blocked by the operating system",
        "nvidia.blocked",
        "Update WSL and the Windows driver, then `wsl --shutdown`.",
    ),
    (
        "NVML: Unknown Error",
        "nvidia.container_lost",
        "Restart the container: it lost its access to the GPU (a reload of systemd takes it away under docker).",
    ),
    (
        "Insufficient Permissions",
        "nvidia.access",
        "Put the user into the group that owns /dev/nvidia* (often video), and log in again.",
    ),
    (
        "is lost",
        "nvidia.lost",
        "The GPU fell off the bus: power the host off and on; see `dmesg | grep Xid`.",
    ),
    (
        "is not a valid field to query",
        "nvidia.smi_old",
        "Update the driver: this one is older than 510 and its nvidia-smi states no compute capability.",
    ),
)


def judge_smi(code: int | None, text: str, trouble: str) -> Finding | None:
    """Say what is wrong with an nvidia-smi that shows no GPU; None where there is none to run."""
    if trouble == "not found":
        return None
    said = first_line(text)[:200]
    hint = "Run nvidia-smi by hand; see `dmesg | grep -i NVRM`; reboot the host."
    if trouble:
        if not trouble.startswith("no answer"):
            return finding("nvidia.smi", f"nvidia-smi: {trouble}", hint)
        return finding(
            "nvidia.smi_hangs",
            f"nvidia-smi: {trouble}",
            "If it is only slow (many GPUs), turn persistence mode on: nvidia-smi -pm 1. Else see `dmesg` and reboot.",
        )
    if code is not None and (code < 0 or 128 < code < 160):
        number = -code if code < 0 else code - 128
        try:
            name = signal.Signals(number).name
        except ValueError:
            name = f"signal {number}"
        return finding("nvidia.smi_crashes", f"nvidia-smi died of {name}{f' ({said})' if said else ''}", hint)
    for words, name, remedy in SMI_TROUBLES:
        if words in text:
            return finding(name, f"nvidia-smi: {said}", remedy)
    return finding("nvidia.smi", f"nvidia-smi: {said or 'it printed nothing'}", hint)


def judge_nvidia(
    gpus: Sequence[Accelerator], on_bus: Sequence[Slot], driver: str | None, header: str
) -> Iterable[Finding]:
    """Say what stands in the way of NVIDIA's GPUs, apart from what nvidia-smi itself complains of."""
    foreign = next((slot for slot in on_bus if slot.driver and not slot.driver.startswith("nvidia")), None)
    if foreign:
        yield finding(
            "nvidia.kernel_driver",
            f"The kernel gave {foreign.gpu.name} to {foreign.driver} instead of NVIDIA's driver",
            "Install NVIDIA's driver, keep nouveau from loading (or end the passing through of vfio-pci), and reboot.",
        )
    elif gpus and driver is None and gpus[0].source == "pci":
        yield finding(
            "nvidia.driver",
            f"There is an NVIDIA GPU ({gpus[0].name}) but no driver",
            "Install NVIDIA's driver (580 or newer for CUDA 13), or give the container its GPU.",
        )
    unknown = [gpu.name for gpu in gpus if gpu.sm is None]
    if unknown:
        yield finding(
            "nvidia.sm_unknown",
            f"Nothing tells the compute capability of {', '.join(dict.fromkeys(unknown))}",
            "Mend the driver so that nvidia-smi answers; until then no stack for CUDA can be judged.",
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
