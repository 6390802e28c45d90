"""`wavesmith run`, `tree` and `why`: commands in an environment, here or on the hosts of `-l`."""

from __future__ import annotations

import argparse
import json
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
        "Exit code: here, the command's own; with -l, 0 done, 1 it failed on a host or there is no such environment; "
        "2 there is no such environment here, or no such package."
    )
    parser.add_argument(
        "--root", default="", metavar="FOLDER", help="Wavesmith's folder here [/opt/wavesmith, ~/wavesmith]"
    )
    parser.add_argument("environment", metavar="ENVIRONMENT", help="name of an environment, such as speech")


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
    parser.add_argument("--depth", type=int, default=2, metavar="N", help="levels to show [2]")


def _do_tree(arguments: argparse.Namespace) -> int:
    return _show(arguments, [*_uv(arguments.environment), "--depth", str(arguments.depth)])


def _why(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    parser.add_argument("package", metavar="PACKAGE", help="a package of the environment")


def _do_why(arguments: argparse.Namespace) -> int:
    return _show(
        arguments, [*_uv(arguments.environment), "--invert", "--package", arguments.package], arguments.package
    )


def _uv(environment: str) -> list[str]:
    python = f"{{root}}/envs/{environment}/current/bin/python"
    return ["{root}/toolbox/current/bin/uv", "pip", "tree", "--no-config", "--python", python]


def _execute(arguments: argparse.Namespace, argv: Sequence[str]) -> int:
    """Run it here or on hosts."""
    if arguments.limit or arguments.inventory:
        return playbook.run("run", arguments, {"wavesmith_run": list(argv)})
    root, refusals = _root(arguments)
    if refusals:
        return playbook.refuse(refusals, arguments.json)
    words = [word.replace("{root}", root) for word in argv]
    try:
        return subprocess.run(words, check=False).returncode
    except OSError as error:
        problem = f"{words[0]} cannot be started ({(error.strerror or str(error)).lower()})"
        return playbook.refuse([Refusal(f"folder {root}", problem, "provision this machine again")], arguments.json)


def _show(arguments: argparse.Namespace, argv: Sequence[str], package: str = "") -> int:
    """Show what a tool says of an environment here or on hosts; where it says nothing of a package, that it is not there."""
    if arguments.limit or arguments.inventory:
        code, found = playbook.ask("run", arguments, {"wavesmith_run": list(argv)})
        said = {
            host: data["ran"]["stdout"] for host, data in (found["hosts"] if found else {}).items() if "ran" in data
        }
        errors = [
            Refusal(f"{', '.join(error['hosts'])}: {error['item']}", error["problem"], error["remedy"])
            for error in (found["errors"] if found else ())
        ]
    else:
        root, errors = _root(arguments)
        if errors:
            return playbook.refuse(errors, arguments.json)
        words = [word.replace("{root}", root) for word in argv]
        done = subprocess.run(words, check=False, capture_output=True, text=True)
        code, said = done.returncode, {"": done.stdout}
        if code:
            lines = done.stderr.strip().splitlines() or ["it says nothing"]
            errors = [Refusal(f"environment {arguments.environment}", lines[-1], "provision this machine again")]
    for host, text in said.items():
        if package and not text.strip() and not errors:
            where = f"{host}: " if host else ""
            remedy = f"wavesmith tree {arguments.environment} shows what is there"
            errors.append(
                Refusal(f"{where}environment {arguments.environment}", f"it has no package {package}", remedy)
            )
        elif text.strip() and not arguments.quiet and not arguments.json:
            print(f"{host}:\n{text.rstrip()}" if len(said) > 1 else text.rstrip())
    if arguments.json and not errors:
        print(
            json.dumps(
                {"schema": 1, "said": {host or "here": text for host, text in said.items()}, "errors": []}, indent=1
            )
        )
    if errors:
        playbook.refuse(errors, arguments.json)
        return code or playbook.UNUSABLE
    return code


def _root(arguments: argparse.Namespace) -> tuple[str, list[Refusal]]:
    """Wavesmith's folder here that has the environment, and a refusal where none has."""
    name, sources = arguments.environment, inventory.named([])
    roots = (
        [arguments.root]
        if arguments.root
        else [*inventory.roots_here(sources), store.existing_root(), store.default_roots()[0]]
    )
    there = {root: _environments(root) for root in roots}
    root = next((root for root in roots if name in there[root]), "")
    if root:
        return root, []
    known = sorted({found for root in roots for found in there[root]})
    remedy = suggest(name, known) if known else "provision this machine first"
    hosts = inventory.hosts(sources) if sources else ["HOST"]
    remedy += f"; where it is elsewhere: --root FOLDER for another folder of this machine, -l {hosts[0]} for a host of the inventory"
    folders = " or ".join(str(Path(root, "envs")) for root in dict.fromkeys(roots))
    return "", [Refusal(f"environment {name}", f"there is none in {folders}", remedy)]


def _environments(root: str) -> list[str]:
    folder = Path(root, "envs")
    return sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


COMMANDS = {
    "run": Command("run a command or a model in an environment, here or on the hosts of -l", _run, _do_run),
    "tree": Command("show what an environment's packages require", _tree, _do_tree),
    "why": Command("show which packages require a package", _why, _do_why),
}
