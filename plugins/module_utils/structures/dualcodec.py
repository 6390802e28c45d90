"""DualCodec at 12.5 Hz, whole, behind a narrow w2v-bert."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..doctor.base import Context, Failed, Finding
from ..models import dualcodec
from ..models.amphion import RATE
from . import amphion, cut, tried

MEMORY_GIB, SECONDS = 2.8, 60.0
_SECONDS = 2.0
# DualCodec 12hz_v1: dualcodec/conf/model/dualcodec_12hz_16384_4096_8vq.yaml of 0.4.2.
_CONFIG, _STATISTICS = "dualcodec_12hz_16384_4096_8vq.yaml", "w2vbert2_mean_var_stats_emilia.pt"
_HOP, _SEMANTIC, _ACOUSTIC, _BOOKS = 1920, 16384, 4096, dualcodec.BOOKS - 1
_EDGE = 16
"""Samples that its last convolutions take; 4 were seen."""


def structure(context: Context, code: Path) -> Finding:
    """Two seconds of speech are encoded and decoded."""
    del code
    heard = tried.speech(context, RATE, _SECONDS)
    cache = amphion.offline(context)
    with cut.network():
        import torch

        inference = dualcodec.opened(weights(cache), "cpu")
        samples = torch.from_numpy(heard.samples)[None, None]
        first, again = (inference.encode(samples, n_quantizers=dualcodec.BOOKS) for _ in range(2))
        decoded = inference.decode(*first)
    shapes = {
        "semantic codes": list(first[0].shape),
        "acoustic codes": list(first[1].shape),
        "samples": [samples.shape[-1], decoded.shape[-1]],
    }
    evidence = {
        "weights": "random, written by us and read by dualcodec.get_model",
        **shapes,
        "GPU": tried.on_gpu(_forward(inference.model)),
    }
    problem = wrong(shapes, int(first[0].max()), int(first[1].max()))
    if not problem and not all(torch.equal(one, other) for one, other in zip(first, again)):
        problem = "the same sound gave other codes the second time"
    if not problem and not bool(torch.isfinite(decoded).all()):
        problem = "what was decoded is not a number"
    if problem:
        raise Failed(problem, "", evidence)
    frames = first[0].shape[-1]
    return Finding(
        f"tier structure: {frames} frames of 1 and {_BOOKS} codes, twice the same, {decoded.shape[-1]} samples back; "
        f"{evidence['GPU']} (random weights)",
        evidence,
    )


def weights(cache: Path) -> list[Path]:
    """amphion/dualcodec drawn from seed 0, and the semantic model beside it."""
    import torch

    hydra: Any = importlib.import_module("hydra")
    torch.manual_seed(0)
    settings = os.path.join(os.path.dirname(str(importlib.import_module("dualcodec").__file__)), "conf", "model")
    with hydra.initialize_config_dir(config_dir=settings, version_base="1.3"):
        made = hydra.utils.instantiate(hydra.compose(config_name=_CONFIG).model)

    def statistics(path: Path) -> None:
        torch.save({"mean": torch.zeros(1024), "var": torch.ones(1024)}, path)

    files = {dualcodec.CODEC: amphion.save(made), _STATISTICS: statistics}
    return [*tried.cached(cache, "amphion/dualcodec", files), *amphion.semantic(cache)]


def _forward(model: Any) -> Any:
    """Codes of one second, decoded on a device."""
    import torch

    generator = torch.Generator().manual_seed(1)
    semantic = torch.randint(0, _SEMANTIC, (1, 1, 12), generator=generator)
    acoustic = torch.randint(0, _ACOUSTIC, (1, _BOOKS, 12), generator=generator)

    def forward(device: str) -> Any:
        model.to(device)
        return model.decode_from_codes(semantic.to(device), acoustic.to(device))

    return forward


def wrong(found: Mapping[str, Sequence[int]], largest_semantic: int, largest_acoustic: int) -> str:
    """What is wrong with the shapes and ranges of DualCodec's codes; empty where nothing is."""
    given, back = found["samples"]
    frames = given // _HOP
    # Its strided convolutions may lose the last, incomplete frame.
    if found["semantic codes"] not in ([1, 1, frames], [1, 1, frames - 1]):
        return f"the semantic codes have the shape {found['semantic codes']}, not [1, 1, {frames}]"
    if found["acoustic codes"] != [1, _BOOKS, found["semantic codes"][2]]:
        return f"the acoustic codes have the shape {found['acoustic codes']}, not [1, {_BOOKS}, {found['semantic codes'][2]}]"
    if largest_semantic >= _SEMANTIC or largest_acoustic >= _ACOUSTIC:
        return f"codes up to {largest_semantic} and {largest_acoustic} are outside of codebooks of {_SEMANTIC} and {_ACOUSTIC}"
    whole = found["semantic codes"][2] * _HOP
    if not 0 <= whole - back <= _EDGE:
        return f"{given} samples came back as {back}, not as {whole} or {_EDGE} less at most"
    return ""
