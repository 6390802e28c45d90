"""`wavesmith fleet`: what is recorded of each host: which generation it has and which it should have, verdict and outcome."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator

from ansible_collections.wavesmith.provision.plugins.module_utils.records.run import EnvironmentState, RunRow
from ansible_collections.wavesmith.provision.plugins.module_utils.terms.kinds import Parsed
from ansible_collections.wavesmith.provision.plugins.module_utils.terms.refusal import Refusal, suggest
from ansible_collections.wavesmith.provision.plugins.plugin_utils.ledger import OUTCOMES

from wavesmith import playbook, records, reprovision

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
        hosts, runs = ledger.state(), ledger.runs()
        inventories = {entry["id"]: entry["options"].get("inventory", []) for entry in runs}
        gone = records.gone((host["name"], inventories[host["run"]]) for host in hosts)
        hosts = [host for host in hosts if host["name"] not in gone]
        state = {"hosts": hosts, "runs": runs}
    if arguments.query:
        import jmespath

        refusals = _wrong(arguments.query, state)
        if refusals:
            return playbook.refuse(refusals, arguments.json)
        found = jmespath.search(arguments.query, state)
        if arguments.json or not isinstance(found, list):
            print(json.dumps(found, indent=1))
        elif found:
            print("\n".join(map(_text, found)))
        return 0
    if arguments.json:
        print(json.dumps(state, indent=1))
        return 0
    rows = [["host", "environment", "generation", "wanted", "verdict", "outcome", "since"]]
    for host in hosts:
        same = host["wanted"] and host["wanted"] == host["generation"]
        wanted = "the same" if same else host["wanted"] or "not known yet"
        parts = (host["name"], host["environment"], host["generation"], wanted, host["verdict"], host["outcome"])
        rows.append([*(str(part or "-") for part in parts), records.when(host["since"])])
    print(records.table(rows))
    for host in {host["name"]: host for host in hosts if host["reason"]}.values():
        print(f"{host['name']}: {host['reason']}")
    return 0


def _wrong(query: str, state: object) -> list[Refusal]:
    """A refusal for a query that cannot be read, or that names a field that nothing has."""
    import jmespath

    item = f"--query {query!r}"
    try:
        parsed = jmespath.compile(query).parsed
    except jmespath.exceptions.JMESPathError as error:
        return [Refusal(item, str(error).splitlines()[0].rstrip(".:"), "see https://jmespath.org")]
    known = {*_fields(state), *EnvironmentState.__annotations__, *RunRow.__annotations__, *OUTCOMES}
    asked = list(_nodes(parsed))
    known |= {node["value"] for node in asked if node["type"] == "key_val_pair"}
    strange = [node["value"] for node in asked if node["type"] == "field" and node["value"] not in known]
    return [Refusal(item, f"there is no field {strange[0]}", suggest(strange[0], sorted(known)))] if strange else []


def _nodes(node: Parsed) -> Iterator[Parsed]:
    """A part of a query, and all below it."""
    yield node
    for below in node["children"]:
        if isinstance(below, dict):
            yield from _nodes(below)


def _fields(value: object) -> Iterator[str]:
    """The fields of all mappings in a value."""
    for key, below in value.items() if isinstance(value, dict) else ():
        yield key
        yield from _fields(below)
    for below in value if isinstance(value, list) else ():
        yield from _fields(below)


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
