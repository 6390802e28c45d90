"""What it means when a process that computes dies, and the remedy for it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.doctor import schedule
from ansible_collections.wavesmith.provision.plugins.module_utils.doctor.base import (
    REPAIR,
    Check,
    Context,
    Finding,
    Spec,
)
from ansible_collections.wavesmith.provision.plugins.module_utils.doctor.deaths import meaning
from ansible_collections.wavesmith.provision.plugins.module_utils.doctor.worker import log_path

FILES = [f'"/x/torch/lib/rocblas/library/TensileLibrary_lazy_{gfx}.dat"' for gfx in ("gfx1100", "gfx90a", "gfx908")]


@pytest.mark.parametrize(
    ("first", "gfx"),
    [
        ("rocBLAS error: Cannot read /x/TensileLibrary.dat: Illegal seek for GPU arch : gfx900", "gfx900"),
        ("rocBLAS error: Cannot read /x/TensileLibrary.dat: No such file or directory for GPU arch : gfx1036", "gfx1036"),
        ("rocBLAS error: Cannot read /x/TensileLibrary.dat: Illegal seek for GPU arch : gfx1103", "gfx1103"),
    ],
)  # fmt: skip
def test_rocblas_without_kernels_is_named_with_what_it_has(first: str, gfx: str) -> None:
    said = ["loading", "", first, " List of available TensileLibrary Files : ", *FILES, "Aborted (core dumped)"]
    detail, remedy = meaning("\n".join(said), -6)
    assert detail == f"rocBLAS of this torch has no kernels for {gfx}, only for gfx908, gfx90a, gfx1100"
    assert "another stack" in remedy and "`cpu`" in remedy and "TheRock" in remedy


@pytest.mark.parametrize(
    ("text", "code", "remedy"),
    [
        ("CUDA error: no kernel image is available for execution on the device", 1, "another stack"),
        ("HIP error: invalid device function", 1, "another stack"),
        ("terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc", -6, "memory"),
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", 1, "memory"),
        ("ImportError: /lib/libstdc++.so.6: version `GLIBCXX_3.4.32' not found", 1, "newer system"),
        ("The NVIDIA driver on your system is too old (found version 12080)", 1, "update the GPU's driver"),
        ("Fatal Python error: Illegal instruction", -4, "instruction"),
        ("working", -9, "killed"),
        ("nothing of use", 3, ""),
        ("", -6, ""),
    ],
)
def test_the_remedy_for_what_killed_a_process(text: str, code: int, remedy: str) -> None:
    said, way_out = meaning(text, code)
    assert said == ""
    assert (remedy in way_out) if remedy else way_out == ""


def test_a_check_whose_process_dies_of_rocblas_has_the_remedy_and_the_words(tmp_path: Path) -> None:
    def never(_context: Context) -> Finding:
        raise AssertionError

    check = Check("torch.computes", "torch computes", never, "run it again", heavy=True)
    context = Context(Spec("speech", "0", tmp_path, tmp_path), tmp_path, tmp_path)
    judgement = schedule.Schedule([check], context, tmp_path / "spec.json", lambda _check: None)
    words = ["rocBLAS error: Cannot read /x/TensileLibrary.dat: Illegal seek for GPU arch : gfx900", *FILES]
    log_path(tmp_path, check).write_text("\n".join(words))
    nursery: Any = None
    judgement._conclude(schedule._Running(check, nursery, time.monotonic()), -6)
    result = judgement.results[check.id]
    assert "signal 6 (SIGABRT): rocBLAS of this torch has no kernels for gfx900" in result["detail"]
    assert "another stack" in result["remedy"]
    assert FILES[-1] in result["evidence"]["said"]  # type: ignore[operator]


@pytest.mark.parametrize(("own", "remedy"), [("mend it", "mend it"), (REPAIR, "another stack")])
def test_a_remedy_that_is_better_than_to_run_it_again_is_kept(tmp_path: Path, own: str, remedy: str) -> None:
    check = Check("own.x", "x", lambda _context: Finding(""), own, heavy=True)
    context = Context(Spec("speech", "0", tmp_path, tmp_path), tmp_path, tmp_path)
    judgement = schedule.Schedule([check], context, tmp_path / "spec.json", lambda _check: None)
    log_path(tmp_path, check).write_text("CUDA error: no kernel image is available for execution on the device")
    nursery: Any = None
    judgement._conclude(schedule._Running(check, nursery, time.monotonic()), -6)
    assert remedy in judgement.results["own.x"]["remedy"]
