"""What an answer says of a fact. Nothing here asks anybody."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from ansible_collections.wavesmith.provision.plugins.module_utils.audit.libraries import some
from ansible_collections.wavesmith.provision.plugins.module_utils.audit.verdict import Artifact
from ansible_collections.wavesmith.provision.plugins.module_utils.terms.kinds import Parsed
from ansible_collections.wavesmith.provision.plugins.module_utils.terms.names import normal
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.catalog import cuda_version
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version

from . import wheels
from .index import File, Project
from .records import NEW, RIGHT, UNASKED, WRONG, Change, Fact

_ENVIRONMENT = {"platform_system": "Linux", "sys_platform": "linux", "python_version": "3.12"}
_ENVIRONMENT["python_full_version"] = "3.12.0"


def release(place: str, item: str, project: Project, version: str, source: str) -> Fact:
    """Whether an index has a release, and still wants it to be taken."""
    files = project.of(version)
    if not files:
        newest = project.newest()
        known = f"its newest is {newest}" if newest else f"it does not know {project.name}"
        return Fact(place, item, WRONG, f"there is no release {version}: {known}", source)
    if all(file.yanked for file in files):
        return Fact(place, item, WRONG, f"the release {version} was withdrawn (yanked)", source)
    return Fact(place, item, RIGHT, f"{len(files)} files", source)


def pythons(
    place: str, item: str, files: Sequence[File], python: Mapping[str, str], architectures: Iterable[str], source: str
) -> Fact:
    """Whether there is a wheel for each Python and CPU architecture that a stack is for."""
    first, last = (int(python[key].partition(".")[2]) for key in ("minimum", "maximum"))
    lacking = []
    for architecture in architectures:
        there = [file for file in files if file.is_wheel and wheels.architecture_of(file) in (architecture, "any")]
        for minor in range(first, last + 1):
            if not any(_runs_on(file, minor) for file in there):
                lacking.append(f"3.{minor} on {architecture}")
    if lacking:
        return Fact(place, item, WRONG, f"it has no wheel for Python {some(lacking)}", source)
    return Fact(place, item, RIGHT, f"wheels for Python 3.{first} to 3.{last}", source)


def _runs_on(file: File, minor: int) -> bool:
    tags = file.name.removesuffix(".whl").split("-")
    python, abi = tags[-3], tags[-2]
    if file.requires_python and not _within(f"3.{minor}", file.requires_python):
        return False
    for tag in python.split("."):
        if tag in (f"cp3{minor}", "py3") and abi in (f"cp3{minor}", "abi3", "none"):
            return True
        number = re.fullmatch(r"cp3(\d+)", tag)
        if number and abi == "abi3" and int(number[1]) <= minor:
            return True
    return False


def _within(version: str, specifier: str) -> bool:
    try:
        return SpecifierSet(specifier).contains(version, prereleases=True)
    except InvalidSpecifier:
        return True


def said(place: str, item: str, file: File, held: wheels.Said, stack: Parsed, name: str) -> list[Fact]:
    """Whether what a wheel of the family requires, and the CUDA it was built for, are those of its stack."""
    found = []
    cuda = cuda_version(stack["backend"])
    if name == "torch" and cuda:
        verdict = RIGHT if held.cuda == cuda else WRONG
        found.append(
            Fact(place, item, verdict, f"it was built for CUDA {held.cuda or '(none)'}, the stack is {cuda}", file.name)
        )
    local = re.search(r"\+cu(\d+)(\d)$", held.version)
    if name == "torchaudio" and cuda and local:
        built = f"{local[1]}.{local[2]}"
        verdict = RIGHT if built == cuda else WRONG
        found.append(Fact(place, item, verdict, f"it was built for CUDA {built}, the stack is {cuda}", file.name))
    versions = {normal(key): value for key, value in {**stack["versions"], **stack.get("brings", {})}.items()}
    for line in held.requires:
        asked = _requirement(line)
        if asked is None or normal(asked.name) not in versions:
            continue
        version = versions[normal(asked.name)]
        verdict = RIGHT if asked.specifier.contains(version, prereleases=True) else WRONG
        detail = f"it requires {asked.name}{asked.specifier}, the stack has {version}"
        found.append(Fact(place, item, verdict, detail, file.name))
    return found


def _requirement(line: str) -> Requirement | None:
    """A requirement that holds on Linux; None where it does not, or belongs to an extra."""
    try:
        asked = Requirement(line)
    except InvalidRequirement:
        return None
    if asked.marker is not None and not asked.marker.evaluate({**_ENVIRONMENT, "extra": ""}):
        return None
    return asked


def stack_sms(
    path: Path,
    place: str,
    item: str,
    file: File,
    artifact: Artifact,
    held: Sequence[str],
    pinned: Mapping[str, Sequence[str]],
    architecture: str,
) -> Fact:
    """Whether torch's libraries have the machine code that the stack says."""
    item = f"{item} machine code for {architecture}"
    if artifact.skipped:
        return _unread(place, item, file, artifact)
    wanted = list(pinned.get(architecture, ()))
    if sorted(wanted) == sorted(held):
        return Fact(place, item, RIGHT, f"SASS {' '.join(held)}", file.name)
    old, new = (f"{architecture}: [{', '.join(f'{chr(34)}{sm}{chr(34)}' for sm in names)}]" for names in (wanted, held))
    detail = f"it has {' '.join(held) or 'none'}, the catalog says {' '.join(wanted) or 'none'}"
    return Fact(place, item, WRONG, detail, file.name, Change(path, old, new, f"{file.name}, read"))


