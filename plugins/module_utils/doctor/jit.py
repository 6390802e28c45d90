"""numba: it compiles for this machine, and librosa is loaded without it where nothing of it is needed."""

from __future__ import annotations

import sys
import types
from typing import Any

from .base import Check, Context, Failed, Finding


def compiles(context: Context) -> Finding:
    """A loop and an element-wise function, compiled for this processor, give numpy's results."""
    context.needs("numba")
    import numba
    import numpy

    def power(samples: Any) -> float:
        total = 0.0
        for sample in samples:
            total += sample * sample
        return total

    values = numpy.random.default_rng(3).standard_normal(1000)
    mine, theirs = float(numba.njit(power)(values)), float((values**2).sum())
    squared = numba.vectorize(["float64(complex128)"], nopython=True)(lambda value: value.real**2 + value.imag**2)
    off = float(numpy.abs(squared(values + 1j) - (values**2 + 1)).max())
    evidence = {"numba": numba.__version__, "power": [mine, theirs], "largest difference": off, "tolerance": 1e-9}
    if not (abs(mine - theirs) < 1e-9 * theirs and off < 1e-9):
        raise Failed("what numba compiled gives other numbers than numpy", "", evidence)
    return Finding(f"numba {numba.__version__} compiles, and agrees with numpy", evidence)


class _Plain(types.ModuleType):
    """Stands for numba: its decorators leave a function as it is."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def decorate(*given: Any, **_options: Any) -> Any:
            plain = len(given) == 1 and callable(given[0]) and not isinstance(given[0], type)
            return given[0] if plain else (lambda function: function)

        return decorate


def without() -> None:
    """Let this process load librosa without numba, which would otherwise spend 15 seconds compiling what is not called here.

    `compiles` judges numba itself.
    """
    if "numba" not in sys.modules and "librosa" not in sys.modules:
        sys.modules["numba"] = _Plain("numba")


CHECKS = (Check("native.numba", "numba compiles", compiles, heavy=True, cost=1.0),)
