"""Prove a built wheel: what it holds, that it was put together right, and that it works where it was not built."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import os
import re
import subprocess
import zipfile
from collections.abc import Sequence
from pathlib import Path

from ..audit.binaries import Unusable, inspect
from ..audit.linkage import system_libraries
from ..audit.verdict import Artifact
from ..host.job import Failed
from .site import Site


def tagged(site: Site, wheel: str) -> str:
    """Say in the wheel's name the oldest glibc it runs with, where auditwheel is among the build requirements and can tell.

    A wheel that needs libraries of another wheel (torch's) stays ``linux_<architecture>``: it is for this fleet only.
    """
    tool, python = site.at("env", "bin", "auditwheel"), site.at("env", "bin", "python")
    if not os.path.exists(tool):
        return wheel
    done = subprocess.run(
        [python, "-I", tool, "show", "--json", wheel], env=site.tools, capture_output=True, text=True, check=False
    )
    try:
        tag = json.loads(done.stdout)["overall_tag"]
    except (ValueError, KeyError):
        return wheel  # no compiled code
    if tag.startswith("linux_"):
        return wheel
    folder, name = os.path.split(wheel)
    site.job.run(
        [python, "-I", "-m", "wheel", "tags", "--remove", "--platform-tag", tag, name], site.tools, folder=folder
    )
    (name,) = (entry for entry in os.listdir(folder) if entry.endswith(".whl"))
    return os.path.join(folder, name)


def read(site: Site, wheel: str) -> tuple[Artifact, set[str]]:
    """The wheel's libraries, and the names of those that the system and its environment have."""
    try:
        artifact = inspect(wheel)
    except Unusable as error:
        raise Failed(str(error)) from error
    ours = {path.name for path in Path(site.at("env", "lib")).rglob("*.so*")}
    folders = [folder for folder in ("/lib", "/usr/lib", "/lib64") if os.path.isdir(folder)]
    triplet = f"{os.uname().machine}-linux-gnu"
    system = {name for folder in folders for sub in ("", triplet) for name in _names(os.path.join(folder, sub))}
    return artifact, ours | system | system_libraries()


def try_out(site: Site, wheel: str) -> None:
    """Install the wheel into an environment it was not built in, load its compiled modules, run the recipe's smoke test."""
    python = site.environment(site.at("try"))
    site.tool("pip", "install", "--quiet", "--python", python, "--no-deps", "--no-index", wheel)
    contents = site.spec["contents"]
    trials = [(f"compiled module {name}", [_LOAD, name]) for name in contents["extensions"]]
    if site.spec["smoke"]:
        trials.append(("smoke test", [site.spec["smoke"]]))
    for what, program in trials:
        try:
            site.job.run([python, "-I", "-c", *program], site.tools, folder=site.at("trial"))
        except Failed as error:
            problem = f"the wheel built for {site.title} does not work: its {what} failed"
            raise Failed(f"{problem}. Remedy: see the lines below, then fix its recipe", error.log) from error


def wrong_record(archive: zipfile.ZipFile) -> list[str]:
    """What the wheel's RECORD says that its files are not."""
    names = {name for name in archive.namelist() if not name.endswith("/")}
    records = [name for name in names if re.fullmatch(r"[^/]+\.dist-info/RECORD", name)]
    if len(records) != 1:
        return [f"it has {len(records)} RECORD files, not one"]
    rows = list(csv.reader(io.StringIO(archive.read(records[0]).decode())))
    problems, listed = [], {row[0] for row in rows if row}
    for row in rows:
        if len(row) < 2 or not row[1]:
            continue
        kind, _, value = row[1].partition("=")
        if row[0] not in names:
            problems.append(f"RECORD names {row[0]}, which is not in it")
        elif kind == "sha256":
            digest = hashlib.sha256()
            with archive.open(row[0]) as file:
                while block := file.read(1 << 20):
                    digest.update(block)
            if base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode() != value:
                problems.append(f"{row[0]} is not what RECORD says")
    signatures = {f"{records[0]}.jws", f"{records[0]}.p7s"}
    problems += [f"RECORD does not name {name}" for name in sorted(names - listed - signatures)[:5]]
    return problems


def _names(folder: str) -> Sequence[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return ()


_LOAD = """\
import importlib.util, pathlib, sys, sysconfig
folder = pathlib.Path(sysconfig.get_paths()["platlib"])
name = sys.argv[1]
path = folder.joinpath(*name.split("."))
files = [file for suffix in (sysconfig.get_config_var("EXT_SUFFIX"), ".abi3.so", ".so") if (file := path.with_name(path.name + suffix)).exists()]
importlib.util.module_from_spec(importlib.util.spec_from_file_location(name, files[0]))
"""
"""Load one compiled module by its file: its package may import what only the finished environment has (torch)."""
