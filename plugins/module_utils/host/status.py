"""What is on a host, read for people who ask; nothing is changed."""

from __future__ import annotations

import os
from collections.abc import Iterable

from ..records.status import EnvironmentStatus, LastJob
from ..terms.refusal import suggest
from .job import LOG_TAIL, alive
from .store import StoreError, read_json, survey

JOBS_NAMED = 5
"""Jobs that a message names."""


def environments(root: str, wanted: Iterable[str]) -> list[EnvironmentStatus]:
    """Every environment that is wanted or there, those that are wanted first."""
    names = list(dict.fromkeys(wanted))
    there = [entry.name for entry in _folders(os.path.join(root, "envs"))]
    kept = survey(root, [*names, *(name for name in sorted(there) if name not in names)])["environments"]
    found: list[EnvironmentStatus] = []
    for name, entry in kept.items():
        current = entry["current"]
        verdict = current["verdict"] if current else None
        manifest = current["manifest"] if current else None
        verdicts = [check["verdict"] for check in verdict["checks"]] if verdict else []
        generation = current["generation"] if current else None
        made = {item["name"]: item["created"] for item in entry["generations"]}
        found.append(
            {
                "environment": name,
                "wanted": name in names,
                "generation": generation,
                "since": _since(root, name, generation) or made.get(generation or "") or None,
                "verdict": verdict["verdict"] if verdict else None,
                "judged": verdict.get("started") if verdict else None,
                "checks": {kind: verdicts.count(kind) for kind in ("pass", "fail", "skip")},
                "stack": manifest["stack"] if manifest else None,
                "damage": current["damage"] if current else [],
                "damaged": current["damaged"] if current else 0,
                "generations": entry["generations"],
            }
        )
    return found


def _since(root: str, name: str, generation: str | None) -> float | None:
    history = read_json(os.path.join(root, "state", f"{name}.history.json")) or []
    times = [item["at"] for item in history if item.get("generation") == generation]
    return times[-1] if times else None


def _folders(path: str) -> list[os.DirEntry[str]]:
    try:
        return [entry for entry in os.scandir(path) if entry.is_dir(follow_symlinks=False) and entry.name[0] != "."]
    except FileNotFoundError:
        return []


def last_job(root: str, name: str = "", lines: int = LOG_TAIL) -> LastJob:
    """The last long work, or that of a name.

    Raises:
        StoreError: there was none of that name.
    """
    folder = os.path.join(root, "state", "jobs")
    jobs = sorted(_folders(folder), key=lambda entry: -_heard_of(entry.path))
    names = [entry.name for entry in jobs]
    if name and name not in names:
        raise StoreError(f"job {name}: no log of it is kept here. Remedy: {_meant(name, names)}")
    if not jobs:
        return {"name": "", "at": 0.0, "state": "", "failure": "", "lines": [], "path": folder, "others": []}
    chosen = os.path.join(folder, name or names[0])
    result = read_json(os.path.join(chosen, "result.json"))
    progress = read_json(os.path.join(chosen, "progress.json")) or {}
    failure, kept = "", list[str]()
    if isinstance(result, dict):
        failure, kept = str(result.get("failure", "")), [str(line) for line in result.get("log", ())]
        state = "failed" if failure else "done"
    elif alive(read_json(os.path.join(chosen, "job.json"))):
        state = f"still at {progress.get('phase', 'its beginning')} {progress.get('n', 0)}/{progress.get('m', 0)}"
    else:
        state, failure = "killed", "its worker was killed. Remedy: start again: what it finished is kept"
    path = os.path.join(chosen, "log")
    return {
        "name": os.path.basename(chosen),
        "at": _heard_of(chosen),
        "state": state,
        "failure": failure,
        "lines": (kept or _end(path))[-lines:] if lines > 0 else [],
        "path": path,
        "others": [other for other in names if other != os.path.basename(chosen)],
    }


def _meant(name: str, names: list[str]) -> str:
    """The nearest jobs of a name, else the last few."""
    if not names:
        return "provision this host first"
    near = suggest(name, names)
    return near if near.startswith("did you mean") else f"use one of: {', '.join(names[:JOBS_NAMED])}"


def _heard_of(folder: str) -> float:
    """When a job last wrote something."""
    return max((entry.stat().st_mtime for entry in os.scandir(folder) if entry.is_file()), default=0.0)


def _end(path: str) -> list[str]:
    """A log without the progress that the doctor writes there for who follows him."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return [line for line in file.read().splitlines() if not line.startswith('{"phase": ')]
    except OSError:
        return []
