"""What was changed in generations that are not in use: named by the plan, removed by repair, through Ansible."""

from __future__ import annotations

from pathlib import Path

import pytest

from .site import Site

pytestmark = pytest.mark.process
OLD, OLDER = "0123456789abcdef", "fedcba9876543210"


def test_older_generations_that_were_changed_are_named_and_repair_removes_them_alone(tmp_path: Path) -> None:
    site = Site(tmp_path, "one", "two")
    site.settle("one", "two")
    for host in ("one", "two"):
        for name in (OLD, OLDER):
            site.generation(host, "small", name, current=False, digest=name)
    changed = site.root("one") / "envs" / "small" / OLD
    (changed / "bin" / "python").write_text("#!/bin/sh\nexit 1\n")
    status, output = site.run()
    assert status == 0 and output.count("which is not in use, was changed") == 1, output
    assert f"generation {OLD}" in output and "changed: bin/python" in output and "wavesmith repair removes it" in output

    status, output = site.run("--check", playbook="repair.yml", WAVESMITH_BOARD="lines")
    assert status == 0 and f"would remove {OLD}" in output and changed.exists(), output
    status, output = site.run(playbook="repair.yml", WAVESMITH_BOARD="lines")
    assert status == 0 and f"small: removed {OLD} (changed: bin/python)" in output, output
    left = {
        host: sorted(path.name for path in (site.root(host) / "envs" / "small").iterdir() if not path.is_symlink())
        for host in ("one", "two")
    }
    assert not changed.exists() and OLDER in left["one"] and {OLD, OLDER} < set(left["two"])

    status, output = site.run(playbook="repair.yml", WAVESMITH_BOARD="lines")
    assert status == 0 and "2 of 2 hosts healthy, nothing to do" in output and "removed" not in output, output
