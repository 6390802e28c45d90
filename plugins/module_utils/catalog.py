"""The catalog as typed values: what can be installed, and how.

Files are read and checked against their schema by the controller (``plugin_utils/catalog_files.py``); here they are
plain data turned into records.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .guard import Project

PACKAGE_INDEX = "package_index"
"""The origin that stands for the index pip and uv of the host are set up for."""


@dataclass(frozen=True)
class Origin:
    """One place the torch family of a stack can be had from.

    Attributes:
        name: Short name used in plans and lock names.
        url: Address of the wheel index; empty for the host's own package index.
        local_version: Local version its wheels carry (``cpu`` for ``2.11.0+cpu``).
        disk_gib: Space its wheels take once installed, GiB.
        note: One sentence for the plan.
    """

    name: str
    url: str
    local_version: str
    disk_gib: float
    note: str


@dataclass(frozen=True)
class Stack:
    """A compatibility layer: matched versions of the torch family for one backend.

    Attributes:
        name: Name in the catalog.
        backend: ``cpu`` or ``cuda13_0``.
        versions: Distribution name to version.
        python_minimum: Oldest Python with wheels, as ``(3, 10)``.
        python_maximum: Newest Python with wheels.
        sms: Compute capabilities with SASS in its wheels, by CPU architecture.
        driver_minimum: Oldest NVIDIA driver (major) that runs it; 0 where none is needed.
        origins: Where its wheels come from, in order of preference.
    """

    name: str
    description: str
    backend: str
    versions: Mapping[str, str]
    python_minimum: tuple[int, ...]
    python_maximum: tuple[int, ...]
    sms: Mapping[str, tuple[str, ...]]
    driver_minimum: int
    origins: tuple[Origin, ...]


@dataclass(frozen=True)
class Recipe:
    """How one package is built from its source.

    Attributes:
        version: Version it builds.
        sdist: File name of the source archive on the package index.
        sha256: Digest of that archive.
        build_lock: Hashed build requirements, the text itself.
        environment: Variables for the build.
        extensions: Compiled modules the built wheel must hold, and which must load.
        seconds: About how long a build takes on two cores.
    """

    version: str
    sdist: str
    sha256: str
    build_lock: str
    environment: Mapping[str, str]
    extensions: tuple[str, ...]
    seconds: int


@dataclass(frozen=True)
class Package:
    """A package that an environment can ask for.

    Attributes:
        name: Distribution name, normalised.
        requires: Requirements it adds to the resolution.
        overrides: Requirements that replace what others declare.
        module: Module that shows it is there.
        recipe: How it is built from source, where it has to be.
    """

    name: str
    requires: tuple[str, ...]
    overrides: tuple[str, ...]
    module: str
    recipe: Recipe | None


@dataclass(frozen=True)
class Platforms:
    """Operating systems we know how to prepare: id to versions, and the system packages we ask for."""

    systems: Mapping[str, tuple[str, ...]]
    apt: tuple[str, ...]
    apt_build: tuple[str, ...]


@dataclass(frozen=True)
class Catalog:
    """Everything that can be installed."""

    stacks: Mapping[str, Stack]
    packages: Mapping[str, Package]
    models: Mapping[str, Any]
    platforms: Platforms
    base: tuple[str, ...] = field(default=("pip", "setuptools"))
    projects: Mapping[str, Project] = field(default_factory=dict)


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


def stack(data: Mapping[str, Any]) -> Stack:
    """A stack from a checked file."""
    return Stack(
        name=data["name"],
        description=data["description"],
        backend=data["backend"],
        versions=dict(data["versions"]),
        python_minimum=_version(data["python"]["minimum"]),
        python_maximum=_version(data["python"]["maximum"]),
        sms={arch: tuple(sms) for arch, sms in data.get("sms", {}).items()},
        driver_minimum=data.get("driver_minimum", 0),
        origins=tuple(
            Origin(
                name=item["name"],
                url=item.get("url", ""),
                local_version=item.get("local_version", ""),
                disk_gib=float(item["disk_gib"]),
                note=item["note"],
            )
            for item in data["origins"]
        ),
    )


def package(data: Mapping[str, Any], build_lock: str = "") -> Package:
    """A package from a checked file; `build_lock` is the text of the recipe's build requirements."""
    recipe = data.get("recipe")
    return Package(
        name=data["name"],
        requires=tuple(data.get("requires", [data["name"]])),
        overrides=tuple(data.get("overrides", [])),
        module=data.get("module", ""),
        recipe=None
        if recipe is None
        else Recipe(
            version=recipe["version"],
            sdist=recipe["source"]["sdist"],
            sha256=recipe["source"]["sha256"],
            build_lock=build_lock,
            environment=dict(recipe.get("environment", {})),
            extensions=tuple(recipe["must_contain"]["extensions"]),
            seconds=recipe["seconds"],
        ),
    )


def platforms(data: Mapping[str, Any]) -> Platforms:
    """The known operating systems from a checked file."""
    return Platforms(
        systems={name: tuple(versions) for name, versions in data["systems"].items()},
        apt=tuple(data["apt"]),
        apt_build=tuple(data["apt_build"]),
    )
