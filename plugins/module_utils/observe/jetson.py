"""Jetson boards: chip, module, L4T and JetPack."""

from __future__ import annotations

import re
from dataclasses import dataclass

from . import tables
from .texts import dotted


def tegra_chip(text: str) -> str | None:
    """Return the Jetson chip (``tegra264``) that ``/proc/device-tree/compatible`` names."""
    return next((chip for chip in tables.TEGRA if re.search(rf"nvidia,{chip}\b", text)), None)


def tegra_sm(name: str) -> str | None:
    """Return the compute capability of a Jetson whose model or GPU has this name."""
    words = re.findall(r"[a-z]+", name.lower())
    return next((sm for word, sm in tables.TEGRA_NAMES.items() if word in words), None)


def jetson_module(compatible: str) -> str | None:
    """Return the name of the Jetson module in ``/proc/device-tree/compatible``."""
    return next((name for code, name in tables.JETSON_MODULES.items() if code in compatible), None)


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
    asked = dotted(l4t)
    known = sorted(((dotted(release), facts) for release, facts in tables.JETPACKS.items()), reverse=True)
    release, (version, cuda) = next((entry for entry in known if entry[0] <= asked), known[-1])
    return JetPack(version, cuda, exact=release == asked)


def parse_l4t(text: str) -> str | None:
    """Return the L4T release (``38.2.0``) from ``/etc/nv_tegra_release``."""
    match = re.search(r"^# R(\d{1,4}) \(release\), REVISION: (\d{1,4}(?:\.\d{1,4})*)", text, re.ASCII | re.MULTILINE)
    return f"{match.group(1)}.{match.group(2)}" if match else None
