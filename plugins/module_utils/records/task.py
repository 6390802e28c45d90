"""What the plan hands to the module of each phase."""

from __future__ import annotations

from typing import Optional, TypedDict, Union

from .generation import Override, PythonOf
from .model import ModelOf, WeightsOf
from .plan import ChannelOf, ChannelPackage, CondaPlan
from .wheel import KeptWheel, SourceSpec, WheelSpec


class OwnWheelFile(TypedDict):
    """A project's own wheel, built on the controller.

    Attributes:
        file: Its file's name.
        path: Where it is; on the host once it was brought there.
        sha256: Of the wheel.
        content: Digest of all that it was built from.
        data: The wheel itself, in base64.
    """

    file: str
    path: str
    sha256: str
    content: str
    data: str


class _LockTask(TypedDict):
    """What every lock to resolve has."""

    environment: str
    generation: Optional[str]
    python: PythonOf
    origin_url: str
    wheels: list[KeptWheel]
    key: str
    inputs: str
    requirements: list[str]
    overrides: list[str]
    declared: list[list[str]]


class LockTask(_LockTask, total=False):
    """A lock to resolve.

    Attributes:
        environment: Its environment.
        generation: Not known yet.
        python: The environment's Python.
        origin_url: Index of the origin; empty for the package index.
        wheels: Packages that are built from source.
        key: The lock's name.
        inputs: Digest of what is asked.
        requirements: What the resolver is asked for.
        overrides: What replaces anybody's requirements.
        declared: Requirements that projects declare, each with who does.
        banned: Packages that must not come in, because no stack decides on them.
        known: Names of the catalog, for one that the index does not have.
        bundle: Address of an offline bundle, which has the commits of repositories; empty for none.
        before: The lock that it replaces, whose versions stay where they can; empty for none.
        upgrade: Packages whose newest releases are taken all the same.
    """

    banned: list[str]
    known: list[str]
    bundle: str
    before: str
    upgrade: list[str]


class ChannelLockTask(TypedDict):
    """A conda lock to resolve: its environment, and what `CondaPlan` says."""

    environment: str
    key: str
    specs: list[str]
    channels: list[ChannelOf]
    subdir: str
    banned: list[str]
    offline: bool


class CodeFile(TypedDict):
    """The source tree of models, packed on the controller.

    Attributes:
        folder: Where it lies below the prefix.
        file: Name of the archive.
        path: Where that is; on the host once it was brought there.
        sha256: Of the archive.
    """

    folder: str
    file: str
    path: str
    sha256: str


class _InstallTask(TypedDict):
    """What every environment to install has."""

    environment: str
    generation: str
    digest: str
    stack: str
    backend: str
    versions: dict[str, str]
    origin: str
    origin_url: str
    variant: str
    engine: str
    python: PythonOf
    imports: dict[str, str]
    accelerated: bool
    variables: dict[str, str]
    sms: list[str]
    prebuilt: bool
    held: dict[str, str]
    overrides: list[Override]
    models: list[ModelOf]
    key: str
    lock: str
    conda: CondaPlan
    projects: list[OwnWheelFile]
    wheels: list[KeptWheel]


class InstallTask(_InstallTask, total=False):
    """A generation to make: what the plan decided (`plan.record.DECIDED`), and what it is made from.

    Attributes:
        generation: Its folder's name.
        origin_url: Index of the origin; empty for the package index.
        key: The lock's name.
        lock: The lock's text.
        conda: The conda lock; empty for engine ``venv``.
        projects: Wheels of projects.
        wheels: Packages that are built from source.
        constraints: What source archives are built with.
        bundle: Address of an offline bundle, which has the commits of repositories; empty for none.
        links: Whether its files are its own: ``auto``, ``copy`` or ``hardlink``.
        code: Source trees of its models.
    """

    code: list[CodeFile]
    constraints: list[str]
    bundle: str
    links: str


