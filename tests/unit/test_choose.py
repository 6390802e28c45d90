"""Which stack a host gets, and why the others were not taken."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any, cast

import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.choose import (
    FAMILIES,
    Choice,
    allowed_origins,
    build_sm,
    choose,
    family,
    judge,
    runs_on,
)
from ansible_collections.wavesmith.provision.plugins.module_utils.terms.refusal import Refusal
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted import catalog as types
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.catalog import INDEX, SOURCE, WHEELHOUSE
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.variables import Environment, Wanted
from ansible_collections.wavesmith.provision.plugins.plugin_utils import catalog_files
from hypothesis import given
from hypothesis import strategies as st

CATALOG = catalog_files.load()
SPEECH = Environment("speech", packages=("torch",))


def gpu(sm: str | None = None, name: str = "a GPU", vendor: str = "nvidia", **more: Any) -> dict[str, Any]:
    return {"vendor": vendor, "name": name, "sm": sm, "gfx": None, "memory": None, "source": "nvidia-smi", **more}


def amd(gfx: str | None, name: str = "Radeon") -> dict[str, Any]:
    return gpu(None, name, "amd", gfx=gfx, source="kfd")


def host(
    *gpus: dict[str, Any], architecture: str = "x86_64", driver: str | None = "580.82", kind: str = "server"
) -> dict[str, Any]:
    """What the choice looks at of an observed host."""
    return {
        "cpu": {"architecture": architecture, "isa": "generic"},
        "machine": {"kind": kind},
        "accelerators": list(gpus),
        "nvidia": {"driver": driver if any(each["vendor"] == "nvidia" for each in gpus) else None},
    }


def chosen(
    observed: dict[str, Any],
    environment: Environment = SPEECH,
    catalog: types.Catalog = CATALOG,
    **wanted: Any,
) -> Choice:
    return choose(environment, Wanted(environments=(environment,), **wanted), observed, catalog)


def name_of(choice: Choice) -> str:
    assert choice.stack is not None, choice.refusals
    return choice.stack.name


def refusal(choice: Choice) -> Refusal:
    assert choice.stack is None
    (found,) = choice.refusals
    return found


THOR = host(gpu("11.0", "NVIDIA Thor"), architecture="aarch64", kind="jetson")
SPARK = host(gpu("12.1", "NVIDIA GB10"), architecture="aarch64", kind="dgx_spark")
RTX = host(gpu("12.0", "NVIDIA GeForce RTX 5090"))


# What the field's machines get


@pytest.mark.parametrize(
    ("observed", "stack"),
    [
        pytest.param(host(), "cpu", id="no accelerator"),
        pytest.param(host(architecture="aarch64"), "cpu", id="no accelerator, aarch64"),
        pytest.param(RTX, "cuda13_0", id="RTX 50"),
        pytest.param(host(gpu("8.9")), "cuda13_0", id="RTX 40"),
        pytest.param(host(gpu("7.5", "T4")), "cuda13_0", id="T4"),
        pytest.param(host(gpu("10.3", "B300")), "cuda13_0", id="B300"),
        pytest.param(host(gpu("9.0", "GH200"), architecture="aarch64", kind="grace"), "cuda13_0", id="Grace Hopper"),
        pytest.param(THOR, "cuda13_0", id="Thor, wheels of the index allowed"),
        pytest.param(SPARK, "cuda13_0", id="DGX Spark, wheels of the index allowed"),
        pytest.param(host(gpu("7.0", "V100")), "cuda12_8", id="Volta has no code in CUDA 13"),
        pytest.param(host(gpu("6.1", "GTX 1080 Ti")), "cuda12_6", id="Pascal has none in CUDA 12.8"),
        pytest.param(host(gpu("12.0"), driver="570.124.06"), "cuda12_8", id="driver too old for CUDA 13"),
        pytest.param(host(gpu("8.9"), gpu("6.1")), "cuda12_6", id="two different GPUs, one stack for both"),
        pytest.param(host(amd("gfx1100")), "rocm7_2", id="RX 7900"),
        pytest.param(host(amd("gfx1036", "iGPU"), amd("gfx1100")), "rocm7_2", id="a card beside an integrated GPU"),
        pytest.param(host(amd("gfx1100"), gpu("8.6")), "cuda13_0", id="CUDA goes before ROCm"),
        pytest.param(host(gpu(vendor="directx"), kind="wsl2"), "directml", id="WSL2 with a GPU of Windows"),
        pytest.param(host(gpu("8.9"), kind="wsl2"), "cuda13_0", id="WSL2 with an NVIDIA GPU"),
        pytest.param(host(amd("gfx1100"), kind="wsl2"), "rocm7_2", id="WSL2 with ROCm"),
        pytest.param(host(amd("gfx90c", "Vega 8")), "cpu", id="an AMD GPU that no build has code for"),
    ],
)
def test_a_machine_gets_the_stack_that_works_on_it(observed: dict[str, Any], stack: str) -> None:
    assert name_of(chosen(observed)) == stack


@pytest.mark.parametrize(
    ("observed", "problem", "remedy"),
    [
        pytest.param(host(gpu("3.7", "Tesla K80")), "no code for Tesla K80 (SM 3.7)", "wavesmith_stack: cpu", id="K80"),
        pytest.param(
            host(gpu("8.7", "Orin"), architecture="aarch64", kind="jetson"),
            "no code for Orin (SM 8.7)",
            "cpu",
            id="Orin",
        ),
        pytest.param(
            host(gpu("7.5"), driver="470.57"), "driver 525 or newer, this host has 470.57", "update", id="driver"
        ),
        pytest.param(
            host(gpu("12.0", "RTX 5090"), gpu("6.1", "GTX 1080")),
            "no code for GTX 1080 (SM 6.1)",
            "set wavesmith_stack: cuda13_0 to leave GTX 1080 (SM 6.1) unused",
            id="two GPUs that no stack serves together",
        ),
        pytest.param(
            host(gpu(None, "RTX")), "compute capability of RTX could not be read", "nvidia-smi", id="SM unknown"
        ),
        pytest.param(host(architecture="riscv64"), "no wheels for riscv64", "x86_64 or aarch64", id="riscv64"),
        pytest.param(host(gpu(), architecture="ppc64le"), "no wheels for ppc64le", "x86_64 or aarch64", id="ppc64le"),
    ],
)
def test_a_host_that_no_stack_fits_is_refused_with_a_remedy(
    observed: dict[str, Any], problem: str, remedy: str
) -> None:
    found = refusal(chosen(observed))
    assert problem in found.problem
    assert remedy in found.remedy


@pytest.mark.parametrize("seen", ["pci", "proc", "nvidia-smi"])
def test_what_keeps_a_gpu_from_computing_is_refused_by_its_own_words_unless_another_gpu_answers(seen: str) -> None:
    observed = host(gpu("12.0", "RTX", source=seen))
    observed["findings"] = [{"id": "nvidia.driver", "detail": "RTX has no driver", "remedy": "Install it."}]
    if seen == "nvidia-smi":
        assert name_of(chosen(observed)) == "cuda13_0"
    else:
        found = refusal(chosen(observed))
        assert found.problem.startswith("no stack fits this host (cuda13_0, cuda12_8: RTX has no driver")
        assert found.remedy == "Install it; or set wavesmith_stack: cpu if the CPU is enough"


def test_an_amd_gpu_that_cannot_compute_stays_unused_with_the_reason() -> None:
    observed = host(amd("gfx1100"))
    observed["findings"] = [{"id": "amd.access", "detail": "ada may not use /dev/kfd", "remedy": "Add ada to render."}]
    choice = chosen(observed)
    assert name_of(choice) == "cpu"
    assert choice.warnings == ["Radeon stays unused, torch computes on the CPU: ada may not use /dev/kfd"]


def test_a_cpu_that_has_no_wheels_is_not_told_to_say_cpu() -> None:
    assert "cpu" not in refusal(chosen(host(architecture="riscv64"))).remedy


def test_a_host_with_an_nvidia_gpu_is_never_given_the_cpu_unasked() -> None:
    choice = chosen(host(gpu("3.7")))
    assert {"stack": "cpu", "taken": False} in [
        {key: row[key] for key in ("stack", "taken")} for row in choice.considered
    ]
    assert "does not use it is taken only when it is forced" in next(
        r["why"] for r in choice.considered if r["stack"] == "cpu"
    )


def test_an_accelerator_that_stays_unused_is_said_with_the_reason() -> None:
    (warning,) = chosen(host(amd("gfx90c", "Vega 8"))).warnings
    assert warning.startswith("Vega 8 stays unused, torch computes on the CPU: it has no code for Vega 8 (gfx90c)")


def test_a_gpu_that_a_taken_stack_does_not_serve_is_said() -> None:
    assert chosen(host(amd("gfx1036", "iGPU"), amd("gfx1100"))).warnings == [
        "iGPU (gfx1036) stays unused: rocm7_2 has no code for it"
    ]


# The policy


@pytest.mark.parametrize(
    ("observed", "policy", "stack"),
    [
        (THOR, (SOURCE,), "thor"),
        (THOR, (WHEELHOUSE, SOURCE), "thor"),
        (THOR, (WHEELHOUSE,), "thor"),
        (THOR, (SOURCE, INDEX), "thor"),
        (THOR, (INDEX, SOURCE), "cuda13_0"),
        (SPARK, (SOURCE,), "spark"),
        (SPARK, (INDEX,), "cuda13_0"),
        (host(), (SOURCE,), "cpu"),
    ],
)
def test_the_policy_says_where_cuda_code_may_come_from_and_what_goes_first(
    observed: dict[str, Any], policy: tuple[str, ...], stack: str
) -> None:
    assert name_of(chosen(observed, policy=policy)) == stack


def test_a_policy_that_leaves_nothing_is_refused_with_what_to_add() -> None:
    found = refusal(chosen(RTX, policy=(SOURCE,)))
    assert "the policy allows source, it comes from index" in found.problem
    assert "add index to wavesmith_policy" in found.remedy


# Forcing


def test_a_forced_stack_is_taken_where_it_can_work() -> None:
    choice = chosen(THOR, stack="cpu")
    assert (name_of(choice), choice.why) == ("cpu", "forced by variable wavesmith_stack")


def test_the_stack_of_an_environment_goes_before_that_of_the_host() -> None:
    assert name_of(chosen(THOR, replace(SPEECH, stack="cuda13_0"), stack="cpu")) == "cuda13_0"


def test_what_the_run_itself_forces_goes_before_both() -> None:
    forced = {"stack": "cpu", "forced_by": "environment variable WAVESMITH_STACK"}
    choice = chosen(THOR, replace(SPEECH, stack="cuda13_0"), **forced)
    assert (name_of(choice), choice.why) == ("cpu", "forced by environment variable WAVESMITH_STACK")


def test_an_environment_without_torch_stays_without_it_whatever_is_forced() -> None:
    assert name_of(chosen(THOR, replace(SPEECH, stack="none"), stack="cuda13_0", forced_by="x")) == "none"


@pytest.mark.parametrize(
    ("observed", "stack", "reason"),
    [
        (host(), "cuda13_0", "it needs an NVIDIA GPU and none was found"),
        (host(gpu("8.9")), "rocm7_2", "it needs an AMD GPU and none was found"),
        (host(gpu("7.0", "V100")), "cuda13_0", "no code for V100 (SM 7.0)"),
        (RTX, "thor", "it is for aarch64, this host is x86_64"),
        (SPARK, "thor", "it is for jetson only"),
        (host(amd("gfx1100")), "directml", "it is for wsl2 only"),
        (host(gpu("12.0"), driver="570.1"), "cuda13_0", "it needs driver 580 or newer, this host has 570.1"),
    ],
)
def test_a_forced_stack_that_cannot_work_is_refused_with_the_reason(
    observed: dict[str, Any], stack: str, reason: str
) -> None:
    problem = refusal(chosen(observed, stack=stack)).problem
    assert problem.startswith(f"stack {stack}, forced by variable wavesmith_stack, cannot work on this host: ")
    assert reason in problem


def test_a_forced_stack_may_leave_one_gpu_of_two_unused_and_says_so() -> None:
    choice = chosen(host(gpu("12.0", "RTX 5090"), gpu("6.1", "GTX 1080")), stack="cuda13_0")
    assert name_of(choice) == "cuda13_0"
    assert choice.warnings == ["GTX 1080 (SM 6.1) stays unused: cuda13_0 has no code for it"]


def test_an_unknown_stack_is_refused_with_the_nearest_name() -> None:
    found = refusal(chosen(host(), replace(SPEECH, stack="cuda13")))
    assert (found.item, found.remedy.startswith("did you mean cuda13_0")) == ("environment speech", True)


def test_a_nightly_stack_is_taken_only_when_it_is_forced() -> None:
    assert name_of(chosen(RTX, stack="nightly")) == "nightly"
    assert name_of(chosen(RTX)) != "nightly"


# What is said about each


def test_every_stack_of_the_catalog_is_considered_and_one_is_taken() -> None:
    choice = chosen(RTX)
    assert sorted(row["stack"] for row in choice.considered) == sorted(CATALOG.stacks)
    assert [row["stack"] for row in choice.considered if row["taken"]] == ["cuda13_0"]
    assert all(row["why"] for row in choice.considered)


def test_the_reasons_can_be_read() -> None:
    why = {row["stack"]: row["why"] for row in chosen(host(gpu("7.0", "V100"))).considered}
    assert why["cuda13_0"] == "it has no code for V100 (SM 7.0), it has 7.5, 8.0, 8.6, 9.0, 10.0, 12.0"
    assert why["cuda12_8"] == "for V100 (SM 7.0)"
    assert why["cuda12_6"] == "cuda12_8 goes before it"
    assert why["rocm7_2"] == "it needs an AMD GPU and none was found"
    assert why["thor"] == "it is for aarch64, this host is x86_64"


def with_stacks(**stacks: types.Stack) -> types.Catalog:
    return replace(CATALOG, stacks={**CATALOG.stacks, **stacks})


def copy_of(name: str, **changes: Any) -> types.Catalog:
    """The catalog with a copy of a stack, whose name comes before every other one's and before ``auto``."""
    return with_stacks(alpha=replace(CATALOG.stacks[name], name="alpha", **changes))


