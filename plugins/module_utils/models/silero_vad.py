"""Silero's voice activity detector finds where there is speech."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Callable

from .sound import Sound

DEVICES = ("cpu",)


def load(files: Sequence[Path], device: str) -> Callable[[Sound], list[tuple[float, float]]]:
    """What gives the seconds in which a sound of 16000 Hz is speech."""
    silero = importlib.import_module("silero_vad")
    import torch

    model = torch.jit.load(str(files[0]), map_location=device).eval()

    def segments(sound: Sound) -> list[tuple[float, float]]:
        found = silero.get_speech_timestamps(torch.from_numpy(sound.samples), model, sampling_rate=sound.rate)
        return [(part["start"] / sound.rate, part["end"] / sound.rate) for part in found]

    return segments
