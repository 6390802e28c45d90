"""What files and commands print, as values. Every function takes any text and never raises."""

from __future__ import annotations

import re

from ..records.host import Finding

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_NATURAL = re.compile(r"[0-9]{1,18}")

MIB = 1024 * 1024
ROOT_OWNER = "root.owner"
"""The finding that another user could change what runs from our folder."""


def decode(data: bytes) -> str:
    """Turn file content into text: NUL (device tree, environ) becomes a line end, other control characters go."""
    return _CONTROL.sub("", data.decode("utf-8", "replace").replace("\0", "\n"))


def first_line(text: str) -> str:
    """Return the first line with content, stripped."""
    return next((line.strip() for line in text.split("\n") if line.strip()), "")


def natural(text: str) -> int | None:
    """Return a plain ASCII natural number of at most 18 digits, else None."""
    text = text.strip()
    return int(text) if _NATURAL.fullmatch(text) else None


def key_values(text: str, separator: str) -> dict[str, str]:
    """Parse ``key<separator>value`` lines; the first of equal keys wins; quotes around a value go."""
    found: dict[str, str] = {}
    for line in text.split("\n"):
        key, mark, value = line.partition(separator)
        if mark and key.strip() and not key.lstrip().startswith("#"):
            found.setdefault(key.strip(), value.strip().strip("\"'"))
    return found


def hexadecimal(text: str) -> int | None:
    """Return the value of at most eight hexadecimal digits, with or without ``0x``, else None."""
    match = re.fullmatch(r"(?:0x)?([0-9a-f]{1,8})", text.strip().lower(), re.ASCII)
    return int(match.group(1), 16) if match else None


def version_in(text: str) -> str | None:
    """Return the text when it is a dotted version, else None."""
    return text if re.fullmatch(r"\d{1,9}(\.\d{1,9})+", text, re.ASCII) else None


def finding(name: str, detail: str, remedy: str) -> Finding:
    """Make one finding."""
    return {"id": name, "detail": detail, "remedy": remedy}


def dotted(version: str) -> tuple[int, ...]:
    numbers = [int(number) for number in version.split(".")]
    return tuple([*numbers, 0, 0][: max(3, len(numbers))])


def major_minor(version: str) -> str | None:
    """Cut a dotted version to its first two numbers."""
    match = re.match(r"\d{1,4}\.\d{1,4}", version, re.ASCII)
    return match.group(0) if match else None
