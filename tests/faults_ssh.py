"""Faults of whole runs over real SSH: the controller, a module, sshd or the worker is killed, the network is cut, two controllers meet, a host is made anew.

Each run wants another set of small packages, so each makes a lock and a generation. The host is this machine, by an SSH server of its own.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ansible_collections.wavesmith.provision.plugins.module_utils.host import store

from benchmarks import fleet
from tests.faults_base import Row

SMALL = ("six", "idna", "wcwidth", "certifi", "toml", "zipp")
LONGEST = 300.0
"""Seconds after which a run is said to hang."""


class Cable:
    """What lies between the controller and the host: it passes bytes on, holds them back, or is cut."""

    def __init__(self, port: int) -> None:
        self._to, self._held, self._open = port, False, list[socket.socket]()
        self._server = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port = int(self._server.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def hold(self, held: bool) -> None:
        """Pass nothing on, or all of it again."""
        self._held = held

    def cut(self) -> None:
        """End all connections."""
        for end in self._open:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def _accept(self) -> None:
        while True:
            near, _ = self._server.accept()
            threading.Thread(target=self._pass, args=(near,), daemon=True).start()

    def _pass(self, near: socket.socket) -> None:
        with contextlib.suppress(OSError), near, socket.create_connection(("127.0.0.1", self._to)) as far:
            self._open += [near, far]
            while True:
                ready = select.select([near, far], [], [])[0]
                while self._held:
                    time.sleep(0.05)
                for end in ready:
                    data = end.recv(65536)
                    if not data:
                        return
                    (far if end is near else near).sendall(data)


class Site:
    """A host, a controller, and what is wanted next."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.sshd, self.cable = folder, folder / "sshd", Cable(port)
        self.fleet = fleet.Fleet(folder, self.cable.port)
        self.root = self.fleet.roots[0]
        self._sets = itertools.chain.from_iterable(itertools.combinations(SMALL, size) for size in (1, 2, 3))
        self.inventory = self.want()

    def want(self) -> Path:
        """Want a set of packages that was never wanted."""
        self.fleet.packages = list(next(self._sets))
        self.inventory = self.fleet.hosts([self.root])
        return self.inventory

    def start(self) -> subprocess.Popen[bytes]:
        """A controller's run, in a session of its own."""
        argv = [str(fleet.BIN / "ansible-playbook"), "-i", str(self.inventory), "site.yml"]
        with (self.folder / "output").open("ab") as output:
            return subprocess.Popen(
                argv, cwd=fleet.ROOT, env=self.fleet.env, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True,
            )  # fmt: skip

    def ended(self, run: subprocess.Popen[bytes]) -> str:
        """How a run ended, in a word."""
        try:
            code = run.wait(LONGEST)
        except subprocess.TimeoutExpired:
            os.killpg(run.pid, signal.SIGKILL)
            return "hung"
        return "done" if code == 0 else "killed" if code < 0 else "failed"

    def serves(self) -> str:
        """The packages of what is current; `BROKEN` where that is not whole, or does not run."""
        folder = Path(self.root, "envs", "small")
        now = store.pointed(str(folder))
        if now is None:
            return "nothing"
        broken = store.damage(str(folder / now))
        manifest = store.read_json(str(folder / now / store.MANIFEST))
        runs = subprocess.run(
            [folder / "current" / "bin" / "python", "-c", "import pip"], check=False, capture_output=True
        )
        if broken or runs.returncode or not isinstance(manifest, dict):
            return f"BROKEN: {now}"
        return ", ".join(sorted({*manifest["packages"]} & {*SMALL}))

    def hit(self, kind: str, after: float) -> Row:
        """Start a run that has something to do, and inject a fault after so many seconds."""
        self.want()
        run = self.start()
        time.sleep(after)
        FAULTS[kind](self, run)
        ended = self.ended(run)
        return (f"{kind} after {after:.1f} s of a run", kind, f"{self.serves()}; the run {ended}", self.converges())

    def converges(self) -> str:
        """Whether the next run, left alone, ends at what is wanted; what a killed one left on the host may take a while to end."""
        wanted = ", ".join(sorted(self.fleet.packages))
        for _ in range(2):
            if self.ended(self.start()) == "done" and self.serves() == wanted:
                return "yes"
        return f"no: {self.serves()}"


