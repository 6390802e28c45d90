"""The verdict as a table for a terminal."""

from __future__ import annotations

import unicodedata

from ..records.generation import Verdict

MARKS = {"pass": "✓", "fail": "✗", "skip": "·", "unjudged": "?"}
NARROWEST = 60


def display_width(text: str) -> int:
    """Columns that a text takes on a terminal: wide characters two, combining ones none."""
    return sum(
        0
        if unicodedata.combining(char) or unicodedata.category(char) in ("Cf", "Mn")
        else 2
        if unicodedata.east_asian_width(char) in "WF"
        else 1
        for char in text
    )


def pad(text: str, width: int) -> str:
    """Fill a text with spaces up to a display width."""
    return text + " " * max(0, width - display_width(text))


def wrap(text: str, width: int) -> list[str]:
    """Break a text into lines of at most a display width; a word that is longer is broken too."""
    lines = [""]
    for word in text.split():
        if display_width(lines[-1]) + 1 + display_width(word) <= width or not lines[-1]:
            lines[-1] = f"{lines[-1]} {word}".strip()
        else:
            lines.append(word)
        while display_width(lines[-1]) > width:
            end = next(end for end in range(1, len(lines[-1]) + 1) if display_width(lines[-1][: end + 1]) > width)
            lines[-1:] = [lines[-1][:end], lines[-1][end:]]
    return lines


def render(verdict: Verdict, width: int = 110) -> str:
    """Draw a verdict as plain text.

    Args:
        verdict: The doctor's verdict; entries that are missing are left out.
        width: Columns of the terminal; 60 at least and 140 at most are used.
    """
    columns = max(NARROWEST, min(width, 140))
    checks = list(verdict.get("checks", ()))
    names = max([display_width(str(check.get("id", ""))) for check in checks] + [5])
    room = columns - names - 13
    rule = "─" * columns
    generation = " ".join(str(verdict[key]) for key in ("environment", "generation") if verdict.get(key))
    lines = [f"doctor: {generation}", rule]
    for check in checks:
        mark = MARKS.get(str(check.get("verdict")), "?")
        parts = wrap(str(check.get("detail") or check.get("title") or ""), room)
        took = f"{float(check.get('seconds') or 0.0):.1f} s"
        seconds = f"{str(check.get('at', ''))[5:10] if check.get('carried') else took:>8}"
        lines.append(f"{mark} {pad(str(check.get('id', '')), names)} {pad(parts[0], room)} {seconds}")
        lines += [" " * (names + 3) + part for part in parts[1:]]
        if check.get("remedy"):
            remedy = wrap(f"remedy: {check['remedy']}", columns - names - 5)
            lines += [" " * (names + 3) + ("→ " if number == 0 else "  ") + part for number, part in enumerate(remedy)]
    counts = {kind: sum(1 for check in checks if check.get("verdict") == kind) for kind in MARKS}
    total = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count or kind != "unjudged")
    kept = sum(1 for check in checks if check.get("carried"))
    total += f", {kept} of them carried over from the date shown" if kept else ""
    outcome = str(verdict.get("verdict", "unjudged"))
    mark = MARKS[{"healthy": "pass", "failed": "fail"}.get(outcome, "unjudged")]
    lines += [rule, f"{mark} {outcome}: {total}, {float(verdict.get('seconds') or 0.0):.1f} s"]
    return "\n".join(line.rstrip() for line in lines) + "\n"
