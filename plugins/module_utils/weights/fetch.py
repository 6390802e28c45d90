"""Bring sets of weights into a host's store: several files at once, each checked, then laid out for who loads them."""

from __future__ import annotations

import os
import shutil
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from typing import IO, Protocol
from urllib.parse import quote

from ..host import store
from ..host.job import Failed
from ..host.removal import kept
from ..records.model import FileOf, KeptWeights, WeightsOf
from ..wanted.weights import BLOBS, KEPT, blob, folder, key, repository
from .download import Refused, Source, Stopped, Unwritable, WrongBytes, download, sha256

AT_ONCE = 4
SPARE = 1 << 30
"""Bytes of the disk that stay free."""


class Teller(Protocol):
    """Whoever is told how far it is: a job of a host, or the controller."""

    def progress(self, phase: str, n: int = 0, m: int = 0, detail: str = "") -> None:
        """Phase, step n of m, and a few words."""


class _Bytes:
    """What was fetched and what was checked, counted by several threads."""

    def __init__(self, total: int) -> None:
        self.total, self.came, self.checking = total, 0, 0
        self._lock, self._began = threading.Lock(), time.monotonic()
        self._start: int | None = None

    def add(self, number: int) -> None:
        with self._lock:
            self.came += number

    def check(self, number: int) -> None:
        with self._lock:
            self.checking += number

    def tell(self, job: Teller) -> None:
        """Say how far it is: bytes with rate and estimate, and hashing as a phase of its own."""
        if self._start is None:
            self._start = self.came
        seconds = time.monotonic() - self._began
        rate = (self.came - self._start) / seconds if seconds > 1 else 0.0
        if self.checking and self.came >= self.total:
            job.progress("checking sha256", self.total >> 20, self.total >> 20, f"{_size(self.checking)} to go")
            return
        left = f", {rate / 1e6:.0f} MB/s, about {(self.total - self.came) / rate:.0f} s left" if rate > 1e4 else ""
        job.progress(
            "fetching weights", self.came >> 20, self.total >> 20, f"{_size(self.came)} of {_size(self.total)}{left}"
        )


def fetch(
    job: Teller,
    root: str,
    wanted: Sequence[WeightsOf],
    hub: str,
    mirrors: Sequence[str],
    token: str,
    beside: str = "",
) -> list[str]:
    """Make sets of weights complete; what was fetched before a failure stays, and the next run goes on from there.

    Args:
        job: Told how far it is.
        root: The host's folder.
        wanted: Pinned weights of kind ``hub`` or ``url``.
        hub: Address of the model hub.
        mirrors: Addresses below which files lie by their sha256; they are asked first.
        token: For the hub; empty for none.
        beside: Another such folder of this host: what is there is not fetched again.

    Returns:
        The keys of the sets that were not complete.

    Raises:
        Failed: a file cannot be had, is another one, or does not fit on the disk.
    """
    todo = [weights for weights in wanted if kept(_record(root, weights)) is None]
    files = {file["sha256"]: (weights, file) for weights in todo for file in _downloads(weights)}
    os.makedirs(os.path.join(root, BLOBS), exist_ok=True)
    missing = {name: pair for name, pair in files.items() if name and not _has(root, name, beside)}
    _room(root, todo, [file for _, file in missing.values()])
    _download_all(job, root, list(missing.values()), hub, mirrors, token)
    for number, weights in enumerate(todo, 1):
        job.progress("laying out weights", number, len(todo), weights["name"])
        _lay_out(root, weights)
    return [key(weights) for weights in todo]


def _has(root: str, name: str, beside: str) -> bool:
    """Whether a file is there, or was linked from the other folder, where it was checked."""
    path = os.path.join(root, blob(name))
    if beside and not os.path.exists(path):
        with suppress(OSError):  # it is not there, or on another disk
            os.link(os.path.join(beside, blob(name)), path)
    return os.path.exists(path)


def _downloads(weights: WeightsOf) -> list[FileOf]:
    return [weights["archive"]] if weights["archive"] else weights["files"]


def _record(root: str, weights: WeightsOf) -> str:
    return os.path.join(root, KEPT, f"{key(weights)}.json")


def _room(root: str, todo: Sequence[WeightsOf], missing: Sequence[FileOf]) -> None:
    """Refuse before the first byte what does not fit."""
    here = sum(_there(_part(root, file["sha256"] or "")) for file in missing)
    unpacked = sum(file["bytes"] or 0 for weights in todo if weights["archive"] for file in weights["files"])
    need = sum(file["bytes"] or 0 for file in missing) - here + unpacked
    free = shutil.disk_usage(os.path.join(root, BLOBS)).free
    if need and free < need + SPARE:
        raise Failed(
            f"weights of models: {_size(free)} are free in {os.path.join(root, BLOBS)}, and {_size(need + SPARE)} are needed. "
            "Remedy: free some space, or set wavesmith_root to a larger disk"
        )


