"""OpenAudio s1 of fish-speech, with a tokenizer and weights in the form of s1."""

from __future__ import annotations

import base64
import importlib
import json
from pathlib import Path

from ..doctor.base import Context, Finding
from . import cut, fish

MEMORY_GIB = 4.5
"""3.8 were seen."""
_RATE = 44100


def structure(context: Context, code: Path) -> Finding:
    """Encode and decode speech, speak with its voice, train a step."""
    del code
    folder = context.scratch / "s1-mini"
    with cut.network():
        weights(folder)
        return fish.judge(folder, context, _RATE, exact=False)


def weights(folder: Path) -> None:
    """Random weights in a folder: configuration, tokenizer, transformer and codec."""
    import torch

    folder.mkdir()
    llama, words = (
        importlib.import_module(f"fish_speech.{name}") for name in ("models.text2semantic.llama", "tokenizer")
    )
    lines = (f"{base64.b64encode(bytes([value])).decode()} {value}\n" for value in range(256))
    (folder / "tokenizer.tiktoken").write_text("".join(lines), encoding="utf-8")
    tokens = words.FishTokenizer.from_pretrained(str(folder))
    settings = {
        "model_type": "dual_ar",
        "vocab_size": tokens.vocab_size + tokens.num_special_tokens,
        "max_seq_len": fish.LENGTH,
        "codebook_size": fish.CODES,
        "num_codebooks": fish.BOOKS,
        "n_fast_layer": 1,
        **fish.SLOW,
    }
    (folder / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    torch.manual_seed(0)
    made = llama.DualARTransformer(llama.BaseModelArgs.from_pretrained(str(folder)), tokens)
    torch.save(made.state_dict(), folder / "model.pth")
    fish.codec(folder / "codec.pth")
