"""Name the files of the pure core, for coverage and mutation: those that no room lists as touching the world."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CORE = ROOT / "plugins" / "module_utils"


def pure_files() -> list[Path]:
    """The pure core's files, below the project's root."""
    found = []
    for room in sorted(CORE.glob("*/__init__.py")):
        (listed,) = (
            ast.literal_eval(node.value)
            for node in ast.parse(room.read_text()).body
            if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "TOUCHES_THE_WORLD" and node.value
        )
        found += [path for path in sorted(room.parent.glob("*.py")) if path.stem not in (*listed, "__init__")]
    return [path.relative_to(ROOT) for path in found]


if __name__ == "__main__":
    print(",".join(map(str, pure_files())))
