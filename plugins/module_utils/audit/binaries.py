"""Walk a wheel, a prefix or a library and read what its binaries hold; the rules are in `audit`."""

from __future__ import annotations

import csv
import errno
import os
import re
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import IO

from ..records.audit import AuditFinding, AuditReport
from ..terms.names import package_of
from .elf import NotElf, read_object
from .libraries import Linkage, Part, backend_of, link
from .linkage import from_python, resolve, system_libraries
from .report import unfit
from .verdict import LIBRARY, PREFIX, WHEEL, Artifact, Library, judge, parse_sm

_NAME = re.compile(r".+\.so(\.[0-9]+)*")
_CHUNK = 1 << 20
_LARGE, _DENSEST = 64 << 20, 100
"""From this size on, what is compressed more than this is no library but a bomb: torch's, of 900 MiB and more, are at 2 to 12."""
# rocBLAS loads this file for its GPU, or ends the process (ROCm/rocBLAS:library/src/tensile_host.cpp).
_ROCBLAS = re.compile(r"(?:.*/)?rocblas/library/TensileLibrary_(?:lazy_)?(gfx[0-9a-f]{3,4})\.dat")


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
        # A pipe would keep us waiting; open reports what is not there.
        if place.is_file() or not place.exists():
            with place.open("rb") as stream:
                start = stream.read(4)
        if start == b"\x7fELF":
            return Artifact(path, LIBRARY, (_library(place, place.name, place.name.split(".")[0]),))
        if start[:2] == b"PK":
            with place.open("rb") as wheel:
                return read_wheel(wheel, path)
    except OSError as error:
        remedy = "name a wheel, a folder or a library that can be read"
        if error.errno == errno.ENOSPC:
            remedy = "set TMPDIR to a folder with more room"
        raise Unusable(f"{path}: {error.strerror or error}. Remedy: {remedy}") from error
    raise Unusable(f"{path} is neither a wheel nor a shared library. Remedy: name a .whl, a .so or a folder")


def _library(path: Path, name: str, package: str) -> Library:
    try:
        code, dynamic = read_object(path)
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


def read_wheel(file: IO[bytes], path: str, most: int | None = None) -> Artifact:
    """Read all shared libraries of a wheel.

    Args:
        file: The wheel; also one of which only parts are fetched, as they are read.
        path: What to call it; its last part is the wheel's name, which says what it is for.
        most: Libraries that take more bytes in the wheel are left unread, and told as `Artifact.skipped`.

    Raises:
        Unusable: it is damaged.
    """
    found, unread, skipped, distributions = [], [], [], []
    try:
        with zipfile.ZipFile(file) as archive, tempfile.TemporaryDirectory(prefix="wavesmith-audit-") as folder:
            scratch = Path(folder, "library.so")
            kernels = {match[1] for name in archive.namelist() if (match := _ROCBLAS.fullmatch(name))}
            for member in archive.infolist():
                top, _, rest = member.filename.partition("/")
                if rest == "METADATA" and package_of(top):
                    distributions.append(package_of(top))
                if not _NAME.fullmatch(member.filename.rsplit("/", 1)[-1]):
                    continue
                if most is not None and member.compress_size > most:
                    skipped.append(member.filename)
                    continue
                if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    unread.append((member.filename, "a compression that wheels do not have"))
                    continue
                if member.file_size > _LARGE and member.file_size > _DENSEST * member.compress_size:
                    unread.append((member.filename, "compressed more than any library could be"))
                    continue
                with archive.open(member) as source:
                    start = source.read(4)
                    if start != b"\x7fELF":
                        continue
                    with scratch.open("wb") as target:
                        target.write(start)
                        shutil.copyfileobj(source, target, _CHUNK)
                try:
                    code, dynamic = read_object(scratch)
                except NotElf:
                    unread.append((member.filename, "a damaged ELF file"))
                    continue
                found.append(Library(member.filename, _package(member.filename), code, dynamic))
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError) as error:
        raise Unusable(f"{path} is a damaged wheel ({error}). Remedy: fetch it again, compare its sha256") from error
    return Artifact(
        path,
        WHEEL,
        tuple(found),
        unread=tuple(unread),
        skipped=tuple(skipped),
        distributions=tuple(distributions),
        rocblas=tuple(sorted(kernels)),
    )


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
            code, dynamic = read_object(file)
        except NotElf:
            with file.open("rb") as stream:
                if stream.read(4) == b"\x7fELF":  # else a linker script, or a file named like a library
                    unread.append((short, "a damaged ELF file"))
            continue
        except (OSError, ValueError) as error:
            unread.append((short, str(error)))
            continue
        found.append((file, Library(short, _package(short), code, dynamic)))
    folders = [*place.glob("lib*/python3*/site-packages/*.dist-info"), *place.glob("*.dist-info")]
    distributions = sorted({package_of(folder.name) for folder in folders} - {""})
    backend = backend_at(place)
    linkage = _linkage(found, names, distributions, backend)
    libraries = tuple(library for _, library in found)
    return Artifact(path, PREFIX, libraries, linkage.missing, tuple(unread), (), tuple(distributions), backend)


def backend_at(place: Path) -> str:
    """The backend that the torch in a prefix or a folder of packages was built for, without importing it; empty without torch."""
    for file in (*sorted(place.glob("lib*/python3*/site-packages/torch/version.py")), place / "torch/version.py"):
        try:
            return backend_of(file.read_text(encoding="utf-8"))
        except OSError:
            continue
    return ""


def problems(
    prefix: str, sms: Sequence[str], built: Sequence[str], prebuilt: bool
) -> tuple[list[AuditFinding], AuditReport | None]:
    """Why a generation must not be used on a host with these GPUs (`unfit`), and the judgement itself; nothing where
    nothing has to be read: a host without NVIDIA GPUs and a policy that allows everything.

    Raises:
        Unusable: the prefix cannot be read.
    """
    if prebuilt and not sms:
        return [], None
    report = judge(inspect(prefix), [parse_sm(sm) for sm in sms], os.uname().machine)
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


def _linkage(found: list[tuple[Path, Library]], names: set[str], distributions: Sequence[str], backend: str) -> Linkage:
    """Whether the libraries of a prefix find what they want in it, in the driver or on this machine."""
    system = system_libraries()
    provided = names | {library.dynamic.soname for _, library in found}
    parts = []
    for file, library in found:
        # This machine's libraries say nothing about a prefix for another architecture.
        if library.dynamic.machine == os.uname().machine:
            lacking = [name for name in resolve(file, library.dynamic, system) if name not in provided]
            parts.append(part_of(library, lacking))
    if not parts:
        return Linkage()
    linkage = link(parts, provided | system, backend)
    return linkage.plus(from_python(distributions, provided | system))


def part_of(library: Library, lacking: Sequence[str]) -> Part:
    """A library as a part of what it lies in; paths count from site-packages."""
    short = library.path.rpartition("site-packages/")[2]
    dynamic = library.dynamic
    return Part(short, dynamic.needed, tuple(lacking), dynamic.opens, bool(library.code.fatbins))
