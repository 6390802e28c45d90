"""From a recipe and a host to a build and its key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.plan import recipe
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.recipe import (
    FACTS,
    PLACES,
    Against,
    RecipeError,
    Target,
    builds,
    choose,
    fill,
    jobs,
    place,
    render,
    target_of,
    wanted_builds,
)
from ansible_collections.wavesmith.provision.plugins.module_utils.terms.digest import digest
from ansible_collections.wavesmith.provision.plugins.module_utils.terms.variant import Variant
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.catalog import (
    INDEX,
    Catalog,
    Contents,
    Origin,
    Package,
    Recipe,
    Release,
    Settings,
    Source,
    SystemPackages,
)
from ansible_collections.wavesmith.provision.plugins.plugin_utils import catalog_files
from hypothesis import assume, given
from hypothesis import strategies as st

HERE = Origin("package_index", INDEX, "", "", 1.0, "")
LOCK = "# made by uv\npip==26.3 \\\n    --hash=sha256:00\n"
RELEASE = Release("1.0", Source("index", "voice-1.0.tar.gz", "a" * 64), LOCK)
VOICE = Recipe(
    "always",
    (RELEASE,),
    2.0,
    60,
    settings=(Settings({"CFLAGS": "-march={march}"}),),
    contents=Contents(extensions=("voice",)),
)
CPU = Target(Variant("3.12", "cpu", "", "avx2"), "x86_64", gcc="13.3.0", libc="glibc 2.39")
THOR = Target(
    Variant("3.12", "cuda13_0", "11.0", "armv9"),
    "aarch64",
    "jetson",
    "13.3.0",
    "glibc 2.39",
    "13.0.2",
    "/usr/local/cuda-13.0",
)


def key(
    made: Recipe = VOICE, release: Release | None = None, target: Target = CPU, against: tuple[Against, ...] = ()
) -> str:
    return digest(render("voice", made, release or made.releases[0], target, against)[1])


def catalog(**packages: Recipe) -> Catalog:
    found = {name: Package(name, (), (), name, made) for name, made in packages.items()}
    return Catalog({}, found, {}, {}, (), ())


# The key: everything that can change the bytes


@pytest.mark.parametrize(
    "change",
    [
        {"version": "1.1"},
        {"source": Source("index", "voice-1.0.tar.gz", "b" * 64)},
        {"patches": {"patches/voice.patch": "+1\n"}},
        {"build_lock": LOCK.replace("00", "01")},
    ],
    ids=["version", "source", "patch", "build requirements"],
)
def test_another_source_is_another_key(change: dict[str, Any]) -> None:
    assert key(release=replace(RELEASE, **change)) != key()


@pytest.mark.parametrize(
    "change",
    [
        {"settings": (Settings({"CFLAGS": "-O1 -march={march}"}),)},
        {"settings": (Settings({"CXXFLAGS": "-march={march}"}),)},
        {"commands": (("make", "wheel"),)},
    ],
    ids=["changed CFLAGS", "another variable", "commands"],
)
def test_another_way_to_build_is_another_key(change: dict[str, Any]) -> None:
    assert key(replace(VOICE, **change)) != key()


@pytest.mark.parametrize(
    "change",
    [
        {"gcc": "12.2.0"},
        {"libc": "glibc 2.36"},
        {"variant": Variant("3.12", "cpu", "", "avx512")},
        {"variant": Variant("3.11", "cpu", "", "avx2")},
    ],
    ids=["compiler", "libc", "isa", "python"],
)
def test_another_target_is_another_key(change: dict[str, Any]) -> None:
    assert key(target=replace(CPU, **change)) != key()


def test_another_toolkit_is_another_key_where_cuda_is_compiled() -> None:
    cuda = replace(VOICE, contents=Contents(sass=("host",)))
    newer = replace(THOR, cuda="13.0.3")
    assert key(cuda, target=newer) != key(cuda, target=THOR)
    assert key(target=newer) == key(target=THOR)


def test_another_torch_is_another_key() -> None:
    one, two = (Against("torch", "2.10.0", key=name) for name in ("a" * 32, "b" * 32))
    assert len({key(), key(against=(one,)), key(against=(two,))}) == 3


def test_another_torch_of_an_index_is_another_key() -> None:
    one, two = (Against("torch", "2.11.0", lock=f"torch==2.11.0 --hash=sha256:{name}\n") for name in "ab")
    assert key(against=(one,)) != key(against=(two,))


# The key: nothing that cannot


@pytest.mark.parametrize(
    "change",
    [
        {"seconds": 9},
        {"memory_gib": 9.0},
        {"use": "on_request"},
        {"smoke": "assert True"},
        {"contents": Contents(modules=("voice",))},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_cannot_change_the_bytes_is_not_in_the_key(change: dict[str, Any]) -> None:
    assert key(replace(VOICE, **change)) == key()


def test_a_comment_in_the_build_requirements_changes_no_key() -> None:
    assert key(release=replace(RELEASE, build_lock="# other words\n" + LOCK)) == key()


def test_another_mirror_or_name_of_a_patch_changes_no_key() -> None:
    one = replace(
        RELEASE,
        patches={"patches/a.patch": "+1\n"},
        source=Source("archive", "v.tar.gz", "a" * 64, ("https://a.example/v",)),
    )
    two = replace(
        RELEASE,
        patches={"patches/b.patch": "+1\n"},
        source=Source("archive", "v.tar.gz", "a" * 64, ("https://b.example/v",)),
    )
    assert key(release=one) == key(release=two)


def test_where_the_toolkit_lies_is_not_in_the_key_but_in_the_build() -> None:
    cuda = replace(VOICE, contents=Contents(sass=("host",)))
    moved = replace(THOR, cuda_home="/opt/cuda")
    assert key(cuda, target=moved) == key(cuda, target=THOR)
    assert place(render("voice", cuda, RELEASE, moved)[0], PLACED)[0]["CUDA_HOME"] == "/opt/cuda"


@given(st.sampled_from([CPU, THOR]), st.text("ab=-{}", max_size=5), st.text("ab=-{}", max_size=5))
def test_different_flags_never_share_a_key(target: Target, one: str, two: str) -> None:
    assume(one != two)
    try:
        first, second = (
            key(replace(VOICE, settings=(Settings({"CFLAGS": text}),)), target=target) for text in (one, two)
        )
    except RecipeError:
        return
    assert first != second


# Filling in

PLACED = {name: f"<{name}>" for name in PLACES}


def test_an_unknown_value_is_an_error_that_names_the_recipe_and_the_known_ones() -> None:
    made = replace(VOICE, settings=(Settings({"CFLAGS": "-march={mach}"}),))
    with pytest.raises(
        RecipeError,
        match=r"recipe voice: \{mach\} is not a valid value in a recipe. Remedy: use one of architecture, .*march",
    ):
        render("voice", made, RELEASE, CPU)


def test_a_fact_that_this_target_has_not_is_an_error_with_the_remedy() -> None:
    made = replace(VOICE, settings=(Settings({"TORCH_CUDA_ARCH_LIST": "{sm}"}),))
    with pytest.raises(RecipeError, match=r"\{sm\} is not known for this host. Remedy: set it under a `when`"):
        render("voice", made, RELEASE, CPU)


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("{sm} {sm_number}", "11.0 110"),
        ("{version}+{local}", "1.0+cu130"),
        ("{march}", "armv9-a"),
        ("{cuda}", "13.0"),
        ("{architecture} {gcc} {python_version} {torch}", "aarch64 13.3.0 3.12 2.10.0"),
    ],
)
def test_the_facts_of_a_target(text: str, filled: str) -> None:
    made = replace(VOICE, settings=(Settings({"WORD": text}),))
    against = (Against("torch", "2.10.0", key="a" * 32),)
    assert render("voice", made, RELEASE, THOR, against)[0]["environment"]["WORD"] == filled


@given(st.text(), st.dictionaries(st.sampled_from(FACTS), st.text(min_size=1)))
def test_filling_in_never_fails_otherwise(text: str, values: Mapping[str, str]) -> None:
    try:
        fill(text, values, "recipe voice")
    except RecipeError as error:
        assert str(error).startswith("recipe voice: ") and "Remedy: " in str(error)


def test_places_stay_open_until_the_build_starts() -> None:
    build, _ = render("voice", VOICE, RELEASE, CPU)
    assert build["environment"]["MAX_JOBS"] == "{jobs}"
    environment, commands = place(build, PLACED)
    assert environment["MAX_JOBS"] == "<jobs>"
    assert commands[0][:5] == ["<python>", "-I", "-m", "pip", "wheel"]
    assert commands[0][-3:] == ["--wheel-dir", "<out>", "<source>"]


# Conditions


@pytest.mark.parametrize(
    ("when", "holds"),
    [
        ({}, True),
        ({"backend": ("cuda",)}, True),
        ({"backend": ("cpu", "cuda")}, True),
        ({"backend": ("rocm",)}, False),
        ({"cuda": ("13",)}, True),
        ({"cuda": ("12",), "backend": ("cuda",)}, False),
        ({"architecture": ("aarch64",), "machine": ("jetson",)}, True),
        ({"architecture": ("x86_64",), "machine": ("jetson",)}, False),
        ({"sm": ("11.0",)}, True),
        ({"isa": ("armv8_2",)}, False),
        ({"version": ("1.0",)}, True),
    ],
)
def test_variables_hold_where_all_their_conditions_do(when: dict[str, tuple[str, ...]], holds: bool) -> None:
    made = replace(VOICE, settings=(Settings({"USE_NCCL": "0"}, when),))
    assert ("USE_NCCL" in render("voice", made, RELEASE, THOR)[0]["environment"]) is holds


@pytest.mark.parametrize(
    ("backend", "architecture", "gpu"),
    [
        ("cuda12_8", "x86_64", True),
        ("cuda12_6", "x86_64", True),
        ("cuda13_0", "x86_64", False),
        ("cuda13_2", "x86_64", False),
        ("cuda12_8", "aarch64", False),
        ("cpu", "x86_64", False),
    ],
)
def test_sherpa_onnx_takes_upstreams_onnxruntime_for_cuda_12_on_cuda_12_only(
    backend: str, architecture: str, gpu: bool
) -> None:
    """Upstream's build for the GPU fetches an onnxruntime of CUDA 12: beside a stack of CUDA 13 it would be mixed silently."""
    found = catalog_files.load().packages["sherpa-onnx"].recipe
    assert found is not None
    target = Target(Variant("3.12", backend, "9.0" if backend != "cpu" else "", "generic"), architecture, gcc="13.3.0")
    spec, _ = render("sherpa-onnx", found, found.releases[0], target)
    assert ("-DSHERPA_ONNX_ENABLE_GPU=ON" in spec["environment"]["SHERPA_ONNX_CMAKE_ARGS"]) is gpu


