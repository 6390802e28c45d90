"""Fleets as they would be kept after a run, made up but always the same."""

from __future__ import annotations

import random
from typing import Any

from ansible_collections.wavesmith.provision.plugins.module_utils.observe import probe
from ansible_collections.wavesmith.provision.plugins.module_utils.records.host import Gpu
from ansible_collections.wavesmith.provision.plugins.module_utils.records.run import WheelOfRun
from ansible_collections.wavesmith.provision.plugins.module_utils.records.wheel import WheelSpec

from .test_samples import SAMPLES

SEEN: Any = probe.observe(probe_root=str(SAMPLES / "zen4"))
"""What is observed of a real machine: the made up ones have the rest of it."""

CHECKS = [
    "host.disk", "host.memory", "isolation.user_site", "isolation.pythonpath", "isolation.pip_user", "isolation.libraries",
    "isolation.console_scripts", "stack.versions", "stack.imports", "stack.binaries", "stack.guard", "native.libraries",
    "native.ffmpeg", "native.espeak", "native.onnxruntime", "torch.computes", "torch.precisions", "torch.operations",
    "torch.collective", "gpu.state", "gpu.runtime", "gpu.triton", "gpu.compile", "audio.soundfile", "audio.resample",
    "voice.speak", "voice.mel", "voice.pitch", "voice.codec_encodec", "training.autocast", "training.accelerate", "models.files",
]  # fmt: skip
KINDS = [
    ("Ubuntu 24.04.3 LTS", "aarch64", "NVIDIA Thor", "11.0", "cuda13_0", "python312-cuda13_0-sm110-armv9"),
    ("Ubuntu 24.04.3 LTS", "aarch64", "NVIDIA GB10", "12.1", "cuda13_0", "python312-cuda13_0-sm121-armv9"),
    ("Debian GNU/Linux 12 (bookworm)", "x86_64", "NVIDIA H200", "9.0", "cuda13_0", "python311-cuda13_0-sm90-avx512"),
    ("Debian GNU/Linux 12 (bookworm)", "x86_64", "", "", "cpu", "python311-cpu-avx2"),
]
FAILURES = [
    ("gpu.triton", "fail", "ptxas fatal: Value 'sm_121a' is not defined for option 'gpu-name'", "let TRITON_PTXAS_PATH name the ptxas of CUDA 13"),
    ("native.libraries", "fail", "ctranslate2: libcublas.so.12 is not there", "choose a stack of CUDA 12, or build it from source"),
    ("stack.imports", "unjudged", "it did not answer within 270 s: it hung, in _lazy_init (__init__.py:314)", "run `wavesmith-doctor --only stack.imports`"),
    ("torch.computes", "fail", "<script>alert('x')</script> & \"quotes\" of a library", "update the driver"),
]  # fmt: skip


WHEELS = [("pyworld", "0.3.5"), ("monotonic-alignment-search", "0.2.1")]


def _wheel(name: str, version: str, variant: str) -> dict[str, Any]:
    key = f"{name}-{variant}"
    spec: WheelSpec = {
        "name": name, "version": version, "variant": variant, "source": {"kind": "index", "name": name, "digest": "0", "urls": []},
        "patches": {}, "build_lock": "", "system_packages": [], "environment": {}, "commands": [], "smoke": "", "memory_gib": 1.0, "seconds": 60,
        "contents": {"extensions": [], "modules": [], "sass": [], "not_cpu_only": False}, "compiler": "gcc 13.3.0", "cuda": "", "cuda_home": "",
        "against": [], "python": "/usr/bin/python3", "key": key,
    }  # fmt: skip
    return {"name": name, "version": version, "key": key, "status": "hit", "seconds": 60, "spec": spec}


def wheels(hosts: int) -> list[WheelOfRun]:
    """How they had their wheels: the first host of each kind built them, the others got them; the next run found them there."""
    found: list[WheelOfRun] = []
    for run in range(2):
        for number in range(hosts):
            variant = KINDS[number % 4][5]
            for name, version in WHEELS:
                how: Any = "there" if run else "built" if number < 4 else "brought"
                seconds = 40.0 * (number + 1) if how == "built" else None
                known = _wheel(name, version, variant)["key"]
                found.append(
                    {
                        "key": known,
                        "name": name,
                        "version": version,
                        "variant": variant,
                        "how": how,
                        "seconds": seconds,
                        "host": name_of(number),
                        "at": float(run),
                    }
                )
    return found


