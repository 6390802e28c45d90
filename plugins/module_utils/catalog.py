"""The catalog as typed values: what can be installed, and how.

Files are read and checked against their schema by the controller (``plugin_utils/catalog_files.py``); here they are
plain data turned into records.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .guard import Project
from .versions import Range, numbers

PACKAGE_INDEX = "package_index"
"""The origin that stands for the index pip and uv of the host are set up for."""
INDEX, WHEELHOUSE, SOURCE = "index", "wheelhouse", "source"
"""What a policy can allow: wheels that others built, wheels that this fleet built, building on a host of this fleet."""


@dataclass(frozen=True)
class Origin:
    """One place the torch family of a stack can be had from.

    Attributes:
        name: Short name used in plans and lock names.
        kind: `INDEX`, or `SOURCE` for what is built here (and fetched from the wheelhouse where that has it).
        url: Address of the wheel index; empty for the host's own package index.
        local_version: Local version its wheels carry (``cpu`` for ``2.11.0+cpu``).
        disk_gib: Space its wheels take once installed, GiB.
        note: One sentence for the plan.
    """

    name: str
    kind: str
    url: str
    local_version: str
    disk_gib: float
    note: str


@dataclass(frozen=True)
class Stack:
    """A compatibility layer: matched versions of the torch family for one backend.

    Attributes:
        name: Name in the catalog.
        backend: ``cpu``, ``cuda13_0``, ``rocm7_2`` or ``directml``.
        versions: The torch family, distribution name to version; an environment gets those it asks for or needs.
        python_minimum: Oldest Python with wheels, as ``(3, 10)``.
        python_maximum: Newest Python with wheels.
        origins: Where its wheels come from, in order of preference.
        brings: What its wheels require in an exact version (triton).
        requires: Requirements that every environment of the stack gets.
        architectures: CPU architectures it has wheels for.
        machines: Kinds of machine it is for (``jetson``); empty: all.
        sms: Compute capabilities with SASS in its wheels, by CPU architecture.
        gfx: AMD targets with code in its wheels.
        driver_minimum: Oldest NVIDIA driver (major) that runs it; 0 where none is needed.
        gcc: gcc versions that its CUDA takes as host compiler; None where it has no CUDA.
        preference: Among stacks of the same kind the lower one is taken.
        channel: ``stable``, or ``nightly``: taken only when it is forced.
    """

    name: str
    description: str
    backend: str
    versions: Mapping[str, str]
    python_minimum: tuple[int, ...]
    python_maximum: tuple[int, ...]
    origins: tuple[Origin, ...]
    brings: Mapping[str, str] = field(default_factory=dict)
    requires: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ("x86_64", "aarch64")
    machines: tuple[str, ...] = ()
    sms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    gfx: tuple[str, ...] = ()
    driver_minimum: int = 0
    gcc: Range | None = None
    preference: int = 50
    channel: str = "stable"


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


def cuda_version(backend: str) -> str:
    """``13.0`` of ``cuda13_0``; empty where the backend is none of CUDA."""
    return backend[4:].replace("_", ".") if backend.startswith("cuda") else ""


def stack(data: Mapping[str, Any], toolkits: Mapping[str, Range]) -> Stack:
    """A stack from a checked file; `toolkits` says which host compilers each CUDA version takes."""
    return Stack(
        name=data["name"],
        description=data["description"],
        backend=data["backend"],
        versions=dict(data["versions"]),
        python_minimum=numbers(data["python"]["minimum"]),
        python_maximum=numbers(data["python"]["maximum"]),
        origins=tuple(
            Origin(
                name=item["name"],
                kind=item.get("kind", INDEX),
                url=item.get("url", ""),
                local_version=item.get("local_version", ""),
                disk_gib=float(item["disk_gib"]),
                note=item["note"],
            )
            for item in data["origins"]
        ),
        brings=dict(data.get("brings", {})),
        requires=tuple(data.get("requires", ())),
        architectures=tuple(data.get("architectures", ("x86_64", "aarch64"))),
        machines=tuple(data.get("machines", ())),
        sms={arch: tuple(sms) for arch, sms in data.get("sms", {}).items()},
        gfx=tuple(data.get("gfx", ())),
        driver_minimum=data.get("driver_minimum", 0),
        gcc=toolkits.get(cuda_version(data["backend"])),
        preference=data.get("preference", 50),
        channel=data.get("channel", "stable"),
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
