"""What files of its own cost a generation: seconds and room beside hard links, and what one edit in place then breaks.

Two generations of the same packages are made, as a host makes them, once with each value of `wavesmith_links`; the second is the one in use.
Then a module of the second is edited in place, and both import it.

    .venv/bin/python benchmarks/links.py numpy scipy librosa
"""

from __future__ import annotations

import argparse
import datetime
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "collections")]

from ansible_collections.wavesmith.provision.plugins.module_utils.host import store  # noqa: E402
from ansible_collections.wavesmith.provision.plugins.module_utils.prefix import generation  # noqa: E402
from environment import Bench  # noqa: E402

ONE, TWO = "0" * 16, "1" * 16


def room(*folders: Path) -> tuple[int, int]:
    """Bytes of the folders together and number of their files, each file counted once however many names it has."""
    found = {
        (status.st_dev, status.st_ino): status.st_blocks * 512
        for folder in folders
        for path in folder.rglob("*")
        if not path.is_symlink() and path.is_file() and (status := path.lstat())
    }
    return sum(found.values()), len(found)


def imports(prefix: Path, module: str) -> bool:
    """Whether a generation's Python imports a module."""
    argv = [str(prefix / "bin" / "python"), "-B", "-c", f"import {module}"]
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


def make(bench: Bench, name: str, links: str) -> float:
    """Make a generation and switch to it; returns its seconds."""
    spec = {**bench.spec("venv"), "generation": name, "links": links}
    began = time.monotonic()
    generation.make_prefix(bench.job, str(bench.root), spec)
    generation.install(bench.job, str(bench.root), spec, bench.index, {})
    seconds = time.monotonic() - began
    store.point(str(bench.root / "envs" / "bench"), name)
    return seconds


def main() -> None:
    """Print a table."""
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("packages", nargs="*", default=["numpy", "scipy", "librosa"])
    options.add_argument("--module", default="numpy", help="what is edited in place [numpy]")
    arguments = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="wb", dir=os.environ.get("TMPDIR")) as folder:
        bench, rows = Bench(Path(folder), arguments.packages), list[str]()
        environments = bench.root / "envs" / "bench"
        make(bench, ONE, "hardlink")  # fills the cache
        for links in ("hardlink", "auto", "copy"):
            shutil.rmtree(environments)
            make(bench, ONE, links)
            seconds = make(bench, TWO, links)
            one, two = environments / ONE, environments / TWO
            cached = room(bench.root / "cache")[0]
            added = room(bench.root / "cache", one, two)[0] - room(bench.root / "cache", one)[0]
            ((path),) = two.glob(f"lib/python3*/site-packages/{arguments.module}/__init__.py")
            os.chmod(path, 0o644)
            with open(path, "ab") as file:  # in place: the same inode
                file.write(b"\nbroken\n")
            state = ", ".join(
                f"{said} {'works' if imports(place, arguments.module) else 'is broken'}"
                for said, place in (("the one before", one), ("the edited one", two))
            )
            rows.append(f"{links:10} {seconds:7.1f} s {added / 2**20:8.0f} MiB   {state}")
            shutil.rmtree(environments)
            shutil.rmtree(bench.root / "cache")
            make(bench, ONE, "hardlink")
        size, count = room(environments)
    print(f"{datetime.date.today()}, load {os.getloadavg()[0]:.0f}: {' '.join(arguments.packages)},")
    print(f"{size / 2**20:.0f} MiB in {count} files, cache {cached / 2**20:.0f} MiB\n")
    print(f"{'links':10} {'second':>9} {'room more':>12}   after an edit in place of the second\n" + "\n".join(rows))


if __name__ == "__main__":
    main()
