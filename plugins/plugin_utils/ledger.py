"""The record of every run: who did what when, and what became of each host; one SQLite file on the controller."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.wavesmith.provision.plugins.module_utils.host.job import alive, birth
from ansible_collections.wavesmith.provision.plugins.module_utils.records.plan import PlannedEnvironment
from ansible_collections.wavesmith.provision.plugins.module_utils.records.run import (
    EnvironmentOfRun,
    EnvironmentState,
    HostOfRun,
    RunOptions,
    RunRow,
    WheelOfRun,
)
from ansible_collections.wavesmith.provision.plugins.plugin_utils.interface import Result

SCHEMA = 1
NAME = "runs.sqlite"
DONE = ("unchanged", "switched", "rolled back", "removed")
"""Outcomes of a host that needs nothing more; the others are taken up again by `wavesmith resume`."""
OUTCOMES = (*DONE, "planned", "failed", "refused", "unreachable")
"""What can become of a host in a run."""
_TABLES = """
CREATE TABLE IF NOT EXISTS runs (
    id TEXT PRIMARY KEY, playbook TEXT NOT NULL, who TEXT NOT NULL, controller TEXT NOT NULL, started REAL NOT NULL, ended REAL,
    outcome TEXT NOT NULL DEFAULT '', options TEXT NOT NULL DEFAULT '{}'
);
CREATE TABLE IF NOT EXISTS hosts (
    run TEXT NOT NULL REFERENCES runs, host TEXT NOT NULL, outcome TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '', at REAL NOT NULL,
    seconds TEXT NOT NULL DEFAULT '{}', PRIMARY KEY (run, host)
);
CREATE TABLE IF NOT EXISTS environments (
    run TEXT NOT NULL, host TEXT NOT NULL, environment TEXT NOT NULL, before TEXT, wanted TEXT, after TEXT, stack TEXT, verdict TEXT,
    PRIMARY KEY (run, host, environment)
);
CREATE TABLE IF NOT EXISTS wheels (
    run TEXT NOT NULL, host TEXT NOT NULL, key TEXT NOT NULL, name TEXT NOT NULL, version TEXT NOT NULL, variant TEXT NOT NULL, how TEXT NOT NULL,
    seconds REAL, at REAL NOT NULL, PRIMARY KEY (run, host, key)
);
"""


_ENVIRONMENT = (
    "INSERT INTO environments (run, host, environment, before, wanted, after, stack) VALUES (?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT DO UPDATE SET wanted = excluded.wanted, stack = excluded.stack"
)


class Unreadable(Exception):
    """There is no record, or none of ours: the message says why, and the remedy."""


@dataclass(frozen=True)
class Ledger:
    """The record in a file. Each change is kept when it is made, so a run that is killed leaves what it had done."""

    path: Path

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        base = sqlite3.connect(self.path, timeout=10, isolation_level=None)
        base.row_factory = sqlite3.Row
        base.execute("PRAGMA journal_mode=WAL")
        base.execute("PRAGMA synchronous=NORMAL")
        base.executescript(_TABLES)
        base.execute(f"PRAGMA user_version={SCHEMA}")
        return base

    def _do(self, *steps: tuple[str, tuple[Any, ...]]) -> None:
        with closing(self._open()) as base:
            base.execute("BEGIN IMMEDIATE")
            for statement, values in steps:
                base.execute(statement, values)
            base.execute("COMMIT")

    def begin(self, run: str, playbook: str, who: str, controller: str, at: float, options: RunOptions) -> None:
        """A run begins, in this process."""
        pid = os.getpid()
        options = {**options, "process": {"pid": pid, "birth": birth(pid)}}
        values = (run, playbook, who, controller, at, json.dumps(options, sort_keys=True))
        self._do(
            ("INSERT INTO runs (id, playbook, who, controller, started, options) VALUES (?, ?, ?, ?, ?, ?)", values)
        )

    def planned(self, run: str, host: str, environments: list[PlannedEnvironment], at: float) -> None:
        """A host has a plan; a second one in the same run knows more, and what was current before stays."""
        todo = any(item.get("phases") for item in environments)
        outcome = "planned" if todo else "unchanged"
        self._do(
            _host(run, host, outcome, "", at),
            *(
                (
                    _ENVIRONMENT,
                    (run, host, item["name"], item["current"], item["generation"], item["current"], item["stack"]),
                )
                for item in environments
            ),
        )

    def judged(self, run: str, host: str, verdicts: dict[str, str]) -> None:
        """The doctor has judged new generations of a host."""
        change = "UPDATE environments SET verdict = ? WHERE run = ? AND host = ? AND environment = ?"
        self._do(*((change, (verdict, run, host, name)) for name, verdict in verdicts.items()))

    def switched(self, run: str, host: str, current: dict[str, str], outcome: str, at: float) -> None:
        """A host has switched, or went back."""
        row = (
            "INSERT INTO environments (run, host, environment, after) VALUES (?, ?, ?, ?) "
            "ON CONFLICT DO UPDATE SET after = excluded.after"
        )
        rows = ((row, (run, host, name, generation)) for name, generation in current.items())
        self._do(_host(run, host, outcome, "", at), *rows)

    def cleared(self, run: str, host: str, changed: bool, at: float) -> None:
        """What a host no longer needs was removed."""
        self._do(_host(run, host, "removed" if changed else "unchanged", "", at))

    def had(self, run: str, host: str, wheels: list[WheelOfRun], at: float) -> None:
        """How a host had wheels; what is said first in a run stays: what was built in it is there when it is installed."""
        row = "INSERT INTO wheels VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
        self._do(
            *(
                (row, (run, host, *(one[name] for name in ("key", "name", "version", "variant", "how", "seconds")), at))
                for one in wheels
            )
        )

    def wheels(self) -> list[WheelOfRun]:
        """How hosts had the wheels that they needed, in all runs; the oldest first."""
        return self._rows("SELECT host, key, name, version, variant, how, seconds, at FROM wheels ORDER BY at")

    def stopped(self, run: str, host: str, outcome: str, reason: str, at: float) -> None:
        """A host failed, or cannot be reached: it stays on what is current there."""
        self._do(_host(run, host, outcome, reason, at))

    def ended(self, run: str, outcome: str, seconds: dict[str, dict[str, float]], at: float) -> None:
        """A run has come to its end; `seconds` by host and step."""
        times = (
            ("UPDATE hosts SET seconds = ? WHERE run = ? AND host = ?", (json.dumps(spent, sort_keys=True), run, host))
            for host, spent in seconds.items()
        )
        self._do(("UPDATE runs SET ended = ?, outcome = ? WHERE id = ?", (at, outcome, run)), *times)

    def _rows(self, statement: str, *values: object) -> list[Any]:
        """Rows as mappings of their columns: what asked knows what they are."""
        remedy = "run wavesmith plan or wavesmith reprovision first, or name the folder with --artifacts"
        if not self.path.is_file():
            raise Unreadable(f"{self.path}: it is not there. Remedy: {remedy}")
        try:
            with closing(self._open()) as base:
                return [dict(row) for row in base.execute(statement, values)]
        except sqlite3.DatabaseError as error:
            raise Unreadable(
                f"{self.path}: it is no record of runs ({error}). Remedy: move it away; the next run starts a new one"
            ) from error

    def runs(self, most: int = -1) -> list[RunRow]:
        """All runs, the newest first, with how many hosts have which outcome."""
        found = self._rows("SELECT * FROM runs ORDER BY started DESC LIMIT ?", most)
        counts = self._rows("SELECT run, outcome, COUNT(*) AS number FROM hosts GROUP BY run, outcome ORDER BY outcome")
        for run in found:
            run["options"] = json.loads(run["options"])
            run["outcome"] = run["outcome"] or ("running" if _runs(run) else "interrupted")
            run["hosts"] = {row["outcome"]: row["number"] for row in counts if row["run"] == run["id"]}
        return found

    def hosts(self, run: str) -> list[HostOfRun]:
        """What became of each host of a run."""
        found = self._rows("SELECT * FROM hosts WHERE run = ? ORDER BY host", run)
        rows = self._rows("SELECT * FROM environments WHERE run = ? ORDER BY environment", run)
        mine: dict[str, list[EnvironmentOfRun]] = {}
        for row in rows:
            mine.setdefault(row.pop("host"), []).append(row)
            row.pop("run")
        for host in found:
            host.pop("run")
            host["seconds"] = json.loads(host["seconds"])
            host["environments"] = mine.get(host["host"], [])
        return found

    def state(self) -> list[EnvironmentState]:
        """The newest that is known of each environment of each host that its last plan wants; a host that never had a plan has an empty one."""
        hosts = self._rows("SELECT h.*, r.playbook FROM hosts h JOIN runs r ON r.id = h.run ORDER BY r.started")
        rows = self._rows("SELECT e.* FROM environments e JOIN runs r ON r.id = e.run ORDER BY r.started")
        # A rollback that found nothing to go back to changed nothing of what is known.
        telling = [host for host in hosts if (host["playbook"], host["outcome"]) != ("rollback", "failed")]
        last = {host["host"]: host for host in [*hosts, *telling]}
        times = {(host["host"], host["run"]): host["at"] for host in hosts}
        # Only a plan says which stack an environment has, and that nothing differs: the last one of a host says which environments are wanted.
        stacks = {(row["host"], row["run"]) for row in rows if row["stack"] is not None}
        plans = [host for host in hosts if host["outcome"] == "unchanged" or (host["host"], host["run"]) in stacks]
        planned = {host["host"]: host["run"] for host in plans}
        wanted = {
            (row["host"], row["environment"]) for row in rows if planned.get(row["host"], row["run"]) == row["run"]
        }
        found: dict[tuple[str, str], EnvironmentState] = {}
        for row in rows:
            key = (row["host"], row["environment"])
            if key in wanted:
                before = found.get(key)
                found[key] = _state(last[row["host"]], row, before)
                if row["after"] and row["after"] != (before["generation"] if before else row["before"]):
                    found[key]["since"] = times.get((row["host"], row["run"]))
        for name in last.keys() - {host for host, _ in found}:
            found[name, ""] = _state(last[name], None)
        return [found[key] for key in sorted(found)]

    def left(self, run: str) -> list[str]:
        """Hosts of a run that need something more."""
        rows = self._rows("SELECT host, outcome FROM hosts WHERE run = ? ORDER BY host", run)
        return [str(row["host"]) for row in rows if row["outcome"] not in DONE]


def _runs(run: RunRow) -> bool:
    """Whether the process of a run that has not ended still works, as far as this machine can tell."""
    return run["controller"] == socket.gethostname() and alive(run["options"].get("process"))


def _state(host: Any, row: Any, before: EnvironmentState | None = None) -> EnvironmentState:
    """What is known of an environment: from its row of a run, else from an earlier run; `host` is the host's last row."""
    found: EnvironmentState = {
        "name": host["host"],
        "environment": None,
        "generation": None,
        "wanted": None,
        "stack": None,
        "verdict": None,
        "outcome": host["outcome"],
        "reason": host["reason"],
        "at": host["at"],
        "since": before and before["since"],
        "run": host["run"],
    }
    if row:
        known = {name: value for name, value in row.items() if value is not None}
        found["environment"], found["generation"] = row["environment"], row["after"]
        found["wanted"] = known.get("wanted", before and before["wanted"])
        found["stack"] = known.get("stack", before and before["stack"])
        found["verdict"] = known.get("verdict", before and before["verdict"])
    return found


