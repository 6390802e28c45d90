"""Keep what every run did, as it happens, so that an interrupted one can be resumed and all can be asked about."""

from __future__ import annotations

DOCUMENTATION = r"""
name: record
type: aggregate
short_description: Record of every run, and of what became of each host
version_added: "0.1.0"
description:
  - Keeps in a SQLite file who ran what when, and for each host what was current before and after, the doctor's verdict, the outcome with its
    reason, and the seconds of each step. C(wavesmith fleet), C(history) and C(resume) read it.
  - Each change is kept as it happens. Nothing is kept of runs in check mode, and no variables but those of waves.
  - Enable it with C(callbacks_enabled = wavesmith.provision.record) in C(ansible.cfg).
options:
  path:
    description: The file; without a path, it is below the working directory.
    type: str
    default: artifacts/runs.sqlite
    env:
      - name: WAVESMITH_RECORD
author: Wavesmith contributors (@wavesmith)
"""

import getpass
import os
import socket
import sqlite3
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible import context
from ansible.plugins.callback import CallbackBase
from ansible_collections.wavesmith.provision.plugins.module_utils.records.run import RunOptions
from ansible_collections.wavesmith.provision.plugins.plugin_utils.interface import Result
from ansible_collections.wavesmith.provision.plugins.plugin_utils.ledger import Ledger, worked

OURS = "wavesmith.provision."
LOOKING = ("audit", "logs", "matrix", "run", "status")
"""Playbooks that change nothing of what is recorded, and find nothing out about it."""
KEPT = ("plan", "wheels", "wheelhouse", "packages", "verify", "generation", "remove")
"""Actions of ours that change what is known of a host."""


class CallbackModule(CallbackBase):
    """Watches, and changes nothing."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "wavesmith.provision.record"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._run = os.environ.get("WAVESMITH_RUN") or f"{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:6]}"
        self._playbook, self._begun, self._broken = "", False, False
        self._since: dict[tuple[str, str], float] = {}
        self._seconds: dict[str, dict[str, float]] = {}

    def _keep(self, keep: Callable[..., None], *values: Any) -> None:
        """Keep something, by a function of the ledger; a record that cannot be written is a warning, once, and stops nothing."""
        if self._broken or context.CLIARGS.get("check") or self._playbook in LOOKING:
            return
        ledger = Ledger(Path(self.get_option("path")).expanduser().absolute())
        try:
            if not self._begun:
                self._begun = True
                limit = context.CLIARGS.get("subset") or ""
                who = os.environ.get("SUDO_USER") or getpass.getuser()
                options = RunOptions(limit=limit, inventory=list(context.CLIARGS.get("inventory") or []))
                ledger.begin(self._run, self._playbook, who, socket.gethostname(), time.time(), options)
            keep(ledger, self._run, *values)
        except (OSError, KeyError, sqlite3.Error) as error:
            self._broken = True
            damaged = isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError)
            remedy = (
                "move that file away; the next run starts a new one"
                if damaged
                else "free some space, or change its owner"
            )
            self._display.warning(f"the record of this run cannot be kept in {ledger.path} ({error}). Remedy: {remedy}")

    def v2_playbook_on_start(self, playbook: Any) -> None:
        """The name of what is run."""
        self._playbook = Path(playbook._file_name).stem

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        """A step begins on a host."""
        self._since[host.get_name(), task._uuid] = time.monotonic()

    def v2_runner_on_ok(self, result: Any, **kwargs: Any) -> None:
        """A step worked on a host: keep what it says about it."""
        host, action, data = self._took(result)
        if action in KEPT:
            task = getattr(result, "task", None) or result._task
            self._keep(worked, host, action, data, time.time(), task.args.get("state") == "rolled_back")

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False, **kwargs: Any) -> None:
        """A step failed on a host."""
        host, action, data = self._took(result)
        if action and not ignore_errors:
            lines = str(data.get("msg") or "it says nothing").splitlines()
            self._keep(Ledger.stopped, host, "refused" if action == "plan" else "failed", lines[0][:500], time.time())

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """A host cannot be reached."""
        host, _, data = self._took(result)
        lines = str(data.get("msg") or "it does not answer").splitlines()
        self._keep(Ledger.stopped, host, "unreachable", lines[0][:500], time.time())

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """The run has ended."""
        if self._begun:
            bad = any(stats.failures.values()) or any(stats.dark.values())
            self._keep(Ledger.ended, "failed" if bad else "done", self._seconds, time.time())

    def _took(self, result: Any) -> tuple[str, str, Result]:
        """Host, our action's short name (empty for others that do not matter), and what it returned; its seconds are added up."""
        task = getattr(result, "task", None) or result._task
        host = (getattr(result, "host", None) or result._host).get_name()
        data: Result = getattr(result, "result", None) or result._result
        action = str(task.resolved_action or task.action)
        name = action.rpartition(".")[2]
        began = self._since.pop((host, task._uuid), None)
        if began is not None and (action.startswith(OURS) or name in ("apt", "fail")):
            spent = self._seconds.setdefault(host, {})
            spent[name] = round(spent.get(name, 0.0) + time.monotonic() - began, 3)
        return host, name, data
