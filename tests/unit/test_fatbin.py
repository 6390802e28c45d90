"""The reader of GPU code: what nvcc wrote, what it never would, and rubbish."""

from __future__ import annotations

import mmap
import os
import re
import shutil
import struct
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


# --- byte by byte: what no compiler writes, and what one could


def elf(*parts: tuple[str, int, bytes], size: int = 64, extended: bool = False) -> bytes:
    """An ELF file whose section table stands before its sections (name, kind, content), which end the file."""
    names = b"\0" + b"".join(name.encode() + b"\0" for name, _, _ in parts) + b".shstrtab\0"
    names += bytes(-len(names) % 8)
    count = len(parts) + 2
    at = 64 + count * size
    rows, body = [], names
    row = struct.Struct("<IIQQQQIIQQ")
    first = (count, count - 1) if extended else (0, 0)
    rows.append(row.pack(0, 0, 0, 0, 0, first[0], first[1], 0, 0, 0))
    place = 1
    for name, kind, content in parts:
        rows.append(row.pack(place, kind, 0, 0, at + len(body), len(content), 0, 0, 1, 0))
        place += len(name) + 1
        body += content if kind != 8 else b""
        body += bytes(-len(body) % 8) if name != parts[-1][0] else b""
    rows.append(row.pack(place, 3, 0, 0, at, len(names), 0, 0, 1, 0))
    numbers = (0, 0xFFFF) if extended else (count, count - 1)
    header = b"\x7fELF\x02\x01\x01" + bytes(9)
    header += struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 0, 64, 0, 64, 0, 0, size, *numbers)
    return header + b"".join(one.ljust(size, b"\0") for one in rows) + body


def entry(
    sm: int = 90, *, header: int = 64, kind: int = 2, flags: int = 0, size: int = 16, payload: bytes = b""
) -> bytes:
    """An entry of a fatbin."""
    head = struct.pack("<HHIQ12xI8xQ", kind, 0x101, header, size, sm, flags)[:header].ljust(header, b"\0")
    return head + payload.ljust(size, b"\0")


def fatbin(*entries: bytes, header: int = 16, more: int = 0) -> bytes:
    """A fatbin of entries, which says that it is `more` bytes longer than it is."""
    held = b"".join(entries)
    return struct.pack("<IHHQ", reader.MAGIC, 1, header, len(held) + more).ljust(header, b"\0") + held


def code_of(content: bytes) -> reader.Code:
    return reader.read(elf((reader.LINKED, 1, content)))


@pytest.mark.parametrize("size", [64, 80])
@pytest.mark.parametrize("extended", [False, True])
def test_sections_are_read_by_their_table_wherever_their_number_stands(size: int, extended: bool) -> None:
    data = elf((".one", 1, b"1" * 5), (".none", 8, b"0" * 9), (".note", 7, b"22"), size=size, extended=extended)
    found = {name: data[start:end] for name, start, end in reader.sections(data)}
    names = found.pop(".shstrtab")
    assert found == {".one": b"1" * 5, ".note": b"22"}
    assert names.startswith(b"\0.one\0")


@pytest.mark.parametrize(("place", "value"), [(0, 0x7E), (0, 0x80), (4, 1), (5, 2)])
def test_what_is_no_elf_of_64_bit_has_no_code(place: int, value: int) -> None:
    data = bytearray(make_library(make_fatbin((90, "", "sass"))))
    data[place] = value
    assert reader.read(bytes(data)) == reader.Code()


@pytest.mark.parametrize(("place", "value"), [(0x28, 0), (0x3A, 47)])
def test_a_file_without_a_section_table_has_no_sections(place: int, value: int) -> None:
    data = bytearray(elf((".one", 1, b"1")))
    data[place] = value
    assert list(reader.sections(bytes(data))) == []


def test_a_table_that_says_it_is_longer_than_the_file_is_read_as_far_as_it_goes() -> None:
    data = bytearray(make_library(make_fatbin((90, "", "sass"))))
    data[0x3C:0x3E] = (60_000).to_bytes(2, "little")
    assert names(reader.read(bytes(data))) == ["sm_90"]


def test_a_name_is_its_first_64_bytes_and_may_be_outside_of_the_file() -> None:
    data = bytearray(elf(("x" * 70, 1, b"1")))
    assert "x" * 64 in [name for name, _, _ in reader.sections(bytes(data))]
    data[64 + 64 : 64 + 68] = (2**31).to_bytes(4, "little")
    assert sorted(name for name, _, _ in reader.sections(bytes(data))) == ["", ".shstrtab"]


@pytest.mark.parametrize(
    ("offset", "length", "found"),
    [(0, 10, (-3, 0)), (0, 2**40, (-3, 0)), (3, 1, None), (4, 1, None), (-3, 0, (-3, -3))],
)
def test_a_section_ends_with_the_file(offset: int, length: int, found: tuple[int, int] | None) -> None:
    data = bytearray(elf((".cut", 1, b"123")))
    start = len(data) - 3
    data[128 + 24 : 128 + 40] = struct.pack("<QQ", start + offset + (3 if offset < 0 else 0), length)
    places = {name: (at - len(data), end - len(data)) for name, at, end in reader.sections(bytes(data))}
    assert places.get(".cut") == found


