"""One screen for a run: a live table on a terminal, plain lines elsewhere, and at the end one line per host."""

from __future__ import annotations

DOCUMENTATION = r"""
name: board
type: stdout
short_description: What each host does, how long it will take, and what became of it
version_added: "0.1.0"
description:
  - On a terminal, a table of hosts and phases with bars, times, and what is left, as recorded on earlier runs of the same host and locks.
  - Elsewhere (CI, pipes, C(TERM=dumb), or where the Python package rich is missing), plain lines.
  - At the end each error once, with its remedy, one line per host, and one sentence.
  - With C(-v) Ansible's own output, then the time of each step and the remote runs of each host.
  - Colors follow Ansible's settings and C(NO_COLOR).
  - Times are kept in C(times.json) in the folder of the host's plan, below C(wavesmith_artifacts).
options:
  form:
    description:
      - V(auto) is V(table) on a terminal, else V(lines); with C(-v) it is V(detail).
      - V(detail) is Ansible's own output.
      - V(json) prints one JSON document at the end, everything else to stderr.
      - V(quiet) prints errors only, to stderr.
    type: str
    choices: [auto, table, lines, detail, json, quiet]
    default: auto
    env:
      - name: WAVESMITH_BOARD
    ini:
      - section: wavesmith
        key: board
extends_documentation_fragment:
  - default_callback
  - result_format_callback
requirements:
  - set as stdout_callback in the configuration
author: Wavesmith contributors (@wavesmith)
"""

import contextlib
import json
import os
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ansible import constants, context
from ansible.plugins.callback.default import CallbackModule as Default
from ansible.template import Templar
from ansible_collections.wavesmith.provision.plugins.plugin_utils import compiled

compiled.use()
from ansible_collections.wavesmith.provision.plugins.plugin_utils import board, called, progress, times
from ansible_collections.wavesmith.provision.plugins.plugin_utils.interface import Result, Variables

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
SHORTEST_RECORDED = 1.0
BETWEEN_LINES = 15.0
"""Seconds between two lines of the same phase of a host, without a terminal."""


