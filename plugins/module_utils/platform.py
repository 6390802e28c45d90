"""What a host is, read out of texts: pure functions without I/O.

Every function here accepts any text and never raises: what cannot be understood is left out or ``None``.
:mod:`_probe` reads the files and runs the commands whose output is parsed here.
"""

from __future__ import annotations

import configparser
import json
import re
import signal
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from . import hardware

VENDORS = {"10de": "nvidia", "1002": "amd", "8086": "intel"}
SHOWN = {"nvidia": "NVIDIA", "amd": "AMD", "intel": "Intel"}

Finding = dict[str, str]

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_NATURAL = re.compile(r"[0-9]{1,18}")
_MIB = 1024 * 1024


@dataclass(frozen=True)
class Accelerator:
    """One GPU: `sm` like ``9.0``, `gfx` like ``gfx1100``, `memory` in bytes (None: unified or unknown).

    `source` is the witness of the GPU, with ``+`` and another one where its target is known from that.
    """

    vendor: str
    name: str
    sm: str | None = None
    gfx: str | None = None
    memory: int | None = None
    source: str = ""


@dataclass(frozen=True)
class Cpu:
    """The instruction set level and whether SVE is there, as all cores share them; their number, the model's name."""

    isa: str
    cores: int
    model: str
    sve: bool = False


@dataclass(frozen=True)
class Url:
    """A URL split into what may be shown (`shown`) and the credentials that may not."""

    shown: str
    user: str | None = None
    password: str | None = None


def decode(data: bytes) -> str:
    """Turn file content into text: NUL (device tree, environ) becomes a line end, other control characters go."""
    return _CONTROL.sub("", data.decode("utf-8", "replace").replace("\0", "\n"))


def first_line(text: str) -> str:
    """Return the first line with content, stripped."""
    return next((line.strip() for line in text.split("\n") if line.strip()), "")


def natural(text: str) -> int | None:
    """Return a plain ASCII natural number of at most 18 digits, else None."""
    text = text.strip()
    return int(text) if _NATURAL.fullmatch(text) else None


def key_values(text: str, separator: str) -> dict[str, str]:
    """Parse ``key<separator>value`` lines; the first of equal keys wins; quotes around a value go."""
    found: dict[str, str] = {}
    for line in text.split("\n"):
        key, mark, value = line.partition(separator)
        if mark and key.strip() and not key.lstrip().startswith("#"):
            found.setdefault(key.strip(), value.strip().strip("\"'"))
    return found


def parse_cpuinfo(text: str) -> Cpu:
    """Read ``/proc/cpuinfo`` of x86_64 or aarch64; on mixed cores the level is what all of them have."""
    cores, common = 0, None
    implementer: int | None = None
    named: dict[str, None] = {}
    arm: dict[str, None] = {}
    board = ""
    for line in text.split("\n"):
        key, mark, value = line.partition(":")
        key, value = key.strip(), value.strip()
        if not mark:
            continue
        if key == "processor":
            cores += 1
        elif key == "model name":
            named[value] = None
        elif key == "CPU implementer":
            implementer = hexadecimal(value)
        elif key == "CPU part":
            arm[hardware.ARM_CORES.get((implementer or 0, hexadecimal(value) or 0), f"Arm core {value}")] = None
        elif key == "Model":
            board = value
        elif key in ("flags", "Features"):
            flags = frozenset(value.split())
            common = flags if common is None else common & flags
    model = next(iter(named), "") or ", ".join(arm) or board
    return Cpu(isa=isa_level(common or frozenset()), cores=cores, model=model, sve="sve" in (common or ()))


def hexadecimal(text: str) -> int | None:
    """Return the value of at most eight hexadecimal digits, with or without ``0x``, else None."""
    match = re.fullmatch(r"(?:0x)?([0-9a-f]{1,8})", text.strip().lower(), re.ASCII)
    return int(match.group(1), 16) if match else None


def isa_level(flags: frozenset[str]) -> str:
    """Name the highest level whose every instruction group is present (levels contain the lower ones)."""
    if "sve2" in flags:
        return "armv9"
    if "fphp" in flags and ("asimdhp" in flags or "asimddp" in flags):
        return "armv8_2"
    level = "generic"
    for name, needed in (
        ("avx2", {"avx2", "fma"}),
        ("avx512", {"avx512f", "avx512bw", "avx512dq", "avx512vl"}),
        ("avx512vnni", {"avx512_vnni"}),
        ("avx512bf16", {"avx512_bf16"}),
    ):
        if not needed <= flags:
            break
        level = name
    return level


