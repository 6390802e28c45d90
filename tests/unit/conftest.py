"""Settings of all unit tests."""

from __future__ import annotations

import os

from hypothesis import settings

# A busy machine is no failure; and CI tells the same today and tomorrow.
settings.register_profile("house", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("house")
