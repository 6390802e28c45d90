"""Measures of a sound that tell speech from noise, silence and broken files; samples are one-dimensional numpy arrays between -1 and 1."""

from __future__ import annotations

import math
import re
from typing import Any

FRAME = 0.04
"""Seconds of one frame."""
PITCH = (60.0, 400.0)
"""Hertz between which a voice is looked for."""
RMS = (-45.0, -10.0)
"""dBFS between which the level of speech has to be."""
CLIPPED, FLATNESS, VOICED, STEADY = 0.001, 0.3, 0.25, 0.8
"""At most so many samples at the limit, so flat a spectrum; at least so many loud frames with a pitch, so steady an envelope."""
DISTANCE, COPIED_PITCH = 10.0, 0.05
"""At most so many dB between a sound and what a codec makes of it, and so far a pitch off. Of espeak-ng's speech Opus at 6 kbit/s is 5.9 dB away
and MP3 at 8 kbit/s 9.0; the same speech a second later is 15.7, in shuffled pieces 16.4, and noise 22.9."""
LOUDEST, MOVING = -5.0, 0.5
"""dBFS up to which music is; its envelope moves, less steadily than a voice's: drums begin at once."""
SPEED = (8.5, 22.0)
"""Letters a second between which English is read aloud."""


def word_errors(said: str, heard: str) -> float:
    """Word error rate: words to change, drop and add, over the words that were said."""
    wanted, found = (re.findall(r"[^\W_]+(?:'[^\W_]+)?", text.lower()) for text in (said, heard))
    row = list(range(len(found) + 1))
    for count, word in enumerate(wanted, 1):
        before, row[0] = row[0], count
        for place, other in enumerate(found, 1):
            before, row[place] = row[place], min(before + (word != other), row[place] + 1, row[place - 1] + 1)
    return row[-1] / max(len(wanted), 1)


def decibels(ratio: float) -> float:
    """A ratio of amplitudes in dB; -200 for silence."""
    return 20 * math.log10(max(ratio, 1e-10))


def measure(samples: Any, rate: int) -> dict[str, float]:
    """The measures of a mono sound at `rate` hertz: seconds, rms and peak in dBFS, and shares between 0 and 1."""
    import numpy

    sound = numpy.nan_to_num(numpy.asarray(samples, dtype="float64"), nan=1.0, posinf=1.0, neginf=-1.0)
    peak = float(numpy.abs(sound).max()) if sound.size else 0.0
    frames = _frames(sound, rate)
    loud = frames[_levels(frames) > _levels(frames).max() - 40] if len(frames) else frames
    hertz, strength = _pitch(loud, rate)
    voiced = strength > 0.5
    return {
        "seconds": round(len(sound) / rate, 4),
        "rms": round(decibels(float(numpy.sqrt((sound**2).mean())) if sound.size else 0.0), 2),
        "peak": round(decibels(peak), 2),
        "clipped": round(float((numpy.abs(sound) >= 32766 / 32768).mean()) if sound.size else 0.0, 5),
        "flatness": round(_flatness(loud, rate), 4),
        "voiced": round(float(voiced.mean()) if len(voiced) else 0.0, 3),
        "hertz": round(float(numpy.median(hertz[voiced])) if voiced.any() else 0.0, 1),
        "steady": round(_steadiness(sound, rate), 3),
    }


def speech_problems(measured: dict[str, float], text: str = "") -> list[str]:
    """Why a measured sound is no speech of this text; empty where it may be."""
    problems = []
    rms, letters = measured["rms"], len(re.sub(r"\W", "", text))
    speed = letters / measured["seconds"] if measured["seconds"] else 0.0
    if not RMS[0] <= rms <= RMS[1]:
        problems.append(f"its level is {rms:.1f} dBFS, not between {RMS[0]:g} and {RMS[1]:g}")
    if measured["clipped"] > CLIPPED:
        problems.append(f"{measured['clipped']:.1%} of its samples are clipped, more than {CLIPPED:.1%}")
    if measured["flatness"] > FLATNESS:
        problems.append(f"its spectrum is as flat as noise ({measured['flatness']:.2f}, more than {FLATNESS:g})")
    if measured["voiced"] < VOICED:
        problems.append(f"only {measured['voiced']:.0%} of it has a pitch, less than {VOICED:.0%}")
    if measured["steady"] < STEADY:
        problems.append(f"its loudness jumps like chopped sound ({measured['steady']:.2f}, less than {STEADY:g})")
    if letters and not SPEED[0] <= speed <= SPEED[1]:
        problems.append(f"{speed:.1f} letters a second were spoken, not between {SPEED[0]:g} and {SPEED[1]:g}")
    return problems


