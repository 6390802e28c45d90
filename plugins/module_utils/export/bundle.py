"""Make a Docker build context or an offline bundle from what a host has, and download what it lacks."""

from __future__ import annotations

import filecmp
import glob
import os
import shutil
from collections.abc import Mapping

from ..build.source import PACK, fetch, pack
from ..host import store
from ..host.job import Failed, Job
from ..host.store import sha256
from ..host.tools import environment, explain, uv
from ..host.wheels import kept_wheel
from ..plan import archive, conda
from ..plan.lockfile import SUFFIX, pinned
from ..plan.lockfile import repositories as commits
from ..prefix.conda import fetch as fetch_channel_packages
from ..prefix.repositories import source_of
from ..prefix.repositories import wheels as wheels_of
from ..records.task import BuildAgainTask, ExportTask, FetchTask, PackOf
from ..wheels import manifest
from ..wheels.manifest import Untrusted
from ..wheels.wheelhouse import publish, taker, write_index, write_pages
from . import texts

SIGNERS = "allowed_signers"


def _fetch(job: Job, root: str, spec: FetchTask, index: str, command: str, folder: str) -> None:
    """Let the toolbox's pip get everything a lock names; the lock's hashes decide what is taken.

    Where the host lacks the Python they are for, because it comes from a channel, pip gets its version as an option.
    """
    lock = os.path.join(folder, ".lock.txt")
    os.makedirs(folder, exist_ok=True)
    store.write_text(lock, pinned(spec["lock"]))
    where = ["--wheel-dir" if command == "wheel" else "--dest", folder]
    more = ["--extra-index-url", spec["origin_url"]] if spec["origin_url"] else []
    pip, python = [_python(root), "-I", "-m", "pip"], spec["python"]
    if python["path"]:
        pip += ["--python", python["path"]]
    else:
        only = ["--only-binary=:all:"] if command == "wheel" else []  # nothing of that Python can be built here
        command, where = "download", ["--python-version", python["version"], "--dest", folder, *only]
    argv = [*pip, command, "--quiet", "--no-deps", "--require-hashes", *more, *where, "-r", lock]
    try:
        job.run(argv, environment(root, index))
    except Failed as error:
        raise explain(error, f"the files of {spec['key']}", job.known) from error
    finally:
        os.unlink(lock)


def _files(folder: str) -> dict[str, str]:
    return {name: sha256(os.path.join(folder, name)) for name in sorted(os.listdir(folder))}


def _fresh(final: str) -> str:
    """An empty folder beside `final`, for what will take its place in one rename."""
    staging = os.path.join(os.path.dirname(final), f".staging-{os.path.basename(final)}")
    store.remove(staging)
    os.makedirs(staging)
    return staging


def _put(staging: str, final: str) -> None:
    store.remove(final)
    os.rename(staging, final)


def context(
    job: Job, root: str, spec: ExportTask, index: str, system: Mapping[str, str], apt: list[str], complete: bool
) -> str:
    """Make the Docker build context of one environment at ``<root>/export/<environment>``.

    Args:
        job: Says how far it is.
        root: The host's folder.
        spec: The environment, as `export.environments` gives it.
        index: Address of the package index.
        system: The host's operating system.
        apt: System packages for the image.
        complete: Whether what the index serves is put into it, too.
    """
    final = os.path.join(root, "export", spec["environment"])
    staging = _fresh(final)
    try:
        wheels = os.path.join(staging, "wheels")
        os.makedirs(wheels)
        if complete:
            job.progress("downloading", detail=spec["environment"])
            _fetch(job, root, spec, index, "wheel", wheels)  # what has no wheel is made into one here, not in the image
        else:
            store.write_text(os.path.join(staging, "index.txt"), pinned(spec["lock"]))
        for path in _of_repositories(job, root, spec, index, os.path.join(staging, "sources")):
            shutil.copyfile(path, os.path.join(wheels, os.path.basename(path)))
        shutil.rmtree(os.path.join(staging, "sources"), ignore_errors=True)
        for wheel in spec["wheels"]:
            path = kept_wheel(root, wheel["key"])
            shutil.copyfile(path, os.path.join(wheels, os.path.basename(path)))
        store.write_text(os.path.join(staging, "wheels.txt"), texts.requirements(_files(wheels)))
        minor = ".".join(spec["python"]["version"].split(".")[:2])
        text = texts.dockerfile(spec["environment"], minor, system, apt, complete)
        store.write_text(os.path.join(staging, "Dockerfile"), text)
        _put(staging, final)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return final


