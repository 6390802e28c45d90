"""From a recipe and a host to the exact build: environment, commands, and the wheel key. Pure, the same input gives the same bytes.

Values of a recipe are templates: ``{sm}``, ``{march}``, ``{version}`` … are facts of the target, filled in here (`FACTS`); ``{jobs}``,
``{prefix}`` … are known when the build starts, and filled in there (`PLACES`). The key is made before the places are filled in,
because where a thing lies does not change what it is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import lru_cache

from ..records.host import Observed, Toolkit
from ..records.wheel import WheelIdentity, WheelSpec
from ..terms.digest import digest
from ..terms.variant import Variant
from ..terms.versions import numbers
from ..wanted.catalog import ALWAYS, WITH_STACK, Catalog, Origin, Recipe, Release

KEY_SCHEMA = 2
RESERVE_GIB = 2.0
"""Memory that is left alone: the system, the followers of the build, and on unified memory the GPU's own."""
PLACES = ("cuda_home", "jobs", "out", "path", "prefix", "python", "source")
FACTS = ("architecture", "cuda", "gcc", "local", "march", "python_version", "sm", "sm_number", "torch", "version")

BASE: Mapping[str, str] = {
    "MAX_JOBS": "{jobs}",  # torch.utils.cpp_extension and most builds around torch
    "CMAKE_BUILD_PARALLEL_LEVEL": "{jobs}",  # cmake --build, scikit-build-core
    "PATH": "{prefix}/bin:{path}",
    "PYTHONHASHSEED": "0",
    "SOURCE_DATE_EPOCH": "315532800",  # 1980-01-01, the oldest date of a wheel's entries: the same source gives the same bytes
}
WITH_CUDA: Mapping[str, str] = {
    "CUDA_HOME": "{cuda_home}",
    "CUDACXX": "{cuda_home}/bin/nvcc",
    "PATH": "{prefix}/bin:{cuda_home}/bin:{path}",
}
PIP_WHEEL: tuple[str, ...] = (
    "{python}",
    "-I",
    "-m",
    "pip",
    "wheel",
    "--verbose",
    "--no-deps",
    "--no-index",
    "--no-build-isolation",
)


PIP_WHEEL += ("--wheel-dir", "{out}", "{source}")

# What gcc calls the levels of variant.py (GCC manual, "x86 Options" and "AArch64 Options"); x86-64-v4 is AVX-512 F, BW, CD, DQ, VL.
MARCH: Mapping[str, str] = {
    "avx2": "x86-64-v3",
    "avx512": "x86-64-v4",
    "avx512vnni": "x86-64-v4 -mavx512vnni",
    "avx512bf16": "x86-64-v4 -mavx512vnni -mavx512bf16",
    "armv8_2": "armv8.2-a+fp16",
    "armv9": "armv9-a",
}
GENERIC_MARCH: Mapping[str, str] = {"x86_64": "x86-64", "aarch64": "armv8-a"}

_NO_RECIPE = "add it to catalog/packages/, or put index first in wavesmith_policy"
_FIELD = re.compile(r"\{([^{}]*)\}")


class RecipeError(ValueError):
    """A recipe that cannot be used here: `what` names it and what is wrong."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}. Remedy: {remedy}")
        self.what, self.remedy = what, remedy


@dataclass(frozen=True)
class Target:
    """What a wheel is built for and with: the facts of a host that can change its bytes.

    Attributes:
        variant: What it is for.
        architecture: ``x86_64`` or ``aarch64``.
        machine: Kind of machine, as `observe` tells it: ``jetson``, ``dgx_spark`` …
        gcc: Version; empty while no compiler is there.
        libc: As ``glibc 2.36``: what is linked against a newer one does not run on an older.
        cuda: Version of the CUDA toolkit for the variant's backend; empty where it is not there or not needed.
        cuda_home: Its folder.
    """

    variant: Variant
    architecture: str
    machine: str = ""
    gcc: str = ""
    libc: str = ""
    cuda: str = ""
    cuda_home: str = ""

    @property
    def backend(self) -> str:
        """``cpu``, ``cuda``, ``rocm`` or ``directml``."""
        return re.sub(r"[\d_]+$", "", self.variant.backend)


@dataclass(frozen=True)
class Against:
    """A wheel that another one is compiled against: one of ours by its key, or an index's by its hashed lock."""

    name: str
    version: str
    key: str = ""
    lock: str = ""

    @property
    def identity(self) -> str:
        """What of it can change the bytes of a wheel compiled against it."""
        return self.key or _identity(self.lock)