class CallbackModule(Default):
    """Follows the run; it changes nothing on a host."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "wavesmith.provision.board"

    def __init__(self) -> None:
        super().__init__()
        self._form = "lines"
        self._run = board.Run()
        self._play_name = ""
        self._began = time.monotonic()
        self._screen: Any = None
        self._plans: list[tuple[str, str]] = []
        self._said: dict[str, tuple[str, float]] = {}
        self._steps: list[tuple[str, float]] = []
        self._step: tuple[str, float] | None = None
        self._out = sys.stdout

    def set_options(self, task_keys: Any = None, var_options: Any = None, direct: Any = None) -> None:
        """Choose the form once the settings are known, before any worker is forked."""
        super().set_options(task_keys=task_keys, var_options=var_options, direct=direct)
        asked = self.get_option("form")
        terminal = sys.stdout.isatty() and os.environ.get("TERM", "") not in ("", "dumb") and find_spec("rich")
        automatic = "detail" if self._display.verbosity else "table" if terminal else "lines"
        self._form = automatic if asked == "auto" else "lines" if asked == "table" and not find_spec("rich") else asked
        if self._form in ("json", "quiet"):
            sys.stdout = sys.stderr if self._form == "json" else open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
        reading = progress.listen(speaks=self._form != "detail")
        threading.Thread(target=self._hear, args=(reading,), daemon=True).start()

    @property
    def _detailed(self) -> bool:
        return self._form == "detail"

    # What workers tell

    def _hear(self, reading: int) -> None:
        # Not a file object: a worker forked meanwhile would inherit its lock, held by a thread that is not there.
        rest = b""
        while data := os.read(reading, 65536):
            *lines, rest = (rest + data).split(b"\n")
            for update in filter(None, map(progress.read, lines)):
                self._take(update)

    def _take(self, update: progress.Update) -> None:
        host = self._run.host(update["host"])
        host.update = update
        if self._form not in ("lines", "detail"):
            return
        now = time.monotonic()
        doing, at = self._said.get(host.name, ("", 0.0))
        if self._detailed or doing != update["doing"] or now - at >= BETWEEN_LINES:
            self._said[host.name] = (update["doing"], now)
            expected = host.estimate(host.now or update["phase"])
            self._say(progress.line(update, expected.seconds or update["estimate"], expected.basis))

    # What Ansible tells

    def v2_playbook_on_start(self, playbook: Any) -> None:
        """A playbook begins."""
        self._run = board.Run(Path(playbook._file_name).stem, bool(context.CLIARGS.get("check")))
        self._began, self._steps, self._step = time.monotonic(), [], None
        if self._detailed:
            super().v2_playbook_on_start(playbook)
        elif self._form == "table":
            from ansible_collections.wavesmith.provision.plugins.plugin_utils.board_screen import Screen

            self._screen = Screen(self._run, time.monotonic, not constants.ANSIBLE_NOCOLOR)
            self._screen.start()

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """A play begins; one without hosts is not mentioned."""
        self._close_step()
        self._play, self._play_name = play, play.get_name().strip()
        if self._detailed:
            super().v2_playbook_on_play_start(play)

    def v2_playbook_on_no_hosts_matched(self) -> None:
        """A phase in which no host has anything to do."""
        if self._detailed:
            super().v2_playbook_on_no_hosts_matched()

    def v2_playbook_on_no_hosts_remaining(self) -> None:
        """The errors say why."""
        if self._detailed:
            super().v2_playbook_on_no_hosts_remaining()

    def v2_playbook_on_include(self, included_file: Any) -> None:
        """Not a word where the board speaks."""
        if self._detailed:
            super().v2_playbook_on_include(included_file)

    def _task_start(self, task: Any, prefix: str | None = None) -> None:
        self._close_step()
        self._step = (task.get_name(), time.monotonic())
        if self._detailed:
            super()._task_start(task, prefix=prefix)

    def _close_step(self) -> None:
        self._show_plans()
        if self._step:
            name, began = self._step
            self._steps.append((name, time.monotonic() - began))
            self._step = None

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        """A task begins on a host."""
        known, phase = self._run.host(host.get_name()), self._phase(task)
        if _action(task) not in LOCAL:
            fresh = phase not in known.spans
            if fresh:
                self._remember(known, phase)
            known.begin(phase, time.monotonic())
            if fresh and self._form == "lines" and phase in known.phases:
                made = known.estimate(phase)
                expected = f": about {progress.duration(made.seconds)} ({made.basis})" if made.seconds >= 1 else ""
                self._say(f"  [{known.name}] {phase}{expected}")
        if self._detailed:
            super().v2_runner_on_start(host, task)

    def v2_runner_on_ok(self, result: Any) -> None:
        """A task worked on a host."""
        host, data, action = self._ended(result)
        before = host.changes
        board.take(host, action, data)
        if before and host.changes != before and not self._detailed:
            for name, said in host.changes.items():
                self._say(
                    f"  [{host.name}] {name}: {', '.join(said[: board.SHOWN])}{' …' if len(said) > board.SHOWN else ''}"
                )
        if action == f"{board.OURS}plan" and data.get("plan") and not host.estimates:
            self._planned(host)
        if self._detailed:
            super().v2_runner_on_ok(result)
            return
        self._handle_warnings(data)
        # What was removed stands in the line of its host.
        if action == "ansible.builtin.debug" and isinstance(data.get("msg"), str) and not host.data.get("text"):
            self._say(data["msg"])
        else:
            self._show_output(host, data)

    def v2_runner_on_skipped(self, result: Any) -> None:
        """A task was not needed on a host: as if it had not begun."""
        host, phase = self._run.host(result.host.get_name()), self._phase(result.task)
        span = host.spans.get(phase)
        if span and span.began == span.ended and host.now == phase:
            del host.spans[phase]
        host.now = ""
        if self._detailed:
            super().v2_runner_on_skipped(result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """A task failed on a host."""
        host, data, action = self._ended(result, failed=not ignore_errors)
        if not ignore_errors:
            host.failed = True
            host.refused = action in (f"{board.OURS}plan", f"{board.OURS}settings")
            host.text = str(data.get("text", "")) or host.text
            ran = self._run.playbook == "run" and "rc" in data
            board.take(host, action, data if ran else {})
            said = board.ran_wrong(data) if ran else board.failure(action, result.task.get_name(), data)
            self._run.problem(host.name, said)
            self._show_output(host, data)
        if self._detailed:
            super().v2_runner_on_failed(result, ignore_errors=ignore_errors)
            return
        self._handle_warnings(data)
        if self._run.planning and data.get("text"):
            self._plans.append((data["text"], data["saved"]))

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """A host cannot be reached."""
        ignored = bool(getattr(result.task, "ignore_unreachable", False))
        host, data, _ = self._ended(result, failed=not ignored)
        if not ignored:
            host.unreachable = True
            self._run.problem(host.name, board.unreachable(host.name, data, self._way_in(result.host)))
        if self._detailed:
            super().v2_runner_on_unreachable(result)

    def v2_runner_item_on_ok(self, result: Any) -> None:
        """The task says it."""
        if self._detailed:
            super().v2_runner_item_on_ok(result)

    def v2_runner_item_on_failed(self, result: Any) -> None:
        """The task says it."""
        if self._detailed:
            super().v2_runner_item_on_failed(result)

    def v2_runner_item_on_skipped(self, result: Any) -> None:
        """The task says it."""
        if self._detailed:
            super().v2_runner_item_on_skipped(result)

    def v2_on_file_diff(self, result: Any) -> None:
        """What a task changed, or would change."""
        if self._form != "json":
            if not self._detailed:
                self._last_task_banner = result.task._uuid  # as if its heading had been shown
            super().v2_on_file_diff(result)

    def v2_runner_retry(self, result: Any) -> None:
        """A task is tried again."""
        if self._detailed:
            super().v2_runner_retry(result)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """The run has ended."""
        self._close_step()
        if self._screen:
            self._screen.stop()
            self._screen = None
        seconds = time.monotonic() - self._began
        for name in stats.processed:
            self._remember(self._run.host(name), "")
        if self._detailed:
            super().v2_playbook_on_stats(stats)
            self._show_steps(stats, seconds)
        elif self._form == "json":
            with contextlib.suppress(BrokenPipeError):
                print(json.dumps(board.as_data(self._run, seconds), indent=1), file=self._out, flush=True)
        else:
            self._show_end(seconds)

    # What is shown

    def _show_output(self, host: board.Host, data: Result) -> None:
        """What a command of `wavesmith run` wrote."""
        if self._run.playbook == "run" and data.get("stdout") and self._form not in ("detail", "json"):
            alone = len(self._run.hosts) == 1
            self._say(data["stdout"] if alone else f"{host.name}:\n{data['stdout']}")

    def _say(self, text: str, **more: Any) -> None:
        """Show it; where nobody reads it any more (`wavesmith plan | head`), the run goes on without words."""
        try:
            self._display.display(called.as_called(text), **more)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

    def _show_end(self, seconds: float) -> None:
        run, quiet = self._run, self._form == "quiet"
        shown = run.hosts.values() if run.playbook != "run" else [host for host in run.hosts.values() if host.failed]
        for host in shown:
            end = board.outcome(run, host)
            color = {"✗": constants.COLOR_ERROR, "○": constants.COLOR_CHANGED}.get(board.MARKS[end])
            color = color or (constants.COLOR_CHANGED if end == "changed" else constants.COLOR_OK)
            self._say(board.host_line(run, host), color=color)
        for line in board.change_lines(run):
            self._say(line)
        for line in board.error_lines(run):
            self._say(line, color=constants.COLOR_ERROR, stderr=quiet)
        if run.playbook != "run" or run.problems:
            self._say(board.sentence(run, seconds))

    def _show_plans(self) -> None:
        """The plans that came, each kind once, below the first lines of all its hosts, in the inventory's order."""
        kinds: dict[str, list[tuple[str, str]]] = {}
        place = {name: number for number, name in enumerate(self._run.hosts)}
        for text, saved in sorted(self._plans, key=lambda plan: place.get(plan[0].partition(": ")[0], 0)):
            first, _, rest = text.partition("\n")
            kinds.setdefault(rest, []).append((first, saved))
        self._plans = []
        for rest, heads in kinds.items():
            lines = [*(first for first, _ in heads), rest, f"  saved as {', '.join(saved for _, saved in heads)}"]
            self._say("\n".join(line for line in lines if line))

    def _show_steps(self, stats: Any, seconds: float) -> None:
        shown = [(name, took) for name, took in self._steps if took >= SHORTEST_SHOWN]
        width = max([len(name) for name, _ in shown], default=0)
        self._say("STEPS")
        for name, took in shown:
            self._say(f"  {name:<{width}}  {took:7.1f} s")
        self._say(f"  {'in all':<{width}}  {seconds:7.1f} s")
        runs = ", ".join(f"{host} {self._run.host(host).runs}" for host in sorted(stats.processed))
        self._say(f"REMOTE RUNS  {runs or 'none'}\n")

    def _planned(self, host: board.Host) -> None:
        """A host has its plan: what to expect, and the text where something will change."""
        host.subjects = times.subjects(host.plan)
        known = times.read(Path(host.saved).with_name(times.NAME)) if host.saved else times.read(Path(os.devnull))
        host.estimates = times.estimates(host.plan, known)
        if not self._detailed and (host.phases or self._run.planning):
            self._plans.append((board.plan_text(host), host.saved))

    def _way_in(self, host: Any) -> Variables:
        """Who connects to a host, and where, as the inventory says it."""
        variables = self._play.get_variable_manager().get_vars(play=self._play, host=host)
        templar = Templar(self._play.get_loader(), variables)
        return {
            name: templar.template(variables[name]) for name in ("ansible_user", "ansible_host") if name in variables
        }

    def _phase(self, task: Any) -> str:
        return board.phase_of(_action(task), task.get_name(), self._play_name)

    def _ended(self, result: Any, failed: bool = False) -> tuple[board.Host, Result, str]:
        """Count a task that ended, and remember how long its phase took so far."""
        host, action, data = self._run.host(result.host.get_name()), _action(result.task), result.result
        if action in LOCAL:
            return host, data, action
        phase = self._phase(result.task)
        host.end(phase, time.monotonic(), failed)
        host.runs += int(data.get("remote_runs", 1))
        if data.get("changed") or (data.get("result") or {}).get("verdicts"):
            host.worked.add(phase)
        return host, data, action

    def _remember(self, host: board.Host, now: str) -> None:
        """Keep how long each phase took that did its work and has ended."""
        done = [
            phase
            for phase in host.subjects
            if phase in host.worked and phase != now and not host.spans[phase].failed
            if host.spans[phase].seconds >= SHORTEST_RECORDED
        ]
        if self._run.check or not host.saved or not done:
            return
        path = Path(host.saved).with_name(times.NAME)
        host.recorded = host.recorded or times.read(path)
        made = host.recorded
        for phase in done:
            made = times.add(made, phase, host.subjects[phase], host.spans[phase].seconds)
        times.write(path, made)


def _action(task: Any) -> str:
    return str(task.resolved_action or task.action)
