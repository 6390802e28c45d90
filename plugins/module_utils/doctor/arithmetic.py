"""What torch computes in each precision, and the operations that speech models are made of, compared with numpy in double precision.

Everything works on the CPU too, so that the same code is tried where there is no GPU.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .base import REPAIR, Check, Context, Failed, Finding, Skipped

# Largest difference relative to the largest value: half of the last bit of the format, and room for sums of 256 products.
TOLERANCES = {"float32": 1e-4, "tf32": 5e-3, "float16": 5e-3, "bfloat16": 3e-2, "float8_e4m3fn": 3e-2}


class Unsupported(Exception):
    """This device or this torch does not have it; the text says why."""


def device_of(context: Context) -> str:
    """Where the environment computes; torch's ROCm build has the name of CUDA too."""
    return "cuda" if context.spec.accelerated else "cpu"


def has_bfloat16(torch: Any, device: str) -> bool:
    """Whether a device multiplies bfloat16 itself."""
    return device == "cpu" or not torch.version.cuda or torch.cuda.get_device_capability()[0] >= 8


def relative(mine: Any, theirs: Any) -> float:
    """Largest difference of a tensor to an array, relative to the largest value."""
    import numpy

    got = mine.detach().float().cpu().numpy()
    return float(numpy.abs(got - theirs).max() / max(float(numpy.abs(theirs).max()), 1e-12))


def matmul(torch: Any, device: str, kind: str) -> float:
    """Difference of a matrix product in one precision, from the product of the same rounded numbers.

    Raises:
        Unsupported: there is no such product here.
    """
    import numpy

    random = numpy.random.default_rng(5)
    a, b = random.standard_normal((64, 256)), random.standard_normal((256, 96))
    if kind == "tf32" and device == "cpu":
        raise Unsupported("of NVIDIA's GPUs from SM 8.0 on")
    name = "float32" if kind == "tf32" else kind
    if kind == "bfloat16" and not has_bfloat16(torch, device):
        raise Unsupported("of NVIDIA's GPUs from SM 8.0 on")
    if not hasattr(torch, name):
        raise Unsupported("this torch has no such type")
    if device == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = kind == "tf32"
    left, right = (torch.as_tensor(value, dtype=torch.float32).to(getattr(torch, name)) for value in (a, b))
    wanted = left.float().numpy().astype("float64") @ right.float().numpy().astype("float64")
    left, right = left.to(device), right.to(device)
    if kind != "float8_e4m3fn":
        return relative(left @ right, wanted)
    one = torch.ones((), dtype=torch.float32, device=device)
    column_major = right.t().contiguous().t()
    try:
        product = torch._scaled_mm(left, column_major, scale_a=one, scale_b=one, out_dtype=torch.bfloat16)
    except (RuntimeError, ValueError, TypeError) as error:
        reason = no_float8(error)
        if reason:
            raise Unsupported(reason) from error
        raise
    return relative(product, wanted)


def no_float8(error: Exception) -> str:
    """Why a product in float8 cannot be tried here; empty where the error is a fault, such as a GPU whose kernels are missing."""
    said = (str(error).splitlines() or [type(error).__name__])[0]
    if isinstance(error, TypeError):
        return f"this torch's own function for it takes other arguments ({said})"
    nowhere = isinstance(error, NotImplementedError) or "not implemented" in said
    # aten/src/ATen/native/cuda/Blas.cpp: "only supported on CUDA devices with compute capability >= 9.0 or 8.9, …"
    return said if nowhere or "only supported on" in said else ""


def precisions(context: Context) -> Finding:
    """A matrix product in each precision, on the device of the environment."""
    import torch

    device = device_of(context)
    evidence: dict[str, object] = {"device": device, "tolerances": TOLERANCES}
    right, without = [], []
    for kind, tolerance in TOLERANCES.items():
        try:
            found = matmul(torch, device, kind)
        except Unsupported as why:
            evidence[kind] = f"not here: {why}"
            without.append(kind)
            continue
        except RuntimeError as error:
            raise Failed(f"{kind} on {device}: {str(error).splitlines()[0]}", "", evidence) from error
        evidence[kind] = found
        if not found < tolerance:
            raise Failed(f"{kind} on {device} differs from numpy by {found:.2g} (allowed {tolerance:g})", "", evidence)
        right.append(kind)
    note = f"; not here: {', '.join(without)}" if without else ""
    return Finding(f"matrix products in {', '.join(right)} agree with numpy{note}", evidence)


def _convolutions(torch: Any, device: str) -> float:
    import numpy

    random = numpy.random.default_rng(6)
    signal, kernels = random.standard_normal((3, 64)), random.standard_normal((4, 3, 5))
    wanted = numpy.stack([sum(numpy.correlate(signal[i], kernel[i], "valid") for i in range(3)) for kernel in kernels])
    given, weights = (torch.as_tensor(value, dtype=torch.float32, device=device) for value in (signal, kernels))
    plain = relative(torch.nn.functional.conv1d(given[None], weights)[0], wanted)
    back = torch.nn.functional.conv_transpose1d(given[None], weights.transpose(0, 1).contiguous())[0]
    # A transposed convolution is the full convolution summed over the channels that come in.
    full = numpy.stack([sum(numpy.convolve(signal[i], kernels[j, i]) for i in range(3)) for j in range(4)])
    return max(plain, relative(back, full))


