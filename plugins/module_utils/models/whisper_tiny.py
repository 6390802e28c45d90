"""Whisper tiny.en transcribes speech."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Callable

from .sound import Sound

DEVICES = ("cpu",)


def load(files: Sequence[Path], device: str) -> Callable[[Sound], str]:
    """What writes down a sound of 16000 Hz; the files lie in one folder."""
    whisper = importlib.import_module("faster_whisper")
    model = whisper.WhisperModel(str(files[0].parent), device=device, compute_type="int8", local_files_only=True)

    def transcribe(sound: Sound) -> str:
        # At temperature 0 only: a second guess at a higher one would be another answer at each run.
        segments, _info = model.transcribe(sound.samples, language="en", beam_size=5, temperature=0.0)
        return " ".join(segment.text.strip() for segment in segments)

    return transcribe
