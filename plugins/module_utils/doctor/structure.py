"""Tiers below the weights: a model's code imports where it runs, and upstream's classes work with random weights (``structures/``)."""

from __future__ import annotations

import importlib
import os
import resource
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..models import place
from ..records.model import ModelOf
from .base import Check, Context, Failed, Finding, Skipped
from .host_files import meminfo

ALONE_FROM = 3.0
"""GiB of memory from which a check runs by itself."""
USUAL_SECONDS = 30.0
"""What a structure takes that does not say so."""
STRUCTURE_TIMEOUT, IMPORT_TIMEOUT = 1200.0, 600.0


def found(name: str) -> Any:
    """The file of ``structures/`` that is named after a model; `None` where there is none."""
    package = f"{__package__.rpartition('.')[0]}.structures"
    try:
        return importlib.import_module(f"{package}.{name}")
    except ModuleNotFoundError as error:
        if error.name not in (package, f"{package}.{name}"):
            raise
        return None


def checks(name: str, model: ModelOf) -> list[Check]:
    """The checks of a model that need none of its weights."""
    made = []
    if "code" in model:
        made.append(
            Check(
                f"models.import.{name}",
                f"{name} imports where it runs",
                imports(name),
                heavy=True,
                timeout=IMPORT_TIMEOUT,
                cost=20.0,
                stands=True,
                model=name,
            )
        )
    tried = found(name)
    if tried is not None:
        made.append(
            Check(
                f"models.structure.{name}",
                f"{name} with random weights",
                structure(name),
                heavy=True,
                timeout=STRUCTURE_TIMEOUT,
                after=("voice.resample",),
                cost=getattr(tried, "SECONDS", USUAL_SECONDS),
                alone=tried.MEMORY_GIB > ALONE_FROM,
                stands=True,
                rarely=True,
                model=name,
            )
        )
    return made


def imports(name: str) -> Callable[[Context], Finding]:
    """What imports the modules of a model's tree, offline, in its folder and with its variables."""

    def check(context: Context) -> Finding:
        model = context.spec.models[name]
        code, stood_in = enter(context, model)
        evidence: dict[str, object] = {"commit": model["code"]["commit"], "folder": os.getcwd(), "stand-ins": stood_in}
        for module in model["code"]["modules"]:
            try:
                loaded = importlib.import_module(module)
            except (Exception, SystemExit) as error:
                told = f"{type(error).__name__}: {error}".splitlines()[0]
                raise Failed(f"{module} does not import: {told}", "", evidence) from error
            file = getattr(loaded, "__file__", None) or ""
            if file and not os.path.realpath(file).startswith(os.path.realpath(code) + os.sep):
                raise Failed(f"{module} was imported from {file}, not from the model's tree", "", evidence)
        return Finding(f"tier import: {', '.join(model['code']['modules'])}{_with(stood_in)}", evidence)

    return check


def structure(name: str) -> Callable[[Context], Finding]:
    """What runs a model's classes with random weights."""

    def check(context: Context) -> Finding:
        room(found(name).MEMORY_GIB)
        code, stood_in = enter(context, context.spec.models[name])
        finding: Finding = found(name).structure(context, code)
        peak = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)
        return Finding(
            f"{finding.detail}{_with(stood_in)}", {**finding.evidence, "peak GiB": peak, "stand-ins": stood_in}
        )

    return check


def room(needed: float) -> None:
    """See that a process has memory enough, in GiB: one that has not may be killed, or others for it.

    Raises:
        Skipped: it has not.
    """
    free = meminfo(Path("/proc/meminfo").read_text(encoding="utf-8")).get("MemAvailable", 0) / 2**30
    if free < needed:
        raise Skipped(f"about {needed:g} GiB of memory are needed, {free:.1f} are free")


def _with(stood_in: list[str]) -> str:
    return (
        f"; in place of what the mirror lacks: {', '.join(map(os.path.basename, stood_in))} of ours" if stood_in else ""
    )


def enter(context: Context, model: ModelOf) -> tuple[Path, list[str]]:
    """Let this process be one that the model runs in, with a copy of its tree; the copy, and the files of ours in it.

    Raises:
        Skipped: its tree lacks a file that we have no stand-in for.
    """
    if "code" not in model:
        return place.enter(context.spec.prefix, model, work=context.scratch), []
    code = context.scratch / "code"
    shutil.copytree(context.spec.prefix / model["code"]["folder"], code, symlinks=True)
    _let_write(code)
    stand_ins: Mapping[str, Callable[[Path], None]] = getattr(found(model["name"]), "STAND_INS", {})
    for path in model["code"]["absent"]:
        if path not in stand_ins:
            raise Skipped(f"its repository's mirror lacks {path}, which it needs")
        (code / path).parent.mkdir(parents=True, exist_ok=True)
        stand_ins[path](code / path)
    work = context.scratch / "work"
    work.mkdir()
    return place.enter(context.spec.prefix, model, code, work), list(model["code"]["absent"])


def _let_write(folder: Path) -> None:
    for base, _folders, files in os.walk(folder):
        os.chmod(base, 0o755)
        for file in files:
            path = os.path.join(base, file)
            if not os.path.islink(path):
                os.chmod(path, 0o644)
