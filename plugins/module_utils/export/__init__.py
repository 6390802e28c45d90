"""What leaves a host as a whole: a Docker build context, an offline bundle.

In: a generation, or locks and sources. Out: a folder that needs no network. Asked by the modules `export` and `bundle`.
"""

from __future__ import annotations

TOUCHES_THE_WORLD: tuple[str, ...] = ("bundle",)
"""The files here that do I/O; the others are pure."""
