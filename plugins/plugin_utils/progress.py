"""The way from the workers that act on hosts to the board, which the one process that forks them draws."""

from __future__ import annotations

import json
import os
from typing import TypedDict, cast

from ansible.utils.display import Display

WORDS = 200
"""Characters of a detail: a write to a pipe is whole up to 4096 bytes (POSIX, PIPE_BUF is 512 at least, 4096 on Linux)."""


class Update(TypedDict):
    """How far a host is.

    Attributes:
        host: Its name.
        phase: What the plan calls it, such as ``install``.
        doing: What is being done, in a few words.
        n: Which step of `m`.
        m: How many steps there are; 0 where that is not known.
        detail: A few words more.
        elapsed: Seconds since the work was started from here.
        estimate: Seconds the plan expects of the phase; 0 where there is no plan.
    """

    host: str
    phase: str
    doing: str
    n: int
    m: int
    detail: str
    elapsed: float
    estimate: float


class _Door:
    """The pipe; a worker inherits it, because Ansible forks its workers."""

    reading = writing = -1
    speaks = False


def listen(speaks: bool) -> int:
    """Open the pipe before any worker is forked, and return its end for reading.

    Args:
        speaks: Whether the board shows plans, reports and the doctor's findings, so that plugins do not.
    """
    if _Door.reading < 0:
        _Door.reading, _Door.writing = os.pipe()
        os.set_blocking(_Door.writing, False)
    _Door.speaks = speaks
    return _Door.reading


def tell(update: Update) -> None:
    """Say how far a host is: to the board, else as a line."""
    if _Door.writing < 0:
        Display().display(line(update, update["estimate"], ""))
        return
    short = {**update, "doing": update["doing"][:WORDS], "detail": update["detail"][:WORDS]}
    try:
        os.write(_Door.writing, (json.dumps(short) + "\n").encode())
    except OSError:
        pass  # no reader, or the pipe is full: the next update has it all


def detail(text: str) -> None:
    """Show what the board says in a line of its own, where there is no board."""
    if not _Door.speaks:
        Display().display(text)


def speaks() -> bool:
    """Whether a board shows plans, verdicts and reports."""
    return _Door.speaks


def read(line: bytes) -> Update | None:
    """An update as it came through the pipe; `None` for anything else."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    right = isinstance(found, dict) and set(found) == set(Update.__annotations__)
    return cast(Update, found) if right else None


def line(update: Update, estimate: float, basis: str) -> str:
    """An update for people, such as ``  [thor01] installing 3/96 (torch): 12 s, about 80 s left (recorded)``."""
    count = f" {update['n']}/{update['m']}" if update["m"] else ""
    more = f" ({update['detail']})" if update["detail"] else ""
    left = ""
    if estimate > update["elapsed"]:
        left = f", about {duration(estimate - update['elapsed'])} left" + (f" ({basis})" if basis else "")
    return f"  [{update['host']}] {update['doing']}{count}{more}: {duration(update['elapsed'])}{left}"


def duration(seconds: float) -> str:
    """Seconds for people."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{round(seconds / 60)} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
