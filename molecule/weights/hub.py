#!/usr/bin/env python3
"""Make the folder of a model hub that has the weights of the model `tone`, as catalog/weights/tone.yml pins them."""

from __future__ import annotations

import sys
from pathlib import Path

COMMIT = "c0ffee" * 6 + "beef"
FILES = {"model.safetensors": b"wavesmith" * 2_500_000, "codec/model.bin": b"tone" * 250_000, "config.json": b"{}\n"}

folder = Path(sys.argv[1]) / "ours" / "tone" / "resolve" / COMMIT
for name, data in FILES.items():
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)
