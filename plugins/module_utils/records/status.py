"""What is on a host, for people who ask: environments with their generations, and the last work."""

from __future__ import annotations

from typing import Optional, TypedDict

from .host import KeptGeneration


class EnvironmentStatus(TypedDict):
    """One environment of a host.

    Attributes:
        environment: Its name.
        wanted: Whether it is in the host's wanted state.
        generation: The current one; `None` where none is.
        since: When it became current, in seconds since 1970; where that is not known, when it was made.
        verdict: ``healthy``, ``failed`` or ``unjudged``; `None` where the doctor has not judged it.
        judged: When, in UTC.
        checks: How many of the doctor's checks had which verdict.
        stack: Name of the stack.
        damage: What differs from how it was made, the first few.
        damaged: How many differ.
        generations: All there are, oldest first.
    """

    environment: str
    wanted: bool
    generation: Optional[str]
    since: Optional[float]
    verdict: Optional[str]
    judged: Optional[str]
    checks: dict[str, int]
    stack: Optional[str]
    damage: list[str]
    damaged: int
    generations: list[KeptGeneration]


class LastJob(TypedDict):
    """Long work that was done on a host.

    Attributes:
        name: What it was; empty where there was none.
        at: When it was last heard of, in seconds since 1970.
        state: How it ended, or how far it is.
        failure: Why it failed, with the remedy; empty where it did not.
        lines: The lines of its log that matter.
        path: The log.
        others: Other jobs whose logs are kept, newest first.
    """

    name: str
    at: float
    state: str
    failure: str
    lines: list[str]
    path: str
    others: list[str]
