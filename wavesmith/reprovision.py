"""`wavesmith reprovision`: bring a fleet to its wanted state in waves, and keep a record that the run can be resumed from."""

from __future__ import annotations

import argparse
import getpass
import os
import socket
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

from ansible_collections.wavesmith.provision.plugins.module_utils.terms.refusal import Refusal

from wavesmith import controllers, day, playbook, records
from wavesmith import inventory as places

NAME = "reprovision"
WAVES = "1,10%,50%,100%"
HELP = "bring a fleet to its wanted state in waves: plan all, build, then each wave, every host verified before it switches"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = playbook.EXIT_CODES
    playbook.which_hosts(parser)
    options(parser)


def options(parser: argparse.ArgumentParser) -> None:
    """The arguments that `resume` has as well."""
    parser.add_argument("--waves", help="hosts at a time, as numbers or percent [1,10%%,50%%,100%%]")
    parser.add_argument(
        "--budget", type=int, default=None, metavar="PERCENT", help="percent of a wave that may fail [0]"
    )
    playbook.extra_vars(parser)
    playbook.rights(parser)
    day.full(parser)
    parser.add_argument(
        "--controllers",
        default="",
        metavar="HOST[:PATH],...",
        help="machines that run Ansible, each for its share of the hosts; PATH of their ansible-runner [this one]",
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
    if arguments.waves is not None:
        variables["wavesmith_waves"] = arguments.waves
    if arguments.budget is not None:
        variables["wavesmith_failure_budget"] = arguments.budget
    if arguments.full:
        variables["wavesmith_verify_full"] = True
    if arguments.controllers and arguments.ask_become_pass:
        remedy = "leave one of them out, or keep the password as ansible_become_password in a vault"
        return playbook.refuse([Refusal("-K", "other controllers cannot ask for a password", remedy)])
    if arguments.controllers:
        return _shared(arguments, inventory, limit, variables)
    os.environ["WAVESMITH_RECORD"] = str(arguments.artifacts.absolute() / "runs.sqlite")
    given = {"json": False, "quiet": False, **vars(arguments), "inventory": list(inventory), "limit": limit}
    code = playbook.run(NAME, argparse.Namespace(**given), variables)
    if code == playbook.FAILED:
        print("wavesmith resume goes on with the hosts that are left; wavesmith fleet shows all", file=sys.stderr)
    return code


def _shared(
    arguments: argparse.Namespace, inventory: Sequence[str], limit: str | None, variables: dict[str, object]
) -> int:
    """Run it through other controllers."""
    chosen = controllers.controllers(arguments.controllers)
    named = places.named(inventory)
    refusals = [*places.check(named, limit), *places.variables_of(arguments.extra_vars, variables)]
    if refusals:
        return playbook.refuse(refusals)
    sources, hosts = places.shown(named), sorted(places.hosts(named, limit))
    options = controllers.Options(
        run=f"{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:6]}",
        who=os.environ.get("SUDO_USER") or getpass.getuser(),
        here=socket.gethostname(),
        limit=limit or "",
        controllers=arguments.controllers,
        waves=arguments.waves or WAVES,
        budget=arguments.budget or 0,
        extra=[word for extra in arguments.extra_vars for word in ("-e", extra)],
        variables={key: value for key, value in variables.items() if key == "wavesmith_verify_full"},
    )
    artifacts = arguments.artifacts.absolute()
    return controllers.run(chosen, sources, hosts, records.ledger(artifacts), artifacts, options)
