"""``wavesmith doctor --paste``: say which known failure a text shows, and what fixes it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ansible_collections.wavesmith.provision.plugins.module_utils.failures import command

NAME = "doctor"
HELP = "recognise known failures in a text, and check whether their cause is on this machine"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    command.configure(parser)
    parser.add_argument(
        "--catalog", type=Path, metavar="FOLDER", help="folder of your own failures, which replace the catalog's"
    )


def run(arguments: argparse.Namespace) -> int:
    """Say what the text shows."""
    from ansible.errors import AnsibleError
    from ansible_collections.wavesmith.provision.plugins.plugin_utils import catalog_files

    try:
        known = catalog_files.failures(overlay=arguments.catalog)
    except AnsibleError as error:
        print(f"✗ {error}", file=sys.stderr)
        return command.UNUSABLE
    return command.run(arguments, known)
