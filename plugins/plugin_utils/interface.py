"""What Ansible hands to a plugin and takes from it: mappings whose keys and values are Ansible's, an inventory's or a task's.

Nothing else in the project is passed on as such a mapping: what a plugin takes out of one becomes a record (`module_utils.records`) or a value.
"""

from __future__ import annotations

from typing import Any

Variables = dict[str, Any]
"""The variables of a host: its inventory's, its facts, what tasks registered, and Ansible's own (``groups``, ``hostvars``)."""
Arguments = dict[str, Any]
"""The arguments of a task, or of a module that a plugin runs."""
Result = dict[str, Any]
"""What a task returns: Ansible's keys (``changed``, ``failed``, ``msg``), and ours as the module documents them."""
