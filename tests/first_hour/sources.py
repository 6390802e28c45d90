"""Package indexes that misbehave: one folder of wheels, served slowly, with every second connection cut, after a silence, or never."""

from __future__ import annotations

import contextlib
import hashlib
import html
import http.server
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from packaging.utils import parse_wheel_filename

WAKES, SLOW = 30.0, 2.0
KINDS = {
    "plain": "answers at once",
    "slow": f"answers each request after {SLOW:.0f} s",
    "flapping": "closes every second connection without a word",
    "waking": f"takes connections and says nothing for the first {WAKES:.0f} s",
    "silent": "takes connections and never says anything",
}


class Indexes:
    """One server; the first part of a path is the kind of index.

    Attributes:
        asked: Requests by client and kind.
    """

    def __init__(self, folder: Path, address: str) -> None:
        self.folder, self.asked, self.first = folder, Counter[tuple[str, str]](), dict[str, float]()
        self.wheels: dict[str, list[Path]] = {}
        for wheel in sorted(folder.glob("*.whl")):
            self.wheels.setdefault(parse_wheel_filename(wheel.name)[0], []).append(wheel)
        indexes = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *arguments: Any, **named: Any) -> None:
                super().__init__(*arguments, directory=str(folder), **named)

            def do_GET(self) -> None:
                self.served(super().do_GET)

            def do_HEAD(self) -> None:
                self.served(super().do_HEAD)

            def served(self, give: Any) -> None:
                kind, _, rest = self.path.lstrip("/").partition("/")
                if not indexes.answers(self.client_address[0], kind):
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                self.path = f"/{rest}"
                if not rest.startswith("simple"):
                    with contextlib.suppress(ConnectionError):  # a client that has what it wanted of a wheel hangs up
                        give()
                    return
                page = indexes.page(rest.strip("/").removeprefix("simple").strip("/"))
                self.send_response(200 if page else 404)
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Length", str(len(page)))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(page)

            def log_message(self, *_arguments: Any) -> None:
                """Stay silent."""

        self.server = http.server.ThreadingHTTPServer((address, 0), Handler)
        self.server.daemon_threads = True

    def address(self, kind: str) -> str:
        """The address of an index of that kind."""
        host, port = self.server.server_address[:2]
        return f"http://{host!s}:{port}/{kind}/simple"

    def answers(self, client: str, kind: str) -> bool:
        """Behave as that kind does; whether there is an answer."""
        self.asked[client, kind] += 1
        if kind == "slow":
            time.sleep(SLOW)
        if kind == "waking":
            time.sleep(max(0.0, self.first.setdefault(client, time.monotonic()) + WAKES - time.monotonic()))
        if kind == "silent":
            time.sleep(3600)
        return kind != "flapping" or self.asked[client, kind] % 2 == 0

    def page(self, name: str) -> bytes:
        """A page of the simple API (PEP 503); empty: there is none."""
        if not name:
            links = [f'<a href="{project}/">{project}</a>' for project in self.wheels]
        else:
            links = [
                f'<a href="../../{html.escape(wheel.name)}#sha256={hashlib.sha256(wheel.read_bytes()).hexdigest()}">{wheel.name}</a>'
                for wheel in self.wheels.get(name, [])
            ]
        return ("<!DOCTYPE html>\n" + "<br>\n".join(links)).encode() if links else b""


@contextlib.contextmanager
def serving(folder: Path, address: str) -> Iterator[Indexes]:
    """Serve a folder of wheels on a free port of that address."""
    indexes = Indexes(folder, address)
    threading.Thread(target=indexes.server.serve_forever, daemon=True).start()
    try:
        yield indexes
    finally:
        indexes.server.shutdown()
        indexes.server.server_close()
