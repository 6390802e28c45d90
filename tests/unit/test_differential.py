"""What others would install on each recorded machine, where that would not run, and that ours does.

`peers` holds their rules as we read them; here they are compared with the tools themselves as far as that goes without their servers.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.audit.binaries import inspect
from ansible_collections.wavesmith.provision.plugins.module_utils.audit.verdict import parse_sm, summary
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.record import Plan
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.catalog import INDEX, SOURCE, WHEELHOUSE, Stack
from ansible_collections.wavesmith.provision.plugins.plugin_utils import catalog_files
from hypothesis import given
from hypothesis import strategies as st

from . import peers
from .peers import UNUSED

UV = Path(sys.prefix) / "bin" / "uv"
DOCUMENT = Path(__file__).parents[2] / "docs" / "peers.md"
MACHINES = sorted(folder.name for folder in peers.SAMPLES.iterdir())

KNOWN: dict[str, tuple[str, str]] = {
    "a100-mig": (UNUSED, UNUSED),
    "container-lost-gpu": ("", UNUSED),
    "docker-host-without-driver": (UNUSED, UNUSED),
    "docker-mismatch": ("", UNUSED),
    "docker-no-gpus": ("", UNUSED),
    "docker-no-libnvidia-ml": ("no code for SM 7.0", UNUSED),
    "driver-mismatch": ("", UNUSED),
    "driver-not-built": (UNUSED, UNUSED),
    "driver-not-loaded": (UNUSED, UNUSED),
    "gb10-no-driver": (UNUSED, UNUSED),
    "gpu-hung": ("", UNUSED),
    "gpu-not-found": (UNUSED, UNUSED),
    "graviton2-t4g": ("no code for SM 7.5", "no code for SM 7.5"),
    "gsp-firmware-missing": ("", UNUSED),
    "gsp-timeout": ("", UNUSED),
    "gtx1050-driver595": (UNUSED, UNUSED),
    "gtx1080ti": ("no code for SM 6.1", ""),
    "jetson-orin": ("no code for SM 8.7", "NVIDIA's provider fails"),
    "jetson-orin-host1x": ("no code for SM 8.7", "NVIDIA's provider fails"),
    "jetson-orin-jp72": ("no code for SM 8.7", "NVIDIA's provider fails"),
    "jetson-thor": ("", UNUSED),
    "jetson-thor-docker": ("", UNUSED),
    "jetson-thor-future": ("", UNUSED),
    "jetson-thor-jp71": ("", UNUSED),
    "jetson-thor-jp72": ("", UNUSED),
    "jetson-thor-jp721": ("", UNUSED),
    "jetson-thor-no-smi": ("", UNUSED),
    "lxc-mismatch": ("", UNUSED),
    "mi100-no-kfd": (UNUSED, UNUSED),
    "mi210": ("", UNUSED),
    "mi50": ("rocBLAS has no kernels for gfx906", UNUSED),
    "no-device-files": ("", UNUSED),
    "no-devices": ("", UNUSED),
    "no-user-part": ("", UNUSED),
    "nouveau": (UNUSED, UNUSED),
    "p4-open-580": ("no code for SM 6.1", UNUSED),
    "phoenix-rx7900": ("", UNUSED),
    "podman-no-device": ("", UNUSED),
    "riscv64": ("no build for riscv64", "no build for riscv64"),
    "rtx5070-driver550": ("", UNUSED),
    "rtx5090-proprietary": ("", UNUSED),
    "rx7900-ubuntu2404": ("", UNUSED),
    "rx7900xtx-container": ("", UNUSED),
    "secure-boot-efi": (UNUSED, UNUSED),
    "secure-boot-log": (UNUSED, UNUSED),
    "secure-boot-ubuntu": (UNUSED, UNUSED),
    "smi-crashed": ("", UNUSED),
    "strix-halo": ("", UNUSED),
    "t4-driver470": (UNUSED, UNUSED),
    "thor-desktop-driver": (UNUSED, UNUSED),
    "thor-docker-no-runtime": (UNUSED, UNUSED),
    "thor-driver-lost": (UNUSED, UNUSED),
    "titanv-rtx3090": ("no code for SM 7.0", "no code for SM 7.0"),
    "v100": ("no code for SM 7.0", ""),
    "v100-driver595": (UNUSED, UNUSED),
    "v100-open-log": (UNUSED, UNUSED),
    "vega56": ("rocBLAS has no kernels for gfx900", UNUSED),
    "vfio": ("", UNUSED),
    "wsl2-linux-driver": (UNUSED, UNUSED),
    "wsl2-no-dxg": (UNUSED, UNUSED),
    "wsl2-runfile": (UNUSED, UNUSED),
    "wsl2-rx7900xtx-rocm": ("", UNUSED),
    "wsl2-smi-crashes": ("", UNUSED),
    "xid79": ("", UNUSED),
}
"""The machines on which a pick of uv or of the variants is wrong, and what is wrong with each; empty where it runs."""


@pytest.fixture(scope="module")
def rows() -> dict[str, peers.Row]:
    return {machine: peers.compare(machine, catalog_files.load()) for machine in MACHINES}


def assert_sound(observed: Mapping[str, Any], plan: Plan, pick: peers.Pick | None) -> None:
    """Our pick runs on all GPUs, or is refused with the remedy; on AMD's alone it may be the CPU's, with a warning."""
    if pick is None:
        assert plan.refusals and all(refusal.remedy for refusal in plan.refusals)
    elif pick.problem:
        assert (pick.tag, pick.problem) == ("cpu", UNUSED), plan.environments[0].stack_why
        assert all(gpu["vendor"] != "nvidia" for gpu in observed["accelerators"])
        assert any("stays unused" in warning for warning in plan.warnings)


# The machines


@pytest.mark.parametrize("machine", MACHINES)
def test_our_pick_runs_on_all_gpus_or_is_a_refusal_with_the_remedy(machine: str, rows: dict[str, peers.Row]) -> None:
    assert_sound(rows[machine].observed, rows[machine].plan, rows[machine].ours)


@pytest.mark.parametrize("machine", MACHINES)
def test_what_is_built_from_source_runs_on_all_gpus_or_is_a_refusal(machine: str, rows: dict[str, peers.Row]) -> None:
    seen = rows[machine].observed
    assert_sound(seen, *peers.ours(seen, catalog_files.load(), (WHEELHOUSE, SOURCE)))


def test_exactly_these_picks_of_others_are_wrong(rows: dict[str, peers.Row]) -> None:
    picks = {name: (row.uv, row.variants) for name, row in rows.items() if row.uv.wrong or row.variants.wrong}
    assert {name: tuple(pick.problem if pick.wrong else "" for pick in both) for name, both in picks.items()} == KNOWN


def test_the_table_for_people_is_up_to_date(rows: dict[str, peers.Row]) -> None:
    made = peers.document(list(rows.values()))
    if os.environ.get("WAVESMITH_WRITE_DOCS"):
        DOCUMENT.write_text(made)
    assert DOCUMENT.read_text() == made, "run it again with WAVESMITH_WRITE_DOCS=1 and look at the difference"


# Any machine


SMS = st.sampled_from(
    [
        None,
        "3.7",
        "5.2",
        "6.0",
        "6.1",
        "7.0",
        "7.2",
        "7.5",
        "8.0",
        "8.6",
        "8.7",
        "8.9",
        "9.0",
        "10.0",
        "10.3",
        "11.0",
        "12.0",
        "12.1",
    ]
)
GPUS = SMS.map(
    lambda sm: {"vendor": "nvidia", "name": "a card", "sm": sm, "gfx": None, "memory": None, "source": "nvidia-smi"}
)
TARGETS = st.sampled_from([None, "gfx900", "gfx90a", "gfx90c", "gfx1031", "gfx1100", "gfx1103", "gfx1151", "gfx1201"])
RADEONS = TARGETS.map(
    lambda gfx: {"vendor": "amd", "name": "a card", "sm": None, "gfx": gfx, "memory": None, "source": "kfd"}
)


@given(
    gpus=st.one_of(
        st.lists(GPUS, max_size=3), st.lists(RADEONS, max_size=2), st.lists(st.one_of(GPUS, RADEONS), max_size=3)
    ),
    driver=st.sampled_from([None, "470.256.02", "535.183.01", "570.211.01", "580.95.05", "610.1"]),
    machine=st.sampled_from(["cpu-debian12", "jetson-thor"]),
)
def test_our_pick_runs_on_any_mixture_of_gpus_or_is_a_refusal(
    gpus: list[dict[str, Any]], driver: str | None, machine: str
) -> None:
    seen = {**peers.replay(machine), "accelerators": gpus, "nvidia": {"driver": driver, "cuda": None}}
    result, pick = peers.ours(seen, catalog_files.load())
    assert_sound(seen, result, pick)


# The rules of uv, compared with uv itself


def ask_uv(tmp_path: Path, *, path: Path | None = None, **variables: str) -> tuple[set[str], str]:
    """The tags of the indexes that uv wants to ask for torch, and all that it said; it asks nobody."""
    env = {"HOME": str(tmp_path), "PATH": f"{path}:/usr/bin:/bin" if path else "/usr/bin:/bin", **variables}
    argv = [str(UV), "pip", "compile", "--offline", "--no-cache", "--no-config", "--torch-backend=auto", "-v", "-"]
    argv += ["--python", sys.executable]
    ran = subprocess.run(
        argv, input="torch\n", env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    return set(re.findall(r"/whl/([\w.]+)/torch/", ran.stderr)), ran.stderr


def observed(**changes: Any) -> dict[str, Any]:
    bare = {"accelerators": [], "nvidia": {"driver": None, "cuda": None}, "rocm": {"version": None}}
    return {**bare, "cpu": {"architecture": "x86_64"}, **changes}


def nvidia(driver: str, cuda: str, *sms: str) -> dict[str, Any]:
    gpus = [{"vendor": "nvidia", "sm": sm, "gfx": None, "source": "nvidia-smi"} for sm in sms]
    return observed(nvidia={"driver": driver, "cuda": cuda}, accelerators=gpus)


def amd(rocm: str, *targets: str) -> dict[str, Any]:
    gpus = [{"vendor": "amd", "sm": None, "gfx": target, "source": "kfd"} for target in targets]
    return observed(rocm={"version": rocm}, accelerators=gpus)


FLOORS = sorted({floor for _, floor in peers.UV_DRIVERS})
BETWEEN = ["375.25", "525.60", "550.54.14", "579.99", "580.95.05", "610.1"]
DRIVERS = [*(".".join(map(str, floor)) for floor in FLOORS), *BETWEEN]


@pytest.mark.parametrize("driver", DRIVERS)
def test_uv_goes_by_the_driver_as_modelled(driver: str, tmp_path: Path) -> None:
    tags, _ = ask_uv(tmp_path, UV_CUDA_DRIVER_VERSION=driver)
    assert tags == set(peers.uv_tags(nvidia(driver, "", "7.0")))


@pytest.mark.parametrize("target", peers.UV_TARGETS)
def test_uv_goes_by_the_amd_target_as_modelled(target: str, tmp_path: Path) -> None:
    tags, _ = ask_uv(tmp_path, UV_AMD_GPU_ARCHITECTURE=target)
    assert tags == set(peers.uv_tags(amd("7.1", target)))


@pytest.mark.parametrize("target", ["gfx90c", "gfx1031", "gfx1103"])
def test_uv_does_not_know_this_target(target: str, tmp_path: Path) -> None:
    _, said = ask_uv(tmp_path, UV_AMD_GPU_ARCHITECTURE=target)
    assert f"Unknown AMD GPU architecture: {target}" in said
    assert peers.uv_tags(amd("7.1", target)) == ["cpu"]


NO_DRIVER = pytest.mark.skipif(
    os.path.exists("/sys/module/nvidia/version") or os.path.exists("/proc/driver/nvidia/version"),
    reason="this machine has an NVIDIA driver, which uv finds first",
)


def stub(folder: Path, name: str, output: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\ncat <<'END'\n{output}\nEND\n")
    (folder / name).chmod(0o755)


@NO_DRIVER
def test_uv_asks_nvidia_smi_before_rocm_as_modelled(tmp_path: Path) -> None:
    stub(tmp_path / "bin", "nvidia-smi", "550.54.14\n550.54.14")
    stub(tmp_path / "bin", "rocm_agent_enumerator", "gfx000\ngfx1100")
    tags, _ = ask_uv(tmp_path, path=tmp_path / "bin")
    assert tags == set(peers.uv_tags({**amd("7.1", "gfx1100"), "nvidia": {"driver": "550.54.14"}}))


@NO_DRIVER
def test_uv_takes_the_lowest_amd_target_it_knows_as_modelled(tmp_path: Path) -> None:
    stub(tmp_path / "bin", "rocm_agent_enumerator", "gfx000\ngfx1201\ngfx1151\ngfx90c")
    tags, said = ask_uv(tmp_path, path=tmp_path / "bin")
    assert "gfx1151" in said
    assert tags == set(peers.uv_tags(amd("7.1", "gfx1201", "gfx1151", "gfx90c"))) == {"rocm7.2", "cpu"}


# The rules of the variants, compared with what variantlib 0.2.2 and the providers answered: nvidia-variant-provider@ffea5d3 with
# NV_VARIANT_PROVIDER_FORCE_CUDA_DRIVER_VERSION and …_FORCE_SM_ARCH, amd-variant-provider@4d985a9 with AMD_VARIANT_PROVIDER_FORCE_…,
# for the variants of torch 2.10.0. Neither provider is on the package index, so a test cannot ask them.


@pytest.mark.parametrize(
    ("cuda", "sm", "answer"),
    [
        ("13.0", "7.0", "cu128"),
        ("13.0", "6.1", "cu126"),
        ("13.0", "7.5", "cu130"),
        ("13.0", "8.9", "cu130"),
        ("13.0", "8.7", "cu130"),
        ("13.0", "10.3", "cu130"),
        ("13.0", "11.0", "cpu"),
        ("13.0", "12.1", "cu130"),
        ("13.0", "3.7", "cpu"),
        ("13.2", "12.0", "cu130"),
        ("12.8", "12.0", "cu128"),
        ("12.8", "10.0", "cu128"),
        ("12.6", "8.7", "cu128"),
        ("12.4", "9.0", "cu128"),
        ("12.4", "7.0", "cu128"),
        ("12.2", "8.0", "cu128"),
        ("11.8", "8.0", "cpu"),
        ("11.4", "8.7", "cpu"),
        ("10.2", "7.0", "cpu"),
    ],
)
def test_the_variants_go_by_cuda_and_compute_capability_as_modelled(cuda: str, sm: str, answer: str) -> None:
    assert peers.variants(nvidia("600", cuda, sm)).tag == answer


@pytest.mark.parametrize(
    ("rocm", "targets", "answer"),
    [
        ("7.1", ["gfx1100"], "rocm7.1"),
        ("7.0", ["gfx1100"], "rocm7.0"),
        ("7.2", ["gfx1100"], "cpu"),
        ("6.4", ["gfx1100"], "cpu"),
        ("7.1", ["gfx90c"], "cpu"),
        ("7.1", ["gfx90c", "gfx1100"], "rocm7.1"),
        ("7.1", ["gfx1151"], "rocm7.1"),
    ],
)
def test_the_variants_go_by_rocm_and_target_as_modelled(rocm: str, targets: list[str], answer: str) -> None:
    assert peers.variants(amd(rocm, *targets)).tag == answer


def test_the_provider_of_nvidia_fails_where_nvml_knows_no_compute_capability() -> None:
    orin = nvidia("540.4.0", "12.6", "8.7")
    orin["accelerators"][0]["source"] = "nvidia-smi+device-tree"
    assert peers.variants(orin).problem == "NVIDIA's provider fails"


def test_the_variants_see_only_the_newest_of_two_gpus() -> None:
    pick = peers.variants(nvidia("580.95.05", "13.0", "7.0", "12.0"))
    assert (pick.tag, pick.problem) == ("cu130", "no code for SM 7.0")


# What is in the official builds


def test_the_audit_of_the_real_wheel_agrees_with_the_table() -> None:
    cache = Path(os.environ.get("UV_CACHE_DIR", Path.home() / ".cache" / "uv"))
    found = [path.parent for path in cache.glob("archive-v0/*/torch-2.11.0.dist-info")]
    libraries = [file for path in found if (file := path / "torch/lib/libtorch_cuda.so").is_file()]
    if not libraries:
        pytest.skip("torch 2.11.0 with CUDA is not in uv's cache")
    (library,) = inspect(str(libraries[0])).libraries
    targets = summary([library.code])
    table = peers.BUILDS["releases"]["2.11.0"]["cu130"][library.dynamic.machine]
    assert list(targets["sass"]["throughout"]) == [str(sm) for sm in table]
    assert targets["ptx"] == {"throughout": {}, "partial": {}}


def official(stack: Stack) -> bool:
    return bool(stack.sms or stack.gfx) and stack.channel == "stable" and any(o.kind == INDEX for o in stack.origins)


@pytest.mark.parametrize(
    "stack", [stack for stack in catalog_files.load().stacks.values() if official(stack)], ids=lambda stack: stack.name
)
def test_the_catalog_claims_no_more_than_the_official_builds_hold(stack: Stack) -> None:
    builds = peers.BUILDS["releases"][stack.versions["torch"]][peers.tag_of(stack.backend)]
    for architecture, sms in stack.sms.items():
        assert {parse_sm(sm) for sm in sms} <= set(builds[architecture])
    assert not stack.gfx or set(stack.gfx) <= set(builds["x86_64"])
