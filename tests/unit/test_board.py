"""The board: what a run says, through Ansible itself, on a terminal and without one, and the words alone."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.record import EnvironmentPlan, Plan
from ansible_collections.wavesmith.provision.plugins.module_utils.records.times import Times
from ansible_collections.wavesmith.provision.plugins.plugin_utils import board, board_screen, called, times
from ansible_collections.wavesmith.provision.plugins.plugin_utils.progress import Update
from rich.console import Console

ROOT = Path(__file__).resolve().parents[2]
TELL = """
import time
from ansible.plugins.action import ActionBase
from ansible_collections.wavesmith.provision.plugins.plugin_utils import progress

class ActionModule(ActionBase):
    def run(self, tmp=None, task_vars=None):
        host = task_vars["inventory_hostname"]
        for n in (1, 2, 3):
            progress.tell({"host": host, "phase": "install", "doing": f"step {n} of it", "n": n, "m": 3, "detail": "torch", "elapsed": 10.0 * n,
                           "estimate": 60.0})
            time.sleep(float(self._task.args.get("sleep", 0)))
        return {"changed": True, "remote_runs": 2}
"""
HEALTHY = {
    "schema": 1,
    "verdict": "healthy",
    "exit": 0,
    "started": "2026-11-27T15:30:00Z",
    "checks": [{"id": "a", "verdict": "pass"}, {"id": "b", "verdict": "skip"}],
}
FAILED = {**HEALTHY, "verdict": "failed", "exit": 1, "checks": [{"id": "a", "verdict": "fail"}]}
GENERATION = "0a628c1c5e9706fe"


def report(verdict: object = HEALTHY, generation: str = GENERATION, **more: Any) -> dict[str, Any]:
    """The task that playbooks/report.yml has, with a plan of its own."""
    kept = {"generation": generation, "verdict": verdict, "manifest": {"stack": "cpu"}}
    plan = {
        "root": "/opt/wavesmith",
        "warnings": [],
        "environments": [{"name": "speech", "current": generation, "stack": "cpu"}],
    }
    observed = {"environments": {"speech": {"current": kept}}}
    return {"name": "Report", "wavesmith.provision.report": {"plan": plan, "observed": observed}, **more}


class Play:
    """Plays of our own, run by ansible-playbook with hosts that are all this machine."""

    def __init__(self, folder: Path, *hosts: str, **variables: Any) -> None:
        self.folder = folder
        (folder / "action_plugins").mkdir()
        (folder / "action_plugins" / "tell.py").write_text(TELL)
        given = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "wavesmith_root": str(folder / "root"),
            "wavesmith_artifacts": str(folder / "artifacts"),
            "wavesmith_environments": {},
            **variables,
        }
        (folder / "hosts.json").write_text(json.dumps({"all": {"vars": given, "hosts": {host: {} for host in hosts}}}))

    def argv(self, tasks: list[dict[str, Any]] | str, *words: str, name: str = "site") -> list[str]:
        path = self.folder / f"{name}.yml"
        if not isinstance(tasks, str):
            nobody = {"name": "Nobody", "hosts": "nobody", "gather_facts": False, "tasks": tasks}
            play = {"name": "Install", "hosts": "all", "gather_facts": False, "tasks": tasks}
            path.write_text(yaml.safe_dump([nobody, play]))
        playbook = tasks if isinstance(tasks, str) else str(path)
        return [
            str(Path(sys.executable).parent / "ansible-playbook"),
            "-i",
            str(self.folder / "hosts.json"),
            playbook,
            *words,
        ]

    def environment(self, **more: str) -> dict[str, str]:
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "NO_COLOR"))}
        return {**clean, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "LC_ALL": "C.UTF-8", **more}

    def run(
        self, tasks: list[dict[str, Any]] | str, *words: str, name: str = "site", **more: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.argv(tasks, *words, name=name),
            cwd=ROOT,
            env=self.environment(**more),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def on_a_terminal(self, tasks: list[dict[str, Any]] | str, **more: str) -> str:
        """What a terminal gets, escape sequences and all."""
        leader, follower = pty.openpty()
        environment = self.environment(TERM="xterm-256color", COLUMNS="120", LINES="30", **more)
        done = subprocess.Popen(
            self.argv(tasks), cwd=ROOT, env=environment, stdin=follower, stdout=follower, stderr=follower
        )
        os.close(follower)
        found: list[bytes] = []

        def read() -> None:
            try:
                while data := os.read(leader, 65536):
                    found.append(data)
            except OSError:
                pass  # the other end was closed

        reader = threading.Thread(target=read)
        reader.start()
        assert done.wait(120) == 0
        reader.join(10)
        os.close(leader)
        return b"".join(found).decode()


def lines_of(done: subprocess.CompletedProcess[str]) -> list[str]:
    assert "Traceback" not in done.stdout + done.stderr
    return done.stdout.splitlines()


process = pytest.mark.process


@process
@pytest.mark.parametrize("number", [1, 10])
def test_a_run_that_changes_nothing_says_one_line_per_host_and_one_sentence(tmp_path: Path, number: int) -> None:
    hosts = [f"thor{index:02}" for index in range(number)]
    said = lines_of(Play(tmp_path, *hosts).run([report()]))
    assert len(said) == number + 1 <= (5 if number == 1 else 14)
    assert said[0].startswith(f"✓ thor00: speech {GENERATION} healthy (1 pass, 0 fail, 1 skip) of 2026-11-27 ")
    assert said[-1].startswith(f"{number} of {number} host{'s' if number > 1 else ''} healthy, nothing to do (")


@process
def test_plays_without_hosts_and_skipped_tasks_are_not_mentioned(tmp_path: Path) -> None:
    skipped = {"name": "Never", "ansible.builtin.command": {"argv": ["false"]}, "when": "false"}
    said = lines_of(Play(tmp_path, "thor01").run([skipped, report()]))
    assert len(said) == 2 and not any(
        word in "\n".join(said) for word in ("PLAY", "TASK", "skipping", "Nobody", "Never")
    )


@process
def test_an_error_is_said_once_for_all_its_hosts_with_its_remedy_and_comes_last(tmp_path: Path) -> None:
    broken = {
        "name": "Break",
        "ansible.builtin.command": {"argv": ["no-such-program"]},
        "when": "inventory_hostname != 'rtx01'",
    }
    done = Play(tmp_path, "thor01", "thor02", "rtx01").run([broken, report()])
    said = lines_of(done)
    assert done.returncode == 2
    assert said[0].startswith("✗ thor01: failed in install after ") and said[2].startswith("✓ rtx01: speech")
    assert said[3].startswith("✗ thor01, thor02: Break: ") and "no-such-program" in said[3] and ". Remedy: " in said[3]
    assert re.match(r"1 of 3 hosts healthy, 2 failed: thor01, thor02 \(", said[4]) and len(said) == 5


@process
def test_a_refusal_is_said_once_and_that_nothing_was_changed(tmp_path: Path) -> None:
    done = Play(tmp_path, "thor01", "thor02").run("playbooks/prune.yml", "-e", "wavesmith_kep_generations=2")
    said = lines_of(done)
    assert done.returncode == 2 and said[:2] == [
        "✗ thor01: refused, nothing was changed",
        "✗ thor02: refused, nothing was changed",
    ]
    assert said[2].startswith(
        "✗ thor01, thor02: variable wavesmith_kep_generations: there is no such variable. Remedy: did you mean"
    )
    assert said[3].startswith("0 of 2 hosts done, 2 refused: thor01, thor02") and len(said) == 4


@process
def test_a_host_out_of_reach_is_named_with_what_to_check(tmp_path: Path) -> None:
    play = Play(tmp_path, "far01", ansible_connection="ssh", ansible_host="127.0.0.1", ansible_port=1)
    done = play.run([{"name": "Ask", "ansible.builtin.ping": {}}])
    said = lines_of(done)
    assert said[0] == "✗ far01: unreachable, nothing was changed"
    assert said[1].startswith("✗ far01: this host: 127.0.0.1 refuses SSH connections (")
    assert said[1].count("Remedy: ") == 1 and said[1].endswith("Remedy: start its SSH server, or correct ansible_port")


@process
def test_without_a_terminal_progress_comes_in_plain_lines(tmp_path: Path) -> None:
    said = lines_of(Play(tmp_path, "thor01").run([{"name": "Install", "tell": {}}, report()]))
    assert said[0] == "  [thor01] step 1 of it 1/3 (torch): 10 s, about 50 s left (the plan's estimate)"
    assert "\x1b" not in "".join(said)
    assert said[-1].startswith("1 of 1 host healthy, 1 changed (")


@process
def test_a_terminal_gets_a_table_that_is_gone_at_the_end(tmp_path: Path) -> None:
    raw = Play(tmp_path, "thor01", "spark01").on_a_terminal([{"name": "Install", "tell": {"sleep": 0.4}}, report()])
    assert "step 2 of it 2/3 torch" in raw and "\x1b[?25l" in raw, "a live table"
    assert raw.rindex("\x1b[?25h") > raw.rindex("\x1b[?25l"), "the cursor is back"
    end = raw[raw.rindex("\x1b[2K") :]
    assert (
        re.search(r"\x1b\[0;\d+m✓ thor01: speech 0a62", end)
        and "2 of 2 hosts healthy, 2 changed" in end
        and "step" not in end
    )


@process
def test_no_color_is_respected_on_a_terminal(tmp_path: Path) -> None:
    raw = Play(tmp_path, "thor01").on_a_terminal([{"name": "Install", "tell": {"sleep": 0.3}}, report()], NO_COLOR="1")
    colors = [
        code
        for codes in re.findall(r"\x1b\[([\d;]+)m", raw)
        for code in codes.split(";")
        if code not in ("0", "1", "2")
    ]
    assert "step 1 of it" in raw and colors == []


@process
def test_verbose_is_ansibles_own_output_with_steps_and_remote_runs(tmp_path: Path) -> None:
    done = Play(tmp_path, "thor01", "spark01").run([{"name": "Install", "tell": {}}, report()], "-v")
    assert "TASK [Install]" in done.stdout and "PLAY RECAP" in done.stdout and "changed=1" in done.stdout
    assert re.search(r"^REMOTE RUNS  spark01 2, thor01 2$", done.stdout, re.MULTILINE)
    assert "doctor:" in done.stdout and "speech is generation 0a628c1c5e9706fe (cpu): source " in done.stdout


@process
def test_json_is_one_document_and_nothing_else_on_stdout(tmp_path: Path) -> None:
    speak = {"name": "Speak", "ansible.builtin.debug": {"msg": "hello"}}
    broken = {
        "name": "Break",
        "ansible.builtin.fail": {"msg": "disk of /opt: full. Remedy: free some"},
        "when": "inventory_hostname == 'b'",
    }
    done = Play(tmp_path, "a", "b").run([speak, broken, report()], WAVESMITH_BOARD="json")
    found = json.loads(done.stdout)
    assert {name: host["outcome"] for name, host in found["hosts"].items()} == {"a": "nothing to do", "b": "failed"}
    assert found["hosts"]["a"]["environments"][0]["generation"] == GENERATION
    assert found["errors"] == [
        {
            "hosts": ["b"],
            "message": "disk of /opt: full. Remedy: free some",
            "item": "disk of /opt",
            "problem": "full",
            "remedy": "free some",
        }
    ]
    assert "hello" in done.stderr


@process
def test_quiet_says_errors_only(tmp_path: Path) -> None:
    play = Play(tmp_path, "thor01")
    assert play.run([report()], WAVESMITH_BOARD="quiet").stdout == ""
    broken = {"name": "Break", "ansible.builtin.fail": {"msg": "it is full. Remedy: free some"}}
    done = play.run([broken], WAVESMITH_BOARD="quiet")
    assert done.stdout == "" and done.stderr.splitlines() == ["✗ thor01: it is full. Remedy: free some"]


@process
def test_the_plan_is_shown_where_it_is_asked_for_and_not_where_nothing_will_change(tmp_path: Path) -> None:
    play = Play(tmp_path, "thor01", "thor02", wavesmith_system_packages=False)
    said = lines_of(play.run("playbooks/plan.yml"))
    heads = [line for line in said if re.match("thor0[12]: .*(x86_64|aarch64)", line)]
    assert len(heads) == 2 and sum("nothing to do" in line for line in said) <= 3, "one text for hosts of one kind"
    assert "saved as" in "\n".join(said)
    again = lines_of(play.run("playbooks/activate.yml"))
    assert not any("saved as" in line for line in again) and len(again) == 3


@process
def test_the_installed_collection_has_it_without_this_projects_settings(tmp_path: Path) -> None:
    bare = tmp_path / "ansible.cfg"
    bare.write_text("[defaults]\nstdout_callback = wavesmith.provision.board\n[wavesmith]\nboard = lines\n")
    more = {"ANSIBLE_CONFIG": str(bare), "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections")}
    said = lines_of(Play(tmp_path, "thor01").run([report()], **more))
    assert len(said) == 2 and said[-1].startswith("1 of 1 host healthy, nothing to do")


@process
@pytest.mark.parametrize(
    ("said", "without"),
    [
        ("Remedy: wavesmith prune removes it", "Remedy: ansible-playbook wavesmith.provision.prune removes it"),
        ("run `wavesmith repair -l HOST`", "run `ansible-playbook wavesmith.provision.repair -l HOST`"),
        ("wavesmith provision makes one", "ansible-playbook wavesmith.provision.site makes one"),
        ("wavesmith_root, wavesmith planner, Wavesmith", "wavesmith_root, wavesmith planner, Wavesmith"),
    ],
)
def test_where_there_is_no_command_its_playbook_is_named(
    said: str, without: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert called.as_called(said) == said, "a checkout has the command"
    monkeypatch.setattr(called, "has_command", lambda: False)
    assert called.as_called(said) == without


def test_its_options_are_documented() -> None:
    argv = [str(Path(sys.executable).parent / "ansible-doc"), "-t", "callback", "-j", "wavesmith.provision.board"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True)
    options = json.loads(done.stdout)["wavesmith.provision.board"]["doc"]["options"]
    assert options["form"]["choices"] == ["auto", "table", "lines", "detail", "json", "quiet"]


# What earlier runs took


def plan_of(*phases: str, lock: str = "speech-py311") -> dict[str, Any]:
    steps = [{"phase": phase, "seconds": 60} for phase in phases]
    item = {
        "name": "speech",
        "state": "new",
        "variant": "v",
        "phases": list(phases),
        "conda": {},
        "lock": {"key": lock},
        "wheels": [],
    }
    return {"phases": list(phases), "steps": steps, "environments": [item], "warnings": []}


def remembered(**phases: list[float]) -> Times:
    return {"schema": 1, "phases": {phase: {"speech-py311": seconds} for phase, seconds in phases.items()}}


def test_what_is_expected_is_what_runs_of_the_same_lock_took() -> None:
    found = times.estimates(plan_of("lock", "install"), remembered(install=[80.0, 100.0, 90.0]))
    assert found == {"lock": (60.0, times.PLANNED), "install": (90.0, times.RECORDED)}


def test_another_lock_has_the_plans_estimate() -> None:
    found = times.estimates(plan_of("install", lock="speech-py312"), remembered(install=[80.0]))
    assert found["install"] == (60.0, times.PLANNED)


def test_an_earlier_lock_of_the_same_environment_says_more_than_the_plan() -> None:
    known: Times = {
        "schema": 1,
        "phases": {"install": {"speech-py311-0123abcd": [70.0], "speech-py311-4567abcd": [20.0, 30.0]}},
    }
    found = times.estimates(plan_of("install", lock="speech-py311-89efabcd"), known)
    assert found["install"] == (25.0, times.LIKE)
    assert times.estimates(plan_of("install", lock="voice-py311-89efabcd"), known)["install"].basis == times.PLANNED
    assert times.estimates(plan_of("install", lock="speech-py311-0123abcd"), known)["install"] == (70.0, times.RECORDED)


def test_what_is_recorded_is_what_the_steps_of_the_plan_say() -> None:
    steps = [{"phase": phase, "name": phase, "detail": "", "seconds": 60} for phase in ("install", "install", "verify")]
    item = EnvironmentPlan("speech", phases=["install", "verify"], lock={"key": "speech-py311"})
    planned = Plan("/opt", [item], phases=["install", "verify"], steps=steps, seconds=180)  # type: ignore[arg-type]
    times.tell(planned, remembered(install=[20.0]))
    assert [step["seconds"] for step in planned.steps] == [10, 10, 60] and planned.seconds == 80


def test_a_build_is_remembered_by_its_wheels() -> None:
    plan = plan_of("build")
    plan["environments"][0]["wheels"] = [
        {"name": "pyworld", "version": "0.3.5", "status": "build"},
        {"name": "numba", "version": "1", "status": "hit"},
    ]
    assert times.subjects(plan) == {"build": "pyworld 0.3.5 v"}


def test_only_the_last_runs_are_remembered(tmp_path: Path) -> None:
    found: Times = {"schema": 1, "phases": {}}
    for seconds in range(8):
        found = times.add(found, "install", "k", float(seconds))
    times.write(tmp_path / "times.json", found)
    assert times.read(tmp_path / "times.json")["phases"] == {"install": {"k": [3.0, 4.0, 5.0, 6.0, 7.0]}}


@pytest.mark.parametrize("text", ["", "[]", '{"schema": 2, "phases": {}}', '{"schema": 1, "phases": {"install": 3}}'])
def test_a_file_of_times_that_is_something_else_counts_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "times.json").write_text(text)
    assert times.read(tmp_path / "times.json") == {"schema": 1, "phases": {}}


# The words


PLAN_TEXT = """h: a host
  environment speech: will be made
  steps, about 3 min and 2.5 GiB:
    1. lock: lock (~60 s)
    2. install: install (~60 s)
  warning: w"""


@pytest.mark.parametrize(
    ("playbook", "steps"),
    [
        ("site", ["  steps, about 3 min and 2.5 GiB:", "    1. lock: lock (~60 s)", "    2. install: install (~60 s)"]),
        ("lock", ["  steps, about 60 s:", "    1. lock: resolve (~60 s)"]),
        ("verify", []),
    ],
)
def test_the_plan_names_the_steps_that_the_playbook_does(playbook: str, steps: list[str]) -> None:
    run = board.Run(playbook)
    host = run.host("h")
    host.plan, host.text = plan_of("lock", "install"), PLAN_TEXT
    host.plan["steps"] = [{**step, "name": "lock", "detail": "resolve"} for step in host.plan["steps"]]
    first, second, *rest = board.plan_text(host).splitlines()
    assert [first, second] == PLAN_TEXT.splitlines()[:2] and rest == [*steps, "  warning: w"]


def test_the_end_names_what_new_generations_changed_once_for_all_hosts_of_a_kind() -> None:
    run = board.Run("site")
    many = [f"+ p{number} 1" for number in range(20)]
    for name, changes in {"a": ["+ x 1", "- y"], "b": ["+ x 1", "- y"], "c": many, "d": []}.items():
        run.host(name).data = {"report": {"environments": [{"environment": "speech", "changes": changes}]}}
    first, second = board.change_lines(run)
    assert first == "  speech on a, b: + x 1, - y"
    assert second.startswith("  speech on c: + p0 1, ") and second.endswith(", and 8 more (wavesmith report)")
    alone = board.Run("site")
    alone.host("a").data = {"report": {"environments": [{"environment": "speech", "changes": ["x 1 → 2"]}]}}
    assert board.change_lines(alone) == ["  speech: x 1 → 2"]


def running() -> board.Run:
    """Five hosts: one builds, one waits, one failed, one installs without records, one has nothing to do."""
    run = board.Run("site")
    took = {"prepare": 31.0, "build": 420.0, "install": 88.0}
    for name in ("thor01", "thor02", "spark01", "rtx01"):
        host = run.host(name)
        host.plan = plan_of(*took)
        basis = times.PLANNED if name == "rtx01" else times.RECORDED
        host.estimates = {phase: times.Estimate(seconds, basis) for phase, seconds in took.items()}
        host.begin("prepare", 0.0)
        host.end("prepare", 30.0, failed=name == "spark01")
    run.host("spark01").failed = True
    run.host("thor01").begin("build", 30.0)
    update = {
        "host": "thor01",
        "phase": "build",
        "doing": "building torchaudio",
        "n": 2,
        "m": 3,
        "detail": "compiling",
        "elapsed": 70.0,
        "estimate": 0.0,
    }
    run.host("thor01").update = cast(Update, update)
    run.host("rtx01").begin("install", 60.0)
    run.host("idle01").plan = plan_of()
    return run


def drawn(run: board.Run, width: int = 130, height: int = 30) -> str:
    console = Console(width=width, file=open(os.devnull, "w"), record=True)  # noqa: SIM115
    console.print(board_screen.draw(run, 100.0, 0.0, width, height))
    return console.export_text()


def row(text: str, host: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(host))


def test_the_table_has_a_row_for_each_host_and_a_column_for_each_phase() -> None:
    text = drawn(running())
    assert text.split()[:4] == ["host", "prepare", "build", "install"]
    assert re.search(r"✓ 30 s +▶ 70 s +· 88 s .* 70 s +7 min +building torchaudio 2/3 compiling", row(text, "thor01"))
    assert row(text, "thor02").rstrip().endswith("waiting")
    assert re.search(r"✗ 30 s .*failed$", row(text, "spark01").rstrip())
    assert re.search(r"▶ 40 s .* ~8 min", row(text, "rtx01")), "nothing is recorded of it: its build is still to come"
    assert row(text, "idle01").rstrip().endswith("nothing to do")
    assert "left as earlier runs of this host and lock took, ~ as the plan estimates" in text


def test_a_narrow_terminal_has_one_column_of_phases_and_whole_times() -> None:
    text = drawn(running(), width=80)
    assert re.search(r"▶ build .* 70 s +7 min +building", row(text, "thor01"))
    assert all(len(line) <= 80 for line in text.splitlines())


def test_a_low_terminal_shows_who_works_and_how_many_more_there_are() -> None:
    run = running()
    for number in range(40):
        run.host(f"zz{number:02}").plan = plan_of()
    text = drawn(run, height=12)
    assert len(text.splitlines()) <= 12 and "thor01" in text and "and 38 more hosts" in text


def test_the_share_that_is_done_goes_by_time() -> None:
    host = running().host("thor01")
    assert host.share(100.0) == pytest.approx(100 / (30 + 420 + 88), rel=0.01)
    assert host.left(100.0) == pytest.approx(420 - 70 + 88)


def kept(verdict: object, generation: str = GENERATION) -> dict[str, Any]:
    current = {"generation": generation, "verdict": verdict, "manifest": {"stack": "cpu"}}
    return {"current": current if generation else None, "generations": [{"name": generation, "exit": 0}]}


def ended(*verdicts: object) -> board.Run:
    run = board.Run("site")
    for number, verdict in enumerate(verdicts):
        board.take(run.host(f"h{number}"), "wavesmith.provision.report", {"kept": {"speech": kept(verdict)}})
    return run


def test_a_host_whose_doctor_found_something_is_not_counted_as_healthy() -> None:
    run = ended(HEALTHY, FAILED)
    assert board.sentence(run, 2.0) == "1 of 2 hosts healthy, nothing to do (2.0 s)"
    assert "failed (0 pass, 1 fail, 0 skip)" in board.host_line(run, run.host("h1"))


def test_an_environment_without_a_verdict_says_so() -> None:
    run = ended(HEALTHY, None)
    board.take(run.host("h1"), "wavesmith.provision.report", {"kept": {"voice": kept(HEALTHY, "one")}})
    assert f"speech {GENERATION} not judged yet; voice one healthy" in board.host_line(run, run.host("h1"))


NEW = "ad008d7cbd27cbd1"


@pytest.mark.parametrize("playbook", ["site", "reprovision", "repair", "rollback", "activate"])
@pytest.mark.parametrize("before", ["", GENERATION])
def test_the_end_of_a_run_is_about_what_is_current_after_it(playbook: str, before: str) -> None:
    run, judged = board.Run(playbook), {**HEALTHY, "generation": NEW, "started": "2026-11-28T16:09:00Z"}
    host = run.host("h1")
    if playbook != "rollback":
        plan = plan_of("install", "verify", "activate")
        observed = {"environments": {"speech": kept(HEALTHY if before else None, before)}}
        board.take(host, "wavesmith.provision.plan", {"plan": plan, "observed": observed})
        board.take(host, "wavesmith.provision.verify", {"result": {"verdicts": {"speech": judged}}})
        assert (board.environments(host)[0]["generation"] or "") == before, "not switched yet"
    switched = {"changed": True, "current": {"speech": NEW}, "kept": {"speech": kept(judged, NEW)}}
    host.begin("activate", 1.0)
    board.take(host, "wavesmith.provision.generation", switched)
    (row,) = board.environments(host)
    assert (row["generation"], row["verdict"], row["judged"]) == (NEW, "healthy", "2026-11-28T16:09:00Z")
    assert f"speech {NEW} healthy (1 pass, 0 fail, 1 skip) of 2026-11-28" in board.host_line(run, host)
    assert board.sentence(run, 2.0) == "1 of 1 host healthy, 1 changed (2.0 s)"


@pytest.mark.parametrize("generation", [NEW, "another", ""])
def test_a_verdict_is_that_of_its_generation(generation: str) -> None:
    run = board.Run("verify")
    board.take(
        run.host("h1"),
        "wavesmith.provision.plan",
        {"plan": plan_of(), "observed": {"environments": {"speech": kept(HEALTHY, NEW)}}},
    )
    judged = {**FAILED, "generation": generation}
    board.take(run.host("h1"), "wavesmith.provision.verify", {"result": {"verdicts": {"speech": judged}}})
    assert board.environments(run.host("h1"))[0]["verdict"] == ("failed" if generation == NEW else "healthy")


@pytest.mark.parametrize(
    ("playbook", "phases", "begun", "end"),
    [
        ("reprovision", ("install", "verify", "activate"), ("prepare",), "not reached"),
        ("site", ("activate",), (), "not reached"),
        ("repair", ("install", "activate"), ("install",), "not reached"),
        ("reprovision", ("activate",), ("activate",), "nothing to do"),
        ("reprovision", (), (), "nothing to do"),
        ("lock", ("lock", "install", "activate"), ("lock",), "nothing to do"),
    ],
)
def test_a_host_whose_turn_did_not_come_is_not_done(playbook: str, phases: Any, begun: Any, end: str) -> None:
    run = board.Run(playbook)
    host, failed = run.host("box03"), run.host("box02")
    host.plan, failed.failed = plan_of(*phases), True
    for phase in begun:
        host.begin(phase, 1.0)
    assert board.outcome(run, host) == end
    assert ("not reached: the run stopped before its turn" in board.host_line(run, host)) is (end == "not reached")
    assert ("1 not reached: box03" in board.sentence(run, 2.0)) is (end == "not reached")


def test_a_plan_says_what_would_change_and_how_long_it_takes() -> None:
    run = board.Run("plan")
    run.host("a").plan, run.host("b").plan = plan_of("install"), plan_of()
    run.host("a").estimates = {"install": times.Estimate(300.0, times.RECORDED)}
    assert board.host_line(run, run.host("a")) == "○ a: speech will be made; about 5 min"
    assert board.sentence(run, 2.0) == "1 of 2 hosts as intended, 1 would change (2.0 s)"


def test_what_another_module_calls_removed_is_not_of_environments() -> None:
    run = board.Run("wheelhouse_prune")
    board.take(run.host("a"), "wavesmith.provision.wheelhouse", {"removed": ["0123"], "changed": True})
    assert board.host_line(run, run.host("a")) == "✓ a: changed"
    board.take(
        run.host("b"),
        "wavesmith.provision.generation",
        {
            "removed": {"speech": ["one"], "voice": []},
            "changed": True,
            "text": ["speech: removed one, 1.20 GiB", "voice: nothing to remove"],
        },
    )
    assert board.host_line(run, run.host("b")) == "✓ b: speech: removed one, 1.20 GiB"
    text = ["environment old: removed, 1.20 GiB", "caches: removed, 0.50 GiB"]
    gone = {"removed": {"environment old": 1288490188, "caches": 536870912}, "changed": True, "text": text}
    board.take(run.host("c"), "wavesmith.provision.remove", gone)
    assert board.host_line(run, run.host("c")) == f"✓ c: {'; '.join(text)}"


def test_many_hosts_that_failed_are_counted() -> None:
    run = board.Run("site")
    for number in range(12):
        run.host(f"h{number:02}").unreachable = True
    assert board.sentence(run, 1.0) == "0 of 12 hosts done, 12 unreachable: h00, h01, h02, h03, h04 and 7 more (1.0 s)"


@pytest.mark.parametrize(
    ("action", "task", "play", "phase"),
    [
        ("wavesmith.provision.packages", "packages : Install the packages", "Make new generations", "install"),
        ("wavesmith.provision.verify", "verify : Run the doctor", "Verify", "verify"),
        ("ansible.builtin.apt", "system_deps : Install the missing system packages", "Prepare the hosts", "prepare"),
        ("wavesmith.provision.generation", "Switch back", "Roll back", "roll back"),
        (
            "wavesmith.provision.generation",
            "wavesmith.provision.activate : Switch to the verified generations",
            "Reprovision in waves",
            "activate",
        ),
        ("ansible.builtin.command", "Whatever", "", "tasks"),
    ],
)
def test_every_task_belongs_to_a_phase(action: str, task: str, play: str, phase: str) -> None:
    assert board.phase_of(action, task, play) == phase


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ({"msg": "disk of /opt: full. Remedy: free some"}, "disk of /opt: full. Remedy: free some"),
        ({}, "Fetch: it failed. Remedy: fix it and start again; -v shows Ansible's own words"),
        (
            {"msg": "One or more items failed", "results": [{"failed": True, "msg": "no route"}, {"msg": "fine"}]},
            "Fetch: no route. Remedy: fix it and start again; -v shows Ansible's own words",
        ),
    ],
)
def test_every_failure_has_a_remedy(result: dict[str, Any], said: str) -> None:
    assert board.failure("ansible.builtin.get_url", "Fetch", result) == said


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ({"msg": "Task failed: Incorrect sudo password"}, "sudo does not take the password that was given"),
        ({"msg": "Missing sudo password"}, "sudo asks for a password"),
        ({"module_stderr": "sudo: a password is required\n", "msg": "MODULE FAILURE"}, "sudo asks for a password"),
        (
            {"module_stdout": "ada is not in the sudoers file.\r\n", "msg": "MODULE FAILURE"},
            "its user may not use sudo",
        ),
        ({"msg": "Sorry, user ada is not allowed to execute '/bin/sh' as root"}, "its user may not use sudo"),
        ({"msg": "Timeout (12s) waiting for privilege escalation prompt: "}, "sudo does not answer as it should"),
    ],
)
def test_rights_that_cannot_be_had_are_told_in_words_for_people(result: dict[str, Any], said: str) -> None:
    told = board.failure("ansible.builtin.apt", "Install", result)
    assert told.startswith(f"this host: {said}. Remedy: ") and "Ansible" not in told
