"""What libraries want and who brings it: alternatives, libraries opened by name, drivers, plug-ins, and the remedies."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.audit import elf
from ansible_collections.wavesmith.provision.plugins.module_utils.audit.libraries import (
    Missing,
    Part,
    alternatives,
    backend_of,
    distribution,
    for_backend,
    link,
    of_system,
    opened_from_python,
    remedy,
    spared,
    system_package,
)

from .conftest import make_library

FFMPEG = {4: (56, 58, 3), 5: (57, 59, 4), 6: (58, 60, 4), 7: (59, 61, 5), 8: (60, 62, 6)}
"""Major versions of libavutil, libavcodec and libswresample by FFmpeg's own."""


def ffmpeg(version: int) -> tuple[str, ...]:
    util, codec, resample = FFMPEG[version]
    return (f"libavutil.so.{util}", f"libavcodec.so.{codec}", f"libswresample.so.{resample}")


def torchcodec(*there: int, common: Iterable[str] = ()) -> list[Part]:
    """torchcodec as it is on a host with these versions of FFmpeg; it also needs what nobody has, `common`."""
    parts = []
    for version in FFMPEG:
        missing = () if version in there else ffmpeg(version)
        for name, more in (("core", ()), ("custom_ops", (f"libtorchcodec_core{version}.so",))):
            needed = (*more, *ffmpeg(version), *common, "libtorch.so")
            parts.append(Part(f"torchcodec/libtorchcodec_{name}{version}.so", needed, (*missing, *common)))
    return parts


def torio(*there: int) -> list[Part]:
    """The FFmpeg reader of torchaudio 2.8: one library for each of FFmpeg 4 to 6."""
    return [
        Part(f"torio/lib/libtorio_ffmpeg{version}.so", ffmpeg(version), () if version in there else ffmpeg(version))
        for version in (4, 5, 6)
    ]


CUDA = {
    "118": ("libcudart.so.11.0",),
    "126": ("libcudart.so.12",),
    "128": ("libcudart.so.12",),
    "130": ("libcudart.so.13",),
}


def bitsandbytes(*there: str) -> list[Part]:
    """bitsandbytes where these libraries of CUDA are."""
    found = [Part("bitsandbytes/libbitsandbytes_cpu.so")]
    found += [
        Part(f"bitsandbytes/libbitsandbytes_cuda{version}.so", needed, tuple(set(needed) - set(there)), (), True)
        for version, needed in CUDA.items()
    ]
    amd = ("libhipblas.so.3",)
    found += [Part(f"bitsandbytes/libbitsandbytes_rocm{version}.so", amd, amd) for version in ("64", "72", "715")]
    return found


def texts(parts: list[Part], brought: Iterable[str] = (), backend: str = "") -> list[str]:
    return [item.text for item in link(parts, set(brought), backend).missing]


# --- alternatives


@pytest.mark.parametrize("version", FFMPEG)
def test_one_core_of_torchcodec_for_the_ffmpeg_of_the_host_is_enough(version: int) -> None:
    """test_the_doctor_fails_every_environment_with_torchcodec: the cores of the other FFmpegs never load."""
    linkage = link(torchcodec(version), set())
    assert linkage.missing == ()
    assert set(linkage.taken.values()) == {
        f"torchcodec/libtorchcodec_core{version}.so",
        f"torchcodec/libtorchcodec_custom_ops{version}.so",
    }


def test_of_several_that_load_the_highest_is_taken() -> None:
    assert "torchcodec/libtorchcodec_core7.so" in link(torchcodec(5, 7), set()).taken.values()


def test_without_any_ffmpeg_the_set_is_said_once_with_all_that_would_do() -> None:
    assert texts(torchcodec()) == [
        (
            "none of torchcodec/libtorchcodec_core{4,5,6,7,8}.so can be loaded: each needs a different version of "
            "libavutil, libavcodec, libswresample, and none is installed"
        )
    ]


