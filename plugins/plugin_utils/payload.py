"""Modules packed for a host, kept between runs: Ansible packs each of ours anew in every run, a fifth of what a run without work costs.

Ansible keeps what it packed for one run in a folder of that run (`module_common._find_module_utils`, ansible-core 2.19 to 2.21). It is copied
from there, and back before the module is asked for again. Where Ansible does it another way, nothing is found, and it packs as ever.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from ansible import constants
from ansible.release import __version__

PLUGINS = Path(__file__).resolve().parents[1]
PREFIX = "ansible_collections.wavesmith.provision.plugins.modules."
PLAIN = "-none"
"""How the name ends of what was packed without Ansible's extensions for debuggers and coverage."""
KEPT = 4
"""States of the sources that are kept; each takes some 2 MiB."""


@contextlib.contextmanager
def kept(module: str) -> Iterator[None]:
    """While a module is packed: bring what an earlier run packed of these very sources, and keep what is packed now.

    Args:
        module: Its short name.
    """
    ours, theirs = _folder(), Path(constants.DEFAULT_LOCAL_TMP, "ansiballz_cache")
    with contextlib.suppress(OSError):
        _bring(ours, theirs, module)
    yield
    with contextlib.suppress(OSError):
        _keep(theirs, ours, module)


@lru_cache(maxsize=1)
def _folder() -> Path:
    """The folder for the sources as they are; another Ansible, another Python or a changed file is another folder."""
    files = sorted([*PLUGINS.glob("modules/*.py"), *PLUGINS.glob("module_utils/**/*.py")])
    stats = [(str(path), found.st_mtime_ns, found.st_size) for path in files for found in [path.stat()]]
    name = hashlib.sha256(repr((__version__, sys.version, stats)).encode()).hexdigest()[:16]
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "wavesmith" / "modules" / name


def _bring(ours: Path, theirs: Path, module: str) -> None:
    if not _only_ours(ours):
        return
    for path in ours.glob(f"{PREFIX}{module}-*"):
        name, _, digest = path.name.rpartition(".")
        target = theirs / name
        if target.exists():
            continue
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != digest:  # damaged: packed again
            path.unlink()
            continue
        theirs.mkdir(exist_ok=True)
        _write(target, data)


def _keep(theirs: Path, ours: Path, module: str) -> None:
    for path in theirs.glob(f"{PREFIX}{module}-*{PLAIN}"):
        if any(ours.glob(f"{path.name}.*")):
            continue
        new = not ours.is_dir()
        ours.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _only_ours(ours):
            return
        data = path.read_bytes()
        _write(ours / f"{path.name}.{hashlib.sha256(data).hexdigest()}", data)
        if new:
            states = sorted(ours.parent.iterdir(), key=lambda state: state.stat().st_mtime, reverse=True)
            for old in states[KEPT:]:
                shutil.rmtree(old, ignore_errors=True)


def _only_ours(folder: Path) -> bool:
    """Whether nobody else can have written there: it will run on hosts, with root's rights."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022


def _write(target: Path, data: bytes) -> None:
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    part.write_bytes(data)
    part.rename(target)
