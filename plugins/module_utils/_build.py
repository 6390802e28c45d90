"""Build one wheel from its source archive, and keep it with its provenance under its wheel key."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import time
from typing import Any

from . import _store
from ._job import Failed, Job
from ._tools import environment, explain, uv


def wheel_folder(root: str, key: str) -> str:
    """Where the wheel of a key lives."""
    return os.path.join(root, "wheels", key)


def kept_wheel(root: str, key: str) -> str:
    """The path of a published wheel, its sha256 checked.

    Raises:
        Failed: it is not there, or not the file that was built.
    """
    folder = wheel_folder(root, key)
    provenance = _store.read_json(os.path.join(folder, "provenance.json"))
    if not isinstance(provenance, dict):
        raise Failed(f"wheel {key} is not in the wheelhouse. Remedy: run playbooks/build.yml for this host first")
    path = os.path.join(folder, provenance["wheel"])
    if not os.path.exists(path) or sha256(path) != provenance["sha256"]:
        _store.remove(folder)
        raise Failed(
            f"wheel {provenance['wheel']} is not the file that was built (wrong sha256) and was removed. Remedy: start again, it is built anew"
        )
    return path


def sha256(path: str) -> str:
    """sha256 of a file, as hex."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def build_wheels(job: Job, root: str, specs: list[dict[str, Any]], package_index: str) -> dict[str, Any]:
    """Build each wheel that is not there yet; what was finished before a failure stays.

    Raises:
        Failed: a build went wrong; the reason, the remedy and the lines that matter.
    """
    built = []
    for number, spec in enumerate(specs, 1):
        if _store.read_json(os.path.join(wheel_folder(root, spec["key"]), "provenance.json")) is None:
            job.progress(f"building {spec['name']} {spec['version']}", number, len(specs), spec["variant"])
            _build(job, root, spec, package_index, number, len(specs))
            built.append(spec["name"])
    return {"built": built}


def _build(job: Job, root: str, spec: dict[str, Any], package_index: str, number: int, count: int) -> None:
    final = wheel_folder(root, spec["key"])
    staging = os.path.join(root, "wheels", f".staging-{spec['key']}")
    _store.remove(staging)
    _store.remove(final)
    os.makedirs(staging)
    try:
        started = time.time()
        tools = environment(root, package_index)
        title = f"{spec['name']} {spec['version']}"
        python = os.path.join(staging, "env", "bin", "python")
        requirements = os.path.join(staging, "build-requirements.txt")
        source = os.path.join(staging, "source.txt")
        _store.write_text(requirements, spec["build_lock"])
        _store.write_text(source, f"{spec['name']}=={spec['version']} --hash=sha256:{spec['sha256']}\n")
        try:
            job.run([uv(root), "venv", "--quiet", "--python", spec["python"], os.path.join(staging, "env")], tools)
            job.progress(f"building {title}", number, count, "build requirements")
            job.run(
                [uv(root), "pip", "install", "--quiet", "--python", python, "--require-hashes", "-r", requirements],
                tools,
            )
            job.progress(f"building {title}", number, count, f"{spec['sdist']} for {spec['variant']}")
            # pip fetches, checks the sha256 before anything of the archive runs, and builds: --no-binary forces the source.
            command = [python, "-I", "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-binary=:all:"]
            command += ["--require-hashes", "-r", source, "--wheel-dir", os.path.join(staging, "out")]
            flags = {"PATH": os.path.join(staging, "env", "bin") + os.pathsep + tools["PATH"], **spec["environment"]}
            job.run(command, {**tools, **flags}, folder=staging)
        except Failed as error:
            raise explain(error, f"building {title}") from error
        names = [name for name in os.listdir(os.path.join(staging, "out")) if name.endswith(".whl")]
        if len(names) != 1:
            raise Failed(f"building {title} gave {len(names)} wheels, not one. Remedy: report it with {job.log_path}")
        wheel = os.path.join(staging, "out", names[0])
        job.progress(f"building {title}", number, count, "trying the wheel")
        _try_wheel(job, root, spec, wheel, tools, staging)
        _store.write_json(
            os.path.join(staging, "provenance.json"),
            {
                "schema": 1,
                "wheel": names[0],
                "sha256": sha256(wheel),
                "source": {"sdist": spec["sdist"], "sha256": spec["sha256"]},
                "recipe": {key: spec[key] for key in ("name", "version", "environment", "extensions")},
                "build_requirements": spec["build_lock"].splitlines(),
                "variant": spec["variant"],
                "compiler": spec["compiler"],
                "command": command,
                "machine": platform.platform(),
                "seconds": round(time.time() - started, 1),
            },
        )
        os.rename(wheel, os.path.join(staging, names[0]))
        for name in ("env", "out", "smoke"):
            shutil.rmtree(os.path.join(staging, name), ignore_errors=True)
        os.rename(staging, final)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise


_LOAD = """\
import importlib.util, sys, sysconfig
folder = sysconfig.get_paths()["platlib"]
name = sys.argv[1]
path = folder + "/" + name.replace(".", "/") + sysconfig.get_config_var("EXT_SUFFIX")
importlib.util.module_from_spec(importlib.util.spec_from_file_location(name, path))
"""
"""Load one compiled module by its file: its package may import what only the finished environment has (torch)."""


def _try_wheel(job: Job, root: str, spec: dict[str, Any], wheel: str, tools: dict[str, str], staging: str) -> None:
    """The wheel must hold the compiled modules its recipe names, and they must load."""
    python = os.path.join(staging, "env", "bin", "python")
    job.run([uv(root), "pip", "install", "--quiet", "--python", python, "--no-deps", "--no-index", wheel], tools)
    for module in spec["extensions"]:
        try:
            job.run([python, "-I", "-c", _LOAD, module], tools, folder=staging)
        except Failed as error:
            problem = f"the built wheel of {spec['name']} has no working compiled module {module}"
            raise Failed(f"{problem}. Remedy: see the lines below, then mend its recipe", error.log) from error
