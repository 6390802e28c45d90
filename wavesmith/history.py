"""`wavesmith history`: the runs that were, or what one of them did to each host."""

from __future__ import annotations

import argparse
import json

from wavesmith import records, reprovision

NAME = "history"
HELP = "list the runs, or show what one of them did to each host; --json exports it"


COMMANDS = {"site": "provision"}
"""Playbooks whose command has another name."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = "Exit code: 0 shown, 2 there is no record or no such run."
    parser.add_argument("run_id", nargs="?", metavar="RUN", help="show this one, host by host")
    parser.add_argument("-n", "--last", type=int, default=20, metavar="N", help="list the last N; 0 for all [20]")
    parser.add_argument("--json", action="store_true", help="print JSON: all of it, or of that run")
    reprovision.record(parser)


def run(arguments: argparse.Namespace) -> int:
    """Read the record."""
    ledger = records.ledger(arguments.artifacts)
    with records.readable():
        runs = [records.chosen(ledger, arguments.run_id)] if arguments.run_id else ledger.runs()
        if arguments.json:
            print(json.dumps([{**run, "hosts": ledger.hosts(run["id"])} for run in runs], indent=1))
            return 0
        if arguments.run_id:
            rows = [["host", "outcome", "environment", "before", "after", "verdict", "seconds"]]
            for host in ledger.hosts(runs[0]["id"]):
                made = host["environments"]
                listed = [[item["environment"], item["before"], item["after"], item["verdict"]] for item in made]
                for parts in listed or [["", "", "", ""]]:
                    spent = f"{sum(host['seconds'].values()):.0f}"
                    rows.append([host["host"], host["outcome"], *(str(part or "-") for part in parts), spent])
            print(records.table(rows))
            return 0
    rows = [["run", "started", "ended", "who", "playbook", "outcome", "hosts"]]
    shown = runs[: arguments.last] if arguments.last > 0 else runs
    for entry in shown:
        counts = ", ".join(f"{number} {outcome}" for outcome, number in sorted(entry["hosts"].items()))
        ended = records.when(entry["ended"])
        who = f"{entry['who']}@{entry['controller']}"
        rows.append(
            [
                entry["id"],
                records.when(entry["started"]),
                ended,
                who,
                COMMANDS.get(entry["playbook"], entry["playbook"]),
                entry["outcome"],
                counts or "-",
            ]
        )
    print(records.table(rows))
    if len(shown) < len(runs):
        print(f"and {len(runs) - len(shown)} earlier ones: wavesmith history -n 0")
    return 0