def edges(samples: Any, rate: int, below: float = 45.0) -> tuple[float, float]:
    """Seconds where a sound begins and ends: its first and last 10 ms that are less than `below` dB under the loudest."""
    import numpy

    levels = _levels(_frames(numpy.asarray(samples, dtype="float64"), rate, 0.01, 0.01))
    if not len(levels):
        return 0.0, 0.0
    (loud,) = numpy.nonzero(levels > levels.max() - below)
    return float(loud[0]) * 0.01, float(loud[-1] + 1) * 0.01


def mel_distance(samples: Any, other: Any, rate: int) -> float:
    """How far the spectra of two sounds of one rate are apart, in dB: the mean over bands and over frames in which one of them is loud.

    40 mel bands from 60 Hz to 8 kHz, at most 60 dB under the loudest of the first; where one is longer its rest is left out. 0: the same.
    """
    import numpy

    count = min(len(samples), len(other))
    spectra = [_mel(_frames(numpy.asarray(sound[:count], "float64"), rate), rate) for sound in (samples, other)]
    if not len(spectra[0]):
        return 0.0
    floor = spectra[0].max() - 60
    one, two = (numpy.maximum(spectrum, floor) for spectrum in spectra)
    loud = numpy.maximum(one, two).max(axis=1) > floor + 20
    return round(float(numpy.abs(one - two)[loud].mean()), 2) if loud.any() else 0.0


def copy_problems(given: dict[str, float], measured: dict[str, float], distance: float, seconds: float) -> list[str]:
    """Why a sound is no copy of another, both measured, at a distance in dB (`mel_distance`); empty where it may be.

    Args:
        seconds: By how much their lengths may differ.
    """
    problems = []
    if abs(given["seconds"] - measured["seconds"]) > seconds:
        problems.append(f"{given['seconds']:.2f} s came back as {measured['seconds']:.2f} s (allowed {seconds:g} s)")
    if not distance <= DISTANCE:
        problems.append(f"its spectrum is {distance:.1f} dB away (allowed {DISTANCE:g})")
    if measured["clipped"] > CLIPPED:
        problems.append(f"{measured['clipped']:.1%} of its samples are clipped, more than {CLIPPED:.1%}")
    if given["hertz"] and not abs(measured["hertz"] / given["hertz"] - 1) <= COPIED_PITCH:
        problems.append(
            f"its pitch is {measured['hertz']:.0f} Hz, that of what was given {given['hertz']:.0f} Hz (allowed {COPIED_PITCH:.0%})"
        )
    return problems


def music_problems(measured: dict[str, float], seconds: tuple[float, float]) -> list[str]:
    """Why a measured sound is no music that lasts between so many seconds; empty where it may be."""
    problems = []
    rms, least, most = measured["rms"], *seconds
    if not least <= measured["seconds"] <= most:
        problems.append(f"it lasts {measured['seconds']:.2f} s, not between {least:g} and {most:g}")
    if not RMS[0] <= rms <= LOUDEST:
        problems.append(f"its level is {rms:.1f} dBFS, not between {RMS[0]:g} and {LOUDEST:g}")
    if measured["clipped"] > CLIPPED:
        problems.append(f"{measured['clipped']:.1%} of its samples are clipped, more than {CLIPPED:.1%}")
    if measured["flatness"] > FLATNESS:
        problems.append(f"its spectrum is as flat as noise ({measured['flatness']:.2f}, more than {FLATNESS:g})")
    if measured["steady"] < MOVING:
        problems.append(
            f"its loudness is constant, or jumps like chopped sound ({measured['steady']:.2f}, less than {MOVING:g})"
        )
    return problems


def agreement(
    times: Any, hertz: Any, voiced: Any, other_times: Any, other_hertz: Any, other_voiced: Any
) -> tuple[float, float, int]:
    """How far two pitch trackers agree where both hear a voice: median ratio minus one, share within 3 %, frames compared."""
    import numpy

    nearest = numpy.abs(numpy.asarray(other_times)[None] - numpy.asarray(times)[:, None]).argmin(axis=1)
    both = numpy.asarray(voiced) & numpy.asarray(other_voiced)[nearest]
    if not both.any():
        return 1.0, 0.0, 0
    ratio = numpy.asarray(hertz)[both] / numpy.asarray(other_hertz)[nearest][both]
    return float(numpy.median(ratio) - 1), float((numpy.abs(ratio - 1) <= 0.03).mean()), int(both.sum())


