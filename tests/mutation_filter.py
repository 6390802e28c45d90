"""Leave out the mutations of annotations: they are text here (PEP 563) and never evaluated, so no test could notice one."""

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


class AnnotationFilter(FilterApp):
    """Marks as skipped what lies inside an annotation."""

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
                if any(first <= start and end <= last for first, last in spans[path]):
                    work_db.set_result(
                        item.job_id, WorkResult(output="annotation", worker_outcome=WorkerOutcome.SKIPPED)
                    )
                    break


if __name__ == "__main__":
    sys.exit(AnnotationFilter().main(sys.argv[1:]))
