"""Cut the network off a process, and tell what was asked of it all the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..doctor.base import Failed
from ..models.offline import cut


@contextmanager
def network() -> Iterator[None]:
    """Refuse names and connections of any network but this machine's own.

    Raises:
        Failed: something was asked for, even where whoever asked went on without an answer.
    """
    with cut() as asked:
        yield
    if asked:
        raise Failed(f"while it runs it asks the network for {', '.join(dict.fromkeys(asked))}")
