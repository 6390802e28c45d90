"""The command `wavesmith` for the day: through real playbooks on hosts that are all this machine."""

from __future__ import annotations

import argparse
import io
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.wavesmith.provision.plugins.module_utils.host import status, store

from wavesmith import cli, init, inventory, logs, remove
from wavesmith import status as shown

from .conftest import make_manifest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs" / "command.md"
GOOD, OLD = "0a628c1c5e9706fe", "43343cfcaf92c516"
process = pytest.mark.process


def wavesmith(*words: str | Path, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "WAVESMITH_"))}
    argv = [sys.executable, "-I", str(ROOT / "wavesmith"), *map(str, words)]
    given = {**clean, "LC_ALL": "C.UTF-8", "NO_COLOR": "1", **more}
    done = subprocess.run(
        argv, cwd=cwd, env=given, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=120
    )
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    return done


def generation(root: Path, name: str, created: float, exit_code: int = 0, environment: str = "speech") -> Path:
    """A sealed generation that the doctor judged."""
    prefix = root / "envs" / environment / name
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin" / "python").write_text('#!/bin/sh\necho run by $0 "$@"\n')
    (prefix / "bin" / "python").chmod(0o755)
    (prefix / "lib.py").write_text("x = 1\n")
    store.seal(str(prefix), make_manifest(generation=name, created=created, environment=environment))  # type: ignore[arg-type]
    judged = {
        "schema": 1,
        "verdict": "failed" if exit_code else "healthy",
        "exit": exit_code,
        "started": "2026-11-27T15:30:00Z",
    }
    checks = [{"id": "a", "verdict": "fail" if exit_code else "pass"}, {"id": "b", "verdict": "skip"}]
    store.write_json(str(prefix / store.VERDICT), {**judged, "checks": checks})
    return prefix


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """An inventory of two hosts, one with two generations of `speech` and one that nobody wants any more, one with nothing."""
    roots = tmp_path / "roots"
    generation(roots / "thor01", OLD, 1_790_000_000.0)
    generation(roots / "thor01", GOOD, 1_795_000_000.0)
    generation(roots / "thor01", OLD, 1_790_000_000.0, environment="past")
    store.activate(str(roots / "thor01"), "speech", OLD)
    store.activate(str(roots / "thor01"), "speech", GOOD)
    variables = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "wavesmith_root": f"{roots}/{{{{ inventory_hostname }}}}",
        "wavesmith_environments": {"speech": {"stack": "none"}},
    }
    hosts = {"thor01": {}, "rtx01": {}}
    inventory = {"all": {"vars": variables, "children": {"jetson_thor": {"hosts": {"thor01": {}}}}, "hosts": hosts}}
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump(inventory))
    return tmp_path


# What is refused before anything is started


@process
@pytest.mark.parametrize(
    ("words", "item", "problem", "remedy"),
    [
        (["plan", "-i", "nowhere"], "inventory .*/nowhere", "there is no such file or folder", "wavesmith init"),
        (["provision", "-l", "thro01"], "-l thro01", "no such host or group", "did you mean thor01"),
        (["status", "-l", "jetson_thro"], "-l jetson_thro", "no such host or group", "did you mean jetson_thor"),
        (["verify", "-l", "thor01,!thor01"], "-l thor01,!thor01", "it leaves no host", "rtx01"),
        (["prune", "-i", "empty.yml"], "inventory .*/empty.yml", "it has no hosts", "add one to its hosts.yml"),
    ],
)
def test_what_names_no_host_is_refused(site: Path, words: list[str], item: str, problem: str, remedy: str) -> None:
    (site / "empty.yml").write_text("all: {}\n")
    done = wavesmith(*words, cwd=site)
    assert done.returncode == 2 and done.stdout == ""
    assert re.match(f"✗ {item}: .*{problem}.*\\. Remedy: .*{remedy}", done.stderr), done.stderr
    found = json.loads(wavesmith(*words, "--json", cwd=site).stdout)["errors"]
    assert re.fullmatch(item, found[0]["item"]) and problem in found[0]["problem"] and remedy in found[0]["remedy"]


@process
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "all:\n  hosts:\n    a: {x: 1\n    b:\n",
            "hosts.yml: line 4: did not find expected ',' or '}'. Remedy: correct it",
        ),
        ("all:\n\thosts: {}\n", "hosts.yml: line 2: found character that cannot start any token. Remedy: correct it"),
        (
            "all:\n  hosts: [a, b]\n",
            'Invalid "hosts" entry for "all" group, requires a dictionary, found a list. Remedy: ',
        ),
    ],
)
def test_an_inventory_that_cannot_be_read_is_one_message(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "hosts.yml").write_text(text)
    done = wavesmith("status", cwd=tmp_path)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and said in done.stderr, done.stderr


@process
@pytest.mark.parametrize("command", ["provision", "rollback", "prune", "remove", "lock", "repair", "reprovision"])
def test_where_nobody_said_which_inventory_nothing_is_changed(tmp_path: Path, command: str) -> None:
    done = wavesmith(command, cwd=tmp_path)
    assert done.returncode == 2 and "inventory: none was named" in done.stderr and "-i PLACE" in done.stderr


