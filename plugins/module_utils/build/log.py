"""What the output of a build says: how far it is, and why it failed. Pure: text in, words for people out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..failures.base import Base
from ..failures.match import recognise
from ..failures.say import lead, problem, remedy
from ..failures.text import comparable, plain

SHOWN = 12
"""Lines around the first error that a person gets to see; the rest is in the log."""
LONGEST = 2**22
"""Characters at the end of an output that are searched: what fails ends a build."""
MEMORY, OTHER = "memory_exhausted", "error"
"""Kinds that are no matter of the base alone: a build is tried again for want of memory, and an unknown failure is shown as it is."""

_NINJA = re.compile(r"^\[(\d+)/(\d+)\] ", re.MULTILINE)
_MAKE = re.compile(r"^\[ *(\d+)%\] ", re.MULTILINE)
_COMPILE = re.compile(
    r"^\s*(?:\S*ccache )?(?:\S*/)?(?:[\w.]+-)*(?:gcc|g\+\+|clang|clang\+\+|cc|c\+\+|nvcc|hipcc)(?:-[\d.]+)?(?=\s).*\s-c\s",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Diagnosis:
    """Why a build failed.

    Attributes:
        kind: The known failure, else `OTHER`.
        problem: What is wrong, in one sentence.
        remedy: What to do.
        lines: The lines that matter, the first error first.
    """

    kind: str
    problem: str
    remedy: str
    lines: tuple[str, ...]


_ERROR = re.compile(
    r"(?:^|\s|:)(?:fatal )?error(?: C?\d+)?: |^\S+\(\d+\): error|undefined reference to|^nvcc fatal|^ptxas (?:fatal|error)|^CMake Error"
    r"|^[\w.]*(?:Error|Exception)(?:\b.*: |:?$)|cannot find -l|^collect2: |^(?:\S*/)?ld(?:\.\w+)?: (?!warning)(?!\S+: warning)(?!.*: in function)"
)
# What begins on the next line: an exception without words, and all that CMake says.
_BARE = re.compile(r"[\w.]*(?:Error|Exception):?|CMake Error(?: at .*| in .*)?:")
# What says only that something else failed before.
_ECHO = re.compile(
    r"^(?:error|ERROR): (?:subprocess-exited-with-error|command .* failed|Failed building wheel|Failed to build)|^make(?:\[\d+\])?: \*\*\*"
    r"|^subprocess\.CalledProcessError|ninja: build stopped|^RuntimeError: Error compiling objects|^error: metadata-generation-failed"
    r"|[Bb]ackend subprocess exited|^collect2: "
)


def progress(text: str) -> tuple[int, int, int]:
    """How far a build is: step n of m as ninja or make says it (0, 0 where they do not), and how many files were compiled."""
    ninja = _NINJA.findall(text)
    if ninja:
        return int(ninja[-1][0]), int(ninja[-1][1]), 0
    make = _MAKE.findall(text)
    if make:
        return int(make[-1]), 100, 0
    return 0, 0, len(_COMPILE.findall(text))


def diagnose(text: str, known: Base, facts: Mapping[str, str] | None = None) -> Diagnosis:
    """Why a build failed, from its output: a known failure, else the first error in the tools' own words.

    Args:
        text: All that the build printed.
        known: The failures that are known.
        facts: What is known of the build and its host, as ``cuda``, ``python`` or ``machine``.
    """
    shown = plain(text[-LONGEST:])
    lines = [line.rstrip() for line in shown.split("\n")]
    cause = lead(recognise(text, known, facts))
    if cause is not None:
        return Diagnosis(cause.id, problem(cause), remedy(cause.answer), _around(lines, cause.line))
    compared = comparable(shown).rstrip("\n").split("\n")
    number = _first_error(compared)
    return Diagnosis(OTHER, _said(compared, number), "see the compiler's own output below", _around(lines, number))


def _said(lines: Sequence[str], number: int) -> str:
    """An error in its own words; with those of the next lines where it begins there."""
    said = lines[number] if lines else ""
    if _BARE.fullmatch(said):
        following = [line.strip() for line in lines[number + 1 : number + 4] if line.strip()]
        said = " ".join([said, *following[:2]])
    return said or "it said nothing"


def _first_error(lines: Sequence[str]) -> int:
    errors = [number for number, line in enumerate(lines) if _ERROR.search(line)]
    real = [number for number in errors if not _ECHO.search(lines[number])]
    # A Python exception comes last, after the lines that lead to it; a compiler's first error is the one that counts.
    return next(iter(real or errors), len(lines) - 1)


def _around(lines: Sequence[str], number: int) -> tuple[str, ...]:
    start = max(0, number - 2)
    return tuple(line[:400] for line in lines[start : start + SHOWN] if line.strip())
