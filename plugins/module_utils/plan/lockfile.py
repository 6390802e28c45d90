"""The file of a lock: its name, its first line, and whether it is still what was resolved.

A lock is named after what was asked for, so hosts that ask for different things never write over each other's. One that is
damaged is refused and never resolved again by itself: only a changed request may change what a fleet gets.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

from ..records.inspection import InspectedFile
from ..terms.names import normal
from ..terms.refusal import Refusal, suggest

LOCK_MARK = "# wavesmith-lock inputs: "
SUFFIX = ".inspected"
"""What follows a lock's name where its inspection is kept."""
_SHORT = 8
_HEAD = re.compile(re.escape(LOCK_MARK) + r"([0-9a-f]{64})(?: lines: ([0-9a-f]{64}))?")
_CONFLICT = re.compile(r"(<{7}|>{7}|\|{7})( |$)|={7}$")
_PIN = re.compile(r"([A-Za-z0-9][\w.-]*)(\[[\w,.-]+\])?==([^\s;\\]+)( *;[^\\]*)?( \\)?")
_HASH = re.compile(r" +--hash=sha(256:[0-9a-f]{64}|384:[0-9a-f]{96}|512:[0-9a-f]{128})( \\)?")
_REPOSITORY = re.compile(
    r"^(?:(?P<name>[A-Za-z0-9][\w.-]*)(?P<extras>\[[^\]]*\])? *@ *)?git\+(?P<url>\S+)@(?P<commit>[0-9a-f]{40})"
    r"(?:#subdirectory=(?P<folder>\S+))?(?: ;.*)?$",
    re.MULTILINE,
)
_NAME = re.compile(r"^([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])? *(?:==|@)", re.MULTILINE)
_VERSION = re.compile(r"^([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?==([^\s;]+)", re.MULTILINE)
_CHANNEL = {"channel", "fn", "name", "sha256", "subdir", "version"}
ANEW = "restore the file (git checkout), or delete it to have it resolved again"


@dataclass(frozen=True)
class Found:
    """The lock at hand for what is asked.

    Attributes:
        key: Its name; where there is none, the name it will get.
        text: Its text; empty where it does not answer what is asked.
        status: ``hit``, ``stale`` (what was asked then is not what is asked now), ``missing`` or ``damaged``.
        damage: Why it is refused.
    """

    key: str
    text: str
    status: str
    damage: tuple[Refusal, ...] = ()


@dataclass(frozen=True)
class Repository:
    """A line that takes a package from a commit of a repository.

    Attributes:
        name: The distribution; empty where the line does not say it.
        extras: As ``[train]``; empty for none.
        url: Address of the repository.
        commit: The full commit.
        folder: The folder in it; empty: its root.
    """

    name: str
    extras: str
    url: str
    commit: str
    folder: str


def repositories(text: str) -> list[Repository]:
    """The lines of a lock or of requirements that take a package from a repository."""
    if "git+" not in text:
        return []
    return [
        Repository(
            normal(match["name"] or ""), match["extras"] or "", match["url"], match["commit"], match["folder"] or ""
        )
        for match in _REPOSITORY.finditer(text)
    ]


def pinned(text: str) -> str:
    """A lock without them: what the hashes of an index's files pin."""
    return _REPOSITORY.sub("", text)


def find(stem: str, inputs: str, locks: Mapping[str, str]) -> Found:
    """The lock that answers `inputs`: the file with their digest in its name, or one of before, when names were without.

    Args:
        stem: The name without the digest: what the lock is for.
        inputs: Digest of what is asked.
        locks: Text of the locks at hand, by name.
    """
    named = f"{stem}-{inputs[:_SHORT]}"
    key = named if named in locks else stem
    if key not in locks:
        other = re.compile(re.escape(stem) + rf"-[0-9a-f]{{{_SHORT}}}")
        return Found(named, "", "stale" if any(map(other.fullmatch, locks)) else "missing")
    text = locks[key]
    head = _HEAD.fullmatch(text.partition("\n")[0])
    if head and head.group(1) != inputs and key == stem:
        return Found(named, "", "stale")
    if head and head.group(1) != inputs:
        wrong: tuple[int, str] | None = (1, "is not that of this lock: it was resolved from something else")
    else:
        wrong = flaw(text, _inspected(locks.get(key + SUFFIX, "")))
    if wrong is None:
        return Found(key, text, "hit")
    number, problem = wrong
    return Found(key, "", "damaged", (Refusal(f"lock {key}.txt", f"line {number} {problem}", ANEW),))


def upgrading(locks: Mapping[str, str], names: Sequence[str]) -> tuple[dict[str, str], list[Refusal]]:
    """The locks that stay as they are while these packages are upgraded (``*``: all), and a refusal for a package that none has."""
    if "*" in names:
        return {}, []
    wanted = {normal(name) for name in names}
    held = {
        key: {normal(found) for found in _NAME.findall(text)} for key, text in locks.items() if not key.endswith(SUFFIX)
    }
    known = set().union(*held.values())
    refusals = [
        Refusal("variable wavesmith_upgrade", f"no lock holds a package {name!r}", suggest(name, known))
        for name in sorted(wanted - known)
    ]
    return {
        key: text for key, text in locks.items() if not wanted & held.get(key.removesuffix(SUFFIX), set())
    }, refusals


