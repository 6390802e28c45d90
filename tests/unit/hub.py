"""A model hub of our own: the routes that huggingface_hub asks, repositories of files that a test made."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

COMMIT = "c0ffee" * 6 + "beef"
LARGE = 64
"""Bytes from which a file counts as large, so that the hub tells its sha256."""


@dataclass
class Hub:
    """What the hub has and how it behaves.

    Attributes:
        files: Repository and path to content.
        gated: Repositories that want `token`.
        asked: Every request, as ``GET /path``, and from where where only a part was asked for.
        storage: Another server that large files are redirected to, as hubs do.
        cut_after: Bytes after which an answer with a file is cut off; 0: never.
        tokens: What came as ``Authorization``.
        before: Called before a file is answered.
    """

    files: dict[tuple[str, str], bytes] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    token: str = "hf_test"
    asked: list[str] = field(default_factory=list)
    url: str = ""
    storage: str = ""
    cut_after: int = 0
    tokens: list[str] = field(default_factory=list)
    before: Callable[[], None] = lambda: None

    def repository(self, name: str, **files: bytes) -> None:
        """Add a repository; ``__`` in a keyword stands for a slash, ``_dot_`` for a dot."""
        for path, data in files.items():
            self.files[name, path.replace("__", "/").replace("_dot_", ".")] = data


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """Serve a hub on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def log_message(self, format: str, *args: object) -> None:
            pass

        def _answer(self, body: bool) -> None:
            path = urlsplit(self.path).path
            given = self.headers.get("Range", "")
            hub.asked.append(f"{self.command} {path}{f' {given}' if given else ''}")
            hub.tokens += [self.headers["Authorization"]] if "Authorization" in self.headers else []
            parts = path.strip("/").split("/")
            if parts[:2] == ["api", "models"]:
                self._info("/".join(parts[2:4]), parts[5] if len(parts) > 5 else "main")
            elif len(parts) > 4 and parts[2] == "resolve":
                self._file("/".join(parts[:2]), "/".join(parts[4:]), body)
            else:
                self._refuse(404, "RepoNotFound", "no such route")

        def _refuse(self, status: int, code: str, said: str) -> None:
            data = json.dumps({"error": said}).encode()
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("X-Error-Message", said)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data)

        def _info(self, name: str, revision: str) -> None:
            files = {path: data for (repository, path), data in hub.files.items() if repository == name}
            if not files:
                self._refuse(404, "RepoNotFound", f"Repository {name} not found")
                return
            if revision not in ("main", COMMIT):
                self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
                return
            siblings = []
            for path, data in sorted(files.items()):
                entry = {"rfilename": path, "size": len(data), "blobId": hashlib.sha1(data).hexdigest()}
                if len(data) >= LARGE:
                    entry["lfs"] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest(), "pointerSize": 130}
                siblings.append(entry)
            gated = "auto" if name in hub.gated else False
            self._json({"id": name, "sha": COMMIT, "gated": gated, "private": False, "tags": [], "siblings": siblings})

        def _json(self, value: object) -> None:
            data = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def _file(self, name: str, path: str, body: bool) -> None:
            data = hub.files.get((name, path))
            if name in hub.gated and self.headers.get("Authorization") != f"Bearer {hub.token}":
                self._refuse(401, "GatedRepo", f"Access to model {name} is restricted")
            elif data is None:
                self._refuse(404, "EntryNotFound", f"{path} does not exist")
            elif hub.storage:
                self.send_response(302)
                self.send_header("Location", f"{hub.storage}{self.path}")
                self.send_header("Content-Length", "0")
                self.end_headers()
            else:
                start = int(self.headers.get("Range", "bytes=0-")[len("bytes=") : -1])
                if start and start >= len(data):
                    self._refuse(416, "RangeNotSatisfiable", "nothing is after its end")
                    return
                if body:
                    hub.before()
                self.send_response(206 if start else 200)
                self.send_header("X-Repo-Commit", COMMIT)
                self.send_header("ETag", f'"{hashlib.sha1(data).hexdigest()}"')
                self.send_header("Content-Length", str(len(data) - start))
                self.end_headers()
                if body and hub.cut_after:
                    self.wfile.write(data[start : start + hub.cut_after])
                    self.close_connection = True
                elif body:
                    self.wfile.write(data[start:])

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
