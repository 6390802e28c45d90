"""The torch guard: what others require of the packages that the stack decides, and what they get instead.

A stack's packages are never resolved as a dependency of another package. Whatever a package or a project declares, the overrides of the lock decide, and
what they contradict is reported: who asked, what for, what it got, and why.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from ..records.generation import Override
from ..terms.names import name_of, normal
from ..wanted.project import Declared, Project

CONSTRAINTS = "wavesmith/constraints.txt"
"""In a prefix: the versions of all its packages, for whatever is installed there by hand."""
LEFT_OUT = "left out"
WITHOUT_STACK = "belongs to a stack, and the environment has none"


def held(
    stack: str, family: Iterable[str], packages: Iterable[tuple[str, Sequence[str]]], projects: Iterable[Project]
) -> dict[str, str]:
    """The packages whose version only the stack decides, each with the reason.

    Args:
        stack: Name of the stack; empty for none.
        family: Its packages; without one what any stack decides on.
        packages: Names of catalog packages with their overrides.
        projects: Projects with theirs.
    """
    found: dict[str, str] = {}
    for project in projects:
        found.update({name_of(line): f"{project.name}: {why}" for line, why in project.overrides.items()})
    for package, lines in packages:
        found.update({name_of(line): f"an override of the package {package}" for line in lines})
    found.update(dict.fromkeys(family, f"belongs to the stack {stack}" if stack else WITHOUT_STACK))
    return found


def contradicted(
    declared: Iterable[Declared],
    versions: Mapping[str, str],
    why: Mapping[str, str],
    python: str,
    architecture: str,
    complete: bool,
) -> list[Override]:
    """The requirements that what was decided contradicts, for the report.

    Args:
        declared: The requirements and who declares them, each valid by PEP 508.
        versions: Version of each package that was decided on.
        why: Reasons by package.
        python: Version of the environment's Python; a requirement on ``python`` is judged by it.
        architecture: CPU architecture of the host.
        complete: Whether `versions` is a whole lock, so that what is not in it was left out.
    """
    from packaging.requirements import Requirement  # the controller has it; targets only import this module

    markers = {
        "python_version": ".".join(python.split(".")[:2]),
        "python_full_version": python,
        "platform_machine": architecture,
        "sys_platform": "linux",
        "platform_system": "Linux",
        "os_name": "posix",
        "extra": "",
    }
    found = []
    for item in declared:
        wanted = Requirement(item.requirement)
        name = normal(wanted.name)
        version = python if name == "python" else versions.get(name, LEFT_OUT if complete else "")
        if not version or (wanted.marker and not wanted.marker.evaluate(markers)):
            continue
        if wanted.url or version == LEFT_OUT or not wanted.specifier.contains(version, prereleases=True):
            found.append(_entry(name, item.by, item.requirement, version, why))
    return sorted(found, key=_order)


def installed_against(report: str, versions: Mapping[str, str], why: Mapping[str, str]) -> list[Override]:
    """The same for packages, out of what ``uv pip check`` says about an environment.

    Args:
        report: uv's lines.
        versions: Version of each installed package.
        why: Reasons by package.
    """
    found = []
    for package, asked, got in re.findall(
        r"^The package `([^`]+)` requires `([^`]+)`, but (?:`([^`]+)` is|it's not) installed$", report, re.MULTILINE
    ):
        by = f"{package} {versions.get(normal(package), '')}".strip()
        found.append(_entry(name_of(asked), by, asked, got or LEFT_OUT, why))
    return sorted(found, key=_order)


def locked(text: str) -> dict[str, str]:
    """The versions in a lock by package."""
    return dict(_locked(text.partition("\n")[2] if text.startswith("#") else text))


@lru_cache(maxsize=256)
def _locked(text: str) -> dict[str, str]:
    return {normal(name): version for name, version in re.findall(r"^([A-Za-z0-9][\w.-]*)==(\S+)", text, re.MULTILINE)}


def brought(environment: str, annotated: str, banned: Iterable[str]) -> str:
    """Why an environment without a stack cannot have what was resolved: who needs the torch family, in uv's one-line annotations."""
    needed_by = {
        normal(name): [normal(word) for word in via.split(", ") if not word.startswith("-")]
        for name, via in re.findall(r"^([A-Za-z0-9][\w.-]*)(?:==| @ )\S+.*?# via (.*)$", annotated, re.MULTILINE)
    }
    never = {*banned}
    (first, *_) = sorted(never & {*needed_by}, key=lambda name: (name != "torch", name)) or [min(never)]
    chain = [first]
    while users := [name for name in needed_by.get(chain[-1], ()) if name not in chain]:
        chain.append(min(users, key=lambda name: name in never))
    needs = f"{chain[-1]} needs {first}" + (f" (by way of {', '.join(chain[-2:0:-1])})" if len(chain) > 2 else "")
    return (
        f"environment {environment}: {needs}, which belongs to a stack, but stack is none. "
        f"Remedy: give the environment a stack (stack: auto), or leave {chain[-1]} out"
    )


def _entry(package: str, by: str, asked: str, got: str, why: Mapping[str, str]) -> Override:
    return {"package": package, "by": by, "asked": asked, "got": got, "why": why.get(package, "")}


def _order(entry: Override) -> tuple[str, str, str]:
    return entry["package"], entry["by"], entry["asked"]


def lines(overrides: Iterable[Override]) -> list[str]:
    """The report for people, one line each."""
    return [
        f"{entry['asked']} ({entry['by']}) -> {entry['got']}{': ' + entry['why'] if entry['why'] else ''}"
        for entry in overrides
    ]


def bind(variable: str, prefix: str) -> str:
    """A line of shell that puts a prefix's constraints before those that a variable of pip or uv names already."""
    own = f"{prefix}/{CONSTRAINTS}"
    return f'case " ${{{variable}-}} " in *" {own} "*) ;; *) export {variable}="{own}${{{variable}:+ ${variable}}}" ;; esac'


def constraints(packages: Mapping[str, str], held: Mapping[str, str] | None = None) -> str:
    """The text of the constraint file of a generation with these packages; what is `held` without a stack, nothing can bring in."""
    head = "# What this generation was verified with. pip and uv keep to it; to have something else, change the inventory.\n"
    lines = [f"{name}=={version}\n" for name, version in sorted(packages.items())]
    never = sorted(name for name, why in (held or {}).items() if why == WITHOUT_STACK and name not in packages)
    return head + "".join([*lines, *(f"{name}<0\n" for name in never)])
