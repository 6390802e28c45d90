"""A host whose stack comes from where nobody answers: it is refused before anything is changed."""

from __future__ import annotations

from typing import Any

TORCH = {"torch": {"stack": "auto", "packages": ["torch", "torchaudio"]}}
LEFT = "dpkg-query -W | sha256sum; cd /opt/wavesmith; find . -path ./state -prune -o -printf '%p %s %T@ %l\\n' | LC_ALL=C sort"


def test_it_is_refused_with_what_to_do_and_nothing_is_changed(here: Any) -> None:
    before = here.root(LEFT)
    answer = here.play("site.yml", wavesmith_environments={**here.variables["wavesmith_environments"], **TORCH})
    assert answer.status != 0 and here.variables["testbed_refused"] in answer.said, answer.said
    assert "Remedy" in answer.said and "Traceback" not in answer.said, answer.said
    assert here.root(LEFT) == before
    assert here.root("ls /opt/wavesmith/envs") == "speech"


def test_it_does_not_fall_to_the_cpu_unless_that_is_said(here: Any, tmp_path: Any) -> None:
    more = {"wavesmith_environments": TORCH, "wavesmith_artifacts": str(tmp_path)}
    assert here.play("playbooks/plan.yml", **more).status != 0
    said = here.works("playbooks/plan.yml", "-v", **more, wavesmith_stack="cpu")
    assert "stack cpu" in said, said
