"""A fleet is reprovisioned in waves: real Ansible and the real command; the hosts only say what a host would say."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.host import store
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.decide import plan
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.lockfile import head
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.variables import read
from ansible_collections.wavesmith.provision.plugins.plugin_utils import catalog_files
from ansible_collections.wavesmith.provision.plugins.plugin_utils.ledger import Ledger, Unreadable, worked

from wavesmith import records, resume
from wavesmith.cli import main

from .conftest import make_manifest
from .peers import replay

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENTS = {"plain": {"stack": "none", "packages": ["librosa"]}}
LOCK = "librosa==0.11.0\n"
OLD = "0" * 16

# Takes the place of a host's Python: reads which module it is sent, and answers as a host in this state.
HOST = """#!/usr/bin/python3 -I
import json, os, re, sys, time
sent = sys.stdin.read()
module = re.search(r"module_fqn=['\\"][\\w.]*?(\\w+)['\\"]", sent).group(1)
here = os.path.dirname(os.path.abspath(sys.argv[0]))
def read(name, default=""):
    path = os.path.join(here, name)
    return open(path).read() if os.path.exists(path) else default
with open(os.path.join(here, "asked"), "a") as file: file.write(module + "\\n")
while os.path.exists(os.path.join(here, "wait-" + module)): time.sleep(0.05)
answer = {"changed": True, "finished": True, "result": {}}
if module == "observe":
    observed = json.loads(read("observed.json"))
    current = read("current")
    if current:
        observed["environments"]["plain"] = json.loads(read("kept-" + current + ".json"))
    answer = {"changed": False, "observed": observed}
elif module == "verify":
    verdict = read("doctor", "healthy")
    check = {"id": "torch.computes", "verdict": "fail", "detail": "it does not", "remedy": "mend it"}
    checks = [check] if verdict == "failed" else []
    answer["result"] = {"verdicts": {"plain": {"schema": 1, "verdict": verdict, "exit": int(verdict == "failed"), "checks": checks}}}
elif module == "generation":
    wanted = read("wanted")
    with open(os.path.join(here, "current"), "w") as file: file.write(wanted)
    kept = {"plain": json.loads(read("kept-" + wanted + ".json"))}
    answer = {"changed": True, "current": {"plain": wanted}, "kept": kept, "removed": {}, "seconds": 0.0}
print(json.dumps(answer))
"""


class Fleet:
    """Hosts that are folders, all with an older generation than the wanted one."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder, self.names = folder, [f"h{number}" for number in range(1, size + 1)]
        toolbox = hashlib.sha256(catalog_files.TOOLBOX_LOCK.read_bytes()).hexdigest()[:16]
        catalog = catalog_files.load()
        answers = {"answers": True, "detail": "HTTP 200"}
        origins = [origin.name for stack in catalog.stacks.values() for origin in stack.origins]
        observed = {
            **replay("cpu-debian12"),
            **store.survey(str(folder / "nothing"), []),
            "toolbox": {"digest": toolbox, "intact": True},
            "sources": dict.fromkeys([*origins, "package_index"], answers),
            "findings": [],
        }
        observed["apt"] = {"present": True, "installed": dict.fromkeys(catalog.apt, "1"), "missing": []}
        wanted, refusals = read({"wavesmith_environments": ENVIRONMENTS})
        (item,) = plan(wanted, refusals, observed, catalog, {}, toolbox).environments
        lock = head(item.lock["inputs"], LOCK) + LOCK
        (folder / "locks").mkdir()
        (folder / "locks" / f"{item.lock['key']}.txt").write_text(lock)
        (item,) = plan(wanted, refusals, observed, catalog, {item.lock["key"]: lock}, toolbox).environments
        self.wanted = item.generation
        hosts: dict[str, Any] = {}
        for name in self.names:
            place = folder / "hosts" / name
            place.mkdir(parents=True)
            (place / "python3").write_text(HOST)
            (place / "python3").chmod(0o755)
            (place / "observed.json").write_text(json.dumps(observed))
            (place / "wanted").write_text(self.wanted)
            (place / "current").write_text(OLD)
            for generation, digest in ((OLD, "0" * 64), (self.wanted, item.digest)):
                made = {
                    "name": generation,
                    "complete": True,
                    "digest": digest,
                    "created": 1.0,
                    "exit": 0,
                    "intact": True,
                }
                manifest = make_manifest(environment="plain", generation=generation, digest=digest)
                day = "2026-11-01T12:00:00Z" if generation == OLD else "2026-11-28T12:00:00Z"
                verdict = {"schema": 1, "verdict": "healthy", "exit": 0, "checks": [], "started": day}
                current = {
                    "generation": generation,
                    "damage": [],
                    "damaged": 0,
                    "manifest": manifest,
                    "verdict": verdict,
                }
                (place / f"kept-{generation}.json").write_text(json.dumps({"current": current, "generations": [made]}))
            hosts[name] = {"ansible_connection": "local", "ansible_python_interpreter": str(place / "python3")}
        self.hosts = hosts
        self.ledger = Ledger(folder / "artifacts" / "runs.sqlite")

    def command(self, name: str, *words: str) -> list[str]:
        shared = {"wavesmith_environments": ENVIRONMENTS, "wavesmith_locks": str(self.folder / "locks")}
        inventory = self.folder / "hosts.json"
        inventory.write_text(json.dumps({"all": {"hosts": self.hosts, "vars": shared}}))
        where = ["-i", str(inventory)] if name == "reprovision" else []
        return [sys.executable, "-m", "wavesmith", name, *where, "--artifacts", str(self.folder / "artifacts"), *words]

    def run(self, name: str, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(name, *words), cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
        )

    def current(self) -> dict[str, str]:
        found = {name: (self.folder / "hosts" / name / "current").read_text() for name in self.names}
        return {name: "new" if current == self.wanted else "old" for name, current in found.items()}

    def outcomes(self) -> dict[str, str]:
        return {host["host"]: host["outcome"] for host in self.ledger.hosts(self.ledger.runs()[0]["id"])}

    def put(self, host: str, name: str, text: str = "") -> Path:
        path = self.folder / "hosts" / host / name
        path.write_text(text)
        return path


@pytest.mark.process
def test_a_failed_host_keeps_its_generation_stops_the_run_and_is_resumed(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, 5)
    doctor = fleet.put("h3", "doctor", "failed")
    done = fleet.run("reprovision", "--waves", "1,2,100%")
    assert done.returncode == 1 and "wavesmith resume" in done.stderr, done.stdout + done.stderr
    assert fleet.current() == {"h1": "new", "h2": "new", "h3": "old", "h4": "old", "h5": "old"}
    for name in ("h1", "h2"):
        assert f"✓ {name}: plain {fleet.wanted} healthy of 2026-11-28" in done.stdout, done.stdout
    assert "○ h4: not reached" in done.stdout and "○ h5: not reached" in done.stdout
    assert "2 of 5 hosts healthy, 2 changed, 1 failed: h3, 2 not reached: h4, h5" in done.stdout
    reported = json.loads(fleet.run("report", "--json").stdout)["hosts"]
    generations = [host["environments"][0]["generation"] for host in reported]
    assert generations == [fleet.wanted, fleet.wanted, OLD, OLD, OLD]
    assert [row["current"] for row in reported[0]["environments"][0]["generations"]] == [True]
    assert (tmp_path / "artifacts" / "report.html").is_file()
    assert fleet.outcomes() == {"h1": "switched", "h2": "switched", "h3": "failed", "h4": "planned", "h5": "planned"}
    asked = (tmp_path / "hosts" / "h4" / "asked").read_text().split()
    assert set(asked) == {"observe"}, "a host of a later wave is planned, and not touched"
    query = fleet.run("fleet", "--query", "hosts[?generation!=wanted].name")
    assert query.stdout.split() == ["h3", "h4", "h5"]
    assert "the doctor's verdict on environment plain is failed" in fleet.run("fleet").stdout
    doctor.unlink()
    before = (tmp_path / "hosts" / "h1" / "asked").read_text()
    again = fleet.run("resume")
    assert again.returncode == 0 and "3 of 5 hosts are left" in again.stderr, again.stdout + again.stderr
    assert set(fleet.current().values()) == {"new"}
    assert "3 of 3 hosts healthy, 3 changed" in again.stdout
    assert (tmp_path / "hosts" / "h1" / "asked").read_text() == before, "what is done is not asked again"
    exported = json.loads(fleet.run("history", "--json").stdout)
    assert [run["outcome"] for run in exported] == ["done", "failed"]
    (first,) = [host for host in exported[1]["hosts"] if host["host"] == "h1"]
    assert first["environments"][0]["before"] == OLD and first["environments"][0]["after"] == fleet.wanted
    assert first["environments"][0]["verdict"] == "healthy" and first["seconds"]["verify"] >= 0
    assert fleet.run("resume").stdout.count("nothing is left") == 1


@pytest.mark.process
def test_a_failure_budget_lets_the_other_waves_go_on_and_who_cannot_be_reached_is_said(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, 4)
    fleet.hosts["h2"] = {
        "ansible_host": "127.0.0.1",
        "ansible_port": 9,
        "ansible_ssh_common_args": "-o ConnectTimeout=3",
    }
    fleet.put("h3", "doctor", "failed")
    done = fleet.run("reprovision", "--waves", "1,100%", "--budget", "60")
    assert done.returncode == 1, done.stdout + done.stderr
    assert fleet.outcomes() == {"h1": "switched", "h2": "unreachable", "h3": "failed", "h4": "switched"}
    assert fleet.run("fleet", "--query", "hosts[?outcome=='unreachable'].name").stdout.split() == ["h2"]


@pytest.mark.slow
@pytest.mark.parametrize("step", ["observe", "python_env", "packages", "verify", "generation"])
def test_a_run_that_is_killed_anywhere_is_resumed(tmp_path: Path, step: str) -> None:
    fleet = Fleet(tmp_path, 3)
    waits = fleet.put("h2", f"wait-{step}")
    process = subprocess.Popen(
        fleet.command("reprovision", "--waves", "1,1,1"), cwd=ROOT, stdout=subprocess.DEVNULL, start_new_session=True
    )
    asked = tmp_path / "hosts" / "h2" / "asked"
    deadline = time.monotonic() + 120
    while not (asked.exists() and step in asked.read_text()):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    for child in _family(process.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    process.wait()
    waits.unlink()
    if step == "observe":
        assert fleet.run("reprovision").returncode == 0
    else:
        assert fleet.ledger.runs()[0]["outcome"] == "interrupted"
        assert fleet.run("resume").returncode == 0
    assert set(fleet.current().values()) == {"new"}


def _family(pid: int) -> list[int]:
    """A process and all below it, which may have sessions of their own."""
    found = [pid]
    for parent in found:
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == parent:
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


# The record itself


def planned(
    name: str = "plain", current: str | None = "a", generation: str | None = "b", phases: tuple[str, ...] = ("install",)
) -> dict[str, Any]:
    return {"name": name, "current": current, "generation": generation, "stack": "cpu", "phases": list(phases)}


def test_the_newest_that_is_known_of_a_host_counts(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "deep" / "runs.sqlite")
    ledger.begin("one", "site", "ada", "desk", 1.0, {})
    ledger.planned("one", "h1", [planned()], 1.0)
    ledger.judged("one", "h1", {"plain": "healthy"})
    ledger.switched("one", "h1", {"plain": "b"}, "switched", 2.0)
    ledger.ended("one", "done", {"h1": {"verify": 3.0}}, 3.0)
    ledger.begin("two", "plan", "ada", "desk", 5.0, {})
    ledger.planned("two", "h1", [planned(current="b", generation="c")], 5.0)
    ledger.stopped("two", "h2", "unreachable", "no route", 5.0)
    (one, two) = ledger.state()
    assert (one["generation"], one["wanted"], one["verdict"], one["outcome"]) == ("b", "c", "healthy", "planned")
    assert (two["name"], two["generation"], two["reason"]) == ("h2", None, "no route")
    assert ledger.left("two") == ["h1", "h2"] and ledger.left("one") == []
    assert [(run["id"], run["outcome"]) for run in ledger.runs()] == [("two", "interrupted"), ("one", "done")]


def test_an_environment_that_the_last_plan_does_not_want_is_not_shown(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "runs.sqlite")
    for number, names in enumerate((["old", "plain"], ["plain"])):
        ledger.begin(f"r{number}", "site", "ada", "desk", float(number), {})
        ledger.planned(f"r{number}", "h1", [planned(name) for name in names], float(number))
    assert [row["environment"] for row in ledger.state()] == ["plain"]
    ledger.begin("back", "rollback", "ada", "desk", 3.0, {})
    ledger.switched("back", "h1", {"old": "x", "plain": "a"}, "rolled back", 3.0)
    (row,) = ledger.state()
    assert (row["environment"], row["generation"]) == ("plain", "a")


@pytest.mark.parametrize("later", ["nothing more", "a rollback", "a plan that wants one again"])
def test_a_host_that_wants_nothing_more_has_no_environments(tmp_path: Path, later: str) -> None:
    ledger = Ledger(tmp_path / "runs.sqlite")
    for number, names in enumerate((["old", "plain"], [])):
        ledger.begin(f"r{number}", "site", "ada", "desk", float(number), {})
        ledger.planned(f"r{number}", "h1", [planned(name) for name in names], float(number))
    if later != "nothing more":
        ledger.begin("later", "rollback" if "rollback" in later else "plan", "ada", "desk", 3.0, {})
    if later == "a rollback":
        ledger.switched("later", "h1", {"plain": "a"}, "rolled back", 3.0)
    elif later != "nothing more":
        ledger.planned("later", "h1", [planned("plain")], 3.0)
    shown = [(row["name"], row["environment"]) for row in ledger.state()]
    assert shown == [("h1", "plain" if later.endswith("again") else None)]


@pytest.mark.parametrize(("outcome", "shown"), [("failed", "switched"), ("unreachable", "unreachable")])
def test_a_rollback_that_has_nothing_to_go_back_to_leaves_what_is_known_of_the_host(
    tmp_path: Path, outcome: str, shown: str
) -> None:
    ledger = Ledger(tmp_path / "runs.sqlite")
    ledger.begin("one", "site", "ada", "desk", 1.0, {})
    ledger.planned("one", "h1", [planned()], 1.0)
    ledger.switched("one", "h1", {"plain": "b"}, "switched", 2.0)
    for number in (3.0, 4.0):
        ledger.begin(f"back{number}", "rollback", "ada", "desk", number, {})
        ledger.stopped(f"back{number}", "h1", outcome, "there is no other generation", number)
    (row,) = ledger.state()
    assert (row["generation"], row["outcome"]) == ("b", shown)
    assert [run["hosts"] for run in ledger.runs()][:2] == [{outcome: 1}] * 2, "the history says it"
    ledger.begin("two", "site", "ada", "desk", 5.0, {})
    ledger.stopped("two", "h1", "failed", "the doctor's verdict", 5.0)
    assert ledger.state()[0]["outcome"] == "failed", "what a provisioning failed of is shown"


def test_a_second_plan_of_a_run_keeps_what_was_current_before(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "runs.sqlite")
    ledger.begin("one", "site", "ada", "desk", 1.0, {})
    ledger.planned("one", "h1", [planned(generation=None)], 1.0)
    ledger.planned("one", "h1", [planned(current="x", generation="b")], 2.0)
    (host,) = ledger.hosts("one")
    assert (host["environments"][0]["before"], host["environments"][0]["wanted"]) == ("a", "b")


@pytest.mark.parametrize("text", [None, "no database", ""])
def test_a_record_that_is_none_is_said_with_the_remedy(tmp_path: Path, text: str | None, capsys: Any) -> None:
    if text is not None:
        (tmp_path / "runs.sqlite").write_text(text)
    if text == "":
        assert Ledger(tmp_path / "runs.sqlite").runs() == []
        return
    with pytest.raises(Unreadable, match="Remedy: "):
        Ledger(tmp_path / "runs.sqlite").runs()
    with pytest.raises(SystemExit):
        main(["fleet", "--artifacts", str(tmp_path)])
    assert "Remedy: " in capsys.readouterr().err


def test_only_a_run_that_provisions_is_resumed(tmp_path: Path, capsys: Any) -> None:
    ledger = Ledger(tmp_path / "runs.sqlite")
    ledger.begin("first", "site", "ada", "desk", 1.0, {"limit": ""})
    ledger.begin("last", "logs", "ada", "desk", 2.0, {"limit": ""})
    assert records.chosen(ledger, None, resume.RUNS)["id"] == "first"
    assert records.chosen(ledger, None)["id"] == "last"
    with pytest.raises(SystemExit):
        main(["resume", "last", "--artifacts", str(tmp_path)])
    assert "run last that provisioned: it is not in" in capsys.readouterr().err


@pytest.mark.process
def test_variables_that_are_no_yaml_are_refused_with_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text("all: {hosts: {mine: {ansible_connection: local}}}\n")
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "all.yml").write_text("a: 1\nb:\n  small: stack: none\n")
    argv = [str(Path(sys.executable).parent / "wavesmith"), "plan", "--json"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    (error,) = json.loads(done.stdout)["errors"]
    assert done.returncode == 2 and error["item"] == str(tmp_path / "group_vars/all.yml")
    assert error["problem"].startswith("line 3: mapping values are not allowed")


@pytest.mark.process
@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ("", "-l: it is empty. Remedy: name hosts or groups"),
        ("thor01", "inventory {folder}/hosts.yml has no such host or group"),
    ],
)
@pytest.mark.parametrize("name", ["reprovision", "plan"])
def test_hosts_are_those_of_the_inventory_of_the_folder(tmp_path: Path, name: str, limit: str, said: str) -> None:
    (tmp_path / "hosts.yml").write_text("all: {hosts: {mine: {ansible_connection: local}}}\n")
    argv = [str(Path(sys.executable).parent / "wavesmith"), name, "-l", limit]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2 and said.format(folder=tmp_path) in done.stderr


