"""DualCodec at 12.5 Hz, whole, behind a narrow w2v-bert."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ..doctor.base import Context, Failed, Finding, Skipped
from ..models import sound

MEMORY_GIB = 4.0
_SECONDS = 2.0
# DualCodec 12hz_v1: dualcodec/conf/model/dualcodec_12hz_16384_4096_8vq.yaml of 0.4.2.
_CONFIG, _WEIGHTS = "dualcodec_12hz_16384_4096_8vq.yaml", "dualcodec_12hz_16384_4096.safetensors"
_STATISTICS = "w2vbert2_mean_var_stats_emilia.pt"
_HOP, _SEMANTIC, _ACOUSTIC, _BOOKS = 1920, 16384, 4096, 7
_EDGE = 16
"""Samples that its last convolutions take; 4 were seen."""
# It takes the hidden state 17 of w2v-bert (inference_with_semantic.py): more layers are not needed, nor their width.
_LAYERS, _WIDTH = 17, 64


def structure(context: Context, code: Path) -> Finding:
    """Two seconds of speech are encoded and decoded."""
    path = context.evidence / "speech-24000.wav"
    if not path.is_file():
        raise Skipped("voice.resample gave no speech at 24000 Hz")
    import dualcodec as package
    import hydra
    import torch
    from safetensors.torch import save_file
    from transformers import SeamlessM4TFeatureExtractor, Wav2Vec2BertConfig, Wav2Vec2BertModel

    codec, semantic = context.scratch / "dualcodec", context.scratch / "w2v-bert"
    codec.mkdir()
    torch.manual_seed(0)
    settings = os.path.join(os.path.dirname(package.__file__), "conf", "model")
    with hydra.initialize_config_dir(config_dir=settings, version_base="1.3"):
        made = hydra.utils.instantiate(hydra.compose(config_name=_CONFIG).model)
    save_file({name: value.clone().contiguous() for name, value in made.state_dict().items()}, codec / _WEIGHTS)
    torch.save({"mean": torch.zeros(1024), "var": torch.ones(1024)}, codec / _STATISTICS)
    narrow = Wav2Vec2BertConfig(num_hidden_layers=_LAYERS, intermediate_size=_WIDTH, conv_depthwise_kernel_size=3)
    Wav2Vec2BertModel(narrow).save_pretrained(semantic)
    SeamlessM4TFeatureExtractor().save_pretrained(semantic)
    model = package.get_model("12hz_v1", str(codec))
    inference = package.Inference(
        dualcodec_model=model, dualcodec_path=str(codec), w2v_path=str(semantic), device="cpu"
    )
    samples = torch.from_numpy(sound.read(path).samples[: int(24000 * _SECONDS)])[None, None]
    first, again = (inference.encode(samples, n_quantizers=_BOOKS + 1) for _ in range(2))
    decoded = inference.decode(*first)
    evidence = {
        "weights": "random, written by us and read by dualcodec.get_model",
        "semantic codes": list(first[0].shape),
        "acoustic codes": list(first[1].shape),
        "samples": [samples.shape[-1], decoded.shape[-1]],
    }
    problem = wrong(evidence, int(first[0].max()), int(first[1].max()))
    if not problem and not all(torch.equal(one, other) for one, other in zip(first, again)):
        problem = "the same sound gave other codes the second time"
    if not problem and not bool(torch.isfinite(decoded).all()):
        problem = "what was decoded is not a number"
    if problem:
        raise Failed(problem, "", evidence)
    frames = first[0].shape[-1]
    return Finding(
        f"tier structure: {frames} frames of 1 and {_BOOKS} codes, twice the same, {decoded.shape[-1]} samples back (random weights)",
        evidence,
    )


def wrong(found: dict[str, Any], largest_semantic: int, largest_acoustic: int) -> str:
    """What is wrong with the shapes and ranges of DualCodec's codes; empty where nothing is."""
    given, back = found["samples"]
    frames = given // _HOP
    # Its strided convolutions may lose the last, incomplete frame.
    if found["semantic codes"] not in ([1, 1, frames], [1, 1, frames - 1]):
        return f"the semantic codes have the shape {found['semantic codes']}, not [1, 1, {frames}]"
    if found["acoustic codes"] != [1, _BOOKS, found["semantic codes"][2]]:
        return f"the acoustic codes have the shape {found['acoustic codes']}, not [1, {_BOOKS}, {found['semantic codes'][2]}]"
    if largest_semantic >= _SEMANTIC or largest_acoustic >= _ACOUSTIC:
        return f"codes up to {largest_semantic} and {largest_acoustic} are outside of codebooks of {_SEMANTIC} and {_ACOUSTIC}"
    whole = found["semantic codes"][2] * _HOP
    if not 0 <= whole - back <= _EDGE:
        return f"{given} samples came back as {back}, not as {whole} or {_EDGE} less at most"
    return ""
