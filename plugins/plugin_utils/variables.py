"""The host variables that concern the controller: where locks, artifacts and the wheelhouse are."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit


def ours(variables: dict[str, Any], templar: Any) -> dict[str, Any]:
    """A host's ``wavesmith_*`` variables as values, and where its inventory is; a bundle stands for what it holds."""
    found = {key: templar.template(value) for key, value in variables.items() if key.startswith("wavesmith_")}
    bundle = found.get("wavesmith_bundle")
    if isinstance(bundle, str) and bundle.startswith(("/", "~/")):
        bundle = found["wavesmith_bundle"] = Path(bundle).expanduser().as_uri()
    return {
        **(from_bundle(bundle) if isinstance(bundle, str) and bundle else {}),
        **found,
        "inventory_dir": variables.get("inventory_dir"),
    }


def from_bundle(bundle: str) -> dict[str, str]:
    """The variables that an offline bundle, given by its address, stands for, unless they are set."""
    url = bundle.rstrip("/")
    found = {"wavesmith_package_index": f"{url}/index/simple", "wavesmith_wheelhouse": f"{url}/wheelhouse"}
    if url.startswith("file://"):
        found["wavesmith_locks"] = unquote(urlsplit(url).path) + "/locks"
    return found


def locks_folder(variables: dict[str, Any]) -> Path:
    """Where locks are kept: ``wavesmith_locks``, else ``locks/`` beside the host's inventory."""
    if variables.get("wavesmith_locks"):
        return Path(variables["wavesmith_locks"]).expanduser()
    inventory = variables.get("inventory_dir")
    return Path(inventory) / "locks" if inventory else Path.cwd() / "locks"


def read_locks(variables: dict[str, Any]) -> dict[str, str]:
    """The text of every lock at hand, by its key."""
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted(locks_folder(variables).glob("*.txt"))}


def overlay_folder(variables: dict[str, Any]) -> Path | None:
    """Recipes and stacks of one's own: ``wavesmith_catalog``, seen from the inventory."""
    named = variables.get("wavesmith_catalog")
    return Path(variables.get("inventory_dir") or ".", Path(str(named)).expanduser()) if named else None


def artifacts_folder(variables: dict[str, Any]) -> Path:
    """Where plans and reports are kept: ``wavesmith_artifacts``, else ``artifacts/`` in the working directory."""
    return Path(variables.get("wavesmith_artifacts") or "artifacts").expanduser().absolute()
