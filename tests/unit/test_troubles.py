"""An NVIDIA GPU that does not answer: what is said to be the cause, and the remedy for this kind of machine."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.observe import branches, drivers, kernel_log, probe
from ansible_collections.wavesmith.provision.plugins.module_utils.observe import host as observe_host
from ansible_collections.wavesmith.provision.plugins.module_utils.observe.gpus import Accelerator, Slot
from ansible_collections.wavesmith.provision.plugins.module_utils.observe.kernel_log import Said
from ansible_collections.wavesmith.provision.plugins.module_utils.observe.nvidia import Symptom
from ansible_collections.wavesmith.provision.plugins.module_utils.observe.scene import (
    CONTAINER,
    HOST,
    JETSON,
    WSL,
    WSL1,
    Scene,
    place_of,
)
from ansible_collections.wavesmith.provision.plugins.module_utils.observe.troubles import (
    diagnose,
    idle,
    missing,
    silent,
)
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.choose import choose
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.variables import Environment, Wanted
from ansible_collections.wavesmith.provision.plugins.plugin_utils import catalog_files

SAMPLES = Path(__file__).parent / "samples"
SPEECH = Environment("speech", packages=("torch",))
SMI = " ".join(drivers.NVIDIA_SMI)


def said(machine: str) -> dict[str, str]:
    """The finding that keeps a recorded machine's GPU from computing."""
    return dict(probe.observe(probe_root=str(SAMPLES / machine))["findings"][0])


def altered(base: str, folder: Path, text: str | None, code: int = 1, nvml: str = "") -> dict[str, Any]:
    """A recorded machine on which nvidia-smi says something else (None: it hangs)."""
    shutil.copytree(SAMPLES / base, folder)
    for name in (SMI, "nvidia-smi"):
        for end in (".txt", ".code"):
            (folder / f".commands/{name}{end}").unlink(missing_ok=True)
        if text is None:
            (folder / f".commands/{name}.timeout").touch()
        else:
            (folder / f".commands/{name}.txt").write_text(text)
            (folder / f".commands/{name}.code").write_text(str(code))
    if nvml:
        (folder / ".commands/python nvml.txt").write_text(nvml)
    return dict(probe.observe(probe_root=str(folder)))


# Whatever a failed nvidia-smi prints


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("No devices found\n", 6),
        ("", 1),
        ("Aucun périphérique n'a été trouvé\n", 6),
        ("请检查驱动\n", 9),
        ("NVML: something that nobody has read yet (0x7f)\n", 3),
        ("Segmentation fault\n", -11),
        (None, 0),
    ],
)
@pytest.mark.parametrize("base", ["rtx4090", "container-lost-gpu", "jetson-thor", "h100-580"])
def test_an_nvidia_smi_that_fails_leaves_no_cuda_whatever_it_prints(
    base: str, text: str | None, code: int, tmp_path: Path
) -> None:
    observed = altered(base, tmp_path / "host", text, code)
    choice = choose(SPEECH, Wanted((SPEECH,)), observed, catalog_files.load())  # type: ignore[arg-type]
    assert choice.stack is None
    assert choice.refusals[0].remedy


def test_nvml_that_answers_goes_before_an_nvidia_smi_that_does_not(tmp_path: Path) -> None:
    nvml = "CUDA Version: 13.0\nNVIDIA GeForce RTX 4090, 8.9, 24564, 580.95.05\n"
    observed = altered("rtx4090", tmp_path / "host", "nobody knows\n", nvml=nvml)
    choice = choose(SPEECH, Wanted((SPEECH,)), observed, catalog_files.load())  # type: ignore[arg-type]
    assert choice.stack is not None and choice.stack.name == "cuda13_0"


# What is said of each kind of machine


