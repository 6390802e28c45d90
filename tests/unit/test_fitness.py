"""Packages whose wheels on the index do not use a host's GPU: built by their recipe, another stack, or said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.observe import probe
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.decide import plan
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.fitness import unfit
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.record import Plan
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.catalog import IndexWheels, Package
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.variables import Environment, Wanted
from ansible_collections.wavesmith.provision.plugins.plugin_utils import catalog_files

from .test_samples import SAMPLES

CATALOG = catalog_files.load()
TOOLKIT = {"version": "13.0", "path": "/usr/local/cuda-13.0", "source": "x", "nvcc": True, "sms": None}


def observed_of(machine: str, **more: Any) -> Any:
    observed: Any = probe.observe(probe_root=str(SAMPLES / machine))
    origins = {origin.name for stack in CATALOG.stacks.values() for origin in stack.origins}
    observed.update(
        toolbox={"digest": "toolbox", "intact": True},
        environments={},
        wheels=[],
        busy=None,
        disk={"path": "/opt", "free": 2**40, "total": 2**40},
        sources={name: {"answers": True, "detail": "HTTP 200"} for name in origins},
        apt={"present": True, "installed": {}, "missing": []},
        **more,
    )
    return observed


def planned(machine: str, *packages: str, toolkits: Any = None, **wanted: Any) -> Plan:
    """The plan for a recorded machine that is to have torch and these packages."""
    more = {} if toolkits is None else {"toolkits": toolkits}
    environment = Environment("asr", packages=("torch", *packages))
    return plan(Wanted(environments=(environment,), **wanted), [], observed_of(machine, **more), CATALOG, {}, "toolbox")


def built(result: Plan) -> list[str]:
    return [wheel.name for wheel in result.environments[0].wheels]


# --- built


@pytest.mark.parametrize(
    ("machine", "package"),
    [("dgx-spark", "ctranslate2"), ("jetson-thor", "ctranslate2"), ("jetson-thor", "onnxruntime-gpu")],
)
def test_what_the_index_has_for_the_cpu_or_other_gpus_is_built_where_that_can_be_done(
    machine: str, package: str
) -> None:
    """test_this_ctranslate2_package_was_not_compiled_with_cuda_support: on DGX Spark and Thor."""
    result = planned(machine, package)
    assert built(result) == [package]
    assert (result.refusals, result.warnings) == ([], [])
    assert result.environments[0].stack == "cuda13_0"


def test_what_the_index_has_for_this_gpu_is_taken_from_it() -> None:
    assert built(planned("dgx-spark", "onnxruntime-gpu")) == []


# --- a stack that older releases of a package go with


@pytest.mark.parametrize(
    ("machine", "capped"), [("wsl2-arc", True), ("wsl2-rx6700xt", True), ("rtx4090", False), ("zen4", False)]
)
def test_transformers_stay_below_4_52_where_torch_is_older_than_2_6(machine: str, capped: bool) -> None:
    """From 4.52 on they call torch.load only with torch 2.6 or newer, from 5.16 on they do not see torch 2.4."""
    (item,) = planned(machine, "transformers").environments
    assert (item.stack == "directml") is capped
    assert ("transformers<4.52" in item.lock["overrides"]) is capped
    assert item.held.get("transformers") == ("belongs to the stack directml" if capped else None)


# --- another stack


def test_a_stack_of_the_cuda_that_a_packages_wheels_are_built_for_goes_before_one_of_another() -> None:
    """test_library_libcublas_so_12_is_not_found_or_cannot_be_loaded: ctranslate2 of the index on x86_64."""
    result = planned("rtx4090", "ctranslate2", toolkits=[])
    (item,) = result.environments
    assert (item.stack, built(result), result.refusals) == ("cuda12_8", [], [])
    why = {row["stack"]: row["why"] for row in item.considered}
    assert why["cuda13_0"] == "ctranslate2: its wheels on the index are built for CUDA 12, stack cuda13_0 is CUDA 13.0"


def test_where_it_can_be_built_the_stack_stays() -> None:
    result = planned("rtx4090", "ctranslate2", toolkits=[TOOLKIT])
    assert (result.environments[0].stack, built(result)) == ("cuda13_0", ["ctranslate2"])


@pytest.mark.parametrize(
    ("machine", "package"),
    [("rtx5090-595", "flash-attn"), ("h100-580", "flash-attn"), ("rtx5090-595", "k2")],
)
def test_what_builds_against_an_older_torch_only_gets_a_stack_with_that_torch(machine: str, package: str) -> None:
    item = planned(machine, package, toolkits=[TOOLKIT]).environments[0]
    assert (item.stack, item.versions["torch"]) == ("cuda13_0_torch2_11", "2.11.0")
    why = next(entry["why"] for entry in item.considered if entry["stack"] == "cuda13_0")
    assert why == f"{package}: it builds against torch 2.10.0, 2.11.0, not 2.14.1"


def test_what_builds_against_any_torch_gets_the_newest() -> None:
    assert planned("rtx5090-595", "torch_scatter", toolkits=[TOOLKIT]).environments[0].stack == "cuda13_0"


NVCC_13_2 = {**TOOLKIT, "version": "13.2", "path": "/usr/local/cuda-13.2"}


@pytest.mark.parametrize("machine", ["jetson-thor-jp72", "jetson-thor-jp721"])
def test_a_thor_with_jetpack_7_2_builds_with_the_toolkit_that_it_has(machine: str) -> None:
    result = planned(machine, "torchaudio", toolkits=[NVCC_13_2], policy=("wheelhouse", "source"), python="3.12")
    (item,) = result.environments
    assert (result.refusals, item.stack) == ([], "thor_cuda13_2")
    assert {wheel.name: wheel.version for wheel in item.wheels} == {"torch": "2.13.0", "torchaudio": "2.11.0"}
    assert item.wheels[0].spec["cuda_home"] == "/usr/local/cuda-13.2"
    assert item.wheels[0].spec["environment"]["PYTORCH_BUILD_VERSION"] == "2.13.0+cu132"


@pytest.mark.parametrize(
    ("machine", "toolkits", "stack"),
    [
        ("jetson-thor", [TOOLKIT], "thor"),
        ("jetson-thor-jp72", [TOOLKIT, NVCC_13_2], "thor"),
        ("jetson-thor", [], "thor"),  # and is told which toolkit to install
    ],
)
def test_a_thor_with_the_toolkit_of_cuda_13_0_or_none_keeps_the_stack_that_its_owner_wants(
    machine: str, toolkits: list[Any], stack: str
) -> None:
    result = planned(machine, toolkits=toolkits, policy=("wheelhouse", "source"), python="3.12")
    assert result.environments[0].stack == stack


def test_what_is_to_be_built_is_not_taken_from_an_index_for_want_of_a_toolkit() -> None:
    older = {**TOOLKIT, "version": "12.8"}
    result = planned("jetson-thor", toolkits=[older], policy=("source", "index"), python="3.12")
    assert result.environments[0].stack == "thor"
    assert "install cuda-toolkit-13-0" in result.refusals[0].remedy


def test_without_such_a_package_the_stack_stays() -> None:
    assert planned("rtx4090", "transformers", toolkits=[]).environments[0].stack == "cuda13_0"


# --- said


@pytest.mark.parametrize(
    ("package", "remedy"),
    [
        ("onnxruntime", "the distribution onnxruntime-gpu"),
        ("sherpa-onnx", "a build from source on a stack of CUDA 12, for which upstream has an onnxruntime"),
        ("ctranslate2", "install cuda-toolkit-13-0 on the host, so that it is built from source"),
    ],
)
def test_what_cannot_be_built_and_computes_on_the_cpu_is_a_warning_with_its_remedy(package: str, remedy: str) -> None:
    result = planned("dgx-spark", package, toolkits=[])
    (warning,) = result.warnings
    assert f"{package} will not use the GPU, its wheels on the index for aarch64 are for the CPU only" in warning
    assert f"Remedy: {remedy if package == 'ctranslate2' else 'for the GPU: ' + remedy}; none is needed" in warning
    assert (result.refusals, result.environments[0].on_cpu) == ([], [package])


@pytest.mark.parametrize(
    ("machine", "other"),
    [("jetson-thor-jp72", True), ("jetson-thor-jp721", True), ("jetson-thor", False), ("dgx-spark", False)],
)
def test_a_thor_with_jetpack_7_2_is_not_sent_for_another_toolkit_alone(machine: str, other: bool) -> None:
    toolkits = [{**TOOLKIT, "version": "13.2"}] if other else [{**TOOLKIT, "version": "12.9"}]
    (warning,) = planned(machine, "ctranslate2", toolkits=toolkits).warnings
    assert "Remedy: install cuda-toolkit-13-0 on the host, so that it is built from source" in warning
    said = "; or set wavesmith_stack: thor_cuda13_2, which is built with the toolkit of this host; none is needed"
    assert (said in warning) is other


def test_where_the_policy_allows_no_building_that_is_part_of_the_remedy() -> None:
    (warning,) = planned("dgx-spark", "ctranslate2", policy=("index",)).warnings
    assert "add source to wavesmith_policy" in warning


@pytest.mark.parametrize(
    ("machine", "package", "problem"),
    [
        ("rtx4090", "ctranslate2", "its wheels on the index are built for CUDA 12, stack cuda13_0 is CUDA 13.0"),
        ("jetson-thor", "onnxruntime-gpu", "have code for 8.9, 9.0a, 12.0a, 12.1a, not for SM 11.0"),
        ("rtx2080ti", "onnxruntime-gpu", "have code for 8.0, 8.6, 8.9, 9.0a, 12.0a, not for SM 7.5"),
    ],
)
def test_what_would_fail_on_the_gpu_and_cannot_be_built_is_refused(machine: str, package: str, problem: str) -> None:
    result = planned(machine, package, toolkits=[], stack="cuda13_0")
    (refusal,) = [found for found in result.refusals if package in found.problem]
    assert problem in refusal.problem
    assert "install cuda-toolkit-13-0 on the host" in refusal.remedy
    assert f"leave {package} out" in refusal.remedy


@pytest.mark.parametrize("machine", ["zen4", "graviton3"])
def test_on_a_host_without_a_gpu_nothing_is_said(machine: str) -> None:
    result = planned(machine, "ctranslate2", "onnxruntime", "sherpa-onnx")
    assert (built(result), [warning for warning in result.warnings if "GPU" in warning]) == ([], [])


def test_a_host_in_its_wanted_state_is_not_told_again() -> None:
    observed = observed_of("dgx-spark")
    environment = Environment("asr", packages=("torch", "onnxruntime"))
    wanted = Wanted(environments=(environment,))
    lock = plan(wanted, [], observed, CATALOG, {}, "toolbox").environments[0].lock
    text = {lock["key"]: f"# wavesmith-lock inputs: {lock['inputs']}\ntorch==2.11.0\n"}
    digest = plan(wanted, [], observed, CATALOG, text, "toolbox").environments[0].digest
    manifest = {"digest": digest, "stack": "cuda13_0", "origin": "package_index"}
    current = {"generation": "x", "damage": [], "damaged": 0, "manifest": manifest, "verdict": {"exit": 0}}
    observed["environments"] = {"asr": {"current": current, "generations": []}}
    result = plan(wanted, [], observed, CATALOG, text, "toolbox")
    assert (result.environments[0].state, result.warnings) == ("kept", [])


# --- the rule


def wheels(backend: str, *sms: str) -> Package:
    return Package("voice", ("voice",), (), "voice", None, {"x86_64": IndexWheels(backend, sms)})


@pytest.mark.parametrize(
    ("package", "why"),
    [
        (wheels("cpu"), "for the CPU only"),
        (wheels("cuda12"), "built for CUDA 12"),
        (wheels("cuda13"), ""),
        (wheels("cuda13", "8.0"), ""),  # SM 8.9 runs it
        (wheels("cuda13", "9.0a"), "not for SM 8.9"),
        (replace(wheels("cpu"), index_wheels={"aarch64": IndexWheels("cpu")}), ""),
        (replace(wheels("cpu"), index_wheels={}), ""),
    ],
)
def test_wheels_are_measured_by_the_stack_and_the_gpus(package: Package, why: str) -> None:
    found = unfit([package], CATALOG.stacks["cuda13_0"], ("index", "source"), observed_of("rtx4090"))
    assert bool(found) is bool(why)
    assert all(why in entry.why for entry in found)
    assert unfit([package], CATALOG.stacks["cpu"], ("index",), observed_of("rtx4090")) == []


# --- what a GPU is too old for, and AMD's


@pytest.mark.parametrize("machine", ["v100", "t4-driver535", "gtx1080ti"])
def test_flash_attention_is_refused_for_the_gpu_not_for_the_torch(machine: str) -> None:
    (refused,) = planned(machine, "flash-attn", toolkits=[{**TOOLKIT, "version": "12.8"}]).refusals
    assert "compute capability 8.0 and newer" in refused.problem and refused.remedy == "leave flash-attn out"


@pytest.mark.parametrize("machine", ["rtx3090", "a100-epyc", "h100-580"])
def test_flash_attention_is_not_refused_for_a_gpu_that_it_has_kernels_for(machine: str) -> None:
    assert not [found for found in planned(machine, "flash-attn").refusals if "cannot be had" in found.problem]


@pytest.mark.parametrize(
    ("machine", "package", "why"),
    [
        ("rx7900-ubuntu2404", "ctranslate2", "for CUDA 12 only"),
        ("mi300x", "ctranslate2", "for CUDA 12 only"),
        ("strix-halo", "sherpa-onnx", "for the CPU only"),
    ],
)
def test_on_an_amd_gpu_it_is_said_what_only_uses_the_cpu(machine: str, package: str, why: str) -> None:
    result = planned(machine, package)
    assert result.refusals == [] and result.environments[0].on_cpu == [package]
    assert f"{package} will not use the GPU, its wheels on the index are {why}" in result.warnings[-1]


# --- a torch that another stack has


@pytest.mark.parametrize(
    ("machine", "line", "named"),
    [
        ("dgx-spark", "torch==2.11.0", "cuda13_0_torch2_11"),
        ("rtx4090", "torch<2.12", "cuda12_8"),
        ("gtx1080ti", "torch>=2.14", ""),
    ],
)
def test_a_stack_that_has_the_version_asked_for_is_named(machine: str, line: str, named: str) -> None:
    result = plan(
        Wanted(environments=(Environment("asr", packages=(line,)),)), [], observed_of(machine), CATALOG, {}, "toolbox"
    )
    (refused,) = result.refusals
    assert "contradicts torch==" in refused.problem
    assert (
        (named in refused.remedy and "which has it" in refused.remedy) if named else "another stack" in refused.remedy
    )
