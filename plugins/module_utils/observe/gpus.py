"""GPUs as values, and what their PCI slots say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..records.host import Gpu
from . import tables
from .texts import hexadecimal, key_values

VENDORS = {"10de": "nvidia", "1002": "amd", "8086": "intel"}
SHOWN = {"nvidia": "NVIDIA", "amd": "AMD", "intel": "Intel"}


@dataclass(frozen=True)
class Accelerator:
    """One GPU: `sm` like ``9.0``, `gfx` like ``gfx1100``, `memory` in bytes (None: unified or unknown).

    `source` is the witness of the GPU, with ``+`` and another one where its target is known from that.
    """

    vendor: str
    name: str
    sm: str | None = None
    gfx: str | None = None
    memory: int | None = None
    source: str = ""

    def data(self) -> Gpu:
        """As plain data."""
        return {
            "vendor": self.vendor,
            "name": self.name,
            "sm": self.sm,
            "gfx": self.gfx,
            "memory": self.memory,
            "source": self.source,
        }


@dataclass(frozen=True)
class Slot:
    """A GPU as the PCI bus shows it: its address, what it is, and the kernel driver bound to it ('' for none)."""

    address: str
    gpu: Accelerator
    driver: str


def pci_slot(address: str, uevent: str) -> Slot | None:
    """Name a display or 3D controller of a known vendor from its ``uevent`` in sysfs."""
    said = key_values(uevent, "=")
    ids = said.get("PCI_ID", "").lower()
    maker, device = VENDORS.get(ids.partition(":")[0]), hexadecimal(ids.partition(":")[2])
    # The class has no leading zero: 30000 is a VGA controller, 30200 a 3D one; AMD's Instincts are 120000.
    kinds = r"(3[0-9a-f]{2}|1200)[0-9a-f]{2}" if maker == "amd" else r"3[0-9a-f]{4}"
    if maker is None or device is None or not re.fullmatch(kinds, said.get("PCI_CLASS", "").lower()):
        return None
    gpu = Accelerator(vendor=maker, name=f"{SHOWN[maker]} GPU [{ids}]", source="pci")
    if maker == "nvidia":
        for first, last, chip, sm in tables.NVIDIA_CHIPS:
            if first <= device <= last:
                gpu = replace(gpu, name=f"NVIDIA {chip} [{ids}]", sm=sm)
                break
    elif maker == "amd" and device in tables.AMD_GPUS:
        gpu = replace(gpu, name=amd_name(device), gfx=tables.AMD_GPUS[device][1])
    elif maker == "intel" and device in tables.INTEL_GPUS:
        gpu = replace(gpu, name=f"Intel {tables.INTEL_GPUS[device]}")
    return Slot(address=address, gpu=gpu, driver=said.get("DRIVER", ""))


def complete(gpus: Sequence[Accelerator], slots: Sequence[Accelerator]) -> list[Accelerator]:
    """Give GPUs without a compute capability that of the same place on the bus, where both count the same.

    nvidia-smi, NVML and /proc list GPUs in the order of their bus addresses, as `slots` are.
    """
    if len(gpus) != len(slots):
        alike = {slot.sm for slot in slots}
        slots = [slots[0]] * len(gpus) if slots and len(alike) == 1 else []
    if not slots:
        return list(gpus)
    return [
        replace(gpu, sm=slot.sm, source=f"{gpu.source}+pci") if gpu.sm is None and slot.sm else gpu
        for gpu, slot in zip(gpus, slots)
    ]


def amd_name(device: int | None) -> str:
    """Return the name of an AMD GPU by its PCI device id, '' when it is not known."""
    return f"AMD {tables.AMD_GPUS[device][0]}" if device in tables.AMD_GPUS else ""
