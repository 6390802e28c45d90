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
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.wavesmith.provision.plugins.module_utils.terms.refusal import Refusal, suggest

from wavesmith import INSTALLED, ROOT

DONE, FAILED, UNUSABLE, STOPPED = 0, 1, 2, 130
EXIT_CODES = (
    "Exit code: 0 done; 1 a host failed, was refused or cannot be reached; "
    "2 the command line, the inventory or -l cannot be used; 130 interrupted."
)
HERE = "hosts.yml"
"""What `wavesmith init` writes: the inventory of who stands in its folder."""


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
    inventory(parser)
    parser.add_argument(
        "-e",
        "--extra-vars",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a variable for this run; may be given more than once",
    )
    if changes:
        parser.add_argument("-C", "--check", action="store_true", help="show what would change, change nothing")
    parser.add_argument(
        "-v", "--verbose", action="count", default=0, help="Ansible's own output; -vvv for its connections too"
    )


def inventory(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which hosts, and how the answer looks."""
    parser.add_argument(
        "-i",
        "--inventory",
        action="append",
        default=[],
        metavar="PLACE",
        help="file or folder of an inventory [WAVESMITH_INVENTORY; this folder, where it has a hosts.yml; those of ansible.cfg]",
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
    sources = _sources(arguments)
    refusals = check(sources, arguments.limit)
    if refusals:
        return refuse(refusals, arguments.json)
    return _start(playbook, arguments, sources, variables or {}, form, sys.stdout)


def ask(
    playbook: str, arguments: argparse.Namespace, variables: Mapping[str, object] | None = None
) -> tuple[int, dict[str, Any]]:
    """Run a playbook, and return its exit code and what the board knows at the end; nothing where it was refused before it began."""
    sources = _sources(arguments)
    refusals = check(sources, arguments.limit)
    if refusals:
        return refuse(refusals, arguments.json), {}
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        code = _start(playbook, arguments, sources, variables or {}, "json", output)
        output.seek(0)
        text = output.read()
    try:
        found: dict[str, Any] = json.loads(text)
    except ValueError:
        return code or UNUSABLE, {}
    return code, found


def refuse(refusals: Sequence[Refusal], as_json: bool = False) -> int:
    """Say why nothing is done."""
    if as_json:
        errors = [{"item": refusal.item, "problem": refusal.problem, "remedy": refusal.remedy} for refusal in refusals]
        print(json.dumps({"schema": 1, "errors": errors}, indent=1))
    for refusal in refusals:
        print(f"✗ {refusal}", file=sys.stderr)
    return UNUSABLE


def _sources(arguments: argparse.Namespace) -> list[str]:
    """The inventories that were named; empty for those of ansible.cfg."""
    named: list[str] = arguments.inventory
    if not named and os.environ.get("WAVESMITH_INVENTORY"):
        named = [os.environ["WAVESMITH_INVENTORY"]]
    if not named and Path(HERE).is_file():
        named = [HERE]
    return [name if "," in name else str(Path(name).expanduser().absolute()) for name in named]


def settings() -> dict[str, str]:
    """Ansible's settings, as variables: the user's file, or the project's. As a wheel it brings no inventory, and nothing is written beside it."""
    if os.environ.get("ANSIBLE_CONFIG"):
        return {"ANSIBLE_CONFIG": os.environ["ANSIBLE_CONFIG"]}
    found = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    if INSTALLED:
        collections = (
            os.environ.get("ANSIBLE_COLLECTIONS_PATH") or "~/.ansible/collections:/usr/share/ansible/collections"
        )
        found |= {
            "ANSIBLE_COLLECTIONS_PATH": f"{ROOT.parents[2]}:{collections}",
            "ANSIBLE_LOCAL_TEMP": "~/.ansible/tmp",
        }
    return found


def check(sources: Sequence[str], limit: str | None) -> list[Refusal]:
    """What is wrong with the inventories or with `-l`, before anything is started."""
    missing = [name for name in sources if "," not in name and not Path(name).exists()]
    if missing:
        remedy = "name a file or folder that is there, or write one: wavesmith init FOLDER"
        return [Refusal(f"inventory {name}", "there is no such file or folder", remedy) for name in missing]
    if INSTALLED and not sources and not {"ANSIBLE_CONFIG", "ANSIBLE_INVENTORY"} & set(os.environ):
        remedy = "write one: wavesmith init FOLDER; or name yours with -i or WAVESMITH_INVENTORY"
        return [Refusal("inventory", f"none is named, and {Path.cwd()} has no {HERE}", remedy)]
    os.environ.update(settings())
    from ansible import constants
    from ansible.errors import AnsibleError
    from ansible.inventory.manager import InventoryManager, split_host_pattern
    from ansible.parsing.dataloader import DataLoader

    _load_plugins()
    shown = ", ".join(sources or constants.DEFAULT_HOST_LIST)
    try:
        loader = DataLoader()
        unreadable = _unreadable(loader, sources or constants.DEFAULT_HOST_LIST)
        if unreadable:
            return unreadable
        found = InventoryManager(loader, list(sources) or constants.DEFAULT_HOST_LIST)
        names = [host.name for host in found.get_hosts("all")]
        if not names:
            return [
                Refusal(
                    f"inventory {shown}",
                    "it has no hosts",
                    f"add one to its {HERE}, or write one: wavesmith init FOLDER",
                )
            ]
        if limit is not None and not limit.strip():
            return [Refusal("-l", "it is empty", "name hosts or groups, or leave it out for all of the inventory")]
        patterns = [part for part in split_host_pattern(limit or "") if part and not part.startswith("@")]
        unknown = [part for part in patterns if not found.get_hosts(part.lstrip("!&"), ignore_limits=True)]
        if unknown:
            known = [*names, *(group for group in found.groups if group not in ("all", "ungrouped"))]
            return [
                Refusal(f"-l {part}", f"inventory {shown} has no such host or group", suggest(part.lstrip("!&"), known))
                for part in unknown
            ]
        if limit is not None:
            found.subset(limit)
            if not found.get_hosts("all"):
                return [Refusal(f"-l {limit}", "it leaves no host", f"the inventory has: {', '.join(names)}")]
        return []
    except AnsibleError as error:
        return [
            Refusal(
                f"inventory {shown}", " ".join(str(error).split()), "correct it: ansible-inventory --graph reads it"
            )
        ]


def _unreadable(loader: Any, sources: Sequence[str]) -> list[Refusal]:
    """A refusal for each inventory, and each file of variables beside one, that is no YAML or has a name twice."""
    import yaml
    from ansible.errors import AnsibleError

    folders = {Path(name) if Path(name).is_dir() else Path(name).parent for name in sources if "," not in name}
    refusals = []
    inventories = {
        path for name in sources if "," not in name for path in (Path(name), *Path(name).glob("*")) if path.is_file()
    }
    written = {path for path in inventories if path.suffix in (".yml", ".yaml", ".json")}
    for path in sorted(written | {path for folder in folders for path in folder.glob("*_vars/**/*") if path.is_file()}):
        if path.suffix not in (".yml", ".yaml", ".json", "") or path.name.startswith("."):
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        if text.startswith("$ANSIBLE_VAULT"):
            continue
        try:
            loader.load(text, file_name=str(path))
        except AnsibleError as error:
            cause = error.__cause__
            mark = getattr(cause, "problem_mark", None) if isinstance(cause, yaml.YAMLError) else None
            where = f"line {mark.line + 1}: " if mark is not None else ""
            said = getattr(cause, "problem", None) or str(error)
            remedy = "keep one of them" if "uplicate" in said else "correct it: it is no YAML"
            refusals.append(Refusal(str(path), f"{where}{' '.join(str(said).split()).rstrip('.')}", remedy))
    return refusals


@cache
def _load_plugins() -> None:
    """Ansible's plugins, for inventories that need one: once in a process."""
    from ansible.plugins.loader import init_plugin_loader

    init_plugin_loader()


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
            runner.run()
            code = runner.rc
    finally:
        signal.signal(signal.SIGINT, before)
    return {0: DONE, 1: UNUSABLE, 5: UNUSABLE, 99: STOPPED}.get(code, FAILED)


def _environment(form: str) -> dict[str, str]:
    """What Ansible finds set: its own settings, the tools beside this Python, a locale that it takes."""
    found = {
        **settings(),
        "ANSIBLE_STDOUT_CALLBACK": "wavesmith.provision.board",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
    }
    locale = os.environ.get("LC_ALL") or os.environ.get("LC_CTYPE") or os.environ.get("LANG") or "C"
    if locale in ("C", "POSIX"):
        found["LC_ALL"] = "C.UTF-8"
    return found | ({"WAVESMITH_BOARD": form} if form else {})
