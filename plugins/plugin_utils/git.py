"""A commit of a repository on this machine: fetched once, or read in the folder of a mirror; what is read is proven by its id."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ansible_collections.wavesmith.provision.plugins.module_utils.build.source import PACK, opened
from ansible_collections.wavesmith.provision.plugins.module_utils.terms.url import masked, split_url

_QUIET = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_HTTP_LOW_SPEED_LIMIT": "1000",
    "GIT_HTTP_LOW_SPEED_TIME": "20",
    "GIT_NO_LAZY_FETCH": "1",
    "LC_ALL": "C",
    # No protocol that runs a command of the address, whatever this user's git allows.
    "GIT_ALLOW_PROTOCOL": "https:http:ssh:git:file",
}
"""A server that says nothing for 20 seconds is given up, and nobody is asked for a password."""
_LONGEST = 600
_PAUSES = (1.0, 3.0)
"""Seconds before each further try, where the server may only be busy."""
_BUSY = re.compile(
    r"reset by peer|timed out|too slow|early EOF|hung up unexpectedly|RPC failed|Temporary failure|Empty reply|error: 5\d\d"
)
"""What git says of a network or server that may only be busy; 404, refused connections and unknown names are none of it."""
COMPLETE = "fetch it whole: git clone --mirror"
"""What to do about a mirror that lacks something."""
_UNREADABLE = re.compile(r"(?:unable to read|missing blob|bad object|could not read) (?:object )?([0-9a-f]{40})")


class Unusable(Exception):
    """Something in a project or a model's code that nobody can use: what is wrong, and the remedy."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.problem, self.remedy = problem, remedy


