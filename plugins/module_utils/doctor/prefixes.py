"""What a prefix is made of: its interpreters, site-packages and settings."""

from __future__ import annotations

import os
import re
from pathlib import Path

from .attacks import probe
from .base import Context, Failed, calm


def site_packages(prefix: Path) -> list[Path]:
    """The package folders of a prefix, each once."""
    return sorted({path.resolve() for path in prefix.glob("lib*/python3*/site-packages") if path.is_dir()})


def installed_package(prefix: Path) -> str:
    """The name of a package that is installed, for a decoy to shadow."""
    here = site_packages(prefix)
    for name in ("torch", "numpy", "pip", "setuptools"):
        if any((folder / name / "__init__.py").is_file() for folder in here):
            return name
    packages = sorted(path.parent.name for folder in here for path in folder.glob("*/__init__.py"))
    return packages[0] if packages else "json"


def interpreters(prefix: Path) -> list[Path]:
    return sorted(
        path
        for path in (prefix / "bin").glob("python*")
        if re.fullmatch(r"python(3(\.\d+)?)?", path.name) and os.access(path, os.X_OK)
    )


def python_version(context: Context, home: Path) -> str:
    answer, ran = probe(context, calm(home))
    if answer is None:
        raise Failed(f"{context.spec.python} does not start: {ran.tail}")
    return "{}.{}".format(*answer["version"])


def is_conda(prefix: Path) -> bool:
    """Whether a prefix is a conda environment, which has a Python of its own and no `pyvenv.cfg`."""
    return (prefix / "conda-meta").is_dir()


def read_pyvenv(path: Path) -> dict[str, str]:
    """The settings of a `pyvenv.cfg`; empty when there is none."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    pairs = (line.split("=", 1) for line in lines if "=" in line)
    return {key.strip().lower(): value.strip().lower() for key, value in pairs}


def shebang(path: Path) -> str | None:
    """The interpreter that a script names, also in the two-line form used when its path is too long for the kernel."""
    if not path.is_file():
        return None
    with path.open("rb") as stream:
        head = stream.read(1024)
    if not head.startswith(b"#!"):
        return None
    lines = head.decode("utf-8", "replace").splitlines()
    words = lines[0][2:].split()
    if len(lines) > 1 and lines[1].startswith("'''exec'"):
        words = lines[1].split()[1:]
    if words and os.path.basename(words[0]) == "env" and len(words) > 1:
        words = words[1:]
    return words[0].strip("\"'") if words else None
