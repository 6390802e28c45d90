"""The doctor's checks of GPU, sound, training and host, as far as they can be tried without a GPU and without torch."""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy
import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.doctor import (
    arithmetic,
    around,
    audio,
    gpu,
    gpu_reports,
    host_files,
    jit,
    performance,
    rates,
    registry,
    run,
    training,
)
from ansible_collections.wavesmith.provision.plugins.module_utils.doctor.base import (
    Check,
    Context,
    Failed,
    Skipped,
    Spec,
    perform,
)
from ansible_collections.wavesmith.provision.plugins.module_utils.failures.match import recognise
from ansible_collections.wavesmith.provision.plugins.module_utils.verify import doctor as verify

from .conftest import known

# What nvidia-smi printed on an H200, on a throttled laptop, and on a GB10, whose memory is the host's.
H200 = "NVIDIA H200, 580.95.05, 1, 143771, 0, 345, 1980, 31, 0x0000000000000001\n"
LAPTOP = "NVIDIA GeForce RTX 4060 Laptop GPU, 570.86, 7800, 8188, [N/A], 210, 3105, 87, 0x0000000000000024\n"
GB10 = "NVIDIA GB10, 580.95.05, [N/A], [N/A], [N/A], 208, 3003, 41, 0x0000000000000000\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (H200, ("NVIDIA H200", 1, 143771, 0, 345, 1980, 31, ())),
        (
            LAPTOP,
            (
                "NVIDIA GeForce RTX 4060 Laptop GPU",
                7800,
                8188,
                None,
                210,
                3105,
                87,
                ("its power limit", "its temperature (software)"),
            ),
        ),
        (GB10, ("NVIDIA GB10", None, None, None, 208, 3003, 41, ())),
    ],
)
def test_what_nvidia_smi_prints_is_read(text: str, expected: tuple[Any, ...]) -> None:
    (found,) = gpu_reports.gpus(text)
    assert (
        found.name,
        found.used,
        found.total,
        found.errors,
        found.clock,
        found.fastest,
        found.degrees,
        found.slowed,
    ) == expected


@pytest.mark.parametrize(
    "text", ["", "No devices were found\n", "Failed to initialize NVML: Driver/library version mismatch\n"]
)
def test_a_complaint_of_nvidia_smi_is_no_gpu(text: str) -> None:
    assert gpu_reports.gpus(text) == []


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("NV Power Mode: MAXN\n0\n", "MAXN"),
        ("NVPM WARN: fan mode is not set!\nNV Power Mode: 15W\n2\n", "15W"),
        ("NV Power Mode : 120W\n1\n", "120W"),
        ("NVPM ERROR: Error opening /var/lib/nvpmodel/status: 13\n", ""),
    ],
)
def test_the_power_mode_of_a_jetson_is_read(text: str, mode: str) -> None:
    assert gpu_reports.power_mode(text) == mode


@pytest.mark.parametrize(
    ("text", "wrong", "note"),
    [
        (H200, "", ""),
        (H200.replace(" 0, 345", " 3, 345"), "NVIDIA H200: 3 errors of its memory that ECC could not correct", ""),
        (H200.replace(", 31,", ", 93,"), "", "NVIDIA H200 has 93 degrees Celsius: see to its cooling"),
        (
            LAPTOP,
            "",
            (
                "NVIDIA GeForce RTX 4060 Laptop GPU is held back by its power limit and its temperature (software); "
                "NVIDIA GeForce RTX 4060 Laptop GPU: 7800 of 8188 MiB are in use by others"
            ),
        ),
        (
            GB10 + H200.replace(" 0, 345", " 1, 345"),
            "NVIDIA H200: 1 errors of its memory that ECC could not correct",
            "",
        ),
    ],
)
def test_the_state_of_gpus_is_judged(text: str, wrong: str, note: str) -> None:
    found = gpu.judged(gpu_reports.gpus(text))
    assert (found[0], found[2]) == (wrong, note)
    assert bool(found[1]) == bool(wrong)


@pytest.fixture
def context(tmp_path: Path) -> Callable[..., Context]:
    def make(**entries: Any) -> Context:
        return Context(Spec("speech", "1", tmp_path, tmp_path, **entries), tmp_path, tmp_path)

    return make


