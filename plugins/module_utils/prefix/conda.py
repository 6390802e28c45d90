"""Make conda environments with py-rattler, which the toolbox has: resolve a lock, link its packages, tell conda of them."""

from __future__ import annotations

import inspect
import os
import shutil
import time
from collections.abc import Callable
from typing import cast

from ..host import store
from ..host.job import Failed, Job
from ..host.tools import environment
from ..plan.conda import history, lock_text, read_lock
from ..records import shape
from ..records.plan import ChannelPackage, CondaPlan
from ..records.task import (
    ChannelAnswer,
    ChannelContents,
    ChannelFetch,
    ChannelInstall,
    ChannelLockTask,
    ChannelSolve,
    ChannelWork,
    InstallTask,
)
from . import conda_worker as _conda_worker

# The module's archive is gone once the connection's own run has ended, so the worker's text is read at import.
_WORKER = inspect.getsource(_conda_worker)
LONGEST_PREFIX = 254
"""Packages hold a placeholder of 255 bytes for the path of their prefix (conda-build's default)."""


def solve(job: Job, root: str, spec: ChannelLockTask) -> str:
    """Ask the channels and return the text of the lock.

    Raises:
        Failed: a channel does not answer, or nothing there satisfies what is asked for.
    """
    job.progress("resolving", detail=spec["key"])
    question: ChannelSolve = {**_question(root, "solve", spec), "banned": spec["banned"]}
    return lock_text(_work(job, root, "solve", f"lock {spec['key']}", question)["records"])


def link(job: Job, root: str, spec: InstallTask, prefix: str) -> dict[str, str]:
    """Make the prefix from its conda lock; returns versions by name.

    Raises:
        Failed: a file cannot be had or is not the one its lock names; the unfinished prefix is removed.
    """
    item = f"environment {spec['environment']}"
    if len(prefix) > LONGEST_PREFIX:
        raise Failed(f"{item}: {prefix} is too long for conda packages. Remedy: set wavesmith_root to a shorter path")
    conda = spec["conda"]
    packages = _locked(item, conda)
    metas = os.path.join(prefix, "conda-meta")

    def watch() -> None:
        done = sum(name.endswith(".json") for name in os.listdir(metas)) if os.path.isdir(metas) else 0
        job.progress("linking" if done else "fetching", done, len(packages), "packages of the channel")

    question: ChannelInstall = {**_question(root, "install", conda), "packages": packages, "prefix": prefix}
    try:
        versions = _work(job, root, "install", item, question, watch)["packages"]
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
        store.write_text(os.path.join(metas, "history"), history(packages, conda["specs"], stamp))
    except BaseException:
        store.remove(prefix)
        raise
    return versions


def fetch(job: Job, root: str, spec: ChannelContents) -> list[tuple[ChannelPackage, str]]:
    """Each package of an environment's conda lock, with the path of its file in the cache.

    Raises:
        Failed: a file cannot be had or is not the one its lock names.
    """
    item, conda = f"environment {spec['environment']}", spec["conda"]
    packages = _locked(item, conda)
    question: ChannelFetch = {**_question(root, "fetch", conda), "packages": packages}
    archives = _work(job, root, "fetch", item, question)["archives"]
    return list(zip(packages, archives))


def _locked(item: str, conda: CondaPlan) -> list[ChannelPackage]:
    try:
        return read_lock(conda["lock"])
    except ValueError as error:
        raise Failed(
            f"{item}: its lock {conda['key']} is damaged: {error}. Remedy: remove the lock and run again"
        ) from error


def _question(root: str, verb: str, spec: CondaPlan | ChannelLockTask) -> ChannelWork:
    return {
        "specs": spec["specs"],
        "channels": spec["channels"],
        "subdir": spec["subdir"],
        "offline": spec["offline"],
        "cache": os.path.join(root, "cache", "conda"),
        "work": os.path.join(root, "state", f"conda-{verb}"),
    }


def _work(
    job: Job, root: str, verb: str, item: str, spec: ChannelWork, watch: Callable[[], None] | None = None
) -> ChannelAnswer:
    folder = spec["work"]
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder, mode=0o700)
    paths = {name: os.path.join(folder, name) for name in ("worker.py", "spec.json", "answer.json")}
    store.write_text(paths["worker.py"], _WORKER)
    # A channel's address may hold a password: the folder is for us alone, and gone afterwards.
    store.write_json(paths["spec.json"], spec)
    python = os.path.join(root, "toolbox", "current", "bin", "python")
    try:
        job.run(
            [python, "-I", paths["worker.py"], verb, paths["spec.json"], paths["answer.json"]],
            environment(root, ""),
            watch=watch,
        )
        answer = store.read_json(paths["answer.json"])
    except Failed as error:
        raise Failed(f"{item}: {error}. Remedy: see the tool's own output below", error.log) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if answer is None or shape.problems(answer, ChannelAnswer):
        raise Failed(f"{item}: the conda worker wrote no answer. Remedy: report it with {job.log_path}")
    if "failure" in answer:
        raise Failed(f"{item}: {answer['failure']}")
    return cast(ChannelAnswer, answer)


def channel_packages(prefix: str) -> dict[str, str]:
    """Versions by name of what ``conda list`` shows of a prefix; empty for one that is no conda environment."""
    metas = os.path.join(prefix, "conda-meta")
    names = (
        [name[: -len(".json")] for name in os.listdir(metas) if name.endswith(".json")] if os.path.isdir(metas) else []
    )
    return {name: version for name, version, _build in (entry.rsplit("-", 2) for entry in sorted(names))}


def register(root: str) -> None:
    """Keep our part of the user's list of conda environments true: each `current` that is one, and no other below `root`."""
    path = os.path.join(os.path.expanduser("~"), ".conda", "environments.txt")
    ours = os.path.join(root, "envs") + os.sep
    try:
        with open(path, encoding="utf-8") as file:
            before = file.read().splitlines()
    except OSError:
        before = []
    names = sorted(os.listdir(ours)) if os.path.isdir(ours) else []
    current = [os.path.join(ours, name, "current") for name in names]
    now = [line for line in before if not line.startswith(ours)]
    now += [place for place in current if os.path.exists(os.path.join(place, "conda-meta", "history"))]
    if now != before:
        store.write_text(path, "".join(f"{line}\n" for line in now))
