"""What one worker decides for all hosts of a batch: the first that comes does it, because reading a thousand plans takes a while."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from ansible import constants
from ansible_collections.wavesmith.provision.plugins.module_utils.records.wheel import PlanOfWheels
from ansible_collections.wavesmith.provision.plugins.module_utils.terms.digest import digest
from ansible_collections.wavesmith.provision.plugins.plugin_utils.interface import Variables


def share_of(host: str, task: str, batch: list[str], decide: Callable[[], Mapping[str, object]]) -> object:
    """A host's share of what is decided once for a task and its batch; `None` where it has none."""
    folder = Path(constants.DEFAULT_LOCAL_TMP) / f"batch-{digest([task, batch])[:16]}"
    folder.mkdir(exist_ok=True)
    with open(folder / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "decided").exists():
            for name, share in decide().items():
                (folder / f"host-{name}.json").write_text(json.dumps(share), encoding="utf-8")
            (folder / "decided").touch()
    saved = folder / f"host-{host}.json"
    return json.loads(saved.read_text(encoding="utf-8")) if saved.exists() else None


def planned_of(variables: Variables, hosts: Iterable[str]) -> tuple[dict[str, PlanOfWheels], dict[str, list[str]]]:
    """The plan of each host that has one, and the sources that told it no."""
    found = {name: variables["hostvars"][name].get("wavesmith_plan") or {} for name in hosts}
    kept = {name: one for name, one in found.items() if one.get("plan")}
    return {name: one["plan"] for name, one in kept.items()}, {
        name: list(one.get("unreached", ())) for name, one in kept.items()
    }
