"""torch really computes: matrix products, convolution, STFT and gradients, compared with numpy."""

from __future__ import annotations

from typing import Any, Optional, TypedDict

from . import words
from .base import REPAIR, Check, Context, Failed, Finding, Skipped
from .deaths import meaning

# Largest difference to numpy in double precision, relative to the largest value, for single precision.
TOLERANCE = 1e-4


def torch_computes(context: Context) -> Finding:
    """Compute on the CPU, and on the accelerator where the environment is for one; never on the CPU instead."""
    context.needs("numpy")
    import torch

    about: Accelerator = {}
    evidence: dict[str, object] = {
        "torch": torch.__version__,
        "tolerance": TOLERANCE,
        "threads": torch.get_num_threads(),
    }
    devices = ["cpu"]
    if context.spec.backend == "directml":
        raise Skipped("DirectML was not tried here; on the CPU, packages import")
    if context.spec.accelerated:
        devices.append("cuda")  # torch's ROCm build has this name too
        evidence["accelerator"] = about = accelerator(torch)
        if not torch.cuda.is_available():
            raise Failed(
                f"the environment is for {context.spec.backend or 'an accelerator'}, "
                f"and torch {torch.__version__} sees none: {about.get('error', 'no device')}",
                "",
                evidence,
                "" if about["cuda"] or about["hip"] else "torch_without_cuda",
            )
        # The precise paths: TF32 alone would differ from numpy by more than the tolerance.
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
    for device in devices:
        try:
            differences = measure(torch, device)
        except RuntimeError as error:
            said = str(error)
            raise Failed(f"torch on {device}: {meaning(said) or words.summary(said)}", "", evidence) from error
        evidence[device] = differences
        worst = max(differences, key=lambda name: differences[name])
        if not all(value < TOLERANCE for value in differences.values()):
            raise Failed(
                f"torch on {device}: {worst} differs from numpy by {differences[worst]:.2g} (allowed {TOLERANCE:g})",
                "",
                evidence,
            )
    where = about["name"] if context.spec.accelerated else "the CPU"
    return Finding(f"matmul, conv1d, STFT and gradients on {where} agree with numpy within {TOLERANCE:g}", evidence)


Accelerator = TypedDict(
    "Accelerator",
    {
        "cuda": Optional[str],
        "hip": Optional[str],
        "code for": list[str],
        "name": str,
        "capability": str,
        "memory": int,
        "error": str,
    },
    total=False,
)
"""What torch says about an accelerator; `memory` in bytes."""


def accelerator(torch: Any) -> Accelerator:
    """What torch says about its first accelerator; `error` where it cannot start it."""
    about: Accelerator = {
        "cuda": torch.version.cuda,
        "hip": getattr(torch.version, "hip", None),
        "code for": torch.cuda.get_arch_list(),
    }
    try:
        torch.cuda.init()
        about["name"] = torch.cuda.get_device_name(0)
        about["capability"] = ".".join(str(part) for part in torch.cuda.get_device_capability(0))
        about["memory"] = torch.cuda.get_device_properties(0).total_memory
    except (RuntimeError, AssertionError) as error:
        about["error"] = str(error).splitlines()[0]
    return about


def measure(torch: Any, device: str) -> dict[str, float]:
    """Difference to numpy of each operation, relative to the largest value."""
    import numpy

    random = numpy.random.default_rng(11)

    def there(values: Any) -> Any:
        return torch.as_tensor(values, dtype=torch.float32, device=device)

    def difference(mine: Any, theirs: Any) -> float:
        got = mine.detach().cpu().numpy()
        return float(numpy.abs(got - theirs).max() / max(float(numpy.abs(theirs).max()), 1e-12))

    a, b = random.standard_normal((192, 256)), random.standard_normal((256, 160))
    found = {"matmul": difference(there(a) @ there(b), a @ b)}

    signal, kernel = random.standard_normal(4096), random.standard_normal(65)
    convolved = torch.nn.functional.conv1d(there(signal)[None, None], there(kernel[::-1].copy())[None, None])[0, 0]
    found["conv1d"] = difference(convolved, numpy.convolve(signal, kernel, mode="valid"))

    size, hop = 512, 128
    window = numpy.hanning(size + 1)[:-1]
    spectrum = torch.stft(there(signal), size, hop, window=there(window), center=False, return_complex=True)
    frames = numpy.stack([signal[start : start + size] for start in range(0, len(signal) - size + 1, hop)]) * window
    found["stft"] = difference(spectrum, numpy.fft.rfft(frames, axis=1).T)
    padded = torch.stft(there(signal), size, hop, window=there(window), return_complex=True)
    found["istft"] = difference(torch.istft(padded, size, hop, window=there(window), length=len(signal)), signal)

    weights, inputs = random.standard_normal((24, 32)), random.standard_normal((32, 40))
    learned = there(weights).requires_grad_(True)
    torch.tanh(learned @ there(inputs)).pow(2).sum().backward()
    hidden = numpy.tanh(weights @ inputs)
    found["autograd"] = difference(learned.grad, (2 * hidden * (1 - hidden**2)) @ inputs.T)
    return found


CHECKS = (
    Check(
        "torch.computes",
        "torch computes",
        torch_computes,
        "torch of this stack does not work on this host: " + REPAIR,
        heavy=True,
        needs=("torch",),
        cost=1.0,
    ),
)
