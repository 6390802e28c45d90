"""`wavesmith report`: what is kept of the hosts, as a page, a table, JSON, JUnit XML or a Prometheus textfile."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

NAME = "report"
HELP = "report on all hosts that were planned or verified, from the artifacts; no host is asked"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = (
        "Exit code: 0 all healthy, 1 something failed, 2 something was not or could not be judged, or nothing is kept."
    )
    parser.add_argument(
        "--artifacts", type=Path, default=Path("artifacts"), help="folder of plans and reports [artifacts]"
    )
    parser.add_argument(
        "--html", type=Path, metavar="FILE", help="write a page; in the artifacts' folder its sounds can be played"
    )
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write JUnit XML")
    parser.add_argument(
        "--prometheus", type=Path, metavar="FILE", help="write a textfile for Prometheus' node exporter"
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Write what was asked for."""
    from ansible_collections.wavesmith.provision.plugins.module_utils.report import texts
    from ansible_collections.wavesmith.provision.plugins.module_utils.report.fleet import fleet
    from ansible_collections.wavesmith.provision.plugins.plugin_utils import artifacts, catalog_files
    from ansible_collections.wavesmith.provision.plugins.plugin_utils.page import page

    kept = artifacts.read(arguments.artifacts)
    if not kept:
        print(
            f"✗ folder {arguments.artifacts}: nothing is kept in it. Remedy: run wavesmith plan, or name its folder",
            file=sys.stderr,
        )
        return 2
    for path in filter(None, (arguments.html, arguments.junit, arguments.prometheus)):
        if path.is_dir() or not path.absolute().parent.is_dir():
            problem = "it is a folder" if path.is_dir() else f"there is no folder {path.absolute().parent}"
            print(f"✗ file {path}: {problem}. Remedy: name a file in a folder that is there", file=sys.stderr)
            return 2
    found = fleet(kept, artifacts.wheels(arguments.artifacts))
    made = time.strftime("%Y-%m-%d %H:%M %Z")
    if arguments.html:
        artifacts.write(arguments.html, page(found, made, arguments.artifacts, catalog_files.failures()))
    if arguments.junit:
        artifacts.write(arguments.junit, texts.junit(found))
    if arguments.prometheus:
        artifacts.write(arguments.prometheus, texts.prometheus(found))
    print(json.dumps(found, indent=1, ensure_ascii=False) if arguments.json else texts.terminal(found), end="")
    counts = texts.counts(found)
    if counts["failed"] or any(host["refusals"] for host in found["hosts"]):
        return 1
    if unjudged := texts.unjudged(found):
        print(f"✗ {unjudged}", file=sys.stderr)
        return 2
    return 2 if counts["unjudged"] else 0
