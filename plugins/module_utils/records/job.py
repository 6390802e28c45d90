"""Long work on a host: who does it, how far it is, how it ended."""

from __future__ import annotations

from typing import Optional, TypedDict


class JobState(TypedDict):
    """``state/jobs/<name>/job.json``: the worker.

    Attributes:
        name: What it does.
        pid: Its process.
        birth: When that process started, in clock ticks since boot: with `pid` it names a process for good.
        run: The run that follows it.
    """

    name: str
    pid: int
    birth: Optional[str]
    run: str


class Progress(TypedDict, total=False):
    """``state/jobs/<name>/progress.json``.

    Attributes:
        phase: What is being done.
        n: Which step of `m`.
        m: How many steps there are; 0 where that is not known.
        detail: A few words.
        elapsed: Seconds since the job started.
    """

    phase: str
    n: int
    m: int
    detail: str
    elapsed: float


class Outcome(TypedDict, total=False):
    """``state/jobs/<name>/result.json``: one of `result` and `failure`.

    Attributes:
        result: What the work returned.
        failure: Why it failed, with the remedy.
        log: The lines that matter.
    """

    result: dict[str, object]
    failure: str
    log: list[str]


class Answer(Outcome, total=False):
    """What a module of long work answers.

    Attributes:
        finished: Whether the work has ended.
        state: What to hand back as ``seen`` in the next call.
        progress: How far it is.
        adopted: Whether it was taken over from a run that is gone.
        result: What the work returned.
        failure: Why it failed, with the remedy.
        log: The lines that matter.
    """

    finished: bool
    state: str
    progress: Progress
    adopted: bool
