"""Show how far the module of the same name is, and come back to its work when a play is started again."""

from __future__ import annotations

import base64
from pathlib import Path

from ansible_collections.wavesmith.provision.plugins.plugin_utils.follow import FollowAction
from ansible_collections.wavesmith.provision.plugins.plugin_utils.interface import Result, Variables
from ansible_collections.wavesmith.provision.plugins.plugin_utils.wheelhouse import had


class ActionModule(FollowAction):
    """Follows one job; the wheels of projects and the source trees of models, which are made on the controller, travel with it."""

    phase = "install"

    def run(self, tmp: str | None = None, task_vars: Variables | None = None) -> Result:
        """Put the bytes of each project's wheel beside its name, and bring each source tree once to the host."""
        specs = self._task.args.get("generations") or []
        for wheel in (wheel for spec in specs for wheel in spec.get("projects", [])):
            wheel["data"] = base64.b64encode(Path(wheel["path"]).read_bytes()).decode()
        trees = [tree for spec in specs for tree in spec.get("code", [])]
        if not self._task.check_mode:
            self.bring(trees)
        return super().run(tmp, task_vars)

    def conclude(self, answer: Result, variables: Variables) -> Result:
        """Say for the record which wheels were there when the generations were made from them."""
        specs = self._task.args.get("generations") or []
        keys = [wheel["key"] for spec in specs for wheel in spec.get("wheels", [])]
        return {**answer, "wheels": had(variables, keys, "there")}
