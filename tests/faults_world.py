"""Faults of what is around a run: the clock, the disk's rights, another controller, the cache, a wheelhouse that lies."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import http.server
import json
import multiprocessing
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from ansible_collections.wavesmith.provision.plugins.module_utils.host import store
from ansible_collections.wavesmith.provision.plugins.module_utils.terms.digest import digest
from ansible_collections.wavesmith.provision.plugins.module_utils.wheels import wheelhouse

from tests.faults_base import DAMAGES, Place, Row, converge, in_child
from tests.unit.test_wheelhouse import KEY, WHEEL, Builder

YEAR = 365 * 86400.0
NEW_MOUNTS, READ_ONLY, REMOUNT, BIND, PRIVATE = 0x20000, 1, 32, 4096, 1 << 18 | 1 << 14
"""Flags of unshare(2) and mount(2)."""
Lies = dict[str, Callable[[bytes], bytes | None]]
"""What is given in place of a file; `None` for nothing."""


def rows() -> list[Row]:
    """All of them."""
    return [*clocks(), *read_only(), *controllers(), *caches(), *wheelhouses()]


@contextlib.contextmanager
def places() -> Iterator[Place]:
    """A place in which generation `one` is current."""
    with tempfile.TemporaryDirectory() as name:
        place = Place(Path(name))
        place.provision("one")
        yield place


def clocks() -> list[Row]:
    """A run while the clock is wrong by a year, as is the time of all files that were there; and the next one with the right clock."""
    found: list[Row] = []
    for said, wrong in (("behind", -YEAR), ("ahead", YEAR)):
        for before in (False, True):
            with places() as place:
                if before:
                    _age(Path(place.root), wrong)
                in_child(partial(_with_clock, wrong, partial(place.provision, "two")), lambda *_: None)
                what = "clock a year {}{}".format(said, ", for what was there too" if before else "")
                # The year is over: what a run wrote then is old, or of the future.
                found.append((what, "clock", place.runs() or "BROKEN", converge(place, "three")))
    return found


def _with_clock(wrong: float, work: Callable[[], None]) -> None:
    right, right_ns = time.time, time.time_ns
    time.time = lambda: right() + wrong
    time.time_ns = lambda: right_ns() + int(wrong * 1e9)
    work()


def _age(folder: Path, wrong: float) -> None:
    """Give the files of the state, not those that are compared by their time, the time of a wrong clock."""
    for path in [*folder.glob("state/**/*"), *folder.glob("envs/*/*/wavesmith/*")]:
        os.utime(path, (time.time() + wrong,) * 2, follow_symlinks=False)


def read_only() -> list[Row]:
    """A root that was mounted read-only while it was in use; it is writable again for the next run."""
    found: list[Row] = []
    for what in ("", "envs", "state", "cache", "envs/speech"):
        with places() as place:
            folder = Path(place.root, what)
            folder.mkdir(exist_ok=True)
            if in_child(partial(_mounted, folder, lambda: None), lambda *_: None):
                return [("read-only root", "read-only", "not tried: this user may not mount", "yes")]
            ended = in_child(partial(_mounted, folder, partial(place.provision, "two")), lambda *_: None)
            then = place.runs() or "BROKEN"
            found.append(
                (f"read-only {what or 'root'}", "read-only", then if ended else f"{then}, done", converge(place, "two"))
            )
    return found


def _mounted(folder: Path, work: Callable[[], None]) -> None:
    """Do something where a folder is read-only, in mounts of this process's own."""
    libc = ctypes.CDLL(None, use_errno=True)
    path = os.fsencode(folder)
    steps = [(b"none", b"/", PRIVATE), (path, path, BIND), (b"none", path, BIND | REMOUNT | READ_ONLY)]
    if libc.unshare(NEW_MOUNTS) or any(
        libc.mount(source, target, None, flags, None) for source, target, flags in steps
    ):
        raise OSError(ctypes.get_errno(), "cannot be mounted")
    work()


def controllers() -> list[Row]:
    """Two controllers that provision the same host at once, the second one later by a little more each time."""
    found: list[Row] = []
    for number in range(8):
        with places() as place:
            fork = multiprocessing.get_context("fork")
            work = [
                fork.Process(target=_late, args=(delay, place, name))
                for name, delay in (("two", 0.0), ("three", 0.04 * number))
            ]
            for process in work:
                process.start()
            for process in work:
                process.join()
            ended = sum(process.exitcode == 0 for process in work)
            then = place.runs() or "BROKEN"
            found.append(
                (
                    f"two controllers, {40 * number} ms apart",
                    "controllers",
                    f"{then}, {ended} of 2 done",
                    converge(place, "four"),
                )
            )
    return found


def _late(delay: float, place: Place, name: str) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    time.sleep(delay)
    place.provision(name)


