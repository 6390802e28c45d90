"""Remove from a host what nobody wants any more: environments, weights, toolboxes, and where they are named the caches."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from typing import Any

from ..wanted.weights import BLOBS, KEPT, folder, repository
from . import services, store

CACHES = ("cache/uv", "cache/conda", "cache/sources", "cache/ccache", "cache/inspected")


def places(root: str, item: str, going: Sequence[str] = ()) -> list[str]:
    """The paths that belong to an item, such as ``environment old``; none where it is gone already.

    Args:
        root: Wavesmith's folder.
        item: What is removed.
        going: What is removed with it: what only these share goes too.

    Raises:
        StoreError: it is nothing that can be removed.
    """
    kind, _, name = item.partition(" ")
    if item == "caches":
        found = [*(os.path.join(root, cache) for cache in CACHES), *_unused(root)]
    elif os.path.basename(name) != name or name in ("", ".", ".."):
        raise store.StoreError(f"{item!r} names nothing that can be removed. Remedy: take a name that the plan shows")
    elif kind == "environment":
        found = [store.environment_folder(root, name), os.path.join(root, "state", f"{name}.history.json")]
    elif kind == "toolbox" and name not in ("current", store.pointed(os.path.join(root, "toolbox"))):
        found = [os.path.join(root, "toolbox", name)]
    elif kind == "weights":
        found = _weights(root, name, going)
    else:
        raise store.StoreError(f"{item!r} is in use, or nothing that can be removed. Remedy: plan again")
    return [path for path in found if os.path.lexists(path)]


def _kept(root: str) -> dict[str, Any]:
    """The record of each set of weights, by its name."""
    paths = glob.glob(os.path.join(glob.escape(root), KEPT, "*.json"))
    return {os.path.basename(path).removesuffix(".json"): store.read_json(path) for path in paths}


def _unused(root: str) -> list[str]:
    """Files of weights that no set has, such as those of a download that was stopped; none where a record cannot be read."""
    records = list(_kept(root).values())
    if not all(isinstance(record, dict) for record in records):
        return []
    used = {file["sha256"] for record in records for file in record["files"]}
    blobs = os.path.join(glob.escape(root), BLOBS)
    found = [*glob.glob(os.path.join(blobs, "*")), *glob.glob(os.path.join(blobs, ".*.part"))]
    return [path for path in found if os.path.basename(path) not in used]


def _weights(root: str, name: str, going: Sequence[str]) -> list[str]:
    """What belongs to a set of weights and to no other that stays."""
    own, records = os.path.join(root, KEPT, f"{name}.json"), _kept(root)
    doomed = records.pop(name, None)
    others = [record for other, record in records.items() if f"weights {other}" not in going]
    if not isinstance(doomed, dict) or not all(isinstance(other, dict) for other in others):
        return [own]
    shared = {file["sha256"] for record in others for file in record["files"]}
    files = [os.path.join(root, BLOBS, file["sha256"]) for file in doomed["files"] if file["sha256"] not in shared]
    place = repository(doomed["place"]) if doomed["kind"] == "hub" else folder(doomed)  # type: ignore[arg-type]
    if any((repository(other["place"]) if other["kind"] == "hub" else "") == place for other in others):
        place = folder(doomed)  # type: ignore[arg-type]
    if any(folder(other) == place for other in others):
        place = ""
    # The record goes first: a removal that is killed leaves a set that is incomplete, not one that is said to be there.
    return [own, *([os.path.join(root, place)] if place else []), *files]


def remove(root: str, items: Sequence[str], check: bool) -> list[tuple[str, int]]:
    """Remove items; each with the bytes that it freed, or would free.

    Raises:
        StoreError: one of them is nothing that can be removed; then nothing is.
    """
    found, seen = [], set[str]()
    for item, all_paths in [(item, places(root, item, items)) for item in dict.fromkeys(items)]:
        if not all_paths:
            continue
        paths = [path for path in all_paths if path not in seen]
        seen.update(paths)
        found.append((item, sum(_size(path) for path in paths)))
        for path in [] if check else paths:
            os.unlink(path) if os.path.islink(path) or not os.path.isdir(path) else store.remove(path)
        kind, _, name = item.partition(" ")
        if kind == "environment" and not check:
            services.settle(root, name)
    return found


def _size(path: str) -> int:
    if os.path.isdir(path) and not os.path.islink(path):
        return store.room(path)
    status = os.lstat(path)
    return status.st_blocks * 512