def index_wheels(
    path: Path,
    place: str,
    item: str,
    file: File,
    artifact: Artifact,
    requires: Iterable[str],
    architecture: str,
    pinned: Parsed,
) -> Fact:
    """Whether an index's wheels are what the catalog says: for the CPU, or for one CUDA and some GPUs."""
    if artifact.skipped:
        return _unread(place, item, file, artifact)
    backend, held = wheels.backend(artifact), wheels.sms(artifact)
    sms = list(pinned.get("sms", ()))
    if backend == "cpu" and not sms:  # what computes may be in what it requires: flashinfer_python[cu13]
        major = pinned["backend"].removeprefix("cuda")
        others = [line for line in requires if re.search(rf"(?<![a-z0-9])cu{major}(?![0-9])", line.partition(";")[0])]
        if others:
            return Fact(place, item, RIGHT, f"it requires {others[0]}", file.name)
    if backend == pinned["backend"] and (not sms or sorted(sms) == sorted(held)):
        return Fact(place, item, RIGHT, f"{backend} {' '.join(held)}".strip(), file.name)
    detail = (
        f"it is {backend} {' '.join(held)}".strip() + f", the catalog says {pinned['backend']} {' '.join(sms)}".rstrip()
    )
    change = None
    if backend != "cuda":
        old, new = _flow(architecture, pinned["backend"], sms), _flow(architecture, backend, held if sms else [])
        change = Change(path, old, new, f"{file.name}, read")
    return Fact(place, item, WRONG, detail, file.name, change)


def _flow(architecture: str, backend: str, sms: Sequence[str]) -> str:
    names = ", ".join(f'"{sm}"' for sm in sms)
    return (
        f"{architecture}: {{backend: {backend}, sms: [{names}]}}" if sms else f"{architecture}: {{backend: {backend}}}"
    )


def _unread(place: str, item: str, file: File, artifact: Artifact) -> Fact:
    names = some(name.rpartition("/")[2] for name in artifact.skipped)
    return Fact(place, item, UNASKED, f"{names} is large; --large reads it", file.name)


def requirement(place: str, line: str, project: Project, source: str) -> Fact:
    """Whether some release answers a requirement."""
    asked = Requirement(line)
    if asked.url:
        return Fact(place, line, UNASKED, f"it comes from {asked.url}", "")
    known = {file.version for file in project.files if not file.yanked}
    fits = [
        version for version in known if asked.specifier.contains(version, prereleases=bool(asked.specifier.prereleases))
    ]
    if fits:
        return Fact(place, line, RIGHT, f"{max(fits)} answers it", source)
    newest = project.newest()
    known_text = f"its newest is {newest}" if newest else f"it does not know {project.name}"
    return Fact(place, line, WRONG, f"no release answers it: {known_text}", source)


def archive(path: Path, place: str, item: str, project: Project, release: Parsed, source: str) -> list[Fact]:
    """Whether a source archive is on the index with the sha256 of the recipe, and whether there is a newer one."""
    name, digest, version = release["source"]["index"], release["source"]["sha256"], release["version"]
    file = next((file for file in project.files if file.name == name), None)
    if file is None:
        newest = project.newest()
        known = f"its newest is {newest}" if newest else f"it does not know {project.name}"
        return [Fact(place, item, WRONG, f"there is no file {name}: {known}", source)]
    found = []
    if file.sha256 and file.sha256 != digest:
        change = Change(path, digest, file.sha256, f"{name} on {source}")
        found.append(
            Fact(place, item, WRONG, f"its sha256 is {file.sha256}, the catalog says {digest}", source, change)
        )
    elif file.yanked:
        found.append(Fact(place, item, WRONG, f"the release {version} was withdrawn (yanked)", source))
    else:
        found.append(Fact(place, item, RIGHT, f"sha256 {digest[:12]}", source))
    newest = project.newest()
    if newest is not None and newest > Version(version):
        found.append(_newer(path, place, item, project, release, newest, source))
    return found


def _newer(path: Path, place: str, item: str, project: Project, release: Parsed, newest: Version, source: str) -> Fact:
    archives = [file for file in project.files if file.version == newest and not file.is_wheel and file.sha256]
    if not archives or release.get("patches"):
        why = "its patches are for this one" if release.get("patches") else "it has no source archive"
        return Fact(place, item, NEW, f"{newest} is there; {why}", source)
    held = release["source"]
    old = f"version: {release['version']}\n      source: {{index: {held['index']}, sha256: {held['sha256']}}}"
    new = f"version: {newest}\n      source: {{index: {archives[0].name}, sha256: {archives[0].sha256}}}"
    return Fact(
        place, item, NEW, f"{newest} is there", source, Change(path, old, new, f"{archives[0].name} on {source}")
    )


