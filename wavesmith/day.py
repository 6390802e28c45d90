"""The subcommands that are a playbook with its options: plan, provision, verify, rollback, repair, prune."""

from __future__ import annotations

import argparse

from wavesmith import playbook
from wavesmith.playbook import Command


def _plan(parser: argparse.ArgumentParser) -> None:
    playbook.options(parser, changes=False)
    parser.add_argument("--explain", action="store_true", help="explain for each stack why it was chosen or not")


def _run_plan(arguments: argparse.Namespace) -> int:
    return playbook.run("plan", arguments, {"wavesmith_explain": True} if arguments.explain else {})


def _provision(parser: argparse.ArgumentParser) -> None:
    playbook.options(parser)
    full(parser)


def full(parser: argparse.ArgumentParser, otherwise: str = "those that the change can touch") -> None:
    """Add the option that every check runs; `otherwise` says which do without it."""
    parser.add_argument("--full", action="store_true", help=f"run all checks of the doctor [{otherwise}]")


def _run_provision(arguments: argparse.Namespace) -> int:
    return playbook.run("site", arguments, {"wavesmith_verify_full": True} if arguments.full else {})


def _verify(parser: argparse.ArgumentParser) -> None:
    playbook.options(parser, changes=False)
    full(parser, "all but those that take minutes, where nothing is different")


def _run_verify(arguments: argparse.Namespace) -> int:
    return playbook.run("verify", arguments, {"wavesmith_verify_full": True} if arguments.full else {})


def _rollback(parser: argparse.ArgumentParser) -> None:
    playbook.options(parser)
    parser.add_argument(
        "environment",
        nargs="*",
        metavar="ENVIRONMENT[=GENERATION]",
        help="environments, each with the generation to switch to [all, to the one before]",
    )


def _run_rollback(arguments: argparse.Namespace) -> int:
    chosen = {name: generation for name, _, generation in (word.partition("=") for word in arguments.environment)}
    return playbook.run("rollback", arguments, {"wavesmith_rollback": chosen} if chosen else {})


def _repair(parser: argparse.ArgumentParser) -> None:
    playbook.options(parser)
    parser.add_argument(
        "environment",
        nargs="*",
        metavar="ENVIRONMENT",
        help="environments to make again, even if they look intact [those that drifted]",
    )


def _run_repair(arguments: argparse.Namespace) -> int:
    return playbook.run(
        "repair", arguments, {"wavesmith_repair": arguments.environment} if arguments.environment else {}
    )


def _prune(parser: argparse.ArgumentParser) -> None:
    playbook.options(parser)
    parser.add_argument(
        "--keep",
        type=int,
        metavar="N",
        help="generations of each environment to keep [wavesmith_keep_generations, 3]",
    )


def _run_prune(arguments: argparse.Namespace) -> int:
    return playbook.run(
        "prune", arguments, {} if arguments.keep is None else {"wavesmith_keep_generations": arguments.keep}
    )


def _lock(parser: argparse.ArgumentParser) -> None:
    playbook.options(parser)
    parser.add_argument(
        "--upgrade",
        nargs="*",
        metavar="PACKAGE",
        help="take newer releases of these packages, or of all where none is named [resolve only what is missing]",
    )


def _run_lock(arguments: argparse.Namespace) -> int:
    upgrade = None if arguments.upgrade is None else arguments.upgrade or ["*"]
    return playbook.run("lock", arguments, {"wavesmith_upgrade": upgrade} if upgrade else {})


COMMANDS = {
    "plan": Command("show what provisioning would do on each host; nothing is changed", _plan, _run_plan),
    "provision": Command("bring hosts to their wanted state", _provision, _run_provision),
    "verify": Command("run the doctor again on the current generations", _verify, _run_verify),
    "rollback": Command("switch back to the generation before", _rollback, _run_rollback),
    "repair": Command("replace what was changed by hand", _repair, _run_repair),
    "lock": Command(
        "resolve the locks of hosts, or take newer releases into them; nothing is installed", _lock, _run_lock
    ),
    "prune": Command("remove old generations", _prune, _run_prune),
}
