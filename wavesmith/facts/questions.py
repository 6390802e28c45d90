"""One question for each fact that the catalog pins."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.module_utils.common.yaml import yaml_load
from ansible_collections.wavesmith.provision.plugins.module_utils.terms.kinds import Parsed
from ansible_collections.wavesmith.provision.plugins.module_utils.terms.names import name_of, normal
from packaging.requirements import Requirement
from packaging.version import Version

from . import compare, upstream, wheels
from .index import Index, Project, Unreachable
from .records import RIGHT, UNASKED, WRONG, Fact

ARCHITECTURES = ("x86_64", "aarch64")
BY_THEIR_WHEELS = ("torch", "torchaudio", "torchvision")
"""Packages whose wheels name the commit that they were built from."""
SMALL = 64 << 20
"""Libraries that take more bytes in a wheel are read only where that is asked for."""


@dataclass(frozen=True)
class Tools:
    """What questions are asked with.

    Attributes:
        index: The package index.
        most: Bytes that a library may take in a wheel to be read; None: any.
    """

    index: Index
    most: int | None = SMALL


@dataclass(frozen=True)
class Question:
    """Something to ask: the file that pins it, what it is, and how."""

    place: str
    item: str
    ask: Callable[[Tools], list[Fact]]

    def answer(self, tools: Tools) -> list[Fact]:
        """Ask; what cannot be asked is a fact with the reason."""
        try:
            return self.ask(tools)
        except Unreachable as error:
            return [Fact(self.place, self.item, UNASKED, str(error), "")]


def questions(folder: Path, name: str = "") -> list[Question]:
    """All questions of a catalog; `name` keeps those of one entry (``cuda13_0``, ``onnxruntime-gpu``, ``cuda``)."""
    found = [*_stacks(folder), *_packages(folder), *_models(folder), *_locks(folder), *_toolkits(folder)]
    return [question for question in found if name in ("", Path(question.place).stem)]


def _read(path: Path) -> Parsed:
    return dict(yaml_load(path.read_text(encoding="utf-8")))


def _files(folder: Path, kind: str) -> Iterator[tuple[Path, str, Parsed]]:
    for path in sorted((folder / kind).glob("*.yml")):
        yield path, f"{kind}/{path.name}", _read(path)


# --- stacks


def _stacks(folder: Path) -> Iterator[Question]:
    newest: list[str] = []
    for path, place, stack in _files(folder, "stacks"):
        if stack.get("channel") == "nightly":
            continue
        newest.append(stack["versions"]["torch"])
        for origin in stack["origins"]:
            if origin.get("kind") == "source":
                continue
            for name, version in stack["versions"].items():
                local = f"+{origin['local_version']}" if origin.get("local_version") else ""
                yield Question(
                    place, f"{name} {version}{local}", _member(path, place, stack, origin, name, version, local)
                )
        if all(origin.get("kind") == "source" for origin in stack["origins"]):
            for name, version in stack["versions"].items():
                yield Question(place, f"{name} {version}", _from_source(path, place, stack, name, version))
        for requirement in [*stack.get("requires", ()), *stack.get("overrides", ())]:
            yield Question(place, requirement, _requirement(place, requirement))

    def newer(tools: Tools) -> list[Fact]:
        return compare.newer_torch(tools.index.project("torch"), newest, tools.index.shown)

    yield Question("stacks", "torch", newer)


def _member(
    path: Path, place: str, stack: Parsed, origin: Parsed, name: str, version: str, local: str
) -> Callable[[Tools], list[Fact]]:
    """A package of the torch family as an index has it."""

    def ask(tools: Tools) -> list[Fact]:
        url = origin.get("url", "")
        project = tools.index.project(name, url)
        source = url or tools.index.shown
        architectures = stack.get("architectures", ARCHITECTURES)
        item = f"{name} {version}{local}"
        found = [compare.release(place, item, project, f"{version}{local}", source)]
        if found[0].verdict != RIGHT:
            return found
        files = project.of(f"{version}{local}")
        found.append(compare.pythons(place, item, files, stack["python"], architectures, source))
        for architecture in architectures:
            file = wheels.pick(files, architecture)
            if file is None:
                continue
            said = wheels.said(file, name)
            found += compare.said(place, item, file, said, stack, name)
            if name == "torch" and stack.get("sms"):
                artifact = wheels.binaries(file, tools.most)
                held = wheels.sms(artifact, "torch")
                found.append(compare.stack_sms(path, place, item, file, artifact, held, stack["sms"], architecture))
        return found

    return ask


def _from_source(path: Path, place: str, stack: Parsed, name: str, version: str) -> Callable[[Tools], list[Fact]]:
    """A package that is built: what upstream's wheel of that release says holds for it too."""

    def ask(tools: Tools) -> list[Fact]:
        project = tools.index.project(name)
        item = f"{name} {version}"
        found = [compare.release(place, item, project, version, tools.index.shown)]
        file = wheels.pick(project.of(version), "x86_64")
        if file is not None:
            found += compare.said(place, item, file, wheels.said(file, name), {**stack, "backend": ""}, name)
        return found

    return ask