@pytest.mark.parametrize(
    ("machine", "name", "remedy", "never"),
    [
        # the last branch, the first branch, the flavour
        ("gtx1050-driver595", "nvidia.branch", "driver 580, the last branch", "580 or newer"),
        ("v100-driver595", "nvidia.branch", "nvidia-driver-580, not nvidia-driver-580-open", "580 or newer"),
        ("k80-driver580", "nvidia.branch", "driver 470, the last branch that serves Kepler", "580"),
        ("rtx5070-driver550", "nvidia.branch", "580 or newer with its open kernel modules", "last"),
        ("p4-open-580", "nvidia.flavour", "proprietary kernel modules", "580 or newer"),
        ("v100-open-log", "nvidia.flavour", "proprietary kernel modules", "580 or newer"),
        ("rtx5090-proprietary", "nvidia.flavour", "open kernel modules", "last"),
        # Secure Boot
        ("secure-boot-ubuntu", "nvidia.secure_boot", "mokutil --import", "linux-headers"),
        ("secure-boot-log", "nvidia.secure_boot", "Enroll MOK", "linux-headers"),
        ("secure-boot-efi", "nvidia.secure_boot", "mokutil --import", "nvidia-modprobe"),
        # the module and its files
        ("driver-not-loaded", "nvidia.not_loaded", "linux-headers-6.8.0-85-generic", "mokutil"),
        ("driver-not-built", "nvidia.kernel_driver", "dkms autoinstall), blacklist nouveau", "Install NVIDIA's driver"),
        ("nouveau", "nvidia.kernel_driver", "Install NVIDIA's driver 580 or newer, blacklist nouveau", "dkms"),
        ("vfio", "nvidia.kernel_driver", "vfio-pci.ids=", "Install"),
        ("no-device-files", "nvidia.no_device_files", "nvidia-modprobe", "dkms"),
        ("no-user-part", "nvidia.no_library", "libnvidia-compute-580", "dkms"),
        ("driver-mismatch", "nvidia.version_mismatch", "Reboot", "container"),
        ("gb10-no-driver", "nvidia.driver", "nvidia-driver-580-open", "dkms"),
        # the GPU itself
        ("gsp-timeout", "nvidia.firmware", "GSP firmware", "dkms"),
        ("gsp-firmware-missing", "nvidia.firmware", "firmware-nvidia-gsp", "dkms"),
        ("vm-no-gpu", "nvidia.no_devices", "a virtual machine gets it from its host", "cable"),
        ("xid79", "nvidia.lost", "power the host off and on", "dkms"),
        # WSL: never a driver of Linux
        ("wsl2-linux-driver", "nvidia.wsl_driver", "apt-get purge libnvidia-compute-550 nvidia-driver-550", "dkms"),
        ("wsl2-runfile", "nvidia.wsl_driver", "nvidia-uninstall", "headers"),
        ("wsl2-no-dxg", "nvidia.blocked", "wsl --shutdown", "apt-get"),
        ("wsl2-smi-crashes", "nvidia.smi_crashes", "wsl --update", "apt-get"),
        ("wsl1", "wsl.version", "wsl --set-version", "dkms"),
        # a container: what its host gives it
        ("docker-no-libnvidia-ml", "nvidia.no_library", "--gpus all", "apt-get"),
        ("docker-no-gpus", "nvidia.no_library", "nvidia-container-toolkit", "apt-get"),
        ("podman-no-device", "nvidia.no_library", "nvidia.com/gpu=all", "--gpus"),
        ("lxc-mismatch", "nvidia.version_mismatch", "exactly version 580.95.05", "Reboot"),
        ("docker-mismatch", "nvidia.version_mismatch", "exactly version 580.95.05", "Reboot"),
        ("docker-host-without-driver", "nvidia.driver", "answer on the host", "blacklist"),
        ("container-lost-gpu", "nvidia.container_lost", "Restart the container", "dkms"),
        ("smi-crashed", "nvidia.smi_crashes", "Install no driver in the container", "dkms"),
        ("thor-docker-no-runtime", "nvidia.no_library", "--runtime nvidia", "apt-get"),
        # a Jetson: JetPack's packages
        (
            "thor-desktop-driver",
            "nvidia.desktop_driver",
            "apt-get purge libnvidia-compute-580 nvidia-driver-580",
            "dkms",
        ),
        ("thor-driver-lost", "nvidia.not_loaded", "nvidia-l4t-core", "linux-headers"),
    ],
)
def test_the_remedy_is_for_the_cause_and_for_the_kind_of_machine(
    machine: str, name: str, remedy: str, never: str
) -> None:
    finding = said(machine)
    assert finding["id"] == name
    assert remedy in finding["remedy"]
    assert never not in finding["remedy"]


