"""DiffRhythm 2 of two layers, its decoder and MuQ-MuLan narrow."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..doctor.base import Context, Failed, Finding
from ..models import diffrhythm2
from ..models.sound import Sound
from . import chinese, cut, tried

MEMORY_GIB = 3.0
STAND_INS: dict[str, Callable[[Path], None]] = {
    "g2p/sources/chinese_lexicon.txt": chinese.lexicon,
    "g2p/sources/g2p_chinese_model/poly_bert_model.onnx": chinese.reading,
}
_SECONDS, _PER_LATENT = 10, 9600
_LYRICS = "[verse]\nthe river sings a song for you\n你好世界\n[chorus]\nand all the world is new"
# inference.py numbers structure and phonemes up to 512, and 0 fills.
_TOKENS, _CHANNELS = 513, 64
_MODEL = {
    "dim": 128,
    "depth": 2,
    "heads": 2,
    "ff_mult": 2,
    "mel_dim": _CHANNELS,
    "text_num_embeds": _TOKENS,
    "block_size": 10,
}
# 5·5·4·4·4·3·2 samples of a latent.
_DECODER = {
    "in_channels": _CHANNELS,
    "sampling_rate": 48000,
    "upsample_rates": [5, 5, 4, 4, 4, 3, 2],
    "upsample_kernel_sizes": [11, 11, 8, 8, 8, 7, 4],
    "upsample_initial_channel": 256,
    "resblock": "1",
    "resblock_kernel_sizes": [3],
    "resblock_dilation_sizes": [[1, 3, 5]],
    "activation": "snakebeta",
    "snake_logscale": True,
}
_STYLE, _WIDTH = 512, 64


def structure(context: Context, code: Path) -> Finding:
    """Ten seconds of a song, twice, and less than four, which are refused."""
    del code
    with cut.network():
        return _tried(context)


def _tried(context: Context) -> Finding:
    import torch

    files = weights(context.scratch / "hub")
    heard = tried.speech(context, 48000, 3.0)
    model, style_of, tokens_of, decoder = diffrhythm2.prepared(files, "cpu")
    sing = diffrhythm2.singer(model, style_of, tokens_of, decoder)
    made = []
    for _ in range(2):
        torch.manual_seed(1)
        made.append(torch.from_numpy(sing(_LYRICS, heard, seconds=str(_SECONDS)).samples))
    whole = _SECONDS * diffrhythm2.LATENTS * _PER_LATENT
    evidence: dict[str, object] = {"samples": len(made[0]), "rate": 48000}
    tried.judged(
        {
            f"{_SECONDS} s became {len(made[0])} samples, not {whole}": len(made[0]) != whole,
            "what was sung is no number": not bool(torch.isfinite(made[0]).all()),
            "the same noise gave another song the second time": not torch.equal(*made),
        },
        evidence,
    )
    evidence["refused"] = _refused(lambda: sing(_LYRICS, heard, seconds="3"))
    with torch.inference_mode():
        styles = [style_of(texts=["a quiet song"]), style_of(wavs=torch.zeros(1, 24000))]
    evidence["styles"], evidence["tokens"] = (
        [list(style.shape) for style in styles],
        len(tokens_of(["[verse]", "hello"])),
    )
    tried.judged(
        {f"styles have the shapes {evidence['styles']}, not [1, {_STYLE}]": evidence["styles"] != [[1, _STYLE]] * 2},
        evidence,
    )
    forward = _forward(model)
    evidence["autocast"] = halves = tried.halves(lambda: forward("cpu"))
    evidence["gpu"] = tried.on_gpu(forward)
    return Finding(
        f"tier structure: {whole} samples of {whole // _PER_LATENT} latents, twice the same, styles of {_STYLE} from words and sound, "
        f"finite in {' and '.join(halves)}, under 4 s refused; {evidence['gpu']} (random weights)",
        evidence,
    )


def weights(store: Path) -> list[Path]:
    """Random weights in a hub's cache, in the order of the catalog."""
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    dit, cfm, vocoder = (
        importlib.import_module(name) for name in ("diffrhythm2.backbones.dit", "diffrhythm2.cfm", "bigvgan.model")
    )
    made = cfm.CFM(dit.DiT(**_MODEL), num_channels=_CHANNELS, block_size=_MODEL["block_size"])
    decoder = vocoder.BigVGAN(vocoder.AttrDict(_DECODER)).state_dict()
    own = tried.cached(
        store,
        diffrhythm2.REPOSITORY,
        {
            "model.safetensors": lambda path: save_file(
                {name: value.clone().contiguous() for name, value in made.state_dict().items()}, path
            ),
            "decoder.bin": lambda path: torch.save({"generator": decoder}, path),
            "model.json": _json(_MODEL),
            "decoder.json": _json(_DECODER),
        },
    )
    return [*own, *_style_weights(store)]


