"""Look at a host's hardware and drivers: the witnesses of docs/platform.md, each asked in its order."""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Mapping, Sequence

from ..records.host import Finding, Machine, NvidiaDriver, OperatingSystem, Processor, Rocm, Toolkit, VectorUnit
from . import drivers, texts
from . import jetson as observe_jetson
from .amd import gfx_name, parse_agents, parse_rocminfo
from .cpu import Cpu
from .gpus import Accelerator, Slot, amd_name, pci_slot
from .host import Host, Questions, User
from .scene import is_wsl1
from .system import machine_class, parse_gpu_arches, parse_nvcc, parse_version_json, windows_gpus
from .trouble_guest import WITHOUT_GPU

# Installed packages that are witnesses: of L4T, of JetPack, of ROCm.
WITNESSES = ("nvidia-l4t-core", "nvidia-jetpack", "rocm-core")
PR_SVE_GET_VL = 51  # include/uapi/linux/prctl.h
KFD_NODES = "/sys/class/kfd/kfd/topology/nodes/*"


def start(host: Host, ask: Questions) -> None:
    """Start every command whose answer is wanted below."""
    drivers.start(host, ask)
    if not host.glob(KFD_NODES):
        ask.command("rocminfo", ["rocminfo"])
        ask.command("agents", ["rocm_agent_enumerator"])
    for nvcc in find_nvccs(host):
        ask.command(f"{nvcc} version", [nvcc, "--version"])
        ask.command(f"{nvcc} arches", [nvcc, "--list-gpu-arch"])


def find_accelerators(
    host: Host,
    ask: Questions,
    user: User,
    system: OperatingSystem,
    packages: Mapping[str, str],
    findings: list[Finding],
) -> tuple[list[Accelerator], NvidiaDriver]:
    """Return all GPUs, NVIDIA's first, then AMD's and Intel's, and what is known of NVIDIA's driver."""
    slots = find_slots(host)
    jetson = bool(jetson_witness(host, system["kernel"], packages)[1])
    nvidia, driver = drivers.find_nvidia(host, ask, slots, system, jetson, packages, findings)
    amd = find_amd(host, ask, slots, user, findings)
    found = nvidia + amd + [slot.gpu for slot in slots if slot.gpu.vendor == "intel"]
    if not found and is_wsl1(system["kernel"]) and WITHOUT_GPU["id"] not in [said["id"] for said in findings]:
        findings.append(WITHOUT_GPU)
    if not nvidia + amd and host.exists("/dev/dxg"):
        # All that Windows hides behind this device is reached through DirectX; what it is, only its drivers tell.
        makers = " or ".join(windows_gpus(host.listing("/usr/lib/wsl/drivers"))) or "unknown"
        found = [Accelerator(vendor="directx", name=f"{makers} GPU of Windows", source="dxg")]
    return found, driver


def wsl_witness(host: Host) -> str | None:
    """Return what says that this is WSL (a kernel built by its user need not name Microsoft)."""
    if "microsoft" in host.read("/proc/version").lower():
        return "/proc/version"
    return next((path for path in ("/proc/sys/fs/binfmt_misc/WSLInterop", "/dev/dxg") if host.exists(path)), None)


def find_cpu(host: Host, architecture: str, cpu: Cpu, findings: list[Finding]) -> Processor:
    """Return what is reported of the CPU."""
    if architecture not in ("x86_64", "aarch64"):
        findings.append(
            texts.finding(
                "cpu.architecture",
                f"The CPU architecture {architecture or 'unknown'} has no wheels of torch",
                "Use a host with x86_64 or aarch64.",
            )
        )
    elif cpu.isa == "generic" and cpu.cores:
        findings.append(
            texts.finding(
                "cpu.level",
                f"{cpu.model or 'The CPU'} has {'no AVX2' if architecture == 'x86_64' else 'no ARMv8.2 half precision'}",
                "Let a virtual machine see its host's CPU, or use a newer machine; nothing is compiled for this level.",
            )
        )
    return {
        "architecture": architecture,
        "isa": cpu.isa,
        # Only the cores this process may use.
        "cores": len(os.sched_getaffinity(0)) if host.live else cpu.cores,
        "model": cpu.model,
        "sve": _sve(host) if cpu.sve else None,
        "page_size": page_size(host),
    }


def _sve(host: Host) -> VectorUnit | None:
    """Return the width of the SVE registers: of this process, else the system's default."""
    if host.live:
        try:
            length = ctypes.CDLL(None).prctl(PR_SVE_GET_VL, 0, 0, 0, 0)
        except (OSError, AttributeError):
            length = -1
        if length > 0:
            return {"bits": (length & 0xFFFF) * 8, "source": "prctl"}
    length = texts.natural(host.read("/proc/sys/abi/sve_default_vector_length"))
    return {"bits": length * 8, "source": "sve_default_vector_length"} if length else None


def page_size(host: Host) -> int:
    """Return the size of a memory page in bytes."""
    if host.live:
        return os.sysconf("SC_PAGESIZE")
    return texts.natural(host.run(["getconf", "PAGESIZE"]).text) or 4096


