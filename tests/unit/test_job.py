"""Long work that outlives its connection: what a follower hears, and what killed, abandoned and second runs meet."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.host import job as _job
from ansible_collections.wavesmith.provision.plugins.module_utils.host import store
from ansible_collections.wavesmith.provision.plugins.module_utils.host.job import Failed, Job, follow

pytestmark = pytest.mark.process

SHELL = {"PATH": os.environ["PATH"]}
Work = Callable[[Job], dict[str, Any]]


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A host's folder; workers that a test left are killed at its end."""
    yield tmp_path
    for path in tmp_path.glob("state/jobs/*/job.json"):
        job = json.loads(path.read_text())
        if _job.alive(job):
            os.kill(job["pid"], signal.SIGKILL)


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers come at once, and a run is soon taken for gone."""
    monkeypatch.setattr(_job, "SHORTEST", 0.0)
    monkeypatch.setattr(_job, "ABANDONED_AFTER", 0.4)


def done(root: Path, work: Work, run: str = "a", name: str = "job") -> dict[str, Any]:
    """The last answer of a job that is followed to its end."""
    deadline, answer = time.monotonic() + 20, {"finished": False, "state": ""}
    while not answer["finished"]:
        assert time.monotonic() < deadline
        answer = follow(str(root), name, run, work, wait=5.0, seen=answer["state"])
    return answer


def started(root: Path, work: Work, run: str = "a", name: str = "job") -> dict[str, Any]:
    """The first answer of a job that goes on."""
    answer = follow(str(root), name, run, work, wait=0.0)
    assert not answer["finished"]
    return answer


def worker(root: Path, name: str = "job") -> int:
    found: int = json.loads((root / "state" / "jobs" / name / "job.json").read_text())["pid"]
    return found


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def sleeper(job: Job) -> dict[str, Any]:
    job.progress("sleeping", 1, 2, "deeply")
    time.sleep(60)
    return {}


def never(job: Job) -> dict[str, Any]:
    raise AssertionError("it was not to be started")


def waiting_for(gate: Path) -> Work:
    """Work that ends when a file is there."""

    def work(job: Job) -> dict[str, Any]:
        while not gate.exists():
            time.sleep(0.02)
        return {"waited": True}

    return work


# The result


def test_a_follower_gets_the_result(root: Path) -> None:
    assert done(root, lambda job: {"built": ["pyworld"]})["result"] == {"built": ["pyworld"]}


def test_the_work_is_done_by_a_process_of_its_own(root: Path) -> None:
    result = done(root, lambda job: {"pid": os.getpid(), "session": os.getsid(0)})["result"]
    assert result["pid"] != os.getpid()
    assert result["session"] != os.getsid(0)


def test_a_job_that_ended_leaves_the_host_free(root: Path) -> None:
    done(root, lambda job: {})
    until(lambda: store.holder(str(root)) is None)


def test_the_same_run_gets_the_same_result_again(root: Path) -> None:
    done(root, lambda job: {"n": 1})
    assert done(root, never)["result"] == {"n": 1}


def test_another_run_does_finished_work_anew(root: Path) -> None:
    done(root, lambda job: {"n": 1}, run="a")
    until(lambda: store.holder(str(root)) is None)
    assert done(root, lambda job: {"n": 2}, run="b")["result"] == {"n": 2}


def test_a_follower_hears_how_far_it_is(root: Path) -> None:
    started(root, sleeper)
    until(lambda: follow(str(root), "job", "a", never, 0.0)["progress"] != {})
    progress = follow(str(root), "job", "a", never, 0.0)["progress"]
    assert {key: progress[key] for key in ("phase", "n", "m", "detail")} == {
        "phase": "sleeping",
        "n": 1,
        "m": 2,
        "detail": "deeply",
    }


def test_an_answer_comes_when_there_is_news(root: Path) -> None:
    state = started(root, sleeper)["state"]
    began = time.monotonic()
    assert follow(str(root), "job", "a", never, wait=20.0, seen=state + "older")["finished"] is False
    assert time.monotonic() - began < 10


# Commands


def test_what_a_command_says_is_in_the_log(root: Path) -> None:
    def work(job: Job) -> dict[str, Any]:
        job.run(["sh", "-c", "echo out; echo err >&2"], SHELL)
        return {}

    done(root, work)
    log = (root / "state" / "jobs" / "job" / "log").read_text()
    assert log.splitlines() == ["$ sh -c echo out; echo err >&2", "out", "err"]


def test_a_command_that_fails_gives_its_status_and_its_last_lines(root: Path) -> None:
    def work(job: Job) -> dict[str, Any]:
        job.run(["sh", "-c", "echo earlier"], SHELL)
        job.run(["sh", "-c", "seq 100; echo gcc: no such file >&2; exit 7"], SHELL)
        return {}

    answer = done(root, work)
    assert answer["failure"] == "sh ended with status 7"
    assert answer["log"][-1] == "gcc: no such file"
    assert len(answer["log"]) == _job.LOG_TAIL and "earlier" not in answer["log"]


def test_a_command_that_is_not_there_is_named(root: Path) -> None:
    def work(job: Job) -> dict[str, Any]:
        job.run(["/nowhere/uv", "venv"], SHELL)
        return {}

    assert done(root, work)["failure"] == "/nowhere/uv could not be started: No such file or directory"


def test_a_command_may_end_with_a_status_that_is_expected(root: Path) -> None:
    def work(job: Job) -> dict[str, Any]:
        job.run(["sh", "-c", "exit 2"], SHELL, ok=(0, 2))
        return {"fine": True}

    assert done(root, work)["result"] == {"fine": True}


def test_a_command_has_only_the_environment_it_is_given(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/hostile")

    def work(job: Job) -> dict[str, Any]:
        job.run(["sh", "-c", 'test -z "$PYTHONPATH"'], SHELL)
        return {}

    assert "result" in done(root, work)


def test_a_command_is_watched_while_it_runs(root: Path) -> None:
    def work(job: Job) -> dict[str, Any]:
        seen: list[int] = []
        job.run(["sleep", "0.7"], SHELL, watch=lambda: seen.append(1))
        return {"seen": len(seen)}

    assert done(root, work)["result"]["seen"] >= 1


# Failures


def raising(error: BaseException) -> Work:
    def work(job: Job) -> dict[str, Any]:
        raise error

    return work


def test_a_failure_for_people_keeps_its_words_and_lines(root: Path) -> None:
    answer = done(root, raising(Failed("the disk is full. Remedy: free some", ["line"])))
    assert (answer["failure"], answer["log"]) == ("the disk is full. Remedy: free some", ["line"])


def test_a_failure_of_the_store_keeps_its_words(root: Path) -> None:
    assert (
        done(root, raising(store.StoreError("not complete. Remedy: again")))["failure"] == "not complete. Remedy: again"
    )


def test_a_full_disk_is_named_with_the_way_to_free_it(root: Path) -> None:
    error = OSError(errno.ENOSPC, "No space left on device", "/opt/wavesmith/envs/x")
    failure = done(root, raising(error))["failure"]
    assert failure.startswith("/opt/wavesmith/envs/x: No space left on device. Remedy: free some space")


def test_another_error_of_the_system_points_to_the_log(root: Path) -> None:
    failure = done(root, raising(PermissionError(errno.EACCES, "Permission denied", "/x")))["failure"]
    assert failure == f"/x: Permission denied. Remedy: see {root}/state/jobs/job/log"


def test_a_defect_of_ours_is_one_line_with_its_whole_trace_in_the_log(root: Path) -> None:
    answer = done(root, raising(KeyError("surprise")))
    assert "failed because of a defect in Wavesmith: KeyError: 'surprise'. Remedy: report it" in answer["failure"]
    assert any(line.startswith("Traceback") for line in answer["log"])


def test_a_job_that_failed_leaves_the_host_free(root: Path) -> None:
    done(root, raising(Failed("no")))
    until(lambda: store.holder(str(root)) is None)


def test_a_state_folder_that_cannot_be_made_is_refused(root: Path) -> None:
    (root / "state").write_text("")
    with pytest.raises(store.StoreError, match="cannot be made .* Remedy: run as the owner"):
        follow(str(root), "job", "a", never, 0.0)


# Killed


def test_a_killed_worker_is_a_failure_with_a_remedy(root: Path) -> None:
    started(root, sleeper)
    os.kill(worker(root), signal.SIGKILL)
    failure = done(root, never)["failure"]
    assert "the worker of job was killed. Remedy: start again" in failure


def test_after_a_killed_worker_the_next_run_does_the_work(root: Path) -> None:
    started(root, sleeper, run="a")
    os.kill(worker(root), signal.SIGKILL)
    until(lambda: store.holder(str(root)) is None)
    assert done(root, lambda job: {"n": 2}, run="b")["result"] == {"n": 2}


def test_a_command_that_outlives_its_worker_keeps_the_next_run_waiting(root: Path) -> None:
    mark = root / "pid"

    def work(job: Job) -> dict[str, Any]:
        job.run(["sh", "-c", f"echo $$ > {mark}.part; mv {mark}.part {mark}; exec sleep 60"], SHELL)
        return {}

    started(root, work, run="a")
    until(mark.exists)
    os.kill(worker(root), signal.SIGKILL)
    try:
        assert started(root, never, run="b")["state"] == "waiting for job that an earlier run left behind"
    finally:
        os.kill(int(mark.read_text()), signal.SIGKILL)
    assert done(root, lambda job: {"n": 2}, run="b")["result"] == {"n": 2}


def test_an_interrupt_of_the_follower_does_not_reach_the_worker(root: Path) -> None:
    gate = root / "gate"
    started(root, waiting_for(gate))
    os.kill(worker(root), signal.SIGINT)
    os.kill(worker(root), signal.SIGHUP)
    gate.touch()
    assert done(root, never)["result"] == {"waited": True}


def test_a_process_that_got_the_workers_id_later_is_not_taken_for_it() -> None:
    assert _job.alive({"pid": os.getpid(), "birth": _job.birth(os.getpid())})
    assert not _job.alive({"pid": os.getpid(), "birth": "1"})
    assert not _job.alive(None)


def test_a_worker_that_qemu_tells_another_start_of_itself_is_not_taken_for_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def qemu(path: str, **options: Any) -> Any:
        made_up = path == f"/proc/{os.getpid()}/stat"
        return io.StringIO(f"1 (x) R {'0 ' * 40}") if made_up else open(path, **options)

    told = _job.birth(os.getpid())
    monkeypatch.setattr(_job, "open", qemu, raising=False)
    assert _job.birth(os.getpid()) == told != "0"


# Second and abandoned runs


def left_behind(root: Path, work: Work, name: str = "job") -> None:
    """A run `a` started a job, and is gone."""
    child = os.fork()
    if child == 0:
        try:
            follow(str(root), name, "a", work, 0.0)
        finally:
            os._exit(0)
    os.waitpid(child, 0)


@pytest.fixture
def followed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run `a` asks for its job `install-1` again while another one waits."""
    started(root, sleeper, run="a", name="install-1")
    path = root / "state" / "jobs" / "install-1" / "follower.json"
    monkeypatch.setattr(_job.time, "sleep", lambda seconds: path.write_text('{"pid": 1, "birth": "another"}'))


