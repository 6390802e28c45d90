"""What runs the models of an environment: our room for it, and a command for each model."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from .. import models
from ..host import rooms, store
from ..models import (  # noqa: F401  (named so that they travel to the host)
    diffrhythm2,
    dualcodec,
    fish_speech,
    fish_speech_s1,
    maskgct,
    metis,
    openvoice,
    piper_demo,
    sherpa_ctc,
    sherpa_onnx,
    silero_vad,
    swift_f0,
    torchcrepe,
    vevo,
    whisper_tiny,
)
from ..models.run import OWN, START
from ..records.model import ModelOf
from ..wanted.weights import HUB_CACHE

ROOMS, COMMANDS = "wavesmith/rooms", "wavesmith/models"
"""In a prefix: the room, and a script for each model."""
_COMMAND = """\
#!/bin/sh
# Run the model {name}: see --help. Whatever it loads is on this host, so nothing is asked of a network.
export HF_HUB_CACHE="{cache}" HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 HF_HUB_DISABLE_TELEMETRY=1
exec "{prefix}/bin/python" -B -W ignore -c '{start}' "{prefix}/{rooms}" "{prefix}" {name} "$@"
"""


def sources() -> dict[str, bytes]:
    """The files that a prefix needs to run models, by path."""
    return rooms.sources((models,))


def own_runners(wanted: Sequence[ModelOf]) -> dict[str, bytes]:
    """The user's own files that run some models, by path."""
    found = {f"models/{OWN}/{model['name']}.py": model["runner"].encode() for model in wanted if model.get("runner")}
    return {f"models/{OWN}/__init__.py": b"", **found} if found else {}


def write(prefix: str, wanted: Sequence[ModelOf], files: Mapping[str, bytes]) -> None:
    """Write what runs the models of a prefix; nothing where it has none."""
    if not wanted:
        return
    for path, text in {**files, **own_runners(wanted)}.items():
        store.write_text(os.path.join(prefix, ROOMS, path), text.decode())
    cache = os.path.join(store.root_of(prefix), HUB_CACHE)
    for model in wanted:
        command = _COMMAND.format(name=model["name"], prefix=prefix, rooms=ROOMS, start=START, cache=cache)
        store.write_text(os.path.join(prefix, COMMANDS, model["name"]), command, 0o755)
