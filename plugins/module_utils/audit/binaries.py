"""Walk a wheel, a prefix or a library and read what its binaries hold; the rules are in `audit`."""

from __future__ import annotations

import csv
import errno
import fnmatch
import mmap
import os
import re
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from .elf import NotElf, read_dynamic
from .fatbin import Code, read
from .libraries import DRIVER_LIBRARIES, OPTIONAL, Dynamic
from .linkage import resolve, system_libraries
from .verdict import LIBRARY, PREFIX, WHEEL, Artifact, Library, judge, parse_sm, unfit

_NAME = re.compile(r".+\.so(\.[0-9]+)*")
_CHUNK = 1 << 20


class Unusable(Exception):
    """There is nothing to audit; the message says why and what to do."""


def inspect(path: str) -> Artifact:
    """Read all shared libraries of a wheel file, of a folder (a prefix), or one library.

    A library in a wheel is written to a temporary file while it is read: memory stays at some megabytes.

    Raises:
        Unusable: it is not there, may not be read, or is none of these.
    """
    place = Path(path)
    try:
        if place.is_dir():
            return _prefix(path, place)
        start = b""
        # A pipe would keep us waiting; what is not there is for open to say.
        if place.is_file() or not place.exists():
            with place.open("rb") as stream:
                start = stream.read(4)
        if start == b"\x7fELF":
            return Artifact(path, LIBRARY, (_library(place, place.name, place.name.split(".")[0]),))
        if start[:2] == b"PK":
            return _wheel(path, place)
    except OSError as error:
        remedy = "name a wheel, a folder or a library that can be read"
        if error.errno == errno.ENOSPC:
            remedy = "set TMPDIR to a folder with more room"
        raise Unusable(f"{path}: {error.strerror or error}. Remedy: {remedy}") from error
    raise Unusable(f"{path} is neither a wheel nor a shared library. Remedy: name a .whl, a .so or a folder")


def _read(path: Path) -> tuple[Code, Dynamic]:
    """Raises NotElf, or OSError when the file cannot be read."""
    try:
        dynamic = read_dynamic(path)
    except (MemoryError, OSError) as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise
        raise NotElf("a damaged ELF file: an offset or a size that cannot be") from error
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        # Of hundreds of megabytes only some thousand headers are wanted.
        if hasattr(data, "madvise"):
            data.madvise(mmap.MADV_RANDOM)
        return read(data), dynamic


def _library(path: Path, name: str, package: str) -> Library:
    try:
        code, dynamic = _read(path)
    except NotElf as error:
        raise Unusable(f"{path}: {error}. Remedy: fetch or build it again") from error
    return Library(name, package, code, dynamic)


def _package(path: str) -> str:
    """The package of a file below site-packages: ``torch``; ``nvidia/cudnn`` for those that share a folder."""
    parts = PurePosixPath(path).parts
    if "site-packages" in parts:
        parts = parts[parts.index("site-packages") + 1 :]
    if len(parts) > 2 and parts[0].endswith(".data"):  # a wheel's files for another folder
        parts = parts[2:]
    if not parts or len(parts) == 1:
        return (parts[0] if parts else path).split(".")[0]
    shared = parts[0] == "nvidia" and len(parts) > 2
    return "/".join(parts[:2]) if shared else parts[0].removesuffix(".libs")


def _wheel(path: str, place: Path) -> Artifact:
    found, unread = [], []
    try:
        with zipfile.ZipFile(place) as archive, tempfile.TemporaryDirectory(prefix="wavesmith-audit-") as folder:
            scratch = Path(folder, "library.so")
            for member in archive.infolist():
                if not _NAME.fullmatch(member.filename.rsplit("/", 1)[-1]):
                    continue
                if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    unread.append((member.filename, "a compression that wheels do not have"))
                    continue
                with archive.open(member) as source:
                    start = source.read(4)
                    if start != b"\x7fELF":
                        continue
                    with scratch.open("wb") as target:
                        target.write(start)
                        shutil.copyfileobj(source, target, _CHUNK)
                try:
                    code, dynamic = _read(scratch)
                except NotElf:
                    unread.append((member.filename, "a damaged ELF file"))
                    continue
                found.append(Library(member.filename, _package(member.filename), code, dynamic))
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError) as error:
        raise Unusable(f"{path} is a damaged wheel ({error}). Remedy: fetch it again, compare its sha256") from error
    return Artifact(path, WHEEL, tuple(found), unread=tuple(unread))


