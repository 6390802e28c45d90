"""Shared libraries as values: what each needs or opens, which of them are alternatives, who brings what, and what is missing.

One rule for all who ask: the audit of a prefix, the doctor (both know where the dynamic linker looks), and the plan (which knows the
names only, before anything is installed).
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

# Part of the driver, never of a package: absent on a host without that driver, and found there at run time.
DRIVER_LIBRARIES = (
    "libcuda.so*",
    "libnvidia-*.so*",
    "libnvcuvid.so*",
    "libnvoptix.so*",
    "libdxcore.so*",
    "libd3d12*.so*",
)
# Plug-ins that their package opens only when asked to, and does without (file, library, what they are for).
OPTIONAL = (
    ("numba/np/ufunc/*pool.*", "*", "numba's other thread pools"),
    ("nvidia/*/libcufile_rdma.so*", "*", "GPUDirect Storage over RDMA"),
    ("nvidia/nvshmem/lib/nvshmem_*", "*", "NVSHMEM between hosts"),
    ("nvidia/*/libnccl-*.so*", "*", "NCCL plug-ins"),
    ("torchcodec/libtorchcodec_heic.so", "libheif.so*", "torchcodec's HEIC images"),
    ("*/libonnxruntime_providers_tensorrt.so", "lib*nv*.so*", "onnxruntime's TensorRT provider"),
    ("*/libonnxruntime_providers_openvino.so", "libopenvino*", "onnxruntime's OpenVINO provider"),
    ("cupy_backends/cuda/libs/*.so", "libcutensor*.so*", "cupy's cuTENSOR"),
    ("torio/lib/*", "lib[as][vw]*.so*", "torchaudio's own FFmpeg reader, to torchaudio 2.8"),
)
# The C library and the compiler's, on every host (PEP 600 allows wheels to count on them).
OF_THE_SYSTEM = (
    "ld-linux*.so*", "libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1", "libutil.so.1",
    "libresolv.so.2", "libnsl.so.1", "libcrypt.so.1", "libanl.so.1", "libgcc_s.so.1", "libstdc++.so.6", "libz.so.1",
)  # fmt: skip
# Libraries of CUDA, ROCm and what is built on them.
OF_ACCELERATORS = re.compile(
    r"lib(?:cudart|cublas|cublasLt|nvblas|cudnn\w*|cufft|cufftw|cufile|curand|cusolver|cusolverMg|cusparse|cusparseLt|cutensor\w*|cupti"
    r"|nccl|nvrtc|nvrtc-builtins|nvJitLink|nvfatbin|npp\w+|nvjpeg|nvshmem_host|nvinfer\w*|nvonnxparser|nvToolsExt|nvtx3interop"
    r"|torch_cuda\w*|c10_cuda|torch_hip|c10_hip|amdhip64|hip\w+|rocblas|rocsolver|rocrand|rocsparse|rocfft|MIOpen|rccl|hsa-runtime64"
    r"|onnxruntime_providers_(?:cuda|tensorrt|rocm|migraphx)|caffe2_nvrtc)(?:-[0-9a-f]{8})?\.so[.0-9]*"
)
"""… with the hash that auditwheel puts into the name of what it copies into a wheel."""
# What code for GPUs cannot do without, where it is opened by name: the rest (NCCL, cuFile …) is opened only when it is asked for.
_OPENED_BY_NEED = re.compile(
    r"lib(?:cudart|cublas|cublasLt|cudnn\w*|cufft|curand|cusolver|cusparse|amdhip64|rocblas)\.so\.\d.*"
)

# Who brings a library: packages of Debian and Ubuntu (seen in Debian 12's own packages; where newer systems append t64 both are named).
SYSTEM_PACKAGES = (
    ("libav[cdfu]*.so.*", "ffmpeg"),
    ("libsw[rs]*.so.*", "ffmpeg"),
    ("libsndfile.so.1", "libsndfile1"),
    ("libespeak-ng.so.1", "espeak-ng"),
    ("libsox.so.*", "sox"),
    ("libportaudio.so.2", "libportaudio2"),
    ("libasound.so.2", "libasound2 (libasound2t64 from Debian 13 and Ubuntu 24.04 on)"),
    ("libGL.so.1", "libgl1"),
    ("libEGL.so.1", "libegl1"),
    ("libg*-2.0.so.0", "libglib2.0-0 (libglib2.0-0t64 from Debian 13 and Ubuntu 24.04 on)"),
    ("libX11.so.6", "libx11-6"),
    ("libxcb.so.1", "libxcb1"),
    ("libSM.so.6", "libsm6"),
    ("libICE.so.6", "libice6"),
    ("libXext.so.6", "libxext6"),
    ("libXrender.so.1", "libxrender1"),
    ("libgomp.so.1", "libgomp1"),
    ("libopenblas.so.0", "libopenblas0"),
    ("libblas.so.3", "libopenblas0"),
    ("liblapack.so.3", "libopenblas0"),
    ("libnuma.so.1", "libnuma1"),
    ("libtbb.so.12", "libtbb12"),
    ("libheif.so.1", "libheif1"),
    ("libmpi.so.40", "libopenmpi3 (libopenmpi3t64 on Ubuntu 24.04, libopenmpi40 on newer ones and Debian 13)"),
    ("libOpenCL.so.1", "ocl-icd-libopencl1"),
    ("libusb-1.0.so.0", "libusb-1.0-0"),
    ("libmpg123.so.0", "libmpg123-0 (libmpg123-0t64 from Debian 13 and Ubuntu 24.04 on)"),
    ("libfftw3f*.so.3", "libfftw3-single3"),
    ("libfftw3*.so.3", "libfftw3-double3"),
    ("libmecab.so.2", "libmecab2"),
    ("libopus.so.0", "libopus0"),
    ("libfluidsynth.so.3", "libfluidsynth3"),
    ("librubberband.so.2", "librubberband2"),
    ("libmagic.so.1", "libmagic1 (libmagic1t64 from Debian 13 and Ubuntu 24.04 on)"),
    ("libaio.so.1", "libaio1 (libaio1t64 from Debian 13 and Ubuntu 24.04 on)"),
    ("libpython3.*.so.1.0", "{name}"),
)
# … and distributions of the package index, each with the libraries that its wheels list (read from their central directories).
DISTRIBUTIONS = (
    ("libcublas*.so.13", "nvidia-cublas"), ("libcublas*.so.12", "nvidia-cublas-cu12"), ("libcublas*.so.11", "nvidia-cublas-cu11"),
    ("libcudart.so.13", "nvidia-cuda-runtime"), ("libcudart.so.12", "nvidia-cuda-runtime-cu12"),
    ("libcudart.so.11.0", "nvidia-cuda-runtime-cu11"),
    ("libnvrtc*.so.13*", "nvidia-cuda-nvrtc"), ("libnvrtc*.so.12*", "nvidia-cuda-nvrtc-cu12"),
    ("libcudnn*.so.9", "nvidia-cudnn-cu13 or nvidia-cudnn-cu12, as the stack's CUDA is"),
    ("libcudnn*.so.8", "nvidia-cudnn-cu12<9"), ("libcufft*.so.12", "nvidia-cufft"), ("libcufft*.so.11", "nvidia-cufft-cu12"),
    ("libcusolver*.so.12", "nvidia-cusolver"), ("libcusolver*.so.11", "nvidia-cusolver-cu12"),
    ("libcusparse.so.12", "nvidia-cusparse or nvidia-cusparse-cu12, as the stack's CUDA is"),
    ("libcurand.so.10", "nvidia-curand or nvidia-curand-cu12, as the stack's CUDA is"),
    ("libnpp*.so.13", "nvidia-npp"), ("libnpp*.so.12", "nvidia-npp-cu12"),
    ("libnvjpeg.so.13", "nvidia-nvjpeg"), ("libnvjpeg.so.12", "nvidia-nvjpeg-cu12"),
    ("libnvJitLink.so.13", "nvidia-nvjitlink"), ("libnvJitLink.so.12", "nvidia-nvjitlink-cu12"),
    ("libcupti.so.13", "nvidia-cuda-cupti"), ("libcupti.so.12", "nvidia-cuda-cupti-cu12"),
    ("libnccl.so.2", "nvidia-nccl-cu13 or nvidia-nccl-cu12, as the stack's CUDA is"),
    ("libcufile.so.0", "nvidia-cufile or nvidia-cufile-cu12, as the stack's CUDA is"),
    ("libcusparseLt.so.0", "nvidia-cusparselt-cu13 or nvidia-cusparselt-cu12, as the stack's CUDA is"),
    ("libnvshmem_host.so.3", "nvidia-nvshmem-cu13 or nvidia-nvshmem-cu12, as the stack's CUDA is"),
    ("libcutensor*.so.2", "cutensor-cu13 or cutensor-cu12, as the stack's CUDA is"),
)  # fmt: skip
# Opened by Python code, where no reader of binaries sees it: distribution, library, where upstream does it.
OPENED_FROM_PYTHON = (
    ("sounddevice", "libportaudio.so.2", "sounddevice.py, ctypes.util.find_library('portaudio')"),
    ("phonemizer", "libespeak-ng.so.1", "phonemizer/backend/espeak/wrapper.py"),
    ("python-magic", "libmagic.so.1", "magic/loader.py"),
    ("opuslib", "libopus.so.0", "opuslib/api/__init__.py, find_library('opus')"),
    ("pyfluidsynth", "libfluidsynth.so.3", "fluidsynth.py, find_library('fluidsynth')"),
)
_TORCH = re.compile(r"lib(?:torch|c10|shm|caffe2)\w*\.so")
_FOR_BACKEND = re.compile(r"(?P<stem>(?:.*/)?\w+?_)(?P<kind>cuda|rocm|hip|xpu|cpu)(?P<version>\d*)(?P<rest>\w*)\.so")
_SHOWN = 4


@dataclass(frozen=True)
class Dynamic:
    """The dynamic section of one object; search folders as written, `$ORIGIN` not yet replaced.

    Attributes:
        opens: Libraries of accelerators, with a version, that it names without needing them: it opens them itself.
    """

    machine: str = ""
    needed: tuple[str, ...] = ()
    soname: str = ""
    rpath: tuple[str, ...] = ()
    runpath: tuple[str, ...] = ()
    opens: tuple[str, ...] = ()


@dataclass(frozen=True)
class Part:
    """One library among others.

    Attributes:
        path: Where it lies in its wheel or below site-packages.
        needed: What it needs.
        lacking: What of that nothing brings.
        opens: As in `Dynamic`.
        gpu: Whether it holds code for GPUs.
    """

    path: str
    needed: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()
    opens: tuple[str, ...] = ()
    gpu: bool = False


@dataclass(frozen=True)
class Missing:
    """Something that is not there.

    Attributes:
        path: The library that wants it; of alternatives all of them, as ``torchcodec/libtorchcodec_core{4,5,6,7,8}.so``.
        names: What is missing.
        text: All of it in one clause.
    """

    path: str
    names: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class Linkage:
    """Whether libraries find what they want.

    Attributes:
        missing: What must be there and is not.
        driver: Libraries of a driver that are not there.
        optional: What is not there and does no harm, each with the libraries that would use it.
        taken: Of each set of alternatives the one that will be loaded.
    """

    missing: tuple[Missing, ...] = ()
    driver: tuple[str, ...] = ()
    optional: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    taken: Mapping[str, str] = field(default_factory=dict)

    def plus(self, missing: Iterable[Missing]) -> Linkage:
        """The same with more that is missing."""
        return replace(self, missing=(*self.missing, *missing))


@dataclass(frozen=True)
class Alternatives:
    """Libraries of which their package loads one.

    Attributes:
        name: ``torchcodec/libtorchcodec_core{4,5,6,7,8}.so``.
        members: Path by what it is for: ``8``, ``cuda130``.
        by_backend: Whether the stack's backend decides; else the first that loads, the highest number first.
    """

    name: str
    members: Mapping[str, str]
    by_backend: bool


def alternatives(parts: Iterable[Part]) -> list[Alternatives]:
    """The sets of alternatives among some libraries.

    Two kinds are known by their shape, whoever made them. Siblings that differ in a number, and need the same libraries in other versions,
    are for one of those versions each (torchcodec has a core for each FFmpeg from 4 on, meta-pytorch/torchcodec:README.md). Siblings named
    after CUDA's or ROCm's versions are for those (bitsandbytes, bitsandbytes/cextension.py of 0.50.2).
    """
    numbered: dict[str, list[Part]] = {}
    backends: dict[str, dict[str, str]] = {}
    for part in parts:
        match = _FOR_BACKEND.fullmatch(part.path)
        if match and not match["rest"]:
            backends.setdefault(match["stem"], {})[match["kind"] + match["version"]] = part.path
        folder, _, name = part.path.rpartition("/")
        stem, dot, end = name.partition(".")
        numbered.setdefault(f"{folder}/{_numberless(stem)}{dot}{end}", []).append(part)
    found = []
    for stem, members in sorted(backends.items()):
        if len(members) > 1 and any(re.fullmatch(r"(?:cuda|rocm|hip)\d+", kind) for kind in members):
            found.append(Alternatives(f"{stem}{{{','.join(sorted(members, key=_order))}}}.so", members, True))
    taken = {path for group in found for path in group.members.values()}
    for siblings in numbered.values():
        if len(siblings) > 1 and not taken & {part.path for part in siblings} and _other_versions(siblings):
            members = {_number(part.path): part.path for part in siblings}
            folder, _, name = siblings[0].path.rpartition("/")
            stem, dot, end = name.partition(".")
            label = _numberless(stem).replace("#", f"{{{','.join(sorted(members, key=_order))}}}", 1)
            found.append(Alternatives(f"{folder}/{label}{dot}{end}".lstrip("/"), members, False))
    return found


def _numberless(text: str) -> str:
    return re.sub(r"\d+", "#", text)


def _number(path: str) -> str:
    return ".".join(re.findall(r"\d+", path.rpartition("/")[2].partition(".")[0]))


def _order(text: str) -> tuple[str, int]:
    number = re.search(r"\d+$", text)
    return re.sub(r"\d+$", "", text), int(number[0]) if number else 0


def _other_versions(siblings: Sequence[Part]) -> bool:
    """Whether all of them need some library, each another version of it; one that a sibling itself is counts for nothing."""
    own = {_numberless(part.path.rpartition("/")[2]) for part in siblings}
    versions: dict[str, set[str]] = {}
    for part in siblings:
        for name in part.needed:
            versions.setdefault(_numberless(name), set()).add(name)
    return any(len(names) == len(siblings) for key, names in versions.items() if key not in own and ".so.#" in key)


def for_backend(members: Iterable[str], backend: str) -> str:
    """Which of ``cuda128``, ``cuda130``, ``rocm72``, ``cpu`` a package takes on a backend such as ``cuda13_0``; empty: none is for it.

    Source: bitsandbytes 0.50.2, `get_cuda_bnb_library_path`: the exact version, else the highest older one of the same major version, else
    the lowest newer one of it.
    """
    kind = re.sub(r"[\d_]+$", "", backend)
    digits = backend[len(kind) :]
    major, _, minor = digits.partition("_")
    wanted = (int(major or 0), int(minor or 0))
    known: dict[tuple[int, int], str] = {}
    for member in members:
        match = re.fullmatch(r"(cuda|rocm|hip)(\d+)", member)
        if match and ("rocm" if match[1] == "hip" else match[1]) == kind:
            cut = 2 if kind == "cuda" else 1
            known[int(match[2][:cut]), int(match[2][cut:] or 0)] = member
    same = sorted(version for version in known if version[0] == wanted[0])
    older = [version for version in same if version <= wanted]
    if same:
        return known[older[-1] if older else same[0]]
    return "cpu" if kind in ("cpu", "directml", "") and "cpu" in members else ""


def spared(parts: Sequence[Part], backend: str) -> set[str]:
    """The paths of alternatives that a stack of this backend never loads; where the backend is not known, none."""
    found: set[str] = set()
    if backend:
        for group in alternatives(parts):
            if group.by_backend:
                found |= set(group.members.values()) - {group.members.get(for_backend(group.members, backend), "")}
    return found


def link(parts: Sequence[Part], brought: Collection[str], backend: str = "") -> Linkage:
    """Judge what libraries want against what is there.

    Args:
        parts: All libraries, each with what it lacks.
        brought: Every name that is there; only libraries opened by name are looked up in it.
        backend: The stack's, ``cuda13_0``; empty where it is not known.
    """
    missing: list[Missing] = []
    driver: set[str] = set()
    optional_: dict[str, list[str]] = {}
    lacks: dict[str, tuple[str, ...]] = {}  # what must be there and is not
    absent: dict[str, tuple[str, ...]] = {}  # with that what a plug-in may lack
    for part in parts:
        left = []
        absent[part.path] = tuple(name for name in part.lacking if not of_driver(name))
        for name in part.lacking:
            if of_driver(name):
                driver.add(name)
            elif why := optional(part.path, name):
                optional_.setdefault(f"{name} ({why})", []).append(part.path)
            else:
                left.append(name)
        lacks[part.path] = tuple(left)
    groups = alternatives(parts)
    taken: dict[str, str] = {}
    skip: set[str] = set()
    for group in groups:
        chosen, problem = _take(group, lacks, absent, backend)
        skip |= set(group.members.values()) - {chosen}
        if problem:
            # What goes with another set lacks the same: torchcodec's custom_ops go with its cores.
            told = [(found.path.rpartition("/")[0], found.names) for found in missing]
            if (problem.path.rpartition("/")[0], problem.names) not in told:
                missing.append(problem)
        elif chosen:
            taken[group.name] = chosen
    for part in parts:
        if part.path in skip:
            continue
        missing += [Missing(part.path, (name,), f"{part.path} needs {name}") for name in lacks[part.path]]
        missing += [
            Missing(part.path, (name,), f"{part.path} opens {name} by name, {instead or 'and nothing provides it'}")
            for name, instead in unopened(part, brought, backend)
        ]
    return Linkage(
        tuple(missing), tuple(sorted(driver)), {name: tuple(paths) for name, paths in optional_.items()}, taken
    )


def _take(
    group: Alternatives, lacks: Mapping[str, tuple[str, ...]], absent: Mapping[str, tuple[str, ...]], backend: str
) -> tuple[str, Missing | None]:
    """The member that will be loaded, or why there is none."""
    members = {key: group.members[key] for key in sorted(group.members, key=_order, reverse=True)}
    if group.by_backend and backend:
        chosen = for_backend(members, backend)
        if chosen or not backend.startswith(("cuda", "rocm")):
            return members.get(chosen, ""), None
        kind = re.sub(r"[\d_]+$", "", backend)
        held = ", ".join(sorted((key for key in members if key.startswith(kind)), key=_order)) or f"none for {kind}"
        text = f"{group.name} has no library for {backend}, it has {held}"
        return "", Missing(group.name, (), text)
    for path in members.values():
        if not absent[path]:
            return path, None
    if any(not lacks[path] for path in members.values()):
        return "", None  # plug-ins, all of them
    nearest = min(members.values(), key=lambda path: len(lacks[path]))
    each = set.intersection(*(set(lacks[path]) for path in members.values()))
    if each:
        text = f"none of {group.name} can be loaded: each needs {some(sorted(each))}"
        return "", Missing(group.name, tuple(sorted(each)), text)
    names = lacks[nearest]
    text = f"none of {group.name} can be loaded: each needs a different version of {_families(names)}, and none is installed"
    return "", Missing(group.name, names, text)


def _families(names: Iterable[str]) -> str:
    return some(dict.fromkeys(name.partition(".so")[0] for name in names))


def unopened(part: Part, brought: Collection[str], backend: str = "") -> list[tuple[str, str]]:
    """The libraries that a part with code for GPUs opens by name and will not find, each with what is there instead.

    Of a library that it can take in several versions one is enough. What is opened only when it is asked for counts where another
    version of it is there: then it will be found wrong.
    """
    if backend and not backend.startswith(("cuda", "rocm")):
        return []  # nothing is asked of a GPU there
    families: dict[str, list[str]] = {}
    for name in part.opens:
        if OF_ACCELERATORS.fullmatch(name) and re.search(r"\.so\.\d", name):
            families.setdefault(name.partition(".so")[0], []).append(name)
    found = []
    for family, names in families.items():
        if any(name in brought for name in names) or any(
            name in brought for name in part.needed if name.startswith(f"{family}.so")
        ):
            continue
        others = sorted(name for name in brought if re.fullmatch(rf"{family}\.so\.\d+", name))
        if others:
            found.append((names[0], f"but only {some(others)} is present"))
        elif part.gpu and backend.startswith(("cuda", "rocm")) and _OPENED_BY_NEED.fullmatch(names[0]):
            found.append((names[0], ""))
    return found


def opened_from_python(distributions: Iterable[str]) -> list[tuple[str, str]]:
    """The libraries that distributions open from their Python code, as (distribution, library)."""
    present = set(distributions)
    return [(name, library) for name, library, _ in OPENED_FROM_PYTHON if name in present]


def of_driver(name: str) -> bool:
    """Whether a driver brings this library, never a package."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in DRIVER_LIBRARIES)