def bundle(
    job: Job,
    root: str,
    specs: list[ExportTask],
    builds: list[BuildAgainTask],
    packs: list[PackOf],
    index: str,
    toolbox: str,
    signers: str,
    folder: str,
) -> str:
    """Make the offline bundle of a host's environments.

    Args:
        job: Says how far it is.
        root: The host's folder.
        specs: Its environments, as `export.environments` gives them.
        builds: What goes along to build wheels again, as `export.builds` gives it.
        packs: The commits that planning them takes.
        index: Address of the package index.
        toolbox: The toolbox's lock.
        signers: Text of ``allowed_signers``, which names who signed the wheels.
        folder: Where to; what is there stays, and the bundle is added to it. Empty: ``<root>/bundle``, rebuilt from scratch.
    """
    final = folder or os.path.join(root, "bundle")
    staging = _fresh(
        os.path.join(folder, "bundle") if folder else final
    )  # within it: it may be a file system of its own
    try:
        files = os.path.join(staging, "index", "files")
        tools: FetchTask = {
            "key": "the toolbox",
            "lock": toolbox,
            "python": {"path": _python(root), "version": ""},
            "origin_url": "",
        }
        asked: list[FetchTask] = [*specs, tools, *_requirements(builds)]
        for number, spec in enumerate(asked, 1):
            job.progress("downloading", number, len(asked), spec["key"])
            _fetch(job, root, spec, index, "download", files)
        locks, wheels = os.path.join(staging, "locks"), os.path.join(staging, "wheelhouse")
        os.makedirs(wheels)
        store.write_text(os.path.join(locks, SIGNERS), signers)
        for spec in specs:
            store.write_text(os.path.join(locks, f"{spec['key']}.txt"), spec["lock"])
            if spec["inspected"]:
                store.write_text(os.path.join(locks, f"{spec['key']}{SUFFIX}.json"), spec["inspected"])
            if spec["conda"]:
                store.write_text(os.path.join(locks, f"{spec['conda']['key']}.txt"), spec["conda"]["lock"])
                for record, path in fetch_channel_packages(job, root, spec):
                    _copy(path, os.path.join(staging, "channels", record["channel"], record["subdir"], record["fn"]))
            for wheel in spec["wheels"]:
                place = os.path.join(root, "wheels", wheel["key"]) + os.sep
                try:
                    publish(taker(place), wheels, wheel["key"], signers)
                except Untrusted as error:
                    raise Failed(str(error)) from error
        for number, build in enumerate(builds, 1):
            job.progress("collecting sources", number, len(builds), build["name"])
            _source(job, root, build, index, os.path.join(staging, "sources"))
        for spec in specs:
            _commits(job, root, spec, index, staging)
        for pack_of in packs:
            _copy(pack_of["path"], os.path.join(staging, "sources", pack_of["commit"], PACK))
        if folder:
            _add(staging, final)
            _write_pages(final)
        else:
            _write_pages(staging)
            _put(staging, final)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return final


def keep_packs(root: str, packs: list[PackOf]) -> list[PackOf]:
    """Keep the packs that the controller brought: the work on them may outlive the connection, whose folder goes with it."""
    kept: list[PackOf] = []
    for pack_of in packs:
        path = os.path.join(root, "cache", "sources", pack_of["commit"], PACK)
        if os.path.exists(pack_of["path"]):
            _copy(pack_of["path"], f"{path}.part")
            os.rename(f"{path}.part", path)
        kept.append({"commit": pack_of["commit"], "path": path})
    return kept


def _of_repositories(job: Job, root: str, spec: ExportTask, index: str, folder: str) -> list[str]:
    """Wheels of what a lock takes from repositories."""
    if not commits(spec["lock"]):
        return []
    if not spec["python"]["path"]:
        name = commits(spec["lock"])[0].name
        raise Failed(f"{name} is built from a repository, and its Python is a channel's. Remedy: give it a recipe")
    tools = environment(root, index)
    python = ["--python", spec["python"]["path"]]
    return wheels_of(job, root, spec["lock"], folder, python, tools, "", lambda words: job.run(words, tools))


def _commits(job: Job, root: str, spec: ExportTask, index: str, staging: str) -> None:
    """Put the commits that a lock names into a bundle, and what their builds require."""
    tools = environment(root, index)
    for repository in commits(spec["lock"]):
        job.progress("collecting sources", detail=repository.name)
        proven = fetch(job, root, repository.name, source_of(repository), tools, index)
        pack(proven, os.path.join(staging, "sources"), tools)
        project = os.path.join(proven, repository.folder, "pyproject.toml")
        requires = archive.read({"pyproject.toml": _text(project) if os.path.exists(project) else ""})["requires"]
        _build_requirements(job, root, spec, index, repository.name, requires, staging)


