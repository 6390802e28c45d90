"""What a host is, read out of texts: pure functions without I/O.

Every function here accepts any text and never raises: what cannot be understood is left out or ``None``.
:mod:`_probe` reads the files and runs the commands whose output is parsed here.
"""

from __future__ import annotations

import configparser
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

# Compute capability of the Jetson chips by device tree name (older L4T has no nvidia-smi or answers [N/A]).
# Source: jetson_stats issues 711 and 849, NVIDIA Jetson Linux documentation.
TEGRA_SM = {"tegra264": "11.0", "tegra234": "8.7", "tegra194": "7.2"}

# PCI device ids that name their compute capability without a driver. Source: DGX Spark (GB10) `lspci -n`.
NVIDIA_PCI = {"2e12": ("NVIDIA GB10", "12.1")}

VENDORS = {"0x10de": "nvidia", "0x1002": "amd"}

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_NATURAL = re.compile(r"[0-9]{1,18}")
_MIB = 1024 * 1024


@dataclass(frozen=True)
class Accelerator:
    """One GPU: `sm` like ``9.0``, `gfx` like ``gfx1100``, `memory` in bytes (None: unified or unknown)."""

    vendor: str
    name: str
    sm: str | None = None
    gfx: str | None = None
    memory: int | None = None
    source: str = ""


@dataclass(frozen=True)
class Cpu:
    """The instruction set level that all cores share, their number, and the model's name."""

    isa: str
    cores: int
    model: str


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
    cores, model, common = 0, "", None
    for line in text.split("\n"):
        key, mark, value = line.partition(":")
        key = key.strip()
        if not mark:
            continue
        if key == "processor":
            cores += 1
        elif key in ("model name", "Model") and not model:
            model = value.strip()
        elif key in ("flags", "Features"):
            flags = frozenset(value.split())
            common = flags if common is None else common & flags
    return Cpu(isa=isa_level(common or frozenset()), cores=cores, model=model)


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


def parse_nvidia_version(text: str) -> str | None:
    """Return the driver's version from ``/proc/driver/nvidia/version`` (closed and open kernel module)."""
    match = re.search(r"Kernel Module(?:\s+for\s+\S+)?\s+(\d{1,9}(?:\.\d{1,9})+)", text, re.ASCII)
    return match.group(1) if match else None


def parse_compatible(text: str) -> str | None:
    """Return the compute capability of a Jetson from ``/proc/device-tree/compatible``."""
    for chip, sm in TEGRA_SM.items():
        if re.search(rf"nvidia,{chip}\b", text):
            return sm
    return None


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


def pci_accelerator(vendor: str, device: str, pci_class: str) -> Accelerator | None:
    """Name a display or 3D controller of a known vendor from its sysfs ids (``0x10de``, ``0x2e12``, ``0x030000``)."""
    maker = VENDORS.get(vendor.strip().lower())
    device = device.strip().lower().removeprefix("0x")
    if maker is None or not pci_class.strip().lower().startswith("0x03"):
        return None
    name, sm = NVIDIA_PCI.get(device, ("", None)) if maker == "nvidia" else ("", None)
    ids = f"{vendor.strip().lower().removeprefix('0x')}:{device}"
    return Accelerator(vendor=maker, name=name or f"PCI device {ids}", sm=sm, source="pci")


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
