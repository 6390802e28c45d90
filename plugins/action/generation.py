"""Switch, roll back and prune: the module does it, and what is kept of the host here says what is current since."""

from __future__ import annotations

from ansible_collections.wavesmith.provision.plugins.module_utils.records import shape
from ansible_collections.wavesmith.provision.plugins.module_utils.records.host import KeptEnvironment
from ansible_collections.wavesmith.provision.plugins.plugin_utils import artifacts
from ansible_collections.wavesmith.provision.plugins.plugin_utils.answer import REMEDY, PlainAction
from ansible_collections.wavesmith.provision.plugins.plugin_utils.interface import Result, Variables
from ansible_collections.wavesmith.provision.plugins.plugin_utils.variables import artifacts_folder, ours


class ActionModule(PlainAction):
    """Keeps what the module says is there after a switch."""

    def run(self, tmp: str | None = None, task_vars: Variables | None = None) -> Result:
        """Return what the module returned."""
        variables = task_vars or {}
        answer = super().run(tmp, variables)
        if answer.get("kept"):
            wrong = shape.problems(answer["kept"], dict[str, KeptEnvironment], "kept")
            if wrong:
                msg = f"what the host answers: {wrong[0]}. Remedy: {REMEDY}"
                return {"changed": True, "failed": True, "msg": msg}
            folder = artifacts_folder(ours(variables, self._templar)) / variables["inventory_hostname"]
            artifacts.switched(folder, answer["kept"])
        return answer
