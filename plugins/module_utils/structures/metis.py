"""Metis with two layers of each network: it speaks through its runner, and converts a voice."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from ..doctor.base import Context, Failed, Finding
from ..models import keys, metis, sound
from ..models.amphion import RATE
from . import amphion, cut, tried
from .amphion import STAND_INS  # noqa: F401  (the doctor asks for it here)
from .maskgct import text_to_semantic

MEMORY_GIB, SECONDS = 3.2, 60.0
_SECONDS, _SAMPLES = "2", 48000
_STEPS = 2
_CODES = 200
"""Codes of a voice and of as much sound again, 50 a second each."""


def structure(context: Context, code: Path) -> Finding:
    """Two seconds are spoken with the voice of the doctor's own speech; nothing is written into the tree."""
    voice = tried.speech(context, RATE, amphion.VOICE_SECONDS)
    cache = amphion.offline(context)
    for name in ("base", "tts", "ft", "tse"):
        amphion.cut(code / f"models/tts/metis/config/{name}.json", amphion.SMALL)
    with cut.network():
        upstream: Any = importlib.import_module("models.tts.metis.metis")
        config = importlib.import_module("utils.util").load_config(metis.CONFIG).model
        files = amphion.maskgct(cache, config)
        before = sorted(code.rglob("*"))
        model = metis.opened(files, "cpu")
        speak = metis.speaking(model, _STEPS)
        spoken = speak(amphion.TEXT, voice=voice, voice_text=amphion.SAYS, seconds=_SECONDS)
        codes = converted(context, model, upstream, sound.resampled(voice, 16000).samples)
    evidence: dict[str, object] = {
        "weights": "random, written by us and read by Metis, safetensors and transformers",
        "samples": len(spoken.samples),
        "dtype": str(spoken.samples.dtype),
        "codes": codes,
    }
    tried.judged(
        {
            f"{_SECONDS} s were spoken in {len(spoken.samples)} samples, not in {_SAMPLES}": len(spoken.samples)
            != _SAMPLES,
            f"a voice and as much sound again became {codes} codes, not {_CODES} each": set(codes.values()) != {_CODES},
            "what was spoken is no number": not tried.finite(spoken.samples),
            "it wrote into its tree": sorted(code.rglob("*")) != before,
        },
        evidence,
    )
    del model, speak
    amphion.seed()
    stage = upstream.build_metis_stage1(config.t2s_model, "cpu", "tts")
    trained = text_to_semantic(stage, evidence)
    return Finding(
        f"tier structure: {_SECONDS} s spoken in {_SAMPLES} samples, a voice converted and, by LoRA, extracted in {_CODES} codes; "
        f"{trained} (random weights)",
        evidence,
    )


def converted(context: Context, model: Any, upstream: Any, samples: Any) -> dict[str, int]:
    """How many codes become of a voice and of as much sound again, where it is converted and where it is extracted.

    The first by weights of the whole, the second by a base with adapter and LoRA, each written and read as ``Metis`` does.

    Raises:
        Failed: LoRA's weights change nothing.
    """
    torch_files: Any = importlib.import_module("safetensors.torch")
    load_config = importlib.import_module("utils.util").load_config
    prompt = model.audio_tokenizer.wav2semantic(samples)[0]
    found = {}
    for kind, make in (("vc", _whole), ("tse", _by_lora)):
        name = "ft" if kind == "vc" else kind
        settings = load_config(f"./models/tts/metis/config/{name}.json").model.t2s_model
        model.metis_stage1 = make(context.scratch / f"{kind}.safetensors", settings, kind, upstream, torch_files)
        codes = model.speech2semantic_w_prompt(samples, samples, prompt, _STEPS, cfg=0)
        found[kind] = int(codes.shape[1])
    return found


def _whole(file: Path, settings: Any, kind: str, upstream: Any, files: Any) -> Any:
    amphion.save(upstream.build_metis_stage1(settings, "cpu", kind))(file)
    stage = upstream.build_metis_stage1(settings, "cpu", kind)
    with keys.exact():
        files.load_model(stage, str(file))
    return stage


def _by_lora(file: Path, settings: Any, kind: str, upstream: Any, files: Any) -> Any:
    import torch

    adapted = upstream.build_metis_stage1(settings, "cpu", kind)
    lora = upstream.extract_lora_weights(adapted)
    for value in lora.values():
        torch.nn.init.normal_(value, std=0.02)  # what is multiplied last is zero otherwise
    files.save_file(lora, file)
    base = upstream.build_metis_stage1_base(settings, "cpu", kind)
    before = {name: value.detach().clone() for name, value in base.named_parameters() if "q_proj" in name}
    base = upstream.merge_adapter_weights(base, upstream.extract_adapter_weights(adapted), "cpu")
    merged = upstream.merge_lora_weights(settings, base, files.load_file(file))
    after = dict(merged.named_parameters())
    if not before or any(torch.equal(value, after[name]) for name, value in before.items()):
        raise Failed("the weights of LoRA change nothing of their base: their keys do not fit")
    return merged
