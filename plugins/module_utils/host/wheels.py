"""Wheels built from source, where a host keeps them."""

from __future__ import annotations

import os

from ..records.wheel import Provenance
from . import store
from .job import Failed
from .store import sha256


def wheel_folder(root: str, key: str) -> str:
    """Where the wheel of a key lives."""
    return os.path.join(root, "wheels", key)


def kept_wheel(root: str, key: str) -> str:
    """The path of a published wheel, its sha256 checked.

    Raises:
        Failed: it is not there, or not the file that was built.
    """
    folder = wheel_folder(root, key)
    provenance = store.read_record(
        os.path.join(folder, "provenance.json"), Provenance, f"remove {folder} and rebuild the wheel"
    )
    if provenance is None:
        raise Failed(f"wheel {key} is not in the wheelhouse. Remedy: run wavesmith provision for this host first")
    path = os.path.join(folder, provenance["wheel"])
    if not os.path.exists(path) or sha256(path) != provenance["sha256"]:
        store.remove(folder)
        raise Failed(
            f"wheel {provenance['wheel']} is not the file that was built (wrong sha256) and was removed. Remedy: start again: it will be rebuilt"
        )
    return path
