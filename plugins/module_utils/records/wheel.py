"""Wheels that are built from source: what is to be built, what was, and what travels."""

from __future__ import annotations

from typing import Literal, Optional, TypedDict


class SourceSpec(TypedDict):
    """The source of a build.

    Attributes:
        kind: ``index`` (an sdist of the package index), ``archive`` or ``git`` (with its submodules).
        name: Of the archive or the repository.
        digest: sha256 of the archive, or the commit.
        urls: Where it can be had, mirrors last; empty for ``index``.
    """

    kind: str
    name: str
    digest: str
    urls: list[str]


class Contents(TypedDict):
    """What a built wheel must contain.

    Attributes:
        extensions: Patterns of shared libraries.
        modules: Python modules.
        sass: Compute capabilities that its CUDA code must serve.
        not_cpu_only: Whether a build without GPU code is a failure.
    """

    extensions: list[str]
    modules: list[str]
    sass: list[str]
    not_cpu_only: bool


class AgainstSpec(TypedDict):
    """A wheel that another is compiled against.

    Attributes:
        name: Its distribution.
        version: Its version.
        key: Its wheel key; empty for an index's wheel.
        lock: The hashed lock of an index's wheel; empty for one of ours.
    """

    name: str
    version: str
    key: str
    lock: str


class WheelIdentity(TypedDict):
    """All that can change the bytes of a wheel: the wheel key is its digest."""

    schema: int
    name: str
    version: str
    variant: str
    source: list[str]
    patches: list[str]
    build_requirements: list[str]
    environment: dict[str, str]
    commands: list[list[str]]
    gcc: str
    libc: str
    cuda: str
    against: dict[str, str]


class _WheelSpec(TypedDict):
    """What every wheel's spec has."""

    name: str
    version: str
    variant: str
    source: SourceSpec
    patches: dict[str, str]
    build_lock: str
    system_packages: list[str]
    environment: dict[str, str]
    commands: list[list[str]]
    contents: Contents
    smoke: str
    memory_gib: float
    seconds: int
    compiler: str
    cuda: str
    cuda_home: str
    against: list[AgainstSpec]
    python: str


class WheelSpec(_WheelSpec, total=False):
    """How a wheel is built: what the plan hands to the module `wheels`.

    Attributes:
        name: Distribution.
        version: Its version.
        variant: What it is for.
        source: Where it comes from.
        patches: Text of each patch by its file name, in order.
        build_lock: Hashed lock of what builds it.
        system_packages: Debian packages that it needs.
        environment: Variables of the build; places such as ``{prefix}`` are filled in when it starts.
        commands: What is run, each as its words.
        contents: What the wheel must contain.
        smoke: Python code that must run with the wheel installed.
        memory_gib: GiB that one job takes.
        seconds: Rough time on two cores.
        compiler: Such as ``gcc 12.2.0``.
        cuda: Version of the toolkit; empty where none is used.
        cuda_home: Its folder.
        against: What it is compiled against.
        python: The interpreter that builds it.
        key: The wheel key, once the compiler is known.
        needed_by: Environments that need it.
        bundle: Address of the offline bundle that its source is taken from.
    """

    key: str
    needed_by: list[str]
    bundle: str


class KeptWheel(TypedDict):
    """A wheel by its key.

    Attributes:
        name: Distribution.
        key: Its wheel key.
    """

    name: str
    key: str


class _RecipeOfWheel(TypedDict):
    """What every recipe has."""

    name: str
    version: str


class RecipeOfWheel(_RecipeOfWheel, total=False):
    """What of its recipe a wheel's provenance keeps."""

    contents: Contents
    smoke: str
    memory_gib: float


class _Provenance(TypedDict):
    """What every provenance has."""

    schema: Literal[1]
    wheel: str
    sha256: str
    recipe: RecipeOfWheel
    variant: str


