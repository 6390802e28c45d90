"""What Linux says of a host, as values."""

from __future__ import annotations

from collections.abc import Sequence


def meminfo(text: str) -> dict[str, int]:
    """Bytes by name of the sizes in ``/proc/meminfo``."""
    found = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if len(words) == 2 and words[1] == "kB" and words[0].isdigit():
            found[name] = int(words[0]) * 1024
    return {name: size for name, size in found.items() if name in ("MemTotal", "MemAvailable", "SwapTotal", "SwapFree")}


def owners(groups: Sequence[str]) -> str:
    """The groups that a user lacks, as ``usermod -aG`` takes them; root's own group is left out."""
    return ",".join(sorted({name for name in groups if name != "root"})) or "render,video"
