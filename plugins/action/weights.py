"""Fetch the weights of models on a host; hub, mirrors and token are the inventory's, or those of the command's environment."""

from __future__ import annotations

import os

from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.variables import read
from ansible_collections.wavesmith.provision.plugins.plugin_utils.follow import FollowAction
from ansible_collections.wavesmith.provision.plugins.plugin_utils.interface import Result, Variables
from ansible_collections.wavesmith.provision.plugins.plugin_utils.variables import ours


class ActionModule(FollowAction):
    """Gives the module what no plan holds, the token, and follows it."""

    phase = "weights"

    def run(self, tmp: str | None = None, task_vars: Variables | None = None) -> Result:
        """What the task itself says goes first."""
        wanted, _ = read(ours(task_vars or {}, self._templar), os.environ)
        given = {"hub": wanted.hub, "mirrors": list(wanted.weights_mirrors), "token": wanted.hub_token}
        self._task.args = {**given, **self._task.args}
        return super().run(tmp, task_vars)