@process
def test_where_nobody_said_which_inventory_this_machine_is_looked_at_and_a_line_says_so(tmp_path: Path) -> None:
    done = wavesmith("plan", "--", "--list-hosts", cwd=tmp_path)
    assert done.stderr == f"inventory: {ROOT / 'inventories' / 'local'} (-i names another)\n"
    assert re.findall(r"^      (\S+)$", done.stdout, re.MULTILINE) == ["localhost"]
    assert wavesmith("plan", "-q", "--", "--list-hosts", cwd=tmp_path).stderr == ""


@process
def test_a_refused_host_is_exit_1_and_said_once(site: Path) -> None:
    (site / "group_vars").mkdir(exist_ok=True)
    (site / "group_vars" / "all.yml").write_text("wavesmith_keep_generations: 0\n")
    done = wavesmith("prune", cwd=site)
    assert done.returncode == 1
    assert done.stdout.count("wavesmith_keep_generations: it is 0, but must be 1 or more. Remedy: ") == 1


@process
def test_quiet_prints_errors_only(site: Path) -> None:
    done = wavesmith("prune", "-q", "--check", "-l", "thor01", cwd=site)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@process
def test_what_stands_after_two_dashes_goes_to_ansible(site: Path) -> None:
    assert "playbook: " in wavesmith("prune", "--", "--list-hosts", cwd=site).stdout


@process
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["plann"], "✗ wavesmith plann: there is no such command. Remedy: did you mean plan"),
        (["plan", "--expalin"], "✗ wavesmith plan: unrecognized arguments: --expalin. Remedy: did you mean --explain?"),
        (["rollback", "--chekc"], "usage: wavesmith rollback [-h]"),
        ([], "usage: wavesmith [-h]"),
    ],
)
def test_a_word_that_is_not_understood_is_said_with_the_usage_of_its_command(
    tmp_path: Path, words: list[str], said: str
) -> None:
    done = wavesmith(*words, cwd=tmp_path)
    assert done.returncode == 2 and said in done.stderr, done.stderr


@process
def test_a_file_of_variables_that_is_not_there_or_no_yaml_is_refused(site: Path) -> None:
    done = wavesmith("plan", "-e", "@nofile.yml", cwd=site)
    assert (done.returncode, done.stderr) == (2, "✗ -e @nofile.yml: there is no such file. Remedy: correct its name\n")
    (site / "odd.yml").write_text("a: 1\nb: c: d\n")
    done = wavesmith("plan", "-e", "@odd.yml", cwd=site)
    assert done.returncode == 2 and f"✗ {site}/odd.yml: line 2: mapping values are not allowed" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@process
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["reprovision", "--waves", "abc"], "variable wavesmith_waves: 'abc' is no number of hosts"),
        (["reprovision", "--waves", "", "-e", "wavesmith_python=4"], "variable wavesmith_waves: it is empty"),
        (["reprovision", "--waves", "1,0"], "variable wavesmith_waves: '0' is no number of hosts"),
        (["reprovision", "--budget", "120"], "variable wavesmith_failure_budget: it is 120"),
        (["prune", "--keep", "0"], "variable wavesmith_keep_generations: it is 0"),
        (["plan", "-e", "foo=1"], "variable foo: it was given with -e, and nothing reads it"),
        (["plan", "-e", "foo"], "-e: it is not NAME=VALUE"),
        (["plan", "-e", "{wavesmith_root"], "-e {wavesmith_root: it cannot be read"),
        (["plan", "-e", "wavesmith_root=here"], "variable wavesmith_root: 'here' is not usable"),
        (["plan", "-e", '{"wavesmith_python": 3.1}'], "variable wavesmith_python: it is 3.1, but must be text"),
        (["plan", "--", "-e", "wavesmith_python=4"], "variable wavesmith_python: '4' is not a Python version"),
    ],
    ids=" ".join,
)
@process
def test_a_wrong_variable_of_a_run_is_refused_before_a_host_is_asked(site: Path, words: list[str], said: str) -> None:
    done = wavesmith(words[0], "-i", "hosts.yml", *words[1:], cwd=site)
    assert done.returncode == 2 and done.stdout == "", done.stdout + done.stderr
    assert f"✗ {said}" in done.stderr and "Remedy: " in done.stderr
    assert not (site / "artifacts").exists()


@process
def test_a_folder_of_an_inventory_may_hold_other_files(site: Path) -> None:
    place = site / "own"
    place.mkdir()
    (site / "hosts.yml").rename(place / "hosts.yml")
    for name in ("say.wav", "page.html", "junit.xml", "notes.md", "metrics.prom"):
        (place / name).write_bytes(b"RIFF\x00\xff: [oddly\n")
    for words in (["status"], ["generations"], ["rollback", "-l", "thor01", "--check"]):
        told = wavesmith(words[0], "-i", place, *words[1:], cwd=site.parent)
        assert "thor01" in told.stdout and "WARNING" not in told.stderr + told.stdout, told.stderr
    (place / "more.yaml").write_text("all: {hosts: {box09: {ansible_connection: local}}}\n")
    (place / "plain").write_text("box10 ansible_connection=local\n")
    assert not {"thor01", "box09", "box10"} - set(inventory.hosts([str(place)])), "several files are one inventory"


