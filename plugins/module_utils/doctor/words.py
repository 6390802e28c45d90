"""What a process that died said: the lines that tell why, out of all that it printed."""

from __future__ import annotations

import re
import signal

MOST_LINES, LONGEST = 30, 400
_CAUSE = re.compile(
    r"""error|exception|fatal|abort|assert|cannot|can't|could\ not|failed|undefined\ symbol|not\ found|no\ such|denied
    |illegal|invalid|unsupported|mismatch|killed|overflow|corrupt|terminate\ called|what\(\):|segmentation|out\ of\ memory|traceback|timeout""",
    re.IGNORECASE | re.VERBOSE,
)
_RAISED = re.compile(r"^(?:[\w.]+\.)?\w*(?:Error|Exception|Exit|Interrupt|Failed|Warning)\b.*|^\w+(?:\.\w+)+: .+")
_NOISE = re.compile(r"^(?:\s*\^+[~^]*\s*|.*(?:Future|Deprecation|User|Runtime)Warning: .*|\s*warnings\.warn\(.*)$")
# One line that says it all, the most telling kind first.
_TELLING = (
    re.compile(
        r"undefined symbol|cannot open shared object|cannot enable executable stack|GLIBC(?:XX)?_[\d.]+.*not found"
    ),
    re.compile(r"what\(\):\s*\S"),
    re.compile(r"(?:CUDA|HIP|hip|cuda|NCCL|cuDNN|CUBLAS|rocBLAS)\w* ?(?:error|failure|_STATUS_)", re.IGNORECASE),
    re.compile(r"Assertion.*failed|assertion failed", re.IGNORECASE),
    re.compile(r"terminate called after"),
)
_FATAL = re.compile(r"^Fatal Python error: (.+)|^Timeout \(")
_FRAME = re.compile(r'^\s*File "([^"]+)", line (\d+) in (.+)$')


def lines(text: str) -> list[str]:
    """The lines that matter, in their order: what names a cause, the frames of a stack, and what came last."""
    said = [line.rstrip()[:LONGEST] for line in text.splitlines() if line.strip() and not _NOISE.match(line)]
    last = len(said) - 6
    kept = [
        line
        for number, line in enumerate(said)
        if number >= last or _CAUSE.search(line) or line.lstrip().startswith('File "')
    ]
    kept = list(dict.fromkeys(kept))
    if len(kept) <= MOST_LINES:
        return kept
    half = MOST_LINES // 2
    return [*kept[:half], f"({len(kept) - MOST_LINES} more lines)", *kept[-half:]]


def summary(text: str) -> str:
    """The one line that says most of why a process ended; empty where it said nothing."""
    said = [line.strip() for line in text.splitlines() if line.strip() and not _NOISE.match(line)]
    for telling in _TELLING:
        for line in said:
            if telling.search(line):
                return line[:LONGEST]
    for number, line in enumerate(said):
        if fatal := _FATAL.match(line):
            before = [told for told in said[:number] if _CAUSE.search(told) or _RAISED.match(told)]
            if fatal[1] == "Aborted" and before:  # what gave up has said why
                return before[-1][:LONGEST]
            place = next((frame for frame in map(_FRAME.match, said[number:]) if frame), None)
            where = f", in {place[3]} ({place[1].rpartition('/')[2]}:{place[2]})" if place else ""
            return f"{fatal[1] or 'it hung'}{where}"
    raised = [line for line in said if _RAISED.match(line)]
    causes = [line for line in said if _CAUSE.search(line) and not line.startswith("Traceback")]
    for found in (raised, causes, said):
        if found:
            return found[-1][:LONGEST]
    return ""


def ending(code: int) -> str:
    """How a process ended, from its exit code; a negative one is a signal."""
    if code >= 0:
        return f"the process ended with exit {code}"
    try:
        name = f" ({signal.Signals(-code).name})"
    except ValueError:
        name = ""
    return f"the process was ended by signal {-code}{name}"
