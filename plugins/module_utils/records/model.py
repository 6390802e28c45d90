"""A model of an environment, as the plan decides on it and the generation's manifest keeps it."""

from __future__ import annotations

from typing import Literal, Optional, TypedDict, Union

Takes = Literal["text", "sound"]
Gives = Literal["sound", "text", "spans", "track"]


class FileOf(TypedDict):
    """A file of weights; what is `None` is not known.

    Attributes:
        path: In its repository or archive; of a package's: below ``site-packages``.
        bytes: Its size.
        sha256: Of its content.
    """

    path: str
    bytes: Optional[int]
    sha256: Optional[str]


class WeightsOf(TypedDict):
    """The weights of one repository, release or package.

    Attributes:
        name: Name in the catalog.
        kind: ``hub``, ``package`` or ``url``.
        place: The repository, the distribution, or the address.
        revision: Commit of the repository; `None` where there is none, or it is not known.
        licence: `None` where it is not known.
        commercial: Whether the licence allows commercial use; `None` where it is not known.
        bytes: About how much they are.
        files: The files.
        archive: The download that the files are unpacked from; `None` where they are downloaded themselves.
        mirrors: Other addresses of a download.
        folder: Where they lie on the host; empty: among the environment's packages.
        unknown: What has to be known before they can be had; empty where they are pinned.
    """

    name: str
    kind: str
    place: str
    revision: Optional[str]
    licence: Optional[str]
    commercial: Optional[bool]
    bytes: int
    files: list[FileOf]
    archive: Optional[FileOf]
    mirrors: list[str]
    folder: str
    unknown: str


class ModelSet(TypedDict):
    """Models that share an environment (``catalog/model_sets.yml``).

    Attributes:
        stack: Name of the stack.
        models: Their names.
    """

    stack: str
    models: list[str]


class KeptWeights(TypedDict):
    """``models/kept/<key>.json``: a set of weights that is complete on a host.

    Attributes:
        schema: Version of this record.
        weights: The set.
    """

    schema: Literal[1]
    weights: WeightsOf


class CodeOf(TypedDict):
    """The part of a repository that holds a model's code.

    Attributes:
        git: Address of the repository.
        commit: Its full id.
        folder: Where the tree lies below the generation's prefix.
        workdir: The folder that it must run in: ``source``, ``scratch``; empty: any.
        modules: Modules of the tree that must import.
        adapters: Functions of `models.adapters` in place of patches.
        absent: Files that the mirror did not have, and that its tier ``structure`` can do without.
    """

    git: str
    commit: str
    folder: str
    workdir: str
    modules: list[str]
    adapters: list[str]
    absent: list[str]


class ServiceOf(TypedDict):
    """A model that is run as a service.

    Attributes:
        port: On the loopback.
        path: Where it makes a sound.
        ask: What it is asked for to see that it works.
    """

    port: int
    path: str
    ask: dict[str, str]


class _ModelOf(TypedDict):
    """What every model of an environment has."""

    name: str
    task: str
    does: str
    takes: Takes
    may_take: dict[str, str]
    gives: Gives
    package: str
    licence: Optional[str]
    languages: list[str]
    sample_rate: int
    weights: list[WeightsOf]
    refused: str
    runner: str


class ModelOf(_ModelOf, total=False):
    """A model of an environment.

    Attributes:
        name: Name in the catalog.
        task: What it is for, as ``catalog/tasks/`` names it.
        does: What its command does, for people.
        takes: ``text`` or ``sound``.
        may_take: Other sounds that it may be given: the option, and what it is for.
        may_say: Other texts that it may be given, likewise.
        gives: ``sound``, ``text``, ``spans`` (pairs of seconds) or ``track`` (times, hertz, where there is a voice).
        package: The distribution that holds its code; empty where that is in a repository.
        licence: Of its code; `None` where it is not known.
        languages: ISO 639 codes; empty where language does not matter.
        sample_rate: Of what it gives or takes, hertz.
        weights: What it loads.
        refused: Why it is not judged with its weights; empty where it is.
        runner: One's own code that runs it; empty where the project has some, or none.
        code: The tree of a repository that holds its code; left out where a package does.
        service: How it is run as a service; left out where it is not.
        variables: What its own processes find set; ``{site}`` and ``{code}`` stand for site-packages and the tree.
    """

    may_say: dict[str, str]
    code: CodeOf
    service: ServiceOf
    variables: dict[str, str]


class _ModelAnswer(TypedDict):
    """What every answer has."""

    model: str
    device: str
    why: str
    loading: float
    computing: float
    real_time_factor: Optional[float]


class ModelAnswer(_ModelAnswer, total=False):
    """What a model's command answers.

    Attributes:
        model: Its name.
        device: What it computed on.
        why: Why there.
        loading: Seconds.
        computing: Seconds.
        real_time_factor: Seconds of computing for each second of sound; `None` for no sound.
        out: The WAV that was written.
        rate: Its sample rate, hertz.
        measured: What was measured of it, by name (`models.measure.measure`).
        found: What was found, where no WAV was written: a text, or rows of numbers.
    """

    out: str
    rate: int
    measured: dict[str, float]
    found: Union[str, list[list[float]]]