def of_system(name: str) -> bool:
    """Whether every host has this library."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in OF_THE_SYSTEM)


def optional(path: str, library: str) -> str:
    """What a plug-in's missing library is for, where its package does without; else empty."""
    return next(
        (why for file, name, why in OPTIONAL if fnmatch.fnmatch(path, file) and fnmatch.fnmatch(library, name)), ""
    )


def system_package(name: str) -> str:
    """The package of Debian and Ubuntu that has a library; empty where none is known."""
    for pattern, package in SYSTEM_PACKAGES:
        if fnmatch.fnmatchcase(name, pattern):
            return package.format(name=name.partition(".so")[0])
    return ""


def distribution(name: str) -> str:
    """The distribution of the package index that has a library; empty where none is known."""
    return next((found for pattern, found in DISTRIBUTIONS if fnmatch.fnmatchcase(name, pattern)), "")


def remedy(missing: Sequence[Missing]) -> str:
    """What to do about missing libraries, by who brings them."""
    names = list(dict.fromkeys(name for item in missing for name in item.names))
    words = []
    apt = list(dict.fromkeys(package for name in names if (package := system_package(name))))
    if apt:
        words.append(f"apt-get install {' '.join(apt)}")
    mixed = [name for name in names if _TORCH.fullmatch(name) or name.startswith(("libamdhip64", "libcudart"))]
    if mixed:
        words.append(
            f"{some(mixed)} belongs to another backend's wheels, which were mixed: take torch and what is built on it from the same origin"
        )
    held = list(dict.fromkeys(found for name in names if name not in mixed and (found := distribution(name))))
    if held:
        words.append(f"take a build for the stack's CUDA, or add what has it ({some(held)})")
    if any(not item.names for item in missing):
        words.append("take a release of that package, or a stack, that fit each other")
    return "; ".join(words) or "install the system package that has the library, or leave out the package that needs it"


def some(items: Iterable[str]) -> str:
    """The first few of them, and how many more."""
    known = list(dict.fromkeys(items))
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    return ", ".join(known[:_SHOWN]) + more


def backend_of(version_py: str) -> str:
    """The backend that a torch was built for, out of its ``torch/version.py``: ``cuda13_0``, ``rocm7_2`` or ``cpu``."""
    for name, kind in (("cuda", "cuda"), ("hip", "rocm")):
        match = re.search(rf"^{name}(?::[^=]+)? = '(\d+)\.(\d+)", version_py, re.MULTILINE)
        if match:
            return f"{kind}{match[1]}_{match[2]}"
    return "cpu"
