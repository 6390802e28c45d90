"""Archives that did not build: which one, that it has no wheel for this Python, why, and what to override. The lines are like uv's (0.13.8)."""

from __future__ import annotations

import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.failures.base import Base
from ansible_collections.wavesmith.provision.plugins.module_utils.host.job import Failed
from ansible_collections.wavesmith.provision.plugins.module_utils.host.tools import explain
from ansible_collections.wavesmith.provision.plugins.module_utils.host.unbuilt import explain as words
from ansible_collections.wavesmith.provision.plugins.plugin_utils.catalog_files import failures


def printed(package: str, *lines: str, python: str = "3.12", hint: str = "") -> str:
    """What uv prints where a build backend fails with these lines."""
    place = f"/opt/wavesmith/cache/uv/builds-v0/.tmpAbCdEf/lib/python{python}/site-packages/setuptools/build_meta.py"
    trace = [
        "Traceback (most recent call last):",
        f'  File "{place}", line 317, in run_setup',
        "    exec(code, locals())",
    ]
    head = [f"error: Failed to build `{package}`", "  cause: The build backend returned an error"]
    head += [
        "  cause: Call to `setuptools.build_meta:__legacy__.build_wheel` failed (exit status: 1)",
        "",
        "         [stderr]",
    ]
    return "\n".join([*head, *(f"         {line}" for line in [*trace, *lines]), "", hint])


def said(text: str) -> str:
    error = Failed("uv pip install ended with 1", text.splitlines())
    return str(explain(error, "environment speech", Base(failures())))


GONE = [
    (
        "numpy==1.25.2",
        "ModuleNotFoundError: No module named 'distutils'",
        "Python has no distutils any more: ",
    ),
    (
        "av==8.0.3",
        "ModuleNotFoundError: No module named 'distutils.msvccompiler'",
        "Python has no distutils any more: ",
    ),
    (
        "oldvoice==1.0",
        "AttributeError: module 'pkgutil' has no attribute 'ImpImporter'. Did you mean: 'zipimporter'?",
        "setuptools or pip is too old for this Python: ",
    ),
    (
        "pyworld==0.2.8",
        "AttributeError: module 'configparser' has no attribute 'SafeConfigParser'",
        "Python dropped something that the source uses: SafeConfigParser is no part of Python any more (of 3.12)",
    ),
    ("tones==0.9", "ModuleNotFoundError: No module named 'imp'", "setuptools or pip is too old for this Python: "),
    (
        "mel==2.0",
        "ModuleNotFoundError: No module named 'numpy.distutils'",
        "numpy has no distutils of its own any more: ",
    ),
]
PYTHONS = [
    (
        "llvmlite==0.36.0",
        "RuntimeError: Cannot install on Python version 3.12.1; only versions >=3.6,<3.10 are supported.",
        ">=3.6,<3.10",
    ),
    ("pitchy==1.2", "RuntimeError: pitchy requires Python <3.12", "<3.12"),
    ("voicebox==0.3", "SystemExit: error: voicebox requires Python '>=3.7,<3.11'", "3.11"),
]
COMPILED = [
    ("kenlm==0.1", "python/kenlm.cpp:11275:47: error: 'PyLongObject' has no member named 'ob_digit'"),
    ("fastpitch==1.0", "src/f.c:10: error: 'PyThreadState' has no member named 'curexc_type'; did you mean 'x'?"),
    ("codec==3.0", "codec.c:7:3: error: 'PyThreadState {aka struct _ts}' has no member named 'use_tracing'"),
]


@pytest.mark.parametrize(("package", "line", "why"), GONE)
def test_what_a_python_took_away_is_named_with_the_package(package: str, line: str, why: str) -> None:
    name, _, version = package.partition("==")
    found = said(printed(package, line, hint="hint: `distutils` was removed from the standard library in Python 3.12."))
    assert found.startswith(
        f"environment speech: {name} {version} has no wheel for Python 3.12, and its source archive does not build: {why}"
    )
    assert f"Remedy: override {name} with a release that has a wheel, or set wavesmith_python" in found


@pytest.mark.parametrize(("package", "line", "span"), PYTHONS)
def test_a_release_that_refuses_this_python_is_told_with_those_it_takes(package: str, line: str, span: str) -> None:
    found = said(printed(package, line))
    assert "the package does not support this Python: " in found and span in found and "wavesmith_python" in found


@pytest.mark.parametrize(("package", "line"), COMPILED)
def test_code_that_was_generated_for_an_older_python_is_told(package: str, line: str) -> None:
    assert "the C code was generated for an older Python: " in said(
        printed(package, line, "error: command '/usr/bin/gcc' failed")
    )


