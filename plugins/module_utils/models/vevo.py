"""Vevo gives a recording the voice of another one.

As models/vc/vevo/infer_vevotimbre.py of open-mmlab/Amphion does it, on any device. It runs in the root of its repository, where its
configuration is opened.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Callable

from . import amphion, keys, scratch
from .sound import Sound

DEVICES = amphion.DEVICES
CONFIGS = "./models/vc/vevo/config"
STEPS = 32
"""Upstream's own."""
HUBERT = "hubert_fairseq_large_ll60k.pth"
"""What ``torchaudio.pipelines.HUBERT_LARGE`` looks for below ``TORCH_HOME``."""


def load(files: Sequence[Path], device: str, steps: int = STEPS) -> Callable[..., Sound]:
    """What gives a sound the voice of another; `files` are those of amphion/Vevo and torchaudio's HuBERT."""
    import torch

    folder_of_torch = scratch.folder("vevo")  # it has a link only
    home = folder_of_torch / "hub" / "checkpoints"
    home.mkdir(parents=True)
    (home / HUBERT).symlink_to(amphion.find(files, HUBERT))
    os.environ["TORCH_HOME"] = str(folder_of_torch)
    upstream: Any = importlib.import_module("models.vc.vevo.vevo_utils")

    def folder(path: str) -> str:
        return str(amphion.find(files, f"{path}/model.safetensors").parent)

    with keys.exact():
        pipeline = upstream.VevoInferencePipeline(
            content_style_tokenizer_ckpt_path=folder("tokenizer/vq8192"),
            fmt_cfg_path=f"{CONFIGS}/Vq8192ToMels.json",
            fmt_ckpt_path=folder("acoustic_modeling/Vq8192ToMels"),
            vocoder_cfg_path=f"{CONFIGS}/Vocoder.json",
            vocoder_ckpt_path=folder("acoustic_modeling/Vocoder"),
            device=torch.device(amphion.torch_device(device)),
        )

    def convert(heard: Sound, voice: Sound | None = None) -> Sound:
        if voice is None:
            raise ValueError("it takes on the voice of a recording. Remedy: add --voice WAV")
        torch.manual_seed(0)  # the same sounds give the same sound
        with amphion.as_file(heard) as source, amphion.as_file(voice) as timbre:
            samples = pipeline.inference_fm(source, timbre, flow_matching_steps=steps)
        return Sound(amphion.RATE, samples[0].float().numpy())

    return convert
