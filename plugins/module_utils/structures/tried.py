"""What the structures of several models have in common: speech to work on, random weights, other precisions, a GPU, a step of training."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..doctor.base import Context, Failed, Skipped
from ..models import sound

GPU_ERROR = 1e-3
"""How far a forward in fp32 on a GPU may be from the CPU's, relative to the largest value."""
LOSS = 0.02
"""How far the first loss of random weights may be from that of guessing, relative to it."""


def speech(context: Context, rate: int, seconds: float) -> sound.Sound:
    """Seconds of what espeak-ng spoke, at a rate in hertz.

    Raises:
        Skipped: there is none.
    """
    path = context.evidence / "speech-24000.wav"
    if not path.is_file():
        raise Skipped("voice.resample gave no speech at 24000 Hz")
    heard = sound.read(path, rate)
    return sound.Sound(rate, heard.samples[: int(rate * seconds)])


def cached(store: Path, repository: str, files: Mapping[str, Callable[[Path], object]]) -> list[Path]:
    """Files of a repository as a hub's cache keeps them, below `store`: each function writes one. Their paths, in that order."""
    folder, revision = store / f"models--{repository.replace('/', '--')}", "0" * 40
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(revision, encoding="utf-8")
    (folder / "blobs").mkdir()
    found = []
    for count, (name, write) in enumerate(files.items()):
        blob, path = folder / "blobs" / f"{count:064x}", folder / "snapshots" / revision / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write(blob)
        path.symlink_to(Path(*[".."] * len(path.parent.relative_to(folder).parts), "blobs", blob.name))
        found.append(path)
    return found


def halves(forward: Callable[[], Any], device: str = "cpu") -> list[str]:
    """The half precisions in which a forward under autocast gives finite numbers.

    Raises:
        Failed: it does not in one.
    """
    torch = importlib.import_module("torch")
    done = []
    for kind in ("bfloat16", "float16"):
        with torch.no_grad(), torch.autocast(device, getattr(torch, kind)):
            result = forward()
        if not bool(torch.isfinite(result.float()).all()):
            raise Failed(f"under autocast in {kind} it gives what is no number")
        done.append(kind)
    return done


def accelerators() -> list[str]:
    """``cuda`` where torch sees a GPU, of NVIDIA or of AMD."""
    torch = importlib.import_module("torch")
    return ["cuda"] if torch.cuda.is_available() else []


def on_gpu(forward: Callable[[str], Any]) -> str:
    """Compare a forward in fp32 on the GPU with the CPU's; what to say of it.

    Args:
        forward: Gives a tensor, computed on the device that it is given, of the same weights and noise each time.

    Raises:
        Failed: they differ, or the GPU's was not computed there.
    """
    if not accelerators():
        return "no GPU is here to compare with"
    torch = importlib.import_module("torch")
    with torch.no_grad():
        here, there = forward("cpu"), forward("cuda")
    if there.device.type != "cuda":
        raise Failed(f"what was asked of the GPU was computed on {there.device.type}")
    off = far(here, there.cpu())
    if not off <= GPU_ERROR:
        raise Failed(f"the GPU is off by {off:.2g} of the largest value (allowed {GPU_ERROR:g})")
    return f"the GPU agrees within {off:.2g}"


def far(one: Any, other: Any) -> float:
    """The largest difference of two tensors, relative to the largest value; infinite where the shapes differ."""
    if one.shape != other.shape:
        return math.inf
    return float((one - other).abs().max() / one.abs().max().clamp_min(1e-12))


def step(module: Any, loss: Callable[[Any], Any], choices: int) -> dict[str, float]:
    """One step of training under accelerate in bf16: the loss of random weights is that of guessing, and all gradients are numbers.

    Args:
        loss: Gives the cross entropy of the module, prepared by accelerate.
        choices: Between how many is chosen.

    Raises:
        Failed: it is not so.
    """
    torch = importlib.import_module("torch")
    accelerate = importlib.import_module("accelerate")
    worker = accelerate.Accelerator(mixed_precision="bf16", cpu=not accelerators())
    module, optimizer = worker.prepare(module, torch.optim.AdamW(module.parameters(), lr=1e-4))
    module.train()
    found, guessed = loss(module), math.log(choices)
    worker.backward(found)
    gradients = [value.grad for value in module.parameters() if value.grad is not None]
    optimizer.step()
    evidence = {"loss": round(float(found), 4), "loss of guessing": round(guessed, 4), "gradients": len(gradients)}
    if not abs(evidence["loss"] / guessed - 1) <= LOSS:
        raise Failed(f"the loss of random weights is {float(found):.3f}, not near {guessed:.3f}", "", evidence)
    if not gradients or not all(bool(torch.isfinite(value).all()) for value in gradients):
        raise Failed("gradients are missing or are no numbers", "", evidence)
    return evidence


def judged(problems: Mapping[str, bool], evidence: Mapping[str, object]) -> None:
    """Fail with the first sentence that is true."""
    for problem, is_so in problems.items():
        if is_so:
            raise Failed(problem, "", evidence)


def finite(samples: Any) -> bool:
    """Whether all samples, of numpy, are numbers."""
    return bool(importlib.import_module("numpy").isfinite(samples).all())


def equal(one: Any, other: Any) -> bool:
    """Whether two rows of samples, of numpy, are the same."""
    return bool(importlib.import_module("numpy").array_equal(one, other))