@pytest.mark.parametrize(
    ("place", "never"),
    [
        (WSL, ("apt-get install", "dkms", "linux-headers", "--gpus", "mokutil")),
        (WSL1, ("apt-get install", "dkms", "linux-headers", "--gpus", "mokutil")),
        (CONTAINER, ("apt-get", "dkms", "linux-headers", "mokutil", "nvidia-driver")),
        (JETSON, ("dkms", "linux-headers", "mokutil", "nvidia-driver-", "580 or newer")),
    ],
)
@pytest.mark.parametrize(
    "symptom", ["nvidia.smi", "nvidia.not_loaded", "nvidia.no_devices", "nvidia.version_mismatch", "nvidia.lost"]
)
def test_where_the_driver_is_somebody_elses_none_is_installed(place: str, never: tuple[str, ...], symptom: str) -> None:
    log = (Said("rejected", "Key was rejected by service"), Said("legacy", "old", versions=("580", "595.1")))
    remedy = diagnose(Symptom(symptom, "nvidia-smi: no"), Scene(place=place, log=log, secure_boot=True))["remedy"]
    assert not [words for words in never if words in remedy]
    assert remedy[:1].isupper() and remedy.endswith(".")


@pytest.mark.parametrize(
    ("engine", "words"),
    [("docker", "--gpus all"), ("podman", "--device nvidia.com/gpu=all"), ("lxc", "type gpu"), ("", "--gpus all")],
)
def test_each_engine_has_its_own_way_to_give_a_gpu(engine: str, words: str) -> None:
    scene = Scene(place=CONTAINER, engine=engine, module="580.95.05")
    assert words in diagnose(Symptom("nvidia.no_devices", "no"), scene)["remedy"]


def system(**more: Any) -> Any:
    return {"container": "", "wsl": False, "kernel": "6.8.0-85-generic", **more}


@pytest.mark.parametrize(
    ("facts", "jetson", "place"),
    [
        (system(), False, HOST),
        (system(), True, JETSON),
        (system(wsl=True, kernel="6.6.87.2-microsoft-standard-WSL2"), False, WSL),
        (system(wsl=True, container="wsl", kernel="6.6.87.2-microsoft-standard-WSL2"), False, WSL),
        (system(wsl=True, container="docker"), False, CONTAINER),
        (system(wsl=True, kernel="4.4.0-19041-Microsoft"), False, WSL1),
        (system(container="docker"), True, CONTAINER),
    ],
)
def test_whose_the_driver_is(facts: Any, jetson: bool, place: str) -> None:
    assert place_of(facts, jetson) == place


def test_a_wsl_1_without_anything_of_nvidia_is_said_too(tmp_path: Path) -> None:
    shutil.copytree(SAMPLES / "wsl1", tmp_path / "host")
    for path in (tmp_path / "host/.commands").glob("nvidia-smi*"):
        path.unlink()
    assert [finding["id"] for finding in probe.observe(probe_root=str(tmp_path / "host"))["findings"]] == [
        "wsl.version"
    ]


@pytest.mark.parametrize(
    ("scene", "libcuda", "name"),
    [
        (Scene(module="580.1"), True, None),  # a container for compute only
        (Scene(place=CONTAINER, module="580.1"), True, None),
        (Scene(place=JETSON, jetson=True), False, None),
        (Scene(place=CONTAINER, jetson=True), True, None),
        (Scene(module="580.1"), False, "nvidia.no_library"),
        (Scene(place=CONTAINER, jetson=True), False, "nvidia.no_library"),
        (Scene(), True, "nvidia.driver"),
        (Scene(place=JETSON, jetson=True, packages={"nvidia-driver-580": "580"}), False, "nvidia.no_library"),
    ],
)
def test_without_nvidia_smi_the_drivers_library_decides(scene: Scene, libcuda: bool, name: str | None) -> None:
    symptom = silent(scene, libcuda)
    assert (symptom and symptom.id) == name


@pytest.mark.parametrize(
    ("kind", "name"),
    [("power", "nvidia.not_started"), ("no_room", "nvidia.not_started"), ("other_kernel", "nvidia.not_loaded")],
)
def test_what_the_kernel_says_of_a_gpu_that_did_not_start(kind: str, name: str) -> None:
    finding = diagnose(Symptom("nvidia.no_devices", "no"), Scene(module="580.1", control=True, log=(Said(kind, "x"),)))
    assert (finding["id"], "the kernel says: x" in finding["detail"]) == (name, True)


