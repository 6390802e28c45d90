"""How long the plays of a run took, without what Ansible takes to start, and what our modules say of their own time."""

from __future__ import annotations

DOCUMENTATION = r"""
name: clock
type: aggregate
short_description: Write the seconds of the plays, and those that modules report, to a file
description: For the benchmarks only; C(WAVESMITH_CLOCK) names the file.
author: Wavesmith contributors (@wavesmith)
"""

import json
import os
import time
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """Watches, and changes nothing."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "clock"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._begun = 0.0
        self._modules: list[float] = []

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """The first play begins."""
        self._begun = self._begun or time.monotonic()

    def v2_runner_on_ok(self, result: Any, **_: Any) -> None:
        """Keep what a module says of its own time."""
        seconds = getattr(result, "result", None) or result._result
        if "seconds" in seconds:
            self._modules.append(float(seconds["seconds"]))

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """The run has ended."""
        spent = {"plays": time.monotonic() - self._begun, "modules": self._modules}
        Path(os.environ["WAVESMITH_CLOCK"]).write_text(json.dumps(spent), encoding="utf-8")