def worked(ledger: Ledger, run: str, host: str, action: str, data: Result, at: float, back: bool = False) -> None:
    """Keep what a step that worked says about its host.

    Args:
        action: Short name of the action.
        data: What it returned.
        back: Whether it went back to a generation.
    """
    if action == "plan" and "plan" in data:
        ledger.planned(run, host, data["plan"]["environments"], at)
    elif action == "verify":
        verdicts = (data.get("result") or {}).get("verdicts", {})
        ledger.judged(run, host, {name: verdict.get("verdict") for name, verdict in verdicts.items()})
    elif action in ("wheels", "wheelhouse", "packages"):
        ledger.had(run, host, data.get("wheels") or [], at)
    elif action == "remove" or (action == "generation" and data.get("removed")):
        ledger.cleared(run, host, bool(data.get("changed")), at)
    elif action == "generation":
        ledger.switched(run, host, data.get("current", {}), "rolled back" if back else "switched", at)


def _host(run: str, host: str, outcome: str, reason: str, at: float) -> tuple[str, tuple[Any, ...]]:
    statement = (
        "INSERT INTO hosts (run, host, outcome, reason, at) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT DO UPDATE SET outcome = excluded.outcome, reason = excluded.reason, at = excluded.at"
    )
    return statement, (run, host, outcome, reason, at)