def test_a_legacy_gpu_that_no_table_knows_gets_the_branch_that_the_kernel_names() -> None:
    scene = Scene(log=(Said("legacy", "supported through the NVIDIA 390.xx", versions=("390", "535.1")),))
    assert "driver 390, the last" in diagnose(Symptom("nvidia.not_loaded", "no"), scene)["remedy"]


def test_a_gpu_for_the_screen_is_not_taken_for_the_cause() -> None:
    screen, card = slot("0000:01:00.0", "3.5", "nouveau"), slot("0000:02:00.0", "8.9", "nvidia")
    scene = Scene(on_bus=(screen, card), module="580.95.05", control=True)
    assert diagnose(Symptom("nvidia.smi_hangs", "nvidia-smi: no answer"), scene)["id"] == "nvidia.smi_hangs"


# GPUs that are missing beside others


def slot(address: str, sm: str, driver: str = "nvidia") -> Slot:
    return Slot(address, Accelerator("nvidia", f"GPU {sm}", sm=sm, source="pci"), driver)


@pytest.mark.parametrize(
    ("machine", "named", "shown"),
    [
        ("a30-one-lost", "0000:17:00.0", "4 NVIDIA GPUs are on the PCI bus, nvidia-smi shows 3"),
        ("a100-seven-of-eight", "0000:57:00.0", "8 NVIDIA GPUs are on the PCI bus, nvidia-smi shows 7"),
        ("rtx3090-three-one-off", "0000:41:00.0", "3 NVIDIA GPUs are on the PCI bus, nvidia-smi shows 2"),
    ],
)
def test_a_lost_gpu_is_named_by_its_place_on_the_bus(machine: str, named: str, shown: str) -> None:
    finding = said(machine)
    assert finding["id"] == "nvidia.missing"
    assert shown in finding["detail"] and f"{named} (" in finding["detail"]


def test_where_nothing_says_which_gpu_is_lost_all_are_named() -> None:
    scene = Scene(on_bus=(slot("0000:01:00.0", "8.0"), slot("0000:02:00.0", "8.0")))
    finding = missing(1, "", "", scene)
    assert finding and "one of 0000:01:00.0, 0000:02:00.0" in finding["detail"]


@pytest.mark.parametrize(
    ("count", "shown", "text", "where"),
    [
        (8, 6, "Unable to determine the device handle for GPU2: 0000:03:00.0: Unknown Error\n", "0000:03:00.0 (GPU 9.0) and 1 more do not answer"),
        (4, 1, "", "3 of 0000:01:00.0, 0000:02:00.0, 0000:03:00.0, 0000:04:00.0 do not answer"),
        (3, 1, "GPU 0000:01:00.0 is lost\nGPU 0000:02:00.0 is lost\n", "0000:01:00.0 (GPU 9.0), 0000:02:00.0 (GPU 9.0) do not answer"),
    ],
)  # fmt: skip
def test_as_many_gpus_are_told_as_are_missing(count: int, shown: int, text: str, where: str) -> None:
    scene = Scene(on_bus=tuple(slot(f"0000:{number:02}:00.0", "9.0") for number in range(1, count + 1)))
    finding = missing(shown, text, "", scene)
    assert finding and finding["detail"].endswith(f"shows {shown}: {where}")


def test_a_row_that_says_that_the_gpu_is_lost_is_no_gpu() -> None:
    rows = "NVIDIA A30, 8.0, 24576, 580.95.05\nNVIDIA A30, [GPU is lost], [GPU is lost], 580.95.05\n"
    on_bus = (slot("0000:01:00.0", "8.0"), slot("0000:02:00.0", "8.0"))
    assert len(drivers.parse_nvidia_smi(rows)[0]) == 1
    assert missing(1, rows, "", Scene(on_bus=on_bus)) is not None


@pytest.mark.parametrize(
    "scene",
    [
        pytest.param(Scene(on_bus=(slot("a", "8.9"), slot("b", "8.6", "vfio-pci"))), id="one for a virtual machine"),
        pytest.param(Scene(on_bus=(slot("a", "8.9"), slot("b", "3.5", "nouveau"))), id="one for the screen"),
        pytest.param(Scene(on_bus=(slot("a", "8.9"), slot("b", "3.5", ""))), id="one that the driver dropped"),
        pytest.param(Scene(place=CONTAINER, on_bus=(slot("a", "8.9"), slot("b", "8.9"))), id="one for the container"),
        pytest.param(Scene(place=WSL), id="no bus"),
        pytest.param(Scene(on_bus=(slot("a", "8.0"),)), id="MIG, one card"),
    ],
)
def test_a_healthy_machine_is_not_said_to_have_lost_a_gpu(scene: Scene) -> None:
    assert missing(1, "NVIDIA GPU, 8.9, 1, 580.1\n", "", scene) is None
    assert idle(scene) is None


