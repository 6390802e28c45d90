"""Sounds as they are handed to models and come from them: WAV files in, WAV files out."""

from __future__ import annotations

import importlib
import sys
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Sound:
    """A mono sound.

    Attributes:
        rate: Hertz.
        samples: A one-dimensional numpy array of float32 between -1 and 1.
    """

    rate: int
    samples: Any

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return len(self.samples) / self.rate


def read(path: Path, rate: int = 0) -> Sound:
    """Read a 16-bit WAV, channels mixed into one; at `rate` hertz where that is given.

    Raises:
        ValueError: it is no such file, or no resampler is in the environment.
    """
    import numpy

    if not path.is_file():
        what = "is a folder" if path.is_dir() else "is not there"
        raise ValueError(f"{path} {what}. Remedy: name the WAV to read")
    try:
        with wave.open(str(path), "rb") as source:
            width, channels, own = source.getsampwidth(), source.getnchannels(), source.getframerate()
            data = source.readframes(source.getnframes())
    except (OSError, EOFError, wave.Error) as error:
        raise ValueError(
            f"{path} cannot be read as WAV: {str(error) or 'it ends too early'}. Remedy: ffmpeg -i {path} -c:a pcm_s16le out.wav"
        ) from error
    if width != 2:
        raise ValueError(f"{path} has {8 * width} bits. Remedy: ffmpeg -i {path} -c:a pcm_s16le out.wav")
    samples = numpy.frombuffer(data, "<i2").reshape(-1, channels).astype("float32").mean(axis=1) / 32768
    return resampled(Sound(own, samples), rate) if rate else Sound(own, samples)


def resampled(sound: Sound, rate: int) -> Sound:
    """The sound at another rate, in hertz.

    Raises:
        ValueError: it has to be resampled, and soxr is not in the environment.
    """
    if sound.rate == rate:
        return sound
    try:
        soxr = importlib.import_module("soxr")
    except ImportError:
        raise ValueError(f"the sound has {sound.rate} Hz. Remedy: give one of {rate} Hz") from None
    return Sound(rate, soxr.resample(sound.samples, sound.rate, rate))


def write(path: Path, sound: Sound) -> None:
    """Write 16-bit mono WAV. Samples are floats between -1 and 1; whole numbers are refused, because they would be clipped into noise.

    Raises:
        ValueError: the samples are no floats.
    """
    import numpy

    samples = numpy.asarray(sound.samples)
    if samples.dtype.kind != "f":
        raise ValueError(f"samples of type {samples.dtype} are no floats between -1 and 1")
    values = numpy.clip((samples * 32768).round(), -32768, 32767).astype("int16")
    if sys.byteorder == "big":
        values = values.byteswap()
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(sound.rate)
        out.writeframes(values.tobytes())
