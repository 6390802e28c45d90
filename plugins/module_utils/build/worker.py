"""Build wheels from source, prove that each is what its recipe promised, and only then publish it under its wheel key.

::

    <root>/build/<name>/          while it is built: source/, env/, out/, trial/, home/; the same place each time, so that ccache hits
    <root>/cache/sources/         proven sources
    <root>/cache/ccache/          where the host has ccache
    <root>/wheels/<wheel key>/    the wheel, provenance.json, sbom.cdx.json; published by one rename
    <root>/state/build-memory.json  what a compile job of a package needed here, GiB
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import math
import os
import platform
import re
import resource
import shutil
import subprocess
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..audit.binaries import Unusable, inspect
from ..audit.linkage import system_libraries
from ..audit.verdict import Artifact
from ..host import store
from ..host.job import Failed, Job
from ..host.store import sha256
from ..host.tools import environment, explain, uv
from ..host.wheels import kept_wheel, wheel_folder
from ..plan.recipe import RESERVE_GIB, RecipeError, jobs, pins, place
from ..records.wheel import WheelSpec
from . import source
from .log import MEMORY, diagnose, progress
from .promise import broken, needed, sbom, targets

SBOM = "sbom.cdx.json"
COMPILERS = ("cc", "c++", "gcc", "g++", "clang", "clang++", "nvcc")


def build_wheels(
    job: Job, root: str, specs: list[WheelSpec], package_index: str, ccache_remote: str = ""
) -> dict[str, Any]:
    """Build each wheel that is not there yet; what was finished before a failure stays.

    Raises:
        Failed: a build went wrong; the reason, the remedy and the lines that matter.
    """
    built = []
    for number, spec in enumerate(specs, 1):
        if store.read_json(os.path.join(wheel_folder(root, spec["key"]), "provenance.json")) is None:
            with _Build(job, root, spec, package_index, ccache_remote, (number, len(specs))) as build:
                build.run()
            built.append(spec["name"])
    return {"built": built}


class _Build:
    """One build: its folders, its environment, and the steps in order. Leaving it removes whatever was not published."""

    def __init__(
        self, job: Job, root: str, spec: WheelSpec, package_index: str, ccache_remote: str, turn: tuple[int, int]
    ) -> None:
        self.job, self.root, self.spec, self.index, self.turn = job, root, spec, package_index, turn
        self.title = f"{spec['name']} {spec['version']}"
        self.place = os.path.join(root, "build", spec["name"])
        self.staging = os.path.join(root, "wheels", f".staging-{spec['key']}")
        self.tools = environment(root, package_index)
        self.tools["HOME"] = self.at(
            "home"
        )  # ~/.pydistutils.cfg, ~/.config/pip and the like would change the build unseen
        self.tools["PIP_CONFIG_FILE"] = os.devnull
        self.remote = ccache_remote
        self.memory_path = os.path.join(root, "state", "build-memory.json")
        self.started = time.time()
        self.used_jobs = 0
        self.largest_before = _largest_child_gib()
        self.peak: float | None = None
        self.environment: dict[str, str] = {}
        self.commands: list[list[str]] = []

    def __enter__(self) -> _Build:
        for folder in (os.path.join(self.root, "build"), self.staging, wheel_folder(self.root, self.spec["key"])):
            store.remove(folder)  # what a killed build left behind; one works on a host at a time
        for folder in (self.at("home"), self.at("out"), self.at("trial"), self.staging):
            os.makedirs(folder)
        return self

    def __exit__(self, *_: object) -> None:
        for folder in (os.path.join(self.root, "build"), self.staging):
            shutil.rmtree(folder, ignore_errors=True)

    def at(self, *names: str) -> str:
        """A path in the build's own folder."""
        return os.path.join(self.place, *names)

    def say(self, detail: str) -> None:
        """Tell what is being done."""
        self.job.progress(f"building {self.title}", *self.turn, detail)

    def run(self) -> None:
        """All steps; the last one publishes.

        Raises:
            Failed: the reason, the remedy, and the lines that matter.
        """
        spec = self.spec
        self.say("source")
        bundle = spec.get("bundle", "")
        proven = source.fetch(self.job, self.root, spec["name"], spec["source"], self.tools, self.index, bundle)
        source.unpack(self.job, proven, self.at("source"), spec["patches"], self.tools)
        self.say("build requirements")
        self._environment(self.at("env"))
        wheel = self._tagged(self._compiled())
        self.say("audit")
        artifact, available = self._read(wheel)
        with zipfile.ZipFile(wheel) as archive:
            files = archive.namelist()
            problems = [*broken(spec, artifact, os.path.basename(wheel), files, available), *_wrong_record(archive)]
        if problems:
            raise Failed(
                f"the wheel built for {self.title} is not what its recipe promises: {'; '.join(problems)}. Remedy: correct the recipe"
            )
        self.say("trying the wheel")
        self._try(wheel)
        self._publish(wheel, artifact)

    def _tool(self, *argv: str) -> None:
        try:
            self.job.run([uv(self.root), *argv], self.tools)
        except Failed as error:
            raise explain(error, f"building {self.title}") from error

    def _environment(self, prefix: str) -> str:
        """A virtual environment with the build requirements and the wheels this one is compiled against; its Python."""
        python = os.path.join(prefix, "bin", "python")
        lock = f"{prefix}.txt"
        store.write_text(lock, self.spec["build_lock"])
        self._tool("venv", "--quiet", "--no-project", "--python", self.spec["python"], prefix)
        add = ("pip", "install", "--quiet", "--python", python)
        self._tool(*add, "--require-hashes", "-r", lock)
        for entry in self.spec["against"]:
            if entry["key"]:
                self._tool(*add, "--no-deps", "--no-index", kept_wheel(self.root, entry["key"]))
            else:
                store.write_text(lock, entry["lock"])
                self._tool(*add, "--require-hashes", "-r", lock)
        return python

    # --- compile

    def _compiled(self) -> str:
        """Run the build's commands, with fewer jobs where memory was not enough; the path of the wheel."""
        per_job = float(self.spec["memory_gib"])
        available = _available_gib()
        cores = len(os.sched_getaffinity(0))
        self.used_jobs = jobs(cores, available, per_job)
        self.say(f"compiling, {self.used_jobs} jobs")
        while True:
            start = os.path.getsize(self.job.log_path) if os.path.exists(self.job.log_path) else 0
            try:
                self._commands(self.used_jobs, start)
                break
            except Failed as error:
                found = diagnose(_read_from(self.job.log_path, start).decode(errors="replace"))
                if found.kind == MEMORY or "status -9" in str(error):
                    # So that the rule gives half the jobs on the same machine from now on, also in the next plan.
                    self._remember(max(per_job, (available - RESERVE_GIB) / max(1, self.used_jobs // 2)))
                    if self.used_jobs > 1:
                        self.used_jobs //= 2
                        self.say(f"out of memory, again with {self.used_jobs} jobs")
                        continue
                raise Failed(
                    f"building {self.title}: {found.problem}. Remedy: {found.remedy}; the whole log: {self.job.log_path}",
                    found.lines,
                ) from error
        if _largest_child_gib() > self.largest_before:  # else it was a process of an earlier build
            self.peak = round(_largest_child_gib(), 2)
            self._remember(self.peak)
        wheels = [name for name in os.listdir(self.at("out")) if name.endswith(".whl")]
        if len(wheels) != 1:
            raise Failed(
                f"building {self.title} gave {len(wheels)} wheels, not one. Remedy: correct the recipe's commands; see {self.job.log_path}"
            )
        return self.at("out", wheels[0])

    def _commands(self, count: int, start: int) -> None:
        places = {
            "jobs": str(count),
            "out": self.at("out"),
            "path": self.tools["PATH"],
            "prefix": self.at("env"),
            "python": self.at("env", "bin", "python"),
            "source": self.at("source"),
        }
        try:
            self.environment, self.commands = place(self.spec, places)
        except RecipeError as error:
            raise Failed(str(error)) from error
        whole = {**self.tools, **self.environment, **self._ccache()}
        watch = _Watch(self, start)
        for argv in self.commands:
            self.job.run(argv, whole, folder=self.at("source"), watch=watch)

    def _ccache(self) -> dict[str, str]:
        """Compilers found on PATH become ccache's, where the host has it: no build has to know of it."""
        program = shutil.which("ccache", path=self.tools["PATH"])
        if program is None:
            return {}
        folder = self.at("ccache")
        os.makedirs(folder, exist_ok=True)
        path = self.environment["PATH"]
        for name in COMPILERS:
            link = os.path.join(folder, name)
            if shutil.which(name, path=path) and not os.path.lexists(link):
                os.symlink(program, link)
        settings = {
            "PATH": folder + os.pathsep + path,
            "CCACHE_DIR": os.path.join(self.root, "cache", "ccache"),
            "CCACHE_COMPILERCHECK": "content",  # a compiler is what its bytes are, not when it was installed
            "CCACHE_BASEDIR": self.place,
        }
        if "CUDA_HOME" in self.environment:
            # torch.utils.cpp_extension starts nvcc by its full path unless told otherwise (torch 2.10.0, cpp_extension.py, PYTORCH_NVCC).
            settings["PYTORCH_NVCC"] = os.path.join(folder, "nvcc")
            settings["CMAKE_CUDA_COMPILER_LAUNCHER"] = program
        if self.remote:
            settings["CCACHE_REMOTE_STORAGE"] = self.remote
        return settings

    def _remember(self, gib: float) -> None:
        known = store.read_json(self.memory_path) or {}
        known[self.spec["name"]] = math.floor(max(gib, known.get(self.spec["name"], 0.0)) * 100) / 100
        store.write_json(self.memory_path, known)

    def _tagged(self, wheel: str) -> str:
        """Say in the wheel's name the oldest glibc it runs with, where auditwheel is among the build requirements and can tell.

        A wheel that needs libraries of another wheel (torch's) stays ``linux_<architecture>``: it is for this fleet only.
        """
        tool, python = self.at("env", "bin", "auditwheel"), self.at("env", "bin", "python")
        if not os.path.exists(tool):
            return wheel
        done = subprocess.run(
            [python, "-I", tool, "show", "--json", wheel], env=self.tools, capture_output=True, text=True, check=False
        )
        try:
            tag = json.loads(done.stdout)["overall_tag"]
        except (ValueError, KeyError):
            return wheel  # no compiled code
        if tag.startswith("linux_"):
            return wheel
        folder, name = os.path.split(wheel)
        self.job.run(
            [python, "-I", "-m", "wheel", "tags", "--remove", "--platform-tag", tag, name], self.tools, folder=folder
        )
        (name,) = (entry for entry in os.listdir(folder) if entry.endswith(".whl"))
        return os.path.join(folder, name)

    # --- prove

    def _read(self, wheel: str) -> tuple[Artifact, set[str]]:
        """The wheel's libraries, and the names of those that the system and its environment have."""
        try:
            artifact = inspect(wheel)
        except Unusable as error:
            raise Failed(str(error)) from error
        ours = {path.name for path in Path(self.at("env", "lib")).rglob("*.so*")}
        folders = [folder for folder in ("/lib", "/usr/lib", "/lib64") if os.path.isdir(folder)]
        triplet = f"{os.uname().machine}-linux-gnu"
        system = {name for folder in folders for sub in ("", triplet) for name in _names(os.path.join(folder, sub))}
        return artifact, ours | system | system_libraries()

    def _try(self, wheel: str) -> None:
        """Install the wheel into an environment it was not built in, load its compiled modules, run the recipe's smoke test."""
        python = self._environment(self.at("try"))
        self._tool("pip", "install", "--quiet", "--python", python, "--no-deps", "--no-index", wheel)
        contents = self.spec["contents"]
        trials = [(f"compiled module {name}", [_LOAD, name]) for name in contents["extensions"]]
        if self.spec["smoke"]:
            trials.append(("smoke test", [self.spec["smoke"]]))
        for what, program in trials:
            try:
                self.job.run([python, "-I", "-c", *program], self.tools, folder=self.at("trial"))
            except Failed as error:
                problem = f"the wheel built for {self.title} does not work: its {what} failed"
                raise Failed(f"{problem}. Remedy: see the lines below, then mend its recipe", error.log) from error

    # --- publish

    def _publish(self, wheel: str, artifact: Artifact) -> None:
        spec, name = self.spec, os.path.basename(wheel)
        digest, versions = sha256(wheel), self._versions()
        provenance = {
            "schema": 1,
            "wheel": name,
            "sha256": digest,
            "source": spec["source"],
            "patches": {patch: hashlib.sha256(text.encode()).hexdigest() for patch, text in spec["patches"].items()},
            "recipe": {key: spec[key] for key in ("name", "version", "contents", "smoke", "memory_gib")},
            "build_requirements": [line.rstrip(" \\") for line in pins(spec["build_lock"]) if not line.startswith(" ")],
            "build_lock_sha256": hashlib.sha256(spec["build_lock"].encode()).hexdigest(),
            "against": [{key: entry[key] for key in ("name", "version", "key")} for entry in spec["against"]],
            "variant": spec["variant"],
            "compiler": spec["compiler"],
            "cuda": spec["cuda"],
            "environment": {key: value for key, value in self.environment.items() if key != "PATH"},
            "commands": self.commands,
            "tools": versions,
            "targets": targets(artifact),
            **needed(artifact),
            "needed_by": spec.get("needed_by", []),
            "machine": platform.platform(),
            "jobs": self.used_jobs,
            "gib_per_job": self.peak,
            "seconds": round(time.time() - self.started, 1),
        }
        store.write_json(os.path.join(self.staging, "provenance.json"), provenance)
        store.write_json(os.path.join(self.staging, SBOM), sbom(spec, name, digest, versions))
        os.rename(wheel, os.path.join(self.staging, name))
        os.rename(self.staging, wheel_folder(self.root, spec["key"]))

    def _versions(self) -> dict[str, str]:
        """What the tools on the build's PATH say of themselves, in their own first line."""
        found = {"python": self.spec["python"], "platform": platform.platform()}
        path = self.environment["PATH"]
        for name in ("gcc", "g++", "ld", "nvcc", "cmake", "ninja", "ccache"):
            program = shutil.which(name, path=path)
            if program:
                done = subprocess.run(
                    [program, "--version"],
                    env={**self.tools, "PATH": path},
                    capture_output=True,
                    text=True,
                    check=False,
                )
                lines = [line for line in done.stdout.splitlines() if re.search(r"\d+\.\d+", line)]
                found[name] = lines[0].strip() if lines else ""
        done = subprocess.run([self.at("env", "bin", "python"), "-IV"], capture_output=True, text=True, check=False)
        return {**found, "python": done.stdout.strip()}


class _Watch:
    """Reads what a build adds to the log, and says how far it is."""

    def __init__(self, build: _Build, start: int) -> None:
        self.build, self.offset, self.compiled, self.said = build, start, 0, ""

    def __call__(self) -> None:
        output = _read_from(self.build.job.log_path, self.offset)
        end = output.rfind(b"\n") + 1
        self.offset += end
        n, m, compiled = progress(output[:end].decode(errors="replace"))
        self.compiled += compiled
        said = f"{n}/{m}" if m else f"{self.compiled} files" if self.compiled else ""
        if said and said != self.said:
            self.said = said
            self.build.say(f"compiling {said}, {self.build.used_jobs} jobs")


def _read_from(path: str, start: int) -> bytes:
    with open(path, "rb") as file:
        file.seek(start)
        return file.read()


def _largest_child_gib() -> float:
    """Memory of the largest process that this one, or a process it started, has waited for."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20


def _available_gib() -> float:
    """MemAvailable: what can be had without swapping; on unified memory what the GPU took is not in it."""
    with open("/proc/meminfo", encoding="ascii") as file:
        found = re.search(r"^MemAvailable:\s+(\d+) kB", file.read(), re.MULTILINE)
    return int(found[1]) / 2**20 if found else 0.0


def _names(folder: str) -> Sequence[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return ()


def _wrong_record(archive: zipfile.ZipFile) -> list[str]:
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


_LOAD = """\
import importlib.util, pathlib, sys, sysconfig
folder = pathlib.Path(sysconfig.get_paths()["platlib"])
name = sys.argv[1]
path = folder.joinpath(*name.split("."))
files = [file for suffix in (sysconfig.get_config_var("EXT_SUFFIX"), ".abi3.so", ".so") if (file := path.with_name(path.name + suffix)).exists()]
importlib.util.module_from_spec(importlib.util.spec_from_file_location(name, files[0]))
"""
"""Load one compiled module by its file: its package may import what only the finished environment has (torch)."""
