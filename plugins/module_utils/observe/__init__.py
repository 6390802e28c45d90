"""Look at a host once, and record what it is.

In: its files, commands and package sources (or a recording of them). Out: the observed host, one mapping of plain values. Asked by the
module `observe`. What is printed is parsed by pure functions (`nvidia`, `amd`, `jetson`, `cpu`,
`system`, `gpus`, `kernel_log`, `texts`); `troubles` and `branches` say why a GPU of NVIDIA does not answer.
"""

from __future__ import annotations

TOUCHES_THE_WORLD: tuple[str, ...] = ("drivers", "hardware", "host", "place", "probe", "sources")
"""The files here that do I/O; the others are pure."""
