"""Remedies in the words of who reads them: where the command `wavesmith` is not installed, the playbook that it runs."""

from __future__ import annotations

import re
import shutil
from functools import cache

from ansible_collections.wavesmith.provision.plugins.plugin_utils.catalog_files import COLLECTION

_PLAYBOOKS = {
    **{
        name: name
        for name in (
            "lock",
            "logs",
            "plan",
            "prune",
            "remove",
            "repair",
            "report",
            "reprovision",
            "rollback",
            "status",
            "verify",
        )
    },
    "provision": "site",
}
"""The playbook of each command that is one."""
_COMMAND = re.compile(rf"\bwavesmith ({'|'.join(_PLAYBOOKS)})\b")


@cache
def has_command() -> bool:
    """Whether there is a command `wavesmith`: beside this collection, as in a checkout, or installed."""
    return (COLLECTION / "wavesmith" / "cli.py").is_file() or shutil.which("wavesmith") is not None


def as_called(text: str) -> str:
    """A text whose commands can be run by who reads it."""
    if has_command():
        return text
    return _COMMAND.sub(lambda found: f"ansible-playbook wavesmith.provision.{_PLAYBOOKS[found[1]]}", text)
