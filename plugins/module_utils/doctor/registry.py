"""The registry: every check there is for an environment, in the order in which they are shown."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable
from dataclasses import replace

from . import (
    arithmetic,
    around,
    audio,
    compute,
    gpu,
    guard,
    isolation,
    jit,
    models,
    native,
    performance,
    stack,
    training,
    voice,
)
from .base import Check, Context, Failed, Finding, Spec

MEASURES = "performance."


def _standing(checks: Iterable[Check]) -> list[Check]:
    """Checks that compute with what they load, and look at nothing else of the environment or the GPU's state."""
    return [replace(check, stands=True) for check in checks]


CHECKS: tuple[Check, ...] = (
    *around.CHECKS,
    *isolation.CHECKS,
    *stack.CHECKS,
    *guard.CHECKS,
    *native.CHECKS,
    *jit.CHECKS,
    *_standing(compute.CHECKS),
    *_standing(arithmetic.CHECKS),
    *gpu.CHECKS,
    *_standing(audio.CHECKS),
    *_standing(voice.CHECKS),
    *_standing(training.CHECKS),
    *performance.CHECKS,
)


def all_checks(spec: Spec) -> tuple[Check, ...]:
    """The checks, after them those of the environment's models, and those of the user's own (``own/*.py``, each with a `CHECKS` like here).

    A file of theirs that cannot be loaded becomes a check that fails and says why.
    """
    found = [*CHECKS, *models.checks(spec.models)]
    try:
        own = importlib.import_module(".own", __package__)
    except ImportError:
        return tuple(found)
    for module in pkgutil.iter_modules(own.__path__):
        try:
            found += importlib.import_module(f".own.{module.name}", __package__).CHECKS
        except (Exception, SystemExit) as error:  # whatever a file of theirs does wrong
            found.append(_unusable(module.name, f"{type(error).__name__}: {error}"))
    return tuple(found)


def _unusable(name: str, problem: str) -> Check:
    def fail(_: Context) -> Finding:
        raise Failed(f"checks/{name}.py cannot be used: {problem}", "correct the file in wavesmith_catalog")

    return Check(f"own.{name}", f"the check {name} can be used", fail)


def chosen(name: str, only: list[str], measure: bool) -> bool:
    """Whether a check is among those that were asked for, by the beginnings of their ids; what measures is left out unless it is asked for."""
    if name.startswith(MEASURES) and not measure:
        return any(prefix.startswith(MEASURES.rstrip(".")) and name.startswith(prefix) for prefix in only)
    return not only or any(name.startswith(prefix) for prefix in only)
