"""Show how far the module of the same name is, and come back to its work when a play is started again."""

from __future__ import annotations

from ansible_collections.wavesmith.provision.plugins.plugin_utils.follow import FollowAction


class ActionModule(FollowAction):
    """Follows one job."""

    phase = "build"
