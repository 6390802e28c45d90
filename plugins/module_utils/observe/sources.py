"""Ask package sources whether they answer."""

from __future__ import annotations

import base64
import re
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ..records.host import SourceState
from ..terms.url import Url, split_url
from . import system, texts
from .host import Host, User

INDEX_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")
PACKAGE_INDEX = "package_index"


def find_package_index(host: Host, user: User, default: str = "") -> tuple[str, str]:
    """Return the package index the host's own tools are set to, with credentials, and what says so.

    pip's order: variables, the user's file, then the system's; `default` when none names one.
    """
    for variable in INDEX_VARIABLES:
        value = host.environ.get(variable, "").strip()
        if value:
            return value.encode("utf-8", "replace").decode(), variable
    for path in (
        f"{user.home}/.config/pip/pip.conf",
        f"{user.home}/.pip/pip.conf",
        "/etc/pip.conf",
        "/etc/xdg/pip/pip.conf",
    ):
        value = system.parse_pip_conf(host.read(path))
        if value:
            return value, path
    return (default, "default_index") if default else ("", "")


@dataclass(frozen=True)
class Link:
    """A source to probe: the URL with its credentials, and what configured it."""

    url: str
    configured_by: str
    wanted: bool = False


def find_sources(host: Host, user: User, sources: Mapping[str, str], default_index: str) -> dict[str, Link]:
    """Resolve every source's URL."""
    links = {}
    for name, url in sources.items():
        if url or name != PACKAGE_INDEX:
            links[name] = Link(url or "", "sources" if url else "")
        else:
            links[name] = Link(*find_package_index(host, user, default_index), wanted=True)
    return links


def source_state(link: Link, answers: bool, detail: str, seconds: float) -> SourceState:
    return {
        "url": split_url(link.url).shown,
        "answers": answers,
        "detail": detail,
        "seconds": round(seconds, 3),
        "configured_by": link.configured_by,
    }


class _SameOrigin(urllib.request.HTTPRedirectHandler):
    """Follow redirects with HEAD kept, and credentials kept for the same origin only."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        new = super().redirect_request(req, fp, code, msg, headers, newurl)
        if new is not None:
            new.method = req.get_method()
            secret = req.unredirected_hdrs.get("Authorization")
            if secret and urlsplit(req.full_url)[:2] == urlsplit(new.full_url)[:2]:
                new.add_unredirected_header("Authorization", secret)
        return new


def probe_source(host: Host, link: Link) -> tuple[SourceState, str]:
    """Ask a source whether it answers, without its body; return what was seen and a remedy ('' when none is due)."""
    started = time.monotonic()

    def result(answers: bool, detail: str, remedy: str = "") -> tuple[SourceState, str]:
        return source_state(link, answers, detail, time.monotonic() - started), remedy

    if not link.url:
        remedy = "Set wavesmith's package index, UV_DEFAULT_INDEX, or index-url in pip.conf." if link.wanted else ""
        return result(False, "not configured", remedy)
    url = split_url(link.url)
    scheme = url.shown.partition(":")[0].lower()
    if scheme == "file":
        there = host.exists(urllib.request.url2pathname(urlsplit(url.shown).path))
        return result(there, "folder" if there else "no such folder", "" if there else "Correct the source's URL.")
    if scheme not in ("http", "https") or re.search(r"\s", url.shown):
        return result(False, "not a URL that can be probed", "Give a http, https or file URL.")
    for tries_left in (2, 1, 0):
        try:
            answers, detail, remedy = system.judge_status(_status(url, host.timeout))
            break
        except Exception as error:  # urllib and http.client raise almost anything for what a server or a URL can hold
            # A resolver that is only busy says so (EAI_AGAIN), and so does a host without a network, which does not wait long.
            busy = getattr(getattr(error, "reason", error), "errno", None) == socket.EAI_AGAIN
            if not busy or not tries_left or time.monotonic() - started > host.timeout / 2:
                return result(False, *_explain(error))
            time.sleep(0.3)
    return result(answers, detail, remedy)


def _status(url: Url, timeout: float) -> int:
    """Return the HTTP status of a HEAD request; where HEAD is not served, of a GET whose body is not read."""
    opener = urllib.request.build_opener(_SameOrigin)
    status = 0
    for method in ("HEAD", "GET"):
        request = urllib.request.Request(url.shown, method=method, headers={"User-Agent": "wavesmith-observe"})
        if method == "GET":
            request.add_header("Range", "bytes=0-1023")
        if url.user is not None:
            pair = f"{url.user}:{url.password or ''}".encode("utf-8", "replace")
            request.add_unredirected_header("Authorization", "Basic " + base64.b64encode(pair).decode("ascii"))
        try:
            with opener.open(request, timeout=timeout) as response:
                status = int(response.status)
        except urllib.error.HTTPError as error:
            status = error.code
            error.close()
        # Some mirrors and object stores refuse HEAD only.
        if status not in (400, 403, 404, 405, 501):
            break
    return 200 if status == 416 else status


def _explain(error: BaseException) -> tuple[str, str]:
    reason = getattr(error, "reason", error)
    if isinstance(reason, ssl.SSLCertVerificationError):
        detail = f"its certificate is not trusted ({reason.verify_message})"
        return detail, "Set SSL_CERT_FILE to the CA bundle that signed it, or add the CA to the system's store."
    if isinstance(reason, TimeoutError):  # socket.timeout is its alias from 3.10 on; in 3.9 the text says it
        return "no answer in time", "Check proxy and firewall, or configure a mirror."
    return texts.first_line(str(reason)) or type(
        reason
    ).__name__, "Check the URL, name resolution and proxy, or configure a mirror."