def parse_meminfo(text: str) -> dict[str, int]:
    """Return total and available bytes from ``/proc/meminfo`` (0 where it does not say)."""
    lines = key_values(text, ":")

    def size(key: str) -> int:
        value = natural(lines.get(key, "").removesuffix("kB"))
        return value * 1024 if value is not None else 0

    return {"total": size("MemTotal"), "available": size("MemAvailable")}


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
                memory=memory * _MIB if memory else None,
                source="nvidia-smi",
            )
        )
        driver = driver or version_in(fields[3])
    return found, driver


def version_in(text: str) -> str | None:
    """Return the text when it is a dotted version, else None."""
    return text if re.fullmatch(r"\d{1,9}(\.\d{1,9})+", text, re.ASCII) else None


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
    return next((cuda for first, cuda in hardware.DRIVER_CUDA if branch is not None and branch >= first), None)


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
        "Put the user into the group that owns /dev/nvidia* (often video), and log in anew.",
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


def finding(name: str, detail: str, remedy: str) -> Finding:
    """Make one finding."""
    return {"id": name, "detail": detail, "remedy": remedy}


def tegra_chip(text: str) -> str | None:
    """Return the Jetson chip (``tegra264``) that ``/proc/device-tree/compatible`` names."""
    return next((chip for chip in hardware.TEGRA if re.search(rf"nvidia,{chip}\b", text)), None)


def tegra_sm(name: str) -> str | None:
    """Return the compute capability of a Jetson whose model or GPU has this name."""
    words = re.findall(r"[a-z]+", name.lower())
    return next((sm for word, sm in hardware.TEGRA_NAMES.items() if word in words), None)


def jetson_module(compatible: str) -> str | None:
    """Return the name of the Jetson module in ``/proc/device-tree/compatible``."""
    return next((name for code, name in hardware.JETSON_MODULES.items() if code in compatible), None)


@dataclass(frozen=True)
class JetPack:
    """A JetPack release, the CUDA it ships, and whether the host's L4T is in the table or only near it."""

    version: str
    cuda: str
    exact: bool


def jetpack(l4t: str | None) -> JetPack | None:
    """Return the JetPack of an L4T release; of an unknown one the nearest older one (the oldest below the table)."""
    if not l4t or not re.fullmatch(r"\d{1,4}(\.\d{1,4}){0,4}", l4t, re.ASCII):
        return None
    asked = _numbers(l4t)
    known = sorted(((_numbers(release), facts) for release, facts in hardware.JETPACKS.items()), reverse=True)
    release, (version, cuda) = next((entry for entry in known if entry[0] <= asked), known[-1])
    return JetPack(version, cuda, exact=release == asked)


def _numbers(version: str) -> tuple[int, ...]:
    numbers = [int(number) for number in version.split(".")]
    return tuple([*numbers, 0, 0][: max(3, len(numbers))])


def parse_l4t(text: str) -> str | None:
    """Return the L4T release (``38.2.0``) from ``/etc/nv_tegra_release``."""
    match = re.search(r"^# R(\d{1,4}) \(release\), REVISION: (\d{1,4}(?:\.\d{1,4})*)", text, re.ASCII | re.MULTILINE)
    return f"{match.group(1)}.{match.group(2)}" if match else None


def gfx_name(target_version: str) -> str | None:
    """Turn the kernel's ``gfx_target_version`` (110000, 90010) into the compiler's name (gfx1100, gfx90a)."""
    value = natural(target_version)
    if not value or value > 999999:
        return None
    return f"gfx{value // 10000}{value // 100 % 100:x}{value % 100:x}"


@dataclass(frozen=True)
class Slot:
    """A GPU as the PCI bus shows it: its address, what it is, and the kernel driver bound to it ('' for none)."""

    address: str
    gpu: Accelerator
    driver: str


def pci_slot(address: str, uevent: str) -> Slot | None:
    """Name a display or 3D controller of a known vendor from its ``uevent`` in sysfs."""
    said = key_values(uevent, "=")
    ids = said.get("PCI_ID", "").lower()
    maker, device = VENDORS.get(ids.partition(":")[0]), hexadecimal(ids.partition(":")[2])
    # The class has no leading zero: 30000 is a VGA controller, 30200 a 3D one; AMD's Instincts are 120000.
    kinds = r"(3[0-9a-f]{2}|1200)[0-9a-f]{2}" if maker == "amd" else r"3[0-9a-f]{4}"
    if maker is None or device is None or not re.fullmatch(kinds, said.get("PCI_CLASS", "").lower()):
        return None
    gpu = Accelerator(vendor=maker, name=f"{SHOWN[maker]} GPU [{ids}]", source="pci")
    if maker == "nvidia":
        for first, last, chip, sm in hardware.NVIDIA_CHIPS:
            if first <= device <= last:
                gpu = replace(gpu, name=f"NVIDIA {chip} [{ids}]", sm=sm)
                break
    elif maker == "amd" and device in hardware.AMD_GPUS:
        gpu = replace(gpu, name=amd_name(device), gfx=hardware.AMD_GPUS[device][1])
    elif maker == "intel" and device in hardware.INTEL_GPUS:
        gpu = replace(gpu, name=f"Intel {hardware.INTEL_GPUS[device]}")
    return Slot(address=address, gpu=gpu, driver=said.get("DRIVER", ""))


