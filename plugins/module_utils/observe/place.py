"""Whether Wavesmith's folder can be made and used on a host: what is there, whose it is, and how its file system is mounted."""

from __future__ import annotations

import os
import pwd
import re
import stat

from ..records.host import Finding
from . import texts
from .host import Host, User

WRONG = "root."
"""How the findings on the folder begin: with one, nothing is begun on the host."""


def find_obstacles(host: Host, root: str, user: User, privilege: str) -> list[Finding]:
    """What keeps a run from using `root` as its folder; the first reason only."""
    path = os.path.abspath(root)
    while path != "/" and not os.path.lexists(host.at(path)):
        path = os.path.dirname(path)
    try:
        status = os.stat(host.at(path))
    except OSError:
        return [
            _finding(
                "link", f"{path} is a link that leads nowhere", "remove it, or set wavesmith_root to another folder"
            )
        ]
    if not stat.S_ISDIR(status.st_mode):
        return [_finding("file", f"{path} is a file", "move it away, or set wavesmith_root to another folder")]
    point, kind, options = mounted(
        host.read("/proc/self/mounts"), os.path.realpath(host.at(path)) if host.live else path
    )
    if kind in _KERNELS:
        return [
            _finding("kernel", f"{point} is the kernel's own file system ({kind}), which keeps no files", _ELSEWHERE)
        ]
    if "ro" in options:
        return [
            _finding(
                "readonly",
                f"its file system {point} is mounted read-only",
                f"mount -o remount,rw {point}, or {_ELSEWHERE}",
            )
        ]
    if "noexec" in options:
        problem = f"its file system {point} is mounted noexec, so no program starts there"
        return [_finding("noexec", problem, f"mount -o remount,exec {point}, or {_ELSEWHERE}")]
    return _denied(path, root, user, privilege) if host.live else []


_ELSEWHERE = "set wavesmith_root to a folder elsewhere"
_KERNELS = frozenset(
    [
        "binfmt_misc",
        "bpf",
        "cgroup",
        "cgroup2",
        "configfs",
        "debugfs",
        "devpts",
        "devtmpfs",
        "efivarfs",
        "hugetlbfs",
        "mqueue",
        "proc",
        "pstore",
        "securityfs",
        "sysfs",
        "tracefs",
    ]
)
"""Kinds of file systems that the kernel makes up (those of /proc/filesystems with nodev that keep no files for long)."""


def _denied(path: str, root: str, user: User, privilege: str) -> list[Finding]:
    """Whether the user may write there; whose the folders in it are is looked at where they are kept."""
    if privilege != "none" or os.access(path, os.W_OK | os.X_OK):
        return []
    what = "write to it" if path == os.path.abspath(root) else f"make it in {path}"
    problem = f"user {user.name} may not {what} (owner {_name(os.stat(path).st_uid)})"
    return [_finding("denied", problem, f"let an administrator run: install -d -o {user.name} {root}, or {_ELSEWHERE}")]


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _finding(kind: str, problem: str, remedy: str) -> Finding:
    return texts.finding(f"{WRONG}{kind}", problem, remedy)


def mounted(mounts: str, path: str) -> tuple[str, str, list[str]]:
    """The mount point that a path is on, the kind of its file system, and its options, from the text of ``/proc/self/mounts``."""
    found: tuple[str, str, list[str]] = ("/", "", [])
    for line in mounts.splitlines():
        words = line.split(" ")
        if len(words) < 4:
            continue
        place = re.sub(r"\\([0-7]{3})", lambda escaped: chr(int(escaped.group(1), 8)), words[1])
        # A later line lies over an earlier one of the same place.
        if (path == place or path.startswith(place.rstrip("/") + "/")) and len(place) >= len(found[0]):
            found = place, words[2], words[3].split(",")
    return found
