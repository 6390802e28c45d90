"""Report on a fleet: the same rows as text, JUnit XML, a Prometheus textfile, and the data of a page.

In: what is kept of each host below the artifacts. Out: `Fleet`, and texts made of it. Asked by the command `wavesmith report` and the
playbook `report`.
"""

from __future__ import annotations

TOUCHES_THE_WORLD: tuple[str, ...] = ()
"""The files here that do I/O; the others are pure."""
