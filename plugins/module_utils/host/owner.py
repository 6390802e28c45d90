"""Who owns a host's folder: only the user who runs this, and root, may be able to change what is run from it."""

from __future__ import annotations

import os
import pwd
import stat

from ..observe.texts import ROOT_OWNER, finding
from ..records.host import Finding

FOLDERS = ("", "toolbox", "bin", "envs", "wheels", "cache", "state")


def settle() -> None:
    """What this process and its children make can be read by all and changed by the owner, whatever the user's umask."""
    os.umask(0o022)


def trouble(root: str) -> tuple[str, str]:
    """Why nothing may be run from a root, and the remedy; empty where nothing speaks against it."""
    for name in FOLDERS:
        path = os.path.join(root, name).rstrip("/")
        try:
            status = os.lstat(path)
        except OSError:
            continue
        if name and stat.S_ISLNK(status.st_mode) and status.st_uid in (0, os.geteuid()):
            continue  # the owner's own way to another disk
        if status.st_uid not in (0, os.geteuid()):
            them, me = _user(status.st_uid), _user(os.geteuid())
            return (
                f"{path} belongs to {them}, who could change what {me} runs from it",
                f"connect as {them}, set another wavesmith_root, or give it to {me}: chown -R {me} {root}",
            )
        if status.st_mode & stat.S_IWOTH and not stat.S_ISLNK(status.st_mode):
            return (
                f"every user may write to {path}, so any user could change what runs from it",
                f"chmod o-w {path}, and check what is in it",
            )
    return "", ""


def findings(root: str) -> list[Finding]:
    """The same as a finding."""
    detail, remedy = trouble(root)
    return [finding(ROOT_OWNER, detail, remedy)] if detail else []


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
