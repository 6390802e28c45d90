"""Tables of hardware that names itself only by number, each with the source of its facts. Nothing here decides."""

from __future__ import annotations

# Jetson chips by device tree name: compute capability. Source: rbonghi/jetson_stats:jtop/core/jetson_variables.py@f41d5ca.
TEGRA = {"tegra264": "11.0", "tegra234": "8.7", "tegra194": "7.2", "tegra186": "6.2", "tegra210": "5.3"}
# The same where only nvidia-smi or the device tree's model says something (a container sees no device tree).
TEGRA_NAMES = {"thor": "11.0", "orin": "8.7", "xavier": "7.2"}

# Jetson modules by device tree name. Source: the same file; p3834-0000 is NVIDIA's Thor developer guide's T5000.
JETSON_MODULES = {
    "p3834-0008": "Jetson AGX Thor (developer kit)",
    "p3834-0000": "Jetson T5000",
    "p3767-0005": "Jetson Orin Nano (developer kit)",
    "p3767-0004": "Jetson Orin Nano 4 GB",
    "p3767-0003": "Jetson Orin Nano 8 GB",
    "p3767-0001": "Jetson Orin NX 8 GB",
    "p3767-0000": "Jetson Orin NX 16 GB",
    "p3701-0005": "Jetson AGX Orin 64 GB",
    "p3701-0004": "Jetson AGX Orin 32 GB",
    "p3701-0002": "IGX Orin (developer kit)",
    "p3701-0000": "Jetson AGX Orin",
    "p3668-0001": "Jetson Xavier NX",
    "p3668-0000": "Jetson Xavier NX (developer kit)",
    "p2888-0005": "Jetson AGX Xavier 64 GB",
    "p2888-0004": "Jetson AGX Xavier 32 GB",
    "p2888-0001": "Jetson AGX Xavier 16 GB",
}

# L4T release: JetPack and the CUDA it ships. Sources: the same file for the releases; 39.2.1: OE4T/meta-tegra#2339;
# CUDA of 7.2: OE4T/meta-tegra#2224, of the others NVIDIA's JetPack archive.
JETPACKS = {
    "39.2.1": ("7.2.1", "13.2"),
    "39.2.0": ("7.2", "13.2"),
    "38.4.0": ("7.1", "13.0"),
    "38.2.2": ("7.0", "13.0"),
    "38.2.1": ("7.0", "13.0"),
    "38.2.0": ("7.0", "13.0"),
    "36.5.0": ("6.2.2", "12.6"),
    "36.4.7": ("6.2.1", "12.6"),
    "36.4.4": ("6.2.1", "12.6"),
    "36.4.3": ("6.2", "12.6"),
    "36.4.2": ("6.1", "12.6"),
    "36.4.0": ("6.1", "12.6"),
    "36.3.0": ("6.0", "12.2"),
    "35.6.4": ("5.1.6", "11.4"),
    "35.6.1": ("5.1.5", "11.4"),
    "35.6.0": ("5.1.4", "11.4"),
    "35.5.0": ("5.1.3", "11.4"),
    "35.4.1": ("5.1.2", "11.4"),
    "35.3.1": ("5.1.1", "11.4"),
    "35.2.1": ("5.1", "11.4"),
    "35.1.0": ("5.0.2", "11.4"),
    "32.7.6": ("4.6.6", "10.2"),
    "32.7.1": ("4.6.1", "10.2"),
}

# NVIDIA's PCI ids: first, last, chip, compute capability. Sources: pciutils/pciids:pci.ids@c1c1254 for id and chip,
# NVIDIA's list of CUDA GPUs for chip and compute capability. Only display and 3D controllers are looked up here.
NVIDIA_CHIPS = (
    (0x0FC0, 0x0FFF, "GK107", "3.0"),
    (0x102D, 0x102D, "GK210", "3.7"),
    (0x1001, 0x103F, "GK110", "3.5"),
    (0x1180, 0x11FF, "GK104", "3.0"),
    (0x1280, 0x12BA, "GK208", "3.5"),
    (0x1340, 0x13BD, "GM107", "5.0"),
    (0x13BE, 0x1436, "GM204", "5.2"),
    (0x15C2, 0x15FF, "GP100", "6.0"),
    (0x1613, 0x1676, "GM204", "5.2"),
    (0x1725, 0x172F, "GP100", "6.0"),
    (0x174D, 0x179C, "GM107", "5.0"),
    (0x17C2, 0x17FD, "GM200", "5.2"),
    (0x1B00, 0x1B7F, "GP102", "6.1"),
    (0x1B80, 0x1BFF, "GP104", "6.1"),
    (0x1C00, 0x1C7F, "GP106", "6.1"),
    (0x1C80, 0x1D56, "GP107", "6.1"),
    (0x1D81, 0x1DF6, "GV100", "7.0"),
    (0x1E02, 0x1E7F, "TU102", "7.5"),
    (0x1E80, 0x1EFF, "TU104", "7.5"),
    (0x1F00, 0x1F7F, "TU106", "7.5"),
    (0x1F80, 0x1FFF, "TU117", "7.5"),
    (0x2080, 0x20FF, "GA100", "8.0"),
    (0x2182, 0x21D1, "TU116", "7.5"),
    (0x2200, 0x223F, "GA102", "8.6"),
    (0x2302, 0x23F0, "GH100", "9.0"),
    (0x2414, 0x2460, "GA103", "8.6"),
    (0x2480, 0x24FF, "GA104", "8.6"),
    (0x2500, 0x257F, "GA106", "8.6"),
    (0x2580, 0x25FF, "GA107", "8.6"),
    (0x2680, 0x26FF, "AD102", "8.9"),
    (0x2700, 0x277F, "AD103", "8.9"),
    (0x2780, 0x27FF, "AD104", "8.9"),
    (0x2800, 0x287F, "AD106", "8.9"),
    (0x2880, 0x28FF, "AD107", "8.9"),
    (0x2900, 0x29FF, "GB100", "10.0"),
    (0x2B00, 0x2B00, "Thor", "11.0"),
    (0x2B80, 0x2BFF, "GB202", "12.0"),
    (0x2C00, 0x2C7F, "GB203", "12.0"),
    (0x2D00, 0x2D7F, "GB206", "12.0"),
    (0x2D80, 0x2DFF, "GB207", "12.0"),
    (0x2E12, 0x2E12, "GB10", "12.1"),
    (0x2E00, 0x2E2A, "GB20B", "12.1"),
    (0x2F00, 0x2F80, "GB205", "12.0"),
    (0x3180, 0x31FE, "GB110", "10.3"),
)

