"""How long each phase of a host will take: as earlier runs of the same host and locks took, else as the plan says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from statistics import median
from typing import NamedTuple

from ansible_collections.wavesmith.provision.plugins.module_utils.plan.record import Plan
from ansible_collections.wavesmith.provision.plugins.module_utils.records import shape
from ansible_collections.wavesmith.provision.plugins.module_utils.records.plan import PlanFile
from ansible_collections.wavesmith.provision.plugins.module_utils.records.times import Times

KEPT = 5
"""Runs that are remembered of each phase and what it worked on."""
RECORDED, LIKE, PLANNED = "recorded", "recorded with an earlier lock", "the plan's estimate"
_DIGEST = re.compile(r"-[0-9a-f]{8}\b")
"""What a lock's name ends in: the digest of what was asked for."""


class Estimate(NamedTuple):
    """Seconds that a phase will take, and where that number is from."""

    seconds: float
    basis: str


def subjects(plan: PlanFile) -> dict[str, str]:
    """What each phase of a plan works on: the locks of its environments, the wheels it builds."""
    found: dict[str, list[str]] = {phase: [] for phase in plan.get("phases", ())}
    for item in plan.get("environments", ()):
        locks = [lock["key"] for lock in (item.get("conda"), item.get("lock")) if lock and lock.get("key")]
        wheels = [
            f"{wheel['name']} {wheel['version']} {item['variant']}"
            for wheel in item.get("wheels", ())
            if wheel["status"] != "hit"
        ]
        for phase in item.get("phases", ()):
            found.setdefault(phase, []).extend(wheels if phase == "build" else locks or [item["name"]])
        if item.get("current") and "verify" not in plan.get("phases", ()):
            found.setdefault("verify", []).extend(locks or [item["name"]])  # playbooks/verify.yml judges it again
    return {phase: " ".join(sorted(set(parts))) for phase, parts in found.items()}


def estimates(plan: PlanFile, times: Times) -> dict[str, Estimate]:
    """What to expect of each phase of a plan: what it took with these locks, else with those of the same environments that went before."""
    found = {}
    for phase, subject in subjects(plan).items():
        known = times["phases"].get(phase, {})
        like = [known[other] for other in known if subject and _DIGEST.sub("", other) == _DIGEST.sub("", subject)]
        planned = sum(step["seconds"] for step in plan.get("steps", ()) if step["phase"] == phase)
        found[phase] = (
            Estimate(median(known[subject]), RECORDED)
            if known.get(subject)
            else Estimate(median(like[-1]), LIKE)
            if like
            else Estimate(float(planned), PLANNED)
        )
    return found


def tell(planned: Plan, times: Times) -> None:
    """Put what is recorded into the steps of a plan."""
    for phase, (seconds, basis) in estimates(planned.data(), times).items():
        steps = [step for step in planned.steps if step["phase"] == phase]
        whole = sum(step["seconds"] for step in steps)
        for step in steps if basis != PLANNED and whole else ():
            step["seconds"] = max(1, round(step["seconds"] / whole * seconds))
    planned.seconds = sum(step["seconds"] for step in planned.steps)


def add(times: Times, phase: str, subject: str, seconds: float) -> Times:
    """The times with those of one more run."""
    of_phase = times["phases"].get(phase, {})
    kept = [*of_phase.get(subject, []), round(seconds, 1)][-KEPT:]
    return {"schema": 1, "phases": {**times["phases"], phase: {**of_phase, subject: kept}}}


def read(path: Path) -> Times:
    """What is remembered of a host; nothing where the file is missing or another one."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    return {"schema": 1, "phases": {}} if shape.problems(found, Times) else found


NAME = "times.json"


def write(path: Path, times: Times) -> None:
    """Remember it; where the folder cannot be written, the next run has the plan's estimates."""
    try:
        path.write_text(json.dumps(times, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    except OSError:
        pass
