"""The record of runs, for the commands that read it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ansible_collections.wavesmith.provision.plugins.module_utils.records.run import RunRow
from ansible_collections.wavesmith.provision.plugins.plugin_utils.ledger import NAME, Ledger, Unreadable

from wavesmith import inventory


def ledger(artifacts: Path) -> Ledger:
    """The record below a folder."""
    return Ledger(artifacts.absolute() / NAME)


@contextmanager
def readable() -> Iterator[None]:
    """End the command with what is wrong with the record."""
    try:
        yield
    except Unreadable as error:
        print(f"✗ {error}", file=sys.stderr)
        raise SystemExit(2) from error


def chosen(known: Ledger, run: str | None, playbooks: Sequence[str] = ()) -> RunRow:
    """A run by its name, or the last one; where `playbooks` are named, of these only.

    Raises:
        Unreadable: there is none.
    """
    found = [
        entry
        for entry in known.runs()
        if run in (None, entry["id"]) and (not playbooks or entry["playbook"] in playbooks)
    ]
    if not found:
        what = " that provisioned" if playbooks else ""
        problem = f"run {run}{what}: it is not in {known.path}" if run else f"{known.path}: it has no run{what}"
        raise Unreadable(f"{problem}. Remedy: wavesmith history lists all")
    return found[0]


def gone(hosts: Iterable[tuple[str, Sequence[str]]]) -> set[str]:
    """Hosts that the inventory of their last run no longer has.

    Args:
        hosts: Each with the inventories of that run; where one of these cannot be read, nothing is known.
    """
    from ansible.errors import AnsibleError

    there: dict[tuple[str, ...], set[str] | None] = {}
    found = set()
    for host, sources in hosts:
        key = tuple(sources)
        if key not in there:
            there[key] = None
            if key and all("," in name or Path(name).exists() for name in key):
                with suppress(AnsibleError):
                    there[key] = set(inventory.hosts(key))
        if (names := there[key]) and host not in names:
            found.add(host)
    return found


def when(seconds: float | None) -> str:
    """A time for people."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds)) if seconds else "-"


def table(rows: list[list[str]]) -> str:
    """Columns below each other."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))] if rows else []
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
