"""sherpa-onnx writes down what is said, with a recogniser of NeMo's kind (CTC)."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Callable

from .fallback import no_fallback
from .sound import Sound

# Its wheel of the index computes on the CPU whatever it is asked for (`fallback.no_fallback`).
DEVICES = ("cpu",)


def load(files: Sequence[Path], device: str) -> Callable[[Sound], str]:
    """What writes down a sound of 16000 Hz; `files` are the network and its tokens."""
    made = recogniser(files, device)

    def transcribe(sound: Sound) -> str:
        return str(heard(made, sound).text).strip()

    return transcribe


def recogniser(files: Sequence[Path], device: str) -> Any:
    """Upstream's recogniser.

    Raises:
        Unusable: it would compute elsewhere than it was asked to.
    """
    sherpa = importlib.import_module("sherpa_onnx")
    model, tokens = (str(file) for file in files)
    with no_fallback("sherpa-onnx", device):
        return sherpa.OfflineRecognizer.from_nemo_ctc(model=model, tokens=tokens, provider=device)


def heard(recogniser: Any, sound: Sound) -> Any:
    """What it makes of a sound: text, tokens and their times."""
    stream = recogniser.create_stream()
    stream.accept_waveform(sound.rate, sound.samples)
    recogniser.decode_stream(stream)
    return stream.result
