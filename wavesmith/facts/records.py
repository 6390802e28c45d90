"""What is known of one pinned fact."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

RIGHT, NEW, UNASKED, WRONG = "right", "new", "unasked", "wrong"
"""Verdicts, the worst last: as the catalog says; something newer is there; the source could not be asked; the catalog is wrong."""


@dataclass(frozen=True)
class Change:
    """A piece of text of a catalog file, and what it should be.

    Attributes:
        path: The file.
        old: What is there, once.
        new: What should be.
        source: Where that is from.
    """

    path: Path
    old: str
    new: str
    source: str


@dataclass(frozen=True)
class Fact:
    """One fact, compared.

    Attributes:
        place: The catalog's file, as ``stacks/cuda13_0.yml``.
        item: What it is about, as ``torch 2.14.1``.
        verdict: `RIGHT`, `NEW`, `UNASKED` or `WRONG`.
        detail: What was compared, or why it was not.
        source: Who was asked.
        change: What would fix it, where that is known.
    """

    place: str
    item: str
    verdict: str
    detail: str
    source: str
    change: Change | None = None
