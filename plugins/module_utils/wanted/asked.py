"""A line of an environment's ``packages``: a distribution of the index with what is asked of it, or a commit of a repository."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from ..terms.names import normal

_ADDRESS = re.compile(r"(?:(?P<head>[A-Za-z0-9][\w.,\[\]\s-]*?)\s*@\s*)?(?P<address>[a-z][a-z0-9+.-]*:.*)", re.DOTALL)
_GIT = re.compile(
    r"git\+(?P<url>(?:https|ssh)://(?:[\w.-]+@)?[\w][\w.-]*(?::\d+)?/[\w./~+-]+?)@(?P<commit>[^@#\s]*)"
    r"(?:#(?P<fragment>\S*))?"
)
_FRAGMENT = re.compile(r"(?:egg=(?P<egg>[A-Za-z0-9][\w.-]*)|subdirectory=(?P<folder>\w[\w./-]*))")


class Unclear(ValueError):
    """A line that asks for nothing that can be had: what is wrong, and the remedy."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.problem, self.remedy = problem, remedy


@dataclass(frozen=True)
class Asked:
    """What one line asks for.

    Attributes:
        said: The line itself.
        name: The distribution, normalised; empty where only its repository says it.
        specifier: Which versions; empty: any.
        more: Whether the line asks for more than a name.
        line: What the resolver is asked for.
        commit: The full commit of a repository; empty for what comes from the index.
    """

    said: str
    name: str
    specifier: str = ""
    more: bool = False
    line: str = ""
    commit: str = ""


@lru_cache(maxsize=4096)
def read(said: str) -> Asked:
    """Read one line.

    Raises:
        Unclear: it is no name, requirement or pinned repository.
    """
    from packaging.requirements import InvalidRequirement, Requirement  # the controller has it

    text = said.strip()
    if not text or text.startswith("-"):
        raise Unclear(
            "it is an option, not a package", "name packages only; wavesmith_package_index names another index"
        )
    if text.startswith((".", "/", "~")):
        raise Unclear("it is a path", "make it a project (wavesmith_projects, docs/guard.md)")
    address = _ADDRESS.fullmatch(text)
    if address:
        return _repository(text, address["head"] or "", address["address"])
    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        raise Unclear(
            f"it is not a requirement ({str(error).splitlines()[0]})", 'write it like "pandas>=2.2" or "name[extra]"'
        ) from None
    more = bool(requirement.extras or requirement.specifier or requirement.marker)
    return Asked(said, normal(requirement.name), str(requirement.specifier), more, str(requirement))


def _repository(text: str, head: str, address: str) -> Asked:
    if not address.startswith("git+"):
        remedy = "name a release on the index, or a commit: name @ git+https://host/repository@<commit>"
        raise Unclear("it is an address without a hash", remedy)
    if re.match(r"git\+\w+://[^/@]*:[^/@]*@", address):
        raise Unclear(
            "its address holds a password, and locks are committed", "give the host a key, and use git+ssh://"
        )
    if ";" in address:
        raise Unclear("a commit applies to every host, and it has a marker", "give that host's group its own list")
    found = _GIT.fullmatch(address.strip())
    if found is None or "/-" in found["url"] or ".." in found["url"]:
        if re.match(r"git\+(https|ssh)://", address) and "@" not in address.partition("://")[2].partition("/")[2]:
            raise Unclear("it names no commit", "pin it: git+https://host/repository@<all 40 digits of the commit>")
        remedy = "use git+https://host/repository@<commit> or git+ssh://; other transports are not supported"
        raise Unclear("a repository cannot be fetched from there", remedy)
    if not re.fullmatch(r"[0-9a-f]{40}", found["commit"]):
        problem = f"{found['commit'] or 'nothing'!r} is not a full commit: a branch or tag can move, a short one can mean another"
        raise Unclear(problem, "write all 40 digits of the commit (git rev-parse HEAD)")
    name, folder = head.partition("[")[0].strip(), ""
    for part in filter(None, (found["fragment"] or "").split("&")):
        known = _FRAGMENT.fullmatch(part)
        if known is None or ".." in part:
            raise Unclear(f"#{part} is not understood", "use #subdirectory=<folder> or #egg=<name>")
        name, folder = name or known["egg"] or "", known["folder"] or folder
    clean = f"git+{found['url']}@{found['commit']}" + (f"#subdirectory={folder}" if folder else "")
    line = f"{head.strip() or name} @ {clean}" if head or name else clean
    return Asked(text, normal(name), more=True, line=line, commit=found["commit"])


def disagree(specifiers: Iterable[str]) -> bool:
    """Whether no version can satisfy all of these specifiers.

    Each clause draws a line through the versions; it is enough to try those on, just below and just above each line.
    """
    from packaging.specifiers import SpecifierSet

    every = SpecifierSet(",".join(filter(None, specifiers)))
    tried = ["0", "99999"]
    for clause in every:
        version = clause.version.removesuffix(".*").split("+")[0]
        parts = version.split(".")
        tried += [version, f"{version}.0.0.1", f"{version}.1", f"{version}.99999"]
        if parts[-1].isdigit() and int(parts[-1]):
            tried.append(".".join([*parts[:-1], str(int(parts[-1]) - 1), "99999"]))
    local = [clause.version for clause in every if "+" in clause.version]
    return not any(every.contains(version, prereleases=True) for version in [*tried, *local] if _plain(version))


def _plain(version: str) -> bool:
    from packaging.version import InvalidVersion, Version

    try:
        Version(version)
    except InvalidVersion:
        return False
    return True


OFTEN = """\
accelerate aiohttp click cython datasets diffusers einops fastapi ffmpeg-python flask gradio grpcio h5py
hydra-core ipython jinja2 joblib jupyterlab lightning matplotlib nltk notebook numba numpy omegaconf onnx
opencv-python pandas pillow plotly polars protobuf pyaudio pydantic pydub pytest pyyaml requests resampy rich
scikit-image scikit-learn scipy seaborn sentencepiece sounddevice soundfile soxr spacy sympy tensorboard
tokenizers tqdm transformers typer uvicorn wandb websockets"""
"""Packages of the index that are asked for often: only to say what a name that the index does not have may mean."""


def mistyped(name: str, known: Iterable[str]) -> str:
    """The known name that a name is one slip of the fingers away from; empty where it is none, or is known itself."""
    names = {normal(other): other for other in known}
    if normal(name) in names or len(name) < 5:
        return ""
    return next((other for plain, other in sorted(names.items()) if _one_slip(normal(name), plain)), "")


def _one_slip(one: str, other: str) -> bool:
    """Whether a letter more, less, other, two in the wrong order, or hyphens make one name of the other."""
    start = next((place for place, (a, b) in enumerate(zip(one, other)) if a != b), min(len(one), len(other)))
    rest, left = one[start:], other[start:]
    return (
        one.replace("-", "") == other.replace("-", "")
        or rest[1:] == left
        or rest == left[1:]
        or rest[1:] == left[1:]
        or (len(rest) > 1 and len(left) > 1 and rest[:2] == left[1::-1] and rest[2:] == left[2:])
    )
