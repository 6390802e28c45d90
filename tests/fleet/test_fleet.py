"""Real SSH hosts that share wheels: four of one variant, a fifth of another, which also serves them.

Run by molecule's verify step of the scenario `fleet`, which sets ANSIBLE_INVENTORY and ANSIBLE_CONFIG.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parents[2]
ROOT = "/opt/wavesmith"
THORS = ["thor01", "thor02", "thor03", "thor04"]
STORE = Path(os.environ.get("MOLECULE_EPHEMERAL_DIRECTORY", ".")) / "artifacts" / "wheelhouse"


@pytest.fixture(scope="module")
def fleet(host: Any) -> dict[str, Any]:
    """Every host by its name."""
    return {name: host.get_host(f"ansible://{name}") for name in [*THORS, "spark01"]}


def read(host: Any, path: str) -> Any:
    return json.loads(host.check_output(f"sudo cat {path}"))


def key_of(host: Any) -> str:
    """The key of pyworld in the host's current generation."""
    return str(read(host, f"{ROOT}/envs/voice/current/wavesmith/manifest.json")["wheels"]["pyworld"])


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["ansible-playbook", *arguments],
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(*arguments: str) -> str:
    """Run a playbook and return its output; it must work."""
    process = start(*arguments)
    output, _ = process.communicate(timeout=900)
    assert process.returncode == 0, output
    return output


def test_every_host_has_the_wheel_installed(fleet: dict[str, Any]) -> None:
    for host in fleet.values():
        assert host.check_output(
            f"{ROOT}/envs/voice/current/bin/python -c 'import pyworld; print(pyworld.__version__)'"
        )


def test_four_hosts_of_one_variant_share_one_build(fleet: dict[str, Any]) -> None:
    keys = {key_of(fleet[name]) for name in THORS}
    assert len(keys) == 1
    folder = f"{ROOT}/wheels/{keys.pop()}"
    assert (
        len({fleet[name].check_output(f"cat {folder}/provenance.json {folder}/*.whl | sha256sum") for name in THORS})
        == 1
    )
    assert len({read(fleet[name], f"{folder}/manifest.json")["builder"] for name in THORS}) == 1
    jobs = [fleet[name].run(f"sudo sh -c 'ls -d {ROOT}/state/jobs/build-*'").rc == 0 for name in THORS]
    assert jobs.count(True) == 1


def test_a_host_of_another_variant_builds_its_own(fleet: dict[str, Any]) -> None:
    key = key_of(fleet["spark01"])
    assert key != key_of(fleet["thor01"])
    assert read(fleet["spark01"], f"{ROOT}/wheels/{key}/provenance.json")["machine"]
    assert fleet["spark01"].run(f"sudo sh -c 'ls -d {ROOT}/state/jobs/build-*'").rc == 0


def test_the_signing_key_is_roots_alone(fleet: dict[str, Any]) -> None:
    key = fleet["spark01"].check_output(f"sudo stat -c '%a %U' {ROOT}/state/signing/key")
    assert key.split()[0] == "600"


def test_wheels_are_served_by_a_user_without_rights(fleet: dict[str, Any]) -> None:
    host = fleet["spark01"]
    assert host.service("wavesmith-wheelhouse").is_running and host.service("wavesmith-wheelhouse").is_enabled
    assert not host.service("nginx").is_running and not host.service("nginx").is_enabled
    assert set(host.check_output("ps -o user= -C nginx").split()) == {"www-data"}


def test_pip_finds_the_wheel_in_the_index_of_the_variant(fleet: dict[str, Any]) -> None:
    host = fleet["thor02"]
    manifest = read(host, f"{ROOT}/wheels/{key_of(host)}/manifest.json")
    house = fleet["spark01"].ansible.get_variables()["ansible_host"]
    pip = f"{ROOT}/envs/voice/current/bin/python -m pip --isolated download --no-deps --no-cache-dir --dest /tmp/got"
    index = f"--trusted-host {house} --index-url http://{house}:8427/simple/{manifest['variant']}/"
    host.check_output(f"env -u http_proxy -u HTTP_PROXY {pip} {index} pyworld")
    assert host.file(f"/tmp/got/{manifest['wheel']}").sha256sum == manifest["files"][manifest["wheel"]]


def test_without_the_controllers_store_a_host_fetches_over_http(fleet: dict[str, Any]) -> None:
    shutil.rmtree(STORE)
    fleet["thor04"].check_output(f"sudo rm -r {ROOT}/wheels {ROOT}/envs")
    output = run("playbooks/build.yml", "-l", "thor04")
    assert re.search(r"wheel +pyworld \S+: fetch", output), output
    assert "TASK [wavesmith.provision.source_build" not in output
    key = fleet["thor01"].check_output(f"ls {ROOT}/wheels").split()[0]
    assert fleet["thor04"].file(f"{ROOT}/wheels/{key}/manifest.json.sig").exists
    run("site.yml", "-l", "thor04")


HOLD = """
import glob, json, os, signal, sys, time
deadline = time.monotonic() + 120
while time.monotonic() < deadline:
    for path in glob.glob(sys.argv[1] + "/state/jobs/build-*/job.json"):
        try:
            job = json.load(open(path))
            os.killpg(os.getpgid(job["pid"]), signal.SIGSTOP)
            print(json.dumps({**job, "path": path}))
            sys.exit(0)
        except (OSError, ValueError):
            continue
    time.sleep(0.02)
sys.exit("no build came")
"""
"""Runs on a host: hold a build as soon as it works."""
LET_GO = """
import json, os, signal, sys, time
path, run = sys.argv[1:]
deadline = time.monotonic() + 120
while json.load(open(path))["run"] == run and time.monotonic() < deadline:
    time.sleep(0.1)
job = json.load(open(path))
os.killpg(os.getpgid(job["pid"]), signal.SIGCONT)
print(json.dumps(job))
"""
"""Runs on a host: let the build go on as soon as another run has taken it over."""


def test_a_build_goes_on_when_the_controller_is_killed_and_is_not_started_again(fleet: dict[str, Any]) -> None:
    builder, playbook = fleet["thor01"], ("playbooks/build.yml", "-l", "thor01,thor02")
    shutil.rmtree(STORE, ignore_errors=True)
    for host in fleet.values():
        host.check_output(f"sudo rm -rf {ROOT}/wheels {ROOT}/envs {ROOT}/state/jobs")
    fleet["spark01"].check_output(f"sudo sh -c 'rm -rf {ROOT}/wheelhouse/*'")
    first = start(*playbook)
    job = json.loads(builder.check_output("sudo python3 -c %s %s", HOLD, ROOT))
    first.send_signal(signal.SIGKILL)
    first.wait(60)
    second = start(*playbook)
    after = json.loads(builder.check_output("sudo python3 -c %s %s %s", LET_GO, job["path"], job["run"]))
    output, _ = second.communicate(timeout=600)
    assert second.returncode == 0, output
    assert "resumed the job of an earlier run" in output, output
    assert (after["pid"], after["birth"]) == (job["pid"], job["birth"])
    assert fleet["thor02"].run(f"sudo sh -c 'ls -d {ROOT}/state/jobs/build-*'").rc != 0
    assert builder.check_output(f"ls {ROOT}/wheels") == fleet["thor02"].check_output(f"ls {ROOT}/wheels")
