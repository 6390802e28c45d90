"""What is kept of each host on the controller, read for a report."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from ansible_collections.wavesmith.provision.plugins.module_utils.records import shape
from ansible_collections.wavesmith.provision.plugins.module_utils.records.generation import Verdict
from ansible_collections.wavesmith.provision.plugins.module_utils.records.host import (
    KeptEnvironment,
    KeptGeneration,
)
from ansible_collections.wavesmith.provision.plugins.module_utils.records.report import (
    History,
    KeptOfHost,
    ObservedBefore,
)
from ansible_collections.wavesmith.provision.plugins.module_utils.records.run import WheelOfRun
from ansible_collections.wavesmith.provision.plugins.plugin_utils import ledger

REMEMBERED = 12
"""Generations of an environment whose packages are kept."""
PARTS: tuple[Literal["plan", "observed", "report", "history"], ...] = ("plan", "observed", "report", "history")
EVIDENCE = "evidence"
"""Below a host's folder: a folder for each environment, with what can be heard and seen."""


def read(folder: Path) -> dict[str, KeptOfHost]:
    """By host what its files have; a file that is missing, damaged or another release's is left out."""
    found: dict[str, KeptOfHost] = {}
    for place in sorted(folder.iterdir()) if folder.is_dir() else ():
        kept: KeptOfHost = {}
        for part in PARTS:
            value = _json(place / f"{part}.json")
            if value is not None and not shape.problems(value, shape.hints(KeptOfHost)[part]):
                kept[part] = value
        if kept:
            kept["evidence"] = {
                one.name: [
                    str(path.relative_to(folder)) for path in sorted(one.iterdir()) if path.suffix in (".wav", ".png")
                ]
                for one in sorted((place / EVIDENCE).glob("*/"))
            }
            found[place.name] = kept
    return found


def wheels(folder: Path) -> list[WheelOfRun]:
    """How hosts had the wheels that are built from source; nothing where no run is recorded."""
    try:
        return ledger.Ledger(folder.absolute() / ledger.NAME).wheels()
    except ledger.Unreadable:
        return []


def _json(path: Path) -> Any:
    """What a file of JSON holds, before it was compared with a record; `None` where it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def write(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old or the new one: Prometheus reads at any time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)


def switched(folder: Path, environments: Mapping[str, KeptEnvironment]) -> None:
    """Put environments as they are now into what was observed of a host, so that a report does not show those before."""
    path = folder / "observed.json"
    observed = _json(path)
    if shape.problems(observed, ObservedBefore):
        observed = {}
    observed["environments"] = {**observed.get("environments", {}), **environments}
    write(path, json.dumps(observed, indent=1, sort_keys=True) + "\n")


def judged(folder: Path, verdicts: Mapping[str, Verdict]) -> None:
    """Put newer verdicts into what was observed of a host's current generations, so that a report does not show the one before."""
    observed = _json(folder / "observed.json")
    if not shape.problems(observed, ObservedBefore):
        environments = observed.get("environments", {})
        switched(folder, {name: with_verdict(kept, verdicts.get(name)) for name, kept in environments.items()})


def with_verdict(kept: KeptEnvironment, verdict: Verdict | None) -> KeptEnvironment:
    """An environment after the doctor's verdict on one of its generations."""
    current, judged = kept["current"], verdict.get("generation") if verdict else None
    if verdict is None or current is None or current["generation"] != judged:
        return kept
    generations: list[KeptGeneration] = [
        {**one, "exit": verdict["exit"]} if one["name"] == judged else one for one in kept["generations"]
    ]
    return {"current": {**current, "verdict": verdict}, "generations": generations}


def remember(folder: Path, environments: Mapping[str, KeptEnvironment]) -> None:
    """Keep which packages the current generations of a host have: a later report says what changed."""
    path = folder / "history.json"
    found = _json(path)
    history: History = {} if shape.problems(found, History) else found
    for name, stored in environments.items():
        current = stored["current"]
        packages = current["manifest"].get("packages") if current and current["manifest"] else None
        if current and packages:
            history.setdefault(name, {})[current["generation"]] = packages
            history[name] = dict(list(history[name].items())[-REMEMBERED:])
    if history:
        write(path, json.dumps(history, indent=1) + "\n")
