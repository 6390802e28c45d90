"""Follow long work on a host: start it, show how far it is, come back to it when the play is started again."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping, Sequence

from ansible.utils.display import Display
from ansible_collections.wavesmith.provision.plugins.module_utils.records.task import CodeFile, PackOf
from ansible_collections.wavesmith.provision.plugins.module_utils.terms.shown import one_line
from ansible_collections.wavesmith.provision.plugins.plugin_utils import progress
from ansible_collections.wavesmith.provision.plugins.plugin_utils.answer import DownloadingAction
from ansible_collections.wavesmith.provision.plugins.plugin_utils.interface import Result, Variables

_display = Display()
WAIT = 12.0
"""Seconds the host waits for news before it answers; each answer is one remote run."""
QUIET = 2.0
"""Seconds between two lines of the same phase."""

RUN = hashlib.sha256(f"{os.environ.get('HOSTNAME', '')}-{os.getppid()}-{time.time()}".encode()).hexdigest()[:12]


class FollowAction(DownloadingAction):
    """Runs the module of its own name again and again until the job it started has ended."""

    _supports_async = False
    _supports_check_mode = True
    phase = ""

    def run(self, tmp: str | None = None, task_vars: Variables | None = None) -> Result:
        """Run the module until it says finished."""
        variables = task_vars or {}
        host = variables.get("inventory_hostname", "")
        run = f"{RUN}-{self._task._uuid}"
        estimate = self._estimate(variables)
        arguments = {**self.given(variables), "run": run, "wait": WAIT, "seen": ""}
        started, shown, runs, controller = time.monotonic(), 0.0, 0, os.getppid()
        while True:
            answer = self.ask(
                (self._task.resolved_action or self._task.action).rpartition(".")[2], arguments, variables
            )
            runs += 1
            answer["remote_runs"] = runs
            if answer.get("failed") or answer.get("finished", True):
                break
            if os.getppid() != controller:
                # Killed, and this worker outlived it: let go, so that the next run can come back to the work.
                return {"failed": True, "msg": "the controller is gone; the job continues without it"}
            if answer.get("adopted") and not shown:
                _display.display(f"  [{host}] resumed the job of an earlier run")
            now = time.monotonic()
            state = str(answer.get("state", ""))
            if state != arguments["seen"] and now - shown >= QUIET:
                progress.tell(self._update(host, dict(answer.get("progress") or {}), now - started, estimate))
                shown = now
            arguments["seen"] = state
        return self.conclude(answer, variables)

    def bring(self, files: Sequence[CodeFile | PackOf]) -> None:
        """Bring files of the controller to the host, each once, and put where they lie there in the place of their paths here."""
        if not files:
            return
        folder = self._make_tmp_path()
        there: dict[str, str] = {}
        for file in files:
            local = file["path"]
            if local not in there:
                remote = self._connection._shell.join_path(folder, os.path.basename(local))
                there[local] = self._transfer_file(local, remote)
            file["path"] = there[local]
        self._fixup_perms2([folder, *there.values()])

    def _estimate(self, variables: Variables) -> float:
        """Seconds the plan expects for this phase; 0 where there is no plan."""
        plan = (variables.get("wavesmith_plan") or {}).get("plan", {})
        return float(sum(step["seconds"] for step in plan.get("steps", []) if step["phase"] == self.phase))

    def _update(self, host: str, said: Mapping[str, object], elapsed: float, estimate: float) -> progress.Update:
        return {
            "host": host,
            "phase": self.phase,
            "doing": one_line(str(said.get("phase", "starting"))),
            "n": _number(said.get("n")),
            "m": _number(said.get("m")),
            "detail": one_line(str(said.get("detail", ""))),
            "elapsed": elapsed,
            "estimate": estimate,
        }

    def conclude(self, answer: Result, variables: Variables) -> Result:
        """What else to do with the last answer; for the plugins of each module."""
        return answer


def _number(value: object) -> int:
    """A count, whatever the host says in its place."""
    return int(value) if isinstance(value, (int, float)) and abs(value) < 1e9 else 0