@lru_cache(maxsize=256)
def _identity(lock: str) -> str:
    return digest(pins(lock))


@lru_cache(maxsize=256)
def _pins(lock: str) -> tuple[str, ...]:
    return tuple(line for line in lock.splitlines() if line.strip() and not line.lstrip().startswith("#"))


def pins(lock: str) -> list[str]:
    """The lines of a lock without its comments, which change nothing."""
    return list(_pins(lock))


def fill(text: str, values: Mapping[str, str], item: str) -> str:
    """Fill in a template; a name that is neither a value nor one of `PLACES` is an error, a place stays as it is.

    Raises:
        RecipeError: an unknown name, or a fact that this target has not.
    """

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name in values:
            if not values[name] and name in FACTS:
                raise RecipeError(f"{item}: {{{name}}} is not known for this host", "set it under a `when` that has it")
            return values[name]
        if name in PLACES:
            return match[0]
        raise RecipeError(
            f"{item}: {{{name}}} is not a valid value in a recipe", f"use one of {', '.join((*FACTS, *PLACES))}"
        )

    return _FIELD.sub(value, text)


def jobs(cores: int, available_gib: float, gib_per_job: float) -> int:
    """How many compile jobs fit: as many as there are cores, and as memory holds."""
    return max(1, min(cores, math.floor((available_gib - RESERVE_GIB) / gib_per_job)))


def target_of(observed: Observed, variant: Variant) -> Target:
    """What a build on this host starts from."""
    wanted = variant.backend.removeprefix("cuda").replace("_", ".") if variant.backend.startswith("cuda") else ""
    toolkits = [
        toolkit
        for toolkit in observed.get("toolkits", [])
        if wanted and toolkit["nvcc"] and f"{toolkit['version']}.".startswith(f"{wanted}.")
    ]
    toolkit: Toolkit | None = max(
        toolkits, key=lambda item: [int(part) for part in re.findall(r"\d+", item["version"])], default=None
    )
    return Target(
        variant=variant,
        architecture=observed["cpu"]["architecture"],
        machine=observed.get("machine", {}).get("kind", ""),
        gcc=observed["compilers"].get("gcc") or "",
        libc=observed["os"].get("libc") or "",
        cuda=toolkit["version"] if toolkit else "",
        cuda_home=toolkit["path"] if toolkit else "",
    )


def choose(name: str, recipe: Recipe, python: str, versions: Mapping[str, str]) -> Release:
    """The release to build: the stack's own version of a package it pins, else the first that holds for its Python and torch.

    Raises:
        RecipeError: there is none.
    """
    minor = numbers(python)
    torch = versions.get("torch", "")
    for release in recipe.releases:
        if (
            release.version == versions.get(name, release.version)
            and release.python_minimum <= minor <= release.python_maximum
            and (not release.torch or not torch or torch in release.torch)
        ):
            return release
    version = f" {versions[name]}" if name in versions else ""
    raise RecipeError(
        f"the catalog has no recipe that builds {name}{version} for Python {python}{f' and torch {torch}' if torch else ''} "
        f"(it has {', '.join(release.version for release in recipe.releases)})",
        _NO_RECIPE,
    )


def _uses_cuda(recipe: Recipe, target: Target) -> bool:
    return target.backend == "cuda" and (bool(recipe.contents.sass) or recipe.contents.not_cpu_only)


