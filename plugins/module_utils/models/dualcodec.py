"""DualCodec encodes a sound at 12.5 frames a second, and decodes it again."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Callable

from . import amphion, keys
from .sound import Sound

DEVICES = amphion.DEVICES
KIND, CODEC, BOOKS = "12hz_v1", "dualcodec_12hz_16384_4096.safetensors", 8
"""What ``dualcodec.get_model`` calls it, the file that it loads, and its codebooks."""


def load(files: Sequence[Path], device: str) -> Callable[[Sound], Sound]:
    """What encodes and decodes a sound of 24000 Hz; `files` are those of amphion/dualcodec and facebook/w2v-bert-2.0."""
    import torch

    inference, place = opened(files, device), amphion.torch_device(device)

    def again(heard: Sound) -> Sound:
        samples = torch.from_numpy(heard.samples)[None, None].to(place)
        decoded = inference.decode(*inference.encode(samples, n_quantizers=BOOKS))
        return Sound(amphion.RATE, decoded[0, 0].float().cpu().numpy())

    return again


def opened(files: Sequence[Path], device: str) -> Any:
    """DualCodec's own ``Inference``, with weights that fit exactly."""
    importlib.import_module("transformers")  # so that `keys.exact` knows it
    package: Any = importlib.import_module("dualcodec")
    folder = str(amphion.find(files, CODEC).parent)
    semantic = str(amphion.find(files, "preprocessor_config.json").parent)
    with keys.exact():
        return package.Inference(
            dualcodec_model=package.get_model(KIND, folder),
            dualcodec_path=folder,
            w2v_path=semantic,
            device=amphion.torch_device(device),
        )
