"""Make a Docker build context or an offline bundle from what a host has, and download what it lacks."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from typing import Any

from . import _store, _wheelhouse, export
from ._build import kept_wheel
from ._job import Failed, Job
from ._source import sha256
from ._tools import environment, explain
from .wheelhouse import Untrusted


def _pip(root: str, spec: Mapping[str, Any]) -> list[str]:
    """The toolbox's pip, working for the Python of an environment."""
    return [_python(root), "-I", "-m", "pip", "--python", spec["python"]["path"]]


def _fetch(job: Job, root: str, spec: Mapping[str, Any], index: str, command: str, folder: str) -> None:
    """Let pip get everything a lock names; the lock's hashes decide what is taken."""
    lock = os.path.join(folder, ".lock.txt")
    os.makedirs(folder, exist_ok=True)
    _store.write_text(lock, spec["lock"])
    where = ["--wheel-dir" if command == "wheel" else "--dest", folder]
    more = ["--extra-index-url", spec["origin_url"]] if spec["origin_url"] else []
    argv = [*_pip(root, spec), command, "--quiet", "--no-deps", "--require-hashes", *more, *where, "-r", lock]
    try:
        job.run(argv, environment(root, index))
    except Failed as error:
        raise explain(error, f"the files of {spec['key']}") from error
    finally:
        os.unlink(lock)


def _files(folder: str) -> dict[str, str]:
    return {name: sha256(os.path.join(folder, name)) for name in sorted(os.listdir(folder))}


def _fresh(final: str) -> str:
    """An empty folder beside `final`, for what will take its place in one rename."""
    staging = os.path.join(os.path.dirname(final), f".staging-{os.path.basename(final)}")
    _store.remove(staging)
    os.makedirs(staging)
    return staging


def _put(staging: str, final: str) -> None:
    _store.remove(final)
    os.rename(staging, final)


def context(
    job: Job, root: str, spec: Mapping[str, Any], index: str, system: Mapping[str, str], apt: list[str], complete: bool
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
            _store.write_text(os.path.join(staging, "index.txt"), spec["lock"])
        for wheel in spec["wheels"]:
            path = kept_wheel(root, wheel["key"])
            shutil.copyfile(path, os.path.join(wheels, os.path.basename(path)))
        _store.write_text(os.path.join(staging, "wheels.txt"), export.requirements(_files(wheels)))
        text = export.dockerfile(spec["environment"], system, apt, complete)
        _store.write_text(os.path.join(staging, "Dockerfile"), text)
        _put(staging, final)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return final


def bundle(
    job: Job, root: str, specs: list[dict[str, Any]], index: str, toolbox: str, signers: str, sources: bool
) -> str:
    """Make the offline bundle of a host's environments at ``<root>/bundle``.

    Args:
        job: Says how far it is.
        root: The host's folder.
        specs: Its environments, as `export.environments` gives them.
        index: Address of the package index.
        toolbox: The toolbox's lock.
        signers: Text of ``allowed_signers``, which names who signed the wheels.
        sources: Whether what the wheels were built from goes along, where this host has it.
    """
    final = os.path.join(root, "bundle")
    staging = _fresh(final)
    try:
        files = os.path.join(staging, "index", "files")
        tools = {"key": "the toolbox", "lock": toolbox, "python": {"path": _python(root)}, "origin_url": ""}
        for number, spec in enumerate([*specs, tools], 1):
            job.progress("downloading", number, len(specs) + 1, spec["key"])
            _fetch(job, root, spec, index, "download", files)
        for spec in specs:
            _store.write_text(os.path.join(staging, "locks", f"{spec['key']}.txt"), spec["lock"])
            for wheel in spec["wheels"]:
                place = os.path.join(root, "wheels", wheel["key"]) + os.sep
                try:
                    _wheelhouse.publish(
                        _wheelhouse.taker(place), os.path.join(staging, "wheelhouse"), wheel["key"], signers
                    )
                except Untrusted as error:
                    raise Failed(str(error)) from error
        os.makedirs(os.path.join(staging, "wheelhouse"), exist_ok=True)
        _wheelhouse.write_index(os.path.join(staging, "wheelhouse"))
        _store.write_text(os.path.join(staging, "locks", "allowed_signers"), signers)
        _wheelhouse.write_pages(os.path.join(staging, "index"), export.index(_files(files)))
        fetched = os.path.join(root, "cache", "sources")
        if sources and os.path.isdir(fetched):
            job.progress("copying sources")
            shutil.copytree(fetched, os.path.join(staging, "sources"), symlinks=True)
        _put(staging, final)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return final


def _python(root: str) -> str:
    return os.path.join(root, "toolbox", "current", "bin", "python")