def render(
    name: str, recipe: Recipe, release: Release, target: Target, against: Sequence[Against] = (), python: str = ""
) -> tuple[WheelSpec, WheelIdentity]:
    """The build of one release for one target.

    Returns:
        The build as plain data, with places left open in ``environment`` and ``commands``; and its identity, which is all
        that can change the bytes of the wheel.

    Raises:
        RecipeError: the recipe uses a value that is not there.
    """
    item = f"recipe {name}"
    variant = target.variant
    cuda = _uses_cuda(recipe, target)
    torch = next((entry.version for entry in against if entry.name == "torch"), "")
    backend = variant.backend
    values = {
        "architecture": target.architecture,
        "cuda": ".".join(target.cuda.split(".")[:2]) or backend.removeprefix("cuda").replace("_", "."),
        "gcc": target.gcc,
        "local": re.sub(r"^cuda(\d+)_(\d+)$", r"cu\1\2", backend).replace("_", "."),
        "march": MARCH.get(variant.isa) or GENERIC_MARCH.get(target.architecture, ""),
        "python_version": variant.python,
        "sm": variant.sm,
        "sm_number": variant.sm.replace(".", ""),
        "torch": torch,
        "version": release.version,
    }
    facts = {
        "backend": target.backend,
        "cuda": variant.backend.removeprefix("cuda").partition("_")[0] if target.backend == "cuda" else "",
        "architecture": target.architecture,
        "machine": target.machine,
        "sm": variant.sm,
        "isa": variant.isa,
        "version": release.version,
    }

    def holds(when: Mapping[str, tuple[str, ...]]) -> bool:
        return all(facts[fact] in fits for fact, fits in when.items())

    settings = {**BASE, **(WITH_CUDA if cuda else {})}
    for entry in recipe.settings:
        if holds(entry.when):
            settings.update(entry.variables)
    environment = {key: fill(text, values, item) for key, text in sorted(settings.items())}
    commands = [[fill(word, values, item) for word in command] for command in recipe.commands or (PIP_WHEEL,)]
    source = release.source
    identity: WheelIdentity = {
        "schema": KEY_SCHEMA,
        "name": name,
        "version": release.version,
        "variant": variant.name,
        "source": [source.kind, source.digest],
        "patches": list(release.patches.values()),
        "build_requirements": pins(release.build_lock),
        "environment": environment,
        "commands": commands,
        "gcc": target.gcc,
        "libc": target.libc,
        "cuda": target.cuda if cuda else "",
        "against": {entry.name: entry.identity for entry in against},
    }
    sass = [variant.sm if sm == "host" else sm for sm in recipe.contents.sass] if cuda else []
    build: WheelSpec = {
        "name": name,
        "version": release.version,
        "variant": variant.name,
        "source": {"kind": source.kind, "name": source.name, "digest": source.digest, "urls": list(source.urls)},
        "patches": dict(release.patches),
        "build_lock": release.build_lock,
        "system_packages": sorted(
            {name for system in recipe.system_packages if holds(system.when) for name in system.apt}
        ),
        "environment": environment,
        "commands": commands,
        "contents": {
            "extensions": list(recipe.contents.extensions),
            "modules": list(recipe.contents.modules),
            "sass": sass,
            "not_cpu_only": recipe.contents.not_cpu_only and target.backend != "cpu",
        },
        "smoke": recipe.smoke,
        "memory_gib": recipe.memory_gib,
        "seconds": recipe.seconds,
        "compiler": f"gcc {target.gcc}",
        "cuda": target.cuda if cuda else "",
        "cuda_home": target.cuda_home if cuda else "",
        "python": python,
        "against": [
            {"name": entry.name, "version": entry.version, "key": entry.key, "lock": entry.lock} for entry in against
        ],
    }
    return build, identity


def place(build: WheelSpec, places: Mapping[str, str]) -> tuple[dict[str, str], list[list[str]]]:
    """Environment and commands of a build with everything filled in."""
    item = f"recipe {build['name']}"
    filled = {**places, "cuda_home": build["cuda_home"]}
    environment = {name: fill(text, filled, item) for name, text in build["environment"].items()}
    return environment, [[fill(word, filled, item) for word in command] for command in build["commands"]]


