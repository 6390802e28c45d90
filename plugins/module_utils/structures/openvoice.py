"""OpenVoice v2's converter at its full width, and WavMark's watermark."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

from ..doctor.base import Context, Finding
from ..models import openvoice
from ..models.sound import Sound
from . import cut, tried

MEMORY_GIB = 2.0
_RATE, _HOP, _TONE = 22050, 256, 256
_SECONDS = 5.0
# The converter of v2, as `SynthesizerTrn` of openvoice/models.py takes it: its 32.79 million parameters are the 131 320 490 bytes of
# checkpoint.pth. Without speakers it has the reference encoder.
_DATA = {"sampling_rate": _RATE, "filter_length": 1024, "hop_length": _HOP, "win_length": 1024, "n_speakers": 0}
_MODEL = {
    "zero_g": True,
    "inter_channels": 192,
    "hidden_channels": 192,
    "filter_channels": 768,
    "n_heads": 2,
    "n_layers": 6,
    "kernel_size": 3,
    "p_dropout": 0.1,
    "resblock": "1",
    "resblock_kernel_sizes": [3, 7, 11],
    "resblock_dilation_sizes": [[1, 3, 5]] * 3,
    "upsample_rates": [8, 8, 2, 2],
    "upsample_initial_channel": 512,
    "upsample_kernel_sizes": [16, 16, 4, 4],
    "gin_channels": _TONE,
}
_MARK = "step59000_snr39.99_pesq4.35_BERP_none0.30_mean1.81_std1.81.model.pkl"


def structure(context: Context, code: Path) -> Finding:
    """Five seconds of speech are given the tone of their first two, played faster."""
    del code
    with cut.network():
        return _tried(context)


def _tried(context: Context) -> Finding:
    import torch

    heard = tried.speech(context, _RATE, _SECONDS)
    files = weights(context.scratch / "hub")
    convert = openvoice.load(files, "cpu")
    voice = Sound(_RATE, heard.samples[: 4 * _RATE : 2])
    made = []
    for _ in range(2):
        torch.manual_seed(1)
        made.append(torch.from_numpy(convert(heard, voice).samples))
    converter = openvoice.converter(files, "cpu")
    tone = converter.extract_se([openvoice.file(voice)])
    evidence: dict[str, object] = {"tone": list(tone.shape), "samples": [len(heard.samples), len(made[0])]}
    whole = len(heard.samples) // _HOP * _HOP
    tried.judged(
        {
            f"the tone of a voice has the shape {evidence['tone']}, not [1, {_TONE}, 1]": evidence["tone"]
            != [1, _TONE, 1],
            f"{len(heard.samples)} samples became {len(made[0])}, not {whole}": len(made[0]) != whole,
            "what was converted is no number": not bool(torch.isfinite(made[0]).all()),
            "the same noise gave another sound the second time": not torch.equal(*made),
        },
        evidence,
    )
    evidence["parameters"] = sum(value.numel() for value in converter.model.parameters())
    forward = _forward(converter.model, tone)
    evidence["autocast"] = halves = tried.halves(lambda: forward("cpu"))
    evidence["gpu"] = tried.on_gpu(forward)
    return Finding(
        f"tier structure: a tone of {_TONE}, {whole} samples of {len(heard.samples)}, twice the same, finite in "
        f"{' and '.join(halves)}; {evidence['gpu']} (random weights)",
        evidence,
    )


def weights(store: Path) -> list[Path]:
    """Random weights in a hub's cache: checkpoint, configuration and watermark, in the order of the catalog."""
    import torch

    models, marks = (importlib.import_module(name) for name in ("openvoice.models", "wavmark.models.my_model"))
    torch.manual_seed(0)
    made = models.SynthesizerTrn(0, _DATA["filter_length"] // 2 + 1, n_speakers=0, **_MODEL)
    mark = marks.Model(16000, num_bit=32, n_fft=1000, hop_length=400, num_layers=8)
    settings = json.dumps({"_version_": "v2", "data": _DATA, "model": _MODEL})
    return [
        *tried.cached(
            store,
            "myshell-ai/OpenVoiceV2",
            {
                "converter/checkpoint.pth": lambda path: torch.save({"model": made.state_dict()}, path),
                "converter/config.json": lambda path: path.write_text(settings, encoding="utf-8"),
            },
        ),
        *tried.cached(store, "M4869/WavMark", {_MARK: lambda path: torch.save(mark.state_dict(), path)}),
    ]


def _forward(model: Any, tone: Any) -> Any:
    """The conversion without the noise that it draws, of a spectrum that is the same each time."""
    import torch

    spectrum = torch.rand(1, _DATA["filter_length"] // 2 + 1, 40, generator=torch.Generator().manual_seed(2))

    def forward(device: str) -> Any:
        model.to(device)
        given = (value.to(device) for value in (spectrum, torch.tensor([40]), tone, tone.flip(1)))
        with torch.no_grad():
            return model.voice_conversion(*given, tau=0.0)[0]

    return forward
