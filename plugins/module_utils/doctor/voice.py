"""One real voice all the way round: spoken, resampled, put into phonemes, analysed, resynthesised, encoded, decoded."""

from __future__ import annotations

import importlib
import shutil
import unicodedata
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from . import jit
from .base import Check, Context, Failed, Finding, Skipped, command
from .evidence import read_wav, write_spectrograms, write_wav
from .worker import quiet

SENTENCE = "The quick brown fox jumps over the lazy dog near the river bank."
LANGUAGE = "en-us"
RATE = 24000
RATES = (16000, RATE, 44100)
SPECTROGRAMS = "spectrograms.png"
CODECS = ("encodec", "dac", "dualcodec", "vocos")
FILES = (
    "speech.wav",
    *(f"speech-{rate}.wav" for rate in RATES),
    "resynthesised.wav",
    *(f"decoded-{name}.wav" for name in CODECS),
    SPECTROGRAMS,
)
# Mel power relative to the loudest cell, and in decibels for all cells less than 60 dB below it: both single precision.
MEL_TOLERANCE, MEL_DECIBELS = 1e-4, 0.1
# Median change of pitch by WORLD's analysis and synthesis, in cents (100 to a semitone).
PITCH_TOLERANCE = 50.0
VOICED_SHARE = 0.8
# Packages that find the best monotonic path, and whether they take tokens x frames (else frames x tokens).
ALIGNERS = {"monotonic_alignment_search": True, "monotonic_align": False}
ALIGNED = ((4, 9), (7, 7), (1, 5), (6, 10), (80, 400))
# https://huggingface.co/facebook/encodec_24khz: the commit is the pin
HUB_MODEL, HUB_COMMIT = "facebook/encodec_24khz", "c1dbe2ae3f1de713481a3b3e7c47f357092ee040"


def forget(folder: Path) -> None:
    """Remove what an earlier run kept: it must not pass for this one's."""
    for name in FILES:
        (folder / name).unlink(missing_ok=True)


def speak(context: Context) -> Finding:
    """espeak-ng speaks a sentence to a WAV file."""
    forget(context.evidence)
    program = shutil.which("espeak-ng")
    if not program:
        raise Failed("espeak-ng is not on PATH")
    path = context.evidence / "speech.wav"
    ran = command([program, "-v", LANGUAGE, "-w", path, SENTENCE], quiet(context), context.scratch)
    if ran.code or not path.is_file():
        raise Failed(f"espeak-ng does not speak: {ran.tail}")
    rate, samples = read_wav(path)
    seconds, peak = len(samples) / rate, max((abs(sample) for sample in samples), default=0)
    evidence = {"file": path.name, "sentence": SENTENCE, "rate": rate, "seconds": round(seconds, 3), "peak": peak}
    if seconds < 1.0 or peak < 1000:
        raise Failed(f"what espeak-ng spoke is silent or too short: {seconds:.2f} s, peak {peak}", "", evidence)
    return Finding(f"{seconds:.2f} s of speech at {rate} Hz", evidence)


def resample(context: Context) -> Finding:
    """ffmpeg makes mono files of 16000, 24000 and 44100 Hz that last as long."""
    for rate in RATES:
        _speech_path(context, rate).unlink(missing_ok=True)
    source = context.evidence / "speech.wav"
    if not source.is_file():
        raise Skipped("voice.speak gave no speech")
    program = shutil.which("ffmpeg")
    if not program:
        raise Failed("ffmpeg is not on PATH")
    rate, samples = read_wav(source)
    wanted = len(samples) / rate
    evidence: dict[str, object] = {}
    for rate in RATES:
        path = _speech_path(context, rate)
        argv: list[str | Path] = [
            program,
            "-v",
            "error",
            "-y",
            "-i",
            source,
            "-ac",
            "1",
            "-ar",
            str(rate),
            "-c:a",
            "pcm_s16le",
            path,
        ]
        ran = command(argv, quiet(context), context.scratch)
        if ran.code:
            raise Failed(f"ffmpeg cannot resample to {rate} Hz: {ran.tail}", "", evidence)
        got, samples = read_wav(path)
        evidence[path.name] = {"rate": got, "seconds": round(len(samples) / got, 4)}
        if got != rate or abs(len(samples) / got - wanted) > 0.01:
            raise Failed(
                f"ffmpeg gave {got} Hz and {len(samples) / got:.3f} s for {rate} Hz and {wanted:.3f} s", "", evidence
            )
    return Finding(f"mono at {', '.join(str(rate) for rate in RATES)} Hz, {wanted:.2f} s each", evidence)


