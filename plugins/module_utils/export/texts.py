"""What leaves a host as a whole: the texts of a Docker build context, and the pages of an offline bundle's index."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import cast

from ..plan.lockfile import SUFFIX
from ..plan.record import Plan
from ..records.plan import CondaPlan
from ..records.task import BuildAgainTask, ExportTask
from ..wheels.manifest import normal, simple

_INSTALL = "/opt/wavesmith/{environment}/bin/python -m pip install --no-cache-dir --no-deps --require-hashes"


def project_of(file: str) -> tuple[str, str]:
    """Project and version of a wheel or source archive, from its name (PEP 427, PEP 625)."""
    if file.endswith(".whl"):
        name, version = file.split("-")[:2]
    else:
        name, _, version = re.sub(r"\.(tar\.(gz|bz2|xz)|zip|tgz)$", "", file).rpartition("-")
    return normal(name), version


def requirements(files: Mapping[str, str]) -> str:
    """A requirements file that admits exactly these files, given with their sha256."""
    lines = [f"{'=='.join(project_of(name))} --hash=sha256:{sha256}" for name, sha256 in files.items()]
    return "".join(f"{line}\n" for line in sorted(lines))


def dockerfile(environment: str, python: str, system: Mapping[str, str], apt: Iterable[str], complete: bool) -> str:
    """The Dockerfile of an environment.

    Args:
        environment: Its name; it is made at ``/opt/wavesmith/<environment>``.
        python: Version of its Python, as ``3.12``: the image's own where it has one that can make environments, else apt's.
        system: The host's ``id`` and ``version_id``: its wheels need a C library at least as new.
        apt: System packages it needs.
        complete: Whether `wheels` holds everything; else what the index serves comes from there.
    """
    install = _INSTALL.format(environment=environment)
    local = f"{install} --no-index --find-links wheels -r"
    python = f"python{python}"
    rest = f"RUN {install} -r index.txt\n" if not complete else ""
    return f"""\
# Made by Wavesmith. A wheel that is missing, or is not the one that was built, fails the build: it is never taken from elsewhere.
# Another system to begin with, such as one with {python} or with the libraries of a CUDA version: --build-arg BASE=...
ARG BASE={system["id"]}:{system["version_id"]}
FROM ${{BASE}}
RUN apt-get update \\
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends {" ".join(sorted(apt))} \\
    $({python} -m ensurepip --version >/dev/null 2>&1 || echo {python} {python}-venv) \\
 && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/wavesmith/context
COPY . .
RUN {python} -m venv /opt/wavesmith/{environment}
RUN {local} wheels.txt
{rest}ENV PATH=/opt/wavesmith/{environment}/bin:$PATH PYTHONNOUSERSITE=1
"""


def index(files: Mapping[str, str]) -> dict[str, str]:
    """Pages of a package index for files that lie in ``files`` beside ``simple``, given with their sha256."""
    projects: dict[str, list[tuple[str, str, str]]] = {}
    for name, sha256 in files.items():
        projects.setdefault(project_of(name)[0], []).append((name, f"../../files/{name.replace('+', '%2B')}", sha256))
    return simple("simple", projects)


def environments(plan: Plan, locks: Mapping[str, str]) -> list[ExportTask]:
    """What of a plan an export needs, for each environment: locks, wheels, origin, and the Python that takes its files.

    A project's own wheel is not among it: it is made on the controller, from files that are there.

    Raises:
        ValueError: something is not there yet; the message says what, and the remedy.
    """
    found: list[ExportTask] = []
    for item in plan.environments:
        missing = [f"wheel {wheel.name}" for wheel in item.wheels if wheel.status != "hit"]
        missing += [f"lock {lock['key']}" for lock in (item.conda, item.lock) if lock and lock["status"] != "hit"]
        if missing:
            raise ValueError(
                f"environment {item.name} lacks {', '.join(missing)}. Remedy: run wavesmith provision first"
            )
        found.append(
            {
                "environment": item.name,
                "python": item.builder,
                "origin_url": item.origin_url,
                "key": item.lock["key"],
                "lock": locks[item.lock["key"]],
                "conda": cast(CondaPlan, {**item.conda, "lock": locks[item.conda["key"]]} if item.conda else {}),
                "wheels": [{"name": wheel.name, "key": wheel.key} for wheel in item.wheels if wheel.key],
                "inspected": locks.get(item.lock["key"] + SUFFIX, ""),
            }
        )
    return found


def contexts(found: list[ExportTask]) -> list[ExportTask]:
    """Those of `environments` that can be an image: what they are made of is wheels, and system packages of apt.

    Raises:
        ValueError: one has native software from a channel.
    """
    for item in found:
        if item["conda"] and not item["conda"]["banned"]:
            raise ValueError(
                f"environment {item['environment']} has native software from its channel (wavesmith_native: channel), and an image "
                "gets it from apt. Remedy: set wavesmith_native: system for what is to be exported"
            )
    return found


def builds(plan: Plan) -> list[BuildAgainTask]:
    """What building the wheels of a plan again takes: each one's source, and the locks of what is in its build environment."""
    found: dict[str, BuildAgainTask] = {}
    for item in plan.environments:
        for wheel in item.wheels:
            spec = wheel.spec
            if wheel.key is None:
                continue
            locks = [spec["build_lock"], *(entry["lock"] for entry in spec["against"] if entry["lock"])]
            found[wheel.key] = {
                "bundle": spec.get("bundle", ""),
                "name": spec["name"],
                "source": spec["source"],
                "locks": locks,
                "python": item.builder,
            }
    return list(found.values())
