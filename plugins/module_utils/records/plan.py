"""The parts of a plan that are plain data, and its file as others read it; the plan itself is `plan.record.Plan`."""

from __future__ import annotations

from typing import Optional, TypedDict

from .generation import Override
from .wheel import PlannedWheel


class Step(TypedDict):
    """One step of a plan.

    Attributes:
        phase: One of `plan.record.PHASES`.
        name: What it is about.
        detail: A few words more.
        seconds: Rough time.
    """

    phase: str
    name: str
    detail: str
    seconds: int


class Considered(TypedDict):
    """A stack that was weighed.

    Attributes:
        stack: Its name.
        taken: Whether it was chosen.
        why: The reason.
    """

    stack: str
    taken: bool
    why: str


class Instead(TypedDict, total=False):
    """What wheels of an index would save; empty where they would save nothing.

    Attributes:
        stack: The stack that they are.
        torch: Its torch.
        seconds: Rough time of building the torch family.
    """

    stack: str
    torch: str
    seconds: int


class LockPlan(TypedDict, total=False):
    """The lock of an environment.

    Attributes:
        key: Its name, and that of its file.
        status: ``hit``, ``stale``, ``missing`` or ``damaged``.
        inputs: Digest of what is asked.
        requirements: What the resolver is asked for.
        overrides: What replaces anybody's requirements.
        built: Packages that are built from source.
        banned: Packages that must not come in, because no stack decides on them.
        sha256: Of the lock at hand; `None` where it does not answer this.
        declared: Requirements that projects declare, each with who does.
    """

    key: str
    status: str
    inputs: str
    requirements: list[str]
    overrides: list[str]
    built: list[str]
    banned: list[str]
    sha256: Optional[str]
    declared: list[list[str]]


class ChannelOf(TypedDict):
    """A conda channel.

    Attributes:
        name: As locks have it.
        url: Where it is; empty for the tools' own address.
    """

    name: str
    url: str


class CondaPlan(TypedDict, total=False):
    """The conda lock of an environment; empty for engine ``venv``.

    Attributes:
        key: Its name, and that of its file.
        status: ``hit``, ``stale``, ``missing`` or ``damaged``.
        inputs: Digest of what is asked.
        specs: What channels are asked for.
        channels: Where packages come from, in order.
        subdir: Such as ``linux-64``.
        banned: Packages that must not come from a channel.
        offline: Whether channels are never asked over the network.
        sha256: Digest of the lock at hand; `None` where it does not answer this.
        lock: Its text, for who installs it.
    """

    key: str
    status: str
    inputs: str
    specs: list[str]
    channels: list[ChannelOf]
    subdir: str
    banned: list[str]
    offline: bool
    sha256: Optional[str]
    lock: str


class ChannelPackage(TypedDict, total=False):
    """A package of a conda channel, as one line of a lock has it: what linking needs, and what conda's own tools ask for later.

    Attributes:
        channel: Name of its channel.
        fn: Its file's name.
        sha256: Of the file.
    """

    build: str
    build_number: int
    channel: str
    constrains: list[str]
    depends: list[str]
    fn: str
    license: str
    md5: str
    name: str
    noarch: str
    python_site_packages_path: str
    sha256: str
    size: int
    subdir: str
    timestamp: int
    track_features: str
    version: str


class RefusalOf(TypedDict):
    """Why nothing is done (`terms.refusal.Refusal`).

    Attributes:
        item: What it is about.
        problem: What is wrong with it.
        remedy: What to do.
    """

    item: str
    problem: str
    remedy: str


class PlannedEnvironment(TypedDict, total=False):
    """An environment in a plan's JSON, as far as others read it; `plan.record.EnvironmentPlan` explains each field."""

    name: str
    state: str
    stack: str
    stack_why: str
    considered: list[Considered]
    versions: dict[str, str]
    variant: str
    conda: CondaPlan
    lock: LockPlan
    wheels: list[PlannedWheel]
    overrides: list[Override]
    generation: Optional[str]
    current: Optional[str]
    phases: list[str]
    changes: list[str]


class PlanFile(TypedDict, total=False):
    """A plan's JSON, ``artifacts/<host>/plan.json``, as far as others read it; `plan.record.Plan` explains each field."""

    root: str
    environments: list[PlannedEnvironment]
    phases: list[str]
    steps: list[Step]
    unwanted: list[str]
    warnings: list[str]
    refusals: list[RefusalOf]
    seconds: int
