"""What would correct the catalog, as a diff with its sources."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path

from .records import Change, Fact


def proposed(facts: Iterable[Fact]) -> tuple[dict[Path, str], list[Change], list[Fact]]:
    """The changed text of each file, the changes in it, and the facts whose change does not fit its file.

    A change fits where what it replaces is there exactly once.
    """
    texts: dict[Path, str] = {}
    made: list[Change] = []
    unfit: list[Fact] = []
    for fact in facts:
        change = fact.change
        if change is None or change in made:
            continue
        text = texts.get(change.path) or change.path.read_text(encoding="utf-8")
        if text.count(change.old) != 1:
            unfit.append(fact)
            continue
        texts[change.path] = text.replace(change.old, change.new)
        made.append(change)
    return texts, made, unfit


def diff(texts: Mapping[Path, str], made: Iterable[Change], folder: Path) -> str:
    """A unified diff that `git apply` takes, each file headed by the sources of its changes."""
    pieces = []
    for path, text in texts.items():
        name = f"{folder.name}/{path.relative_to(folder).as_posix()}"
        before = path.read_text(encoding="utf-8").splitlines(keepends=True)
        lines = difflib.unified_diff(before, text.splitlines(keepends=True), f"a/{name}", f"b/{name}")
        sources = dict.fromkeys(change.source for change in made if change.path == path)
        pieces.append("".join([*(f"# source: {source}\n" for source in sources), *lines]))
    return "".join(pieces)
