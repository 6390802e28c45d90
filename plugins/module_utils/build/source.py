"""Fetch the source of a build, prove that it is the one its recipe names, and unpack it. Nothing of it runs here.

What was fetched stays in ``<root>/cache/sources/<sha256 or commit>/``, so a build that starts again needs no network. An offline
bundle has archives in ``sources/<sha256>/<name>`` and the objects of each git repository, submodules too, in
``sources/<commit>/objects.pack``.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tarfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote, unquote, urldefrag, urljoin, urlsplit

from ..host import store
from ..host.job import Failed, Job
from ..host.store import sha256
from ..records.wheel import SourceSpec
from ..terms.url import split_url

TIMEOUT = 60.0
PACK = "objects.pack"
"""The objects of a commit, in the folder of a bundle that is named after it."""

_CHUNK = 1 << 20
_GIT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_TERMINAL_PROMPT": "0",
    # None that runs a command of the address: ext::, and what a remote helper on PATH would add.
    "GIT_ALLOW_PROTOCOL": "https:http:ssh:git",
    "GIT_LFS_SKIP_SMUDGE": "1",
}


def cached(root: str, source: SourceSpec) -> str:
    """Where a source is kept: its file, or for git its folder."""
    return os.path.join(root, "cache", "sources", source["digest"], source["name"])


def fetch(
    job: Job,
    root: str,
    package: str,
    source: SourceSpec,
    tools: dict[str, str],
    package_index: str,
    bundle: str = "",
) -> str:
    """Return the proven source: the path of an archive, or the folder of a checkout; the bundle is asked first, where there is one.

    Raises:
        Failed: no source has it, or what they have is another file.
    """
    place = cached(root, source)
    os.makedirs(os.path.dirname(place), exist_ok=True)
    if source["kind"] == "git":
        return _checkout(job, place, source, tools, bundle)
    if os.path.exists(place):
        if sha256(place) == source["digest"]:
            return place
        os.unlink(place)  # fetched again: it was changed, or the disk is failing

    def addresses() -> Iterator[str]:
        if bundle:
            yield f"{bundle}/sources/{source['digest']}/{quote(source['name'])}"
        yield from source["urls"]
        if source["kind"] == "index":
            yield _on_index(package, source["name"], package_index or _default_index(root, tools))

    _download(job, addresses(), place, source)
    return place


def _default_index(root: str, tools: dict[str, str]) -> str:
    """pip's default index, from the toolbox's own pip."""
    python = os.path.join(root, "toolbox", "current", "bin", "python")
    query = "from pip._internal.models.index import PyPI; print(PyPI.simple_url)"
    done = subprocess.run([python, "-I", "-c", query], env=tools, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed("no package index is known here. Remedy: set wavesmith_package_index")
    return done.stdout.strip()


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if tag == "a" and name == "href" and value]


def opened(url: str) -> Any:
    """What is at an address, to be read; raises OSError."""
    parts = split_url(url)
    request = urllib.request.Request(parts.shown, headers={"User-Agent": "wavesmith"})
    if parts.user is not None:
        manager = urllib.request.HTTPPasswordMgrWithPriorAuth()
        manager.add_password(None, parts.shown, parts.user, parts.password or "", is_authenticated=True)
        return urllib.request.build_opener(urllib.request.HTTPBasicAuthHandler(manager)).open(request, timeout=TIMEOUT)
    return urllib.request.urlopen(request, timeout=TIMEOUT)


def _on_index(package: str, name: str, index: str) -> str:
    """The address of a file on a package index (PEP 503)."""
    page = f"{index.rstrip('/')}/{re.sub(r'[-_.]+', '-', package).lower()}/"
    shown = split_url(page).shown
    folder = urlsplit(page).path if page.startswith("file:") else ""
    try:
        # A folder served as it is has its page in a file.
        with opened(page + "index.html" if folder else page) as answer:
            base, text = str(answer.geturl()), answer.read().decode("utf-8", "replace")
    except (OSError, ValueError) as error:
        raise Failed(
            f"the package index does not answer for {package} ({getattr(error, 'reason', error)}: {shown}). "
            "Remedy: check the network of the host, or name a mirror in wavesmith_package_index"
        ) from error
    links = _Links()
    links.feed(text)
    for link in links.found:
        url = urldefrag(urljoin(base, link)).url
        if unquote(urlsplit(url).path).rpartition("/")[2] == name:
            secret = urlsplit(page)
            same = "@" in secret.netloc and urlsplit(url).netloc == secret.netloc.rpartition("@")[2]
            return url.replace("://", f"://{secret.netloc.rpartition('@')[0]}@", 1) if same else url
    raise Failed(
        f"the package index has no {name}. Remedy: name an index that has it in wavesmith_package_index, or put the file at "
        f"cache/sources/<its sha256>/{name} below wavesmith's folder"
    )


def _download(job: Job, urls: Iterable[str], place: str, source: SourceSpec) -> None:
    """The first address whose file is the right one wins; the file is moved into place when its sha256 was checked."""
    partial = f"{place}.part"
    tried = []
    for url in urls:
        shown = split_url(url).shown
        digest, size = hashlib.sha256(), 0
        try:
            with opened(url) as answer, open(partial, "wb") as file:
                expected = int(answer.headers.get("Content-Length") or 0)
                while block := answer.read(_CHUNK):
                    file.write(block)
                    digest.update(block)
                    size += len(block)
                    job.progress("fetching source", size >> 20, expected >> 20, f"{source['name']}, MiB")
        except (OSError, ValueError) as error:
            tried.append(f"{shown}: {getattr(error, 'reason', error)}")
            continue
        if digest.hexdigest() == source["digest"]:
            os.rename(partial, place)
            return
        if expected and size < expected:
            tried.append(f"{shown}: it ended after {size} of {expected} bytes")
        else:
            tried.append(f"{shown}: wrong sha256 {digest.hexdigest()}, expected {source['digest']}")
    if os.path.exists(partial):
        os.unlink(partial)
    raise Failed(
        f"{source['name']} could not be fetched ({'; '.join(tried)}). Remedy: find out who changed the file, or add a mirror to its recipe"
    )


def _checkout(job: Job, place: str, source: SourceSpec, tools: dict[str, str], bundle: str) -> str:
    """A clean checkout of exactly one commit with its submodules."""
    tools = {**_GIT, **tools}
    if os.path.isdir(place):
        if _clean(place, source["digest"], tools):
            return place
        store.remove(place)
    tried, partial = [], f"{place}.part"
    for url in [*([f"{bundle}/sources"] if bundle else []), *source["urls"]]:
        shutil.rmtree(partial, ignore_errors=True)
        job.progress("fetching source", detail=f"{source['name']} {source['digest'][:12]}")
        try:
            (_clone if url in source["urls"] else _restore)(job, url, partial, source["digest"], tools)
        except (OSError, Failed) as error:
            lines = error.log if isinstance(error, Failed) else []
            tried.append(f"{split_url(url).shown}: {(lines or [str(error)])[-1]}")
            continue
        if _clean(partial, source["digest"], tools):
            os.rename(partial, place)
            return place
        tried.append(f"{split_url(url).shown}: the repository sent something else than commit {source['digest']}")
    shutil.rmtree(partial, ignore_errors=True)
    raise Failed(
        f"commit {source['digest']} of {source['name']} could not be fetched ({'; '.join(tried)}). "
        "Remedy: check that the commit is there and the network answers, or add a mirror to its recipe"
    )


def _clone(job: Job, url: str, place: str, commit: str, tools: dict[str, str]) -> None:
    """Check a commit and its submodules out from a repository."""
    git = ["git", "-c", "advice.detachedHead=false", "-C", place]
    # The address may hold a password, and may begin like an option: it is no argument.
    known = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "remote.origin.url", "GIT_CONFIG_VALUE_0": url}
    if url.startswith("file:") and tools.get("GIT_ALLOW_PROTOCOL") == _GIT["GIT_ALLOW_PROTOCOL"]:
        # A mirror on this machine, whose submodules are files as well; who allows less than the default keeps that.
        tools = {**tools, "GIT_ALLOW_PROTOCOL": "file"}
    job.run(["git", "init", "--quiet", place], tools)
    job.run([*git, "fetch", "--quiet", "--depth", "1", "origin", commit], {**tools, **known})
    job.run([*git, "checkout", "--quiet", "--force", commit], tools)
    job.run([*git, "submodule", "update", "--quiet", "--init", "--recursive", "--depth", "1", "--jobs", "8"], tools)


def pack(place: str, folder: str, tools: dict[str, str]) -> None:
    """Write the objects of a proven checkout and of its submodules to ``<folder>/<commit>/objects.pack`` each."""
    tools = {**_GIT, **tools}
    commit = _git(place, tools, "rev-parse", "HEAD").strip()
    os.makedirs(os.path.join(folder, commit), exist_ok=True)
    with open(os.path.join(folder, commit, PACK), "wb") as file:
        argv = ["git", "-C", place, "pack-objects", "--revs", "--quiet", "--stdout"]
        done = subprocess.run(argv, env=tools, input=b"HEAD\n", stdout=file, stderr=subprocess.PIPE, check=False)
    if done.returncode:
        raise Failed(
            f"{place} cannot be packed: {done.stderr.decode(errors='replace').strip()}. Remedy: remove it and start again"
        )
    for path in _submodules(place, tools):
        pack(os.path.join(place, path), folder, tools)


def _restore(job: Job, sources: str, place: str, commit: str, tools: dict[str, str]) -> None:
    """Check a commit and its submodules out from packs. Git hashes every object again, so nothing else in the bundle has to be trusted."""
    job.run(["git", "init", "--quiet", place], tools)
    packed = os.path.join(place, ".git", "objects", "pack", "pack-bundle.pack")
    with opened(f"{sources}/{commit}/{PACK}") as answer, open(packed, "wb") as file:
        shutil.copyfileobj(answer, file, _CHUNK)
    store.write_text(os.path.join(place, ".git", "shallow"), f"{commit}\n")
    git = ["git", "-c", "advice.detachedHead=false", "-C", place]
    job.run([*git, "index-pack", packed], tools)
    job.run([*git, "checkout", "--quiet", "--force", commit], tools)
    for path, inner in _submodules(place, tools).items():
        _restore(job, sources, os.path.join(place, path), inner, tools)


def _submodules(place: str, tools: dict[str, str]) -> dict[str, str]:
    """The commit of each submodule by its folder."""
    if not os.path.exists(os.path.join(place, ".gitmodules")):
        return {}
    listed = _git(place, tools, "config", "--file", ".gitmodules", "--null", "--get-regexp", r"^submodule\..*\.path$")
    paths = {entry.partition("\n")[2] for entry in listed.split("\0")}
    entries = (entry.partition("\t") for entry in _git(place, tools, "ls-tree", "-r", "-z", "HEAD").split("\0"))
    return {path: facts.split()[2] for facts, _, path in entries if facts.startswith("160000 ") and path in paths}


def _git(place: str, tools: dict[str, str], *words: str) -> str:
    return subprocess.run(["git", "-C", place, *words], env=tools, capture_output=True, text=True, check=True).stdout


def _clean(folder: str, commit: str, tools: dict[str, str]) -> bool:
    """Whether a folder holds that commit and nothing else."""

    def said(*words: str) -> str | None:
        done = subprocess.run(["git", "-C", folder, *words], env=tools, capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else None

    return said("rev-parse", "HEAD") == commit and said("status", "--porcelain", "--ignored") == ""


def unpack(job: Job, proven: str, folder: str, patches: dict[str, str], tools: dict[str, str]) -> None:
    """Put a proven source into `folder`, and our patches onto it.

    Raises:
        Failed: the archive is damaged or wants to write elsewhere, or a patch does not fit.
    """
    if os.path.isdir(proven):
        shutil.copytree(proven, folder, symlinks=True)
    else:
        os.makedirs(folder)
        try:
            _extract(proven, folder)
        except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError, ValueError) as error:
            raise Failed(
                f"{os.path.basename(proven)} cannot be unpacked ({error}). Remedy: remove {proven} and start again; if it stays so, "
                "the archive its recipe names is damaged"
            ) from error
        entries = os.listdir(folder)
        if len(entries) == 1 and os.path.isdir(os.path.join(folder, entries[0])):
            inner = f"{folder}.inner"
            os.rename(os.path.join(folder, entries[0]), inner)
            os.rmdir(folder)
            os.rename(inner, folder)
    for name, text in patches.items():
        path = f"{folder}.{os.path.basename(name)}"
        store.write_text(path, text)
        try:
            job.run(["patch", "--batch", "--forward", "--strip=1", f"--directory={folder}", f"--input={path}"], tools)
        except Failed as error:
            raise Failed(
                f"{name} does not fit the source. Remedy: correct the patch, or drop it from the recipe", error.log
            ) from error
        os.unlink(path)


def _extract(archive: str, folder: str) -> None:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            opened.extractall(folder)  # drops what leads out of the folder by itself
        return
    with tarfile.open(archive) as opened:
        if hasattr(tarfile, "data_filter"):
            opened.extractall(folder, filter="data")
            return
        base = os.path.realpath(folder) + os.sep  # Python before 3.9.17, 3.10.12, 3.11.4
        for member in opened.getmembers():
            target = os.path.join(
                folder, os.path.dirname(member.name) if member.issym() else "", member.linkname or member.name
            )
            if not (os.path.realpath(target) + os.sep).startswith(base) or member.isdev():
                raise tarfile.TarError(f"{member.name} points outside of the archive")
        opened.extractall(folder)
