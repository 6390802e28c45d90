"""What was read of the files that a lock names, before anything is installed."""

from __future__ import annotations

from typing import Literal, Optional, TypedDict


class ArchiveBuild(TypedDict):
    """What a source archive says of how it is built.

    Attributes:
        requires: What is there to build it with; what PEP 517 says where it names nothing.
        backend: What builds it.
        imports: Modules that its setup.py imports for certain.
        words: Names that it uses and that a newer Python does not have.
        cmake: The oldest policy version that its CMake files ask for; empty without CMake.
        cython: The oldest Cython that C files in it were made by; empty without such.
    """

    requires: list[str]
    backend: str
    imports: list[str]
    words: list[str]
    cmake: str
    cython: str


class InspectedLibrary(TypedDict):
    """A shared library of a wheel that wants something from elsewhere.

    Attributes:
        path: Where it is in the wheel.
        needed: What it needs that neither the wheel nor every system has.
        opens: Libraries of accelerators that it opens by name.
        gpu: Whether it holds code for GPUs.
    """

    path: str
    needed: list[str]
    opens: list[str]
    gpu: bool


class InspectedPart(TypedDict, total=False):
    """What was read of a file: of a wheel its libraries, of an archive how it is built.

    Attributes:
        machines: CPU architectures of its libraries.
        provides: Names of its libraries.
        libraries: Those that want something from elsewhere.
        accelerated: Whether something in it has to do with an accelerator; `None` where a library was too large to read and nothing else says it.
        skipped: Libraries that were too large to read.
        rocblas: AMD targets that its rocBLAS has kernels for; left out where there is none.
        build: How an archive is built.
    """

    machines: list[str]
    provides: list[str]
    libraries: list[InspectedLibrary]
    accelerated: Optional[bool]
    skipped: list[str]
    rocblas: list[str]
    build: ArchiveBuild


class _InspectedFile(TypedDict):
    """What every file has."""

    name: str
    version: str
    kind: Literal["wheel", "archive", "other"]


class InspectedFile(_InspectedFile, InspectedPart, total=False):
    """A file of a lock.

    Attributes:
        name: Distribution.
        version: Its version.
        kind: ``wheel``, ``archive`` (of sources: it has no wheel here), or ``other`` (a repository, an address).
        file: Its name.
        sha256: Of the file.
        published: When, as ``2026-04-14``; empty where the index does not say.
        size: Bytes of the file; left out where the index does not say.
        unseen: Why it could not be looked at; empty where it was.
        machines: CPU architectures of its libraries.
        provides: Names of its libraries.
        libraries: Those that want something from elsewhere.
        accelerated: Whether something in it has to do with an accelerator; `None` where a library was too large to read and nothing else says it.
        skipped: Libraries that were too large to read.
        rocblas: AMD targets that its rocBLAS has kernels for; left out where there is none.
        build: How an archive is built.
        built: Whether it is one of ours, built from source.
    """

    file: str
    sha256: str
    published: str
    size: int
    unseen: str
    built: bool


class Inspection(TypedDict):
    """``<lock's name>.inspected.json`` beside a lock: what was read of its files.

    Attributes:
        schema: Version of this record.
        lock: sha256 of the lock's text, without its first line.
        files: What was read of each.
        problem: Why none could be looked at; empty where they were.
    """

    schema: Literal[1]
    lock: str
    files: list[InspectedFile]
    problem: str
