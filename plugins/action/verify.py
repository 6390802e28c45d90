"""Run the doctor in generations, and show its table."""

from __future__ import annotations

import shutil

from ansible_collections.wavesmith.provision.plugins.module_utils.doctor.table import render
from ansible_collections.wavesmith.provision.plugins.plugin_utils import artifacts, progress
from ansible_collections.wavesmith.provision.plugins.plugin_utils.catalog_files import checks
from ansible_collections.wavesmith.provision.plugins.plugin_utils.follow import FollowAction
from ansible_collections.wavesmith.provision.plugins.plugin_utils.interface import Result, Variables
from ansible_collections.wavesmith.provision.plugins.plugin_utils.variables import (
    artifacts_folder,
    ours,
    overlay_folder,
)


class ActionModule(FollowAction):
    """Follows the doctor; a verdict that is not healthy is a failure, and what is current stays current."""

    phase = "verify"

    def run(self, tmp: str | None = None, task_vars: Variables | None = None) -> Result:
        """Bring the user's own checks along."""
        own = checks(overlay_folder(ours(task_vars or {}, self._templar)))
        if own:
            self._task.args = {**self._task.args, "checks": own}
        return super().run(tmp, task_vars)

    def conclude(self, answer: Result, variables: Variables) -> Result:
        """Show each verdict; say which checks failed and what to do."""
        verdicts = (answer.get("result") or {}).get("verdicts", {})
        artifacts.judged(artifacts_folder(ours(variables, self._templar)) / variables["inventory_hostname"], verdicts)
        failed = []
        for environment, verdict in sorted(verdicts.items()):
            if verdict.get("exit") != 0:
                progress.detail(render(verdict, shutil.get_terminal_size((110, 24)).columns))
                bad = [check for check in verdict.get("checks", []) if check["verdict"] == "fail"]
                lines = [
                    f"  {check['id']}: {check['detail']}. Remedy: {check.get('remedy') or 'see its evidence'}"
                    for check in bad
                ]
                failed.append(
                    "\n".join(
                        [
                            f"the doctor's verdict on environment {environment} is {verdict.get('verdict')}; the current generation stays in use",
                            *lines,
                        ]
                    )
                )
        if failed:
            answer.pop("result", None)
            answer.update(failed=True, msg="\n".join(failed))
        return answer
