"""What it means when a process that computes dies, and the way out."""

from __future__ import annotations

import re

# rocBLAS lists the files that it has, one a line, and aborts (ROCm/rocBLAS:library/src/tensile_host.cpp).
_TENSILE = re.compile(r"rocBLAS error: .*TensileLibrary.*GPU arch ?: ?(gfx[0-9a-f]+)")
_LISTED = re.compile(r"TensileLibrary_(?:lazy_)?(gfx[0-9a-f]+)\.dat")
OTHER_STACK = (
    "choose another stack for this host (wavesmith_explain=true lists them), one built for its GPU, or the stack `cpu`"
)
_MEANT = (
    (r"no kernel image is available|invalid device function|hipErrorNoBinaryForGpu", OTHER_STACK),
    (r"out of memory|bad_alloc|Cannot allocate memory", "free some memory, or choose a machine with more of it"),
    (
        r"CUDA driver version is insufficient|driver .* too old",
        "update the GPU's driver, or choose a stack for an older one",
    ),
    (r"GLIBC(?:XX)?_[\d.]+.*not found", "use a newer system, or another release of the package that the line names"),
)
_SIGNALS = {
    4: "this CPU lacks an instruction that the build uses: choose another stack, or build it for this CPU's level",
    9: "it was killed, most likely for want of memory: free some, or choose a machine with more of it",
}


def meaning(text: str, code: int = 0) -> tuple[str, str]:
    """Return in words of ours what a process that died ran into, and the remedy; '' for each that is not known.

    Args:
        text: All that it printed.
        code: Its exit code, negative for a signal.
    """
    tensile = _TENSILE.search(text)
    if tensile:
        there = ", ".join(sorted(set(_LISTED.findall(text)), key=lambda name: (len(name), name)))
        listed = f", only for {there}" if there else ""
        return (
            f"rocBLAS of this torch has no kernels for {tensile[1]}{listed}",
            f"{OTHER_STACK}; AMD's own builds (TheRock) are made for more GPUs (docs/stacks.md)",
        )
    return "", next((remedy for words, remedy in _MEANT if re.search(words, text)), _SIGNALS.get(-code, ""))