@process
@pytest.mark.parametrize("command", ["status", "generations", "logs"])
def test_in_the_checkout_this_machine_is_asked_unless_another_inventory_is_named(tmp_path: Path, command: str) -> None:
    told = wavesmith(command, "-e", f"wavesmith_root={tmp_path}", cwd=ROOT)
    assert f"inventory: {ROOT}/inventories/local (-i names another)" in told.stderr
    assert "localhost" in told.stdout and "thor01" not in told.stdout + told.stderr
    known = wavesmith(command, "-l", "nothing", "-i", "inventories/fleet", cwd=ROOT)
    assert known.returncode == 2 and "thor01" in known.stderr


@process
@pytest.mark.parametrize("command", ["status", "generations", "logs"])
def test_the_root_is_a_variable_of_a_look_as_well(site: Path, command: str) -> None:
    other = site / "elsewhere"
    generation(other, GOOD, 5.0, environment="speech")
    told = wavesmith(command, "-l", "rtx01", "-e", f"wavesmith_root={other}", cwd=site)
    if command == "logs":
        assert "no work was done here yet" in told.stdout
    else:
        assert command == "status" or GOOD in told.stdout
    assert wavesmith(command, "-e", "wavesmith_root=x", cwd=site).returncode == 2


@process
@pytest.mark.parametrize(
    ("own", "login"),
    [
        ({"ansible_user": "nobody_here"}, "nobody_here@127.0.0.1"),
        ({"ansible_user": "{{ inventory_hostname }}er"}, "thor01er@127.0.0.1"),
        ({}, "ada@127.0.0.1"),
    ],
    ids=["host", "template", "group"],
)
def test_a_host_that_does_not_accept_its_user_is_said_with_that_user(
    site: Path, own: dict[str, str], login: str
) -> None:
    (site / "ssh").write_text("#!/bin/sh\ncat > /dev/null\necho 'x@y: Permission denied (publickey).' >&2\nexit 255\n")
    (site / "ssh").chmod(0o755)
    told = {"ansible_host": "127.0.0.1", "ansible_ssh_executable": str(site / "ssh"), "ansible_ssh_retries": 0}
    group = {"ansible_user": "ada", "wavesmith_environments": {}}
    (site / "far.json").write_text(json.dumps({"all": {"vars": group, "hosts": {"thor01": {**told, **own}}}}))
    for command in ("status", "plan"):
        done = wavesmith(command, "-i", site / "far.json", cwd=site)
        assert (
            done.returncode == 1 and f"it does not accept user {login.partition('@')[0]} (" in done.stderr + done.stdout
        )
        assert f"ssh-copy-id {login}" in done.stderr + done.stdout


@process
def test_l_after_two_dashes_is_checked_as_well(site: Path) -> None:
    done = wavesmith("plan", "--", "-l", "thro01", cwd=site)
    assert done.returncode == 2 and "-l thro01: " in done.stderr and "did you mean thor01" in done.stderr


@process
def test_where_nobody_reads_the_output_any_more_a_run_ends_as_ever(site: Path) -> None:
    script = f"{sys.executable} -I {ROOT / 'wavesmith'} prune --check | head -0; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], cwd=site, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, "Broken pipe" in done.stderr) == (1, False), done.stderr


# What is there


@process
def test_status_is_a_row_for_each_environment_of_each_host(site: Path) -> None:
    (site / "roots/thor01/envs/speech" / GOOD / "lib.py").write_text("x = 2\n")
    done = wavesmith("status", cwd=site)
    rows = [re.split(r"  +", line.rstrip()) for line in done.stdout.splitlines()]
    assert done.returncode == 3 and rows[0] == [
        "host",
        "environment",
        "generation",
        "since",
        "verdict",
        "stack",
        "drift",
    ]
    none, *rest = rows[1:]
    assert none[:5] == ["rtx01", "speech", "-", "-", "not there"]
    assert rest[0][:3] == ["thor01", "speech", GOOD] and rest[0][4:] == ["healthy", "cpu", "1 file"]
    assert rest[1][:2] == ["thor01", "past (not wanted)"]
    assert rest[2:] == [["thor01 speech: changed: lib.py. Remedy: wavesmith repair -l thor01"]]


@process
@pytest.mark.parametrize(("host", "code"), [("thor01", 0), ("rtx01", 3)])
def test_status_ends_with_3_where_something_wanted_is_not_right(site: Path, host: str, code: int) -> None:
    assert wavesmith("status", "-q", "-l", host, cwd=site).returncode == code


@process
def test_a_host_without_environments_or_generations_is_said_to_have_none(site: Path) -> None:
    said = wavesmith("generations", "-l", "rtx01", cwd=site).stdout
    assert said == "rtx01: there is no generation yet: wavesmith provision makes one\n"
    inventory = yaml.safe_load((site / "hosts.yml").read_text())
    inventory["all"]["vars"]["wavesmith_environments"] = {}
    (site / "hosts.yml").write_text(yaml.safe_dump(inventory))
    said = wavesmith("status", "-l", "rtx01", cwd=site).stdout
    assert said == "rtx01: no environment is wanted or there\n"


