"""Ask a host whether the cause of a failure is really there: a small question each, that changes nothing and needs no network."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata

from ..observe import nvidia, probe
from ..observe.cpu import parse_meminfo
from ..observe.host import Host
from ..observe.system import parse_nvcc
from .base import Base
from .match import Found, recognise

GIB = 2**30
_LIBRARIES = (
    "/usr/lib/*-linux-gnu",
    "/lib/*-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/usr/lib/wsl/lib",
    "/usr/local/cuda/lib64",
)
_ELSEWHERE = "it is a matter of the environment: ask wavesmith-doctor in it"


@dataclass(frozen=True)
class Place:
    """Where to look.

    Attributes:
        host: The machine.
        prefix: The environment whose interpreter asks; empty outside of one.
        environment: Its name.
    """

    host: Host
    prefix: str = ""
    environment: str = ""


@dataclass(frozen=True)
class Seen:
    """What a probe found.

    Attributes:
        here: Whether the cause is there; `None` where that cannot be known.
        detail: What was found.
    """

    here: bool | None
    detail: str


def facts(host: Host) -> dict[str, str]:
    """What remedies depend on: the kind of machine (``wsl2``, ``jetson``, ``container``, ``metal``), its system and CPU architecture."""
    kernel = host.run(["uname", "-r"]).text if not host.live else os.uname().release
    system = probe.find_system(host, kernel)
    jetson = host.exists("/etc/nv_tegra_release") or "nvidia,tegra" in host.read("/proc/device-tree/compatible")
    kind = "wsl2" if system["wsl"] else "jetson" if jetson else "container" if system["container"] else "metal"
    architecture = probe.find_uname(host)[2]
    return {"machine": kind, "system": system["id"], "architecture": architecture}


def look(found: Found, place: Place) -> Seen:
    """What this host says of a failure; an entry without a probe, and a probe that breaks, say nothing."""
    name, of = found.answer.probe
    ask = PROBES.get(name)
    if ask is None or any("{" in value for value in of.values()):
        return Seen(None, "")
    try:
        return ask(place, of)
    except (OSError, ValueError, LookupError) as error:
        return Seen(None, f"it could not be looked for: {error}")


def examine(text: str, base: Base, place: Place | None) -> list[tuple[Found, Seen]]:
    """What a text shows, and what this host says of it; without a place nothing is asked."""
    known = facts(place.host) if place else {}
    if place and place.environment:
        known["environment"] = place.environment
    return [(found, look(found, place) if place else Seen(None, "")) for found in recognise(text, base, known)]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("+")[0])[:4])


def _driver(place: Place, of: Mapping[str, str]) -> Seen:
    """A driver that is older than `minimum`; without it, that there is none."""
    version = nvidia.parse_nvidia_version(place.host.read("/proc/driver/nvidia/version")) or nvidia.parse_driver(
        place.host.run(["nvidia-smi"]).text
    )
    minimum = of.get("minimum", "")
    if version is None:  # none at all is not an old one
        return Seen(not minimum, "no NVIDIA driver answers")
    if not minimum:
        return Seen(False, f"driver {version} is loaded")
    old = _numbers(version)[: len(_numbers(minimum))] < _numbers(minimum)
    return Seen(old, f"driver {version} is loaded, {minimum} or newer is needed")


def _driver_parts(place: Place, _: Mapping[str, str]) -> Seen:
    """The kernel's module and the library of the NVIDIA driver are of different versions."""
    module = nvidia.parse_nvidia_version(place.host.read("/proc/driver/nvidia/version"))
    found = [path for folder in _LIBRARIES for path in place.host.glob(f"{folder}/libnvidia-ml.so.*.*")]
    libraries = sorted({path.rpartition(".so.")[2] for path in found})
    if module is None or not libraries:
        return Seen(None, "the kernel's module or the library of the driver is not there")
    return Seen(module not in libraries, f"kernel module {module}, library {', '.join(libraries)}")


def _glibc(place: Place, of: Mapping[str, str]) -> Seen:
    """A glibc older than `needed`, or at least `from`."""
    version = probe.find_system(place.host, "")["libc"].partition(" ")[2]
    if not version:
        return Seen(None, "the C library does not say its version")
    if "needed" in of:
        return Seen(_numbers(version) < _numbers(of["needed"]), f"glibc {version}; {of['needed']} is needed")
    return Seen(_numbers(version) >= _numbers(of["from"]), f"glibc {version}")


def _symbol(place: Place, of: Mapping[str, str]) -> Seen:
    """A library without a symbol or a version of one."""
    host, path = place.host, of["library"]
    if "/" not in path or not host.exists(path):
        named = os.path.basename(path)
        path = next((found for folder in _LIBRARIES for found in host.glob(f"{folder}/{named}")), "")
    if not path:
        return Seen(None, f"{of['library']} is not on this host")
    with open(host.at(path), "rb") as file:
        there = of["symbol"].encode() in file.read()
    return Seen(not there, f"{path} {'has' if there else 'lacks'} {of['symbol']}")


