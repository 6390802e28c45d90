"""Names of distributions, as all tools compare them."""

from __future__ import annotations

import re
from functools import lru_cache


@lru_cache(maxsize=8192)
def normal(name: str) -> str:
    """A distribution's name as all tools compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def package_of(folder: str) -> str:
    """The package whose metadata is in a folder such as ``torch-2.11.0.dist-info``; empty for any other folder."""
    name, _, kind = folder.rpartition(".")
    return normal(name.rpartition("-")[0]) if kind == "dist-info" else ""


def name_of(requirement: str) -> str:
    """The normalised name that a requirement begins with."""
    found = re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)", requirement)
    return normal(found.group(1)) if found else ""
