"""`wavesmith run`, `tree` and `why`: commands in an environment, here or on the hosts of `-l`."""

from __future__ import annotations

import argparse
import subprocess
from collections.abc import Sequence
from pathlib import Path

from ansible_collections.wavesmith.provision.plugins.module_utils.host import store
from ansible_collections.wavesmith.provision.plugins.module_utils.terms.refusal import Refusal, suggest

from wavesmith import inventory, playbook
from wavesmith.playbook import Command


def _common(parser: argparse.ArgumentParser) -> None:
    playbook.which_hosts(parser)
    parser.epilog = (
        "Exit code: here, the command's own; with -l, 0 done, 1 it failed on a host; 2 there is no such environment."
    )
    parser.add_argument(
        "--root", default="", metavar="FOLDER", help="Wavesmith's folder here [/opt/wavesmith, ~/wavesmith]"
    )
    parser.add_argument("environment", metavar="ENVIRONMENT", help="such as speech")


def _run(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    parser.add_argument(
        "words",
        nargs=argparse.REMAINDER,
        metavar="COMMAND",
        help="a command, or a model of the environment, and its arguments",
    )


def _do_run(arguments: argparse.Namespace) -> int:
    if not arguments.words:
        return playbook.refuse(
            [Refusal("wavesmith run", "it names no command", "add one: wavesmith run speech python -V")]
        )
    return _execute(arguments, ["{root}/bin/wavesmith-run", arguments.environment, *arguments.words])


def _tree(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    parser.add_argument("--depth", type=int, default=2, metavar="N", help="how deep [2]")


def _do_tree(arguments: argparse.Namespace) -> int:
    return _execute(arguments, [*_uv(arguments.environment), "--depth", str(arguments.depth)])


def _why(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    parser.add_argument("package", metavar="PACKAGE", help="a package of the environment")


def _do_why(arguments: argparse.Namespace) -> int:
    return _execute(arguments, [*_uv(arguments.environment), "--invert", "--package", arguments.package])


def _uv(environment: str) -> list[str]:
    python = f"{{root}}/envs/{environment}/current/bin/python"
    return ["{root}/toolbox/current/bin/uv", "pip", "tree", "--no-config", "--python", python]


def _execute(arguments: argparse.Namespace, argv: Sequence[str]) -> int:
    """Run it here or on hosts."""
    if arguments.limit or arguments.inventory:
        return playbook.run("run", arguments, {"wavesmith_run": list(argv)})
    name, sources = arguments.environment, inventory.named([])
    roots = [arguments.root] if arguments.root else [*inventory.roots_here(sources), store.existing_root()]
    there = {root: _environments(root) for root in roots}
    root = next((root for root in roots if name in there[root]), "")
    if not root:
        known = sorted({found for root in roots for found in there[root]})
        remedy = suggest(name, known) if known else "provision this machine first"
        hosts = inventory.hosts(sources) if sources else ["HOST"]
        remedy += f"; where it is elsewhere: --root FOLDER for another folder of this machine, -l {hosts[0]} for a host of the inventory"
        folders = " or ".join(str(Path(root, "envs")) for root in dict.fromkeys(roots))
        return playbook.refuse([Refusal(f"environment {name}", f"there is none in {folders}", remedy)], arguments.json)
    words = [word.replace("{root}", root) for word in argv]
    return subprocess.run(words, check=False).returncode


def _environments(root: str) -> list[str]:
    folder = Path(root, "envs")
    return sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


COMMANDS = {
    "run": Command("run a command or a model in an environment, here or on the hosts of -l", _run, _do_run),
    "tree": Command("show what an environment's packages require", _tree, _do_tree),
    "why": Command("show which packages require a package", _why, _do_why),
}
