"""The GPU of a host: its driver, its state, and the compilers that make code for it while a program runs.

What computes takes its device, so that the same code is tried on the CPU where there is no GPU.
"""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .base import Check, Context, Failed, Finding, Skipped, Spec, command
from .gpu_reports import FIELDS, Gpu, gpus, power_mode
from .native import tiny_onnx
from .worker import quiet

HOTTEST = 90
"""Degrees Celsius from which a GPU is soon held back."""
_TRITON = """
import triton
import triton.language as tl

@triton.jit
def double(source, target, size, BLOCK: tl.constexpr):
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(target + place, 2 * tl.load(source + place, mask=place < size), mask=place < size)
"""


def on_gpu(spec: Spec) -> str:
    """Why a check of the GPU does not apply."""
    return "" if spec.accelerated else "this environment computes on the CPU"


def on_nvidia(spec: Spec) -> str:
    """Why a check of NVIDIA's GPUs does not apply."""
    return on_gpu(spec) or ("" if spec.backend.startswith("cuda") else f"the backend {spec.backend} is not CUDA")


def asked(context: Context) -> list[Gpu]:
    """What nvidia-smi says of the GPUs.

    Raises:
        Skipped: there is none, as on a Jetson, or it does not answer; what computes is for other checks.
    """
    program = shutil.which("nvidia-smi")
    if not program:
        raise Skipped("there is no nvidia-smi here")
    argv = [program, f"--query-gpu={','.join(FIELDS)}", "--format=csv,noheader,nounits"]
    ran = command(argv, quiet(context), context.scratch, 30.0)
    found = gpus(ran.out) if ran.code == 0 else []
    if not found:
        raise Skipped(f"nvidia-smi names no GPU: {ran.tail}")
    return found


def judged(found: list[Gpu]) -> tuple[str, str, str]:
    """What is wrong with the state of GPUs and what to do, empty where nothing is; and what is worth knowing."""
    notes = []
    for gpu in found:
        if gpu.errors:
            return (
                f"{gpu.name}: {gpu.errors} errors of its memory that ECC could not correct",
                "reset or replace the GPU",
                "",
            )
        if gpu.degrees is not None and gpu.degrees >= HOTTEST:
            notes.append(f"{gpu.name} has {gpu.degrees} degrees Celsius: see to its cooling")
        if gpu.slowed:
            notes.append(f"{gpu.name} is held back by {' and '.join(gpu.slowed)}")
        if gpu.used is not None and gpu.total and gpu.used > 0.9 * gpu.total:
            notes.append(f"{gpu.name}: {gpu.used} of {gpu.total} MiB are in use by others")
    return "", "", "; ".join(notes)


def state(context: Context) -> Finding:
    """Memory, ECC, clocks, heat, and what holds the GPU back."""
    found = asked(context)
    evidence = {str(number): vars(gpu) for number, gpu in enumerate(found)}
    wrong, remedy, note = judged(found)
    if wrong:
        raise Failed(wrong, remedy, evidence)
    first = found[0]
    told = f"{first.name}, driver {first.driver}, {first.degrees} degrees, {first.clock} of {first.fastest} MHz"
    return Finding(told + (f"; {note}" if note else ""), evidence)


def power(context: Context) -> Finding:
    """The power mode of a Jetson."""
    program = shutil.which("nvpmodel")
    if not program:
        raise Skipped("there is no nvpmodel here: this is no Jetson")
    ran = command([program, "-q"], quiet(context), context.scratch, 30.0)
    mode = power_mode(ran.out)
    if not mode:
        raise Skipped(f"nvpmodel names no mode: {ran.tail}")
    note = "" if mode.startswith("MAXN") else "; it is slower than it could be (`nvpmodel -m 0` gives all)"
    return Finding(f"power mode {mode}{note}", {"mode": mode})


def runtime(context: Context) -> Finding:
    """The driver knows the CUDA that torch was built for."""
    import torch

    if not torch.cuda.is_available():
        raise Failed("torch sees no GPU", "see torch.computes", {"CUDA of torch": torch.version.cuda})
    driver = _driver_version(torch)
    evidence = {"CUDA of torch": torch.version.cuda, "CUDA of the driver": driver}
    built = str(torch.version.cuda or "0")
    if driver and int(driver.split(".")[0]) < int(built.split(".")[0]):
        raise Failed(
            f"the driver is of CUDA {driver}, torch of CUDA {built}",
            "",
            evidence,
            "driver_too_old",
        )
    return Finding(f"the driver is of CUDA {driver or 'an unknown version'}, torch of CUDA {built}", evidence)


