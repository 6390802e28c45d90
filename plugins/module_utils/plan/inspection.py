"""Judge what was read of a lock's files: what will not build, what nothing brings, what never uses the GPU. Before anything is installed."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ..audit.libraries import (
    OF_ACCELERATORS,
    Linkage,
    Missing,
    Part,
    link,
    of_system,
    opened_from_python,
    remedy,
    some,
    system_package,
)
from ..audit.verdict import gpu_build
from ..records import shape
from ..records.host import Observed
from ..records.inspection import InspectedFile, Inspection
from ..terms.refusal import Refusal
from ..wanted.catalog import SOURCE, Catalog
from . import archive
from .lockfile import SUFFIX, body_digest
from .record import EnvironmentPlan

SCHEMA: Literal[1] = 1
_SHOWN = 4


@dataclass
class Judged:
    """What was found.

    Attributes:
        refusals: What cannot work.
        warnings: Warnings for the user.
        constraints: What archives must be built with.
        archives: The archives that will be built on the host.
    """

    refusals: list[Refusal] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    constraints: list[str] = field(default_factory=list)
    archives: list[str] = field(default_factory=list)


def inspection_of(key: str, locks: Mapping[str, str]) -> Inspection | None:
    """The inspection of a lock at hand; `None` where there is none, or another lock was inspected."""
    text = locks.get(key + SUFFIX)
    if not text or key not in locks:
        return None
    try:
        found: Inspection = shape.read(json.loads(text), Inspection, key + SUFFIX, "")
    except ValueError:
        return None
    return found if found["lock"] == body_digest(locks[key]) else None


def wanted_of_hosts(locks: Mapping[str, str]) -> list[str]:
    """The libraries that the inspected locks want and do not bring: a host is asked which of them it has."""
    names: set[str] = set()
    for key in locks:
        inspection = inspection_of(key, locks)
        if inspection is not None:
            brought = _provided(inspection["files"])
            names |= {name for _, name in _wants(inspection["files"])} - brought
            names |= {library for _, library in opened_from_python(file["name"] for file in inspection["files"])}
    return sorted(name for name in names if not of_system(name))


def _wants(files: Sequence[InspectedFile]) -> list[tuple[str, str]]:
    return [
        (library["path"], name) for file in files for library in file.get("libraries", ()) for name in library["needed"]
    ]


def _provided(files: Sequence[InspectedFile]) -> set[str]:
    return {name for file in files for name in file.get("provides", ())}


def judge(
    item: EnvironmentPlan,
    inspection: Inspection | None,
    observed: Observed,
    catalog: Catalog,
    policy: Collection[str],
) -> Judged:
    """Judge the files of an environment's lock for one host."""
    result = Judged()
    name = f"environment {item.name}"
    if inspection is None:
        item.unseen = "they were not inspected when it was resolved, so what does not fit is found by the doctor, once they are installed"
        return result
    files = inspection["files"]
    unseen = [file for file in files if file.get("unseen")]
    if inspection["problem"] or unseen:
        said = inspection["problem"] or some(f"{file['name']} {file['version']} ({file['unseen']})" for file in unseen)
        count = f"{len(unseen)} of {len(files)} files" if unseen else "the files"
        result.warnings.append(
            f"{name}: {count} of lock {item.lock['key']} could not be inspected before they are installed: {said}. Remedy: none is "
            "needed where they work; use an index that serves HTTP ranges to have them inspected"
        )
    _archives(item, files, observed["cpu"]["architecture"], result)
    _links(item, files, observed, catalog, result)
    if item.accelerated and item.backend.startswith("cuda"):
        _on_the_cpu(item, files, catalog, policy, result)
    if item.accelerated and item.backend.startswith("rocm"):
        _kernels(item, files, observed, result)
    return result


def _kernels(item: EnvironmentPlan, files: Sequence[InspectedFile], observed: Observed, result: Judged) -> None:
    """A wheel whose rocBLAS has kernels for none of the host's GPUs: the first matrix product would abort the process."""
    gpus = [
        f"{gpu['name']} ({gpu['gfx']})" for gpu in observed["accelerators"] if gpu["vendor"] == "amd" and gpu["gfx"]
    ]
    for file in files:
        kernels = file.get("rocblas", [])
        if kernels and gpus and not any(gpu["gfx"] in kernels for gpu in observed["accelerators"]):
            result.refusals.append(
                Refusal(
                    f"environment {item.name}",
                    f"rocBLAS of {file['name']} {file['version']} has no kernels for {', '.join(gpus)}, only for {', '.join(kernels)}",
                    "choose another stack (wavesmith_explain=true lists them), or the stack cpu",
                )
            )


