"""The words that every room uses: versions, variants, names, addresses, digests, refusals.

In: text. Out: small values that compare, sort and print. Asked by every room; imports none.
"""

from __future__ import annotations

TOUCHES_THE_WORLD: tuple[str, ...] = ()
"""The files here that do I/O; the others are pure."""
