"""What the build matrix holds, and why a combination is not in the real world."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleError, AnsibleFilterError
from ansible_collections.wavesmith.provision.plugins.filter.matrix import FilterModule
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.matrix import (
    MATRIX_ISAS,
    MatrixError,
    Row,
    Toolchain,
    grid,
    rows,
    text,
)
from ansible_collections.wavesmith.provision.plugins.module_utils.terms.variant import ISA_LEVELS, Variant
from ansible_collections.wavesmith.provision.plugins.module_utils.terms.versions import Range, numbers
from ansible_collections.wavesmith.provision.plugins.plugin_utils import catalog_files
from hypothesis import given
from hypothesis import strategies as st

import wavesmith.matrix as command

ROOT = Path(__file__).resolve().parents[2]
KNOWN = catalog_files.load_cuda()
CUDAS = list(KNOWN.toolkits)
X86 = ["avx2", "avx512", "avx512vnni", "avx512bf16"]
ARM = ["armv8_2", "armv9"]
# A toolkit's own nvcc before the one on PATH: that may be a wrapper, without headers beside it.
NVCCS = [Path(os.environ.get("CUDA_HOME") or "/usr/local/cuda") / "bin" / "nvcc", Path(shutil.which("nvcc") or "nvcc")]
NVCC = next((path for path in NVCCS if path.is_file()), NVCCS[0])

PACKAGE_NAMES = st.from_regex(r"[a-z0-9]([a-z0-9._-]{0,20}[a-z0-9])?", fullmatch=True)
VARIANTS = st.builds(
    Variant,
    python=st.integers(0, 99).map("3.{}".format),
    backend=st.one_of(
        st.sampled_from(["cpu", "directml"]),
        st.builds("{}{}_{}".format, st.sampled_from(["cuda", "rocm"]), st.integers(0, 99), st.integers(0, 99)),
    ),
    sm=st.one_of(st.just(""), st.builds("{}.{}".format, st.integers(1, 99), st.integers(0, 9))),
    isa=st.sampled_from(ISA_LEVELS),
)


def sms_of(known: Toolchain, cuda: str) -> tuple[str, ...]:
    """The compute capabilities that the nvcc of a CUDA version compiles for, in ascending order."""
    return tuple(sorted((sm for sm, item in known.sms.items() if cuda in item.nvcc), key=numbers))


def made(cuda: str = "12.8", **asked: Any) -> tuple[Row, ...]:
    return rows(KNOWN, "torchaudio", "3.13", cuda, **asked)


def row(cuda: str, sm: str, isa: str) -> Row:
    (found,) = made(cuda, sms=[sm], isas=[isa], cpu_only=False)
    return found


def reason(cuda: str, sm: str, isa: str) -> str:
    (found,) = row(cuda, sm, isa).reasons
    return found


# How many, and their names


def test_a_matrix_has_nine_sms_times_six_cpu_levels_and_six_without_cuda() -> None:
    names = [item.name for item in made()]
    assert (len(names), len(set(names))) == (60, 60)
    assert sum("-cuda12_8-" in name for name in names) == 54
    assert sum("-cpu-" in name for name in names) == 6


def test_the_sms_and_cpu_levels_are_those_that_users_ask_for() -> None:
    assert KNOWN.matrix_sms == ("8.0", "8.6", "8.9", "9.0", "10.0", "10.3", "11.0", "12.0", "12.1")
    assert (*X86, *ARM) == MATRIX_ISAS


@pytest.mark.parametrize(
    "name",
    [
        "torchaudio-python313-cuda12_8-sm120-avx512",
        "torchaudio-python313-cuda12_8-sm90-avx512bf16",
        "torchaudio-python313-cuda12_8-sm86-avx2",
        "torchaudio-python313-cpu-armv9",
    ],
)
def test_the_matrix_has(name: str) -> None:
    assert name in [item.name for item in made()]


@pytest.mark.parametrize(
    ("cuda", "count"), [("12.4", 30), ("12.6", 30), ("12.8", 42), ("12.9", 50), ("13.0", 52), ("13.2", 52)]
)
def test_of_sixty_exist(cuda: str, count: int) -> None:
    assert sum(item.exists for item in made(cuda)) == count


def test_fewer_can_be_asked_for() -> None:
    names = [item.name for item in made("13.0", sms=["11.0"], isas=["armv9"], cpu_only=False)]
    assert names == ["torchaudio-python313-cuda13_0-sm110-armv9"]


def test_the_same_question_has_the_same_answer() -> None:
    assert made() == made()


# Full names


@given(PACKAGE_NAMES, VARIANTS)
def test_a_full_name_is_read_back(package: str, variant: Variant) -> None:
    assert Variant.parse_full(variant.full_name(package)) == (package, variant)


@given(
    st.one_of(
        st.text(max_size=40),
        st.lists(st.one_of(PACKAGE_NAMES, VARIANTS.map(lambda item: item.name)), max_size=4).map("-".join),
    )
)
def test_any_text_is_a_full_name_or_a_value_error(name: str) -> None:
    try:
        package, variant = Variant.parse_full(name)
    except ValueError as error:
        assert repr(name) in str(error)
    else:
        assert variant.full_name(package) == name


def test_a_package_may_have_hyphens_in_its_name() -> None:
    name = "descript-audio-codec-python312-cpu-avx2"
    assert Variant.parse_full(name) == ("descript-audio-codec", Variant("3.12", "cpu", "", "avx2"))


@pytest.mark.parametrize("package", ["", "-", "Torch", "torch ", "torch-", "../torch"])
def test_a_full_name_of_no_package_is_refused(package: str) -> None:
    with pytest.raises(ValueError, match="an example: torchaudio"):
        Variant("3.12", "cpu", "", "avx2").full_name(package)
    with pytest.raises(ValueError, match="an example: torchaudio-python312"):
        Variant.parse_full(f"{package}-python312-cpu-avx2")


@pytest.mark.parametrize("cuda", CUDAS)
def test_every_name_of_a_matrix_says_what_its_row_says(cuda: str) -> None:
    for item in made(cuda):
        assert Variant.parse_full(item.name) == (item.package, item.variant)


# What cannot be compiled


def test_sm_11_0_cannot_be_compiled_by_cuda_12_8_which_calls_it_10_1() -> None:
    assert reason("12.8", "11.0", "armv9") == (
        "nvcc 12.8 has no SM 11.0: it needs CUDA 13.0 or newer (CUDA 12.8 calls it 10.1)"
    )


def test_sm_10_1_cannot_be_compiled_by_cuda_13_which_calls_it_11_0() -> None:
    assert reason("13.0", "10.1", "armv9") == (
        "nvcc 13.0 has no SM 10.1 any more: CUDA 12.9 was the last (CUDA 13.0 calls it 11.0)"
    )


@pytest.mark.parametrize("cuda", ["12.4", "12.6", "12.8"])
def test_sm_12_1_cannot_be_compiled_before_cuda_12_9(cuda: str) -> None:
    assert reason(cuda, "12.1", "armv9").startswith(f"nvcc {cuda} has no SM 12.1: it needs CUDA 12.9 or newer")


def test_where_the_code_of_an_older_sm_would_run_the_reason_says_so() -> None:
    assert reason("12.8", "12.1", "armv9").endswith("(it runs code for SM 12.0)")
    assert reason("12.8", "10.3", "avx2").endswith("(it runs code for SM 10.0)")
    assert "runs code" not in reason("12.6", "12.1", "armv9")


@pytest.mark.parametrize("sm", ["5.0", "6.0", "6.1", "7.0"])
def test_cuda_13_compiles_for_nothing_older_than_turing(sm: str) -> None:
    assert reason("13.0", sm, "avx2") == f"nvcc 13.0 has no SM {sm} any more: CUDA 12.9 was the last"
    assert row("12.9", sm, "avx2").exists


def test_what_this_nvcc_cannot_compile_names_no_gcc_but_the_nvcc_that_can() -> None:
    thor = row("12.8", "11.0", "armv9")
    assert (thor.nvcc, thor.gcc) == (Range("13.0"), None)


# What no machine has


@pytest.mark.parametrize("isa", X86)
@pytest.mark.parametrize("sm", ["11.0", "12.1"])
def test_thor_and_spark_are_in_no_x86_machine(sm: str, isa: str) -> None:
    assert reason("13.0", sm, isa).endswith("is in aarch64 machines only, not in x86_64")


@pytest.mark.parametrize("isa", ARM)
@pytest.mark.parametrize("sm", ["11.0", "12.1"])
def test_thor_and_spark_exist_with_arm_code(sm: str, isa: str) -> None:
    assert row("13.0", sm, isa).exists


@pytest.mark.parametrize("sm", ["9.0", "10.0", "10.3"])
def test_hopper_and_blackwell_exist_beside_x86_and_grace(sm: str) -> None:
    assert all(row("13.0", sm, isa).exists for isa in MATRIX_ISAS)


def test_orin_has_no_armv9() -> None:
    assert row("12.8", "8.7", "armv8_2").exists
    assert (
        reason("12.8", "8.7", "armv9") == "the CPU beside SM 8.7 (Jetson Orin) has armv8_2 only, so it cannot run armv9"
    )


def test_what_fails_twice_gives_both_reasons() -> None:
    assert len(row("12.8", "11.0", "avx512").reasons) == 2


# Compilers


@pytest.mark.parametrize(
    ("cuda", "maximum"), [("12.6", "13"), ("12.8", "14"), ("12.9", "14"), ("13.0", "15"), ("13.2", "15")]
)
def test_the_newest_gcc_is_the_one_that_nvcc_accepts(cuda: str, maximum: str) -> None:
    assert row(cuda, "8.0", "avx2").gcc == Range("9.4", maximum)


@pytest.mark.parametrize(
    ("isa", "minimum"), [("avx2", "9.4"), ("avx512bf16", "10.1"), ("armv8_2", "9.4"), ("armv9", "12.1")]
)
def test_the_oldest_gcc_is_the_one_that_package_and_cpu_level_need(isa: str, minimum: str) -> None:
    assert row("12.8", "9.0", isa).gcc == Range(minimum, "14")


def test_without_cuda_any_newer_gcc_will_do() -> None:
    gccs = {item.variant.isa: item.gcc for item in made() if not item.cuda}
    assert gccs["avx2"] == Range("9.4")
    assert {item.nvcc for item in made() if not item.cuda} == {None}


def test_a_cuda_whose_gcc_is_too_old_for_a_cpu_level_cannot_build_it() -> None:
    known = replace(KNOWN, toolkits={"12.8": Range("6", "11")})
    found = rows(known, "torchaudio", "3.13", "12.8", sms=["9.0"], isas=["avx2", "armv9"], cpu_only=False)
    assert [item.exists for item in found] == [True, False]
    assert found[1].reasons == ("armv9 code needs gcc 12.1 or newer, CUDA 12.8 accepts gcc 6 to 11",)
    assert found[1].gcc is None


@pytest.mark.parametrize(
    ("version", "inside"), [("9.3", False), ("9.4", True), ("9.4.1", True), ("14", True), ("14.2", True), ("15", False)]
)
def test_a_bound_counts_as_far_as_it_is_written(version: str, inside: bool) -> None:
    assert (version in Range("9.4", "14")) is inside


@given(st.tuples(st.integers(0, 20), st.integers(0, 20)), st.tuples(st.integers(0, 20), st.integers(0, 20)))
def test_a_range_is_empty_when_its_minimum_is_not_in_it(low: tuple[int, int], high: tuple[int, int]) -> None:
    minimum, maximum = (".".join(map(str, version)) for version in (low, high))
    assert Range(minimum, maximum).is_empty is (minimum not in Range(minimum, maximum))


# The catalog against the world


@pytest.mark.parametrize(
    ("cuda", "new"), [("12.8", {"10.0", "10.1", "12.0"}), ("12.9", {"10.3", "12.1"}), ("13.0", {"8.8", "11.0"})]
)
def test_a_cuda_version_adds(cuda: str, new: set[str]) -> None:
    before = CUDAS[CUDAS.index(cuda) - 1]
    assert set(sms_of(KNOWN, cuda)) - set(sms_of(KNOWN, before)) == new


@pytest.fixture(scope="module")
def release() -> str:
    """The CUDA version of this machine's nvcc, which the catalog knows."""
    if not NVCC.is_file():
        pytest.skip("no nvcc on this machine: what it compiles for cannot be compared with the catalog")
    shown = subprocess.run([NVCC, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"release (\d+\.\d+)", shown)
    assert found, shown
    if found[1] not in KNOWN.toolkits:
        pytest.skip(f"nvcc {found[1]} is not in catalog/cuda.yml: add it")
    return found[1]


def test_the_real_nvcc_compiles_for_what_the_catalog_says(release: str) -> None:
    listed = subprocess.run([NVCC, "--list-gpu-arch"], capture_output=True, text=True, check=True).stdout.split()
    assert {f"compute_{sm.replace('.', '')}" for sm in sms_of(KNOWN, release)} == set(listed)


def test_the_real_nvcc_refuses_the_gcc_that_the_catalog_says(release: str) -> None:
    header = NVCC.resolve().parents[1] / "include" / "crt" / "host_config.h"
    if not header.is_file():
        pytest.skip("this nvcc has no headers beside it: the gcc it accepts cannot be compared")
    newest = re.search(r"__GNUC__ > (\d+)", header.read_text(errors="replace"))
    assert newest
    assert KNOWN.toolkits[release].maximum == newest[1]


@pytest.fixture
def copy(tmp_path: Path) -> Callable[[Callable[[dict[str, Any]], None]], Path]:
    """A catalog folder whose cuda.yml was changed."""

    def make(change: Callable[[dict[str, Any]], None]) -> Path:
        shutil.copytree(ROOT / "catalog" / "schema", tmp_path / "schema")
        data = yaml.safe_load((ROOT / "catalog" / "cuda.yml").read_text())
        change(data)
        (tmp_path / "cuda.yml").write_text(yaml.safe_dump(data))
        return tmp_path

    return make


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data.pop("sources"), 'the file: "sources" is a required property'),
        (lambda data: data["sms"]["9.0"].update(architectures=["arm"]), 'sms.9.0.architectures.0: "arm" is not one of'),
        (lambda data: data["toolkits"].update({13.4: {}}), "toolkits: the key 13.4 is not text: write it in quotes"),
        (lambda data: data["matrix_sms"].append("9.9"), "9.9 is named but not described. Remedy: add what it names"),
        (lambda data: data["isas"].pop("armv9"), "armv9 is named but not described"),
    ],
)
def test_a_broken_file_is_refused_with_the_place(
    copy: Callable[[Callable[[dict[str, Any]], None]], Path], change: Callable[[dict[str, Any]], None], message: str
) -> None:
    with pytest.raises(AnsibleError, match=re.escape(message)):
        catalog_files.load_cuda(copy(change))


