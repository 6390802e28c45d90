"""What a user hands to a model, looked at before the model is loaded: refused with the item and the remedy where nothing can come of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from . import measure
from .kept import Unusable
from .sound import Sound, read

if TYPE_CHECKING:  # this room travels without that one
    from ..records.model import Gives

SILENT = -60.0
"""dBFS below which nothing is heard."""
LOOKED_AT = 60.0
"""Seconds up to which a sound is compared with noise; a longer one takes too long."""


def text(said: str) -> None:
    """Refuse a text in which there is nothing to speak.

    Raises:
        Unusable: it has no letter and no digit.
    """
    if not any(char.isalnum() for char in said):
        raise Unusable(f"--text {said!r}: there is no letter or digit in it. Remedy: give it words")


def sound(path: Path, rate: int) -> Sound:
    """A sound that was named on the command line, at `rate` hertz.

    Raises:
        Unusable, ValueError: it cannot be read, or holds no sample.
    """
    heard = read(path, rate)
    if not len(heard.samples):
        raise Unusable(f"{path} holds no sound: its length is 0 s. Remedy: record it again, or name another WAV")
    return heard


def doubt(path: Path, heard: Sound) -> str:
    """Why what a model writes down of a sound means little: models of speech hear words in silence and noise; empty where there is none."""
    measured = measure.measure(heard.samples[: int(LOOKED_AT * heard.rate)], heard.rate)
    if heard.seconds <= LOOKED_AT and measured["rms"] < SILENT:
        return f"{path} is silent ({measured['rms']:.0f} dBFS): words that are found in it were not said"
    if heard.seconds <= LOOKED_AT and measured["flatness"] > measure.FLATNESS and measured["voiced"] < measure.VOICED:
        return f"{path} sounds like noise, not like speech: words that are found in it were not said"
    return ""


def place_for(out: Path, gives: Gives) -> None:
    """Refuse a file that cannot be written, before anything is computed for it.

    Raises:
        Unusable: it is a folder, its folder is not there or closed, or its name asks for another format than is written.
    """
    where = out.absolute().parent
    if out.is_dir():
        raise Unusable(f"--out {out} is a folder. Remedy: name a file in it, such as {out / 'out.wav'}")
    if not where.is_dir():
        raise Unusable(f"--out {out}: there is no folder {where}. Remedy: mkdir -p {where}, or name another")
    if not os.access(out if out.exists() else where, os.W_OK):
        raise Unusable(f"--out {out}: this user may not write there. Remedy: name a file in a folder of yours")
    if gives == "sound" and out.suffix.lower() not in (".wav", ".wave", ""):
        raise Unusable(
            f"--out {out}: only WAV is written. Remedy: --out {out.with_suffix('.wav')}, then ffmpeg -i {out.with_suffix('.wav')} {out}"
        )
