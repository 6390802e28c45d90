"""Which modules an installed distribution has, as its own metadata says: for packages that the catalog does not describe."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from .prefixes import site_packages

_SIDE = {"benchmark", "benchmarks", "doc", "docs", "example", "examples", "sample", "samples", "script", "scripts"}
_SIDE |= {"test", "tests", "testing", "tools"}
"""Folders that wheels carry along by mistake, and that import only where they were written."""
_EXTENSION = re.compile(r"\.(?:cpython-[\w-]+|abi3)?\.?so$|\.so$")


def modules_of(prefix: Path, imports: Mapping[str, str]) -> tuple[dict[str, str], list[str], list[str]]:
    """The modules to import by a label, the packages that have none, and those that are not there.

    Args:
        prefix: The environment.
        imports: Module by package; empty where the installed package says it.
    """
    found: dict[str, str] = {}
    bare, gone = [], []
    for package, module in imports.items():
        if module:
            found[package] = module
            continue
        names = _modules(prefix, package)
        if names is None:
            gone.append(package)
        elif not names:
            bare.append(package)
        else:
            found.update({package if len(names) == 1 else f"{package} ({name})": name for name in names})
    return found, bare, gone


def _modules(prefix: Path, package: str) -> list[str] | None:
    """The modules of an installed distribution; `None` where it is not installed."""
    for site in site_packages(prefix):
        for folder in sorted(site.glob("*.dist-info")):
            if _normal(folder.stem.rpartition("-")[0]) == _normal(package):
                return _listed(folder, package)
    return None


def _listed(folder: Path, package: str) -> list[str]:
    top = _read(folder / "top_level.txt").split()
    record = [row[0] for row in csv.reader(_read(folder / "RECORD").splitlines()) if row]
    names = [name for name in top if _importable(name, record)] if record else top
    return main_modules(names or top_modules(record), package)


def _importable(name: str, record: list[str]) -> bool:
    return any(path.startswith((f"{name}/", f"{name}.")) for path in record)


def top_modules(record: list[str]) -> list[str]:
    """The modules at the top of what a RECORD lists; below a namespace the first packages that have an ``__init__``."""
    files = [PurePosixPath(path) for path in record if not path.startswith(("..", "/"))]
    packages = {path.parent for path in files if path.name == "__init__.py"}
    tops = {place for place in packages if not {*place.parents} & packages}
    modules = [".".join(place.parts) for place in tops]
    for path in files:
        if len(path.parts) == 1 and (path.suffix == ".py" or _EXTENSION.search(path.name)):
            modules.append(path.name.partition(".")[0])
    return sorted({name for name in modules if all(part.isidentifier() for part in name.split("."))})


def main_modules(names: list[str], package: str) -> list[str]:
    """Of a distribution's modules those that stand for it: the one that is called like it, else all that are not private or beside it."""
    like = [name for name in names if _normal(name) == _normal(package)]
    own = [name for name in names if not name.startswith("_") and name.partition(".")[0] not in _SIDE]
    return like or own or [name for name in names if name not in _SIDE]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
