"""Build wheels from source, prove that each is what its recipe promised, and only then publish it under its wheel key.

::

    <root>/build/<name>/          while it is built: source/, env/, out/, trial/, home/; the same place each time, so that ccache hits
    <root>/cache/sources/         proven sources
    <root>/cache/ccache/          where the host has ccache
    <root>/wheels/<wheel key>/    the wheel, provenance.json, sbom.cdx.json; published by one rename
    <root>/state/build-memory.json  what a compile job of a package needed here, GiB
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import time
import zipfile

from ..audit.verdict import Artifact
from ..host import store
from ..host.job import Failed, Job
from ..host.store import sha256
from ..host.wheels import wheel_folder
from ..plan.recipe import pins
from ..records.wheel import BuiltWheel, Provenance, RecipeOfWheel, WheelSpec
from . import source
from .compile import Compilation
from .promise import broken, needed, sbom, targets
from .proof import read, tagged, try_out, wrong_record
from .site import Site

SBOM = "sbom.cdx.json"


def build_wheels(
    job: Job, root: str, specs: list[WheelSpec], package_index: str, ccache_remote: str = ""
) -> dict[str, list[BuiltWheel]]:
    """Build each wheel that is not there yet; what was finished before a failure stays.

    Raises:
        Failed: a build went wrong; the reason, the remedy and the lines that matter.
    """
    built: list[BuiltWheel] = []
    for number, spec in enumerate(specs, 1):
        if store.read_json(os.path.join(wheel_folder(root, spec["key"]), "provenance.json")) is None:
            with Site(job, root, spec, package_index, (number, len(specs))) as site:
                seconds = _build(site, ccache_remote)
            built.append(
                {
                    "name": spec["name"],
                    "version": spec["version"],
                    "variant": spec["variant"],
                    "key": spec["key"],
                    "seconds": seconds,
                }
            )
    return {"built": built}


def _build(site: Site, ccache_remote: str) -> float:
    """All steps in their order; the last one publishes. Returns the seconds that they took.

    Raises:
        Failed: the reason, the remedy, and the lines that matter.
    """
    spec, started = site.spec, time.time()
    site.say("source")
    bundle = spec.get("bundle", "")
    proven = source.fetch(site.job, site.root, spec["name"], spec["source"], site.tools, site.index, bundle)
    source.unpack(site.job, proven, site.at("source"), spec["patches"], site.tools)
    site.say("build requirements")
    site.environment(site.at("env"))
    compilation = Compilation(site, ccache_remote)
    wheel = tagged(site, compilation.run())
    site.say("audit")
    artifact, available = read(site, wheel)
    with zipfile.ZipFile(wheel) as archive:
        files = archive.namelist()
        problems = [*broken(spec, artifact, os.path.basename(wheel), files, available), *wrong_record(archive)]
    if problems:
        raise Failed(
            f"the wheel built for {site.title} is not what its recipe promises: {'; '.join(problems)}. Remedy: correct the recipe"
        )
    site.say("trying the wheel")
    try_out(site, wheel)
    seconds = round(time.time() - started, 1)
    _publish(site, compilation, wheel, artifact, seconds)
    return seconds


def _publish(site: Site, compilation: Compilation, wheel: str, artifact: Artifact, seconds: float) -> None:
    spec, name = site.spec, os.path.basename(wheel)
    needs, provides = needed(artifact)
    digest, versions = sha256(wheel), _versions(site, compilation)
    recipe: RecipeOfWheel = {
        "name": spec["name"],
        "version": spec["version"],
        "contents": spec["contents"],
        "smoke": spec["smoke"],
        "memory_gib": spec["memory_gib"],
    }
    provenance: Provenance = {
        "schema": 1,
        "wheel": name,
        "sha256": digest,
        "source": spec["source"],
        "patches": {patch: hashlib.sha256(text.encode()).hexdigest() for patch, text in spec["patches"].items()},
        "recipe": recipe,
        "build_requirements": [line.rstrip(" \\") for line in pins(spec["build_lock"]) if not line.startswith(" ")],
        "build_lock_sha256": hashlib.sha256(spec["build_lock"].encode()).hexdigest(),
        "against": [
            {"name": entry["name"], "version": entry["version"], "key": entry["key"]} for entry in spec["against"]
        ],
        "variant": spec["variant"],
        "compiler": spec["compiler"],
        "cuda": spec["cuda"],
        "environment": {key: value for key, value in compilation.environment.items() if key != "PATH"},
        "commands": compilation.commands,
        "tools": versions,
        "targets": targets(artifact),
        "needed": needs,
        "provides": provides,
        "needed_by": spec.get("needed_by", []),
        "machine": platform.platform(),
        "jobs": compilation.jobs,
        "gib_per_job": compilation.peak,
        "seconds": seconds,
    }
    store.write_json(os.path.join(site.staging, "provenance.json"), provenance)
    store.write_json(os.path.join(site.staging, SBOM), sbom(spec, name, digest, versions))
    os.rename(wheel, os.path.join(site.staging, name))
    os.rename(site.staging, wheel_folder(site.root, spec["key"]))


def _versions(site: Site, compilation: Compilation) -> dict[str, str]:
    """What the tools on the build's PATH say of themselves, in their own first line."""
    found = {"python": site.spec["python"], "platform": platform.platform()}
    path = compilation.environment["PATH"]
    for name in ("gcc", "g++", "ld", "nvcc", "cmake", "ninja", "ccache"):
        program = shutil.which(name, path=path)
        if program:
            done = subprocess.run(
                [program, "--version"],
                env={**site.tools, "PATH": path},
                capture_output=True,
                text=True,
                check=False,
            )
            lines = [line for line in done.stdout.splitlines() if re.search(r"\d+\.\d+", line)]
            found[name] = lines[0].strip() if lines else ""
    done = subprocess.run([site.at("env", "bin", "python"), "-IV"], capture_output=True, text=True, check=False)
    return {**found, "python": done.stdout.strip()}