def rows(times: int) -> list[Row]:
    """All of them, each at so many moments."""
    if not fleet.SSHD:
        return [("whole runs over SSH", "SSH", "not tried: sshd is not here", "yes")]
    found: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="wavesmith-faults-") as name, fleet.sshd(Path(name)) as port:
        site = Site(Path(name), port)
        if site.ended(site.start()) != "done":
            raise SystemExit((Path(name) / "output").read_text()[-3000:])
        site.want()
        started = time.monotonic()
        site.ended(site.start())  # what a run takes that is left alone
        whole = time.monotonic() - started
        for kind, number in itertools.product(FAULTS, range(times)):
            found.append(site.hit(kind, whole * (number + 0.5) / times))
        for number in range(times):
            site.want()
            first = site.start()
            time.sleep(whole * number / times)
            second = site.start()
            both = f"the runs {site.ended(first)}, {site.ended(second)}"
            found.append(
                (
                    f"two controllers, {whole * number / times:.1f} s apart",
                    "two controllers over SSH",
                    f"{site.serves()}; {both}",
                    site.converges(),
                )
            )
        found += [_made_anew(site, key) for key in (False, True)]
        stop(site)
    return found


def stop(site: Site) -> None:
    """End the SSH servers that took the place of killed ones."""
    _kill(*_servers(site))


def _family(pid: int) -> Iterator[int]:
    """All processes below one."""
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):
            if entry.name.isdigit() and int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                yield int(entry.name)
                yield from _family(int(entry.name))


def _words(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
    except OSError:
        return ""


def _servers(site: Site) -> list[int]:
    """The SSH servers of our own that listen."""
    return [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and f"-f {site.sshd}" in _words(int(entry.name))
    ]


def _kill(*pids: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _soon(find: Callable[[], list[int]]) -> list[int]:
    """Processes of a kind, as soon as there are some."""
    deadline = time.monotonic() + 10
    while not (found := find()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


def _controller(site: Site, run: subprocess.Popen[bytes]) -> None:
    _kill(*_family(run.pid), run.pid)


def _module(site: Site, run: subprocess.Popen[bytes]) -> None:
    """What runs below our SSH server in Python is a module; long work has left its session."""
    _kill(*_soon(lambda: [pid for server in _servers(site) for pid in _family(server) if "python" in _words(pid)]))


def _sshd(site: Site, run: subprocess.Popen[bytes]) -> None:
    servers = _servers(site)
    _kill(*(pid for server in servers for pid in _family(server) if "sshd" in _words(pid)), *servers)
    time.sleep(2)
    subprocess.Popen([fleet.SSHD, "-D", "-f", str(site.sshd)], stderr=subprocess.DEVNULL)


def _worker(site: Site, run: subprocess.Popen[bytes]) -> None:
    """The process that holds the host's lock, and what it started."""

    def find() -> list[int]:
        pid = (store.holder(site.root) or {}).get("pid")
        return [*_family(pid), pid] if pid else []

    _kill(*_soon(find))


def _away(site: Site, run: subprocess.Popen[bytes]) -> None:
    """Nothing comes through for four seconds, and then all of it."""
    site.cable.hold(True)
    time.sleep(4)
    site.cable.hold(False)


def _cut(site: Site, run: subprocess.Popen[bytes]) -> None:
    """Every connection ends, none is taken for four seconds."""
    site.cable.hold(True)
    site.cable.cut()
    time.sleep(4)
    site.cable.hold(False)


FAULTS: dict[str, Callable[[Site, subprocess.Popen[bytes]], None]] = {
    "SIGKILL of the controller": _controller,
    "SIGKILL of a module": _module,
    "SIGKILL of sshd": _sshd,
    "SIGKILL of the worker": _worker,
    "network away for 4 s": _away,
    "network cut": _cut,
}


def _made_anew(site: Site, key: bool) -> Row:
    """A bare host under the name of one that was there; with another host key nothing is done before somebody says so."""
    known, options = site.folder / "known", site.fleet.vars["ansible_ssh_common_args"]
    strict = (
        f"-i {site.folder}/key -p {site.cable.port} -o UserKnownHostsFile={known} -o LogLevel=ERROR -o ControlPath=none"
    )
    site.fleet.vars["ansible_ssh_common_args"] = f"{strict} -o StrictHostKeyChecking=accept-new"
    site.want()
    site.ended(site.start())
    shutil.rmtree(site.root)
    if key:
        for path in (site.folder / "host", site.folder / "host.pub"):
            path.unlink()
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(site.folder / "host")], check=True)
        _kill(*_servers(site))
        subprocess.Popen([fleet.SSHD, "-D", "-f", str(site.sshd)], stderr=subprocess.DEVNULL)
        time.sleep(1)
    site.want()
    before = (site.folder / "output").stat().st_size
    ended = site.ended(site.start())
    said = (site.folder / "output").read_text()[before:]
    then = f"{site.serves()}; the run {ended}"
    if key:
        then = then if ended == "failed" and "host key" in said else f"BROKEN: a foreign host key was taken; {then}"
        known.unlink()
    converged = site.converges()
    site.fleet.vars["ansible_ssh_common_args"] = options
    return (f"made anew under its name{', with another host key' if key else ''}", "made anew", then, converged)
