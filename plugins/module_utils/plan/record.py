"""The plan of a host as records."""

from __future__ import annotations

from dataclasses import dataclass, field, is_dataclass
from typing import Any, Literal

from ..records.generation import Override, PythonOf
from ..records.host import SourceState
from ..records.model import ModelOf, WeightsOf
from ..records.plan import CondaPlan, Considered, Instead, LockPlan, PlanFile, Step
from ..records.wheel import WheelSpec
from ..terms.refusal import Refusal
from ..wanted import model, project

SCHEMA: Literal[1] = 1

PHASES = ("prepare", "build", "lock", "weights", "install", "verify", "activate")

NOT_ASKED: SourceState = {"answers": True, "detail": "not asked, because there was nothing to fetch"}
"""Of a source, where nothing has to be fetched from any."""
_FETCHES = frozenset({"build", "lock", "install"})

SECONDS = {"system packages": 90, "toolbox": 15, "lock": 15, "fetch": 5, "activate": 1}
"""Rough times on two cores with a fast index, for the estimate; the summary shows what it really took, and the next plan takes that."""
DECIDED = (
    "digest",
    "stack",
    "backend",
    "versions",
    "origin",
    "variant",
    "engine",
    "python",
    "imports",
    "accelerated",
    "variables",
    "sms",
    "prebuilt",
    "held",
    "overrides",
    "models",
)
"""What the plan decides about a generation and its manifest keeps."""


@dataclass
class WheelPlan:
    """One package built from source.

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
    key: str | None
    status: str
    seconds: int
    spec: WheelSpec


@dataclass
class EnvironmentPlan:
    """What one environment needs.

    Attributes:
        name: Its name.
        state: ``new``, ``change``, ``kept``, ``switch`` or ``drifted``; empty where it is refused.
        stack: Name of the stack.
        stack_why: Why this one.
        considered: Every stack that was weighed, best first.
        instead: What wheels of an index would save.
        backend: The stack's backend.
        versions: Version of each package of the stack that is in it.
        variant: What its compiled wheels are for.
        python: Its Python.
        origin: Where its packages come from.
        origin_url: Index of the origin; empty for the package index.
        origin_why: Why this one.
        engine: ``venv`` or ``conda``.
        builder: The system's Python that makes it and builds its wheels.
        conda: The conda lock; empty for engine ``venv``.
        variables: What its processes find set.
        lock: The lock.
        wheels: Packages that are built from source.
        imports: The module of each package that must import.
        accelerated: Whether torch must compute on a GPU.
        sms: Compute capabilities of the host that it serves.
        prebuilt: Whether prebuilt wheels with CUDA code are allowed.
        held: The packages whose version only the stack decides, each with the reason.
        overrides: Requirements that were overridden.
        projects: Wheels of projects.
        code: Source trees of its models.
        models: Its models.
        weights: Weights of its models that are not on the host yet.
        digest: Of all that goes into it; `None` before the locks and wheel keys are known.
        generation: Name of the wanted generation; `None` like `digest`.
        current: Name of the generation in use; `None` where there is none.
        damage: What differs from the sealed state of the generation in use.
        on_cpu: Packages that will not use the GPU though its stack does.
        constraints: What source archives are built with.
        archives: Source archives that are built on the host.
        unseen: Why the files of its lock were not looked at before they are installed; empty where they were.
        phases: What has to be done, of `PHASES`.
        links: Whether the files of a generation are its own.
        changes: What the next generation changes, as far as it is known: ``+ a 1.2``, ``- b``, ``c 1.0 → 1.1``.
    """

    name: str
    state: str = ""
    stack: str = ""
    stack_why: str = ""
    considered: list[Considered] = field(default_factory=list)
    instead: Instead = field(default_factory=lambda: Instead())
    backend: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    variant: str = ""
    python: PythonOf = field(default_factory=lambda: PythonOf(path="", version=""))
    origin: str = ""
    origin_url: str = ""
    origin_why: str = ""
    engine: str = "venv"
    builder: PythonOf = field(default_factory=lambda: PythonOf(path="", version=""))
    conda: CondaPlan = field(default_factory=lambda: CondaPlan())
    variables: dict[str, str] = field(default_factory=dict)
    lock: LockPlan = field(default_factory=lambda: LockPlan())
    wheels: list[WheelPlan] = field(default_factory=list)
    imports: dict[str, str] = field(default_factory=dict)
    accelerated: bool = False
    sms: list[str] = field(default_factory=list)
    prebuilt: bool = True
    held: dict[str, str] = field(default_factory=dict)
    overrides: list[Override] = field(default_factory=list)
    projects: list[project.OwnWheel] = field(default_factory=list)
    code: list[model.Archive] = field(default_factory=list)
    models: list[ModelOf] = field(default_factory=list)
    weights: list[WeightsOf] = field(default_factory=list)
    digest: str | None = None
    generation: str | None = None
    current: str | None = None
    damage: list[str] = field(default_factory=list)
    on_cpu: list[str] = field(default_factory=list)
    constraints: list[str] = field(default_factory=list)
    archives: list[str] = field(default_factory=list)
    unseen: str = ""
    phases: list[str] = field(default_factory=list)
    links: str = "auto"
    changes: list[str] = field(default_factory=list)


@dataclass
class Plan:
    """Everything that will be done on one host, and why.

    Attributes:
        root: Wavesmith's folder on the host.
        environments: What each environment needs.
        system_missing: Debian packages that will be installed.
        toolbox: Digest of the toolbox's lock.
        phases: What has to be done, of `PHASES`; empty when nothing differs.
        steps: The same in detail.
        unwanted: What is on the host and nothing of this needs: environments, weights, toolboxes.
        remove: What of it the playbook `remove` removes.
        warnings: Warnings for the user.
        refusals: Why nothing will be done.
        seconds: Rough time in all.
        disk_gib: Rough room that it takes, GiB.
        schema: Version of this record.
    """

    root: str
    environments: list[EnvironmentPlan] = field(default_factory=list)
    system_missing: list[str] = field(default_factory=list)
    toolbox: str = ""
    phases: list[str] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    unwanted: list[str] = field(default_factory=list)
    remove: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    seconds: int = 0
    disk_gib: float = 0.0
    schema: Literal[1] = SCHEMA

    @property
    def downloading(self) -> list[EnvironmentPlan]:
        """The environments that something has to be fetched for, be they refused or not."""
        return [item for item in self.environments if _FETCHES & {*item.phases}]

    def data(self) -> PlanFile:
        """The plan as plain data, ready for JSON."""
        data: PlanFile = _plain(self)
        return data


def _plain(value: Any) -> Any:
    """Records as mappings. Not `asdict`, which copies all that is in them and takes as long as the planning itself."""
    if is_dataclass(value):
        return {name: _plain(item) for name, item in vars(value).items()}
    return [_plain(item) for item in value] if isinstance(value, list) and value and is_dataclass(value[0]) else value