@pytest.mark.usefixtures("followed")
def test_a_second_run_is_refused_while_the_first_follows(root: Path) -> None:
    with pytest.raises(store.Busy, match=r"another run works on this host: install-1 \(process"):
        follow(str(root), "install-1", "b", never, 0.0)


@pytest.mark.usefixtures("followed")
def test_other_work_is_refused_while_a_job_is_followed(root: Path) -> None:
    with pytest.raises(store.Busy, match="install-1"):
        follow(str(root), "install-2", "b", never, 0.0)


def test_other_work_is_refused_while_a_tool_holds_the_lock(root: Path) -> None:
    with store.locked(str(root), "toolbox"), pytest.raises(store.Busy, match="toolbox"):
        follow(str(root), "job", "b", never, 0.0)


def test_a_job_is_not_seen_before_its_first_follower(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A killed run's last call may start a job after the run is gone: its own mark must not look like that of a next call."""
    path = root / "state" / "jobs" / "job" / "follower.json"

    def fork() -> int:
        assert store.read_json(str(path))["pid"] == os.getpid()
        raise OSError("nobody was forked")

    monkeypatch.setattr(_job.os, "fork", fork)
    with pytest.raises(OSError, match="nobody was forked"):
        follow(str(root), "job", "a", never, 0.0)


def test_other_work_waits_for_a_job_whose_run_is_gone(root: Path) -> None:
    gate = root / "gate"
    left_behind(root, waiting_for(gate), name="install-1")
    assert "waiting for install-1" in started(root, never, run="b", name="install-2")["state"]
    gate.touch()
    assert done(root, lambda job: {"n": 2}, run="b", name="install-2")["result"] == {"n": 2}


def test_work_of_a_run_that_is_gone_is_adopted_with_its_result(root: Path) -> None:
    gate = root / "gate"
    left_behind(root, waiting_for(gate))
    assert started(root, never, run="b")["adopted"] is True
    gate.touch()
    assert done(root, never, run="b")["result"] == {"waited": True}


def test_work_that_ended_while_nobody_followed_is_done_anew(root: Path) -> None:
    left_behind(root, lambda job: {})
    until(lambda: store.holder(str(root)) is None)
    assert done(root, lambda job: {"anew": True}, run="b")["result"] == {"anew": True}