class ChannelContents(TypedDict):
    """What an environment takes from channels: the part of a task that is about them."""

    environment: str
    conda: CondaPlan


class ChannelWork(TypedDict):
    """What the conda worker is asked, whatever it is asked for.

    Attributes:
        specs: What channels are asked for.
        channels: Where packages come from, in order.
        subdir: Such as ``linux-64``.
        offline: Whether channels are never asked over the network.
        cache: Folder of what was fetched.
        work: Folder for this work alone.
    """

    specs: list[str]
    channels: list[ChannelOf]
    subdir: str
    offline: bool
    cache: str
    work: str


class ChannelSolve(ChannelWork):
    """A conda lock to resolve; `banned` must not come from a channel."""

    banned: list[str]


class ChannelFetch(ChannelWork):
    """Packages of a lock to fetch."""

    packages: list[ChannelPackage]


class ChannelInstall(ChannelFetch):
    """Packages of a lock to link into a prefix."""

    prefix: str


class ChannelAnswer(TypedDict, total=False):
    """What the conda worker answers.

    Attributes:
        records: The packages that were solved for.
        archives: The file of each package.
        packages: Versions by name of what was linked.
        failure: What went wrong, with its remedy.
    """

    records: list[ChannelPackage]
    archives: list[str]
    packages: dict[str, str]
    failure: str


class FetchTask(TypedDict):
    """Files that a lock names.

    Attributes:
        key: What to call the lock.
        lock: Its text.
        python: The Python that takes the files.
        origin_url: Index of the origin; empty for the package index.
    """

    key: str
    lock: str
    python: PythonOf
    origin_url: str


class ExportTask(FetchTask):
    """An environment that leaves a host as a whole.

    Attributes:
        environment: Its name.
        python: The Python that takes its files.
        origin_url: Index of the origin; empty for the package index.
        key: The lock's name.
        lock: The lock's text.
        conda: The conda lock; empty for engine ``venv``.
        wheels: Packages that were built from source.
        inspected: What was read of the lock's files, as its text; empty where nothing was.
    """

    environment: str
    conda: CondaPlan
    wheels: list[KeptWheel]
    inspected: str


class PackOf(TypedDict):
    """A commit that environments are planned with, packed on the controller.

    Attributes:
        commit: Its id.
        path: Where the pack is; on the host once it was brought there.
    """

    commit: str
    path: str


class BuildAgainTask(TypedDict):
    """What building a wheel again takes.

    Attributes:
        bundle: Address of the offline bundle that its source came from; empty for none.
        name: Distribution.
        source: Its source.
        locks: Locks of what is in its build environment.
        python: The interpreter that builds it.
    """

    bundle: str
    name: str
    source: SourceSpec
    locks: list[str]
    python: PythonOf


class Installed(TypedDict):
    """What was installed.

    Attributes:
        environment: Its environment.
        generation: Its folder's name.
        packages: How many packages are in it; `None` where it was there already.
        contents: Version of each of them; empty where it was there already.
        overrides: Requirements that were overridden.
    """

    environment: str
    generation: str
    packages: Optional[int]
    contents: dict[str, str]
    overrides: list[Override]


class VerifyTask(TypedDict):
    """A generation to judge.

    Attributes:
        environment: Its environment.
        generation: Its folder's name.
    """

    environment: str
    generation: str


class Tasks(TypedDict):
    """What the roles of each phase get from the plan of a host.

    Attributes:
        build: Wheels to build, each once.
        lock: Locks to resolve.
        weights: Weights to fetch, each set once.
        install: Generations to make.
        verify: Generations to judge.
        activate: The generation to switch each environment to.
        current: Generations in use.
    """

    build: list[WheelSpec]
    lock: list[Union[LockTask, ChannelLockTask]]
    weights: list[WeightsOf]
    install: list[InstallTask]
    verify: list[VerifyTask]
    activate: dict[str, str]
    current: list[VerifyTask]
