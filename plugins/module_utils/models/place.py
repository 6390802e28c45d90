"""Where a model runs: its source tree on the search path, its variables, and its working folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from . import adapters, scratch

if TYPE_CHECKING:  # this room travels without that one
    from ..records.model import ModelOf


OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
"""What a model loads is on the host, and no hub is asked, even where one is in reach."""


def environment(prefix: Path) -> str:
    """The name of the environment that a generation is one of."""
    return prefix.parent.name


def site(prefix: Path) -> Path:
    """The folder of a generation's packages."""
    return next(iter(sorted(prefix.glob("lib/python3*/site-packages"))), prefix)


def tree(prefix: Path, model: ModelOf) -> Path | None:
    """The source tree of a model in its generation; `None` where its code is a package."""
    return prefix / model["code"]["folder"] if "code" in model else None


def variables(prefix: Path, model: ModelOf, code: Path | None) -> dict[str, str]:
    """What the model's own processes find set; `code` is the tree in use."""
    folders = {"site": str(site(prefix)), "code": str(code or "")}
    return {name: value.format(**folders) for name, value in model.get("variables", {}).items()}


def enter(prefix: Path, model: ModelOf, code: Path | None = None, work: Path | None = None) -> Path:
    """Make this process one that the model can run in: it is done once, before anything of the model is imported.

    Args:
        code: A copy of the tree to use in its place.
        work: The working folder of a model that needs one of its own; one is made for this process where it is left out.

    Returns:
        The tree in use; for a model whose code is a package, the folder of the packages.
    """
    code = code or tree(prefix, model)
    os.environ.update({**OFFLINE, **variables(prefix, model, code)})
    if code is None:
        return site(prefix)
    sys.path.insert(0, str(code))
    for name in model["code"]["adapters"]:
        if name in adapters.AT_ENTRY:
            adapters.AT_ENTRY[name]()
    workdir = model["code"]["workdir"]
    if workdir == "source":
        os.chdir(code)
    elif workdir == "scratch":
        os.chdir(work or scratch.folder(model["name"]))
    return code
