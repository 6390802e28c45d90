"""Source trees of models: kept on the host by their sha256, and unpacked into a generation, where nobody changes them."""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Sequence

from ..host import store
from ..host.job import Failed
from ..records.task import CodeFile


def keep(root: str, trees: Sequence[CodeFile]) -> None:
    """Keep the archives that the controller brought: the work on them may outlive the connection, whose folder goes with it."""
    for tree in trees:
        kept = _kept(root, tree)
        if os.path.exists(tree["path"]) and not os.path.exists(kept):
            os.makedirs(os.path.dirname(kept), exist_ok=True)
            shutil.copyfile(tree["path"], f"{kept}.part")
            os.rename(f"{kept}.part", kept)


def place(root: str, prefix: str, trees: Sequence[CodeFile]) -> None:
    """Unpack the trees of a generation, read-only.

    Raises:
        Failed: what came is not what the controller packed.
    """
    for tree in trees:
        kept = _kept(root, tree)
        if not os.path.exists(kept) or store.sha256(kept) != tree["sha256"]:
            if os.path.exists(kept):
                os.unlink(kept)
            raise Failed(f"{tree['file']} is not the archive that was packed. Remedy: run the playbook again")
        folder = os.path.join(prefix, tree["folder"])
        os.makedirs(folder)
        with tarfile.open(kept) as archive:
            # Its paths and links were proven while it was packed, and its sha256 is the one from then.
            for member in archive:
                archive.extract(member, folder, set_attrs=False)
                if member.isfile():
                    os.chmod(os.path.join(folder, member.name), member.mode)


def folders(prefix: str, trees: Sequence[CodeFile]) -> list[str]:
    """Where the trees lie."""
    return [os.path.join(prefix, tree["folder"]) for tree in trees]


def _kept(root: str, tree: CodeFile) -> str:
    return os.path.join(root, "cache", "sources", tree["sha256"], tree["file"])
