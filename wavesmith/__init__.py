"""The command `wavesmith`: thin over the collection's core, run on the controller."""

from __future__ import annotations

import sys
from pathlib import Path

# The core is the collection's own, found in this checkout whatever the working directory.
_COLLECTIONS = str(Path(__file__).resolve().parent.parent / "collections")
if _COLLECTIONS not in sys.path:
    sys.path.insert(0, _COLLECTIONS)