def test_in_a_container_a_gpu_is_missed_only_where_nvidia_smi_says_so() -> None:
    text = "Unable to determine the device handle for GPU 0000:17:00.0: GPU is lost.\n"
    finding = missing(1, text, "", Scene(place=CONTAINER, on_bus=(slot("0000:17:00.0", "8.0"),)))
    assert finding and "0000:17:00.0 (GPU 8.0)" in finding["detail"] and "on the host" in finding["remedy"]


@pytest.mark.parametrize(
    ("scene", "words"),
    [
        (
            Scene(on_bus=(slot("a", "12.0"), slot("b", "6.1", "")), module="580.95.05", flavour="open"),
            "take one of them out",
        ),
        (
            Scene(on_bus=(slot("a", "8.9"), slot("b", "6.1", "")), module="595.71.05"),
            "To use it, install NVIDIA's driver 580",
        ),
        (
            Scene(on_bus=(slot("a", "8.9"), slot("b", "12.0", "")), module="580.95.05", flavour="proprietary"),
            "with its open kernel modules",
        ),
    ],
)
def test_a_gpu_that_the_driver_of_the_others_does_not_serve_is_named(scene: Scene, words: str) -> None:
    finding = idle(scene)
    assert finding and finding["id"] == "nvidia.idle" and words in finding["remedy"]
    assert idle(replace(scene, place=CONTAINER)) is None


# Branches, flavours, packages


@pytest.mark.parametrize(
    ("sms", "words"),
    [
        (("6.1",), "driver 580, the last branch that serves Pascal"),
        (("6.1", "8.9"), "driver 580, the last branch that serves Pascal"),
        (("3.7",), "driver 470"),
        (("3.7", "8.9"), ""),
        (("6.1", "12.0"), ""),
        (("12.0",), "580 or newer with its open"),
        (("9.0", "7.5"), "580 or newer"),
        (("8.7",), "580 or newer"),
    ],
)
def test_which_driver_serves_all_gpus(sms: tuple[str, ...], words: str) -> None:
    found = branches.driver_for([Accelerator("nvidia", "x", sm=sm) for sm in sms])
    assert bool(found) == bool(words) and words in found


@pytest.mark.parametrize(
    ("sm", "branch", "flavour", "served"),
    [
        ("7.0", 580, "proprietary", True),
        ("7.0", 590, "", False),
        ("7.0", 580, "open", False),
        ("7.5", 610, "open", True),
        ("12.0", 560, "open", False),
        ("12.0", 570, "proprietary", False),
        ("3.7", 470, "", True),
        ("3.7", 525, "", False),
        ("8.7", 999, "open", True),
        ("14.0", 999, "open", True),
        (None, 999, "open", True),
    ],
)
def test_which_branches_and_flavours_serve_a_gpu(sm: str | None, branch: int, flavour: str, served: bool) -> None:
    assert (branches.unserved(Accelerator("nvidia", "x", sm=sm), branch, flavour) == "") is served


@pytest.mark.parametrize(
    ("names", "branch", "modules"),
    [
        ({"nvidia-driver-580-open": "580.95.05-0ubuntu1", "nvidia-dkms-580-open": "580.95.05-0ubuntu1"}, 580, "open"),
        ({"nvidia-driver-595": "595.58.03-0ubuntu1"}, 595, "proprietary"),
        ({"nvidia-open-kernel-dkms": "550.163.01-4", "nvidia-driver": "550.163.01-4"}, 550, "open"),
        (
            {"linux-modules-nvidia-570-server-6.8.0-85-generic": "6.8.0-85.85", "libnvidia-compute-570": "570.1"},
            570,
            "proprietary",
        ),
        ({"nvidia-kernel-common": "20220217+3", "libcuda1": "535.261.03-1~deb12u1"}, 535, ""),
        ({}, 0, ""),
    ],
)
def test_packages_tell_branch_and_flavour(names: Mapping[str, str], branch: int, modules: str) -> None:
    scene = Scene(packages=names)
    assert (scene.branch, scene.modules) == (branch, modules)
    assert sorted(branches.driver_packages(names)) == sorted(names)


