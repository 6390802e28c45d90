"""`wavesmith remove`: remove from hosts what is no longer wanted."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence

from ansible_collections.wavesmith.provision.plugins.module_utils.plan.unwanted import CACHES
from ansible_collections.wavesmith.provision.plugins.module_utils.records.outcome import HostOutcome
from ansible_collections.wavesmith.provision.plugins.module_utils.terms.refusal import Refusal, suggest

from wavesmith import playbook

NAME = "remove"
HELP = "remove environments, weights and toolboxes that are no longer wanted"
KINDS = ("environment", "weights", "toolbox")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    playbook.options(parser)
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="what to remove, as the plan names it: environment old, or just old; caches for all downloads [all that is no longer wanted]",
    )
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")


def run(arguments: argparse.Namespace) -> int:
    """Show what goes, ask, remove it."""
    names = items(arguments.names)
    variables = {"wavesmith_remove": names} if names else {}
    asked = argparse.Namespace(**{**vars(arguments), "check": True, "verbose": 0})
    code, found = playbook.ask("remove", asked, variables, changes=not arguments.check)
    if not found:
        return code
    refusals = [
        Refusal(f"{', '.join(error['hosts'])}: {error['item']}", error["problem"], error["remedy"])
        for error in found["errors"]
    ]
    refusals = refusals or _nowhere(names, found["hosts"])
    if refusals:
        return playbook.refuse(refusals, arguments.json)
    doomed = [
        f"{host}: {item} {'go' if item == CACHES else 'goes'}, {size / 2**30:.2f} GiB"
        for host, data in found["hosts"].items()
        for item, size in data.get("removed", {}).items()
        if isinstance(size, int)
    ]
    if not arguments.json and not arguments.quiet:
        print("\n".join(doomed or ["nothing to remove"]), flush=True)
    if arguments.check or not doomed:
        if arguments.json:
            print(json.dumps(found, indent=1))
        return playbook.DONE
    if not arguments.yes and not _agreed():
        refusal = Refusal("remove", "nobody agreed, nothing was changed", "answer yes, or add --yes")
        return playbook.refuse([refusal], arguments.json)
    return playbook.run("remove", arguments, variables)


def items(words: Iterable[str]) -> list[str]:
    """What is named by words: a kind belongs to the name after it."""
    found: list[str] = []
    for word in words:
        if found and found[-1] in KINDS:
            found[-1] += f" {word}"
        else:
            found.append(word)
    return found


def _nowhere(names: Sequence[str], hosts: Mapping[str, HostOutcome]) -> list[Refusal]:
    """A refusal for each name that no host has, and where nothing is named for a removal that has to be."""
    there = sorted({item for data in hosts.values() for item in data.get("unwanted", ())})
    going = any(data.get("removed") for data in hosts.values())
    if not names and there and not going:
        problem = "it is empty: this may be the wrong inventory, so only what is named is removed"
        return [Refusal("variable wavesmith_environments", problem, f"name it: {', '.join(there)}")]
    known = {CACHES, *there, *(item.partition(" ")[2] for item in there)}
    remedy = "wavesmith status and wavesmith plan list what is there"
    return [
        Refusal(name, "no host has it", suggest(name, known) if there else remedy)
        for name in names
        if name not in known
    ]


def _agreed() -> bool:
    if not sys.stdin.isatty():
        return False
    return input("Remove them? [yes/no] ").strip().lower() in ("y", "yes")
