"""Vevo with two layers of each network: it converts a voice through its runner, and a step of training of its autoregressive part."""

from __future__ import annotations

import gc
import importlib
from pathlib import Path
from typing import Any

from ..doctor.base import Context, Finding
from ..models import vevo
from ..models.amphion import RATE
from . import amphion, cut, tried
from .amphion import STAND_INS  # noqa: F401  (the doctor asks for it here)

MEMORY_GIB, SECONDS = 2.0, 30.0
_SECONDS, _HOP = 2.0, 480
_SMALL = {
    "num_layers": 2,
    "vocos_num_layers": 2,
    "num_hidden_layers": 2,
    "flow_matching_transformer.hidden_size": 256,
    "autoregressive_transformer.hidden_size": 256,
    "intermediate_size": 960,
    "vocos.dim": 256,
    "vocos.intermediate_dim": 512,
}
_STEPS = 2
_AUTOREGRESSIVE = "PhoneToVq8192.json"
# HuBERT gives a code for each 320 samples at 16000 Hz where it has 400.
_HUBERT_WINDOW, _HUBERT_HOP = 400, 320
# It is asked for its layer 18 (vevo_utils.py, output_layer): the later ones are not needed, nor the width between layers.
_HUBERT = {"encoder_num_layers": 18, "encoder_ff_interm_features": 64}


def structure(context: Context, code: Path) -> Finding:
    """Seconds of the doctor's own speech take on a voice, and phones become codes."""
    heard = tried.speech(context, RATE, _SECONDS)
    cache = amphion.offline(context)
    for name in ("Vq8192ToMels.json", "Vocoder.json", _AUTOREGRESSIVE):
        amphion.cut(code / vevo.CONFIGS / name, _SMALL)
    with cut.network():
        upstream: Any = importlib.import_module("models.vc.vevo.vevo_utils")
        files = weights(context, cache, upstream)
        convert = vevo.load(files, "cpu", _STEPS)
        made, again = (convert(heard, voice=heard) for _ in range(2))
    evidence: dict[str, object] = {
        "weights": "random, written by us and read by accelerate and torchaudio",
        "samples": [len(heard.samples), len(made.samples)],
        "dtype": str(made.samples.dtype),
    }
    wanted = length(len(heard.samples))
    tried.judged(
        {
            f"{len(heard.samples)} samples became {len(made.samples)}, not {wanted}": len(made.samples) != wanted,
            f"the samples are of type {made.samples.dtype}, not float32": str(made.samples.dtype) != "float32",
            "what it made is no number": not tried.finite(made.samples),
            "the same sounds gave another the second time": not tried.equal(made.samples, again.samples),
        },
        evidence,
    )
    del convert
    gc.collect()
    codec = upstream.load_config(f"{vevo.CONFIGS}/Vq8192ToMels.json").model.repcodec
    evidence["refused without"] = amphion.refused(
        files[0], lambda file: upstream.load_checkpoint(upstream.build_vqvae_model, codec, str(file.parent), "cpu")
    )
    flow = flow_forward(upstream, evidence)
    trained = autoregressive(upstream, evidence)
    return Finding(
        f"tier structure: {len(heard.samples)} samples became {len(made.samples)}, twice the same; {trained}; {flow} (random weights)",
        evidence,
    )


def length(samples: int) -> int:
    """Samples that come out of a sound that takes on its own voice: HuBERT's codes of both, less the mel frames of the voice, a hop each."""
    codes = (samples * 2 // 3 - _HUBERT_WINDOW) // _HUBERT_HOP + 1
    return (2 * codes - samples // _HOP) * _HOP


def weights(context: Context, cache: Path, upstream: Any) -> list[Path]:
    """amphion/Vevo as far as converting a voice needs it, and HuBERT where torchaudio looks for it: as deep, and narrow between layers."""
    import torch

    torch.manual_seed(0)
    settings = upstream.load_config(f"{vevo.CONFIGS}/Vq8192ToMels.json")
    vocoder = upstream.load_config(f"{vevo.CONFIGS}/Vocoder.json")
    files = tried.cached(
        cache,
        amphion.VEVO,
        {
            "tokenizer/vq8192/model.safetensors": amphion.save(
                upstream.build_vqvae_model(settings.model.repcodec, "cpu")
            ),
            "acoustic_modeling/Vq8192ToMels/model.safetensors": amphion.save(upstream.build_fmt_model(settings, "cpu")),
            "acoustic_modeling/Vocoder/model.safetensors": amphion.save(upstream.build_vocoder_model(vocoder, "cpu")),
        },
    )
    bundle: Any = importlib.import_module("torchaudio").pipelines.HUBERT_LARGE
    bundle._params.update(_HUBERT)
    hubert = importlib.import_module("torchaudio.models").wav2vec2_model(**bundle._params)
    path = context.scratch / "hubert" / vevo.HUBERT
    path.parent.mkdir()
    torch.save(hubert.state_dict(), path)
    return [*files, path]


def flow_forward(upstream: Any, evidence: dict[str, object]) -> str:
    """The flow's estimate of a mel in half precisions and on a GPU; what to say of it."""
    import torch

    torch.manual_seed(0)
    model = upstream.build_fmt_model(upstream.load_config(f"{vevo.CONFIGS}/Vq8192ToMels.json"), "cpu")
    generator = torch.Generator().manual_seed(1)
    mel = torch.randn(1, 40, model.mel_dim, generator=generator)
    codes = torch.randint(0, 8192, (1, 40), generator=generator)

    def forward(device: str) -> Any:
        model.to(device)
        whole = torch.ones(1, 40, device=device)
        time = torch.full((1,), 0.5, device=device)
        return model.diff_estimator(mel.to(device), time, model.cond_emb(codes.to(device)), whole)

    evidence["autocast"] = tried.halves(lambda: forward("cpu"))
    evidence["GPU"] = tried.on_gpu(forward)
    return str(evidence["GPU"])


def autoregressive(upstream: Any, evidence: dict[str, object]) -> str:
    """A step of training of phones to codes; what to say of it. Random weights would generate what is no code, so nothing is generated.

    The wider its hidden states, the larger are random logits, and the farther is the loss from that of guessing: with 256 by half a percent.
    """
    import torch

    settings = upstream.load_config(f"{vevo.CONFIGS}/{_AUTOREGRESSIVE}")
    torch.manual_seed(0)
    model = upstream.build_ar_model(settings, "cpu")

    def loss(prepared: Any) -> Any:
        torch.manual_seed(0)
        device = next(prepared.parameters()).device
        phones = torch.randint(0, 1000, (2, 12), device=device)
        codes = torch.randint(0, model.output_vocab_size, (2, 40), device=device)
        return prepared(phones, torch.ones_like(phones), codes, torch.ones_like(codes)).loss

    step = evidence["training"] = tried.step(model, loss, model.config.vocab_size)
    return f"first loss {step['loss']:.3f} of {step['loss of guessing']:.3f}"
