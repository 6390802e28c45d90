"""Wheels that travel: signed, proven and indexed, between builders, hosts, wheelhouses and the controller.

In: wheels by key. Out: manifests with signatures, the pages of an index. Asked by the module and the action plugin `wheelhouse`.
"""

from __future__ import annotations

TOUCHES_THE_WORLD: tuple[str, ...] = ("wheelhouse",)
"""The files here that do I/O; the others are pure."""
