"""A network of ours in the form of NeMo's: sherpa-onnx computes the features, runs it and finds the tokens."""

from __future__ import annotations

from pathlib import Path

from ..doctor.base import Context, Finding
from ..models import sherpa_ctc
from ..models.kept import Unusable
from ..models.sound import Sound
from . import cut, tried
from .onnx_bytes import FLOAT, INT64, message, model, node, value

MEMORY_GIB = 0.5
_RATE, _BANDS, _STEP = 16000, 80, 4
"""Hertz, mel bands, and frames of 10 ms of a score."""
_TOKENS = [*"abcdefghijklmnopqrstuvwxyz", "▁", "<blk>"]


def structure(context: Context, code: Path) -> Finding:
    """Three seconds of speech become tokens, twice the same; silence becomes others."""
    del code
    with cut.network():
        return _tried(context)


def _tried(context: Context) -> Finding:
    files = weights(context.scratch / "nemo-ctc")
    heard = tried.speech(context, _RATE, 3.0)
    made = sherpa_ctc.recogniser(files, "cpu")
    first, again, nothing = (sherpa_ctc.heard(made, sound) for sound in (heard, heard, Sound(_RATE, heard.samples * 0)))
    last = round(max(first.timestamps, default=0.0), 2)
    evidence: dict[str, object] = {"tokens": len(first.tokens), "last": last}
    evidence["cuda"] = _asked_for_cuda(files)
    tried.judged(
        {
            "no token was found in speech": not first.tokens,
            "the same sound gave other tokens the second time": first.tokens != again.tokens,
            "silence gave the tokens of speech": first.tokens == nothing.tokens,
            f"a token is at {last} s of {heard.seconds:.2f}": last > heard.seconds,
            "a token is none of ours": not set(first.tokens) <= {*_TOKENS, " "},
        },
        evidence,
    )
    return Finding(
        f"tier structure: {len(first.tokens)} tokens in {heard.seconds:.1f} s, twice the same, others in silence; {evidence['cuda']} "
        "(random weights)",
        evidence,
    )


def _asked_for_cuda(files: list[Path]) -> str:
    """What a recogniser does that is asked for CUDA: compute there, or be refused by us."""
    try:
        sherpa_ctc.recogniser(files, "cuda")
    except Unusable:
        return "asked for CUDA, this build falls back to the CPU, which is refused"
    return "asked for CUDA, it computes there"


def weights(folder: Path) -> list[Path]:
    """A network that scores each 40 ms of features by random weights, and its tokens."""
    import numpy

    folder.mkdir()
    shape = (len(_TOKENS), _BANDS, 1)
    drawn = numpy.random.default_rng(0).standard_normal(shape).astype("<f4").tobytes()
    sizes = [(1, size) for size in shape]
    network = model(
        [
            _listed(node("Conv", ["audio_signal", "weights"], ["scores"]), "strides", [_STEP]),
            _listed(node("Transpose", ["scores"], ["turned"]), "perm", [0, 2, 1]),
            node("LogSoftmax", ["turned"], ["logprobs"], axis=2),
        ],
        [value("audio_signal", FLOAT, "batch", _BANDS, "frames"), value("length", INT64, "batch")],
        [value("logprobs", FLOAT, "batch", "scores", len(_TOKENS))],
        [message(*sizes, (2, FLOAT), (8, "weights"), (9, drawn))],
        {"vocab_size": str(len(_TOKENS)), "subsampling_factor": str(_STEP), "normalize_type": "per_feature"},
    )
    (folder / "model.onnx").write_bytes(network)
    lines = (f"{token} {place}\n" for place, token in enumerate(_TOKENS))
    (folder / "tokens.txt").write_text("".join(lines), encoding="utf-8")
    return [folder / "model.onnx", folder / "tokens.txt"]


def _listed(made: bytes, name: str, numbers: list[int]) -> bytes:
    """A node with one more attribute, a list of whole numbers."""
    return made + message((5, message((1, name), *((8, number) for number in numbers), (20, 7))))
