"""AMD's GPUs, out of what rocminfo and the kernel print."""

from __future__ import annotations

import re

from .gpus import Accelerator
from .texts import key_values, natural


def gfx_name(target_version: str) -> str | None:
    """Turn the kernel's ``gfx_target_version`` (110000, 90010) into the compiler's name (gfx1100, gfx90a)."""
    value = natural(target_version)
    if not value or value > 999999:
        return None
    return f"gfx{value // 10000}{value // 100 % 100:x}{value % 100:x}"


def parse_rocminfo(text: str) -> list[Accelerator]:
    """Return the GPUs among the agents of ``rocminfo``."""
    found: list[Accelerator] = []
    for block in re.split(r"^Agent \d+\s*$", text, flags=re.ASCII | re.MULTILINE)[1:]:
        said = key_values(block, ":")
        gfx = said.get("Name", "")
        if said.get("Device Type") != "GPU" or not re.fullmatch(r"gfx[0-9a-f]{3,5}", gfx, re.ASCII):
            continue
        size = natural(said.get("Size", "").partition("(")[0])
        found.append(
            Accelerator(
                vendor="amd",
                name=said.get("Marketing Name") or gfx,
                gfx=gfx,
                memory=size * 1024 if size else None,
                source="rocminfo",
            )
        )
    return found


def parse_agents(text: str) -> list[Accelerator]:
    """Return the GPUs of ``rocm_agent_enumerator``: one target a line, ``gfx000`` being the CPU."""
    targets = [line.strip() for line in text.split("\n") if re.fullmatch(r"\s*gfx[0-9a-f]{3,5}\s*", line, re.ASCII)]
    return [
        Accelerator(vendor="amd", name=target, gfx=target, source="rocm_agent_enumerator")
        for target in targets
        if target != "gfx000"
    ]
