"""Long work on a host that outlives the connection: started once, followed by whoever asks.

A module calls `follow`. The first call forks a worker out of the module's session; every call waits a while and says how far it is.
The worker holds the host's lock, so the lock's holder is the job, not the connection. If the controller dies, the job goes
on, and the next run finds it (or its result) by its name.
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from ..failures.base import NOTHING
from ..records.job import Answer, Outcome, Progress
from ..terms.url import masked
from .store import Busy, StoreError, busy_message, holder, note_holder, read_json, take_lock, write_json

ABANDONED_AFTER = 10.0
"""Seconds without a follower after which a run counts as gone and its job may be taken over."""
SHORTEST = 8.0
"""Seconds that pass at least between two answers of a job that goes on: each is a remote run."""
LOG_TAIL = 25
SAID = 2**21
"""Characters of a command's output that are searched for the reason of its failure."""
OURS, ADOPTED = "ours", "adopted"


class Failed(Exception):
    """The work failed for a reason a person can act on: `message` says what and the remedy, `log` the lines that matter.

    `said` is all that the tool printed, where that is more.
    """

    def __init__(self, message: str, log: Sequence[str] = (), said: str = "") -> None:
        super().__init__(message)
        self.log = list(log)
        self.said = said or "\n".join([*self.log, message])


class Job:
    """What a worker uses to report progress, and to run commands with their output in the job's log.

    Attributes:
        known: The failures that are known, for what fails here.
    """

    def __init__(self, folder: str, lock: int) -> None:
        self.folder = folder
        self.known = NOTHING
        self._lock = lock
        self.started = time.time()
        self.log_path = os.path.join(folder, "log")

    def progress(self, phase: str, n: int = 0, m: int = 0, detail: str = "") -> None:
        """Say what is being done: phase, step n of m, and a few words."""
        state = {"phase": phase, "n": n, "m": m, "detail": detail, "elapsed": time.time() - self.started}
        try:
            write_json(os.path.join(self.folder, "progress.json"), state, durable=False)
        except OSError:
            pass  # a full disk must not hide the reason of the failure behind a lost progress line

    def run(
        self,
        argv: Sequence[str],
        environment: dict[str, str],
        folder: str | None = None,
        watch: Callable[[], None] | None = None,
        ok: Sequence[int] = (0,),
    ) -> None:
        """Run a command, its output in the log; `watch` is called about twice a second.

        Raises:
            Failed: it ended with a status that is not in `ok`; the log's last lines are attached.
        """
        with open(self.log_path, "ab") as log:
            log.write(("$ " + " ".join(argv) + "\n").encode())
            start = log.tell()
            log.flush()
            try:
                # A command that outlives a killed worker keeps the lock, so no second run meets it.
                process = subprocess.Popen(
                    argv,
                    env=environment,
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=[self._lock],
                )
            except OSError as error:
                raise Failed(f"{argv[0]} could not be started: {error.strerror}") from error
            while process.returncode is None:
                try:
                    process.wait(0.5)
                except subprocess.TimeoutExpired:
                    if watch is not None:
                        watch()
        if process.returncode in ok:
            return
        with open(self.log_path, "rb") as reading:
            reading.seek(start)
            said = masked(reading.read().decode(errors="replace"))
        raise Failed(
            f"{os.path.basename(argv[0])} ended with status {process.returncode}",
            said.splitlines()[-LOG_TAIL:],
            said[-SAID:],
        )


def alive(job: Any) -> bool:
    return isinstance(job, dict) and "pid" in job and birth(job["pid"]) == job.get("birth")


def birth(pid: int) -> str | None:
    """When a process started, in clock ticks since boot: with its id it names a process for good."""
    try:
        # Of its main thread: qemu makes up what a process that it runs reads of itself as /proc/PID/stat.
        with open(f"/proc/{pid}/task/{pid}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def follow(
    root: str, name: str, run: str, work: Callable[[Job], Mapping[str, object]], wait: float, seen: str = ""
) -> Answer:
    """Start the job `name`, or join it, and wait until it ended, its phase is no longer `seen`, or `wait` seconds passed.

    Args:
        root: The host's folder.
        name: The job's name, the same for the same work.
        run: Names the run that asks; a job whose run has gone is taken over.
        work: What to do; its result is kept as JSON.
        wait: Seconds.
        seen: What the follower has shown already, as `state` of the last answer.

    Returns:
        ``finished``, ``state``, ``progress``, and when finished ``result`` or ``failure`` and ``log``.

    Raises:
        Busy: another run works on this host.
        StoreError: the state folder cannot be written.
    """
    folder = os.path.join(root, "state", "jobs", name)
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)  # a tool's log may hold what it was told
    except OSError as error:
        raise StoreError(
            f"{folder} cannot be made ({error.strerror}). Remedy: run as the owner of {root}, or with become"
        ) from error
    found = _join(root, folder, run)
    if not found:
        try:
            _start(root, folder, name, run, work)
        except Busy:
            other = (holder(root) or {}).get("purpose", "")
            left = os.path.join(root, "state", "jobs", other)
            if other and not (os.path.exists(os.path.join(left, "job.json")) and _abandoned(left)):
                raise
            phase = f"waiting for {other or 'work'} that an earlier run left behind"
            free = time.monotonic() + wait
            while holder(root) is not None and time.monotonic() < free:
                time.sleep(0.2)
            return {"finished": False, "state": phase, "progress": {"phase": phase}, "adopted": False}
    _note_follower(folder)
    deadline = time.monotonic() + wait
    while True:
        living = alive(read_json(os.path.join(folder, "job.json")))
        # The worker writes its result before it ends: asked in this order, a dead one without a result was killed.
        result = read_json(os.path.join(folder, "result.json"))
        progress = cast(Progress, read_json(os.path.join(folder, "progress.json")) or {})
        state = f"{progress.get('phase')} {progress.get('n')} {progress.get('detail')}"
        if isinstance(result, dict):
            answer: Answer = {"finished": True, "state": state, "progress": progress, "adopted": found == ADOPTED}
            answer.update(cast(Answer, result))
            return answer
        if not living:
            killed = (
                f"the worker of {name} was killed. Remedy: start again, what it finished is kept; its log: {folder}/log"
            )
            return {"finished": True, "state": state, "progress": progress, "failure": killed, "log": _tail(folder)}
        if time.monotonic() > deadline or (state != seen and time.monotonic() > deadline - wait + SHORTEST):
            return {"finished": False, "state": state, "progress": progress, "adopted": found == ADOPTED}
        time.sleep(0.1)


