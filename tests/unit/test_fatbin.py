"""The reader of GPU code: what nvcc wrote, what it never would, and rubbish."""

from __future__ import annotations

import mmap
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.audit import fatbin as reader
from hypothesis import given
from hypothesis import strategies as st

from .conftest import make_fatbin, make_library

FOLDER = Path(__file__).parent / "fatbins"
NVCC = shutil.which("nvcc", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/cuda/bin"]))
KERNEL = "__global__ void add(float *x) { x[threadIdx.x] += 1.0f; }\nvoid go(float *x) { add<<<1, 32>>>(x); }\n"


def recorded(name: str) -> bytes:
    """The section .nv_fatbin of an object that nvcc 13.0 made of an empty kernel."""
    return bytes.fromhex((FOLDER / f"{name}.hex").read_text())


def names(code: reader.Code) -> list[str]:
    return [target.name for target in code.counts()]


# --- recorded from nvcc 13.0


def test_reads_the_headers_of_compressed_code() -> None:
    code = reader.read(make_library(recorded("compressed")))
    assert names(code) == ["sm_90a", "sm_100f", "sm_110", "compute_120", "sm_121"]
    assert (code.total, code.damaged) == (1, False)


def test_reads_uncompressed_code_and_the_suffixes_of_ptx() -> None:
    code = reader.read(make_library(recorded("plain")))
    assert names(code) == ["sm_75", "compute_90a", "compute_120f"]


def test_counts_in_how_many_fatbins_each_target_is() -> None:
    code = reader.read(make_library(recorded("plain") + recorded("compressed") + recorded("plain")))
    assert {target.name: number for target, number in code.counts().items()} == {
        "sm_75": 2,
        "sm_90a": 1,
        "compute_90a": 2,
        "sm_100f": 1,
        "sm_110": 1,
        "compute_120": 1,
        "compute_120f": 2,
        "sm_121": 1,
    }
    assert code.total == 3


def test_reads_a_mapped_file_as_it_reads_bytes(tmp_path: Path) -> None:
    path = tmp_path / "library.so"
    path.write_bytes(make_library(recorded("compressed")))
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        assert reader.read(data) == reader.read(path.read_bytes())


# --- sections


def test_skips_padding_between_fatbins() -> None:
    one = make_fatbin((80, "", "sass"))
    assert reader.read(make_library(one + bytes(24) + one)).total == 2


def test_reads_relocatable_code_where_nothing_was_linked() -> None:
    code = reader.read(make_library(make_fatbin((90, "", "ptx")), section="__nv_relfatbin"))
    assert names(code) == ["compute_90"]


def test_looks_at_no_other_section() -> None:
    assert reader.read(make_library(make_fatbin((90, "", "sass")), section=".rodata")) == reader.Code()


def test_a_kind_it_does_not_know_is_no_target() -> None:
    fatbin = bytearray(make_fatbin((90, "", "sass"), (100, "", "sass")))
    fatbin[16] = 8
    assert names(reader.read(make_library(bytes(fatbin)))) == ["sm_100"]


# --- what is damaged


def test_a_fatbin_that_ends_too_early_is_damaged_and_the_rest_is_read() -> None:
    whole = make_fatbin((80, "", "sass"), (90, "", "sass"))
    code = reader.read(make_library(whole + whole[:-8]))
    assert code.damaged
    assert names(code) == ["sm_80", "sm_90"]


def test_a_wrong_length_does_not_hide_the_fatbins_after_it() -> None:
    wrong = bytearray(make_fatbin((80, "", "sass")))
    wrong[8:16] = (2**63).to_bytes(8, "little")
    code = reader.read(make_library(bytes(wrong) + make_fatbin((90, "", "sass"))))
    assert code.damaged
    assert "sm_90" in names(code)


@given(st.binary(max_size=400))
def test_bytes_of_any_kind_do_not_raise(data: bytes) -> None:
    reader.read(data)
    reader.read(b"\x7fELF\x02\x01" + data)
    reader.read(make_library(data))
    reader.read(make_library(make_fatbin((80, "", "sass")) + data))


@given(st.data())
def test_a_library_with_bytes_changed_or_cut_off_does_not_raise(data: st.DataObject) -> None:
    library = bytearray(make_library(make_fatbin((80, "", "sass"), (90, "a", "ptx"))))
    for place in data.draw(st.lists(st.integers(0, len(library) - 1), max_size=8)):
        library[place] = data.draw(st.integers(0, 255))
    reader.read(bytes(library[: data.draw(st.integers(0, len(library)))]))


@given(
    st.lists(
        st.lists(
            st.tuples(st.integers(10, 999), st.sampled_from("af") | st.just(""), st.sampled_from(["sass", "ptx"])),
            min_size=1,
            max_size=5,
        ),
        max_size=5,
    )
)
def test_whatever_was_put_in_is_read_back(fatbins: list[list[tuple[int, str, str]]]) -> None:
    code = reader.read(make_library(b"".join(make_fatbin(*targets) for targets in fatbins)))
    assert code.total == len(fatbins)
    assert not code.damaged
    assert set(code.counts()) == {reader.Target(*target) for targets in fatbins for target in targets}


# --- compiled here


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., bytes]:
    """Compiles a library with nvcc."""
    if NVCC is None:
        pytest.skip("there is no nvcc here")
    listed = subprocess.run([NVCC, "--list-gpu-code"], capture_output=True, text=True, check=False).stdout.split()
    folder = tmp_path_factory.mktemp("cuda")
    (folder / "kernel.cu").write_text(KERNEL)

    def compile_it(*options: str) -> bytes:
        wanted = {word.strip("[]") for option in options for word in re.split("[=,]", option)}
        missing = {name for name in wanted if name.startswith("sm_") and name.rstrip("af") not in listed}
        if missing:
            pytest.skip(f"this nvcc has no {', '.join(sorted(missing))}")
        argv = [str(NVCC), "-shared", "-cudart=none", "-Xcompiler=-fPIC", "-o", "out.so", "kernel.cu", *options]
        done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return (folder / "out.so").read_bytes()

    return compile_it


@pytest.mark.parametrize("compression", ["default", "size", "none"])
@pytest.mark.process
def test_lists_exactly_what_nvcc_compiled_for(compiled: Callable[..., bytes], compression: str) -> None:
    options = ["-gencode=arch=compute_110,code=sm_110", "-gencode=arch=compute_121,code=sm_121"]
    code = reader.read(compiled(*options, f"--compress-mode={compression}"))
    assert names(code) == ["sm_110", "sm_121"]


@pytest.mark.process
def test_lists_ptx_alone(compiled: Callable[..., bytes]) -> None:
    assert names(reader.read(compiled("-gencode=arch=compute_90,code=compute_90"))) == ["compute_90"]


@pytest.mark.parametrize("name", ["90a", "100f", "120a", "121f"])
@pytest.mark.process
def test_reads_the_suffix_of_machine_code_and_ptx(compiled: Callable[..., bytes], name: str) -> None:
    code = reader.read(compiled(f"-gencode=arch=compute_{name},code=[sm_{name},compute_{name}]"))
    assert names(code) == [f"compute_{name}", f"sm_{name}"]


@pytest.mark.process
def test_what_was_linked_counts_not_its_parts(compiled: Callable[..., bytes]) -> None:
    assert names(reader.read(compiled("-rdc=true", "-gencode=arch=compute_90,code=sm_90"))) == ["sm_90"]
