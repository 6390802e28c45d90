"""`wavesmith audit`: which machines and GPUs a wheel or an environment can serve."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from ansible_collections.wavesmith.provision.plugins.module_utils.audit import report as words
from ansible_collections.wavesmith.provision.plugins.module_utils.audit import verdict as rules
from ansible_collections.wavesmith.provision.plugins.module_utils.audit.binaries import Unusable, inspect
from ansible_collections.wavesmith.provision.plugins.module_utils.records.audit import (
    AskedHost,
    AuditReport,
    HostVerdict,
    Verdict,
)

ARCHITECTURES = ("x86_64", "aarch64")
NAME = "audit"
HELP = "show which GPUs a wheel, an environment or a library can serve, from its own bytes"
SERVES, DOES_NOT, UNUSABLE, CPU_ONLY = 0, 1, 2, 3


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = (
        "Exit code: 0 it serves and nothing is wrong, 1 it does not, 2 PATH cannot be read, "
        "3 it runs on the CPU only and nothing is wrong."
    )
    parser.add_argument("path", metavar="PATH", help="a wheel file, the folder of an environment, or a shared library")
    parser.add_argument(
        "--sm",
        type=_sm,
        action="append",
        default=[],
        metavar="X.Y",
        help="compute capability that it must serve, such as 11.0; may be given more than once",
    )
    parser.add_argument(
        "--machine",
        choices=ARCHITECTURES,
        default="",
        help="CPU architecture that it must run on [that of the machines with a GPU of --sm, where there is only one]",
    )
    parser.add_argument(
        "--fleet",
        nargs="?",
        type=Path,
        const=Path("artifacts"),
        metavar="FOLDER",
        help="check it also for each host that was planned, as FOLDER holds their plans [artifacts]",
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Audit one path and print the judgement."""
    try:
        hosts = _fleet(arguments.fleet) if arguments.fleet else {}
        asked = {*arguments.sm, *(rules.parse_sm(gpu["sm"]) for host in hosts.values() for gpu in host["gpus"])}
        report = rules.judge(inspect(arguments.path), sorted(asked), arguments.machine)
    except Unusable as error:
        print(f"✗ {error}", file=sys.stderr)
        return UNUSABLE
    judged = words.by_host(report, hosts)
    if arguments.json:
        print(json.dumps({**report, **({"hosts": judged} if arguments.fleet else {})}, indent=1))
    else:
        _show(report, judged)
    verdicts = {report["verdict"]}
    verdicts.update(host["verdict"] for host in judged if host["gpus"] or host["verdict"] == rules.CANNOT)
    if report["findings"] or rules.CANNOT in verdicts:
        return DOES_NOT
    return CPU_ONLY if rules.CPU_ONLY in verdicts else SERVES


def _fleet(folder: Path) -> dict[str, AskedHost]:
    """The CPU architecture and the NVIDIA GPUs of each host that was planned.

    Raises:
        Unusable: no host was.
    """
    hosts: dict[str, AskedHost] = {}
    for path in sorted(folder.glob("*/observed.json")):
        try:
            observed = json.loads(path.read_text(encoding="utf-8"))
            accelerators, architecture = observed["accelerators"], observed.get("cpu", {}).get("architecture", "")
        except (OSError, ValueError, LookupError) as error:
            raise Unusable(f"{path} cannot be read ({error}). Remedy: run wavesmith plan again") from error
        gpus = [gpu for gpu in accelerators if gpu["vendor"] == "nvidia" and gpu["sm"]]
        hosts[path.parent.name] = {"architecture": architecture, "gpus": gpus}
    if not hosts:
        raise Unusable(f"no host was planned into {folder}. Remedy: run wavesmith plan, or name its folder")
    return hosts


def _sm(text: str) -> int:
    try:
        return rules.parse_sm(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


_MARKS: dict[Verdict, str] = {
    rules.SERVES: "[green]✓ {}[/]",
    rules.CPU_ONLY: "[yellow]○ {}[/]",
    rules.CANNOT: "[red]✗ {}[/]",
}


def _show(report: AuditReport, hosts: Sequence[HostVerdict]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    # A file or a pipe has no width: rows stay whole there.
    console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 200)
    machines = ", ".join(report["machines"]) or "no machine code"
    systems = f", for {' and '.join(report['systems'])}" if report["systems"] else ""
    console.print(
        f"[bold]{escape(report['path'])}[/]: {report['kind']}, {machines}{systems}, {report['examined']} libraries"
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("library", "fatbins", "SASS", "PTX", "in part (fatbins)"):
        table.add_column(column, justify="right" if column == "fatbins" else "left", overflow="fold")
    rows = [(item["path"], item["fatbins"], item["targets"]) for item in report["libraries"] if item["judged"]]
    others = [item["path"].rsplit("/", 1)[-1] for item in report["libraries"] if not item["judged"]]
    if len(rows) != 1:
        total = sum(item["fatbins"] for item in report["libraries"] if item["judged"] or not rows)
        rows.append(("all", total, report["targets"]))
    for path, number, targets in rows:
        partial = [
            f"{prefix}{name} ({count})"
            for extent, prefix in ((targets["sass"], ""), (targets["ptx"], "PTX "))
            for name, count in extent["partial"].items()
        ]
        throughout = [" ".join(extent["throughout"]) or "-" for extent in (targets["sass"], targets["ptx"])]
        table.add_row(escape(path), str(number), *throughout, ", ".join(partial) or "-")
    if report["libraries"]:
        console.print(table)
    else:
        console.print("it holds no GPU code")
    if others:
        console.print(f"not judged, NVIDIA's own pick kernels at run time: {escape(', '.join(sorted(set(others))))}")
    if wanted := words.wanted_text(report):
        console.print(escape(wanted))
    for verdict in report["verdicts"]:
        word = words.WORDS[verdict["verdict"]]
        console.print(
            f"{_MARKS[verdict['verdict']].format(word)} SM {verdict['sm']}: {escape('; '.join(verdict['reasons']))}"
        )
    for host in hosts:
        word, gpus = words.WORDS[host["verdict"]], ", ".join(host["gpus"])
        why = f": {host['why']}" if host["why"] else ""
        if not gpus:
            word, gpus = ("runs there, on the CPU" if host["verdict"] == rules.CPU_ONLY else word), "(no NVIDIA GPU)"
        console.print(f"{_MARKS[host['verdict']].format(escape(host['host']) + ':')} {word} {escape(gpus + why)}")
    for finding in report["findings"]:
        console.print(f"[red]✗ {finding['id']}[/]: {escape(finding['detail'])}. Remedy: {escape(finding['remedy'])}")
