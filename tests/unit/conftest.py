"""Settings of all unit tests."""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any
from unittest import mock

import pytest
from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder
from ansible_collections.wavesmith.provision.plugins.module_utils.failures.base import Base
from ansible_collections.wavesmith.provision.plugins.plugin_utils import catalog_files
from hypothesis import settings

from wavesmith import inventory

# A busy machine is no failure; and CI tells the same today and tomorrow.
settings.register_profile("house", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("house")


@pytest.fixture(autouse=True)
def surroundings() -> Iterator[None]:
    """What a process keeps for good, variables and Ansible's way to find collections, ends here with the test."""
    with mock.patch.dict(os.environ):
        yield
    if any(isinstance(finder, _AnsibleCollectionFinder) for finder in sys.meta_path):
        _AnsibleCollectionFinder._remove()  # it knows no collection that was imported before it came
        inventory._load_plugins.cache_clear()


@cache
def known() -> Base:
    """The known failures of the catalog."""
    return Base(catalog_files.failures())


def make_manifest(**more: Any) -> dict[str, Any]:
    """A generation's manifest with everything that one must have."""
    return {
        "schema": 1,
        "created": 1.0,
        "environment": "speech",
        "generation": "one",
        "digest": "d",
        "stack": "cpu",
        "backend": "cpu",
        "versions": {},
        "imports": {},
        "accelerated": False,
        "wheels": {},
        **more,
    }


def make_provenance(wheel: str, sha256: str, **more: Any) -> dict[str, Any]:
    """A wheel's provenance with everything that one must have."""
    recipe = {"name": wheel.split("-")[0], "version": "1.0"}
    return {"schema": 1, "wheel": wheel, "sha256": sha256, "variant": "v", "recipe": recipe, **more}


def make_library(
    fatbins: bytes = b"",
    *,
    section: str = ".nv_fatbin",
    needed: Sequence[str] = (),
    opens: Sequence[str] = (),
    soname: str = "",
    machine: int = 62,
) -> bytes:
    """The smallest ELF shared object that holds these fatbins, needs these libraries, and opens those by name."""
    strings = b"\0"
    pairs = []
    for tag, name in [(1, name) for name in needed] + ([(14, soname)] if soname else []):
        pairs.append((tag, len(strings)))
        strings += name.encode() + b"\0"
    if opens:
        strings += b"dlopen\0"
    constants = b"".join(b"cannot open %s\0%s\0" % (name.encode(), name.encode()) for name in opens)
    start = 64 + 56
    strings_at = start + len(fatbins)
    dynamic = b"".join(struct.pack("<qQ", *pair) for pair in [*pairs, (5, strings_at), (0, 0)])
    dynamic_at = strings_at + len(strings)
    constants_at = dynamic_at + len(dynamic)
    names_at = constants_at + len(constants)
    names = b"\0"
    table = [(0, 0, 0, 0)]
    for title, kind, offset, size in [
        (section, 1, start, len(fatbins)),
        (".dynstr", 3, strings_at, len(strings)),
        (".rodata", 1, constants_at, len(constants)),
        (".shstrtab", 3, names_at, 0),
    ]:
        table.append((len(names), kind, offset, size))
        names += title.encode() + b"\0"
    table[-1] = (*table[-1][:3], len(names))
    sections = b"".join(
        struct.pack("<IIQQQQIIQQ", name, kind, 0, 0, offset, size, 0, 0, 1, 0) for name, kind, offset, size in table
    )
    header = b"\x7fELF\x02\x01\x01" + bytes(9)
    header += struct.pack(
        "<HHIQQQIHHHHHH", 3, machine, 1, 0, 64, names_at + len(names), 0, 64, 56, 1, 64, len(table), len(table) - 1
    )
    program = struct.pack("<IIQQQQQQ", 2, 4, dynamic_at, dynamic_at, dynamic_at, len(dynamic), len(dynamic), 8)
    return header + program + fatbins + strings + dynamic + constants + names + sections


def make_fatbin(*targets: tuple[int, str, str]) -> bytes:
    """One fatbin with an entry of 16 zeros for each (SM, suffix, kind), as nvcc 13.0 lays it out."""
    entries = b"".join(
        struct.pack(
            "<HHIQ12xI8xQ16x",
            1 if kind == "ptx" else 2,
            0x101,
            64,
            16,
            sm,
            0x11 | {"": 0, "a": 1 << 20, "f": 1 << 21}[suffix],
        )
        + bytes(16)
        for sm, suffix, kind in targets
    )
    return struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(entries)) + entries


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An environment that was really provisioned, to be broken (`lab.Lab`)."""
    from .lab import opened

    return opened(tmp_path_factory.mktemp("lab"))
