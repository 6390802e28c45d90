"""Packages that come from a commit of a repository: fetched and proven like the source of a recipe, and built where they are installed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence

from ..build.source import fetch, unpack
from ..host.job import Failed, Job
from ..host.tools import uv
from ..plan.lockfile import Repository, repositories
from ..records.wheel import SourceSpec
from ..terms.names import normal

Build = Callable[[list[str]], None]
"""Runs uv with these arguments more, and with the constraints on build requirements that are needed."""


def source_of(repository: Repository) -> SourceSpec:
    """A repository's commit as the source of a build."""
    name = repository.url.rstrip("/").rpartition("/")[2].removesuffix(".git")
    return {"kind": "git", "name": name, "digest": repository.commit, "urls": [repository.url]}


def checkout(job: Job, root: str, repository: Repository, folder: str, tools: dict[str, str], bundle: str) -> str:
    """A copy of the commit below `folder`; the folder in it that is the package. What builds it may write into it.

    Raises:
        Failed: the commit cannot be had, or has no such folder.
    """
    source = source_of(repository)
    # Neither ext:: nor file: nor plain http, whatever a submodule names.
    safe = {**tools, "GIT_ALLOW_PROTOCOL": "https:ssh"}
    proven = fetch(job, root, repository.name or source["name"], source, safe, "", bundle)
    place = os.path.join(folder, repository.commit, source["name"])
    if not os.path.isdir(place):
        os.makedirs(os.path.dirname(place), exist_ok=True)
        unpack(job, proven, place, {}, tools)
    inner = os.path.realpath(os.path.join(place, repository.folder))
    if not (inner + os.sep).startswith(os.path.realpath(place) + os.sep) or not os.path.isdir(inner):
        raise Failed(f"{repository.url} has no folder {repository.folder}. Remedy: correct #subdirectory")
    return inner


def wheel(root: str, folder: str, python: list[str], build: Build) -> str:
    """Build the wheel of a package's folder, and return its path."""
    out = f"{folder.rstrip('/')}.wheel"
    shutil.rmtree(out, ignore_errors=True)
    build([uv(root), "build", "--quiet", "--wheel", *python, "--out-dir", out, folder])
    (name,) = [name for name in os.listdir(out) if name.endswith(".whl")]
    return os.path.join(out, name)


def localized(
    job: Job,
    root: str,
    requirements: Sequence[str],
    folder: str,
    python: list[str],
    tools: dict[str, str],
    bundle: str,
    build: Build,
) -> tuple[list[str], dict[str, str]]:
    """Requirements with repositories replaced by folders, and for each such line what a lock says in its place."""
    lines, places = [], {}
    for line in requirements:
        found = repositories(line)
        if not found:
            lines.append(line)
            continue
        (repository,) = found
        place = checkout(job, root, repository, folder, tools, bundle)
        name = repository.name
        if not name:  # only the built package says it
            name = normal(os.path.basename(wheel(root, place, python, build)).partition("-")[0])
        local = f"{name} @ file://{place}"
        lines.append(f"{name}{repository.extras} @ file://{place}")
        inner = f"#subdirectory={repository.folder}" if repository.folder else ""
        places[local] = f"{name} @ git+{repository.url}@{repository.commit}{inner}"
    return lines, places


def wheels(
    job: Job, root: str, lock: str, folder: str, python: list[str], tools: dict[str, str], bundle: str, build: Build
) -> list[str]:
    """Build a wheel for each line of a lock that takes a package from a repository; their paths."""
    found = repositories(lock)
    made = []
    for number, repository in enumerate(found, 1):
        job.progress("building from a repository", number, len(found), repository.name)
        place = checkout(job, root, repository, folder, tools, bundle)
        made.append(wheel(root, place, python, build))
    return made