def before(locks: Mapping[str, str], key: str) -> str:
    """The text of the lock that one of this name replaces; empty where there was none."""
    return locks.get(key) or locks.get(key.rpartition("-")[0], "")


def moved(old: str, new: str) -> list[str]:
    """What differs between two locks, such as ``numpy 2.4.0 -> 2.4.1``."""
    versions = [{normal(name): version for name, version in _VERSION.findall(text)} for text in (old, new)]
    return [
        f"{name} {versions[0].get(name, '(new)')} -> {versions[1].get(name, '(gone)')}"
        for name in sorted({*versions[0], *versions[1]})
        if versions[0].get(name) != versions[1].get(name)
    ]


def head(inputs: str, body: str) -> str:
    """The first line of a lock: what it was resolved from, and the digest of the lines that follow."""
    return f"{LOCK_MARK}{inputs} lines: {_sha256(body)}\n"


def body_digest(lock: str) -> str:
    """sha256 of a lock's text without its first line."""
    return _sha256(lock.partition("\n")[2] if lock.startswith(LOCK_MARK) else lock)


def flaw(text: str, inspected: Sequence[InspectedFile] = ()) -> tuple[int, str] | None:
    """The first line of a lock that cannot be what was resolved, and what is wrong with it; `None` for a whole lock.

    Args:
        text: Its text; bytes that are no UTF-8 came as U+FFFD.
        inspected: What was read of its files when it was resolved: it says which line was edited.
    """
    head_line, _, body = text.partition("\n")
    foreign = _foreign((head_line,), 1) or _foreign_of(body)
    if foreign:
        return foreign
    first = _HEAD.fullmatch(head_line)
    if first is None:
        return 1, f"does not say what it was resolved from ({LOCK_MARK.strip()} and a sha256)"
    wrong = _unpinned(body)
    if wrong:
        return wrong
    edited = _edited(text, inspected)
    if first.group(2) and first.group(2) != body_digest(text):
        return edited or (1, "no longer fits the lines below it: some were edited, added or removed")
    return edited


def _foreign(lines: Iterable[str], start: int) -> tuple[int, str] | None:
    for number, line in enumerate(lines, start):
        if _CONFLICT.match(line):
            return number, f"holds a conflict marker of git ({line[:7]})"
        if "\ufffd" in line or "\0" in line:
            return number, "holds bytes that are no text"
    return None


# Hundreds of hosts share the lines of a lock: each is read once.


@lru_cache(maxsize=256)
def _foreign_of(body: str) -> tuple[int, str] | None:
    return _foreign(body.splitlines(), 2)


@lru_cache(maxsize=256)
def _unpinned(body: str) -> tuple[int, str] | None:
    """The first line below the head that is no pinned package."""
    lines = body.splitlines()
    hashed = any("--hash=" in line for line in lines)
    open_pin, bare = "", 0
    for number, line in enumerate(lines, 2):
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith("{"):
            if not _is_package(line):
                return number, "is no package with a sha256"
            continue
        pin = _PIN.fullmatch(line.rstrip())
        if bare and hashed:
            if pin or not _HASH.fullmatch(line.rstrip()):
                return bare, f"has no sha256 for {open_pin}"
            bare = 0
        if _REPOSITORY.fullmatch(line):
            open_pin = ""
        elif pin:
            open_pin, bare = pin.group(1), number
        elif not open_pin or not _HASH.fullmatch(line.rstrip()):
            return number, f"is neither a pinned version nor a sha256: {line.strip()[:60]}"
    return (bare, f"has no sha256 for {open_pin}") if bare and hashed else None


def _edited(text: str, inspected: Sequence[InspectedFile]) -> tuple[int, str] | None:
    """The line whose version is not the one that was resolved and inspected."""
    known = {normal(file["name"]): file["version"] for file in inspected}
    for number, line in enumerate(text.splitlines() if known else (), 1):
        for repository in repositories(line):
            commit = known.get(repository.name, "")
            if not repository.commit.startswith(commit):
                return (
                    number,
                    f"was edited: {repository.name} {repository.commit[:12]} is not the {commit} that was resolved",
                )
        pin = _PIN.fullmatch(line.rstrip())
        if pin and known.get(normal(pin.group(1)), pin.group(3)) != pin.group(3):
            name, version = pin.group(1), pin.group(3)
            return number, f"was edited: {name} {version} is not the {known[normal(name)]} that was resolved"
    return None


def _inspected(text: str) -> list[InspectedFile]:
    try:
        found = json.loads(text)["files"]
        return [file for file in cast("list[InspectedFile]", found) if "name" in file and "version" in file]
    except (KeyError, TypeError, ValueError):
        return []


def _is_package(line: str) -> bool:
    try:
        record = json.loads(line)
    except ValueError:
        return False
    known = isinstance(record, dict) and set(record) >= _CHANNEL
    return known and re.fullmatch("[0-9a-f]{64}", str(record["sha256"])) is not None


@lru_cache(maxsize=256)
def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
