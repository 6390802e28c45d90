"""`wavesmith fleet`: what is recorded of each host: which generation it has and which it should have, verdict and outcome."""

from __future__ import annotations

import argparse
import json
import sys

from wavesmith import records, reprovision

NAME = "fleet"
HELP = "show which generation each host has and which it should have, as the last runs left it; no host is asked"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = "Exit code: 0 shown, 2 there is no record or the query cannot be read."
    parser.add_argument("--query", help='JMESPath over {hosts, runs}: "hosts[?generation!=wanted].name"')
    parser.add_argument("--json", action="store_true", help="print JSON")
    reprovision.record(parser)


def run(arguments: argparse.Namespace) -> int:
    """Read the record; no host is asked"""
    ledger = records.ledger(arguments.artifacts)
    with records.readable():
        hosts = ledger.state()
        state = {"hosts": hosts, "runs": ledger.runs()}
    if arguments.query:
        import jmespath

        try:
            found = jmespath.search(arguments.query, state)
        except jmespath.exceptions.JMESPathError as error:
            print(f"--query {arguments.query!r}: {error}. Remedy: see https://jmespath.org", file=sys.stderr)
            return 2
        print(
            json.dumps(found, indent=1)
            if arguments.json or not isinstance(found, list)
            else "\n".join(map(_text, found))
        )
        return 0
    if arguments.json:
        print(json.dumps(state, indent=1))
        return 0
    rows = [["host", "environment", "generation", "wanted", "verdict", "outcome", "since"]]
    for host in hosts:
        same = host["wanted"] and host["wanted"] == host["generation"]
        wanted = "the same" if same else host["wanted"] or "not known yet"
        parts = (host["name"], host["environment"], host["generation"], wanted, host["verdict"], host["outcome"])
        rows.append([*(str(part or "-") for part in parts), records.when(host["at"])])
    print(records.table(rows))
    for host in {host["name"]: host for host in hosts if host["reason"]}.values():
        print(f"{host['name']}: {host['reason']}")
    return 0


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
