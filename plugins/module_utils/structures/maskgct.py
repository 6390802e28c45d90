"""MaskGCT with two layers of each network: it speaks through its runner, and a step of training of text to semantic codes."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from ..doctor.base import Context, Finding
from ..models import maskgct
from ..models.amphion import RATE, find
from . import amphion, cut, tried
from .amphion import STAND_INS  # noqa: F401  (the doctor asks for it here)

MEMORY_GIB, SECONDS = 3.2, 60.0
_SECONDS, _SAMPLES = "2", 48000
_STEPS = (2, (2, *(1,) * 11))


def structure(context: Context, code: Path) -> Finding:
    """Two seconds are spoken with the voice of the doctor's own speech."""
    voice = tried.speech(context, RATE, amphion.VOICE_SECONDS)
    cache = amphion.offline(context)
    amphion.cut(code / maskgct.CONFIG, amphion.SMALL)
    with cut.network():
        upstream: Any = importlib.import_module("models.tts.maskgct.maskgct_utils")
        config = upstream.load_config(maskgct.CONFIG).model
        files = amphion.maskgct(cache, config)
        speak = maskgct.load(files, "cpu", _STEPS)
        spoken = speak(amphion.TEXT, voice=voice, voice_text=amphion.SAYS, seconds=_SECONDS)
        again = speak(amphion.TEXT, voice=voice, voice_text=amphion.SAYS, seconds=_SECONDS)
    evidence: dict[str, object] = {
        "weights": "random, written by us and read by safetensors and transformers",
        "samples": len(spoken.samples),
        "dtype": str(spoken.samples.dtype),
    }
    tried.judged(
        {
            f"{_SECONDS} s were spoken in {len(spoken.samples)} samples, not in {_SAMPLES}": len(spoken.samples)
            != _SAMPLES,
            f"the samples are of type {spoken.samples.dtype}, not float32": str(spoken.samples.dtype) != "float32",
            "what was spoken is no number": not tried.finite(spoken.samples),
            "the same text was spoken otherwise the second time": not tried.equal(spoken.samples, again.samples),
        },
        evidence,
    )
    del speak
    codec = upstream.build_semantic_codec(config.semantic_codec, "cpu")
    load_model = importlib.import_module("safetensors.torch").load_model
    file = find(files, "semantic_codec/model.safetensors")
    evidence["refused without"] = amphion.refused(file, lambda lacking: load_model(codec, lacking))
    amphion.seed()
    model = upstream.build_t2s_model(config.t2s_model, "cpu")
    trained = text_to_semantic(model, evidence)
    return Finding(
        f"tier structure: {_SECONDS} s spoken in {_SAMPLES} samples, twice the same; {trained} (random weights)",
        evidence,
    )


def text_to_semantic(model: Any, evidence: dict[str, object]) -> str:
    """Forward in half precisions and on a GPU, and a step of training, of a text-to-semantic network; what to say of it."""
    forward = amphion.t2s_forward(model)
    evidence["autocast"] = tried.halves(lambda: forward("cpu"))
    evidence["GPU"] = tried.on_gpu(forward)
    model.to("cpu")
    step = tried.step(model, amphion.t2s_loss(model), model.cond_codebook_size)
    evidence["training"] = step
    return f"first loss {step['loss']:.3f} of {step['loss of guessing']:.3f}; {evidence['GPU']}"
