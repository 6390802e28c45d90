"""fish-speech at either commit: its codec whole, and what makes codes of a text cut to two layers."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from ..doctor.base import Context, Finding
from ..models import fish_speech
from . import tried

SAMPLES, FRAMES, BOOKS, CODES = 132300, 65, 10, 4096
"""Three seconds at 44100 Hz; frames of 2048 samples, begun ones too; codebooks, and codes of the largest."""
SLOW = {"n_layer": 2, "n_head": 2, "n_local_heads": 2, "head_dim": 32, "dim": 64, "intermediate_size": 128}
"""What both commits call the width and depth of the transformer."""
LENGTH = 2560
"""Positions: what is asked may have up to 2048 fewer."""
_SAID, _TEXT, _FOR = "the quick brown fox", "Hello river.", 9


def codec(path: Path) -> None:
    """Random weights of upstream's own configuration, in the form that its loader reads."""
    torch = importlib.import_module("torch")
    omegaconf = importlib.import_module("omegaconf").OmegaConf
    hydra = importlib.import_module("hydra.utils")
    importlib.import_module("fish_speech.models.dac.inference")  # it registers what the configuration calls
    root = Path(str(importlib.import_module("fish_speech.tokenizer").__file__)).parent
    torch.manual_seed(0)
    made = hydra.instantiate(omegaconf.load(str(root / "configs" / f"{fish_speech.CODEC}.yaml")))
    torch.save(made.state_dict(), path)


def judge(folder: Path, context: Context, rate: int, exact: bool) -> Finding:
    """Run the weights in a folder through upstream's loaders: encode and decode, speak with a voice, train a step.

    Args:
        rate: Hertz that the codec should have.
        exact: Whether only codes of sound can be drawn, so that it speaks as long as it was told.
    """
    torch = importlib.import_module("torch")
    heard = tried.speech(context, rate, SAMPLES / rate)
    samples = heard.samples[:SAMPLES]
    parts = fish_speech.prepared(folder, "cpu")
    with torch.inference_mode():
        codes, again = (parts.codec.encode_reference(samples, True) for _ in range(2))
        back = parts.codec.decode_vq_tokens(codes.clone())
    speak, spoken = fish_speech.speaker(parts), []
    for _ in range(2):
        torch.manual_seed(1)
        made = speak(_TEXT, heard, _SAID, str(_FOR * fish_speech.FRAME / rate))
        spoken.append(torch.from_numpy(made.samples))
    largest = int(codes.max())
    evidence: dict[str, object] = {
        "rate": parts.rate,
        "given": len(samples),
        "codes": list(codes.shape),
        "largest code": largest,
        "samples": back.shape[-1],
        "spoken": len(spoken[0]),
        "codec parameters": sum(value.numel() for value in parts.codec.decoder_model.parameters()),
    }
    frames = len(spoken[0]) / fish_speech.FRAME
    # The last frame is taken for the end.
    right = frames == _FOR - 1 if exact else frames in range(1, _FOR)
    tried.judged(
        {
            f"its rate is {parts.rate}, not {rate}": parts.rate != rate,
            f"{len(samples)} samples became codes of the shape {evidence['codes']}, not [{BOOKS}, {FRAMES}]": evidence[
                "codes"
            ]
            != [BOOKS, FRAMES],
            f"codes up to {largest} are outside of {CODES}": largest >= CODES,
            f"{FRAMES} frames became {back.shape[-1]} samples": back.shape[-1] != FRAMES * fish_speech.FRAME,
            "what was decoded is no number": not bool(torch.isfinite(back).all() and torch.isfinite(spoken[0]).all()),
            "the same sound gave other codes the second time": not torch.equal(codes, again),
            "the same draws gave another sentence the second time": not torch.equal(*spoken),
            f"told to speak {_FOR} frames, it spoke {frames:g}": not right,
        },
        evidence,
    )
    del parts, speak
    model, forward = _trained(folder)
    evidence["autocast"] = halves = tried.halves(lambda: forward("cpu"))
    evidence["gpu"] = tried.on_gpu(forward)
    inputs = _inputs(model)
    evidence["training"] = trained = tried.step(
        model.cpu(),
        lambda module: torch.nn.functional.cross_entropy(
            module(inp=inputs[..., :-1], labels=inputs[..., 1:]).token_logits.flatten(0, 1).float(),
            inputs[:, 0, 1:].flatten(),
        ),
        model.config.vocab_size,
    )
    return Finding(
        f"tier structure: codes [{BOOKS}, {FRAMES}] and {back.shape[-1]} samples of {len(samples)}, twice the same, {frames:g} frames "
        f"spoken, loss {trained['loss']:.3f} ({trained['loss of guessing']:.3f} is guessing), finite in "
        f"{' and '.join(halves)}; {evidence['gpu']} (random weights)",
        evidence,
    )


def _trained(folder: Path) -> tuple[Any, Any]:
    """The transformer in fp32, and its logits of what is the same each time."""
    llama = importlib.import_module("fish_speech.models.text2semantic.llama")
    model = llama.DualARTransformer.from_pretrained(folder, load_weights=True).float().eval()

    def forward(device: str) -> Any:
        inputs = _inputs(model).to(device)
        return model.to(device)(inp=inputs, labels=inputs).codebook_logits

    return model, forward


def _inputs(model: Any) -> Any:
    """Tokens of speech and their codes: [1, books + 1, 24]."""
    torch = importlib.import_module("torch")
    drawn, tokens = torch.Generator().manual_seed(3), model.tokenizer
    codes = torch.randint(0, 1024, (1, model.config.num_codebooks, 24), generator=drawn)
    return torch.cat([codes[:, :1] + tokens.semantic_begin_id, codes], dim=1)
