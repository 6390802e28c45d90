#!/usr/bin/env python3
"""Building one package: what our build adds to a bare `pip wheel`, what ccache saves after a change of one line, how long a hit takes.

    benchmarks/build.py [--package pyopenjtalk] [--fromager PYTHON]

Side by side, in one run, from the same source archive, which is fetched before anything is timed. Each build starts from nothing but the downloads.
fromager 0.101 needs Python 3.12 or newer, so it is told which; ours is run by the Python that runs this.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "collections")]

from ansible_collections.wavesmith.provision.plugins.module_utils.build import source as build_source  # noqa: E402
from ansible_collections.wavesmith.provision.plugins.module_utils.build import worker  # noqa: E402
from ansible_collections.wavesmith.provision.plugins.module_utils.host import module, tools  # noqa: E402
from ansible_collections.wavesmith.provision.plugins.module_utils.host import wheels as host_wheels  # noqa: E402
from ansible_collections.wavesmith.provision.plugins.module_utils.host.job import Job  # noqa: E402
from ansible_collections.wavesmith.provision.plugins.module_utils.observe import probe  # noqa: E402
from ansible_collections.wavesmith.provision.plugins.module_utils.plan import recipe  # noqa: E402
from ansible_collections.wavesmith.provision.plugins.module_utils.terms.variant import Variant  # noqa: E402
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.catalog import INDEX, Catalog, Origin, Recipe  # noqa: E402
from ansible_collections.wavesmith.provision.plugins.plugin_utils import catalog_files  # noqa: E402

PYTHON = os.path.realpath(sys.executable)
FROMAGER = "fromager==0.101.0"


@dataclass(frozen=True, order=True)
class Took:
    """What something took: seconds of CPU, which other work on the machine changes less, and seconds that passed."""

    cpu: float
    wall: float

    def __str__(self) -> str:
        return f"{self.cpu:7.2f} s of CPU, {self.wall:7.2f} s passed"


def took(work: Callable[[], object]) -> Took:
    """Run it, and all the processes that it starts."""
    started, before = time.monotonic(), sum(os.times()[:4])
    work()
    return Took(sum(os.times()[:4]) - before, time.monotonic() - started)


class Phases(Job):
    """A job that knows how many seconds passed in each part of a build."""

    def __init__(self, folder: str, lock: int) -> None:
        super().__init__(folder, lock)
        self.parts: dict[str, float] = {}
        self._part, self._since = "", 0.0

    def progress(self, phase: str, n: int = 0, m: int = 0, detail: str = "") -> None:
        """What is said begins the next part; the numbers in it (`compiling 3 files`) do not."""
        super().progress(phase, n, m, detail)
        now, part = time.monotonic(), "compiling" if detail.startswith("compiling") else detail
        if part != self._part:
            if self._part:
                self.parts[self._part] = now - self._since
            self._part, self._since = part, now

    def __str__(self) -> str:
        return ", ".join(f"{part} {seconds:.1f} s" for part, seconds in self.parts.items())


class Bench:
    """A folder with a toolbox, the source, and the builds of one package."""

    def __init__(self, folder: Path, package: str) -> None:
        self.root, self.package = str(folder), package
        self.index = module.package_index("")
        tools.make_toolbox(self.root, "bench", (ROOT / "requirements" / "toolbox.txt").read_text(), self.index)
        (folder / "state" / "bench").mkdir(parents=True)
        self.job = Phases(str(folder / "state" / "bench"), os.open(os.devnull, os.O_RDONLY))
        self.catalog = catalog_files.load()
        found = self.catalog.packages[package].recipe
        assert found is not None
        self.recipe: Recipe = found
        observed = probe.observe(root=self.root)
        minor = f"{sys.version_info[0]}.{sys.version_info[1]}"
        self.target = recipe.target_of(observed, Variant(minor, "cpu", "", observed["cpu"]["isa"]))
        self.tools = tools.environment(self.root, self.index)
        self.archive = build_source.fetch(self.job, self.root, package, self.spec()["source"], self.tools, self.index)

    def spec(self, made: Recipe | None = None, **target: Any) -> dict[str, Any]:
        """The build of the recipe, or of a changed one."""
        package = replace(self.catalog.packages[self.package], recipe=made or self.recipe)
        catalog = Catalog(
            {}, {self.package: package}, {}, self.catalog.platforms, self.catalog.apt_run, self.catalog.apt_build
        )
        origin = Origin("package_index", INDEX, "", "", 0.0, "")
        (spec,), problems = recipe.builds([self.package], catalog, {}, origin, replace(self.target, **target), PYTHON)
        assert not problems, problems
        return spec

    def build(self, made: Recipe | None = None) -> None:
        """Build it as a host does; nothing of an earlier one is left but downloads and ccache."""
        spec = self.spec(made)
        shutil.rmtree(host_wheels.wheel_folder(self.root, spec["key"]), ignore_errors=True)
        self.want(spec)

    def want(self, spec: dict[str, Any]) -> bool:
        """Build it unless its wheel is there; whether it was built."""
        self.job.parts.clear()
        built = worker.build_wheels(self.job, self.root, [spec], self.index)["built"]
        self.job.progress("done")
        return bool(built)

    def bare(self) -> None:
        """What a person would type: pip with its own isolated environment, and the same flags for the compiler."""
        out = tempfile.mkdtemp(dir=self.root)
        environment, _ = recipe.place(self.spec(), dict.fromkeys(recipe.PLACES, "1"))
        flags = {name: text for name, text in environment.items() if name.endswith("FLAGS")}
        argv = [str(Path(self.root, "toolbox/current/bin/python")), "-m", "pip", "wheel", "--quiet", "--no-deps"]
        python = Path(self.root, "bare", "bin", "python")
        if not python.exists():
            subprocess.run([PYTHON, "-m", "venv", str(python.parents[1])], check=True)
        subprocess.run(
            [str(python), *argv[1:], "--wheel-dir", out, self.archive], env={**self.tools, **flags}, check=True
        )

    def changed(self) -> Recipe:
        """The recipe with a patch that adds a line to the first C or C++ file of the source."""
        folder = Path(tempfile.mkdtemp(dir=self.root)) / "source"
        build_source.unpack(self.job, self.archive, str(folder), {}, self.tools)
        files = [path for path in sorted(folder.rglob("*")) if path.suffix in (".pyx", ".c", ".cpp")]
        path = next((path for path in files if path.suffix == ".cpp"), files[0])
        first = path.read_text(encoding="utf-8").splitlines()[0]
        name = path.relative_to(folder)
        comment = "#" if path.suffix == ".pyx" else "//"
        patch = f"--- a/{name}\n+++ b/{name}\n@@ -1 +1,2 @@\n {first}\n+{comment} a line more\n"
        (release, *others) = self.recipe.releases
        return replace(self.recipe, releases=(replace(release, patches={"patches/line.patch": patch}), *others))


class Fromager:
    """The same package by fromager, in a folder of its own.

    Its build requirements come as wheels, as ours do: left to itself it bootstraps them from source too, numpy and all that numpy is built with.
    """

    def __init__(self, bench: Bench, folder: Path, python: str) -> None:
        self.folder, self.tools = folder, bench.tools
        self.wanted = f"{bench.package}=={bench.recipe.releases[0].version}"
        subprocess.run([python, "-m", "venv", str(folder / "tool")], check=True)
        pip = [str(folder / "tool/bin/python"), "-m", "pip", "install", "-qq", FROMAGER]
        subprocess.run(pip, env=bench.tools, check=True)
        settings = folder / "overrides" / "settings"
        settings.mkdir(parents=True)
        # It asks the public index whatever pip is set to.
        server = f", wheel_server_url: {json.dumps(bench.index)}" if bench.index else ""
        variants = "".join(f"  {name}: {{pre_built: true{server}}}\n" for name in ("cpu", "cuda"))
        for line in recipe.pins(bench.spec()["build_lock"]):
            if line.startswith(" "):
                continue  # a hash of the line before
            (settings / f"{line.partition('==')[0].replace('-', '_')}.yaml").write_text(f"variants:\n{variants}")
        if bench.index:
            source = f"resolver_dist: {{sdist_server_url: {json.dumps(bench.index)}}}\n"
            (settings / f"{bench.package}.yaml").write_text(source)

    def bootstrap(self, flags: str = "", variant: str = "cpu") -> bool:
        """Ask for the wheel; whether it was built."""
        argv = [str(self.folder / "tool/bin/fromager"), "--no-network-isolation", "--variant", variant, "bootstrap"]
        path = f"{self.folder / 'tool/bin'}:{self.tools['PATH']}"
        before = self.wheels()
        done = subprocess.run(
            [*argv, self.wanted],
            cwd=self.folder,
            env={**self.tools, "CFLAGS": flags, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            sys.exit(f"fromager did not build {self.wanted}:\n{done.stderr[-2000:]}")
        return self.wheels() != before

    def wheels(self) -> dict[Path, int]:
        """The wheels that it built, and when."""
        return {path: path.stat().st_mtime_ns for path in (self.folder / "wheels-repo/downloads").glob("*.whl")}


def compare(bench: Bench, folder: Path, python: str) -> None:
    """Ask ours and fromager for the same wheel, twice, and for wheels that must differ."""
    theirs = Fromager(bench, folder, python)
    flags = {name: "-O1" for setting in bench.recipe.settings for name in setting.variables if name.endswith("FLAGS")}
    changed = replace(
        bench.recipe, settings=(*bench.recipe.settings, replace(bench.recipe.settings[0], variables=flags))
    )
    cuda = replace(bench.target.variant, backend="cuda13_0", sm="12.0")
    shutil.rmtree(Path(bench.root, "wheels"))
    shutil.rmtree(Path(bench.root, "cache", "ccache"), ignore_errors=True)
    asked: list[tuple[str, dict[str, str], Callable[[], bool]]] = [
        ("the first build", {}, lambda: bench.want(bench.spec())),
        ("the same again", {}, lambda: command(bench)),
        ("other CFLAGS", {"flags": "-O1"}, lambda: bench.want(bench.spec(changed))),
        ("another variant", {"variant": "cuda"}, lambda: bench.want(bench.spec(variant=cuda))),
    ]
    print(f"{'':<20}{FROMAGER:<40}wavesmith")
    for what, options, ours in asked:
        line = f"  {what:<18}"
        for ask in (partial(theirs.bootstrap, **options), ours):
            built: list[bool] = []
            spent = took(lambda ask=ask, built=built: built.append(ask()))  # type: ignore[misc]
            line += f"{spent.wall:6.2f} s, {'built' if built[0] else 'the wheel that was there':<30}"
        print(line.rstrip())


def command(bench: Bench) -> bool:
    """A hit as a person has it: the whole command."""
    argv = [sys.executable, "-I", str(ROOT / "wavesmith"), "build", "--root", bench.root, "--stack", "none"]
    argv += ["--package", bench.package]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return done.stdout.startswith("built")


def main() -> int:
    """Run all, print one line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--package", default="pyopenjtalk", help="a package whose recipe builds an archive of the index"
    )
    parser.add_argument("--repeat", type=int, default=2, help="how often each is built; the best counts")
    parser.add_argument(
        "--fromager", metavar="PYTHON", help="compare with fromager too, run by this Python (3.12 or newer)"
    )
    arguments = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    with tempfile.TemporaryDirectory(prefix="wavesmith-bench-") as scratch:
        bench = Bench(Path(scratch), arguments.package)
        ccache = Path(bench.root, "cache", "ccache")
        bench.build()
        bench.bare()  # both have fetched their build requirements now
        ours, bare = [], []
        for _ in range(arguments.repeat):
            shutil.rmtree(ccache, ignore_errors=True)
            ours.append((took(bench.build), str(bench.job)))
            bare.append(took(bench.bare))
        best, phases = min(ours)
        print(
            f"{arguments.package} {bench.recipe.releases[0].version}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
        )
        print(f"bare pip wheel                  {min(bare)}")
        cache = ", ccache empty" if shutil.which("ccache") else ""
        print(f"wavesmith, audited and tried    {best}  ({best.cpu / min(bare).cpu:.2f} times the CPU{cache})")
        print(f"  {phases}")
        if shutil.which("ccache"):
            line = took(lambda: bench.build(bench.changed()))
            print(f"after a change of one line      {line}  ({best.cpu / line.cpu:.1f} times less CPU, ccache full)")
            print(f"  {bench.job}")
        bench.build()
        hits = [took(lambda: command(bench)) for _ in range(7)]
        print(f"a hit, as a command             {min(hits)}  (best of 7)")
        if arguments.fromager:
            place = Path(scratch, "compare")
            place.mkdir()
            compare(bench, place, arguments.fromager)
    return 0


if __name__ == "__main__":
    sys.exit(main())
