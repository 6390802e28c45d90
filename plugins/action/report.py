"""Report on a host: its environments and the doctor's table, on the screen and as JSON; or on all hosts, as a page."""

from __future__ import annotations

import json
import shutil
import time
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.wavesmith.provision.plugins.module_utils.doctor.table import render
from ansible_collections.wavesmith.provision.plugins.module_utils.plan import guard
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.changes import changes
from ansible_collections.wavesmith.provision.plugins.module_utils.report.fleet import fleet
from ansible_collections.wavesmith.provision.plugins.plugin_utils import artifacts, progress
from ansible_collections.wavesmith.provision.plugins.plugin_utils.page import page
from ansible_collections.wavesmith.provision.plugins.plugin_utils.variables import artifacts_folder, ours

PAGE = "report.html"


class ActionModule(ActionBase):
    """Works on the controller only, from what the plan and the doctor gave."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Show and save the report."""
        variables = task_vars or {}
        folder = artifacts_folder(ours(variables, self._templar))
        if self._task.args.get("page"):
            found = fleet(artifacts.read(folder))
            artifacts.write(folder / PAGE, page(found, time.strftime("%Y-%m-%d %H:%M %Z"), folder))
            progress.detail(f"the report on {len(found['hosts'])} hosts is {folder / PAGE}")
            return {"changed": False, "remote_runs": 0, "saved": str(folder / PAGE)}
        host = variables["inventory_hostname"]
        plan, observed = self._task.args["plan"], self._task.args["observed"]
        verdicts = dict(self._task.args.get("verdicts") or {})
        made = {entry["generation"]: entry for entry in self._task.args.get("installed") or []}
        rows = []
        for item in plan["environments"]:
            current = observed["environments"].get(item["name"], {}).get("current") or {}
            verdicts.setdefault(item["name"], current.get("verdict"))
            switched = {} if self._task.check_mode else self._task.args.get("activated") or {}
            generation = switched.get(item["name"]) or item["current"]
            rows.append(
                {
                    "environment": item["name"],
                    "generation": generation,
                    "stack": item["stack"],
                    "verdict": verdicts[item["name"]],
                    "changes": self._changes(item, current, generation, made.get(generation, {})),
                    "overrides": {**(current.get("manifest") or {}), **made.get(generation, {})}.get("overrides", []),
                }
            )
        for row in rows:
            for line in row["changes"]:
                progress.detail(f"[{host}] {row['environment']} changed: {line}")
            if row["verdict"]:
                progress.detail(render(row["verdict"], shutil.get_terminal_size((110, 24)).columns))
            for line in guard.lines(row["overrides"]):
                progress.detail(f"[{host}] {row['environment']} overrides {line}")
            if row["generation"]:
                place = f"{plan['root']}/envs/{row['environment']}/current"
                progress.detail(
                    f"[{host}] {row['environment']} is generation {row['generation']} ({row['stack']}): source {place}/bin/activate"
                )
            else:
                progress.detail(f"[{host}] {row['environment']} is not there yet")
        report = {"schema": 1, "host": host, "root": plan["root"], "environments": rows, "warnings": plan["warnings"]}
        saved = folder / host / "report.json"
        artifacts.write(saved, json.dumps(report, indent=1, sort_keys=True) + "\n")
        artifacts.remember(folder / host, observed)
        return {"changed": False, "remote_runs": 0, "report": report, "saved": str(saved)}

    def _changes(
        self, item: dict[str, Any], current: dict[str, Any], generation: str | None, made: dict[str, Any]
    ) -> list[str]:
        """What the switch changed; of the first generation, and of one that was there already, it is what the plan said."""
        before = (current.get("manifest") or {}).get("packages")
        if generation == current.get("generation"):
            return []
        planned: list[str] = item.get("changes", [])
        return changes(before, made["contents"]) if before and made.get("contents") else planned
