"""Read what binaries hold: which GPUs they have code for, which libraries they need, whether that fits a host.

In: a wheel, a prefix or a library, and the SMs in question. Out: a verdict with its findings. Asked by `build`, `prefix`, `verify`,
the module `audit` and the doctor.
"""

from __future__ import annotations

TOUCHES_THE_WORLD: tuple[str, ...] = ("binaries", "elf", "linkage")
"""The files here that do I/O; the others are pure."""
