"""A fall to the CPU that is only said on stderr."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from .kept import Unusable


@contextmanager
def no_fallback(name: str, device: str) -> Iterator[None]:
    """Refuse what is told to compute on a device, and says in one line on stderr that it computes on the CPU instead.

    sherpa-onnx does so with a wheel that has no CUDA (sherpa-onnx/csrc/session.cc).

    Raises:
        Unusable: it does not compute there.
    """
    with tempfile.TemporaryFile() as told:
        own = os.dup(2)
        os.dup2(told.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(own, 2)
            os.close(own)
            told.seek(0)
            said = told.read().decode(errors="replace")
            sys.stderr.write(said)
    if device != "cpu" and "fallback to cpu" in said.lower():
        raise Unusable(
            f"{name} was asked for {device} and computes on the CPU. Remedy: a build of it for {device}, or --device cpu"
        )
