"""Projects: requirements from the files of a user's own project."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..terms.names import name_of


@dataclass(frozen=True)
class Declared:
    """A requirement (PEP 508) and who declares it, such as ``diffrhythm2 requirements.txt:2``."""

    requirement: str
    by: str


@dataclass(frozen=True)
class OwnWheel:
    """A project's own wheel, built on the controller.

    Attributes:
        file: Its file name.
        path: Where it is on the controller.
        sha256: Of the wheel.
        content: Digest of all that it was built from.
    """

    file: str
    path: str
    sha256: str
    content: str


@dataclass(frozen=True)
class Project:
    """A project whose requirements an environment takes in.

    Attributes:
        name: Its name in the catalog or in ``wavesmith_projects``.
        declared: Everything that its files require, Python itself included, as ``python``.
        overrides: Requirements that replace what anybody declares, each with the reason.
        wheel: The project itself, where it is to be installed.
    """

    name: str
    declared: tuple[Declared, ...] = ()
    overrides: Mapping[str, str] = field(default_factory=dict)
    wheel: OwnWheel | None = None

    @property
    def requires(self) -> list[str]:
        """What the resolver is asked for."""
        return [item.requirement for item in self.declared if name_of(item.requirement) != "python"]