def test_what_all_alternatives_lack_is_what_is_named() -> None:
    """torchcodec 0.11.1 for aarch64: whichever FFmpeg is there, libnppicc.so.13 is not."""
    said = texts(torchcodec(6, common=["libnppicc.so.13"]))
    assert len(said) == 1
    assert said[0] == "none of torchcodec/libtorchcodec_core{4,5,6,7,8}.so can be loaded: each needs libnppicc.so.13"


@pytest.mark.parametrize("version", [4, 5, 6])
def test_other_packages_with_a_library_for_each_version_are_judged_alike(version: int) -> None:
    linkage = link(torio(version), set())
    assert (linkage.missing, list(linkage.taken.values())) == ((), [f"torio/lib/libtorio_ffmpeg{version}.so"])


def test_plug_ins_that_are_alternatives_may_all_lack_what_they_are_for() -> None:
    linkage = link(torio(), set())
    assert (linkage.missing, linkage.taken) == ((), {})


def test_a_package_nobody_knows_is_recognised_by_the_shape_of_its_libraries() -> None:
    parts = [
        Part("voice/_engine12.abi3.so", ("libtbb.so.12", "libc.so.6")),
        Part("voice/_engine2.abi3.so", ("libtbb.so.2", "libc.so.6"), ("libtbb.so.2",)),
    ]
    (group,) = alternatives(parts)
    assert group.name == "voice/_engine{2,12}.abi3.so"
    assert texts(parts) == []


@pytest.mark.parametrize(
    "parts",
    [
        [Part("a/x1.so", ("libz.so.1",), ("libz.so.1",)), Part("a/x2.so", ("libz.so.1",), ("libz.so.1",))],
        [Part("a/x1.so", ("liba.so.1",), ("liba.so.1",)), Part("b/x2.so", ("liba.so.2",), ("liba.so.2",))],
        [Part("a/libx.so", ("libx1.so",), ("libx1.so",)), Part("a/liby.so", ("libx2.so",), ("libx2.so",))],
    ],
    ids=["the same need", "other folders", "other names"],
)
def test_siblings_that_need_the_same_are_no_alternatives(parts: list[Part]) -> None:
    assert alternatives(parts) == []
    assert len(texts(parts)) == 2


@pytest.mark.parametrize(
    ("backend", "member"),
    [
        ("cuda13_0", "cuda130"),
        ("cuda12_8", "cuda128"),
        ("cuda12_9", "cuda128"),  # the highest older one of the same major version
        ("cuda12_1", "cuda126"),  # else the lowest newer one
        ("cuda13_2", "cuda130"),
        ("cuda14_0", ""),
        ("rocm7_2", "rocm72"),
        ("rocm7_15", "rocm715"),
        ("rocm6_4", "rocm64"),
        ("cpu", "cpu"),
    ],
)
def test_the_library_for_the_cuda_of_the_stack_is_taken_as_bitsandbytes_does(backend: str, member: str) -> None:
    members = ["cpu", *(f"cuda{version}" for version in CUDA), "rocm64", "rocm72", "rocm715"]
    assert for_backend(members, backend) == member


@pytest.mark.parametrize(
    ("backend", "there", "taken"),
    [
        ("cuda13_0", "libcudart.so.13", "cuda130"),
        ("cuda12_8", "libcudart.so.12", "cuda128"),
        ("cuda12_6", "libcudart.so.12", "cuda126"),
        ("cpu", "", "cpu"),
        ("directml", "", "cpu"),
    ],
)
def test_only_the_library_for_the_stacks_cuda_has_to_find_its_own(backend: str, there: str, taken: str) -> None:
    linkage = link(bitsandbytes(there), {there}, backend)
    assert linkage.missing == ()
    assert list(linkage.taken.values()) == [f"bitsandbytes/libbitsandbytes_{taken}.so"]


def test_what_the_library_for_the_stacks_cuda_lacks_is_said() -> None:
    assert texts(bitsandbytes("libcudart.so.12"), backend="cuda13_0") == [
        "bitsandbytes/libbitsandbytes_cuda130.so needs libcudart.so.13"
    ]


