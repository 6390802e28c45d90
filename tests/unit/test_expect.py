"""What a group says its hosts are, and a host that is something else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.wavesmith.provision.plugins.module_utils.observe import probe
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.expect import unexpected
from ansible_collections.wavesmith.provision.plugins.module_utils.terms.refusal import Refusal
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.expectation import Expectation
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.variables import Environment, Wanted, read

from .test_samples import MACHINES, planned

ROOT = Path(__file__).parents[2]
SAMPLES = Path(__file__).with_name("samples")
GROUPS = {
    path.stem: read(
        {key: value for key, value in yaml.safe_load(path.read_text()).items() if key == "wavesmith_expect"}
    )[0].expect
    for path in sorted((ROOT / "group_vars").glob("*.yml"))
    if yaml.safe_load(path.read_text())
}
SPEECH = (Environment("speech", packages=("torch",)),)


def refused(machine: str, expect: Expectation, **wanted: Any) -> list[Refusal]:
    observed: Any = probe.observe(probe_root=str(SAMPLES / machine))
    return unexpected(Wanted(**{"environments": SPEECH, "expect": expect, **wanted}), observed)


@pytest.mark.parametrize(
    ("group", "machine"),
    [
        ("jetson_thor", "jetson-thor"),
        ("jetson_thor", "jetson-thor-docker"),
        ("jetson_thor", "jetson-thor-no-smi"),
        ("jetson_thor", "jetson-thor-jp721"),
        ("dgx_spark", "dgx-spark"),
        ("dgx_spark", "gb10-asus"),
        ("dgx_spark", "gb10-no-driver"),
        ("rtx", "rtx4090"),
        ("rtx", "rtx4090-rtx5090"),
        ("rtx", "wsl2"),
        ("rtx", "v100"),
        ("amd_rocm", "rx7900-ubuntu2404"),
        ("amd_rocm", "amd-and-nvidia"),
        ("wsl_directml", "wsl2-rx6700xt"),
        ("wsl_directml", "wsl2-rx7900xtx-rocm"),
    ],
)
def test_a_machine_of_its_group_is_as_expected(group: str, machine: str) -> None:
    assert refused(machine, GROUPS[group]) == []


@pytest.mark.parametrize(
    ("group", "machine", "problem", "remedy"),
    [
        ("jetson_thor", "jetson-orin", "and variable wavesmith_expect says sm 11.0", "correct wavesmith_expect"),
        ("jetson_thor", "jetson-xavier", "says sm 11.0", "correct wavesmith_expect"),
        ("jetson_thor", "rtx4090", "it is workstation", "move it to the group"),
        ("jetson_thor", "graviton4", "none is seen", "lspci"),
        ("dgx_spark", "gb200", "it is grace", "move it"),
        ("dgx_spark", "graviton2-t4g", "says sm 12.1", "correct wavesmith_expect"),
        ("rtx", "intel-only", "only Intel Iris Xe (Alder Lake) (intel) is seen", "lspci"),
        ("rtx", "cpu-debian12", "none is seen", "give it power"),
        ("rtx", "container", "none is seen", "--gpus all"),
        ("rtx", "wsl1", "none is seen", "wsl --set-version"),
        ("rtx", "wsl2-arc", "only Intel GPU of Windows (directx) is seen", "wsl --shutdown"),
        ("rtx", "vm-no-gpu", "none is seen", "No devices were found"),
        ("amd_rocm", "rtx4090", "a GPU of AMD", "lspci"),
        ("wsl_directml", "cpu-debian12", "says wsl2", "move it"),
    ],
)  # fmt: skip
def test_a_machine_of_another_kind_is_refused_with_what_is_missing(
    group: str, machine: str, problem: str, remedy: str
) -> None:
    found = refused(machine, GROUPS[group])
    assert any(problem in refusal.problem for refusal in found), found
    assert any(remedy in refusal.remedy for refusal in found), found


def test_a_host_without_its_gpu_gets_no_stack_for_the_cpu_in_silence() -> None:
    assert planned("cpu-debian12").environments[0].stack == "cpu"
    plan = planned("cpu-debian12", expect=GROUPS["rtx"])
    assert plan.steps == [] and "none is seen" in plan.refusals[0].problem


@pytest.mark.parametrize("machine", MACHINES)
def test_nothing_is_expected_where_nobody_says_so(machine: str) -> None:
    assert refused(machine, Expectation()) == []


@pytest.mark.parametrize(
    "wanted",
    [
        {"stack": "cpu"},
        {"stack": "cpu", "forced_by": "environment variable WAVESMITH_STACK"},
        {"environments": (Environment("speech", stack="cpu"), Environment("notes", stack="none"))},
        {"environments": ()},
    ],
)
def test_who_says_that_the_cpu_is_meant_is_not_asked_for_a_gpu(wanted: dict[str, Any]) -> None:
    assert refused("cpu-debian12", GROUPS["rtx"], **wanted) == []


def test_an_environment_that_wants_a_gpu_is_enough_to_ask_for_it() -> None:
    environments = (Environment("speech", stack="cpu"), Environment("loud"))
    assert len(refused("cpu-debian12", GROUPS["rtx"], environments=environments)) == 1


def test_of_several_gpus_one_of_the_expected_kind_is_enough() -> None:
    assert refused("titanv-rtx3090", Expectation(accelerator=("nvidia",), sm=("8.6",))) == []
    assert refused("phoenix-rx7900", Expectation(gfx=("gfx1100",))) == []
    assert "says gfx gfx1201" in refused("phoenix-rx7900", Expectation(gfx=("gfx1201",)))[0].problem
    assert "not seen" in refused("cpu-debian12", Expectation(gfx=("gfx1201",)))[0].problem


# The variable


@pytest.mark.parametrize(
    ("given", "expect"),
    [
        ({}, Expectation()),
        ({"sm": "11.0"}, Expectation(sm=("11.0",))),
        ({"sm": 11.0}, Expectation(sm=("11.0",))),
        ({"sm": ["8.9", 12.0]}, Expectation(sm=("8.9", "12.0"))),
        ({"accelerator": ["directx", "amd"]}, Expectation(accelerator=("directx", "amd"))),
        ({"gfx": "gfx90a", "accelerator": "amd"}, Expectation(accelerator=("amd",), gfx=("gfx90a",))),
    ],
)
def test_the_variable_is_read(given: dict[str, Any], expect: Expectation) -> None:
    wanted, refusals = read({"wavesmith_expect": given})
    assert (wanted.expect, refusals) == (expect, [])


@pytest.mark.parametrize(
    ("given", "problem", "remedy"),
    [
        ({"accelerators": "nvidia"}, "no key 'accelerators'", "accelerator"),
        ({"accelerator": "cuda"}, "'cuda'", "nvidia, amd"),
        ({"machine": "thor"}, "'thor'", "jetson"),
        ({"machine": []}, "a list", "jetson"),
        ({"sm": "sm_110"}, "'sm_110'", '"11.0"'),
        ({"sm": 11}, "a number", '"11.0"'),
        ({"sm": True}, "true or false", '"11.0"'),
        ({"gfx": "navi31"}, "'navi31'", "gfx1100"),
        ({"accelerator": "amd", "sm": "9.0"}, "sm is about a GPU of nvidia", "leave sm out"),
        ({"accelerator": "nvidia", "gfx": "gfx90a"}, "gfx is about a GPU of amd", "leave gfx out"),
        ("nvidia", "must be a mapping", "docs/variables.md"),
    ],
)
def test_what_is_unusable_in_it_is_refused_with_the_remedy(given: Any, problem: str, remedy: str) -> None:
    wanted, (refusal,) = read({"wavesmith_expect": given})
    assert refusal.item == "variable wavesmith_expect"
    assert problem in refusal.problem and remedy in refusal.remedy
    assert not (wanted.expect.sm or wanted.expect.gfx)


def test_this_machine_is_in_no_group_that_expects_something() -> None:
    hosts = yaml.safe_load((ROOT / "inventories/local/hosts.yml").read_text())
    assert not set(hosts) & set(GROUPS)
    for path in (ROOT / "inventories").rglob("group_vars/*.yml"):
        assert "wavesmith_expect" not in yaml.safe_load(path.read_text())
