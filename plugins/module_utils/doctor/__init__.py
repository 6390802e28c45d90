"""The doctor: checks an environment from inside and states a verdict.

It runs under the interpreter of the generation that it judges, uses the standard library alone until a check asks for
more, and imports none of its siblings in ``module_utils``: a copy of this folder is all that a host needs.
"""

from __future__ import annotations

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Judge an environment; see `run.main`. Its checks are loaded only now: others want the reader of ELF files alone."""
    from .run import main as run

    return run(argv)
