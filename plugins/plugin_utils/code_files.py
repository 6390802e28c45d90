"""Source trees of models: the files of a commit that their models need, proven and packed on the controller."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

from ansible_collections.wavesmith.provision.plugins.module_utils.plan.models import with_projects
from ansible_collections.wavesmith.provision.plugins.module_utils.terms.digest import digest
from ansible_collections.wavesmith.provision.plugins.module_utils.terms.refusal import Refusal
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.model import Archive, Model, Tree
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.variables import Wanted
from ansible_collections.wavesmith.provision.plugins.plugin_utils import catalog_files
from ansible_collections.wavesmith.provision.plugins.plugin_utils.git import COMPLETE, Commit, Entry, Unusable, cache

LARGEST = 256 * 2**20
"""Bytes of an archive; what is larger holds more than code, and is read into memory here."""
_LINK, _SUBMODULE, _PROGRAM = "120000", "160000", "100755"


def read(wanted: Wanted, models: Mapping[str, Model]) -> tuple[dict[str, Model], list[Refusal]]:
    """The models with the archives of the source trees that a host's environments need.

    Returns:
        All models, and a refusal for each tree that cannot be had.
    """
    found, refusals = dict(models), []
    packed: dict[str, Tree] = {}
    for name in dict.fromkeys(name for environment in wanted.environments for name in environment.models):
        tree = models[name].tree if name in models else None
        if tree is None:
            continue
        try:
            if tree.folder not in packed:
                packed[tree.folder] = pack(tree, wanted.git_mirrors)
            found[name] = replace(models[name], tree=packed[tree.folder])
        except Unusable as error:
            refusals.append(Refusal(f"model {name}", error.problem, error.remedy))
    return found, refusals


def commits(wanted: Wanted, models: Mapping[str, Model]) -> dict[str, Path]:
    """Packs of the commits that a host's environments are planned with, of models and of projects, by commit: a bundle takes them along.

    Raises:
        Unusable: nobody has one of them.
    """
    known = {**catalog_files.projects(), **wanted.projects}
    addresses: dict[str, str] = {}
    for environment in with_projects(wanted, models).environments:
        trees = [tree for name in environment.models if name in models and (tree := models[name].tree)]
        addresses.update({tree.commit: tree.git for tree in trees})
        sources = [known[name] for name in environment.projects if "git" in known.get(name, {})]
        addresses.update({source["commit"]: source["git"] for source in sources})
    found = {commit: cache("packs") / f"{commit}.pack" for commit in sorted(addresses)}
    for commit, path in found.items():
        Commit(addresses[commit], commit, wanted.git_mirrors).pack(path)
    return found


def pack(tree: Tree, mirrors: Sequence[str]) -> Tree:
    """Pack the files of a tree, or find the archive that was made of the same ones.

    Raises:
        Unusable: nobody has the commit, or a file of it that cannot be missing.
    """
    commit = Commit(tree.git, tree.commit, mirrors)
    entries = [entry for entry in commit.entries() if any(fnmatchcase(entry.path, path) for path in tree.paths)]
    objects, absent = _objects(commit, tree, entries)
    for entry in entries:
        _check(tree, entry, objects.get(entry.id, b""))
    name = f"{tree.folder.rpartition('/')[2]}-{digest([[entry.path for entry in entries], absent])[:16]}.tar.gz"
    path = cache("code") / name
    if not path.is_file():
        _write(path, [entry for entry in entries if entry.id in objects], objects)
    data = path.read_bytes()
    if len(data) > LARGEST:
        problem = f"{len(data) >> 20} MiB of {tree.git} are taken, more than {LARGEST >> 20}"
        raise Unusable(problem, "name in tree.paths what the model needs")
    archive = Archive(tree.folder, name, str(path), hashlib.sha256(data).hexdigest())
    return replace(tree, absent=tuple(absent), archive=archive)


def _objects(commit: Commit, tree: Tree, entries: Sequence[Entry]) -> tuple[dict[str, bytes], list[str]]:
    """The bytes of each file by its id, and the files that the mirror lacks and the models can do without."""
    files = [entry for entry in entries if entry.mode != _SUBMODULE]
    objects = commit.objects(sorted({entry.id for entry in files}))
    absent = [entry.path for entry in files if entry.id not in objects]
    needed = [path for path in absent if path not in tree.may_lack]
    if needed:
        raise Unusable(f"the mirror of {tree.git} lacks {needed[0]} of commit {tree.commit[:12]}", COMPLETE)
    return objects, absent


def _check(tree: Tree, entry: Entry, data: bytes) -> None:
    """Refuse what would lead out of the tree, or is not in its repository."""
    problem = ""
    parts = entry.path.split("/")
    if entry.mode == _SUBMODULE:
        problem = f"{entry.path} is a submodule, which is not brought to a host"
    elif ".." in parts or ".git" in map(str.lower, parts):
        problem = f"{entry.path} is no path of a file"
    elif entry.mode == _LINK:
        target = os.path.normpath(os.path.join(os.path.dirname(entry.path), data.decode(errors="replace")))
        if target.startswith(("..", "/")):
            problem = f"{entry.path} is a link that leads out of the repository"
    if problem:
        raise Unusable(f"{tree.git}: {problem}", "leave it out of tree.paths")


def _write(path: Path, entries: Sequence[Entry], objects: Mapping[str, bytes]) -> None:
    """Write an archive whose bytes follow from its files."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for entry in entries:
            data = objects[entry.id]
            member = tarfile.TarInfo(entry.path)
            if entry.mode == _LINK:
                member.type, member.linkname = tarfile.SYMTYPE, data.decode()
                archive.addfile(member)
                continue
            member.size, member.mode = len(data), 0o555 if entry.mode == _PROGRAM else 0o444
            archive.addfile(member, io.BytesIO(data))
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".packing-", delete=False) as file:
        file.write(gzip.compress(packed.getvalue(), mtime=0))
    os.rename(file.name, path)
