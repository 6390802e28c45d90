"""Make the toolbox: the module does it, and what it answers is made safe to show."""

from __future__ import annotations

from ansible_collections.wavesmith.provision.plugins.plugin_utils.answer import DownloadingAction
from ansible_collections.wavesmith.provision.plugins.plugin_utils.interface import Result, Variables


class ActionModule(DownloadingAction):
    """Nothing of its own but what every download needs."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: Variables | None = None) -> Result:
        """Return what the module returned."""
        variables = task_vars or {}
        return self.ask("toolbox", self.given(variables), variables)
