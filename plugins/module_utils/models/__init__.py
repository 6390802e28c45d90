"""Run a model in its environment, and measure what it gives.

In: a generation with its manifest, and a command line. Out: a WAV, a text or a table, with its device, speed and measures. It travels
into each generation that has models, and runs under that generation's interpreter. Asked by ``wavesmith-run`` and the
doctor. A file named after a model runs it (see `run`);
packages of the environment are imported there only.
"""

from __future__ import annotations

from collections.abc import Sequence

TOUCHES_THE_WORLD: tuple[str, ...] = (
    "adapters",
    "amphion",
    "diffrhythm2",
    "dualcodec",
    "kept",
    "fallback",
    "fish_speech",
    "fish_speech_s1",
    "given",
    "keys",
    "maskgct",
    "metis",
    "offline",
    "openvoice",
    "piper_demo",
    "place",
    "run",
    "scratch",
    "serve",
    "sherpa_ctc",
    "sherpa_onnx",
    "silero_vad",
    "sound",
    "swift_f0",
    "torchcrepe",
    "vevo",
    "whisper_tiny",
)
"""The files here that do I/O; the others are pure."""


def main(argv: Sequence[str]) -> int:
    """Run one model; see `run.main`. It is loaded only now: others want a part of this room alone."""
    from .run import main as run

    return run(argv)