def wanted_builds(names: Sequence[str], catalog: Catalog, versions: Mapping[str, str], from_source: bool) -> list[str]:
    """Which of some packages are built: those no index has; where the stack is from source its own packages, and what belongs with it."""
    uses = (ALWAYS, WITH_STACK) if from_source else (ALWAYS,)
    found = [
        name
        for name in names
        if (from_source and name in versions) or ((made := _recipe(name, catalog)) and made.use in uses)
    ]
    return with_bases(found, catalog, versions) if from_source else found


def with_bases(names: Sequence[str], catalog: Catalog, versions: Mapping[str, str]) -> list[str]:
    """Packages of a stack from source, each after those of the stack's own that it is compiled against."""
    found: dict[str, None] = {}
    for name in names:
        made = _recipe(name, catalog)
        found.update((other, None) for other in (made.compiled_against if made else ()) if other in versions)
        found[name] = None
    return list(found)


def _recipe(name: str, catalog: Catalog) -> Recipe | None:
    package = catalog.packages.get(name)
    return package.recipe if package else None


def builds(
    names: Sequence[str],
    catalog: Catalog,
    versions: Mapping[str, str],
    origin: Origin,
    target: Target,
    python: str,
) -> tuple[list[WheelSpec], list[RecipeError]]:
    """The builds of some packages, what others are compiled against first, and what cannot be built.

    A build has its ``key`` where the compiler, the toolkit it needs, and whatever it is compiled against is known.
    """
    found: dict[str, WheelSpec] = {}
    problems: list[RecipeError] = []

    def add(name: str) -> None:
        if name in found:
            return
        recipe = _recipe(name, catalog)
        if recipe is None:
            raise RecipeError(
                f"the catalog has no recipe that builds {name} {versions.get(name, '')}".rstrip(), _NO_RECIPE
            )
        release = choose(name, recipe, target.variant.python, versions)
        against, known = [], bool(target.gcc and (target.cuda or not _uses_cuda(recipe, target)))
        for other in recipe.compiled_against:
            if other in names:
                add(other)
                against.append(Against(other, found[other]["version"], found[other].get("key", "")))
                known = known and "key" in found[other]
            else:
                against.append(_of_index(name, other, catalog, versions, origin))
        found[name] = _build(name, recipe, release, target, tuple(against), python, known)

    for name in names:
        try:
            add(name)
        except RecipeError as error:
            if str(error) not in map(str, problems):
                problems.append(error)
    return list(found.values()), problems


_BUILDS: dict[tuple[object, ...], tuple[WheelSpec, Recipe, Release]] = {}
"""What was rendered already: the hosts of a fleet are of few kinds. The recipe is kept so that its `id` stays its own."""


def _build(
    name: str, recipe: Recipe, release: Release, target: Target, against: tuple[Against, ...], python: str, known: bool
) -> WheelSpec:
    """A build, with its key where everything that changes its bytes is known; the caller's own to change at its top level."""
    asked = (id(recipe), id(release), target, against, python, known)
    if asked not in _BUILDS:
        build, identity = render(name, recipe, release, target, against, python)
        if known:
            build["key"] = digest(identity)[:32]
        if len(_BUILDS) >= 4096:
            _BUILDS.clear()
        _BUILDS[asked] = build, recipe, release
    return copy(_BUILDS[asked][0])


def _of_index(name: str, other: str, catalog: Catalog, versions: Mapping[str, str], origin: Origin) -> Against:
    """An index's wheel that `name` is compiled against."""
    version = versions.get(other, "")
    written = f"{version}+{origin.local_version}" if origin.local_version else version
    recipe = _recipe(other, catalog)
    lock = recipe.index_locks.get(written) if recipe else None
    if not lock:
        raise RecipeError(
            f"recipe {name}: it is compiled against {other}, and no lock pins {other} {written or '(which this stack does not have)'}",
            f"add it to index_locks in catalog/packages/{other}.yml, or choose another origin",
        )
    return Against(other, version, lock=lock)
