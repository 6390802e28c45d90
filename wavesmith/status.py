"""`wavesmith status` and `wavesmith generations`: what is on the hosts, asked once each."""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from collections.abc import Iterator, Sequence

from ansible_collections.wavesmith.provision.plugins.module_utils.records.host import KeptGeneration
from ansible_collections.wavesmith.provision.plugins.module_utils.records.outcome import RunOutcome
from ansible_collections.wavesmith.provision.plugins.module_utils.records.status import EnvironmentStatus

from wavesmith import playbook
from wavesmith.playbook import Command

NOT_RIGHT = 3
_EXIT_CODES = (
    "Exit code: 0 all that is wanted is there, healthy and as it was made; 3 something of it is not; 1 a host failed or cannot be reached; "
    "2 the command line, the inventory or -l cannot be used; 130 interrupted."
)


def _configure_status(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _EXIT_CODES
    playbook.which_hosts(parser)
    playbook.extra_vars(parser)


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = playbook.EXIT_CODES
    playbook.which_hosts(parser)
    playbook.extra_vars(parser)


def _status(arguments: argparse.Namespace) -> int:
    code, found = playbook.ask("status", arguments)
    rows = list(_environments(found))
    if code == playbook.DONE and not all(_right(row) for _, row in rows if row["wanted"]):
        code = NOT_RIGHT
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
        for line in (line for host, row in rows for line in _drifted(host, row)):
            print(line)
        _say_empty(found, [host for host, _ in rows], "no environment is wanted or there")
    return _errors(code, found)


def _drifted(host: str, row: EnvironmentStatus) -> Iterator[str]:
    """What was changed since it was made: the first files of the current generation, and which others nothing goes back to."""
    if row["damaged"]:
        more = row["damaged"] - len(row["damage"])
        files = "; ".join(row["damage"]) + (f" and {more} more" if more > 0 else "")
        yield f"{host} {row['environment']}: {files}. Remedy: wavesmith repair -l {host}"
    for item in row["generations"]:
        if item.get("damage") and item["name"] != row["generation"]:
            what = f"{item['damage'][0]} in generation {item['name']}, which is not in use, so nothing goes back to it"
            yield f"{host} {row['environment']}: {what}. Remedy: wavesmith repair -l {host}"


def _right(row: EnvironmentStatus) -> bool:
    """Whether an environment is there, healthy and as it was made."""
    return bool(row["generation"]) and row["verdict"] == "healthy" and not row["damaged"]


def _name(row: EnvironmentStatus) -> str:
    return row["environment"] + ("" if row["wanted"] else " (not wanted)")


def _status_row(host: str, row: EnvironmentStatus) -> tuple[str, ...]:
    name = _name(row)
    if not row["generation"]:
        return (host, name, "-", "-", "not there", "-", "-")
    drift = "none" if not row["damaged"] else "1 file" if row["damaged"] == 1 else f"{row['damaged']} files"
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
        _say_empty(found, [host for host, *_ in rows], "there is no generation yet: wavesmith provision makes one")
    return _errors(code, found)


def _generation_row(host: str, row: EnvironmentStatus, item: KeptGeneration) -> tuple[str, ...]:
    verdict = {None: "not judged", 0: "healthy", 1: "failed"}.get(item["exit"], "unjudged")
    whole = "yes" if item.get("intact") else "no" if item["complete"] else "unfinished"
    current = "✓" if item["name"] == row["generation"] else ""
    return (host, _name(row), item["name"], when(item["created"]), verdict, whole, current)


def _say_empty(found: RunOutcome | None, shown: Sequence[str], said: str) -> None:
    """A line for each host that answered and has no row."""
    for host, data in (found["hosts"] if found else {}).items():
        if host not in shown and data["outcome"] not in ("unreachable", "failed", "refused"):
            print(f"{host}: {said}")


def _environments(found: RunOutcome | None) -> Iterator[tuple[str, EnvironmentStatus]]:
    for host, data in (found["hosts"] if found else {}).items():
        for row in data.get("status", ()):
            yield host, row


def when(seconds: float | None) -> str:
    """A time as the clock here shows it."""
    return datetime.datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M") if seconds else "-"


def _errors(code: int, found: RunOutcome | None) -> int:
    for error in found["errors"] if found else ():
        print(f"✗ {', '.join(error['hosts'])}: {error['message']}", file=sys.stderr)
    return code


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns on a terminal in color where something is wrong, and whole lines elsewhere."""
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=not sys.stdout.isatty(), width=None if sys.stdout.isatty() else 200)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for number, title in enumerate(columns):
        longest = max(cell_len(text) for text in (title, *(row[number] for row in rows)))
        table.add_column(title, no_wrap=True, min_width=longest)
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
        # A terminal that is too narrow breaks lines; rich would cut words.
        wide = console.options.update(width=1000)
        console.width = max(console.width, console.measure(table, options=wide).minimum)
        console.print(table)


COMMANDS = {
    "status": Command(
        "show what is current on each host: generation, since when, verdict, stack, drift", _configure_status, _status
    ),
    "generations": Command("list the generations of each environment on each host", _configure, _generations),
}