@process
def test_status_asks_each_host_once(site: Path) -> None:
    output = site / "out.json"
    argv = [
        str(Path(sys.executable).parent / "ansible-playbook"),
        "-i",
        str(site / "hosts.yml"),
        str(ROOT / "playbooks/status.yml"),
    ]
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "WAVESMITH_BOARD": "json",
        "LC_ALL": "C.UTF-8",
    }
    with output.open("w") as file:
        subprocess.run(argv, env=environment, stdout=file, check=True, cwd=site)
    assert {host["remote_runs"] for host in json.loads(output.read_text())["hosts"].values()} == {1}


@process
def test_generations_are_listed_with_the_current_one(site: Path) -> None:
    found = json.loads(wavesmith("generations", "--json", "-l", "jetson_thor", cwd=site).stdout)["generations"]
    assert [(row["environment"], row["name"]) for row in found] == [("speech", OLD), ("speech", GOOD), ("past", OLD)]
    shown = wavesmith("generations", "-l", "thor01", cwd=site).stdout
    assert [line.split()[2] for line in shown.splitlines() if line.rstrip().endswith("✓")] == [GOOD]


@process
def test_rollback_goes_to_the_generation_before_or_to_a_named_one(site: Path) -> None:
    current = site / "roots/thor01/envs/speech/current"
    assert (
        f"✓ thor01: speech {OLD} healthy (1 pass, 0 fail, 1 skip) of "
        in wavesmith("rollback", "-l", "thor01", cwd=site).stdout
    )
    assert os.readlink(current) == OLD
    again = wavesmith("rollback", "-l", "thor01", f"speech={OLD}", cwd=site)
    assert again.returncode == 0 and f"speech {OLD} healthy" in again.stdout and "nothing to do" in again.stdout, (
        again.stdout
    )
    found = json.loads(wavesmith("rollback", "-l", "thor01", "--json", f"speech={GOOD}", cwd=site).stdout)
    assert found["hosts"]["thor01"]["current"] == {"speech": GOOD} and os.readlink(current) == GOOD


# Remove


@process
def test_remove_shows_what_goes_and_removes_it_only_when_told(site: Path) -> None:
    folder = site / "roots/thor01/envs/past"
    done = wavesmith("remove", "past", cwd=site)
    assert done.returncode == 2 and "thor01: environment past goes, 0.00 GiB" in done.stdout
    assert "nobody agreed, nothing was changed" in done.stderr and folder.exists()
    assert wavesmith("remove", "past", "--check", cwd=site).returncode == 0 and folder.exists()
    said = wavesmith("remove", "past", "--yes", cwd=site).stdout
    assert "✓ thor01: environment past: removed, 0.00 GiB" in said
    assert not folder.exists() and (site / "roots/thor01/envs/speech").exists()


@process
def test_remove_without_names_takes_all_that_nobody_wants_and_then_has_nothing_to_do(site: Path) -> None:
    root = site / "roots/thor01"
    (root / "toolbox" / "0123456789abcdef").mkdir(parents=True)
    (root / "cache" / "uv").mkdir(parents=True)
    shown = wavesmith("remove", "--check", cwd=site).stdout
    assert "thor01: environment past goes" in shown and "thor01: toolbox 0123456789abcdef goes" in shown
    found = json.loads(wavesmith("remove", "toolbox", "0123456789abcdef", "caches", "--yes", "--json", cwd=site).stdout)
    assert list(found["hosts"]["thor01"]["removed"]) == ["toolbox 0123456789abcdef", "caches"]
    assert (root / "envs/past").exists() and not (root / "cache/uv").exists()
    assert wavesmith("remove", "--yes", cwd=site).returncode == 0
    assert not (root / "envs/past").exists() and (root / "envs/speech").exists()
    again = wavesmith("remove", "--yes", cwd=site)
    assert (again.returncode, again.stdout) == (0, "nothing to remove\n")


@process
def test_where_no_environment_is_wanted_only_what_is_named_goes(site: Path) -> None:
    nothing = ("-e", '{"wavesmith_environments": {}}', "--yes")
    done = wavesmith("remove", *nothing, cwd=site)
    assert done.returncode == 2 and (site / "roots/thor01/envs/past").exists()
    assert "name it: environment past, environment speech" in done.stderr
    assert wavesmith("remove", "past", *nothing, cwd=site).returncode == 0
    assert [path.name for path in (site / "roots/thor01/envs").iterdir()] == ["speech"]


@process
def test_what_cannot_be_made_here_does_not_keep_what_nobody_wants(site: Path) -> None:
    done = wavesmith("remove", "past", "--yes", "-e", "wavesmith_stack=cuda99", cwd=site)
    assert done.returncode == 0 and not (site / "roots/thor01/envs/past").exists(), done.stderr


@pytest.mark.parametrize(
    ("words", "items"),
    [
        ("", []),
        ("old caches", ["old", "caches"]),
        ("environment old weights piper-0 x", ["environment old", "weights piper-0", "x"]),
        ("environment environment old", ["environment environment", "old"]),
    ],
)
def test_a_kind_belongs_to_the_name_after_it(words: str, items: list[str]) -> None:
    assert remove.items(words.split()) == items


