"""Whether the cause of a known failure is on a host, and the command that says it: ``wavesmith doctor --paste``, ``wavesmith-doctor``."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.wavesmith.provision.plugins.module_utils.doctor import registry
from ansible_collections.wavesmith.provision.plugins.module_utils.doctor.cause import explained
from ansible_collections.wavesmith.provision.plugins.module_utils.failures import command, probes
from ansible_collections.wavesmith.provision.plugins.module_utils.failures.probes import Place, examine, facts
from ansible_collections.wavesmith.provision.plugins.module_utils.observe.host import Host
from ansible_collections.wavesmith.provision.plugins.module_utils.records import shape
from ansible_collections.wavesmith.provision.plugins.module_utils.records.failure import FailureBase, Recognised
from ansible_collections.wavesmith.provision.plugins.module_utils.verify import doctor

from wavesmith.cli import main

from .conftest import known

SAMPLES = Path(__file__).parent / "samples"
GLIBCXX = "ImportError: /lib/x86_64-linux-gnu/libstdc++.so.6: version `GLIBCXX_9.9.9' not found (required by /x/libtorch.so)\n"
ESPEAK = "RuntimeError: espeak not installed on your system\n"


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A machine of which nothing is known yet."""
    (tmp_path / "host" / ".commands").mkdir(parents=True)
    return Host(str(tmp_path / "host"))


def put(host: Host, path: str, text: str) -> None:
    place = Path(host.at(path))
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)


def says(host: Host, argv: str, text: str) -> None:
    put(host, f".commands/{argv.replace('/', '_')}.txt", text)


def ask(host: Host, name: str, prefix: str = "", /, **of: str) -> tuple[bool | None, str]:
    seen = probes.PROBES[name](Place(host, prefix), of)
    return seen.here, seen.detail


KINDS = {
    path.parent.name: yaml.safe_load(path.read_text())["expected"].get("kind") for path in SAMPLES.glob("*/machine.yml")
}


@pytest.mark.parametrize(
    "sample", sorted(name for name, kind in KINDS.items() if kind in ("jetson", "wsl2") and "docker" not in name)
)
def test_a_machine_is_told_by_what_remedies_depend_on(sample: str) -> None:
    assert facts(Host(str(SAMPLES / sample)))["machine"] == KINDS[sample]


@pytest.mark.parametrize(
    ("sample", "machine"),
    [("rtx4090", "metal"), ("dgx-spark", "metal"), ("container", "container"), ("jetson-thor-docker", "container")],
)
def test_other_machines_are_bare_metal_or_containers(sample: str, machine: str) -> None:
    assert facts(Host(str(SAMPLES / sample)))["machine"] == machine


def test_a_driver_is_compared_with_the_one_that_is_needed(host: Host) -> None:
    assert ask(host, "driver", minimum="580") == (False, "no NVIDIA driver answers")
    assert ask(host, "driver") == (True, "no NVIDIA driver answers")
    put(host, "/proc/driver/nvidia/version", "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.144.03  Mon\n")
    assert ask(host, "driver", minimum="580") == (True, "driver 550.144.03 is loaded, 580 or newer is needed")
    assert ask(host, "driver", minimum="550")[0] is False
    assert ask(host, "driver") == (False, "driver 550.144.03 is loaded")


def test_the_parts_of_a_driver_are_compared(host: Host) -> None:
    assert ask(host, "driver_parts")[0] is None
    put(host, "/proc/driver/nvidia/version", "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.144.03  Mon\n")
    put(host, "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.570.86.15", "")
    assert ask(host, "driver_parts") == (True, "kernel module 550.144.03, library 570.86.15")
    put(host, "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.550.144.03", "")
    assert ask(host, "driver_parts")[0] is False


def test_a_c_library_is_compared_with_what_is_needed(host: Host) -> None:
    assert ask(host, "glibc", needed="2.38")[0] is None
    says(host, "getconf GNU_LIBC_VERSION", "glibc 2.36\n")
    assert ask(host, "glibc", needed="2.38") == (True, "glibc 2.36; 2.38 is needed")
    assert ask(host, "glibc", needed="2.35")[0] is False
    assert ask(host, "glibc", **{"from": "2.41"}) == (False, "glibc 2.36")


