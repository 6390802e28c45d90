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
REACH = "let the host reach it"
_ALL = (OTHER_RELEASE, OTHER_PYTHON, RECIPE)
_FETCHES = re.compile(
    r"Could not resolve host(?:name)?[: (]+\S*?([\w-]+(?:\.[\w-]+)+)|failed to resolve address for ([\w.-]+)"
)
_REQUIRES = re.compile(r"Failed to resolve requirements from `(build-system\.requires|setup\.py build)`")


def explain(lines: Sequence[str], known: tuple[str, str] | None = None) -> tuple[str, str] | None:
    """What is wrong and the remedy, where an archive or a repository did not build; `None` where nothing failed to build.

    `known` is the problem and the remedy of the known failure that the lines show; without one the last error in them counts.
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
        requires = _REQUIRES.search(text)
        why = f"what its build requires ({requires[1]}) cannot be had: {known[0]}" if requires else known[0]
        return f"{what}: {why}", f"{release}, or {OTHER_PYTHON}; else {known[1]}"
    why, ways = _why(lines)
    return f"{what}: {why}", ", or ".join(way.replace("{name}", name) for way in ways)


def _why(lines: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    text = "\n".join(lines)
    fetches, requires = _FETCHES.search(text), _REQUIRES.search(text)
    if fetches:
        return f"its build fetches from {fetches[1] or fetches[2]}, which does not answer", (OTHER_RELEASE, REACH)
    if requires:
        return f"what its build requires ({requires[1]}) cannot be had", _ALL
    errors = [match[1].strip() for line in lines if (match := _LAST.match(line)) and not _ECHO.search(match[1].strip())]
    return (errors[-1][:200] if errors else "the lines below say why"), _ALL
