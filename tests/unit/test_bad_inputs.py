"""Every bad input of the table is refused through Ansible itself, before anything is changed, with its message.

``WAVESMITH_WRITE_DOCS=1`` writes docs/bad-inputs.md from the table. All hosts of the table are planned by one run.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from .bad_inputs import COMMANDED, GIVEN, MOUNTED, ON_HOSTS, TABLE, Bad
from .site import ROOT, Site

pytestmark = pytest.mark.process
DOCUMENT = ROOT / "docs" / "bad-inputs.md"
HEAD = """\
# Bad inputs

What is wrong, and what is said. Nothing on the host was changed when this is said. `<folder>` is a folder, … is what depends on the machine.
Written by `WAVESMITH_WRITE_DOCS=1 make test-unit TESTS=tests/unit/test_bad_inputs.py`, whose tests give each of these to Ansible.
"""


def name_of(number: int) -> str:
    return f"bad{number:02}"


class Answers:
    """What was said of each host by one run over all of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        site = Site(folder / "first", "one")
        (folder / "first").mkdir()
        site.run()
        lock = site.plan("one")["environments"][0]["lock"]
        self.site = Site(folder, *map(name_of, range(len(TABLE))))
        self.site.asked = (lock["key"], lock["inputs"])
        self.site.variables["wavesmith_source_timeout"] = 4
        written: dict[str, dict[str, Any]] = {}
        for number, case in enumerate(TABLE):
            host, own = name_of(number), {f"wavesmith_{name}": value for name, value in case.given.items()}
            self.case(host).mkdir(parents=True)
            if case.prepare:
                own.update(case.prepare(self.site, host, self.case(host)))
            # Half of them are in the inventory, half in files of host_vars: their values come with other tags.
            if number % 2:
                written[host] = own
            else:
                self.site.hosts[host] = own
        host_vars = self.site.inventory / "host_vars"
        host_vars.mkdir(parents=True)
        for host, own in written.items():
            (host_vars / f"{host}.yml").write_text(yaml.safe_dump(own))
        tree = {"ANSIBLE_CALLBACKS_ENABLED": "ansible.builtin.tree", "ANSIBLE_CALLBACK_TREE_DIR": str(folder / "tree")}
        self.status, self.output = self.site.run(**tree)

    def case(self, host: str) -> Path:
        return self.folder / "cases" / host

    def said(self, host: str) -> str:
        found = json.loads((self.folder / "tree" / host).read_text())
        return str(found.get("msg", "it was not refused")).removeprefix("Task failed: ")


def pattern(said: str, case: Path, host: str) -> str:
    text = re.escape(said.replace("<folder>", str(case)).replace("<host>", host))
    return text.replace("…", ".*")


def test_each_bad_input_of_inventory_and_host_vars_is_refused_with_one_message(tmp_path: Path) -> None:
    """One test, because it is one run."""
    answers = Answers(tmp_path)
    wrong = []
    for number, bad in enumerate(TABLE):
        host = name_of(number)
        said = answers.said(host)
        as_told = re.fullmatch(pattern(bad.said, answers.case(host), host), said)
        if not as_told or said.count("Remedy: ") != 1 or answers.site.root(host).exists():
            wrong.append(f"{host} {bad.what}: {said}")
    assert not wrong, "\n".join(wrong)
    assert answers.status != 0 and "Traceback" not in answers.output


def test_what_is_given_with_e_is_refused_in_one_run(tmp_path: Path) -> None:
    """Values of the command line are text, or JSON: they are read by another way than those of files."""
    site = Site(tmp_path, "one")
    words = [word for bad in GIVEN for word in ("-e", bad.given["e"])]
    status, output = site.run(*words)
    assert status != 0
    missing = [bad.what for bad in GIVEN if not re.search(pattern(bad.said, tmp_path, "one"), output)]
    assert not missing, output


TWICE = """\
all:
  hosts:
    one:
      ansible_connection: local
      wavesmith_{kind}:
        small: {{}}
        small: {{}}
"""
INVENTORIES = {
    "not there": "",
    "no YAML": "all:\n  hosts: [one\n",
    "an environment twice": TWICE.format(kind="environments"),
    "a project twice": TWICE.format(kind="projects"),
}


@pytest.mark.parametrize("case", INVENTORIES)
def test_an_inventory_that_is_none_is_no_empty_one(tmp_path: Path, case: str) -> None:
    site, path = Site(tmp_path, "one"), tmp_path / "hosts.yml"
    if INVENTORIES[case]:
        path.write_text(INVENTORIES[case])
    status, output = site.run(inventory=path)
    assert status != 0 and str(path) in output and "PLAY" not in output, output
    assert "twice" not in case or re.search("[Dd]uplicate", output), output


