"""The base of known failures, ready to be searched for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from ..records.failure import FailureBase, FailureOf, ProbeOf

DEADLY, DEGRADES, HARMLESS = "deadly", "degrades", "harmless"
RANKS = (DEADLY, DEGRADES, HARMLESS)

_BLANK = re.compile(r"(\\.|\[(?:\\.|[^\]])*\])| ")
_NAME = re.compile(r"\{([a-z_]+)\}")


def compiled(pattern: str) -> re.Pattern[str]:
    """A pattern in which a blank stands for blanks or the end of a line; in brackets, or behind a backslash, it stands for itself.

    Raises:
        ValueError: it is no regular expression.
    """
    try:
        return re.compile(_BLANK.sub(lambda found: found[1] or r"(?:[ \t]+|\n)", pattern), re.MULTILINE)
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from error


def filled(template: str, values: Mapping[str, str]) -> str:
    """A template with its names in braces filled in; one without a value stays as it is."""
    return _NAME.sub(lambda found: values.get(found[1], found[0]), template)


def names_in(template: str) -> set[str]:
    """The names that a template wants."""
    return set(_NAME.findall(template))


@dataclass(frozen=True)
class Answer:
    """What a failure means where it was found.

    Attributes:
        cause: Why it happens.
        remedy: What to do.
        command: The command that does it; empty where there is no single one.
        probe: The probe to ask, and what for; an empty name for none.
    """

    cause: str
    remedy: str
    command: str
    probe: tuple[str, Mapping[str, str]]


@dataclass(frozen=True)
class Failure:
    """A known failure; `data` has its attributes as the catalog has them."""

    data: FailureOf
    tables: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Its name."""
        return self.data["id"]

    @cached_property
    def patterns(self) -> list[re.Pattern[str]]:
        """What shows it."""
        return [compiled(pattern) for pattern in self.data["patterns"]]

    @cached_property
    def unless(self) -> list[re.Pattern[str]]:
        """What must not be in the text."""
        return [compiled(pattern) for pattern in self.data.get("unless", [])]

    @cached_property
    def context(self) -> list[re.Pattern[str]]:
        """What only adds captures."""
        return [compiled(pattern) for pattern in self.data.get("context", [])]

    def values(self, captures: Mapping[str, str]) -> dict[str, str]:
        """All values that its texts may name: what was captured, defaults, and what follows from both."""
        found = {**self.data.get("defaults", {}), **captures}
        for name, lookup in self.data.get("lookups", {}).items():
            named = lookup["table"]
            table = self.tables.get(named, {}) if isinstance(named, str) else named
            value = table.get(found.get(lookup["key"], ""), lookup.get("default"))
            if value is not None:
                found[name] = filled(value, found)
        return found

    def answer(self, values: Mapping[str, str]) -> Answer:
        """What it means with these values: the first remedy that fits."""
        for remedy in self.data["remedies"]:
            when = remedy.get("when", {})
            if all(name in values and re.fullmatch(pattern, values[name]) for name, pattern in when.items()):
                break
        asked: ProbeOf = self.data.get("probe", {})
        return Answer(
            filled(self.data["cause"], values),
            filled(remedy["remedy"], values),
            filled(remedy.get("command", ""), values),
            (asked.get("name", ""), {name: filled(text, values) for name, text in asked.get("of", {}).items()}),
        )


@dataclass(frozen=True)
class Base:
    """All known failures.

    Attributes:
        data: The base as it travels and is kept.
    """

    data: FailureBase

    @cached_property
    def failures(self) -> Sequence[Failure]:
        """The entries, in order of their names."""
        return [Failure(entry, self.data["tables"]) for entry in self.data["failures"]]

    def answer(self, name: str, facts: Mapping[str, str]) -> Answer | None:
        """What the failure of this name means on a machine with these facts; `None` where it is not known."""
        found = next((failure for failure in self.failures if failure.id == name), None)
        return found.answer(found.values(facts)) if found else None

    @cached_property
    def explains(self) -> Mapping[str, frozenset[str]]:
        """All that follows from each failure, also by way of others."""
        direct = {failure.id: set(failure.data.get("explains", [])) for failure in self.failures}
        found = {}
        for name in direct:
            reached: set[str] = set()
            ahead = set(direct[name])
            while ahead:
                one = ahead.pop()
                reached.add(one)
                ahead |= direct.get(one, set()) - reached
            found[name] = frozenset(reached - {name})
        return found


NOTHING = Base({"schema": 1, "tables": {}, "failures": []})
"""No failure is known."""