# AMD's PCI ids: name and gfx target, for hosts whose kernel shows no compute nodes. Sources: pciutils/pciids:pci.ids
# @c1c1254 for id and product, the processor table of LLVM's AMDGPUUsage for product and target.
AMD_GPUS = {
    0x1636: ("Renoir (Radeon Vega)", "gfx90c"),
    0x1638: ("Cezanne (Radeon Vega)", "gfx90c"),
    0x164E: ("Raphael", "gfx1036"),
    0x13C0: ("Granite Ridge", "gfx1036"),
    0x1681: ("Rembrandt (Radeon 680M)", "gfx1035"),
    0x15BF: ("Phoenix (Radeon 780M)", "gfx1103"),
    0x150E: ("Strix (Radeon 890M)", "gfx1150"),
    0x1586: ("Strix Halo (Radeon 8060S)", "gfx1151"),
    0x6860: ("Instinct MI25", "gfx900"),
    0x687F: ("Radeon RX Vega", "gfx900"),
    0x66A1: ("Instinct MI50", "gfx906"),
    0x66AF: ("Radeon VII", "gfx906"),
    0x738C: ("Instinct MI100", "gfx908"),
    0x7408: ("Instinct MI250X", "gfx90a"),
    0x740C: ("Instinct MI250", "gfx90a"),
    0x740F: ("Instinct MI210", "gfx90a"),
    0x74A1: ("Instinct MI300X", "gfx942"),
    0x74A5: ("Instinct MI325X", "gfx942"),
    0x75A0: ("Instinct MI350X", "gfx950"),
    0x731F: ("Radeon RX 5700", "gfx1010"),
    0x73BF: ("Radeon RX 6800/6900", "gfx1030"),
    0x73DF: ("Radeon RX 6700 XT", "gfx1031"),
    0x73FF: ("Radeon RX 6600", "gfx1032"),
    0x7448: ("Radeon PRO W7900", "gfx1100"),
    0x744C: ("Radeon RX 7900", "gfx1100"),
    0x747E: ("Radeon RX 7800 XT", "gfx1101"),
    0x7480: ("Radeon RX 7600", "gfx1102"),
    0x7550: ("Radeon RX 9070", "gfx1201"),
    0x7590: ("Radeon RX 9060 XT", "gfx1200"),
}

# Intel's, by name only: nothing here runs torch's CUDA or ROCm. Source: pciutils/pciids:pci.ids@c1c1254.
INTEL_GPUS = {
    0x56A0: "Arc A770",
    0xE20B: "Arc B580",
    0x46A6: "Iris Xe (Alder Lake)",
    0x9A49: "Iris Xe (Tiger Lake)",
    0xA780: "UHD Graphics 770",
    0x7D55: "Arc (Meteor Lake)",
    0x64A0: "Arc 140V",
    0x3E9B: "UHD Graphics 630",
    0x0BD5: "Data Center GPU Max 1550",
}