# What is unknown


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (("torchaudoi", "3.13", "12.8"), "package 'torchaudoi': .* Remedy: did you mean torchaudio"),
        (("torchaudio", "3.15", "12.8"), "python '3.15': torchaudio is built for Python 3.10 to 3.14. Remedy: did you"),
        (("torchaudio", 3.1, "12.8"), 'python: it is 3.1, but must be text. Remedy: put it in quotes: "3.1"'),
        (("torchaudio", "3.13", "12.7"), "cuda '12.7': .* Remedy: did you mean 12.9 or 12.8"),
        (("torchaudio", "3.13", "cuda12_8"), "cuda 'cuda12_8': .* Remedy: did you mean 12.8?"),
        (("torchaudio", "3.13", ""), "cuda '': .* Remedy: use one of: 12.4"),
    ],
)
def test_what_is_unknown_is_refused_with_the_nearest_there_is(asked: tuple[Any, Any, Any], message: str) -> None:
    with pytest.raises(MatrixError, match=message):
        rows(KNOWN, *asked)


@pytest.mark.parametrize(
    ("asked", "message"), [({"sms": ["12.2"]}, "sm '12.2'.*12.1"), ({"isas": ["avx3"]}, "isa 'avx3'.*avx2")]
)
def test_an_unknown_sm_or_cpu_level_is_refused(asked: dict[str, list[str]], message: str) -> None:
    with pytest.raises(MatrixError, match=message):
        made(**asked)