def commit(path: Path, place: str, item: str, file: File, held: wheels.Said, pinned: str) -> Fact:
    """Whether upstream's wheel was built from the commit of the recipe."""
    if not held.commit:
        return Fact(place, item, UNASKED, "its version.py names no commit", file.name)
    if held.commit != pinned:
        change = Change(path, pinned, held.commit, f"{file.name}, version.py")
        detail = f"it was built from {held.commit[:12]}, the catalog says {pinned[:12]}"
        return Fact(place, item, WRONG, detail, file.name, change)
    return Fact(place, item, RIGHT, f"built from {pinned[:12]}", file.name)


def pins(lock: str) -> Iterator[tuple[str, str, frozenset[str]]]:
    """Name, version and hashes of each pin of a lock."""
    for line in re.split(r"\n(?=\S)", lock.replace("\\\n", " ")):
        found = re.match(r"([A-Za-z0-9][\w.-]*)==([^\s;]+)", line)
        if found:
            yield normal(found[1]), found[2], frozenset(re.findall(r"--hash=sha256:([0-9a-f]{64})", line))


def pin(place: str, name: str, version: str, hashes: frozenset[str], project: Project, source: str) -> Fact:
    """Whether a pin of a lock is on the index with the files that it names."""
    item = f"{name} {version}"
    there = release(place, item, project, version, source)
    if there.verdict != RIGHT:
        return there
    known = {file.sha256 for file in project.of(version) if file.sha256}
    if known and hashes - known:
        gone = sorted(hashes - known)
        return Fact(
            place,
            item,
            WRONG,
            f"{len(gone)} of {len(hashes)} files have another sha256, or are gone ({gone[0][:12]} …)",
            source,
        )
    return Fact(place, item, RIGHT, f"{len(hashes)} files", source)


def newer_torch(project: Project, held: Iterable[str], source: str) -> list[Fact]:
    """Releases of torch that are newer than those of all stacks."""
    newest = project.newest()
    known = max(map(Version, held))
    if newest is not None and newest > known:
        return [Fact("stacks", "torch", NEW, f"{newest} is there, the newest of a stack is {known}", source)]
    return [Fact("stacks", "torch", RIGHT, f"{known} is the newest", source)]


def newer_toolkits(project: Project, held: Sequence[str], source: str) -> list[Fact]:
    """CUDA toolkits that the catalog does not know yet."""
    there = {(file.version.major, file.version.minor) for file in project.files if not file.version.is_prerelease}
    newest = max((tuple(map(int, version.split("."))) for version in held), default=(0, 0))
    new = [f"{major}.{minor}" for major, minor in sorted(there) if (major, minor) > newest]
    if new:
        return [Fact("cuda.yml", "CUDA toolkits", NEW, f"{', '.join(new)} is there", source)]
    return [Fact("cuda.yml", "CUDA toolkits", RIGHT, f"{'.'.join(map(str, newest))} is the newest", source)]


def gcc(path: Path, place: str, version: str, found: str, pinned: Mapping[str, str], file: File) -> Fact:
    """Whether a toolkit takes the gcc that the catalog says."""
    item = f"CUDA {version} host compiler"
    if not found:
        return Fact(place, item, UNASKED, "its host_config.h does not say which gcc it refuses", file.name)
    if found != pinned["maximum"]:
        old, new = (
            f'"{version}": {{gcc: {{minimum: "{pinned["minimum"]}", maximum: "{maximum}"}}}}'
            for maximum in (pinned["maximum"], found)
        )
        detail = f"it takes gcc to {found}, the catalog says {pinned['maximum']}"
        return Fact(place, item, WRONG, detail, file.name, Change(path, old, new, f"{file.name}, crt/host_config.h"))
    return Fact(place, item, RIGHT, f"gcc to {found}", file.name)


def compiled(place: str, version: str, found: Sequence[str], sms: Parsed, file: File) -> Fact:
    """Whether a toolkit compiles for the compute capabilities that the catalog says, and for no others."""
    item = f"CUDA {version} compute capabilities"
    if not found:
        return Fact(place, item, UNASKED, "its compiler names none", file.name)
    held = {sm for sm, known in sms.items() if _has(known["nvcc"], version)}
    lacking, unknown = sorted(held - set(found), key=_number), sorted(set(found) - held, key=_number)
    words = [f"it does not know {', '.join(lacking)}"] if lacking else []
    words += [f"the catalog has no {', '.join(unknown)} for it"] if unknown else []
    if words:
        return Fact(place, item, WRONG, "; ".join(words), file.name)
    return Fact(place, item, RIGHT, " ".join(sorted(found, key=_number)), file.name)


def _has(held: Mapping[str, str], version: str) -> bool:
    return Version(held["minimum"]) <= Version(version) <= Version(held.get("maximum", "999"))


def _number(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))
