"""The command `wavesmith`: thin over the collection's core, run on the controller."""

from __future__ import annotations

import sys
from pathlib import Path

_BESIDE = Path(__file__).resolve().parent.parent
INSTALLED = not (_BESIDE / "galaxy.yml").is_file()
"""Whether this is the wheel, which brings the collection as it is installed, and not a checkout."""
ROOT = _BESIDE / "ansible_collections" / "wavesmith" / "provision" if INSTALLED else _BESIDE
"""The folder of the collection."""

# The core is the collection's own, found in this checkout whatever the working directory.
_COLLECTIONS = str(ROOT / "collections")
if not INSTALLED and _COLLECTIONS not in sys.path:
    sys.path.insert(0, _COLLECTIONS)