def _library(place: Place, of: Mapping[str, str]) -> Seen:
    """A shared library that neither the linker's cache nor the environment has."""
    name = of["name"]
    cache = place.host.run(probe.LINKER_CACHE).text
    if re.search(rf"^\s*{re.escape(name)} ", cache, re.MULTILINE):
        return Seen(False, f"the dynamic linker finds {name}")
    inside = [
        path
        for pattern in ("lib", "lib/python3*/site-packages/*/lib", "lib/python3*/site-packages/nvidia/*/lib")
        for path in (place.host.glob(f"{place.prefix}/{pattern}/{name}") if place.prefix else ())
    ]
    if inside:
        return Seen(False, f"{inside[0]} is there, so it is a matter of who loads it first")
    folders = [path for folder in _LIBRARIES for path in place.host.glob(f"{folder}/{name}")]
    if folders:
        return Seen(False, f"{folders[0]} is there")
    return Seen(True if cache else None, f"{name} is nowhere on this host" if cache else "ldconfig says nothing")


def _disk(place: Place, of: Mapping[str, str]) -> Seen:
    """Less than 2 GiB free where it was written to."""
    path = os.path.dirname(of.get("path", "")) or place.prefix or "/"
    while path != "/" and not place.host.exists(path):
        path = os.path.dirname(path) or "/"
    free = {
        folder: shutil.disk_usage(folder).free / GIB
        for folder in {path, tempfile.gettempdir()}
        if os.path.isdir(folder)
    }
    said = ", ".join(f"{amount:.1f} GiB free in {folder}" for folder, amount in sorted(free.items()))
    return Seen(any(amount < 2 for amount in free.values()), said)


def _memory(place: Place, of: Mapping[str, str]) -> Seen:
    """Less memory available than `gib`."""
    memory = parse_meminfo(place.host.read("/proc/meminfo"))
    free, needed = memory["available"] / GIB, float(of.get("gib", "4"))
    return Seen(free < needed, f"{free:.1f} GiB of memory are available now")


def _program(place: Place, of: Mapping[str, str]) -> Seen:
    """A program that is not on PATH."""
    path = place.host.which(of["name"])
    return Seen(path is None, f"{of['name']} is {path or 'not on PATH'}")


def _processor(place: Place, of: Mapping[str, str]) -> Seen:
    """A CPU without an instruction set."""
    said = re.search(r"^(?:flags|Features)\s*:(.*)", place.host.read("/proc/cpuinfo"), re.MULTILINE)
    flags = said[1].split() if said else []
    return Seen(
        of["flag"] not in flags if flags else None, f"the CPU {'has' if of['flag'] in flags else 'lacks'} {of['flag']}"
    )


def _file(place: Place, of: Mapping[str, str]) -> Seen:
    """A file that is not there."""
    there = bool(place.host.glob(of["path"])) if "*" in of["path"] else place.host.exists(of["path"])
    return Seen(not there, f"{of['path']} is {'there' if there else 'not there'}")


def _distribution(place: Place, of: Mapping[str, str]) -> Seen:
    """A distribution of the environment that is absent, at least `from`, or older than `below`."""
    if not place.prefix:
        return Seen(None, _ELSEWHERE)
    try:
        version = metadata.version(of["name"])
    except metadata.PackageNotFoundError:
        return Seen("absent" in of, f"{of['name']} is not in this environment")
    wrong = "absent" not in of
    if "from" in of:
        wrong = wrong and _numbers(version) >= _numbers(of["from"])
    if "below" in of:
        wrong = wrong and _numbers(version) < _numbers(of["below"])
    return Seen(wrong, f"{of['name']} {version} is in this environment")


def _gcc(place: Place, of: Mapping[str, str]) -> Seen:
    """A gcc newer than `maximum`."""
    version = place.host.run(["gcc", "-dumpfullversion"]).text.strip()
    if not _numbers(version):
        return Seen(None, "there is no gcc")
    return Seen(
        _numbers(version)[0] > _numbers(of["maximum"])[0], f"gcc is {version}; {of['maximum']} is the newest it takes"
    )


def _toolkit(place: Place, of: Mapping[str, str]) -> Seen:
    """An nvcc of another CUDA than `version`, or none."""
    version = parse_nvcc(place.host.run(["nvcc", "--version"]).text)
    wanted = of.get("version", "")
    if version is None:
        return Seen(True, "there is no nvcc on PATH")
    if not wanted:
        return Seen(False, f"nvcc is of CUDA {version}")
    return Seen(version != wanted, f"nvcc is of CUDA {version}, torch of CUDA {wanted}")


def _variable(place: Place, of: Mapping[str, str]) -> Seen:
    """A variable of the process that is set."""
    value = place.host.environ.get(of["name"], "")
    return Seen(bool(value), f"{of['name']} is {value or 'not set'}")


def _device(place: Place, of: Mapping[str, str]) -> Seen:
    """A device that this user may not use."""
    devices = place.host.glob(of["path"])
    if not devices:
        return Seen(None, f"{of['path']} is not there")
    closed = [path for path in devices if not os.access(place.host.at(path), os.R_OK | os.W_OK)]
    return Seen(bool(closed), f"this user may {'not ' if closed else ''}use {(closed or devices)[0]}")


PROBES: Mapping[str, Callable[[Place, Mapping[str, str]], Seen]] = {
    "device": _device,
    "disk": _disk,
    "distribution": _distribution,
    "driver": _driver,
    "driver_parts": _driver_parts,
    "file": _file,
    "gcc": _gcc,
    "glibc": _glibc,
    "library": _library,
    "memory": _memory,
    "processor": _processor,
    "program": _program,
    "symbol": _symbol,
    "toolkit": _toolkit,
    "variable": _variable,
}
"""By the name that an entry's ``probe`` has."""