def test_system_packages_are_needed_where_all_their_conditions_hold_and_are_not_in_the_key() -> None:
    needed = (SystemPackages(("libpng-dev",)), SystemPackages(("libopenblas-dev",), {"architecture": ("aarch64",)}))
    made = replace(VOICE, system_packages=needed)
    found = [render("voice", made, RELEASE, target)[0]["system_packages"] for target in (CPU, THOR)]
    assert found == [["libpng-dev"], ["libopenblas-dev", "libpng-dev"]]
    assert key(made) == key()


def test_later_variables_win() -> None:
    made = replace(VOICE, settings=(Settings({"USE_NCCL": "1"}), Settings({"USE_NCCL": "0"}, {"machine": ("jetson",)})))
    assert render("voice", made, RELEASE, THOR)[0]["environment"]["USE_NCCL"] == "0"


def test_only_a_recipe_with_cuda_code_gets_the_toolkit() -> None:
    cuda = replace(VOICE, contents=Contents(sass=("host",)))
    assert "CUDA_HOME" not in render("voice", VOICE, RELEASE, THOR)[0]["environment"]
    assert "CUDA_HOME" not in render("voice", cuda, RELEASE, CPU)[0]["environment"]
    build = render("voice", cuda, RELEASE, THOR)[0]
    assert place(build, PLACED)[0]["CUDA_HOME"] == "/usr/local/cuda-13.0"
    assert build["contents"]["sass"] == ["11.0"]


