"""Byte code of the generation in use for a new one: most files are the same, and compiling all of them again takes longer than all else.

Byte code says in its head the time and size of the source that it is of. What is taken gets those of the new source, whose bytes were proven to be the same.
"""

from __future__ import annotations

import contextlib
import json
import os
import struct
from collections.abc import Collection, Sequence

from ..host import store
from . import proof

FOLDER, KEPT = "__pycache__", "wavesmith/bytecode.json"
_HEAD = struct.Struct("<4sIII")
"""Magic number, kind, time and size of the source; kind 0 has these two (PEP 552)."""


def keep(prefix: str) -> None:
    """Keep what each file of byte code is like when a generation is sealed; it is no part of what makes a generation whole."""
    found = {}
    for place, _, names in os.walk(prefix):
        if os.path.basename(place) == FOLDER:
            for path in (os.path.join(place, name) for name in names):
                relative = os.path.relpath(path, prefix)
                found[relative] = store.mark(prefix, relative, os.lstat(path))
    store.write_text(os.path.join(prefix, KEPT), json.dumps(found, separators=(",", ":")), durable=False)


def reuse(before: str, after: str, site: str, tag: str) -> set[str]:
    """Copy byte code that nobody changed since it was sealed, for sources that are the same in both generations.

    Args:
        before: The prefix of the generation in use.
        after: The prefix that is made; its bytes were proven.
        site: The folder of packages, from the prefix.
        tag: How names of byte code end, as ``.cpython-312.pyc``.

    Returns:
        The files that were made.
    """
    sealed = store.read_json(os.path.join(before, KEPT))
    if not isinstance(sealed, dict):
        return set()
    old, new = (
        {path: sha for _, path, sha in proof.declared(os.path.join(prefix, site))} for prefix in (before, after)
    )
    taken, made = set[str](), ""
    for name, mark in sealed.items():
        place, file = os.path.split(name)
        source = os.path.join(os.path.dirname(place), f"{file[: -len(tag)]}.py")
        path = source[len(site) + 1 :] if source.startswith(f"{site}/") else ""
        if not file.endswith(tag) or os.path.basename(place) != FOLDER:
            continue
        # A package's by its declared sha256, that of models at a commit by what a copy keeps.
        if old.get(path) != new[path] if path in new else not _same_times(before, after, source):
            continue
        target = os.path.join(after, name)
        if place != made:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            made = place
        if _take(before, name, mark, os.path.join(after, source), target):
            taken.add(target)
    return taken


def share(older: str, after: str, tag: str) -> set[str]:
    """Link byte code of an older generation whose sources are the very files of the new one; returns the files that were made."""
    sealed, taken = store.read_json(os.path.join(older, KEPT)), set[str]()
    for name, mark in sealed.items() if isinstance(sealed, dict) else ():
        place, file = os.path.split(name)
        source = os.path.join(os.path.dirname(place), f"{file[: -len(tag)]}.py")
        if not file.endswith(tag) or os.path.basename(place) != FOLDER:
            continue
        there, target = os.path.join(older, name), os.path.join(after, name)
        with contextlib.suppress(OSError):
            same = os.path.samefile(os.path.join(older, source), os.path.join(after, source))
            if same and store.mark(older, name, os.lstat(there)) == mark:
                os.makedirs(os.path.dirname(target), exist_ok=True)
                os.link(there, target)
                taken.add(target)
    return taken


def _same_times(before: str, after: str, source: str) -> bool:
    try:
        old, new = os.stat(os.path.join(before, source)), os.stat(os.path.join(after, source))
    except OSError:
        return False
    return (old.st_mtime_ns, old.st_size) == (new.st_mtime_ns, new.st_size)


def _take(before: str, name: str, mark: object, source: str, target: str) -> bool:
    """Copy one file of byte code, with the time and size of the new source in its head."""
    path = os.path.join(before, name)
    try:
        if store.mark(before, name, os.lstat(path)) != mark:
            return False
        with open(path, "rb") as file:
            code = file.read()
        status = os.stat(source)
        magic, kind, _, _ = _HEAD.unpack_from(code)
        if kind == 0:
            head = _HEAD.pack(magic, kind, int(status.st_mtime) & 0xFFFFFFFF, status.st_size & 0xFFFFFFFF)
            code = head + code[_HEAD.size :]
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except (OSError, struct.error):
        return False
    with open(descriptor, "wb") as file:
        file.write(code)
    return True


def uncompiled(folders: Sequence[str], tag: str, taken: Collection[str]) -> list[str]:
    """The sources below some folders that have no byte code, or one that does not fit; what was `taken` fits."""
    found = []
    for top in folders:
        for place, inside, names in os.walk(top):
            sources = [name for name in names if name.endswith(".py")]
            if not sources:
                continue
            beside = os.path.join(place, FOLDER)
            there = set(os.listdir(beside)) if FOLDER in inside else set()
            for name in sources:
                made = f"{name[:-3]}{tag}"
                code, source = os.path.join(beside, made), os.path.join(place, name)
                if made not in there or (code not in taken and not _fits(code, source)):
                    found.append(source)
    return found


def _fits(code: str, source: str) -> bool:
    """Whether byte code that came with a package is of its source."""
    with open(code, "rb") as file:
        head, status = file.read(_HEAD.size), os.stat(source)
    return head[4:] == _HEAD.pack(b"", 0, int(status.st_mtime) & 0xFFFFFFFF, status.st_size & 0xFFFFFFFF)[4:]
