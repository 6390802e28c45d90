"""`wavesmith reprovision`: bring a fleet to its wanted state in waves, and keep a record that the run can be resumed from."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from wavesmith import playbook

NAME = "reprovision"
HELP = "bring a fleet to its wanted state in waves: plan all, build, then each wave, every host verified before it switches"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = playbook.EXIT_CODES
    playbook.inventory(parser)
    options(parser)


def options(parser: argparse.ArgumentParser) -> None:
    """The arguments that `resume` has as well."""
    parser.add_argument("--waves", default="", help="hosts at a time, as numbers or percent [1,10%%,50%%,100%%]")
    parser.add_argument(
        "--budget", type=int, default=None, metavar="PERCENT", help="percent of a wave that may fail [0]"
    )
    parser.add_argument(
        "-e",
        "--extra-vars",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a variable for this run; may be given more than once",
    )
    record(parser)


def record(parser: argparse.ArgumentParser) -> None:
    """Where the record is."""
    parser.add_argument("--artifacts", type=Path, default=Path("artifacts"), help="folder of the record [artifacts]")


def run(arguments: argparse.Namespace) -> int:
    """Run playbooks/reprovision.yml."""
    return start(arguments, arguments.inventory, arguments.limit)


def start(arguments: argparse.Namespace, inventory: Sequence[str], limit: str | None) -> int:
    """Run it for some hosts, with the inventory that the other commands would take."""
    variables: dict[str, object] = {"wavesmith_artifacts": str(arguments.artifacts.absolute())}
    if arguments.waves:
        variables["wavesmith_waves"] = arguments.waves
    if arguments.budget is not None:
        variables["wavesmith_failure_budget"] = arguments.budget
    os.environ["WAVESMITH_RECORD"] = str(arguments.artifacts.absolute() / "runs.sqlite")
    given = {"json": False, "quiet": False, **vars(arguments), "inventory": list(inventory), "limit": limit}
    code = playbook.run(NAME, argparse.Namespace(**given), variables)
    if code == playbook.FAILED:
        print("wavesmith resume goes on with the hosts that are left; wavesmith fleet shows all", file=sys.stderr)
    return code
