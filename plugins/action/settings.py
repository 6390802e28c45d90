"""Read a host's variables, refuse what is wrong with them, and hand them on as values."""

from __future__ import annotations

from dataclasses import asdict

from ansible.plugins.action import ActionBase
from ansible_collections.wavesmith.provision.plugins.plugin_utils.interface import Result, Variables
from ansible_collections.wavesmith.provision.plugins.plugin_utils.variables import ours, settings


class ActionModule(ActionBase):
    """For the playbooks that do not plan; no remote run."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: Variables | None = None) -> Result:
        """Return the settings by their names, without the prefix."""
        variables = task_vars or {}
        wanted, refusals = settings(ours(variables, self._templar), self._loader)
        if refusals:
            return {"changed": False, "failed": True, "remote_runs": 0, "msg": "\n".join(map(str, refusals))}
        rollback = dict(wanted.rollback) or {environment.name: "" for environment in wanted.environments}
        return {"changed": False, "remote_runs": 0, "settings": {**asdict(wanted), "rollback": rollback}}