@process
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("speech", "variable wavesmith_remove: environment speech is still wanted. Remedy: take it out"),
        ("environment speech", "environment speech is still wanted. Remedy: take it out"),
        ("pasd", "pasd: no host has it. Remedy: did you mean past"),
    ],
)
def test_what_is_wanted_or_nowhere_is_not_removed(site: Path, name: str, said: str) -> None:
    done = wavesmith("remove", "past", name, "--yes", cwd=site)
    assert done.returncode == 2 and said in done.stderr and (site / "roots/thor01/envs/past").exists()


# Logs


def job(root: Path, name: str, at: float, **files: object) -> None:
    folder = root / "state" / "jobs" / name
    folder.mkdir(parents=True)
    for file, value in files.items():
        path = folder / (file if file == "log" else f"{file}.json")
        path.write_text(value if isinstance(value, str) else json.dumps(value))
        os.utime(path, (at, at))


FAILED = {
    "failure": "pyworld does not build: no Python.h. Remedy: install python3-dev",
    "log": ["gcc -c x.c", "fatal error: Python.h"],
}


@process
def test_logs_shows_how_the_last_work_ended_and_the_lines_that_matter(site: Path) -> None:
    root = site / "roots/thor01"
    job(root, "install-1", 1000.0, log="fine\n", result={"result": {}})
    job(root, "wheels-2", 2000.0, log="a\nb\n", result=FAILED)
    done = wavesmith("logs", "thor01", cwd=site)
    said = done.stdout.splitlines()
    assert re.match(r"thor01: building wheels \(wheels-2\), \d{4}-.*: failed$", said[0])
    assert said[1:3] == ["  | gcc -c x.c", "  | fatal error: Python.h"]
    assert said[4] == "  earlier work, for --job: installing packages (install-1)"
    assert said[-1] == f"✗ thor01: {FAILED['failure']}"
    assert wavesmith("logs", "rtx01", cwd=site).stdout.strip() == "rtx01: no work was done here yet"


def test_the_last_job_is_the_one_that_wrote_last(tmp_path: Path) -> None:
    job(tmp_path, "one", 3000.0, log="x\n", result={"result": {}})
    job(tmp_path, "two", 2000.0, log="y\n", result={"result": {}})
    found = status.last_job(str(tmp_path))
    assert (found["name"], found["state"], found["lines"], found["others"]) == ("one", "done", ["x"], ["two"])


def test_a_job_without_a_result_whose_worker_is_gone_was_killed(tmp_path: Path) -> None:
    job(tmp_path, "one", 1000.0, log="x\n", job={"name": "one", "pid": 2**22 + 1, "birth": "1", "run": "r"})
    found = status.last_job(str(tmp_path))
    assert found["state"] == "killed" and "Remedy: start again" in found["failure"]


def test_progress_of_the_doctor_is_no_line_that_matters(tmp_path: Path) -> None:
    job(tmp_path, "verify", 1000.0, log='{"phase": "check", "n": 1}\nwarning: x\n', result={"result": {}})
    assert status.last_job(str(tmp_path))["lines"] == ["warning: x"]


def test_an_unknown_job_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    job(tmp_path, "install-12", 1000.0, log="")
    with pytest.raises(
        store.StoreError, match="job instal-12: no log of it is kept here. Remedy: did you mean install-12"
    ):
        status.last_job(str(tmp_path), "instal-12")


# What an environment holds, for people


def test_an_environment_that_is_not_wanted_is_told_from_one_that_is_not_there(tmp_path: Path) -> None:
    generation(tmp_path, GOOD, 5.0, environment="past")
    rows = {row["environment"]: row for row in status.environments(str(tmp_path), ["speech"])}
    assert [(row["wanted"], row["generation"]) for row in rows.values()] == [(True, None), (False, None)]
    assert [item["name"] for item in rows["past"]["generations"]] == [GOOD]


def _row(*generations: str, wanted: bool = True, damaged: str = "") -> Any:
    made = [
        {
            "name": name,
            "complete": True,
            "created": 1.0,
            "exit": 0,
            "intact": name != damaged,
            "damage": ["changed: a"] if name == damaged else [],
        }
        for name in generations
    ]
    return {
        "environment": "speech", "wanted": wanted, "generation": GOOD, "since": 1.0, "verdict": "healthy", "judged": None, "checks": {}, "stack": "cpu",
        "damage": ["changed: a"] if damaged == GOOD else [], "damaged": int(damaged == GOOD), "generations": made,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("damaged", "drift", "lines"),
    [
        ("", "none", []),
        (GOOD, "1 file", ["h speech: changed: a. Remedy: wavesmith repair -l h"]),
        (
            OLD,
            "none",
            [
                f"h speech: changed: a in generation {OLD}, which is not in use, so nothing goes back to it. Remedy: wavesmith repair -l h"
            ],
        ),
    ],
    ids=["nothing", "current", "older"],
)
def test_drift_names_what_a_rollback_could_not_go_to(damaged: str, drift: str, lines: list[str]) -> None:
    row = _row(OLD, GOOD, damaged=damaged)
    assert shown._status_row("h", row)[-1] == drift and list(shown._drifted("h", row)) == lines