def _join(root: str, folder: str, run: str) -> str:
    """Whether the job is `OURS`, or was `ADOPTED` because the run that started it is gone; empty when it must be started.

    Raises:
        Busy: the run that started it still follows it.
    """
    path = os.path.join(folder, "job.json")
    job = read_json(path)
    if isinstance(job, dict) and job.get("run") == run:
        return OURS
    if not alive(job):
        return ""
    if not _abandoned(folder):
        raise Busy(busy_message(holder(root) or {}))
    if not alive(job):
        return ""
    write_json(path, {**job, "run": run})
    return ADOPTED


def _note_follower(folder: str) -> None:
    write_json(os.path.join(folder, "follower.json"), {"pid": os.getpid(), "birth": birth(os.getpid())})


def _abandoned(folder: str) -> bool:
    """Whether no run follows a job any more; watches it as long as it takes to know.

    A call of a module outlives its controller by some seconds, but only a controller that is there makes the next call: so
    a job counts as followed when its follower changes, and as abandoned when the last one is gone and no other comes.
    """
    path = os.path.join(folder, "follower.json")
    first, gone = read_json(path), 0.0
    while read_json(path) == first:
        if not alive(read_json(os.path.join(folder, "job.json"))):
            return True
        if alive(first):
            gone = 0.0
        elif not gone:
            gone = time.monotonic()
        elif time.monotonic() - gone > ABANDONED_AFTER:
            return True
        time.sleep(0.1)
    return False


def _start(root: str, folder: str, name: str, run: str, work: Callable[[Job], Mapping[str, object]]) -> None:
    descriptor = take_lock(root, name)
    # Before the job is there for others to see: a first follower that comes later would look like a next one.
    _note_follower(folder)
    for leftover in ("result.json", "progress.json", "log"):
        try:
            os.unlink(os.path.join(folder, leftover))
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
    sys.stdout.flush()
    sys.stderr.flush()
    ready, go = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            if os.fork() == 0:
                _work(root, folder, name, run, work, go, descriptor)
        finally:
            os._exit(0)
    os.close(go)
    os.waitpid(child, 0)
    os.read(ready, 1)  # the worker has written job.json, or died
    os.close(ready)
    os.close(descriptor)


def _work(
    root: str, folder: str, name: str, run: str, work: Callable[[Job], Mapping[str, object]], go: int, lock: int
) -> None:
    """The worker: it and the commands it runs hold the lock through the descriptor they inherit."""
    null = os.open(os.devnull, os.O_RDWR)
    log = os.open(os.path.join(folder, "log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for target, source in ((0, null), (1, log), (2, log)):
        os.dup2(source, target)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    note_holder(lock, name)
    write_json(
        os.path.join(folder, "job.json"), {"name": name, "pid": os.getpid(), "birth": birth(os.getpid()), "run": run}
    )
    os.write(go, b"1")
    os.close(go)
    try:
        outcome: Outcome = {"result": dict(work(Job(folder, lock)))}
    except Failed as error:
        outcome = {"failure": str(error), "log": error.log}
    except StoreError as error:
        outcome = {"failure": str(error), "log": []}
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        remedy = "free some space (wavesmith prune removes old generations)" if full else f"see {folder}/log"
        outcome = {"failure": f"{error.filename or root}: {error.strerror}. Remedy: {remedy}", "log": []}
    except Exception:  # a defect of ours: kept whole in the log, said in one line
        traceback.print_exc()
        sys.stderr.flush()
        lines = traceback.format_exc().strip().splitlines()
        outcome = {
            "failure": f"{name} failed because of a defect in Wavesmith: {lines[-1]}. Remedy: report it with {folder}/log",
            "log": lines[-LOG_TAIL:],
        }
    write_json(os.path.join(folder, "result.json"), outcome)


def _tail(folder: str) -> list[str]:
    try:
        with open(os.path.join(folder, "log"), encoding="utf-8", errors="replace") as file:
            return masked(file.read()).splitlines()[-LOG_TAIL:]
    except OSError:
        return []