# Jobs


@pytest.mark.parametrize(
    ("cores", "available", "each", "count"),
    [(8, 64.0, 4.0, 8), (8, 18.0, 4.0, 4), (8, 3.0, 4.0, 1), (8, 0.0, 4.0, 1), (14, 122.0, 4.0, 14), (1, 64.0, 0.5, 1)],
)
def test_as_many_jobs_as_cores_and_memory_hold(cores: int, available: float, each: float, count: int) -> None:
    assert jobs(cores, available, each) == count


@given(st.integers(1, 512), st.floats(0, 4096), st.floats(0.1, 64))
def test_there_is_a_job_and_never_more_than_cores(cores: int, available: float, each: float) -> None:
    assert 1 <= jobs(cores, available, each) <= cores


# What a host is


def observed(*toolkits: tuple[str, bool]) -> dict[str, Any]:
    return {
        "cpu": {"architecture": "aarch64"},
        "machine": {"kind": "jetson"},
        "accelerators": [],
        "compilers": {"gcc": None},
        "os": {},
        "toolkits": [
            {"version": version, "path": f"/usr/local/cuda-{version}", "nvcc": nvcc} for version, nvcc in toolkits
        ],
    }


def test_the_newest_toolkit_of_the_backend_that_has_a_compiler_is_taken() -> None:
    found = target_of(
        observed(("12.9", True), ("13.0.2", True), ("13.0.9", False), ("13.0.10", True), ("13.10", True)), THOR.variant
    )
    assert found.machine == "jetson"
    assert (found.cuda, found.cuda_home) == ("13.0.10", "/usr/local/cuda-13.0.10")


