"""The host around an environment: disk, memory, clock, the rights to its GPUs, and how its processor is allowed to run."""

from __future__ import annotations

import glob
import grp
import os
import shutil
import time

from .base import Check, Context, Failed, Finding, Skipped
from .gpu import on_gpu
from .host_files import meminfo, owners

LEAST_DISK, LEAST_MEMORY = 2**30, 2**28
"""Bytes below which nothing sensible can be done any more."""
_MEMINFO, _GOVERNORS = "/proc/meminfo", "/sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
_DEVICES = ("/dev/nvidia[0-9]*", "/dev/nvidiactl", "/dev/dri/render*", "/dev/kfd", "/dev/nvhost-*gpu", "/dev/nvmap")


def disk(context: Context) -> Finding:
    """There is room beside the environment, and for temporary files."""
    found = {str(place): shutil.disk_usage(place) for place in (context.spec.prefix, context.scratch)}
    evidence = {place: {"free": usage.free, "total": usage.total} for place, usage in found.items()}
    for place, usage in found.items():
        if usage.free < LEAST_DISK:
            raise Failed(
                f"{usage.free / 2**20:.0f} MiB are free at {place}",
                "",
                evidence,
                "disk_full",
            )
    free = found[str(context.spec.prefix)].free
    return Finding(f"{free / 2**30:.0f} GiB are free", evidence)


def memory(context: Context) -> Finding:
    """There is memory to work with; swap is reported."""
    del context
    with open(_MEMINFO, encoding="ascii") as file:
        found = meminfo(file.read())
    free, total, swap = (found.get(name, 0) for name in ("MemAvailable", "MemTotal", "SwapTotal"))
    if free < LEAST_MEMORY:
        raise Failed(
            f"{free / 2**20:.0f} MiB of memory are left of {total / 2**30:.1f} GiB", "", {**found}, "memory_exhausted"
        )
    note = f"{swap / 2**30:.1f} GiB of swap" if swap else "no swap"
    return Finding(f"{free / 2**30:.1f} of {total / 2**30:.1f} GiB of memory are free, {note}", {**found})


def clock(context: Context) -> Finding:
    """The clock is not behind what was made on this host: certificates and downloads would fail."""
    made = (context.spec.prefix / "wavesmith/manifest.json").stat().st_mtime
    behind = made - time.time()
    if behind > 60:
        raise Failed(
            f"the clock is {behind / 3600:.1f} h behind the making of this generation",
            "set it: timedatectl set-ntp true",
            {"behind": behind},
        )
    return Finding(time.strftime("it is %Y-%m-%d %H:%M:%S %Z", time.localtime()), {"behind": behind})


def devices(context: Context) -> Finding:
    """The user may open the GPU's device files, where there are any."""
    del context
    paths = sorted({path for pattern in _DEVICES for path in glob.glob(pattern)})
    if not paths:
        raise Skipped("there are no device files of a GPU")
    closed = [path for path in paths if not os.access(path, os.R_OK | os.W_OK)]
    if closed:
        names = owners([_group(path) for path in closed])
        raise Failed(
            f"user {os.getuid()} may not open {', '.join(closed)}",
            f"add the user to the group {names}, and log in again: sudo usermod -aG {names} USER",
            {"closed": closed},
        )
    return Finding(f"{len(paths)} device files of the GPU can be opened", {"devices": paths})


def _group(path: str) -> str:
    number = os.stat(path).st_gid
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def power(context: Context) -> Finding:
    """How the processor's clock is governed."""
    del context
    found: dict[str, int] = {}
    for path in glob.glob(_GOVERNORS):
        with open(path, encoding="ascii") as file:
            name = file.read().strip()
        found[name] = found.get(name, 0) + 1
    if not found:
        raise Skipped("this kernel does not report the processor's frequency governor")
    note = (
        "; measurements will be slow: sudo cpupower frequency-set -g performance" if set(found) == {"powersave"} else ""
    )
    return Finding(
        ", ".join(f"{name} on {count} cores" for name, count in sorted(found.items())) + note, {"governors": found}
    )


CHECKS = (
    Check("host.disk", "there is room", disk, cost=0.1),
    Check("host.memory", "there is memory", memory, cost=0.1),
    Check("host.clock", "the clock is right", clock, cost=0.1),
    Check("host.devices", "the GPU may be opened", devices, cost=0.1, applies=on_gpu),
    Check("host.power", "the processor's clock", power, cost=0.1),
)