def test_a_package_without_a_library_for_the_stacks_cuda_is_said_with_those_it_has() -> None:
    (item,) = link(bitsandbytes("libcudart.so.14"), set(), "cuda14_0").missing
    assert item.text.endswith("has no library for cuda14_0, it has cuda118, cuda126, cuda128, cuda130")
    assert "a release of that package" in remedy([item])


def test_where_the_stack_is_not_known_any_library_that_loads_is_enough() -> None:
    assert texts(bitsandbytes("libcudart.so.12")) == []


def test_a_library_named_after_cuda_alone_is_no_alternative() -> None:
    parts = [Part("torch/lib/libtorch_cuda.so"), Part("torch/lib/libtorch_cpu.so"), Part("torch/lib/libc10_cuda.so")]
    assert alternatives(parts) == []


def test_alternatives_that_are_never_loaded_count_for_nothing_else() -> None:
    never = spared(bitsandbytes(), "cuda13_0")
    assert "bitsandbytes/libbitsandbytes_cuda130.so" not in never
    assert len(never) == len(bitsandbytes()) - 1
    assert spared(bitsandbytes(), "") == set()


# --- opened by name


def opener(*names: str, gpu: bool = True, needed: tuple[str, ...] = ()) -> list[Part]:
    return [Part("ctranslate2.libs/libctranslate2.so.4", needed, (), names, gpu)]


@pytest.mark.parametrize(
    ("opens", "brought", "said"),
    [
        ("libcublas.so.12", "libcublas.so.13", "opens libcublas.so.12 by name, but only libcublas.so.13 is present"),
        ("libcudnn.so.8", "libcudnn.so.9", "opens libcudnn.so.8 by name, but only libcudnn.so.9 is present"),
        ("libcufft.so.11", "libcufft.so.12", "opens libcufft.so.11 by name, but only libcufft.so.12 is present"),
        ("libcublas.so.12", "", "opens libcublas.so.12 by name, and nothing provides it"),
    ],
)
def test_a_library_that_is_opened_by_name_and_will_not_be_found_is_said(opens: str, brought: str, said: str) -> None:
    """test_library_libcublas_so_12_is_not_found_or_cannot_be_loaded: ctranslate2 on a stack of CUDA 13."""
    assert texts(opener(opens), [brought], "cuda13_0") == [f"ctranslate2.libs/libctranslate2.so.4 {said}"]


@pytest.mark.parametrize(
    ("opens", "brought"),
    [
        (("libcublas.so.12",), ("libcublas.so.12",)),
        (("libnppicc.so.12", "libnppicc.so.13"), ("libnppicc.so.13",)),  # it takes either
        (("libnccl.so.2", "libcufile.so.0"), ()),  # opened only when it is asked for
        (("libcudart.so.12",), ("libcudart.so.12", "libcudart.so.13")),
    ],
)
def test_what_is_opened_and_there_or_not_asked_for_is_no_matter(
    opens: tuple[str, ...], brought: tuple[str, ...]
) -> None:
    assert texts(opener(*opens), brought, "cuda13_0") == []


def test_a_version_that_is_linked_is_enough_whatever_else_is_named() -> None:
    """onnxruntime's CUDA provider names libcudart.so.12 and needs libcudart.so.13."""
    parts = opener("libcudart.so.12", needed=("libcudart.so.13",))
    assert texts(parts, ["libcudart.so.13"], "cuda13_0") == []


def test_where_no_gpu_is_used_nothing_of_cuda_is_opened() -> None:
    assert texts(opener("libcublas.so.12"), [], "cpu") == []


def opens_of(path: Path, data: bytes) -> tuple[str, ...]:
    path.write_bytes(data)
    return elf.read_object(path)[1].opens


@pytest.mark.parametrize("name", ["libcublas.so.12", "libcudnn_ops_infer.so.8", "libnvrtc.so.13", "libamdhip64.so.6"])
def test_names_of_libraries_are_read_out_of_the_constants_of_what_can_open_them(tmp_path: Path, name: str) -> None:
    assert opens_of(tmp_path / "x.so", make_library(opens=[name])) == (name,)