@given(st.text(max_size=12), st.text(max_size=6), st.text(max_size=6))
def test_any_words_make_a_matrix_or_are_refused_with_a_remedy(package: str, python: str, cuda: str) -> None:
    try:
        assert rows(KNOWN, package, python, cuda)
    except MatrixError as error:
        assert ". Remedy: " in str(error)


# The filter


def matrix_filter(*asked: Any, **options: Any) -> Any:
    return FilterModule().filters()["matrix"](*asked, **options)


def test_the_filter_gives_plain_rows() -> None:
    found = matrix_filter("torchaudio", "3.13", "12.8")
    assert len(found) == 60
    assert found[0] == {
        "name": "torchaudio-python313-cuda12_8-sm80-avx2",
        "package": "torchaudio",
        "python": "3.13",
        "backend": "cuda12_8",
        "cuda": "12.8",
        "sm": "8.0",
        "isa": "avx2",
        "architecture": "x86_64",
        "nvcc_minimum": "11.0",
        "nvcc_maximum": "",
        "gcc_minimum": "9.4",
        "gcc_maximum": "14",
        "exists": True,
        "reason": "",
    }


def test_the_filter_gives_names_a_ci_matrix_and_a_table() -> None:
    asked = ("torchaudio", "3.13", "12.8")
    assert matrix_filter(*asked, form="names") == [item.name for item in made()]
    assert matrix_filter(*asked, form="include") == {"include": matrix_filter(*asked)}
    assert matrix_filter(*asked, form="table") == text(grid(KNOWN, made()))


