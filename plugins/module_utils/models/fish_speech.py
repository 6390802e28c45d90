"""fish-speech speaks a text with the voice of a recording: S2, and s1 of an earlier commit (`fish_speech_s1`)."""

from __future__ import annotations

import importlib
import runpy
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

from . import keys
from .adapters import list_audio_backends
from .sound import Sound

DEVICES = ("cuda", "rocm", "cpu")
CODEC = "modded_dac_vq"
FRAME = 2048
"""Samples of one frame of codes: strides 2·4·8·8, and 4 of its quantizer (fish_speech/configs/modded_dac_vq.yaml)."""
FRAMES = 1024
"""How long it speaks at most where nothing is said: upstream's own (fish_speech/utils/schema.py, ServeTTSRequest.max_new_tokens)."""
COMPUTED = ("freqs_cis", "causal_mask")
"""Tables that its codec computes itself: those of s1 are in its weights, those of S2 are not, and both read the same file."""


@dataclass(frozen=True)
class Parts:
    """Upstream's models with their weights.

    Attributes:
        model: What makes codes of a text, a ``DualARTransformer``.
        step: What makes one frame of them.
        codec: What makes codes of a sound, and a sound of codes.
        generate: Upstream's ``generate_long``.
    """

    model: Any
    step: Any
    codec: Any
    generate: Callable[..., Any]

    @property
    def rate(self) -> int:
        """Hertz of what it hears and speaks."""
        return int(self.codec.decoder_model.sample_rate)


def load(files: Sequence[Path], device: str) -> Callable[..., Sound]:
    """What speaks a text; the files lie in one folder, with its codec."""
    return speaker(prepared(files[0].parent, device))


def prepared(folder: Path, device: str) -> Parts:
    """Upstream's models with their weights, in bfloat16 as upstream runs them.

    Raises:
        Unusable: the weights are not the ones of this commit.
    """
    list_audio_backends()
    torch = importlib.import_module("torch")
    text = importlib.import_module("fish_speech.models.text2semantic.inference")
    sound = importlib.import_module("fish_speech.models.dac.inference")
    place = "cpu" if device == "cpu" else "cuda"
    with keys.exact(COMPUTED):
        model, step = text.init_model(folder, place, torch.bfloat16)
        codec = sound.load_model(CODEC, str(folder / "codec.pth"), place)
    manager = importlib.import_module("fish_speech.inference_engine.vq_manager").VQManager()
    manager.decoder_model, manager.load_audio = codec, lambda heard, _rate: heard
    return Parts(model, step, manager, text.generate_long)


def serve(files: Sequence[Path], device: str, port: int) -> None:
    """Be upstream's own server, on the loopback; it speaks a sentence before it listens (tools/server/model_manager.py)."""
    list_audio_backends()
    folder = files[0].parent
    sys.argv = [
        "api_server.py",
        "--llama-checkpoint-path",
        str(folder),
        "--decoder-checkpoint-path",
        str(folder / "codec.pth"),
    ]
    sys.argv += ["--device", "cpu" if device == "cpu" else "cuda", "--listen", f"127.0.0.1:{port}"]
    runpy.run_module("tools.api_server", run_name="__main__")


def speaker(parts: Parts) -> Callable[..., Sound]:
    """What speaks a text with models that are loaded."""

    def speak(
        text: str, voice: Sound | None = None, voice_text: str | None = None, seconds: str | None = None
    ) -> Sound:
        torch = importlib.import_module("torch")
        if voice is not None and not voice_text:
            raise ValueError(
                "fish-speech has to know what the voice says. Remedy: --voice-text with the words of that WAV"
            )
        prompt = {}
        with torch.inference_mode():
            if voice is not None:
                prompt = {
                    "prompt_text": [voice_text],
                    "prompt_tokens": [parts.codec.encode_reference(voice.samples, True)],
                }
            made = parts.generate(
                model=parts.model,
                device=next(parts.model.parameters()).device,
                decode_one_token=parts.step,
                text=text,
                max_new_tokens=_frames(seconds, parts.rate),
                **prompt,
            )
            codes = [part.codes for part in made if part.action == "sample" and part.codes.shape[1]]
            if not codes:
                raise ValueError("it said nothing. Remedy: another --text, or --voice")
            samples = parts.codec.decode_vq_tokens(torch.cat(codes, dim=1))
        return Sound(parts.rate, samples.float().cpu().numpy().reshape(-1))

    return speak


def _frames(seconds: str | None, rate: int) -> int:
    if seconds is None:
        return FRAMES
    try:
        found = round(float(seconds) * rate / FRAME)
    except ValueError:
        found = 0
    if found < 2:
        raise ValueError(f"--seconds {seconds} is no length of speech. Remedy: --seconds 10")
    return found
