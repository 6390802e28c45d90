"""Get one pinned file from the first source that has it, going on where an earlier try ended."""

from __future__ import annotations

import hashlib
import http.client
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

TRIES = 4
QUIET = 30.0
"""Seconds without a byte after which a source counts as silent; the next try goes on from what came."""
_BLOCK = 1 << 20


class Refused(Exception):
    """A source that was asked says no; trying again does not help."""


class WrongBytes(Exception):
    """What came is not the file that is pinned."""


class Unwritable(Exception):
    """This host cannot keep what came."""


class Stopped(Exception):
    """Another file failed, so this one is not waited for; what was downloaded is kept."""


@dataclass(frozen=True)
class Source:
    """An address of a file; `token` goes to this address alone, never to where it sends us."""

    url: str
    token: str = ""


def download(
    part: str, sources: Sequence[Source], size: int, came: Callable[[int], None], stopped: Callable[[], bool]
) -> None:
    """Fill `part` up to `size` bytes.

    Args:
        part: The unfinished file; what is in it is gone on from.
        sources: Where to ask, best first.
        size: Bytes of the whole file.
        came: Told how many bytes came, negative where they are thrown away.
        stopped: Whether to give up.

    Raises:
        Refused: no source has it; the message says what each said.
        Unwritable: it cannot be kept here.
        Stopped: `stopped` said so.
    """
    said: dict[str, str] = {}
    silent = list(sources)
    if os.path.exists(part) and _size(part) == size:
        return  # an earlier run ended while it was checked, and a server has nothing to send after its end
    for number in range(TRIES):
        if number:
            time.sleep(min(0.5 * 4 ** (number - 1), 8))
        for source in list(silent):
            try:
                _more(part, source, size, came, stopped)
                if _size(part) == size:
                    return
                said[source.url] = "it ended early"
            except HTTPError as error:
                said[source.url] = _no(error)
                if error.code < 500 and error.code not in (408, 416, 429):
                    silent.remove(source)
            except (URLError, http.client.HTTPException, OSError) as error:
                said[source.url] = str(getattr(error, "reason", "") or error) or type(error).__name__
                if "No such file" in said[source.url]:
                    silent.remove(source)
        if not silent:
            break
    raise Refused("; ".join(f"{_shown(url)}: {reason}" for url, reason in said.items()))


def _more(part: str, source: Source, size: int, came: Callable[[int], None], stopped: Callable[[], bool]) -> None:
    have = _size(part)
    if have > size:
        came(-have)
        os.unlink(part)
        have = 0
    request = Request(source.url, headers={"User-Agent": "wavesmith"})
    if source.token:
        request.add_unredirected_header("Authorization", f"Bearer {source.token}")
    if have:
        request.add_header("Range", f"bytes={have}-")
    with urlopen(request, timeout=QUIET) as answer:
        goes_on = have and getattr(answer, "status", None) == 206
        if have and not goes_on:
            came(-have)
        with _opened(part, bool(goes_on)) as write:
            while block := answer.read(_BLOCK):
                if stopped():
                    raise Stopped
                write(block)
                came(len(block))


@contextmanager
def _opened(part: str, goes_on: bool) -> Iterator[Callable[[bytes], None]]:
    """What writes to the end of a file at once: a full disk is told by the write, and apart from what a source says."""

    def write(block: bytes) -> None:
        rest = memoryview(block)
        try:
            while rest:
                rest = rest[os.write(file, rest) :]
        except OSError as error:
            raise Unwritable(error.strerror or str(error)) from error

    try:
        file = os.open(part, os.O_WRONLY | os.O_CREAT | (os.O_APPEND if goes_on else os.O_TRUNC), 0o644)
    except OSError as error:
        raise Unwritable(error.strerror or str(error)) from error
    try:
        yield write
    finally:
        os.close(file)


def sha256(path: str, stopped: Callable[[], bool]) -> str:
    """The sha256 of a file.

    Raises:
        Stopped: `stopped` said so.
    """
    found = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            if stopped():
                raise Stopped
            found.update(block)
    return found.hexdigest()


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except FileNotFoundError:
        return 0


def _no(error: HTTPError) -> str:
    code = error.headers.get("X-Error-Code") if error.headers else None
    if error.code in (401, 403) or code == "GatedRepo":
        return "it requires a token with access (gated)"
    return f"it has no such file ({error.code})" if error.code == 404 else f"HTTP {error.code}"


def _shown(url: str) -> str:
    """An address without user and password."""
    scheme, _, rest = url.partition("://")
    server, slash, path = rest.partition("/")
    return f"{scheme}://{server.rpartition('@')[2]}{slash}{path}"
