"""A host as it was observed: what the module `observe` returns and the plan reads."""

from __future__ import annotations

from typing import Literal, Optional, TypedDict

from .generation import GenerationManifest, Verdict


class User(TypedDict):
    """Who connects.

    Attributes:
        name: Login name.
        uid: Its number.
        home: Home directory.
        privilege: How system packages can be installed: ``root``, ``sudo`` (without a password) or ``none``.
    """

    name: str
    uid: int
    home: str
    privilege: str


class OperatingSystem(TypedDict):
    """Distribution, kernel and C library.

    Attributes:
        id: As in os-release, such as ``debian``.
        version_id: As in os-release, such as ``12``.
        pretty_name: Its name for people.
        codename: Such as ``bookworm``.
        kernel: Release of the kernel.
        libc: As ``glibc 2.36`` or ``musl``.
        wsl: Whether it runs in WSL.
        container: Kind of container; empty outside of one.
        systemd: Whether systemd is the init system.
    """

    id: str
    version_id: str
    pretty_name: str
    codename: str
    kernel: str
    libc: str
    wsl: bool
    container: str
    systemd: bool


class Machine(TypedDict):
    """The hardware as a whole.

    Attributes:
        model: As the firmware names it.
        kind: ``jetson``, ``dgx_spark`` (any machine with GB10), ``grace``, ``wsl2``, ``wsl1``, ``container``, ``board``, ``server``, ``workstation`` or ``unknown``.
        why: Where that was read.
        jetson: Whether it is a Jetson, in a container too.
        module: Name of a Jetson's module.
        l4t: Release of a Jetson's L4T.
        jetpack: JetPack of that release; of an unknown one the nearest older.
    """

    model: str
    kind: str
    why: str
    jetson: bool
    module: Optional[str]
    l4t: Optional[str]
    jetpack: Optional[str]


class VectorUnit(TypedDict):
    """Arm's scalable vectors.

    Attributes:
        bits: Width of a register.
        source: Where that was read.
    """

    bits: int
    source: str


class Processor(TypedDict):
    """The CPU.

    Attributes:
        architecture: ``x86_64``, ``aarch64`` or another that the kernel names.
        isa: Instruction set level, one of `terms.variant.ISA_LEVELS`.
        cores: Usable ones.
        model: Its name.
        sve: `None` where there is no SVE.
        page_size: Bytes.
    """

    architecture: str
    isa: str
    cores: int
    model: str
    sve: Optional[VectorUnit]
    page_size: int


class Memory(TypedDict):
    """Main memory.

    Attributes:
        total: Bytes.
        available: Bytes.
    """

    total: int
    available: int


class Disk(TypedDict):
    """The file system that Wavesmith's folder is on, seen at the nearest existing parent.

    Attributes:
        path: Where it was asked.
        free: Bytes.
        total: Bytes.
    """

    path: str
    free: int
    total: int


class Gpu(TypedDict):
    """One GPU.

    Attributes:
        vendor: ``nvidia``, ``amd``, ``intel``; ``directx`` for what WSL2 shows as ``/dev/dxg`` only.
        name: For people.
        sm: NVIDIA's compute capability, such as ``11.0``.
        gfx: AMD's target, such as ``gfx1100``.
        memory: Bytes; `None` when unified or unknown.
        source: Where that was read; ``+`` joins the sources of the GPU and of its `sm`.
    """

    vendor: str
    name: str
    sm: Optional[str]
    gfx: Optional[str]
    memory: Optional[int]
    source: str


class NvidiaDriver(TypedDict):
    """NVIDIA's driver.

    Attributes:
        driver: Its version.
        driver_source: Where that was read.
        cuda: The newest CUDA that it serves.
        cuda_source: Where that was read.
    """

    driver: Optional[str]
    driver_source: Optional[str]
    cuda: Optional[str]
    cuda_source: Optional[str]


class Rocm(TypedDict):
    """ROCm.

    Attributes:
        version: Its version.
        source: Where that was read.
    """

    version: Optional[str]
    source: Optional[str]


class Toolkit(TypedDict):
    """A CUDA toolkit.

    Attributes:
        version: Such as ``13.0``.
        path: Its folder.
        source: Where that was read.
        nvcc: Whether the compiler is there.
        sms: Compute capabilities that it compiles for; `None` where nvcc does not list them.
    """

    version: str
    path: str
    source: str
    nvcc: bool
    sms: Optional[list[str]]


class Python(TypedDict):
    """A Python of the system.

    Attributes:
        path: The interpreter.
        version: Such as ``3.11.2``.
        headers: Whether its C headers are there.
        venv: Whether it can make virtual environments.
    """

    path: str
    version: str
    headers: bool
    venv: bool


class Apt(TypedDict):
    """The system's packages.

    Attributes:
        present: Whether there is apt.
        installed: Version of each of the packages asked about.
        missing: Those of them that are not installed.
    """

    present: bool
    installed: dict[str, str]
    missing: list[str]


