"""SwiftF0 follows the pitch of a voice."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Callable

from .measure import PITCH
from .sound import Sound

DEVICES = ("cpu",)


def load(files: Sequence[Path], device: str) -> Callable[[Sound], tuple[Any, Any, Any]]:
    """What gives times in seconds, hertz, and whether there is a voice, of a sound of 16000 Hz."""
    del files, device  # the package finds its own
    detector = importlib.import_module("swift_f0").SwiftF0()

    def pitch(sound: Sound) -> tuple[Any, Any, Any]:
        found = detector.detect(sound.samples, sound.rate, fmin=PITCH[0], fmax=PITCH[1])
        return found.timestamps, found.pitch_hz, found.confidence >= 0.5

    return pitch
