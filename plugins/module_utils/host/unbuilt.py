"""Why a source archive did not build, out of what uv printed: which package, and what to do. Pure: lines in, words for people out."""

from __future__ import annotations

import re
from collections.abc import Sequence

_PACKAGE = re.compile(r"Failed to (?:download and )?build[: ]+`?([A-Za-z0-9][\w.-]*?)(?:==| @ |-(?=\d))([^\s`]+)")
_PYTHON = re.compile(r"[/\\]python(3\.\d+)[/\\]")
_LAST = re.compile(
    r"^\s*((?:[\w.]+\.)?\w*(?:Error|Exception|Exit)\b: .+|error: .+|.*: (?:fatal )?error: .+|CMake Error.*)$"
)
_ECHO = re.compile(
    r"^error: (?:[Cc]ommand |Failed to build|subprocess|metadata|`)|CalledProcessError|The build backend"
)

OTHER_RELEASE = "override {name} with a release that has a wheel"
OTHER_PYTHON = "set wavesmith_python to a Python that this release was made for"
RECIPE = "add a recipe (docs/recipes.md)"
_ALL = (OTHER_RELEASE, OTHER_PYTHON, RECIPE)
# What a line looks like, what is wrong ({0} is its first group), what to do. The first that fits counts, the most telling first.
_CAUSES: Sequence[tuple[re.Pattern[str], str, tuple[str, ...]]] = (
    (
        re.compile(r"only versions (\S+) are supported|requires (?:a different )?Python ?['\"]?([<>=!~\d][^'\";\n]*?)(?:\.$|$| but|['\"])"),
        "it is for Python {0} only",
        _ALL,
    ),
    (re.compile(r"No module named '(numpy\.distutils)[\w.]*'"), "it uses {0}, which this numpy no longer has", _ALL),
    (
        re.compile(r"No module named '((?:distutils|imp|asyncore|asynchat|cgi|pipes|lib2to3)(?:\.\w+)*)'"),
        "it uses {0}, which Python {python} does not have",
        _ALL,
    ),
    (
        re.compile(r"module '(?:configparser|pkgutil|inspect|collections|ast)' has no attribute '(\w+)'"),
        "it uses {0}, which Python {python} does not have",
        _ALL,
    ),
    (
        re.compile(r"error: .*(?:has no member named|no member named) .?(ob_digit|cframe|use_tracing|curexc_type|recursion_depth|ob_refcnt)"
                   r"|error: .*(_PyLong_AsByteArray|_PyUnicode_FastCopyCharacters|_PyGen_Send|PyUnicode_GET_SIZE).*(?:too few|not declared)"),
        "its C code was generated for an older Python ({0})",
        _ALL,
    ),
    (
        re.compile(r"No module named '(pkg_resources)'"),
        "it uses {0}, which setuptools no longer has",
        (OTHER_RELEASE, "build it with setuptools before 82 (a recipe with its own build requirements)"),
    ),
    (
        re.compile(r"Compatibility with (CMake < 3\.5) has been removed"),
        "it asks for {0}",
        (OTHER_RELEASE, "build it with CMake before 4 (a recipe with its own build requirements)"),
    ),
    (
        re.compile(r"(?:Error compiling Cython file|Cython\.Compiler\.Errors\.(CompileError))"),
        "its code is not for this Cython",
        (OTHER_RELEASE, "build it with an older Cython (a recipe with its own build requirements)"),
    ),
    (
        re.compile(r"No module named '(torch)'"),
        "it needs {0} while it builds, and does not ask for it",
        (OTHER_RELEASE, "add a recipe that is compiled against torch (docs/recipes.md)"),
    ),
    (
        re.compile(r"No module named '([\w.]+)'"),
        "its build needs the Python module {0}, and does not ask for it",
        (OTHER_RELEASE, "add a recipe whose build requirements have it (docs/recipes.md)"),
    ),
    (
        re.compile(r"fatal error: ([\w./+-]+\.(?:h|hpp|hh)): No such file"),
        "the header {0} is not on this host",
        ("install the system package that has it (apt-file search {0})", OTHER_RELEASE),
    ),
    (
        re.compile(r"(?:unable to execute|command|No such file or directory:) '(?:\S*/)?(gcc|g\+\+|cc|c\+\+|cmake|make|ninja|swig|nvcc|pkg-config|rustc|cargo)'"
                   r"(?: failed: No such file| not found|: No such file|$)|^\s*(?:/bin/sh: \d+: )?(cmake|make|gcc|g\+\+|nvcc|swig): not found"
                   r"|can't find (Rust) compiler|(CUDA_HOME) environment variable is not set|([Cc]argo), the Rust package manager, is not installed"),
        "it needs {0} while it builds, which this host does not have",
        ("install it on the host", OTHER_RELEASE),
    ),
    (
        re.compile(r"Could not resolve host(?:name)?[: (]+\S*?([\w-]+(?:\.[\w-]+)+)|failed to resolve address for ([\w.-]+)"),
        "its build fetches from {0}, which does not answer",
        (OTHER_RELEASE, "let the host reach it"),
    ),
    (
        re.compile(r"use_(2to3) is invalid|setup command: (use_2to3)"),
        "it is Python 2 code that {0} would have to convert",
        (OTHER_RELEASE,),
    ),
    (
        re.compile(r"Failed to resolve requirements from `(build-system\.requires|setup\.py build)`"),
        "what its build requires ({0}) cannot be had",
        _ALL,
    ),
)  # fmt: skip


def explain(lines: Sequence[str], known: tuple[str, str] | None = None) -> tuple[str, str] | None:
    """What is wrong and the remedy, where an archive or a repository did not build; `None` where nothing failed to build.

    `known` is the problem and the remedy of the known failure that the lines show; without one they are searched for a cause.
    """
    text = "\n".join(lines)
    package = _PACKAGE.search(text)
    if package is None:
        return None
    name, version = package[1], package[2]
    repository = "/" in version or ":" in version
    seen = _PYTHON.search(text)
    python = seen[1] if seen else ""
    title = name if repository else f"{name} {version}"
    told = f" for Python {python}" if python else " for this Python"
    what = (
        f"{title} does not build"
        if repository
        else f"{title} has no wheel{told}, and its source archive does not build"
    )
    if known:
        release = OTHER_RELEASE.replace("{name}", name)
        return f"{what}: {known[0]}", f"{release}, or {OTHER_PYTHON}; else {known[1]}"
    why, ways = _why(lines, python)
    return f"{what}: {why}", ", or ".join(way.replace("{name}", name) for way in ways)


def _why(lines: Sequence[str], python: str) -> tuple[str, tuple[str, ...]]:
    for pattern, problem, ways in _CAUSES:
        for line in lines:
            match = None if line.startswith("hint:") else pattern.search(line)
            if match:
                found = next((group for group in match.groups() if group), "")
                said = problem.replace("{0}", found).replace("{python}", python or "of this host")
                return said, tuple(way.replace("{0}", found) for way in ways)
    errors = [match[1].strip() for line in lines if (match := _LAST.match(line)) and not _ECHO.search(match[1].strip())]
    return (errors[-1][:200] if errors else "the lines below say why"), _ALL
