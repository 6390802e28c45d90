"""Metis with two layers of each network: it speaks through its runner, and converts a voice."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from ..doctor.base import Context, Finding
from ..models import metis
from ..models.amphion import RATE
from . import amphion, cut, tried
from .amphion import STAND_INS  # noqa: F401  (the doctor asks for it here)
from .maskgct import text_to_semantic

MEMORY_GIB, SECONDS = 3.5, 45.0
_SECONDS, _SAMPLES = "2", 48000
_STEPS = 2


def structure(context: Context, code: Path) -> Finding:
    """Two seconds are spoken with the voice of the doctor's own speech; nothing is written into the tree."""
    voice = tried.speech(context, RATE, amphion.VOICE_SECONDS)
    cache = amphion.offline(context)
    for name in ("base", "tts"):
        amphion.cut(code / f"models/tts/metis/config/{name}.json", amphion.SMALL)
    with cut.network():
        upstream: Any = importlib.import_module("models.tts.metis.metis")
        config = importlib.import_module("utils.util").load_config(metis.CONFIG).model
        files = amphion.maskgct(cache, config)
        before = sorted(code.rglob("*"))
        speak = metis.load(files, "cpu", _STEPS)
        spoken = speak(amphion.TEXT, voice=voice, voice_text=amphion.SAYS, seconds=_SECONDS)
    evidence: dict[str, object] = {
        "weights": "random, written by us and read by Metis, safetensors and transformers",
        "samples": len(spoken.samples),
        "dtype": str(spoken.samples.dtype),
        "peak GiB": tried.peak_gib(),
    }
    tried.judged(
        {
            f"{_SECONDS} s were spoken in {len(spoken.samples)} samples, not in {_SAMPLES}": len(spoken.samples)
            != _SAMPLES,
            "what was spoken is no number": not tried.finite(spoken.samples),
            "it wrote into its tree": sorted(code.rglob("*")) != before,
        },
        evidence,
    )
    del speak
    model = upstream.build_metis_stage1(config.t2s_model, "cpu", "tts")
    trained = text_to_semantic(model, evidence)
    return Finding(f"tier structure: {_SECONDS} s spoken in {_SAMPLES} samples; {trained} (random weights)", evidence)