def _fourier(torch: Any, device: str) -> float:
    import numpy

    signal = numpy.random.default_rng(7).standard_normal(3 * 5 * 7 * 11)  # not a power of two
    given = torch.as_tensor(signal, dtype=torch.float32, device=device)
    return relative(torch.fft.rfft(given).abs(), numpy.abs(numpy.fft.rfft(signal)))


def _attention(torch: Any, device: str) -> float:
    import numpy

    random = numpy.random.default_rng(8)
    query, key, value = (random.standard_normal((2, 4, 33, 32)) for _ in range(3))
    weights = query @ key.transpose(0, 1, 3, 2) / numpy.sqrt(32)
    weights = numpy.exp(weights - weights.max(-1, keepdims=True))
    wanted = weights / weights.sum(-1, keepdims=True) @ value
    given = [torch.as_tensor(part, dtype=torch.float32, device=device) for part in (query, key, value)]
    attend = torch.nn.functional.scaled_dot_product_attention
    worst = relative(attend(*given), wanted)
    if not has_bfloat16(torch, device):
        return worst
    half = [part.to(torch.bfloat16) for part in given]
    return max(worst, relative(attend(*half), wanted) / 300)  # bfloat16 is held to 0.03


def _recurrent(torch: Any, device: str) -> float:
    torch.manual_seed(2)
    layer, given = torch.nn.LSTM(8, 16), torch.randn(20, 2, 8)
    with torch.no_grad():
        wanted = layer.double()(given.double())[0].numpy()
        return relative(layer.float().to(device)(given.to(device))[0], wanted)


def _solved(torch: Any, device: str) -> float:
    import numpy

    random = numpy.random.default_rng(9)
    matrix, vector = random.standard_normal((24, 24)) + 8 * numpy.eye(24), random.standard_normal((24, 2))
    given = [torch.as_tensor(part, dtype=torch.float32, device=device) for part in (matrix, vector)]
    return relative(torch.linalg.solve(*given), numpy.linalg.solve(matrix, vector))


OPERATIONS: dict[str, Callable[[Any, str], float]] = {
    "convolutions": _convolutions,
    "Fourier transform": _fourier,
    "attention": _attention,
    "LSTM": _recurrent,
    "linear equations": _solved,
}
"""Difference of each to a reference in double precision, by torch and a device."""


def operations(context: Context) -> Finding:
    """Convolutions, Fourier transform, attention, LSTM and linear equations, in one process: cuDNN, cuFFT, cuBLAS and cuSOLVER together."""
    import torch

    device = device_of(context)
    evidence: dict[str, object] = {"device": device, "tolerance": 1e-4}
    if device == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        evidence["cuDNN"] = torch.backends.cudnn.version()
    for name, difference in OPERATIONS.items():
        try:
            found = difference(torch, device)
        except RuntimeError as error:
            raise Failed(f"{name} on {device}: {str(error).splitlines()[0]}", "", evidence) from error
        evidence[name] = found
        if not found < 1e-4:
            raise Failed(f"{name} on {device} differs from the reference by {found:.2g} (allowed 0.0001)", "", evidence)
    return Finding(f"{', '.join(OPERATIONS)} on {device} agree with a reference in double precision", evidence)


def summed(torch: Any, device: str, place: Path) -> str:
    """Sum a tensor over a group of one process, with NCCL on a GPU and gloo on the CPU; the library's name.

    Raises:
        Unsupported: torch was built without it.
    """
    backend = "nccl" if device == "cuda" else "gloo"
    distributed = torch.distributed
    if not distributed.is_available() or not getattr(distributed, f"is_{backend}_available", lambda: False)():
        raise Unsupported(f"this torch was built without {backend}")
    # One process needs no network, and a host may have none, or a name that nothing resolves.
    os.environ.update(NCCL_SOCKET_IFNAME="lo", GLOO_SOCKET_IFNAME="lo")
    distributed.init_process_group(backend, init_method=f"file://{place}/group", rank=0, world_size=1)
    try:
        values = torch.arange(4.0, device=device)
        distributed.all_reduce(values)
        if values.tolist() != [0.0, 1.0, 2.0, 3.0]:
            raise Failed(f"{backend} sums to {values.tolist()}, not to 0, 1, 2, 3")
    finally:
        distributed.destroy_process_group()
    return backend


def collective(context: Context) -> Finding:
    """NCCL, or gloo, works in one process with what convolutions and products use (cuDNN, cuBLAS): their libraries must not be in each other's way."""
    import torch

    device = device_of(context)
    for name in ("convolutions", "linear equations"):
        OPERATIONS[name](torch, device)
    try:
        backend = summed(torch, device, context.scratch)
    except Unsupported as why:
        raise Skipped(str(why)) from why
    version = ".".join(map(str, torch.cuda.nccl.version())) if backend == "nccl" else ""
    return Finding(
        f"{backend} {version}".strip() + " sums over a group of one process, beside convolutions and linear equations",
        {"backend": backend},
    )


_TORCH = ("torch",)
CHECKS = (
    Check("torch.precisions", "every precision computes", precisions, REPAIR, heavy=True, needs=_TORCH, cost=0.3),
    Check("torch.operations", "what speech models are made of", operations, REPAIR, heavy=True, needs=_TORCH, cost=0.4),
    Check("torch.collective", "sums over processes", collective, REPAIR, heavy=True, needs=_TORCH, cost=0.4),
)
