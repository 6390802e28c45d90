"""The command line of Wavesmith, thin over the collection's core."""

from __future__ import annotations

import sys
from pathlib import Path

# In a checkout the collection lies beside this package.
_COLLECTIONS = Path(__file__).resolve().parents[1] / "collections"
if _COLLECTIONS.is_dir() and str(_COLLECTIONS) not in sys.path:
    sys.path.insert(0, str(_COLLECTIONS))
