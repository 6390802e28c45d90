"""``wavesmith matrix``: every variant of a package for one Python and one CUDA, and which of them exist."""

from __future__ import annotations

import argparse
import json
import sys

from ansible_collections.wavesmith.provision.plugins.module_utils.plan import matrix

NAME = "matrix"
HELP = "show the build matrix of a package: its variants, which exist, and which nvcc and gcc can build them"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of this subcommand."""
    parser.epilog = "Exit code: 0 shown; 2 the package, Python, CUDA, SM or CPU level is unknown."
    parser.add_argument("--package", required=True, help="the package, such as torchaudio")
    parser.add_argument("--python", required=True, help="Python version, such as 3.13")
    parser.add_argument("--cuda", required=True, help="CUDA version, such as 12.8")
    parser.add_argument("--sm", nargs="+", default=[], help="compute capabilities, such as 8.9 12.0 [all]")
    parser.add_argument("--isa", nargs="+", default=[], help="CPU levels, such as avx2 armv9 [all]")
    parser.add_argument("--no-cpu-only", action="store_true", help="leave out the rows without CUDA")
    parser.add_argument("--existing", action="store_true", help="with --names or --json: only what exists")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--names", action="store_true", help="the names, one a line")
    form.add_argument("--json", action="store_true", help='for CI: {"include": [{"name": …, "exists": …, …}]}')


def run(arguments: argparse.Namespace) -> int:
    """Print the matrix.

    Returns:
        0, or 2 where the package, Python, CUDA, SM or CPU level is unknown.
    """
    # Here and not above: the command's other parts must not wait for Ansible to load.
    from ansible.errors import AnsibleError
    from ansible_collections.wavesmith.provision.plugins.plugin_utils.catalog_files import load_cuda

    try:
        known = load_cuda()
        made = matrix.rows(
            known,
            arguments.package,
            arguments.python,
            arguments.cuda,
            sms=arguments.sm,
            isas=arguments.isa,
            cpu_only=not arguments.no_cpu_only,
        )
    except (AnsibleError, matrix.MatrixError) as error:
        print(f"✗ {error}", file=sys.stderr)
        return 2
    shown = tuple(row for row in made if row.exists or not arguments.existing)
    if arguments.json:
        print(json.dumps({"include": [row.as_dict() for row in shown]}, indent=1))
    elif arguments.names:
        for row in shown:
            print(row.name)
    else:
        _print_table(matrix.grid(known, made))
    return 0


def _print_table(table: matrix.Grid) -> None:
    """Show a table: folded and coloured on a terminal, whole lines of plain text elsewhere."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    if not console.is_terminal:
        print(matrix.text(table))
        return
    # The CPU levels stay readable on 80 columns; the GPUs, which the notes name too, are shown where there is room.
    columns = [title for title in table.header if title != "GPUs" or console.width >= 110]
    shown = Table(title=table.title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for title in columns:
        shown.add_column(title, no_wrap=title != "GPUs")
    for line in table.lines:
        cells = [cell for title, cell in zip(table.header, line, strict=True) if title in columns]
        shown.add_row(*(Text(cell, style="dim" if cell.startswith("no") else "") for cell in cells))
    console.print(shown)
    for mark, reason in table.notes:
        console.print(Text(f"{mark} {reason}"))
    console.print(Text(table.summary))