def why(choice: Choice) -> dict[str, str]:
    return {row["stack"]: row["why"] for row in choice.considered}


def test_what_packages_are_built_for_is_the_capability_of_the_nvidia_gpus_alone() -> None:
    choice = chosen(host(gpu("8.6"), gpu("12.0", vendor="intel"), gpu("12.0", vendor="other"), amd("gfx1100")))
    assert (choice.sm, choice.sms) == ("8.6", ["8.6"])
    assert (chosen(host(amd("gfx1100"))).sm, chosen(host()).sms) == ("", [])


def test_why_a_stack_was_taken_names_what_it_is_for() -> None:
    assert chosen(host(amd("gfx1100"))).why == "for Radeon (gfx1100)"
    assert chosen(host(gpu(vendor="directx"), kind="wsl2")).why == "for a GPU (directx)"
    assert chosen(host(gpu("8.6"), amd("gfx1100"))).why == "for a GPU (SM 8.6)"
    assert chosen(host()).why == "no accelerator was found"
    assert chosen(host(amd("gfx90c"))).why == "no accelerator of this host has a stack"


@pytest.mark.parametrize(
    ("observed", "like", "changes"),
    [
        (RTX, "cuda13_0", {"channel": "nightly"}),
        (RTX, "cpu", {}),
        (host(amd("gfx906")), "cpu", {}),
        (RTX, "cuda12_8", {"preference": 99}),
    ],
)
def test_a_forced_stack_is_taken_whatever_its_name(observed: dict[str, Any], like: str, changes: Any) -> None:
    catalog = copy_of(like, **changes)
    choice = chosen(observed, catalog=catalog, stack="alpha")
    assert (name_of(choice), choice.why, choice.warnings) == ("alpha", "forced by variable wavesmith_stack", [])
    choice = chosen(observed, replace(SPEECH, stack="alpha"), catalog)
    assert (name_of(choice), choice.why) == ("alpha", "forced by environment speech")


