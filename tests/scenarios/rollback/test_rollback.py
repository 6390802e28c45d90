"""Going back on a real SSH host: by itself where a verification fails, and by hand, while somebody uses the environment."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

SECONDS = 0.05
"""What the switch itself may take."""
FIRST, SECOND, THIRD = (
    {"small": {"stack": "none", "packages": packages}}
    for packages in (["numpy"], ["numpy", "soundfile"], ["numpy", "audioread"])
)
MARK = "/etc/testbed-unfit"

# Runs on the host: looks up the environment again and again, and counts how often it was not there.
USER = """
import os, sys, time
current, stop, seen, missed = "/opt/wavesmith/envs/small/current/bin/python", "/tmp/stop", 0, 0
while not os.path.exists(stop):
    seen += 1
    missed += not os.access(current, os.X_OK)
print(seen, missed)
"""


@pytest.fixture(scope="module")
def first(here: Any) -> str:
    """The generation that converge made."""
    return str(here.current())


@pytest.fixture(scope="module")
def second(here: Any, first: str) -> str:
    """Another one after it."""
    here.works("site.yml", wavesmith_environments=SECOND)
    made = str(here.current())
    assert made != first and here.python("import soundfile; print(1)") == "1"
    return made


@pytest.fixture
def unfit(here: Any) -> Iterator[None]:
    """While this lasts the doctor finds whatever is new on the host failed."""
    here.root(f"touch {MARK}")
    yield
    here.root(f"rm -f {MARK}")


def test_a_generation_that_fails_its_verification_is_not_switched_to(here: Any, second: str, unfit: None) -> None:
    answer = here.play("site.yml", wavesmith_environments=THIRD)
    assert answer.status != 0 and "verdict on environment small is failed" in answer.said, answer.said
    assert f"remove {MARK}" in answer.said, "the remedy of the check"
    assert here.current() == second and here.python("import soundfile; print(1)") == "1"


def test_nothing_goes_back_or_forward_to_the_one_that_failed(here: Any, first: str, second: str) -> None:
    names = set(here.root("ls /opt/wavesmith/envs/small").split()) - {"current", first, second}
    assert len(names) == 1, "it is kept, to be looked at"
    answer = here.play("playbooks/rollback.yml", wavesmith_rollback={"small": names.pop()})
    assert answer.status != 0 and "Remedy" in answer.said, answer.said
    assert here.current() == second


def test_rolling_back_switches_within_50_ms_and_its_users_notice_nothing(here: Any, first: str, second: str) -> None:
    here.root("rm -f /tmp/stop")
    here.host.check_output("sh -c %s", f"nohup python3 -c '{USER}' >/tmp/seen 2>&1 &")
    output = here.works("playbooks/rollback.yml", "-v", wavesmith_environments=SECOND)
    here.host.check_output("sh -c %s", "touch /tmp/stop; sleep 1")
    seconds = re.search(r"seconds: ([0-9.e-]+)", output)
    assert seconds and float(seconds[1]) <= SECONDS, output
    seen, missed = map(int, here.host.check_output("cat /tmp/seen").split())
    assert seen > 100 and missed == 0
    assert here.current() == first and here.python("import numpy; print(numpy.arange(3).sum())") == "3"


def test_it_goes_to_a_generation_by_its_name(here: Any, first: str, second: str) -> None:
    here.works("playbooks/rollback.yml", wavesmith_environments=SECOND, wavesmith_rollback={"small": second})
    assert here.current() == second


def test_what_failed_is_switched_to_when_its_verification_passes(here: Any, first: str, second: str) -> None:
    here.works("site.yml", wavesmith_environments=THIRD)
    assert here.current() not in (first, second) and here.verdict()["verdict"] == "healthy"
    assert here.python("import audioread; print(1)") == "1"
