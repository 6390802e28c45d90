"""Read a file of a package index in parts: only what is looked at travels.

Servers that give parts answer 206 (RFC 9110, section 14); one that sends the whole file instead is used as it is where the file is
small, and left alone where it is not.
"""

from __future__ import annotations

import base64
import io
import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from ..terms.url import split_url

WHOLE = 4 << 20
"""A file of at most this many bytes is fetched at once."""
TAIL = 128 << 10
"""What is fetched first: the end of an archive, where its table of contents is."""
BLOCK = 256 << 10
TIMEOUT = 30.0


class NoParts(OSError):
    """The server cannot be asked for parts of this file; the message says why."""


def open_parts(url: str, size: int = 0, timeout: float = TIMEOUT) -> IO[bytes]:
    """Open a file by its address (``https``, ``http``, ``file``) or path, for reading in any order.

    Args:
        url: Its address; may hold a user and a password.
        size: Its size in bytes, where the index says it.
        timeout: Seconds that the server has for each answer.

    Raises:
        OSError: it is not there, or not to be had in parts (`NoParts`).
    """
    if url.startswith(("file:", "/")):
        return open(unquote(urlsplit(url).path) if url.startswith("file:") else url, "rb")
    return io.BufferedReader(_Parts(url, size, timeout), BLOCK)


class _Parts(io.RawIOBase):
    """The file as a stream; what was fetched once is kept."""

    def __init__(self, url: str, size: int, timeout: float) -> None:
        super().__init__()
        self._url, self._timeout = url, timeout
        self._size = size
        self._place = 0
        self._kept: dict[int, bytes] = {}  # by offset, no two of them overlap
        self._step = BLOCK
        if size and size <= WHOLE:
            self._keep(0, self._fetch(None))
        else:
            self._end()

    def _end(self) -> None:
        """Fetch the end, which also says how long the file is."""
        data, start, total = self._ask(f"bytes=-{TAIL}")
        if self._size and total != self._size:
            raise NoParts(f"it is {total} bytes long, the index says {self._size}")
        self._size = total
        self._keep(start, data)

    def _keep(self, start: int, data: bytes) -> None:
        self._kept[start] = data

    def _fetch(self, span: tuple[int, int] | None) -> bytes:
        if span is None:
            data, _, _ = self._ask("")
            self._size = len(data)
            return data
        data, start, _ = self._ask(f"bytes={span[0]}-{span[1] - 1}")
        if start != span[0]:
            raise NoParts("the server sent another range than was asked for")
        return data

    def _ask(self, span: str) -> tuple[bytes, int, int]:
        """The bytes, where they begin, and the length of the whole file."""
        parts = split_url(self._url)
        request = urllib.request.Request(
            parts.shown, headers={"User-Agent": "wavesmith", "Accept-Encoding": "identity"}
        )
        if span:
            request.add_header("Range", span)
        if parts.user is not None:
            pair = f"{parts.user}:{parts.password or ''}".encode("utf-8", "replace")
            request.add_unredirected_header("Authorization", "Basic " + base64.b64encode(pair).decode("ascii"))
        try:
            with urllib.request.urlopen(request, timeout=self._timeout) as answer:
                return self._answered(answer, bool(span))
        except urllib.error.HTTPError as error:
            error.close()
            raise NoParts(f"the server answers {error.code}") from error
        except urllib.error.URLError as error:
            raise NoParts(f"the server does not answer ({error.reason})") from error
        except (OSError, ValueError) as error:
            raise error if isinstance(error, NoParts) else NoParts(f"the server does not answer ({error})") from error

    def _answered(self, answer: Any, part: bool) -> tuple[bytes, int, int]:
        if answer.status == 206:
            unit, _, rest = answer.headers.get("Content-Range", "").partition(" ")
            span, _, total = rest.partition("/")
            if unit != "bytes" or not total.isdigit():
                raise NoParts("the server does not state which range it sent")
            return answer.read(), int(span.partition("-")[0]), int(total)
        length = int(answer.headers.get("Content-Length") or 0)
        if part and not 0 < length <= WHOLE:
            raise NoParts("the server does not serve ranges")
        data = answer.read(WHOLE + 1)
        if len(data) > WHOLE:
            raise NoParts("the server does not serve ranges")
        return data, 0, len(data)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        self._place = max(0, base + offset)
        return self._place

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), self._size - self._place)
        if wanted <= 0:
            return 0
        start, data = self._holding(self._place) or self._more(wanted)
        piece = data[self._place - start : self._place - start + wanted]
        buffer[: len(piece)] = piece
        self._place += len(piece)
        return len(piece)

    def _holding(self, place: int) -> tuple[int, bytes] | None:
        for start, data in self._kept.items():
            if start <= place < start + len(data):
                return start, data
        return None

    def _more(self, wanted: int) -> tuple[int, bytes]:
        """Fetch from here on, more each time that one read follows the other."""
        before = next((start for start, data in self._kept.items() if start + len(data) == self._place), None)
        self._step = min(self._step * 2, 32 * BLOCK) if before is not None else max(BLOCK, wanted)
        behind = min((start for start in self._kept if start > self._place), default=self._size)
        end = min(behind, self._place + max(self._step, wanted))
        data = self._fetch((self._place, end))
        if before is not None and before:  # of what was read through only the newest part is kept
            del self._kept[before]
        self._keep(self._place, data)
        return self._place, data


def name_of_file(url: str) -> str:
    """The name of the file that an address or a path leads to."""
    path = urlsplit(url).path if "://" in url else url
    return Path(unquote(path)).name
