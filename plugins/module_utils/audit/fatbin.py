"""Read for which GPUs a shared library holds code, out of its own bytes: no GPU, no CUDA toolkit, nothing but `struct`.

nvcc puts the device code of each translation unit into one *fatbin*, all of them one after another into the ELF section
``.nv_fatbin`` (``__nv_relfatbin`` holds the parts that ``-rdc=true`` links later). The layout is undocumented; this is what the
headers written by nvcc 13.0 and those of the wheels of torch 2.11.0 hold, each target compiled and compared byte for byte:

- fatbin: u32 magic, u16 version, u16 header size, u64 size of what follows the header
- entry: u16 kind, u16 version, u32 header size, u64 payload size, ..., u32 SM at byte 28 (110 for SM 11.0), ..., u64 flags at byte 40

Headers are never compressed, payloads may be. Nothing here raises, whatever the bytes.
"""

from __future__ import annotations

import mmap
import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Union

Bytes = Union[bytes, mmap.mmap]

SASS, PTX = "sass", "ptx"
MAGIC = 0xBA55ED50
LINKED, RELOCATABLE = ".nv_fatbin", "__nv_relfatbin"
# Bits of an entry's flags.
ARCHITECTURE_SPECIFIC, FAMILY_SPECIFIC = 1 << 20, 1 << 21

_KINDS = {1: PTX, 2: SASS}
_FATBIN = struct.Struct("<IHHQ")
_ENTRY = struct.Struct("<HHIQ")
_SECTION = struct.Struct("<IIQQQQII")
_ELF_START = b"\x7fELF\x02\x01"  # 64 bit, little-endian: the only kind CUDA has code for
_MOST_SECTIONS = 1 << 18
"""Those of any real library; a larger table only costs memory."""
_WHOLE_NAME = 64


@dataclass(frozen=True, order=True)
class Target:
    """What one piece of device code was compiled for.

    Attributes:
        sm: 110 for SM 11.0.
        suffix: ``a`` (this SM only), ``f`` (its family), or empty.
        kind: `SASS`, machine code, or `PTX`, which the driver compiles when it is loaded.
    """

    sm: int
    suffix: str = ""
    kind: str = SASS

    @property
    def name(self) -> str:
        """As nvcc writes it: ``sm_90a``, ``compute_120``."""
        return f"{'sm' if self.kind == SASS else 'compute'}_{self.sm}{self.suffix}"


@dataclass(frozen=True)
class Code:
    """The device code of one library.

    Attributes:
        fatbins: How many fatbins hold exactly these targets.
        damaged: Whether something ended too early or made no sense; what could be read is there.
    """

    fatbins: dict[frozenset[Target], int] = field(default_factory=dict)
    damaged: bool = False

    @property
    def total(self) -> int:
        """The number of fatbins."""
        return sum(self.fatbins.values())

    def counts(self) -> dict[Target, int]:
        """In how many fatbins each target is."""
        found: Counter[Target] = Counter()
        for targets, number in self.fatbins.items():
            for target in targets:
                found[target] += number
        return dict(sorted(found.items()))


def read(data: Bytes) -> Code:
    """Read the device code of one ELF file; of anything else, none.

    A mapped file of hundreds of megabytes is read at its headers only.
    """
    if data[: len(_ELF_START)] != _ELF_START:
        return Code()
    parts = list(sections(data))
    # Where device code was linked, only the result can be loaded; its parts stay in the file.
    for name in (LINKED, RELOCATABLE):
        code = _merge(_fatbins(data, start, end) for part, start, end in parts if part == name)
        if code.fatbins or code.damaged:
            return code
    return Code()


def sections(data: Bytes) -> Iterator[tuple[str, int, int]]:
    """The name, start and end of every section with content; ends are never behind the end of the file.

    Sections do not overlap: a table that says so is malicious, and the rest of it is not read.
    """
    left = len(data)
    try:
        (table,) = struct.unpack_from("<Q", data, 0x28)
        size, count, names = struct.unpack_from("<HHH", data, 0x3A)
        if not table or size < _SECTION.size:
            return
        first = _SECTION.unpack_from(data, table)
        # More than 65279 sections: the numbers are in the first one (System V ABI, "ELF Header").
        count, names = count or first[5], first[6] if names == 0xFFFF else names
        text = _SECTION.unpack_from(data, table + names * size)[4]
    except (struct.error, OverflowError):
        return
    for number in range(min(count, (len(data) - table) // size, _MOST_SECTIONS)):
        name, kind, _flags, _address, offset, length, _link, _info = _SECTION.unpack_from(data, table + number * size)
        if kind in (0, 8) or offset >= len(data):  # SHT_NULL, SHT_NOBITS
            continue
        left -= min(length, len(data) - offset)
        if left < 0:
            return
        word = data[text + name : text + name + _WHOLE_NAME]
        yield word.split(b"\0", 1)[0].decode("ascii", "replace"), offset, min(offset + length, len(data))


def _fatbins(data: Bytes, start: int, end: int) -> Code:
    """All fatbins between two offsets; what is no fatbin is skipped."""
    found: Counter[frozenset[Target]] = Counter()
    damaged = False
    magic = struct.pack("<I", MAGIC)
    here, left = start, (end - start) // 16
    while 0 <= here <= end - _FATBIN.size:
        if data[here : here + 4] != magic:
            here = data.find(magic, here, end)
            continue
        _magic, _version, header, size = _FATBIN.unpack_from(data, here)
        if header < _FATBIN.size:
            here, damaged = here + 4, True
            continue
        stop = here + header + size
        targets, whole, seen = _entries(data, here + header, min(stop, end))
        damaged = damaged or not whole or stop > end
        left -= seen
        if left < 0:  # the same bytes again and again, each time as another fatbin's
            return Code(dict(found), damaged=True)
        if targets:
            found[targets] += 1
        # What a damaged header says of its length may hide the fatbins after it.
        here = (stop + 7) // 8 * 8 if whole and stop <= end else here + 4
    return Code(dict(found), damaged)


def _entries(data: Bytes, here: int, end: int) -> tuple[frozenset[Target], bool, int]:
    """The targets of one fatbin, whether all of it made sense, and how many entries were looked at."""
    found: set[Target] = set()
    seen = 0
    while here < end:
        if here + 48 > end:
            return frozenset(found), not any(data[here:end]), seen
        seen += 1
        kind, _version, header, size = _ENTRY.unpack_from(data, here)
        if header < 32 or here + header + size > end:
            return frozenset(found), False, seen
        (sm,) = struct.unpack_from("<I", data, here + 28)
        (flags,) = struct.unpack_from("<Q", data, here + 40) if header >= 48 else (0,)
        if kind in _KINDS and 10 <= sm < 1000:
            suffix = "a" if flags & ARCHITECTURE_SPECIFIC else "f" if flags & FAMILY_SPECIFIC else ""
            found.add(Target(sm, suffix, _KINDS[kind]))
        here += header + size
    return frozenset(found), True, seen


def _merge(codes: Iterable[Code]) -> Code:
    found: Counter[frozenset[Target]] = Counter()
    damaged = False
    for code in codes:
        found.update(code.fatbins)
        damaged = damaged or code.damaged
    return Code(dict(found), damaged)
