"""Make a generation: an isolated prefix, the packages of a lock in it, the scripts that enter it.

In: a plan's environment with its lock and wheels. Out: a sealed generation. Asked by the modules `lock`, `python_env`, `packages`.
"""

from __future__ import annotations

TOUCHES_THE_WORLD: tuple[str, ...] = (
    "bytecode",
    "code",
    "conda",
    "conda_worker",
    "generation",
    "inspect",
    "links",
    "models",
    "proof",
    "repositories",
)
"""The files here that do I/O; the others are pure."""
