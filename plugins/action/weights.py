"""Fetch the weights of models on a host; hub, mirrors and token are the inventory's, or those of the command's environment."""

from __future__ import annotations

import os
from typing import Any

from ansible.utils.display import Display
from ansible_collections.wavesmith.provision.plugins.module_utils.records.model import WeightsOf
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.variables import read
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.weights import BLOBS, key
from ansible_collections.wavesmith.provision.plugins.plugin_utils.follow import FollowAction
from ansible_collections.wavesmith.provision.plugins.plugin_utils.interface import Result, Variables
from ansible_collections.wavesmith.provision.plugins.plugin_utils.variables import ours
from ansible_collections.wavesmith.provision.plugins.plugin_utils.wheelhouse import wheelhouse_of


class ActionModule(FollowAction):
    """Gives the module what no plan holds, the token, and follows it."""

    phase = "weights"

    def run(self, tmp: str | None = None, task_vars: Variables | None = None) -> Result:
        """What the task itself says goes first; a served wheelhouse is asked before the other mirrors."""
        variables = task_vars or {}
        own = ours(variables, self._templar)
        wanted, _ = read(own, os.environ)
        address = wheelhouse_of(own).address
        address = address if address.startswith(("http://", "https://")) else ""
        given: dict[str, Any] = {"hub": wanted.hub, "mirrors": list(wanted.weights_mirrors), "token": wanted.hub_token}
        if self._task.args.get("served"):
            given["weights"] = _of_the_run(variables) if address else []
            if not self._task.args.get("weights", given["weights"]):
                return {"changed": False, "remote_runs": 0}
        elif address:
            given["mirrors"] = [f"{address}/{BLOBS}", *given["mirrors"]]
        self._task.args = {**given, **self._task.args}
        answer = super().run(tmp, variables)
        if self._task.args.get("served") and answer.pop("failed", False):
            Display().warning(
                f"[{variables['inventory_hostname']}] weights are not fetched for the fleet: {answer.get('msg', 'no reason was given')}. "
                "Each host fetches them by itself"
            )
        return answer


def _of_the_run(variables: Variables) -> list[WeightsOf]:
    """The weights that any host of this run needs and lacks, each once."""
    found: dict[str, WeightsOf] = {}
    for host in variables["groups"].get("wavesmith_weights", ()):
        planned = variables["hostvars"][host].get("wavesmith_plan") or {}
        found.update((key(weights), weights) for weights in planned.get("weights", ()))
    return list(found.values())
