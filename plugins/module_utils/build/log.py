"""What the output of a build says: how far it is, and why it failed. Pure: text in, words for people out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

SHOWN = 12
"""Lines around the first error that a person gets to see; the rest is in the log."""
MEMORY, DISK, CRASH, HEADER, TOOL, ARCHITECTURE, MODULE, OTHER = (
    "memory", "disk", "compiler_crash", "missing_header", "missing_tool", "architecture", "missing_module", "error",
)  # fmt: skip

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
        kind: One of the names above.
        problem: What is wrong, in one sentence.
        remedy: What to do.
        lines: The lines that matter, the first error first.
    """

    kind: str
    problem: str
    remedy: str
    lines: tuple[str, ...]


# Most specific first. Each: kind, what its line looks like, what is wrong ({0} is the pattern's first group), what to do.
_CAUSES: Sequence[tuple[str, re.Pattern[str], str, str]] = (
    (
        DISK,
        re.compile(r"No space left on device|Disk quota exceeded", re.IGNORECASE),
        "the disk is full",
        "free some space (playbooks/prune.yml removes old generations), or set wavesmith_root to a larger disk",
    ),
    (
        MEMORY,
        re.compile(
            r"died due to signal 9|died with <Signals\.SIGKILL|\bKilled signal terminated program|fatal error: Killed|(?:terminated by signal|exit code) -?9\b|exit code 137"
            r"|virtual memory exhausted|out of memory allocating|Cannot allocate memory|^\S*:? ?Killed$|std::bad_alloc|ran out of memory"
        ),
        "the compiler was killed for want of memory",
        "give the host more memory or swap, or stop what else takes it; fewer jobs need less",
    ),
    (
        CRASH,
        re.compile(r"internal compiler error|died due to signal (?:11|6|4)\b|PLEASE submit a bug report|Please submit a full bug report"),
        "the compiler itself crashed",
        "build with another compiler (gcc 13.3 of Ubuntu 24.04 is what upstream tests torch with); docs/recipes.md lists known crashes",
    ),
    (
        ARCHITECTURE,
        re.compile(
            r"(?:Unsupported gpu architecture|Unknown CUDA [Aa]rch|Value) '?\(?((?:compute_|sm_)?[\w.]+)\)?'?|unrecognized.*?-(march=\S+)"
            r"|bad value \(?.(\S+?).\)? for .?-march"
        ),
        "the compiler does not know the architecture {0}",
        "use a toolkit or compiler that knows it (wavesmith matrix lists which do), or correct the recipe's flags",
    ),
    (
        HEADER,
        re.compile(r"fatal error: ['\"]?([\w./+-]+\.(?:h|hpp|cuh|hh))['\"]?(?:: No such file or directory| file not found)"),
        "the header {0} is not on this host",
        "install the package that has it (on Debian: apt-file search {0}), or add it to the recipe's build requirements",
    ),
    (
        TOOL,
        re.compile(
            r"No CMAKE_CUDA_COMPILER could be found|(nvcc|cmake|ninja|gcc|g\+\+|cc|make|patch|git|swig|pkg-config): (?:command )?not found"
            r"|No such file or directory: '(?:\S*/)?([\w+-]+)'|CUDA_HOME environment variable is not set|unable to execute '(?:\S*/)?([\w+.-]+)'"
            r"|command '(?:\S*/)?([\w+.-]+)' failed: No such file"
        ),
        "a tool that the build needs is not there: {0}",
        "install it on the host, or add it to the recipe's build requirements",
    ),
    (
        MODULE,
        re.compile(r"ModuleNotFoundError: No module named '([\w.]+)'|Cannot import '([\w.]+)'|BackendUnavailable.*?'([\w.]+)'"),
        "the build asks for the Python module {0}",
        "add it to the recipe's build requirements",
    ),
)  # fmt: skip
_TOOLKIT = "the CUDA toolkit"
_ERROR = re.compile(
    r"(?:^|\s|:)(?:fatal )?error(?: C?\d+)?: |^\S+\(\d+\): error|undefined reference to|^nvcc fatal|^ptxas (?:fatal|error)|^CMake Error"
    r"|^\w*(?:Error|Exception)\b.*: |cannot find -l|^collect2: "
)
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


def diagnose(text: str) -> Diagnosis:
    """Why a build failed, from its output."""
    lines = [line.rstrip() for line in text.splitlines()]
    for kind, pattern, problem, remedy in _CAUSES:
        for number, line in enumerate(lines):
            match = pattern.search(line.strip())
            if match and not (kind in (HEADER, TOOL, MODULE) and line.startswith("$ ")):
                name = next((group for group in match.groups() if group), _TOOLKIT)
                return Diagnosis(kind, problem.format(name), remedy.format(name), _around(lines, number))
    number = _first_error(lines)
    said = lines[number].strip() if lines else "it said nothing"
    return Diagnosis(OTHER, said, "the lines below are the compiler's own", _around(lines, number))


def _first_error(lines: Sequence[str]) -> int:
    errors = [number for number, line in enumerate(lines) if _ERROR.search(line.strip())]
    real = [number for number in errors if not _ECHO.search(lines[number].strip())]
    # A Python exception is said last, after the lines that lead to it; a compiler's first error is the one that counts.
    return next(iter(real or errors), len(lines) - 1)


def _around(lines: Sequence[str], number: int) -> tuple[str, ...]:
    start = max(0, number - 2)
    return tuple(line[:400] for line in lines[start : start + SHOWN] if line.strip())