class SourceState(TypedDict, total=False):
    """A package source, asked over the network.

    Attributes:
        url: Its address without credentials.
        answers: Whether it does.
        inconclusive: Whether it gave no answer, and no refusal either: its download will show.
        detail: What it said.
        seconds: How long that took.
        configured_by: Which variable or file names it.
    """

    url: str
    answers: bool
    inconclusive: bool
    detail: str
    seconds: float
    configured_by: str


class Finding(TypedDict):
    """Something that stands in the way.

    Attributes:
        id: Its name, such as ``nvidia.driver``.
        detail: What is wrong.
        remedy: What to do.
    """

    id: str
    detail: str
    remedy: str


class AskedSources(TypedDict):
    """What a host's package sources answered.

    Attributes:
        sources: By name.
        findings: What stands in the way.
    """

    sources: dict[str, SourceState]
    findings: list[Finding]


class Toolbox(TypedDict):
    """The toolbox.

    Attributes:
        digest: Of its lock; `None` where there is none.
        intact: Whether it runs.
    """

    digest: Optional[str]
    intact: bool


class KeptGeneration(TypedDict, total=False):
    """A generation on the host's disk.

    Attributes:
        name: Its folder.
        complete: Whether it has its manifest.
        digest: Of all that went into it.
        created: Seconds since 1970.
        exit: The doctor's exit status; `None` where it was not judged.
        shares_files: Whether files of it are hard links to those of others.
        intact: Whether its files are those that were sealed; only for complete ones.
        damage: What differs from the sealed state; the first few.
    """

    name: str
    complete: bool
    digest: str
    created: float
    exit: Optional[int]
    shares_files: bool
    intact: bool
    damage: list[str]


class CurrentGeneration(TypedDict):
    """The generation that ``current`` points to.

    Attributes:
        generation: Its name.
        damage: What differs from the sealed state; the first few.
        damaged: How many differ.
        manifest: `None` where it is lost, or not one that is known here.
        verdict: Without its evidence; `None` where it was not judged.
    """

    generation: str
    damage: list[str]
    damaged: int
    manifest: Optional[GenerationManifest]
    verdict: Optional[Verdict]


class KeptEnvironment(TypedDict):
    """An environment on the host's disk.

    Attributes:
        current: `None` where nothing is current.
        generations: Oldest first.
    """

    current: Optional[CurrentGeneration]
    generations: list[KeptGeneration]


class Holder(TypedDict, total=False):
    """Who holds a host's lock.

    Attributes:
        pid: The process.
        purpose: What it does.
        since: Seconds since 1970.
    """

    pid: int
    purpose: str
    since: float


class Store(TypedDict):
    """What Wavesmith keeps on a host.

    Attributes:
        toolbox: The pinned tools.
        environments: By name, those that were asked about.
        wheels: Wheel keys at hand.
        weights: Sets of weights that are complete, by key.
        all_environments: Names of all environments, those that were not asked about too.
        toolboxes: Digests of all toolboxes.
        build_memory: GiB per job that builds really took, by package.
        busy: Who holds the lock; `None` where it is free.
    """

    toolbox: Toolbox
    environments: dict[str, KeptEnvironment]
    wheels: list[str]
    weights: list[str]
    all_environments: list[str]
    toolboxes: list[str]
    build_memory: dict[str, float]
    busy: Optional[Holder]


class ObservedHost(TypedDict):
    """What the module `observe` returns.

    Attributes:
        schema: Version of this record.
        hostname: Name of the host, as it says itself.
        user: Who connects.
        os: Distribution, kernel and C library.
        machine: The hardware as a whole.
        cpu: The CPU.
        memory: Main memory.
        disk: The file system of `root`.
        accelerators: GPUs.
        nvidia: NVIDIA's driver.
        rocm: ROCm.
        toolkits: CUDA toolkits.
        compilers: Version of each compiler by name; `None` when absent.
        pythons: The system's Pythons.
        apt: The system's packages.
        sources: Package sources by name.
        root: Wavesmith's folder.
        libraries: Those of the libraries asked about that its dynamic linker has; `None` where it could not be asked, or was asked about none.
        findings: What stands in the way.
    """

    schema: Literal[1]
    hostname: str
    user: User
    os: OperatingSystem
    machine: Machine
    cpu: Processor
    memory: Memory
    disk: Disk
    accelerators: list[Gpu]
    nvidia: NvidiaDriver
    rocm: Rocm
    toolkits: list[Toolkit]
    compilers: dict[str, Optional[str]]
    pythons: list[Python]
    apt: Apt
    sources: dict[str, SourceState]
    root: str
    libraries: Optional[list[str]]
    findings: list[Finding]


class Observed(ObservedHost, Store):
    """A host and what is kept on it: all that the plan knows of it."""