def test_a_backend_without_cuda_takes_no_toolkit() -> None:
    assert target_of(observed(("13.0.2", True)), CPU.variant).cuda == ""


# Which release


def test_the_stack_says_which_version_of_its_own_packages_is_built() -> None:
    made = replace(VOICE, releases=(RELEASE, replace(RELEASE, version="2.0")))
    assert choose("voice", made, "3.12", {"voice": "2.0"}).version == "2.0"


def test_the_first_release_that_holds_for_python_and_torch_is_built() -> None:
    old = replace(RELEASE, version="0.9", torch=("2.9.1",), python_maximum=(3, 12))
    made = replace(VOICE, releases=(replace(RELEASE, torch=("2.10.0",)), old))
    assert choose("voice", made, "3.12", {"torch": "2.9.1"}).version == "0.9"
    with pytest.raises(
        RecipeError,
        match="no recipe that builds voice for Python 3.13 and torch 2.9.1 .it has 1.0, 0.9.. Remedy: add it",
    ):
        choose("voice", made, "3.13", {"torch": "2.9.1"})


# Several builds

TORCH = replace(VOICE, use="with_stack", contents=Contents(modules=("torch",), sass=("host",)))
AUDIO = replace(TORCH, compiled_against=("torch",), contents=Contents(modules=("torchaudio",)))


def test_what_others_are_compiled_against_is_built_first_and_its_key_is_part_of_theirs() -> None:
    known = catalog(torch=TORCH, torchaudio=AUDIO)
    specs, problems = builds(
        ["torchaudio", "torch"], known, {"torch": "1.0", "torchaudio": "1.0"}, HERE, THOR, "python3"
    )
    assert problems == []
    assert [spec["name"] for spec in specs] == ["torch", "torchaudio"]
    assert specs[1]["against"] == [{"name": "torch", "version": "1.0", "key": specs[0]["key"], "lock": ""}]


def test_without_a_compiler_there_are_no_keys_yet() -> None:
    known = catalog(torch=TORCH, torchaudio=AUDIO)
    bare = replace(THOR, gcc="")
    specs, problems = builds(
        ["torch", "torchaudio"], known, {"torch": "1.0", "torchaudio": "1.0"}, HERE, bare, "python3"
    )
    assert (problems, [spec.get("key") for spec in specs]) == ([], [None, None])


def test_an_indexs_torch_is_taken_by_its_lock() -> None:
    known = catalog(
        torch=replace(TORCH, index_locks={"2.11.0": "torch==2.11.0\n"}), scatter=replace(AUDIO, use="always")
    )
    specs, problems = builds(["scatter"], known, {"torch": "2.11.0"}, HERE, CPU, "python3")
    assert problems == []
    assert specs[0]["against"] == [{"name": "torch", "version": "2.11.0", "key": "", "lock": "torch==2.11.0\n"}]


def test_an_indexs_torch_that_nothing_pins_is_refused_with_the_place_to_add_it() -> None:
    known = catalog(torch=TORCH, scatter=AUDIO)
    _, (problem,) = builds(["scatter"], known, {"torch": "2.11.0"}, replace(HERE, local_version="cpu"), CPU, "python3")
    assert "no lock pins torch 2.11.0+cpu. Remedy: add it to index_locks in catalog/packages/torch.yml" in str(problem)


def test_without_the_toolkit_there_is_no_key_yet() -> None:
    (spec,), problems = builds(
        ["torch"], catalog(torch=TORCH), {"torch": "1.0"}, HERE, replace(THOR, cuda=""), "python3"
    )
    assert (problems, "key" in spec) == ([], False)


def test_a_package_without_a_recipe_is_refused() -> None:
    _, (problem,) = builds(["triton"], catalog(), {}, HERE, THOR, "python3")
    assert str(problem).startswith("the catalog has no recipe that builds triton. Remedy: ")


def test_a_stack_from_source_builds_its_own_packages_and_what_belongs_with_it() -> None:
    known = catalog(
        torch=TORCH, flash=replace(VOICE, use="with_stack"), voice=VOICE, encodec=replace(VOICE, use="on_request")
    )
    names = ["torch", "voice", "flash", "encodec"]
    assert wanted_builds(names, known, {"torch": "1.0"}, from_source=False) == ["voice"]
    assert wanted_builds(names, known, {"torch": "1.0"}, from_source=True) == ["torch", "voice", "flash"]


