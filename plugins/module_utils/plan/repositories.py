"""What is fetched from elsewhere than a package index: sources of builds, packages at a commit. What to ask a host about them, and what its answers mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

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


def silent(item: EnvironmentPlan, answers: Mapping[str, SourceState], alone: bool) -> tuple[list[Refusal], list[str]]:
    """Refusals for what nobody gives, and warnings for what may be no more than a busy server.

    Args:
        item: What an environment needs.
        answers: What the host was told, by name.
        alone: Whether no other host of the run could hold or build it, so that this host's own way to a source decides.
    """
    refusals, warnings = list[Refusal](), list[str]()
    for what, digest, urls in _wanted(item):
        states = [answers.get(f"{digest}/{number}", {"answers": True}) for number in range(len(urls))]
        if not states or any(state["answers"] for state in states):
            continue
        said = "; ".join(f"{split_url(url).shown}: {state['detail']}" for url, state in zip(urls, states))
        if not alone or any(unsure(state) for state in states):
            warnings.append(
                f"{what}: its source gave no answer ({said}). Remedy: check the network or proxy of the host"
            )
        else:
            remedy = (
                "correct its address or commit, check the network or proxy of the host, or add a mirror to its recipe"
            )
            refusals.append(Refusal(what, f"its source does not answer ({said})", remedy))
    return refusals, warnings


def _wanted(item: EnvironmentPlan) -> list[tuple[str, str, Sequence[str]]]:
    """What it is for, its sha256 or commit, and where it can be had."""
    found = list[tuple[str, str, Sequence[str]]]()
    if "build" in item.phases:
        for wheel in item.wheels:
            source = wheel.spec["source"]
            if wheel.status == "build" and source["urls"]:
                end = _GIT if source["kind"] == "git" else ""
                found.append(
                    (
                        f"wheel {wheel.name} {wheel.version}",
                        source["digest"],
                        [_with(url, end) for url in source["urls"]],
                    )
                )
    if "lock" in item.phases or "install" in item.phases:
        lines = "\n".join(item.lock.get("requirements", ()))
        found += [(f"package {line.name}", line.commit, [_with(line.url, _GIT)]) for line in repositories(lines)]
    return found


def _with(url: str, end: str) -> str:
    return url.rstrip("/") + end if end else url
