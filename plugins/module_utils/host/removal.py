"""Remove from a host what is no longer wanted: environments, weights, toolboxes, and where they are named the caches."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence

from ..records.model import KeptWeights, WeightsOf
from ..wanted.weights import BLOBS, KEPT, blob, folder, repository
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
        raise store.StoreError(f"{item!r} is not something that can be removed. Remedy: use a name that the plan shows")
    elif kind == "environment":
        found = [store.environment_folder(root, name), os.path.join(root, "state", f"{name}.history.json")]
    elif kind == "toolbox" and name not in ("current", store.pointed(os.path.join(root, "toolbox"))):
        found = [os.path.join(root, "toolbox", name)]
    elif kind == "weights":
        found = _weights(root, name, going)
    else:
        raise store.StoreError(f"{item!r} is in use, or cannot be removed. Remedy: plan again")
    return [path for path in found if os.path.lexists(path)]


def kept(path: str) -> WeightsOf | None:
    """The set of weights that a record is of; `None` where there is none, or one that cannot be read."""
    try:
        record = store.read_record(path, KeptWeights, "it is written again when its weights are next provisioned")
    except store.StoreError:
        return None
    return record["weights"] if record else None


def _all_kept(root: str) -> dict[str, WeightsOf | None]:
    """The sets of weights on a host, by their keys."""
    paths = glob.glob(os.path.join(glob.escape(root), KEPT, "*.json"))
    return {os.path.basename(path).removesuffix(".json"): kept(path) for path in paths}


def _unused(root: str) -> list[str]:
    """Files of weights that no set has, such as those of a download that was stopped; none where a record cannot be read."""
    sets = list(_all_kept(root).values())
    known = [weights for weights in sets if weights]
    if len(known) < len(sets):
        return []
    used = {file["sha256"] for weights in known for file in weights["files"]}
    blobs = os.path.join(glob.escape(root), BLOBS)
    found = [*glob.glob(os.path.join(blobs, "*")), *glob.glob(os.path.join(blobs, ".*.part"))]
    return [path for path in found if os.path.basename(path) not in used]


def _weights(root: str, name: str, going: Sequence[str]) -> list[str]:
    """What belongs to a set of weights and to no other that stays."""
    own, sets = os.path.join(root, KEPT, f"{name}.json"), _all_kept(root)
    doomed = sets.pop(name, None)
    staying = [weights for other, weights in sets.items() if f"weights {other}" not in going]
    others = [weights for weights in staying if weights]
    if not doomed or len(others) < len(staying):
        return [own]
    shared = {file["sha256"] for weights in others for file in weights["files"]}
    own_files = {file["sha256"] for file in doomed["files"]} - shared
    files = [os.path.join(root, blob(sha256)) for sha256 in sorted(filter(None, own_files))]
    place = repository(doomed["place"]) if doomed["kind"] == "hub" else folder(doomed)
    if any((repository(other["place"]) if other["kind"] == "hub" else "") == place for other in others):
        place = folder(doomed)
    if any(folder(other) == place for other in others):
        place = ""
    # The record goes first: a removal that is killed leaves a set that is incomplete, not one that is recorded as complete.
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