@pytest.mark.parametrize("asked", [{"cuda": "12.7"}, {"cuda": "12.8", "form": "tables"}])
def test_the_filter_refuses_with_a_remedy(asked: dict[str, str]) -> None:
    with pytest.raises(AnsibleFilterError, match="^matrix: .*Remedy: "):
        matrix_filter("torchaudio", "3.13", **asked)


def ansible(argv: list[str], cwd: Path) -> str:
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_LOCAL_TEMP": str(cwd / "tmp")}
    environment |= {"ANSIBLE_REMOTE_TEMP": str(cwd / "tmp"), "NO_COLOR": "1", "LC_ALL": "C.UTF-8"}
    tool = [str(Path(sys.executable).parent / argv[0]), *argv[1:]]
    done = subprocess.run(tool, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_filter_is_shown_by_ansible_doc(tmp_path: Path) -> None:
    name = "wavesmith.provision.matrix"
    shown = json.loads(ansible(["ansible-doc", "--json", "-t", "filter", name], tmp_path))[name]
    assert shown["examples"] and shown["return"]
    assert set(shown["doc"]["options"]) == {"_input", "python", "cuda", "sms", "isas", "cpu_only", "form"}


@pytest.mark.process
def test_the_playbook_shows_the_table_and_saves_the_json_in_the_working_directory(tmp_path: Path) -> None:
    shown = ansible(
        ["ansible-playbook", str(ROOT / "playbooks" / "matrix.yml"), "-e", "wavesmith_matrix_cuda=13.0"], tmp_path
    )
    assert "52 of 60 combinations exist" in shown
    saved = tmp_path / "artifacts" / "matrix" / "torchaudio-python3.13-cuda13.0.json"
    assert json.loads(saved.read_text()) == matrix_filter("torchaudio", "3.13", "13.0", form="include")


# The command


def wavesmith_matrix(*argv: str) -> int:
    parser = argparse.ArgumentParser()
    command.configure(parser)
    return command.run(parser.parse_args(["--package", "torchaudio", "--python", "3.13", "--cuda", "12.8", *argv]))


def test_the_command_prints_the_sixty_names_one_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert wavesmith_matrix("--names") == 0
    assert capsys.readouterr().out.splitlines() == [item.name for item in made()]


def test_the_command_prints_a_ci_matrix(capsys: pytest.CaptureFixture[str]) -> None:
    assert wavesmith_matrix("--json") == 0
    assert json.loads(capsys.readouterr().out) == {"include": [item.as_dict() for item in made()]}


def test_the_command_prints_only_what_exists_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert wavesmith_matrix("--names", "--existing") == 0
    assert capsys.readouterr().out.splitlines() == [item.name for item in made() if item.exists]


def test_the_command_prints_the_table_with_each_reason_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert wavesmith_matrix() == 0
    shown = capsys.readouterr().out
    assert "42 of 60 combinations exist" in shown
    for wrong in {why for item in made() for why in item.reasons}:
        assert shown.count(wrong) == 1


@pytest.mark.parametrize(("columns", "gpus"), [("220", True), ("80", False)])
def test_the_table_on_a_terminal_says_the_same(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: str, gpus: bool
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", columns)
    assert wavesmith_matrix() == 0
    shown = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    assert ("GeForce RTX 5090, RTX PRO 6000" in shown) is gpus
    assert "12.1-14" in shown and "no [2][3]" in shown and "…" not in shown
    assert "42 of 60 combinations exist" in shown


@pytest.mark.parametrize(
    "wrong", [("--package", "torchaudoi"), ("--python", "2.7"), ("--cuda", "12.7"), ("--sm", "12.2")]
)
def test_the_command_refuses_what_is_unknown_with_one_message(
    wrong: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert wavesmith_matrix(*wrong) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"✗ [^\n]* Remedy: (did you mean|use one of)[^\n]*\n", error)
