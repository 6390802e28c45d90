"""`wavesmith resume`: go on with the hosts that a run left: those that failed, could not be reached, or whose turn never came."""

from __future__ import annotations

import argparse
import sys

from ansible_collections.wavesmith.provision.plugins.module_utils.terms.refusal import Refusal

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
    if chosen["outcome"] == "running":
        process = chosen["options"]["process"]["pid"]
        remedy = "wait for its end, or stop that process first"
        return playbook.refuse([Refusal(f"run {chosen['id']}", f"it is still running (process {process})", remedy)])
    sources = chosen["options"].get("inventory", [])
    gone = records.gone((host, sources) for host in left)
    if gone:
        print(f"no longer in the inventory, and left out: {', '.join(sorted(gone))}", file=sys.stderr)
        left = [host for host in left if host not in gone]
    if not left:
        print(
            f"run {chosen['id']}: nothing is left, all {sum(chosen['hosts'].values()) - len(gone)} of its hosts are as wanted"
        )
        return 0
    every = sum(chosen["hosts"].values()) - len(gone)
    verb, hosts = ("is" if len(left) == 1 else "are"), ("host" if every == 1 else "hosts")
    print(f"run {chosen['id']}: {len(left)} of {every} {hosts} {verb} left", file=sys.stderr)
    arguments.controllers = arguments.controllers or chosen["options"].get("controllers", "")
    return reprovision.start(arguments, sources, ",".join(left))
