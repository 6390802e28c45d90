"""Leave out the mutations that no test could notice.

Annotations are text here (PEP 563) and never evaluated; and `is` in place of `==` is the same for the short texts and small numbers that are
compared, because CPython has one object for each.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from cosmic_ray.tools.filters.filter_app import FilterApp
from cosmic_ray.work_item import WorkerOutcome, WorkResult


def annotations(source: str) -> Iterator[ast.expr]:
    """Every annotation of a module: of arguments, of what functions return, of variables."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.arg, ast.AnnAssign)) and node.annotation:
            yield node.annotation
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.returns:
            yield node.returns


class Unnoticeable(FilterApp):
    """Marks as skipped what lies inside an annotation, and comparisons by identity."""

    def description(self):
        return __doc__

    def filter(self, work_db, args):
        spans = {}
        for item in work_db.pending_work_items:
            for mutation in item.mutations:
                path = Path(mutation.module_path)
                if path not in spans:
                    found = annotations(path.read_text())
                    spans[path] = [((a.lineno, a.col_offset), (a.end_lineno, a.end_col_offset)) for a in found]
                start, end = tuple(mutation.start_pos), tuple(mutation.end_pos)
                same = mutation.operator_name.endswith(("_Eq_Is", "_NotEq_IsNot"))
                if same or any(first <= start and end <= last for first, last in spans[path]):
                    work_db.set_result(
                        item.job_id, WorkResult(output="cannot be noticed", worker_outcome=WorkerOutcome.SKIPPED)
                    )
                    break


if __name__ == "__main__":
    sys.exit(Unnoticeable().main(sys.argv[1:]))
