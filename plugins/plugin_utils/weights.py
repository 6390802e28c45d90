"""Weights that hosts share through a folder of this controller: the one that ``wavesmith_wheelhouse`` names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.request import url2pathname

from ansible_collections.wavesmith.provision.plugins.module_utils.host.job import Failed
from ansible_collections.wavesmith.provision.plugins.module_utils.records.job import Progress
from ansible_collections.wavesmith.provision.plugins.module_utils.records.model import WeightsOf
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.variables import Wanted
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.weights import BLOBS
from ansible_collections.wavesmith.provision.plugins.module_utils.weights.fetch import fetch
from ansible_collections.wavesmith.provision.plugins.plugin_utils.wheelhouse import alone

SEEN_BY_ALL = "file://"
"""How an address of a folder begins that the controller and every host see."""


def address(wanted: Wanted) -> str:
    """What `wavesmith_wheelhouse` names; empty for that of a bundle, which nothing is added to."""
    return "" if wanted.bundle else wanted.wheelhouse.rstrip("/")


def folder(wanted: Wanted) -> Path | None:
    """The controller's folder that weights go through; `None` where hosts ask an address, or each the hub."""
    place = address(wanted)
    if place.startswith(SEEN_BY_ALL):
        return Path(url2pathname(place[len(SEEN_BY_ALL) :]))
    return Path(place).expanduser().absolute() if place and "://" not in place else None


class _Teller:
    """Tells a function how far it is."""

    def __init__(self, told: Callable[[Progress], None]) -> None:
        self._told = told

    def progress(self, phase: str, n: int = 0, m: int = 0, detail: str = "") -> None:
        self._told({"phase": phase, "n": n, "m": m, "detail": detail})


def fetch_once(place: Path, weights: Sequence[WeightsOf], wanted: Wanted, told: Callable[[Progress], None]) -> str:
    """Fetch into a folder what is not there yet, while the workers of other hosts wait; why that failed, or nothing."""
    try:
        place.mkdir(parents=True, exist_ok=True)
        with alone(place):
            fetch(_Teller(told), str(place), weights, wanted.hub, wanted.weights_mirrors, wanted.hub_token)
    except Failed as problem:
        return str(problem)
    except OSError as problem:
        return f"{problem.filename or place}: {problem.strerror}. Remedy: free some space on the controller, or make it writable"
    return ""


def files(place: Path, weights: Sequence[WeightsOf]) -> dict[str, Path]:
    """Their files in that folder, by sha256."""
    names = [file["sha256"] or "" for part in weights for file in part["files"]]
    return {name: place / BLOBS / name for name in names}
