"""What is fetched from elsewhere than a package index: sources of builds, packages at a commit. What to ask a host about them, and what its answers mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ..records.host import SourceState
from ..terms.refusal import Refusal
from ..terms.url import split_url
from .lockfile import repositories
from .origins import unsure
from .record import EnvironmentPlan

_GIT = "/info/refs?service=git-upload-pack"
"""What a git server is asked first (Documentation/gitprotocol-http of git); without the service, a server may serve nobody."""


def sources(environments: Iterable[EnvironmentPlan]) -> dict[str, str]:
    """The address to ask by the source's name, ``<sha256 or commit>/<number of the mirror>``. Only HTTP can be asked without a key."""
    return {
        f"{digest}/{number}": url
        for item in environments
        for _, digest, urls in _wanted(item)
        for number, url in enumerate(urls)
        if url.startswith(("http:", "https:"))
    }


@dataclass
class Silent:
    """What came of asking.

    Attributes:
        refusals: For what the host has to fetch itself, and cannot.
        warnings: For what may be no more than a busy server.
        elsewhere: Refusals by the source of a wheel, for hosts of whose run no other one has or builds that wheel.
    """

    refusals: list[Refusal] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    elsewhere: dict[str, Refusal] = field(default_factory=dict)


def silent(environments: Iterable[EnvironmentPlan], answers: Mapping[str, SourceState]) -> Silent:
    """What the sources of some environments mean for them, as a host was answered by their names."""
    found = Silent()
    for what, digest, urls in dict.fromkeys(each for item in environments for each in _wanted(item)):
        states = [answers.get(f"{digest}/{number}", {"answers": True}) for number in range(len(urls))]
        if not states or any(state["answers"] for state in states):
            continue
        said = "; ".join(f"{split_url(url).shown}: {state['detail']}" for url, state in zip(urls, states))
        if any(unsure(state) for state in states):
            found.warnings.append(
                f"{what}: its source gave no answer ({said}). Remedy: check the network or proxy of the host"
            )
            continue
        remedy = "correct its address or commit, check the network or proxy of the host, or add a mirror to its recipe"
        refusal = Refusal(what, f"its source does not answer ({said})", remedy)
        if what.startswith(_WHEEL):
            found.elsewhere[digest] = refusal
        else:
            found.refusals.append(refusal)
    return found


_WHEEL = "wheel "
"""How the name of what is built for all hosts of a run begins; a package at a commit is built by each host for itself."""


def _wanted(item: EnvironmentPlan) -> list[tuple[str, str, tuple[str, ...]]]:
    """What it is for, its sha256 or commit, and where it can be had."""
    found = list[tuple[str, str, tuple[str, ...]]]()
    if "build" in item.phases:
        for wheel in item.wheels:
            source = wheel.spec["source"]
            if wheel.status == "build" and source["urls"]:
                end = _GIT if source["kind"] == "git" else ""
                found.append(
                    (
                        f"{_WHEEL}{wheel.name} {wheel.version}",
                        source["digest"],
                        tuple(_with(url, end) for url in source["urls"]),
                    )
                )
    if "lock" in item.phases or "install" in item.phases:
        lines = "\n".join(item.lock.get("requirements", ()))
        found += [(f"package {line.name}", line.commit, (_with(line.url, _GIT),)) for line in repositories(lines)]
    return found


def _with(url: str, end: str) -> str:
    return url.rstrip("/") + end if end else url
