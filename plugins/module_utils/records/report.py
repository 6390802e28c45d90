"""What is reported of a fleet, from the plan, the observation and the verdicts that are kept of each host."""

from __future__ import annotations

from typing import Literal, Optional, TypedDict

from .generation import CheckResult, Override, Verdict
from .host import Gpu, KeptEnvironment, Machine, OperatingSystem, Processor
from .plan import PlanFile


class GenerationRow(TypedDict):
    """A generation of an environment.

    Attributes:
        name: Its folder.
        created: Seconds since 1970.
        exit: The doctor's exit status; `None` where it was not judged.
        current: Whether it is in use.
        changes: What is different from the one before it, a line each; empty where that is not known.
    """

    name: str
    created: float
    exit: Optional[int]
    current: bool
    changes: list[str]


class EnvironmentRow(TypedDict):
    """An environment of a host.

    Attributes:
        name: Its name.
        generation: What is current; empty where nothing is.
        stack: Name of the stack.
        stack_why: Why it was taken.
        considered: Each other stack and why it was not taken.
        variant: What its compiled wheels are for.
        versions: Version of each package of the stack.
        verdict: ``healthy``, ``failed``, ``unjudged``, or ``unknown`` where it was not verified.
        judged: When the doctor began, in UTC; empty where it was not asked.
        seconds: How long the doctor took.
        drift: Files of the generation in use that are not as they were sealed.
        checks: What each check found.
        generations: Oldest first.
        wheels: Packages that are built from source.
        overrides: Requirements that were overridden.
        evidence: Files that can be heard and seen, relative to the artifacts.
        performance: Measured numbers by what was measured.
    """

    name: str
    generation: str
    stack: str
    stack_why: str
    considered: list[str]
    variant: str
    versions: dict[str, str]
    verdict: Literal["healthy", "failed", "unjudged", "unknown"]
    judged: str
    seconds: float
    drift: int
    checks: list[CheckResult]
    generations: list[GenerationRow]
    wheels: list[str]
    overrides: list[str]
    evidence: list[str]
    performance: dict[str, float]


class HostRow(TypedDict):
    """A host.

    Attributes:
        name: As the inventory has it.
        system: Operating system and CPU architecture.
        machine: Kind or model of the machine.
        processor: Its CPU.
        accelerators: Its GPUs.
        sibling: What machines like it have in common; their measured numbers are compared.
        refusals: Why it cannot be provisioned, each with its remedy.
        warnings: What the plan warned of.
        environments: By name.
    """

    name: str
    system: str
    machine: str
    processor: str
    accelerators: list[str]
    sibling: str
    refusals: list[str]
    warnings: list[str]
    environments: list[EnvironmentRow]


class WheelRow(TypedDict):
    """A wheel that is built from source.

    Attributes:
        wheel: Its distribution and version.
        variant: What it is for.
        hosts: Those whose plan has it.
        built: Those that built it, the last one at the end.
        seconds: How long the last build took; `None` where none is recorded.
        needed: How often a host needed it, as far as runs are recorded.
        there: How often it was there already, or was brought from the wheelhouse or another host.
    """

    wheel: str
    variant: str
    hosts: list[str]
    built: list[str]
    seconds: Optional[float]
    needed: int
    there: int


class WheelhouseOf(TypedDict):
    """Wheels that are built from source, and how often a build was saved.

    Attributes:
        note: Why there are none, or why they are not shared; empty where they are.
        needed: How often a host needed one.
        there: How often it had not to be built.
        wheels: By name.
    """

    note: str
    needed: int
    there: int
    wheels: list[WheelRow]


class Fleet(TypedDict):
    """What `wavesmith report --json` prints.

    Attributes:
        schema: Version of this record.
        hosts: By name.
        wheelhouse: Wheels that are built from source.
    """

    schema: Literal[1]
    hosts: list[HostRow]
    wheelhouse: WheelhouseOf


class EnvironmentReport(TypedDict):
    """An environment at the end of a run.

    Attributes:
        environment: Its name.
        generation: What is current; `None` where nothing is.
        stack: Name of the stack.
        verdict: What the doctor found; `None` where it was not verified.
        changes: What the run changed, a line each.
        overrides: Requirements that were overridden.
    """

    environment: str
    generation: Optional[str]
    stack: str
    verdict: Optional[Verdict]
    changes: list[str]
    overrides: list[Override]


class HostReport(TypedDict):
    """``artifacts/<host>/report.json``: how a run left a host.

    Attributes:
        schema: Version of this record.
        host: Its name.
        root: Wavesmith's folder on it.
        environments: Its environments.
        warnings: What the plan warned of.
    """

    schema: Literal[1]
    host: str
    root: str
    environments: list[EnvironmentReport]
    warnings: list[str]


History = dict[str, dict[str, dict[str, str]]]
"""``artifacts/<host>/history.json``: version of each package, by environment and generation."""


class ObservedBefore(TypedDict, total=False):
    """``artifacts/<host>/observed.json`` as far as a report reads it; `records.host.Observed` explains each field."""

    os: OperatingSystem
    machine: Machine
    cpu: Processor
    accelerators: list[Gpu]
    environments: dict[str, KeptEnvironment]


class KeptOfHost(TypedDict, total=False):
    """What the controller keeps of a host; a run that ended early leaves only some of it.

    Attributes:
        plan: Its plan.
        observed: What was observed.
        report: How the last run left it.
        history: Packages of earlier generations.
        evidence: Files of each environment that can be heard and seen, relative to the artifacts.
    """

    plan: PlanFile
    observed: ObservedBefore
    report: HostReport
    history: History
    evidence: dict[str, list[str]]