def test_a_forced_stack_that_cannot_work_or_is_not_there_is_refused_whatever_its_name() -> None:
    found = refusal(chosen(host(), catalog=copy_of("cuda13_0"), stack="alpha"))
    assert found.problem.startswith("stack alpha, forced by variable wavesmith_stack, cannot work on this host: ")
    assert refusal(chosen(host(), stack="aa")).problem == "stack 'aa' is not in the catalog"


def test_an_environments_stack_is_taken_whatever_its_name() -> None:
    assert name_of(chosen(host(amd("gfx1100")), replace(SPEECH, stack="rocm7_2"))) == "rocm7_2"
    assert name_of(chosen(RTX, replace(SPEECH, stack="nightly"))) == "nightly"


def test_what_is_forced_or_alone_is_no_surprise_to_warn_of() -> None:
    assert chosen(host(amd("gfx90c")), stack="cpu").warnings == []
    assert chosen(host()).warnings == []


def test_forcing_one_stack_lets_no_other_leave_a_gpu_unused() -> None:
    two = host(gpu("12.0", "RTX 5090"), gpu("6.1", "GTX 1080"))
    reasons = why(chosen(two, stack="cuda12_8"))
    assert reasons["cuda12_8"] == "forced by variable wavesmith_stack"
    assert reasons["cuda12_6"].startswith("it has no code for RTX 5090 (SM 12.0)")
    assert judge(CATALOG.stacks["cuda13_0"], cast(Any, two), [INDEX]).problem.startswith("it has no code for GTX 1080")