def phonemes(context: Context) -> Finding:
    """phonemizer and espeak-ng itself give the same phonemes."""
    program = shutil.which("espeak-ng")
    if not program:
        raise Skipped("espeak-ng is not on PATH")
    from phonemizer.backend import EspeakBackend

    theirs = EspeakBackend(LANGUAGE, with_stress=True).phonemize([SENTENCE], strip=True)[0]
    ran = command([program, "-q", "--ipa", "-v", LANGUAGE, SENTENCE], quiet(context), context.scratch)
    if ran.code:
        raise Failed(f"espeak-ng gives no phonemes: {ran.tail}")
    mine = " ".join(ran.out.split())
    evidence = {
        "phonemizer": theirs,
        "espeak-ng": mine,
        "compared": "without stress marks, ties, punctuation and spaces",
    }
    if not bare(mine) or bare(mine) != bare(theirs):
        raise Failed(
            "phonemizer and espeak-ng disagree on the phonemes",
            "two versions of espeak-ng are in use: let PHONEMIZER_ESPEAK_LIBRARY name the library of the one on PATH",
            evidence,
        )
    return Finding(f"{len(bare(mine))} phonemes agree: {mine}", evidence)


def bare(text: str) -> str:
    """Phonemes alone: letters and length marks, decomposed and without accents that tie or stress."""
    dropped = "\u02c8\u02cc\u02d1\u0361\u035c\u200d"
    return "".join(
        char
        for char in unicodedata.normalize("NFD", text)
        if char not in dropped and unicodedata.category(char)[0] in "LM"
    )


def mel(context: Context) -> Finding:
    """librosa and torchaudio compute the same mel spectrogram."""
    samples = _speech(context, RATE)
    jit.without()
    import librosa
    import numpy
    import torch
    import torchaudio

    size, hop, bands = 1024, 256, 80
    theirs = librosa.feature.melspectrogram(
        y=samples,
        sr=RATE,
        n_fft=size,
        hop_length=hop,
        n_mels=bands,
        power=2.0,
        center=True,
        pad_mode="constant",
        norm="slaney",
        htk=False,
        fmax=RATE / 2,
    )
    transform = torchaudio.transforms.MelSpectrogram(
        sample_rate=RATE,
        n_fft=size,
        hop_length=hop,
        n_mels=bands,
        power=2.0,
        center=True,
        pad_mode="constant",
        norm="slaney",
        mel_scale="slaney",
        f_max=RATE / 2,
    )
    mine = transform(torch.from_numpy(samples)).numpy()
    evidence: dict[str, object] = {"librosa": list(theirs.shape), "torchaudio": list(mine.shape)}
    if mine.shape != theirs.shape:
        raise Failed(f"librosa gives {theirs.shape}, torchaudio {mine.shape}", "", evidence)
    difference = float(numpy.abs(mine - theirs).max() / theirs.max())
    loud = theirs > theirs.max() * 1e-6
    decibels = float(numpy.abs(10 * numpy.log10(numpy.maximum(mine[loud], 1e-20) / theirs[loud])).max())
    allowed = f"(allowed {MEL_TOLERANCE:g} and {MEL_DECIBELS:g} dB)"
    found = f"{difference:.1g} of the peak and {decibels:.1g} dB {allowed}"
    evidence.update({"largest difference": difference, "largest difference in dB": decibels, "tolerance": allowed})
    if not (difference < MEL_TOLERANCE and decibels < MEL_DECIBELS):
        raise Failed(f"the mel spectrograms of librosa and torchaudio differ by {found}", "", evidence)
    return Finding(f"{mine.shape[0]} bands x {mine.shape[1]} frames agree within {found}", evidence)