def _download_all(
    job: Teller, root: str, missing: Sequence[tuple[WeightsOf, FileOf]], hub: str, mirrors: Sequence[str], token: str
) -> None:
    counted = _Bytes(sum(file["bytes"] or 0 for _, file in missing))
    counted.add(sum(_there(_part(root, file["sha256"] or "")) for _, file in missing))
    stop = threading.Event()

    def bring(weights: WeightsOf, file: FileOf) -> None:
        name, size = file["sha256"] or "", file["bytes"] or 0
        part = _part(root, name)
        while True:
            before = _there(part)
            download(part, list(_sources(weights, file, hub, mirrors, token)), size, counted.add, stop.is_set)
            counted.check(size)
            found = sha256(part, stop.is_set)
            counted.check(-size)
            if found == name:
                break
            os.unlink(part)
            if not before:
                raise WrongBytes(f"the downloaded file has sha256 {found[:16]}…, the catalog names {name[:16]}…")
            counted.add(-size)  # what an earlier run left may be of another file: this one begins again
        os.chmod(part, 0o444)
        os.replace(part, os.path.join(root, blob(name)))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        running: dict[Future[None], tuple[WeightsOf, FileOf]] = {pool.submit(bring, *pair): pair for pair in missing}
        open_ = set(running)
        try:
            while open_:
                done, open_ = wait(open_, timeout=0.5, return_when=FIRST_EXCEPTION)
                counted.tell(job)
                for future in (future for future in running if future in done):
                    error = future.exception()
                    if error is not None:
                        raise _failure(*running[future], error) from error
        finally:
            stop.set()
            for future in open_:
                future.cancel()


def _failure(weights: WeightsOf, file: FileOf, error: BaseException) -> Failed:
    item = f"weights {weights['name']} ({weights['place']}), {file['path']}"
    if isinstance(error, WrongBytes):
        remedy = "find out who changed it; if the new one is wanted, wavesmith model pin names it"
    elif isinstance(error, Refused) and "gated" in str(error):
        remedy = "accept its terms on the hub, and set HF_TOKEN in the controller's environment, or wavesmith_hub_token in a vault"
    elif isinstance(error, Refused):
        remedy = "check the network or proxy of the host, or name a mirror in wavesmith_hub or wavesmith_weights_mirrors; what was downloaded is kept"
    elif isinstance(error, (Unwritable, OSError)):
        problem = getattr(error, "strerror", "") or error
        return Failed(f"{item}: {problem}. Remedy: free some space, or make it writable; what was downloaded is kept")
    elif isinstance(error, Stopped):
        return Failed(f"{item}: stopped. Remedy: start again; what was downloaded is kept")
    else:
        raise error
    return Failed(f"{item}: {error}. Remedy: {remedy}")


def _sources(weights: WeightsOf, file: FileOf, hub: str, mirrors: Sequence[str], token: str) -> Iterator[Source]:
    for mirror in mirrors:
        yield Source(f"{mirror.rstrip('/')}/{file['sha256']}")
    if weights["kind"] == "hub":
        path = quote(file["path"])
        yield Source(f"{hub.rstrip('/')}/{weights['place']}/resolve/{weights['revision']}/{path}", token)
        return
    for address in (weights["place"], *weights["mirrors"]):
        yield Source(address)


def _lay_out(root: str, weights: WeightsOf) -> None:
    """Let each file be found at its path; the record that says so comes last."""
    target = os.path.join(root, folder(weights))
    os.makedirs(target, exist_ok=True)
    if weights["archive"]:
        _unpack(root, weights)
    for file in weights["files"]:
        _link(root, file["sha256"] or "", os.path.join(target, file["path"]))
    if weights["kind"] == "hub":
        refs = os.path.join(root, repository(weights["place"]), "refs")
        store.write_text(os.path.join(refs, "main"), weights["revision"] or "")
    store.write_json(_record(root, weights), KeptWeights(schema=1, weights=weights))


def _link(root: str, name: str, path: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    wanted = os.path.relpath(os.path.join(root, blob(name)), os.path.dirname(path))
    if os.path.islink(path) and os.readlink(path) == wanted:
        return
    if os.path.lexists(path):
        os.unlink(path)
    os.symlink(wanted, path)


def _unpack(root: str, weights: WeightsOf) -> None:
    """Take the files that are named out of an archive, and nothing else; the archive itself is not kept."""
    archive = weights["archive"]
    assert archive is not None
    packed = os.path.join(root, blob(archive["sha256"] or ""))
    wanted = {file["path"]: file for file in weights["files"]}
    for path, stream in _members(packed, archive["path"]):
        file = wanted.pop(path.removeprefix("./"), None)
        if file is None:
            continue
        name = file["sha256"] or ""
        part = _part(root, name)
        with open(part, "wb") as out:
            shutil.copyfileobj(stream, out, 1 << 20)
        found = sha256(part, lambda: False)
        if found != name:
            os.unlink(part)
            raise Failed(
                f"weights {weights['name']}, {path} in {archive['path']}: its sha256 is {found[:16]}…, the catalog names {name[:16]}…. "
                "Remedy: correct catalog/weights"
            )
        os.chmod(part, 0o444)
        os.replace(part, os.path.join(root, blob(name)))
    if wanted:
        raise Failed(
            f"weights {weights['name']}: {archive['path']} has no file {min(wanted)}. Remedy: correct catalog/weights"
        )
    os.unlink(packed)


def _members(path: str, name: str) -> Iterator[tuple[str, IO[bytes]]]:
    """The regular files of an archive."""
    if name.endswith(".zip"):
        with zipfile.ZipFile(path) as zipped:
            for entry in zipped.infolist():
                if not entry.is_dir():
                    with zipped.open(entry) as stream:
                        yield entry.filename, stream
        return
    with tarfile.open(path, "r:*") as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isreg() else None
            if content is not None:
                yield member.name, content


def _part(root: str, name: str) -> str:
    return os.path.join(root, BLOBS, f".{name}.part")


def _there(path: str) -> int:
    try:
        return os.path.getsize(path)
    except FileNotFoundError:
        return 0


def _size(number: int) -> str:
    return f"{number / 2**30:.1f} GiB" if number >= 2**30 else f"{number / 2**20:.1f} MiB"
