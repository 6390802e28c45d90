"""What is kept of each host on the controller, read for a report."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

REMEMBERED = 12
"""Generations of an environment whose packages are kept."""
PARTS = ("plan", "observed", "report", "history")
EVIDENCE = "evidence"
"""Below a host's folder: a folder for each environment, with what can be heard and seen."""


def read(folder: Path) -> dict[str, dict[str, Any]]:
    """By host what its files have; a file that is missing or damaged is left out."""
    found: dict[str, dict[str, Any]] = {}
    for place in sorted(folder.iterdir()) if folder.is_dir() else ():
        kept: dict[str, Any] = {}
        for part in PARTS:
            try:
                kept[part] = json.loads((place / f"{part}.json").read_text(encoding="utf-8"))
            except (OSError, ValueError):
                continue
        if kept:
            kept[EVIDENCE] = {
                one.name: [
                    str(path.relative_to(folder)) for path in sorted(one.iterdir()) if path.suffix in (".wav", ".png")
                ]
                for one in sorted((place / EVIDENCE).glob("*/"))
            }
            found[place.name] = kept
    return found


def write(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old or the new one: Prometheus reads at any time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)


def judged(folder: Path, verdicts: Mapping[str, Mapping[str, Any]]) -> None:
    """Put newer verdicts into what is kept of a host's current generations, so that a report does not show the one before."""
    path = folder / "report.json"
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    for row in report.get("environments", ()):
        verdict = verdicts.get(row["environment"])
        if verdict and verdict.get("generation") == row["generation"]:
            row["verdict"] = verdict
    write(path, json.dumps(report, indent=1, sort_keys=True) + "\n")


def remember(folder: Path, observed: dict[str, Any]) -> None:
    """Keep which packages the current generations of a host have: a later report says what changed."""
    path = folder / "history.json"
    try:
        history = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        history = {}
    for name, stored in (observed.get("environments") or {}).items():
        current = stored.get("current") or {}
        packages = (current.get("manifest") or {}).get("packages")
        if packages:
            history.setdefault(name, {})[current["generation"]] = packages
            history[name] = dict(list(history[name].items())[-REMEMBERED:])
    if history:
        write(path, json.dumps(history, indent=1) + "\n")
