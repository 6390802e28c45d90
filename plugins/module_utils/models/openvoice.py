"""OpenVoice v2 gives a recording the tone of another voice."""

from __future__ import annotations

import importlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Callable

from . import keys
from .adapters import watermark_from
from .sound import Sound

DEVICES = ("cuda", "rocm", "cpu")
LEAST = 1.0
"""Seconds of a voice below which its tone says nothing."""


def load(files: Sequence[Path], device: str) -> Callable[..., Sound]:
    """What converts a sound; `files` are its checkpoint, its configuration and the watermark's weights."""
    made = converter(files, device)

    def convert(sound: Sound, voice: Sound | None = None) -> Sound:
        if voice is None:
            raise ValueError("openvoice converts to the voice of a recording. Remedy: give a WAV of it with --voice")
        if voice.seconds < LEAST:
            raise ValueError(f"the voice lasts {voice.seconds:.2f} s. Remedy: give {LEAST:g} s of it or more")
        own, other = (made.extract_se([file(part)]) for part in (sound, voice))
        return Sound(made.hps.data.sampling_rate, made.convert(file(sound), own, other))

    return convert


def converter(files: Sequence[Path], device: str) -> Any:
    """Upstream's converter with its weights.

    Raises:
        Unusable: they are not the ones of this model.
    """
    checkpoint, configuration, watermark = (str(file) for file in files)
    api = importlib.import_module("openvoice.api")
    watermark_from(watermark)
    with keys.exact():
        made = api.ToneColorConverter(configuration, device="cpu" if device == "cpu" else "cuda:0")
        made.load_ckpt(checkpoint)
    return made


def file(sound: Sound) -> Any:
    """A sound as the file that upstream reads, in floats: nothing is rounded."""
    written = io.BytesIO()
    importlib.import_module("soundfile").write(written, sound.samples, sound.rate, "FLOAT", format="WAV")
    written.seek(0)
    return written
