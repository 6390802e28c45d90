#!/usr/bin/env python3
"""Make a release of what is in this checkout, and prove it where nothing else is installed: `make release`.

Writes to .cache/release: the collection's artifact, the wheel of the command, the documentation's site, what they consist of (CycloneDX), the
changelog, and their sha256. Then `release/check.py` installs them in empty environments and provisions with them. The checkout stays as it is:
`antsibull-changelog release`, which takes the fragments, is run in a copy.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
from pathlib import Path

import check
import yaml

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.prefix) / "bin"
OUT = ROOT / ".cache" / "release"


def run(*words: str | Path, cwd: Path = ROOT) -> None:
    """Run a tool; end with its code where it fails."""
    print("$", *words, flush=True)
    environ = {**os.environ, "PATH": os.pathsep.join([str(BIN), os.environ["PATH"]])}
    done = subprocess.run(list(map(str, words)), cwd=cwd, env=environ, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise SystemExit(f"release: {words[0]} ended with {done.returncode}; see above")


def copy_of(source: Path, to: Path) -> Path:
    """A copy of all that git has or would take."""
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=source,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, names.split("\0")):
        if os.path.lexists(source / name):
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / name, to / name, follow_symlinks=False)
    return to


def changelog(source: Path) -> None:
    """CHANGELOG.rst and changelogs/changelog.yaml of the version in galaxy.yml, from the fragments."""
    run(BIN / "antsibull-changelog", "release", cwd=source)


def sboms(wheel: Path, source: Path) -> list[Path]:
    """What the command needs here, as it is installed, and what the toolbox on hosts consists of, as it is locked."""
    here, hosts = OUT / "controller.cdx.json", OUT / "toolbox.cdx.json"
    with tempfile.TemporaryDirectory(prefix="wavesmith-release-") as name:
        venv.create(name, with_pip=False)
        python = Path(name) / "bin" / "python"
        run(BIN / "uv", "pip", "install", "--quiet", "--python", python, wheel)
        common = ["--output-reproducible", "--validate"]
        run(
            BIN / "cyclonedx-py",
            "environment",
            *common,
            "--pyproject",
            source / "pyproject.toml",
            "--output-file",
            here,
            python,
        )
    run(
        BIN / "cyclonedx-py",
        "requirements",
        *common,
        "--output-file",
        hosts,
        source / "roles" / "toolbox" / "files" / "toolbox.txt",
    )
    return [here, hosts]


def main() -> int:
    """Make it, check it, write the sha256."""
    version = str(yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))["version"])
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="wavesmith-release-") as name:
        source = copy_of(ROOT, Path(name) / "source")
        changelog(source)
        shutil.copy2(source / "CHANGELOG.rst", OUT)
        run(BIN / "ansible-galaxy", "collection", "build", "--output-path", OUT, source)
        run(BIN / "uv", "build", "--quiet", "--wheel", "--out-dir", OUT, source)
        wheel, artifact = OUT / f"wavesmith-{version}-py3-none-any.whl", OUT / f"wavesmith-provision-{version}.tar.gz"
        sboms(wheel, source)
    run("docs/build.sh")
    with tarfile.open(OUT / f"wavesmith-docs-{version}.tar.gz", "w:gz") as archive:
        archive.add(ROOT / ".cache" / "site", arcname=f"wavesmith-docs-{version}")
    check.all_of(artifact, wheel)
    made = sorted(path for path in OUT.iterdir() if path.is_file())
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in made]
    (OUT / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")
    print("".join(lines), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
