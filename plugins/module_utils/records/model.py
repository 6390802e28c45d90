"""A model of an environment, as the plan decides on it and the generation's manifest keeps it."""

from __future__ import annotations

from typing import Optional, TypedDict


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
    unknown: str


class ModelOf(TypedDict):
    """A model of an environment.

    Attributes:
        name: Name in the catalog.
        task: What it is for: ``tts``, ``convert``, ``codec``, ``transcribe``, ``music``, ``segments`` or ``pitch``.
        package: The distribution that holds its code; empty where that is in a repository.
        licence: Of its code; `None` where it is not known.
        languages: ISO 639 codes; empty where language does not matter.
        sample_rate: Of what it gives or takes, hertz.
        weights: What it loads.
        refused: Why it is not judged with its weights; empty where it is.
    """

    name: str
    task: str
    package: str
    licence: Optional[str]
    languages: list[str]
    sample_rate: int
    weights: list[WeightsOf]
    refused: str
