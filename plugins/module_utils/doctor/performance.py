"""How fast this host computes, measured while nothing else of the doctor runs, and compared with what it did before.

Every number is a rate: the more the better. One that is far below the host's own median is reported, with the cause where one is found.
"""

from __future__ import annotations

import importlib
import json
import os
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ..records.model import ModelAnswer
from .arithmetic import device_of
from .base import Check, Context, Failed, Finding, Skipped, command
from .gpu import asked
from .rates import compared
from .worker import quiet

BUDGET = 0.6
"""Seconds for each number: a warm-up, and as many repetitions as fit."""
_SENTENCE = "The quick brown fox jumps over the lazy dog near the river bank."


def rate(run: Callable[[], Any], wait: Callable[[], Any], amount: float) -> float:
    """Amounts in a second, by the fastest of several repetitions: what disturbs only makes slower."""
    run()
    wait()
    best, end = float("inf"), time.monotonic() + BUDGET
    while True:
        began = time.monotonic()
        run()
        wait()
        best = min(best, time.monotonic() - began)
        if time.monotonic() > end:
            return amount / best


def _finding(context: Context, measured: Mapping[str, float]) -> Finding:
    shown = ", ".join(
        f"{value:.3g} {what.rpartition(', ')[2]} ({what.rpartition(', ')[0]})" for what, value in measured.items()
    )
    slow = compared(measured, context.spec.past)
    note = f"; slower than before: {'; '.join(slow)}; {causes(context)}" if slow else ""
    return Finding(shown + note, {"measured": dict(measured), **({"slower": slow} if slow else {})})


def causes(context: Context) -> str:
    """What may make a host slow, as far as it can be seen."""
    found = []
    load, cores = os.getloadavg()[0], len(os.sched_getaffinity(0))
    if load > 1.5 * cores:
        found.append(f"others work on this host (load {load:.1f} on {cores} cores)")
    if context.spec.accelerated:
        try:
            found += [f"{gpu.name} is held back by {' and '.join(gpu.slowed)}" for gpu in asked(context) if gpu.slowed]
        except Skipped:
            pass
    governors = {
        path.read_text(encoding="ascii").strip()
        for path in Path("/sys/devices/system/cpu").glob("cpu*/cpufreq/scaling_governor")
    }
    if governors == {"powersave"}:
        found.append("the processor's frequency governor is powersave")
    return "; ".join(found) or "no cause was found: compare gpu.state, gpu.power and the host's own load"


def _wait(torch: Any, device: str) -> Callable[[], Any]:
    torch.set_num_threads(len(os.sched_getaffinity(0)))  # no other check runs now
    wait: Callable[[], Any] = torch.cuda.synchronize if device == "cuda" else lambda: None
    return wait


def products(context: Context) -> Finding:
    """Matrix products by precision."""
    import torch

    device = device_of(context)
    size = 8192 if device == "cuda" else 1024
    kinds = ("float32", "tf32", "float16", "bfloat16") if device == "cuda" else ("float32", "bfloat16")
    measured = {}
    for kind in kinds:
        if device == "cuda":
            torch.backends.cuda.matmul.allow_tf32 = kind == "tf32"
        a = torch.randn(size, size, device=device).to(getattr(torch, "float32" if kind == "tf32" else kind))
        measured[f"matmul {kind}, TFLOP/s"] = rate(partial(torch.mm, a, a), _wait(torch, device), 2 * size**3 / 1e12)
    return _finding(context, measured)


def memory(context: Context) -> Finding:
    """Bytes that are read and written in a second."""
    import torch

    device = device_of(context)
    size = 2**30 if device == "cuda" else 2**26
    source, target = torch.ones(size // 4, device=device), torch.empty(size // 4, device=device)
    copied = rate(lambda: target.copy_(source), _wait(torch, device), 2 * size / 1e9)
    return _finding(context, {"memory, GB/s": copied})


def stft(context: Context) -> Finding:
    """Seconds of sound whose spectrum is computed in a second."""
    import torch

    device, seconds = device_of(context), 60
    sound, window = torch.randn(24000 * seconds, device=device), torch.hann_window(1024, device=device)
    done = rate(lambda: torch.stft(sound, 1024, 256, window=window, return_complex=True), _wait(torch, device), seconds)
    return _finding(context, {"STFT, times real time": done})


def codec(context: Context) -> Finding:
    """Seconds of sound that EnCodec encodes and decodes in a second, with random weights."""
    module = importlib.import_module(context.wants("encodec"))
    import torch

    device, seconds = device_of(context), 2
    model = module.EncodecModel.encodec_model_24khz(pretrained=False).eval().to(device)
    model.set_target_bandwidth(6.0)
    sound = torch.randn(1, 1, 24000 * seconds, device=device)
    with torch.inference_mode():
        done = rate(lambda: model.decode(model.encode(sound)), _wait(torch, device), seconds)
    return _finding(context, {"codec, times real time": done})


def speech(context: Context) -> Finding:
    """Seconds of speech that a model of this host makes in a second, and how often it could be loaded in a minute."""
    commands = [
        Path(speaker["command"])
        for speaker in context.spec.speakers
        if speaker["environment"] == context.spec.environment
    ]
    if not commands:
        raise Skipped("this environment has no model that speaks")
    path = context.scratch / "spoken.wav"
    ran = command([commands[0], "--text", _SENTENCE, "--out", path, "--json"], quiet(context), context.scratch)
    if ran.code:
        raise Failed(f"{commands[0].name} does not speak: {ran.tail}")
    made: ModelAnswer = json.loads(ran.out.splitlines()[-1])
    measured = {"speech, times real time": 1 / max(float(made["real_time_factor"] or 0.0), 1e-6)}
    if made["loading"]:
        measured["model, loads/min"] = 60 / float(made["loading"])
    return _finding(context, measured)


_TORCH = ("torch",)
CHECKS = (
    Check("performance.matmul", "matrix products", products, heavy=True, needs=_TORCH, cost=3.0, alone=True),
    Check("performance.memory", "memory bandwidth", memory, heavy=True, needs=_TORCH, cost=1.0, alone=True),
    Check("performance.stft", "spectra", stft, heavy=True, needs=_TORCH, cost=1.0, alone=True),
    Check("performance.codec", "a codec", codec, heavy=True, needs=("torch", "encodec"), cost=3.0, alone=True),
    Check("performance.speech", "speech", speech, heavy=True, cost=2.0, alone=True),
)
