"""`wavesmith reprovision`: bring a fleet to its wanted state in waves, and keep a record that the run can be resumed from."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

NAME = "reprovision"
HELP = "Bring a fleet to its wanted state in waves: plan all, build, then canary and waves, each host verified before it switches."
ROOT = Path(__file__).resolve().parent.parent
CODES = "Exit code: 0 every host is as wanted, 1 a host failed, was refused or cannot be reached, or the run stopped."


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = CODES
    parser.add_argument("-i", "--inventory", action="append", default=[], help="an inventory instead of ansible.cfg's")
    parser.add_argument("-l", "--limit", help="these hosts or groups only")
    options(parser)


def options(parser: argparse.ArgumentParser) -> None:
    """The arguments that `resume` has as well."""
    parser.add_argument(
        "--waves", default="", help="hosts at a time, as numbers or percent (default: 1,10%%,50%%,100%%)"
    )
    parser.add_argument(
        "--budget", type=int, default=None, metavar="PERCENT", help="what may fail of a wave (default: 0)"
    )
    parser.add_argument(
        "-e", "--extra-vars", action="append", default=[], metavar="NAME=VALUE", help="as for ansible-playbook"
    )
    record(parser)


def record(parser: argparse.ArgumentParser) -> None:
    """Where the record is."""
    parser.add_argument(
        "--artifacts", type=Path, default=Path("artifacts"), help="folder of the record (default: artifacts)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run playbooks/reprovision.yml."""
    return start(arguments, arguments.inventory, arguments.limit)


def start(arguments: argparse.Namespace, inventory: Sequence[str], limit: str | None) -> int:
    """Run it for some hosts; its output is shown as it comes."""
    import ansible_runner

    argv = []
    for name in inventory:
        argv += ["-i", str(Path(name).absolute())]
    if limit:
        argv += ["-l", limit]
    more = [f"wavesmith_waves={arguments.waves}"] if arguments.waves else []
    more += [] if arguments.budget is None else [json.dumps({"wavesmith_failure_budget": arguments.budget})]
    for variable in [f"wavesmith_artifacts={arguments.artifacts.absolute()}", *arguments.extra_vars, *more]:
        argv += ["-e", variable]
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    envvars = {
        "ANSIBLE_CONFIG": os.environ.get("ANSIBLE_CONFIG", str(ROOT / "ansible.cfg")),
        "WAVESMITH_RECORD": str(arguments.artifacts.absolute() / "runs.sqlite"),
    }
    with tempfile.TemporaryDirectory(prefix="wavesmith-") as scratch:
        done = ansible_runner.run(
            private_data_dir=scratch,
            project_dir=str(ROOT),
            playbook="playbooks/reprovision.yml",
            cmdline=shlex.join(argv),
            envvars=envvars,
        )
    if done.rc != 0:
        print("wavesmith resume goes on with the hosts that are left; wavesmith fleet shows all", file=sys.stderr)
    return 0 if done.rc == 0 else 1
