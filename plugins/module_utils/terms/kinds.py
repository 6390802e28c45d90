"""What a value is, in words for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Parsed = Mapping[str, Any]
"""A file of YAML, TOML or JSON as it was parsed. Its schema is checked before anything reads it, and who reads it makes records of it."""


def kind_of(value: Any) -> str:
    """What a value is, in words for people."""
    for types, word in (
        (Mapping, "a mapping"),
        (str, "text"),
        (bool, "true or false"),
        ((list, tuple), "a list"),
        ((int, float), "a number"),
    ):
        if isinstance(value, types):
            return word
    return "nothing" if value is None else f"a {type(value).__name__}"
