"""What a failed check's own words mean: the known failure in them, and what fixes it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from ..failures.base import Base
from ..failures.match import recognise
from ..failures.say import lead, remedy
from ..records.generation import CheckResult


def explained(result: CheckResult, general: str, known: Base, facts: Mapping[str, str]) -> CheckResult:
    """A check's result with the remedy of the failure that its words show; one that names a remedy of its own keeps it.

    Args:
        result: The result.
        general: The remedy that the check has for any failure.
        known: The failures that are known.
        facts: What remedies depend on.
    """
    if result["remedy"] != general or not general:
        return result
    cause = lead(recognise("\n".join([result["detail"], *_texts(result["evidence"])]), known, facts))
    if cause is None:
        return result
    return cast(
        CheckResult, {**result, "remedy": remedy(cause), "evidence": {**result["evidence"], "failure": cause.id}}
    )


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
