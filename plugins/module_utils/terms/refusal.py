"""How something is refused: the item, what is wrong with it, and the remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Refusal:
    """Why nothing will be done.

    Attributes:
        item: What is wrong.
        problem: What is wrong with it.
        remedy: What to do.
    """

    item: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.item}: {self.problem}. Remedy: {self.remedy}"


def joined(refusals: Iterable[Refusal]) -> list[Refusal]:
    """The refusals with those of one problem and remedy as one that names all items."""
    items: dict[tuple[str, str], list[str]] = {}
    for one in refusals:
        items.setdefault((one.problem, one.remedy), []).append(one.item)
    return [Refusal(", ".join(dict.fromkeys(names)), *why) for why, names in items.items()]


def suggest(name: str, known: Iterable[str]) -> str:
    """The remedy for an unknown name: the nearest known ones, else all of them."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    if near:
        return "did you mean " + " or ".join(near) + "?"
    return "use one of: " + ", ".join(names) if names else "remove it: the catalog has none yet"
