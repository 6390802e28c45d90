"""The life of a conda environment by the real playbooks: made, left alone, changed, damaged, repaired, rolled back, pruned."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.test_kills import Campaign

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def host() -> Iterator[Campaign]:
    with tempfile.TemporaryDirectory(prefix="wl") as folder:
        made = Campaign(Path(folder))
        made.wanted["wavesmith_environments"] = {"tiny": {"engine": "conda", "stack": "none", "packages": ["numpy"]}}
        made.wanted["wavesmith_keep_generations"] = 2
        made.finish()
        yield made


def current(host: Campaign) -> Path:
    return host.root / "envs" / "tiny" / os.readlink(host.root / "envs" / "tiny" / "current")


def listed(host: Campaign) -> list[str]:
    return (host.home / ".conda" / "environments.txt").read_text().splitlines()


def test_a_conda_environment_through_its_life(host: Campaign) -> None:
    first = current(host)
    host.check()
    assert json.loads((first / "wavesmith" / "manifest.json").read_text())["channel_packages"].keys() == {"python"}
    assert listed(host) == [str(host.root / "envs" / "tiny" / "current")]

    host.finish()
    assert current(host) == first, "a second run has nothing to do"

    damaged = next(first.glob("lib/python3.*/json/decoder.py"))
    damaged.unlink()
    host.finish()
    repaired = current(host)
    assert repaired.name == f"{first.name}-r1" and next(repaired.glob("lib/python3.*/json/decoder.py")).is_file()
    host.check()

    host.wanted["wavesmith_environments"]["tiny"]["packages"] = ["numpy", "soundfile"]
    host.finish()
    changed = current(host)
    assert changed.name.partition("-")[0] != first.name
    host.check()

    host.finish("playbooks/rollback.yml")
    assert current(host) == repaired
    host.check()

    host.finish("playbooks/prune.yml")
    assert sorted(path.name for path in changed.parent.iterdir()) == sorted(["current", changed.name, repaired.name])
    host.check()
