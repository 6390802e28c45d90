"""Why NVIDIA's GPUs do not answer on a machine that has the driver itself, and what to do about it."""

from __future__ import annotations

from . import tables
from .branches import unserved
from .kernel_log import first
from .nvidia import Symptom
from .scene import Cause, Scene, headers, install


def _rejected(symptom: Symptom, scene: Scene) -> Cause | None:
    said = first(scene.log, "rejected")
    aside = any(slot.driver == "vfio-pci" for slot in scene.on_bus)
    likely = scene.secure_boot and scene.installed and symptom.id == "nvidia.not_loaded" and not aside
    if scene.module or not (said or likely):
        return None
    remedy = (
        "Enrol the key that the module is signed with: mokutil --import /var/lib/shim-signed/mok/MOK.der (Ubuntu) or "
        "/var/lib/dkms/mok.pub (Debian), reboot, choose `Enroll MOK`; or turn Secure Boot off in the firmware."
    )
    if said:
        return Cause("nvidia.secure_boot", f"Secure Boot: the kernel rejected the module's key ({said.text})", remedy)
    detail = "the driver is installed, its module is not loaded, and Secure Boot is on"
    more = f"Else build the module for this kernel ({headers(scene)}, then dkms autoinstall)."
    return Cause("nvidia.secure_boot", detail, f"{remedy} {more}")


def _bound_elsewhere(_symptom: Symptom, scene: Scene) -> Cause | None:
    other = next((slot for slot in scene.on_bus if slot.driver and not slot.driver.startswith("nvidia")), None)
    if other is None or any(slot.driver.startswith("nvidia") for slot in scene.on_bus):
        return None
    detail = f"the kernel gave {other.gpu.name} at {other.address} to {other.driver} instead of NVIDIA's driver"
    if other.driver == "vfio-pci":
        remedy = "Where no virtual machine needs it, take its id out of vfio-pci's options (vfio-pci.ids=), and reboot"
    elif any(unserved(slot.gpu, scene.branch, scene.modules) for slot in scene.on_bus):
        return None  # NVIDIA's would not take it anyway
    elif scene.installed:
        build = f"Build the driver's module for this kernel ({headers(scene)}, then dkms autoinstall)"
        remedy = f"{build}, blacklist {other.driver} in /etc/modprobe.d, and reboot"
    else:
        remedy = f"{install(scene)}, blacklist {other.driver} in /etc/modprobe.d, and reboot"
    return Cause("nvidia.kernel_driver", detail, f"{remedy}.")


def _unserved(_symptom: Symptom, scene: Scene) -> Cause | None:
    """A driver of a branch or a flavour that does not serve the GPU: by the kernel's words, else by the tables."""
    said = first(scene.log, "too_old_for_open", "needs_open", "legacy", "unsupported")
    taken = [slot for slot in scene.on_bus if slot.driver.startswith("nvidia")]
    gpus = [slot.gpu for slot in taken or scene.on_bus] or list(scene.gpus)
    problem = next((text for gpu in gpus if (text := unserved(gpu, scene.branch, scene.modules))), "")
    if said:
        problem = f"{problem} (the kernel says: {said.text})" if problem else f"the kernel says: {said.text}"
    if not problem:
        return None
    flavour = "kernel modules" in problem or "open nvidia.ko" in problem
    remedy = f"Remove this driver. {install(scene)}, and reboot."
    if said and said.kind == "legacy" and not any(gpu.sm in tables.NVIDIA_DRIVERS for gpu in gpus):
        remedy = f"Install NVIDIA's driver {said.versions[0]}, the last branch that serves this GPU, and reboot."
    return Cause("nvidia.flavour" if flavour else "nvidia.branch", problem, remedy)


# What the kernel said of a driver that is loaded: kind, finding, remedy.
_SAID = (
    ("power", "nvidia.not_started", "Connect the GPU's power cables, and start the machine again."),
    ("no_room", "nvidia.not_started", "Turn on Above 4G Decoding and Resizable BAR in the firmware, and reboot."),
    (
        "lost",
        "nvidia.lost",
        "The GPU fell off the bus: power the host off and on. If it comes back, look at power supply, temperature, slot and riser.",
    ),
    (
        "firmware",
        "nvidia.firmware",
        "Reinstall exactly this driver with its GSP firmware (Ubuntu: nvidia-firmware-…, Debian: firmware-nvidia-gsp), then power the host off and on.",
    ),
    (
        "other_kernel",
        "nvidia.not_loaded",
        "Build the module for the running kernel (its headers, dkms autoinstall), and reboot.",
    ),
    (
        "failed",
        "",
        "Power the host off and on; look at the driver's version, Above 4G Decoding and Resizable BAR in the firmware, power cables and slot.",
    ),
)


