"""How a run ended, for programs: what a playbook prints with ``WAVESMITH_BOARD=json``, and each command with ``--json`` is made from."""

from __future__ import annotations

from typing import Literal, Optional, TypedDict, Union

from .plan import PlanFile
from .report import HostReport
from .status import EnvironmentStatus, LastJob


class EnvironmentOutcome(TypedDict):
    """An environment at the end of a run.

    Attributes:
        environment: Its name.
        generation: What is current; `None` where nothing is.
        stack: Name of the stack.
        verdict: ``healthy``, ``failed`` or ``unjudged``; `None` where the doctor has not judged it.
        judged: When, in UTC.
        checks: How many of the doctor's checks had which verdict; `None` where they are not known.
    """

    environment: str
    generation: Optional[str]
    stack: Optional[str]
    verdict: Optional[str]
    judged: Optional[str]
    checks: Optional[dict[str, int]]


class EstimateOf(TypedDict):
    """What was expected of a phase.

    Attributes:
        seconds: How long it would take.
        basis: Where that number is from: earlier runs, or the plan.
    """

    seconds: float
    basis: str


class Ran(TypedDict):
    """How a command of `wavesmith run` ended.

    Attributes:
        rc: Its exit code.
        stdout: What it wrote there.
        stderr: Likewise.
    """

    rc: int
    stdout: str
    stderr: str


class Returned(TypedDict, total=False):
    """What modules returned that the end of a run says, or that programs read; `HostOutcome` explains each field."""

    unwanted: list[str]
    report: HostReport
    status: list[EnvironmentStatus]
    current: dict[str, str]
    removed: dict[str, Union[int, list[str]]]
    text: list[str]
    job: LastJob
    ran: Ran


class _HostOutcome(TypedDict):
    """What every host has."""

    outcome: str
    changed: bool
    remote_runs: int
    phases: dict[str, float]
    estimates: dict[str, EstimateOf]
    environments: list[EnvironmentOutcome]
    changes: dict[str, list[str]]


class HostOutcome(_HostOutcome, Returned, total=False):
    """What became of a host; more where a module returned it.

    Attributes:
        outcome: Such as ``changed``, ``nothing to do``, ``refused`` or ``failed``.
        changed: Whether something on it changed.
        remote_runs: How often it was asked.
        phases: Seconds of each phase.
        estimates: What was expected of them.
        environments: Its environments.
        changes: What a new generation changed, by environment.
        plan: Its plan.
        unwanted: What is on the host and nothing of its plan needs.
        report: How the run left it; not printed.
        status: What is on it.
        current: The generation that each environment was switched to.
        removed: Bytes that each removed item freed; of `playbooks/prune.yml` the generations that were removed, by environment.
        text: What was removed, in sentences.
        job: The last work on it.
        ran: How the command that was run on it ended.
    """

    plan: PlanFile


class ProblemOf(TypedDict):
    """What went wrong.

    Attributes:
        hosts: Where.
        message: The whole message.
        item: What it is about; empty where the message does not say.
        problem: What is wrong with it.
        remedy: What to do; empty where the message does not say.
    """

    hosts: list[str]
    message: str
    item: str
    problem: str
    remedy: str


class RunOutcome(TypedDict):
    """A run.

    Attributes:
        schema: Version of this record.
        playbook: What was run.
        check: Whether it was in check mode.
        seconds: How long it took.
        summary: The whole in one sentence.
        hosts: What became of each host.
        errors: What went wrong.
    """

    schema: Literal[1]
    playbook: str
    check: bool
    seconds: float
    summary: str
    hosts: dict[str, HostOutcome]
    errors: list[ProblemOf]
