"""What the output of a build says. The texts are what the tools printed: those of this machine's compilers, or of the public record."""

from __future__ import annotations

import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.build.log import Diagnosis, progress
from ansible_collections.wavesmith.provision.plugins.module_utils.build.log import diagnose as _diagnose
from hypothesis import given
from hypothesis import strategies as st

from .conftest import known

PIP_TAIL = """\
  error: command '/usr/bin/g++' failed with exit code 1
  error: subprocess-exited-with-error

  Building wheel for voice (pyproject.toml) did not run successfully.
  exit code: 1
  See above for output.

  note: This error originates from a subprocess, and is likely not a problem with pip.
  ERROR: Failed building wheel for voice
ERROR: Failed to build one or more wheels
"""
# gcc 12.2 through pip, the error first, then what follows from it.
FIRST_ERROR = """\
  [7/31] c++ -MMD -c /b/source/cheaptrick.cpp -o cheaptrick.o
  FAILED: cheaptrick.o
  /b/source/cheaptrick.cpp: In function 'void CheapTrick()':
  /b/source/cheaptrick.cpp:12:3: error: 'fft_size' was not declared in this scope; did you mean 'fftsize'?
     12 |   fft_size = 3;
        |   ^~~~~~~~
        |   fftsize
  /b/source/cheaptrick.cpp:19:1: error: expected '}' at end of input
  ninja: build stopped: subcommand failed.
  Traceback (most recent call last):
    File "cpp_extension.py", line 2595, in _run_ninja_build
  subprocess.CalledProcessError: Command '['ninja', '-v', '-j', '2']' returned non-zero exit status 1.
  RuntimeError: Error compiling objects for extension
"""
# pytorch/pytorch issues and flash-attention issue 2051: what an overloaded machine says.
KILLED_NVCC = "[41/85] nvcc -c flash_bwd_hdim256.cu\nnvcc error   : 'cicc' died due to signal 9 (Kill signal)\n"
KILLED_GCC = "c++: fatal error: Killed signal terminated program cc1plus\ncompilation terminated.\n"
KILLED_SETUPTOOLS = "gcc -c a.c\nerror: command '/usr/bin/gcc' failed with exit code -9\n"
KILLED_SHELL = "/bin/sh: line 1: 4711 Killed                  cc1plus -quiet x.cpp\nninja: build stopped: subcommand failed.\nKilled\n"
EXHAUSTED = "virtual memory exhausted: Cannot allocate memory\n"
CC1PLUS = "cc1plus: out of memory allocating 65536 bytes after a total of 2752512 bytes\n"
# pytorch/pytorch issue 172630.
CRASH = """\
/pytorch/aten/src/ATen/native/cpu/Unfold2d.cpp:221:1: internal compiler error: Segmentation fault
  221 | }
0x1b1d6e5 internal_error(char const*, ...)
Please submit a full bug report, with preprocessed source (by using -freport-bug).
"""
# nvcc 13.0 of this machine.
OLD_SM = "nvcc fatal   : Unsupported gpu architecture 'compute_70'\n"
# torch 2.8's cpp_extension on Thor (torch/utils/cpp_extension.py, _get_cuda_arch_flags).
UNKNOWN_ARCH = "ValueError: Unknown CUDA arch (11.0) or GPU not supported\n"
# triton-lang/triton issue 8539.
PTXAS = "ptxas fatal   : Value 'sm_121a' is not defined for option 'gpu-name'\n"
# gcc 12.2 of this machine, x86_64.
MARCH = "cc1: error: bad value ('armv9-a') for '-march=' switch\n"
HEADER = 'pyworld/pyworld.cpp:12:10: fatal error: Python.h: No such file or directory\n   12 | #include "Python.h"\ncompilation terminated.\n'
CUSPARSE = "torch/include/ATen/cuda/CUDAContextLight.h:7:10: fatal error: cusparse.h: No such file or directory\n"
NO_CUDA = "OSError: CUDA_HOME environment variable is not set. Please set it to your CUDA install root.\n"
NO_CMAKE_CUDA = "CMake Error at CMakeLists.txt:3 (project):\n  No CMAKE_CUDA_COMPILER could be found.\n"
NO_NINJA = "FileNotFoundError: [Errno 2] No such file or directory: 'ninja'\n"
NO_TORCH = "  File \"setup.py\", line 8, in <module>\n    import torch\nModuleNotFoundError: No module named 'torch'\n"
FULL = "{standard input}: Fatal error: can't write 4096 bytes to section .text of a.o: 'No space left on device'\n"
# setup.py of vocos 0.1.0, whose archive lacks the file.
# ld 2.40 and CMake 3.25 of this machine.
FPIC = (
    "/usr/bin/ld: b1.o: warning: relocation against `x' in read-only section `.text'\n"
    "/usr/bin/ld: b1.o: relocation R_X86_64_PC32 against symbol `x' can not be used when making a shared object; recompile with -fPIC\n"
    "/usr/bin/ld: final link failed: bad value\ncollect2: error: ld returned 1 exit status\n"
)
CMAKE_SAYS = "-- Configuring\nCMake Error at CMakeLists.txt:7 (message):\n  only 64-bit machines are\n  supported\n"
CMAKE_TARGET = (
    'CMake Error in src/CMakeLists.txt:\n  Imported target "X::x" includes non-existent path\n\n    "/opt/x/include"\n'
)
UNDEFINED = "/usr/bin/ld: a.cc.o: in function `main':\na.cc:(.text+0x5): undefined reference to `cublasCreate_v2'\ncollect2: error: ld returned 1 exit status\n"
# nvcc 13.0 of this machine.
NO_CUB = 'a.cu(4): error: namespace "cub" has no member "Max"\n1 error detected in the compilation of "a.cu".\n'
NO_FILE = "FileNotFoundError: [Errno 2] No such file or directory: 'requirements.txt'\n"
LINK = "/usr/bin/ld: cannot find -lsndfile: No such file or directory\ncollect2: error: ld returned 1 exit status\n"


