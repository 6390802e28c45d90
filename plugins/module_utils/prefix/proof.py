"""What the packages of a prefix declare in their RECORDs, and whether their files are that."""

from __future__ import annotations

import base64
import contextlib
import csv
import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from ..host import store
from ..terms.names import package_of

_PROGRAMS = "../../../bin/"
"""How the path of a program begins in a RECORD; the installer writes it, no wheel has it."""


def installed(site: str) -> dict[str, str]:
    """The version of each package in a folder of packages."""
    found = {}
    for name in os.listdir(site):
        if name.endswith(".dist-info"):
            found[package_of(name)] = name[: -len(".dist-info")].rpartition("-")[2]
    return found


def declared(site: str) -> Iterator[tuple[str, str, str]]:
    """Every file that a RECORD gives a sha256: its package, its path from the folder of packages, and the sha256 as it stands there."""
    for folder in sorted(os.listdir(site)):
        record = os.path.join(site, folder, "RECORD")
        if not folder.endswith(".dist-info") or not os.path.exists(record):
            continue
        package = package_of(folder)
        with open(record, encoding="utf-8", newline="") as file:
            for row in csv.reader(file):
                if len(row) >= 2 and row[1].startswith("sha256="):
                    yield package, row[0], row[1][len("sha256=") :]


def same_files(before: str, after: str, site: str) -> dict[str, str]:
    """Files of a generation, as they were sealed, that another prefix declares with the same sha256: by their path in the prefix.

    Args:
        site: The folder of packages, from the prefix.
    """
    sealed = store.read_json(os.path.join(before, store.FILES))
    if not isinstance(sealed, dict):
        return {}
    old, found = {path: sha for _, path, sha in declared(os.path.join(before, site))}, {}
    for _, path, sha in declared(os.path.join(after, site)):
        relative = os.path.normpath(os.path.join(site, path))
        if old.get(path) == sha and relative in sealed:
            there = os.path.join(before, relative)
            with contextlib.suppress(OSError):
                if store.mark(before, relative, os.lstat(there)) == sealed[relative]:
                    found[relative] = there
    return found


def record(site: str, package: str) -> str:
    """sha256 of a package's RECORD, empty where it has none: a different one means that it was reinstalled."""
    for name in os.listdir(site):
        path = os.path.join(site, name, "RECORD")
        if package_of(name) == package and os.path.exists(path):
            with open(path, "rb") as file:
                return hashlib.sha256(file.read()).hexdigest()
    return ""


def wrong_bytes(site: str) -> dict[str, str]:
    """Packages with a file whose bytes are not those its RECORD declares, each with its first such file.

    Two packages may have a program of one name, as langid and py3langid have: it is then the one of either.
    """
    work = list(declared(site))
    programs: dict[str, set[str]] = {}
    for _, path, wanted in work:
        if path.startswith(_PROGRAMS):
            programs.setdefault(path, set()).add(wanted)

    def differs(item: tuple[str, str, str]) -> bool:
        digest = hashlib.sha256()
        try:
            with open(os.path.join(site, item[1]), "rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
        except OSError:
            return True
        found = base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode()
        return found not in programs.get(item[1], {item[2]})

    def first(items: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
        return [item for item in items if differs(item)]

    # Few large pieces: a future for each of ten thousand files costs more than reading it.
    pieces = [work[place : place + 256] for place in range(0, len(work), 256)]
    wrong: dict[str, str] = {}
    with ThreadPoolExecutor() as pool:
        for items in pool.map(first, pieces):
            for package, path, _ in items:
                wrong.setdefault(package, path)
    return wrong
