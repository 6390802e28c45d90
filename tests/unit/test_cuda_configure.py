"""FindCUDA of CMake 3, really run with nvcc 13 of the package index: it compiles for the GPU that a recipe names."""

from __future__ import annotations

import os
import shutil
import subprocess
import venv
from pathlib import Path

import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.audit import verdict as audit
from ansible_collections.wavesmith.provision.plugins.module_utils.audit.binaries import inspect
from ansible_collections.wavesmith.provision.plugins.plugin_utils import catalog_files

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.uname().machine != "x86_64" or shutil.which("g++") is None, reason="needs g++ on x86_64"),
]
RECIPE = catalog_files.load().packages["ctranslate2"].recipe
NVCC = ("nvidia-cuda-nvcc==13.0.88", "nvidia-cuda-crt==13.0.88", "nvidia-nvvm==13.0.88", "nvidia-cuda-runtime==13.0.96")
# A project of ours that asks for its GPU as CTranslate2 does; only the lines that our patch needs to find are its own.
PROJECT = """\
cmake_minimum_required(VERSION 3.7)
project(gain CXX)
find_package(CUDA 11.0 REQUIRED)
if(TRUE)
  if(NOT CUDA_ARCH_LIST)
    set(CUDA_ARCH_LIST "Auto")
  elseif(CUDA_ARCH_LIST STREQUAL "Common")
    list(REMOVE_DUPLICATES CUDA_ARCH_LIST)
  endif()

  cuda_select_nvcc_arch_flags(ARCH_FLAGS ${CUDA_ARCH_LIST})
  list(APPEND CUDA_NVCC_FLAGS ${ARCH_FLAGS})
  set(CUDA_HOST_COMPILER ${CMAKE_CXX_COMPILER})

endif()
cuda_add_library(gain SHARED gain.cu)
"""
KERNEL = "__global__ void gain(float *wave, float by) { wave[threadIdx.x] *= by; }\n"


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with CMake and ninja of the recipe's own lock, and nvcc 13."""
    assert RECIPE is not None
    place = tmp_path_factory.mktemp("tools")
    venv.create(place, with_pip=True)
    (place / "lock.txt").write_text(RECIPE.releases[0].build_lock)
    pip = [str(place / "bin/python"), "-m", "pip", "install", "--quiet"]
    for asked in (["--require-hashes", "-r", str(place / "lock.txt")], ["--no-deps", *NVCC]):
        subprocess.run([*pip, *asked], check=True, stdin=subprocess.DEVNULL)
    toolkit = next(place.glob("lib/python3*/site-packages/nvidia/cu13"))
    # The wheels name the libraries for the loader only.
    (toolkit / "lib/libcudart.so").symlink_to("libcudart.so.13")
    (place / "cuda").symlink_to(toolkit)
    return place


def project(folder: Path, patched: bool) -> Path:
    assert RECIPE is not None
    folder.mkdir()
    (folder / "CMakeLists.txt").write_text(PROJECT)
    (folder / "gain.cu").write_text(KERNEL)
    (patch,) = RECIPE.releases[0].patches.values()
    if patched:
        subprocess.run(["patch", "-p1"], input=patch, text=True, cwd=folder, check=True)
    return folder


def configure(tools: Path, source: Path, sm: str) -> subprocess.CompletedProcess[str]:
    argv = [str(tools / "bin/cmake"), f"-S{source}", f"-B{source}/build", "-GNinja", f"-DCUDA_ARCH_LIST={sm}"]
    argv += [f"-DCUDA_TOOLKIT_ROOT_DIR={tools}/cuda", f"-DCMAKE_MAKE_PROGRAM={tools}/bin/ninja"]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("sm", ["11.0", "12.0", "12.1"])
def test_cmake_itself_refuses_a_compute_capability_of_two_digits(tools: Path, tmp_path: Path, sm: str) -> None:
    """test_unknown_cuda_architecture_name: why the patch is there; where this fails it can go."""
    done = configure(tools, project(tmp_path / "project", patched=False), sm)
    assert done.returncode != 0 and f"Unknown CUDA Architecture Name {sm}" in done.stderr


@pytest.mark.parametrize("sm", ["11.0", "12.0", "12.1", "8.6", "9.0"])
def test_with_the_recipes_patch_the_library_holds_code_for_that_one_and_no_other(
    tools: Path, tmp_path: Path, sm: str
) -> None:
    source = project(tmp_path / "project", patched=True)
    done = configure(tools, source, sm)
    assert done.returncode == 0, done.stdout + done.stderr
    subprocess.run([str(tools / "bin/cmake"), "--build", str(source / "build")], check=True, capture_output=True)
    (library,) = inspect(str(next((source / "build").rglob("libgain.so")))).libraries
    assert list(audit.summary([library.code])["sass"]["throughout"]) == [sm.replace(".", "")]


@pytest.mark.parametrize("asked", ["8.0;9.0", "Common", "Ampere"])
def test_what_is_more_than_one_number_is_still_cmakes_own_to_read(tools: Path, tmp_path: Path, asked: str) -> None:
    done = configure(tools, project(tmp_path / "project", patched=True), asked)
    # The names of CMake 3 include what nvcc 13 no longer compiles for, but it reads them.
    assert "Unknown CUDA Architecture" not in done.stderr
