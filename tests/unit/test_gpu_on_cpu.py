"""What the checks of a GPU compute, computed on the CPU by the same code, in an environment that was really provisioned."""

from __future__ import annotations

import json
import subprocess

import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.doctor import gpu
from ansible_collections.wavesmith.provision.plugins.module_utils.doctor.worker import START

from .lab import Given, Lab, really

CALL = START.replace('sys.exit(importlib.import_module("wavesmith_rooms.doctor").main(argv))', "")
ON_CPU = {
    "gpu.triton": """
import os; os.environ["TRITON_INTERPRET"] = "1"
import pathlib, torch
print(gpu.doubled(torch, "cpu", pathlib.Path(argv[0])))
""",
    "gpu.compile": "import torch; print(gpu.fused(torch, 'cpu'))",
    "gpu.onnxruntime": "import onnxruntime; print(gpu.provided(onnxruntime, 'CPUExecutionProvider'))",
    "gpu.ctranslate2": "import ctranslate2; print(gpu.moved(ctranslate2, 'cpu'))",
}
"""By check: its body with the CPU in place of the GPU. gpu.state and gpu.power read what programs print (test_doctor_groups.py)."""
SAME_BODY = (
    "torch.computes",
    "torch.precisions",
    "torch.operations",
    "torch.collective",
    "training.autocast",
    "training.accelerate",
)
"""Checks whose body takes the environment's device: what runs here on the CPU is what runs there on the GPU."""


@really
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gpu.triton", "True)"),
        ("gpu.compile", "0.0"),
        ("gpu.onnxruntime", "['CPUExecutionProvider']"),
        ("gpu.ctranslate2", "'float32'"),
    ],
)
def test_the_body_of_a_check_of_the_gpu_computes_on_the_cpu(lab: Lab, name: str, said: str) -> None:
    code = f"{CALL}\ngpu = importlib.import_module('wavesmith_rooms.doctor.gpu')\n{ON_CPU[name]}"
    rooms = str(lab.prefix / "wavesmith/doctor/rooms")
    argv = [str(lab.prefix / "bin/python"), "-W", "ignore", "-c", code, rooms, str(lab.work)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    if name == "gpu.compile":
        assert float(done.stdout) < 1e-3
    else:
        assert said in done.stdout


@really
def test_what_computes_by_the_device_of_the_environment_computes_here(lab: Lab) -> None:
    found = lab.judge(Given(), *SAME_BODY)
    assert {name: found[name]["verdict"] for name in SAME_BODY} == dict.fromkeys(SAME_BODY, "pass"), json.dumps(found)


def test_every_check_of_the_gpu_has_a_place_where_its_code_runs_without_one() -> None:
    parsed = {
        "gpu.state",
        "gpu.power",
        "gpu.runtime",
        "gpu.sherpa_onnx",
    }  # no computation: tried with what they are told
    only_there = {"gpu.nvrtc"}  # torch's jiterator compiles for GPUs only
    assert {check.id for check in gpu.CHECKS} == {*ON_CPU, *parsed, *only_there}
