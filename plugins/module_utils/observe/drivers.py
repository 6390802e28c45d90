"""Ask NVIDIA's driver for its GPUs, and where it does not answer, look for the reason."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from ..records.host import Finding, NvidiaDriver, OperatingSystem
from . import jetson as observe_jetson
from . import tables, texts, troubles
from .branches import driver_packages
from .gpus import Accelerator, Slot, complete
from .host import Host, Questions
from .kernel_log import read_log
from .nvidia import (
    driver_cuda,
    judge_nvidia,
    parse_driver,
    parse_driver_cuda,
    parse_flavour,
    parse_nvidia_proc,
    parse_nvidia_smi,
    parse_nvidia_version,
    symptom_of,
)
from .scene import Scene, place_of

NVIDIA_SMI = ["nvidia-smi", "--query-gpu=name,compute_cap,memory.total,driver_version", "--format=csv,noheader,nounits"]
# NVML itself, in a process of its own because a broken driver can hang or crash it: the same rows as NVIDIA_SMI gives,
# after a line with the newest CUDA; without NVML `libcuda`, where that is there. Function names and the code of "not supported": nvml.h.
NVML_QUERY = """
import ctypes
for name in ("libnvidia-ml.so.1", "/usr/lib/wsl/lib/libnvidia-ml.so.1"):
    try:
        nvml = ctypes.CDLL(name)
        break
    except OSError as error:
        missing = error
else:
    try:
        ctypes.CDLL("libcuda.so.1")
        print("libcuda")
    except OSError:
        pass
    raise SystemExit(str(missing))
nvml.nvmlErrorString.restype = ctypes.c_char_p
code = nvml.nvmlInit_v2()
if code:
    raise SystemExit("Failed to initialize NVML: " + nvml.nvmlErrorString(code).decode())
def number(function, *handle):
    value = ctypes.c_int()
    return value.value if function(*handle, ctypes.byref(value)) == 0 else 0
def text(function, *handle):
    value = ctypes.create_string_buffer(96)
    return value.value.decode("utf-8", "replace") if function(*handle, value, 96) == 0 else "[N/A]"
