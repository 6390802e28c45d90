#!/usr/bin/env python3
"""Building one package: what our build adds to a bare `pip wheel`, what ccache saves after a change of one line, how long a hit takes.

    benchmarks/build.py [--package pyworld] [--fromager]

Side by side, in one run, from the same source archive, which is fetched before anything is timed. Each build starts from nothing but the downloads.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "collections")]

from ansible_collections.wavesmith.provision.plugins.module_utils import _build, _long, _probe, _source, _tools, recipe  # noqa: E402
from ansible_collections.wavesmith.provision.plugins.module_utils._job import Job  # noqa: E402
from ansible_collections.wavesmith.provision.plugins.module_utils.catalog import INDEX, Catalog, Origin, Recipe  # noqa: E402
from ansible_collections.wavesmith.provision.plugins.module_utils.variant import Variant  # noqa: E402
from ansible_collections.wavesmith.provision.plugins.plugin_utils import catalog_files  # noqa: E402

PYTHON = os.path.realpath(sys.executable)


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


class Bench:
    """A folder with a toolbox, the source, and the builds of one package."""

    def __init__(self, folder: Path, package: str) -> None:
        self.root, self.package = str(folder), package
        self.index = _long.package_index("")
        _tools.make_toolbox(self.root, "bench", (ROOT / "requirements" / "toolbox.txt").read_text(), self.index)
        (folder / "state" / "bench").mkdir(parents=True)
        self.job = Job(str(folder / "state" / "bench"), os.open(os.devnull, os.O_RDONLY))
        self.catalog = catalog_files.load()
        found = self.catalog.packages[package].recipe
        assert found is not None
        self.recipe: Recipe = found
        observed = _probe.observe(root=self.root)
        minor = f"{sys.version_info[0]}.{sys.version_info[1]}"
        self.target = recipe.target_of(observed, Variant(minor, "cpu", "", observed["cpu"]["isa"]))
        self.tools = _tools.environment(self.root, self.index)
        self.archive = _source.fetch(self.job, self.root, package, self.spec()["source"], self.tools, self.index)

    def spec(self, made: Recipe | None = None, **target: Any) -> dict[str, Any]:
        """The build of the recipe, or of a changed one."""
        package = replace(self.catalog.packages[self.package], recipe=made or self.recipe)
        catalog = Catalog({}, {self.package: package}, {}, self.catalog.platforms)
        origin = Origin("package_index", INDEX, "", "", 0.0, "")
        (spec,), problems = recipe.builds([self.package], catalog, {}, origin, replace(self.target, **target), PYTHON)
        assert not problems, problems
        return spec

    def build(self, made: Recipe | None = None) -> Path:
        """Build it as a host does; nothing of an earlier one is left but downloads and ccache."""
        spec = self.spec(made)
        shutil.rmtree(_build.wheel_folder(self.root, spec["key"]), ignore_errors=True)
        _build.build_wheels(self.job, self.root, [spec], self.index)
        return Path(_build.wheel_folder(self.root, spec["key"]))

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
        _source.unpack(self.job, self.archive, str(folder), {}, self.tools)
        files = [path for path in sorted(folder.rglob("*")) if path.suffix in (".pyx", ".c", ".cpp")]
        path = next((path for path in files if path.suffix == ".cpp"), files[0])
        first = path.read_text(encoding="utf-8").splitlines()[0]
        name = path.relative_to(folder)
        comment = "#" if path.suffix == ".pyx" else "//"
        patch = f"--- a/{name}\n+++ b/{name}\n@@ -1 +1,2 @@\n {first}\n+{comment} a line more\n"
        (release, *others) = self.recipe.releases
        return replace(self.recipe, releases=(replace(release, patches={"patches/line.patch": patch}), *others))


def fromager(bench: Bench, folder: Path) -> None:
    """The same package by fromager: the first build, a hit, and what it answers when the flags have changed."""
    tool = folder / "fromager"
    subprocess.run([PYTHON, "-m", "venv", str(tool)], check=True)
    subprocess.run([str(tool / "bin/pip"), "install", "--quiet", "fromager"], env=bench.tools, check=True)
    version = bench.recipe.releases[0].version
    listed = subprocess.run(
        [str(tool / "bin/pip"), "list", "--format=freeze"], capture_output=True, text=True, check=True
    ).stdout
    print(f"fromager {next(line for line in listed.splitlines() if line.startswith('fromager=='))}")

    def run(flags: str = "", variant: str = "cpu") -> Took:
        argv = [
            str(tool / "bin/fromager"),
            "--no-network-isolation",
            "--variant",
            variant,
            "bootstrap",
            f"{bench.package}=={version}",
        ]
        environment = {**bench.tools, "CFLAGS": flags, "PATH": f"{tool / 'bin'}:{bench.tools['PATH']}"}
        return took(lambda: subprocess.run(argv, cwd=folder, env=environment, capture_output=True, check=True))

    print(f"  the first build               {run()}")
    built = {path: path.stat().st_mtime_ns for path in folder.rglob("*.whl")}
    print(f"  the same again (a hit)        {run()}")
    for what, options in {"other CFLAGS": {"flags": "-O1"}, "another variant": {"variant": "cuda"}}.items():
        spent = run(**options)
        same = {path: path.stat().st_mtime_ns for path in folder.rglob("*.whl")} == built
        print(f"  {what:<28}  {spent}, {'the same wheel' if same else 'another wheel'}")


def main() -> int:
    """Run all, print one line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--package", default="pyworld", help="a package whose recipe builds an archive of the index")
    parser.add_argument("--repeat", type=int, default=2, help="how often each is built; the best counts")
    parser.add_argument("--fromager", action="store_true", help="compare with fromager too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="wavesmith-bench-") as scratch:
        bench = Bench(Path(scratch), arguments.package)
        ccache = Path(bench.root, "cache", "ccache")
        bench.build()
        shutil.rmtree(ccache, ignore_errors=True)
        bench.bare()  # both have fetched their build requirements now
        ours, bare = [], []
        for _ in range(arguments.repeat):
            shutil.rmtree(ccache, ignore_errors=True)
            ours.append(took(bench.build))
            bare.append(took(bench.bare))
        print(
            f"{arguments.package} {bench.recipe.releases[0].version}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
        )
        print(f"bare pip wheel                  {min(bare)}")
        cache = ", ccache empty" if shutil.which("ccache") else ""
        print(
            f"wavesmith, audited and tried    {min(ours)}  ({min(ours).cpu / min(bare).cpu:.2f} times the CPU{cache})"
        )
        if shutil.which("ccache"):
            line = took(lambda: bench.build(bench.changed()))
            print(
                f"after a change of one line      {line}  ({min(ours).cpu / line.cpu:.1f} times less CPU, ccache full)"
            )
        bench.build()
        command = [
            sys.executable,
            "-I",
            str(ROOT / "wavesmith"),
            "build",
            "--root",
            bench.root,
            "--stack",
            "none",
            "--package",
            arguments.package,
        ]
        hits = [took(lambda: subprocess.run(command, capture_output=True, check=True)) for _ in range(7)]
        print(f"a hit, as a command             {min(hits)}  (best of 7)")
        key = bench.spec()["key"]
        flags = replace(
            bench.recipe,
            settings=(*bench.recipe.settings, replace(bench.recipe.settings[0], variables={"CFLAGS": "-O1"})),
        )
        other = replace(bench.target.variant, backend="cuda13_0", sm="12.0")
        for what, changed in (("other CFLAGS", bench.spec(flags)), ("another variant", bench.spec(variant=other))):
            print(f"  {what:<28}  {'the same wheel' if changed['key'] == key else 'another wheel'}")
        if arguments.fromager:
            place = Path(scratch, "compare")
            place.mkdir()
            fromager(bench, place)
    return 0


if __name__ == "__main__":
    sys.exit(main())
