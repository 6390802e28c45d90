"""Check plain data against a record, and write the JSON schema of one.

A record is a `TypedDict` or a dataclass whose docstring explains each field below ``Attributes:``. Its types are those that JSON has, with
`Optional`, `list`, `dict` and other records inside.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, Literal, TypeVar, Union

from ..terms.kinds import kind_of

Record = TypeVar("Record")

_UNIONS = (Union, getattr(types, "UnionType", Union))  # X | None, from Python 3.10 on
_JSON = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}
_SHOWN = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "a mapping",
}


class WrongRecord(ValueError):
    """A file or an answer that is not the record it should be: the message says which, what is wrong, and the remedy."""


@cache
def hints(record: Any) -> Mapping[str, object]:
    """The type of each field of a record."""
    return typing.get_type_hints(record)


@cache
def required(record: Any) -> frozenset[str]:
    """The fields that a record cannot lack."""
    if is_dataclass(record):
        return frozenset(
            field.name for field in fields(record) if field.default is MISSING and field.default_factory is MISSING
        )
    found: frozenset[str] = record.__required_keys__
    return found


def problems(value: Any, kind: Any, where: str = "") -> list[str]:
    """Where a value is not of a kind, each as ``cpu.cores is text, but must be a whole number``; empty where it is."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    place = where or "it"
    if kind in (Any, object):
        return []
    if origin in _UNIONS:
        tried = [problems(value, one, where) for one in inner]
        return [] if [] in tried else max(tried, key=lambda found: (type(value) in (dict, list), len(found)))
    if origin is Literal:
        return [] if value in inner else [f"{place} is {value!r}, but must be one of {', '.join(map(repr, inner))}"]
    if _is_record(kind):
        if not isinstance(value, dict):
            return [f"{place} is {kind_of(value)}, but must be a mapping"]
        lacking = sorted(required(kind) - value.keys())
        found = [f"{_join(where, name)} is missing" for name in lacking]
        for name, one in hints(kind).items():
            if name in value:
                found += problems(value[name], one, _join(where, name))
        return found
    if origin in (list, dict):
        if not isinstance(value, origin):
            return [f"{place} is {kind_of(value)}, but must be {_SHOWN[origin]}"]
        entries = enumerate(value) if isinstance(value, list) else value.items()
        return [problem for key, item in entries for problem in problems(item, inner[-1], _join(where, str(key)))]
    good = isinstance(value, (int, float) if kind is float else kind) and (kind is bool or not isinstance(value, bool))
    return [] if good else [f"{place} is {kind_of(value)}, but must be {_SHOWN.get(kind, kind.__name__)}"]


def read(value: Any, record: Callable[..., Record], name: str, remedy: str) -> Record:
    """A value that was read, as the record it is.

    Args:
        value: What `json` made of a file.
        record: The type that it should be; where it has a field ``schema``, that is its version.
        name: What to call the file in the message.
        remedy: What a person does about a file that is not.

    Raises:
        WrongRecord: it is of another schema version, or not such a record.
    """
    if isinstance(value, dict) and "schema" in hints(record):
        known, found = typing.get_args(hints(record)["schema"]), value.get("schema")
        if found not in known:
            version = f"schema version {found}" if isinstance(found, int) else "no schema version"
            raise WrongRecord(f"{name} has {version}, and {known[-1]} is known here. Remedy: {remedy}")
    wrong = problems(value, record)
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise WrongRecord(f"{name} is not what it should be: {wrong[0]}{more}. Remedy: {remedy}")
    return typing.cast(Record, value)


def build(value: Any, kind: Callable[..., Record]) -> Record:
    """The record that plain data was made of (`json`), with the dataclasses inside it; data that is none raises `TypeError` or `KeyError`."""
    return typing.cast(Record, _build(value, kind))


def _build(value: Any, kind: Any) -> Any:
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is list:
        return [_build(item, inner[0]) for item in value]
    if is_dataclass(kind):
        known = hints(typing.cast(typing.Hashable, kind))
        return typing.cast(Any, kind)(**{name: _build(item, known[name]) for name, item in value.items()})
    return value


def schema(record: type) -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of a record, with what its docstrings say."""
    definitions: dict[str, Any] = {}
    _schema(record, definitions)
    top = definitions.pop(record.__name__)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": record.__name__,
        **top,
        **({"$defs": dict(sorted(definitions.items()))} if definitions else {}),
    }


def _schema(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if kind in (Any, object):
        return {}
    if origin in _UNIONS:
        return {"anyOf": [_schema(one, definitions) for one in inner]}
    if origin is Literal:
        return {"enum": list(inner)}
    if origin is list:
        return {"type": "array", "items": _schema(inner[0], definitions)}
    if origin is dict:
        return {"type": "object", "additionalProperties": _schema(inner[1], definitions)}
    if not _is_record(kind):
        return {"type": _JSON[kind]}
    if kind.__name__ not in definitions:
        definitions[kind.__name__] = {}
        said = explained(kind)
        properties = {}
        for name, one in hints(kind).items():
            properties[name] = {**_schema(one, definitions), **({"description": said[name]} if name in said else {})}
        definitions[kind.__name__] = {
            "description": (kind.__doc__ or "").split("\n\n")[0].strip(),
            "type": "object",
            "properties": properties,
            "required": sorted(required(kind)),
        }
    return {"$ref": f"#/$defs/{kind.__name__}"}


def explained(record: type) -> dict[str, str]:
    """What a record's docstring says of each of its fields, below ``Attributes:``."""
    block = (record.__doc__ or "").partition("Attributes:\n")[2]
    found = re.findall(r"^ {8}(\w+): (.*(?:\n {9,}.*)*)", block, re.MULTILINE)
    return {name: re.sub(r"\s+", " ", text).strip() for name, text in found}


def _is_record(kind: Any) -> bool:
    return is_dataclass(kind) or (isinstance(kind, type) and hasattr(kind, "__required_keys__"))


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
