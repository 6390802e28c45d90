"""sherpa-onnx finds where there is speech, with Silero's network in ONNX."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Callable

from .sound import Sound

# Its wheel of the index computes on the CPU whatever it is asked for, and says so in one line on stderr only.
DEVICES = ("cpu",)


def load(files: Sequence[Path], device: str) -> Callable[[Sound], list[tuple[float, float]]]:
    """What gives the seconds in which a sound of 16000 Hz is speech."""
    sherpa = importlib.import_module("sherpa_onnx")
    config = sherpa.VadModelConfig()
    config.silero_vad.model = str(files[0])
    config.silero_vad.min_silence_duration = 0.25
    config.provider = device

    def segments(sound: Sound) -> list[tuple[float, float]]:
        config.sample_rate = sound.rate
        detector = sherpa.VoiceActivityDetector(config, buffer_size_in_seconds=60)
        step = config.silero_vad.window_size
        for start in range(0, len(sound.samples) - step + 1, step):
            detector.accept_waveform(sound.samples[start : start + step])
        detector.flush()
        found = []
        while not detector.empty():
            part = detector.front
            found.append((part.start / sound.rate, (part.start + len(part.samples)) / sound.rate))
            detector.pop()
        return found

    return segments
