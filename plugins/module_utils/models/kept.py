"""What a generation keeps of its models: their entries in its manifest, and the files of their weights."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from . import place

if TYPE_CHECKING:  # this room travels without that one
    from ..records.model import ModelOf


class Unusable(ValueError):
    """A model that cannot be run; the message says why and the remedy."""


def models(prefix: Path) -> dict[str, ModelOf]:
    """The models of a generation by name, as its manifest has them."""
    manifest = json.loads((prefix / "wavesmith" / "manifest.json").read_text(encoding="utf-8"))
    return {model["name"]: model for model in manifest.get("models", ())}


def files(prefix: Path, model: ModelOf) -> list[Path]:
    """Where the files of a model's weights are, in the order of the catalog.

    Raises:
        Unusable: they are not to be had, or one is missing or has another size.
    """
    if model["refused"]:
        raise Unusable(f"model {model['name']}: {model['refused']}")
    site = place.site(prefix)
    found = []
    for weights in model["weights"]:
        below = Path(weights["folder"]) if weights.get("folder") else site  # generations of before have none
        for file in weights["files"]:
            path = below / file["path"]
            if not path.is_file() or path.stat().st_size != file["bytes"]:
                raise Unusable(
                    f"model {model['name']}: {path} is missing or has another size. Remedy: provision this host again"
                )
            found.append(path)
    return found


def wrong_file(prefix: Path, model: ModelOf) -> str:
    """The first file whose sha256 is not the catalog's; empty where all are right.

    Raises:
        Unusable: as `files`.
    """
    pinned = [file["sha256"] for weights in model["weights"] for file in weights["files"]]
    for path, sha256 in zip(files(prefix, model), pinned):
        digest = hashlib.sha256()
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        if digest.hexdigest() != sha256:
            return str(path)
    return ""
