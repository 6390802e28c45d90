"""A host's files and commands: those of this machine, or a recording of another one.

Everything below a root other than ``/`` is a recording: files are read below it, and a command's output is the
file ``.commands/<argv joined by spaces, '/' as '_'>.txt`` (beside it ``.timeout``: the command hung; ``.code``: its exit
status where it is not 0, negative for a signal).
"""

from __future__ import annotations

import glob
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from . import texts

T = TypeVar("T")
# Commands that a login shell would find, but a remote run may not (WSL2 keeps nvidia-smi in its own folder).
EXTRA_PATH = (
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/wsl/lib:/usr/local/cuda/bin:/opt/rocm/bin"
)
_FILE_LIMIT = 64 * 1024 * 1024
# Where the kernel's log is, after /dev/kmsg: dmesg for the records of other systems, the journal for its readers (groups adm and
# systemd-journal), the files of syslog for group adm.
KERNEL_LOG = (["dmesg"], ["journalctl", "-k", "-b", "-q", "--no-pager", "-n", "5000"])
KERNEL_LOG_FILES = ("/var/log/kern.log", "/var/log/dmesg", "/var/log/syslog", "/var/log/messages")
_LOG_LIMIT = 2 * 1024 * 1024
_LOG_RECORDS = 20_000


@dataclass(frozen=True)
class Answer:
    """What a command said: its exit status (None: it did not run or did not end), output, and what went wrong."""

    code: int | None
    text: str = ""
    trouble: str = ""


@dataclass(frozen=True)
class User:
    """Who observes."""

    name: str
    uid: int
    home: str


class Task(threading.Thread, Generic[T]):
    """A function's result from a thread that the interpreter does not wait for when it ends."""

    def __init__(self, work: Callable[[], T]) -> None:
        super().__init__(daemon=True)
        self._work = work
        self._done: list[T] = []
        self.start()

    def run(self) -> None:
        """Do the work."""
        self._done.append(self._work())

    def result(self, seconds: float) -> T | None:
        """Wait at most that long; None when it is not done."""
        self.join(max(0.0, seconds))
        return self._done[0] if self._done else None


