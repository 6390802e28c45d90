"""Decide: from what is wanted, observed and in the catalog to what will be done on a host, and why.

In: `Wanted`, the observed host, `Catalog`, the locks at hand. Out: `Plan`, or refusals with their remedies. Asked by the action plugin
`plan`, `elect` and the command `wavesmith`. Nothing here reads a file, a clock or the network.
"""

from __future__ import annotations

TOUCHES_THE_WORLD: tuple[str, ...] = ()
"""The files here that do I/O; the others are pure."""
