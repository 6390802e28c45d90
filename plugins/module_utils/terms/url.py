"""Addresses that may hold a user and a password."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit, urlunsplit


@dataclass(frozen=True)
class Url:
    """A URL split into what may be shown (`shown`) and the credentials that may not."""

    shown: str
    user: str | None = None
    password: str | None = None


def split_url(text: str) -> Url:
    """Take user and password out of a URL, also where an unescaped ``/``, ``?`` or ``#`` in them makes it malformed."""
    text = text.strip()
    # uv accepts "<name>=<url>" for its default index.
    text = re.sub(r"^[\w.-]+=(?=[a-z]+://)", "", text)
    try:
        parts = urlsplit(text)
        user, password = parts.username, parts.password
    except ValueError:
        return _cut_url(text)
    host = parts.netloc.rpartition("@")[2]
    well_formed = re.fullmatch(r"[^:\[\]]+(:\d+)?|\[.*\](:\d+)?", host) is not None
    # An @ after the host is a part of a path only where it starts a segment ("/@scope").
    scoped = "@" not in parts.query + parts.fragment and re.fullmatch(r"([^@:]|(?<=/)@)*", parts.path) is not None
    if "@" in text and not (well_formed and (scoped or "@" not in parts.path + parts.query + parts.fragment)):
        return _cut_url(text)
    return Url(
        shown=urlunsplit(parts._replace(netloc=host)),
        user=unquote(user) if user else None,
        password=unquote(password) if password else None,
    )


def masked(text: str) -> str:
    """A text without the credentials in its addresses."""
    return re.sub(r"(?<=://)[^\s/@'\"]*(?:[^\s@'\"]*:[^\s@'\"]*)?@(?=[\w.\[-])", "***@", text)


def _cut_url(text: str) -> Url:
    return Url(shown=re.sub(r"^([a-zA-Z][a-zA-Z0-9+.-]*://)?.*@", r"\1", text, flags=re.DOTALL))
