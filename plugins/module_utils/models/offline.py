"""Nothing is fetched while a model runs: what it asks of a network is refused, and said with the model's name and the remedy."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from .kept import Unusable

REMEDY = "Remedy: add it to its weights (catalog/models and catalog/weights), and provision this host again"
_HUB = ("LocalEntryNotFoundError", "OfflineModeIsEnabled")
"""What huggingface_hub raises for what is not in its cache (0.31.1 and 2.4.0)."""
_NAMED = {"repo_id": "", "filename": "/", "url": ""}
"""Arguments of functions that fetch: what they say of it, and what stands before that."""


@contextmanager
def cut() -> Iterator[list[str]]:
    """Refuse names and connections but this machine's own; yields what was asked for, even by who went on without an answer."""
    asked: list[str] = []
    parts = [
        (socket, "getaddrinfo"),
        (socket, "gethostbyname"),
        (socket.socket, "connect"),
        (socket.socket, "connect_ex"),
    ]
    own = [getattr(owner, part) for owner, part in parts]
    resolve, resolve_one, connect, connect_ex = own

    def refused(host: object) -> OSError:
        asked.append(str(host))
        return OSError(f"the network is cut: {host} was asked for")

    def name(host: Any, *given: Any, **named: Any) -> Any:
        if _is_here(host):
            return resolve(host, *given, **named)
        raise refused(host)

    def one_name(host: str) -> Any:
        if _is_here(host):
            return resolve_one(host)
        raise refused(host)

    def connecting(self: socket.socket, address: Any) -> Any:
        if self.family == socket.AF_UNIX or _is_here(address[0]):
            return connect(self, address)
        raise refused(address[0])

    def connecting_ex(self: socket.socket, address: Any) -> Any:
        if self.family == socket.AF_UNIX or _is_here(address[0]):
            return connect_ex(self, address)
        raise refused(address[0])

    for (owner, part), ours in zip(parts, (name, one_name, connecting, connecting_ex)):
        setattr(owner, part, ours)
    try:
        yield asked
    finally:
        for (owner, part), before in zip(parts, own):
            setattr(owner, part, before)


def _is_here(host: Any) -> bool:
    """Whether a host is this machine: a server of its own, or the processes of one computation."""
    text = host.decode() if isinstance(host, bytes) else host
    if text in (None, "", "localhost"):
        return True
    try:
        return ipaddress.ip_address(text).is_loopback or ipaddress.ip_address(text).is_unspecified
    except ValueError:
        return False


@contextmanager
def told(name: str) -> Iterator[None]:
    """Run a model with the network cut; where it fails for want of a download, say which.

    Raises:
        Unusable: it asked for what is not on this host.
    """
    with cut() as asked:
        try:
            yield
        except Unusable:
            raise
        except Exception as error:
            wanted = _wanted(error, asked)
            if not wanted:
                raise
            problem = f"model {name}: it asks for {wanted}, which is not among its weights, and nothing is fetched while it runs"
            raise Unusable(f"{problem}. {REMEDY}") from error


def _wanted(error: BaseException, asked: Sequence[str]) -> str:
    """What was to be downloaded when this was raised; empty where nothing was.

    Args:
        asked: The hosts that were asked for.
    """
    seen: BaseException | None = error
    while seen is not None:
        if type(seen).__name__ in _HUB:
            return _called_with(seen, "huggingface_hub", "") or "a file of a model hub"
        if type(seen) is LookupError and "nltk" in str(seen):
            return _of_nltk(str(seen))
        # The cut knows the host only; who asked has the whole address.
        found = _called_with(seen, "", "://") if asked else ""
        if found:
            return found
        seen = seen.__cause__ or seen.__context__
    return asked[-1] if asked else ""


def _called_with(error: BaseException, package: str, holds: str) -> str:
    """What the outermost function of a package that fetches was called with, where that holds a text."""
    trace = error.__traceback__
    while trace is not None:
        frame, trace = trace.tb_frame, trace.tb_next
        if not str(frame.f_globals.get("__name__", "")).startswith(package):
            continue
        given = {name: frame.f_locals[name] for name in _NAMED if isinstance(frame.f_locals.get(name), str)}
        said = "".join(f"{_NAMED[name]}{value}" for name, value in given.items() if holds in value)
        if said:
            return said
    return ""


def _of_nltk(text: str) -> str:
    """The resource that nltk names on a line of its own, as ``Attempted to load tokenizers/punkt``."""
    for line in text.splitlines():
        if "Attempted to load" in line:
            return f"nltk's {line.strip().split()[-1]}"
    return "data of nltk"
