"""What is wanted: the inventory's variables and the catalog, as typed values.

In: a host's variables, and the catalog's files as plain data. Out: `Wanted`, `Catalog`, and refusals for what cannot be used.
Asked by the action plugin `plan` and by `plan`.
"""

from __future__ import annotations

TOUCHES_THE_WORLD: tuple[str, ...] = ()
"""The files here that do I/O; the others are pure."""
