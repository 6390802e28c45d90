"""Read what a project requires out of its own files: requirements files, and pyproject.toml as pip, uv and Poetry write it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import tomllib
from ansible_collections.wavesmith.provision.plugins.module_utils.terms.kinds import Parsed
from ansible_collections.wavesmith.provision.plugins.module_utils.terms.names import name_of, normal
from ansible_collections.wavesmith.provision.plugins.module_utils.terms.refusal import Refusal, suggest
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.project import Declared, Project
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.variables import Wanted
from ansible_collections.wavesmith.provision.plugins.plugin_utils import catalog_files
from ansible_collections.wavesmith.provision.plugins.plugin_utils.git import Unusable
from ansible_collections.wavesmith.provision.plugins.plugin_utils.project_source import Source, open_source
from ansible_collections.wavesmith.provision.plugins.plugin_utils.project_wheel import build
from packaging.requirements import InvalidRequirement, Requirement


def read(wanted: Wanted, folder: Path) -> tuple[dict[str, Project], list[Refusal]]:
    """Read the projects that a host's environments name.

    Args:
        wanted: The wanted state.
        folder: What a relative path of a project counts from: the inventory's folder.

    Returns:
        The projects by name, and a refusal for each that cannot be used.
    """
    found: dict[str, Project] = {}
    refusals: list[Refusal] = []
    catalog = catalog_files.projects()
    for name in dict.fromkeys(name for environment in wanted.environments for name in environment.projects):
        try:
            if name not in {**catalog, **wanted.projects}:
                raise Unusable(
                    "it is not in the catalog or wavesmith_projects", suggest(name, [*catalog, *wanted.projects])
                )
            source = catalog.get(name, {})
            if name in wanted.projects:
                source = wanted.projects[name]
                problem = catalog_files.problem(source, "project")
                if problem:
                    raise Unusable(problem, "see catalog/schema/project.json")
            found[name] = load(name, source, folder, wanted.package_index, wanted.git_mirrors)
        except Unusable as error:
            refusals.append(Refusal(f"project {name}", error.problem, error.remedy))
    return found, refusals


def load(name: str, source: Parsed, folder: Path, package_index: str = "", mirrors: Sequence[str] = ()) -> Project:
    """Read one project; `source` is checked against its schema."""
    overrides = dict(source.get("overrides", {}))
    for line in overrides:
        _requirement(line, "overrides")
    files = open_source(source, folder, mirrors)
    declared: list[Declared] = []
    for file in source.get("files") or [_default(files)]:
        text = _text(files, file)
        lines = _pyproject(text, file, source) if file.endswith(".toml") else _requirements(text, file, files)
        declared += [Declared(requirement, f"{name} {place}") for requirement, place in lines]
    decided = {name_of(line) for line in overrides}
    for item in declared:
        if Requirement(item.requirement).url and name_of(item.requirement) not in decided:
            raise Unusable(
                f"{item.by.partition(' ')[2]}: {item.requirement} is an address without a hash",
                "name a release of it under overrides, with the reason",
            )
    wheel = build(files, package_index) if source.get("install") else None
    return Project(name, tuple(dict.fromkeys(declared)), overrides, wheel)


def _default(files: Source) -> str:
    for file in ("pyproject.toml", "requirements.txt"):
        try:
            files.read(file)
        except FileNotFoundError:
            continue
        except (OSError, ValueError):
            pass  # said where it is read
        return file
    raise Unusable("it has neither pyproject.toml nor requirements.txt", "name its files under files")


def _text(files: Source, file: str) -> str:
    try:
        return files.read(file)
    except FileNotFoundError:
        raise Unusable(f"it has no file {file}", "correct files, path or commit") from None
    except (OSError, ValueError) as error:
        raise Unusable(f"{file} cannot be read: {error}", "correct the file") from None


def _requirement(text: str, place: str) -> Requirement:
    try:
        return Requirement(text)
    except InvalidRequirement as error:
        problem = f"{place}: {text!r} is not a requirement: {str(error).splitlines()[0]}"
        raise Unusable(problem, "correct it, or name other files") from None


# --- requirements files


def _requirements(text: str, file: str, files: Source, above: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """The requirements in a file and those that it includes, each with ``file:line``.

    Options are passed over: where packages come from is the owner's choice, not a project's. So are constraints, because they
    ask for nothing, and the project itself.
    """
    lines = iter(enumerate(text.splitlines(), 1))
    for number, line in lines:
        while line.endswith("\\"):
            line = line[:-1] + next(lines, (0, ""))[1]
        line = re.sub(r"(^|\s)#.*", "", line).strip()
        place = f"{file}:{number}"
        included = re.fullmatch(r"(?:-r|--requirement)[ =]*(\S+)", line)
        if included:
            inner = os.path.normpath(os.path.join(os.path.dirname(file), included.group(1)))
            if inner.startswith(("..", "/")):
                raise Unusable(
                    f"{place} includes {inner}, which is outside of the project", "name a folder that holds both"
                )
            if inner not in (*above, file):
                yield from _requirements(_text(files, inner), inner, files, (*above, file))
        elif line and not line.startswith(("-", ".", "/")):
            yield str(_requirement(re.sub(r"\s--?[a-z].*", "", line), place)), place


# --- pyproject.toml


def _pyproject(text: str, file: str, source: Parsed) -> Iterator[tuple[str, str]]:
    """The requirements in a pyproject.toml with the chosen extras and groups, each with ``file:line``."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Unusable(f"{file} cannot be read: {error}", "correct the file") from None
    wrong = catalog_files.problem(data, "pyproject")
    if wrong:
        raise Unusable(f"{file}: {wrong}", "correct the file")
    project, poetry = data.get("project", {}), data.get("tool", {}).get("poetry", {})
    extras, groups = list(source.get("extras", [])), list(source.get("groups", []))
    if {"dependencies", "optional-dependencies"} & set(project.get("dynamic", [])) and not poetry:
        raise Unusable(
            f"{file} leaves the dependencies to its build backend", "name its requirements files under files"
        )
    known = {*project.get("optional-dependencies", {}), *poetry.get("extras", {})}
    known_groups = {*data.get("dependency-groups", {}), *poetry.get("group", {})}
    for kind, asked, names in (("extra", extras, known), ("group", groups, known_groups)):
        for name in asked:
            if normal(name) not in map(normal, names):
                raise Unusable(f"{file} has no {kind} {name!r}", suggest(name, names))
    listed = [*project.get("dependencies", []), *_extras(project, extras)]
    if "requires-python" in project:
        listed.append(f"python{project['requires-python']}")
    for name in groups:
        listed += _group(data.get("dependency-groups", {}), name)
    for line in listed:
        needle = line.removeprefix("python") if line.startswith("python") else line
        place = f"{file}:{_line(text, re.escape(needle))}"
        yield str(_requirement(line, place)), place
    yield from _poetry(text, file, poetry, extras, groups)