def by_id(name: str) -> Check:
    return next(check for check in registry.CHECKS if check.id == name)


@pytest.mark.parametrize(
    ("name", "entries", "why"),
    [
        ("gpu.state", {}, "this environment computes on the CPU"),
        ("gpu.state", {"accelerated": True, "backend": "rocm7_2"}, "the backend rocm7_2 is not CUDA"),
        ("gpu.triton", {"imports": {"torch": "torch"}}, "this environment computes on the CPU"),
        (
            "gpu.onnxruntime",
            {"accelerated": True, "backend": "cuda13_0"},
            "onnxruntime-gpu or onnxruntime is not part of this environment",
        ),
        ("host.devices", {}, "this environment computes on the CPU"),
        ("audio.torchcodec", {}, "torchcodec is not part of this environment"),
        ("training.accelerate", {"imports": {"torch": "torch"}}, "accelerate is not part of this environment"),
    ],
)
def test_a_skip_says_why(context: Callable[..., Context], name: str, entries: dict[str, Any], why: str) -> None:
    result = perform(by_id(name), context(**entries))
    assert (result["verdict"], result["detail"]) == ("skip", why)


@pytest.mark.process
def test_nvidia_smi_is_asked(context: Callable[..., Context], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\necho '{H200.strip()}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    result = perform(by_id("gpu.state"), context(accelerated=True, backend="cuda13_0"))
    assert (result["verdict"], result["detail"]) == (
        "pass",
        "NVIDIA H200, driver 580.95.05, 31 degrees, 345 of 1980 MHz",
    )
    program.write_text("#!/bin/sh\necho 'Failed to initialize NVML: Driver/library version mismatch'; exit 18\n")
    result = perform(by_id("gpu.state"), context(accelerated=True, backend="cuda13_0"))
    assert (result["verdict"], "version mismatch" in result["detail"]) == ("skip", True)


@pytest.mark.parametrize(
    ("text", "line", "failure"),
    [
        (
            "Internal Triton PTX codegen error\n`ptxas` stderr:\nptxas fatal   : Value 'sm_121a' is not defined for option 'gpu-name'\n",
            "ptxas",
            ["ptxas_unknown_arch"],
        ),
        (
            "Command '['/p/triton/backends/nvidia/bin/ptxas', '-lineinfo', '--gpu-name=sm_110a']' died",
            "ptxas",
            ["ptxas_unknown_arch"],
        ),
        ("triton.CompilationError: at 3:1\nassert BLOCK\nsome error of its own", "CompilationError", []),
    ],
)
def test_a_ptxas_that_is_too_old_is_known_by_the_line_that_is_shown(text: str, line: str, failure: list[str]) -> None:
    def fail() -> None:
        raise RuntimeError(text)

    with pytest.raises(Failed) as caught:
        gpu._compiled(fail)
    assert line in str(caught.value)
    assert [found.id for found in recognise(str(caught.value), known())] == failure


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("Failed to find C compiler. Please specify via CC environment variable."), "C compiler"),
        (OSError("/tmp/main.c:5:10: fatal error: Python.h: No such file or directory"), "python3-dev"),
        (type("GPUTooOldForTriton", (RuntimeError,), {})("Found Tesla P40"), "as old as this one"),
    ],
)
def test_what_no_environment_can_help_is_a_skip(error: Exception, said: str) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(Skipped, match=said):
        gpu._compiled(fail)


def runtime(providers: list[str], used: list[str], factor: float = 3.0, error: str = "") -> types.ModuleType:
    """An onnxruntime of ours."""
    module = types.ModuleType("ours_onnxruntime")

    class Session:
        def __init__(self, *_: Any, **__: Any) -> None:
            if error:
                raise RuntimeError(error)

        def get_providers(self) -> list[str]:
            return used

        def run(self, _: Any, given: dict[str, Any]) -> list[Any]:
            return [given["a"] * factor]

    options = types.SimpleNamespace(add_session_config_entry=lambda *_: None)
    module.__dict__.update(
        __version__="1.0",
        get_available_providers=lambda: providers,
        SessionOptions=lambda: options,
        InferenceSession=Session,
    )
    return module


