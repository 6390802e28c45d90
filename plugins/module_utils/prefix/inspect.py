"""Look at the files of a lock on their index, before any is installed: a wheel's table of contents and its libraries, an archive's build files.

Only parts of them travel (`audit.ranges`). What was read of a file is kept by its sha256.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import IO, cast
from urllib.parse import urlsplit

from ..audit.binaries import Unusable, read_wheel
from ..audit.libraries import OF_ACCELERATORS, of_system
from ..audit.ranges import NoParts, name_of_file, open_parts
from ..audit.verdict import Artifact
from ..host import store
from ..host.job import Job
from ..host.tools import environment
from ..host.wheels import kept_wheel
from ..plan import archive
from ..plan.inspection import SCHEMA
from ..plan.lockfile import body_digest, pinned, repositories
from ..records.inspection import ArchiveBuild, InspectedFile, InspectedLibrary, InspectedPart, Inspection
from ..records.task import LockTask
from ..terms.names import normal
from .generation import compiling

MOST = 32 << 20
"""A library that takes more bytes in its wheel is not read: the audit reads it once it is installed."""
LONGEST_ARCHIVE = 64 << 20
"""Of an archive at most this many bytes are read."""
PATIENCE = 3
"""How often an index may be silent or refuse parts of files before it is asked for no more."""
_AT_ONCE = 8
_READ = ("pyproject.toml", "setup.py", "versioneer.py")


def inspect(job: Job, root: str, spec: LockTask, lock: str, package_index: str) -> Inspection:
    """Look at every file that an environment would get from a lock. What cannot be looked at is noted, never raised."""
    tools = environment(root, package_index)
    inspection: Inspection = {"schema": SCHEMA, "lock": body_digest(lock), "files": [], "problem": ""}
    try:
        files = list(_files(root, spec, lock, tools))
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        inspection["problem"] = f"the index could not be asked where they are: {error}"
        return inspection
    kept = os.path.join(root, "cache", "inspected")
    os.makedirs(kept, exist_ok=True)
    index = tools.get("UV_DEFAULT_INDEX", "")
    silent: list[str] = []
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for number, looked in enumerate(pool.map(lambda found: _look(kept, index, silent, *found), files), 1):
            job.progress("looking at files", number, len(files), looked["name"])
            inspection["files"].append(looked)
    for wheel in spec["wheels"]:
        path = kept_wheel(root, wheel["key"])
        file: InspectedFile = {"name": normal(wheel["name"]), "version": "", "kind": "wheel", "built": True}
        with open(path, "rb") as stream:
            read = of_wheel(read_wheel(stream, os.path.basename(path), MOST))
        inspection["files"].append(cast(InspectedFile, {**file, "version": path.split("-")[-4], **read}))
    inspection["files"].sort(key=lambda file: file["name"])
    return inspection


def _files(root: str, spec: LockTask, lock: str, tools: dict[str, str]) -> Iterator[tuple[InspectedFile, str, int]]:
    """Each file of a lock, as the resolver tells it: what it is, its address, its size."""
    path = os.path.join(root, "state", f"locked-{spec['key']}.txt")
    store.write_text(path, pinned(lock))
    try:
        argv = [*compiling(root, spec), "--no-deps", "--format", "pylock.toml", path]
        done = subprocess.run(argv, env=tools, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    finally:
        os.unlink(path)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise ValueError(lines[-1] if lines else f"uv ended with {done.returncode}")
    yield from locked_files(done.stdout)
    for repository in repositories(lock):
        yield {"name": repository.name, "version": repository.commit[:12], "kind": "other", "unseen": ""}, "", 0


def locked_files(text: str) -> Iterator[tuple[InspectedFile, str, int]]:
    """The files in a ``pylock.toml`` as uv writes it: one wheel for each package, or its archive (PEP 751; Python 3.9 has no TOML)."""
    for block in text.split("[[packages]]")[1:]:
        name, version = (_text(block, rf"^{key} = ") for key in ("name", "version"))
        kinds = ("wheels", "sdist")  # where there is a wheel, the archive is not built
        # Of several wheels that fit, the first is taken.
        line = r"^({}) = (\[\n.*?^\]|[^\n]*)$"
        kind = next(
            (found for kind in kinds if (found := re.search(line.format(kind), block, re.MULTILINE | re.DOTALL))), None
        )
        file: InspectedFile = {"name": normal(name), "version": version, "kind": "other", "unseen": ""}
        if kind is None:
            yield file, "", 0
            continue
        address = _text(kind[2], r"\b(?:url|path) = ")
        size = re.search(r"\bsize = (\d+)", kind[2])
        published = re.search(r"\bupload-time = (\d{4}-\d\d-\d\d)", kind[2])
        file["kind"] = "wheel" if kind[1] == "wheels" else "archive"
        file["file"], file["sha256"] = name_of_file(address), _text(kind[2], r"\bsha256 = ")
        file["published"] = published[1] if published else ""
        if size:
            file["size"] = int(size[1])
        yield file, address, int(size[1]) if size else 0


def _text(block: str, before: str) -> str:
    match = re.search(before + r'"((?:[^"\\]|\\.)*)"', block, re.MULTILINE)
    return match[1].replace('\\"', '"').replace("\\\\", "\\") if match else ""


def _look(kept: str, index: str, silent: list[str], file: InspectedFile, address: str, size: int) -> InspectedFile:
    """Read one file, or say why it could not be; an index that was `silent` a few times is not waited for any more."""
    if not address or file.get("file", "").endswith("-any.whl"):
        return file
    path = os.path.join(kept, f"{file.get('sha256') or hashlib.sha256(address.encode()).hexdigest()}.json")
    known = store.read_json(path)
    if isinstance(known, dict) and known.get("schema") == SCHEMA:
        return cast(InspectedFile, {**file, **known["read"]})
    if len(silent) >= PATIENCE:
        return cast(InspectedFile, {**file, "unseen": silent[0]})
    try:
        with open_parts(_with_secret(address, index), size) as stream:
            if file["kind"] == "wheel":
                read: InspectedPart = of_wheel(read_wheel(stream, file["file"], MOST))
            else:
                read = {"build": of_archive(stream, file["file"])}
    except (OSError, Unusable, tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, ValueError) as error:
        why = str(error) if isinstance(error, NoParts) else f"it could not be read ({error})"
        if isinstance(error, NoParts):
            silent.append(why)
        return cast(InspectedFile, {**file, "unseen": why})
    store.write_json(path, {"schema": SCHEMA, "read": read})
    return cast(InspectedFile, {**file, **read})


def _with_secret(address: str, index: str) -> str:
    """The address with the index's user and password, where it is on the same server."""
    ours, theirs = urlsplit(index), urlsplit(address)
    secret, _, server = ours.netloc.rpartition("@")
    if secret and server == theirs.netloc and "@" not in theirs.netloc:
        return theirs._replace(netloc=f"{secret}@{server}").geturl()
    return address


