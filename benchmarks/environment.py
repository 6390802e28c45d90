"""How long it takes to make an environment: by the engine conda, by the engine venv, by `python -m venv` and pip, and by copying.

All ways give the same packages of the same lock with byte code. Ours also compare every file with the sha256 its package declares, and
record them. Cold means that nothing is in a cache of ours or of pip's; the package index and the channel answer in both cases. The
channel is one in a folder, made from the Python that runs this. Every round runs each way once, so that all meet the same machine.

    .venv/bin/python benchmarks/environment.py numpy scipy soundfile
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "collections")]

from ansible_collections.wavesmith.provision.plugins.module_utils.host.job import Job  # noqa: E402
from ansible_collections.wavesmith.provision.plugins.module_utils.host.module import package_index  # noqa: E402
from ansible_collections.wavesmith.provision.plugins.module_utils.prefix import conda, generation  # noqa: E402

from tests.unit import conda_channel  # noqa: E402


class Bench:
    """A host's folder, a channel, and one lock for all ways."""

    def __init__(self, folder: Path, packages: list[str]) -> None:
        self.folder, self.root = folder, folder / "root"
        (self.root / "state").mkdir(parents=True)
        (self.root / "toolbox").mkdir()
        (self.root / "toolbox" / "current").symlink_to(sys.prefix)  # py-rattler and uv are there
        self.python = os.path.realpath(sys.executable)
        version = conda_channel.make(folder / "voices", self.root / "state", self.python)
        self.minor = ".".join(version.split(".")[:2])
        self.index = package_index("")
        self.job = Job(str(self.root / "state"), os.open(os.devnull, os.O_RDONLY))
        asked = {"key": "bench", "requirements": [*packages, "pip"], "overrides": [], "declared": {}, "wheels": []}
        base = {"path": self.python, "version": version}
        self.lock = generation.resolve(
            self.job, str(self.root), {**asked, "python": base, "origin_url": ""}, self.index
        )
        self.conda = {
            "key": "bench-conda",
            "specs": [f"python {self.minor}.*"],
            "channels": [{"name": "voices", "url": (folder / "voices").as_uri()}],
            "subdir": conda_channel.SUBDIR,
            "banned": [],
            "offline": False,
        }
        self.conda["lock"] = conda.solve(self.job, str(self.root), self.conda)

    def spec(self, engine: str) -> dict[str, Any]:
        fields: dict[str, Any] = dict.fromkeys(generation.DECIDED, "")
        python = {"path": "" if engine == "conda" else self.python, "version": self.minor}
        fields |= {"versions": {}, "imports": {}, "variables": {}, "held": {}, "overrides": [], "projects": []}
        fields |= {"environment": "bench", "generation": engine, "digest": "d", "engine": engine, "python": python}
        return {**fields, "key": "bench", "lock": self.lock, "wheels": [], "origin_url": "", "conda": self.conda}

    def ours(self, engine: str, cold: bool) -> Callable[[], None]:
        def make() -> None:
            generation.make_prefix(self.job, str(self.root), self.spec(engine))
            generation.install(self.job, str(self.root), self.spec(engine), self.index, {})

        def before() -> None:
            shutil.rmtree(self.root / "envs", ignore_errors=True)
            if cold:
                shutil.rmtree(self.root / "cache", ignore_errors=True)

        return self._timed(make, before)

    def pip(self, cold: bool) -> Callable[[], None]:
        lock, place, cache = self.folder / "lock.txt", self.folder / "pip", self.folder / "pip-cache"
        lock.write_text(self.lock)
        environment = {
            **os.environ,
            "PIP_CACHE_DIR": str(cache),
            **({"PIP_INDEX_URL": self.index} if self.index else {}),
        }

        def make() -> None:
            subprocess.run([self.python, "-m", "venv", place], check=True, env=environment)
            argv = [place / "bin" / "pip", "install", "--quiet", "--no-deps", "--require-hashes", "-r", lock]
            subprocess.run(argv, check=True, env=environment)

        def before() -> None:
            shutil.rmtree(place, ignore_errors=True)
            if cold:
                shutil.rmtree(cache, ignore_errors=True)

        return self._timed(make, before)

    def copy(self) -> Callable[[], None]:
        source, place = self.root / "envs" / "bench" / "conda", self.folder / "copy"
        return self._timed(
            lambda: subprocess.run(["cp", "-a", source, place], check=True) and None,
            lambda: shutil.rmtree(place, ignore_errors=True),
        )

    def _timed(self, make: Callable[[], None], before: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            before()
            self.started = time.monotonic()
            make()
            self.seconds = time.monotonic() - self.started

        return run


def main() -> None:
    """Time all ways and print the table."""
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("packages", nargs="*", default=["numpy", "scipy", "soundfile"])
    options.add_argument("--runs", type=int, default=5)
    arguments = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="wb") as folder:
        bench = Bench(Path(folder), arguments.packages)
        ways = {
            "engine venv, cold": bench.ours("venv", cold=True),
            "engine venv, warm": bench.ours("venv", cold=False),
            "engine conda, cold": bench.ours("conda", cold=True),
            "engine conda, warm": bench.ours("conda", cold=False),
            "copying that folder": bench.copy(),
            "python -m venv and pip, cold": bench.pip(cold=True),
            "python -m venv and pip, warm": bench.pip(cold=False),
        }
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _round in range(arguments.runs):
            for name, way in ways.items():
                way()
                seconds[name].append(bench.seconds)
        place = bench.root / "envs" / "bench" / "conda"
        files = [path.lstat() for path in place.rglob("*") if path.is_file() and not path.is_symlink()]
        shared = sum(status.st_size for status in files if status.st_nlink > 1)
        whole = sum(status.st_size for status in files)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    base = medians["engine conda, warm"]
    print(
        f"{', '.join(arguments.packages)}: {bench.lock.count('==')} packages, {len(files)} files, {whole / 2**20:.0f} MiB,"
    )
    print(f"of which {shared / 2**20:.0f} MiB are hard links into the cache; {arguments.runs} runs\n")
    print(f"{'':28}  median     min     max   ratio")
    for name, median in medians.items():
        times = seconds[name]
        print(f"{name:28} {median:6.2f}s {min(times):6.2f}s {max(times):6.2f}s {median / base:6.1f}x")


if __name__ == "__main__":
    main()
