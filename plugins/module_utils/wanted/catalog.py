"""The catalog as typed values: what can be installed, and how.

Files are read and checked against their schema by the controller (``plugin_utils/catalog_files.py``); here they are
plain data turned into records.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ..terms.kinds import Parsed
from ..terms.versions import Range, numbers
from .model import Model
from .project import Project

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
        overrides: Requirements that replace what others declare, of packages that not every environment has.
        architectures: CPU architectures it has wheels for.
        machines: Kinds of machine it is for (``jetson``); empty: all.
        sms: Compute capabilities with SASS in its wheels, by CPU architecture.
        gfx: AMD targets with code in its wheels.
        rocblas: Those of them that rocBLAS in its wheels has kernels for; empty: all.
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
    overrides: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ("x86_64", "aarch64")
    machines: tuple[str, ...] = ()
    sms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    gfx: tuple[str, ...] = ()
    rocblas: tuple[str, ...] = ()
    driver_minimum: int = 0
    gcc: Range | None = None
    preference: int = 50
    channel: str = "stable"


@dataclass(frozen=True)
class Source:
    """Where the source of one version comes from, and what it has to be.

    Attributes:
        kind: ``index`` (an sdist of the package index), ``archive`` or ``git`` (with its submodules).
        name: File name; for ``git`` the repository's short name.
        digest: sha256 of the file, or the full commit.
        urls: Addresses in order, mirrors last; empty for ``index``.
    """

    kind: str
    name: str
    digest: str
    urls: tuple[str, ...] = ()


@dataclass(frozen=True)
class Release:
    """One version that a recipe builds.

    Attributes:
        version: As its wheel says it, without a local version.
        source: Its source.
        build_lock: Hashed build requirements, the text itself.
        patches: Our changes of the source, file name to text, in order.
        torch: Versions of torch it holds for; empty: any.
        python_minimum: Oldest Python it holds for.
        python_maximum: Newest Python it holds for.
    """

    version: str
    source: Source
    build_lock: str
    patches: Mapping[str, str] = field(default_factory=dict)
    torch: tuple[str, ...] = ()
    python_minimum: tuple[int, ...] = (3, 10)
    python_maximum: tuple[int, ...] = (3, 14)


@dataclass(frozen=True)
class Settings:
    """Variables of the build that hold where all conditions of `when` do, each a list of values that fit."""

    variables: Mapping[str, str]
    when: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class SystemPackages:
    """Packages of apt that building needs where all conditions of `when` hold."""

    apt: tuple[str, ...]
    when: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Contents:
    """What the built wheel must hold, or it is not published.

    Attributes:
        extensions: Compiled modules, which must load.
        modules: Modules; they may need more than is there when the wheel is tried, so the smoke test imports what it can.
        sass: Compute capabilities it has machine code for, and no others; ``("host",)``: the variant's; empty: no matter.
        not_cpu_only: Whether a build for an accelerator must have code for it, or link its libraries.
    """

    extensions: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    sass: tuple[str, ...] = ()
    not_cpu_only: bool = False


ALWAYS, WITH_STACK = "always", "with_stack"


@dataclass(frozen=True)
class Recipe:
    """How one package is built from its source.

    Attributes:
        use: `ALWAYS`, `WITH_STACK` (where the stack itself is built from source) or ``on_request``.
        releases: What it builds, the preferred one first.
        compiled_against: Packages whose wheels it is compiled against: they are in the build environment and in the key.
        settings: Variables of the build, later ones over earlier ones.
        system_packages: What the host needs for it, beside what `Platforms` asks for.
        commands: Argument lists, in order; empty: pip builds the wheel.
        contents: What the wheel must hold.
        smoke: A Python program that must end well where only the wheel and its build requirements are installed.
        index_locks: For a package others are compiled against: the hashed lock of the wheel an index has, by its version.
        memory_gib: What one compile job takes at most.
        seconds: About how long a build takes on two cores.
    """

    use: str
    releases: tuple[Release, ...]
    memory_gib: float
    seconds: int
    compiled_against: tuple[str, ...] = ()
    settings: tuple[Settings, ...] = ()
    system_packages: tuple[SystemPackages, ...] = ()
    commands: tuple[tuple[str, ...], ...] = ()
    contents: Contents = field(default_factory=Contents)
    smoke: str = ""
    index_locks: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class IndexWheels:
    """What the wheels are that an index has of a package, for one CPU architecture.

    Attributes:
        backend: ``cpu``, or CUDA by its major version: ``cuda12``.
        sms: Compute capabilities with machine code in them, with nvcc's suffix (``9.0a``); empty: all that matter.
    """

    backend: str
    sms: tuple[str, ...] = ()


@dataclass(frozen=True)
class Limit:
    """Where a package cannot be had, and why.

    Attributes:
        why: The reason.
        when: Conditions that all hold where it is so, each a list of values that fit: ``architecture``, ``backend`` (``cpu``, ``cuda`` …),
            ``machine``, ``sm`` (the lowest one of the host's NVIDIA GPUs), ``stack``.
    """

    why: str
    when: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Package:
    """A package that an environment can ask for; one that the catalog does not know has a name, what is asked for, and nothing else.

    Attributes:
        name: Distribution name, normalised.
        requires: Requirements it adds to the resolution.
        overrides: Requirements that replace what others declare.
        module: Module that shows it is there.
        recipe: How it is built from source, where it has to be.
        index_wheels: What an index's wheels are, by CPU architecture, where it matters for a GPU.
        needs: Packages of the catalog that it brings and whose entries count as well.
        pins: What its newest release requires of others so narrowly that it decides which packages can be with it.
        conflicts: Packages that cannot be in one environment with it, each with the reason.
        limits: Where it cannot be had.
        python: The oldest and the newest Python that it works on.
        python_why: Why not on others.
        for_torch: What is required of it by the version of torch that its releases were built for; empty: any torch.
    """

    name: str
    requires: tuple[str, ...]
    overrides: tuple[str, ...] = ()
    module: str = ""
    recipe: Recipe | None = None
    index_wheels: Mapping[str, IndexWheels] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    pins: Mapping[str, str] = field(default_factory=dict)
    conflicts: Mapping[str, str] = field(default_factory=dict)
    limits: tuple[Limit, ...] = ()
    python: tuple[tuple[int, ...], tuple[int, ...]] = ((3, 0), (3, 99))
    python_why: str = ""
    for_torch: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Platform:
    """An operating system that is known.

    Attributes:
        name: ``ID`` of its os-release.
        versions: Its versions; ``12`` stands for 12.1 too.
        packages: What it calls a system package, by the usual name.
    """

    name: str
    versions: tuple[str, ...]
    packages: Mapping[str, str] = field(default_factory=dict)

    def is_of(self, system: str, version: str) -> bool:
        """Whether a host with this os-release is one of them."""
        return system == self.name and any(
            version == known or version.startswith(f"{known}.") for known in self.versions
        )


@dataclass(frozen=True)
class Catalog:
    """Everything that can be installed.

    Attributes:
        apt_run: System packages that every host needs, by their usual names.
        apt_build: Those that a host needs to build.
    """

    stacks: Mapping[str, Stack]
    packages: Mapping[str, Package]
    models: Mapping[str, Model]
    platforms: Mapping[str, Platform]
    apt_run: tuple[str, ...]
    apt_build: tuple[str, ...]
    base: tuple[str, ...] = field(default=("pip", "setuptools"))
    projects: Mapping[str, Project] = field(default_factory=dict)

    @property
    def apt(self) -> list[str]:
        """Every system package that some host may need, by any system's name."""
        recipes = [package.recipe for package in self.packages.values() if package.recipe]
        built = {name for recipe in recipes for entry in recipe.system_packages for name in entry.apt}
        others = {name for platform in self.platforms.values() for name in platform.packages.values()}
        models = {name for model in self.models.values() for name in model.apt}
        return sorted({*self.apt_run, *self.apt_build, *built, *others, *models})

    def platform(self, system: str, version: str) -> Platform | None:
        """The operating system of a host by its os-release."""
        return next((known for known in self.platforms.values() if known.is_of(system, version)), None)


def from_index(catalog: Catalog, index: str) -> Catalog:
    """The catalog where one index has everything: an offline bundle's holds the wheels of each origin."""

    def there(stack: Stack) -> Stack:
        return replace(stack, origins=tuple(replace(item, url=index) if item.url else item for item in stack.origins))

    return replace(catalog, stacks={name: there(stack) for name, stack in catalog.stacks.items()})


def cuda_version(backend: str) -> str:
    """``13.0`` of ``cuda13_0``; empty where the backend is none of CUDA."""
    return backend[4:].replace("_", ".") if backend.startswith("cuda") else ""


def stack(data: Parsed, toolkits: Mapping[str, Range]) -> Stack:
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
        overrides=tuple(data.get("overrides", ())),
        architectures=tuple(data.get("architectures", ("x86_64", "aarch64"))),
        machines=tuple(data.get("machines", ())),
        sms={arch: tuple(sms) for arch, sms in data.get("sms", {}).items()},
        gfx=tuple(data.get("gfx", ())),
        rocblas=tuple(data.get("rocblas", ())),
        driver_minimum=data.get("driver_minimum", 0),
        gcc=toolkits.get(cuda_version(data["backend"])),
        preference=data.get("preference", 50),
        channel=data.get("channel", "stable"),
    )


