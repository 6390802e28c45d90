"""Run checks side by side, each in a process of its own with a time limit, and turn whatever became of it into its result."""

from __future__ import annotations

import json
import queue
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, TypedDict

from ..records.generation import CheckResult
from . import words
from .base import FAIL, UNJUDGED, Check, Context
from .deaths import meaning
from .worker import PRELOADED, START, end, log_path, quiet, result_path, workers

LOADING = 240.0
"""Seconds that a nursery has to load what all heavy checks need."""
LATE = "run `wavesmith-doctor --only {id}` when the host has nothing else to do; where it hangs again, its evidence says in which call"


@dataclass
class _Nursery:
    """A process that forks children for checks (`worker.nurse`)."""

    heavy: bool
    process: subprocess.Popen[str]
    complaints: IO[str]
    preloads: bool
    since: float = field(default_factory=time.monotonic)
    ready: bool = False

    def ask(self, check: Check) -> bool:
        """Ask for a child; whether the process could be asked."""
        try:
            assert self.process.stdin is not None
            self.process.stdin.write(f"{check.id}\n")
            self.process.stdin.flush()
        except (OSError, ValueError):
            return False
        return True

    def said(self) -> str:
        """What the process itself printed."""
        self.complaints.seek(0)
        return self.complaints.read()

    def end(self) -> int:
        """End the process where it still runs; its exit code."""
        if self.process.poll() is None:
            self.process.kill()
        return self.process.wait()


class _Message(TypedDict, total=False):
    """What a nursery says: that it is ready, that it started a check in a process, that a result could not be kept, or that one ended with an exit code."""

    ready: bool
    started: str
    pid: int
    lost: str
    why: str
    ended: str
    code: int


@dataclass
class _Running:
    check: Check
    nursery: _Nursery
    began: float
    pid: int = 0
    lost: str = ""


