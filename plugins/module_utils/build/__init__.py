"""Build a wheel from source, and publish it only when it is what its recipe promised.

In: a wheel's spec, as the plan has it. Out: a wheel under its wheel key, with provenance and SBOM; or a diagnosis. Asked by the
module `wheels`.
"""

from __future__ import annotations

TOUCHES_THE_WORLD: tuple[str, ...] = ("compile", "proof", "site", "source", "worker")
"""The files here that do I/O; the others are pure."""
