"""`wavesmith remove`: take an environment that nobody wants any more off its hosts."""

from __future__ import annotations

import argparse
import json
import sys

from ansible_collections.wavesmith.provision.plugins.module_utils.terms.refusal import Refusal

from wavesmith import playbook

NAME = "remove"
HELP = "remove environments that nobody wants any more, with all their generations"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    playbook.options(parser)
    parser.add_argument(
        "environment", nargs="+", metavar="ENVIRONMENT", help="what to remove; no longer in wavesmith_environments"
    )
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")


def run(arguments: argparse.Namespace) -> int:
    """Show what goes, ask, remove it."""
    variables = {"wavesmith_remove": arguments.environment}
    asked = argparse.Namespace(**{**vars(arguments), "check": True, "verbose": 0})
    code, found = playbook.ask("remove", asked, variables)
    if not found:
        return code
    errors = found["errors"]
    doomed = {
        (host, name): gone
        for host, data in found["hosts"].items()
        for name, gone in data.get("removed", {}).items()
        if gone
    }
    if errors or not doomed:
        refusals = [
            Refusal(f"{', '.join(error['hosts'])}: {error['item']}", error["problem"], error["remedy"])
            for error in errors
        ]
        names = ", ".join(arguments.environment)
        nothing = Refusal(f"environment {names}", "no host has it", "wavesmith status lists what is there")
        return playbook.refuse(refusals or [nothing], arguments.json)
    if not arguments.json and not arguments.quiet:
        for (host, name), gone in doomed.items():
            print(f"{host}: environment {name} goes: {', '.join(gone)}")
    if arguments.check:
        if arguments.json:
            print(json.dumps(found, indent=1))
        return playbook.DONE
    if not arguments.yes and not _agreed():
        refusal = Refusal("remove", "nobody agreed, nothing was changed", "answer yes, or add --yes")
        return playbook.refuse([refusal], arguments.json)
    return playbook.run("remove", arguments, variables)


def _agreed() -> bool:
    if not sys.stdin.isatty():
        return False
    return input("Remove them? [yes/no] ").strip().lower() in ("y", "yes")
