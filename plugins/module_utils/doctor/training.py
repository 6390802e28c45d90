"""Training: a few real steps, by torch's own mixed precision and through accelerate."""

from __future__ import annotations

from typing import Any

from .arithmetic import device_of, has_bfloat16
from .base import REPAIR, Check, Context, Failed, Finding, Skipped

STEPS = 30
FALL = 0.5
"""The share of its first value below which the loss has to fall."""


def _task(torch: Any) -> tuple[Any, Any, Any]:
    torch.manual_seed(12)
    network = torch.nn.Sequential(torch.nn.Linear(16, 64), torch.nn.Tanh(), torch.nn.Linear(64, 1))
    given = torch.randn(64, 16)
    return network, given, torch.sin(given.sum(1, keepdim=True))


def _judge(losses: list[float], how: str) -> Finding:
    evidence = {"losses": [round(loss, 4) for loss in losses[:: max(1, STEPS // 6)]]}
    if not all(loss == loss for loss in losses):
        raise Failed(f"the loss is no longer a number ({how})", "", evidence)
    if not losses[-1] < FALL * losses[0]:
        raise Failed(f"the loss does not fall ({how}): from {losses[0]:.3f} to {losses[-1]:.3f}", "", evidence)
    return Finding(f"the loss falls from {losses[0]:.3f} to {losses[-1]:.3f} in {STEPS} steps ({how})", evidence)


def autocast(context: Context) -> Finding:
    """Mixed precision: products in bfloat16, weights and gradients in single precision, and the loss falls."""
    import torch

    device = device_of(context)
    if not has_bfloat16(torch, device):
        raise Skipped("bfloat16 is of NVIDIA's GPUs from SM 8.0 on")
    network, given, wanted = _task(torch)
    network, given, wanted = network.to(device), given.to(device), wanted.to(device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.02)
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        with torch.autocast(device, dtype=torch.bfloat16):
            found = network(given)
        if found.dtype != torch.bfloat16:
            raise Failed(f"autocast gives {found.dtype}, not bfloat16")
        loss = torch.nn.functional.mse_loss(found.float(), wanted)
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    return _judge(losses, f"autocast on {device}")


def accelerated(context: Context) -> Finding:
    """accelerate prepares network, optimizer and data for this host, and the loss falls."""
    import torch
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=not context.spec.accelerated)
    if context.spec.accelerated and accelerator.device.type == "cpu":
        raise Failed("accelerate chose the CPU, though this environment is for an accelerator", REPAIR)
    network, given, wanted = _task(torch)
    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(given, wanted), batch_size=64)
    network, optimizer, data = accelerator.prepare(network, torch.optim.AdamW(network.parameters(), lr=0.02), data)
    losses = []
    for _ in range(STEPS):
        for batch, target in data:
            optimizer.zero_grad()
            loss = torch.nn.functional.mse_loss(network(batch), target)
            accelerator.backward(loss)
            optimizer.step()
            losses.append(float(loss))
    return _judge(losses, f"accelerate on {accelerator.device.type}")


CHECKS = (
    Check("training.autocast", "mixed precision trains", autocast, heavy=True, needs=("torch",), cost=0.5),
    Check("training.accelerate", "accelerate trains", accelerated, heavy=True, needs=("torch", "accelerate"), cost=2.0),
)
