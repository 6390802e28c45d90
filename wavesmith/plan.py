"""`wavesmith plan`: what provisioning would do, and with --explain why each stack was taken or not."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import tempfile
from pathlib import Path

NAME = "plan"
HELP = "Show what provisioning would do on each host; nothing is changed."
ROOT = Path(__file__).resolve().parent.parent


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = "Exit code: 0 every host has a plan, 1 a host is refused or cannot be reached."
    parser.add_argument("-i", "--inventory", action="append", default=[], help="an inventory instead of ansible.cfg's")
    parser.add_argument("-l", "--limit", help="these hosts or groups only")
    parser.add_argument(
        "-e", "--extra-vars", action="append", default=[], metavar="NAME=VALUE", help="as for ansible-playbook"
    )
    parser.add_argument("--explain", action="store_true", help="explain for each stack why it was chosen or not")


def run(arguments: argparse.Namespace) -> int:
    """Run playbooks/plan.yml, its output shown as it comes."""
    import ansible_runner

    argv = []
    for inventory in arguments.inventory:
        argv += ["-i", str(Path(inventory).absolute())]
    if arguments.limit:
        argv += ["-l", arguments.limit]
    explain = ["wavesmith_explain=true"] if arguments.explain else []
    for variable in [f"wavesmith_artifacts={Path('artifacts').absolute()}", *arguments.extra_vars, *explain]:
        argv += ["-e", variable]
    # The launcher may have been called by its path: what it runs is beside it.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    with tempfile.TemporaryDirectory(prefix="wavesmith-") as scratch:
        done = ansible_runner.run(
            private_data_dir=scratch,
            project_dir=str(ROOT),
            playbook="playbooks/plan.yml",
            cmdline=shlex.join(argv),
            envvars={"ANSIBLE_CONFIG": os.environ.get("ANSIBLE_CONFIG", str(ROOT / "ansible.cfg"))},
        )
    return 0 if done.rc == 0 else 1
