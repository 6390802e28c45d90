"""CREPE's small network follows the pitch of a voice."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Callable

from .measure import PITCH
from .sound import Sound

DEVICES = ("cuda", "rocm", "cpu")
HOP = 256
# https://github.com/maxrmorrison/torchcrepe: what its periodicity says is noise below 0.21; half of it is a clear voice.
PERIODIC = 0.5


def load(files: Sequence[Path], device: str) -> Callable[[Sound], tuple[Any, Any, Any]]:
    """What gives times in seconds, hertz, and whether there is a voice, of a sound of 16000 Hz."""
    del files  # the package finds its own
    crepe = importlib.import_module("torchcrepe")
    import numpy
    import torch

    def pitch(sound: Sound) -> tuple[Any, Any, Any]:
        hertz, periodic = crepe.predict(
            torch.from_numpy(sound.samples)[None],
            sound.rate,
            hop_length=HOP,
            fmin=PITCH[0],
            fmax=PITCH[1],
            model="tiny",
            return_periodicity=True,
            device="cpu" if device == "cpu" else "cuda",
            batch_size=512,
        )
        times = numpy.arange(hertz.shape[-1]) * HOP / sound.rate
        return times, hertz[0].cpu().numpy(), periodic[0].cpu().numpy() > PERIODIC

    return pitch