def test_a_symbol_is_looked_for_in_the_library_that_is_there(host: Host) -> None:
    wanted = {"library": "/lib/x86_64-linux-gnu/libstdc++.so.6", "symbol": "GLIBCXX_3.4.32"}
    assert ask(host, "symbol", **wanted)[0] is None
    put(host, "/usr/lib/x86_64-linux-gnu/libstdc++.so.6", "…GLIBCXX_3.4.30…")
    assert ask(host, "symbol", **wanted) == (True, "/usr/lib/x86_64-linux-gnu/libstdc++.so.6 lacks GLIBCXX_3.4.32")
    assert ask(host, "symbol", library="libstdc++.so.6", symbol="GLIBCXX_3.4.30")[0] is False


def test_a_library_is_looked_for_in_the_cache_and_in_the_environment(host: Host) -> None:
    assert ask(host, "library", name="libsndfile.so.1")[0] is None
    says(host, "/sbin/ldconfig -p", "\tlibc.so.6 (libc6,x86-64) => /lib/libc.so.6\n")
    assert ask(host, "library", name="libsndfile.so.1") == (True, "libsndfile.so.1 is nowhere on this host")
    put(host, "/env/lib/python3.12/site-packages/nvidia/cublas/lib/libcublas.so.12", "")
    assert ask(host, "library", "/env", name="libcublas.so.12")[0] is False
    assert ask(host, "library", name="libc.so.6") == (False, "the dynamic linker finds libc.so.6")
    put(host, "/usr/lib/wsl/lib/libcuda.so.1", "")
    assert ask(host, "library", name="libcuda.so.1") == (False, "/usr/lib/wsl/lib/libcuda.so.1 is there")


def test_the_processor_compiler_and_toolkit_are_asked(host: Host) -> None:
    assert (ask(host, "processor", flag="avx2")[0], ask(host, "gcc", maximum="13")[0]) == (None, None)
    put(host, "/proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu sse avx\n")
    assert ask(host, "processor", flag="avx2") == (True, "the CPU lacks avx2")
    assert ask(host, "processor", flag="avx")[0] is False
    says(host, "gcc -dumpfullversion", "14.2.0\n")
    assert ask(host, "gcc", maximum="13") == (True, "gcc is 14.2.0; 13 is the newest it takes")
    assert ask(host, "gcc", maximum="14")[0] is False
    assert ask(host, "toolkit") == (True, "there is no nvcc on PATH")
    says(host, "nvcc --version", "Cuda compilation tools, release 12.9, V12.9.86\n")
    assert ask(host, "toolkit") == (False, "nvcc is of CUDA 12.9")
    assert ask(host, "toolkit", version="13.0") == (True, "nvcc is of CUDA 12.9, torch of CUDA 13.0")


def test_files_devices_variables_and_memory_are_asked(host: Host) -> None:
    assert ask(host, "file", path="/usr/include/python3*/Python.h")[0] is True
    put(host, "/usr/include/python3.12/Python.h", "")
    assert ask(host, "file", path="/usr/include/python3*/Python.h")[0] is False
    assert ask(host, "device", path="/dev/kfd")[0] is None
    put(host, "/dev/kfd", "")
    assert ask(host, "device", path="/dev/kfd") == (False, "this user may use /dev/kfd")
    assert ask(host, "variable", name="HF_TOKEN") == (False, "HF_TOKEN is not set")
    put(host, "/proc/meminfo", "MemTotal: 8388608 kB\nMemAvailable: 1048576 kB\n")
    assert ask(host, "memory", gib="4") == (True, "1.0 GiB of memory are available now")
    assert ask(host, "program", name="ffmpeg")[0] is False
    assert "GiB free" in ask(Host(), "disk", path="/tmp/x")[1]


def test_a_distribution_is_asked_of_the_environment_that_runs_it() -> None:
    here = Host()
    assert ask(here, "distribution", name="pytest")[0] is None
    assert ask(here, "distribution", sys.prefix, name="pytest", **{"from": "9"})[0] is True
    assert ask(here, "distribution", sys.prefix, name="pytest", **{"from": "900"})[0] is False
    assert ask(here, "distribution", sys.prefix, name="pytest", below="900")[0] is True
    assert ask(here, "distribution", sys.prefix, name="pytest", absent="yes")[0] is False
    assert ask(here, "distribution", sys.prefix, name="no-such-thing", absent="yes")[0] is True


