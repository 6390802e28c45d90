"""A shell on a terminal of its own: types a command, answers what it asks, returns what was shown."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pexpect

WIDTH, HEIGHT = 120, 50
PROMPT = "<<first-hour>>"
LONGEST = 1800.0
ASKS = ("[yes/no] ", "BECOME password: ")
"""How a command ends what it asks; a password is not shown."""
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07|\x1b[()][A-Z0-9]")
REDRAW = re.compile(r"(?:\r?(?:\x1b\[1A|\x1b\[2K))+\r?")


@dataclass(frozen=True)
class Answer:
    """What a command did: its exit code, what stays on the screen, what was drawn meanwhile, how many seconds it took."""

    code: int
    text: str
    frames: list[str]
    seconds: float


class Shell:
    """One bash, in a home of its own."""

    def __init__(self, home: Path, environ: Mapping[str, str]) -> None:
        self.bash = pexpect.spawn(
            "bash", ["--noprofile", "--norc", "--noediting"], cwd=str(home), env={**environ, "HOME": str(home), "PS1": PROMPT, "PS2": ""},
            dimensions=(HEIGHT, WIDTH), encoding="utf-8", codec_errors="replace", echo=False, timeout=LONGEST,
        )  # fmt: skip
        self.bash.expect_exact(PROMPT)

    def type(self, command: str, answer: str = "", table: bool = False) -> Answer:
        """Type a command and wait for its end."""
        self._run(f"export TERM={'xterm-256color' if table else 'dumb'}")
        began = time.monotonic()
        self.bash.sendline(command)
        shown = ""
        asked = self.bash.expect_exact([*ASKS, PROMPT]) if answer else len(ASKS)
        if answer and asked < len(ASKS):
            shown = f"{self.bash.before}{ASKS[asked]}{answer if asked == 0 else ''}\r\n"
            self.bash.sendline(answer)
        self.bash.expect_exact(PROMPT)
        shown += str(self.bash.before)
        seconds = time.monotonic() - began
        code = int(self._run("echo $?"))
        drawn = [plain(part) for part in REDRAW.split(shown)]
        return Answer(code, drawn[-1] if table else plain(shown), drawn[:-1] if table else [], seconds)

    def _run(self, command: str) -> str:
        self.bash.sendline(command)
        self.bash.expect_exact(PROMPT)
        return str(self.bash.before)

    def close(self) -> None:
        """End it."""
        self.bash.close(force=True)


def plain(text: str) -> str:
    """Text without what steers a terminal and without blanks at the ends of lines."""
    lines = ESCAPE.sub("", text).replace("\r\n", "\n").split("\n")
    return "\n".join(line.rpartition("\r")[2].rstrip() for line in lines).strip("\n")