def test_a_preview_is_said_to_be_taken_only_when_it_is_forced() -> None:
    assert why(chosen(RTX))["nightly"] == "a nightly stack is taken only when it is forced"
    assert why(chosen(host()))["nightly"] == "it needs an NVIDIA GPU and none was found"


def test_of_several_stacks_the_first_says_why_a_gpu_stays_unused() -> None:
    second = replace(CATALOG.stacks["rocm7_2"], name="rocm9_0", gfx=("gfx9999",), rocblas=(), preference=99)
    (warning,) = chosen(host(amd("gfx90c", "Vega 8")), catalog=with_stacks(rocm9_0=second)).warnings
    carried = ", ".join(CATALOG.stacks["rocm7_2"].gfx)
    assert warning.endswith(f"it has no code for Vega 8 (gfx90c), it has {carried}")


@pytest.mark.parametrize("name", ["cpu", "rocm7_2"])
def test_the_policy_is_about_cuda_alone(name: str) -> None:
    stack = CATALOG.stacks[name]
    assert allowed_origins(stack, (SOURCE,)) == list(stack.origins)
    assert name_of(chosen(host(amd("gfx1100")), policy=(SOURCE,))) == "rocm7_2"


def test_a_stack_gives_way_only_to_a_stable_one_that_fits() -> None:
    wheels = {"x86_64": types.IndexWheels("cuda99", ())}
    package = types.Package("odd", requires=("odd",), index_wheels=wheels)
    environment = replace(SPEECH, packages=("torch", "odd"))
    for name, changes in (("cuda13_0", {"channel": "nightly"}), ("cuda12_6", {"sms": {"x86_64": ("6.1",)}})):
        catalog = copy_of(name, backend="cuda99_9", **changes)
        choice = chosen(RTX, environment, replace(catalog, packages={**CATALOG.packages, "odd": package}))
        assert name_of(choice) == "cuda13_0"
    catalog = copy_of("cuda12_8", backend="cuda99_9", preference=99)
    choice = chosen(RTX, environment, replace(catalog, packages={**CATALOG.packages, "odd": package}))
    assert name_of(choice) == "alpha"


