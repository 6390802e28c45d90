"""fish-speech S2, with weights named and sharded as S2's are."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

from ..doctor.base import Context, Finding
from . import cut, fish

MEMORY_GIB = 9.0
"""8.1 were seen: besides 391 million parameters its codec holds four squares of 32768 positions (modded_dac.py)."""
_RATE, _SHARDS = 44100, 2


def structure(context: Context, code: Path) -> Finding:
    """Encode and decode speech, speak with its voice, train a step."""
    del code
    folder = context.scratch / "s2-pro"
    with cut.network():
        weights(folder)
        return fish.judge(folder, context, _RATE, exact=True)


def weights(folder: Path) -> None:
    """Random weights in a folder: configuration, tokenizer, transformer and codec."""
    import torch
    from safetensors.torch import save_file

    folder.mkdir()
    llama, words = (
        importlib.import_module(f"fish_speech.{name}") for name in ("models.text2semantic.llama", "tokenizer")
    )
    _tokenizer(folder, words.ALL_SPECIAL_TOKENS)
    tokens = words.FishTokenizer.from_pretrained(str(folder))
    settings = {
        "model_type": "fish_qwen3_omni",
        "text_config": {"vocab_size": len(tokens.get_vocab()), "max_seq_len": fish.LENGTH, **fish.SLOW},
        "audio_decoder_config": {"vocab_size": fish.CODES, "num_codebooks": fish.BOOKS, **fish.SLOW, "n_layer": 1},
        "semantic_start_token_id": tokens.semantic_begin_id,
        "semantic_end_token_id": tokens.semantic_end_id,
    }
    (folder / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    torch.manual_seed(0)
    made = llama.DualARTransformer(llama.BaseModelArgs.from_pretrained(str(folder)))
    with torch.no_grad():
        # A score of 0 for the end is none of the thirty largest.
        made.embeddings.weight[tokens.get_token_id(words.IM_END_TOKEN)] = 0
    named = {_name(name): value.clone().contiguous() for name, value in made.state_dict().items()}
    places = {name: f"model-{count % _SHARDS + 1:05d}-of-{_SHARDS:05d}.safetensors" for count, name in enumerate(named)}
    for shard in set(places.values()):
        save_file({name: value for name, value in named.items() if places[name] == shard}, folder / shard)
    index = {"metadata": {}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    fish.codec(folder / "codec.pth")


def _name(name: str) -> str:
    """What S2's weights call a parameter, which upstream's loader renames (fish_speech/models/text2semantic/llama.py)."""
    if name.startswith("codebook_embeddings."):
        return f"audio_decoder.{name}"
    return f"audio_decoder.{name[len('fast_') :]}" if name.startswith("fast_") else f"text_model.model.{name}"


def _tokenizer(folder: Path, special: list[str]) -> None:
    """A tokenizer of bytes with upstream's special tokens."""
    tokenizers: Any = importlib.import_module("tokenizers")
    fast = importlib.import_module("transformers").PreTrainedTokenizerFast
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    words = tokenizers.Tokenizer(tokenizers.models.BPE({letter: place for place, letter in enumerate(alphabet)}, []))
    words.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = tokenizers.decoders.ByteLevel()
    words.add_special_tokens(special)
    fast(tokenizer_object=words).save_pretrained(folder)