def pitch(context: Context) -> Finding:
    """WORLD analyses the speech and resynthesises it; its pitch is kept."""
    samples = _speech(context, RATE).astype("float64")
    import numpy
    import pyworld

    f0, times = pyworld.harvest(samples, RATE)
    envelope = pyworld.cheaptrick(samples, f0, times, RATE)
    aperiodicity = pyworld.d4c(samples, f0, times, RATE)
    again = pyworld.synthesize(f0, envelope, aperiodicity, RATE)
    path = context.evidence / "resynthesised.wav"
    write_wav(path, RATE, again)
    second, _ = pyworld.harvest(again, RATE)
    length = min(len(f0), len(second))
    first, second = f0[:length], second[:length]
    voiced = first > 0
    both = voiced & (second > 0)
    share = float(both.sum() / max(int(voiced.sum()), 1))
    cents = (
        float(numpy.median(numpy.abs(1200 * numpy.log2(second[both] / first[both])))) if both.any() else float("inf")
    )
    evidence = {
        "file": path.name,
        "median change in cents": round(cents, 2),
        "tolerance": PITCH_TOLERANCE,
        "voiced frames": int(voiced.sum()),
        "still voiced": round(share, 3),
        "median hertz": round(float(numpy.median(first[voiced])), 1) if voiced.any() else 0.0,
    }
    if not voiced.any() or cents >= PITCH_TOLERANCE or share < VOICED_SHARE:
        raise Failed(
            f"the pitch is not kept: median {cents:.1f} cents (allowed {PITCH_TOLERANCE:g}), "
            f"{share:.0%} of the voiced frames still voiced (wanted {VOICED_SHARE:.0%})",
            "",
            evidence,
        )
    return Finding(
        f"pitch kept: median {cents:.1f} cents (allowed {PITCH_TOLERANCE:g}), {share:.0%} of the frames still voiced",
        evidence,
    )


def alignment(context: Context) -> Finding:
    """What finds the best monotonic path of a text through sound, compiled here, finds it as a search in numpy does."""
    context.wants_any(*ALIGNERS)
    aligners = [name for name in ALIGNERS if name in context.spec.imports]
    import numpy
    import torch

    tokens, frames = (max(sizes) for sizes in zip(*ALIGNED))
    mask = numpy.zeros((len(ALIGNED), tokens, frames), "float32")
    for at, (height, width) in enumerate(ALIGNED):
        mask[at, :height, :width] = 1
    # Whole numbers: their sums are exact, whatever the order.
    values = numpy.random.default_rng(5).integers(-50, 50, mask.shape).astype("float32") * mask
    for name in aligners:
        search = importlib.import_module(context.wants(name))
        # Glow-TTS has the frames first, monotonic_alignment_search the tokens.
        given = [
            torch.from_numpy(array if ALIGNERS[name] else array.transpose(0, 2, 1).copy()) for array in (values, mask)
        ]
        paths = search.maximum_path(*given).numpy()
        wrong = misaligned(paths if ALIGNERS[name] else paths.transpose(0, 2, 1), values)
        if wrong:
            raise Failed(f"{name}: {wrong}")
    sizes = ", ".join(f"{height} x {width}" for height, width in ALIGNED)
    return Finding(f"{', '.join(aligners)}: the best path in each of {len(ALIGNED)} cases", {"tokens x frames": sizes})


def misaligned(paths: Any, values: Any) -> str:
    """What is wrong with paths through arrays of tokens x frames whose sizes are `ALIGNED`; empty where each is the best."""
    for at, (tokens, frames) in enumerate(ALIGNED):
        path, value = paths[at, :tokens, :frames], values[at, :tokens, :frames]
        item = f"the path of {tokens} tokens in {frames} frames"
        rows = path.argmax(axis=0)
        steps = rows[1:] - rows[:-1]
        whole = rows[0] == 0 and rows[-1] == tokens - 1 and ((steps == 0) | (steps == 1)).all()
        if not whole or (path.sum(axis=0) != 1).any() or paths[at].sum() != frames:
            return f"{item} is not monotonic from the first token to the last"
        score, best = float((path * value).sum()), best_score(value)
        if score != best:
            return f"{item} scores {score:g}, the best one {best:g}"
    return ""


def best_score(value: Any) -> float:
    """The largest sum along a monotonic path through tokens x frames (Viterbi): each frame takes the token of the one before, or the next."""
    import numpy

    score = numpy.full(len(value), -numpy.inf)
    score[0] = value[0, 0]
    for frame in range(1, value.shape[1]):
        score = value[:, frame] + numpy.maximum(score, numpy.concatenate(([-numpy.inf], score[:-1])))
    return float(score[-1])


def hub_answers(hub: str, timeout: float = 3.0) -> bool:
    """Whether the model hub answers at all."""
    if not hub.startswith(("http://", "https://")):
        return False
    try:
        urllib.request.urlopen(urllib.request.Request(hub, method="HEAD"), timeout=timeout).close()
    except urllib.error.HTTPError as error:
        return error.code < 500
    except (OSError, ValueError):
        return False
    return True


