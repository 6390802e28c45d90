"""A host whose nvidia-smi names a GPU that does not compute: torch for CUDA is installed, fails its verification, and is not switched to."""

from __future__ import annotations

from typing import Any

TORCH = {"torch": {"stack": "auto", "packages": ["torch"]}}


def test_torch_without_its_gpu_fails_the_doctor_and_is_never_current(here: Any) -> None:
    both = {**here.variables["wavesmith_environments"], **TORCH}
    answer = here.play("site.yml", wavesmith_environments=both)
    assert answer.status != 0 and "verdict on environment torch is failed" in answer.said, answer.said
    assert here.current("torch") == "" and here.verdict("speech")["verdict"] == "healthy"
    (generation,) = here.root("ls /opt/wavesmith/envs/torch").split()
    verdict = here.read(f"/opt/wavesmith/envs/torch/{generation}/wavesmith/verdict.json")
    checks = {check["id"]: check for check in verdict["checks"]}
    assert checks["torch.computes"]["verdict"] == "fail" and "cuda13_0" in checks["torch.computes"]["detail"]
    assert checks["torch.computes"]["remedy"]
    # What needs no GPU passes: it is CUDA's torch, with code for this card.
    assert {name: checks[name]["verdict"] for name in ("stack.imports", "stack.versions", "stack.binaries")} == {
        "stack.imports": "pass",
        "stack.versions": "pass",
        "stack.binaries": "pass",
    }