def diagnose(text: str, **facts: str) -> Diagnosis:
    return _diagnose(text, known(), facts)


@pytest.mark.parametrize(
    ("text", "kind", "word"),
    [
        (KILLED_NVCC, "memory_exhausted", "for want of memory"),
        (KILLED_GCC, "memory_exhausted", "for want of memory"),
        (KILLED_SETUPTOOLS, "memory_exhausted", "for want of memory"),
        (KILLED_SHELL, "memory_exhausted", "for want of memory"),
        (EXHAUSTED, "memory_exhausted", "for want of memory"),
        (CC1PLUS, "memory_exhausted", "for want of memory"),
        (CRASH, "compiler_crash", "the compiler itself crashed"),
        (OLD_SM, "nvcc_unknown_arch", "compute_70"),
        (UNKNOWN_ARCH, "torch_unknown_arch", "11.0"),
        (PTXAS, "ptxas_unknown_arch", "sm_121a"),
        (MARCH, "gcc_unknown_march", "armv9-a"),
        (HEADER, "python_headers", "headers of Python"),
        (CUSPARSE, "cuda_headers", "cusparse.h"),
        (NO_CUDA, "nvcc_missing", "the CUDA toolkit"),
        (NO_CMAKE_CUDA, "nvcc_missing", "the CUDA toolkit"),
        (NO_NINJA, "ninja_missing", "ninja"),
        (NO_TORCH, "torch_not_at_build", "torch"),
        (FULL, "disk_full", "the disk is full"),
        (FIRST_ERROR, "error", "'fft_size' was not declared"),
        (NO_FILE, "error", "requirements.txt"),
        (FPIC, "error", "recompile with -fPIC"),
        (UNDEFINED, "error", "undefined reference to 'cublasCreate_v2'"),
        (CMAKE_SAYS, "error", "only 64-bit machines are supported"),
        (CMAKE_TARGET, "error", "includes non-existent path"),
        (NO_CUB, "cuda_api_changed", "Max of cub"),
        (LINK, "missing_link_library", "libsndfile.so"),
        ("", "error", "it said nothing"),
    ],
)
def test_a_failure_is_told_by_what_the_tools_printed(text: str, kind: str, word: str) -> None:
    found = diagnose(text + PIP_TAIL if text else text)
    assert (found.kind, word in found.problem) == (kind, True), found
    assert found.remedy


def test_the_lines_shown_begin_at_the_first_error_not_at_the_end() -> None:
    found = diagnose("compiling\n" * 500 + FIRST_ERROR + PIP_TAIL)
    assert any("'fft_size' was not declared" in line for line in found.lines)
    assert len(found.lines) <= 12


def test_a_crash_of_the_compiler_is_no_want_of_memory() -> None:
    assert (
        diagnose("nvcc error   : 'ptxas' died due to signal 11 (Invalid memory reference)\n").kind == "compiler_crash"
    )


@given(st.text())
def test_every_output_has_a_diagnosis(text: str) -> None:
    found = diagnose(text)
    assert found.problem is not None and found.remedy


# How far it is


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("[3/6042] Building CXX object a.o\n[4/6042] Building CXX object b.o\n", (4, 6042, 0)),
        ("[ 37%] Building CXX object a.o\n", (37, 100, 0)),
        (
            "gcc -O2 -Iinclude -c a.c -o a.o\ng++ -shared a.o -o a.so\nx86_64-linux-gnu-g++-12 -c b.cpp -o b.o\n",
            (0, 0, 2),
        ),
        ("  /usr/local/cuda/bin/nvcc -gencode x -c a.cu -o a.o\n", (0, 0, 1)),
        ("copying a.py\nrunning build_ext\n", (0, 0, 0)),
    ],
    ids=["ninja", "make", "setuptools", "nvcc", "nothing yet"],
)
def test_progress_is_read_from_what_the_build_prints(text: str, state: tuple[int, int, int]) -> None:
    assert progress(text) == state


@given(st.text())
def test_progress_never_goes_below_nothing(text: str) -> None:
    assert min(progress(text)) >= 0