def encodec(context: Context) -> Finding:
    """EnCodec encodes and decodes; with the hub's weights where the hub answers."""
    module = context.wants("encodec")
    samples = _speech(context, RATE)
    import torch

    note, model = _random_note(context), None
    if "transformers" in context.spec.imports and hub_answers(context.spec.hub):
        from transformers import EncodecModel

        try:
            model = EncodecModel.from_pretrained(HUB_MODEL, revision=HUB_COMMIT).eval()
            note = f"weights {HUB_MODEL} at {HUB_COMMIT[:8]}"
        except Exception as error:  # whatever the hub's client raises, the shapes can still be checked
            note = f"random weights: the hub gave none of {HUB_MODEL} ({type(error).__name__})"
    with torch.inference_mode():
        sound = torch.from_numpy(samples)[None, None]
        if model is not None:
            encoded = model.encode(sound, bandwidth=6.0)
            codes = encoded.audio_codes[0]
            decoded = model.decode(encoded.audio_codes, encoded.audio_scales)[0]
        else:
            torch.manual_seed(1)
            plain = importlib.import_module(module).EncodecModel.encodec_model_24khz(pretrained=False).eval()
            plain.set_target_bandwidth(6.0)
            frames = plain.encode(sound)
            codes, decoded = frames[0][0], plain.decode(frames)
    # 75 frames a second of 8 codebooks make 6 kbit/s (EnCodec, section 3.2)
    return _codec(context, "encodec", RATE, sound, decoded, codes, (1, 8, -(-len(samples) // 320)), note)


def dac(context: Context) -> Finding:
    """The Descript codec, a small one, encodes and decodes."""
    samples = _speech(context, 44100)
    import dac as descript
    import torch

    torch.manual_seed(1)
    model = descript.DAC(encoder_dim=8, decoder_dim=128, n_codebooks=4, sample_rate=44100).eval()
    with torch.inference_mode():
        sound = torch.from_numpy(samples)[None, None]
        padded = model.preprocess(sound, 44100)
        codes = model.encode(padded)[1]
        decoded = model.decode(model.quantizer.from_codes(codes)[0])
    return _codec(context, "dac", 44100, padded, decoded, codes, (1, 4, padded.shape[-1] // 512), _random_note(context))


def dualcodec(context: Context) -> Finding:
    """DualCodec, a small one, encodes speech and semantic features and decodes them."""
    samples = _speech(context, RATE)
    import torch
    from dualcodec import DualCodec

    torch.manual_seed(1)
    model = DualCodec(
        encoder_dim=8,
        encoder_rates=[4, 5, 6, 8],
        latent_dim=1024,
        decoder_dim=128,
        decoder_rates=[8, 6, 5, 4],
        n_codebooks=3,
        codebook_size=256,
        semantic_codebook_size=256,
        sample_rate=RATE,
        convnext_dim=64,
        convnext_layers=1,
    ).eval()
    frames = len(samples) // 960
    with torch.inference_mode():
        sound = torch.from_numpy(samples[: frames * 960])[None, None]
        semantic, acoustic = model.encode(sound, semantic_repr=torch.randn(1, 1024, frames))
        decoded = model.decode_from_codes(semantic, acoustic)
    return _codec(context, "dualcodec", RATE, sound, decoded, acoustic, (1, 3, frames), _random_note(context))


def vocos(context: Context) -> Finding:
    """Vocos, a small one, turns mel features back into a waveform."""
    samples = _speech(context, RATE)
    import torch
    from vocos.feature_extractors import MelSpectrogramFeatures
    from vocos.heads import ISTFTHead
    from vocos.models import VocosBackbone
    from vocos.pretrained import Vocos

    torch.manual_seed(1)
    model = Vocos(
        MelSpectrogramFeatures(sample_rate=RATE, n_fft=1024, hop_length=256, n_mels=100),
        VocosBackbone(input_channels=100, dim=64, intermediate_dim=128, num_layers=2),
        ISTFTHead(dim=64, n_fft=1024, hop_length=256),
    ).eval()
    with torch.inference_mode():
        sound = torch.from_numpy(samples[: len(samples) // 256 * 256])[None]
        features = model.feature_extractor(sound)
        decoded = model.decode(features)
    return _codec(
        context, "vocos", RATE, sound, decoded, features, (1, 100, sound.shape[-1] // 256 + 1), _random_note(context)
    )


def _random_note(context: Context) -> str:
    return "random weights" if hub_answers(context.spec.hub) else "random weights: hub out of reach"


def _codec(
    context: Context, name: str, rate: int, sound: Any, decoded: Any, codes: Any, shape: tuple[int, ...], note: str
) -> Finding:
    """Judge a codec by the shape of its codes and of what it decoded, and keep the sound."""
    import numpy

    samples = decoded.detach().cpu().numpy().reshape(-1)
    peak = float(numpy.abs(samples).max()) if samples.size else 0.0
    path = context.evidence / f"decoded-{name}.wav"
    evidence = {
        "file": path.name,
        "weights": note,
        "sound": list(sound.shape),
        "codes": list(codes.shape),
        "decoded": list(decoded.shape),
        "peak": peak,
    }
    if tuple(codes.shape) != shape:
        raise Failed(f"the codes have the shape {tuple(codes.shape)}, not {shape}", "", evidence)
    if abs(samples.size - sound.shape[-1]) > rate // 25:  # one frame of the slowest codec
        raise Failed(f"{sound.shape[-1]} samples came back as {samples.size}", "", evidence)
    if not numpy.isfinite(samples).all() or peak == 0.0:
        raise Failed("what was decoded is silent or not a number", "", evidence)
    write_wav(path, rate, samples / max(1.0, peak))  # random weights know no loudness
    return Finding(
        f"codes {' x '.join(str(size) for size in codes.shape[1:])}, {samples.size} samples back ({note})", evidence
    )


def spectrograms(context: Context) -> Finding:
    """One picture: the speech, its resynthesis and what a codec made of it."""
    context.needs("numpy")
    import numpy

    names = ["speech-24000.wav", "resynthesised.wav", *(f"decoded-{name}.wav" for name in CODECS)]
    paths = [context.evidence / name for name in names if (context.evidence / name).is_file()][:3]
    if not paths:
        raise Skipped("no sound was kept that could be drawn")
    signals = []
    for path in paths:
        rate, samples = read_wav(path)
        signals.append((rate, numpy.asarray(samples, dtype="float64") / 32768))
    write_spectrograms(context.evidence / SPECTROGRAMS, signals)
    return Finding(
        f"{SPECTROGRAMS}: from top to bottom {', '.join(path.stem for path in paths)}",
        {"file": SPECTROGRAMS, "panels": [path.name for path in paths]},
    )


def _speech_path(context: Context, rate: int) -> Path:
    return context.evidence / f"speech-{rate}.wav"


def _speech(context: Context, rate: int) -> Any:
    """The resampled speech as a numpy array of float32 between -1 and 1."""
    path = _speech_path(context, rate)
    if not path.is_file():
        raise Skipped(f"voice.resample gave no speech at {rate} Hz")
    import numpy

    return numpy.asarray(read_wav(path)[1], dtype="float32") / 32768


AFTER = ("voice.resample",)
"""What works with the speech that espeak-ng spoke."""
CHECKS = (
    Check("voice.speak", "espeak-ng speaks", speak, failure="espeak_missing", cost=0.1),
    Check(
        "voice.resample",
        "ffmpeg resamples",
        resample,
        failure="ffmpeg_missing",
        after=("voice.speak",),
    ),
    Check("voice.phonemes", "phonemes agree", phonemes, failure="espeak_missing", heavy=True, needs=("phonemizer",)),
    Check(
        "voice.mel", "mel spectrograms agree", mel, heavy=True, needs=("librosa", "torchaudio"), after=AFTER, cost=1.0
    ),
    Check("voice.pitch", "pitch is kept", pitch, heavy=True, needs=("pyworld",), after=AFTER, cost=1.5),
    Check("voice.alignment", "monotonic alignment", alignment, heavy=True, needs=("torch",), cost=0.2),
    # It may fetch 93 MB from the hub.
    Check(
        "voice.codec_encodec",
        "EnCodec round trip",
        encodec,
        heavy=True,
        timeout=900.0,
        needs=("encodec",),
        after=AFTER,
        cost=3.0,
    ),
    Check(
        "voice.codec_dac",
        "Descript codec round trip",
        dac,
        heavy=True,
        needs=("descript-audio-codec",),
        after=AFTER,
        cost=3.0,
    ),
    Check(
        "voice.codec_dualcodec",
        "DualCodec round trip",
        dualcodec,
        heavy=True,
        needs=("dualcodec",),
        after=AFTER,
        cost=3.0,
    ),
    Check("voice.codec_vocos", "Vocos round trip", vocos, heavy=True, needs=("vocos",), after=AFTER, cost=1.0),
    Check(
        "voice.spectrograms",
        "spectrograms are drawn",
        spectrograms,
        heavy=True,
        after=("voice.pitch", *(f"voice.codec_{name}" for name in CODECS)),
        cost=0.3,
    ),
)
