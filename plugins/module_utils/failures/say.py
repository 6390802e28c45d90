"""What was recognised, in words for people and as data. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ..records.failure import Recognised
from .base import DEADLY, HARMLESS, Answer
from .match import Found

_NAMES = frozenset({"Python", "Debian", "Cython", "Windows", "Docker", "Rust", "Ubuntu", "Jetson"})
"""First words that stay as they are in the middle of a sentence."""
_VERDICTS = {True: "confirmed on this host", False: "not so on this host"}


def lead(found: Iterable[Found]) -> Found | None:
    """The failure to tell first: a deadly one that is a cause, and says more than that something failed."""
    deadly = (item for item in found if item.severity == DEADLY and not item.because_of)
    return next((item for item in deadly if not item.failure.data.get("echo", False)), None)


def inline(text: str) -> str:
    """A sentence as part of another one."""
    first = text.split(" ", 1)[0]
    lowered = text[:1].lower() + text[1:] if re.fullmatch(r"[A-Z][a-z]*", first) and first not in _NAMES else text
    return lowered.rstrip(".")


def problem(found: Found) -> str:
    """What is wrong, and why, in one sentence."""
    return f"{inline(found.failure.data['title'])}: {inline(found.answer.cause)}"


def remedy(answer: Answer) -> str:
    """What to do, with the command that does it."""
    said = inline(answer.remedy)
    return f"{said} (run: {answer.command})" if answer.command else said


def data(found: Found, here: bool | None = None, seen: str = "") -> Recognised:
    """A recognised failure as a record."""
    known = found.failure.data
    return {
        "id": found.id,
        "title": known["title"],
        "severity": found.severity,
        "cause": found.answer.cause,
        "remedy": found.answer.remedy,
        "command": found.answer.command,
        "because_of": found.because_of,
        "line": found.line + 1,
        "said": list(found.said),
        "captures": dict(found.captures),
        "here": here,
        "seen": seen,
        "source": list(known["source"]),
    }


def lines(recognised: Sequence[Recognised]) -> list[str]:
    """All of it for a terminal: each root cause with its remedy, behind it what only follows from it."""
    shown: list[str] = []
    for item in recognised:
        if item["because_of"]:
            shown.append(f"  line {item['line']}: {inline(item['title'])} ({item['id']}) follows from it")
            continue
        shown += [""] if shown else []
        shown.append(f"{item['severity']}: {item['title']} ({item['id']}, line {item['line']})")
        shown += [f"  | {line}" for line in item["said"]]
        shown.append(f"  cause    {item['cause']}")
        if item["here"] is not None:
            shown.append(f"  here     {_VERDICTS[item['here']]}: {item['seen']}")
        elif item["seen"]:
            shown.append(f"  here     cannot be told: {item['seen']}")
        shown.append(f"  remedy   {item['remedy']}")
        if item["command"]:
            shown.append(f"  command  {item['command']}")
        shown.append(f"  source   {item['source'][0]}")
    return shown


def needs_mending(recognised: Iterable[Recognised]) -> bool:
    """Whether something is not harmless."""
    return any(item["severity"] != HARMLESS for item in recognised)
