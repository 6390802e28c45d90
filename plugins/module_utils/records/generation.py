"""What is kept inside a generation: its manifest and the doctor's verdict."""

from __future__ import annotations

from typing import Literal, Optional, TypedDict

from .evidence import Evidence
from .model import ModelOf


class Override(TypedDict):
    """A requirement that was decided otherwise.

    Attributes:
        package: Whose version it is about.
        by: Who asks.
        asked: What for.
        got: The version it got; ``left out`` where it is not installed.
        why: The reason; empty where none was given.
    """

    package: str
    by: str
    asked: str
    got: str
    why: str


class PythonOf(TypedDict):
    """The Python of an environment.

    Attributes:
        path: The system's interpreter; empty where the Python comes from a channel.
        version: Such as ``3.12.3``, or ``3.12`` where it comes from a channel.
    """

    path: str
    version: str


class _GenerationManifest(TypedDict):
    """What every manifest has."""

    schema: Literal[1]
    created: float
    environment: str
    generation: str
    digest: str
    stack: str
    backend: str
    versions: dict[str, str]
    imports: dict[str, str]
    accelerated: bool
    wheels: dict[str, str]


class GenerationManifest(_GenerationManifest, total=False):
    """``wavesmith/manifest.json``: what went into a generation. Written last; without it a generation is unfinished.

    Attributes:
        schema: Version of this record.
        created: Seconds since 1970.
        environment: Its environment.
        generation: Its folder's name.
        digest: Of all that went into it.
        stack: Name of the stack.
        backend: The stack's backend.
        versions: Version of each package of the stack that is in it.
        origin: Where its packages came from.
        variant: What its compiled wheels are for.
        engine: ``venv`` or ``conda``.
        python: Its Python.
        imports: The module of each package that must import.
        accelerated: Whether torch must compute on a GPU.
        variables: What its processes find set.
        sms: Compute capabilities of the host that it serves.
        prebuilt: Whether prebuilt wheels with CUDA code were allowed.
        held: The packages whose version only the stack decides, each with the reason.
        overrides: Requirements that were overridden.
        lock_key: The lock that it was made from.
        wheels: Wheel key of each package that was built from source.
        packages: Version of every package in it.
        channel_packages: Packages that came from a conda channel.
        records: sha256 of the RECORD of each package of the stack.
        models: Its models.
        shares_files: Whether files of it are hard links to those of the cache and of other generations.
    """

    origin: str
    variant: str
    engine: str
    python: PythonOf
    variables: dict[str, str]
    sms: list[str]
    prebuilt: bool
    held: dict[str, str]
    overrides: list[Override]
    lock_key: str
    packages: dict[str, str]
    channel_packages: dict[str, str]
    records: dict[str, str]
    models: list[ModelOf]
    shares_files: bool


Outcome = Literal["pass", "fail", "skip", "unjudged"]
Health = Literal["healthy", "failed", "unjudged"]


class Touched(TypedDict):
    """What the process of a check touched, as it is told to the doctor; it is not kept.

    Attributes:
        components: First parts of the paths below ``site-packages`` of all modules and libraries that it loaded.
        missing: Modules and distributions that it looked for in vain.
    """

    components: list[str]
    missing: list[str]


class Basis(TypedDict):
    """What a finding rests on.

    Attributes:
        packages: The packages whose files its process loaded.
        missing: Modules and distributions that it looked for in vain.
        digest: Of these packages, the doctor, the Python, what is wanted, and the system.
    """

    packages: list[str]
    missing: list[str]
    digest: str


class CheckResult(TypedDict, total=False):
    """What one check found.

    Attributes:
        id: The check's name, such as ``stack.imports``.
        title: What it is about, for people.
        verdict: ``pass``, ``fail``, ``skip`` (the reason is the detail) or ``unjudged``: it ran out of time.
        detail: What was found, in a sentence.
        evidence: What was measured, by the check's own names; made plain by `evidence.plain`.
        remedy: What to do; empty where nothing is.
        seconds: How long it took.
        cpu: Seconds of processor time that it took, with the commands it started; much less than `seconds` on a busy host.
        touched: What its process touched, on its way to the doctor.
        at: When it was found, UTC.
        basis: What it rests on; only of checks that may be carried over.
        carried: The generation that it was found in, where nothing that it rests on is different here.
    """

    id: str
    title: str
    verdict: Outcome
    detail: str
    evidence: Evidence
    remedy: str
    seconds: float
    cpu: float
    touched: Touched
    at: str
    basis: Basis
    carried: str


class _Verdict(TypedDict):
    """What every verdict has."""

    schema: Literal[1]
    verdict: Health
    exit: int
    checks: list[CheckResult]


class Verdict(_Verdict, total=False):
    """``wavesmith/verdict.json``: what the doctor found in a generation.

    Attributes:
        schema: Version of this record.
        environment: Name of the environment.
        generation: Name of the generation.
        verdict: ``healthy``, ``failed`` or ``unjudged``.
        exit: The doctor's exit status: 0 healthy, 1 failed, 2 could not judge.
        started: UTC, as ``2026-11-27T15:30:00Z``.
        seconds: How long it took.
        checks: What each check found.
        performance: What was measured, a rate each, by what it is; empty where nothing was.
    """

    environment: str
    generation: str
    started: str
    seconds: float
    performance: dict[str, float]


class Switch(TypedDict):
    """One entry of ``state/<environment>.history.json``.

    Attributes:
        generation: What was switched to.
        before: What was current before; `None` where nothing was.
        at: Seconds since 1970.
    """

    generation: str
    before: Optional[str]
    at: float