def _extras(project: Parsed, extras: list[str]) -> list[str]:
    """The requirements of extras; one that names the project itself brings its other extras in."""
    optional = {normal(name): lines for name, lines in project.get("optional-dependencies", {}).items()}
    found: list[str] = []
    left, seen = [normal(name) for name in extras], set[str]()
    while left:
        name = left.pop(0)
        if name not in seen:
            seen.add(name)
            for line in optional.get(name, []):
                if name_of(line) == normal(project.get("name", "")):
                    left += map(normal, _requirement(line, "pyproject.toml").extras)
                else:
                    found.append(line)
    return found


def _group(groups: Parsed, name: str, above: tuple[str, ...] = ()) -> list[str]:
    found: list[str] = []
    for entry in next((entries for other, entries in groups.items() if normal(other) == normal(name)), []):
        if isinstance(entry, str):
            found.append(entry)
        elif entry["include-group"] not in (*above, name):
            found += _group(groups, entry["include-group"], (*above, name))
    return found


def _poetry(text: str, file: str, poetry: Parsed, extras: list[str], groups: list[str]) -> Iterator[tuple[str, str]]:
    chosen = {normal(item) for name in extras for item in poetry.get("extras", {}).get(name, [])}
    tables = [poetry.get("dependencies", {})]
    tables += [poetry["group"][name].get("dependencies", {}) for name in groups if name in poetry.get("group", {})]
    for table in tables:
        for name, value in table.items():
            line = _line(text, rf"^\s*\"?{re.escape(name)}\"?\s*[.=]")
            place = f"{file}:{line}"
            for constraint in value if isinstance(value, list) else [value]:
                optional = isinstance(constraint, dict) and constraint.get("optional")
                if not optional or normal(name) in chosen:
                    yield _poetry_requirement(name, constraint, place), place


def _poetry_requirement(name: str, constraint: Any, place: str) -> str:
    """Poetry's own way to write a constraint (``^2.7``, a table) as a requirement."""
    try:
        from poetry.core.factory import Factory
    except ImportError:
        raise Unusable(
            "it is a Poetry project, and the Python package poetry-core is missing on the controller",
            "pip install poetry-core",
        ) from None
    if isinstance(constraint, dict) and "path" in constraint:
        raise Unusable(f"{place}: {name} is a path", "name its files as a project of its own")
    try:
        text = Factory.create_dependency(name, constraint).to_pep_508(with_extras=False)
    except (
        AttributeError,
        KeyError,
        TypeError,
        ValueError,
    ) as error:  # what poetry-core does with a value of a wrong type
        raise Unusable(f"{place}: {name}: {error}", "correct it, or name other files") from None
    return str(_requirement(text, place))


def _line(text: str, pattern: str) -> int:
    """The number of the first line that holds a match; tomllib does not tell where it found something."""
    return next((number for number, line in enumerate(text.splitlines(), 1) if re.search(pattern, line)), 1)
