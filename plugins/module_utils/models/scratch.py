"""A folder for as long as this process lives: it goes when the process ends, also by SIGTERM or SIGHUP.

Of a process that is killed (SIGKILL) it stays, until another one makes a folder of that kind: each is locked while its process lives, so one
whose lock is free is nobody's any more.
"""

from __future__ import annotations

import atexit
import fcntl
import glob
import os
import shutil
import signal
import tempfile
import threading
from pathlib import Path
from types import FrameType

_MINE: dict[Path, tuple[int, int | None]] = {}
"""The folders made here: the process that made each, and the descriptor that locks it."""
_NAMED = "wavesmith.{}."
"""Not as a doctor of older generations names its own, which it does not lock."""
_TRIES = 3
"""Another process may take a folder for a left one before it is locked; and there are file systems without locks."""
_ENDS = (signal.SIGTERM, signal.SIGHUP)


def folder(kind: str) -> Path:
    """Make an empty folder, and remove those of its kind that are nobody's any more."""
    for left in glob.glob(os.path.join(glob.escape(tempfile.gettempdir()), f"{_NAMED.format(kind)}*")):
        lock = _lock(left)
        if lock is not None:
            shutil.rmtree(left, ignore_errors=True)
            os.close(lock)
    for _ in range(_TRIES):
        made = os.path.realpath(tempfile.mkdtemp(prefix=_NAMED.format(kind)))
        lock = _lock(made)
        if lock is not None:
            break
    if not _MINE:
        atexit.register(_remove_all)
        _before_the_end()
    _MINE[Path(made)] = (os.getpid(), lock)
    return Path(made)


def remove(made: Path) -> None:
    """Remove a folder of this process; a child that was forked leaves it to its parent."""
    process, lock = _MINE.pop(made)
    if process == os.getpid():
        shutil.rmtree(made, ignore_errors=True)
    if lock is not None:
        os.close(lock)


def _remove_all() -> None:
    for made in list(_MINE):
        remove(made)


def _lock(path: str) -> int | None:
    """Lock a folder of this user; the descriptor, `None` where it is another's, in use or gone."""
    try:
        found = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        here = os.fstat(found)
        if here.st_uid == os.geteuid():
            fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.stat(path, follow_symlinks=False).st_ino == here.st_ino:
                return found
    except OSError:
        pass
    os.close(found)
    return None


def _before_the_end() -> None:
    """Remove the folders before a signal ends this process, where nobody else handles it."""

    def end(number: int, frame: FrameType | None) -> None:
        del frame
        _remove_all()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    if threading.current_thread() is threading.main_thread():
        for number in _ENDS:
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, end)
