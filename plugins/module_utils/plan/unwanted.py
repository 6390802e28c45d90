"""What is on a host and no longer wanted: the plan names it, and only its own playbook removes it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ..records.host import Observed
from ..terms.refusal import Refusal
from ..wanted.weights import key
from .record import EnvironmentPlan, Plan

CACHES = "caches"
"""All downloads: wanted, but they can be fetched again; removed only where they are named."""
VARIABLE = "variable wavesmith_remove"
_FIRST = {
    "environment": "take it out of wavesmith_environments first",
    "weights": "take its model out of wavesmith_environments first, or fix what wavesmith plan refuses",
    "toolbox": "keep it: the next toolbox replaces it",
}


def apart(
    observed: Observed, environments: Sequence[EnvironmentPlan], toolbox: str, known: bool
) -> tuple[set[str], list[str]]:
    """What is wanted, and what is there and unwanted: environments, weights and toolboxes, each by its kind and name.

    Args:
        observed: What is there.
        environments: What is wanted.
        toolbox: The toolbox that is wanted; the current one stays too.
        known: Whether it is known which weights they need. It is not where an environment is refused; then all weights stay.
    """
    wanted = {f"environment {item.name}" for item in environments}
    wanted |= {
        f"weights {key(weights)}" for item in environments for model in item.models for weights in model["weights"]
    }
    wanted |= {f"toolbox {digest}" for digest in (toolbox, observed["toolbox"]["digest"])}
    weights = [f"weights {name}" for name in observed.get("weights", ())]
    wanted |= set() if known else set(weights)
    there = [
        *(f"environment {name}" for name in observed.get("all_environments", ())),
        *weights,
        *(f"toolbox {name}" for name in observed.get("toolboxes", ())),
    ]
    return wanted, [item for item in there if item not in wanted]


def chosen(
    asked: Iterable[str], wanted: Iterable[str], found: Sequence[str], everything: bool = True
) -> tuple[list[str], list[Refusal]]:
    """What a removal takes: all that is unwanted, or what was asked for; a refusal for each that is wanted.

    A name that a host does not have is none of its business: another host may have it.

    Args:
        asked: With their kinds (``environment old``) or without.
        wanted: What is wanted.
        found: What is there and unwanted.
        everything: Whether all of it goes where nothing was asked for. Not where no environment is wanted: that may be the wrong inventory.
    """
    asked = list(dict.fromkeys(asked))
    if not asked:
        return list(found) if everything else [], []
    names, kept = {**_named(found), CACHES: CACHES}, _named(wanted)
    refusals = [
        Refusal(VARIABLE, f"{kept[name]} is still wanted", _FIRST[kept[name].partition(" ")[0]])
        for name in asked
        if name in kept and name not in names
    ]
    return list(dict.fromkeys(names[name] for name in asked if name in names)), refusals


def _named(items: Iterable[str]) -> dict[str, str]:
    """Items by their names with and without their kinds."""
    return {name: item for item in items for name in (item, item.partition(" ")[2])}


def for_removal(plan: Plan, unread: Sequence[Refusal]) -> Plan:
    """A plan that only removes: what cannot be made here, such as on a full disk, is no reason to keep what is no longer wanted.

    Args:
        plan: The host's plan.
        unread: What was found wrong while the wanted state was read; without that state nothing is removed.
    """
    refusals = [refusal for refusal in plan.refusals if refusal in unread or refusal.item == VARIABLE]
    return replace(plan, refusals=refusals)
