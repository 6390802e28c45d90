"""What the plan says of all models on machines as people have them.

``WAVESMITH_WRITE_DOCS=1`` writes the table of docs/models.md from it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.decide import plan
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.record import Plan
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.variables import Environment, Wanted
from ansible_collections.wavesmith.provision.plugins.plugin_utils import catalog_files

from wavesmith.model_sets import PAGE
from wavesmith.packages import recorded

from .test_plan import CATALOG

MACHINES = {
    "Thor": "jetson-thor",
    "DGX Spark": "dgx-spark",
    "RTX 5090": "rtx5090-ubuntu2404",
    "RX 7900": "rx7900-ubuntu2404",
    "WSL2, RX 6700": "wsl2-rx6700xt",
}
"""Recorded machines by what people call them; of Ubuntu 24.04, so with Python 3.12."""
FAMILY = ("torch", "torchaudio")
BEGIN, END = "<!-- begin: tests/unit/test_model_plans.py -->", "<!-- end: tests/unit/test_model_plans.py -->"


@dataclass(frozen=True)
class Told:
    """What the plan says of a model on a machine: why it is refused, what is short, what its licences forbid."""

    refused: str
    memory: str
    licence: str


@lru_cache(maxsize=8)
def observed(machine: str) -> Any:
    found = recorded(machine, "3.12", CATALOG)
    return {**found, "sources": {name: {"answers": True, "detail": ""} for name in found["sources"]}}


def planned(machine: str, *environments: Environment) -> Plan:
    return plan(Wanted(environments, projects={}), [], observed(machine), CATALOG, {}, "")


def alone(name: str) -> Environment:
    """An environment of one model; with torch's stack of the machine where it computes with torch."""
    torch = any(line == "torch" for line in CATALOG.models[name].requires)
    return Environment(name, stack="auto" if torch else "none", models=(name,))


@lru_cache(maxsize=200)
def told(machine: str, name: str) -> Told:
    found = planned(machine, alone(name))
    said = [
        warning.removeprefix(f"model {name}: ").removeprefix(f"model {name} ")
        for warning in found.warnings
        if f"model {name}" in warning
    ]
    return Told(
        "; ".join(refusal.problem for refusal in found.refusals).replace(f"model {name}", "it"),
        next((warning for warning in said if "memory" in warning), ""),
        next((warning for warning in said if "commercial" in warning), ""),
    )


def sets(machine: str) -> Plan:
    """All sets of the catalog that the machine is not refused, and the small models, as environments of one plan."""
    wanted = catalog_files.model_sets()
    environments = [
        Environment(name, models=tuple(model for model in wanted[name]["models"] if not told(machine, model).refused))
        for name in ("speech", "openvoice")
    ]
    small = [Environment(name, stack="none", models=(name,)) for name in ("piper_demo", "whisper_tiny")]
    return planned(machine, *(item for item in environments if item.models), *small)


def page() -> str:
    notes: dict[str, int] = {}

    def cell(machine: str, name: str) -> str:
        found = told(machine, name)
        if found.refused:
            return f"refused ({notes.setdefault(found.refused, len(notes) + 1)})"
        return f"yes ({notes.setdefault(found.memory, len(notes) + 1)})" if found.memory else "yes"

    head = ["model", *MACHINES]
    lines = [_row(head), _row("---" for _ in head)]
    lines += [_row([f"`{name}`", *(cell(machine, name) for machine in MACHINES.values())]) for name in CATALOG.models]
    plans = {machine: sets(machine) for machine in MACHINES.values()}
    lines.append(_row(["stack of `speech`", *(found.environments[0].stack for found in plans.values())]))
    lines.append(_row(["disk, GiB", *(f"{found.disk_gib:g}" for found in plans.values())]))
    lines.append(_row(["their weights, GiB", *(f"{_weights(found):.0f}" for found in plans.values())]))
    forbidden = [name for name in CATALOG.models if told(MACHINES["RTX 5090"], name).licence]
    lines += ["", *(f"- ({number}) {why}" for why, number in notes.items())]
    lines.append(
        f"- No commercial use, says the plan, because of the licence of the weights: {', '.join(f'`{name}`' for name in forbidden)}."
    )
    return "\n".join(lines)


def _row(cells: Iterator[str] | list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _weights(found: Plan) -> float:
    sizes = {
        weights["name"]: weights["bytes"]
        for item in found.environments
        for model in item.models
        for weights in model["weights"]
    }
    return sum(sizes.values()) / 2**30


def test_the_table_of_the_document_is_what_the_plan_says() -> None:
    made = page()
    text = PAGE.read_text(encoding="utf-8")
    head, _, rest = text.partition(BEGIN)
    if os.environ.get("WAVESMITH_WRITE_DOCS"):
        PAGE.write_text(f"{head}{BEGIN}\n\n{made}\n\n{END}{rest.partition(END)[2]}", encoding="utf-8")
    elif rest.partition(END)[0].strip() != made:
        pytest.fail("WAVESMITH_WRITE_DOCS=1 writes it anew: look at the difference")


@pytest.mark.parametrize("machine", MACHINES.values())
def test_what_is_not_refused_alone_fits_its_set(machine: str) -> None:
    found = sets(machine)
    assert not found.refusals, found.refusals
    assert found.disk_gib > 5


@pytest.mark.parametrize("name", ["maskgct", "metis", "vevo", "fish_speech", "fish_speech_s1", "dualcodec"])
def test_what_has_no_path_to_directml_is_refused_there_with_the_reason(name: str) -> None:
    assert told("wsl2-rx6700xt", name).refused.startswith("it does not work on directml: ")


@pytest.mark.parametrize("machine", MACHINES.values())
def test_a_licence_that_forbids_commercial_use_is_said_on_every_machine(machine: str) -> None:
    for name in ("maskgct", "metis"):
        assert told(machine, name).refused or "forbids commercial use" in told(machine, name).licence