def _requirement(place: str, requirement: str) -> Callable[[Tools], list[Fact]]:
    def ask(tools: Tools) -> list[Fact]:
        project = tools.index.project(name_of(requirement))
        return [compare.requirement(place, requirement, project, tools.index.shown)]

    return ask


# --- packages


def _packages(folder: Path) -> Iterator[Question]:
    for path, place, package in _files(folder, "packages"):
        for requirement in _lines(package, [package["name"]]):
            yield Question(place, requirement, _requirement(place, requirement))
        for architecture, held in package.get("index_wheels", {}).items():
            yield Question(
                place,
                f"{package['name']} wheels for {architecture}",
                _index_wheels(path, place, package, architecture, held),
            )
        for release in package.get("recipe", {}).get("releases", ()):
            item = f"{package['name']} {release['version']}"
            yield Question(place, item, _source(path, place, item, package["name"], release))


def _lines(entry: Parsed, by_itself: Sequence[str] = ()) -> Iterator[str]:
    """Every requirement that an entry states, in whichever way."""
    yield from entry.get("requires", by_itself)
    yield from entry.get("overrides", ())
    yield from (line for lines in entry.get("for_torch", {}).values() for line in lines)
    yield from (f"{name}{fits}" for name, fits in entry.get("pins", {}).items())


def _models(folder: Path) -> Iterator[Question]:
    for _, place, model in _files(folder, "models"):
        for requirement in _lines(model):
            yield Question(place, requirement, _requirement(place, requirement))


def _index_wheels(
    path: Path, place: str, package: Parsed, architecture: str, held: Parsed
) -> Callable[[Tools], list[Fact]]:
    name = package["name"]
    asked = next((line for line in package.get("requires", [name]) if name_of(line) == normal(name)), name)

    def ask(tools: Tools) -> list[Fact]:
        project = tools.index.project(name)
        item = f"{name} wheels for {architecture}"
        file = _newest_wheel(project, asked, architecture)
        if file is None:
            return [Fact(place, item, WRONG, f"no release has a wheel for {architecture}", tools.index.shown)]
        requires = wheels.said(file, name).requires
        artifact = wheels.binaries(file, tools.most)
        return [compare.index_wheels(path, place, item, file, artifact, requires, architecture, held)]

    return ask


def _newest_wheel(project: Project, requirement: str, architecture: str) -> Any:
    fits = Requirement(requirement).specifier
    versions = sorted(
        {f.version for f in project.files if f.is_wheel and not f.yanked and fits.contains(f.version)}, reverse=True
    )
    for version in versions:
        file = wheels.pick([found for found in project.files if found.version == version], architecture)
        if file is not None:
            return file
    return None