# First driver branch: the newest CUDA it serves. Sources: the table of toolkit and driver versions in the CUDA release
# notes (13.1 and its predecessors); 565, 595 and 610 as the headers of nvidia-smi show them (sgl-project/sglang#27487).
DRIVER_CUDA = (
    (610, "13.3"),
    (595, "13.2"),
    (590, "13.1"),
    (580, "13.0"),
    (575, "12.9"),
    (570, "12.8"),
    (565, "12.7"),
    (560, "12.6"),
    (555, "12.5"),
    (550, "12.4"),
    (545, "12.3"),
    (535, "12.2"),
    (530, "12.1"),
    (525, "12.0"),
    (520, "11.8"),
    (515, "11.7"),
    (510, "11.6"),
    (495, "11.5"),
    (470, "11.4"),
    (465, "11.3"),
    (460, "11.2"),
    (455, "11.1"),
    (450, "11.0"),
    (440, "10.2"),
    (418, "10.1"),
    (410, "10.0"),
    (396, "9.2"),
    (390, "9.1"),
    (384, "9.0"),
)

# NVIDIA's drivers by compute capability: generation, first driver branch, last one (0: still served), and the flavour of the
# kernel module that drives it. Jetson's own (5.3, 6.2, 7.2, 8.7) have the driver of their L4T. Sources: first branch: that of the
# first CUDA that compiles for it (CUDA release notes, and DRIVER_CUDA above; HGX B200: NVIDIA/cloud-native-docs#184); last branch:
# the kernel module's own words, "supported through the NVIDIA 470.xx Legacy drivers" of Kepler (siderolabs/talos#8764) and
# 580.xx of Pascal (NixOS/nixos-hardware#1828), CUDA 13.0 release notes for Maxwell, Pascal and Volta; flavour: NVIDIA's driver
# installation guide, "Kernel Modules" (open: Turing and newer only), and for Blackwell the module's words "requires use of the
# NVIDIA open kernel modules" and NVIDIA's blog of 2024-07-17 on the open kernel modules.
PROPRIETARY, EITHER, OPEN = "proprietary", "either", "open"
NVIDIA_DRIVERS = {
    "3.0": ("Kepler", 319, 470, PROPRIETARY),
    "3.5": ("Kepler", 319, 470, PROPRIETARY),
    "3.7": ("Kepler", 343, 470, PROPRIETARY),
    "5.0": ("Maxwell", 343, 580, PROPRIETARY),
    "5.2": ("Maxwell", 343, 580, PROPRIETARY),
    "6.0": ("Pascal", 367, 580, PROPRIETARY),
    "6.1": ("Pascal", 367, 580, PROPRIETARY),
    "7.0": ("Volta", 384, 580, PROPRIETARY),
    "7.5": ("Turing", 410, 0, EITHER),
    "8.0": ("Ampere", 450, 0, EITHER),
    "8.6": ("Ampere", 455, 0, EITHER),
    "8.9": ("Ada", 520, 0, EITHER),
    "9.0": ("Hopper", 520, 0, EITHER),
    "10.0": ("Blackwell", 570, 0, OPEN),
    "10.3": ("Blackwell", 575, 0, OPEN),
    "11.0": ("Thor", 580, 0, OPEN),
    "12.0": ("Blackwell", 570, 0, OPEN),
    "12.1": ("Blackwell", 575, 0, OPEN),
}

# Arm cores by implementer and part. Sources: util-linux/util-linux:sys-utils/lscpu-arm.c@01e2697, for 0xd81 and above
# Linux' arch/arm64/include/asm/cputype.h.
ARM_CORES = {
    (0x41, 0xD03): "Cortex-A53",
    (0x41, 0xD05): "Cortex-A55",
    (0x41, 0xD07): "Cortex-A57",
    (0x41, 0xD08): "Cortex-A72",
    (0x41, 0xD0B): "Cortex-A76",
    (0x41, 0xD0C): "Neoverse-N1",
    (0x41, 0xD40): "Neoverse-V1",
    (0x41, 0xD42): "Cortex-A78AE",
    (0x41, 0xD49): "Neoverse-N2",
    (0x41, 0xD4F): "Neoverse-V2",
    (0x41, 0xD83): "Neoverse-V3AE",
    (0x41, 0xD84): "Neoverse-V3",
    (0x41, 0xD85): "Cortex-X925",
    (0x41, 0xD87): "Cortex-A725",
    (0x41, 0xD8E): "Neoverse-N3",
    (0x46, 0x001): "A64FX",
    (0x4E, 0x004): "Carmel",
    (0xC0, 0xAC3): "Ampere-1",
    (0xC0, 0xAC4): "Ampere-1a",
}

# SMBIOS chassis types (DSP0134, table 17; systemd reads them the same way, src/hostname/hostnamed.c).
WORKSTATIONS = frozenset((3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 24, 30, 31, 32, 35, 36))
SERVERS = frozenset((17, 23, 25, 28, 29))
VIRTUAL = ("amazon ec2", "qemu", "google", "xen", "vmware", "alibaba cloud", "digitalocean", "openstack", "kvm")

# Windows' display drivers, by the beginning of their folder's name in the driver store that WSL2 shows.
# Sources: microsoft/WSL#6423 (iigd_dch), #11277 (nvltwi); nv_disp and AMD's u0<number> as their installers name them.
WINDOWS_DRIVERS = (("nv_disp", "NVIDIA"), ("nvlt", "NVIDIA"), ("u0", "AMD"), ("iigd", "Intel"))
