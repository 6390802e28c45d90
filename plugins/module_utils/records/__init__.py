"""What passes a door: the shape of everything that one room hands to another, or that is kept in a file.

In: nothing. Out: typed records (`TypedDict`), and `shape`, which checks a value against one and writes its JSON schema. Asked by every
room above, and by the tests, which hold `schemas/`, the modules' documentation and real files to them.
"""

from __future__ import annotations

TOUCHES_THE_WORLD: tuple[str, ...] = ()
"""The files here that do I/O; the others are pure."""