class Host:
    """The files and commands of this machine, or of a recorded one below `root`."""

    def __init__(self, root: str = "/", timeout: float = 3.0) -> None:
        self.root = os.path.abspath(root or "/")
        self.live = self.root == "/"
        self.timeout = max(0.1, timeout)
        self.environ: Mapping[str, str] = os.environ if self.live else self._recorded_environ()

    def at(self, path: str) -> str:
        """Return where a path of the host really lies."""
        return path if self.live else os.path.join(self.root, path.lstrip("/"))

    def owner(self, path: str) -> int | None:
        """Return the number of the user whom a file or folder belongs to; None when it is not there."""
        try:
            return os.stat(self.at(path)).st_uid
        except (OSError, ValueError):
            return None

    def read(self, path: str) -> str:
        """Return a regular file's text, '' when there is none to read."""
        return texts.decode(self.read_bytes(path))

    def read_bytes(self, path: str, last: int = 0) -> bytes:
        """Return a regular file's content (of a long one only so many `last` bytes), nothing when there is none to read."""
        try:
            handle = os.open(self.at(path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (OSError, ValueError):
            return b""
        try:
            with os.fdopen(handle, "rb") as file:
                state = os.fstat(handle)
                if not stat.S_ISREG(state.st_mode):
                    return b""
                if last and state.st_size > last:
                    file.seek(-last, os.SEEK_END)
                return file.read(_FILE_LIMIT)
        except OSError:
            return b""

    def kernel_log(self) -> str:
        """Return what the kernel said lately, from the first source that this user may read: at most `_LOG_LIMIT` bytes."""
        said = self._kmsg() if self.live else self.read("/dev/kmsg")
        for argv in KERNEL_LOG:
            if not said:
                answer = self.run(argv)
                said = answer.text[-_LOG_LIMIT:] if answer.code == 0 else ""
        for path in KERNEL_LOG_FILES:
            said = said or texts.decode(self.read_bytes(path, _LOG_LIMIT))
        return said

    def _kmsg(self) -> str:
        """The kernel's own ring, one record a read, without waiting for the next one."""
        records: list[bytes] = []
        try:
            handle = os.open(self.at("/dev/kmsg"), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return ""
        try:
            for _record in range(_LOG_RECORDS):
                try:
                    records.append(os.read(handle, 8192))
                except BrokenPipeError:  # it was overwritten meanwhile: go on with the oldest there is
                    continue
        except OSError:  # that was the last one, or this user may not
            pass
        finally:
            os.close(handle)
        return texts.decode(b"".join(records))[-_LOG_LIMIT:]

    def exists(self, path: str) -> bool:
        """Say whether the path exists (False also for a path that cannot be one)."""
        try:
            return os.path.exists(self.at(path))
        except ValueError:
            return False

    def glob(self, pattern: str) -> list[str]:
        """Return the host's paths that match, sorted."""
        found = glob.glob(glob.escape(self.root.rstrip("/")) + pattern)
        return sorted(found if self.live else ("/" + os.path.relpath(path, self.root) for path in found))

    def which(self, name: str) -> str | None:
        """Return a command's path; a recorded command has only its name."""
        if not self.live:
            return name
        return shutil.which(name, path=f"{self.environ.get('PATH', '')}:{EXTRA_PATH}")

    def listing(self, path: str) -> list[str]:
        """Return the names in a folder, sorted; none where there is no such folder."""
        try:
            return sorted(os.listdir(self.at(path)))
        except (OSError, ValueError):
            return []

    def python(self, name: str, code: str) -> Answer:
        """Run code in a Python process of its own; recorded as ``python <name>``."""
        return (
            self.run([sys.executable or "python3", "-IS", "-c", code]) if self.live else self._replay(["python", name])
        )

    def cat(self, paths: Sequence[str]) -> Answer:
        """Return what files of a driver say, one after the other, read by a process that may hang in the kernel."""
        if not paths:
            return Answer(None, trouble="not found")
        return self.run(["cat", *paths]) if self.live else Answer(0, "".join(map(self.read, paths)))

    def run(self, argv: Sequence[str]) -> Answer:
        """Run a command with the timeout, in its own process group, without a terminal."""
        if not self.live:
            return self._replay(argv)
        program = self.which(argv[0])
        if program is None:
            return Answer(None, trouble="not found")
        try:
            process = subprocess.Popen(
                [program, *argv[1:]],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={**self.environ, "LC_ALL": "C"},
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            return Answer(None, trouble=str(error))
        try:
            output, _none = process.communicate(timeout=self.timeout)
        except subprocess.TimeoutExpired:
            try:
                os.killpg(process.pid, signal.SIGKILL)
                # A process stuck in the driver cannot be killed: it is left alone rather than waited for.
                process.communicate(timeout=0.2)
            except (OSError, subprocess.TimeoutExpired):
                pass
            return Answer(None, trouble=f"no answer within {self.timeout:g} s")
        return Answer(process.returncode, texts.decode(output))

    def _replay(self, argv: Sequence[str]) -> Answer:
        name = "/.commands/" + " ".join(argv).replace("/", "_")
        if self.exists(f"{name}.timeout"):
            return Answer(None, trouble=f"no answer within {self.timeout:g} s")
        if not self.exists(f"{name}.txt"):
            return Answer(None, trouble="not found")
        code = self.read(f"{name}.code").strip()
        number = texts.natural(code.lstrip("-")) or 0
        return Answer(-number if code.startswith("-") else number, self.read(f"{name}.txt"))

    def _recorded_environ(self) -> dict[str, str]:
        return texts.key_values(self.read("/.commands/env.txt"), "=")


class Questions:
    """Commands that run side by side, each with the host's timeout."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._tasks: dict[str, Task[Answer]] = {}
        self.deadline = time.monotonic() + host.timeout + 0.5

    def command(self, name: str, argv: Sequence[str]) -> None:
        """Start a command."""
        self.task(name, partial(self._host.run, argv))

    def task(self, name: str, work: Callable[[], Answer]) -> None:
        """Start a function."""
        self._tasks[name] = Task(work)

    def answer(self, name: str) -> Answer:
        """Wait for what was started under this name; what was not is not found."""
        if name not in self._tasks:
            return Answer(None, trouble="not found")
        done = self._tasks[name].result(self.deadline - time.monotonic())
        return done or Answer(None, trouble=f"no answer within {self._host.timeout:g} s")


def find_user(host: Host) -> User:
    """Return who runs this; for a recorded host root, unless ``id -u`` and ``id -un`` were recorded."""
    if host.live:
        uid = os.geteuid()
        try:
            entry = pwd.getpwuid(uid)
            return User(name=entry.pw_name, uid=uid, home=entry.pw_dir)
        except KeyError:
            return User(name=str(uid), uid=uid, home=host.environ.get("HOME", "/"))
    uid = texts.natural(host.run(["id", "-u"]).text) or 0
    name = texts.first_line(host.run(["id", "-un"]).text) or "root"
    return User(name=name, uid=uid, home="/root" if uid == 0 else f"/home/{name}")
