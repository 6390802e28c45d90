"""Which generation an environment should have, and what is missing to have it."""

from __future__ import annotations

from collections.abc import Mapping

from ..records.host import KeptEnvironment
from ..terms.digest import digest
from .models import digested
from .record import SCHEMA, EnvironmentPlan

ISOLATION = 4
"""Version of what `python_env` writes into a prefix; a change makes new generations."""
_CHANGED = "changed: "


def reached(environments: Mapping[str, KeptEnvironment]) -> list[str]:
    """A warning that names the first file that is changed in several generations of a host, and all of them: one edit in place reached them."""
    where: dict[str, list[str]] = {}
    for name, present in environments.items():
        current = present["current"]
        damaged = [(f"environment {name}", current["damage"])] if current else []
        damaged += [
            (f"generation {entry['name']} of {name}", entry.get("damage", []))
            for entry in present["generations"]
            if not current or entry["name"] != current["generation"]
        ]
        for label, damage in damaged:
            for text in damage:
                if text.startswith(_CHANGED):
                    where.setdefault(text[len(_CHANGED) :].rpartition("site-packages/")[2], []).append(label)
    several = {path: labels for path, labels in where.items() if len(labels) > 1}
    if not several:
        return []
    path, labels = max(several.items(), key=lambda found: len(found[1]))
    more = f" and {len(several) - 1} more" if len(several) > 1 else ""
    why = "Generations share files through the download cache, so one edit in place reaches them all"
    return [f"file {path}{more}: changed in {', '.join(labels)}. {why}. Remedy: wavesmith repair"]


def settle(item: EnvironmentPlan, present: KeptEnvironment, anew: bool = False) -> None:
    """Compare the wanted generation with those on the host; `anew`: those there are no longer good."""
    item.state, item.digest, item.generation, item.damage, item.phases = "", None, None, [], []
    if item.lock["sha256"] and item.conda.get("sha256", True) and all(wheel.key for wheel in item.wheels):
        item.digest = digest(
            {
                "schema": SCHEMA,
                "isolation": ISOLATION,
                "environment": item.name,
                "engine": item.engine,
                "stack": item.stack,
                "versions": item.versions,
                "origin": item.origin,
                "python": item.python,
                "conda": item.conda.get("sha256"),
                "variables": item.variables,
                "lock": item.lock["sha256"],
                "wheels": {wheel.name: wheel.key for wheel in item.wheels},
                "projects": [wheel.content for wheel in item.projects],
                **digested(item.models),
            }
        )
    current = present["current"]
    if current and current["damage"]:
        more = current["damaged"] - len(current["damage"])
        item.damage = [*current["damage"], *([f"and {more} more"] if more > 0 else [])]
    if item.digest is None:
        item.state = "change" if current else "new"
        item.phases = [phase for phase in ("build", "lock") if needs(item, phase)] + ["install", "verify", "activate"]
        return
    short = item.digest[:16]
    same = [entry for entry in present["generations"] if entry["complete"] and entry["digest"] == item.digest]
    good = [entry for entry in same if entry["intact"] and not anew]
    # Without a manifest its contents are unknown: it counts as damaged, and is never remade in place.
    if current and (not current["manifest"] or current["manifest"]["digest"] == item.digest):
        verdict = current["verdict"]
        if not current["damage"] and verdict and verdict.get("exit") == 0 and not anew:
            item.state, item.generation = "kept", current["generation"]
            return
        if current["damage"]:
            item.state = "drifted"
    if good:
        newest = max(good, key=lambda entry: (entry["exit"] == 0, entry["created"]))
        item.generation = newest["name"]
        item.state = item.state or "switch"
        item.phases = ([] if newest["exit"] == 0 else ["verify"]) + ["activate"]
        return
    taken = {entry["name"] for entry in present["generations"] if entry["complete"]} | (
        {item.current} if item.current else set()
    )
    item.generation = next(
        name for name in [short, *[f"{short}-r{n}" for n in range(1, len(taken) + 2)]] if name not in taken
    )
    item.state = item.state or ("change" if current else "new")
    item.phases = [phase for phase in ("build",) if needs(item, phase)] + ["install", "verify", "activate"]


def needs(item: EnvironmentPlan, phase: str) -> bool:
    if phase == "build":
        return any(wheel.status != "hit" for wheel in item.wheels)
    return any(lock["status"] != "hit" for lock in (item.lock, item.conda) if lock)
