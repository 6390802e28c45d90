"""``wavesmith-doctor --paste``, and the same of the command ``wavesmith doctor``: say what a text shows. No network, no Ansible."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from ..observe.host import Host
from ..records.failure import FailureBase, Recognised
from .base import Base
from .probes import Place, examine
from .say import data, lines, needs_mending

FINE, BROKEN, UNUSABLE, UNKNOWN = 0, 1, 2, 3
EXITS = (
    f"Exit code: {FINE} all that was recognised is harmless, {BROKEN} something has to be fixed, {UNUSABLE} the text cannot be read, "
    f"{UNKNOWN} nothing was recognised."
)


MOST = 8 << 20
"""Bytes at the end of a text that are read: what fails ends a log, and each MiB takes seconds."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add all arguments, for a command that does nothing else."""
    parser.epilog = EXITS
    ask(parser.add_mutually_exclusive_group(required=True))
    elsewhere(parser)
    parser.add_argument("--json", action="store_true", help="print what was recognised as JSON")


def ask(what: argparse._MutuallyExclusiveGroup) -> None:
    """Add what can be asked for."""
    what.add_argument("--known", action="store_true", help="print only all known failures, as JSON")
    what.add_argument(
        "--paste",
        metavar="FILE",
        help="file with an error message, a build log or an installer's output; - reads standard input",
    )


def elsewhere(parser: argparse.ArgumentParser) -> None:
    """Add how it is asked."""
    parser.add_argument(
        "--elsewhere", action="store_true", help="the text is from another machine: do not check this one"
    )


def run(options: argparse.Namespace, known: FailureBase, prefix: str = "", environment: str = "") -> int:
    """Say what a text shows; `prefix` and `environment` are those whose interpreter asks."""
    if options.known:
        print(json.dumps(known, indent=1, ensure_ascii=False))
        return FINE
    try:
        whole = _text(options.paste)
    except OSError as error:
        problem = f"{options.paste} cannot be read ({error.strerror or error}). Remedy: name a text file, or - for standard input"
        print(f"error: {problem}", file=sys.stderr)
        return UNUSABLE
    if len(whole) > MOST:
        print(f"only the last {MOST >> 20} MiB of {options.paste} are read", file=sys.stderr)
    text = whole[-MOST:].decode(errors="replace")
    place = None if options.elsewhere else Place(Host(), prefix, environment)
    found = [data(item, seen.here, seen.detail) for item, seen in examine(text, Base(known), place)]
    if options.json:
        print(json.dumps({"schema": 1, "recognised": found}, indent=1, ensure_ascii=False))
    elif found:
        print("\n".join(lines(found)))
    else:
        print(
            f"not recognised: none of {len(known['failures'])} known failures is in this text ({len(text.splitlines())} lines read). "
            "Remedy: paste more of the text, from its first error on; CONTRIBUTING.md says how to add a failure"
        )
    return _exit(found)


def _exit(found: Sequence[Recognised]) -> int:
    if not found:
        return UNKNOWN
    return BROKEN if needs_mending(found) else FINE


def _text(path: str) -> bytes:
    if path == "-":
        return sys.stdin.buffer.read()
    with open(path, "rb") as file:
        return file.read()