def test_the_commands_show_what_is_recorded(tmp_path: Path, capsys: Any) -> None:
    ledger = Ledger(tmp_path / "runs.sqlite")
    ledger.begin("one", "reprovision", "ada", "desk", 1.0, {"limit": ""})
    ledger.planned("one", "h1", [planned()], 1.0)
    where = ("--artifacts", str(tmp_path))
    assert main(["fleet", *where]) == 0 and "h1" in capsys.readouterr().out
    assert main(["fleet", "--json", *where]) == 0 and json.loads(capsys.readouterr().out)["hosts"][0]["name"] == "h1"
    assert main(["fleet", "--query", "hosts[", *where]) == 2 and "Remedy: " in capsys.readouterr().err
    assert main(["history", *where]) == 0 and "ada@desk" in capsys.readouterr().out
    assert main(["history", "one", *where]) == 0 and "planned" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["history", "nine", *where])
    assert "run nine: it is not in" in capsys.readouterr().err


def ten(folder: Path) -> Fleet:
    """Ten hosts: one whose verification will fail, one that cannot be reached, and one that stands still while packages are installed."""
    fleet = Fleet(folder, 10)
    fleet.put("h3", "doctor", "failed")
    fleet.hosts["h7"] = {
        "ansible_host": "127.0.0.1",
        "ansible_port": 9,
        "ansible_ssh_common_args": "-o ConnectTimeout=3",
    }
    fleet.put("h9", "wait-packages")
    return fleet


