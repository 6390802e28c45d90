"""Which libraries an ELF object needs, and where the dynamic linker of this machine finds them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from .elf import NotElf, read_object
from .fatbin import Code
from .libraries import Dynamic, Missing, opened_from_python

DEFAULT_FOLDERS = ("/lib64", "/usr/lib64", "/lib", "/usr/lib")


def shared_objects(folders: Iterable[Path]) -> Iterator[tuple[Path, Path, Code, Dynamic]]:
    """Every ELF shared object as (folder, path, device code, dynamic section)."""
    for folder in folders:
        for where, _, names in os.walk(folder):
            for name in names:
                path = Path(where, name)
                if (name.endswith(".so") or ".so." in name) and path.is_file():
                    try:
                        yield (folder, path, *read_object(path))
                    except (NotElf, OSError, ValueError):
                        continue  # a linker script, or a file named like a library


def resolve(path: Path, dynamic: Dynamic, system: set[str]) -> list[str]:
    """The needed libraries of one object that neither its own search path nor the system provides."""
    origin = os.path.dirname(os.path.realpath(path))
    own = [
        folder.replace("${ORIGIN}", origin).replace("$ORIGIN", origin) for folder in dynamic.runpath or dynamic.rpath
    ]
    folders = [*own, *_default()]
    return [
        name
        for name in dynamic.needed
        if name not in system and not any(os.path.exists(os.path.join(folder, name)) for folder in folders)
    ]


def system_libraries() -> set[str]:
    """The names in the dynamic linker's cache; empty where there is none."""
    ldconfig = shutil.which("ldconfig", path="/sbin:/usr/sbin:/bin:/usr/bin")
    if ldconfig is None:
        return set()
    try:
        ran = subprocess.run(
            [ldconfig, "-p"], capture_output=True, text=True, env={"LANG": "C"}, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return set()
    return {line.split()[0] for line in ran.stdout.splitlines() if "=>" in line}


def from_python(distributions: Iterable[str], brought: Collection[str]) -> list[Missing]:
    """What distributions open from their Python code and will not find on this machine."""
    return [
        Missing(name, (library,), f"{name} opens {library} by name, and nothing provides it")
        for name, library in opened_from_python(distributions)
        if library not in brought and not any(os.path.exists(os.path.join(folder, library)) for folder in _default())
    ]


def _default() -> list[str]:
    triplet = f"{os.uname().machine}-linux-gnu"
    return [*DEFAULT_FOLDERS, f"/lib/{triplet}", f"/usr/lib/{triplet}"]