def caches() -> list[Row]:
    """Every file of uv's cache damaged in one way, before a generation is made from it."""
    found: list[Row] = []
    for damage, harm in DAMAGES.items():
        with places() as place:
            cache = Path(place.root, "cache", "uv")
            # Generations share their files with the cache by hard links: what is harmed must not be `one` itself.
            shutil.copytree(cache, f"{cache}.own", symlinks=True)
            shutil.rmtree(cache)
            os.rename(f"{cache}.own", cache)
            files = [path for path in sorted(cache.rglob("*")) if path.is_file() and not path.is_symlink()]
            for path in files:
                harm(path)
            what = f"uv's cache: {len(files)} files, each {damage}"
            found.append((what, "uv's cache", place.runs() or "BROKEN", converge(place, "two")))
    return found


class Liar(http.server.SimpleHTTPRequestHandler):
    """A wheelhouse that gives something else in place of some files."""

    lies: ClassVar[Lies] = {}
    slow = 0.0

    def do_GET(self) -> None:
        """Give the file, or the lie."""
        name = self.path.rpartition("/")[2]
        path = Path(self.translate_path(self.path))
        data: bytes | None = path.read_bytes() if path.is_file() else None
        if data is not None and name in self.lies:
            data = self.lies[name](data)
        if data is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        for part in (data[place : place + 256] for place in range(0, len(data), 256)):
            time.sleep(self.slow)
            self.wfile.write(part)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def wheelhouses() -> list[Row]:
    """A wheelhouse that lies; afterwards it is honest again. `the host then` is what was taken of it."""
    if not shutil.which("ssh-keygen"):
        return [("a wheelhouse that lies", "wheelhouse", "not tried: ssh-keygen is not here", "yes")]
    flipped = lambda data: data[:-1] + bytes([data[-1] ^ 1])  # noqa: E731
    lies: dict[str, Lies] = {
        "other bytes in the wheel": {WHEEL: flipped},
        "the wheel cut short": {WHEEL: lambda data: data[: len(data) // 2]},
        "the wheel longer": {WHEEL: lambda data: data + b"\0"},
        "the wheel empty": {WHEEL: lambda _: b""},
        "another hash in the manifest": {"manifest.json": lambda data: data.replace(b'": "', b'": "0', 1)},
        "another version in the manifest": {"manifest.json": lambda data: data.replace(b"1.0", b"1.1")},
        "a manifest that is none": {"manifest.json": lambda _: b"[]"},
        "another signature": {"manifest.json.sig": lambda data: data.replace(b"A", b"B")},
        "no wheel": {WHEEL: lambda _: None},
        "no manifest": {"manifest.json": lambda _: None},
        "no signature": {"manifest.json.sig": lambda _: None},
        "other bytes in the provenance": {"provenance.json": flipped},
    }
    found = [_asked(what, lie) for what, lie in lies.items()]
    found.append(_asked("an old manifest, rightly signed, put back", {}, old=True))
    found.append(_asked("it takes its time", {}, slow=0.01))
    found.append(_asked("it stands still", {}, slow=2.0))
    return found


def _asked(what: str, lies: Lies, slow: float = 0.0, old: bool = False) -> Row:
    """What a host takes from a wheelhouse that lies, and from the same one when it is honest again."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        builder = Builder(folder / "thor01")
        today = digest(json.loads((builder.folder / "manifest.json").read_text()))
        handler = type("Lying", (Liar,), {"lies": lies, "slow": slow})
        server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), functools.partial(handler, directory=str(builder.folder.parent))
        )
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}/{KEY}/"
        (folder / "wheels").mkdir()

        def take(expected: str) -> str:
            try:
                wheelhouse.publish(
                    wheelhouse.taker(base), str(folder / "wheels"), KEY, builder.signers, expected=expected
                )
            except (wheelhouse.Untrusted, store.StoreError) as error:
                return "refused" if "Remedy: " in str(error) else f"BROKEN: {error}"[:90]
            whole = not wheelhouse.flaw(str(folder / "wheels"), KEY, builder.signers)
            return "taken, whole" if whole else "BROKEN: taken"

        before, wheelhouse.TIMEOUT = wheelhouse.TIMEOUT, 1.0
        try:
            then = take("0" * 64 if old else today)
            left = [path.name for path in (folder / "wheels").iterdir() if path.name != KEY]
            handler.lies, handler.slow = {}, 0.0  # type: ignore[attr-defined]
            after = take(today)
        finally:
            wheelhouse.TIMEOUT = before
            server.shutdown()
            server.server_close()
        whole = (folder / "wheels" / KEY / WHEEL).is_file() and not wheelhouse.flaw(
            str(folder / "wheels"), KEY, builder.signers
        )
        if then == "taken, whole" and not slow:
            then = "BROKEN: the lie was taken"
        return (
            f"wheelhouse: {what}",
            "wheelhouse",
            then + (f", {left} left" if left else ""),
            "yes" if whole else f"no: {after}",
        )
