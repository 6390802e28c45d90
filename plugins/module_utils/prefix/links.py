"""Whether the files of a generation are its own: what one edit in place can reach.

The tools make hard links from their cache, so a file is the same one in the cache and in every generation that holds it. Where the
file system has reflinks each generation gets its own files for nothing. Elsewhere every second generation gets copies, so that the one in use
and the one before it never share a file, and files that are shared are read-only.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

AUTO, COPY, HARDLINK = "auto", "copy", "hardlink"
_FICLONE = 0x40049409
_SUFFIX = ".wavesmith-own"


def separate(prefix: str, wanted: str, before_shares: bool | None) -> bool:
    """Make the files of a prefix its own, or share them read-only; returns whether it shares files.

    Args:
        prefix: What the tools filled with hard links.
        wanted: ``auto``, ``copy`` or ``hardlink``.
        before_shares: Whether the generation in use shares files; `None` where there is none.
    """
    files = list(_linked(prefix))
    if not files:
        return False
    # Reflinks cost neither time nor room; copies are made only where they have to be.
    make = clone if wanted != HARDLINK and _reflinks(files[0]) else None
    if make or wanted == COPY or (wanted == AUTO and before_shares):
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(partial(_own, make or shutil.copyfile), files, chunksize=64))
        return False
    for path in files:
        os.chmod(path, stat.S_IMODE(os.lstat(path).st_mode) & ~0o222)
    return True


def _linked(prefix: str) -> Iterator[str]:
    """The files of a prefix that have other names."""
    for folder, _, names in os.walk(prefix):
        for name in names:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            if stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
                yield path


def _reflinks(path: str) -> bool:
    """Whether the file system makes reflinks."""
    temporary = path + _SUFFIX
    try:
        return clone(path, temporary)
    finally:
        if os.path.lexists(temporary):
            os.unlink(temporary)


def _own(make: Callable[[str, str], object], path: str) -> None:
    """Put a file of its own in the place of a hard link. It can be written to, as any file."""
    temporary = path + _SUFFIX
    try:
        make(path, temporary)
        shutil.copystat(path, temporary)
        os.chmod(temporary, stat.S_IMODE(os.lstat(path).st_mode) | stat.S_IWUSR)
        os.replace(temporary, path)
    finally:
        if os.path.lexists(temporary):
            os.unlink(temporary)


def clone(source: str, target: str) -> bool:
    """Make a reflink; `False`, and nothing, where the file system has none."""
    with open(source, "rb") as read, open(target, "wb") as write:
        try:
            fcntl.ioctl(write.fileno(), _FICLONE, read.fileno())
            return True
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS):
                raise
    os.unlink(target)
    return False
