"""Cut the network off a process, and tell what was asked of it all the same."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..doctor.base import Failed


@contextmanager
def network() -> Iterator[None]:
    """Refuse names and connections of any network but this process's own sockets.

    Raises:
        Failed: something was asked for, even where whoever asked went on without an answer.
    """
    asked: list[str] = []
    resolve, resolve_one, connect, connect_ex = (
        socket.getaddrinfo,
        socket.gethostbyname,
        socket.socket.connect,
        socket.socket.connect_ex,
    )

    def refused(host: object) -> OSError:
        asked.append(str(host))
        return OSError(f"the network is cut: {host} was asked for")

    def name(host: object, *_arguments: object, **_named: object) -> Any:
        raise refused(host)

    def connecting(self: socket.socket, address: Any) -> Any:
        if self.family == socket.AF_UNIX:
            return connect(self, address)
        raise refused(address)

    parts: tuple[tuple[Any, str, Any, Any], ...] = (
        (socket, "getaddrinfo", name, resolve),
        (socket, "gethostbyname", name, resolve_one),
        (socket.socket, "connect", connecting, connect),
        (socket.socket, "connect_ex", connecting, connect_ex),
    )
    for owner, part, ours, _own in parts:
        setattr(owner, part, ours)
    try:
        yield
    finally:
        for owner, part, _ours, own in parts:
            setattr(owner, part, own)
    if asked:
        raise Failed(f"while it runs it asks the network for {', '.join(dict.fromkeys(asked))}")
