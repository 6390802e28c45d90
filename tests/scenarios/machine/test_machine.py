"""A real SSH host that shows what a recorded machine shows: what is found and planned, and what is installed and verified without its GPU."""

from __future__ import annotations

import json
from typing import Any

TORCH = {"torch": {"stack": "auto", "packages": ["torch", "torchaudio"]}}
# Where each expected fact stands in what was observed, of those that the host takes from the recording.
PLACES = {
    "kind": ("machine", "kind"),
    "l4t": ("machine", "l4t"),
    "jetpack": ("machine", "jetpack"),
    "driver": ("nvidia", "driver"),
    "cuda": ("nvidia", "cuda"),
    "rocm": ("rocm", "version"),
    "isa": ("cpu", "isa"),
}
GPU_FINDINGS = ("nvidia.", "amd.", "jetson.", "wsl.")


def test_the_machine_is_recognised(here: Any, recorded: dict[str, Any]) -> None:
    expected, seen = recorded["expected"], here.kept("observed.json")
    facts = {name: place for name, place in PLACES.items() if name in expected}
    assert {name: seen[a][b] for name, (a, b) in facts.items()} == {name: expected[name] for name in facts}
    gpus = zip(seen["accelerators"], expected["accelerators"], strict=True)
    assert [{key: gpu[key] for key in wanted} for gpu, wanted in gpus] == expected["accelerators"]
    findings = [found["id"] for found in seen["findings"] if found["id"].startswith(GPU_FINDINGS)]
    assert findings == expected["findings"]


def test_its_programs_are_of_the_architecture_that_is_planned_for(here: Any) -> None:
    machine = here.kept("observed.json")["cpu"]["architecture"]
    assert here.host.check_output("uname -m") == machine
    assert here.python("import os; print(os.uname().machine)", "speech") == machine
    libraries = here.root(
        "head -qc 20 /opt/wavesmith/envs/speech/current/lib/python3*/site-packages/numpy/_core/*.so | od -An -tx1 -v"
    )
    # e_machine of ELF, little-endian: EM_X86_64 is 62, EM_AARCH64 183.
    assert libraries.split()[18] == {"x86_64": "3e", "aarch64": "b7"}[machine]


def test_torch_is_planned_for_its_gpu(here: Any, recorded: dict[str, Any], tmp_path: Any) -> None:
    answer = here.play("playbooks/plan.yml", wavesmith_environments=TORCH, wavesmith_artifacts=str(tmp_path))
    refused = here.variables.get("testbed_refused", "")
    assert (answer.status == 0) != bool(refused) and refused in answer.said, answer.said
    plan = json.loads((tmp_path / here.name / "plan.json").read_text())
    (item,) = plan["environments"]
    python = here.host.check_output("/usr/bin/python3 -c 'import sys; print(\"python%d%d\" % sys.version_info[:2])'")
    variant = recorded["plan"]["variant"].partition("-")[2]
    assert (item["stack"], item["variant"]) == (recorded["plan"]["stack"], f"{python}-{variant}")


def test_what_is_provisioned_was_found_healthy(here: Any) -> None:
    verdict = here.verdict("speech")
    assert verdict["verdict"] == "healthy", [c for c in verdict["checks"] if c["verdict"] == "fail"]
    passed = {name for name, check in here.checks("speech").items() if check["verdict"] == "pass"}
    assert {"stack.imports", "native.libraries", "isolation.user_site", "audio.soundfile"} <= passed


def test_every_check_of_a_gpu_is_skipped_with_its_reason(here: Any) -> None:
    gpus = {name: check for name, check in here.checks("speech").items() if name.startswith("gpu.")}
    assert len(gpus) > 5 and {check["verdict"] for check in gpus.values()} == {"skip"}
    assert all(check["detail"] for check in gpus.values())
    assert any("computes on the CPU" in check["detail"] for check in gpus.values())


def test_its_packages_compute(here: Any) -> None:
    code = "import numpy, soundfile, soxr; print(len(soxr.resample(numpy.sin(numpy.arange(16000.0)), 16000, 24000)))"
    assert here.python(code, "speech") == "24000"