def amd_name(device: int | None) -> str:
    """Return the name of an AMD GPU by its PCI device id, '' when it is not known."""
    return f"AMD {hardware.AMD_GPUS[device][0]}" if device in hardware.AMD_GPUS else ""


def complete(gpus: Sequence[Accelerator], slots: Sequence[Accelerator]) -> list[Accelerator]:
    """Give GPUs without a compute capability that of the same place on the bus, where both count the same.

    nvidia-smi, NVML and /proc list GPUs in the order of their bus addresses, as `slots` are.
    """
    if len(gpus) != len(slots):
        alike = {slot.sm for slot in slots}
        slots = [slots[0]] * len(gpus) if slots and len(alike) == 1 else []
    if not slots:
        return list(gpus)
    return [
        replace(gpu, sm=slot.sm, source=f"{gpu.source}+pci") if gpu.sm is None and slot.sm else gpu
        for gpu, slot in zip(gpus, slots)
    ]


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


def parse_rocminfo(text: str) -> list[Accelerator]:
    """Return the GPUs among the agents of ``rocminfo``."""
    found: list[Accelerator] = []
    for block in re.split(r"^Agent \d+\s*$", text, flags=re.ASCII | re.MULTILINE)[1:]:
        said = key_values(block, ":")
        gfx = said.get("Name", "")
        if said.get("Device Type") != "GPU" or not re.fullmatch(r"gfx[0-9a-f]{3,5}", gfx, re.ASCII):
            continue
        size = natural(said.get("Size", "").partition("(")[0])
        found.append(
            Accelerator(
                vendor="amd",
                name=said.get("Marketing Name") or gfx,
                gfx=gfx,
                memory=size * 1024 if size else None,
                source="rocminfo",
            )
        )
    return found


def parse_agents(text: str) -> list[Accelerator]:
    """Return the GPUs of ``rocm_agent_enumerator``: one target a line, ``gfx000`` being the CPU."""
    targets = [line.strip() for line in text.split("\n") if re.fullmatch(r"\s*gfx[0-9a-f]{3,5}\s*", line, re.ASCII)]
    return [
        Accelerator(vendor="amd", name=target, gfx=target, source="rocm_agent_enumerator")
        for target in targets
        if target != "gfx000"
    ]


def windows_gpus(folders: Iterable[str]) -> list[str]:
    """Name the makers of the display drivers in Windows' driver store."""
    names = [folder.lower() for folder in folders if ".inf_" in folder]
    found = (maker for start, maker in hardware.WINDOWS_DRIVERS if any(name.startswith(start) for name in names))
    return list(dict.fromkeys(found))


def parse_gpu_arches(text: str) -> list[str] | None:
    """Return the compute capabilities in the answer of ``nvcc --list-gpu-arch``, None where it gave none."""
    found = {int(digits) for digits in re.findall(r"^compute_(\d{2,3})\s*$", text, re.ASCII | re.MULTILINE)}
    return [f"{number // 10}.{number % 10}" for number in sorted(found)] or None


def machine_class(chassis: str, vendor: str) -> tuple[str, str]:
    """Tell a server from a workstation by SMBIOS' chassis type, else by the maker of virtual machines; and why."""
    number = natural(chassis) or 0
    if number in hardware.SERVERS:
        return "server", f"chassis type {number}"
    if number in hardware.WORKSTATIONS:
        return "workstation", f"chassis type {number}"
    if any(maker in vendor.lower() for maker in hardware.VIRTUAL):
        return "server", f"a virtual machine of {vendor}"
    return "unknown", "nothing tells"