@pytest.mark.parametrize(
    ("lines", "why", "remedy"),
    [
        (["ModuleNotFoundError: No module named 'pkg_resources'"], "setuptools has no pkg_resources any more", "setuptools<82"),
        (["CMake Error at CMakeLists.txt:5 (cmake_minimum_required):", "  Compatibility with CMake < 3.5 has been removed from CMake.", "subprocess.CalledProcessError: Command '['cmake', '..']' returned non-zero exit status 1."], "CMake 4 refuses what was written for CMake before 3.5", "CMAKE_POLICY_VERSION_MINIMUM=3.5"),
        (["Error compiling Cython file:", "voice.pyx:3:9: undeclared name not builtin: long"], "written for Cython before 3", "cython<3"),
        (["ModuleNotFoundError: No module named 'torch'"], "the build imports torch", "recipe"),
        (["ModuleNotFoundError: No module named 'numpy'"], "numpy is imported", "build requirements"),
        (["ModuleNotFoundError: No module named 'Cython'"], "Cython is imported", "build requirements"),
        (["src/a.c:29:10: fatal error: portaudio.h: No such file or directory"], "the header portaudio.h is not on this host", "apt-get install -y portaudio19-dev"),
        (["fatal error: sndfile.h: No such file or directory"], "the header sndfile.h", "apt-get install -y libsndfile1-dev"),
        (["error: command 'gcc' failed: No such file or directory"], "gcc is asked for", "apt-get install"),
        (["FileNotFoundError: [Errno 2] No such file or directory: 'cmake'"], "the build runs cmake", "install it on the host"),
        (["/bin/sh: 1: swig: not found"], "the build runs swig", "install it"),
        (["error: can't find Rust compiler"], "there is no Rust compiler", "override voice"),
        (["OSError: CUDA_HOME environment variable is not set."], "the CUDA toolkit is not found", "CUDA_HOME"),
        (["  [6] Could not resolve hostname (Could not resolve host: index.crates.example)"], "fetches from index.crates.example", "reach it"),
        (["fatal: unable to access 'x': Could not resolve host: git.example.org"], "fetches from git.example.org", "reach it"),
        (["error in oldie setup command: use_2to3 is invalid."], "use_2to3", "override voice"),
        (["AttributeError: 'dict' object has no attribute '__NUMPY_SETUP__'"], "AttributeError: 'dict' object", "wavesmith_python"),
        (["voice.c:1:1: error: unknown type name 'wave'", "error: command '/usr/bin/gcc' failed with exit code 1"], "unknown type name 'wave'", "recipe"),
        (["it just stopped"], "the lines below say why", "recipe"),
    ],
)  # fmt: skip
def test_each_kind_of_failure_has_its_cause_and_its_remedy(lines: list[str], why: str, remedy: str) -> None:
    problem, _, way = said(printed("voice==1.0", *lines)).partition(". Remedy: ")
    assert why in problem and remedy in way and "voice 1.0 has no wheel for Python 3.12" in problem


def test_a_repository_that_does_not_build_has_no_wheel_to_speak_of() -> None:
    found = said(printed("tool @ file:///opt/wavesmith/state/x/tool", "ModuleNotFoundError: No module named 'torch'"))
    assert "environment speech: tool does not build: the build imports torch" in found


def test_another_python_is_named_as_the_lines_name_it() -> None:
    assert "no wheel for Python 3.14" in said(printed("a==1", "No module named 'cgi'", python="3.14"))
    assert words(["error: Failed to build `a==1`", "ValueError: no"]) == (
        "a 1 has no wheel for this Python, and its source archive does not build: ValueError: no",
        "override a with a release that has a wheel, or set wavesmith_python to a Python that this release was made for, or add a recipe (docs/recipes.md)",
    )


def test_pips_words_are_understood_as_well() -> None:
    assert words(["ERROR: Failed building wheel for a", "Failed to build a"]) is None
    assert words(["  Failed to build `a==1`"]) is not None


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("  cause: No space left on device (os error 28)", "the disk is full"),
        ("  cause: Failed to fetch: http://index/x\n  cause: dns error", "the package index does not answer"),
        ("  cause: Hash mismatch for `voice==1.0`", "is not the one that its lock (or the index) names"),
    ],
)
def test_what_is_no_fault_of_the_archive_is_not_blamed_on_it(line: str, message: str) -> None:
    found = said(f"error: Failed to build `voice==1.0`\n{line}")
    assert message in found and "voice 1.0 has no wheel" not in found


def test_build_requirements_that_cannot_be_had_are_told() -> None:
    lines = [
        "error: Failed to build `voice==1.0`",
        "  cause: Failed to resolve requirements from `build-system.requires`",
    ]
    found = said(
        "\n".join([*lines, "  cause: No solution found when resolving: `setuptools==59.2.0`, `nothing-there`"])
    )
    assert "voice 1.0" in found and "what its build requires (build-system.requires) cannot be had" in found


def test_a_known_cause_is_told_with_the_archive_and_both_ways_out() -> None:
    found = said(printed("voice==1.0", "ModuleNotFoundError: No module named 'pkg_resources'"))
    problem, _, way = found.partition(". Remedy: ")
    assert "voice 1.0 has no wheel for Python 3.12, and its source archive does not build: " in problem
    assert "override voice with a release that has a wheel" in way and "; else " in way and "setuptools<82" in way


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["ModuleNotFoundError: No module named 'numpy.distutils'"], ["numpy has no distutils", "numpy<2"]),
        (["AttributeError: module 'configparser' has no attribute 'SafeConfigParser'"], ["SafeConfigParser", "wavesmith_python"]),
        (["ModuleNotFoundError: No module named 'cgi'"], ["cgi is no part of Python any more", "standard-cgi"]),
        (["RuntimeError: pitchy requires Python <3.12"], ["is for Python <3.12", "wavesmith_python"]),
        ([COMPILED[0][1], "error: command '/usr/bin/gcc' failed with exit code 1"], ["ob_digit", "wavesmith_python"]),
        (["OSError: CUDA_HOME environment variable is not set."], ["the CUDA toolkit is not found", "CUDA_HOME=/usr/local/cuda"]),
        (["fatal: unable to access 'x': Could not resolve host: git.example.org"], ["its build fetches from git.example.org", "let the host reach it"]),
        (["  [6] Could not resolve hostname (Could not resolve host: index.crates.example)"], ["its build fetches from index.crates.example"]),
    ],
)  # fmt: skip
def test_what_is_known_of_failures_knows_the_causes_of_archives(lines: list[str], words: list[str]) -> None:
    found = said(printed("voice==1.0", *lines))
    assert found.startswith("environment speech: voice 1.0 has no wheel for Python 3.12")
    assert [word for word in words if word not in found] == [], found
