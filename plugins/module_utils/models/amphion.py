"""What the runners of Amphion's models have in common: their files, the devices, and a WAV for what reads paths only."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from . import sound
from .kept import Unusable
from .sound import Sound

DEVICES = ("cuda", "rocm", "cpu")
RATE = 24000
"""Hertz of all that these models give."""


def find(files: Sequence[Path], path: str) -> Path:
    """The file of weights whose path in its repository is `path`.

    Raises:
        Unusable: there is none.
    """
    for file in files:
        if file.as_posix().endswith(f"/{path}"):
            return file
    raise Unusable(f"{path} is not among the weights. Remedy: add it to the entry in catalog/weights/")


def torch_device(device: str) -> str:
    """What torch calls a device; its build for ROCm says ``cuda`` too."""
    return "cpu" if device == "cpu" else "cuda"


@contextmanager
def as_file(heard: Sound) -> Iterator[str]:
    """The path of a WAV with a sound, for as long as it is needed."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sound.wav"
        sound.write(path, heard)
        yield str(path)


def prompt(voice: Sound | None, voice_text: str) -> tuple[Sound, str]:
    """The voice to speak with and what it says; these models want both.

    Raises:
        ValueError: one of them is missing.
    """
    if voice is None or not voice_text.strip():
        raise ValueError(
            "it speaks with the voice of a recording and wants to know what that says. "
            'Remedy: add --voice WAV --voice-text "what it says"'
        )
    return voice, voice_text


def length(seconds: str) -> float | None:
    """Seconds to speak; `None` where that is left to the model.

    Raises:
        ValueError: it is no such number.
    """
    if not seconds:
        return None
    try:
        wanted = float(seconds)
    except ValueError:
        wanted = 0.0
    if not 0 < wanted <= 60:
        raise ValueError(f"--seconds {seconds} is no length. Remedy: a number above 0, and at most 60")
    return wanted


def language(text: str, able: Sequence[str] = ("zh", "en", "ja", "ko", "fr", "de")) -> str:
    """The language of a text by its script and by langid, among those that are spoken; English where it is none of them."""
    found = str(importlib.import_module("langid").classify(text)[0])
    return found if found in able else "en"