@pytest.mark.parametrize(
    "name",
    ["nvidia-container-toolkit", "libnvidia-container1", "nvidia-cuda-toolkit", "nvidia-l4t-core", "nvidia-prime"],
)
def test_packages_that_are_no_driver(name: str) -> None:
    assert branches.driver_packages([name]) == []


# The kernel's log


@pytest.mark.parametrize(
    ("text", "kind", "address"),
    [
        ("[1.0] NVRM: Xid (PCI:0000:41:00): 79, GPU has fallen off the bus.", "lost", "0000:41:00.0"),
        ("3,9,1,-;NVRM: GPU 0001:41:00.0: GPU has fallen off the bus.", "lost", "0001:41:00.0"),
        ("NVRM: GPU at 00000000:C1:00.0 has fallen off the bus.", "lost", "0000:c1:00.0"),
        ("NVRM: Xid (PCI:0000:01:00): 120, GSP task timeout", "firmware", "0000:01:00.0"),
        ("NVRM: _kgspBootGspRm: unexpected WPR2 already up, cannot proceed with booting GSP", "firmware", ""),
        ("NVRM: GPU 0000:01:00.0: GPU does not have the necessary power cables connected.", "power", "0000:01:00.0"),
        ("NVRM: This PCI I/O region assigned to your NVIDIA device is invalid:", "no_room", ""),
        ("NVRM: BAR0 is 0M @ 0x0 (PCI:0000:01:00.0)", "no_room", "0000:01:00.0"),
        ("nvidia: version magic '6.8.0-84-generic' should be '6.8.0-85-generic'", "other_kernel", ""),
        ("[9.1] nvidia 0000:01:00.0: probe with driver nvidia failed with error -1", "failed", "0000:01:00.0"),
        (
            "Nov 28 09:00:00 h kernel: Lockdown: modprobe: unsigned module loading is restricted; see man",
            "rejected",
            "",
        ),
        ("modprobe: ERROR: could not insert 'nvidia': Key was rejected by service", "rejected", ""),
        (
            "NVRM: The NVIDIA GPU 0000:01:00.0 (PCI ID: 10de:2f04)\nNVRM: installed in this system is not supported by the NVIDIA 550.163.01 driver release.",
            "unsupported",
            "0000:01:00.0",
        ),
    ],
)
def test_the_kernels_words(text: str, kind: str, address: str) -> None:
    (found,) = kernel_log.read_log(text)
    assert (found.kind, found.address) == (kind, address)


@pytest.mark.parametrize(
    "text",
    [
        "modprobe: ERROR: could not insert 'vboxdrv': Key was rejected by service",
        "nvidia: module verification failed: signature and/or required key missing - tainting kernel",
        "NVRM: loading NVIDIA UNIX Open Kernel Module for x86_64  580.95.05",
        "NVRM: Xid (PCI:0000:01:00): 79, old boot\nLinux version 6.8.0\nnvidia 0000:01:00.0: enabling device",
        "uhci 0000:00:1a.0: probe with driver uhci failed with error -1",
        "",
    ],
)
def test_what_is_no_trouble_in_the_kernels_log(text: str) -> None:
    assert kernel_log.read_log(text) == ()


def test_the_log_of_this_machine_is_read_at_once_or_not_at_all() -> None:
    assert isinstance(observe_host.Host(timeout=1).kernel_log(), str)


def test_a_long_log_file_is_read_at_its_end(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"x" * 100 + b"end")
    host = observe_host.Host(str(tmp_path))
    assert (host.read_bytes("/log", 3), host.read_bytes("/log")[:1], host.read_bytes("/nothing")) == (b"end", b"x", b"")


def test_the_log_is_not_read_on_a_machine_whose_gpus_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observe_host.Host, "kernel_log", lambda _self: pytest.fail("it was read"))
    for machine in ("rtx4090", "rtx4090-vfio", "h200", "wsl2", "jetson-thor", "cpu-debian12", "mi300x"):
        probe.observe(probe_root=str(SAMPLES / machine))
