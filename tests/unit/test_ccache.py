"""Two builders that share what they compiled: real ccache, a real server, and the wheels of both."""

from __future__ import annotations

import contextlib
import http.server
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.build import worker

from .builder import BACKEND, SOURCE, Host

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(shutil.which("ccache") is None, reason="ccache is not here"),
    pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler here"),
]
PARTS = 6
FILES = {
    **SOURCE,
    "backend.py": BACKEND.replace(
        '"voice.c", "-o", "voice.o")',
        '"voice.c", "-o", "voice.o")\n'
        f"        for part in range({PARTS}):\n"
        '            run("cc", "-fPIC", include, "-c", f"part{part}.c", "-o", f"part{part}.o")',
    ),
    **{f"part{part}.c": f"#include <stdio.h>\nint part{part}(void) {{ return {part}; }}\n" for part in range(PARTS)},
}
"""A package of seven files that are compiled."""


class Storage(http.server.BaseHTTPRequestHandler):
    """What ccache's HTTP storage asks of a server: GET, PUT and DELETE."""

    kept: ClassVar[dict[str, bytes]] = {}

    def do_GET(self) -> None:
        data = self.kept.get(self.path)
        self.send_response(404 if data is None else 200)
        self.send_header("Content-Length", str(len(data or b"")))
        self.end_headers()
        self.wfile.write(data or b"")

    do_HEAD = do_GET

    def do_PUT(self) -> None:
        self.kept[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(201)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def over_http(_: Path) -> Iterator[str]:
    handler = type("Fresh", (Storage,), {"kept": {}})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@contextlib.contextmanager
def over_redis(folder: Path) -> Iterator[str]:
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not here")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    argv = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL) as server:
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}"
        server.terminate()


@contextlib.contextmanager
def over_a_folder(folder: Path) -> Iterator[str]:
    yield f"file://{folder}/shared"


def counted(host: Host) -> dict[str, int]:
    """What ccache counted on a host."""
    env = {**os.environ, "CCACHE_DIR": str(host.root / "cache" / "ccache")}
    said = subprocess.run(["ccache", "--print-stats"], env=env, capture_output=True, text=True, check=True).stdout
    return {name: int(value) for name, value in (line.split("\t") for line in said.splitlines())}


def build(folder: Path, remote: str, files: dict[str, str] | None = None) -> Host:
    folder.mkdir()
    host = Host(folder)
    spec = host.spec(host.recipe(files or FILES))
    worker.build_wheels(host.job, str(host.root), [spec], host.simple.as_uri(), remote)
    return host


@pytest.mark.parametrize("served", [over_http, over_redis, over_a_folder])
def test_what_one_builder_compiled_another_one_takes(
    tmp_path: Path, served: Callable[[Path], contextlib.AbstractContextManager[str]]
) -> None:
    with served(tmp_path) as remote:
        first = counted(build(tmp_path / "first", remote))
        second = counted(build(tmp_path / "second", remote))
    assert (first["cache_miss"], first["remote_storage_hit"]) == (PARTS + 1, 0)
    assert (second["cache_miss"], second["remote_storage_hit"]) == (0, PARTS + 1), (
        "seven of seven, in a folder of another name"
    )


def test_a_changed_file_is_compiled_and_the_others_are_taken(tmp_path: Path) -> None:
    with over_http(tmp_path) as remote:
        build(tmp_path / "first", remote)
        changed = {**FILES, "part3.c": "int part3(void) { return 33; }\n"}
        second = counted(build(tmp_path / "second", remote, changed))
    assert (second["cache_miss"], second["remote_storage_hit"]) == (1, PARTS)


def test_a_storage_that_is_gone_stops_no_build(tmp_path: Path) -> None:
    host = build(tmp_path / "alone", "http://127.0.0.1:9")
    assert counted(host)["cache_miss"] == PARTS + 1
    assert list((host.root / "wheels").glob("*/*.whl"))
