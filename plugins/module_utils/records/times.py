"""How long the phases of a host took: what the board's estimates are made from."""

from __future__ import annotations

from typing import Literal, TypedDict


class Times(TypedDict):
    """``artifacts/<host>/times.json``.

    Attributes:
        schema: Version of this record.
        phases: Seconds of the last runs, oldest first, by phase and by what the phase worked on: locks, or wheels that were built.
    """

    schema: Literal[1]
    phases: dict[str, dict[str, list[float]]]
