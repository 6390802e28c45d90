"""Evidence that a person can hear and see: WAV files and a PNG of spectrograms, written with the standard library."""

from __future__ import annotations

import array
import math
import struct
import sys
import wave
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Five colours from dark to bright; what lies between them is mixed.
COLOURS = ((4, 5, 24), (62, 18, 96), (160, 40, 95), (238, 108, 50), (252, 246, 170))
GAP = 6


def write_tone(path: Path, rate: int, frequency: float, seconds: float) -> None:
    """Write a sine as 16-bit mono WAV; `rate` and `frequency` in hertz."""
    step = 2 * math.pi * frequency / rate
    write_wav(path, rate, [0.5 * math.sin(step * n) for n in range(int(rate * seconds))])


def write_wav(path: Path, rate: int, samples: Sequence[float]) -> None:
    """Write samples between -1 and 1 as 16-bit mono WAV; what lies beyond is clipped."""
    values = array.array("h", (int(max(-1.0, min(1.0, sample)) * 32767) for sample in samples))
    if sys.byteorder == "big":
        values.byteswap()
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(values.tobytes())


def read_wav(path: Path) -> tuple[int, array.array[int]]:
    """Read a 16-bit mono WAV: its rate in hertz and its samples.

    Raises:
        ValueError: When it is neither 16-bit nor mono.
    """
    with wave.open(str(path), "rb") as source:
        if source.getsampwidth() != 2 or source.getnchannels() != 1:
            raise ValueError(f"{path.name} is not 16-bit mono")
        values = array.array("h", source.readframes(source.getnframes()))
        rate = source.getframerate()
    if sys.byteorder == "big":
        values.byteswap()
    return rate, values


def png(rows: Sequence[bytes], width: int) -> bytes:
    """Encode rows of `width` RGB pixels as PNG (RFC 2083, 8 bits a channel, no filter)."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    if any(len(row) != 3 * width for row in rows):
        raise ValueError("a row of the picture has the wrong length")
    header = struct.pack(">IIBBBBB", width, len(rows), 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows), 6)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def palette() -> list[bytes]:
    """256 RGB colours from dark to bright."""
    colours = []
    for level in range(256):
        place = level / 255 * (len(COLOURS) - 1)
        left = min(int(place), len(COLOURS) - 2)
        share = place - left
        colours.append(bytes(round(a + (b - a) * share) for a, b in zip(COLOURS[left], COLOURS[left + 1])))
    return colours


def panel(levels: Sequence[Sequence[int]], width: int) -> list[bytes]:
    """Rows of RGB pixels of one panel: `levels` is rows of values 0 to 255, stretched to `width` pixels."""
    colours = palette()
    return [b"".join(colours[row[column * len(row) // width]] for column in range(width)) for row in levels]


def spectrogram_levels(samples: Any, rate: int, height: int = 160, top: float = 8000.0) -> list[list[int]]:
    """Log magnitudes of a signal as rows of 0 to 255, the highest frequency (`top` hertz) first; 80 dB deep.

    Args:
        samples: A one-dimensional numpy array of floats.
    """
    import numpy

    size, hop = 1024, max(1, rate // 100)
    signal = numpy.pad(numpy.asarray(samples, dtype="float64"), (0, size))
    starts = range(0, len(signal) - size + 1, hop)
    frames = numpy.stack([signal[start : start + size] for start in starts]) * numpy.hanning(size)
    power = 20 * numpy.log10(numpy.abs(numpy.fft.rfft(frames, axis=1)) + 1e-9)
    bins = numpy.linspace(min(top, rate / 2) / rate * size, 0, height).round().astype(int)
    shown = power[:, bins].T
    levels = numpy.clip((shown - (shown.max() - 80)) / 80 * 255, 0, 255).astype(int)
    rows: list[list[int]] = levels.tolist()
    return rows


def write_spectrograms(path: Path, signals: Sequence[tuple[int, Any]], width: int = 960) -> None:
    """Write one PNG: a spectrogram for each (rate, samples), one below the other."""
    rows: list[bytes] = []
    for rate, samples in signals:
        if rows:
            rows += [bytes((255, 255, 255)) * width] * GAP
        rows += panel(spectrogram_levels(samples, rate), width)
    path.write_bytes(png(rows, width))