def _frames(sound: Any, rate: int, seconds: float = FRAME, step: float = FRAME / 2) -> Any:
    import numpy

    size, hop = max(1, int(rate * seconds)), max(1, int(rate * step))
    starts = range(0, len(sound) - size + 1, hop)
    return numpy.stack([sound[start : start + size] for start in starts]) if len(starts) else numpy.zeros((0, size))


def _mel(frames: Any, rate: int) -> Any:
    """Decibels of 40 mel bands of each frame, [frames, bands]."""
    import numpy

    if not len(frames):
        return numpy.zeros((0, 40))
    power = numpy.abs(numpy.fft.rfft(frames * numpy.hanning(frames.shape[1]), axis=1)) ** 2
    bins = numpy.fft.rfftfreq(frames.shape[1], 1 / rate)
    lowest, highest = (2595 * math.log10(1 + hertz / 700) for hertz in (60.0, min(8000.0, rate * 0.45)))
    mel = numpy.linspace(lowest, highest, 42)
    edges = 700 * (10 ** (mel / 2595) - 1)
    low, centre, high = (edges[at : at + 40, None] for at in range(3))
    weights = numpy.clip(numpy.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)), 0, None)
    return 10 * numpy.log10(power @ weights.T + 1e-12)


def _levels(frames: Any) -> Any:
    """Decibels of each frame."""
    import numpy

    return 10 * numpy.log10((frames**2).mean(axis=1) + 1e-12) if len(frames) else numpy.zeros(0)


def _flatness(frames: Any, rate: int) -> float:
    """Geometric over arithmetic mean of the power between 100 and 8000 Hz, averaged over the frames: 1 for white noise."""
    import numpy

    if not len(frames):
        return 1.0
    power = (numpy.abs(numpy.fft.rfft(frames * numpy.hanning(frames.shape[1]), axis=1)) ** 2).mean(axis=0)
    bins = numpy.fft.rfftfreq(frames.shape[1], 1 / rate)
    band = power[(bins >= 100) & (bins <= min(8000.0, rate * 0.45))] + 1e-12
    return float(numpy.exp(numpy.log(band).mean()) / band.mean())


def _pitch(frames: Any, rate: int) -> tuple[Any, Any]:
    """Hertz of each frame, and how strong its period is (1: exactly periodic), by its normalised autocorrelation."""
    import numpy

    if not len(frames):
        return numpy.zeros(0), numpy.zeros(0)
    size = frames.shape[1]
    centred = frames - frames.mean(axis=1, keepdims=True)
    spectrum = numpy.fft.rfft(centred, 2 * size, axis=1)
    correlation = numpy.fft.irfft(numpy.abs(spectrum) ** 2, axis=1)[:, :size]
    # What is left of a frame shrinks as it is shifted: the energy of the two parts that overlap is what it is compared with.
    energy = numpy.cumsum(centred**2, axis=1)
    lags = numpy.arange(int(rate / PITCH[1]), min(int(rate / PITCH[0]), size - 2) + 1)
    first = energy[:, size - 1 - lags]
    second = energy[:, -1:] - energy[:, lags - 1]
    strength = correlation[:, lags] / numpy.sqrt(first * second + 1e-12)
    # A period is a peak: rumbling noise is only the more like itself, the less it is shifted.
    peaks = numpy.where(
        (strength[:, 1:-1] >= strength[:, :-2]) & (strength[:, 1:-1] > strength[:, 2:]), strength[:, 1:-1], 0
    )
    # The shortest lag that is nearly as good as the best: twice a period is a period too.
    best = (peaks >= 0.9 * peaks.max(axis=1, keepdims=True)).argmax(axis=1)
    return rate / lags[1:-1][best], peaks.max(axis=1)


def _steadiness(sound: Any, rate: int) -> float:
    """How much the loudness of 10 ms is like that of 10 ms before, as a correlation: near 1 for speech, near 0 for noise and chopped sound."""
    import numpy

    levels = _levels(_frames(sound, rate, 0.01, 0.01))
    if len(levels) < 3 or levels.std() < 1e-6:
        return 0.0
    levels = numpy.maximum(levels, levels.max() - 40)
    return float(numpy.corrcoef(levels[:-1], levels[1:])[0, 1]) if levels[:-1].std() and levels[1:].std() else 0.0
