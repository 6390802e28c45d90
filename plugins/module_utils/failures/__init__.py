"""Recognise known failures in any text: a build's log, what an installer said, what a person pastes.

In: a text, the base of known failures (``catalog/failures`` as data), facts of the machine. Out: the failures that it shows, the root
cause first, each with cause, remedy, and whether the cause is really there. Asked by `build`, `prefix` and `doctor`, the command
``wavesmith doctor`` and ``wavesmith-doctor`` of an environment, which this room, `observe`, `records` and `terms` travel with.
"""

from __future__ import annotations

TOUCHES_THE_WORLD: tuple[str, ...] = ("command", "probes")
"""The files here that do I/O; the others are pure."""
