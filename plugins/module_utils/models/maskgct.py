"""MaskGCT speaks with the voice of a recording.

As models/tts/maskgct/maskgct_inference.py of open-mmlab/Amphion does it, on any device. It runs in the root of its repository, where its
g2p and its configuration are opened.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Callable

from . import amphion, keys
from .adapters import clone_view_buffers
from .sound import Sound

DEVICES = amphion.DEVICES
WANTS_VOICE = True
"""It speaks only with the voice of a recording, and wants to know what that says."""
CONFIG = "./models/tts/maskgct/config/maskgct.json"
STEPS = (25, (25, 10, *(1,) * 10))
"""Upstream's own: steps of text to semantic codes, and of each layer of acoustic codes."""


def load(files: Sequence[Path], device: str, steps: tuple[int, Sequence[int]] = STEPS) -> Callable[..., Sound]:
    """What speaks a text with a voice; `files` are those of amphion/MaskGCT and facebook/w2v-bert-2.0."""
    import torch

    upstream: Any = importlib.import_module("models.tts.maskgct.maskgct_utils")
    place = amphion.torch_device(device)
    config = upstream.load_config(CONFIG).model
    with keys.exact():
        semantic, mean, deviation = upstream.build_semantic_model(place)
        parts = {
            "semantic_codec": upstream.build_semantic_codec(config.semantic_codec, place),
            **dict(zip(("acoustic_codec", "_decoder"), upstream.build_acoustic_codec(config.acoustic_codec, place))),
            "t2s_model": upstream.build_t2s_model(config.t2s_model, place),
            "s2a_model/s2a_model_1layer": upstream.build_s2a_model(config.s2a_model.s2a_1layer, place),
            "s2a_model/s2a_model_full": upstream.build_s2a_model(config.s2a_model.s2a_full, place),
        }
        for name, part in parts.items():
            path = "acoustic_codec/model_1.safetensors" if name == "_decoder" else f"{name}/model.safetensors"
            clone_view_buffers(part)
            importlib.import_module("safetensors.torch").load_model(part, str(amphion.find(files, path)))
    pipeline = upstream.MaskGCT_Inference_Pipeline(semantic, *parts.values(), mean, deviation, place)

    def speak(text: str, voice: Sound | None = None, voice_text: str = "", seconds: str = "") -> Sound:
        heard, says = amphion.prompt(voice, voice_text)
        wanted = amphion.length(seconds)
        torch.manual_seed(0)  # the same text gives the same sound
        with amphion.as_file(heard) as path:
            samples = pipeline.maskgct_inference(
                path,
                says,
                text,
                amphion.language(says),
                amphion.language(text),
                target_len=wanted,
                n_timesteps=steps[0],
                n_timesteps_s2a=list(steps[1]),
            )
        return Sound(amphion.RATE, samples)

    return speak
