"""Sound in and out of files, and between rates, by every library of the environment that does it."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .base import Check, Context, Failed, Finding, Skipped
from .evidence import read_wav

RATE, HERTZ, SECONDS = 44100, 440.0, 1.0
KINDS = ("wav", "flac", "mp3")
HERTZ_TOLERANCE, LEVEL_TOLERANCE, LENGTH_TOLERANCE = 2.0, 0.02, 0.1
"""Hertz, full scale, and seconds (MP3 adds silence) by which a tone may come back changed."""
LEVEL_OF_MP3 = 0.04
"""The same for MP3, full scale: at constant bit rates up to 160 kbit/s, FFmpeg's default among them, LAME makes all of it 5% quieter (measured)."""


def tone(context: Context) -> Any:
    """The samples of a sine at half of full scale, as float32."""
    import numpy

    del context
    return (0.5 * numpy.sin(2 * numpy.pi * HERTZ * numpy.arange(int(RATE * SECONDS)) / RATE)).astype("float32")


def changed(samples: Any, rate: int, tolerance: float = LEVEL_TOLERANCE) -> str:
    """How a tone came back changed: pitch, level (by more than `tolerance` of full scale), length; empty where it did not."""
    import numpy

    signal = numpy.asarray(samples, dtype="float64").reshape(-1)
    if abs(len(signal) / rate - SECONDS) > LENGTH_TOLERANCE:
        return f"it lasts {len(signal) / rate:.2f} s, not {SECONDS:g}"
    middle = signal[len(signal) // 4 : len(signal) // 4 + rate // 2]
    spectrum = numpy.abs(numpy.fft.rfft(middle * numpy.hanning(len(middle))))
    hertz = float(spectrum.argmax()) * rate / len(middle)
    level = float(numpy.sqrt(2 * (middle**2).mean()))
    if abs(hertz - HERTZ) > HERTZ_TOLERANCE:
        return f"it has {hertz:.0f} Hz, not {HERTZ:g}"
    return "" if abs(level - 0.5) <= tolerance else f"it has the level {level:.3g}, not 0.5"


def _round_trips(
    context: Context,
    save: Callable[[Path, Any], None],
    load: Callable[[Path], tuple[Any, int]],
    whose: str,
    kinds: tuple[str, ...] = KINDS,
) -> Finding:
    samples = tone(context)
    for kind in kinds:
        path = context.scratch / f"tone.{kind}"
        try:
            save(path, samples)
            back, rate = load(path)
        except Exception as error:  # each library has errors of its own
            raise Failed(f"{whose} cannot write and read {kind}: {type(error).__name__}: {str(error)[:300]}") from error
        if problem := changed(back, rate, LEVEL_OF_MP3 if kind == "mp3" else LEVEL_TOLERANCE):
            remedy = f"take another release of {whose}, or of the FFmpeg that it uses: it does not give back the sound that it was given"
            raise Failed(f"a tone comes back from {whose} and {kind} changed: {problem}", remedy)
    return Finding(f"a tone goes through {', '.join(kind.upper() for kind in kinds)} and comes back the same")


def torchaudio_files(context: Context) -> Finding:
    """torchaudio saves and loads; integers are saved as the sound that they are."""
    import torch
    import torchaudio

    if not _has_codec(torchaudio):
        raise Skipped(
            f"torchaudio {torchaudio.__version__} reads and writes files with torchcodec, which is not part of this environment"
        )

    def load(path: Path) -> tuple[Any, int]:
        back, rate = torchaudio.load(str(path))
        return back[0].numpy(), rate

    def save(path: Path, samples: Any) -> None:
        torchaudio.save(str(path), torch.from_numpy(samples)[None], RATE)

    finding = _round_trips(context, save, load, "torchaudio")
    path = context.scratch / "integers.wav"
    whole = (tone(context) * 32767).astype("int16")
    try:
        torchaudio.save(str(path), torch.from_numpy(whole)[None], RATE)
        problem = changed(*load(path))
    except Exception as error:  # a refusal is better than noise
        problem = f"refused ({type(error).__name__})"
    note = f"; of int16 it makes something else ({problem}): give it float32 between -1 and 1" if problem else ""
    return Finding(finding.detail + note, {"int16": problem or "saved as the same sound"})


def _has_codec(torchaudio: Any) -> bool:
    """Whether torchaudio can open files: from 2.9 on it leaves them to torchcodec."""
    old = tuple(int(part) for part in torchaudio.__version__.split("+")[0].split(".")[:2]) < (2, 9)
    return old or importlib.util.find_spec("torchcodec") is not None


def torchcodec_files(context: Context) -> Finding:
    """torchcodec encodes and decodes."""
    import torch
    from torchcodec.decoders import AudioDecoder
    from torchcodec.encoders import AudioEncoder

    def load(path: Path) -> tuple[Any, int]:
        found = AudioDecoder(str(path)).get_all_samples()
        return found.data[0].numpy(), found.sample_rate

    def save(path: Path, samples: Any) -> None:
        AudioEncoder(torch.from_numpy(samples)[None], sample_rate=RATE).to_file(str(path))

    return _round_trips(context, save, load, "torchcodec")


def soundfile_files(context: Context) -> Finding:
    """soundfile writes and reads; integers keep their values."""
    import numpy
    import soundfile

    def load(path: Path) -> tuple[Any, int]:
        samples, rate = soundfile.read(path, dtype="float32")
        return samples, rate

    # libsndfile knows MP3 from 1.1 on.
    kinds = tuple(kind for kind in KINDS if kind.upper() in soundfile.available_formats())
    finding = _round_trips(
        context, lambda path, samples: soundfile.write(path, samples, RATE), load, "soundfile", kinds
    )
    whole, path = (tone(context) * 32767).astype("int16"), context.scratch / "integers.wav"
    soundfile.write(path, whole, RATE)
    if not numpy.array_equal(numpy.asarray(read_wav(path)[1], dtype="int16"), whole):
        raise Failed("int16 samples read back by soundfile differ")
    return Finding(f"{finding.detail}; int16 keeps its values")


def resampled(context: Context) -> Finding:
    """torchaudio, librosa (soxr) and scipy bring a tone to 16000 Hz, with its pitch and level."""
    context.needs("numpy")
    samples = tone(context)
    done, without = [], []
    for name, run in _RESAMPLERS.items():
        if importlib.util.find_spec(name) is None:
            without.append(name)
            continue
        if problem := changed(run(samples), 16000):
            raise Failed(f"{name} brings a tone to 16000 Hz changed: {problem}")
        done.append(name)
    if not done:
        raise Skipped(f"none of {', '.join(without)} is part of this environment")
    return Finding(f"{', '.join(done)} bring a tone from {RATE} to 16000 Hz unchanged")


def _by_torchaudio(samples: Any) -> Any:
    import torch
    import torchaudio

    return torchaudio.functional.resample(torch.from_numpy(samples), RATE, 16000).numpy()


def _by_soxr(samples: Any) -> Any:
    return importlib.import_module("soxr").resample(samples, RATE, 16000)


def _by_scipy(samples: Any) -> Any:
    return importlib.import_module("scipy.signal").resample_poly(samples, 160, 441)


_RESAMPLERS: dict[str, Callable[[Any], Any]] = {"torchaudio": _by_torchaudio, "soxr": _by_soxr, "scipy": _by_scipy}

CHECKS = (
    Check(
        "audio.torchaudio",
        "torchaudio loads and saves",
        torchaudio_files,
        failure="torchcodec",
        heavy=True,
        needs=("torch", "torchaudio"),
    ),
    Check(
        "audio.torchcodec",
        "torchcodec loads and saves",
        torchcodec_files,
        failure="torchcodec",
        heavy=True,
        needs=("torchcodec",),
    ),
    Check("audio.soundfile", "soundfile loads and saves", soundfile_files, heavy=True, needs=("soundfile",), cost=0.3),
    Check("audio.resample", "rates are converted", resampled, heavy=True, cost=0.5),
)
