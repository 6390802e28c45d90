"""What is typed in the first hour, in order: README's own words, and what happens to the hosts meanwhile."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
DOCUMENT = ROOT / "docs" / "first-hour.md"
FLEET = "## The first hosts of a fleet"


@dataclass(frozen=True)
class Step:
    """One thing that is typed.

    Attributes:
        typed: The command as README has it, without its comment.
        heading: Begins a section of the transcript; empty: goes on in the one before.
        text: What the transcript says before it.
        ours: Whether it is something that happens to the fleet, and not a command of README.
        answer: What is typed when it asks.
        fails: Whether it has to end with another code than 0.
        table: Whether the terminal can draw, so that the board shows its table.
        lines: How many lines it may say at most; 0: any number.
        says: A regular expression that has to be found in what it says.
    """

    typed: str
    heading: str = ""
    text: str = ""
    ours: bool = False
    answer: str = ""
    fails: bool = False
    table: bool = False
    lines: int = 0
    says: str = ""


DAMAGE = "ssh ada@192.0.2.12 'echo broken | sudo tee -a /opt/wavesmith/envs/small/current/lib/python3.*/site-packages/numpy/__init__.py'"
EACH = """ssh ada@192.0.2.12 'for g in /opt/wavesmith/envs/small/*[0-9a-f]; do $g/bin/python -c "import numpy; print(numpy.__version__)" 2>&1 | tail -n 1; done'"""
ROOM = "ssh ada@192.0.2.12 'cd /opt/wavesmith && du -sch envs/small/*[0-9a-f]'"
STEPS = [
    Step("git clone <this repository> wavesmith && cd wavesmith", "Get it"),
    Step("make venv && . .venv/bin/activate"),
    Step(
        "wavesmith init ~/fleet --host box01=ada@192.0.2.11 --host box02=ada@192.0.2.12 --host box03=ada@192.0.2.13 && cd ~/fleet",
        "An inventory",
    ),
    Step(
        "wavesmith plan",
        "The first time",
        "`group_vars/all.yml` holds README's small example now.",
        says="will be made",
    ),
    Step(
        "wavesmith provision",
        text="On a terminal, this is drawn while it works:",
        table=True,
        says="3 of 3 hosts healthy, 3 changed",
    ),
    Step("wavesmith status", says="healthy"),
    Step("wavesmith provision", text="Once more: there is nothing to do.", lines=5, says="nothing to do"),
    Step("sed -i 's/soundfile]/soundfile, soxr]/' group_vars/all.yml", "A change"),
    Step("wavesmith lock"),
    Step("wavesmith plan", says=r"\+ soxr"),
    Step("wavesmith provision", says="3 of 3 hosts healthy, 3 changed"),
    Step("wavesmith generations", says="small"),
    Step("wavesmith rollback", "Back, and forth", says="3 of 3"),
    Step("wavesmith status"),
    Step(
        "wavesmith provision",
        text="The wanted state was not changed, so this goes forward again.",
        says="3 of 3 hosts healthy, 3 changed",
    ),
    Step(
        DAMAGE,
        "Somebody changes a file",
        "The generation in use and the one before share no file, so an edit in place breaks one of them. It may reach another *environment*, where that shares the file through the\n"
        "download cache ([variables.md](variables.md#files-of-generations)):",
        ours=True,
    ),
    Step(EACH, ours=True, says=r"NameError(?s:.*)\n2\.|\n?2\.(?s:.*)NameError"),
    Step(
        ROOM,
        text="What that costs: the rooms of both, and what they are together (files that both had would be counted once).",
        ours=True,
    ),
    Step("wavesmith status", fails=True, says="changed"),  # 3: something is not as it should be
    Step("wavesmith repair", says="3 of 3 hosts healthy, 1 changed"),
    Step("wavesmith verify", says="3 of 3 hosts healthy"),
    Step("wavesmith generations"),
    Step(
        "wavesmith prune --keep 1",
        "Clean up",
        text="The generation that a rollback would go to stays in any case.",
        says="a rollback goes there",
    ),
    Step("sed -i '/trial/d' group_vars/all.yml", text="The environment `trial` is not wanted any more.", ours=True),
    Step("wavesmith plan", says="trial"),
    Step("wavesmith remove", answer="yes", says="trial"),
    Step(
        "wavesmith provision -l box01",
        text="One host with nothing to do:",
        ours=True,
        lines=5,
        says="1 of 1 host healthy, nothing to do",
    ),
]


def section(text: str, heading: str) -> str:
    """The section of a Markdown text below this heading."""
    _, found, rest = text.partition(f"{heading}\n")
    if not found:
        raise SystemExit(f"README.md has no section {heading!r}")
    return rest.split("\n## ", 1)[0]


def blocks(text: str, language: str) -> list[str]:
    """The code blocks of that language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def typed_in(text: str) -> list[str]:
    """The commands of the console blocks, without their comments."""
    lines = [line for block in blocks(text, "console") for line in block.splitlines()]
    return [re.sub(r"\s{2,}#.*$", "", line.removeprefix("$ ")).strip() for line in lines if line.startswith("$ ")]


def named_in(text: str) -> Iterator[str]:
    """The commands that sentences and tables name."""
    yield from re.findall(r"`(wavesmith [^`]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))


def small_example() -> str:
    """What README says `group_vars/all.yml` may hold for a first try."""
    (example,) = blocks(section(README.read_text(encoding="utf-8"), FLEET), "yaml")
    return f"---\n{example}"
