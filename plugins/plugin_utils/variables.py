"""The host variables that concern the controller only: where locks and artifacts are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def ours(variables: dict[str, Any], templar: Any) -> dict[str, Any]:
    """A host's ``wavesmith_*`` variables as values, and where its inventory is."""
    found = {key: templar.template(value) for key, value in variables.items() if key.startswith("wavesmith_")}
    return {**found, "inventory_dir": variables.get("inventory_dir")}


def locks_folder(variables: dict[str, Any]) -> Path:
    """Where locks are kept: ``wavesmith_locks``, else ``locks/`` beside the host's inventory."""
    if variables.get("wavesmith_locks"):
        return Path(variables["wavesmith_locks"]).expanduser()
    inventory = variables.get("inventory_dir")
    return Path(inventory) / "locks" if inventory else Path.cwd() / "locks"


def artifacts_folder(variables: dict[str, Any]) -> Path:
    """Where plans and reports are kept: ``wavesmith_artifacts``, else ``artifacts/`` in the working directory."""
    return Path(variables.get("wavesmith_artifacts") or "artifacts").expanduser().absolute()