def _by_the_log(_symptom: Symptom, scene: Scene) -> Cause | None:
    for kind, name, remedy in _SAID:
        said = first(scene.log, kind)
        if said:
            return Cause(name, f"the kernel says: {said.text}", remedy)
    return None


def _no_gpu(_symptom: Symptom, scene: Scene) -> Cause | None:
    if scene.on_bus or scene.gpus:
        return None
    remedy = "If the host should have one: see that it is seated, has power and is turned on in the firmware; a virtual machine gets it from its host."
    return Cause("", "no NVIDIA GPU is on the PCI bus", f"{remedy} Else nothing: no GPU is used.")


def _mismatch(symptom: Symptom, scene: Scene) -> Cause | None:
    if symptom.id != "nvidia.version_mismatch":
        return None
    known = (("the kernel's module is", scene.module), ("the library is of", symptom.library))
    versions = ", ".join(f"{words} {version}" for words, version in known if version)
    return Cause("", versions, "Reboot: the driver was updated, and the kernel still runs the old module.")


def _no_device_files(symptom: Symptom, scene: Scene) -> Cause | None:
    if not scene.module or scene.control or symptom.id != "nvidia.not_loaded":
        return None
    return Cause(
        "nvidia.no_device_files",
        f"the module {scene.module} is loaded, but /dev/nvidiactl is not there",
        "Run `nvidia-modprobe -c 0 -u` as root (package nvidia-modprobe), or start nvidia-persistenced.",
    )


def _no_library(symptom: Symptom, scene: Scene) -> Cause | None:
    if symptom.id != "nvidia.no_library":
        return None
    branch = scene.branch or 580
    module = f"the kernel module {scene.module} is loaded" if scene.module else "nvidia-smi is there"
    detail = f"{module}, but the driver's libraries are not there"
    remedy = f"Install the user part of exactly this driver (Ubuntu: nvidia-utils-{branch} libnvidia-compute-{branch}), and run ldconfig."
    return Cause("", detail, remedy)


def _not_loaded(symptom: Symptom, scene: Scene) -> Cause | None:
    if symptom.id not in ("nvidia.not_loaded", "nvidia.driver"):
        return None
    if symptom.id == "nvidia.driver" and not scene.installed:
        return Cause("", f"There is an NVIDIA GPU ({scene.named}) but no driver", f"{install(scene)}, and reboot.")
    there = f"driver {scene.branch or ''} is installed, but its module is not loaded" if scene.installed else ""
    new = "" if scene.installed else f" Where no driver is installed: {install(scene)}."
    build = f"Build the driver's module for this kernel ({headers(scene)}, then dkms autoinstall), and reboot."
    return Cause("nvidia.not_loaded", there.replace("  ", " "), f"{build}{new}")


_REMEDIES = {
    "nvidia.no_devices": "See `sudo dmesg | grep NVRM` for why the driver started no GPU; often Above 4G Decoding and "
    "Resizable BAR are off in the firmware, or a power cable is missing.",
    "nvidia.access": "Put the user into the group that owns /dev/nvidia* (often video), and log in again.",
    "nvidia.lost": "The GPU fell off the bus: power the host off and on; see `sudo dmesg | grep Xid`.",
    "nvidia.smi_old": "Update the driver: this one is older than 510 and its nvidia-smi states no compute capability.",
    "nvidia.smi_hangs": "If it is only slow (many GPUs), turn persistence mode on (nvidia-smi -pm 1) or raise "
    "wavesmith_probe_timeout. Else see `sudo dmesg | grep NVRM` and reboot.",
}


def _otherwise(symptom: Symptom, scene: Scene) -> Cause:
    hint = "Run nvidia-smi by hand; see `sudo dmesg | grep -i NVRM`; reboot the host."
    return Cause("", "", _REMEDIES.get(symptom.id, hint))


CAUSES = (
    _rejected,
    _bound_elsewhere,
    _unserved,
    _mismatch,
    _by_the_log,
    _no_gpu,
    _no_device_files,
    _no_library,
    _not_loaded,
    _otherwise,
)
"""What can be the cause, in the order in which they are looked for; the last one is always there."""
