"""Find known failures in a text, the root cause first. Pure: text in, values out."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from .base import DEADLY, RANKS, Answer, Base, Failure
from .inventory import PLACE
from .text import comparable, plain

SHOWN = 6
"""Lines of a text that a person gets to see around a failure."""
WIDEST = 400

# Words around a message with which a person reports it; a tool prints it without them.
_TOLD_BEFORE = re.compile(
    r"(?i)(?:^|[\s(\"'*_])(?:i|you|we|they|he|she|it's|my|your|our|if|when|whenever|since|why|how|what|means?|meaning|says?|saying|said|gets?"
    r"|getting|got|gives?|gave|sees?|saw|seeing|seen|shows?|threw|throws|complains?|about|called|messages?|words|errors? like|errors? such|fix(?:e[sd])?|fixing"
    r"|solves?|solved|avoids?|avoided|catch(?:es)?|causes|e\.g\.|i\.e\.|such as|for example|known as|reads?|text|string|phrase|look for|search for|grep"
    r"|handles?|test_\w+|raises?|expects?|assert|case)(?=[\s,:\"'*_])"
)
_TOLD_BEHIND = re.compile(
    r"(?i)['\"*_]*\s+(?:errors?(?! (?:type|code)|:)|messages?|warnings?|means|happens|occurs|usually|often|indicates|issues?|problems?|appears|comes from|is (?:a|the|what|raised"
    r"|caused|usually|often|printed|shown)|are (?:common|often|usually))\b"
)
# Behind these a message follows, whatever was said before it.
_PRINTED = re.compile(
    r"(?:\b\w*(?:Error|Exception|Warning)|\]|\b(?:ERROR|WARNING|FATAL)):\s*\(?['\"]?$"
    r"|(?:Error|Exception|\bERROR|\bWARN(?:ING)?|\b[Ff]ailed|\bFAIL|\bTraceback)\b.*:\s*$"
)
# A quotation, or a comment of source code.
_ASIDE = re.compile(r"[^:({\[=\s]\s*['\"]$|(?://|/\*|(?<!^)#)\s*$")
EXPRESSIONS = {
    "told_before": _TOLD_BEFORE,
    "told_behind": _TOLD_BEHIND,
    "printed": _PRINTED,
    "aside": _ASIDE,
    "ours": PLACE,
}
"""What tells a message that a person reports from one that a tool prints, for whoever does the same elsewhere."""


@dataclass(frozen=True)
class Found:
    """A failure that a text shows.

    Attributes:
        failure: The entry of the base.
        captures: What the text says of it.
        answer: What it means here.
        line: Number of its line, from 0.
        said: The lines that show it.
        because_of: The failure it follows from; empty for a root cause.
    """

    failure: Failure
    captures: Mapping[str, str]
    answer: Answer
    line: int
    said: tuple[str, ...]
    because_of: str = ""

    @property
    def id(self) -> str:
        """The entry's name."""
        return self.failure.id

    @property
    def severity(self) -> str:
        """How bad it is."""
        return self.failure.data["severity"]


def recognise(text: str, base: Base, facts: Mapping[str, str] | None = None) -> list[Found]:
    """The known failures that a text shows: each root cause, behind it what follows from it; the worst first.

    Args:
        text: Anything.
        base: What is known.
        facts: What is known of the machine, as ``machine`` or ``python``; what the text says counts more. Where it names a path in an
            environment of ours, that is the ``environment``.
    """
    shown = plain(text)
    compared = comparable(shown)
    place = PLACE.search(compared)
    known = {**(facts or {}), **(place.groupdict() if place else {})}
    lines = shown.split("\n")
    starts = [0] + [index + 1 for index, character in enumerate(compared) if character == "\n"]
    found = []
    for failure in base.failures:
        match = _first(failure, compared)
        if match is None or any(pattern.search(compared) for pattern in failure.unless):
            continue
        captures = {name: value for name, value in match.groupdict().items() if value}
        for pattern in failure.context:
            near = pattern.search(compared)
            if near:
                captures = {**{name: value for name, value in near.groupdict().items() if value}, **captures}
        line = bisect_right(starts, match.start()) - 1
        last = bisect_right(starts, max(match.start(), match.end() - 1)) - 1
        values = failure.values({**known, **captures})
        found.append(Found(failure, captures, failure.answer(values), line, _around(lines, line, last)))
    return _ordered(found, base)


def _first(failure: Failure, text: str) -> re.Match[str] | None:
    """The first place that shows a failure, by any of its patterns."""
    firsts = []
    for pattern in failure.patterns:
        for match in pattern.finditer(text):
            if not _told(text, match):
                firsts.append(match)
                break
    return min(firsts, key=lambda match: match.start(), default=None)


def _told(text: str, match: re.Match[str]) -> bool:
    """Whether a person reports a message, as opposed to a tool printing it."""
    end = text.find("\n", match.end())
    before = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
    if _TOLD_BEHIND.match(text, match.end(), len(text) if end < 0 else end):
        return True
    return not _PRINTED.search(before) and bool(_TOLD_BEFORE.search(before) or (before and _ASIDE.search(before)))


def _around(lines: Sequence[str], first: int, last: int) -> tuple[str, ...]:
    end = max(last + 1, min(first + SHOWN - 1, len(lines)))
    return tuple(line[:WIDEST].rstrip() for line in lines[max(0, first - 1) : end] if line.strip())


def _ordered(found: Sequence[Found], base: Base) -> list[Found]:
    """Root causes by how bad they are and where they stand, each before all that follows from it."""

    def place(item: Found) -> tuple[int, int]:
        return RANKS.index(item.severity), item.line

    def causes(item: Found) -> list[Found]:
        echo = item.failure.data.get("echo", False)
        return [
            one
            for one in found
            if (item.id in base.explains[one.id] and one.id not in base.explains[item.id])
            or (echo and one.severity == DEADLY and not one.failure.data.get("echo", False))
        ]

    roots = sorted((item for item in found if not causes(item)), key=place)
    first = {
        item.id: next((root.id for root in roots if root in causes(item)), "") for item in found if item not in roots
    }
    ordered = []
    for root in roots:
        following = [item for item in found if first.get(item.id) == root.id]
        ordered += [root, *(replace(item, because_of=root.id) for item in sorted(following, key=place))]
    return ordered
