"""A small environment that is really provisioned, and ways to really break it and mend it again, for the doctor to find."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.wavesmith.provision.plugins.module_utils.verify.doctor import install, sources

from .conftest import known

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = [
    "torch", "torchaudio", "torchcodec", "numpy", "soundfile", "soxr", "librosa", "phonemizer", "onnxruntime", "ctranslate2", "accelerate", "pyworld",
]  # fmt: skip
WANTED = {
    "wavesmith_environments": {"lab": {"stack": "cpu", "packages": PACKAGES, "models": ["silero_vad", "swift_f0"]}}
}


@dataclass
class Given:
    """How the doctor is started.

    Attributes:
        before: What it is started by, such as a program that takes something from it.
        spec: What of its specification is different.
        kill: Signal that the process of the check gets as soon as it is there.
    """

    before: Sequence[str] = ()
    spec: dict[str, Any] = field(default_factory=dict)
    kill: int = 0


@dataclass
class Lab:
    """The environment, and a folder to work in."""

    prefix: Path
    work: Path

    @property
    def site(self) -> Path:
        """Its packages."""
        return next(self.prefix.glob("lib/python3*/site-packages"))

    def judge(self, given: Given, *only: str) -> dict[str, dict[str, Any]]:
        """What the doctor says of some checks, by their ids."""
        out, spec = self.work / "verdict.json", self.work / "spec.json"
        kept = json.loads((self.prefix / "wavesmith/doctor/spec.json").read_text())
        spec.write_text(json.dumps({**kept, **given.spec}))
        out.unlink(missing_ok=True)
        argv = [*given.before, str(self.prefix / "bin/wavesmith-doctor"), "--quiet", "--spec", str(spec), "--out", str(out)]  # fmt: skip
        for name in only:
            argv += ["--only", name]
        process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if given.kill:
            os.kill(_judging(process.pid), given.kill)
        said = process.communicate(timeout=300)[1]
        assert out.exists(), said
        return {check["id"]: check for check in json.loads(out.read_text())["checks"]}

    @contextmanager
    def hidden(self, *paths: Path) -> Iterator[None]:
        """Take files or folders away for a while."""
        place = self.prefix.parents[1] / "hidden"  # on the same file system, and nowhere that a library is looked for
        place.mkdir(exist_ok=True)
        moved = [
            (path, place / f"{len(list(place.iterdir())) + number}-{path.name}") for number, path in enumerate(paths)
        ]
        for path, aside in moved:
            path.rename(aside)
        try:
            yield
        finally:
            for path, aside in moved:
                remove(path)
                aside.rename(path)

    @contextmanager
    def replaced(self, path: Path, content: bytes) -> Iterator[None]:
        """Put another file in the place of one; the one may share its bytes with a cache, which is left alone."""
        mode = path.stat().st_mode
        with self.hidden(path):
            path.write_bytes(content)
            path.chmod(mode)
            yield

    @contextmanager
    def added(self, path: Path, content: str) -> Iterator[None]:
        """Add a file."""
        path.write_text(content)
        try:
            yield
        finally:
            path.unlink()

    @contextmanager
    def installed(self, *requirements: str) -> Iterator[None]:
        """Have other releases, really installed from the index, in the place of those that are there."""
        target = self.work / "-".join(requirements)
        if not target.exists():
            argv = [self.prefix.parents[2] / "toolbox/current/bin/uv", "pip", "install", "--quiet", "--no-deps", "--target", target]  # fmt: skip
            argv += ["--python", self.prefix / "bin/python", *requirements]
            subprocess.run([str(word) for word in argv], check=True)
        tops = [path for path in target.iterdir() if path.name not in ("bin", ".lock")]
        names = {path.name.split("-")[0] for path in tops if path.suffix == ".dist-info"}
        gone = [path for path in self.site.iterdir() if path.name in {top.name for top in tops} or (path.suffix == ".dist-info" and path.name.split("-")[0] in names)]  # fmt: skip
        with self.hidden(*gone):
            for top in tops:
                place = self.site / top.name
                shutil.copytree(top, place) if top.is_dir() else shutil.copy(top, place)
            try:
                yield
            finally:
                for top in tops:
                    remove(self.site / top.name)

    def compiled(self, name: str, body: str, *options: str) -> bytes:
        """A module of C that does something when it is loaded."""
        source, made = self.work / f"{name}.c", self.work / f"{name}.so"
        source.write_text(body)
        subprocess.run(["gcc", "-shared", "-fPIC", "-o", str(made), str(source), *options], check=True)
        return made.read_bytes()


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def bound(over: Path, *places: Path) -> list[str]:
    """Start something where one file or folder lies over others, in mounts of its own."""
    script = (
        'over=$1; shift; while [ "$1" != -- ]; do mount --bind "$over" "$1" || exit 90; shift; done; shift; exec "$@"'
    )
    return ["unshare", "--mount", "sh", "-c", script, "sh", str(over), *map(str, places), "--"]


def _judging(doctor: int) -> int:
    """The process in which a check is judged: a child of the doctor's child."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        for nursery in _children(doctor):
            if b"--nurse\0numpy" in Path(f"/proc/{nursery}/cmdline").read_bytes():
                for check in _children(nursery):
                    return check
        time.sleep(0.002)
    raise AssertionError("no check was started")


def _children(process: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except OSError:
        return []


def provisioned(folder: Path) -> Path:
    """The prefix of an environment that `wavesmith provision` makes on this machine, below a folder."""
    inventory = folder / "fleet"
    (inventory / "group_vars").mkdir(parents=True)
    (inventory / "hosts.yml").write_text("lab: {hosts: {localhost: {ansible_connection: local}}}\n")
    root = folder / "root"
    (inventory / "group_vars/all.yml").write_text(yaml.safe_dump({"wavesmith_root": str(root), **WANTED}))
    argv = [str(Path(sys.executable).parent / "wavesmith"), "provision", "-q", "-i", str(inventory)]
    done = subprocess.run(argv, cwd=inventory, capture_output=True, text=True, check=False, timeout=3600)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return (root / "envs/lab/current").resolve()


def opened(work: Path) -> Lab:
    """An environment to break, with the doctor as it is now; ``WAVESMITH_LAB`` names the prefix of one that is there."""
    named = os.environ.get("WAVESMITH_LAB")
    prefix = Path(named).resolve() if named else provisioned(work)
    spec = json.loads((prefix / "wavesmith/doctor/spec.json").read_text())
    install(str(prefix.parents[2]), str(prefix), {**spec, "failures": known().data}, sources({}))
    return Lab(prefix, work)


def really(test: Any) -> Any:
    """Mark what breaks a real environment."""
    for mark in (
        pytest.mark.slow,
        pytest.mark.skipif(os.geteuid() != 0, reason="mounts of its own need root"),
        pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc, which makes what crashes, is not here"),
    ):
        test = mark(test)
    return test


KILLED = signal.SIGKILL
