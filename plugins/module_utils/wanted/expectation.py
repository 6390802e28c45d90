"""What a group says its hosts are (``wavesmith_expect``): a host that is something else is refused, never served silently."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ..terms.kinds import kind_of
from ..terms.refusal import Refusal, suggest

ITEM = "variable wavesmith_expect"
VENDORS = ("nvidia", "amd", "intel", "directx")
MACHINES = (
    "jetson",
    "dgx_spark",
    "grace",
    "wsl2",
    "wsl1",
    "container",
    "board",
    "server",
    "workstation",
    "unknown",
)


@dataclass(frozen=True)
class Expectation:
    """What a host should be, as its group sets it; each a list of allowed values, empty for any.

    Attributes:
        accelerator: Vendors of its GPU.
        machine: Kinds of machine.
        sm: Compute capabilities of an NVIDIA GPU.
        gfx: Targets of an AMD GPU.
    """

    accelerator: tuple[str, ...] = ()
    machine: tuple[str, ...] = ()
    sm: tuple[str, ...] = ()
    gfx: tuple[str, ...] = ()


KEYS = tuple(field.name for field in fields(Expectation))


def read_expectation(given: Mapping[Any, Any]) -> tuple[Expectation, list[Refusal]]:
    """Read the variable; what is unusable in it is left out, with a refusal."""
    found: dict[str, tuple[str, ...]] = {}
    refusals: list[Refusal] = []
    for key, value in given.items():
        if key not in KEYS:
            refusals.append(Refusal(ITEM, f"it has no key {key!r}", suggest(str(key), KEYS)))
            continue
        words = tuple(_text(entry) for entry in (value if isinstance(value, list) else [value]))
        wrong = next((entry for entry in words if not _fits(key, entry)), None)
        if not words or wrong is not None:
            shown = f"{wrong!r}" if wrong else kind_of(value)
            refusals.append(Refusal(ITEM, f"{key} is {shown}, but must be {_MUST[key]}", _REMEDIES[key]))
        else:
            found[key] = words
    vendors = found.get("accelerator", ())
    for key, vendor in (("sm", "nvidia"), ("gfx", "amd")):
        if key in found and vendors and vendor not in vendors:
            problem = f"{key} is about a GPU of {vendor}, and accelerator is {' or '.join(vendors)}"
            refusals.append(Refusal(ITEM, problem, f"leave {key} out, or say accelerator: {vendor}"))
            del found[key]
    return Expectation(**found), refusals


def _text(entry: Any) -> str:
    if isinstance(entry, float) and not isinstance(entry, bool):
        return f"{entry:.1f}"  # 11.0 without quotes
    return entry if isinstance(entry, str) else ""


def _fits(key: str, word: str) -> bool:
    if key in ("accelerator", "machine"):
        return word in (VENDORS if key == "accelerator" else MACHINES)
    return re.fullmatch(r"\d{1,2}\.\d" if key == "sm" else r"gfx[0-9a-f]{3,4}", word, re.ASCII) is not None


_MUST = {
    "accelerator": "a kind of GPU, or a list of them",
    "machine": "a kind of machine, or a list of them",
    "sm": "a compute capability, or a list of them",
    "gfx": "a target of AMD, or a list of them",
}
_REMEDIES = {
    "accelerator": f"name one or more of {', '.join(VENDORS)}",
    "machine": f"name one or more of {', '.join(MACHINES)}",
    "sm": 'write it as text: "11.0"',
    "gfx": "write it as rocminfo does: gfx1100",
}
