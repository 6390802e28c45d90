"""The weights of models on a host: one store of files named by their sha256, laid out again as a model hub's cache.

In: the weights that the plan names, each file pinned by size and sha256. Out: ``<root>/models``, read-only, which every environment
of the host reads. Asked by the module ``weights``, whose names and places are those of `wanted.weights`.
"""

from __future__ import annotations

TOUCHES_THE_WORLD: tuple[str, ...] = ("download", "fetch")
"""The files here that do I/O; the others are pure."""