def test_a_probe_that_breaks_says_that_it_does_not_know(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> probes.Seen:
        raise OSError("no such device")

    monkeypatch.setitem(probes.PROBES, "symbol", broken)  # type: ignore[arg-type]
    ((_, seen),) = examine(GLIBCXX, known(), Place(host))
    assert (seen.here, seen.detail) == (None, "it could not be looked for: no such device")


def test_nothing_is_asked_of_a_host_that_the_text_is_not_of() -> None:
    assert [(seen.here, seen.detail) for _, seen in examine(GLIBCXX, known(), None)] == [(None, "")]


# The command


def paste(tmp_path: Path, text: str, *more: str) -> list[str]:
    (tmp_path / "said.txt").write_text(text)
    return ["doctor", "--paste", str(tmp_path / "said.txt"), *more]


def test_a_failure_is_told_with_what_is_on_this_machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(paste(tmp_path, ESPEAK + GLIBCXX)) == command.BROKEN
    said = capsys.readouterr().out
    assert "glibcxx, line 2" in said and "(espeak_missing) follows from it" in said
    assert "  here     " in said and "  remedy   " in said and "  command  " in said


@pytest.mark.parametrize(
    ("text", "code", "word"),
    [
        ("UserWarning: There are no g++ version bounds defined for CUDA version 12.8\n", 0, "harmless"),
        (ESPEAK, 1, "deadly"),
        ("all is well\n", 3, "not recognised: none of "),
        ("", 3, "CONTRIBUTING.md says how to add a failure"),
    ],
)
def test_the_exit_code_says_how_bad_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, code: int, word: str
) -> None:
    assert main(paste(tmp_path, text, "--elsewhere")) == code
    assert word in capsys.readouterr().out


def test_of_a_log_that_never_ends_the_end_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "MOST", 1 << 20)
    text = GLIBCXX + "compiling wave.c\n" * 70000 + "ModuleNotFoundError: No module named 'pkg_resources'\n"
    assert main(paste(tmp_path, text, "--elsewhere")) == command.BROKEN
    said = capsys.readouterr()
    assert "only the last 1 MiB" in said.err and "pkg_resources_gone" in said.out and "glibcxx" not in said.out


def test_a_file_that_cannot_be_read_is_refused_with_the_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "--paste", str(tmp_path / "none.txt")]) == command.UNUSABLE
    assert "none.txt cannot be read" in (said := capsys.readouterr().err) and "Remedy" in said
    assert main(paste(tmp_path, "", "--catalog", str(tmp_path))) == command.UNKNOWN


def test_standard_input_is_read_whatever_its_bytes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\xff\xfe " + ESPEAK.encode())))
    assert main(["doctor", "--paste", "-", "--elsewhere", "--json"]) == command.BROKEN
    answer = json.loads(capsys.readouterr().out)
    assert [item["id"] for item in answer["recognised"]] == ["espeak_missing"]
    assert not [shape.problems(item, Recognised) for item in answer["recognised"] if shape.problems(item, Recognised)]


def test_all_that_is_known_can_be_had_as_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--known"]) == 0
    assert json.loads(capsys.readouterr().out) == known().data


def test_what_is_known_is_the_record_that_is_kept() -> None:
    assert shape.problems(known().data, FailureBase) == []


@pytest.fixture
def judged(tmp_path: Path) -> Path:
    """A host's folder with two environments that were judged."""
    for name in ("speech", "second"):
        prefix = tmp_path / "envs" / name / "current"
        (prefix / "bin").mkdir(parents=True)
        (prefix / "bin" / "python").write_text(f'#!/bin/sh\nexec {sys.executable} -IS "$@"\n')
        (prefix / "bin" / "python").chmod(0o755)
        question = {"environment": name, "generation": "g", "prefix": str(prefix), "failures": known().data}
        doctor.install(str(tmp_path), str(prefix), question, doctor.sources({}))
    return tmp_path


