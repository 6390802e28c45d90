"""Three real SSH hosts that need the same weights: the hub is asked once, the wheelhouse for the others.

Run by molecule's verify step of the scenario `weights`, which sets ANSIBLE_INVENTORY and ANSIBLE_CONFIG.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parents[2]
ROOT = "/opt/wavesmith"
FILES = ("codec/model.bin", "config.json", "model.safetensors")


@pytest.fixture(scope="module")
def hosts(host: Any) -> dict[str, Any]:
    return {name: host.get_host(f"ansible://{name}") for name in ("house01", "box01", "box02")}


def asked(hosts: dict[str, Any]) -> Counter[str]:
    """How often the hub gave each file, and to whom it did."""
    journal = hosts["house01"].check_output("sudo journalctl --unit=hub --output=cat --no-pager")
    return Counter(re.findall(r'"GET /ours/tone/resolve/\w{40}/(\S+) HTTP/1.1" 200', journal))


def run(*arguments: str) -> str:
    argv = ["ansible-playbook", *arguments]
    done = subprocess.run(argv, cwd=PROJECT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def verified(host: Any) -> None:
    """Its doctor found every file to be the catalog's."""
    verdict = json.loads(host.check_output(f"sudo cat {ROOT}/envs/tones/current/wavesmith/verdict.json"))
    (found,) = (check for check in verdict["checks"] if check["id"] == "models.files")
    assert (verdict["exit"], found["verdict"]) == (0, "pass"), found
    assert "3 files of weights, 22 MiB, have the sha256 of the catalog" in found["detail"]


def test_every_host_has_them_and_its_doctor_compared_them(hosts: dict[str, Any]) -> None:
    for host in hosts.values():
        verified(host)


def test_the_hub_gave_each_file_once(hosts: dict[str, Any]) -> None:
    assert asked(hosts) == Counter(FILES)


def test_the_wheelhouse_has_one_copy_for_itself_and_the_others(hosts: dict[str, Any]) -> None:
    links = hosts["house01"].check_output(f"sudo stat -c %h {ROOT}/models/blobs/* {ROOT}/wheelhouse/models/blobs/*")
    assert set(links.split()) == {"2"} and len(links.split()) == 2 * len(FILES)


def test_without_the_hub_a_host_gets_them_from_the_wheelhouse(hosts: dict[str, Any]) -> None:
    hosts["house01"].check_output("sudo systemctl stop hub")
    hosts["box02"].check_output(f"sudo rm -r {ROOT}/models {ROOT}/envs")
    run("site.yml", "-l", "box02,house01")
    verified(hosts["box02"])
