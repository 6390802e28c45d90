"""What the audit says of a wheel, an environment or a library."""

from __future__ import annotations

from typing import Literal, TypedDict

Verdict = Literal["serves", "cpu_only", "cannot_serve"]


class Extent(TypedDict):
    """Targets, each with the number of fatbins that it is in.

    Attributes:
        throughout: Those in half of the fatbins or more.
        partial: The others: kernels that are compiled for targets of their own.
    """

    throughout: dict[str, int]
    partial: dict[str, int]


class Targets(TypedDict):
    """The GPU targets that some libraries hold.

    Attributes:
        sass: Machine code.
        ptx: What the driver compiles when it is first used.
    """

    sass: Extent
    ptx: Extent


class AuditedLibrary(TypedDict):
    """A library with GPU code.

    Attributes:
        path: Where it is in the artifact.
        package: The folder of packages that it belongs to.
        judged: Whether its GPU code says which GPUs it serves; NVIDIA's own pick kernels at run time.
        fatbins: How many it holds.
        targets: For which GPUs.
    """

    path: str
    package: str
    judged: bool
    fatbins: int
    targets: Targets


class Wants(TypedDict):
    """Libraries of accelerators that are wanted from elsewhere.

    Attributes:
        needed: What the loader looks for.
        opened: What is opened by name later.
    """

    needed: list[str]
    opened: list[str]


class GpuVerdict(TypedDict):
    """What the artifact is for one compute capability.

    Attributes:
        sm: The compute capability, ``11.0``.
        verdict: Serves, runs on the CPU only, or cannot serve.
        serves: Whether it serves.
        how: ``sass`` or ``ptx``; empty where no GPU code of its own runs.
        without: Libraries of which nothing runs there.
        reasons: Why.
    """

    sm: str
    verdict: Verdict
    serves: bool
    how: str
    without: list[str]
    reasons: list[str]


class AuditFinding(TypedDict):
    """Something that is wrong.

    Attributes:
        id: Which kind of thing.
        detail: What, naming the items.
        remedy: What to do about it.
    """

    id: str
    detail: str
    remedy: str


class AuditReport(TypedDict):
    """The judgement of one artifact.

    Attributes:
        path: As it was asked for.
        kind: A wheel, a prefix or a single library.
        machines: The CPU architectures that it is for.
        systems: Other systems than Linux with glibc that it is for.
        backend: What the torch in it was built for; empty where it has none.
        examined: How many libraries it has.
        targets: Its GPU targets.
        libraries: Those with GPU code.
        cpu_only: Packages that have builds for GPUs elsewhere and are built for the CPU only here.
        wants: What it wants from elsewhere.
        verdicts: One for each compute capability that was asked about.
        findings: What is wrong whichever GPU it is for.
        verdict: The worst of the verdicts.
        serves: Whether everything that was asked about is served, and nothing is wrong.
    """

    path: str
    kind: Literal["wheel", "prefix", "library"]
    machines: list[str]
    systems: list[str]
    backend: str
    examined: int
    targets: Targets
    libraries: list[AuditedLibrary]
    cpu_only: list[str]
    wants: Wants
    verdicts: list[GpuVerdict]
    findings: list[AuditFinding]
    verdict: Verdict
    serves: bool


class AskedGpu(TypedDict):
    """A GPU of a host.

    Attributes:
        name: What its maker calls it.
        sm: Its compute capability.
    """

    name: str
    sm: str


class AskedHost(TypedDict):
    """A host that an artifact is judged for.

    Attributes:
        architecture: Of its CPU; empty where it is not known.
        gpus: Its NVIDIA GPUs.
    """

    architecture: str
    gpus: list[AskedGpu]


class HostVerdict(TypedDict):
    """What the artifact is on one host.

    Attributes:
        host: Its name.
        gpus: Its GPUs, for people.
        verdict: The worst over its GPUs.
        serves: Whether it does all that this host has: one without GPUs is served by what runs on it.
        why: Why it cannot, where no verdict says it.
    """

    host: str
    gpus: list[str]
    verdict: Verdict
    serves: bool
    why: str