class Schedule:
    """One judgement: what waits, what runs, and the results."""

    def __init__(
        self, checks: Sequence[Check], context: Context, spec_file: Path, begin: Callable[[Check], None]
    ) -> None:
        self.context, self.spec_file, self.begin = context, spec_file, begin
        self.waiting = sorted(checks, key=lambda check: (check.alone, -_span(check, checks)))
        self.running: dict[str, _Running] = {}
        self.results: dict[str, CheckResult] = {}
        self.heard: queue.Queue[tuple[_Nursery, _Message | None]] = queue.Queue()
        self.nurseries: dict[bool, _Nursery] = {}
        self.starts: dict[bool, int] = {}

    def run(self) -> dict[str, CheckResult]:
        """Judge all checks; results by id."""
        try:
            for heavy in sorted({check.heavy for check in self.waiting}, reverse=True):
                self._open(heavy, preloads=heavy)
            while self.waiting or self.running:
                self._start()
                self._hear()
                self._end_late()
        finally:
            for running in self.running.values():
                _end(running)
            for nursery in self.nurseries.values():
                nursery.end()
                nursery.complaints.close()
        return self.results

    def _open(self, heavy: bool, preloads: bool) -> None:
        context = self.context
        argv = [str(context.spec.python), "-W", "ignore", "-c", START, str(Path(__file__).resolve().parents[1])]
        argv += ["--spec", str(self.spec_file), "--evidence", str(context.evidence), "--scratch", str(context.scratch)]
        argv += ["--nurse", ",".join(PRELOADED if preloads else ()) or "-"]
        complaints = tempfile.TemporaryFile(  # noqa: SIM115  (closed with its nursery)
            "w+", dir=context.scratch, encoding="utf-8", errors="replace"
        )
        self.starts[heavy] = self.starts.get(heavy, 0) + 1
        try:
            process = subprocess.Popen(
                argv,
                env=quiet(context),
                cwd=context.scratch,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complaints,
                encoding="utf-8",
                errors="replace",
            )
        except OSError as error:
            self._give_up(heavy, FAIL, f"cannot run {argv[0]}: {error.strerror or error}", "")
            complaints.close()
            return
        nursery = self.nurseries[heavy] = _Nursery(heavy, process, complaints, preloads)
        threading.Thread(target=self._listen, args=(nursery,), daemon=True).start()

    def _listen(self, nursery: _Nursery) -> None:
        assert nursery.process.stdout is not None
        for line in nursery.process.stdout:
            if line.startswith('{"'):
                self.heard.put((nursery, json.loads(line)))
        self.heard.put((nursery, None))

    def _start(self) -> None:
        """Start what may start: a slot is free, its nursery is ready, and what it comes after is judged."""
        for check in list(self.waiting):
            if len(self.running) >= workers() or any(running.check.alone for running in self.running.values()):
                return
            if check.alone and self.running:
                continue
            nursery = self.nurseries.get(check.heavy)
            open_ids = {other.id for other in self.waiting} | self.running.keys()
            if nursery is None or not nursery.ready or open_ids & set(check.after):
                continue
            self.waiting.remove(check)
            self.begin(check)
            self.running[check.id] = _Running(check, nursery, time.monotonic())
            if not nursery.ask(check):
                return  # its end will be heard

    def _hear(self) -> None:
        try:
            nursery, message = self.heard.get(timeout=0.1)
        except queue.Empty:
            return
        if nursery is not self.nurseries.get(nursery.heavy):
            return
        if message is None:
            self._lost(nursery)
        elif "ready" in message:
            nursery.ready = True
        elif "started" in message:
            if message["started"] in self.running:
                self.running[message["started"]].pid = message["pid"]
        elif "lost" in message:
            if message["lost"] in self.running:
                self.running[message["lost"]].lost = message["why"]
        elif message["ended"] in self.running:
            self._conclude(self.running.pop(message["ended"]), message["code"])

    def _conclude(self, running: _Running, code: int) -> None:
        """The result of a child that ended: the one it left, else the manner of its end."""
        check, path = running.check, result_path(self.context.scratch, running.check)
        try:
            self.results[check.id] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            self.results[check.id] = self._died(running, code)

    def _died(self, running: _Running, code: int) -> CheckResult:
        text, how = self._log(running.check), words.ending(code)
        line = meaning(text) or words.summary(text)
        detail = f"{how}: {line}" if line else how
        if running.lost:
            detail = f"result lost: {running.lost}"
        return running.check.result(FAIL, detail, _evidence(text), seconds=time.monotonic() - running.began)

    def _log(self, check: Check) -> str:
        try:
            return log_path(self.context.scratch, check).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    def _end_late(self) -> None:
        now = time.monotonic()
        for running in list(self.running.values()):
            check = running.check
            if now - running.began <= check.timeout:
                continue
            _end(running)
            del self.running[check.id]
            text = self._log(check)
            line = words.summary(text)
            detail = f"it did not answer within {check.timeout:g} s" + (f": {line}" if line else "")
            remedy = LATE.format(id=check.id)
            self.results[check.id] = check.result(UNJUDGED, detail, _evidence(text), remedy, now - running.began)
        for nursery in list(self.nurseries.values()):
            if not nursery.ready and now - nursery.since > LOADING:
                nursery.end()
                detail = f"loading {' and '.join(PRELOADED)} did not end within {LOADING:g} s"
                self._give_up(nursery.heavy, UNJUDGED, detail, nursery.said())

    def _lost(self, nursery: _Nursery) -> None:
        """A nursery is gone: its children are too, and another one takes what is left."""
        code, text = nursery.end(), nursery.said()
        nursery.complaints.close()
        del self.nurseries[nursery.heavy]
        for running in [running for running in self.running.values() if running.nursery is nursery]:
            del self.running[running.check.id]
            _end(running)
            self.results[running.check.id] = self._died(running, code)
        if not any(check.heavy == nursery.heavy for check in self.waiting):
            return
        if self.starts[nursery.heavy] < 3:
            self._open(nursery.heavy, preloads=nursery.preloads and nursery.ready)
        else:
            line = words.summary(text)
            self._give_up(nursery.heavy, FAIL, words.ending(code) + (f": {line}" if line else ""), text)

    def _give_up(self, heavy: bool, verdict: Any, detail: str, text: str) -> None:
        """Nothing of a kind can be judged any more."""
        self.nurseries.pop(heavy, None)
        for check in [check for check in self.waiting if check.heavy == heavy]:
            self.waiting.remove(check)
            self.begin(check)
            remedy = LATE.format(id=check.id) if verdict == UNJUDGED else ""
            self.results[check.id] = check.result(verdict, detail, _evidence(text), remedy)


def _evidence(text: str) -> dict[str, object]:
    lines = words.lines(text)
    return {"said": lines} if lines else {}


def _end(running: _Running) -> None:
    if running.pid:
        end(running.pid)


def _span(check: Check, checks: Sequence[Check]) -> float:
    """Seconds of a check and of the longest row of others that wait for it."""
    return check.cost + max((_span(other, checks) for other in checks if check.id in other.after), default=0.0)
