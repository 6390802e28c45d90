"""Resolve locks on one host of each kind, and keep them beside the inventory for the others."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from ansible_collections.wavesmith.provision.plugins.module_utils.plan.lockfile import SUFFIX, head
from ansible_collections.wavesmith.provision.plugins.plugin_utils.follow import FollowAction
from ansible_collections.wavesmith.provision.plugins.plugin_utils.variables import locks_folder, ours


class ActionModule(FollowAction):
    """Follows the resolution on the elected host and writes what it gave; other hosts of the same lock have nothing to do."""

    phase = "lock"

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Keep only the locks this host was elected for: the first host in the play that needs one resolves it."""
        variables = task_vars or {}
        host = variables["inventory_hostname"]
        mine = []
        for spec in self._task.args.get("locks") or []:
            needing = [
                name
                for name in variables.get("ansible_play_hosts", [host])
                if any(
                    other["key"] == spec["key"]
                    for other in (variables["hostvars"][name].get("wavesmith_plan") or {}).get("lock", [])
                )
            ]
            if not needing or needing[0] == host:
                mine.append(spec)
        self._task.args["locks"] = mine
        return super().run(tmp, variables)

    def conclude(self, answer: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
        """Write each lock below the inventory, with a first line that says what it was resolved from and seals the others, and its inspection beside it."""
        folder = locks_folder(ours(variables, self._templar))
        inputs = {spec["key"]: spec["inputs"] for spec in self._task.args["locks"]}
        for key, text in (answer.pop("result", None) or {}).items():
            if key.endswith(SUFFIX):
                _write(folder / f"{key}.json", text)
            else:
                _write(folder / f"{key}.txt", head(inputs[key], text) + text)
        return answer


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(temporary, 0o644)
    os.replace(temporary, path)