def of_wheel(artifact: Artifact) -> InspectedPart:
    """What of a wheel's libraries the plan wants to know: what is not known of it is left out."""
    own = {
        name
        for library in artifact.libraries
        for name in (library.path.rpartition("/")[2], library.dynamic.soname)
        if name
    } | {path.rpartition("/")[2] for path in artifact.skipped}
    libraries: list[InspectedLibrary] = []
    for library in artifact.libraries:
        needed = [name for name in library.dynamic.needed if name not in own and not of_system(name)]
        opens, gpu = list(library.dynamic.opens), bool(library.code.fatbins)
        if needed or opens or gpu:
            libraries.append({"path": library.path, "needed": needed, "opens": opens, "gpu": gpu})
    names = {name for library in libraries for name in (*library["needed"], *library["opens"])} | own
    torch_for_cpu = "libtorch_cpu.so" in own and not own & {"libtorch_cuda.so", "libtorch_hip.so", "libtorch_xpu.so"}
    seen = any(library["gpu"] for library in libraries) or any(OF_ACCELERATORS.fullmatch(name) for name in names)
    part: InspectedPart = {
        "machines": artifact.machines,
        "provides": sorted(name for name in own if name.startswith("lib") and ".so" in name),
        "libraries": libraries,
        "accelerated": True if seen else None if artifact.skipped and not torch_for_cpu else False,
        "skipped": list(artifact.skipped),
    }
    if artifact.rocblas:
        part["rocblas"] = list(artifact.rocblas)
    return part


def of_archive(stream: IO[bytes], name: str) -> ArchiveBuild:
    """What a source archive says of how it is built."""
    texts: dict[str, str] = {}
    own: set[str] = set()
    for path, read in _members(stream, name):
        inner = path.partition("/")[2]
        base = inner.rpartition("/")[2]
        if "/" not in inner or inner.endswith("/__init__.py"):
            own.add(inner.removeprefix("src/").partition("/")[0].removesuffix(".py"))
        if inner in _READ or base == "CMakeLists.txt":
            texts[inner] = read(1 << 20)
        elif base.endswith((".c", ".cpp", ".cc")):
            first = read(64)
            if first.startswith("/* Generated by Cython"):
                texts[inner] = first
    return archive.read(texts, own)


def _members(stream: IO[bytes], name: str) -> Iterator[tuple[str, Callable[[int], str]]]:
    """Every file of an archive in its order, with how to read its beginning as text."""
    if name.endswith(".zip"):
        with zipfile.ZipFile(stream) as packed:
            for entry in packed.infolist():
                yield entry.filename, partial(_beginning, packed.open(entry))
        return
    with tarfile.open(fileobj=stream, mode="r|*") as unpacked:
        for member in unpacked:
            if stream.tell() > LONGEST_ARCHIVE:
                return
            content = unpacked.extractfile(member) if member.isfile() else None
            if content is not None:
                yield member.name, partial(_beginning, content)


def _beginning(content: IO[bytes], most: int) -> str:
    return content.read(most).decode("utf-8", "replace")
