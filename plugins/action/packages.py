"""Show how far the module of the same name is, and come back to its work when a play is started again."""

from __future__ import annotations

import base64
from pathlib import Path

from ansible_collections.wavesmith.provision.plugins.module_utils.records.task import CodeFile
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
        if trees and not self._task.check_mode:
            self._bring(trees)
        return super().run(tmp, task_vars)

    def conclude(self, answer: Result, variables: Variables) -> Result:
        """Say for the record which wheels were there when the generations were made from them."""
        specs = self._task.args.get("generations") or []
        keys = [wheel["key"] for spec in specs for wheel in spec.get("wheels", [])]
        return {**answer, "wheels": had(variables, keys, "there")}

    def _bring(self, trees: list[CodeFile]) -> None:
        folder = self._make_tmp_path()
        there: dict[str, str] = {}
        for tree in trees:
            local = tree["path"]
            if local not in there:
                remote = self._connection._shell.join_path(folder, tree["file"])
                there[local] = self._transfer_file(local, remote)
            tree["path"] = there[local]
        self._fixup_perms2([folder, *there.values()])
