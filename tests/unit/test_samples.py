"""What `observe` reports of every recorded machine, against what its machine.yml expects."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.wavesmith.provision.plugins.module_utils.observe import probe
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.decide import plan
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.record import Plan
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.variables import Environment, Wanted
from ansible_collections.wavesmith.provision.plugins.plugin_utils import catalog_files

SAMPLES = Path(__file__).parent / "samples"
MACHINES = sorted(path.parent.name for path in SAMPLES.glob("*/machine.yml"))
# Where each expected fact stands in what was observed.
PLACES = {
    "kind": ("machine", "kind"),
    "model": ("machine", "model"),
    "module": ("machine", "module"),
    "l4t": ("machine", "l4t"),
    "jetpack": ("machine", "jetpack"),
    "driver": ("nvidia", "driver"),
    "cuda": ("nvidia", "cuda"),
    "rocm": ("rocm", "version"),
    "isa": ("cpu", "isa"),
    "cpu_model": ("cpu", "model"),
    "page_size": ("cpu", "page_size"),
    "container": ("os", "container"),
}


def described(machine: str) -> dict[str, Any]:
    return yaml.safe_load((SAMPLES / machine / "machine.yml").read_text())


@pytest.mark.parametrize("machine", MACHINES)
def test_a_recorded_machine_is_recognised(machine: str) -> None:
    expected = described(machine)["expected"]
    observed = probe.observe(probe_root=str(SAMPLES / machine))
    found: dict[str, Any] = {key: observed[place[0]][place[1]] for key, place in PLACES.items() if key in expected}
    found["accelerators"] = [
        {key: gpu[key] for key in wanted}
        for gpu, wanted in zip(observed["accelerators"], expected["accelerators"], strict=False)
    ]
    if "sve" in expected:
        found["sve"] = observed["cpu"]["sve"] and observed["cpu"]["sve"]["bits"]
    found["findings"] = [finding["id"] for finding in observed["findings"]]
    assert found == expected
    assert len(observed["accelerators"]) == len(expected["accelerators"]), observed["accelerators"]


@pytest.mark.parametrize("machine", MACHINES)
def test_what_is_said_of_a_machine_has_its_witness(machine: str) -> None:
    observed = probe.observe(probe_root=str(SAMPLES / machine))
    assert observed["machine"]["why"]
    assert all(gpu["source"] for gpu in observed["accelerators"])
    nvidia = observed["nvidia"]
    assert bool(nvidia["driver"]) == bool(nvidia["driver_source"])
    assert bool(nvidia["cuda"]) == bool(nvidia["cuda_source"])
    assert all(finding["detail"] and finding["remedy"] for finding in observed["findings"])


def test_there_are_samples_of_forty_machines_and_each_names_its_source() -> None:
    folders = sorted(path.name for path in SAMPLES.iterdir() if path.is_dir())
    assert folders == MACHINES
    assert len(MACHINES) >= 40
    for machine in MACHINES:
        entry = described(machine)
        assert entry["describe"], machine
        assert entry["source"].startswith("made by us from ") or "/" in entry["source"], machine


def test_no_two_samples_are_the_same_machine() -> None:
    seen = [json.dumps([described(machine)["expected"], described(machine)["describe"]]) for machine in MACHINES]
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize("machine", MACHINES)
def test_every_sample_has_a_python_that_can_make_environments(machine: str) -> None:
    assert probe.observe(probe_root=str(SAMPLES / machine))["pythons"]


def test_no_serial_number_is_reported() -> None:
    recorded = (SAMPLES / "dgx-spark/etc/dgx-release").read_text()
    assert "made-up-serial" in recorded
    assert "made-up-serial" not in json.dumps(probe.observe(probe_root=str(SAMPLES / "dgx-spark")))


CATALOG = catalog_files.load()
SPEECH = Environment("speech", packages=("torch",))


def planned(machine: str, **wanted: Any) -> Plan:
    """The plan for a recorded machine that has room, its system packages, and every package source in reach."""
    observed = probe.observe(probe_root=str(SAMPLES / machine))
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
    return plan(Wanted(environments=(SPEECH,), **wanted), [], observed, CATALOG, {}, "toolbox")


@pytest.mark.parametrize("machine", MACHINES)
def test_a_recorded_machine_gets_its_stack_and_variant_or_is_refused(machine: str) -> None:
    result = planned(machine)
    (item,) = result.environments
    found: dict[str, Any] = {"stack": item.stack or None}
    if item.stack:
        found["variant"] = item.variant
    if result.refusals:
        found["refused"] = result.refusals[0].problem
    assert found == described(machine)["plan"]
    assert all(refusal.remedy for refusal in result.refusals)


@pytest.mark.parametrize("machine", [machine for machine in MACHINES if machine.startswith("jetson-thor")])
def test_a_thor_whose_group_wants_everything_built_gets_the_stack_from_source(machine: str) -> None:
    (item,) = planned(machine, policy=("wheelhouse", "source"), python="3.12").environments
    # JetPack 7.2 comes with CUDA 13.2: nobody is told to install another toolkit beside it.
    stack, backend = ("thor_cuda13_2", "cuda13_2") if "jp72" in machine else ("thor", "cuda13_0")
    assert (item.stack, item.variant, item.origin) == (stack, f"python312-{backend}-sm110-armv9", "source")
