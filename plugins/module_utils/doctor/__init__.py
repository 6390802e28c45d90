"""The doctor: checks an environment from inside and states a verdict.

In: a spec of the generation. Out: a `Verdict` and an exit status: 0 healthy, 1 failed, 2 could not judge.
It runs under the interpreter of the generation that it judges and uses the standard library alone until a check asks for more; a copy of
this room, `audit`, `failures`, `models`, `observe`, `records`, `structures` and `terms` is all that a host needs. Asked by `verify`.
"""

from __future__ import annotations

from collections.abc import Sequence

TOUCHES_THE_WORLD: tuple[str, ...] = (
    "arithmetic",
    "around",
    "attacks",
    "audio",
    "base",
    "carry",
    "compute",
    "evidence",
    "gpu",
    "guard",
    "installed",
    "isolation",
    "jit",
    "models",
    "native",
    "performance",
    "pip",
    "prefixes",
    "registry",
    "run",
    "schedule",
    "stack",
    "structure",
    "touched",
    "training",
    "voice",
    "worker",
)
"""The files here that do I/O; the others are pure."""


def main(argv: Sequence[str] | None = None) -> int:
    """Judge an environment; see `run.main`. Its checks are loaded only now: others want a part of it alone."""
    from .run import main as run

    return run(argv)