def package(data: Parsed, files: Mapping[str, str]) -> Package:
    """A package from a checked file; `files` is the text of each lock and patch it names."""
    recipe, python = data.get("recipe"), data.get("python", {})
    return Package(
        name=data["name"],
        requires=tuple(data.get("requires", [data["name"]])),
        overrides=tuple(data.get("overrides", [])),
        module=data.get("module", ""),
        recipe=None if recipe is None else _recipe(recipe, files),
        index_wheels={
            architecture: IndexWheels(held["backend"], tuple(held.get("sms", ())))
            for architecture, held in data.get("index_wheels", {}).items()
        },
        needs=tuple(data.get("needs", ())),
        pins=dict(data.get("pins", {})),
        conflicts=dict(data.get("conflicts", {})),
        limits=tuple(Limit(entry["why"], _when(entry)) for entry in data.get("limits", ())),
        python=(numbers(python.get("minimum", "3.0")), numbers(python.get("maximum", "3.99"))),
        python_why=python.get("why", ""),
        for_torch={torch: tuple(lines) for torch, lines in data.get("for_torch", {}).items()},
    )


def files_of(recipe: Parsed) -> list[str]:
    """The locks and patches that a recipe's data names, relative to its file."""
    releases = recipe["releases"]
    patches = [name for release in releases for name in release.get("patches", [])]
    return [*(release["build_lock"] for release in releases), *patches, *recipe.get("index_locks", {}).values()]


