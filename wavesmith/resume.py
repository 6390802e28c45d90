"""`wavesmith resume`: go on with the hosts that a run left: those that failed, could not be reached, or whose turn never came."""

from __future__ import annotations

import argparse
import sys

from wavesmith import playbook, records, reprovision

RUNS = ("reprovision", "site")
"""The playbooks whose runs leave something to go on with."""

NAME = "resume"
HELP = "continue with the hosts that a run left: failed, refused, unreachable, or not reached before it stopped"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = playbook.EXIT_CODES
    parser.add_argument(
        "run_id", nargs="?", metavar="RUN", help="as `wavesmith history` names it [the last one that provisioned]"
    )
    reprovision.options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Plan them again, and do what is still to be done: what was finished is kept."""
    ledger = records.ledger(arguments.artifacts)
    with records.readable():
        chosen = records.chosen(ledger, arguments.run_id, RUNS)
        left = ledger.left(chosen["id"])
    if not left:
        print(f"run {chosen['id']}: nothing is left, all {sum(chosen['hosts'].values())} of its hosts are as wanted")
        return 0
    every = sum(chosen["hosts"].values())
    verb, hosts = ("is" if len(left) == 1 else "are"), ("host" if every == 1 else "hosts")
    print(f"run {chosen['id']}: {len(left)} of {every} {hosts} {verb} left", file=sys.stderr)
    arguments.controllers = arguments.controllers or chosen["options"].get("controllers", "")
    return reprovision.start(arguments, chosen["options"].get("inventory", []), ",".join(left))
