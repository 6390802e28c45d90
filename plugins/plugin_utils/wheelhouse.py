"""The wheelhouse as the controller sees it: its own store, the place that hosts fetch from by themselves, and who may sign."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ansible import constants
from ansible.utils.display import Display
from ansible_collections.wavesmith.provision.plugins.module_utils.host.store import write_text
from ansible_collections.wavesmith.provision.plugins.module_utils.records.run import WheelOfRun
from ansible_collections.wavesmith.provision.plugins.module_utils.records.wheel import WheelManifest
from ansible_collections.wavesmith.provision.plugins.module_utils.terms.url import split_url
from ansible_collections.wavesmith.provision.plugins.module_utils.wheels import manifest
from ansible_collections.wavesmith.provision.plugins.module_utils.wheels.wheelhouse import entries, request
from ansible_collections.wavesmith.provision.plugins.plugin_utils.interface import Variables
from ansible_collections.wavesmith.provision.plugins.plugin_utils.variables import artifacts_folder, locks_folder

ASK = 10.0
"""Seconds that a served wheelhouse has to answer."""


@dataclass(frozen=True)
class Wheelhouse:
    """Where wheels are kept for others.

    Attributes:
        store: Folder of the controller that wheels are relayed through.
        address: Where hosts fetch from by themselves, without a slash at its end; empty where the controller brings everything.
        signers: The file of the keys that may sign.
        shared: Whether there is anybody to share wheels with.
    """

    store: Path
    address: str
    signers: Path
    shared: bool

    def signers_text(self) -> str:
        """The text of ``allowed_signers``; empty where there is none yet."""
        return self.signers.read_text(encoding="utf-8") if self.signers.exists() else ""

    def trust(self, builder: str, public: str) -> bool:
        """Add a builder's key to those that may sign; `True` where it is new.

        Raises:
            Untrusted: another key of that builder was there.
        """
        self.signers.parent.mkdir(parents=True, exist_ok=True)
        with alone(self.signers.parent):
            before = self.signers_text()
            after = manifest.add_signer(before, builder, public)
            if after != before:
                write_text(str(self.signers), after)
        return after != before

    def offered(self) -> dict[str, WheelManifest]:
        """Manifests of all wheels that the store or the served wheelhouse has, by key."""
        return {**entries(str(self.store)), **self.served()}

    def _kept(self) -> Path:
        """Where this run keeps what the served wheelhouse said; the folder is the run's own and goes with it."""
        name = hashlib.sha256(self.address.encode()).hexdigest()[:16]
        return Path(constants.DEFAULT_LOCAL_TMP) / f"wheelhouse-{name}.json"

    def forget(self) -> None:
        """Ask the served wheelhouse again, because it got more."""
        self._kept().unlink(missing_ok=True)

    def served(self) -> dict[str, WheelManifest]:
        """What hosts can fetch by themselves; asked once in a run; a warning where it does not answer."""
        if self.address.startswith("file://"):
            return entries(self.address[len("file://") :])
        if not self.address:
            return {}
        kept = self._kept()
        if not kept.exists():
            try:
                text = _get(f"{self.address}/{manifest.KEYS}")
            except (OSError, ValueError) as error:
                text = "{}"
                shown = split_url(self.address).shown
                Display().warning(
                    f"the wheelhouse {shown} does not answer ({error}), so what it has is not known. "
                    "Remedy: see whether it runs (wavesmith_wheelhouse)"
                )
            write_text(str(kept), text)
        return manifest.read_index(kept.read_text(encoding="utf-8"))


def wheelhouse_of(variables: Variables, hosts: int = 1) -> Wheelhouse:
    """The wheelhouse of a host with these ``wavesmith_*`` variables, in an inventory of so many hosts."""
    place = str(variables.get("wavesmith_wheelhouse") or "").rstrip("/")
    store = artifacts_folder(variables) / "wheelhouse"
    if place and "://" not in place:
        store, place = Path(place).expanduser().absolute(), ""
    signers = locks_folder(variables) / "allowed_signers"
    return Wheelhouse(store, place, signers, hosts > 1 or bool(variables.get("wavesmith_wheelhouse")))


def had(variables: Variables, keys: Iterable[str], how: Literal["brought", "there"]) -> list[WheelOfRun]:
    """How a host had those of its planned wheels with these keys, for the record of the run."""
    plan = (variables.get("wavesmith_plan") or {}).get("plan", {})
    planned = {wheel["key"]: wheel for item in plan.get("environments", ()) for wheel in item["wheels"]}
    return [
        {
            "key": key,
            "name": planned[key]["name"],
            "version": planned[key]["version"],
            "variant": planned[key]["spec"]["variant"],
            "how": how,
            "seconds": None,
        }
        for key in sorted(set(keys) & planned.keys())
    ]


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep the other processes of this controller out of a folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _get(address: str) -> str:
    with urllib.request.urlopen(request(address), timeout=ASK) as answer:
        text = answer.read(64 << 20).decode("utf-8", errors="replace")
    json.loads(text)
    return str(text)