def _build_requirements(
    job: Job, root: str, spec: ExportTask, index: str, name: str, requires: list[str], staging: str
) -> None:
    """Download what a build asks for: the host that it will be done on asks no index."""
    asked, found = (os.path.join(staging, file) for file in (".asked.txt", ".found.txt"))
    store.write_text(asked, "".join(f"{line}\n" for line in [*requires, "wheel"]))
    argv = [uv(root), "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--generate-hashes"]
    argv += ["--python", spec["python"]["path"] or _python(root), "--output-file", found, asked]
    try:
        job.run(argv, environment(root, index))
        tools: FetchTask = {"key": f"building {name}", "lock": _text(found), "python": spec["python"], "origin_url": ""}
        _fetch(job, root, tools, index, "download", os.path.join(staging, "index", "files"))
    except Failed as error:
        raise explain(error, f"what builds {name}", job.known) from error
    finally:
        for path in (asked, found):
            if os.path.exists(path):
                os.unlink(path)


def _requirements(builds: list[BuildAgainTask]) -> list[FetchTask]:
    """What is fetched for builds, each set once: most recipes share theirs."""
    found: dict[tuple[str, str], FetchTask] = {}
    for build in builds:
        for lock in build["locks"]:
            found[build["python"]["path"], lock] = {
                "key": f"building {build['name']}",
                "lock": lock,
                "python": build["python"],
                "origin_url": "",
            }
    return list(found.values())


def _source(job: Job, root: str, build: BuildAgainTask, index: str, folder: str) -> None:
    """Put what a wheel is built from into a folder of sources."""
    source, tools = build["source"], environment(root, index)
    proven = fetch(job, root, build["name"], source, tools, index, build["bundle"])
    if source["kind"] == "git":
        pack(proven, folder, tools)
    else:
        _copy(proven, os.path.join(folder, source["digest"], source["name"]))


def _copy(path: str, to: str) -> None:
    os.makedirs(os.path.dirname(to), exist_ok=True)
    shutil.copyfile(path, to)


def _add(staging: str, final: str) -> None:
    """Add a bundle to another one: files are there once, a wheel of a key that is there is as good, the newer lock counts."""
    ours, theirs = (os.path.join(folder, "locks", SIGNERS) for folder in (staging, final))
    if os.path.exists(theirs):
        merged = _text(theirs)
        for builder, public in manifest.read_signers(_text(ours)).items():
            try:
                merged = manifest.add_signer(merged, builder, public)
            except Untrusted as error:
                raise Failed(str(error)) from error
        store.write_text(ours, merged)
    elif os.listdir(final) != [os.path.basename(staging)]:
        raise Failed(f"{final} is neither empty nor a bundle. Remedy: name another folder in wavesmith_bundle_folder")
    moves = []
    for place, _, names in os.walk(staging):
        for path in (os.path.join(place, name) for name in names):
            part, _, rest = os.path.relpath(path, staging).partition(os.sep)
            to = os.path.join(final, part, rest)
            if part == "wheelhouse" and os.path.exists(os.path.join(final, part, rest.split(os.sep)[0])):
                continue
            if os.path.basename(to) == PACK and os.path.exists(to):
                if os.path.getsize(to) < os.path.getsize(path):
                    moves.append((path, to))  # of the same commit, whose mirror had more of it
                continue
            if part != "locks" and os.path.exists(to):
                if not filecmp.cmp(path, to, shallow=False):
                    raise Failed(f"{to} exists with other contents. Remedy: make a separate bundle for this host")
                continue
            moves.append((path, to))
    for path, to in moves:
        os.makedirs(os.path.dirname(to), exist_ok=True)
        os.replace(path, to)


def _write_pages(folder: str) -> None:
    """The pages of everything that is in a bundle: package index, wheelhouse, channels."""
    write_pages(os.path.join(folder, "index"), texts.index(_files(os.path.join(folder, "index", "files"))))
    write_index(os.path.join(folder, "wheelhouse"))
    records = []
    for path in sorted(glob.glob(os.path.join(glob.escape(folder), "locks", "*.txt"))):
        try:
            records += conda.read_lock(_text(path))
        except ValueError:
            continue  # pip's
    for relative, text in conda.repodata(records).items():
        store.write_text(os.path.join(folder, "channels", relative), text)


def _text(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


def _python(root: str) -> str:
    return os.path.join(root, "toolbox", "current", "bin", "python")
