"""CPU and memory, out of what the kernel prints."""

from __future__ import annotations

from dataclasses import dataclass

from ..records.host import Memory
from . import tables
from .texts import hexadecimal, key_values, natural


@dataclass(frozen=True)
class Cpu:
    """The instruction set level and whether SVE is there, as all cores share them; their number, the model's name."""

    isa: str
    cores: int
    model: str
    sve: bool = False


def parse_cpuinfo(text: str) -> Cpu:
    """Read ``/proc/cpuinfo`` of x86_64 or aarch64; on mixed cores the level is what all of them have."""
    cores, common = 0, None
    implementer: int | None = None
    named: dict[str, None] = {}
    arm: dict[str, None] = {}
    board = ""
    for line in text.split("\n"):
        key, mark, value = line.partition(":")
        key, value = key.strip(), value.strip()
        if not mark:
            continue
        if key == "processor":
            cores += 1
        elif key == "model name":
            named[value] = None
        elif key == "CPU implementer":
            implementer = hexadecimal(value)
        elif key == "CPU part":
            arm[tables.ARM_CORES.get((implementer or 0, hexadecimal(value) or 0), f"Arm core {value}")] = None
        elif key == "Model":
            board = value
        elif key in ("flags", "Features"):
            flags = frozenset(value.split())
            common = flags if common is None else common & flags
    model = next(iter(named), "") or ", ".join(arm) or board
    return Cpu(isa=isa_level(common or frozenset()), cores=cores, model=model, sve="sve" in (common or ()))


def isa_level(flags: frozenset[str]) -> str:
    """Name the highest level whose every instruction group is present (levels contain the lower ones)."""
    if "sve2" in flags:
        return "armv9"
    if "fphp" in flags and ("asimdhp" in flags or "asimddp" in flags):
        return "armv8_2"
    level = "generic"
    for name, needed in (
        ("avx2", {"avx2", "fma"}),
        ("avx512", {"avx512f", "avx512bw", "avx512dq", "avx512vl"}),
        ("avx512vnni", {"avx512_vnni"}),
        ("avx512bf16", {"avx512_bf16"}),
    ):
        if not needed <= flags:
            break
        level = name
    return level


def parse_meminfo(text: str) -> Memory:
    """Return total and available bytes from ``/proc/meminfo`` (0 where it does not say)."""
    lines = key_values(text, ":")

    def size(key: str) -> int:
        value = natural(lines.get(key, "").removesuffix("kB"))
        return value * 1024 if value is not None else 0

    return {"total": size("MemTotal"), "available": size("MemAvailable")}