def recognised(*argv: str | Path, said: str = GLIBCXX + ESPEAK) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, input=said, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    "program", ["bin/wavesmith-doctor", "bin/wavesmith-doctor speech", "envs/speech/current/bin/wavesmith-doctor"]
)
def test_a_host_has_the_command_without_ansible_or_network(program: str, judged: Path) -> None:
    path, *words = program.split()
    done = recognised(judged / path, *words, "--json", "--paste", "-")
    assert done.returncode == command.BROKEN, done.stderr
    assert [item["id"] for item in json.loads(done.stdout)["recognised"]] == ["glibcxx", "espeak_missing"]
    assert not list(judged.rglob("__pycache__")), "nothing is written into a sealed environment"


def test_the_command_of_a_host_says_what_it_does_not_know_and_all_that_it_knows(judged: Path) -> None:
    done = recognised(judged / "bin/wavesmith-doctor", "--paste=-", said="all is well")
    assert (done.returncode, done.stdout.partition(":")[0]) == (command.UNKNOWN, "not recognised")
    assert json.loads(recognised(judged / "bin/wavesmith-doctor", "--known").stdout) == known().data
    (judged / "envs/second/current/wavesmith/doctor/spec.json").write_text("{}")
    done = recognised(judged / "envs/second/current/bin/wavesmith-doctor", "--paste", "-")
    assert done.returncode == command.UNUSABLE and "lacks" in done.stderr


# The doctor's checks


def result(detail: str, remedy: str = "repair", **evidence: Any) -> Any:
    return {"id": "x", "verdict": "fail", "detail": detail, "remedy": remedy, "evidence": evidence}


def told(given: Any, failure: str = "", **facts: str) -> Any:
    return explained(given, "repair", failure, known(), facts)


@pytest.mark.parametrize(
    ("given", "failure", "remedy"),
    [
        (result("torchaudio: OSError: PortAudio library not found"), "portaudio_missing", "libportaudio2"),
        (
            result(
                "ended by signal 6",
                said=["rocBLAS error: Cannot read /x/TensileLibrary.dat: Illegal seek for GPU arch : gfx900"],
            ),
            "rocblas_no_kernels",
            "another stack",
        ),
        (result("RuntimeError: CUDA error: no kernel image is available for execution on the device"), "no_kernel_image", "code for this GPU"),
        (result("the process was ended by signal 4 (SIGILL)"), "illegal_instruction", "CPU model host"),
        (result("the process was ended by signal 9 (SIGKILL): working"), "memory_exhausted", "more memory"),
    ],
)  # fmt: skip
def test_a_check_that_only_knows_to_repair_gets_the_remedy_of_what_its_words_show(
    given: Any, failure: str, remedy: str
) -> None:
    found = told(given)
    assert found["evidence"]["failure"] == failure and remedy in found["remedy"]


def test_a_check_that_names_its_failure_gets_its_remedy_for_this_machine() -> None:
    named = result("12 MiB are free at /", failure="disk_full")
    assert "wavesmith prune" in told(named)["remedy"]
    assert "engine's disk" in told(named, machine="container")["remedy"]
    usual = told(result("ffmpeg is not on PATH"), "ffmpeg_missing")
    assert (usual["remedy"], usual["evidence"]["failure"]) == (
        "install it (run: apt-get install -y ffmpeg)",
        "ffmpeg_missing",
    )
    other = told(result("OSError: sndfile library not found"), "ffmpeg_missing")
    assert other["evidence"]["failure"] == "sndfile_missing"


def test_a_check_that_names_a_remedy_of_its_own_keeps_it() -> None:
    for kept in (
        result("PortAudio library not found", "ask ada"),
        {**result("fine", ""), "verdict": "pass"},
        {**result("PortAudio library not found", "run it alone"), "verdict": "unjudged"},
        result("nobody knows", seconds=1.5),
    ):
        assert told(kept) == kept


def test_every_failure_that_a_check_names_is_in_the_catalog() -> None:
    places = [path.read_text() for path in Path(registry.__file__).parent.glob("*.py")]
    named = {name for text in places for name in re.findall(r'failure="([a-z_0-9]+)"', text)}
    named |= {check.failure for check in registry.CHECKS if check.failure}
    assert len(named) >= 4 and named <= {failure.id for failure in known().failures}
