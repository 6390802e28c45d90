"""What Wavesmith keeps on a host, and how it works there: store, jobs that outlive the connection, the toolbox.

In: a root folder. Out: generations, wheels, verdicts, progress. Asked by every module that changes something.
"""

from __future__ import annotations

TOUCHES_THE_WORLD: tuple[str, ...] = (
    "job",
    "module",
    "owner",
    "removal",
    "rooms",
    "services",
    "status",
    "store",
    "tools",
    "wheels",
)
"""The files here that do I/O; the others are pure."""