def parse_version_json(text: str) -> str | None:
    """Return ``13.0`` from a CUDA toolkit's ``version.json``."""
    try:
        data: Any = json.loads(text)
        version = data["cuda"]["version"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return major_minor(version) if isinstance(version, str) else None


def parse_nvcc(text: str) -> str | None:
    """Return ``13.0`` from ``nvcc --version``."""
    match = re.search(r"release (\d{1,4}\.\d{1,4})", text, re.ASCII)
    return match.group(1) if match else None


def major_minor(version: str) -> str | None:
    """Cut a dotted version to its first two numbers."""
    match = re.match(r"\d{1,4}\.\d{1,4}", version, re.ASCII)
    return match.group(0) if match else None


def parse_python(text: str) -> tuple[str, str] | None:
    """Parse ``<version> <prefix>`` as :data:`_probe.PYTHON_QUERY` prints it."""
    version, _space, prefix = first_line(text).partition(" ")
    if not re.match(r"3\.\d{1,4}\.\d{1,4}", version, re.ASCII) or not prefix.startswith("/"):
        return None
    return version, prefix


def parse_dpkg_status(text: str, wanted: Iterable[str]) -> dict[str, str]:
    """Return the version of each wanted package that is installed, virtual ones by the package that provides them.

    A package put on hold is installed too; one with only its configuration files left is not.
    """
    names = set(wanted)
    own: dict[str, str] = {}
    provided: dict[str, str] = {}
    if not names:
        return own
    for stanza in text.split("\n\n"):
        stanza = f"\n{stanza}\n"
        if "\nStatus: install ok installed\n" not in stanza and "\nStatus: hold ok installed\n" not in stanza:
            continue
        name, version = _field(stanza, "Package"), _field(stanza, "Version")
        if name in names:
            own.setdefault(name, version)
        provides = _field(stanza, "Provides")
        if provides:
            for entry in provides.split(","):
                virtual = re.split(r"[\s(:]", entry.strip(), maxsplit=1)[0]
                if virtual in names:
                    provided.setdefault(virtual, version)
    return {**provided, **own}


def _field(stanza: str, name: str) -> str:
    start = stanza.find(f"\n{name}: ")
    if start < 0:
        return ""
    start += len(name) + 3
    return stanza[start : stanza.find("\n", start)].strip()


def parse_pip_conf(text: str) -> str:
    """Return the index URL that pip.conf sets for `pip install`, or ''."""
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(text)
    except configparser.Error:
        return ""
    for section in ("install", "global"):
        for key in ("index-url", "index_url"):
            value = parser.get(section, key, fallback="")
            if value and value.strip():
                return value.strip()
    return ""


def container_kind(environ: str, systemd_note: str, podman: bool, docker: bool) -> str:
    """Name the container technology: what PID 1's environment or systemd says, else the engines' marker files."""
    said = key_values(environ, "=").get("container", "") or first_line(systemd_note)
    return said or ("podman" if podman else "docker" if docker else "")


def split_url(text: str) -> Url:
    """Take user and password out of a URL, also where an unescaped ``/``, ``?`` or ``#`` in them makes it malformed."""
    text = text.strip()
    # uv accepts "<name>=<url>" for its default index.
    text = re.sub(r"^[\w.-]+=(?=[a-z]+://)", "", text)
    try:
        parts = urlsplit(text)
        user, password = parts.username, parts.password
    except ValueError:
        return _cut_url(text)
    host = parts.netloc.rpartition("@")[2]
    well_formed = re.fullmatch(r"[^:\[\]]+(:\d+)?|\[.*\](:\d+)?", host) is not None
    # An @ after the host is a part of a path only where it starts a segment ("/@scope").
    scoped = "@" not in parts.query + parts.fragment and re.fullmatch(r"([^@:]|(?<=/)@)*", parts.path) is not None
    if "@" in text and not (well_formed and (scoped or "@" not in parts.path + parts.query + parts.fragment)):
        return _cut_url(text)
    return Url(
        shown=urlunsplit(parts._replace(netloc=host)),
        user=unquote(user) if user else None,
        password=unquote(password) if password else None,
    )


def _cut_url(text: str) -> Url:
    return Url(shown=re.sub(r"^([a-zA-Z][a-zA-Z0-9+.-]*://)?.*@", r"\1", text, flags=re.DOTALL))


def judge_status(status: int) -> tuple[bool, str, str]:
    """Say whether an HTTP status means that the source can be used: (answers, detail, remedy)."""
    if status in (401, 403):
        return (
            False,
            f"HTTP {status}: it wants credentials",
            "Give credentials in the source's URL.",
        )
    if status == 404:
        return False, "HTTP 404: nothing at this address", "Correct the source's URL."
    if status == 407:
        return False, "HTTP 407: the proxy wants credentials", "Set http_proxy and https_proxy with credentials."
    if status >= 500:
        return False, f"HTTP {status}: the server fails", "Try again later, or configure a mirror."
    return True, f"HTTP {status}", ""