def _prefix(path: str, place: Path) -> Artifact:
    # What `current` points to, so that a switch in the midst of it does no harm.
    place = place.resolve()
    found: list[tuple[Path, Library]] = []
    unread = []
    names = set()
    for file in _candidates(place):
        names.add(file.name)
        if file.is_symlink():  # its target is met by itself
            continue
        short = file.relative_to(place).as_posix()
        try:
            code, dynamic = _read(file)
        except NotElf:
            with file.open("rb") as stream:
                if stream.read(4) == b"\x7fELF":  # else a linker script, or a file named like a library
                    unread.append((short, "a damaged ELF file"))
            continue
        except (OSError, ValueError) as error:
            unread.append((short, str(error)))
            continue
        found.append((file, Library(short, _package(short), code, dynamic)))
    return Artifact(path, PREFIX, tuple(library for _, library in found), _missing(found, names), tuple(unread))


def problems(
    prefix: str, sms: Sequence[str], built: Sequence[str], prebuilt: bool
) -> tuple[list[dict[str, str]], dict[str, Any]]:
    """Why a generation must not be used on a host with these GPUs (`unfit`), and the judgement itself; both empty where
    nothing has to be read: a host without NVIDIA GPUs and a policy that allows everything.

    Raises:
        Unusable: the prefix cannot be read.
    """
    if prebuilt and not sms:
        return [], {}
    report = judge(inspect(prefix), [parse_sm(sm) for sm in sms])
    return unfit(report, _owners(Path(prefix)), built, prebuilt), report


def _owners(place: Path) -> dict[str, str]:
    """Distribution by path of its files within the prefix, as their RECORDs say."""
    found = {}
    for record in sorted(place.glob("lib/python3*/site-packages/*.dist-info/RECORD")):
        name = re.sub(r"[-_.]+", "-", record.parent.name.rpartition(".")[0].rpartition("-")[0]).lower()
        site = record.parent.parent.relative_to(place)
        with record.open(encoding="utf-8", newline="") as lines:
            found.update({(site / row[0]).as_posix(): name for row in csv.reader(lines) if row})
    return found


def _candidates(place: Path) -> Iterator[Path]:
    def fail(error: OSError) -> None:
        if error.filename == str(place):
            raise error

    for where, folders, names in os.walk(place, onerror=fail):
        folders.sort()
        for name in sorted(names):
            if _NAME.fullmatch(name):
                file = Path(where, name)
                if file.is_file():
                    yield file


def _missing(found: list[tuple[Path, Library]], names: set[str]) -> tuple[tuple[str, str], ...]:
    """Needed libraries that neither the prefix, the driver nor this machine has."""
    system = system_libraries()
    provided = names | {library.dynamic.soname for _, library in found}
    missing = []
    for file, library in found:
        # This machine's libraries say nothing about a prefix for another architecture.
        if library.dynamic.machine != os.uname().machine:
            continue
        for name in resolve(file, library.dynamic, system):
            driver = any(fnmatch.fnmatch(name, pattern) for pattern in DRIVER_LIBRARIES)
            optional = any(
                fnmatch.fnmatch(f"/{library.path}", f"*/{pattern}") and fnmatch.fnmatch(name, wanted)
                for pattern, wanted, _ in OPTIONAL
            )
            if name not in provided and not driver and not optional:
                missing.append((library.path, name))
    return tuple(missing)