@pytest.mark.parametrize(
    ("made", "verdict", "said"),
    [
        (runtime(["CPUExecutionProvider"], []), "skip", "was built for the CPU only"),
        (runtime(["CUDAExecutionProvider"], ["CUDAExecutionProvider"]), "pass", "computes on the GPU"),
        (runtime(["CUDAExecutionProvider"], ["CPUExecutionProvider"]), "fail", "and CPUExecutionProvider computed"),
        (runtime(["CUDAExecutionProvider"], [], error="libcublasLt.so.12: cannot open"), "fail", "libcublasLt.so.12"),
        (runtime(["CUDAExecutionProvider"], ["CUDAExecutionProvider"], factor=0.0), "fail", "was asked for"),
    ],
)
def test_onnxruntime_must_not_fall_back_to_the_cpu(
    context: Callable[..., Context], monkeypatch: pytest.MonkeyPatch, made: types.ModuleType, verdict: str, said: str
) -> None:
    monkeypatch.setitem(sys.modules, "ours_onnxruntime", made)
    there = context(accelerated=True, backend="cuda13_0", imports={"onnxruntime": "ours_onnxruntime"})
    result = perform(by_id("gpu.onnxruntime"), there)
    assert (result["verdict"], said in result["detail"]) == (verdict, True), result