def test_a_limit_to_a_group_that_is_not_there_is_refused(tmp_path: Path) -> None:
    status, output = Site(tmp_path, "one").run("-l", "jetson_thorr")
    assert status != 0 and "no hosts to target" in output


def test_variables_of_a_group_or_host_that_is_not_there_are_named(tmp_path: Path) -> None:
    site = Site(tmp_path, "thor01")
    for kind, name in (("group", "al"), ("host", "thor1"), ("host", "thor01")):
        (site.inventory / f"{kind}_vars").mkdir(parents=True, exist_ok=True)
        (site.inventory / f"{kind}_vars" / f"{name}.yml").write_text("{}\n")
    _, output = site.run()
    assert "group_vars/al.yml belongs to no group of the inventory. Remedy: did you mean all" in output
    assert "host_vars/thor1.yml belongs to no host of the inventory. Remedy: did you mean thor01" in output
    assert "thor01.yml is for no" not in output


PROJECT = {"path": "voice"}


@pytest.mark.parametrize("way", ["inventory", "host_vars", "-e"])
def test_a_project_by_its_path_is_read_whichever_way_it_is_given(tmp_path: Path, way: str) -> None:
    site = Site(tmp_path, "one")
    (site.inventory / "voice").mkdir(parents=True)
    (site.inventory / "voice" / "requirements.txt").write_text("numpy>=1.26\n")
    own = {
        "wavesmith_projects": {"voice": PROJECT},
        "wavesmith_environments": {"small": {"stack": "none", "projects": ["voice"]}},
    }
    words: list[str] = []
    if way == "inventory":
        site.hosts["one"].update(own)
    elif way == "host_vars":
        (site.inventory / "host_vars").mkdir()
        (site.inventory / "host_vars" / "one.yml").write_text(yaml.safe_dump(own))
    else:
        words = ["-e", json.dumps(own)]
    status, output = site.run(*words)
    assert status == 0, output
    assert "numpy>=1.26" in site.plan("one")["environments"][0]["lock"]["requirements"]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")
@pytest.mark.parametrize("bad", MOUNTED, ids=lambda bad: bad.given["option"])
def test_a_root_on_a_file_system_that_cannot_serve_is_refused(tmp_path: Path, bad: Bad) -> None:
    place = tmp_path / "mounted"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", bad.given["option"], "tmpfs", place], check=False).returncode:
        pytest.skip("mount is not allowed here")
    try:
        site = Site(tmp_path, "one")
        site.hosts["one"]["wavesmith_root"] = f"{place}/wavesmith"
        status, output = site.run()
    finally:
        subprocess.run(["umount", place], check=True)
    assert status != 0 and re.search(pattern(bad.said, tmp_path, "one"), output), output


@pytest.mark.parametrize("bad", COMMANDED, ids=lambda bad: bad.what)
def test_the_command_refuses_an_inventory_before_anything_starts(tmp_path: Path, bad: Bad) -> None:
    site = Site(tmp_path, "one")
    assert bad.prepare
    argv = bad.prepare(site, "one", tmp_path)["argv"]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    done = subprocess.run(
        [sys.executable, "-I", str(ROOT / "wavesmith"), "plan", *argv],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    said = " ".join(done.stderr.split()).removeprefix("✗ ")
    assert done.returncode == 2 and re.fullmatch(pattern(bad.said, tmp_path, "one"), said), done.stdout + done.stderr
    assert not done.stdout


def cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def document() -> str:
    parts = [HEAD]
    rows: list[Bad] = [*TABLE, *ON_HOSTS, *MOUNTED, *GIVEN, *COMMANDED]
    for group in dict.fromkeys(bad.group for bad in rows):
        parts += [f"\n## {group}\n\n| wrong | it says | then |\n| --- | --- | --- |\n"]
        for bad in rows:
            if bad.group == group:
                problem, _, remedy = bad.said.partition(". Remedy: ")
                parts.append(f"| {cell(bad.what)} | {cell(problem)} | {cell(remedy)} |\n")
    return "".join(parts)


@pytest.mark.parametrize("bad", ON_HOSTS, ids=lambda bad: bad.what)
def test_what_needs_a_real_host_is_given_to_ansible_there(bad: Bad) -> None:
    given = (ROOT / "tests" / "host" / "test_sudo.py").read_text(encoding="utf-8")
    pieces = re.split("…|[.] Remedy: ", bad.said.replace("ada", "{user}"))
    assert any(len(piece) > 20 and piece.strip(" ;") in given for piece in pieces), pieces


def test_the_document_is_the_table() -> None:
    if os.environ.get("WAVESMITH_WRITE_DOCS"):
        DOCUMENT.write_text(document(), encoding="utf-8")
    assert DOCUMENT.read_text(encoding="utf-8") == document()
    assert len(TABLE) + len(GIVEN) >= 60
