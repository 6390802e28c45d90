"""`wavesmith logs`: what the last work on a host said."""

from __future__ import annotations

import argparse
import json

from wavesmith import playbook
from wavesmith.status import when

NAME = "logs"
HELP = "show the last work on a host: how it ended, and the lines of its log that matter"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = playbook.EXIT_CODES
    playbook.which_hosts(parser)
    parser.add_argument("host", nargs="?", metavar="HOST", help="as in the inventory [all hosts, or those of -l]")
    parser.add_argument("-n", "--lines", type=int, default=25, metavar="N", help="lines of the log [25]")
    parser.add_argument(
        "--job", default="", metavar="NAME", help="another job than the last one, as the first line names them"
    )


def run(arguments: argparse.Namespace) -> int:
    """Ask each host once."""
    arguments.limit = arguments.host or arguments.limit
    code, found = playbook.ask(
        "logs", arguments, {"wavesmith_logs_job": arguments.job, "wavesmith_logs_lines": arguments.lines}
    )
    if not found:
        return code
    jobs = {host: data["job"] for host, data in found["hosts"].items() if data.get("job")}
    if arguments.json:
        print(json.dumps({"schema": 1, "jobs": jobs, "errors": found["errors"]}, indent=1))
        return code
    for host, job in jobs.items():
        others = f"; others: {', '.join(job['others'])}" if job["others"] else ""
        if not job["name"]:
            print(f"{host}: no work was done here yet")
            continue
        print(f"{host}: {job['name']}, {when(job['at'])}: {job['state']}{others}")
        for line in job["lines"]:
            print(f"  | {line}")
        print(f"  all of it: {job['path']}")
        if job["failure"]:
            print(f"✗ {host}: {job['failure']}")
    for error in found["errors"]:
        print(f"✗ {', '.join(error['hosts'])}: {error['message']}")
    return code
