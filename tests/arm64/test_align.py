"""Monotonic alignment on an aarch64 host, whose programs qemu runs: compiled there by us, imported, and judged against a reference.

Run by molecule's verify step of the scenario `arm64`, which sets ANSIBLE_INVENTORY and ANSIBLE_CONFIG, after its converge step has made
the environment.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

ROOT = "/opt/wavesmith"
HOME = f"{ROOT}/envs/align/current"
ALIGNERS = ("monotonic_align", "monotonic_alignment_search")


def read(host: Any, path: str) -> Any:
    return json.loads(host.check_output(f"sudo cat {path}"))


def test_the_environment_is_for_aarch64_and_healthy(host: Any) -> None:
    assert host.check_output(f"{HOME}/bin/python -c 'import os; print(os.uname().machine)'") == "aarch64"
    verdict = read(host, f"{HOME}/wavesmith/verdict.json")
    assert verdict["exit"] == 0


@pytest.mark.parametrize("name", ALIGNERS)
def test_it_was_built_here_for_the_environments_python(host: Any, name: str) -> None:
    key = read(host, f"{HOME}/wavesmith/manifest.json")["wheels"][name]
    version = host.check_output(f"{HOME}/bin/python -c 'import sys; print(\"cp%d%d\" % sys.version_info[:2])'")
    (wheel,) = (file for file in host.check_output(f"ls {ROOT}/wheels/{key}").split() if file.endswith(".whl"))
    assert re.fullmatch(rf"{name}-[\d.]+-{version}-{version}-\w*aarch64\.whl", wheel), wheel
    machine = host.check_output(f"readelf -h {HOME}/lib/python3*/site-packages/{name}/core*.so | grep Machine")
    assert "AArch64" in machine


def test_the_doctor_compared_both_with_the_reference(host: Any) -> None:
    checks = {check["id"]: check for check in read(host, f"{HOME}/wavesmith/verdict.json")["checks"]}
    found = checks["voice.alignment"]
    assert found["verdict"] == "pass", found
    assert all(name in found["detail"] for name in ALIGNERS)
