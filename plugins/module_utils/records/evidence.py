"""What a check measured: plain JSON under the check's own names, a few levels deep."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import Any, Union, cast

Leaf = Union[None, bool, int, float, str]
"""A measured number, a text, whether something holds; `None` where it could not be had."""
_One = Union[None, bool, int, float, str, list[Leaf], dict[str, Leaf]]
_Two = Union[None, bool, int, float, str, list[_One], dict[str, _One]]
Value = Union[None, bool, int, float, str, list[_Two], dict[str, _Two]]
"""One thing that was measured: a leaf, or lists and mappings of leaves, three deep."""
Evidence = dict[str, Value]
DEEPEST = 3


def plain(measured: Mapping[str, object]) -> Evidence:
    """What a check gives, as JSON can hold it.

    Numbers of numpy and torch are their values, a number that is none (``nan``, ``inf``) is text, as are paths, versions and all other things; so is
    what lies deeper than `DEEPEST`. Sets are sorted.
    """
    return {str(name): cast(Value, _plain(value, DEEPEST)) for name, value in measured.items()}


def _plain(value: Any, deep: int) -> Any:
    if value is None or isinstance(value, (bool, str)):
        return str(value) if isinstance(value, str) else value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, Mapping) and deep:
        return {str(name): _plain(item, deep - 1) for name, item in value.items()}
    if isinstance(value, (set, frozenset)):
        value = sorted(value, key=str)
    if isinstance(value, (list, tuple)) and deep:
        return [_plain(item, deep - 1) for item in value]
    if getattr(value, "shape", None) == ():  # of numpy and torch: a single number
        return _plain(value.item(), deep)
    return str(value)
