#!/usr/bin/env python3
"""Write the board of a wave into docs/fleet.md, as a terminal shows it: ten hosts, one fails, one is gone, one stands still.

The playbook, the command and the board are the real ones; the hosts only say what a host would say (tests/unit/test_reprovision.py).
"""

from __future__ import annotations

import os
import pty
import re
import select
import struct
import subprocess
import sys
import tempfile
import termios
import time
from fcntl import ioctl
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "collections")]
DOCUMENT = ROOT / "docs" / "fleet.md"
COLUMNS, LINES = 100, 40
BEGIN, END = "<!-- docs/capture.py: begin -->\n", "<!-- docs/capture.py: end -->\n"

from tests.unit.test_reprovision import WAVES, killed, ten  # noqa: E402


def frames(folder: Path) -> list[str]:
    """Each state of the board until the host that stands still is alone in its wave."""
    fleet = ten(folder)
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    env = {**os.environ, "TERM": "xterm", "COLUMNS": str(COLUMNS), "NO_COLOR": "1"}
    argv = fleet.command("reprovision", *WAVES)
    process = subprocess.Popen(
        argv, cwd=ROOT, env=env, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    said, deadline, quiet = b"", time.monotonic() + 400, 0.0
    while time.monotonic() < deadline and not (quiet and time.monotonic() > quiet):
        if select.select([ours], [], [], 0.2)[0]:
            said += os.read(ours, 65536)
        asked = folder / "hosts" / "h9" / "asked"
        if not quiet and asked.exists() and "packages" in asked.read_text():
            quiet = time.monotonic() + 25.0  # the others of its wave come as far as they can
    killed(process)
    text = said.decode(errors="replace").replace("\r\n", "\n")
    parts = re.split(r"\r?(?:\x1b\[2K)?(?:\x1b\[1A\x1b\[2K)+", text)
    return [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", part).rstrip() for part in parts]


def main() -> None:
    """Capture and write."""
    with tempfile.TemporaryDirectory() as name:
        found = [frame for frame in frames(Path(name)) if frame.count("\n") > 8]
    board = "\n".join(line.rstrip() for line in found[-1].strip("\n").splitlines())
    text = DOCUMENT.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCUMENT.write_text(f"{before}{BEGIN}\n```text\n{board}\n```\n\n{END}{after}", encoding="utf-8")
    print(board)


if __name__ == "__main__":
    main()