def test_names_that_are_needed_anyway_are_not_told_again(tmp_path: Path) -> None:
    data = make_library(
        needed=["libcudart.so.13"], soname="libcublas.so.13", opens=["libcudart.so.13", "libcublas.so.13"]
    )
    assert opens_of(tmp_path / "x.so", data) == ()


@pytest.mark.parametrize(
    "name", ["libmkl_avx2.so.2", "libmpi.so.40", "libcublas.so", "/opt/libcublas.so.12", "xlibcublas.so.12"]
)
def test_names_of_other_libraries_and_parts_of_texts_are_passed_over(tmp_path: Path, name: str) -> None:
    assert opens_of(tmp_path / "x.so", make_library(opens=[name])) == ()


def test_what_cannot_open_libraries_opens_none(tmp_path: Path) -> None:
    data = make_library(opens=["libcublas.so.12"]).replace(b"\0dlopen\0", b"\0dlsym_\0")
    assert opens_of(tmp_path / "x.so", data) == ()


def test_what_python_code_opens_is_in_a_table() -> None:
    assert opened_from_python(["sounddevice", "numpy"]) == [("sounddevice", "libportaudio.so.2")]
    assert opened_from_python(["opuslib"]) == [("opuslib", "libopus.so.0")]
    assert opened_from_python(["numpy", "torch"]) == []


# --- drivers, plug-ins, the system


def test_a_drivers_library_is_told_apart() -> None:
    linkage = link([Part("x/a.so", ("libcuda.so.1",), ("libcuda.so.1",))], set())
    assert (linkage.missing, linkage.driver) == ((), ("libcuda.so.1",))


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("torchcodec/libtorchcodec_heic.so", "libheif.so.1"),
        ("onnxruntime/capi/libonnxruntime_providers_tensorrt.so", "libnvinfer.so.10"),
        ("numba/np/ufunc/tbbpool.cpython-312-x86_64-linux-gnu.so", "libtbb.so.12"),
    ],
)
def test_a_plug_in_may_lack_what_it_is_for(path: str, name: str) -> None:
    linkage = link([Part(path, (name,), (name,))], set())
    assert linkage.missing == ()
    assert len(linkage.optional) == 1


@pytest.mark.parametrize("name", ["libc.so.6", "ld-linux-aarch64.so.1", "ld-linux-x86-64.so.2", "libstdc++.so.6"])
def test_every_host_has_the_c_library_and_the_compilers(name: str) -> None:
    assert of_system(name)


# --- remedies


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("libavcodec.so.60", "apt-get install ffmpeg"),
        ("libportaudio.so.2", "apt-get install libportaudio2"),
        ("libGL.so.1", "apt-get install libgl1"),
        ("libpython3.12.so.1.0", "apt-get install libpython3.12"),
        ("libnppicc.so.13", "nvidia-npp"),
        ("libcublas.so.12", "nvidia-cublas-cu12"),
        ("libcudnn.so.9", "nvidia-cudnn-cu13"),
        ("libc10_cuda.so", "the same origin"),
        ("libamdhip64.so.7", "the same origin"),
        ("libnobodyhas.so.1", "leave out the package"),
    ],
)
def test_the_remedy_is_by_who_brings_the_library(name: str, words: str) -> None:
    assert words in remedy([Missing("a.so", (name,), f"a.so needs {name}")])


def test_who_brings_a_library_is_empty_where_it_is_not_known() -> None:
    assert (system_package("libnobodyhas.so.1"), distribution("libnobodyhas.so.1")) == ("", "")


@pytest.mark.parametrize(
    ("text", "backend"),
    [
        ("cuda: Optional[str] = '13.0'\nhip: Optional[str] = None\n", "cuda13_0"),
        ("cuda = '12.8'\nhip = None\n", "cuda12_8"),
        ("cuda: Optional[str] = None\nhip: Optional[str] = '7.2.53211'\n", "rocm7_2"),
        ("cuda: Optional[str] = None\nhip: Optional[str] = None\n", "cpu"),
    ],
)
def test_what_torch_was_built_for_is_read_without_importing_it(text: str, backend: str) -> None:
    assert backend_of(text) == backend