def test_what_a_stack_from_source_is_compiled_against_is_built_too() -> None:
    known = catalog(torch=TORCH, torchaudio=AUDIO)
    versions = {"torch": "1.0", "torchaudio": "1.0"}
    assert wanted_builds(["torchaudio"], known, versions, from_source=True) == ["torch", "torchaudio"]


def test_a_pure_answer_leaves_what_it_was_given_alone() -> None:
    known = catalog(torch=TORCH, torchaudio=AUDIO)
    versions = {"torch": "1.0", "torchaudio": "1.0"}
    one, two = (builds(["torch", "torchaudio"], known, versions, HERE, THOR, "python3") for _ in range(2))
    assert one == two
    assert recipe.KEY_SCHEMA == 2


# What a change of one sign would break (docs/mutation.md)

ROCM = Target(Variant("3.12", "rocm7_2", "", "avx2"), "x86_64", gcc="13.3.0", libc="glibc 2.39")


def test_the_torch_that_a_template_names_is_torchs_own_version_among_others() -> None:
    made = replace(VOICE, settings=(Settings({"WORD": "{torch}"}),))
    others = [
        Against(name, f"{number}.0", key=f"{number}" * 32) for number, name in enumerate(("numpy", "torch", "zlib"), 1)
    ]
    assert render("voice", made, RELEASE, THOR, others)[0]["environment"]["WORD"] == "2.0"


def test_a_recipe_names_a_gpu_of_its_own_beside_the_hosts() -> None:
    made = replace(VOICE, contents=Contents(sass=("12.1", "host", "zzz")))
    assert render("voice", made, RELEASE, THOR)[0]["contents"]["sass"] == ["12.1", "11.0", "zzz"]


def test_a_recipe_with_cuda_code_takes_no_toolkit_on_a_rocm_host() -> None:
    made = replace(VOICE, contents=Contents(sass=("host",)))
    build, identity = render("voice", made, RELEASE, replace(ROCM, cuda="13.0.2", cuda_home="/usr/local/cuda"))
    assert "CUDA_HOME" not in build["environment"]
    assert (build["cuda"], build["cuda_home"], build["contents"]["sass"], identity["cuda"]) == ("", "", [], "")


def test_a_build_with_the_toolkit_says_which_one() -> None:
    made = replace(VOICE, contents=Contents(sass=("host",)))
    assert render("voice", made, RELEASE, THOR)[0]["cuda"] == "13.0.2"
    assert render("voice", VOICE, RELEASE, THOR)[0]["cuda"] == ""


@pytest.mark.parametrize(
    ("target", "filled"), [(THOR, "13.0"), (replace(THOR, cuda=""), "13.0"), (replace(THOR, cuda="12.8.1"), "12.8")]
)
def test_the_cuda_of_a_template_is_the_toolkits_and_without_one_the_backends(target: Target, filled: str) -> None:
    made = replace(VOICE, settings=(Settings({"WORD": "{cuda}"}),))
    assert render("voice", made, RELEASE, target)[0]["environment"]["WORD"] == filled


def test_a_newer_release_than_the_stacks_is_not_taken_for_it() -> None:
    made = replace(VOICE, releases=(replace(RELEASE, version="2.0"), RELEASE))
    assert choose("voice", made, "3.12", {"voice": "1.0"}).version == "1.0"


@pytest.mark.parametrize("python", ["3.9", "3.13"])
def test_a_release_holds_only_for_the_pythons_it_names(python: str) -> None:
    made = replace(VOICE, releases=(replace(RELEASE, python_minimum=(3, 10), python_maximum=(3, 12)),))
    assert choose("voice", made, "3.10", {}).version == "1.0"
    with pytest.raises(RecipeError):
        choose("voice", made, python, {})


def test_no_key_is_known_while_one_of_those_it_is_compiled_against_has_none() -> None:
    cuda = replace(VOICE, contents=Contents(sass=("host",)))
    last = replace(VOICE, compiled_against=("first", "second"))
    bare = replace(THOR, cuda="")
    specs, _ = builds(
        ["first", "second", "last"], catalog(first=cuda, second=VOICE, last=last), {}, HERE, bare, "python3"
    )
    assert {spec["name"]: "key" in spec for spec in specs} == {"first": False, "second": True, "last": False}


@pytest.mark.parametrize("record", [CPU, Against("torch", "2.10.0")])
def test_what_a_key_is_made_from_cannot_be_changed(record: Target | Against) -> None:
    with pytest.raises(AttributeError):
        setattr(record, next(iter(vars(record))), "x")
