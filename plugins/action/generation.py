"""Switch, roll back and prune: the module does it, and what it answers is made safe to show."""

from __future__ import annotations

from ansible_collections.wavesmith.provision.plugins.plugin_utils.answer import PlainAction


class ActionModule(PlainAction):
    """Nothing of its own."""
