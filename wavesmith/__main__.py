"""Run `wavesmith` as `python -m wavesmith`, or as the folder: `python -I /path/to/wavesmith`."""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from wavesmith.cli import main

if __name__ == "__main__":
    sys.exit(main())
