"""Build a project's own wheel on the controller, from exactly the files that name it, with pinned build backends."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.project import OwnWheel
from ansible_collections.wavesmith.provision.plugins.plugin_utils.catalog_files import FOLDER
from ansible_collections.wavesmith.provision.plugins.plugin_utils.git import Unusable, cache
from ansible_collections.wavesmith.provision.plugins.plugin_utils.project_source import Source

BACKENDS = FOLDER / "projects" / "backends.txt"
LARGEST = 16 * 2**20
"""Bytes of a wheel that travel with a module's arguments; what is larger holds more than code."""


def build(source: Source, package_index: str) -> OwnWheel:
    """Build a wheel, or find the one that was built from the same files.

    Args:
        source: The project's files.
        package_index: Address of the package index that has the build backends; empty: uv's own setting.

    Raises:
        Unusable: it cannot be built, or is not for every machine.
    """
    folder = cache("projects")
    with tempfile.TemporaryDirectory(dir=folder, prefix=".building-") as name:
        tree, out = Path(name) / "tree", Path(name) / "out"
        tree.mkdir()
        content = hashlib.sha256(f"{source.export(tree)}\n".encode() + BACKENDS.read_bytes()).hexdigest()
        kept = folder / content[:32]
        if not kept.is_dir():
            _uv_build(tree, out, package_index)
            try:
                out.rename(kept)
            except OSError:  # another run was first
                pass
    (wheel,) = kept.glob("*.whl")
    data = wheel.read_bytes()
    return OwnWheel(wheel.name, str(wheel), hashlib.sha256(data).hexdigest(), content)


def _uv_build(tree: Path, out: Path, package_index: str) -> None:
    try:
        from uv import find_uv_bin
    except ImportError:
        problem = "it has to be installed, but the Python package uv is missing on the controller"
        raise Unusable(problem, "pip install uv") from None
    argv = [find_uv_bin(), "build", "--quiet", "--wheel", "--python", sys.executable, "--out-dir", str(out)]
    argv += ["--require-hashes", "--build-constraints", str(BACKENDS), "--no-create-gitignore", str(tree)]
    # A fixed time makes the same bytes of the same files.
    environ = {**os.environ, "SOURCE_DATE_EPOCH": "315532800", "UV_SYSTEM_CERTS": "1"}
    environ.update({"UV_DEFAULT_INDEX": package_index} if package_index else {})
    done = subprocess.run(argv, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        said = " ".join(line.strip() for line in done.stderr.strip().splitlines()[-6:])
        raise Unusable(f"its wheel cannot be built: {said}", "fix what the message names, or leave install out")
    made = list(out.glob("*.whl"))
    if len(made) != 1 or not made[0].name.endswith("-none-any.whl"):
        named = ", ".join(path.name for path in made) or "none"
        raise Unusable(f"its wheel is specific to a platform: {named}", "give it a recipe in catalog/packages/")
    if made[0].stat().st_size > LARGEST:
        problem = f"its wheel has {made[0].stat().st_size >> 20} MiB, more than {LARGEST >> 20}"
        raise Unusable(problem, "leave weights and data out of it")
