"""`wavesmith status` and `wavesmith generations`: what is on the hosts, asked once each."""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from wavesmith import playbook
from wavesmith.playbook import Command


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = playbook.EXIT_CODES
    playbook.which_hosts(parser)


def _status(arguments: argparse.Namespace) -> int:
    code, found = playbook.ask("status", arguments)
    rows = list(_environments(found))
    if arguments.json and found:
        print(
            json.dumps(
                {"schema": 1, "environments": [{"host": host, **row} for host, row in rows], "errors": found["errors"]},
                indent=1,
            )
        )
        return code
    if not arguments.quiet:
        columns = ("host", "environment", "generation", "since", "verdict", "stack", "drift")
        _table(columns, [_status_row(host, row) for host, row in rows])
    return _errors(code, found)


def _status_row(host: str, row: Mapping[str, Any]) -> tuple[str, ...]:
    name = row["environment"] + ("" if row["wanted"] else " (not wanted)")
    if not row["generation"]:
        return (host, name, "-", "-", "not there", "-", "-")
    drift = f"{row['damaged']}: {row['damage'][0]}" if row["damaged"] else "none"
    return (
        host,
        name,
        row["generation"],
        when(row["since"]),
        row["verdict"] or "not judged",
        row["stack"] or "-",
        drift,
    )


def _generations(arguments: argparse.Namespace) -> int:
    code, found = playbook.ask("status", arguments)
    rows = [(host, row, item) for host, row in _environments(found) for item in row["generations"]]
    if arguments.json and found:
        listed = [{"host": host, "environment": row["environment"], **item} for host, row, item in rows]
        print(json.dumps({"schema": 1, "generations": listed, "errors": found["errors"]}, indent=1))
        return code
    if not arguments.quiet:
        columns = ("host", "environment", "generation", "made", "verdict", "whole", "current")
        _table(columns, [_generation_row(host, row, item) for host, row, item in rows])
    return _errors(code, found)


def _generation_row(host: str, row: Mapping[str, Any], item: Mapping[str, Any]) -> tuple[str, ...]:
    verdict = {None: "not judged", 0: "healthy", 1: "failed"}.get(item["exit"], "unjudged")
    whole = "yes" if item.get("intact") else "no" if item["complete"] else "unfinished"
    current = "✓" if item["name"] == row["generation"] else ""
    return (host, row["environment"], item["name"], when(item["created"]), verdict, whole, current)


def _environments(found: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for host, data in found.get("hosts", {}).items():
        for row in data.get("status", ()):
            yield host, row


def when(seconds: float | None) -> str:
    """A time as the clock here shows it."""
    return datetime.datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M") if seconds else "-"


def _errors(code: int, found: Mapping[str, Any]) -> int:
    for error in found.get("errors", ()):
        print(f"✗ {', '.join(error['hosts'])}: {error['message']}", file=sys.stderr)
    return code


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns on a terminal in color where something is wrong, and whole lines elsewhere."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=not sys.stdout.isatty(), width=None if sys.stdout.isatty() else 200)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in columns:
        table.add_column(title, no_wrap=title != "drift", overflow="fold")
    styles = {
        "failed": "red",
        "not there": "yellow",
        "not judged": "yellow",
        "no": "red",
        "unfinished": "yellow",
        "healthy": "green",
    }
    for row in rows:
        table.add_row(*(Text(cell, style=styles.get(cell, "")) for cell in row))
    if rows:
        console.print(table)


COMMANDS = {
    "status": Command(
        "show what is current on each host: generation, since when, verdict, stack, drift", _configure, _status
    ),
    "generations": Command("list the generations of each environment on each host", _configure, _generations),
}
