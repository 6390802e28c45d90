"""Ask package sources whether they answer."""

from __future__ import annotations

import base64
import itertools
import random
import re
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from ..records.host import Finding, SourceState
from ..terms.url import Url, split_url
from . import system, texts
from .host import Host, Task, User

INDEX_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")
PACKAGE_INDEX = "package_index"
NETWORK = "Check name resolution, proxy and firewall, or configure a mirror."


def find_package_index(host: Host, user: User, default: str = "") -> tuple[str, str]:
    """Return the package index that the host's own tools are set to, with credentials, and the file or variable that sets it.

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


def source_state(link: Link, answers: bool, detail: str, seconds: float, inconclusive: bool = False) -> SourceState:
    return {
        "url": split_url(link.url).shown,
        "answers": answers,
        "inconclusive": inconclusive,
        "detail": detail,
        "seconds": round(seconds, 3),
        "configured_by": link.configured_by,
    }


class Probes:
    """Sources that are asked side by side, each again and again until it answers or its time is up."""

    def __init__(self, host: Host, links: Mapping[str, Link], seconds: float) -> None:
        self._links, self._seconds, self._began = links, seconds, time.monotonic()
        self._tasks = {name: Task(partial(probe_source, host, link, seconds)) for name, link in links.items()}

    def collect(self, findings: list[Finding]) -> dict[str, SourceState]:
        """What they answered; what stands in the way joins the findings."""
        found = {}
        for name, task in self._tasks.items():
            silent = source_state(
                self._links[name], False, f"no answer within {self._seconds:g} s", self._seconds, inconclusive=True
            )
            result, remedy = task.result(self._began + self._seconds + 0.2 - time.monotonic()) or (silent, NETWORK)
            found[name] = result
            if not result["answers"] and remedy:
                detail = f"The source {name} {result['url'] or '(none)'} can not be used: {result['detail']}"
                findings.append(texts.finding(f"source.{name}", detail, remedy))
        return found


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


def probe_source(host: Host, link: Link, seconds: float) -> tuple[SourceState, str]:
    """Ask a source whether it answers, without its body; return what was seen and a remedy ('' when none is due).

    What may be no more than a busy network is asked again until the time is up, and then no answer, but no refusal either.
    """
    started = time.monotonic()

    def result(answers: bool, detail: str, remedy: str = "", inconclusive: bool = False) -> tuple[SourceState, str]:
        return source_state(link, answers, detail, time.monotonic() - started, inconclusive), remedy

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
    for tries in itertools.count(1):
        left = started + seconds - time.monotonic()
        try:
            # The first try is short: what was lost on the way is asked for again, and a slow server gets all that is left.
            status = _status(url, max(0.1, seconds / 4 if tries == 1 else left))
            answers, detail, remedy = system.judge_status(status)
            doubt = seconds if status >= HTTPStatus.INTERNAL_SERVER_ERROR else 0.0
        except Exception as error:  # urllib and http.client raise almost anything for what a server or a URL can hold
            answers, doubt = False, _doubt(host, error, seconds)
            detail, remedy = _explain(error)
        pause = min(0.2 * 2**tries, 2.0) * random.uniform(0.5, 1.0)  # noqa: S311  (many hosts must not ask in step)
        if answers or time.monotonic() - started + pause > doubt:
            break
        time.sleep(pause)
    return result(answers, detail, remedy, inconclusive=not answers and doubt >= seconds)


_STARTING = 2.0
"""Seconds for which a server that refuses connections may only be starting."""


def _doubt(host: Host, error: BaseException, seconds: float) -> float:
    """For how many seconds an error may be no more than a busy network or server; all of them: it never becomes a no."""
    reason = getattr(error, "reason", error)
    if isinstance(reason, socket.gaierror):
        # A resolver that is only busy says so, and so does a host without a network.
        return seconds if reason.errno == socket.EAI_AGAIN and _has_route(host) else 0.0
    if isinstance(reason, ssl.SSLError):
        return seconds if isinstance(reason, (ssl.SSLEOFError, ssl.SSLZeroReturnError)) else 0.0
    if isinstance(
        reason, (TimeoutError, socket.timeout, ConnectionResetError, ConnectionAbortedError, BrokenPipeError)
    ):
        return seconds
    return min(_STARTING, seconds / 2) if isinstance(reason, OSError) else 0.0


def _has_route(host: Host) -> bool:
    """Whether the host has a way out: a default route of IPv4 or IPv6. A host whose tables cannot be read may have one."""
    v4, v6 = host.read("/proc/net/route"), host.read("/proc/net/ipv6_route")
    if not v4 and not v6:
        return True
    ways = [line.split() for line in v4.splitlines()[1:]]
    return any(way[1:2] == ["00000000"] and way[7:8] == ["00000000"] for way in ways) or any(
        re.match(r"0{32} 00 .* (?!lo$)\S+$", line.strip()) for line in v6.splitlines()
    )


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
    said = getattr(reason, "strerror", None) or str(reason)
    return texts.first_line(said) or type(
        reason
    ).__name__, "Check the URL, name resolution and proxy, or configure a mirror."