def _source(path: Path, place: str, item: str, name: str, release: Parsed) -> Callable[[Tools], list[Fact]]:
    source, version = release["source"], release["version"]

    def ask(tools: Tools) -> list[Fact]:
        if "index" in source:
            return compare.archive(path, place, item, tools.index.project(name), release, tools.index.shown)
        if "git" not in source:
            return [upstream.archive(place, item, source, tools.most)]
        try:
            found = [upstream.tag(path, place, item, source, version)]
        except Unreachable as error:  # upstream's wheel may still say it
            found = [Fact(place, item, UNASKED, str(error), "")]
        if name in BY_THEIR_WHEELS:
            file = wheels.pick(tools.index.project(name).of(version), "x86_64")
            if file is not None:
                found.append(compare.commit(path, place, item, file, wheels.said(file, name), source["commit"]))
        return found

    return ask


# --- locks of build requirements


def _locks(folder: Path) -> Iterator[Question]:
    pins: dict[str, list[tuple[str, str, frozenset[str]]]] = {}
    for path in sorted((folder / "packages" / "locks").glob("*.txt")):
        for name, version, hashes in compare.pins(path.read_text(encoding="utf-8")):
            pins.setdefault(name, []).append((f"packages/locks/{path.name}", version, hashes))
    for name, held in sorted(pins.items()):
        yield Question(held[0][0], name, _pinned(name, held))


def _pinned(name: str, held: Sequence[tuple[str, str, frozenset[str]]]) -> Callable[[Tools], list[Fact]]:
    def ask(tools: Tools) -> list[Fact]:
        project = tools.index.project(name)
        return [
            compare.pin(place, name, version, hashes, project, tools.index.shown) for place, version, hashes in held
        ]

    return ask


# --- CUDA toolkits


def _toolkits(folder: Path) -> Iterator[Question]:
    path, place = folder / "cuda.yml", "cuda.yml"
    data = _read(path)
    for version, held in data["toolkits"].items():
        yield Question(place, f"CUDA {version}", _toolkit(path, place, version, held, data["sms"]))

    def newer(tools: Tools) -> list[Fact]:
        return compare.newer_toolkits(
            tools.index.project("nvidia-cuda-nvcc"), list(data["toolkits"]), tools.index.shown
        )

    yield Question(place, "CUDA toolkits", newer)


def _toolkit(path: Path, place: str, version: str, held: Parsed, sms: Parsed) -> Callable[[Tools], list[Fact]]:
    """The compilers of a toolkit are wheels: NVIDIA's own, one set of names for CUDA 12 and one from 13 on."""

    def ask(tools: Tools) -> list[Fact]:
        old = version.startswith("12.")
        header = _of_toolkit(tools, "nvidia-cuda-nvcc-cu12" if old else "nvidia-cuda-crt", version)
        compiler = _of_toolkit(tools, "nvidia-cuda-nvcc-cu12" if old else "nvidia-cuda-nvcc", version)
        found = wheels.read(header, re.compile(r".*/crt/host_config\.h"))
        gcc = wheels.host_gcc(next(iter(found.values()), b""))
        program = wheels.read(compiler, re.compile(r".*/bin/ptxas" if old else r".*/bin/nvcc"))
        known = wheels.compiled_for(next(iter(program.values()), b""))
        return [
            compare.gcc(path, place, version, gcc, held["gcc"], header),
            compare.compiled(place, version, known, sms, compiler),
        ]

    return ask


def _of_toolkit(tools: Tools, package: str, version: str) -> Any:
    project = tools.index.project(package)
    fit = {file.version for file in project.files if _minor(file.version) == version and not file.version.is_prerelease}
    file = wheels.pick([found for found in project.files if found.version == max(fit)], "x86_64") if fit else None
    if file is None:
        raise Unreachable(f"{tools.index.shown} has no {package} of CUDA {version}")
    return file


def _minor(version: Version) -> str:
    return f"{version.major}.{version.minor}"
