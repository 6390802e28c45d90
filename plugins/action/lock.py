"""Resolve locks on one host of each kind, and keep them beside the inventory for the others."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from ansible.utils.display import Display
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.lockfile import SUFFIX, flaw, head, moved
from ansible_collections.wavesmith.provision.plugins.plugin_utils.follow import FollowAction
from ansible_collections.wavesmith.provision.plugins.plugin_utils.interface import Result, Variables
from ansible_collections.wavesmith.provision.plugins.plugin_utils.variables import locks_folder, ours, read_locks


class ActionModule(FollowAction):
    """Follows the resolution on the elected host and writes what it gave; other hosts of the same lock have nothing to do."""

    phase = "lock"

    def run(self, tmp: str | None = None, task_vars: Variables | None = None) -> Result:
        """Keep only the locks this host was elected for: a host of the group `builders` that needs one resolves it, else the first."""
        variables = task_vars or {}
        host, builders = variables["inventory_hostname"], variables["groups"].get("builders", ())
        mine = []
        there = read_locks(ours(variables, self._templar)) if self._task.args.get("again") else {}
        for spec in self._task.args.get("locks") or []:
            if spec["key"] in there:
                continue
            needing = [
                name
                for name in variables.get("ansible_play_hosts", [host])
                if any(
                    other["key"] == spec["key"]
                    for other in (variables["hostvars"][name].get("wavesmith_plan") or {}).get("lock", [])
                )
            ]
            needing.sort(key=lambda name: name not in builders)
            if not needing or needing[0] == host:
                mine.append(spec)
        self._task.args["locks"] = mine
        return super().run(tmp, variables)

    def conclude(self, answer: Result, variables: Variables) -> Result:
        """Write each lock below the inventory, with a first line that says what it was resolved from and seals the others, and its inspection beside it."""
        folder = locks_folder(ours(variables, self._templar))
        inputs = {spec["key"]: spec["inputs"] for spec in self._task.args["locks"]}
        given = answer.pop("result", None) or {}
        changed = False
        # Every host of its kind gets what one has resolved: only what was asked for is taken, and only what a lock may say.
        for key in [key for key in inputs if isinstance(given.get(key), str)]:
            text = head(inputs[key], given[key]) + given[key]
            wrong = flaw(text)
            if wrong:
                host = variables["inventory_hostname"]
                problem = f"lock {key}: {host} gave one whose line {wrong[0]} {wrong[1]}"
                return {
                    **answer,
                    "failed": True,
                    "msg": f"{problem}. Remedy: find out who changed that host, and resolve the lock on another one",
                }
            path = folder / f"{key}.txt"
            old = next(filter(Path.exists, (path, folder / f"{key.rpartition('-')[0]}.txt")), None)
            if old:
                moves = ", ".join(moved(old.read_text(encoding="utf-8"), text)) or "as before"
                Display().display(f"  [{variables['inventory_hostname']}] lock {key}: {moves}")
            changed |= _write(path, text)
            if isinstance(given.get(key + SUFFIX), str):
                changed |= _write(folder / f"{key}{SUFFIX}.json", given[key + SUFFIX])
        return {**answer, "changed": changed} if given else answer


def _write(path: Path, text: str) -> bool:
    """Write a file; whether that changed it."""
    if path.is_file() and path.read_bytes() == text.encode():
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(temporary, 0o644)
    os.replace(temporary, path)
    return True
