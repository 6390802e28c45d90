"""Shared libraries as values: what one needs, and what may be missing without harm."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass

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
)


@dataclass(frozen=True)
class Dynamic:
    """The dynamic section of one object; search folders as written, `$ORIGIN` not yet replaced."""

    machine: str = ""
    needed: tuple[str, ...] = ()
    soname: str = ""
    rpath: tuple[str, ...] = ()
    runpath: tuple[str, ...] = ()


def optional(path: str, library: str) -> str:
    """What a plug-in's missing library is for, where its package does without; else empty."""
    return next(
        (why for file, name, why in OPTIONAL if fnmatch.fnmatch(path, file) and fnmatch.fnmatch(library, name)), ""
    )
