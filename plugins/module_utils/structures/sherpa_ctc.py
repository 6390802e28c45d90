"""A network of ours in the form of NeMo's: sherpa-onnx computes the features, runs it and finds the tokens."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from ..doctor.base import Context, Finding
from ..models import sherpa_ctc
from ..models.kept import Unusable
from ..models.sound import Sound
from . import tried

MEMORY_GIB = 0.5
_RATE, _BANDS, _STEP = 16000, 80, 4
"""Hertz, mel bands, and frames of 10 ms of a score."""
_TOKENS = [*"abcdefghijklmnopqrstuvwxyz", "▁", "<blk>"]


def structure(context: Context, code: Path) -> Finding:
    """Three seconds of speech become tokens, twice the same; silence becomes others."""
    del code
    files = weights(context.scratch / "nemo-ctc")
    heard = tried.speech(context, _RATE, 3.0)
    made = sherpa_ctc.recogniser(files, "cpu")
    first, again, nothing = (sherpa_ctc.heard(made, sound) for sound in (heard, heard, Sound(_RATE, heard.samples * 0)))
    evidence: dict[str, Any] = {"tokens": len(first.tokens), "last": round(max(first.timestamps, default=0.0), 2)}
    evidence["cuda"] = _asked_for_cuda(files)
    tried.judged(
        {
            "no token was found in speech": not first.tokens,
            "the same sound gave other tokens the second time": first.tokens != again.tokens,
            "silence gave the tokens of speech": first.tokens == nothing.tokens,
            f"a token is at {evidence['last']} s of {heard.seconds:.2f}": evidence["last"] > heard.seconds,
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

    onnx = importlib.import_module("onnx")
    make, kind = onnx.helper, onnx.TensorProto
    folder.mkdir()
    drawn = numpy.random.default_rng(0).standard_normal((len(_TOKENS), _BANDS, 1)).astype("float32")
    graph = make.make_graph(
        [
            make.make_node("Conv", ["audio_signal", "weights"], ["scores"], strides=[_STEP]),
            make.make_node("Transpose", ["scores"], ["turned"], perm=[0, 2, 1]),
            make.make_node("LogSoftmax", ["turned"], ["logprobs"], axis=-1),
        ],
        "nemo-ctc",
        [
            make.make_tensor_value_info("audio_signal", kind.FLOAT, ["batch", _BANDS, "frames"]),
            make.make_tensor_value_info("length", kind.INT64, ["batch"]),
        ],
        [make.make_tensor_value_info("logprobs", kind.FLOAT, ["batch", "scores", len(_TOKENS)])],
        [onnx.numpy_helper.from_array(drawn, "weights")],
    )
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 13)], ir_version=8)
    onnx.helper.set_model_props(
        model, {"vocab_size": str(len(_TOKENS)), "subsampling_factor": str(_STEP), "normalize_type": "per_feature"}
    )
    onnx.save(model, str(folder / "model.onnx"))
    lines = (f"{token} {place}\n" for place, token in enumerate(_TOKENS))
    (folder / "tokens.txt").write_text("".join(lines), encoding="utf-8")
    return [folder / "model.onnx", folder / "tokens.txt"]
