"""Run the doctor inside a generation, and keep its verdict there.

In: a sealed generation. Out: `verdict.json` and its evidence. Asked by the module `verify`.
"""

from __future__ import annotations

TOUCHES_THE_WORLD: tuple[str, ...] = ("doctor",)
"""The files here that do I/O; the others are pure."""
