"""Why NVIDIA's GPUs do not answer where the driver belongs to another system: a container's host, Windows, a Jetson's L4T."""

from __future__ import annotations

from .kernel_log import first
from .nvidia import Symptom
from .scene import Cause, Scene, some
from .texts import finding

# A container: the driver is its host's


def _give(scene: Scene) -> str:
    if scene.jetson:
        return "start it with --runtime nvidia (JetPack's nvidia-container-toolkit on the host)"
    if scene.engine.startswith(("lxc", "incus", "systemd")):
        return "let the host pass /dev/nvidia* and its libraries into it (LXD, Incus: a device of type gpu and nvidia.runtime=true)"
    if scene.engine == "podman":
        return "start it with --device nvidia.com/gpu=all (CDI of nvidia-container-toolkit on the host)"
    return "start it with --gpus all (nvidia-container-toolkit on the host)"


_NOT_HERE = "Install no driver in the container; a reboot changes nothing."
_MEANS = {
    "nvidia.no_library": "the container does not have the libraries of the host's driver",
    "nvidia.not_loaded": "the container does not have the host's device files",
    "nvidia.no_devices": "the container was given no GPU",
}


def container(symptom: Symptom, scene: Scene) -> Cause:
    """In a container: what its host has to give it, or what is wrong with the host's GPU."""
    give, said = _give(scene), first(scene.log, "lost", "firmware")
    if said or symptom.id in ("nvidia.lost", "nvidia.smi_hangs"):
        detail = f"the kernel says: {said.text}" if said else ""
        remedy = "The GPU itself does not answer: see `dmesg | grep NVRM` on the host, and power it off and on."
        return Cause("nvidia.lost" if said and said.kind == "lost" else "", detail, f"{remedy} {_NOT_HERE}")
    if symptom.id == "nvidia.version_mismatch":
        library = symptom.library and f", the container brings the library of {symptom.library}"
        own = f" ({some(scene.installed)})" if scene.installed else ""
        exactly = f"version {scene.module}" if scene.module else "the version of the host's module"
        return Cause(
            "",
            f"the host's kernel module is {scene.module}{library}" if scene.module else "",
            f"Give the container the libraries of exactly {exactly}: remove those that it brought{own}, and {give}. {_NOT_HERE}",
        )
    if symptom.id == "nvidia.container_lost":
        again = "Restart the container: it lost its access to the GPU (under docker a reload of systemd takes it away)"
        return Cause("", "", f"{again}. Else {give}. {_NOT_HERE}")
    if symptom.id == "nvidia.access":
        return Cause("", "", f"Let the container's user use /dev/nvidia*, or {give}. {_NOT_HERE}")
    if not scene.module and not scene.jetson:
        detail = f"the host's PCI bus shows {scene.named}, but the host has no driver loaded"
        name = "nvidia.driver" if symptom.id == "nvidia.no_library" else ""
        return Cause(name, detail, f"Make nvidia-smi answer on the host, whose driver it is; then {give}. {_NOT_HERE}")
    more = ", and run ldconfig in it" if symptom.id == "nvidia.no_library" else ""
    remedy = f"Give the container the GPU and the libraries of its host: {give}{more}. {_NOT_HERE}"
    return Cause("", _MEANS.get(symptom.id, ""), remedy)


# WSL: the driver is Windows'


def wsl(_symptom: Symptom, scene: Scene) -> Cause:
    """In WSL 2: what hides Windows' driver, or keeps it from showing its GPU."""
    none = "The driver in WSL is that of Windows: install none in it."
    if scene.installed:
        return Cause(
            "nvidia.wsl_driver",
            f"packages of a Linux driver are installed in WSL ({some(scene.installed)}) and stand before the libraries of Windows' driver",
            f"Remove them: apt-get purge {' '.join(scene.installed)}; then `wsl --shutdown` in Windows. {none}",
        )
    if scene.smi:
        return Cause(
            "nvidia.wsl_driver",
            f"a Linux driver was installed in WSL ({scene.smi}) and stands before the libraries of Windows' driver",
            f"Remove it (nvidia-uninstall, where its installer left that), then `wsl --shutdown` in Windows. {none}",
        )
    windows = "update NVIDIA's driver in Windows and WSL itself (`wsl --update`), then `wsl --shutdown`"
    if not scene.dxg:
        return Cause(
            "",
            "WSL shows no GPU: /dev/dxg is not there",
            f"See that .wslconfig does not say gpuSupport=false; {windows}. {none}",
        )
    return Cause("", "", f"{windows[:1].upper()}{windows[1:]}. {none}")


WITHOUT_GPU = finding(
    "wsl.version", "WSL 1 shows no GPU", "Turn it into WSL 2, in Windows: `wsl --set-version <distribution> 2`."
)


def wsl1(_symptom: Symptom, scene: Scene) -> Cause:
    """In WSL 1 there is none."""
    more = f" Remove the Linux driver in it: apt-get purge {' '.join(scene.installed)}." if scene.installed else ""
    return Cause(WITHOUT_GPU["id"], WITHOUT_GPU["detail"], f"{WITHOUT_GPU['remedy']}{more}")


# A Jetson: the driver is part of L4T


def jetson(_symptom: Symptom, scene: Scene) -> Cause:
    """On a Jetson: another driver beside that of its L4T, or one that is broken."""
    again = (
        "reinstall JetPack's own packages (apt-get install --reinstall nvidia-l4t-core nvidia-l4t-cuda nvidia-l4t-kernel, of the release in "
        "/etc/nv_tegra_release), and reboot; or flash it again. Never install a desktop driver: a Jetson's is part of L4T."
    )
    if scene.installed:
        return Cause(
            "nvidia.desktop_driver",
            f"packages of a desktop driver are installed on a Jetson ({some(scene.installed)})",
            f"Remove them: apt-get purge {' '.join(scene.installed)}; then {again}",
        )
    said = first(scene.log, "lost", "firmware", "failed", "other_kernel")
    return Cause("", f"the kernel says: {said.text}" if said else "", f"{again[:1].upper()}{again[1:]}")
