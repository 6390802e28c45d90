"""The plan of a host as records."""

from __future__ import annotations

from dataclasses import dataclass, field, is_dataclass
from typing import Any

from ..terms.refusal import Refusal
from ..wanted import project

SCHEMA = 1

PHASES = ("prepare", "build", "lock", "install", "verify", "activate")

SECONDS = {"system packages": 90, "toolbox": 15, "lock": 15, "fetch": 5, "install": 90, "verify": 75, "activate": 1}
"""Rough times on two cores with a fast index, for the estimate; the summary shows what it really took."""
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
)
"""What the plan decides about a generation and its manifest keeps."""


@dataclass
class WheelPlan:
    """One package built from source: `key` is `None` until a compiler is there, `status` is `hit`, `fetch` or `build`."""

    name: str
    version: str
    key: str | None
    status: str
    seconds: int
    spec: dict[str, Any]


@dataclass
class EnvironmentPlan:
    """What one environment needs."""

    name: str
    state: str = ""
    stack: str = ""
    stack_why: str = ""
    considered: list[dict[str, Any]] = field(default_factory=list)
    instead: dict[str, Any] = field(default_factory=dict)
    backend: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    variant: str = ""
    python: dict[str, str] = field(default_factory=dict)
    origin: str = ""
    origin_url: str = ""
    origin_why: str = ""
    engine: str = "venv"
    builder: dict[str, str] = field(default_factory=dict)
    conda: dict[str, Any] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    lock: dict[str, Any] = field(default_factory=dict)
    wheels: list[WheelPlan] = field(default_factory=list)
    imports: dict[str, str] = field(default_factory=dict)
    accelerated: bool = False
    sms: list[str] = field(default_factory=list)
    prebuilt: bool = True
    held: dict[str, str] = field(default_factory=dict)
    overrides: list[dict[str, str]] = field(default_factory=list)
    projects: list[project.OwnWheel] = field(default_factory=list)
    digest: str | None = None
    generation: str | None = None
    current: str | None = None
    damage: list[str] = field(default_factory=list)
    phases: list[str] = field(default_factory=list)


@dataclass
class Plan:
    """Everything that will be done on one host, and why."""

    root: str
    environments: list[EnvironmentPlan] = field(default_factory=list)
    system_missing: list[str] = field(default_factory=list)
    toolbox: str = ""
    phases: list[str] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    seconds: int = 0
    disk_gib: float = 0.0

    def data(self) -> dict[str, Any]:
        """The plan as plain data, ready for JSON."""
        return {"schema": SCHEMA, **_plain(self)}


def _plain(value: Any) -> Any:
    """Records as mappings. Not `asdict`, which copies all that is in them and takes as long as the planning itself."""
    if is_dataclass(value):
        return {name: _plain(item) for name, item in vars(value).items()}
    return [_plain(item) for item in value] if isinstance(value, list) and value and is_dataclass(value[0]) else value