@pytest.mark.parametrize("wanted", [True, False])
def test_what_is_not_wanted_is_marked_in_both_lists(wanted: bool) -> None:
    row = _row(OLD, GOOD, wanted=wanted)
    names = [shown._status_row("h", row)[1], *(shown._generation_row("h", row, item)[1] for item in row["generations"])]
    assert names == ["speech" if wanted else "speech (not wanted)"] * 3


@pytest.mark.parametrize(
    ("jobs", "said"),
    [
        (["verify-1"], "use one of: verify-1"),
        ([f"verify-{number}" for number in range(20)], "use one of: "),
        (["lock-nop", "verify-1"], "did you mean lock-nop?"),
        ([], "provision this host first"),
    ],
    ids=["one", "many", "near", "none"],
)
def test_a_job_that_is_not_kept_is_refused_with_a_few_that_are(tmp_path: Path, jobs: list[str], said: str) -> None:
    for name in jobs:
        (tmp_path / "state" / "jobs" / name).mkdir(parents=True)
    with pytest.raises(store.StoreError) as refused:
        status.last_job(str(tmp_path), "lock-nope")
    assert f"Remedy: {said}" in str(refused.value) and str(refused.value).count("verify-") <= status.JOBS_NAMED


@pytest.mark.parametrize(
    ("line", "cut"), [("$ uv " + "x" * 300, True), ("$ uv pip", False), ("error: " + "x" * 300, False)]
)
def test_a_command_in_a_log_is_shown_by_its_beginning(line: str, cut: bool) -> None:
    assert logs._shown(line) == (f"{line[: logs.COMMAND]} …" if cut else line)


def test_since_is_when_it_was_switched_to_and_else_when_it_was_made(tmp_path: Path) -> None:
    generation(tmp_path, GOOD, 5.0)
    store.point(str(tmp_path / "envs" / "speech"), GOOD)
    (row,) = status.environments(str(tmp_path), ["speech"])
    assert row["since"] == 5.0 and row["checks"] == {"pass": 1, "fail": 0, "skip": 1}
    store.point(str(tmp_path / "envs" / "speech"), "x")
    store.activate(str(tmp_path), "speech", GOOD)
    (row,) = status.environments(str(tmp_path), ["speech"])
    assert (row["since"] or 0) > 1_000_000


# Commands in an environment


def put_launcher(root: Path) -> None:
    (root / "bin").mkdir()
    (root / "bin" / "wavesmith-run").write_text('#!/bin/sh\necho ran "$@"\nexit 3\n')
    (root / "bin" / "wavesmith-run").chmod(0o755)


@process
def test_run_is_the_command_itself_here_and_a_playbook_on_hosts(site: Path) -> None:
    root = site / "roots/thor01"
    put_launcher(root)
    here = wavesmith("run", "--root", root, "speech", "python", "-c", "x", cwd=site)
    assert (here.returncode, here.stdout) == (3, "ran speech python -c x\n")
    (root / "bin" / "wavesmith-run").write_text('#!/bin/sh\necho ran "$@"\n')
    there = wavesmith("run", "-l", "thor01", "speech", "python", "--", "-V", cwd=site)
    assert (there.returncode, there.stdout) == (0, "ran speech python -- -V\n")


@process
def test_a_command_that_fails_on_a_host_is_named_with_its_exit_code_and_output(site: Path) -> None:
    root = site / "roots/thor01"
    put_launcher(root)
    (root / "bin" / "wavesmith-run").write_text("#!/bin/sh\necho out\necho no such voice >&2\nexit 3\n")
    done = wavesmith("run", "-l", "thor01", "speech", "say", cwd=site)
    said = done.stdout.splitlines()
    assert done.returncode == 1 and said[:2] == ["out", "✗ thor01: the command ended with 3"]
    assert said[2].startswith("✗ thor01: the command: it ended with 3 (no such voice). Remedy: ")
    found = json.loads(wavesmith("run", "-l", "thor01", "--json", "speech", "say", cwd=site).stdout)
    assert found["hosts"]["thor01"]["ran"] == {"rc": 3, "stdout": "out", "stderr": "no such voice"}
    assert not (site / "artifacts/runs.sqlite").exists(), "a look at a host is no run of the record"


@process
@pytest.mark.parametrize("words", [["tree"], ["why"], ["tree", "--json"]], ids=" ".join)
def test_what_a_tool_says_of_an_environment_on_a_host_is_shown_once(site: Path, words: list[str]) -> None:
    tool = site / "roots/thor01/toolbox/current/bin/uv"
    tool.parent.mkdir(parents=True)
    tool.write_text("#!/bin/sh\necho librosa v0.11.0\n")
    tool.chmod(0o755)
    done = wavesmith(*words, "-l", "thor01", "speech", *(["librosa"] if "why" in words else []), cwd=site)
    assert done.returncode == 0 and (done.stdout + done.stderr).count("librosa v0.11.0") == 1, done.stdout + done.stderr


