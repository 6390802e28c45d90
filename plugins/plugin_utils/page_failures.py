"""The known failures as the report's page has them: it recognises a pasted text by itself, without a server."""

from __future__ import annotations

import re
from typing import Any

from ansible_collections.wavesmith.provision.plugins.module_utils.failures import match, text
from ansible_collections.wavesmith.provision.plugins.module_utils.failures.base import compiled
from ansible_collections.wavesmith.provision.plugins.module_utils.records.failure import FailureBase, FailureOf

_ALL_CASES = "(?i)"


def for_browser(pattern: str) -> tuple[str, str]:
    """A regular expression of Python in JavaScript's words, and its flags."""
    flags = "i" if pattern.startswith(_ALL_CASES) else ""
    return re.sub(r"\(\?P<", "(?<", pattern.removeprefix(_ALL_CASES)), flags


def known_to_the_page(base: FailureBase) -> dict[str, Any]:
    """All that recognises a failure and says what it means."""
    rules = {name: for_browser(rule.pattern) for name, rule in {**match.EXPRESSIONS, **text.EXPRESSIONS}.items()}
    return {
        "rules": rules,
        "quotes": text.QUOTES,
        "english": text.ENGLISH,
        "tables": base["tables"],
        "failures": [_failure(one) for one in base["failures"]],
    }


def _failure(one: FailureOf) -> dict[str, Any]:
    def patterns(given: list[str]) -> list[str]:
        return [for_browser(compiled(pattern).pattern)[0] for pattern in given]

    return {
        **{name: one[name] for name in ("id", "title", "severity", "cause", "remedies")},
        "patterns": patterns(one["patterns"]),
        "unless": patterns(one.get("unless", [])),
        "context": patterns(one.get("context", [])),
        "echo": one.get("echo", False),
        "defaults": one.get("defaults", {}),
        "lookups": one.get("lookups", {}),
        "explains": one.get("explains", []),
    }
