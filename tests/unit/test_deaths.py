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
from ansible_collections.wavesmith.provision.plugins.module_utils.doctor.cause import explained
from ansible_collections.wavesmith.provision.plugins.module_utils.doctor.deaths import meaning
from ansible_collections.wavesmith.provision.plugins.module_utils.doctor.worker import log_path

from .conftest import known

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
    assert (
        meaning("\n".join(said)) == f"rocBLAS of this torch has no kernels for {gfx}, only for gfx908, gfx90a, gfx1100"
    )


def died(folder: Path, said: str, code: int, own: str = REPAIR) -> Any:
    """What the verdict says of a check whose process printed something and ended."""

    def never(_context: Context) -> Finding:
        raise AssertionError

    check = Check("torch.computes", "torch computes", never, own, heavy=True)
    judgement = schedule.Schedule(
        [check], Context(Spec("speech", "0", folder, folder), folder, folder), folder / "spec.json", lambda _check: None
    )
    log_path(folder, check).write_text(said)
    nursery: Any = None
    judgement._conclude(schedule._Running(check, nursery, time.monotonic()), code)
    return explained(judgement.results[check.id], own, "", known(), {})


@pytest.mark.parametrize(
    ("text", "code", "failure", "remedy"),
    [
        ("CUDA error: no kernel image is available for execution on the device", 1, "no_kernel_image", "has code for this GPU"),
        ("HIP error: invalid device function", 1, "hip_invalid_device_function", "stack"),
        ("terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc", -6, "memory_exhausted", "more memory"),
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", 1, "gpu_memory", "smaller batch"),
        ("ImportError: /lib/libstdc++.so.6: version `GLIBCXX_3.4.32' not found", 1, "glibcxx", "one C++ runtime"),
        ("The NVIDIA driver on your system is too old (found version 12080)", 1, "driver_too_old", "update the driver"),
        ("Fatal Python error: Illegal instruction", -4, "illegal_instruction", "CPU"),
        ("working", -9, "memory_exhausted", "more memory"),
        ("\n".join(["rocBLAS error: Cannot read /x/TensileLibrary.dat: Illegal seek for GPU arch : gfx900", *FILES]), -6, "rocblas_no_kernels", "another stack"),
        ("nothing of use", 3, None, REPAIR),
        ("", -6, None, REPAIR),
    ],
)  # fmt: skip
def test_the_remedy_for_what_killed_a_process(
    tmp_path: Path, text: str, code: int, failure: str | None, remedy: str
) -> None:
    found = died(tmp_path, text, code)
    assert found["evidence"].get("failure") == failure
    assert remedy in found["remedy"]


def test_a_check_whose_process_dies_of_rocblas_says_so_and_keeps_the_words(tmp_path: Path) -> None:
    words = ["rocBLAS error: Cannot read /x/TensileLibrary.dat: Illegal seek for GPU arch : gfx900", *FILES]
    found = died(tmp_path, "\n".join(words), -6)
    assert "signal 6 (SIGABRT): rocBLAS of this torch has no kernels for gfx900" in found["detail"]
    assert FILES[-1] in found["evidence"]["said"]


def test_a_remedy_of_its_own_is_kept_where_nothing_is_recognised(tmp_path: Path) -> None:
    assert died(tmp_path, "nobody knows", 7, "mend it")["remedy"] == "mend it"