@process
def test_why_says_that_a_package_is_not_there(site: Path) -> None:
    root = site / "roots/thor01"
    tool = root / "toolbox" / "current" / "bin" / "uv"
    tool.parent.mkdir(parents=True)
    tool.write_text('#!/bin/sh\ncase "$*" in *librosa*) echo librosa v0.11.0;; esac\n')
    tool.chmod(0o755)
    assert wavesmith("why", "speech", "librosa", cwd=site).stdout == "librosa v0.11.0\n"
    for words in ([], ["-l", "thor01"]):
        done = wavesmith("why", *words, "speech", "nonesuch", cwd=site)
        assert (done.returncode, done.stdout) == (2, "")
        assert "environment speech: it has no package nonesuch. Remedy: wavesmith tree speech" in done.stderr


@process
def test_run_here_takes_the_root_that_the_inventory_says(site: Path) -> None:
    put_launcher(site / "roots/thor01")
    generation(site / "roots/rtx01", GOOD, 5.0, environment="ears")
    put_launcher(site / "roots/rtx01")
    assert wavesmith("run", "speech", "python", cwd=site).stdout == "ran speech python\n"
    (site / "roots/rtx01/bin/wavesmith-run").write_text('#!/bin/sh\necho of rtx01 "$@"\n')
    assert wavesmith("run", "ears", "python", cwd=site).stdout == "of rtx01 ears python\n"
    done = wavesmith("run", "ear", "python", cwd=site)
    assert done.returncode == 2
    assert all(f"{site}/roots/{host}/envs" in done.stderr for host in ("thor01", "rtx01")), done.stderr
    assert "did you mean ears" in done.stderr


@process
def test_run_in_an_environment_that_is_not_here_is_refused(site: Path) -> None:
    done = wavesmith("run", "--root", site / "roots/thor01", "speexh", "python", cwd=site)
    assert done.returncode == 2 and "Remedy: did you mean speech?" in done.stderr


# Init


@process
def test_init_writes_an_inventory_that_the_next_command_finds(tmp_path: Path) -> None:
    done = wavesmith(
        "init", "fleet", "--host", "thor01=ada@192.0.2.11", "--host", "thor02", "--group", "jetson_thor", cwd=tmp_path
    )
    assert done.returncode == 0 and "Next: wavesmith plan -i" in done.stdout
    hosts = yaml.safe_load((tmp_path / "fleet" / "hosts.yml").read_text())
    assert hosts == {
        "jetson_thor": {"hosts": {"thor01": {"ansible_host": "192.0.2.11", "ansible_user": "ada"}, "thor02": None}}
    }
    wanted = yaml.safe_load((tmp_path / "fleet" / "group_vars" / "all.yml").read_text())["wavesmith_environments"]
    assert {name: environment["engine"] for name, environment in wanted.items()} == dict.fromkeys(wanted, "venv")
    assert (tmp_path / "fleet" / ".gitignore").read_text().endswith("\n/artifacts/\n")
    listed = wavesmith("plan", "--", "--list-hosts", cwd=tmp_path / "fleet").stdout
    assert "thor01" in listed and "thor02" in listed and "localhost" not in listed
    again = wavesmith("init", "fleet", "--local", cwd=tmp_path)
    assert again.returncode == 2 and "it is there already. Remedy: " in again.stderr


@pytest.mark.parametrize(
    ("text", "address", "user"),
    [
        ("a=2001:db8::1", "2001:db8::1", ""),
        ("a=[2001:db8::1]", "2001:db8::1", ""),
        ("a=ada@[::1]", "::1", "ada"),
        ("a=fe80::1%eth0", "fe80::1%eth0", ""),
    ],
)
def test_a_host_may_have_an_address_of_ipv6(text: str, address: str, user: str) -> None:
    assert init._host(text) == init.Host("a", address, user)


@process
def test_init_of_this_machine_and_of_engine_conda(tmp_path: Path) -> None:
    assert wavesmith("init", "one", "--local", "--engine", "conda", "-q", cwd=tmp_path).stdout == ""
    assert yaml.safe_load((tmp_path / "one/hosts.yml").read_text())["this_machine"]["hosts"]["localhost"] == {
        "ansible_connection": "local"
    }
    assert "engine: conda" in (tmp_path / "one/group_vars/all.yml").read_text()


@process
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "it was told no host. Remedy: add --host NAME=USER@ADDRESS, or --local"),
        (["--host", "thor 01"], "host 'thor 01': it is not NAME, NAME=ADDRESS or NAME=USER@ADDRESS"),
        (["--host", "=192.0.2.1"], "it is not NAME"),
        (
            ["--host", "a=192.0.2.1", "--host", "a=192.0.2.2"],
            "host a: it is given more than once. Remedy: give each host",
        ),
        (["--host", "a", "--host", "b=ada@a", "--host", "b"], "host b: it is given more than once"),
        (["--host", "localhost", "--local"], "host localhost: it is given more than once"),
        (["", "--host", "a"], "FOLDER: its name is empty"),
    ],
)
def test_init_refuses_what_is_no_host(tmp_path: Path, words: list[str], said: str) -> None:
    done = wavesmith("init", *words, cwd=tmp_path)
    assert done.returncode == 2 and said in done.stderr and not (tmp_path / "fleet").exists()


