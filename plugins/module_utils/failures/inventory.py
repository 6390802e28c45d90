"""What a remedy that installs means for an environment of Wavesmith: lines of the inventory, for what pip or uv puts into a generation is drift. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from ..records.failure import RemedyOf

PLACE = re.compile(r"/envs/(?P<environment>[a-z][a-z0-9_]*)/(?:current|[0-9a-f]{16}(?:-r\d+)?)/")
"""A path in an environment of ours, by which a text says where it is from."""

_INSTALLER = re.compile(r"(?:uv pip|(?:python3? -m )?pip3?|conda|mamba) (?P<does>install|uninstall) ")
_WITH_VALUE = ("-c", "--channel", "--build-constraints", "-b", "--index-url", "--extra-index-url")
_OF_A_BUILD = ("--build-constraints", "-b", "--no-build-isolation")
_VERSION = re.compile(r"[<>=!~@]")


@dataclass(frozen=True)
class Installs:
    """What a command changes in the environment that it is run in.

    Attributes:
        added: Requirements that it installs.
        removed: Packages that it takes out.
        newest: Those of `added` that it brings to their newest release.
        build: Whether it is about how a package is built.
    """

    added: Sequence[str]
    removed: Sequence[str]
    newest: Sequence[str]
    build: bool


def installs(command: str) -> Installs | None:
    """What a command changes in its environment; `None` where it installs nothing."""
    added: list[str] = []
    removed: list[str] = []
    newest: list[str] = []
    build = found = False
    for part in re.split(r"\s*(?:;|&&)\s*", command):
        starts = _INSTALLER.match(part)
        if not starts:
            continue
        found = True
        words = shlex.split(part[starts.end() :].partition("  (")[0], comments=True)
        options = [word for word in words if word.startswith("-")]
        build = build or bool(set(options) & set(_OF_A_BUILD))
        values = {place + 1 for place, word in enumerate(words) if word in _WITH_VALUE}
        names = [
            word for place, word in enumerate(words) if not (word.startswith("-") or place in values or word == "…")
        ]
        if starts["does"] == "uninstall":
            removed += names
        else:
            added += names
            if {"-U", "--upgrade"} & set(options):
                newest += [name for name in names if not _VERSION.search(name)]
    return Installs(added, [name for name in removed if name not in added], newest, build) if found else None


def in_the_inventory(remedy: RemedyOf) -> RemedyOf | None:
    """The same remedy for an environment of Wavesmith, by way of its inventory; `None` where its command installs nothing."""
    changes = installs(remedy.get("command", ""))
    if changes is None:
        return None
    command = "wavesmith provision"
    if changes.build:
        how = "give that package a recipe with these build requirements in a catalog of your own (wavesmith_catalog, docs/recipes.md)"
    elif changes.newest and list(changes.newest) == list(changes.added):
        how = "take the newest release into its lock"
        command = f"wavesmith lock --upgrade {' '.join(changes.newest)} && wavesmith provision"
    else:
        lines = " and ".join(f'"{line}"' for line in changes.added)
        how = f"add {lines} to its packages"
        if changes.removed:
            how += f" and leave out what brings {' and '.join(changes.removed)}"
    return {
        "remedy": f"{remedy['remedy'].rstrip()}. In the inventory, environment {{environment}}: {how}; "
        "what pip or uv puts into it by hand is drift, which the next provision undoes",
        "command": command,
        "when": {**remedy.get("when", {}), "environment": ".+"},
    }
