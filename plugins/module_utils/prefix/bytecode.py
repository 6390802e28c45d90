"""Byte code of the generation in use for a new one: most files are the same, and compiling all of them again takes longer than all else.

What is taken says in its head the time and size of the source that it is of, so whoever compiles next leaves alone what fits, and compiles what does not.
"""

from __future__ import annotations

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor

from ..host import store
from . import links

FOLDER, KEPT = "__pycache__", "wavesmith/bytecode.json"


def keep(prefix: str) -> None:
    """Keep what each file of byte code is like when a generation is sealed; it is no part of what makes a generation whole."""
    found = {}
    for place, _, names in os.walk(prefix):
        if os.path.basename(place) == FOLDER:
            for path in (os.path.join(place, name) for name in names):
                relative = os.path.relpath(path, prefix)
                found[relative] = store.mark(prefix, relative, os.lstat(path))
    store.write_text(os.path.join(prefix, KEPT), json.dumps(found, separators=(",", ":")))


def reuse(before: str, after: str, python: str) -> int:
    """Copy byte code that nobody changed since it was sealed, for sources that both generations have with the same time and size.

    Args:
        before: The prefix of the generation in use.
        after: The prefix that is made.
        python: Version of the Python of the new one, such as ``3.12.3``.

    Returns:
        How many files.
    """
    tag = ".cpython-{}{}.pyc".format(*python.split(".")[:2])
    sealed = store.read_json(os.path.join(before, KEPT))
    if not isinstance(sealed, dict):
        return 0
    found = [name for name, mark in sealed.items() if name.endswith(tag) and _fits(before, after, name, tag, mark)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda name: _copy(os.path.join(before, name), os.path.join(after, name)), found, chunksize=64))
    return len(found)


def _fits(before: str, after: str, name: str, tag: str, mark: object) -> bool:
    folder, file = os.path.split(name)
    source = os.path.join(os.path.dirname(folder), f"{file[: -len(tag)]}.py")
    try:
        old, new = os.stat(os.path.join(before, source)), os.stat(os.path.join(after, source))
        kept = store.mark(before, name, os.lstat(os.path.join(before, name)))
    except OSError:
        return False
    same = (old.st_mtime_ns, old.st_size) == (new.st_mtime_ns, new.st_size)
    return same and kept == mark and os.path.basename(folder) == FOLDER


def _copy(source: str, target: str) -> None:
    if os.path.lexists(target):
        return
    os.makedirs(os.path.dirname(target), exist_ok=True)
    temporary = f"{target}.part"
    if not links.clone(source, temporary):
        shutil.copyfile(source, temporary)
    os.replace(temporary, target)