@process
def test_init_asks_on_a_terminal(tmp_path: Path) -> None:
    leader, follower = pty.openpty()
    argv = [sys.executable, "-I", str(ROOT / "wavesmith"), "init"]
    started = subprocess.Popen(argv, cwd=tmp_path, stdin=follower, stdout=follower, stderr=follower)
    os.close(follower)
    os.write(leader, b"mine\nspark01=root@192.0.2.5\ndgx_sprak\ndgx_spark\n")
    assert started.wait(60) == 0
    os.close(leader)
    assert (
        yaml.safe_load((tmp_path / "mine/hosts.yml").read_text())["dgx_spark"]["hosts"]["spark01"]["ansible_user"]
        == "root"
    )


@pytest.mark.parametrize("local", [True, False])
def test_the_files_of_init_are_yaml_that_yamllint_takes(local: bool) -> None:
    files = init.texts([init.Host("a", "192.0.2.1", "ada"), init.Host("b", "", "")], local, "workstation", "venv")
    for text in (text for name, text in files.items() if name.endswith(".yml")):
        assert text.startswith("---\n") and yaml.safe_load(text)


# The page


def page() -> str:
    """docs/command.md, out of what --help prints."""
    lines = [
        "# The command `wavesmith`",
        "",
        "`make` puts it into `.venv/bin`; it runs from any folder. This page is made from `--help`:",
        "`WAVESMITH_WRITE_DOCS=1 make test-unit TESTS=tests/unit/test_command.py` writes it.",
        "",
        'In bash and zsh, `eval "$(register-python-argcomplete wavesmith)"` completes its words; the script is in `.venv/bin` too.',
        "",
        "```text",
        cli.parser().format_help().rstrip(),
        "```",
    ]
    for name in cli.COMMANDS:
        made = cli.parser([name])
        actions = next(action for action in made._actions if hasattr(action, "choices") and action.choices)
        lines += ["", f"## {name}", "", "```text", actions.choices[name].format_help().rstrip(), "```"]  # type: ignore[index]
    return "\n".join(lines) + "\n"


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="newer Pythons lay --help out in another way")
def test_the_page_of_the_command_is_what_help_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    if os.environ.get("WAVESMITH_WRITE_DOCS"):
        DOCS.write_text(page())
    assert DOCS.read_text() == page(), "WAVESMITH_WRITE_DOCS=1 writes it anew"


def helps(made: argparse.ArgumentParser, path: str = "wavesmith") -> Iterator[tuple[str, str]]:
    """Every help text of a parser and of those below it, each with the words that lead to it."""
    for action in made._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from ((f"{path} {one.dest}", one.help or "") for one in action._choices_actions)
            for name, inner in action.choices.items():
                yield from helps(inner, f"{path} {name}")
        elif not isinstance(action, argparse._HelpAction):
            yield f"{path} {' '.join(action.option_strings) or action.dest}", action.help or ""


NAMES = ("Ansible", "CPU", "CUDA", "JMESPath", "JUnit", "Python", "Wavesmith")


def test_help_texts_have_one_form() -> None:
    """As CONTRIBUTING.md says: lower case, no full stop, the default in brackets."""
    found = [pair for name in cli.COMMANDS for pair in helps(cli.parser([name]))]
    wrong = [
        f"{where}: {text!r}"
        for where, text in found
        if not text
        or (text[0].isupper() and not text.startswith(NAMES))
        or text.endswith(".")
        or re.search(r"\bdefaults?\b|left out", text)
    ]
    assert not wrong, "\n".join(wrong)
    assert len(found) > 150


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_subcommand_says_its_exit_codes(name: str) -> None:
    made: Any = cli.parser([name])
    text = next(action for action in made._actions if getattr(action, "choices", None)).choices[name].format_help()
    assert "xit code" in text or name in ("catalog", "packages"), "their own subcommands say them"


@process
@pytest.mark.parametrize(
    ("line", "found"),
    [("wavesmith gen", "generations"), ("wavesmith status --js", "--json"), ("wavesmith model pi", "pin")],
)
def test_a_shell_completes_words(tmp_path: Path, line: str, found: str) -> None:
    asked = {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
        "COMP_TYPE": "9",
    }
    answer = tmp_path / "answer"
    done = wavesmith(cwd=tmp_path, _ARGCOMPLETE_STDOUT_FILENAME=str(answer), **asked)
    assert done.returncode == 0 and answer.read_text().split() == [found]


def test_the_version_is_the_collections(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["--version"])
    assert stopped.value.code == 0
    assert (
        capsys.readouterr().out.strip() == f"wavesmith {yaml.safe_load((ROOT / 'galaxy.yml').read_text())['version']}"
    )


@pytest.mark.parametrize("columns", [40, 60, 80])
def test_a_narrow_terminal_cuts_no_word(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    written = io.StringIO()
    monkeypatch.setattr(written, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdout", written)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("NO_COLOR", "1")
    shown._table(
        ("host", "generation", "made", "verdict", "current"), [("box01", "0" * 20, "2026-11-28 14:49", "healthy", "✓")]
    )
    assert all(word in written.getvalue() for word in ("current", "0" * 20, "2026-11-28 14:49", "healthy"))
