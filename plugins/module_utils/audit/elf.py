"""Read what a shared library needs, opens and holds: its ELF dynamic section, its constants, its device code; with nothing but `struct`.

Layout: System V ABI, chapters "ELF Header", "Program Header" and "Dynamic Section".
"""

from __future__ import annotations

import errno
import mmap
import os
import re
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from .fatbin import Bytes, Code, read, sections
from .libraries import OF_ACCELERATORS, Dynamic

PT_LOAD, PT_DYNAMIC = 1, 2
DT_NULL, DT_NEEDED, DT_STRTAB, DT_SONAME, DT_RPATH, DT_RUNPATH = 0, 1, 5, 14, 15, 29
MACHINES = {3: "i386", 40: "arm", 62: "x86_64", 183: "aarch64", 243: "riscv"}
_NAMED = re.compile(rb"(?:\A|.*[^\w./-])(lib[A-Za-z0-9_-]+\.so\.[0-9][0-9.]*)\0", re.DOTALL)
_LONGEST_NAME = 64


class NotElf(ValueError):
    """The file is no ELF object, or a damaged one."""


_LONGEST_DYNAMIC = 1 << 20
"""Bytes of a dynamic section; real ones take some hundred."""


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


def read_object(path: Path) -> tuple[Code, Dynamic]:
    """Read the device code of an ELF file, what it needs, and what it opens by name.

    Raises:
        NotElf: as `read_dynamic`.
        OSError: When it cannot be read.
    """
    try:
        dynamic = read_dynamic(path)
    except (MemoryError, OSError) as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise
        raise NotElf("a damaged ELF file: an offset or a size that is impossible") from error
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        # Of hundreds of megabytes only some thousand headers and the constants are wanted.
        if hasattr(data, "madvise"):
            data.madvise(mmap.MADV_RANDOM)
        return read(data), with_opened(dynamic, data)


def with_opened(dynamic: Dynamic, data: Bytes) -> Dynamic:
    """Add the accelerators' libraries that an object opens by name: constants of its own, where it can open libraries at all."""
    can, named = False, set()
    for name, start, end in sections(data):
        if name == ".dynstr":
            can = data.find(b"\0dlopen\0", start, end) >= 0
        elif name.startswith((".rodata", ".data")):
            named |= set(_named(data, start, end))
    found = {name for name in named - {dynamic.soname, *dynamic.needed} if OF_ACCELERATORS.fullmatch(name)}
    return replace(dynamic, opens=tuple(sorted(found))) if can and found else dynamic


def _named(data: Bytes, start: int, end: int) -> Iterator[str]:
    """The names of libraries with a version between two offsets, each a constant of its own. Most of hundreds of megabytes is passed over."""
    here = data.find(b".so.", start, end)
    while here >= 0:
        first = max(start, here - _LONGEST_NAME)
        match = _NAMED.match(data[first : min(end, here + 20)])
        if match:
            yield match[1].decode("ascii")
        here = data.find(b".so.", here + 4, end)


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
            dynamic = os.pread(file, min(length, _LONGEST_DYNAMIC), offset)
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
