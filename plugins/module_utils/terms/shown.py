"""Text from elsewhere made safe to print: it cannot control the terminal, hide, or look like one of our own lines."""

from __future__ import annotations

import re

_STEERS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Control characters but tab and line end, what turns the direction of writing, and half characters, which no encoding takes."""


def printable(text: str) -> str:
    """A text whose control characters are written as what they are: ``\\x1b[2J``. Tabs and line ends stay."""
    return _STEERS.sub(lambda found: _name(found[0]), text)


def one_line(text: str) -> str:
    """The same, where a line end would begin a line that looks like one of ours."""
    return printable(text).replace("\n", "\\n")


def _name(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
