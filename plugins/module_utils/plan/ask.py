"""What an environment asks for: catalog entries, any distribution of the index, commits of repositories; and what contradicts itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import combinations

from ..terms.names import name_of, normal
from ..terms.refusal import Refusal
from ..terms.variant import Variant
from ..wanted import asked
from ..wanted.asked import Asked, Unclear
from ..wanted.catalog import ALWAYS, Catalog, Package, Stack
from ..wanted.project import Project
from ..wanted.variables import Environment


@dataclass
class Asks:
    """What one environment asks for beside its stack.

    Attributes:
        catalog: The catalog as this environment sees it: with what it knows nothing of, and with what lines ask of what it knows.
        packages: Everything but the torch family.
        family: Members of the torch family that are named, or that a package needs beside what it declares.
        lines: What the lines of the inventory ask for, by name.
        variants: The variants that are named.
        refusals: What cannot be meant.
    """

    catalog: Catalog
    packages: list[Package] = field(default_factory=list)
    family: list[str] = field(default_factory=list)
    lines: dict[str, list[Asked]] = field(default_factory=dict)
    variants: dict[str, Variant] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)


def family_of(catalog: Catalog) -> set[str]:
    """The torch family: what some stack decides on."""
    return {name for stack in catalog.stacks.values() for name in stack.versions}


def ask(environment: Environment, catalog: Catalog, own: Sequence[str], stack_is_none: bool) -> Asks:
    """Read the lines of an environment, `own` those of its models."""
    result = Asks(catalog)
    item, family = f"environment {environment.name}", family_of(catalog)
    known = {normal(name): name for name in catalog.packages}
    names: dict[str, None] = {}
    for said in dict.fromkeys([*catalog.base, *environment.packages, *own]):
        try:
            name, result.variants[name] = Variant.parse_full(said)
            line = Asked(said, name)
        except ValueError:
            try:
                line = asked.read(said)
            except Unclear as error:
                result.refusals.append(Refusal(item, f"package {said!r}: {error.problem}", error.remedy))
                continue
        name = known.get(line.name, line.name)
        near = (
            asked.mistyped(name, [*known, *family])
            if name and not line.commit and name not in family and line.name not in known
            else ""
        )
        if near:
            remedy = f"did you mean {near}? If {name} itself is meant, add it to the catalog (CONTRIBUTING.md)"
            result.refusals.append(Refusal(item, f"package {name!r} is not in the catalog", remedy))
        elif name in family and line.commit:
            problem = f"package {said!r}: {name} belongs to the stack, and cannot come from a repository"
            result.refusals.append(Refusal(item, problem, "choose a stack that is built from source (docs/stacks.md)"))
        else:
            names[name or line.line] = None
            result.lines.setdefault(name or line.line, []).append(line)
    _needs(names, catalog, family)
    packages = {**catalog.packages}
    for name in names:
        if name in family:
            result.family.append(name)
            continue
        packages[name], wrong = _entry(name, packages.get(name), result.lines.get(name, []))
        result.packages.append(packages[name])
        result.refusals += [Refusal(item, *wrong)] if wrong else []
    result.catalog = replace(catalog, packages=packages)
    if stack_is_none:
        result.refusals += _without_stack(item, result)
    result.refusals += _pairs(item, result.packages, result.lines)
    return result


def _needs(names: dict[str, None], catalog: Catalog, family: Iterable[str]) -> None:
    """Add what packages of the catalog need that are not named themselves."""
    left = list(names)
    while left:
        package = catalog.packages.get(left.pop(0))
        for name in package.needs if package else ():
            if name not in names and (name in catalog.packages or name in family):
                names[name] = None
                left.append(name)


def _entry(name: str, package: Package | None, lines: Sequence[Asked]) -> tuple[Package, tuple[str, str] | None]:
    """A package with what lines ask of it, and what is wrong with that: problem and remedy."""
    from packaging.specifiers import SpecifierSet

    more = [line for line in lines if line.more]
    said = ", ".join(line.said for line in more)
    commits = {line.line for line in more if line.commit}
    if commits:
        if len(commits) > 1 or any(line.specifier for line in more):
            return package or Package(name, ()), (
                f"{said}: both a commit and something else are asked for",
                "keep one line",
            )
        found = package or Package(name, ())
        return replace(found, requires=tuple(commits), recipe=None, index_wheels={}, for_torch={}), None
    if package is None:
        package = Package(name, () if more else (name,))
    if not more:
        return package, None
    asks = [line.specifier for line in more if line.specifier]
    against = [_specifier(line) for line in package.requires if name_of(line) == normal(name)]
    if asks and asked.disagree([*asks, *against]):
        wants = f", and the catalog asks for {', '.join(filter(None, against))}" if any(against) else ""
        return package, (f"{said}: no version of {name} satisfies it{wants}", "correct the specifier")
    recipe = package.recipe
    if recipe and asks:
        wanted = SpecifierSet(",".join(asks))
        releases = tuple(release for release in recipe.releases if wanted.contains(release.version, prereleases=True))
        if not releases and recipe.use == ALWAYS:
            builds = ", ".join(release.version for release in recipe.releases)
            remedy = "ask for one of these, or add a release to the recipe (docs/recipes.md)"
            return package, (f"{said}: {name} is built from source, and its recipe builds {builds}", remedy)
        recipe = replace(recipe, releases=releases) if releases else None
    return replace(package, requires=(*package.requires, *(line.line for line in more)), recipe=recipe), None


@lru_cache(maxsize=4096)
def _specifier(line: str) -> str:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        return str(Requirement(line).specifier)
    except InvalidRequirement:
        return ""


def _without_stack(item: str, result: Asks) -> list[Refusal]:
    found = []
    for name in result.family:
        by = [package.name for package in result.packages if name in package.needs]
        problem = f"{by[0]} needs {name}, which" if by and name not in result.lines else f"package {name!r}"
        found.append(Refusal(item, f"{problem} belongs to a stack, but stack is none", "set stack: auto"))
    return found


def _pairs(item: str, packages: Sequence[Package], lines: Mapping[str, Sequence[Asked]]) -> list[Refusal]:
    """What cannot be together: packages that conflict by their entries, and pins that no version satisfies."""
    there = {package.name: package for package in packages}
    found = [
        (name, other, why)
        for name, package in there.items()
        for other, why in package.conflicts.items()
        if other in there
    ]
    overridden = {name_of(line) for package in packages for line in package.overrides}
    claims: dict[str, list[tuple[str, str]]] = {}
    for package in packages:
        for name, specifier in package.pins.items():
            claims.setdefault(name, []).append((package.name, specifier))
    for name in {*claims} - overridden:
        claims[name] += [(line.said, line.specifier) for line in lines.get(name, ()) if line.specifier]
        for (one, first), (other, second) in combinations(claims[name], 2):
            if asked.disagree([first, second]):
                found.append((one, other, f"{one} pins {name}{first}, {_claim(other, name, second)}"))
    return [
        Refusal(item, f"{one} cannot be with {other}: {why}", f"give {one} or {other} an environment of its own")
        for one, other, why in sorted(found)
    ]


def _claim(who: str, name: str, specifier: str) -> str:
    return "which is asked for otherwise" if name_of(who) == normal(name) else f"{who} {name}{specifier}"


def contradictions(
    item: str, asks: Asks, stack: Stack, projects: Sequence[Project], others: Iterable[Stack] = ()
) -> list[Refusal]:
    """What lines ask for that the stack, or an override, decides otherwise: it would be overridden without a word."""
    decided = {name: (f"=={version}", f"belongs to the stack {stack.name}") for name, version in stack.brings.items()}
    decided |= {
        name: (version if version.startswith(">=") else f"=={version}", f"belongs to the stack {stack.name}")
        for name, version in stack.versions.items()
    }
    for package in asks.packages:
        decided |= {name_of(line): (_specifier(line), f"an override of {package.name}") for line in package.overrides}
        releases = package.for_torch.get(stack.versions.get("torch", ""), ())
        decided |= {name_of(line): (_specifier(line), "its release for the stack's torch") for line in releases}
    for project in projects:
        decided |= {
            name_of(line): (_specifier(line), f"{project.name}: {why}") for line, why in project.overrides.items()
        }
    found = []
    for lines in asks.lines.values():
        for line in lines:
            specifier, why = decided.get(line.name, ("", ""))
            if line.specifier and specifier and asked.disagree([line.specifier, specifier]):
                problem = f"package {line.said!r} contradicts {line.name}{specifier} ({why})"
                fitting = [other.name for other in others if _has(other, line)] if line.name in stack.versions else []
                way = (
                    f"set stack: {' or '.join(fitting)}, which has it"
                    if fitting
                    else "choose another stack or environment"
                )
                found.append(Refusal(item, problem, f"ask for the version that was decided, or {way}"))
    return found


def _has(stack: Stack, line: Asked) -> bool:
    version = stack.versions.get(line.name, "")
    return bool(version) and not version.startswith(">=") and not asked.disagree([line.specifier, f"=={version}"])


def overrides(lines: Iterable[str], asks: Mapping[str, Sequence[Asked]]) -> list[str]:
    """Overrides with what is asked of the same packages beside them: an override alone would replace it."""
    wanted = {line.name: line.specifier for asked in asks.values() for line in asked if line.specifier}
    return sorted({_narrowed(line, wanted.get(name_of(line), "")) for line in lines})


def _narrowed(line: str, specifier: str) -> str:
    from packaging.requirements import Requirement

    if not specifier or ";" in line or "@" in line:
        return line
    requirement = Requirement(line)
    requirement.specifier &= type(requirement.specifier)(specifier)
    return str(requirement)


def for_torch(package: Package, stack: Stack) -> tuple[str, ...]:
    """What is required of a package with a stack: its release for the stack's torch, where it has one for each."""
    return (*package.requires, *package.for_torch.get(stack.versions.get("torch", ""), ()))


def unguarded(item: str, resolved: Iterable[str], held: Iterable[str]) -> list[Refusal]:
    """Refusals for a lock that brings in members of the torch family where there is no stack to decide on them."""
    brought = sorted({*resolved} & {*held})
    if not brought:
        return []
    problem = f"its lock brings in {', '.join(brought)}, but stack is none: the GPU to build it for would be unknown"
    return [Refusal(item, problem, "give the environment a stack (stack: auto), or remove the lock")]
