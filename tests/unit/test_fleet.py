"""A fleet in small: hosts with folders of their own on this machine, real Ansible, real signatures; only the compiler is left out."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.record import EnvironmentPlan, Plan, WheelPlan
from ansible_collections.wavesmith.provision.plugins.module_utils.wheels import wheelhouse

ROOT = Path(__file__).resolve().parents[2]
THOR, SPARK = "0123456789abcdef" * 2, "fedcba9876543210" * 2

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not here"),
]

BUILD = """
import hashlib, json, os, sys
root, key, wheel = *sys.argv[1:3], "tiny-1.0-py3-none-any.whl"
folder = f"{root}/wheels/{key}"
os.makedirs(folder)
data = os.urandom(1000)  # two builds are never alike
with open(f"{folder}/{wheel}", "wb") as file: file.write(data)
provenance = {"schema": 1, "wheel": wheel, "sha256": hashlib.sha256(data).hexdigest(), "variant": "v", "recipe": {"name": "tiny", "version": "1.0"}}
with open(f"{folder}/provenance.json", "w") as file: json.dump(provenance, file)
with open(f"{root}/built", "a") as file: file.write(key + "\\n")
"""


def tasks_of_the_playbook() -> list[dict[str, Any]]:
    """The tasks of playbooks/build.yml that are about wheels, with a stand-in for the role that compiles."""
    plays = yaml.safe_load((ROOT / "playbooks" / "build.yml").read_text())
    tasks = [task for play in plays for task in play.get("tasks", []) if "wheelhouse" in json.dumps(task)]
    found = []
    for task in tasks:
        if "ansible.builtin.include_role" in task:
            wheels = task["vars"]["source_build_wheels"]
            argv = [sys.executable, "-c", "{{ compile }}", "{{ wavesmith_root }}", "{{ item.key }}"]
            task = {
                "name": "Build",
                "ansible.builtin.command": {"argv": argv},
                "loop": wheels,
                "failed_when": "broken | default(false)",
            }
        if task.get("wavesmith.provision.wheelhouse", {}).get("state") != "served":
            found.append(task)
    return found


def intact(folder: Path, key: str, signers: str) -> bool:
    entry = wheelhouse.entries(str(folder)).get(key, {})
    return entry.get("builder", "?") in signers and not wheelhouse.flaw(str(folder), key, signers)


class Fleet:
    """Hosts of an inventory, each with a folder of its own."""

    def __init__(self, folder: Path, **keys: str) -> None:
        self.folder, self.keys = folder, keys
        self.more: dict[str, dict[str, Any]] = {host: {} for host in keys}
        self.groups: dict[str, list[str]] = {}
        self.play: dict[str, Any] = {}
        self.store, self.signers = folder / "artifacts" / "wheelhouse", folder / "locks" / "allowed_signers"

    def root(self, host: str) -> Path:
        return self.folder / host

    def _host(self, host: str) -> dict[str, Any]:
        root = str(self.root(host))
        spec = {"name": "tiny", "version": "1.0", "variant": "v", "key": self.keys[host], "python": sys.executable}
        spec["source"] = {"digest": "of tiny"}
        there = (self.root(host) / "wheels" / self.keys[host]).exists()
        wheel = WheelPlan("tiny", "1.0", self.keys[host], "hit" if there else "build", 60, spec)
        environment = EnvironmentPlan("small", wheels=[wheel], phases=[] if there else ["build", "install"])
        plan = Plan(root, environments=[environment]).data()
        return {"wavesmith_root": root, "wavesmith_plan": {"plan": plan}, **self.more[host]}

    def start(self, *arguments: str, playbook: Path | None = None) -> subprocess.Popen[str]:
        hosts = {host: self._host(host) for host in self.keys}
        variables = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "wavesmith_locks": str(self.folder / "locks"),
            "wavesmith_artifacts": str(self.folder / "artifacts"),
            "compile": BUILD,
        }
        groups = {name: {"hosts": dict.fromkeys(members)} for name, members in self.groups.items()}
        inventory = {"all": {"hosts": hosts, "vars": variables, "children": groups}}
        (self.folder / "hosts.json").write_text(json.dumps(inventory))
        play = [{"hosts": "all", "gather_facts": False, **self.play, "tasks": tasks_of_the_playbook()}]
        (self.folder / "play.yml").write_text(yaml.safe_dump(play))
        argv = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(self.folder / "hosts.json")]
        return subprocess.Popen(
            [*argv, str(playbook or self.folder / "play.yml"), *arguments],
            env={
                **os.environ,
                "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
                "NO_COLOR": "1",
                "LC_ALL": "C.UTF-8",
                "WAVESMITH_BOARD": "detail",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str, playbook: Path | None = None) -> tuple[int, str]:
        process = self.start(*arguments, playbook=playbook)
        output, _ = process.communicate(timeout=120)
        return process.returncode, re.sub(r"\s+", " ", output)

    def built(self) -> dict[str, list[str]]:
        """Which host built which keys, over all runs."""
        found = {host: self.root(host) / "built" for host in self.keys}
        return {host: path.read_text().split() for host, path in found.items() if path.exists()}

    def have(self) -> dict[str, bool]:
        """Whether each host has its wheel, as its builder signed it."""
        signers = self.signers.read_text() if self.signers.exists() else ""
        return {host: intact(self.root(host) / "wheels", key, signers) for host, key in self.keys.items()}

    def empty(self, *hosts: str) -> None:
        for host in hosts:
            shutil.rmtree(self.root(host) / "wheels")


def test_four_hosts_of_a_variant_get_one_build_and_a_fifth_its_own(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, thor01=THOR, thor02=THOR, thor03=THOR, thor04=THOR, spark01=SPARK)
    status, output = fleet.run()
    assert status == 0, output
    assert fleet.built() == {"thor01": [THOR], "spark01": [SPARK]}
    assert all(fleet.have().values()), output
    assert "tiny 1.0 for v is built by thor01, 3 more get it from there" in output
    assert "[thor01] is a new signer of wheels" in output and "commit that file" in output
    assert not list(fleet.folder.glob("*/wheels/.staging*")) and not list(fleet.store.glob(".staging*"))


@pytest.mark.slow
@pytest.mark.parametrize("place", ["", "/wheels", "file:///wheels"])
def test_what_is_kept_is_fetched_by_who_lacks_it_and_not_built_again(tmp_path: Path, place: str) -> None:
    fleet = Fleet(tmp_path, thor01=THOR, thor02=THOR, thor03=THOR)
    assert fleet.run()[0] == 0
    fleet.empty("thor01", "thor03")
    if place:
        shutil.move(fleet.store, tmp_path / "wheels")
        address = place.replace("/wheels", f"{tmp_path}/wheels")
        fleet.more = {host: {"wavesmith_wheelhouse": address} for host in fleet.keys}
    status, output = fleet.run()
    assert status == 0, output
    assert fleet.built() == {"thor01": [THOR]} and all(fleet.have().values())
    assert re.search(r"REMOTE RUNS thor01 \d+, thor02 0, thor03 \d+", output), output


@pytest.mark.slow
def test_a_host_alone_signs_and_copies_nothing(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, thor01=THOR)
    status, output = fleet.run()
    assert status == 0, output
    assert fleet.built() == {"thor01": [THOR]} and "REMOTE RUNS thor01 1" in output, "the build itself, nothing else"
    assert not fleet.store.exists() and not fleet.signers.exists()


def test_a_failed_builder_fails_only_who_needs_its_wheel(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, thor01=THOR, thor02=THOR, spark01=SPARK)
    fleet.more["thor01"]["broken"] = True
    status, output = fleet.run()
    assert status != 0
    assert fleet.have() == {"thor01": False, "thor02": False, "spark01": True}
    assert f"wheel tiny 1.0: its builder thor01 did not provide it in this run (wheel key {THOR}). Remedy: " in output


@pytest.mark.slow
def test_a_tampered_wheel_in_the_store_is_built_where_the_policy_allows_it(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, thor01=THOR, thor02=THOR)
    assert fleet.run()[0] == 0
    (fleet.store / THOR / "tiny-1.0-py3-none-any.whl").write_bytes(b"evil")
    fleet.empty("thor02")
    status, output = fleet.run("-l", "thor02")
    assert status == 0, output
    assert "is not the file that thor01 signed" in output and "It is built here now" in output
    assert fleet.built() == {"thor01": [THOR], "thor02": [THOR]}
    assert intact(fleet.store, THOR, fleet.signers.read_text())
    assert (
        "tiny-1.0-py3-none-any.whl is not the file that thor01 signed. The good one of thor02 took its place" in output
    )


@pytest.mark.slow
def test_a_wheel_that_was_changed_on_the_served_wheelhouse_is_replaced_by_the_next_push(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, thor01=THOR, thor02=THOR)
    assert fleet.run()[0] == 0
    push = {"name": "Push", "wavesmith.provision.wheelhouse": {"root": "{{ wavesmith_root }}", "state": "served"}}
    (tmp_path / "push.yml").write_text(yaml.safe_dump([{"hosts": "thor02", "gather_facts": False, "tasks": [push]}]))
    served = fleet.root("thor02") / "wheelhouse"
    assert fleet.run(playbook=tmp_path / "push.yml")[0] == 0 and intact(served, THOR, fleet.signers.read_text())
    (served / THOR / "tiny-1.0-py3-none-any.whl").write_bytes(b"evil")
    status, output = fleet.run(playbook=tmp_path / "push.yml")
    assert status == 0 and intact(served, THOR, fleet.signers.read_text())
    assert "The good one of this controller's store took its place. Remedy: find out who could write there" in output
    assert "changed=0" in fleet.run(playbook=tmp_path / "push.yml")[1]


@pytest.mark.slow
def test_under_a_limit_a_host_builds_and_the_others_fetch_it_later(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, thor01=THOR, thor02=THOR)
    assert fleet.run("-l", "thor02")[0] == 0
    assert fleet.built() == {"thor02": [THOR]}
    assert fleet.run()[0] == 0
    assert fleet.built() == {"thor02": [THOR]} and all(fleet.have().values())


@pytest.mark.slow
def test_a_host_that_holds_the_wheel_gives_it_though_it_was_never_kept(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, thor01=THOR, thor02=THOR)
    fleet.root("thor02").mkdir()
    subprocess.run([sys.executable, "-c", BUILD, str(fleet.root("thor02")), THOR], check=True)
    assert fleet.run()[0] == 0
    assert fleet.built() == {"thor02": [THOR]} and all(fleet.have().values())


@pytest.mark.slow
def test_with_serial_later_batches_fetch_what_earlier_ones_built(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, thor01=THOR, thor02=THOR, thor03=THOR)
    fleet.play["serial"] = 1
    status, output = fleet.run()
    assert status == 0, output
    assert fleet.built() == {"thor01": [THOR]} and all(fleet.have().values())


@pytest.mark.slow
def test_a_host_of_the_group_builders_builds(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, thor01=THOR, thor02=THOR)
    fleet.groups["builders"] = ["thor02"]
    assert fleet.run()[0] == 0
    assert fleet.built() == {"thor02": [THOR]} and all(fleet.have().values())


@pytest.mark.slow
def test_a_builder_whose_key_changed_is_refused_with_the_remedy(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, thor01=THOR, thor02=THOR)
    assert fleet.run()[0] == 0
    shutil.rmtree(fleet.root("thor01") / "state")
    shutil.rmtree(fleet.store)
    fleet.empty("thor01", "thor02")
    status, output = fleet.run()
    assert status != 0
    assert "the signing key of thor01 has changed" in output and "Remedy: if that host was set up again" in output
    assert not fleet.have()["thor02"]


@pytest.mark.slow
def test_a_controller_killed_in_the_middle_of_bringing_leaves_nothing_half(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, **{f"thor{number:02}": THOR for number in range(1, 7)})
    fleet.more["thor01"]["ansible_remote_tmp"] = str(tmp_path / "tmp")
    process = fleet.start("--forks", "2")
    while not list(tmp_path.glob("thor*/wheels/*/manifest.json.sig"))[1:]:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    for host, whole in fleet.have().items():
        assert whole or not (fleet.root(host) / "wheels" / THOR).exists()
    status, output = fleet.run()
    assert status == 0, output
    assert fleet.built() == {"thor01": [THOR]} and all(fleet.have().values())


@pytest.mark.slow
def test_two_controllers_at_once_end_with_one_good_wheel_everywhere(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, thor01=THOR, thor02=THOR, thor03=THOR)
    fleet.root("thor01").mkdir()
    subprocess.run([sys.executable, "-c", BUILD, str(fleet.root("thor01")), THOR], check=True)
    both = [fleet.start(), fleet.start()]
    outputs = [process.communicate(timeout=120)[0] for process in both]
    assert any(process.returncode == 0 for process in both), outputs
    for process, output in zip(both, outputs, strict=True):
        assert process.returncode == 0 or "Remedy: wait until it has ended" in re.sub(r"\s+", " ", output), output
    assert all(fleet.have().values())


@pytest.mark.slow
def test_pruning_keeps_what_any_host_needs_and_removes_nothing_shared_when_one_is_not_asked(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, thor01=THOR, thor02=THOR, spark01=SPARK)
    assert fleet.run()[0] == 0
    manifest = fleet.root("thor02") / "envs" / "small" / "g" / "wavesmith" / "manifest.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_text(json.dumps({"wheels": {"tiny": THOR}}))
    playbook, keep = ROOT / "playbooks" / "wheelhouse_prune.yml", ("-e", "wavesmith_keep_wheels=0")
    kept = {"thor01": [], "thor02": [THOR], "spark01": []}

    def wheels() -> dict[str, list[str]]:
        return {host: os.listdir(fleet.root(host) / "wheels") for host in fleet.keys}

    before = wheels()
    status, output = fleet.run("--check", *keep, playbook=playbook)
    assert status == 0 and wheels() == before and len(os.listdir(fleet.store)) == 2, output

    status, output = fleet.run("-l", "thor01", *keep, playbook=playbook)
    assert status != 0 and "it is not known which wheels spark01, thor02 needs" in output and "without -l" in output
    assert len(os.listdir(fleet.store)) == 2

    status, output = fleet.run(*keep, playbook=playbook)
    assert status == 0, output
    assert wheels() == kept and os.listdir(fleet.store) == [THOR]
