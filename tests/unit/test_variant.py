"""What a variant's written form is, and that nothing is lost in it."""

from __future__ import annotations

import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.terms.variant import (
    _NAME,
    ISA_LEVELS,
    Variant,
    mismatch,
)
from hypothesis import given
from hypothesis import strategies as st

NUMBER = st.integers(0, 99)
VARIANTS = st.builds(
    Variant,
    python=NUMBER.map(lambda minor: f"3.{minor}"),
    backend=st.one_of(
        st.sampled_from(["cpu", "directml"]),
        st.builds("{}{}_{}".format, st.sampled_from(["cuda", "rocm"]), NUMBER, NUMBER),
    ),
    sm=st.one_of(st.just(""), st.builds("{}.{}".format, st.integers(1, 99), st.integers(0, 9))),
    isa=st.sampled_from(ISA_LEVELS),
)


def test_a_variant_of_a_gpu_names_python_backend_sm_and_isa() -> None:
    assert Variant("3.12", "cuda13_0", "11.0", "armv9").name == "python312-cuda13_0-sm110-armv9"


def test_a_variant_without_a_gpu_names_no_sm() -> None:
    assert Variant("3.11", "cpu", "", "avx512vnni").name == "python311-cpu-avx512vnni"


def test_one_digit_of_an_sm_is_its_minor() -> None:
    assert Variant.parse("python310-cuda12_8-sm90-avx2").sm == "9.0"


@given(VARIANTS)
def test_what_was_written_is_read_back(variant: Variant) -> None:
    assert Variant.parse(variant.name) == variant


@given(st.from_regex(_NAME, fullmatch=True))
def test_what_was_read_is_written_back(name: str) -> None:
    try:
        variant = Variant.parse(name)
    except ValueError:
        return  # an instruction set nobody knows
    assert variant.name == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "python312",
        "python312-cpu",
        "python3.12-cpu-avx2",
        "python312-cpu-avx3",
        "python312-cuda13-sm90-avx2",
        "python312-cpu-avx2-more",
        " python312-cpu-avx2",
        "python312-cpu-avx2\n",
        "Python312-cpu-avx2",
    ],
)
def test_what_is_no_variant_is_refused_with_an_example(name: str) -> None:
    with pytest.raises(ValueError, match="python312-cuda13_0-sm110-armv9"):
        Variant.parse(name)


@given(st.text(max_size=40))
def test_any_text_is_a_variant_or_a_value_error(text: str) -> None:
    try:
        assert Variant.parse(text).name == text
    except ValueError as error:
        assert repr(text) in str(error)


@pytest.mark.parametrize("package", ["torchaudio", "sherpa-onnx", "flash-attn", "python-3-tools", "a"])
@pytest.mark.parametrize("variant", ["python312-cuda13_0-sm110-armv9", "python311-cpu-avx2"])
def test_a_full_name_is_read_whatever_hyphens_the_package_has(package: str, variant: str) -> None:
    assert Variant.parse_full(f"{package}-{variant}") == (package, Variant.parse(variant))
    assert Variant.parse(variant).full_name(package) == f"{package}-{variant}"


@pytest.mark.parametrize(
    "name",
    ["torchaudio", "python312-cpu-avx2", "-python312-cpu-avx2", "Torch-python312-cpu-avx2", "torch-python312-cpu", ""],
)
def test_what_is_no_package_with_its_variant_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not a package with its variant"):
        Variant.parse_full(name)


@pytest.mark.parametrize("package", ["Torch", "", "-torch", "torch-", "torch audio"])
def test_a_variant_is_written_for_a_package_in_lower_case_only(package: str) -> None:
    with pytest.raises(ValueError, match="is not a package's name in lower case"):
        Variant.parse("python312-cpu-avx2").full_name(package)


TORCH = Variant.parse("python312-cuda13_0-sm110-armv9")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("python312-cuda13_0-sm110-armv9", ""),
        ("python311-cuda13_0-sm110-armv9", "Python 3.11, torch's is 3.12"),
        ("python313-cuda13_0-sm110-armv9", "Python 3.13, torch's is 3.12"),
        ("python312-cuda12_8-sm110-armv9", "backend cuda12_8, torch's is cuda13_0"),
        ("python312-cuda13_0-sm121-armv9", "SM 12.1, torch's is 11.0"),
        ("python312-cuda13_0-sm110-generic", "CPU level generic, torch's is armv9"),
        ("python312-cpu-armv9", "backend cpu, torch's is cuda13_0; SM none, torch's is 11.0"),
    ],
)
def test_in_what_a_variant_differs_from_torchs_is_said(asked: str, said: str) -> None:
    assert mismatch(Variant.parse(asked), TORCH) == said


def test_torchs_lack_of_an_sm_is_said() -> None:
    assert (
        mismatch(TORCH, Variant.parse("python312-cpu-armv9"))
        == "backend cuda13_0, torch's is cpu; SM 11.0, torch's is none"
    )


def test_a_variant_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        TORCH.sm = "12.1"  # type: ignore[misc]
