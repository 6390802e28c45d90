"""What the record of runs on the controller says (``artifacts/runs.sqlite``)."""

from __future__ import annotations

from typing import Literal, Optional, TypedDict


class ProcessOf(TypedDict):
    """A process, named for good.

    Attributes:
        pid: Its id.
        birth: When it started, in clock ticks since boot; `None` where it is gone.
    """

    pid: int
    birth: Optional[str]


class RunOptions(TypedDict, total=False):
    """How a run was started.

    Attributes:
        limit: The hosts that it was limited to; empty for all.
        inventory: Its inventories.
        controllers: The machines that ran Ansible, where there were several.
        process: Its process.
    """

    limit: str
    inventory: list[str]
    controllers: str
    process: ProcessOf


class RunRow(TypedDict):
    """One run.

    Attributes:
        id: Its name.
        playbook: What was run.
        who: The user who started it.
        controller: The machine that it was started on.
        started: Seconds since 1970.
        ended: Seconds since 1970; `None` where it was interrupted, or still runs.
        outcome: ``done``, ``failed``, ``running`` or ``interrupted``.
        options: How it was started.
        hosts: How many hosts have which outcome.
    """

    id: str
    playbook: str
    who: str
    controller: str
    started: float
    ended: Optional[float]
    outcome: str
    options: RunOptions
    hosts: dict[str, int]


class EnvironmentOfRun(TypedDict):
    """An environment in a run.

    Attributes:
        environment: Its name.
        before: What was current when the run began; `None` where nothing was.
        wanted: The generation that was planned; `None` where that is not known yet.
        after: What is current since; `None` where nothing is.
        stack: Name of its stack.
        verdict: What the doctor found of a new generation; `None` where none was made.
    """

    environment: str
    before: Optional[str]
    wanted: Optional[str]
    after: Optional[str]
    stack: Optional[str]
    verdict: Optional[str]


class HostOfRun(TypedDict):
    """What became of a host in a run.

    Attributes:
        host: Its name.
        outcome: Such as ``unchanged``, ``switched``, ``failed`` or ``unreachable``.
        reason: Why it failed; empty where it did not.
        at: When that was known, in seconds since 1970.
        seconds: How long each step took.
        environments: Its environments.
    """

    host: str
    outcome: str
    reason: str
    at: float
    seconds: dict[str, float]
    environments: list[EnvironmentOfRun]


class _WheelOfRun(TypedDict):
    """What a step says of a wheel."""

    key: str
    name: str
    version: str
    variant: str
    how: Literal["built", "brought", "there"]
    seconds: Optional[float]


class WheelOfRun(_WheelOfRun, total=False):
    """How a host had a wheel of its own packages in a run.

    Attributes:
        key: Its wheel key.
        name: Distribution.
        version: Its version.
        variant: What it is for.
        how: ``built`` on the host, ``brought`` from the wheelhouse or another host, or ``there`` already.
        seconds: How long its build took; `None` where it was not built.
        host: The host.
        at: When that was known, in seconds since 1970.
    """

    host: str
    at: float


class EnvironmentState(TypedDict):
    """The newest that is known of an environment of a host; without `environment` for a host that never had a plan.

    Attributes:
        name: The host.
        environment: The environment.
        generation: What is current.
        wanted: What should be.
        stack: Name of its stack.
        verdict: What the doctor found.
        outcome: What became of the host in its last run.
        reason: Why that failed; empty where it did not.
        at: When that was known, in seconds since 1970.
        since: When its generation became current, as far as runs are recorded; `None` where none did.
        run: The host's last run.
    """

    name: str
    environment: Optional[str]
    generation: Optional[str]
    wanted: Optional[str]
    stack: Optional[str]
    verdict: Optional[str]
    outcome: str
    reason: str
    at: float
    since: Optional[float]
    run: str
