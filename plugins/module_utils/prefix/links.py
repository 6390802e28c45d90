"""Whether the files of a generation are its own: what one edit in place can reach.

The tools make hard links from their cache, so a file is the same one in the cache and in every generation that holds it. Where the
file system has reflinks each generation gets its own files for nothing. Elsewhere there are two sets of files: the cache's, and copies of them. Generations
have them in turn, so that the one in use and the one before it never share a file, and a copy is made once; files that are shared are read-only.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

AUTO, COPY, HARDLINK = "auto", "copy", "hardlink"
_FICLONE = 0x40049409
_SUFFIX = ".wavesmith-own"


def separate(prefix: str, wanted: str, beside_shares: bool | None, spare: Mapping[str, str]) -> bool:
    """Take the files of a prefix out of the cache, or share them with it read-only; returns whether it shares them.

    Args:
        prefix: What the tools filled with hard links.
        wanted: ``auto``, ``copy`` or ``hardlink``.
        beside_shares: Whether the generation that stays beside this one shares the cache's files; `None` where there is none.
        spare: Files of an older generation with the same content, by their path in the prefix: shared instead of a copy.
    """
    files = list(_linked(prefix))
    if not files:
        return False
    # Reflinks cost neither time nor room; copies are made only where they have to be.
    make = clone if wanted != HARDLINK and _reflinks(files[0]) else None
    if make or wanted == COPY or (wanted == AUTO and beside_shares):
        with ThreadPoolExecutor(4) as pool:
            pieces = [files[place : place + 256] for place in range(0, len(files), 256)]
            list(pool.map(partial(_all_own, make or shutil.copyfile, {} if make else spare, len(prefix) + 1), pieces))
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


def _all_own(make: Callable[[str, str], object], spare: Mapping[str, str], start: int, paths: Sequence[str]) -> None:
    for path in paths:
        other = spare.get(path[start:])
        _share(other, path) if other else _own(make, path)


def _share(other: str, path: str) -> None:
    """Put a link to a file of another generation in the place of one to the cache."""
    temporary = path + _SUFFIX
    os.link(other, temporary)
    os.chmod(temporary, stat.S_IMODE(os.lstat(temporary).st_mode) & ~0o222)
    os.replace(temporary, path)


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