WAVES = ("--waves", "1,3,100%", "--budget", "50")


def reached(fleet: Fleet, process: subprocess.Popen[Any], host: str, step: str, seconds: float = 240) -> None:
    """Wait until a host is asked for a step, and all others of its wave are done."""
    asked = fleet.folder / "hosts" / host / "asked"
    deadline = time.monotonic() + seconds
    while not (asked.exists() and step in asked.read_text()):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)


def killed(process: subprocess.Popen[Any]) -> None:
    for child in _family(process.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    process.wait()


@pytest.mark.slow
def test_ten_hosts_one_fails_one_is_gone_one_is_killed_midway_and_all_are_resumed(tmp_path: Path) -> None:
    fleet = ten(tmp_path)
    there = {name: fleet.hosts[name] for name in fleet.names}
    process = subprocess.Popen(
        fleet.command("reprovision", *WAVES), cwd=ROOT, stdout=subprocess.DEVNULL, start_new_session=True
    )
    served: set[str] = set()

    def serving() -> bool:
        served.update((tmp_path / "hosts" / name / "current").read_text() for name in fleet.names)
        return (tmp_path / "hosts" / "h9" / "asked").exists() and "packages" in (
            tmp_path / "hosts" / "h9" / "asked"
        ).read_text()

    deadline = time.monotonic() + 400
    while not serving():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    killed(process)
    assert served <= {OLD, fleet.wanted}, "a host always serves its old generation or its new one"
    run = fleet.ledger.runs()[0]
    assert run["outcome"] == "interrupted"
    told = fleet.outcomes()
    # In the order of their names h10 is in the second wave, with h2 and h3; all others are in the third.
    assert {name: told[name] for name in ("h1", "h10", "h2", "h3", "h7", "h9")} == {
        "h1": "switched", "h10": "switched", "h2": "switched", "h3": "failed", "h7": "unreachable", "h9": "planned",
    }  # fmt: skip
    for name, outcome in told.items():
        assert fleet.current()[name] == ("new" if outcome == "switched" else "old"), (name, outcome)
    reasons = {host["host"]: host["reason"] for host in fleet.ledger.hosts(run["id"])}
    assert "verdict on environment plain is failed" in reasons["h3"] and "refuses SSH connections" in reasons["h7"]

    (tmp_path / "hosts" / "h3" / "doctor").unlink()
    (tmp_path / "hosts" / "h9" / "wait-packages").unlink()
    fleet.hosts = {
        **there,
        "h7": {"ansible_connection": "local", "ansible_python_interpreter": str(tmp_path / "hosts/h7/python3")},
    }
    fleet.command("reprovision")
    again = fleet.run("resume")
    assert again.returncode == 0, again.stdout + again.stderr
    assert set(fleet.current().values()) == {"new"}
    assert set(fleet.outcomes().values()) == {"switched"}
    assert set(fleet.outcomes()) == {name for name, outcome in told.items() if outcome != "switched"}


def _born(tmp_path: Path, how: str) -> tuple[Ledger, int]:
    """A record with one run of a process of its own, which lives, died, or is on another machine."""
    ledger = Ledger(tmp_path / "runs.sqlite")
    code = "import sys, socket; from wavesmith import records; from pathlib import Path; ledger = records.ledger(Path(sys.argv[1]))\n"
    code += "ledger.begin('one', 'site', 'ada', sys.argv[2] or socket.gethostname(), 1.0, {'inventory': []})\n"
    code += "ledger.planned('one', 'h1', [dict(name='plain', current=None, generation='b', stack='cpu', phases=['install'])], 1.0)\n"
    code += "print(1, flush=True); sys.stdin.read()"
    argv = [sys.executable, "-c", code, str(tmp_path), "elsewhere" if how == "elsewhere" else ""]
    child = subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None and child.stdout.readline()
    if how == "died":
        child.kill()
        child.wait()
    return ledger, child.pid


@pytest.mark.parametrize(
    ("how", "outcome"), [("lives", "running"), ("died", "interrupted"), ("elsewhere", "interrupted")]
)
def test_a_run_that_still_works_is_not_called_interrupted_nor_taken_up(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch, how: str, outcome: str
) -> None:
    ledger, pid = _born(tmp_path, how)
    started: list[str] = []
    monkeypatch.setattr(resume.reprovision, "start", lambda _arguments, _sources, limit: started.append(limit) or 0)
    try:
        (run,) = ledger.runs()
        assert run["outcome"] == outcome and run["ended"] is None
        assert main(["history", "--artifacts", str(tmp_path)]) == 0
        shown = capsys.readouterr().out
        assert outcome in shown and "provision" in shown and "site" not in shown
        code = main(["resume", "--artifacts", str(tmp_path)])
        said = capsys.readouterr().err
        if how == "lives":
            assert (code, started) == (2, [])
            assert (
                said
                == f"✗ run one: it is still running (process {pid}). Remedy: wait for its end, or stop that process first\n"
            )
        else:
            assert (code, started) == (0, ["h1"])
        ledger.ended("one", "done", {}, 2.0)
        assert ledger.runs()[0]["outcome"] == "done"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("there", [["h1"], ["h1", "h3"], ["other"]], ids=" ".join)
def test_a_host_that_was_taken_out_of_the_inventory_is_neither_resumed_nor_shown(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch, there: list[str]
) -> None:
    hosts = tmp_path / "hosts.yml"
    ledger = Ledger(tmp_path / "runs.sqlite")
    ledger.begin("one", "site", "ada", "desk", 1.0, {"inventory": [str(hosts)]})
    for name in ("h1", "h2", "h3"):
        ledger.planned("one", name, [planned()], 1.0)
    started: list[str] = []
    monkeypatch.setattr(resume.reprovision, "start", lambda _arguments, _sources, limit: started.append(limit) or 0)
    where = ("--artifacts", str(tmp_path))
    for names in (["h1", "h2", "h3"], there):
        hosts.write_text(json.dumps({"all": {"hosts": {name: {} for name in names}}}))
        left = [name for name in names if name != "other"]
        assert main(["fleet", "--json", *where]) == 0
        assert [host["name"] for host in json.loads(capsys.readouterr().out)["hosts"]] == left
        assert main(["resume", *where]) == 0
        assert started == ([",".join(left)] if left else [])
        said = capsys.readouterr()
        gone = [name for name in ("h1", "h2", "h3") if name not in names]
        assert (f"no longer in the inventory, and left out: {', '.join(gone)}" in said.err) is bool(gone)
        assert ("nothing is left" in said.out) is not left
        started.clear()
    hosts.unlink()
    assert main(["fleet", "--json", *where]) == 0
    assert len(json.loads(capsys.readouterr().out)["hosts"]) == 3, "of an inventory that is not there nothing is known"


def test_since_is_when_that_environment_switched(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "runs.sqlite")
    for number, current in enumerate((("a", "x"), ("b", "x"), ("b", "y"), ("b", "y"))):
        ledger.begin(f"r{number}", "site", "ada", "desk", float(number), {})
        before = [(None, None), ("a", "x"), ("b", "x"), ("b", "y")][number]
        names = ("small", "trial")
        ledger.planned(
            f"r{number}", "h1", [planned(name, was) for name, was in zip(names, before, strict=True)], number
        )
        if before != current:
            ledger.switched(f"r{number}", "h1", dict(zip(names, current, strict=True)), "switched", number + 0.5)
    since = {row["environment"]: (row["generation"], row["since"]) for row in ledger.state()}
    assert since == {"small": ("b", 1.5), "trial": ("y", 2.5)}


@pytest.mark.parametrize(
    ("query", "code", "out", "err"),
    [
        ("hosts[].nme", 2, "", "there is no field nme. Remedy: did you mean name"),
        ("hosts[?envronment=='plain'].name", 2, "", "there is no field envronment. Remedy: did you mean environment"),
        ("runs[].options.inventary", 2, "", "there is no field inventary. Remedy: did you mean inventory"),
        ("hosts[", 2, "", "Remedy: see https://jmespath.org"),
        ("hosts[?name=='h9'].name", 0, "", ""),
        ("hosts[].{n: name, e: environment}[].n", 0, "h1\n", ""),
        ("runs[].hosts.unreachable", 0, "", ""),
        ("length(hosts)", 0, "1\n", ""),
    ],
)
def test_a_query_that_asks_for_nothing_there_is_refused_in_one_line(
    tmp_path: Path, capsys: Any, query: str, code: int, out: str, err: str
) -> None:
    ledger = Ledger(tmp_path / "runs.sqlite")
    ledger.begin("one", "site", "ada", "desk", 1.0, {"inventory": []})
    ledger.planned("one", "h1", [planned()], 1.0)
    assert main(["fleet", "--query", query, "--artifacts", str(tmp_path)]) == code
    said = capsys.readouterr()
    assert said.out == out and err in said.err
    assert len(said.err.splitlines()) == (1 if code else 0) and (not code or said.err.startswith("✗ --query "))


@pytest.mark.parametrize(
    ("action", "data", "outcome"),
    [
        ("remove", {"changed": True, "removed": {"environment old": 1}}, "removed"),
        ("remove", {"changed": False, "removed": {}}, "unchanged"),
        ("generation", {"changed": True, "removed": {"speech": ["a"]}, "current": {"speech": "b"}}, "removed"),
        ("generation", {"changed": False, "removed": {"speech": []}, "current": {"speech": "b"}}, "unchanged"),
    ],
)
def test_what_was_removed_from_a_host_is_in_the_record(tmp_path: Path, action: str, data: Any, outcome: str) -> None:
    ledger = Ledger(tmp_path / "runs.sqlite")
    ledger.begin("one", "remove", "ada", "desk", 1.0, {})
    worked(ledger, "one", "h1", action, data, 1.0)
    assert ledger.runs()[0]["hosts"] == {outcome: 1} and ledger.left("one") == []


def test_history_lists_the_last_runs_and_counts_the_others(tmp_path: Path, capsys: Any) -> None:
    ledger = Ledger(tmp_path / "runs.sqlite")
    for number in range(25):
        ledger.begin(f"run{number:02}", "site", "ada", "desk", float(number), {})
    for words, lines, end in (
        ([], 22, "and 5 earlier ones"),
        (["-n", "3"], 5, "and 22 earlier"),
        (["-n", "0"], 26, "run00"),
    ):
        assert main(["history", "--artifacts", str(tmp_path), *words]) == 0
        said = capsys.readouterr().out.splitlines()
        assert len(said) == lines and said[1].startswith("run24") and said[-1].startswith(end)
