"""What it means when a process that computes dies, where its own line says less than all that it printed."""

from __future__ import annotations

import re

# rocBLAS lists the files that it has, one a line, and aborts (ROCm/rocBLAS:library/src/tensile_host.cpp).
_TENSILE = re.compile(r"rocBLAS error: .*TensileLibrary.*GPU arch ?: ?(gfx[0-9a-f]+)")
_LISTED = re.compile(r"TensileLibrary_(?:lazy_)?(gfx[0-9a-f]+)\.dat")


def meaning(text: str) -> str:
    """Return in words of ours what a process that died ran into; '' where it is not known.

    Args:
        text: All that it printed.
    """
    tensile = _TENSILE.search(text)
    if not tensile:
        return ""
    there = ", ".join(sorted(set(_LISTED.findall(text)), key=lambda name: (len(name), name)))
    listed = f", only for {there}" if there else ""
    return f"rocBLAS of this torch has no kernels for {tensile[1]}{listed}"
