"""Versions as numbers, and ranges of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Range:
    """Versions from `minimum` to `maximum`, both counted in; an empty `maximum` is open.

    A bound counts as far as it is written: a `maximum` of ``14`` holds 14.2.
    """

    minimum: str
    maximum: str = ""

    def __contains__(self, version: str) -> bool:
        return not less(version, self.minimum) and not (self.maximum and _above(version, self.maximum))

    def __str__(self) -> str:
        return f"{self.minimum} to {self.maximum}" if self.maximum else f"{self.minimum} or newer"

    @property
    def is_empty(self) -> bool:
        """Whether no version is in it."""
        return bool(self.maximum) and _above(self.minimum, self.maximum)


def numbers(version: str) -> tuple[int, ...]:
    """``(3, 12)`` of ``3.12``; raises ValueError for what is not numbers with dots."""
    return tuple(int(part) for part in version.split("."))


def less(version: str, bound: str) -> bool:
    """Whether a version comes before another."""
    return numbers(version) < numbers(bound)


def _above(version: str, bound: str) -> bool:
    """Whether a version is above a bound, as far as the bound is written: 14.2 is not above 14."""
    limit = numbers(bound)
    return numbers(version)[: len(limit)] > limit
