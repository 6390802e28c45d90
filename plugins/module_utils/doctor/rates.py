"""Measured rates against those of before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

BELOW = 0.75
"""The share of the median from which on a number is too low."""
LEAST = 2
"""Earlier measurements that are needed for a comparison."""


def compared(measured: Mapping[str, float], past: Mapping[str, Sequence[float]]) -> list[str]:
    """What is far below the median of before, each with both numbers."""
    found = []
    for what, value in measured.items():
        before = past.get(what, ())
        usual = median(before) if len(before) >= LEAST else 0.0
        if value < BELOW * usual:
            found.append(f"{what} {value:.3g}, usually {usual:.3g}")
    return found
