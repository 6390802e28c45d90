"""Report on a host: its environments and the doctor's table, on the screen and as JSON; or on all hosts, as a page."""

from __future__ import annotations

import json
import shutil
import time

from ansible.plugins.action import ActionBase
from ansible_collections.wavesmith.provision.plugins.module_utils.doctor.table import render
from ansible_collections.wavesmith.provision.plugins.module_utils.plan import guard
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.changes import changes
from ansible_collections.wavesmith.provision.plugins.module_utils.records.generation import Override, Verdict
from ansible_collections.wavesmith.provision.plugins.module_utils.records.host import CurrentGeneration, Observed
from ansible_collections.wavesmith.provision.plugins.module_utils.records.plan import PlanFile, PlannedEnvironment
from ansible_collections.wavesmith.provision.plugins.module_utils.records.report import EnvironmentReport, HostReport
from ansible_collections.wavesmith.provision.plugins.module_utils.records.task import Installed
from ansible_collections.wavesmith.provision.plugins.module_utils.report.fleet import fleet
from ansible_collections.wavesmith.provision.plugins.plugin_utils import artifacts, progress
from ansible_collections.wavesmith.provision.plugins.plugin_utils.catalog_files import failures
from ansible_collections.wavesmith.provision.plugins.plugin_utils.interface import Result, Variables
from ansible_collections.wavesmith.provision.plugins.plugin_utils.page import page
from ansible_collections.wavesmith.provision.plugins.plugin_utils.variables import (
    artifacts_folder,
    ours,
    overlay_folder,
)

PAGE = "report.html"


class ActionModule(ActionBase):
    """Works on the controller only, from what the plan and the doctor gave."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: Variables | None = None) -> Result:
        """Show and save the report."""
        variables = task_vars or {}
        own = ours(variables, self._templar)
        folder = artifacts_folder(own)
        if self._task.args.get("page"):
            found = fleet(artifacts.read(folder), artifacts.wheels(folder))
            artifacts.write(
                folder / PAGE,
                page(found, time.strftime("%Y-%m-%d %H:%M %Z"), folder, failures(overlay=overlay_folder(own))),
            )
            progress.detail(f"the report on {len(found['hosts'])} hosts is {folder / PAGE}")
            return {"changed": False, "remote_runs": 0, "saved": str(folder / PAGE)}
        host = variables["inventory_hostname"]
        plan: PlanFile = self._task.args["plan"]
        observed: Observed = self._task.args["observed"]
        verdicts: dict[str, Verdict] = self._task.args.get("verdicts") or {}
        installed: list[Installed] = self._task.args.get("installed") or []
        made = {entry["generation"]: entry for entry in installed}
        rows: list[EnvironmentReport] = []
        now = {**observed["environments"], **(self._task.args.get("kept") or {})}
        now = {name: artifacts.with_verdict(kept, verdicts.get(name)) for name, kept in now.items()}
        for item in plan["environments"]:
            before, after = (
                stored["current"] if stored else None
                for stored in (observed["environments"].get(item["name"]), now.get(item["name"]))
            )
            generation = after["generation"] if after else None
            new = made.get(generation or "")
            rows.append(
                {
                    "environment": item["name"],
                    "generation": generation,
                    "stack": item["stack"],
                    "verdict": after["verdict"] if after else None,
                    "changes": self._changes(item, before, generation, new),
                    "overrides": self._overrides(after),
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
        report: HostReport = {
            "schema": 1,
            "host": host,
            "root": plan["root"],
            "environments": rows,
            "warnings": plan["warnings"],
        }
        saved = folder / host / "report.json"
        artifacts.write(saved, json.dumps(report, indent=1, sort_keys=True) + "\n")
        artifacts.remember(folder / host, now)
        return {"changed": False, "remote_runs": 0, "report": report, "kept": now, "saved": str(saved)}

    def _overrides(self, current: CurrentGeneration | None) -> list[Override]:
        """Requirements that were overridden, as the current generation's manifest lists them."""
        return current["manifest"].get("overrides", []) if current and current["manifest"] else []

    def _changes(
        self,
        item: PlannedEnvironment,
        current: CurrentGeneration | None,
        generation: str | None,
        made: Installed | None,
    ) -> list[str]:
        """What the switch changed; of the first generation, and of one that was there already, it is what the plan has."""
        before = current["manifest"].get("packages") if current and current["manifest"] else None
        if current and generation == current["generation"]:
            return []
        return changes(before, made["contents"]) if before and made and made["contents"] else item.get("changes", [])
