"""What nvidia-smi and nvpmodel print, as values."""

from __future__ import annotations

import re
from dataclasses import dataclass

FIELDS = (
    "name",
    "driver_version",
    "memory.used",
    "memory.total",
    "ecc.errors.uncorrected.volatile.total",
    "clocks.sm",
    "clocks.max.sm",
    "temperature.gpu",
    "clocks_throttle_reasons.active",
)
# nvml.h, nvmlClocksEventReasons: what holds a GPU back although it has work. Idle, and clocks that were set on purpose, do not count.
_SLOWED = {
    0x04: "its power limit",
    0x08: "a hardware slowdown (power or heat)",
    0x20: "its temperature (software)",
    0x40: "its temperature (hardware)",
    0x80: "the power supply (power brake)",
}


@dataclass(frozen=True)
class Gpu:
    """What nvidia-smi says of one GPU; a number is `None` where it does not know.

    Attributes:
        used: MiB in use.
        total: MiB.
        errors: Errors of its memory that ECC could not correct, since the driver was loaded.
        clock: MHz.
        fastest: The highest clock, MHz.
        degrees: Celsius.
        slowed: What holds it back.
    """

    name: str
    driver: str
    used: int | None
    total: int | None
    errors: int | None
    clock: int | None
    fastest: int | None
    degrees: int | None
    slowed: tuple[str, ...]


def gpus(text: str) -> list[Gpu]:
    """The GPUs in what ``nvidia-smi --query-gpu=FIELDS --format=csv,noheader,nounits`` printed; lines that are none are passed over."""
    found = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) != len(FIELDS):
            continue
        used, total, errors, clock, fastest, degrees = (_number(cell) for cell in cells[2:8])
        reasons = _number(cells[8]) or 0
        slowed = tuple(why for bit, why in _SLOWED.items() if reasons & bit)
        found.append(Gpu(cells[0], cells[1], used, total, errors, clock, fastest, degrees, slowed))
    return found


def power_mode(text: str) -> str:
    """The mode that ``nvpmodel -q`` names, such as ``MAXN`` or ``15W``; empty where it names none."""
    found = re.search(r"^NV Power Mode\s*:\s*(\S+)", text, re.MULTILINE)
    return found[1] if found else ""


def _number(cell: str) -> int | None:
    try:
        return int(cell, 16) if cell.startswith("0x") else int(float(cell))
    except ValueError:
        return None