class Provenance(_Provenance, total=False):
    """``wheels/<wheel key>/provenance.json``: how a wheel was built. Without it a wheel is unfinished.

    Attributes:
        schema: Version of this record.
        wheel: Its file's name.
        sha256: Of the wheel.
        source: Where it came from.
        patches: sha256 of each patch.
        recipe: What was promised.
        build_requirements: Pins of what built it.
        build_lock_sha256: Of the lock of what built it.
        against: What it was compiled against.
        variant: What it is for.
        compiler: Such as ``gcc 12.2.0``.
        cuda: Version of the toolkit; empty where none was used.
        environment: Variables of the build.
        commands: What was run.
        tools: Versions of the tools that were used.
        targets: GPU targets of its code, by kind (``sass``, ``ptx``).
        needed: Libraries that it needs from elsewhere.
        provides: Libraries that it brings.
        needed_by: Environments that asked for it.
        machine: Where it was built.
        jobs: How many ran at once.
        gib_per_job: GiB that one job took at most; `None` where it was too short to see.
        seconds: How long it took.
    """

    source: SourceSpec
    patches: dict[str, str]
    build_requirements: list[str]
    build_lock_sha256: str
    against: list[dict[str, str]]
    compiler: str
    cuda: str
    environment: dict[str, str]
    commands: list[list[str]]
    tools: dict[str, str]
    targets: dict[str, list[str]]
    needed: list[str]
    provides: list[str]
    needed_by: list[str]
    machine: str
    jobs: int
    gib_per_job: Optional[float]
    seconds: float


class BuiltWheel(TypedDict):
    """A wheel that was built now.

    Attributes:
        name: Distribution.
        version: Its version.
        variant: What it is for.
        key: Its wheel key.
        seconds: How long it took.
    """

    name: str
    version: str
    variant: str
    key: str
    seconds: float


class WheelManifest(TypedDict):
    """``manifest.json`` of a wheel that travels; it is signed.

    Attributes:
        schema: Version of this record.
        key: The wheel key.
        variant: What it is for.
        name: Distribution.
        version: Its version.
        wheel: Its file's name.
        files: sha256 of each file beside it, the wheel's own among them.
        builder: Who built and signed it.
    """

    schema: Literal[1]
    key: str
    variant: str
    name: str
    version: str
    wheel: str
    files: dict[str, str]
    builder: str


class Transfer(TypedDict):
    """A wheel that one host gets from another.

    Attributes:
        key: The wheel key.
        name: Distribution.
        version: Its version.
        source: The host that has it; empty for the wheelhouse.
    """

    key: str
    name: str
    version: str
    source: str


class Brought(TypedDict):
    """What became of wheels that were to be brought.

    Attributes:
        published: Keys of those that are there now.
        refused: Why each other one is not, by its key.
        replaced: What was wrong with each that was replaced, by its key.
    """

    published: list[str]
    refused: dict[str, str]
    replaced: dict[str, str]


class Signed(TypedDict):
    """What signing wheels gave.

    Attributes:
        changed: Whether one of them was not signed before.
        public: The builder's public key.
    """

    changed: bool
    public: str


class PlannedWheel(TypedDict):
    """A package built from source, as a plan's JSON has it.

    Attributes:
        name: Distribution.
        version: Its version.
        key: The wheel key; `None` before the compiler is known.
        status: ``hit``, ``fetch`` or ``build``.
        seconds: Rough time on this host.
        spec: How it is built.
    """

    name: str
    version: str
    key: Optional[str]
    status: str
    seconds: int
    spec: WheelSpec


class WheelsOfEnvironment(TypedDict):
    """The part of an environment's plan that is about wheels.

    Attributes:
        wheels: Those that are built from source.
        phases: What has to be done.
    """

    wheels: list[PlannedWheel]
    phases: list[str]


class PlanOfWheels(TypedDict):
    """The part of a host's plan that is about wheels.

    Attributes:
        environments: Its environments.
    """

    environments: list[WheelsOfEnvironment]
