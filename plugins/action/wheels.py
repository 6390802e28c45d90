"""Show how far the module of the same name is, and come back to its work when a play is started again."""

from __future__ import annotations

from ansible_collections.wavesmith.provision.plugins.plugin_utils.follow import FollowAction
from ansible_collections.wavesmith.provision.plugins.plugin_utils.interface import Result, Variables


class ActionModule(FollowAction):
    """Follows one job."""

    phase = "build"

    def conclude(self, answer: Result, variables: Variables) -> Result:
        """Say for the record what was built."""
        built = (answer.get("result") or {}).get("built", [])
        return {**answer, "wheels": [{**one, "how": "built"} for one in built]}