def kept(hosts: int) -> dict[str, dict[str, Any]]:
    """What is kept of a fleet, by host."""
    drawn = random.Random(hosts)
    return {name_of(n): _host(n, drawn) for n in range(hosts)}


def name_of(number: int) -> str:
    return f"{('thor', 'spark', 'rack', 'desk')[number % 4]}{number:03}"


def _host(number: int, drawn: random.Random) -> dict[str, Any]:
    system, machine, gpu, sm, stack, variant = KINDS[number % 4]
    names = ("speech", "voice", "ears")[: 1 + number % 3]
    broken = {name: drawn.choice(FAILURES) for name in names if drawn.random() < 0.06}
    accelerators: list[Gpu] = []
    if gpu:
        accelerators = [
            {"name": gpu, "vendor": "nvidia", "sm": sm, "gfx": None, "memory": None, "source": "nvidia-smi"}
        ]
    environments, stored, rows = [], {}, []
    for name in names:
        generations = [
            {"name": f"{drawn.getrandbits(64):016x}", "created": 1.7e9 + 1e6 * n, "exit": 0, "complete": True}
            for n in range(3)
        ]
        generation = generations[-1]["name"]
        environments.append(
            {
                "name": name,
                "stack": stack,
                "stack_why": f"{gpu or 'no accelerator'} was found",
                "considered": [{"stack": "cuda12_8", "taken": False, "why": "it has no code for this GPU"}],
                "variant": variant,
                "versions": {"torch": "2.11.0", "torchaudio": "2.11.0"},
                "wheels": [_wheel(wheel, version, variant) for wheel, version in WHEELS if name == "speech"],
            }
        )
        verdict = _verdict(broken.get(name), bool(gpu), number, drawn)
        current = {"generation": generation, "damage": [], "damaged": 0, "manifest": None, "verdict": verdict}
        stored[name] = {"current": current, "generations": generations}
        rows.append(
            {
                "environment": name,
                "generation": generation,
                "stack": stack,
                "changes": [],
                "overrides": [],
                "verdict": verdict,
            }
        )
    history = {
        name: {one["name"]: {"torch": f"2.{9 + n}.0", "numpy": "2.3.0"} for n, one in enumerate(entry["generations"])}
        for name, entry in stored.items()
    }
    refusals = (
        [{"item": "disk of /opt", "problem": "3 GiB are free, 7 are needed", "remedy": "prune"}]
        if number % 97 == 96
        else []
    )
    return {
        "plan": {"environments": environments, "refusals": refusals, "warnings": []},
        "observed": {
            "os": {**SEEN["os"], "pretty_name": system},
            "cpu": {
                **SEEN["cpu"],
                "architecture": machine,
                "model": "Neoverse-V3AE" if machine == "aarch64" else "EPYC 9654",
                "cores": 14,
            },
            "machine": {**SEEN["machine"], "kind": "bare metal", "model": gpu or "workstation"},
            "accelerators": accelerators,
            "environments": stored,
        },
        "report": {
            "schema": 1,
            "host": name_of(number),
            "root": "/opt/wavesmith",
            "environments": rows,
            "warnings": ["the package index answered slowly"] if number % 11 == 0 else [],
        },
        "history": history,
        "evidence": {},
    }


def _verdict(broken: Any, gpu: bool, number: int, drawn: random.Random) -> dict[str, Any]:
    checks = []
    for name in CHECKS:
        verdict, detail, remedy = (
            "pass",
            f"{name} is as it should be: {drawn.randrange(100, 999)} things agree within 1e-06",
            "",
        )
        if name.startswith("gpu.") and not gpu:
            verdict, detail = "skip", "this environment computes on the CPU"
        if broken and broken[0] == name:
            _, verdict, detail, remedy = broken
        checks.append(
            {
                "id": name,
                "title": name,
                "verdict": verdict,
                "detail": detail,
                "remedy": remedy,
                "seconds": drawn.random() * 3,
            }
        )
    kinds = {check["verdict"] for check in checks}
    outcome = "failed" if "fail" in kinds else "unjudged" if "unjudged" in kinds else "healthy"
    slow = 0.4 if number % 41 == 8 else 1.0
    measured = {
        "matmul bfloat16, TFLOP/s": slow * (100 + drawn.random() * 8),
        "memory, GB/s": slow * (250 + drawn.random() * 9),
    }
    exits = {"healthy": 0, "failed": 1, "unjudged": 2}
    return {
        "schema": 1,
        "verdict": outcome,
        "exit": exits[outcome],
        "seconds": 11.0,
        "checks": checks,
        "performance": measured,
    }
