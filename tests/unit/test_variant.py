"""What a variant's written form is, and that nothing is lost in it."""

from __future__ import annotations

import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.terms.variant import _NAME, ISA_LEVELS, Variant
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
