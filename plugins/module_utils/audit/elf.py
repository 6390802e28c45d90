"""Read what a shared library needs out of its ELF dynamic section, with nothing but `struct`.

Layout: System V ABI, chapters "ELF Header", "Program Header" and "Dynamic Section".
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

from .libraries import Dynamic

PT_LOAD, PT_DYNAMIC = 1, 2
DT_NULL, DT_NEEDED, DT_STRTAB, DT_SONAME, DT_RPATH, DT_RUNPATH = 0, 1, 5, 14, 15, 29
MACHINES = {3: "i386", 40: "arm", 62: "x86_64", 183: "aarch64", 243: "riscv"}


class NotElf(ValueError):
    """The file is no ELF object, or a damaged one."""


def read_dynamic(path: Path) -> Dynamic:
    """Read the dynamic section of an ELF file; 32 and 64 bit, either byte order.

    Raises:
        NotElf: Also for a file that ends too early.
        OSError: When it cannot be read.
    """
    with path.open("rb") as stream:
        try:
            return _read(stream.fileno())
        except (struct.error, OverflowError) as error:
            raise NotElf(f"{path} is a damaged ELF file: {error}") from error


def _read(file: int) -> Dynamic:
    ident = os.pread(file, 16, 0)
    if len(ident) < 16 or ident[:4] != b"\x7fELF" or ident[4] not in (1, 2) or ident[5] not in (1, 2):
        raise NotElf("not an ELF file")
    wide = ident[4] == 2
    order = "<" if ident[5] == 1 else ">"
    layout = struct.Struct(order + ("HHIQQQIHHH" if wide else "HHIIIIIHHH"))
    header = layout.unpack(os.pread(file, layout.size, 16))
    machine, table, size, count = header[1], header[4], header[8], header[9]
    loads: list[tuple[int, int, int]] = []
    dynamic = b""
    for number in range(count):
        entry = os.pread(file, size, table + number * size)
        if wide:
            kind, _flags, offset, address, _physical, length = struct.unpack_from(order + "IIQQQQ", entry)
        else:
            kind, offset, address, _physical, length = struct.unpack_from(order + "IIIII", entry)
        if kind == PT_LOAD:
            loads.append((address, offset, length))
        elif kind == PT_DYNAMIC:
            dynamic = os.pread(file, length, offset)
    pairs: list[tuple[int, int]] = []
    for tag, value in struct.iter_unpack(order + ("qQ" if wide else "iI"), dynamic):
        if tag == DT_NULL:
            break
        pairs.append((tag, value))
    known = dict(pairs)
    if DT_STRTAB not in known:
        return Dynamic(machine=MACHINES.get(machine, str(machine)))
    strings = _offset(known[DT_STRTAB], loads)

    def text(value: int) -> str:  # the whole table can be tens of megabytes
        return os.pread(file, 4096, strings + value).split(b"\0", 1)[0].decode("utf-8", "replace")

    def folders(tag: int) -> tuple[str, ...]:
        return tuple(part for part in text(known[tag]).split(":") if part) if tag in known else ()

    return Dynamic(
        machine=MACHINES.get(machine, str(machine)),
        needed=tuple(text(value) for tag, value in pairs if tag == DT_NEEDED),
        soname=text(known[DT_SONAME]) if DT_SONAME in known else "",
        rpath=folders(DT_RPATH),
        runpath=folders(DT_RUNPATH),
    )


def _offset(address: int, loads: list[tuple[int, int, int]]) -> int:
    for start, offset, length in loads:
        if start <= address < start + length:
            return offset + address - start
    return address
