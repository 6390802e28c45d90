"""Show at the end how long each step took and how many remote runs each host needed."""

from __future__ import annotations

DOCUMENTATION = r"""
name: summary
type: aggregate
short_description: Time of every step, and remote runs of every host
version_added: "0.1.0"
description:
  - Prints, after the recap, the time of each step that took part in the run and the number of module runs on each host.
  - Enable it with C(callbacks_enabled = wavesmith.provision.summary) in C(ansible.cfg).
author: Wavesmith contributors (@wavesmith)
"""

import time
from collections import Counter
from typing import Any

from ansible.plugins.callback import CallbackBase

LOCAL = frozenset(
    f"ansible.builtin.{name}"
    for name in [
        "add_host",
        "assert",
        "debug",
        "fail",
        "group_by",
        "import_playbook",
        "import_role",
        "import_tasks",
        "include_role",
        "include_tasks",
        "include_vars",
        "meta",
        "set_fact",
        "validate_argument_spec",
    ]
)
"""Actions that the controller does by itself."""
SHORTEST_SHOWN = 0.5


class CallbackModule(CallbackBase):
    """Counts and times; it changes nothing."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "wavesmith.provision.summary"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._began = time.monotonic()
        self._steps: list[tuple[str, float]] = []
        self._open: tuple[str, float] | None = None
        self._runs: Counter[str] = Counter()

    def _close(self) -> None:
        if self._open:
            name, began = self._open
            self._steps.append((name, time.monotonic() - began))
            self._open = None

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        """A step begins, the one before has ended."""
        self._close()
        self._open = (task.get_name(), time.monotonic())

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """The last step of the play before has ended."""
        self._close()

    def _count(self, result: Any) -> None:
        task = getattr(result, "task", None) or result._task
        host = getattr(result, "host", None) or result._host
        data = getattr(result, "result", None) or result._result
        action = task.resolved_action or task.action
        if action not in LOCAL:
            self._runs[host.get_name()] += int(data.get("remote_runs", 1))

    def v2_runner_on_ok(self, result: Any, **kwargs: Any) -> None:
        """A step worked on a host."""
        self._count(result)

    def v2_runner_on_failed(self, result: Any, **kwargs: Any) -> None:
        """A step failed on a host."""
        self._count(result)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """The run has ended: show what was counted."""
        self._close()
        shown = [(name, seconds) for name, seconds in self._steps if seconds >= SHORTEST_SHOWN]
        width = max([len(name) for name, _ in shown], default=0)
        self._display.display("STEPS")
        for name, seconds in shown:
            self._display.display(f"  {name:<{width}}  {seconds:7.1f} s")
        self._display.display(f"  {'in all':<{width}}  {time.monotonic() - self._began:7.1f} s")
        runs = ", ".join(f"{host} {self._runs[host]}" for host in sorted(stats.processed))
        self._display.display(f"REMOTE RUNS  {runs or 'none'}\n")