def cache(kind: str) -> Path:
    """A folder of this user for what can be had again."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "wavesmith" / kind
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@dataclass(frozen=True)
class Entry:
    """What a tree has at a path: its mode as git writes it (``100644``), and the id of the object."""

    path: str
    mode: str
    id: str


class Commit:
    """One commit of a repository, from the first place that has it: what was fetched before, a mirror, the repository itself.

    A mirror that is a folder of this machine may lack objects that nobody reads.

    Args:
        address: Of the repository.
        commit: Its full id.
        mirrors: Addresses that are asked before it; ``{owner}`` and ``{name}`` in them are the repository's. One with ``{commit}`` has a pack of it,
            as a bundle's ``sources/``.

    Raises:
        Unusable: nobody has it.
    """

    def __init__(self, address: str, commit: str, mirrors: Sequence[str] = ()) -> None:
        self.address, self.id = address, commit
        kept = cache("git") / commit
        if kept.is_dir():
            self._folder = kept
            return
        tried = []
        for place in [*(_filled(mirror, address) for mirror in mirrors), address]:
            packed = place.replace("{commit}", commit)
            said = self._unpacked(packed, kept) if packed != place else self._fetched(place, kept)
            if not said:
                return
            tried.append(f"{split_url(packed).shown}: {masked(said)}")
        raise Unusable(
            f"commit {commit[:12]} cannot be fetched from its repository: {'; '.join(tried)}",
            "check git, commit and the network of this machine, or name a mirror that has it in wavesmith_git_mirrors",
        )

    def _fetched(self, place: str, kept: Path) -> str:
        """Have the commit from one place; why not, empty where it is there."""
        # Fetched beside and renamed: hosts are planned side by side, and a broken fetch must not look whole.
        with tempfile.TemporaryDirectory(dir=kept.parent, prefix=".fetching-") as name:
            self._folder = Path(name) / "git"
            said = self._fetch(place)
            if not said:
                try:
                    self._folder.rename(kept)
                except OSError:  # another one was first
                    pass
                self._folder = kept
                return ""
            lacks = _UNREADABLE.search(said)
            local = _local(place)
            if local is not None:
                self._folder = local
                if self._run("cat-file", "-e", f"{self.id}^{{commit}}").returncode == 0:
                    return ""
            elif lacks:
                self._folder = Path(name) / "trees"
                self._fetch(place, "--filter=blob:none")
                path = next((entry for entry in self._listed() if entry.endswith(lacks[1])), "").partition("\0")[0]
                return f"it lacks {path or lacks[1]}"
        return said.strip().splitlines()[0]

    def _unpacked(self, place: str, kept: Path) -> str:
        """Have the commit from a pack, whose objects git hashes again; why not, empty where it is there.

        A pack may lack what the mirror that it was made of lacked. It is not kept as the commit then: one that has all may come.
        """
        with tempfile.TemporaryDirectory(dir=kept.parent, prefix=".unpacking-") as name:
            self._folder = Path(name) / "git"
            self._run("init", "--quiet", "--bare")
            (self._folder / "shallow").write_text(f"{self.id}\n", encoding="ascii")
            pack = self._folder / "objects" / "pack" / "pack-bundle.pack"
            try:
                with opened(f"{place}/{PACK}") as answer, pack.open("wb") as file:
                    shutil.copyfileobj(answer, file)
            except OSError as error:
                return str(getattr(error, "reason", error))
            if self._run("index-pack", str(pack)).returncode or not self.objects([self.id]):
                return f"its {PACK} is damaged, or of another commit"
            if self._there()[1]:
                kept = kept.with_name(f"{self.id}-from-a-bundle")
                shutil.rmtree(kept, ignore_errors=True)
            try:
                self._folder.rename(kept)
            except OSError:  # another one was first
                pass
            self._folder = kept
        return ""

    def _there(self) -> tuple[list[str], list[str]]:
        """The ids of all objects of the commit, not proven: those that are here, and those that are not."""
        listed = self._run("rev-list", "--objects", "--no-walk", "--missing=print", "--no-object-names", self.id)
        ids = listed.stdout.decode().split()
        return [name for name in ids if name[0] != "?"], [name[1:] for name in ids if name[0] == "?"]

    def pack(self, path: Path) -> None:
        """Write a pack of all that is here of the commit.

        Raises:
            Unusable: git cannot write it.
        """
        # Alone, so that the same objects give the same bytes.
        words = ("-c", "pack.threads=1", "pack-objects", "--quiet", "--stdout")
        done = self._run(*words, given="".join(f"{name}\n" for name in self._there()[0]).encode())
        if done.returncode or not done.stdout:
            said = masked(done.stderr.decode(errors="replace").strip())
            raise Unusable(f"commit {self.id[:12]} of {self.address} cannot be packed: {said}", COMPLETE)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".packing-", delete=False) as file:
            file.write(done.stdout)
        os.rename(file.name, path)

    def _fetch(self, place: str, *options: str) -> str:
        self._run("init", "--quiet", "--bare")
        # The address may hold a password, so it is no argument that others see.
        known = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "remote.origin.url", "GIT_CONFIG_VALUE_0": place}
        fetch = ("fetch", "--quiet", "--depth=1", *options, "origin", self.id)
        done = self._run(*fetch, environ=known)
        for pause in _PAUSES:
            if not done.returncode or not _BUSY.search(done.stderr.decode(errors="replace")):
                break
            time.sleep(pause)
            done = self._run(*fetch, environ=known)
        if not done.returncode:
            return ""
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        # What git adds to it is its own advice.
        telling = [line for line in lines if _UNREADABLE.search(line)] or [
            line for line in lines if line.startswith("fatal:")
        ]
        return (telling or lines[-1:] or ["git failed"])[0]

    def _listed(self) -> Iterator[str]:
        """Each file of the commit as ``path NUL id``, not proven."""
        for line in self._run("ls-tree", "-r", "-z", self.id).stdout.decode(errors="replace").split("\0"):
            facts, _, path = line.partition("\t")
            if path:
                yield f"{path}\0{facts.split()[2]}"

    def _run(
        self, *arguments: str, environ: Mapping[str, str] | None = None, given: bytes | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        argv = ["git", "-c", "safe.directory=*", "--git-dir", str(self._folder), *arguments]
        surroundings = {"GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o ConnectTimeout=20", **os.environ, **_QUIET}
        try:
            return subprocess.run(
                argv,
                env={**surroundings, **(environ or {})},
                input=given or b"",
                capture_output=True,
                check=False,
                timeout=_LONGEST,
            )
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(argv, 1, b"", f"no end after {_LONGEST} s".encode())

    def read(self, path: str) -> bytes:
        """A file; raises FileNotFoundError."""
        done = self._run("show", f"{self.id}:{path}")
        if done.returncode:
            raise FileNotFoundError(path)
        return done.stdout

    def archive(self) -> bytes:
        """All of it as a tar."""
        return self._run("archive", self.id).stdout

    def entries(self) -> list[Entry]:
        """Every file, link and submodule of the commit, proven: the ids of commit and trees are those of their bytes.

        Raises:
            Unusable: the commit or a tree is not there.
        """
        commit = self._needed([self.id])[self.id]
        found: list[Entry] = []
        folders = {"": commit.split(b"\n", 1)[0].removeprefix(b"tree ").decode()}
        while folders:
            trees = self._needed(sorted({*folders.values()}))
            inner: dict[str, str] = {}
            for folder, tree in folders.items():
                for mode, name, child in _rows(trees[tree]):
                    if mode == "40000":
                        inner[f"{folder}{name}/"] = child
                    else:
                        found.append(Entry(f"{folder}{name}", mode, child))
            folders = inner
        return sorted(found, key=lambda entry: entry.path)

    def _needed(self, ids: Sequence[str]) -> dict[str, bytes]:
        found = self.objects(ids)
        if len(found) < len(ids):
            missing = next(name for name in ids if name not in found)
            raise Unusable(f"the mirror of {self.address} lacks object {missing} of commit {self.id[:12]}", COMPLETE)
        return found

    def objects(self, ids: Sequence[str]) -> dict[str, bytes]:
        """The bytes of those objects that are there, by their ids; each was compared with its id."""
        out = self._run("cat-file", "--batch", given="".join(f"{name}\n" for name in ids).encode()).stdout
        found, at = {}, 0
        for name in ids:
            end = out.find(b"\n", at)
            facts = out[at:end].split() if end > 0 else []
            if len(facts) != 3:  # "<id> missing"
                at = end + 1
                continue
            data = out[end + 1 : end + 1 + int(facts[2])]
            at = end + 2 + len(data)
            if hashlib.sha1(b"%s %d\0%s" % (facts[1], len(data), data), usedforsecurity=False).hexdigest() == name:
                found[name] = data
        return found


def _rows(tree: bytes) -> Iterator[tuple[str, str, str]]:
    """Mode, name and id of each entry of a tree object."""
    at = 0
    while at < len(tree):
        end = tree.index(b"\0", at)
        mode, _, name = tree[at:end].partition(b" ")
        yield mode.decode(), name.decode("utf-8", "surrogateescape"), tree[end + 1 : end + 21].hex()
        at = end + 21


def _filled(mirror: str, address: str) -> str:
    """A mirror's address of a repository."""
    owner, _, name = re.sub(r"\.git/?$|/$", "", urlsplit(address).path).rpartition("/")
    return mirror.replace("{owner}", owner.strip("/")).replace("{name}", name)


def _local(place: str) -> Path | None:
    """The git directory of a repository in a folder of this machine; `None` where it is elsewhere."""
    parts = urlsplit(place)
    if parts.scheme != "file":
        return None
    folder = Path(unquote(parts.path))
    return folder / ".git" if (folder / ".git").is_dir() else folder