def _style_weights(store: Path) -> list[Path]:
    """MuQ-MuLan, and what it is made of: it loads both parts, and then itself over them."""
    import torch
    from transformers import Wav2Vec2ConformerConfig, XLMRobertaConfig, XLMRobertaModel

    muq, mulan = importlib.import_module("muq"), importlib.import_module("muq.muq_mulan.muq_mulan")
    inner = Wav2Vec2ConformerConfig(
        hidden_size=_WIDTH, num_hidden_layers=2, num_attention_heads=2, intermediate_size=_WIDTH
    )
    hearing = {
        "conv_dim": 32,
        "encoder_dim": _WIDTH,
        "encoder_depth": 2,
        "stat": {"melspec_2048_mean": 6.8, "melspec_2048_std": 18.4},
        "w2v2_config": json.loads(inner.to_json_string(use_diff=False)),
    }
    made = muq.MuQ(hearing).state_dict()
    words = _words()
    reading = XLMRobertaConfig(
        vocab_size=words.get_vocab_size(),
        hidden_size=_WIDTH,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=_WIDTH,
        pad_token_id=1,
    )
    text = store.parent / "xlm-roberta"
    XLMRobertaModel(reading).save_pretrained(text)
    words.save(str(text / "tokenizer.json"))
    narrow = {"dim": _WIDTH, "tf_depth": 1, "heads": 2, "dim_head": 32, "ff_mult": 2}
    settings = {
        "mulan": {"sr": 24000, "clip_secs": 10, "dim_latent": _STYLE},
        "audio_model": {"name": "OpenMuQ/MuQ-large-msd-iter", "model_dim": _WIDTH, "use_layer_idx": -1},
        "text_model": {"name": "xlm-roberta-base", "model_dim": _WIDTH},
        "audio_transformer": narrow,
        "text_transformer": {**narrow, "max_seq_len": 512},
    }
    parts = [
        *tried.cached(
            store,
            "OpenMuQ/MuQ-large-msd-iter",
            {"pytorch_model.bin": lambda path: torch.save(made, path), "config.json": _json(hearing)},
        ),
        *tried.cached(
            store,
            "FacebookAI/xlm-roberta-base",
            {name: _copy(text / name) for name in ("model.safetensors", "config.json", "tokenizer.json")},
        ),
    ]
    whole = tried.cached(
        store, "OpenMuQ/MuQ-MuLan-large", {"pytorch_model.bin": Path.touch, "config.json": _json(settings)}
    )
    cache = store.parent / "cache"
    diffrhythm2.at_hand([*whole, *parts], cache)
    torch.save(mulan.MuQMuLan(settings, hf_hub_cache_dir=str(cache)).state_dict(), whole[0])
    return [*whole, *parts]


def _words() -> Any:
    """A tokenizer of letters, in place of XLM-RoBERTa's."""
    tokenizers = importlib.import_module("tokenizers")
    special = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    letters = [(letter, -2.0) for letter in "▁abcdefghijklmnopqrstuvwxyz"]
    words = tokenizers.Tokenizer(tokenizers.models.Unigram([*special, *letters], unk_id=3))
    words.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    return words


def _json(value: object) -> Callable[[Path], object]:
    return lambda path: path.write_text(json.dumps(value), encoding="utf-8")


def _copy(source: Path) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(source.read_bytes())


def _refused(sing: Callable[[], Sound]) -> str:
    try:
        sing()
    except ValueError as problem:
        return str(problem)
    raise Failed("less than 4 s of a song, which upstream cannot decode, were not refused")


def _forward(model: Any) -> Callable[[str], Any]:
    """The transformer on a block of noise that is the same each time."""
    import torch

    drawn = torch.Generator().manual_seed(2)
    block = model.block_size
    x, style = torch.randn(1, block, 512, generator=drawn), torch.randn(1, _STYLE, generator=drawn)
    time = torch.full((1, block), 0.5)

    def forward(device: str) -> Any:
        model.to(device)
        return model.transformer(
            x=x.to(device),
            time=time.to(device),
            position_ids=torch.arange(block, device=device)[None],
            style_prompt=style.to(device),
            attn_mask=torch.ones(1, 1, block, block, dtype=torch.bool, device=device),
        )[0]

    return forward
