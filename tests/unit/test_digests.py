"""Names that must not move: wheel keys and generation digests of recorded machines, compared with those kept from before.

A digest names a folder on somebody's disk, and a wheel key a wheel that took hours to build. Whoever changes one changes what a host
does at its next run: rebuild and reinstall. After a change that is meant to do that: ``WAVESMITH_WRITE_DOCS=1 make test-unit
TESTS=tests/unit/test_digests.py``, and say in the changelog who has to build again.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.observe import probe
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.decide import plan
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.lockfile import LOCK_MARK
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.record import EnvironmentPlan
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.variables import Environment, Wanted
from ansible_collections.wavesmith.provision.plugins.plugin_utils import catalog_files

HERE = Path(__file__).parent
KEPT = HERE / "golden" / "digests.json"
CATALOG = catalog_files.load()
PACKAGES = ("torch", "torchaudio", "pyworld", "fairseq", "monotonic_align", "librosa")
CASES: dict[str, dict[str, Any]] = {
    "jetson-thor": {},
    "jetson-thor from source": {"policy": ("wheelhouse", "source"), "python": "3.12"},
    "dgx-spark": {},
    "rtx5090-ubuntu2404": {},
    "rtx3090": {},
    "rx7900-ubuntu2404": {},
    "h100": {},
    "zen4": {},
    "gh200": {},
    "zen4 with conda": {"engine": "conda"},
}


def decided(case: str) -> EnvironmentPlan:
    """What is planned for a recorded machine once its lock is there (a lock of ours: no index is asked)."""
    options = dict(CASES[case])
    machine = case.split(" ")[0]
    observed = probe.observe(probe_root=str(HERE / "samples" / machine))
    origins = {origin.name for stack in CATALOG.stacks.values() for origin in stack.origins}
    observed.update(
        toolbox={"digest": "toolbox", "intact": True},
        environments={},
        wheels=[],
        busy=None,
        disk={"path": "/opt", "free": 2**40, "total": 2**40},
        sources={name: {"answers": True, "detail": "HTTP 200"} for name in origins},
        apt={"present": True, "installed": {}, "missing": []},
    )
    speech = Environment("speech", packages=PACKAGES, engine=options.pop("engine", "venv"))
    wanted = Wanted(environments=(speech,), **options)

    def planned(locks: dict[str, str]) -> EnvironmentPlan:
        (item,) = plan(wanted, [], observed, CATALOG, locks, "toolbox").environments
        return item

    first = planned({})
    if not first.lock:
        return first
    locks = {lock["key"]: f"{LOCK_MARK}{lock['inputs']}\n" for lock in (first.lock, first.conda) if lock}
    return planned(locks)


def names(case: str) -> dict[str, Any]:
    item = decided(case)
    return {
        "stack": item.stack,
        "variant": item.variant,
        "lock": item.lock.get("inputs"),
        "digest": item.digest,
        "wheels": {wheel.name: wheel.key for wheel in item.wheels},
    }


@pytest.mark.parametrize("case", CASES)
def test_a_machine_keeps_its_wheel_keys_and_its_digest(case: str) -> None:
    if os.environ.get("WAVESMITH_WRITE_DOCS"):
        kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
        kept[case] = names(case)
        KEPT.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
    assert names(case) == json.loads(KEPT.read_text())[case]


def test_what_is_kept_is_more_than_nothing() -> None:
    kept = json.loads(KEPT.read_text())
    assert list(kept) == sorted(CASES)
    assert sum(entry["digest"] is not None for entry in kept.values()) == len(CASES)
    assert len({key for entry in kept.values() for key in entry["wheels"].values() if key}) >= 10