def test_a_refusal_says_only_what_is_about_this_host() -> None:
    assert refusal(chosen(host(architecture="riscv64"))) == Refusal(
        "environment speech",
        "no stack fits this host (cpu: there are no wheels for riscv64)",
        "use a host with x86_64 or aarch64",
    )
    found = refusal(chosen(host(gpu("7.0", "V100"), driver="470.1"))).problem
    assert "cuda12_8" in found and "cuda13_0" not in found and "rocm" not in found


def test_of_several_gpus_the_first_is_named() -> None:
    for kind in ("cuda13_0", "cuda12_8"):
        problem = refusal(chosen(host(gpu("3.5", "A"), gpu("3.7", "B")), stack=kind)).problem
        assert "no code for A (SM 3.5)" in problem
    assert "capability of A could" in refusal(chosen(host(gpu(None, "A"), gpu(None, "B")))).problem
    two = host(gpu("12.0", "RTX"), gpu("3.5", "A"), gpu("3.7", "B"))
    assert "no code for A (SM 3.5)" in why(chosen(two))["cuda13_0"]
    assert "gfx target of A could" in chosen(host(amd(None, "A"), amd(None, "B"))).warnings[0]


@pytest.mark.parametrize("finding", ["nvidia.mig", "nvidia.idle", "nvidia.missing", "nvidia.sm_unknown"])
def test_what_leaves_a_gpu_able_to_compute_refuses_nothing(finding: str) -> None:
    observed = host(gpu("12.0", source="pci"))
    observed["findings"] = [{"id": finding, "detail": "something", "remedy": "Nothing."}]
    assert name_of(chosen(observed)) == "cuda13_0"


