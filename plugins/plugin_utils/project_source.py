"""Where a project's files come from: a folder of this machine, or a commit of a repository."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Protocol

from ansible_collections.wavesmith.provision.plugins.module_utils.terms.kinds import Parsed
from ansible_collections.wavesmith.provision.plugins.module_utils.terms.url import masked

_NEVER = {".git", ".hg", ".venv", "venv", "__pycache__", "build", "dist", "node_modules"}
"""Folders that hold nothing of a project's own, where git does not say which files are its own."""


_GIT = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_HTTP_LOW_SPEED_LIMIT": "1000",
    "GIT_HTTP_LOW_SPEED_TIME": "20",
    "LC_ALL": "C",
}
"""A server that says nothing for 20 seconds is given up, and git never asks for a password."""
_LONGEST = 600


class Unusable(Exception):
    """Something in a project that cannot be used: what is wrong, and the remedy."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.problem, self.remedy = problem, remedy


class Source(Protocol):
    """The files of a project."""

    def read(self, file: str) -> str:
        """The text of a file; raises FileNotFoundError."""

    def export(self, folder: Path) -> str:
        """Copy all files into an empty folder, and return what names their content."""


def open_source(source: Parsed, folder: Path) -> Source:
    """The files that a project's entry names; a relative path counts from `folder`.

    Raises:
        Unusable: they are not there.
    """
    return _Folder(folder / Path(source["path"]).expanduser()) if "path" in source else _Commit(source)


def cache(kind: str) -> Path:
    """A folder of this user for what can be had again."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "wavesmith" / kind
    folder.mkdir(parents=True, exist_ok=True)
    return folder


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
    def __init__(self, source: Parsed) -> None:
        self._commit = source["commit"]
        self._repository = cache("git") / hashlib.sha256(f"{source['git']} {self._commit}".encode()).hexdigest()[:32]
        if not self._repository.is_dir():
            # Fetched beside and renamed: hosts are planned side by side, and a broken fetch must not look whole.
            with tempfile.TemporaryDirectory(dir=self._repository.parent, prefix=".fetching-") as name:
                self._fetch(Path(name) / "git", source["git"])

    def _fetch(self, folder: Path, address: str) -> None:
        self._git("init", "--quiet", "--bare", folder=folder)
        # The address may hold a password, so it is no argument that others see.
        known = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "remote.origin.url", "GIT_CONFIG_VALUE_0": address}
        done = self._git("fetch", "--quiet", "--depth=1", "origin", self._commit, folder=folder, environ=known)
        if done.returncode:
            lines = done.stderr.decode(errors="replace").strip().splitlines()
            # What git adds to it is its own advice.
            said = [line for line in lines if line.startswith("fatal:")] or lines[-1:] or ["git failed"]
            raise Unusable(
                f"commit {self._commit[:12]} cannot be fetched from its repository: {masked(said[0])}",
                "check git, commit and the network of this machine, or name a folder of your own under path",
            )
        try:
            folder.rename(self._repository)
        except OSError:  # another one was first
            pass

    def _git(
        self, *arguments: str, folder: Path | None = None, environ: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        argv = ["git", "-c", "safe.directory=*", "--git-dir", str(folder or self._repository), *arguments]
        # No protocol that runs a command of the address, whatever this user's git allows.
        allowed = {"GIT_ALLOW_PROTOCOL": "https:http:ssh:git:file"}
        surroundings = {"GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o ConnectTimeout=20", **os.environ, **_GIT, **allowed}
        try:
            return subprocess.run(
                argv,
                env={**surroundings, **(environ or {})},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                timeout=_LONGEST,
            )
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(argv, 1, b"", f"no end after {_LONGEST} s".encode())

    def read(self, file: str) -> str:
        done = self._git("show", f"{self._commit}:{file}")
        if done.returncode:
            raise FileNotFoundError(file)
        return done.stdout.decode()

    def export(self, folder: Path) -> str:
        with tarfile.open(fileobj=BytesIO(self._git("archive", self._commit).stdout)) as archive:
            archive.extractall(folder, filter="data")
        return str(self._commit)
