"""Which known failure a failed check is, by its name or its words, and what fixes it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from ..failures.base import Base
from ..failures.match import recognise
from ..failures.say import lead, remedy
from ..records.generation import CheckResult


def explained(result: CheckResult, general: str, usual: str, known: Base, facts: Mapping[str, str]) -> CheckResult:
    """A check's result with the remedy of the known failure that it is; one that names a remedy of its own keeps it.

    It is the failure that the check named when it failed, else the one that its words show, else the one that it most often is.

    Args:
        result: The result.
        general: The remedy that its check has for any failure.
        usual: The known failure that its check most often meets; empty where there is none.
        known: The failures that are known.
        facts: What remedies depend on.
    """
    if result["verdict"] != "fail" or result["remedy"] != general:
        return result
    name, answer = str(result["evidence"].get("failure", "")), None
    if not name:
        cause = lead(recognise("\n".join([result["detail"], *_texts(result["evidence"])]), known, facts))
        name, answer = (cause.id, cause.answer) if cause else (usual, None)
    answer = answer or known.answer(name, facts)
    if answer is None:
        return result
    return cast(CheckResult, {**result, "remedy": remedy(answer), "evidence": {**result["evidence"], "failure": name}})


def _texts(value: Any) -> Iterator[str]:
    """Every text in a check's evidence."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _texts(item)
