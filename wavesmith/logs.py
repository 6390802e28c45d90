"""`wavesmith logs`: what the last work on a host said."""

from __future__ import annotations

import argparse
import json

from wavesmith import playbook
from wavesmith.status import when

NAME = "logs"
HELP = "show the last job on a host: how it ended, and the lines of its log that matter"


COMMAND = 100
"""Characters of a command that are shown."""
EARLIER = 5
"""Earlier jobs that are named."""
WORK = {
    "build": "building wheels",
    "bundle": "making a bundle",
    "export": "exporting",
    "install": "installing packages",
    "lock": "resolving locks",
    "prefix": "making prefixes",
    "verify": "the doctor",
    "weights": "fetching weights",
    "wheels": "building wheels",
}
"""What the first words of jobs' names stand for."""


def _work(job: str) -> str:
    """A job for people: what it does, and its name."""
    return f"{WORK[job.partition('-')[0]]} ({job})" if job.partition("-")[0] in WORK else job


def _shown(line: str) -> str:
    """A line of a log; of a command that ran, its beginning: the arguments of the doctor and of uv fill a screen."""
    return f"{line[:COMMAND]} …" if line.startswith("$ ") and len(line) > COMMAND else line


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = playbook.EXIT_CODES
    playbook.which_hosts(parser)
    playbook.extra_vars(parser)
    parser.add_argument(
        "host", nargs="?", metavar="HOST", help="a host as the inventory names it [all hosts, or those of -l]"
    )
    parser.add_argument("-n", "--lines", type=int, default=25, metavar="N", help="lines of the log [25]")
    parser.add_argument(
        "--job", default="", metavar="NAME", help="another job than the last one, as the last line names them"
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
        if not job["name"]:
            print(f"{host}: no work was done here yet")
            continue
        print(f"{host}: {_work(job['name'])}, {when(job['at'])}: {job['state']}")
        for line in job["lines"]:
            print(f"  | {_shown(line)}")
        print(f"  all of it: {job['path']}")
        if job["others"]:
            more = f" and {len(job['others']) - EARLIER} more" if len(job["others"]) > EARLIER else ""
            print(f"  earlier work, for --job: {', '.join(map(_work, job['others'][:EARLIER]))}{more}")
        if job["failure"]:
            print(f"✗ {host}: {job['failure']}")
    for error in found["errors"]:
        print(f"✗ {', '.join(error['hosts'])}: {error['message']}")
    return code
