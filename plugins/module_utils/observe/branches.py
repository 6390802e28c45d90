"""NVIDIA's driver branches and flavours of kernel modules: which of them serve a GPU."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from . import tables
from .gpus import Accelerator
from .texts import natural


def branch_of(version: str) -> int:
    """Return 580 of ``580.95.05`` and of a package's ``1:580.95.05-0ubuntu1``; 0 where it says none."""
    return natural(re.split(r"[.\-+~]", version.rpartition(":")[2], maxsplit=1)[0]) or 0


def driver_for(gpus: Sequence[Accelerator]) -> str:
    """Name the driver that serves all of these GPUs; '' where none does."""
    rows = [tables.NVIDIA_DRIVERS[gpu.sm] for gpu in gpus if gpu.sm in tables.NVIDIA_DRIVERS]
    last = min((row for row in rows if row[2]), key=lambda row: row[2], default=None)
    oldest = max((row[1] for row in rows), default=0)
    flavours = {row[3] for row in rows}
    if last and (last[2] < oldest or tables.OPEN in flavours):
        return ""
    if last:
        package = f"nvidia-driver-{last[2]}"
        modules = f"with its proprietary kernel modules (Ubuntu: {package}, not {package}-open)"
        return f"NVIDIA's driver {last[2]}, the last branch that serves {last[0]}, {modules}"
    if tables.OPEN in flavours:
        return "NVIDIA's driver 580 or newer with its open kernel modules (Ubuntu: nvidia-driver-580-open)"
    return "NVIDIA's driver 580 or newer"


def unserved(gpu: Accelerator, branch: int, flavour: str) -> str:
    """Why a driver of this branch and flavour does not serve a GPU; '' where it does, or is not known."""
    if gpu.sm not in tables.NVIDIA_DRIVERS:
        return ""
    generation, oldest, last, modules = tables.NVIDIA_DRIVERS[gpu.sm]
    shown = f"{gpu.name} ({generation}, SM {gpu.sm})"
    if branch and last and branch > last:
        return f"driver {branch} does not serve {shown}: {last} is the last branch for it"
    if branch and branch < oldest:
        return f"driver {branch} does not serve {shown}: {oldest} is the first branch for it"
    if flavour == tables.OPEN and modules == tables.PROPRIETARY:
        return f"the open kernel modules do not serve {shown}: they need a GSP, which Turing and newer have"
    if flavour == tables.PROPRIETARY and modules == tables.OPEN:
        return f"the proprietary kernel modules do not serve {shown}: it needs the open ones"
    return ""


# Packages of the driver itself, of Ubuntu, Debian and NVIDIA's own repository; not those of containers, toolkits and L4T.
_DRIVER_PACKAGE = re.compile(
    r"(?:lib)?nvidia-(?:driver|dkms|headless|utils|compute|compute-utils|kernel|firmware|gl|decode|encode|fbc1|cfg1|extra|open|smi|ml1"
    r"|tesla|legacy|alternative|ptxjitcompiler1|nvvm4)(?:-[a-z0-9.]+)*"
    r"|cuda-drivers(?:-\d+)?|libcuda1|linux-(?:modules|objects|signatures)-nvidia-[a-z0-9.+-]+|xserver-xorg-video-nvidia(?:-[a-z0-9]+)*"
)


def driver_packages(names: Iterable[str]) -> list[str]:
    """Return those of some packages that are of NVIDIA's driver."""
    return [name for name in names if _DRIVER_PACKAGE.fullmatch(name)]