def find_rocm(host: Host, packages: Mapping[str, str]) -> Rocm:
    """Return ROCm's version: of /opt/rocm, else the newest other folder's, else the package's."""
    files = ["/opt/rocm/.info/version", *reversed(host.glob("/opt/rocm-*/.info/version"))]
    for path in files:
        version = texts.major_minor(texts.first_line(host.read(path)))
        if version:
            return {"version": version, "source": path}
    version = texts.major_minor(packages.get("rocm-core", ""))
    return {"version": version, "source": "rocm-core" if version else None}


def jetson_witness(host: Host, kernel: str, packages: Mapping[str, str]) -> tuple[str | None, str]:
    """Return a Jetson's L4T release, where it tells, and what says that this is one ('' for nothing)."""
    l4t, why = observe_jetson.parse_l4t(host.read("/etc/nv_tegra_release")), "/etc/nv_tegra_release"
    if l4t is None:
        l4t, why = texts.version_in(packages.get("nvidia-l4t-core", "").partition("-")[0]), "nvidia-l4t-core"
    if l4t is not None:
        return l4t, why
    chip = observe_jetson.tegra_chip(host.read("/proc/device-tree/compatible"))
    return None, f"device tree: {chip}" if chip else f"kernel {kernel}" if "tegra" in kernel else ""


def find_machine(
    host: Host,
    system: OperatingSystem,
    cpu: Cpu,
    uname: tuple[str, str, str],
    gpus: Sequence[Accelerator],
    packages: Mapping[str, str],
    findings: list[Finding],
) -> Machine:
    """Say what kind of machine this is, by the first witness of docs/platform.md's order."""
    compatible = host.read("/proc/device-tree/compatible")
    l4t, jetson_why = jetson_witness(host, uname[1], packages)
    dmi = {
        name: texts.first_line(host.read(f"/sys/class/dmi/id/{name}"))
        for name in ("product_name", "sys_vendor", "chassis_type")
    }
    product = dmi["product_name"]
    model = texts.first_line(host.read("/proc/device-tree/model")) or product
    arm = uname[2] == "aarch64"
    names = [gpu.name for gpu in gpus if gpu.vendor == "nvidia"]
    tegra = next((name for name in names if arm and observe_jetson.tegra_sm(name)), None)
    spark = next((gpu.name for gpu in gpus if arm and (gpu.sm == "12.1" or re.search(r"\bGB10\b", gpu.name))), None)
    # Never more of /etc/dgx-release than these two: it also holds the serial number.
    release = texts.key_values(host.read("/etc/dgx-release"), "=")
    dgx = f"{release.get('DGX_NAME', '')} {release.get('DGX_PLATFORM', '')}"
    fastos = texts.key_values(host.read("/etc/fastos-release"), "=").get("NAME", "")
    superchip = next((text for text in [*names, product] if re.search(r"\b(GH200|GB[23]00|Grace)\b", text)), None)
    witnesses = (
        ("jetson", jetson_why),
        ("jetson", tegra and f"GPU {tegra}"),
        ("dgx_spark", spark and f"GPU {spark}"),
        ("dgx_spark", re.search(r"dgx.?spark", product, re.IGNORECASE) and f"product {product}"),
        ("dgx_spark", "spark" in fastos.lower() and "/etc/fastos-release"),
        ("dgx_spark", "spark" in dgx.lower() and "/etc/dgx-release"),
        ("grace", arm and superchip),
        ("grace", arm and names and cpu.model == "Neoverse-V2" and "Neoverse-V2 with an NVIDIA GPU"),
        ("wsl1", is_wsl1(uname[1]) and f"kernel {uname[1]}"),
        ("wsl2", system["wsl"] and wsl_witness(host)),
        ("container", system["container"]),
        ("board", arm and model and not product and model),
        machine_class(dmi["chassis_type"], dmi["sys_vendor"]),
    )
    kind, why = next((kind, str(why)) for kind, why in witnesses if why)
    jetson = kind == "jetson"
    jetpack = observe_jetson.jetpack(l4t) if jetson else None
    if jetson and l4t is None:
        findings.append(
            texts.finding(
                "jetson.l4t_missing",
                f"This is a Jetson ({why}), but its L4T release cannot be read",
                "In a container, mount the host's /etc/nv_tegra_release into it.",
            )
        )
    elif jetpack and not jetpack.exact:
        findings.append(
            texts.finding(
                "jetson.l4t_unknown",
                f"L4T {l4t} is not known; it is treated as JetPack {jetpack.version}, the nearest older one",
                "Update Wavesmith, or check that the chosen stack fits.",
            )
        )
    said = texts.version_in(re.split(r"[+-]", packages.get("nvidia-jetpack", ""), maxsplit=1)[0])
    return {
        "model": model,
        "kind": kind,
        "why": why,
        "jetson": jetson,
        "module": observe_jetson.jetson_module(compatible),
        "l4t": l4t if jetson else None,
        "jetpack": (said or (jetpack.version if jetpack else None)) if jetson else None,
    }


