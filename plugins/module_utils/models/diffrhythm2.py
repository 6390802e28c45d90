"""DiffRhythm 2 makes a song of lyrics and a style."""

from __future__ import annotations

import importlib
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Callable

from . import keys
from .adapters import cast_time
from .sound import Sound, resampled

DEVICES = ("cuda", "rocm", "cpu")
REPOSITORY = "ASLP-lab/DiffRhythm2"
LATENTS = 5
"""Latents a second: 9600 samples of 48000 Hz each (bigvgan/model.py, decode_audio)."""
LEAST, SECONDS = 20, 60.0
"""Latents below which upstream's decoder fails (its loop over chunks of 20 never runs); seconds where nothing is said."""
STYLE_RATE, STYLE_SECONDS = 24000, 10
"""What MuQ-MuLan hears of a style."""
STEPS, GUIDANCE = 16, 2.0
"""Upstream's own (inference.py)."""


def load(files: Sequence[Path], device: str) -> Callable[..., Sound]:
    """What makes a song; `files` are those of its four repositories in the hub's cache. It is called in a folder of its own."""
    return singer(*prepared(files, device))


def singer(
    model: Any, style_of: Any, tokens_of: Callable[[Sequence[str]], list[int]], decoder: Any
) -> Callable[..., Sound]:
    """What makes a song with models that are loaded."""

    def sing(text: str, style: Sound | None = None, style_text: str | None = None, seconds: str | None = None) -> Sound:
        torch = importlib.import_module("torch")
        length = int(_number(seconds) * LATENTS)
        if length < LEAST:
            raise ValueError(f"a song lasts {LEAST / LATENTS:g} s or more. Remedy: --seconds {SECONDS:g}")
        lyrics = [line.strip() for line in text.splitlines() if line.strip()]
        if not lyrics:
            raise ValueError(
                "there are no lyrics. Remedy: a line of them, or of structure as [verse], in each line of --text"
            )
        with torch.inference_mode():
            prompt = _style(style_of, style, style_text).to(next(model.parameters()).dtype)
            latent = model.sample_block_cache(
                text=torch.tensor([tokens_of(lyrics)], dtype=torch.long, device=model.device),
                duration=length,
                style_prompt=prompt,
                steps=STEPS,
                cfg_strength=GUIDANCE,
                process_bar=False,
            )
            if latent.shape[1] < LEAST:
                ended = latent.shape[1] / LATENTS
                raise ValueError(f"the song ended after {ended:.1f} s, too soon to be decoded. Remedy: longer lyrics")
            heard = decoder.decode_audio(latent.transpose(1, 2), overlap=5, chunk_size=LEAST)
        return Sound(decoder.h.sampling_rate, heard.float().cpu().numpy().reshape(-1))

    return sing


def prepared(files: Sequence[Path], device: str) -> tuple[Any, Any, Callable[[Sequence[str]], list[int]], Any]:
    """Upstream's models with their weights, and what makes tokens of lines of lyrics.

    Raises:
        Unusable: the weights are not the ones of this model.
    """
    at_hand(files, Path("ckpt"))
    torch = importlib.import_module("torch")
    upstream: Any = importlib.import_module("inference")
    with keys.exact():
        model, style_of, tokenizer, decoder = upstream.prepare_model(
            REPOSITORY, torch.device("cpu" if device == "cpu" else "cuda")
        )
    upstream.lrc_tokenizer = tokenizer
    cast_time(model.transformer)
    if device != "cpu":
        model, decoder = model.half(), decoder.half()

    def tokens_of(lyrics: Sequence[str]) -> list[int]:
        return [token for line in upstream.parse_lyrics("\n".join(lyrics)) for token in line]

    return model, style_of, tokens_of, decoder


def at_hand(files: Sequence[Path], folder: Path) -> None:
    """Lay links to the files where upstream looks for them: it names ``./ckpt`` itself, whatever the hub's cache is.

    Its own files lie in that folder; for the others it is a cache.
    """
    folder.mkdir()
    stores = {}
    for file in files:
        store = next(parent for parent in file.parents if parent.name.startswith("models--"))
        if store.name == f"models--{REPOSITORY.replace('/', '--')}":
            (folder / file.name).symlink_to(os.path.realpath(file))
        else:
            stores[store.name.rpartition("--")[2]] = store
    named = {name.rpartition("--")[2]: name for name in (store.name for store in stores.values())}
    for file in files:
        if file.name == "config.json":
            # MuQ-MuLan's configuration names what it is made of, with or without an owner.
            settings = json.loads(file.read_text(encoding="utf-8"))
            for part in (settings.get("audio_model"), settings.get("text_model")):
                if isinstance(part, dict) and "name" in part:
                    name = part["name"]
                    named[name.rpartition("/")[2]] = f"models--{name.replace('/', '--')}"
    for last, store in stores.items():
        (folder / named[last]).symlink_to(os.path.realpath(store))


def _style(style_of: Any, style: Sound | None, words: str | None) -> Any:
    """The style as MuQ-MuLan hears or reads it: [1, 512]."""
    torch = importlib.import_module("torch")
    if style is not None:
        samples = resampled(style, STYLE_RATE).samples[: STYLE_RATE * STYLE_SECONDS]
        return style_of(wavs=torch.from_numpy(samples)[None].to(style_of.device))
    if words:
        return style_of(texts=[words])
    raise ValueError("diffrhythm2 makes music of a style. Remedy: --style with a WAV, or --style-text with words")


def _number(seconds: str | None) -> float:
    try:
        found = float(seconds) if seconds is not None else SECONDS
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise ValueError(f"--seconds {seconds} is no number. Remedy: --seconds {SECONDS:g}")
    return found