def _driver_version(torch: Any) -> str:
    number = getattr(torch._C, "_cuda_getDriverVersion", lambda: 0)()
    return f"{number // 1000}.{number % 1000 // 10}" if number else ""


def nvrtc(context: Context) -> Finding:
    """NVRTC, or HIPRTC, compiles an element-wise operation while the program runs."""
    import torch

    text = "template <typename T> T wavesmith_square(T x) { return x * x + T(1); }"
    made = torch.cuda.jiterator._create_jit_fn(text)
    values = torch.arange(7.0, device="cuda")
    if not torch.equal(made(values), values * values + 1):
        raise Failed("what was compiled gives other numbers than torch")
    return Finding("an operation was compiled while running, and computes")


def triton(context: Context) -> Finding:
    """A kernel of triton is compiled by its ptxas for this GPU, and computes."""
    context.needs("triton")
    import torch

    version, right = doubled(torch, "cuda", context.scratch)
    if not right:
        raise Failed("a kernel of triton gives other numbers than torch")
    return Finding(f"triton {version} compiles for this GPU, and its kernel computes")


def doubled(torch: Any, device: str, folder: Path) -> tuple[str, bool]:
    """The version of triton, and whether a kernel of it doubles numbers; on the CPU triton has to interpret (TRITON_INTERPRET=1)."""
    import importlib.util

    path = folder / "wavesmith_triton.py"
    path.write_text(_TRITON, encoding="utf-8")  # triton reads the source of what it compiles
    spec = importlib.util.spec_from_file_location("wavesmith_triton", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    source = torch.arange(1000.0, device=device)
    target = torch.zeros_like(source)
    _compiled(lambda: module.double[(4,)](source, target, 1000, BLOCK=256))
    return str(module.triton.__version__), bool(torch.equal(target, 2 * source))


def compiled(context: Context) -> Finding:
    """torch.compile fuses a small network, and computes what it did before."""
    context.needs("triton")
    import torch

    off = fused(torch, "cuda")
    if not off < 1e-3:
        raise Failed(f"a compiled network differs by {off:.2g} (allowed 0.001)")
    return Finding("a compiled network computes what it did before", {"largest difference": off})


def fused(torch: Any, device: str) -> float:
    """Largest difference of a small network to itself when torch.compile has fused it."""
    torch.manual_seed(4)
    network = torch.nn.Sequential(torch.nn.Linear(32, 32), torch.nn.GELU(), torch.nn.LayerNorm(32)).to(device)
    given = torch.randn(8, 32, device=device)
    with torch.no_grad():
        return float(_compiled(lambda: float((torch.compile(network)(given) - network(given)).abs().max())))


_LACKING = {
    "Failed to find C compiler": "triton compiles with a C compiler, and there is none (apt-get install gcc)",
    "Python.h": "triton compiles against Python's headers, and they are not there (apt-get install python3-dev)",
    "TooOldForTriton": "triton has no code for a GPU as old as this one",
}
"""Reasons outside of the environment why nothing can be compiled, by their message."""


def _compiled(run: Callable[[], Any]) -> Any:
    try:
        return run()
    except Exception as error:  # the compilers' own kinds of errors
        told = f"{type(error).__name__}: {error}"
        if lacking := next((why for sign, why in _LACKING.items() if sign in told), ""):
            raise Skipped(lacking) from error
        lines = str(error).splitlines()
        line = next(
            (line for word in ("ptxas fatal", "ptxas", "rror") for line in lines if word in line), str(error)[:200]
        )
        raise Failed(f"{type(error).__name__}: {line}") from error


def onnx_provider(context: Context) -> Finding:
    """onnxruntime computes on the GPU itself: a provider that falls back to the CPU without a word is a failure."""
    runtime = importlib.import_module(context.wants_any("onnxruntime-gpu", "onnxruntime"))
    names = [name for name in runtime.get_available_providers() if name in _PROVIDERS]
    if not names:
        raise Skipped(f"this onnxruntime {runtime.__version__} was built for the CPU only")
    used = provided(runtime, names[0])
    return Finding(f"{names[0]} computes on the GPU", {"providers": used})


def provided(runtime: Any, name: str) -> list[str]:
    """The providers of a session in which this one computed a product.

    Raises:
        Failed: another one computed it, or the product is wrong.
    """
    import numpy

    options = runtime.SessionOptions()
    options.log_severity_level = 3
    if name != "CPUExecutionProvider":
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    try:
        session = runtime.InferenceSession(tiny_onnx(), options, providers=[name])
        used: list[str] = session.get_providers()
        one = numpy.eye(4, dtype="float32")
        product = session.run(None, {"a": one, "b": 3 * one})[0]
    except Exception as error:  # its own kinds of errors
        raise Failed(f"{name}: {str(error).splitlines()[0]}") from error
    if not used or used[0] != name or not numpy.allclose(product, 3 * one, atol=1e-2):
        raise Failed(f"{name} was asked for, and {', '.join(used)} computed", "", {"providers": used})
    return used


_PROVIDERS = ("CUDAExecutionProvider", "ROCMExecutionProvider", "MIGraphXExecutionProvider")


def ctranslate2(context: Context) -> Finding:
    """ctranslate2 sees the GPU and moves numbers there and back."""
    translate = importlib.import_module(context.wants("ctranslate2"))
    count = translate.get_cuda_device_count()
    if not count:
        raise Failed(
            f"ctranslate2 {translate.__version__} sees no GPU: it was built for the CPU, or for another CUDA",
            failure="ctranslate2_cpu_only",
        )
    kinds = moved(translate, "cuda")
    return Finding(f"ctranslate2 sees {count} GPU(s), and has {', '.join(kinds)}", {"compute types": kinds})


def moved(translate: Any, device: str) -> list[str]:
    """The number formats of ctranslate2 on a device, to which numbers were moved and back.

    Raises:
        Failed: they came back changed.
    """
    import numpy

    values = numpy.arange(6, dtype="float32")
    there = translate.StorageView.from_array(values).to_device(getattr(translate.Device, device))
    back = numpy.array(there.to_device(translate.Device.cpu))
    if not numpy.array_equal(values, back):
        raise Failed("numbers read back from ctranslate2's GPU memory differ")
    return sorted(translate.get_supported_compute_types(device))


def sherpa_onnx(context: Context) -> Finding:
    """Whether sherpa-onnx was built with a provider of the GPU."""
    sherpa = importlib.import_module(context.wants("sherpa-onnx"))
    version = str(getattr(sherpa, "version", getattr(sherpa, "__version__", "")))
    if "cuda" not in version:
        raise Skipped(f"sherpa-onnx {version} was built for the CPU only")
    return Finding(f"sherpa-onnx {version} was built with CUDA")


_TORCH = ("torch",)
CHECKS = (
    Check("gpu.state", "the GPU is well", state, applies=on_nvidia),
    Check("gpu.power", "the power mode is known", power, applies=on_nvidia),
    Check("gpu.runtime", "driver and CUDA fit", runtime, applies=on_nvidia, heavy=True, needs=_TORCH, cost=1.0),
    Check("gpu.nvrtc", "operations compile", nvrtc, applies=on_gpu, heavy=True, needs=_TORCH, cost=2.0),
    Check("gpu.triton", "triton compiles", triton, applies=on_gpu, heavy=True, needs=_TORCH, cost=3.0),
    Check("gpu.compile", "torch.compile works", compiled, applies=on_gpu, heavy=True, needs=_TORCH, cost=8.0),
    Check(
        "gpu.onnxruntime",
        "onnxruntime uses the GPU",
        onnx_provider,
        failure="onnxruntime_fallback",
        applies=on_gpu,
        heavy=True,
        cost=2.0,
    ),
    Check("gpu.ctranslate2", "ctranslate2 uses the GPU", ctranslate2, applies=on_nvidia, heavy=True, cost=1.0),
    Check("gpu.sherpa_onnx", "sherpa-onnx has the GPU", sherpa_onnx, applies=on_nvidia, heavy=True),
)
