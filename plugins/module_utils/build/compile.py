"""Run the commands of a build: with as many jobs as memory allows, through ccache, watched."""

from __future__ import annotations

import math
import os
import re
import resource
import shutil

from ..failures.probes import facts
from ..host import store
from ..host.job import Failed
from ..observe.host import Host
from ..plan.recipe import RESERVE_GIB, RecipeError, jobs, place
from ..records.wheel import WheelSpec
from .log import MEMORY, diagnose, progress
from .site import Site

COMPILERS = ("cc", "c++", "gcc", "g++", "clang", "clang++", "nvcc")


class Compilation:
    """One run of a build's commands, and what it took.

    Attributes:
        jobs: How many ran at once.
        peak: GiB of the largest process; `None` where it was smaller than one of an earlier build.
        environment: Variables of the build, filled in.
        commands: What was run, filled in.
    """

    def __init__(self, site: Site, ccache_remote: str) -> None:
        self.site, self.remote = site, ccache_remote
        self.jobs = 0
        self.peak: float | None = None
        self.environment: dict[str, str] = {}
        self.commands: list[list[str]] = []
        self._memory_path = os.path.join(site.root, "state", "build-memory.json")
        self._largest_before = _largest_child_gib()

    def run(self) -> str:
        """Run the commands, with fewer jobs where memory was not enough; the path of the wheel.

        Raises:
            Failed: the reason, the remedy, and the lines that matter.
        """
        site = self.site
        per_job = float(site.spec["memory_gib"])
        available = _available_gib()
        cores = len(os.sched_getaffinity(0))
        self.jobs = jobs(cores, available, per_job)
        site.say(f"compiling, {self.jobs} jobs")
        while True:
            start = os.path.getsize(site.job.log_path) if os.path.exists(site.job.log_path) else 0
            try:
                self._commands(self.jobs, start)
                break
            except Failed as error:
                said = _read_from(site.job.log_path, start).decode(errors="replace")
                found = diagnose(said, site.job.known, {**facts(Host()), **_facts(site.spec)})
                if found.kind == MEMORY or "status -9" in str(error):
                    # So that the rule gives half the jobs on the same machine from now on, also in the next plan.
                    self._remember(max(per_job, (available - RESERVE_GIB) / max(1, self.jobs // 2)))
                    if self.jobs > 1:
                        self.jobs //= 2
                        site.say(f"out of memory, again with {self.jobs} jobs")
                        continue
                raise Failed(
                    f"building {site.title}: {found.problem}. Remedy: {found.remedy}; the whole log: {site.job.log_path}",
                    found.lines,
                ) from error
        if _largest_child_gib() > self._largest_before:  # else it was a process of an earlier build
            self.peak = round(_largest_child_gib(), 2)
            self._remember(self.peak)
        wheels = [name for name in os.listdir(site.at("out")) if name.endswith(".whl")]
        if len(wheels) != 1:
            raise Failed(
                f"building {site.title} gave {len(wheels)} wheels, not one. Remedy: correct the recipe's commands; see {site.job.log_path}"
            )
        return site.at("out", wheels[0])

    def _commands(self, count: int, start: int) -> None:
        site = self.site
        places = {
            "jobs": str(count),
            "out": site.at("out"),
            "path": site.tools["PATH"],
            "prefix": site.at("env"),
            "python": site.at("env", "bin", "python"),
            "source": site.at("source"),
        }
        try:
            self.environment, self.commands = place(site.spec, places)
        except RecipeError as error:
            raise Failed(str(error)) from error
        whole = {**site.tools, **self.environment, **self._ccache()}
        watch = _Watch(self, start)
        for argv in self.commands:
            site.job.run(argv, whole, folder=site.at("source"), watch=watch)

    def _ccache(self) -> dict[str, str]:
        """Compilers found on PATH become ccache's, where the host has it: no build has to know of it."""
        site = self.site
        program = shutil.which("ccache", path=site.tools["PATH"])
        if program is None:
            return {}
        folder = site.at("ccache")
        os.makedirs(folder, exist_ok=True)
        path = self.environment["PATH"]
        for name in COMPILERS:
            link = os.path.join(folder, name)
            if shutil.which(name, path=path) and not os.path.lexists(link):
                os.symlink(program, link)
        settings = {
            "PATH": folder + os.pathsep + path,
            "CCACHE_DIR": os.path.join(site.root, "cache", "ccache"),
            "CCACHE_COMPILERCHECK": "content",  # a compiler is what its bytes are, not when it was installed
            "CCACHE_BASEDIR": site.folder,
        }
        if "CUDA_HOME" in self.environment:
            # torch.utils.cpp_extension starts nvcc by its full path unless told otherwise (torch 2.10.0, cpp_extension.py, PYTORCH_NVCC).
            settings["PYTORCH_NVCC"] = os.path.join(folder, "nvcc")
            settings["CMAKE_CUDA_COMPILER_LAUNCHER"] = program
        if self.remote:
            # ccache 4.7 renamed it (doc/NEWS.adoc), and takes the old name too; Ubuntu 22.04 has 4.5.
            settings["CCACHE_REMOTE_STORAGE"] = settings["CCACHE_SECONDARY_STORAGE"] = self.remote
        return settings

    def _remember(self, gib: float) -> None:
        name = self.site.spec["name"]
        known = store.read_json(self._memory_path) or {}
        known[name] = math.floor(max(gib, known.get(name, 0.0)) * 100) / 100
        store.write_json(self._memory_path, known)


class _Watch:
    """Reads what a build adds to the log, and says how far it is."""

    def __init__(self, compilation: Compilation, start: int) -> None:
        self.compilation, self.offset, self.compiled, self.said = compilation, start, 0, ""

    def __call__(self) -> None:
        output = _read_from(self.compilation.site.job.log_path, self.offset)
        end = output.rfind(b"\n") + 1
        self.offset += end
        n, m, compiled = progress(output[:end].decode(errors="replace"))
        self.compiled += compiled
        said = f"{n}/{m}" if m else f"{self.compiled} files" if self.compiled else ""
        if said and said != self.said:
            self.said = said
            self.compilation.site.say(f"compiling {said}, {self.compilation.jobs} jobs")


def _facts(spec: WheelSpec) -> dict[str, str]:
    """What a build's own spec says that remedies depend on."""
    known = {"cuda": ".".join(spec["cuda"].split(".")[:2]), "gcc": spec["compiler"].removeprefix("gcc ")}
    return {name: value for name, value in known.items() if value}


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
