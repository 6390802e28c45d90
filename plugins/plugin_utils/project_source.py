"""Where a project's files come from: a folder of this machine, or a commit of a repository."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Protocol

from ansible_collections.wavesmith.provision.plugins.module_utils.terms.kinds import Parsed
from ansible_collections.wavesmith.provision.plugins.plugin_utils.git import Commit, Unusable

_NEVER = {".git", ".hg", ".venv", "venv", "__pycache__", "build", "dist", "node_modules"}
"""Folders that hold nothing of a project's own, where git does not say which files are its own."""


class Source(Protocol):
    """The files of a project."""

    def read(self, file: str) -> str:
        """The text of a file; raises FileNotFoundError."""

    def export(self, folder: Path) -> str:
        """Copy all files into an empty folder, and return what names their content."""


def open_source(source: Parsed, folder: Path, mirrors: Sequence[str] = ()) -> Source:
    """The files that a project's entry names; a relative path counts from `folder`, and `mirrors` are asked before its repository.

    Raises:
        Unusable: they are not there.
    """
    if "path" in source:
        return _Folder(folder / Path(source["path"]).expanduser())
    return _Commit(Commit(source["git"], source["commit"], mirrors))


class _Folder:
    def __init__(self, path: Path) -> None:
        if not path.is_dir():
            raise Unusable(f"{path} is not a folder", "correct its path; a relative one counts from the inventory")
        self._path = path

    def read(self, file: str) -> str:
        return (self._path / file).read_text(encoding="utf-8")

    def export(self, folder: Path) -> str:
        digest = hashlib.sha256()
        for name in sorted(self._names()):
            data = (self._path / name).read_bytes()
            digest.update(f"{name}\0{hashlib.sha256(data).hexdigest()}\n".encode())
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(self._path / name, folder / name)
        return digest.hexdigest()

    def _names(self) -> list[str]:
        argv = ["git", "-c", "safe.directory=*", "-C", str(self._path), "ls-files", "-z", "-co", "--exclude-standard"]
        listed = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if listed.returncode == 0:
            names = [name for name in listed.stdout.split("\0") if name]
        else:
            names = []
            for folder, folders, files in os.walk(self._path):
                folders[:] = [name for name in folders if name not in _NEVER and not name.endswith(".egg-info")]
                names += [os.path.relpath(os.path.join(folder, file), self._path) for file in files]
        return [name for name in names if (self._path / name).is_file()]


class _Commit:
    def __init__(self, commit: Commit) -> None:
        self._commit = commit

    def read(self, file: str) -> str:
        return self._commit.read(file).decode()

    def export(self, folder: Path) -> str:
        with tarfile.open(fileobj=BytesIO(self._commit.archive())) as archive:
            archive.extractall(folder, filter="data")
        return self._commit.id