def _recipe(data: Parsed, files: Mapping[str, str]) -> Recipe:
    contents = data["must_contain"]
    sass = contents.get("sass", [])
    return Recipe(
        use=data["use"],
        releases=tuple(_release(release, files) for release in data["releases"]),
        compiled_against=tuple(data.get("compiled_against", [])),
        settings=tuple(Settings(item["set"], _when(item)) for item in data.get("environment", [])),
        system_packages=tuple(
            SystemPackages(tuple(item["apt"]), _when(item)) for item in data.get("system_packages", [])
        ),
        commands=tuple(tuple(command) for command in data.get("commands", [])),
        contents=Contents(
            extensions=tuple(contents.get("extensions", [])),
            modules=tuple(contents.get("modules", [])),
            sass=(sass,) if isinstance(sass, str) else tuple(sass),
            not_cpu_only=contents.get("not_cpu_only", False),
        ),
        smoke=data.get("smoke", ""),
        index_locks={version: files[name] for version, name in data.get("index_locks", {}).items()},
        memory_gib=float(data["memory_gib"]),
        seconds=data["seconds"],
    )


def _when(data: Parsed) -> dict[str, tuple[str, ...]]:
    return {name: (value,) if isinstance(value, str) else tuple(value) for name, value in data.get("when", {}).items()}


def _release(data: Parsed, files: Mapping[str, str]) -> Release:
    python = data.get("python", {})
    return Release(
        version=data["version"],
        source=_source(data["source"]),
        build_lock=files[data["build_lock"]],
        patches={name: files[name] for name in data.get("patches", [])},
        torch=tuple(data.get("torch", [])),
        python_minimum=numbers(python.get("minimum", "3.10")),
        python_maximum=numbers(python.get("maximum", "3.14")),
    )


def _source(data: Parsed) -> Source:
    mirrors = tuple(data.get("mirrors", []))
    if "git" in data:
        return Source("git", data["git"].rstrip("/").rpartition("/")[2], data["commit"], (data["git"], *mirrors))
    if "archive" in data:
        return Source("archive", data["archive"].rpartition("/")[2], data["sha256"], (data["archive"], *mirrors))
    return Source("index", data["index"], data["sha256"])


def platform(data: Parsed) -> Platform:
    """A known operating system from a checked file."""
    return Platform(data["name"], tuple(data["versions"]), dict(data.get("packages", {})))
