"""Generations that differ in one package, made one after the other on a host that has all downloads, beside `cp -a` of one of them.

    .venv/bin/python benchmarks/generation.py librosa numba

The second one copies the files of the first; later ones have those that an older one has (docs/variables.md#files-of-generations).
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "collections")]

from ansible_collections.wavesmith.provision.plugins.module_utils.host import store  # noqa: E402
from ansible_collections.wavesmith.provision.plugins.module_utils.host.job import Job  # noqa: E402
from ansible_collections.wavesmith.provision.plugins.module_utils.host.module import package_index  # noqa: E402
from ansible_collections.wavesmith.provision.plugins.module_utils.prefix import generation  # noqa: E402

PACKAGES = ("librosa", "numba")
ONE_MORE = "wcwidth"


def spec(python: str, lock: str, name: str) -> dict[str, Any]:
    """An environment of these packages alone, as the plan would give it."""
    fields: dict[str, Any] = dict.fromkeys(generation.DECIDED, "")
    fields |= {"versions": {}, "imports": {}, "variables": {}, "held": {}, "overrides": [], "projects": []}
    fields |= {"environment": "bench", "generation": name, "digest": "d", "engine": "venv", "models": []}
    fields |= {"python": {"path": python, "version": ".".join(map(str, sys.version_info[:3]))}, "sms": []}
    return {**fields, "key": "bench", "lock": lock, "wheels": [], "origin_url": "", "prebuilt": True}


def rounds(folder: Path, packages: tuple[str, ...], names: list[str]) -> Iterator[tuple[str, float, float, float]]:
    """For each generation: its name, the seconds that it took, those of the processors, and of `cp -a` of the same files."""
    root = folder / "root"
    (root / "state").mkdir(parents=True)
    (root / "toolbox").mkdir()
    (root / "toolbox" / "current").symlink_to(sys.prefix)  # uv is there
    job, index = Job(str(root / "state"), os.open(os.devnull, os.O_RDONLY)), package_index("")
    python = os.path.realpath(sys.executable)
    asked: dict[str, Any] = {"key": "bench", "environment": "bench", "overrides": [], "declared": {}, "wheels": []}
    asked |= {"python": spec(python, "", "")["python"], "origin_url": ""}
    locks = [
        generation.resolve(job, str(root), {**asked, "requirements": [*packages, *more]}, index)  # type: ignore[typeddict-item]
        for more in ([], [ONE_MORE])
    ]

    def make(name: str, lock: str) -> tuple[float, float]:
        wanted: Any = spec(python, lock, name)
        start, before = time.perf_counter(), sum(os.times()[:4])
        generation.make_prefix(job, str(root), wanted)
        generation.install(job, str(root), wanted, index, {})
        spent = time.perf_counter() - start, sum(os.times()[:4]) - before
        store.write_json(os.path.join(root, "envs/bench", name, store.VERDICT), {"exit": 0})
        return spent

    make("download", locks[1])  # everything is in the cache from here on
    shutil.rmtree(root / "envs" / "bench" / "download")
    for place, name in enumerate(names):
        wall, cpu = make(name, locks[place % 2])
        store.activate(str(root), "bench", name)
        start = time.perf_counter()
        subprocess.run(["cp", "-a", root / "envs" / "bench" / name, folder / "copy"], check=True)
        copied = time.perf_counter() - start
        shutil.rmtree(folder / "copy")
        yield name, wall, cpu, copied


def main() -> None:
    """Make them, and print a line for each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("packages", nargs="*", default=list(PACKAGES))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="wavesmith-generation-") as name:
        print(f"{'generation':12} {'passed':>8} {'CPU':>8} {'cp -a':>8}")
        for made, wall, cpu, copied in rounds(
            Path(name), tuple(options.packages), ["first", "second", "third", "fourth"]
        ):
            print(f"{made:12} {wall:7.2f}s {cpu:7.2f}s {copied:7.2f}s", flush=True)


if __name__ == "__main__":
    main()
