"""Take the compiled code of our modules from `__pycache__`: Ansible's own loader of collections compiles every file in every run.

For the some ninety files of a run without work that is 70 ms. Whatever is not found here is left to Ansible.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import FileFinder, ModuleSpec, SourceFileLoader
from types import ModuleType

OURS = "ansible_collections.wavesmith.provision.plugins."


class Compiled:
    """Finds the modules of our plugins as Python itself does."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Where a module is, if it is one of ours."""
        if not name.startswith(OURS):
            return None
        for folder in path or ():
            found = FileFinder(folder, (SourceFileLoader, [".py"])).find_spec(name)
            if found is not None and found.loader is not None:
                return found
        return None


def use() -> None:
    """From now on, in this process and those forked from it."""
    if Compiled not in sys.meta_path:
        sys.meta_path.insert(0, Compiled)