def find_nvccs(host: Host) -> list[str]:
    """Return every nvcc on the host: of the toolkits in their usual places, of CUDA_HOME, and the one on the path."""
    roots = [path for pattern in ("/usr/local/cuda*", "/opt/cuda*", "/usr/lib/*cuda*") for path in host.glob(pattern)]
    roots += [host.environ[name] for name in ("CUDA_HOME", "CUDA_PATH") if host.environ.get(name, "").startswith("/")]
    found: dict[str, str] = {}
    for path in [f"{root.rstrip('/')}/bin/nvcc" for root in roots]:
        if host.exists(path):
            found.setdefault(os.path.realpath(host.at(path)), path)
    on_path = host.which("nvcc")
    if on_path:
        real = os.path.realpath(on_path)
        # A script that calls another toolkit's nvcc has no profile beside it.
        if not found or (host.live and os.path.exists(f"{os.path.dirname(real)}/nvcc.profile")):
            found.setdefault(real, on_path)
    return list(found.values())


def find_toolkits(host: Host, ask: Questions) -> list[Toolkit]:
    """Return the CUDA toolkits: what version.json or nvcc says of them, and what nvcc compiles for (None: unknown)."""
    found: dict[str, Toolkit] = {}

    def add(path: str, version: str | None, source: str, sms: list[str] | None, nvcc: bool) -> None:
        if version is not None:
            shown = os.path.realpath(path) if host.live else path
            key = os.path.realpath(host.at(path))
            found.setdefault(key, {"version": version, "path": shown, "source": source, "nvcc": nvcc, "sms": sms})

    for nvcc in find_nvccs(host):
        path = os.path.dirname(os.path.dirname(os.path.realpath(nvcc) if host.live else nvcc)) or "/usr"
        sms = parse_gpu_arches(ask.answer(f"{nvcc} arches").text)
        version, source = parse_version_json(host.read(f"{path}/version.json")), "version.json"
        if version is None:
            version, source = parse_nvcc(ask.answer(f"{nvcc} version").text), "nvcc"
        add(path, version, source, sms, nvcc=True)
    for file in host.glob("/usr/local/cuda*/version.json"):
        add(os.path.dirname(file), parse_version_json(host.read(file)), "version.json", None, nvcc=False)
    return sorted(found.values(), key=lambda toolkit: str(toolkit["path"]))


def find_slots(host: Host) -> list[Slot]:
    """Return the GPUs on the PCI bus, in the order of their addresses."""
    paths = host.glob("/sys/bus/pci/devices/*/uevent")
    # A recording may write an address without colons.
    slots = (pci_slot(os.path.basename(os.path.dirname(path)).replace("-", ":"), host.read(path)) for path in paths)
    return [slot for slot in slots if slot is not None]


def find_amd(
    host: Host,
    ask: Questions,
    slots: Sequence[Slot],
    user: User,
    findings: list[Finding],
) -> list[Accelerator]:
    """Return AMD's GPUs by the first witness that shows any: KFD, rocminfo, rocm_agent_enumerator, PCI."""
    gpus = []
    for path in host.glob(KFD_NODES):
        node = texts.key_values(host.read(f"{path}/properties"), " ")
        gfx = gfx_name(node.get("gfx_target_version", ""))
        if gfx is None:
            continue
        banks = (texts.key_values(host.read(bank), " ") for bank in host.glob(f"{path}/mem_banks/*/properties"))
        memory = sum(texts.natural(bank.get("size_in_bytes", "")) or 0 for bank in banks)
        # Newer kernels name every GPU "ip discovery".
        name = texts.first_line(host.read(f"{path}/name")).replace("ip discovery", "")
        name = name or amd_name(texts.natural(node.get("device_id", ""))) or gfx
        gpus.append(Accelerator(vendor="amd", name=name, gfx=gfx, memory=memory or None, source="kfd"))
    seen = bool(gpus)
    on_bus = [slot.gpu for slot in slots if slot.gpu.vendor == "amd"]
    gpus = gpus or parse_rocminfo(ask.answer("rocminfo").text) or parse_agents(ask.answer("agents").text) or on_bus
    if seen and not host.exists("/dev/kfd"):
        findings.append(
            texts.finding(
                "amd.no_kfd",
                f"There is an AMD GPU ({gpus[0].name}), but no /dev/kfd",
                "Give the container /dev/kfd and /dev/dri, or load the kernel module amdgpu.",
            )
        )
    elif seen and user.uid != 0 and not _may_use(host, "/dev/kfd"):
        findings.append(
            texts.finding(
                "amd.access",
                f"{user.name} may not use /dev/kfd",
                f"Let an administrator run: usermod -aG render,video {user.name}; then log in again.",
            )
        )
    elif gpus and gpus[0].source == "pci":
        findings.append(
            texts.finding(
                "amd.driver",
                f"There is an AMD GPU ({gpus[0].name}), but the kernel offers no compute node for it",
                "Load the kernel module amdgpu (of a kernel that knows this GPU), then look for /dev/kfd.",
            )
        )
    return gpus


def _may_use(host: Host, path: str) -> bool:
    if host.live:
        return os.access(path, os.R_OK | os.W_OK)
    return not {"render", "video"}.isdisjoint(host.run(["id", "-Gn"]).text.split())
