"""Why NVIDIA's GPUs do not answer, and what to do: by the message, what else is known, and where the message was found.

The same words have other causes on a host, in a container, in WSL and on a Jetson, and only on a host is its driver installed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from ..records.host import Finding
from . import tables, trouble_guest, trouble_host
from .branches import driver_for, unserved
from .kernel_log import addresses_in, first
from .nvidia import Symptom
from .scene import CONTAINER, HOST, JETSON, WSL, WSL1, Cause, Scene
from .texts import finding

Find = Callable[[Symptom, Scene], "Cause | None"]
PLACES: Mapping[str, Sequence[Find]] = {
    HOST: trouble_host.CAUSES,
    CONTAINER: (trouble_guest.container,),
    WSL: (trouble_guest.wsl,),
    WSL1: (trouble_guest.wsl1,),
    JETSON: (trouble_guest.jetson,),
}


def diagnose(symptom: Symptom, scene: Scene) -> Finding:
    """Say what is wrong with NVIDIA's GPUs, and what to do about it in this place."""
    cause = next(found for find in PLACES[scene.place] if (found := find(symptom, scene)) is not None)
    detail = "; ".join(text for text in (symptom.detail, cause.detail) if text)
    return finding(cause.id or symptom.id, detail or "NVIDIA's GPU does not answer", cause.remedy)


def silent(scene: Scene, libcuda: bool) -> Symptom | None:
    """What it means that there is neither nvidia-smi nor NVML; None where CUDA can do without them.

    Args:
        libcuda: Whether the driver's library is there.
    """
    if scene.place in (WSL, WSL1, JETSON):
        return Symptom("nvidia.no_library") if scene.installed else None
    if libcuda and (scene.module or scene.jetson):
        return None
    return Symptom("nvidia.no_library" if scene.module or scene.jetson else "nvidia.driver")


# GPUs that are missing beside others that answer


def missing(shown: int, text: str, header: str, scene: Scene) -> Finding | None:
    """Say which GPU of the PCI bus nvidia-smi does not show though the driver has it; None where none is missing.

    Args:
        shown: How many GPUs nvidia-smi or NVML shows.
        text: What nvidia-smi printed beside their rows.
        header: Its table, which has their bus addresses.
        scene: What else is known.
    """
    slots = {slot.address: slot for slot in scene.on_bus}
    lines = [
        line for line in text.split("\n") if re.search(r"device handle|is lost|Unknown Error|requires reset", line)
    ]
    named = [address for line in lines for address in addresses_in(line)]
    bound = _given_to_the_driver(scene)
    if not lines and (scene.place != HOST or len(bound) <= shown):
        return None
    if not named and len(bound) > shown:
        fallen = {said.address for said in scene.log if said.kind == "lost"}
        seen = addresses_in(header)
        named = [address for address in bound if address in fallen]
        if not named and len(seen) == shown and set(seen) < set(bound):
            named = [address for address in bound if address not in seen]
    lost = ", ".join(f"{address} ({slots[address].gpu.name})" if address in slots else address for address in named)
    total = max(len(bound), shown + len(named))
    count = f"{total} NVIDIA GPUs are on the PCI bus, nvidia-smi shows {shown}"
    silent_ones = max(total - shown, 1)
    verb = "does not answer" if silent_ones == 1 else "do not answer"
    if lost:
        more = f" and {silent_ones - len(named)} more" if silent_ones > len(named) else ""
        where = f"{lost}{more} {verb}"
    elif bound:
        where = f"{'one' if silent_ones == 1 else silent_ones} of {', '.join(bound)} {verb}"
    else:
        where = lines[0].strip()
    said = first(scene.log, "lost", "firmware", "power", "no_room", "failed")
    why = f" (the kernel says: {said.text})" if said else ""
    remedy = (
        "Power the host off and on; see `sudo dmesg | grep -i NVRM`, and look at power, slot and temperature of that GPU. Until then only the "
        "others are used."
    )
    if scene.place == CONTAINER:
        remedy = "See `dmesg | grep -i NVRM` on the host, and power it off and on. Install no driver in the container; a reboot of it changes nothing."
    return finding("nvidia.missing", f"{count}: {where}{why}", remedy)


def _given_to_the_driver(scene: Scene) -> list[str]:
    """Addresses of the GPUs that NVIDIA's driver has; where no slot names its driver, of those that it could have."""
    if any(slot.driver for slot in scene.on_bus):
        return [slot.address for slot in scene.on_bus if slot.driver == "nvidia"]
    return [slot.address for slot in scene.on_bus if not unserved(slot.gpu, scene.branch, scene.modules)]


def idle(scene: Scene) -> Finding | None:
    """Name a GPU that the driver of the others does not serve; None for one that no stack could use anyway."""
    if scene.place != HOST:
        return None
    left = [slot for slot in scene.on_bus if not slot.driver]
    for slot in left if any(slot.driver == "nvidia" for slot in scene.on_bus) else ():
        problem = unserved(slot.gpu, scene.branch, scene.modules)
        if problem and tables.NVIDIA_DRIVERS[slot.gpu.sm or ""][2] not in range(1, 580):
            driver = driver_for([slot.gpu for slot in scene.on_bus])
            remedy = (
                f"To use it, install {driver}."
                if driver
                else "No driver serves it and the others: take one of them out to use the other."
            )
            return finding("nvidia.idle", f"{slot.gpu.name} at {slot.address} stays unused: {problem}", remedy)
    return None
