"""Failures that are known: what the catalog says of each, and what was recognised in a text."""

from __future__ import annotations

from typing import Literal, Optional, TypedDict, Union


class _RemedyOf(TypedDict):
    """What every remedy has."""

    remedy: str


class RemedyOf(_RemedyOf, total=False):
    """What fixes a failure.

    Attributes:
        remedy: What to do, in words.
        command: The command that does it.
        when: What must hold for it: a name (a capture, or a fact such as ``machine``) and the pattern of its whole value.
    """

    command: str
    when: dict[str, str]


class Lookup(TypedDict, total=False):
    """A value that follows from another one.

    Attributes:
        key: The name whose value is looked up.
        table: The table, or the name of one that the whole base has.
        default: What it is where the table lacks the value; left out: nothing.
    """

    key: str
    table: Union[str, dict[str, str]]
    default: str


class ProbeOf(TypedDict, total=False):
    """How a host is asked whether the cause is there.

    Attributes:
        name: A function of the room ``failures``, file ``probes``.
        of: What it is asked for; captures are filled in.
    """

    name: str
    of: dict[str, str]


class _FailureOf(TypedDict):
    """What every known failure has."""

    id: str
    title: str
    severity: Literal["harmless", "degrades", "deadly"]
    patterns: list[str]
    cause: str
    remedies: list[RemedyOf]
    source: list[str]


class FailureOf(_FailureOf, total=False):
    """A failure that is known, ``catalog/failures/<id>.yml`` without its examples.

    Attributes:
        id: Its name.
        title: What goes wrong, in a few words.
        severity: ``deadly``: it does not work; ``degrades``: it works, but worse; ``harmless``: it can be ignored.
        patterns: Regular expressions, each enough; a blank stands for any white space, also a line's end. Named groups are captures.
        cause: Why it happens.
        remedies: What fixes it: the first that fits.
        source: Addresses of the documents or threads that the facts are from.
        echo: Whether it says only that something else failed.
        unless: Patterns that must not be in the text.
        context: Patterns that only add captures, from anywhere in the text.
        defaults: Values of names that nothing captured.
        lookups: Values that follow from others, by name.
        explains: Failures that follow from this one.
        probe: How a host is asked whether the cause is there.
    """

    echo: bool
    unless: list[str]
    context: list[str]
    defaults: dict[str, str]
    lookups: dict[str, Lookup]
    explains: list[str]
    probe: ProbeOf


class FailureBase(TypedDict):
    """All that is known, as ``wavesmith doctor --known`` prints it and ``wavesmith/doctor/spec.json`` in an environment has it.

    Attributes:
        schema: Version of this record.
        tables: Facts that entries look up, by the table's name.
        failures: The entries.
    """

    schema: Literal[1]
    tables: dict[str, dict[str, str]]
    failures: list[FailureOf]


class Recognised(TypedDict):
    """One failure that a text shows.

    Attributes:
        id: The entry's name.
        title: What goes wrong.
        severity: ``deadly``, ``degrades`` or ``harmless``.
        cause: Why.
        remedy: What to do.
        command: The command that does it; empty where there is no single one.
        because_of: The failure that it follows from; empty for a root cause.
        line: Number of its line in the text, from 1.
        said: The lines that show it.
        captures: What the text says of it, by name.
        here: Whether the cause is on this host; `None` where it was not looked for, or cannot be known.
        seen: What was found on this host.
        source: Where the facts are from.
    """

    id: str
    title: str
    severity: str
    cause: str
    remedy: str
    command: str
    because_of: str
    line: int
    said: list[str]
    captures: dict[str, str]
    here: Optional[bool]
    seen: str
    source: list[str]
