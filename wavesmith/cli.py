"""Find the subcommands and run one.

A subcommand is a module of this package with `NAME`, `HELP`, `configure(parser)` and `run(arguments)`, which returns the exit code.
"""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
from collections.abc import Sequence

COMMANDS = ("audit", "build", "catalog", "matrix", "model", "packages", "plan", "report")


def parser(names: Sequence[str] = COMMANDS) -> argparse.ArgumentParser:
    """The command line with these subcommands."""
    main_parser = argparse.ArgumentParser(prog="wavesmith", description="Verified speech and audio environments.")
    commands = main_parser.add_subparsers(required=True, metavar="COMMAND")
    for name in names:
        module = importlib.import_module(f"wavesmith.{name}")
        command = commands.add_parser(module.NAME, help=module.HELP, description=module.HELP)
        module.configure(command)
        command.set_defaults(run=module.run)
    return main_parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; argparse itself exits with 2 on arguments it does not understand."""
    words = sys.argv[1:] if argv is None else argv
    # Only the subcommand that was named is loaded: the others would double the time of a short answer.
    arguments = parser(words[:1] if words[:1] and words[0] in COMMANDS else COMMANDS).parse_args(words)
    if isinstance(sys.stdout, io.TextIOWrapper):  # where the locale has no ✓
        sys.stdout.reconfigure(errors="replace")
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # `wavesmith … | head`: nobody reads the rest
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    return code
