"""A check that fails where a test says so."""

from __future__ import annotations

import os

from ..base import Check, Context, Failed, Finding

MARK = "/etc/testbed-unfit"


def unfit(context: Context) -> Finding:
    """Whether this host is said to be unfit."""
    if os.path.exists(MARK):
        raise Failed(f"{MARK} is there", f"remove {MARK}")
    return Finding(f"{MARK} is not there")


CHECKS = (Check("site.unfit", "nothing says that this host is unfit", unfit),)
