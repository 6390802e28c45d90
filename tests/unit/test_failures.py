"""The known failures: each is recognised by its examples, nothing else is, and what is said of it fits the machine."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleError
from ansible_collections.wavesmith.provision.plugins.module_utils.failures import say, text
from ansible_collections.wavesmith.provision.plugins.module_utils.failures.base import (
    NOTHING,
    RANKS,
    Base,
    compiled,
    names_in,
)
from ansible_collections.wavesmith.provision.plugins.module_utils.failures.match import Found, recognise
from ansible_collections.wavesmith.provision.plugins.module_utils.failures.probes import PROBES
from ansible_collections.wavesmith.provision.plugins.plugin_utils import catalog_files
from hypothesis import given
from hypothesis import strategies as st

from .conftest import known

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "catalog" / "failures").glob("*.yml"))
ENTRIES: dict[str, dict[str, Any]] = {path.stem: yaml.safe_load(path.read_text()) for path in FILES}
TEXTS = Path(__file__).parent / "failures"
DOCUMENT = ROOT / "docs" / "failures.md"
MACHINES = ("metal", "wsl2", "container", "jetson")


def found(said: str, **facts: str) -> list[Found]:
    return recognise(said, known(), facts)


def ids(said: str) -> list[str]:
    return [item.id for item in found(said)]


# The entries


def test_there_are_many() -> None:
    assert len(ENTRIES) >= 80


@pytest.mark.parametrize("name", ENTRIES)
class TestEveryEntry:
    def test_is_told_first_of_each_of_its_examples(self, name: str) -> None:
        assert [ids(example)[:1] for example in ENTRIES[name]["examples"]] == [[name]] * len(ENTRIES[name]["examples"])

    def test_is_not_seen_in_its_counter_examples(self, name: str) -> None:
        assert not [example for example in ENTRIES[name]["counter_examples"] if name in ids(example)]

    def test_has_a_value_for_every_name_on_every_machine(self, name: str) -> None:
        for example in ENTRIES[name]["examples"]:
            for machine in MACHINES:
                answer = next(item for item in found(example, machine=machine) if item.id == name).answer
                assert not names_in(answer.cause + answer.remedy + answer.command), answer

    def test_has_patterns_that_python_3_9_compiles(self, name: str) -> None:
        for pattern in catalog_files.patterns(catalog_files.failure(ENTRIES[name])):
            compiled(pattern)
            assert not re.search(r"\(\?>|[*+?}]\+", pattern), f"{pattern}: Python 3.11 and newer only"

    def test_reads_as_sentences(self, name: str) -> None:
        entry = ENTRIES[name]
        assert entry["title"] == entry["title"].rstrip(".") and entry["cause"].rstrip().endswith(".")
        assert all(not remedy["remedy"].rstrip().endswith(".") for remedy in [entry, *entry.get("instead", [])])


def test_what_explains_others_is_at_least_as_bad() -> None:
    worse = {
        (name, other)
        for name, entry in ENTRIES.items()
        for other in entry.get("explains", [])
        if RANKS.index(entry["severity"]) > RANKS.index(ENTRIES[other]["severity"]) and not ENTRIES[other].get("echo")
    }
    # Where the GPU is not used the CPU is, and the library that was missing is named by both.
    assert worse <= {("onnxruntime_fallback", "library_missing"), ("hub_xet", "hub_unreachable")}


def test_the_document_lists_them_all() -> None:
    made = document()
    if os.environ.get("WAVESMITH_WRITE_DOCS"):
        DOCUMENT.write_text(made)
    assert DOCUMENT.read_text() == made, "WAVESMITH_WRITE_DOCS=1 writes it anew"


def document() -> str:
    """docs/failures.md: what is said by hand up to the table, and the table."""
    head = DOCUMENT.read_text().partition("| failure |")[0]
    rows = ["| failure | severity | what fixes it | source |", "| --- | --- | --- | --- |"]
    for name, entry in ENTRIES.items():
        links = " ".join(f"[{number}]({url})" for number, url in enumerate(entry["source"], 1))
        remedy = re.sub(r"\s+", " ", entry["remedy"]).strip().replace("|", "\\|").replace("<", "&lt;")
        rows.append(f"| {entry['title']} (`{name}`) | {entry['severity']} | {remedy} | {links} |")
    return head + "\n".join(rows) + "\n"


def test_the_probes_that_entries_name_are_there() -> None:
    schema = json.loads((ROOT / "catalog" / "schema" / "failure.json").read_text())
    assert sorted(PROBES) == schema["properties"]["probe"]["properties"]["name"]["enum"]
    assert {entry["probe"]["name"] for entry in ENTRIES.values() if "probe" in entry} <= set(PROBES)


# What tools print


GLIBC = "ImportError: /lib/libstdc++.so.6: version `GLIBCXX_3.4.32' not found (required by /x/libtorch.so)\n"
MISMATCH = "The detected CUDA version (11.8) mismatches the version that was used to compile PyTorch (12.4)."


@pytest.mark.parametrize(
    "said",
    [
        "\x1b[31mModuleNotFoundError\x1b[0m: No module named \x1b[1m'pkg_resources'\x1b[0m\n",
        "  │ Traceback (most recent call last):\r\n  │ ModuleNotFoundError: No module named 'pkg_resources'\r\n",
        "  ╰─▶ ModuleNotFoundError: No module named 'pkg_resources'\n",
        "#12 34.56 ModuleNotFoundError: No module named 'pkg_resources'\n",
        "2026-05-01T10:00:00.1234567Z ModuleNotFoundError: No module named 'pkg_resources'\n",
        "builder-1  | ModuleNotFoundError: No module named 'pkg_resources'\n",
        "E   ModuleNotFoundError: No module named 'pkg_resources'\n",
        "> ModuleNotFoundError: No module named ‘pkg_resources’\n",
        "│ ModuleNotFoundError: No module named           │\n│ 'pkg_resources'                                │\n",
    ],
    ids=["colours", "bars and CRLF", "arrow", "docker", "runner", "compose", "pytest", "quoted", "wrapped box"],
)
def test_a_message_is_seen_through_what_surrounds_it(said: str) -> None:
    assert ids(said) == ["pkg_resources_gone"]


@pytest.mark.parametrize(
    "said",
    [
        "a.c:1:10: schwerwiegender Fehler: sndfile.h: Datei oder Verzeichnis nicht gefunden\n",
        "a.c:1:10: erreur fatale: sndfile.h : Aucun fichier ou dossier de ce type\n",
        "a.c:1:10: error fatal: sndfile.h: No existe el archivo o el directorio\n",
        "a.c:1:10: 致命错误：sndfile.h：没有那个文件或目录\n",
    ],
)
def test_a_message_is_understood_in_other_languages(said: str) -> None:
    (item,) = found(said)
    assert (item.id, item.captures["header"], item.answer.command) == (
        "missing_header",
        "sndfile.h",
        "apt-get install -y libsndfile1-dev",
    )


@pytest.mark.parametrize(
    "said", [MISMATCH, MISMATCH.replace(" PyTorch", "\n  PyTorch"), "RuntimeError:\n  " + MISMATCH]
)
def test_a_reason_may_begin_or_go_on_on_the_next_line(said: str) -> None:
    (item,) = found(said + "\n")
    assert (item.captures["toolkit"], item.captures["torch"]) == ("11.8", "12.4")


@pytest.mark.parametrize(
    "said",
    [
        "If you see CUDA error: no kernel image is available for execution on the device, your wheel is too old.\n",
        "This page is about the message ModuleNotFoundError: no module, and why it happens.\n",
        "The phrase 'No space left on device' means that a disk is full.\n",
        "| `undefined symbol: _ZN3c10ls` | built for another torch | rebuild it |\n",
        "No space left on device errors come from a full disk or too few inodes.\n",
        "How to fix CUDA_HOME environment variable is not set. Please set it to your CUDA install root\n",
        "tests/test_x.py::test_raises_cuda_out_of_memory PASSED\n",
        "We solved Failed to initialize NVML: Driver/library version mismatch by a reboot.\n",
    ],
)
def test_who_tells_of_a_message_does_not_have_the_failure(said: str) -> None:
    assert ids(said) == []


def test_a_message_behind_an_exceptions_name_counts_whoever_pasted_it() -> None:
    assert ids("I get RuntimeError: CUDA error: no kernel image is available for execution on the device\n") == [
        "no_kernel_image"
    ]


@given(st.text())
def test_any_text_can_be_read(said: str) -> None:
    assert all(item.line >= 0 for item in found(said))
    assert text.comparable(text.plain(said)).count("\n") == text.plain(said).count("\n")


def test_nothing_is_found_where_nothing_is_known() -> None:
    assert recognise(GLIBC, NOTHING) == []


def test_a_long_log_is_read_in_seconds() -> None:
    line = "[1/2] /usr/bin/c++ -DX=1 -I/build/aten/src -isystem /x/protobuf/src -O3 -c /src/a/File.cpp -o File.cpp.o\n"
    started = time.process_time()
    assert ids(line * 10000 + GLIBC) == ["glibcxx"]
    assert time.process_time() - started < 8


# The root cause first


CHAINS = {
    "espeak behind an old C++ runtime": (
        "RuntimeError: espeak not installed on your system\n" + GLIBC,
        ["glibcxx", "espeak_missing"],
    ),
    "a wheel that does not build for want of pkg_resources": (
        "  ERROR: Failed building wheel for x\nModuleNotFoundError: No module named 'pkg_resources'\n",
        ["pkg_resources_gone", "package_does_not_build"],
    ),
    "CUDA that fails after the GPU fell off the bus": (
        (
            "RuntimeError: CUDA error: unspecified launch failure\nCUDA kernel errors might be asynchronously reported at some other API call\n"
            "[1.0] NVRM: Xid (PCI:0000:02:00): 79, GPU has fallen off the bus.\n"
        ),
        ["xid", "illegal_memory", "cuda_async"],
    ),
    "cuBLAS after an index out of range": (
        (
            "RuntimeError: CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`\n"
            "a.cu:1: indexSelectLargeIndex: block: [1,0,0], thread: [1,0,0] Assertion `srcIndex < srcSelectDimSize` failed.\n"
        ),
        ["device_assert", "cublas_failed"],
    ),
    "transformers behind torchvision": (
        (
            "RuntimeError: Failed to import transformers.models.auto because of the following error:\n"
            "operator torchvision::nms does not exist\n"
        ),
        ["torchvision_nms", "transformers_lazy"],
    ),
}


@pytest.mark.parametrize(("said", "order"), CHAINS.values(), ids=CHAINS)
def test_the_root_cause_comes_first_and_what_follows_names_it(said: str, order: list[str]) -> None:
    seen = found(said)
    assert [item.id for item in seen] == order
    assert [item.because_of for item in seen] == ["", *[order[0]] * (len(order) - 1)]


def test_two_causes_are_told_the_worse_first() -> None:
    said = "UserWarning: There are no g++ version bounds defined for CUDA version 12.8\nOSError: PortAudio library not found\n"
    assert [(item.id, item.because_of) for item in found(said)] == [
        ("portaudio_missing", ""),
        ("compiler_bounds_unknown", ""),
    ]


def test_what_explains_in_a_circle_is_told_all_the_same() -> None:
    entries = [
        {**catalog_files.failure(ENTRIES["sox_missing"]), "id": one, "patterns": [one], "explains": [other]}
        for one, other in (("aaa", "bbb"), ("bbb", "aaa"))
    ]
    base = Base({"schema": 1, "tables": {}, "failures": entries})  # type: ignore[typeddict-item]
    assert [item.id for item in recognise("aaa\nbbb\n", base)] == ["aaa", "bbb"]


# What is said of it


def remedy(name: str, **facts: str) -> str:
    (item,) = (item for item in found(ENTRIES[name]["examples"][0], **facts) if item.id == name)
    return say.remedy(item.answer)


@pytest.mark.parametrize(
    ("name", "words"),
    {
        "driver_too_old": {"metal": "nvidia-driver-580", "wsl2": "Windows", "container": "machine that runs the container", "jetson": "JetPack"},
        "driver_missing": {"metal": "dkms", "wsl2": "/usr/lib/wsl/lib", "container": "--gpus all", "jetson": "--runtime nvidia"},
        "memory_exhausted": {"metal": "more memory or swap", "wsl2": ".wslconfig", "container": "--memory"},
        "nvcc_missing": {"metal": "CUDA_HOME", "wsl2": "never a Linux driver", "container": "-devel", "jetson": "nvidia-jetpack"},
        "shared_memory": {"metal": "/dev/shm", "container": "--shm-size"},
        "directml": {"metal": "stack cpu", "wsl2": "wsl --update"},
    }.items(),
)  # fmt: skip
def test_the_remedy_is_that_of_the_kind_of_machine(name: str, words: Mapping[str, str]) -> None:
    said = {machine: remedy(name, machine=machine) for machine in words}
    assert [machine for machine, word in words.items() if word not in said[machine]] == [], said
    assert len(set(said.values())) == len(said)


GCC = "/x/crt/host_config.h:143:2: error: #error -- unsupported GNU version! gcc versions later than {} are not supported!\n"
TOO_NEW = (
    "RuntimeError: The current installed version of {} ({}) is greater than the maximum required version by CUDA {}. "
    "Please make sure to use an adequate version of {} (>={}, <{}).\n"
)


@pytest.mark.parametrize(
    ("said", "facts", "words"),
    [
        (GCC.format(12), {}, "gcc 12 and older: install gcc-12 and g++-12"),
        ("nvcc -I/usr/local/cuda-12.8/include\n" + GCC.format(14), {}, "CUDA 12.8 takes gcc 14"),
        (TOO_NEW.format("g++", "14.2.0", "12.4", "g++", "6.0.0", "14.0"), {}, "CUDA 12.4 takes gcc 13"),
        (TOO_NEW.format("g++", "13.3.0", "12.0", "g++", "6.0.0", "13.0"), {}, "CUDA 12.0 takes gcc 12"),
        (TOO_NEW.format("clang++", "19.1", "12.4", "clang++", "7.0", "18.0").split(" Please")[0] + "\n", {}, "CUDA 12.4 takes gcc 13"),
        ("/x/crt/host_config.h:151:2: error: -- unsupported clang version! clang version must be less than 20 and greater than 3.2 .\n", {"cuda": "12.9"}, "CUDA 12.9 takes clang 19"),
    ],
)  # fmt: skip
def test_which_compiler_a_cuda_takes_is_said_and_how_to_choose_it(said: str, facts: dict[str, str], words: str) -> None:
    item = found(said, **facts)[0]
    assert item.id == "host_compiler_too_new" and words in item.answer.remedy, item.answer
    assert all(variable in item.answer.command for variable in ("CC=", "CXX=", "CUDAHOSTCXX="))


@pytest.mark.parametrize(
    ("function", "words"),
    [("cospi", "CUDA 13.0 or newer"), ("sinpif", "CUDA 13.0 or newer"), ("rsqrt", "CUDA 13.2 or newer"), ("rsqrtf", "CUDA 13.2 or newer")],
)  # fmt: skip
def test_which_cuda_goes_with_a_newer_c_library(function: str, words: str) -> None:
    said = (
        f'mathcalls.h(79): error: exception specification is incompatible with that of previous function "{function}"\n'
    )
    (item,) = found(said)
    assert item.id == "glibc_cuda_math" and words in item.answer.remedy


@pytest.mark.parametrize(
    ("module", "package"),
    [("cv2", "opencv-python-headless"), ("yaml", "PyYAML"), ("sklearn.utils", "scikit-learn"), ("numpy", "numpy"), ("MeCab", "mecab-python3")],
)  # fmt: skip
def test_a_module_is_no_distribution(module: str, package: str) -> None:
    (item,) = found(f"ModuleNotFoundError: No module named '{module}'\n")
    assert item.answer.command == f'uv pip install "{package}"'


@pytest.mark.parametrize(
    ("module", "word"),
    [("pkg_resources", "setuptools<82"), ("pkg_resources.extern", "setuptools<82"), ("distutils", "setuptools"), ("distutils.util", "setuptools"), ("imp", "setuptools>=66.1")],
)  # fmt: skip
def test_what_python_or_setuptools_dropped_is_no_package_to_add(module: str, word: str) -> None:
    (item,) = found(f"ModuleNotFoundError: No module named '{module}'\n")
    assert word in item.answer.command and module not in item.answer.command


def test_a_known_name_in_a_sentence_keeps_its_capital() -> None:
    assert say.inline("The disk is full.") == "the disk is full"
    assert [say.inline(f"{word} is old") for word in ("CUDA", "Python", "CMake")] == [
        "CUDA is old",
        "Python is old",
        "CMake is old",
    ]


def test_for_people_it_is_said_with_its_line_cause_and_source() -> None:
    items = [
        say.data(item, True, "glibc 2.36")
        for item in found("fine\n" + GLIBC + "RuntimeError: espeak not installed on your system\n")
    ]
    lines = say.lines(items)
    assert lines[0] == "deadly: The C++ runtime is older than the library needs (glibcxx, line 2)"
    assert "  here     confirmed on this host: glibc 2.36" in lines
    assert lines[-1] == "  line 3: espeak-ng is not found (espeak_missing) follows from it"
    assert say.needs_mending(items) and not say.needs_mending([])


def test_what_was_not_looked_for_is_not_claimed() -> None:
    (item,) = found(GLIBC)
    assert not [line for line in say.lines([say.data(item)]) if line.startswith("  here")]
    assert "  here     not so on this host: it is there" in say.lines([say.data(item, False, "it is there")])
    assert "  here     cannot be told: no file" in say.lines([say.data(item, None, "no file")])


def test_the_cause_to_tell_is_a_deadly_one_that_says_more_than_that_something_failed() -> None:
    first = say.lead(found("ERROR: Failed building wheel for x\n"))
    assert first is None
    cause = say.lead(found("UserWarning: There are no g++ version bounds defined for CUDA version 12.8\n" + GLIBC))
    assert cause is not None and cause.id == "glibcxx"


# One's own


OWN = """\
id: shared_home
title: The home folder is not there
severity: deadly
patterns: ['cannot open home of (?P<user>\\w+)']
cause: "The server of {user}'s home does not answer."
remedy: Mount it again
source: ["https://example.org/homes"]
examples: ["cannot open home of ada\\n"]
counter_examples: ["home of ada\\n"]
"""


def own(folder: Path, said: str, name: str = "shared_home") -> Path:
    path = folder / "failures" / f"{name}.yml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(said)
    return folder


def test_an_entry_of_ones_own_is_known_too(tmp_path: Path) -> None:
    base = Base(catalog_files.failures(overlay=own(tmp_path, OWN)))
    (item,) = recognise("cannot open home of ada\n", base)
    assert item.answer.cause == "The server of ada's home does not answer."
    assert len(base.failures) == len(ENTRIES) + 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("\\w+)'", "\\w+'"), "is no regular expression"),
        (("id: shared_home", "id: other"), "id is 'other'. Remedy: name the file other.yml"),
        (("remedy:", "explains: [nothing_such]\nremedy:"), "there is no failure nothing_such"),
        (("Mount it", "Mount {disk}"), "its texts name {disk}, and no pattern captures it"),
        (("severity: deadly", "severity: bad"), "severity"),
        (("remedy:", "probe: {name: magic}\nremedy:"), "probe.name"),
        (("https://example", "example"), "source.0"),
    ],
)
def test_a_wrong_entry_is_refused_by_its_file_and_place(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    assert change[0] in OWN
    with pytest.raises(AnsibleError, match=re.escape(message)) as error:
        catalog_files.failures(overlay=own(tmp_path, OWN.replace(*change)))
    assert "shared_home.yml" in str(error.value) and "Remedy" in str(error.value)


# Texts of others


VARIANTS: list[dict[str, Any]] = yaml.safe_load((TEXTS / "variants.yml").read_text())
HELD_OUT: list[dict[str, Any]] = yaml.safe_load((TEXTS / "held_out.yml").read_text())
THIRD: list[dict[str, Any]] = yaml.safe_load((TEXTS / "third_search.yml").read_text())
HEALTHY: list[dict[str, Any]] = yaml.safe_load((TEXTS / "healthy.yml").read_text())


@pytest.mark.parametrize("text", [*VARIANTS, *HELD_OUT, *THIRD], ids=lambda text: str(text["tell"]))
def test_what_others_pasted_is_recognised(text: dict[str, Any]) -> None:
    assert ids(text["said"])[:1] == [text["tell"]]


@pytest.mark.parametrize("text", HEALTHY, ids=lambda text: str(text["name"]))
def test_nothing_is_recognised_where_nothing_failed(text: dict[str, Any]) -> None:
    assert sorted(ids(text["said"])) == sorted(text.get("harmless", []))


PRINTED = {
    "bad-inputs.md": ["source_unreachable"],
    "failures.md": ["glibcxx"],
    "guard.md": ["no_solution"],
    "doctor.md": ["rocblas_no_kernels"],
}
"""What documents show in examples of what is printed."""


@pytest.mark.parametrize(
    "path",
    [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"],
    ids=lambda path: path.name,
)
def test_the_documents_are_prose(path: Path) -> None:
    text = path.read_text()
    if path.name == "doctor.md":  # its table has what was printed when an environment was broken
        text = "\n".join(line for line in text.split("\n") if not line.startswith("| "))
    assert ids(text) == PRINTED.get(path.name, [])