def test_gpus_that_need_several_capabilities_get_nothing_that_is_built_for_one() -> None:
    source = tuple(replace(origin, kind=SOURCE) for origin in CATALOG.stacks["cuda13_0"].origins)
    catalog = copy_of("cuda13_0", origins=source)
    two = host(gpu("12.0"), gpu("8.6"))
    problem = refusal(chosen(two, catalog=catalog, stack="alpha", policy=(SOURCE,))).problem
    assert problem.endswith("it is built for one compute capability, the GPUs of this host need several")
    assert name_of(chosen(two)) == "cuda13_0"
    assert name_of(chosen(RTX, catalog=catalog, stack="alpha", policy=(SOURCE,))) == "alpha"


def test_a_driver_of_the_last_branch_is_enough_where_the_stack_asks_for_it() -> None:
    catalog = copy_of("cuda12_6", driver_minimum=580)
    pascal = host(gpu("6.1"), driver="470.1")
    assert "580, the last branch for this GPU" in refusal(chosen(pascal, catalog=catalog, stack="alpha")).remedy
    assert name_of(chosen(host(gpu("6.1"), driver="580.1"), catalog=catalog, stack="alpha")) == "alpha"


# Code and GPUs


@pytest.mark.parametrize(
    ("sms", "expected"),
    [
        ([], ""),
        (["11.0"], "11.0"),
        (["8.9", "8.6"], "8.6"),
        (["12.0", "12.0"], "12.0"),
        (["12.0", "8.9"], ""),
        (["8.6", "8.7"], ""),  # code for discrete GPUs does not run on Jetson's integrated ones
        ([None, "0.00", "9.0"], "9.0"),
    ],
)
def test_packages_are_built_for_the_one_capability_that_all_gpus_run(sms: list[str | None], expected: str) -> None:
    assert build_sm([gpu(sm) for sm in sms]) == expected


@pytest.mark.parametrize(
    ("sm", "targets", "expected"),
    [
        (121, ["12.0"], True),
        (89, ["8.6"], True),
        (86, ["8.9"], False),
        (110, ["10.0", "12.0"], False),
        (87, ["8.0", "8.6"], False),
        (90, [], False),
        (100, ["1.0"], False),
    ],
)
def test_code_runs_on_the_same_major_from_its_minor_on(sm: int, targets: list[str], expected: bool) -> None:
    assert runs_on(sm, targets) is expected


# Whatever is observed

TEXT = (
    st.none()
    | st.sampled_from(["", "11.0", "12.1", "7.0", "8.7", "N/A", "0.00", "99.9", "gfx1100", "gfx90c"])
    | st.text()
)
GPU = st.fixed_dictionaries(
    {
        "vendor": st.sampled_from(["nvidia", "amd", "intel", "directx", "other"]),
        "name": st.text(max_size=5),
        "sm": TEXT,
        "gfx": TEXT,
        "source": st.sampled_from(["nvidia-smi", "pci", "kfd", "proc", "dxg"]),
    }
)
OBSERVED = st.fixed_dictionaries(
    {
        "cpu": st.fixed_dictionaries({"architecture": st.sampled_from(["x86_64", "aarch64", "riscv64", ""])}),
        "machine": st.fixed_dictionaries({"kind": st.sampled_from(["jetson", "dgx_spark", "wsl2", "server", ""])}),
        "accelerators": st.lists(GPU, max_size=4),
        "nvidia": st.fixed_dictionaries({"driver": TEXT}),
    }
)
POLICY = st.permutations([SOURCE, WHEELHOUSE, INDEX]).flatmap(
    lambda kinds: st.integers(1, 3).map(lambda number: tuple(kinds[:number]))
)
STACK = st.sampled_from(["auto", "none", "bogus", *CATALOG.stacks])


