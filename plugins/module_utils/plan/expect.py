"""Compare a host with what its group says it is: what is missing is refused before anything is changed."""

from __future__ import annotations

from collections.abc import Sequence

from ..records.host import Gpu, Observed
from ..terms.refusal import Refusal
from ..wanted.expectation import ITEM, Expectation
from ..wanted.variables import Wanted

_NAMES = {"nvidia": "NVIDIA", "amd": "AMD", "intel": "Intel", "directx": "DirectX"}
_WITHOUT_GPU = ("cpu", "none")


def unexpected(wanted: Wanted, observed: Observed) -> list[Refusal]:
    """A refusal for each expectation of its group that a host does not meet; none where every environment does without a GPU."""
    expect = wanted.expect
    if expect == Expectation() or all(
        _stack(wanted, environment.stack) in _WITHOUT_GPU for environment in wanted.environments
    ):
        return []
    machine = observed["machine"]
    refusals = []
    if expect.machine and machine["kind"] not in expect.machine:
        is_there = machine["kind"] if machine["kind"] != "unknown" else "a machine of unknown kind"
        problem = f"it is {is_there} ({machine['why']}), and {ITEM} says {' or '.join(expect.machine)}"
        refusals.append(Refusal("this host", problem, _MACHINE))
    gpus = observed["accelerators"]
    of_vendor = [gpu for gpu in gpus if gpu["vendor"] in expect.accelerator]
    if expect.accelerator and not of_vendor:
        named = " or ".join(_NAMES[vendor] for vendor in expect.accelerator)
        there = f"only {_shown(gpus)} is" if gpus else "none is"
        problem = f"{there} seen, and {ITEM} says that it has a GPU of {named}"
        refusals.append(Refusal("this host", problem, _missing(expect.accelerator, observed)))
        return refusals
    for key, vendor, allowed in (("sm", "nvidia", expect.sm), ("gfx", "amd", expect.gfx)):
        known = [gpu for gpu in gpus if gpu["vendor"] == vendor and gpu.get(key)]
        wrong = allowed and known and not any(gpu.get(key) in allowed for gpu in known)
        if wrong or (allowed and not [gpu for gpu in gpus if gpu["vendor"] == vendor]):
            problem = f"its GPU is {_shown(known) or 'not seen'}, and {ITEM} says {key} {' or '.join(allowed)}"
            remedy = _MACHINE if wrong else _missing((vendor,), observed)
            refusals.append(Refusal("this host", problem, remedy))
    return refusals


_MACHINE = "move it to the group that it belongs to, or correct wavesmith_expect of this one"


def _stack(wanted: Wanted, own: str) -> str:
    if own == "none":
        return own
    return wanted.stack if wanted.forced_by or own == "auto" else own


def _shown(gpus: Sequence[Gpu]) -> str:
    said = (f"{gpu['name']} ({gpu.get('sm') or gpu.get('gfx') or gpu['vendor']})" for gpu in gpus)
    return ", ".join(dict.fromkeys(said))


def _missing(vendors: Sequence[str], observed: Observed) -> str:
    """Why no GPU is seen, as far as something tells, and what to do."""
    found = [
        f"{finding['detail']}: {finding['remedy'].rstrip('.')}"
        for finding in observed.get("findings", ())
        if finding["id"].startswith((*(f"{vendor}." for vendor in vendors), "wsl."))
    ]
    if found:
        return "; ".join(found)
    kind = observed["machine"]["kind"]
    where = _WHERE.get(kind, _WHERE[""])
    return f"{where}; {_MACHINE}; or set wavesmith_stack: cpu if the CPU is enough"


_WHERE = {
    "": "check that the PCI bus shows it (lspci) and that it is enabled in the firmware, put it in and give it power; in a virtual machine "
    "let its host pass it through",
    "jetson": "its packages of JetPack are missing or broken: apt-get install --reinstall nvidia-l4t-core nvidia-l4t-cuda, or flash it again",
    "wsl2": "update the GPU's driver in Windows and WSL (`wsl --update`), then `wsl --shutdown`; /dev/dxg must be there",
    "wsl1": "convert it to WSL 2: `wsl --set-version <distribution> 2`",
    "container": "give the container access to the GPU (docker --gpus all, podman --device nvidia.com/gpu=all; for AMD /dev/kfd and "
    "/dev/dri)",
}