def test_a_ctranslate2_that_sees_no_gpu_is_a_failure(
    context: Callable[..., Context], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = types.ModuleType("ours_ctranslate2")
    module.__dict__.update(__version__="4.6", get_cuda_device_count=lambda: 0)
    monkeypatch.setitem(sys.modules, "ours_ctranslate2", module)
    there = context(accelerated=True, backend="cuda13_0", imports={"ctranslate2": "ours_ctranslate2"})
    result = perform(by_id("gpu.ctranslate2"), there)
    assert (result["verdict"], "sees no GPU" in result["detail"]) == ("fail", True)


# Sound


def sine(rate: int = 44100, hertz: float = 440.0, level: float = 0.5, seconds: float = 1.0) -> Any:
    return level * numpy.sin(2 * numpy.pi * hertz * numpy.arange(int(rate * seconds)) / rate)


@pytest.mark.parametrize(
    ("samples", "rate", "problem"),
    [
        (sine(), 44100, ""),
        (sine(rate=16000), 16000, ""),
        (sine(), 48000, "it has 478 Hz, not 440"),
        (sine(hertz=220), 44100, "it has 220 Hz, not 440"),
        (sine(level=0.25), 44100, "it has the level 0.25, not 0.5"),
        (sine() * 32767, 44100, "it has the level 1.64e+04, not 0.5"),
        (numpy.sign(sine()), 44100, "it has the level 1.41, not 0.5"),
        (sine(seconds=0.5), 44100, "it lasts 0.50 s, not 1"),
        (numpy.zeros(44100), 44100, "it has 0 Hz, not 440"),
    ],
)
def test_a_tone_that_comes_back_changed_is_found(samples: Any, rate: int, problem: str) -> None:
    assert audio.changed(samples, rate) == problem


@pytest.mark.parametrize(
    ("kind", "by", "fine"),
    [("mp3", 0.95, True), ("mp3", 0.97, True), ("mp3", 0.9, False), ("wav", 0.95, False), ("flac", 0.95, False)],
)
def test_only_an_mp3_may_come_back_as_quiet_as_lame_makes_it(
    kind: str, by: float, fine: bool, context: Callable[..., Context]
) -> None:
    kept: dict[str, Any] = {}

    def save(path: Path, samples: Any) -> None:
        kept[path.name] = samples * (by if path.suffix == f".{kind}" else 1.0)

    with (
        nullcontext() if fine else pytest.raises(Failed, match=f"codec and {kind} changed: it has the level") as raised
    ):
        audio._round_trips(context(), save, lambda path: (kept[path.name], audio.RATE), "codec")
    assert fine or "another release of codec" in raised.value.remedy


@pytest.mark.parametrize(("version", "needs"), [("2.8.0+cpu", False), ("2.9.0", True), ("2.11.0+cu130", True)])
def test_torchaudio_leaves_files_to_torchcodec_from_2_9_on(
    version: str, needs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audio.importlib.util, "find_spec", lambda _: None)
    assert audio._has_codec(types.SimpleNamespace(__version__=version)) is not needs


# Training, numba, host


@pytest.mark.parametrize(
    ("losses", "said"),
    [([1.0, 0.5, 0.1], ""), ([1.0, 0.9, 0.8], "does not fall"), ([1.0, float("nan"), 0.1], "no longer a number")],
)
def test_a_loss_has_to_fall(losses: list[float], said: str) -> None:
    if not said:
        assert training._judge(losses, "ours").detail.startswith("the loss falls from 1.000 to 0.100")
        return
    with pytest.raises(Failed, match=said):
        training._judge(losses, "ours")


def test_what_stands_for_numba_leaves_functions_as_they_are() -> None:
    plain = jit._Plain("numba")

    def one() -> int:
        return 1

    assert plain.jit(one) is one
    assert plain.vectorize(["float64(float64)"], nopython=True)(one) is one
    assert plain.guvectorize("a", "b", cache=True)(one) is one
    assert not hasattr(plain, "__path__")


MEMINFO = "MemTotal:       24618024 kB\nMemFree: 1 kB\nMemAvailable:     131072 kB\nSwapTotal:             0 kB\nHugePages_Total:       0\n"


def test_little_memory_is_a_failure(
    context: Callable[..., Context], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert host_files.meminfo(MEMINFO) == {"MemTotal": 24618024 * 1024, "MemAvailable": 2**27, "SwapTotal": 0}
    (tmp_path / "meminfo").write_text(MEMINFO)
    monkeypatch.setattr(around, "_MEMINFO", str(tmp_path / "meminfo"))
    result = perform(by_id("host.memory"), context())
    assert (result["verdict"], result["detail"]) == ("fail", "128 MiB of memory are left of 23.5 GiB")
    (tmp_path / "meminfo").write_text(MEMINFO.replace("131072", "1310720"))
    assert perform(by_id("host.memory"), context())["verdict"] == "pass"


def test_a_clock_behind_the_generation_is_a_failure(context: Callable[..., Context], tmp_path: Path) -> None:
    manifest = tmp_path / "wavesmith/manifest.json"
    manifest.parent.mkdir()
    manifest.touch()
    assert perform(by_id("host.clock"), context())["verdict"] == "pass"
    os.utime(manifest, (2e9 + 4e9, 6e9))
    result = perform(by_id("host.clock"), context())
    assert (result["verdict"], "timedatectl" in result["remedy"]) == ("fail", True)


def test_device_files_that_are_closed_are_named_with_their_group(
    context: Callable[..., Context], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(around, "_DEVICES", (str(tmp_path / "render*"),))
    with pytest.raises(Skipped):
        around.devices(context())
    (tmp_path / "render128").touch()
    assert around.devices(context()).detail == "1 device files of the GPU can be opened"
    monkeypatch.setattr(around.os, "access", lambda *_: False)
    monkeypatch.setattr(around, "_group", lambda _: "render")
    result = perform(by_id("host.devices"), context(accelerated=True))
    assert (result["verdict"], "usermod -aG render USER" in result["remedy"]) == ("fail", True)
    assert host_files.owners(["root"]) == "render,video"


def test_how_the_clock_is_governed_is_told(
    context: Callable[..., Context], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(around, "_GOVERNORS", str(tmp_path / "cpu*"))
    with pytest.raises(Skipped):
        around.power(context())
    for number in range(2):
        (tmp_path / f"cpu{number}").write_text("powersave\n")
    assert around.power(context()).detail.startswith("powersave on 2 cores; measurements will be slow")


def test_little_room_is_a_failure(context: Callable[..., Context], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(around.shutil, "disk_usage", lambda _: types.SimpleNamespace(free=2**20, total=2**40))
    result = perform(by_id("host.disk"), context())
    assert (result["verdict"], result["evidence"]["failure"]) == ("fail", "disk_full")


# Performance


@pytest.mark.parametrize(
    ("measured", "past", "said"),
    [
        ({"m": 70.0}, {"m": [100.0, 101.0, 99.0]}, ["m 70, usually 100"]),
        ({"m": 76.0}, {"m": [100.0, 101.0, 99.0]}, []),
        ({"m": 1.0}, {"m": [100.0]}, []),
        ({"m": 1.0, "new": 3.0}, {"m": [1.0, 1.0]}, []),
    ],
)
def test_what_is_far_below_the_usual_is_said(
    measured: dict[str, float], past: dict[str, list[float]], said: list[str]
) -> None:
    assert rates.compared(measured, past) == said


def test_a_rate_is_that_of_the_fastest_repetition(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0.0, 0.0, 0.5, 0.5, 0.6, 0.9, 1.0])
    monkeypatch.setattr(performance.time, "monotonic", lambda: next(times))
    assert performance.rate(lambda: None, lambda: None, 10.0) == pytest.approx(10 / 0.3)


def test_a_slow_number_is_a_warning_with_its_cause(
    context: Callable[..., Context], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(performance.os, "getloadavg", lambda: (99.0, 1.0, 1.0))
    there = context(past={"memory, GB/s": [10.0, 10.0]})
    finding = performance._finding(there, {"memory, GB/s": 5.0})
    assert finding.detail.startswith(
        "5 GB/s (memory); slower than before: memory, GB/s 5, usually 10; others work on this host (load 99.0"
    )
    assert "slower" not in performance._finding(there, {"memory, GB/s": 9.0}).detail


@pytest.mark.parametrize(
    ("name", "only", "measure", "wanted"),
    [
        ("performance.stft", [], False, False),
        ("performance.stft", [], True, True),
        ("performance.stft", ["performance"], False, True),
        ("performance.stft", ["performance.memory"], False, False),
        ("performance.stft", ["p", "voice"], False, False),
        ("voice.mel", ["performance"], True, False),
        ("voice.mel", [], False, True),
    ],
)
def test_it_is_measured_only_when_asked_for(name: str, only: list[str], measure: bool, wanted: bool) -> None:
    assert registry.chosen(name, only, measure) is wanted


def test_what_was_measured_is_gathered_in_the_verdict() -> None:
    check = Check("performance.x", "x", lambda _: None)  # type: ignore[arg-type, return-value]
    results = [check.result("pass", "", {"measured": {"a": 1.0}}), check.result("pass", "", {"measured": {"b": 2.0}})]
    assert run.measured([*results, check.result("skip", "no")]) == {"a": 1.0, "b": 2.0}


@pytest.mark.parametrize("name", ["models.spoken", "models.understands.whisper_tiny", "models.copied.dac", "site.own"])
def test_what_another_check_measures_is_no_rate(name: str) -> None:
    check = Check(name, "x", lambda _: None)  # type: ignore[arg-type, return-value]
    said = {"measured": {"clipped": 0.0, "rms": -17.8, "seconds": 3.5, "voiced": 0.9}}
    assert run.measured([check.result("pass", "", said)]) == {}


def test_the_host_keeps_what_was_measured(tmp_path: Path) -> None:
    for number in range(25):
        verify.keep(str(tmp_path), "speech", {"a": float(number)})
    verify.keep(str(tmp_path), "voice", {"b": 1.0})
    assert verify.past(str(tmp_path), "speech") == {"a": [float(number) for number in range(5, 25)]}
    assert verify.past(str(tmp_path), "none") == {}


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            RuntimeError("torch._scaled_mm is only supported on CUDA devices with compute capability >= 9.0 or 8.9"),
            "only supported on",
        ),
        (NotImplementedError("Could not run 'aten::_scaled_mm'"), "Could not run"),
        (TypeError("_scaled_mm() got an unexpected keyword argument"), "takes other arguments"),
        (RuntimeError("CUDA error: no kernel image is available for execution on the device"), ""),
        (RuntimeError("GPU with CUDA capability sm_110 is not compatible with the current PyTorch"), ""),
        (ValueError("CUBLAS_STATUS_NOT_SUPPORTED"), ""),
    ],
    ids=str,
)
def test_only_what_float8_cannot_do_here_is_no_fault(error: Exception, reason: str) -> None:
    found = arithmetic.no_float8(error)
    assert reason in found and bool(found) == bool(reason)
