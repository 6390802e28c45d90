"""`wavesmith init`: write an inventory of one's own, outside of this checkout."""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import NamedTuple

from ansible_collections.wavesmith.provision.plugins.module_utils.terms.refusal import Refusal, suggest

from wavesmith import ROOT, inventory, playbook

NAME = "init"
HELP = "write an inventory: hosts, and what they get"
WANTED = ROOT / "inventories" / "local" / "group_vars" / "this_machine.yml"
"""What hosts get to begin with."""
GROUPS = {
    "workstation": "x86_64 machines, with or without a GPU",
    "jetson_thor": "Jetson Thor boards",
    "dgx_spark": "DGX Spark machines",
}


class Host(NamedTuple):
    """A host: its name in the inventory, where it is, and who connects."""

    name: str
    address: str
    user: str


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = "Exit code: 0 written, 2 refused. Without --host and --local it asks, on a terminal."
    parser.add_argument("folder", nargs="?", metavar="FOLDER", help="where the inventory goes [fleet]")
    parser.add_argument(
        "--host",
        action="append",
        default=[],
        metavar="NAME[=[USER@]ADDRESS]",
        help="a host; may be given more than once",
    )
    parser.add_argument("--local", action="store_true", help="this machine")
    parser.add_argument("--group", choices=sorted(GROUPS), help="group of the hosts [workstation]")
    parser.add_argument(
        "--engine", choices=("venv", "conda"), help="where Python comes from: the system, or a conda channel [venv]"
    )
    parser.add_argument("--json", action="store_true", help="print what was written as JSON")
    parser.add_argument("-q", "--quiet", action="store_true", help="print errors only")


def run(arguments: argparse.Namespace) -> int:
    """Ask what was not given, and write."""
    asks = not arguments.host and not arguments.local
    if asks and not sys.stdin.isatty():
        refusal = Refusal(
            "wavesmith init", "it was told no host", "add --host NAME=USER@ADDRESS, or --local for this machine"
        )
        return playbook.refuse([refusal], arguments.json)
    if asks:
        _ask(arguments)
    if arguments.folder == "":
        refusal = Refusal("FOLDER", "its name is empty", "name a folder, or leave it out: then it is fleet")
        return playbook.refuse([refusal], arguments.json)
    folder = Path(arguments.folder or "fleet").expanduser().absolute()
    found = [_host(text) for text in arguments.host]
    refusals = [problem for problem in found if isinstance(problem, Refusal)]
    names = [host.name for host in found if isinstance(host, Host)] + ["localhost"] * arguments.local
    for name in dict.fromkeys(name for name in names if names.count(name) > 1):
        refusals.append(Refusal(f"host {name}", "it is given more than once", "give each host a name of its own"))
    if (folder / inventory.HERE).exists():
        refusals.append(
            Refusal(f"inventory {folder}", "it is there already", "edit its hosts.yml, or name another folder")
        )
    if refusals:
        return playbook.refuse(refusals, arguments.json)
    hosts = [host for host in found if isinstance(host, Host)]
    files = texts(hosts, arguments.local, arguments.group or "workstation", arguments.engine or "venv")
    try:
        for name in [name for name in files if (folder / name).exists()]:
            del files[name]  # an own .gitignore or group_vars stay as they are
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        refusal = Refusal(f"inventory {folder}", f"it cannot be written ({error.strerror})", "name another folder")
        return playbook.refuse([refusal], arguments.json)
    if arguments.json:
        print(json.dumps({"schema": 1, "inventory": str(folder), "files": sorted(files)}, indent=1))
    elif not arguments.quiet:
        print(f"Wrote {', '.join(str(folder / name) for name in files)}.")
        print(f"Next: wavesmith plan -i {folder}    (or without -i, in that folder)")
    return playbook.DONE


def _ask(arguments: argparse.Namespace) -> None:
    """The questions; an empty answer is what the brackets say."""
    arguments.folder = arguments.folder or input("Folder of the inventory [fleet]: ").strip()
    answer = input("Hosts, as NAME=USER@ADDRESS, separated by spaces [this machine]: ").split()
    arguments.host, arguments.local = answer, not answer
    if answer and not arguments.group:
        for name, meaning in GROUPS.items():
            print(f"  {name}: {meaning}")
        group = input("What they are [workstation]: ").strip() or "workstation"
        while group not in GROUPS:
            group = input(f"{group} is none of them, {suggest(group, GROUPS)}: ").strip() or "workstation"
        arguments.group = group


def _host(text: str) -> Host | Refusal:
    found = re.fullmatch(r"([A-Za-z0-9][\w.-]*)(?:=(?:([\w.-]+)@)?(\[[\w.:%-]+\]|[\w.:%-]+))?", text)
    if not found:
        return Refusal(
            f"host {text!r}",
            "it is not NAME, NAME=ADDRESS or NAME=USER@ADDRESS",
            "such as thor01=ada@192.0.2.11, or thor01=2001:db8::11",
        )
    return Host(found[1], (found[3] or "").strip("[]"), found[2] or "")


def texts(hosts: list[Host], local: bool, group: str, engine: str) -> dict[str, str]:
    """The files of the inventory by name."""
    lines = ["---", "# Hosts, in the groups whose defaults they get. Ansible's own variables say where each one is."]
    if hosts:
        lines += [f"{group}:", "  hosts:"]
        for host in hosts:
            told = {"ansible_host": host.address, "ansible_user": host.user}
            said = ", ".join(f"{name}: {json.dumps(value)}" for name, value in told.items() if value)
            lines.append(f"    {host.name}: {{{said}}}" if said else f"    {host.name}:")
    if local:
        lines += ["this_machine:", "  hosts:", "    localhost: {ansible_connection: local}"]
    _, _, wanted = WANTED.read_text(encoding="utf-8").partition("wavesmith_environments:\n")
    wanted = re.sub(r"^(  \w+:\n)", rf"\1    engine: {engine}\n", wanted, flags=re.MULTILINE)
    head = (
        "---\n# What every host gets unless its group or itself says otherwise; docs/variables.md lists every variable.\n"
        "# engine: venv takes the system's Python, conda one of a channel. Locks are kept in locks/ beside this folder: commit them.\n"
    )
    return {
        inventory.HERE: "\n".join(lines) + "\n",
        "group_vars/all.yml": f"{head}wavesmith_environments:\n{wanted}",
        ".gitignore": "# Plans, reports and the record of runs: made by each run. The locks beside them belong into git.\n/artifacts/\n",
    }
