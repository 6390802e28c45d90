"""Which GPUs an artifact can serve: the rules, reading wheels and prefixes, the command and its playbook."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.wavesmith.provision.plugins.action.audit import question
from ansible_collections.wavesmith.provision.plugins.module_utils.audit import report as audit_report
from ansible_collections.wavesmith.provision.plugins.module_utils.audit.binaries import Unusable, inspect
from ansible_collections.wavesmith.provision.plugins.module_utils.audit.fatbin import PTX, SASS, Code, Target
from ansible_collections.wavesmith.provision.plugins.module_utils.audit.libraries import Dynamic, Missing
from ansible_collections.wavesmith.provision.plugins.module_utils.audit.verdict import (
    PREFIX,
    WHEEL,
    Artifact,
    Library,
    capability,
    judge,
    parse_sm,
    runs,
)
from ansible_collections.wavesmith.provision.plugins.modules import audit as module
from ansible_collections.wavesmith.provision.plugins.plugin_utils import catalog_files
from hypothesis import given
from hypothesis import strategies as st

from wavesmith.cli import main

from .conftest import make_fatbin, make_library

ROOT = Path(__file__).resolve().parents[2]
X86_64, AARCH64 = 62, 183
HERE = {"x86_64": X86_64, "aarch64": AARCH64}[os.uname().machine]
SMS = st.integers(10, 130)
TARGETS = st.builds(Target, SMS, st.sampled_from(["", "a", "f"]), st.sampled_from([SASS, PTX]))


def target(name: str) -> Target:
    kind, _, sm = name.partition("_")
    return Target(int(sm.rstrip("af")), sm.lstrip("0123456789"), SASS if kind == "sm" else PTX)


def code(*fatbins: str) -> Code:
    """Code whose fatbins hold the targets named in each text."""
    found: dict[frozenset[Target], int] = {}
    for text in fatbins:
        key = frozenset(target(name) for name in text.split())
        found[key] = found.get(key, 0) + 1
    return Code(found)


def torch(*fatbins: str) -> Library:
    return Library("torch/lib/libtorch_cuda.so", "torch", code(*fatbins))


CPU_TORCH = Library("torch/lib/libtorch_cpu.so", "torch")


def wheel(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


@pytest.fixture
def thor_wheel(tmp_path: Path) -> Path:
    fatbins = make_fatbin((80, "", "sass"), (110, "", "sass"), (120, "", "sass")) * 3
    fatbins += make_fatbin((90, "a", "sass"), (110, "", "sass"))
    library = make_library(fatbins, needed=["libcudart.so.13"], machine=AARCH64)
    return wheel(tmp_path / "torch-2.11.0-cp312-cp312-linux_aarch64.whl", {"torch/lib/libtorch_cuda.so": library})


# --- the rule


@pytest.mark.parametrize(
    ("name", "sm", "expected"),
    [
        ("sm_80", "8.0", True),
        ("sm_80", "8.9", True),
        ("sm_86", "8.0", False),
        ("sm_90", "10.0", False),
        ("sm_100", "10.3", True),
        ("sm_120", "12.1", True),
        ("sm_100", "11.0", False),
        ("sm_101", "11.0", True),  # Thor, as CUDA 12 called it
        ("sm_100", "10.1", False),
        ("sm_80", "8.7", False),  # Jetson Orin's integrated GPU
        ("sm_87", "8.9", False),
        ("compute_80", "8.7", True),
        ("sm_90a", "9.0", True),
        ("sm_100a", "10.3", False),
        ("sm_100f", "10.3", True),
        ("sm_103f", "10.0", False),
        ("sm_100f", "11.0", False),
        ("compute_90", "11.0", True),
        ("compute_90", "9.0", True),
        ("compute_120", "11.0", False),
        ("compute_90a", "9.0", True),
        ("compute_90a", "10.0", False),
        ("compute_100f", "10.3", True),
        ("compute_100f", "12.0", False),
    ],
)
def test_code_runs_where_nvidia_says(name: str, sm: str, expected: bool) -> None:
    assert runs(target(name), parse_sm(sm)) is expected


@given(TARGETS, SMS)
def test_all_code_runs_on_what_it_was_compiled_for_and_never_on_less(made_for: Target, sm: int) -> None:
    assert runs(made_for, made_for.sm)
    assert not runs(made_for, sm) or sm >= made_for.sm


@pytest.mark.parametrize("text", ["11.0", "110", "sm110", "sm_110", " SM_110 "])
def test_a_compute_capability_is_read_as_people_write_it(text: str) -> None:
    assert parse_sm(text) == 110
    assert capability(110) == "11.0"


@pytest.mark.parametrize(("text", "meant"), [("11", "11.0"), ("sm_12", "12.0"), ("10", "10.0"), ("sm13", "13.0")])
def test_two_digits_that_could_be_a_whole_number_are_asked_back(text: str, meant: str) -> None:
    with pytest.raises(ValueError, match=f"did you mean {meant}"):
        parse_sm(text)


@pytest.mark.parametrize(("text", "sm"), [("90", 90), ("sm_75", 75), ("8.0", 80), ("sm_121", 121), ("12.1", 121)])
def test_what_can_be_read_in_one_way_only_is_read(text: str, sm: int) -> None:
    assert parse_sm(text) == sm


@pytest.mark.parametrize("text", ["", "thor", "1100", "11.00", "-1.0", "11.0.0", "1\uff11.0"])
def test_what_is_no_compute_capability_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="an example: 11.0"):
        parse_sm(text)


# --- verdicts


def verdict(sm: str, *libraries: Library) -> dict[str, Any]:
    (only,) = judge(Artifact("here", WHEEL, libraries), [parse_sm(sm)])["verdicts"]
    return dict(only)


def test_targets_of_a_few_kernels_are_partial() -> None:
    report = judge(Artifact("here", WHEEL, (torch("sm_80 sm_90", "sm_80 sm_90", "sm_80 sm_90 sm_90a"),)))
    assert report["targets"]["sass"] == {"throughout": {"80": 3, "90": 3}, "partial": {"90a": 1}}
    assert report["targets"]["ptx"] == {"throughout": {}, "partial": {}}


def test_a_target_of_a_few_kernels_serves_nobody() -> None:
    found = verdict("9.0", torch("sm_80", "sm_80", "sm_80", "sm_80 sm_90a"))
    assert found["serves"] is False
    assert found["reasons"] == ["torch: 1 of its 4 fatbins run there, 4 on SM 8.0"]


def test_code_for_the_same_major_version_serves() -> None:
    assert verdict("12.1", torch("sm_90 sm_120"))["reasons"] == ["1 of 1 fatbins run, as sm_120"]


def test_ptx_serves_later_gpus_and_says_how() -> None:
    found = verdict("11.0", torch("sm_80 compute_90"))
    assert (found["serves"], found["how"]) == (True, PTX)
    assert found["reasons"] == ["1 of 1 fatbins run, as compute_90, compiled by the driver when it is first used"]


def test_kernels_for_other_gpus_only_do_not_count_against_one() -> None:
    assert verdict("8.0", torch("sm_80", "sm_80 sm_90a", "sm_90a"))["serves"]


def test_a_package_that_serves_does_not_hide_one_that_does_not() -> None:
    other = Library("flash_attn/flash.so", "flash_attn", code("sm_80"))
    found = verdict("12.0", torch("sm_80 sm_120", "sm_80 sm_120", "sm_80 sm_120"), other)
    assert not found["serves"]
    assert found["reasons"] == ["flash_attn: none of its 1 fatbins run there"]


def test_a_library_without_code_is_named_though_its_package_serves() -> None:
    small = Library("torch/lib/libtorch_cuda_linalg.so", "torch", code("sm_80"))
    found = verdict("7.5", torch("sm_75 sm_80", "sm_75 sm_80"), small)
    assert found["serves"]
    assert found["reasons"][-1] == "but nothing runs of torch/lib/libtorch_cuda_linalg.so"


def test_nvidias_own_libraries_are_listed_but_not_judged() -> None:
    theirs = Library("nvidia/cu13/lib/libcufft.so.12", "nvidia/cu13", code("sm_75"))
    report = judge(Artifact("here", PREFIX, (torch("sm_120"), theirs)), [120])
    assert report["serves"]
    assert [item["judged"] for item in report["libraries"]] == [True, False]
    assert report["targets"]["sass"]["throughout"] == {"120": 1}


def test_what_holds_no_gpu_code_runs_on_the_cpu_only() -> None:
    found = verdict("9.0", Library("numpy/core.so", "numpy"))
    assert (found["verdict"], found["serves"]) == ("cpu_only", False)
    assert found["reasons"] == ["it holds no GPU code, and uses no library of CUDA or ROCm"]


@pytest.mark.parametrize(
    ("path", "package", "other"),
    [
        ("ctranslate2.libs/libctranslate2-121c464e.so.4.8.5", "ctranslate2", "a build from source"),
        ("onnxruntime/capi/onnxruntime_pybind11_state.so", "onnxruntime", "onnxruntime-gpu"),
        ("sherpa_onnx/lib/libsherpa-onnx-c-api.so", "sherpa_onnx", "a build from source"),
        ("k2/_k2.so", "k2", "a build from source"),
    ],
)
def test_a_cpu_build_of_what_has_builds_for_gpus_says_where_the_other_one_is(
    path: str, package: str, other: str
) -> None:
    found = verdict("12.1", Library(path, package, dynamic=Dynamic(needed=("libc.so.6",))))
    assert found["verdict"] == "cpu_only"
    assert found["reasons"][0] == f"{package} is built for the CPU only"
    assert other in found["reasons"][1]


@pytest.mark.parametrize(
    ("needed", "opens", "said"),
    [
        (("libtorch_cuda.so", "libcudart.so.13"), (), "uses libtorch_cuda.so, libcudart.so.13"),
        ((), ("libcublas.so.12",), "uses libcublas.so.12"),
        (("libonnxruntime_providers_cuda.so",), (), "uses libonnxruntime_providers_cuda.so"),
    ],
)
def test_what_has_no_gpu_code_and_uses_cudas_libraries_serves(
    needed: tuple[str, ...], opens: tuple[str, ...], said: str
) -> None:
    found = verdict("9.0", Library("x/a.so", "x", dynamic=Dynamic(needed=needed, opens=opens)))
    assert found["verdict"] == "serves"
    assert said in found["reasons"][0]


def test_a_build_for_amds_gpus_serves_none_of_nvidias() -> None:
    found = verdict("9.0", Library("x/a.so", "x", dynamic=Dynamic(needed=("libamdhip64.so.7", "librocblas.so.5"))))
    assert found["verdict"] == "cannot_serve"
    assert "AMD" in found["reasons"][0]


def test_an_environment_that_serves_names_what_computes_on_the_cpu_in_it() -> None:
    other = Library("onnxruntime/capi/x.so", "onnxruntime")
    found = verdict("9.0", torch("sm_90"), other)
    assert found["verdict"] == "serves"
    assert found["reasons"][-1] == "but onnxruntime is built for the CPU only"


def test_the_verdict_of_all_is_the_worst_of_them() -> None:
    artifact = Artifact("here", WHEEL, (torch("sm_90"),))
    assert judge(artifact, [90])["verdict"] == "serves"
    assert judge(artifact, [90, 120])["verdict"] == "cannot_serve"
    assert judge(Artifact("here", WHEEL, (Library("numpy/x.so", "numpy"),)), [90])["verdict"] == "cpu_only"


# --- machines


@pytest.mark.parametrize("sm", ["11.0", "12.1", "8.7", "7.2"])
@pytest.mark.parametrize("library", [torch("sm_90 sm_110 sm_120"), Library("numpy/x.so", "numpy")])
def test_code_for_x86_64_cannot_serve_gpus_that_only_arm_machines_have(sm: str, library: Library) -> None:
    found = verdict(sm, replace(library, dynamic=Dynamic("x86_64")))
    assert found["verdict"] == "cannot_serve"
    assert found["reasons"] == [f"it is for x86_64, SM {sm} is part of aarch64 machines only"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("torch-2.11.0-cp312-cp312-manylinux_2_28_x86_64.whl", "it is for x86_64, wanted is aarch64"),
        ("torch-2.11.0-cp312-cp312-win_amd64.whl", "it is for Windows"),
        ("torch-2.11.0-cp312-none-macosx_11_0_arm64.whl", "it is for macOS"),
        ("torch-2.11.0-cp312-cp312-musllinux_1_2_aarch64.whl", "it is for Linux with musl (Alpine)"),
    ],
)
def test_the_name_of_a_wheel_says_what_it_is_for(name: str, reason: str) -> None:
    artifact = Artifact(f"/srv/{name}", WHEEL, distributions=("torch",))
    report = judge(artifact, [90], "aarch64")
    assert report["verdict"] == "cannot_serve"
    assert report["verdicts"][0]["reasons"] == [reason]
    assert [item["detail"] for item in judge(artifact, [], "aarch64")["findings"]] == [reason]


@pytest.mark.parametrize(
    "name", ["x-1-py3-none-any.whl", "x-1-cp312-cp312-manylinux_2_28_aarch64.whl", "x-1-cp312-abi3-linux_aarch64.whl"]
)
def test_a_wheel_for_the_machine_is_not_held_back_by_its_name(name: str) -> None:
    assert judge(Artifact(name, WHEEL, distributions=("x",)), [], "aarch64")["findings"] == []


def test_one_package_for_another_machine_spoils_an_environment() -> None:
    foreign = Library("x/a.so", "x", dynamic=Dynamic("aarch64"))
    artifact = Artifact("here", PREFIX, (replace(torch("sm_90"), dynamic=Dynamic("x86_64")), foreign))
    (found,) = judge(artifact, [90], "x86_64")["verdicts"]
    assert found["reasons"] == ["x in it is for another architecture, wanted is x86_64"]


def test_what_holds_no_machine_code_runs_wherever_what_it_requires_does() -> None:
    (found,) = judge(Artifact("x-1-py3-none-any.whl", WHEEL, distributions=("x",)), [110])["verdicts"]
    assert found["verdict"] == "serves"


def test_an_empty_folder_serves_nothing(tmp_path: Path) -> None:
    report = judge(inspect(str(tmp_path)), [90])
    assert report["verdict"] == "cannot_serve"
    assert [item["id"] for item in report["findings"]] == ["empty"]
    assert not judge(inspect(str(tmp_path)))["serves"]


def test_a_folder_with_other_files_serves_nothing_either(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    assert judge(inspect(str(tmp_path)), [90])["verdict"] == "cannot_serve"


def test_a_wheel_without_a_file_of_a_package_serves_nothing(tmp_path: Path) -> None:
    report = judge(inspect(str(wheel(tmp_path / "x-1-py3-none-any.whl", {}))), [90])
    assert (report["verdict"], report["findings"][0]["id"]) == ("cannot_serve", "empty")


# --- alternatives


def bitsandbytes(**targets: str) -> list[Library]:
    """Its libraries by what they are for, as ``cuda128="sm_90"``."""
    needs = {"118": "libcudart.so.11.0", "128": "libcudart.so.12", "130": "libcudart.so.13"}
    return [
        Library(
            f"bitsandbytes/libbitsandbytes_{key}.so",
            "bitsandbytes",
            code(text) if text else Code(),
            Dynamic(needed=(needs[key[-3:]],) if key[-3:] in needs else ()),
        )
        for key, text in targets.items()
    ]


def test_a_wheel_serves_a_gpu_that_one_of_its_alternatives_serves_and_says_which() -> None:
    found = verdict("11.0", *bitsandbytes(cpu="", cuda118="sm_80", cuda128="sm_90", cuda130="sm_110"))
    assert found["verdict"] == "serves"
    assert found["reasons"] == ["1 of 1 fatbins run, as sm_110", "with CUDA 13.0 only, of 3 alternatives"]


def test_a_gpu_that_no_alternative_serves_is_not_served() -> None:
    assert verdict("12.0", *bitsandbytes(cuda118="sm_80", cuda128="sm_90"))["verdict"] == "cannot_serve"


@pytest.mark.parametrize(("backend", "expected"), [("cuda12_8", "cannot_serve"), ("cuda13_0", "serves")])
def test_in_an_environment_only_the_alternative_of_its_cuda_counts(backend: str, expected: str) -> None:
    libraries = (torch("sm_90 sm_120"), *bitsandbytes(cuda118="sm_80", cuda128="sm_90", cuda130="sm_120"))
    report = judge(Artifact("here", PREFIX, libraries, backend=backend), [120])
    assert report["verdict"] == expected
    assert report["findings"] == []


def test_alternatives_are_no_mixture_of_cuda_versions() -> None:
    artifact = Artifact("x.whl", WHEEL, tuple(bitsandbytes(cuda118="sm_80", cuda130="sm_90")))
    assert judge(artifact)["findings"] == []


@given(st.lists(st.lists(TARGETS, min_size=1, max_size=4), max_size=5), st.lists(SMS, max_size=3))
def test_every_judgement_is_plain_data_with_reasons(fatbins: list[list[Target]], sms: list[int]) -> None:
    libraries = tuple(
        Library(f"p{number}/x.so", f"p{number}", Code({frozenset(targets): 1}))
        for number, targets in enumerate(fatbins)
    )
    report = judge(Artifact("here", WHEEL, libraries), sms)
    assert json.loads(json.dumps(report)) == report
    assert all(found["reasons"] for found in report["verdicts"])
    assert audit_report.text(report)


# --- findings


def findings(*libraries: Library, sms: Sequence[int] = (), **more: Any) -> list[str]:
    report = judge(Artifact("here", PREFIX, libraries, **more), sms)
    assert all(item["remedy"] for item in report["findings"])
    assert report["serves"] is (not report["findings"] and all(item["serves"] for item in report["verdicts"]))
    return [item["id"] for item in report["findings"]]


def test_cpu_only_torch_is_found_where_a_gpu_was_asked_for() -> None:
    assert findings(CPU_TORCH, sms=[110]) == ["cpu_only_torch"]
    assert not verdict("11.0", CPU_TORCH)["serves"]


def test_cpu_only_torch_is_found_beside_code_for_gpus() -> None:
    extension = Library("torchaudio/lib/x.so", "torchaudio", dynamic=Dynamic(needed=("libc10_cuda.so",)))
    assert findings(CPU_TORCH, extension) == ["cpu_only_torch"]


def test_cpu_only_torch_alone_is_what_a_cpu_host_wants() -> None:
    assert findings(CPU_TORCH) == []


@pytest.mark.parametrize("name", ["libtorch_cuda.so", "libtorch_hip.so"])
def test_torch_for_a_gpu_is_not_taken_for_a_cpu_build(name: str) -> None:
    assert findings(CPU_TORCH, Library(f"torch/lib/{name}", "torch"), sms=[]) == []


def test_cuda_of_two_major_versions_is_found_with_the_places() -> None:
    old = Library("a.so", "a", dynamic=Dynamic(needed=("libcudart.so.12",)))
    new = Library("b.so", "b", dynamic=Dynamic(needed=("libcublas.so.13",)))
    (found,) = judge(Artifact("here", PREFIX, (old, new)))["findings"]
    assert found["id"] == "mixed_cuda"
    assert "CUDA 12: a.so needs libcudart.so.12; CUDA 13: b.so needs libcublas.so.13" in found["detail"]


def test_libraries_that_number_themselves_are_not_taken_for_cuda_versions() -> None:
    one = Library("a.so", "a", dynamic=Dynamic(needed=("libcudart.so.13", "libcusparse.so.12", "libcufft.so.12")))
    assert findings(one) == []


def test_a_missing_library_is_found() -> None:
    missing = Missing("a.so", ("libnowhere.so.1",), "a.so needs libnowhere.so.1")
    assert findings(CPU_TORCH, missing=(missing,)) == ["missing_library"]


def test_a_damaged_library_is_found() -> None:
    assert findings(Library("a.so", "a", Code(damaged=True))) == ["damaged"]


# --- wheels, prefixes, libraries


def test_a_wheel_is_read(thor_wheel: Path) -> None:
    (library,) = inspect(str(thor_wheel)).libraries
    assert (library.path, library.package) == ("torch/lib/libtorch_cuda.so", "torch")
    assert library.code.total == 4
    assert library.dynamic.needed == ("libcudart.so.13",)


@pytest.mark.parametrize(
    ("path", "package"),
    [
        ("torch/lib/libtorch.so", "torch"),
        ("nvidia/cudnn/lib/libcudnn.so.9", "nvidia/cudnn"),
        ("torchaudio.libs/libx.so.1", "torchaudio"),
        ("flash_attn_2_cuda.cpython-312-x86_64-linux-gnu.so", "flash_attn_2_cuda"),
        ("x-1.0.data/purelib/x/_C.so", "x"),
    ],
)
def test_a_library_belongs_to_the_package_of_its_folder(tmp_path: Path, path: str, package: str) -> None:
    (library,) = inspect(str(wheel(tmp_path / "x.whl", {path: make_library()}))).libraries
    assert library.package == package


def test_a_prefix_is_read_once_for_each_library(tmp_path: Path) -> None:
    packages = tmp_path / "lib/python3.12/site-packages/torch/lib"
    packages.mkdir(parents=True)
    (packages / "libtorch_cuda.so.1").write_bytes(make_library(make_fatbin((90, "", "sass"))))
    (packages / "libtorch_cuda.so").symlink_to("libtorch_cuda.so.1")
    (packages / "libscript.so").write_text("INPUT(libtorch_cuda.so)")
    (library,) = inspect(str(tmp_path)).libraries
    assert library.package == "torch"


def test_a_library_that_nothing_provides_is_missing_in_a_prefix(tmp_path: Path) -> None:
    needed = ["libnowhere.so.1", "libcuda.so.1", "libc.so.6", "libother.so.2"]
    (tmp_path / "a.so").write_bytes(make_library(needed=needed, machine=HERE))
    (tmp_path / "b.so").write_bytes(make_library(soname="libother.so.2", machine=HERE))
    assert [item.text for item in inspect(str(tmp_path)).missing] == ["a.so needs libnowhere.so.1"]


def test_a_prefix_for_another_machine_is_not_measured_by_this_ones_libraries(tmp_path: Path) -> None:
    (tmp_path / "a.so").write_bytes(make_library(needed=["libnowhere.so.1"], machine=243))
    assert inspect(str(tmp_path)).missing == ()


def test_a_damaged_library_in_a_wheel_is_reported_not_raised(tmp_path: Path) -> None:
    path = wheel(tmp_path / "x.whl", {"x/a.so": make_library()[:40], "x/b.so": make_library()})
    artifact = inspect(str(path))
    assert [library.path for library in artifact.libraries] == ["x/b.so"]
    assert artifact.unread == (("x/a.so", "a damaged ELF file"),)


def unusable(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "nowhere.whl"
    for name, data in (
        ("empty.whl", b""),
        ("text.whl", b"hello"),
        ("cut.whl", b"PK\x03\x04rest"),
        ("a.so", b"\x7fELF"),
    ):
        (tmp_path / name).write_bytes(data)
        yield tmp_path / name
    whole = wheel(tmp_path / "whole.whl", {"x/a.so": make_library(os.urandom(4000))}).read_bytes()
    (tmp_path / "changed.whl").write_bytes(whole[:1000] + bytes(8) + whole[1008:])
    yield tmp_path / "changed.whl"


def test_what_cannot_be_read_is_refused_with_a_remedy(tmp_path: Path) -> None:
    for path in unusable(tmp_path):
        with pytest.raises(Unusable, match=r"Remedy: .+"):
            inspect(str(path))


@given(st.data())
def test_a_library_with_any_bytes_changed_is_read_or_refused(data: st.DataObject) -> None:
    library = bytearray(make_library(make_fatbin((80, "", "sass")), needed=["libcudart.so.13"], soname="x.so"))
    for place in data.draw(st.lists(st.integers(0, len(library) - 1), max_size=6)):
        library[place] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.so")
        path.write_bytes(library[: data.draw(st.integers(0, len(library)))])
        try:
            audit_report.text(judge(inspect(str(path)), [80]))
        except Unusable as error:
            assert "Remedy: " in str(error)
        assert judge(inspect(folder))["kind"] == PREFIX


def test_a_damaged_library_in_a_prefix_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.so").write_bytes(make_library()[:40])
    assert [item["id"] for item in judge(inspect(str(tmp_path)))["findings"]] == ["damaged"]


def test_a_pipe_is_refused_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.whl")
    with pytest.raises(Unusable, match=r"neither a wheel nor .+ Remedy: "):
        inspect(str(tmp_path / "x.whl"))


# --- the command


@pytest.mark.parametrize(("sm", "code"), [("11.0", 0), ("12.1", 0), ("9.0", 1), ("7.5", 1)])
def test_the_exit_code_says_whether_it_serves(thor_wheel: Path, sm: str, code: int) -> None:
    assert main(["audit", str(thor_wheel), "--sm", sm]) == code


def test_the_table_shows_targets_and_verdicts(thor_wheel: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", str(thor_wheel), "--sm", "11.0", "--sm", "7.5"]) == 1
    shown = capsys.readouterr().out
    assert "torch/lib/libtorch_cuda.so" in shown
    assert "80 110 120" in shown
    assert "90a (1)" in shown
    assert "✓ serves SM 11.0: 4 of 4 fatbins run, as sm_110" in shown
    assert "✗ cannot serve SM 7.5: torch: none of its 4 fatbins run there" in shown


def test_json_is_the_whole_judgement(thor_wheel: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", str(thor_wheel), "--sm", "11.0", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["verdicts"][0]["sm"] == "11.0"
    assert list(report["targets"]["sass"]["throughout"]) == ["80", "110", "120"]


def test_unusable_input_is_one_message_and_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in unusable(tmp_path):
        assert main(["audit", str(path)]) == 2
        shown = capsys.readouterr()
        assert shown.out == ""
        assert shown.err.startswith(f"✗ {path}")
        assert shown.err.count("\n") == 1


def test_a_number_that_is_not_clear_is_exit_code_2_and_asked_back(
    thor_wheel: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["audit", str(thor_wheel), "--sm", "11"])
    assert stopped.value.code == 2
    assert "did you mean 11.0 (or 110)?" in capsys.readouterr().err


def test_what_runs_on_the_cpu_only_is_exit_code_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    library = make_library(needed=["libc.so.6"], machine=AARCH64)
    path = wheel(
        tmp_path / "ctranslate2-4.8.5-cp312-cp312-manylinux_2_28_aarch64.whl", {"ctranslate2/_ext.so": library}
    )
    assert main(["audit", str(path), "--sm", "12.1"]) == 3
    assert "runs on the CPU only, not on SM 12.1: ctranslate2 is built for the CPU only" in capsys.readouterr().out
    assert main(["audit", str(path)]) == 0


def test_a_wheel_for_another_machine_is_exit_code_1(thor_wheel: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", str(thor_wheel), "--sm", "9.0", "--machine", "x86_64"]) == 1
    assert main(["audit", str(thor_wheel), "--machine", "x86_64"]) == 1
    assert "wrong_machine: it is for aarch64, wanted is x86_64" in capsys.readouterr().out


def planned(folder: Path, **hosts: tuple[str, list[dict[str, str]]]) -> Path:
    """What was saved of planned hosts: CPU architecture and GPUs by name."""
    for name, (architecture, gpus) in hosts.items():
        (folder / name).mkdir(parents=True)
        observed = {"accelerators": gpus, "cpu": {"architecture": architecture}}
        (folder / name / "observed.json").write_text(json.dumps(observed))
    return folder


THOR = {"vendor": "nvidia", "name": "NVIDIA Thor", "sm": "11.0"}
H100 = {"vendor": "nvidia", "name": "NVIDIA H100", "sm": "9.0"}


def test_each_host_of_the_fleet_has_its_own_verdict(
    thor_wheel: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet = planned(
        tmp_path / "artifacts",
        thor01=("aarch64", [THOR]),
        h100=("x86_64", [H100]),
        pi=("aarch64", []),
        desk=("x86_64", []),
    )
    assert main(["audit", str(thor_wheel), "--fleet", str(fleet)]) == 1
    shown = capsys.readouterr().out
    assert "✓ thor01: serves NVIDIA Thor (SM 11.0)" in shown
    assert "✗ h100: cannot serve NVIDIA H100 (SM 9.0): it is for aarch64, the host is x86_64" in shown
    assert "○ pi: runs there, on the CPU (no NVIDIA GPU)" in shown
    assert "✗ desk: cannot serve (no NVIDIA GPU): it is for aarch64, the host is x86_64" in shown


def test_a_cpu_build_is_told_for_each_host_of_the_fleet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = wheel(
        tmp_path / "onnxruntime-1.32.0-cp312-cp312-manylinux_2_28_aarch64.whl",
        {"onnxruntime/capi/x.so": make_library(machine=AARCH64)},
    )
    fleet = planned(tmp_path / "artifacts", thor01=("aarch64", [THOR]))
    assert main(["audit", str(path), "--fleet", str(fleet), "--json"]) == 3
    (host,) = json.loads(capsys.readouterr().out)["hosts"]
    assert (host["verdict"], host["serves"]) == ("cpu_only", False)


def test_what_a_wheel_wants_from_elsewhere_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    library = make_library(make_fatbin((90, "", "sass")), needed=["libc10_cuda.so"], opens=["libcublas.so.12"])
    assert main(["audit", str(wheel(tmp_path / "x.whl", {"x/a.so": library})), "--sm", "9.0"]) == 0
    assert "from elsewhere it wants libc10_cuda.so, libcublas.so.12 (opened by name)" in capsys.readouterr().out


def test_a_word_that_is_no_compute_capability_is_exit_code_2(thor_wheel: Path) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["audit", str(thor_wheel), "--sm", "thor"])
    assert stopped.value.code == 2


def test_the_command_runs_from_any_folder(thor_wheel: Path, tmp_path: Path) -> None:
    argv = [sys.executable, "-I", str(ROOT / "wavesmith"), "audit", str(thor_wheel), "--sm", "11.0"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "serves SM 11.0" in done.stdout


# --- the playbook


def test_what_is_current_is_audited_for_the_gpus_of_the_host() -> None:
    environments = [{"name": "speech", "current": "abc"}, {"name": "new", "current": None}]
    gpus = [{"vendor": "nvidia", "sm": "12.0"}, {"vendor": "nvidia", "sm": "12.0"}, {"vendor": "amd", "sm": None}]
    arguments = {"plan": {"root": "/r", "environments": environments}, "observed": {"accelerators": gpus}}
    assert question(arguments) == {"paths": ["/r/envs/speech/current"], "sm": ["12.0"]}
    assert question({**arguments, "paths": ["/x.whl"], "sm": ["9.0"]}) == {"paths": ["/x.whl"], "sm": ["9.0"]}
    assert question({}) == {"paths": [], "sm": []}


def test_the_gpus_of_the_host_are_asked_about_with_its_cpu() -> None:
    observed = {"accelerators": [{"vendor": "nvidia", "sm": "9.0"}], "cpu": {"architecture": "aarch64"}}
    assert question({"observed": observed})["machine"] == "aarch64"
    assert "machine" not in question({"observed": observed, "sm": ["12.0"]})
    assert question({"observed": observed, "machine": "x86_64"})["machine"] == "x86_64"


def run_module(capsys: pytest.CaptureFixture[str], **arguments: Any) -> dict[str, Any]:
    with patch_module_args({**arguments, "_ansible_check_mode": True}), pytest.raises(SystemExit):
        module.main()
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return answer


def test_the_module_returns_the_judgement(thor_wheel: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = run_module(capsys, paths=[str(thor_wheel)], sm=["11.0"])
    assert answer["changed"] is False
    assert answer["reports"][0]["serves"] is True
    assert "serves SM 11.0" in answer["text"]


@pytest.mark.parametrize(("paths", "sm"), [(["/nowhere"], []), ([], ["thor"])])
def test_the_module_fails_with_one_message(paths: list[str], sm: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    answer = run_module(capsys, paths=paths, sm=sm)
    assert answer["failed"] is True
    assert "Traceback" not in answer["msg"]


# --- the index's own wheels


@pytest.fixture(scope="module")
def index_wheels() -> Iterator[Path]:
    """A folder for torch's wheels, a gigabyte; WAVESMITH_TEST_WHEELS names one to keep them in."""
    if kept := os.environ.get("WAVESMITH_TEST_WHEELS"):
        yield Path(kept)
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def of_index(folder: Path, requirement: str, machine: str) -> Path:
    """A wheel of the index for CPython 3.12, downloaded once."""
    name, _, version = requirement.partition("==")
    pattern = f"{name.replace('-', '_')}-{version}-*{machine}.whl"
    if not list(folder.glob(pattern)):
        argv = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--only-binary=:all:",
            "--no-cache-dir",
        ]
        argv += ["--python-version", "3.12", "--dest", str(folder)]
        argv += [word for tag in ("2_24", "2_27", "2_28") for word in ("--platform", f"manylinux_{tag}_{machine}")]
        subprocess.run([*argv, "--platform", f"manylinux2014_{machine}", requirement], check=True)
    (path,) = folder.glob(pattern)
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("requirement", "machine", "sm", "expected", "said"),
    [
        ("ctranslate2==4.8.5", "aarch64", "12.1", "cpu_only", "ctranslate2 is built for the CPU only"),
        ("ctranslate2==4.8.5", "x86_64", "8.9", "serves", "34 of 34 fatbins run"),
        ("ctranslate2==4.8.5", "x86_64", "11.0", "cannot_serve", "it is for x86_64"),
        ("onnxruntime==1.32.0", "aarch64", "12.1", "cpu_only", "onnxruntime is built for the CPU only"),
        ("sherpa-onnx==2.0.1", "aarch64", "11.0", "cpu_only", "sherpa_onnx is built for the CPU only"),
        ("torchcodec==0.11.1", "x86_64", "9.0", "cpu_only", "it holds no GPU code"),
        ("torchcodec==0.11.1", "aarch64", "12.1", "serves", "libnppicc.so.13"),
        ("bitsandbytes==0.50.2", "aarch64", "11.0", "serves", "with CUDA 13.0, CUDA 13.2 only, of 7 alternatives"),
        ("bitsandbytes==0.50.2", "x86_64", "7.0", "serves", "with CUDA 11.8"),
    ],
)
def test_wheels_of_the_index_have_their_verdict(
    index_wheels: Path, requirement: str, machine: str, sm: str, expected: str, said: str
) -> None:
    report = judge(inspect(str(of_index(index_wheels, requirement, machine))), [parse_sm(sm)])
    assert report["verdict"] == expected
    assert said in "; ".join(report["verdicts"][0]["reasons"])
    assert report["findings"] == []


