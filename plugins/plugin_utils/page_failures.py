"""The known failures as the report's page has them: it recognises a pasted text by itself, without a server."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TypedDict

from ansible_collections.wavesmith.provision.plugins.module_utils.failures import match, text
from ansible_collections.wavesmith.provision.plugins.module_utils.failures.base import compiled
from ansible_collections.wavesmith.provision.plugins.module_utils.records.failure import (
    FailureBase,
    FailureOf,
    Lookup,
    RemedyOf,
)

_ALL_CASES = "(?i)"


class FailureOfPage(TypedDict):
    """A failure, as `records.failure.FailureOf` explains it, with patterns in JavaScript's words."""

    id: str
    title: str
    severity: str
    cause: str
    remedies: list[RemedyOf]
    patterns: list[str]
    unless: list[str]
    context: list[str]
    echo: bool
    defaults: dict[str, str]
    lookups: dict[str, Lookup]
    explains: list[str]


class KnownToPage(TypedDict):
    """All that recognises a failure and says what it means.

    Attributes:
        rules: Expressions by name, each with its flags.
        quotes: What stands for a sign of a text.
        english: Words of tools in other languages, and in English.
        tables: Facts that entries look up.
        failures: The entries.
    """

    rules: dict[str, tuple[str, str]]
    quotes: Mapping[str, str]
    english: Sequence[tuple[str, str]]
    tables: dict[str, dict[str, str]]
    failures: list[FailureOfPage]


def for_browser(pattern: str) -> tuple[str, str]:
    """A regular expression of Python in JavaScript's words, and its flags."""
    flags = "i" if pattern.startswith(_ALL_CASES) else ""
    return re.sub(r"\(\?P<", "(?<", pattern.removeprefix(_ALL_CASES)), flags


def known_to_the_page(base: FailureBase) -> KnownToPage:
    """What the page has of a base."""
    rules = {name: for_browser(rule.pattern) for name, rule in {**match.EXPRESSIONS, **text.EXPRESSIONS}.items()}
    return {
        "rules": rules,
        "quotes": text.QUOTES,
        "english": text.ENGLISH,
        "tables": base["tables"],
        "failures": [_failure(one) for one in base["failures"]],
    }


def _failure(one: FailureOf) -> FailureOfPage:
    def patterns(given: list[str]) -> list[str]:
        return [for_browser(compiled(pattern).pattern)[0] for pattern in given]

    return {
        "id": one["id"],
        "title": one["title"],
        "severity": one["severity"],
        "cause": one["cause"],
        "remedies": one["remedies"],
        "patterns": patterns(one["patterns"]),
        "unless": patterns(one.get("unless", [])),
        "context": patterns(one.get("context", [])),
        "echo": one.get("echo", False),
        "defaults": one.get("defaults", {}),
        "lookups": one.get("lookups", {}),
        "explains": one.get("explains", []),
    }