def _archives(item: EnvironmentPlan, files: Sequence[InspectedFile], architecture: str, result: Judged) -> None:
    python = ".".join(item.python["version"].split(".")[:2])
    sources = [file for file in files if file["kind"] == "archive"]
    result.constraints = archive.constraints(sources, python)
    held = f" with {', '.join(result.constraints)}" if result.constraints else ""
    for file in sources:
        title = f"{file['name']} {file['version']}"
        wrong = archive.obstacles(file["build"], python) if "build" in file else []
        if not wrong:
            result.archives.append(f"{title}: built on the host from its source archive{held}")
            continue
        result.refusals.append(
            Refusal(
                f"environment {item.name}",
                f"{title} has no wheel for Python {python} on {architecture}, and its source archive will not build: {'; '.join(wrong[:2])}",
                f"override {file['name']} with a release that has a wheel, set wavesmith_python to a Python that this release was made "
                "for, or add a recipe (docs/recipes.md)",
            )
        )


def _links(
    item: EnvironmentPlan, files: Sequence[InspectedFile], observed: Observed, catalog: Catalog, result: Judged
) -> None:
    """What the libraries of the lock want that neither the lock, the host, its system packages nor a driver brings."""
    brought = _provided(files)
    known = observed.get("libraries")
    # What a channel brings is not known by its libraries, nor what a host has that was not asked.
    everything = known is None or item.engine == "conda"
    to_come = set(observed["apt"]["missing"]) & {*catalog.apt_run, *catalog.apt_build}

    def there(name: str) -> bool:
        if name in brought or name in (known or ()):
            return True
        return not OF_ACCELERATORS.fullmatch(name) and (everything or system_package(name).partition(" ")[0] in to_come)

    parts = [
        Part(
            library["path"],
            tuple(library["needed"]),
            tuple(found for found in library["needed"] if not there(found)),
            tuple(library["opens"]),
            library["gpu"],
        )
        for file in files
        for library in file.get("libraries", ())
    ]
    linkage: Linkage = link(parts, brought | set(known or ()), item.backend)
    opened = [
        Missing(package, (library,), f"{package} opens {library} by name, and nothing provides it")
        for package, library in opened_from_python(file["name"] for file in files)
        if not there(library)
    ]
    owners = {library["path"]: file for file in files for library in file.get("libraries", ())}
    hard = [found for found in linkage.missing if not found.names or any(map(OF_ACCELERATORS.fullmatch, found.names))]
    for found in hard:
        owner = owners.get(found.path) or next((owners[path] for path in owners if _same(found.path, path)), None)
        title = f"{owner['name']} {owner['version']}: " if owner else ""
        result.refusals.append(
            Refusal(
                f"environment {item.name}",
                f"{title}{found.text}; neither the lock, the system nor a driver provides it",
                _way_out(owner["name"] if owner else "", [found], catalog),
            )
        )
    soft = [*(found for found in linkage.missing if found not in hard), *opened]
    if soft:
        more = f" and {len(soft) - _SHOWN} more" if len(soft) > _SHOWN else ""
        texts = "; ".join(found.text for found in soft[:_SHOWN])
        result.warnings.append(f"environment {item.name}: {texts}{more}. Remedy: {remedy(soft)}")


def _same(label: str, path: str) -> bool:
    """Whether a path is one of those that the name of a set of alternatives stands for."""
    return path.startswith(label.partition("{")[0]) and path.endswith(label.rpartition("}")[2])


def _way_out(package: str, missing: Sequence[Missing], catalog: Catalog) -> str:
    words = [remedy(missing)]
    known = catalog.packages.get(package)
    if known is not None and known.index_wheels and known.recipe is not None:
        words.append(f"or name {package} in the environment's packages, so that it is built from source")
    elif known is not None and known.recipe is not None:
        words.append("or put source first in wavesmith_policy, so that it is built with its stack")
    words.append("or choose another stack (wavesmith_stack; wavesmith_explain=true lists them)")
    return "; ".join(words)


def _on_the_cpu(
    item: EnvironmentPlan,
    files: Sequence[InspectedFile],
    catalog: Catalog,
    policy: Collection[str],
    result: Judged,
) -> None:
    """Builds for the CPU only of packages that have others, on a host whose GPU is to be used."""
    for file in files:
        other = gpu_build(file["name"])
        if file.get("accelerated") is not False or not other:
            continue
        title = f"{file['name']} {file['version']}"
        package = catalog.packages.get(file["name"])
        recipe = package.recipe if package else None
        if file["name"] in item.versions:
            result.refusals.append(
                Refusal(
                    f"environment {item.name}",
                    f"{title} from {item.origin} is built for the CPU only, and stack {item.stack} is for a GPU",
                    "name an index with builds for it, choose another stack (wavesmith_explain=true lists them), or build it from source",
                )
            )
        elif file["name"] not in item.on_cpu:
            way = other
            if recipe is not None and recipe.contents.not_cpu_only:
                way = f"name {file['name']} in the environment's packages, so that it is built from source"
                way += "" if SOURCE in policy else ", and add source to wavesmith_policy"
            result.warnings.append(
                f"environment {item.name}: {title} is built for the CPU only and will not use the GPU. Remedy: {way}; none is needed "
                "where the CPU is enough"
            )