@given(OBSERVED, POLICY, STACK, STACK)
def test_there_is_a_stack_or_a_refusal_with_a_remedy_whatever_is_observed(
    observed: dict[str, Any], policy: tuple[str, ...], of_host: str, of_environment: str
) -> None:
    before = copy.deepcopy(observed)
    choice = chosen(observed, replace(SPEECH, stack=of_environment), policy=policy, stack=of_host)
    assert (choice.stack is None) == bool(choice.refusals)
    assert all(found.item and found.problem and found.remedy for found in choice.refusals)
    assert sum(row["taken"] for row in choice.considered) <= 1
    assert observed == before


@given(OBSERVED, POLICY)
def test_what_is_taken_unasked_has_code_for_the_nvidia_gpus_of_the_host(
    observed: dict[str, Any], policy: tuple[str, ...]
) -> None:
    choice = chosen(observed, policy=policy)
    nvidia = [each for each in observed["accelerators"] if each["vendor"] == "nvidia"]
    if choice.stack is not None and nvidia:
        targets = choice.stack.sms[observed["cpu"]["architecture"]]
        assert all(runs_on(round(float(each["sm"]) * 10), targets) for each in nvidia if "." in (each["sm"] or ""))
        assert family(choice.stack.backend) == "cuda"


def test_the_kinds_of_backend_go_from_cuda_to_the_cpu() -> None:
    assert FAMILIES == ("cuda", "rocm", "directml", "cpu")


# AMD: compiled for is not works on


@pytest.mark.parametrize("gfx", ["gfx900", "gfx906", "gfx1103"])
def test_a_gpu_that_rocblas_has_no_kernels_for_is_refused_with_two_ways_out(gfx: str) -> None:
    choice = chosen(host(amd(gfx, "Radeon")))
    found = refusal(choice)
    assert f"rocm7_2: it has code for Radeon ({gfx}), but its rocBLAS has no kernels for that" in found.problem
    assert "TheRock" in found.remedy and "wavesmith_stack: cpu" in found.remedy
    (cpu,) = [entry for entry in choice.considered if entry["stack"] == "cpu"]
    assert cpu["why"].endswith("taken only when it is forced")
    assert name_of(chosen(host(amd(gfx)), stack="cpu")) == "cpu"


def test_beside_a_gpu_that_is_served_it_is_to_be_hidden() -> None:
    choice = chosen(host(amd("gfx1103", "iGPU"), amd("gfx1100"), amd("gfx1036", "other iGPU")))
    assert name_of(choice) == "rocm7_2"
    assert [("HIP_VISIBLE_DEVICES" in warning, warning.partition(" (")[0]) for warning in choice.warnings] == [
        (False, "other iGPU"),
        (True, "iGPU"),
    ]


def test_a_stack_whose_rocblas_is_not_known_is_taken_at_its_word() -> None:
    stacks = {**CATALOG.stacks, "rocm7_2": replace(CATALOG.stacks["rocm7_2"], rocblas=())}
    assert name_of(chosen(host(amd("gfx906")), catalog=replace(CATALOG, stacks=stacks))) == "rocm7_2"


# The driver to take


@pytest.mark.parametrize(
    ("sm", "kind", "remedy"),
    [
        ("6.1", "workstation", "update NVIDIA's driver to 580, the last branch for this GPU"),
        ("8.9", "workstation", "update NVIDIA's driver to 580 or newer"),
        ("8.9", "", "update NVIDIA's driver to 580 or newer"),
        ("8.9", "a kind of its own", "update NVIDIA's driver to 580 or newer"),
        ("8.9", "container", "on the container's host, not in it"),
        ("8.9", "wsl2", "in Windows to 580 or newer; install none in WSL"),
        ("11.0", "jetson", "update JetPack"),
    ],
)
def test_a_driver_that_is_too_old_is_updated_where_it_is_installed(sm: str, kind: str, remedy: str) -> None:
    architecture = "aarch64" if kind == "jetson" else "x86_64"
    assert remedy in refusal(chosen(host(gpu(sm), driver="470.1", kind=kind, architecture=architecture))).remedy
