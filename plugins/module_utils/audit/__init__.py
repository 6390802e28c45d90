"""Read what binaries hold: which machines and GPUs they have code for, which libraries they want, whether that fits a host.

In: a wheel (also one that is still on its index), a prefix or a library, and the SMs in question. Out: a verdict with its findings.
Asked by `build`, `prefix`, `verify`, `plan` (for its rules), the module `audit` and the doctor.
"""

from __future__ import annotations

TOUCHES_THE_WORLD: tuple[str, ...] = ("binaries", "elf", "linkage", "ranges")
"""The files here that do I/O; the others are pure."""