def test_sections_that_overlap_are_read_until_they_are_more_than_the_file() -> None:
    data = bytearray(elf((".all", 1, b""), (".empty", 1, b""), (".one", 1, b"")))
    for number, length in ((1, len(data)), (2, 0), (3, 1)):
        data[64 + number * 64 + 24 : 64 + number * 64 + 40] = struct.pack("<QQ", 0, length)
    assert [name for name, _, _ in reader.sections(bytes(data))] == [".all", ".empty"]


def test_what_lies_inside_code_is_no_fatbin() -> None:
    inner = fatbin(entry(70))
    for size in (len(inner), len(inner) + 1, len(inner) + 5, len(inner) + 7):
        outer = fatbin(entry(90, size=size, payload=inner.rjust(size, b"\1")))
        assert names(code_of(outer)) == ["sm_90"]
        code = code_of(outer + bytes(-len(outer) % 8) + fatbin(entry(80)))
        assert (names(code), code.total, code.damaged) == (["sm_80", "sm_90"], 2, False)


@pytest.mark.parametrize("filler", [b"\0" * 8, b"\xff" * 8, b"\x50\xed\x55\0" * 2])
def test_what_is_no_fatbin_is_passed_over(filler: bytes) -> None:
    code = code_of(filler + fatbin(entry(80)) + filler + fatbin(entry(90)) + filler)
    assert (names(code), code.total, code.damaged) == (["sm_80", "sm_90"], 2, False)


def test_a_longer_header_is_skipped_and_a_shorter_one_is_damage_that_hides_nothing() -> None:
    code = code_of(fatbin(entry(80), header=24) + fatbin(entry(90)))
    assert (names(code), code.damaged) == (["sm_80", "sm_90"], False)
    short = bytearray(fatbin(entry(80)))
    short[6:8] = (15).to_bytes(2, "little")
    code = code_of(bytes(short) + fatbin(entry(90)))
    assert (names(code), code.damaged) == (["sm_90"], True)


def test_what_a_damaged_fatbin_says_of_its_length_hides_no_other() -> None:
    code = code_of(fatbin(entry(80, header=31), bytes(1), fatbin(entry(90))))
    assert (names(code), code.damaged) == (["sm_90"], True)


@pytest.mark.parametrize("length", [4, 8, 15])
def test_the_beginning_of_a_fatbin_at_the_end_is_none(length: int) -> None:
    assert code_of(fatbin(entry(90))[:length]) == reader.Code()
    assert names(code_of(fatbin(entry(80)) + fatbin(entry(90))[:length])) == ["sm_80"]


def test_a_fatbin_that_says_it_is_longer_than_its_section_is_damaged() -> None:
    code = code_of(fatbin(entry(90), more=8))
    assert (names(code), code.damaged) == (["sm_90"], True)
    assert not code_of(fatbin(entry(90))).damaged


@pytest.mark.parametrize(
    ("rest", "damaged"), [(bytes(40), False), (b"\1" * 40, True), (bytes(47), False), (bytes(48), True)]
)
def test_after_the_last_entry_there_may_be_zeros_only(rest: bytes, damaged: bool) -> None:
    code = code_of(fatbin(entry(90), rest))
    assert (names(code), code.damaged) == (["sm_90"], damaged)


@pytest.mark.parametrize(
    ("header", "found", "damaged"),
    [(31, [], True), (32, ["sm_90"], False), (47, ["sm_90"], False), (48, ["sm_90a"], False), (64, ["sm_90a"], False)],
)
def test_the_suffix_is_read_where_the_header_of_an_entry_is_long_enough(
    header: int, found: list[str], damaged: bool
) -> None:
    flags = b"\0\0\x10\0" * 8
    code = code_of(fatbin(entry(90, header=header, flags=reader.ARCHITECTURE_SPECIFIC, size=32, payload=flags)))
    assert (names(code), code.damaged) == (found, damaged)


def test_an_entry_without_content_may_be_the_last() -> None:
    code = code_of(fatbin(entry(80), entry(90, header=48, size=0)))
    assert (names(code), code.damaged) == (["sm_80", "sm_90"], False)


@pytest.mark.parametrize("more", [1, 16, 2**40])
def test_an_entry_that_is_longer_than_its_fatbin_is_damage_and_no_target(more: int) -> None:
    broken = bytearray(entry(90))
    broken[8:16] = (16 + more).to_bytes(8, "little")
    code = code_of(fatbin(entry(80), bytes(broken)))
    assert (names(code), code.damaged) == (["sm_80"], True)


@pytest.mark.parametrize(("sm", "known"), [(9, False), (10, True), (999, True), (1000, False), (1001, False)])
def test_a_number_that_no_gpu_has_is_no_target(sm: int, known: bool) -> None:
    assert [target.sm for target in code_of(fatbin(entry(sm), entry(90))).counts()] == sorted(
        [90, *([sm] if known else [])]
    )


def test_the_same_entries_under_many_headers_are_damage_and_end_soon() -> None:
    many = 600
    entries = [entry(90, header=48, size=0)] * many
    length = 16 * many + 48 * many
    heads = [struct.pack("<IHHQ", reader.MAGIC, 1, 16 * (many - number), length) for number in range(many)]
    code = code_of(b"".join([*heads, *entries]))
    assert code.damaged
    assert code.total < 10


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
