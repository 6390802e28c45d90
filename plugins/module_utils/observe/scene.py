"""What is known of a machine whose NVIDIA GPU does not answer, and whose its driver is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..records.host import OperatingSystem
from . import tables
from .branches import branch_of, driver_for
from .gpus import Accelerator, Slot
from .kernel_log import Said, first

HOST, CONTAINER, WSL, WSL1, JETSON = "host", "container", "wsl", "wsl1", "jetson"


def is_wsl1(kernel: str) -> bool:
    """Whether a kernel's release is the one that WSL 1 pretends to have (``4.4.0-19041-Microsoft``)."""
    return re.match(r"4\.4\.0-\d+-Microsoft", kernel) is not None


def place_of(system: OperatingSystem, jetson: bool) -> str:
    """Say whose the driver is: a container's is its host's, also in WSL; systemd calls WSL itself a container."""
    if system["container"] not in ("", "wsl"):
        return CONTAINER
    if is_wsl1(system["kernel"]):
        return WSL1
    return WSL if system["wsl"] else JETSON if jetson else HOST


@dataclass(frozen=True)
class Scene:
    """What is known beside the words of nvidia-smi.

    Attributes:
        place: `HOST`, `CONTAINER`, `WSL`, `WSL1` or `JETSON`.
        engine: Kind of container.
        jetson: Whether the machine is a Jetson, whatever the place.
        kernel: Release of the kernel.
        on_bus: NVIDIA's GPUs on the PCI bus.
        gpus: NVIDIA's GPUs by the best witness.
        module: Version of the kernel module that is loaded; empty for none.
        flavour: Its flavour, as `tables.OPEN` or `tables.PROPRIETARY`; empty where unknown.
        packages: Installed packages of NVIDIA's driver.
        log: What the kernel said.
        secure_boot: Whether the firmware checks what it starts.
        control: Whether /dev/nvidiactl is there.
        smi: Path of an nvidia-smi in WSL that is not Windows'; empty for none.
        dxg: Whether WSL shows the GPU of Windows.
    """

    place: str = HOST
    engine: str = ""
    jetson: bool = False
    kernel: str = ""
    on_bus: Sequence[Slot] = ()
    gpus: Sequence[Accelerator] = ()
    module: str = ""
    flavour: str = ""
    packages: Mapping[str, str] | None = None
    log: Sequence[Said] = ()
    secure_boot: bool = False
    control: bool = False
    smi: str = ""
    dxg: bool = False

    @property
    def installed(self) -> list[str]:
        """Names of the installed packages of the driver."""
        return sorted(self.packages or ())

    @property
    def branch(self) -> int:
        """Driver branch that is loaded, else the one installed; 0 where neither is known."""
        versions = [self.module, *(version for _name, version in sorted((self.packages or {}).items()))]
        ignoring = first(self.log, "legacy", "unsupported")
        versions += [ignoring.versions[-1]] if ignoring and ignoring.versions and not self.module else []
        return next((branch for version in versions if 300 <= (branch := branch_of(version)) < 2000), 0)

    @property
    def modules(self) -> str:
        """Flavour of the kernel modules that are loaded, else of those installed; empty where unknown."""
        if self.flavour:
            return self.flavour
        names = [name for name in self.installed if re.search(r"dkms|driver|modules|open", name)]
        if any("open" in name.split("-") for name in names):
            return tables.OPEN
        return tables.PROPRIETARY if any(re.search(r"-(dkms|driver|modules)", name) for name in names) else ""

    @property
    def named(self) -> str:
        """Names of the GPUs, each once."""
        return ", ".join(dict.fromkeys(gpu.name for gpu in self.gpus)) or "an NVIDIA GPU"


@dataclass(frozen=True)
class Cause:
    """Why it is so: the finding's id, the words for it, the remedy."""

    id: str
    detail: str
    remedy: str


def headers(scene: Scene) -> str:
    """How the headers of the running kernel are installed."""
    return f"apt-get install linux-headers-{scene.kernel}" if scene.kernel else "install its headers"


def install(scene: Scene) -> str:
    """Which driver to install."""
    gpus = [slot.gpu for slot in scene.on_bus] or scene.gpus
    return f"Install {driver_for(gpus) or 'the driver for one of the GPUs (no driver serves all of them)'}"


def some(names: Sequence[str], most: int = 8) -> str:
    """The first few names."""
    return " ".join(names[:most]) + (" …" if len(names) > most else "")
