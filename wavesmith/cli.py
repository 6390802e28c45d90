"""Find the subcommands and run one.

A subcommand is a module of this package with `NAME`, `HELP`, `configure(parser)` and `run(arguments)`, which returns the exit code; or one of
several in a module's `COMMANDS`.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import importlib
import io
import os
import re
import sys
from collections.abc import Iterable, Sequence
from typing import NoReturn

from ansible_collections.wavesmith.provision.plugins.module_utils.terms.refusal import suggest

from wavesmith.playbook import Command, version

COMMANDS = {
    "init": "init",
    "plan": "day",
    "provision": "day",
    "status": "status",
    "generations": "status",
    "verify": "day",
    "rollback": "day",
    "repair": "day",
    "lock": "day",
    "prune": "day",
    "remove": "remove",
    "run": "execute",
    "tree": "execute",
    "why": "execute",
    "logs": "logs",
    "audit": "audit",
    "build": "build",
    "catalog": "catalog",
    "doctor": "doctor",
    "matrix": "matrix",
    "model": "model",
    "packages": "packages",
    "report": "report",
    "reprovision": "reprovision",
    "resume": "resume",
    "fleet": "fleet",
    "history": "history",
    "wheelhouse": "wheelhouse",
    "survey": "survey",
}
"""Every subcommand, and the module that has it."""


def command(name: str) -> Command:
    """The subcommand of a name."""
    module = importlib.import_module(f"wavesmith.{COMMANDS[name]}")
    found: Command = getattr(module, "COMMANDS", {}).get(name) or Command(module.HELP, module.configure, module.run)
    return found


class Parser(argparse.ArgumentParser):
    """Says what is wrong with a word as every refusal does, and the usage of the subcommand that it is for."""

    def error(self, message: str) -> NoReturn:
        """Exit with 2."""
        self.print_usage(sys.stderr)
        remedy = f"{self.prog} --help shows all"
        unknown = re.match(r"unrecognized arguments: (-[^\s=]*)", message)
        if unknown:
            options = [word for action in self._actions for word in action.option_strings]
            near = difflib.get_close_matches(unknown[1], options, n=1, cutoff=0.6)
            remedy = f"did you mean {near[0]}?" if near else remedy
        self.exit(2, f"✗ {self.prog}: {message}. Remedy: {remedy}\n")


def parser(names: Iterable[str] = COMMANDS) -> argparse.ArgumentParser:
    """The command line with these subcommands."""
    main_parser = Parser(
        prog="wavesmith",
        description="Verified speech and audio environments on real machines.",
        epilog="wavesmith COMMAND --help shows its options. Arguments after -- are passed to ansible-playbook.",
    )
    main_parser.add_argument("--version", action="version", version=f"wavesmith {version()}")
    commands = main_parser.add_subparsers(required=True, metavar="COMMAND")
    for name in names:
        made = command(name)
        found = commands.add_parser(name, help=made.help, description=made.help)
        made.configure(found)
        _quiet(found)
        found.set_defaults(run=made.run, parser=found)
    return main_parser


def _quiet(command: argparse.ArgumentParser) -> None:
    """Give a subcommand, and those below it, the option that every one has."""
    below = [action for action in command._actions if isinstance(action, argparse._SubParsersAction)]
    for inner in (inner for action in below for inner in action.choices.values()):
        _quiet(inner)
    if not below and "-q" not in command._option_string_actions:
        command.add_argument("-q", "--quiet", action="store_true", dest="silent", help="print errors only")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; argparse itself exits with 2 on arguments it does not understand."""
    words = list(sys.argv[1:] if argv is None else argv)
    if "_ARGCOMPLETE" in os.environ:  # a shell that asks which words can come next
        import argcomplete

        argcomplete.autocomplete(parser())
    # Only the subcommand that was named is loaded: the others would double the time of a short answer.
    named = words[:1] if words and words[0] in COMMANDS else []
    if not words:
        parser().print_help(sys.stderr)
        return 2
    if not named and not words[0].startswith("-"):
        known = suggest(words[0], COMMANDS)
        print(f"✗ wavesmith {words[0]}: there is no such command. Remedy: {known}", file=sys.stderr)
        return 2
    rest: list[str] = []
    if named and named[0] != "run" and "--" in words:
        rest = words[words.index("--") + 1 :]
        words = words[: words.index("--")]
    arguments, unknown = parser(named or COMMANDS).parse_known_args(words)
    if unknown:
        arguments.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    arguments.rest = rest
    if isinstance(sys.stdout, io.TextIOWrapper):  # where the locale has no ✓
        sys.stdout.reconfigure(errors="replace")
    try:
        with contextlib.ExitStack() as stack:
            if getattr(arguments, "silent", False):
                stack.enter_context(contextlib.redirect_stdout(stack.enter_context(open(os.devnull, "w"))))
            code: int = arguments.run(arguments)
            sys.stdout.flush()
    except BrokenPipeError:  # `wavesmith … | head`: the rest is not read
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    return code
