"""What the subcommands that run a playbook share: their options, the check of the inventory before anything starts, ansible-runner."""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.wavesmith.provision.plugins.module_utils.records.outcome import RunOutcome
from ansible_collections.wavesmith.provision.plugins.module_utils.terms.refusal import Refusal

from wavesmith import INSTALLED, ROOT, inventory

DONE, FAILED, UNUSABLE, STOPPED = 0, 1, 2, 130
EXIT_CODES = (
    "Exit code: 0 done; 1 a host failed, was refused or cannot be reached; "
    "2 the command line, the inventory or -l cannot be used; 130 interrupted."
)
INTERRUPTED = 99
"""Ansible's exit code of a run that was interrupted."""
_GOES_ON = (
    "interrupted: what is current stays in use, and what was finished is kept. Work that had begun on a host goes on there to its end: "
    "wavesmith logs shows it. Remedy: start again, which takes up that work"
)
CHANGING = ("site", "rollback", "repair", "lock", "prune", "remove", "reprovision")
"""The playbooks that change something: only on hosts of an inventory that somebody named, or stands in."""


def version() -> str:
    """The collection's version."""
    found = re.search(r"^version: *(\S+)", (ROOT / "galaxy.yml").read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else "unknown"


class Command(NamedTuple):
    """A subcommand."""

    help: str
    configure: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def options(parser: argparse.ArgumentParser, changes: bool = True) -> None:
    """Add the options of every subcommand that runs a playbook."""
    parser.epilog = EXIT_CODES
    which_hosts(parser)
    extra_vars(parser)
    if changes:
        parser.add_argument("-C", "--check", action="store_true", help="show what would change, without changing it")
    rights(parser)
    parser.add_argument(
        "-v", "--verbose", action="count", default=0, help="Ansible's own output; -vvv for its connections too"
    )


def rights(parser: argparse.ArgumentParser) -> None:
    """Add the option for hosts whose sudo asks for a password."""
    parser.add_argument(
        "-K", "--ask-become-pass", action="store_true", help="ask once for the password that sudo wants on the hosts"
    )


def extra_vars(parser: argparse.ArgumentParser) -> None:
    """Add the option that sets variables."""
    parser.add_argument(
        "-e",
        "--extra-vars",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a variable for this run; may be given more than once",
    )


def which_hosts(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which hosts, and how the answer looks."""
    parser.add_argument(
        "-i",
        "--inventory",
        action="append",
        default=[],
        metavar="PLACE",
        help="file or folder of an inventory [WAVESMITH_INVENTORY; this folder, where it has a hosts.yml; else this machine]",
    )
    parser.add_argument("-l", "--limit", metavar="HOSTS", help="these hosts or groups only, separated by commas")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON document")
    form.add_argument("-q", "--quiet", action="store_true", help="print errors only")


def run(playbook: str, arguments: argparse.Namespace, variables: Mapping[str, object] | None = None) -> int:
    """Run a playbook of the project; what it says goes where this command's output goes.

    Args:
        playbook: Its name, without its folder.
        arguments: What `options` parsed.
        variables: More variables for the run.

    Returns:
        The exit code.
    """
    form = "json" if arguments.json else "quiet" if arguments.quiet else ""
    changes = playbook in CHANGING and not getattr(arguments, "check", False)
    sources, refusals = _sources(arguments, changes, variables or {})
    if refusals:
        return refuse(refusals, arguments.json)
    return _start(playbook, arguments, sources, variables or {}, form, sys.stdout)


def ask(
    playbook: str, arguments: argparse.Namespace, variables: Mapping[str, object] | None = None, changes: bool = False
) -> tuple[int, RunOutcome | None]:
    """Run a playbook, and return its exit code and how it ended; `None` where it was refused before it began.

    With `changes` what is asked is about a change that will follow.
    """
    sources, refusals = _sources(arguments, changes, variables or {})
    if refusals:
        return refuse(refusals, arguments.json), None
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        code = _start(playbook, arguments, sources, variables or {}, "json", output)
        output.seek(0)
        text = output.read()
    try:
        found: RunOutcome = json.loads(text)
    except ValueError:
        return code or UNUSABLE, None
    return code, found


def refuse(refusals: Sequence[Refusal], as_json: bool = False) -> int:
    """Say why nothing is done."""
    if as_json:
        errors = [{"item": refusal.item, "problem": refusal.problem, "remedy": refusal.remedy} for refusal in refusals]
        print(json.dumps({"schema": 1, "errors": errors}, indent=1))
    for refusal in refusals:
        print(f"✗ {refusal}", file=sys.stderr)
    return UNUSABLE


def _sources(
    arguments: argparse.Namespace, changes: bool, variables: Mapping[str, object]
) -> tuple[list[str], list[Refusal]]:
    """The inventories of a run, and what is wrong with them or with the variables that it is given.

    Where nobody said which, it is this machine's, nothing is changed, and a line on stderr says so.
    """
    _take_from_rest(arguments)
    sources = inventory.named(arguments.inventory)
    guessed = not sources
    if inventory.unnamed(sources):
        if changes or INSTALLED:
            return sources, [inventory.nobody_said()]
        sources = [str(inventory.LOCAL)]
    refusals = [
        *inventory.check(sources, arguments.limit),
        *inventory.variables_of(getattr(arguments, "extra_vars", []), variables),
    ]
    if guessed and not refusals and not arguments.quiet:
        print(f"inventory: {', '.join(inventory.shown(sources))} (-i names another)", file=sys.stderr)
    return sources, refusals


def _take_from_rest(arguments: argparse.Namespace) -> None:
    """Take ``-l`` and ``-e`` from what goes to ansible-playbook, so that they are checked wherever they stand."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("-l", "--limit")
    parser.add_argument("-e", "--extra-vars", action="append", default=[])
    found, rest = parser.parse_known_args(getattr(arguments, "rest", []))
    arguments.extra_vars = [*getattr(arguments, "extra_vars", []), *found.extra_vars]
    if found.limit is None or arguments.limit is None:
        arguments.limit = found.limit if arguments.limit is None else arguments.limit
    else:
        rest = ["-l", found.limit, *rest]
    arguments.rest = rest


def _start(
    playbook: str,
    arguments: argparse.Namespace,
    sources: Sequence[str],
    variables: Mapping[str, object],
    form: str,
    output: Any,
) -> int:
    from ansible_runner.interface import init_command_config

    argv = [word for source in sources for word in ("-i", source)]
    argv += ["-l", arguments.limit] if arguments.limit is not None else []
    for extra in getattr(arguments, "extra_vars", []):
        argv += ["-e", extra]
    argv += ["-e", json.dumps(variables)] if variables else []
    argv += ["--check", "--diff"] if getattr(arguments, "check", False) else []
    argv += ["-K"] if getattr(arguments, "ask_become_pass", False) else []
    argv += ["-" + "v" * arguments.verbose] if getattr(arguments, "verbose", 0) else []
    argv += getattr(arguments, "rest", [])
    # Ansible handles an interrupt itself: it stops its workers and leaves the terminal as it was.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        with tempfile.TemporaryDirectory(prefix="wavesmith-") as scratch:
            runner = init_command_config(
                executable_cmd="ansible-playbook",
                cmdline_args=[str(ROOT / "playbooks" / f"{playbook}.yml"), *argv],
                private_data_dir=scratch,
                host_cwd=os.getcwd(),
                input_fd=sys.stdin,
                output_fd=output,
                error_fd=sys.stderr,
            )
            # Without what ansible-runner adds: its own callback would write events for programs between the lines.
            runner.config.env = {**os.environ, **_environment(form)}
            sys.stdout.flush()
            runner.run()
            code = runner.rc
    finally:
        signal.signal(signal.SIGINT, before)
    if code == INTERRUPTED and playbook in CHANGING:
        print(_GOES_ON, file=sys.stderr)
    return {0: DONE, 1: UNUSABLE, 5: UNUSABLE, INTERRUPTED: STOPPED}.get(code, FAILED)


def _environment(form: str) -> dict[str, str]:
    """What Ansible finds set: its own settings, the tools beside this Python, a locale that it takes."""
    found = {
        **inventory.settings(),
        "ANSIBLE_STDOUT_CALLBACK": "wavesmith.provision.board",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
    }
    locale = os.environ.get("LC_ALL") or os.environ.get("LC_CTYPE") or os.environ.get("LANG") or "C"
    if locale in ("C", "POSIX"):
        found["LC_ALL"] = "C.UTF-8"
    return found | ({"WAVESMITH_BOARD": form} if form else {})
