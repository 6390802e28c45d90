"""Piper speaks. It is under the GPL, so it is loaded in a process of its own only, which gives a WAV."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Callable

from .sound import Sound

DEVICES = ("cpu",)
OPTIONS = ()
"""It has the one voice that its weights are."""


def load(files: Sequence[Path], device: str) -> Callable[[str], Sound]:
    """What speaks a text; `files` is the voice and its settings."""
    del device
    piper = importlib.import_module("piper")
    import numpy

    voice = piper.PiperVoice.load(str(files[0]), config_path=str(files[1]))

    def speak(text: str) -> Sound:
        parts = [chunk.audio_float_array for chunk in voice.synthesize(text)]
        return Sound(voice.config.sample_rate, numpy.concatenate(parts).astype("float32"))

    return speak