@pytest.mark.slow
def test_ctranslate2_of_the_index_opens_cublas_of_cuda_12_by_name(index_wheels: Path) -> None:
    report = judge(inspect(str(of_index(index_wheels, "ctranslate2==4.8.5", "x86_64"))))
    assert "libcublas.so.12" in report["wants"]["opened"]
    assert report["wants"]["needed"] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("machine", "throughout", "partial", "serves"),
    [
        (
            "x86_64",
            ["75", "80", "86", "90", "100", "120"],
            ["89", "90a", "100a", "103a", "120a", "121a"],
            {"7.5": True, "8.9": True, "10.3": True, "11.0": False, "12.0": True, "12.1": False},
        ),
        (
            "aarch64",
            ["80", "90", "100", "110", "120"],
            ["90a", "100a", "103a", "110a", "120a", "121a"],
            {"7.5": False, "9.0": True, "11.0": True, "12.1": True},
        ),
    ],
)
def test_torch_2_11_0_of_the_index(
    index_wheels: Path, machine: str, throughout: list[str], partial: list[str], serves: dict[str, bool]
) -> None:
    pattern = f"torch-2.11.0-cp312-*{machine}.whl"
    if not list(index_wheels.glob(pattern)):
        argv = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--only-binary=:all:",
            "--no-cache-dir",
        ]
        argv += ["--platform", f"manylinux_2_28_{machine}", "--python-version", "3.12", "--dest", str(index_wheels)]
        subprocess.run([*argv, "torch==2.11.0"], check=True)
    (path,) = index_wheels.glob(pattern)
    started = time.monotonic()
    report = judge(inspect(str(path)), [parse_sm(sm) for sm in serves])
    seconds = time.monotonic() - started
    print(f"{path.name}: {seconds:.1f} s\n{audit_report.text(report)}")
    assert list(report["targets"]["sass"]["throughout"]) == throughout
    assert [parse_sm(sm) for sm in catalog_files.load().stacks["cuda13_0"].sms[machine]] == list(map(int, throughout))
    assert list(report["targets"]["sass"]["partial"]) == partial
    assert {item["sm"]: item["serves"] for item in report["verdicts"]} == serves
    assert report["findings"] == []
    assert report["machines"] == [machine]
    assert seconds < 60
