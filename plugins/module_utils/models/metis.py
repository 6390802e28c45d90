"""Metis speaks with the voice of a recording, from the text to semantic codes of MaskGCT.

As models/tts/metis/metis_infer_tts.py of open-mmlab/Amphion does it, on any device. Upstream downloads into ``models/tts/metis/ckpt`` of its
own tree; here it works in a folder where that holds links to the weights, and the rest to the tree.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Callable

from . import amphion, keys, scratch
from .adapters import clone_view_buffers
from .sound import Sound

DEVICES = amphion.DEVICES
WANTS_VOICE = True
"""It speaks only with the voice of a recording, and wants to know what that says."""
CONFIG, WEIGHTS = "./models/tts/metis/config/tts.json", "models/tts/metis/ckpt"
STEPS = 25
"""Upstream's own."""
_LOADED = (
    "semantic_codec/model.safetensors",
    "acoustic_codec/model.safetensors",
    "acoustic_codec/model_1.safetensors",
    "s2a_model/s2a_model_1layer/model.safetensors",
    "s2a_model/s2a_model_full/model.safetensors",
)
# Upstream's script names t2s/model.safetensors; the repository has it as MaskGCT loads it.
_SPEAKS = "t2s_model/model.safetensors"


def load(files: Sequence[Path], device: str, steps: int = STEPS) -> Callable[..., Sound]:
    """What speaks a text with a voice; `files` are those of amphion/MaskGCT and facebook/w2v-bert-2.0."""
    return speaking(opened(files, device), steps)


def speaking(model: Any, steps: int) -> Callable[..., Sound]:
    """What speaks a text with a voice through upstream's ``Metis``."""
    import torch

    def speak(text: str, voice: Sound | None = None, voice_text: str = "", seconds: str = "") -> Sound:
        heard, says = amphion.prompt(voice, voice_text)
        wanted = amphion.length(seconds)
        torch.manual_seed(0)  # the same text gives the same sound
        with amphion.as_file(heard) as path:
            samples = model(
                text=text,
                prompt_speech_path=path,
                prompt_text=says,
                prompt_language=amphion.language(says),
                target_language=amphion.language(text),
                target_len=wanted,
                n_timesteps=steps,
                model_type="tts",
            )
        return Sound(amphion.RATE, samples)

    return speak


def opened(files: Sequence[Path], device: str) -> Any:
    """Upstream's own ``Metis`` for speech from text, with weights that fit exactly."""
    upstream: Any = importlib.import_module("models.tts.metis.metis")
    work(Path.cwd(), files)
    tokenizer: Any = importlib.import_module("models.tts.metis.audio_tokenizer")
    tokenizer.build_acoustic_codec = _ready(tokenizer.build_acoustic_codec)
    config = importlib.import_module("utils.util").load_config(CONFIG)
    with keys.exact():
        return upstream.Metis(
            ckpt_path=str(amphion.find(files, _SPEAKS)),
            cfg=config,
            device=amphion.torch_device(device),
            model_type="tts",
        )


def work(tree: Path, files: Sequence[Path]) -> None:
    """Make a folder with the tree, in which ``ckpt`` of Metis holds links to the weights, and go there.

    ``snapshot_download(local_dir=…)`` takes what lies there for downloaded while the hub is out of reach, and asks the cache for nothing.
    """
    folder = scratch.folder("metis")  # it has links only
    _mirror(tree, folder, Path(WEIGHTS).parent)
    for path in _LOADED:
        link = folder / WEIGHTS / path
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(amphion.find(files, path))
    os.chdir(folder)


def _mirror(source: Path, target: Path, opened: Path) -> None:
    """Links in `target` to all that `source` holds; folders on the way to `opened`, and that itself, are folders of their own."""
    target.mkdir(exist_ok=True)
    first = opened.parts[0] if opened.parts else None
    for entry in source.iterdir():
        if entry.name == first:
            _mirror(entry, target / entry.name, Path(*opened.parts[1:]))
        elif first is not None or entry.name != Path(WEIGHTS).name:
            (target / entry.name).symlink_to(entry)


def _ready(build: Callable[..., Any]) -> Callable[..., Any]:
    def built(*arguments: Any) -> Any:
        parts = build(*arguments)
        for part in parts:
            clone_view_buffers(part)
        return parts

    return built