cuda = number(nvml.nvmlSystemGetCudaDriverVersion_v2)
print("CUDA Version: %d.%d" % (cuda // 1000, cuda % 1000 // 10) if cuda else "")
for index in range(number(nvml.nvmlDeviceGetCount_v2)):
    gpu = ctypes.c_void_p()
    if nvml.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(gpu)) == 0:
        major, minor, memory = ctypes.c_int(), ctypes.c_int(), (ctypes.c_ulonglong * 3)()
        known = nvml.nvmlDeviceGetCudaComputeCapability(gpu, ctypes.byref(major), ctypes.byref(minor)) == 0
        sized = nvml.nvmlDeviceGetMemoryInfo(gpu, ctypes.byref(memory)) == 0
        print(
            text(nvml.nvmlDeviceGetName, gpu),
            "%d.%d" % (major.value, minor.value) if known else "[N/A]",
            memory[0] // 2**20 if sized else "[N/A]",
            text(nvml.nvmlSystemGetDriverVersion),
            sep=", ",
        )
"""
# The firmware's variable (UEFI specification, 3.3): four bytes of attributes, then 1 where Secure Boot is on.
SECURE_BOOT = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
LIBCUDA = (
    "/usr/lib*/libcuda.so.1",
    "/usr/lib/*-linux-gnu/libcuda.so.1",
    "/usr/lib/*-linux-gnu/*/libcuda.so.1",
    "/usr/local/nvidia/lib*/libcuda.so.1",
)


def start(host: Host, ask: Questions) -> None:
    """Start what is asked."""
    ask.command("smi", NVIDIA_SMI)
    ask.command("header", ["nvidia-smi"])
    ask.task("nvml", partial(host.python, "nvml", NVML_QUERY))
    proc = ["/proc/driver/nvidia/version", *host.glob("/proc/driver/nvidia/gpus/*/information")]
    ask.task("proc", partial(host.cat, [path for path in proc if host.exists(path)]))


def find_nvidia(
    host: Host,
    ask: Questions,
    slots: Sequence[Slot],
    system: OperatingSystem,
    jetson: bool,
    packages: Mapping[str, str],
    findings: list[Finding],
) -> tuple[list[Accelerator], NvidiaDriver]:
    """Return NVIDIA's GPUs by the first witness that shows any, and what is known of the driver.

    Args:
        slots: GPUs on the PCI bus.
        system: Its kind and container say whose the driver is.
        jetson: Whether this is a Jetson.
        packages: Version of each installed package with NVIDIA in its name.
        findings: Gets what stands in the way.
    """
    smi, nvml = ask.answer("smi"), ask.answer("nvml")
    on_bus = [slot for slot in slots if slot.gpu.vendor == "nvidia"]
    by_smi, smi_driver = parse_nvidia_smi(smi.text)
    by_nvml, nvml_driver = parse_nvidia_smi(nvml.text)
    answering = by_smi or [replace(gpu, source="nvml") for gpu in by_nvml]
    proc, header = ask.answer("proc").text, ask.answer("header").text
    gpus = _known(host, answering or parse_nvidia_proc(proc), [slot.gpu for slot in on_bus])
    module = parse_nvidia_version(proc) or texts.version_in(texts.first_line(host.read("/sys/module/nvidia/version")))
    drivers = (
        (smi_driver, "nvidia-smi"),
        (nvml_driver, "nvml"),
        (module, "proc" if parse_nvidia_version(proc) else "sysfs"),
        (parse_driver(header), "nvidia-smi"),
    )
    driver, driver_source = next((known for known in drivers if known[0]), (None, None))
    cudas = (
        (parse_driver_cuda(header), "nvidia-smi"),
        (parse_driver_cuda(nvml.text), "nvml"),
        (driver_cuda(driver), "driver"),
    )
    cuda, cuda_source = next((known for known in cudas if known[0]), (None, None))

    own = driver_packages(packages)
    scene = Scene(
        place=place_of(system, jetson),
        engine=system["container"],
        jetson=jetson,
        kernel=system["kernel"],
        on_bus=on_bus,
        gpus=gpus,
        module=module or "",
        flavour=parse_flavour(proc),
        packages={name: packages[name] for name in own},
        control=host.exists("/dev/nvidiactl"),
        dxg=host.exists("/dev/dxg"),
    )
    symptom = None if by_smi else symptom_of(smi.code, smi.text, smi.trouble)
    if symptom is None and not answering and gpus:
        symptom = troubles.silent(scene, "libcuda" in nvml.text or any(map(host.glob, LIBCUDA)))
    if symptom is not None:
        findings.append(troubles.diagnose(symptom, _looked_closer(host, scene)))
    elif troubles.missing(len(answering), smi.text, header, scene):
        # Said again with what the kernel knows of it.
        findings += filter(None, [troubles.missing(len(answering), smi.text, header, _looked_closer(host, scene))])
    findings += filter(None, [troubles.idle(scene) if answering else None])
    findings += judge_nvidia(gpus, header)
    return gpus, {"driver": driver, "driver_source": driver_source, "cuda": cuda, "cuda_source": cuda_source}


def _known(host: Host, gpus: list[Accelerator], on_bus: Sequence[Accelerator]) -> list[Accelerator]:
    """The GPUs by the best witness, those without a compute capability with that of another witness."""
    model = texts.first_line(host.read("/proc/device-tree/model"))
    chip = observe_jetson.tegra_chip(host.read("/proc/device-tree/compatible"))
    if not gpus and chip:
        gpus = [Accelerator(vendor="nvidia", name=model or "NVIDIA Jetson", source="device-tree")]
    gpus = gpus or list(on_bus)
    if not gpus and host.exists("/usr/lib/wsl/lib/libcuda.so.1"):
        # Windows has NVIDIA's driver, but nvidia-smi and NVML do not work here (microsoft/WSL#11277).
        gpus = [Accelerator(vendor="nvidia", name="NVIDIA GPU of Windows", source="libcuda")]
    if len(gpus) == 1 and gpus[0].sm is None and chip:
        witness = gpus[0].source if gpus[0].source == "device-tree" else f"{gpus[0].source}+device-tree"
        gpus = [replace(gpus[0], sm=tables.TEGRA[chip], source=witness)]
    return [
        replace(gpu, sm=sm, source=f"{gpu.source}+name")
        if gpu.sm is None and (sm := observe_jetson.tegra_sm(gpu.name)) is not None
        else gpu
        for gpu in complete(gpus, on_bus)
    ]


def _looked_closer(host: Host, scene: Scene) -> Scene:
    """The scene with what is read only where something is wrong: the kernel's log, the firmware, another nvidia-smi in WSL."""
    theirs = "/usr/bin/nvidia-smi"
    foreign = host.exists("/usr/lib/wsl/lib/nvidia-smi") and host.exists(theirs) and not os.path.islink(host.at(theirs))
    return replace(
        scene,
        log=read_log(host.kernel_log()),
        secure_boot=host.read_bytes(SECURE_BOOT)[4:5] == b"\x01",
        smi=theirs if foreign else "",
    )
