"""Read out of a wheel on its index what the catalog says of it; only the parts that are looked at are fetched."""

from __future__ import annotations

import re
import threading
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.wavesmith.provision.plugins.module_utils.audit.binaries import Unusable, read_wheel
from ansible_collections.wavesmith.provision.plugins.module_utils.audit.ranges import open_parts
from ansible_collections.wavesmith.provision.plugins.module_utils.audit.verdict import Artifact, capability, summary

from .index import File, Unreachable

_CUDA = re.compile(r"lib(?:cudart|cublas|cublasLt|nvrtc|nvJitLink)(?:-[0-9a-f]{8})?\.so\.(\d+)[.0-9]*")
_ARCHITECTURES = ("x86_64", "aarch64")
_BIG = threading.Semaphore(2)
"""How many wheels are read through at once: each needs room on the disk for its largest library."""
_PREFERRED = ("cp312-cp312", "cp311-cp311", "cp310-abi3", "abi3", "py3-none")


def architecture_of(file: File) -> str:
    """The CPU architecture of a wheel for Linux, ``any`` for all, empty for other systems."""
    tag = file.name.removesuffix(".whl").rpartition("-")[2]
    if tag == "any":
        return "any"
    return next((name for name in _ARCHITECTURES if "linux" in tag and tag.endswith(name)), "")


def pick(files: Sequence[File], architecture: str) -> File | None:
    """The wheel of a release that stands for the others of an architecture."""
    fit = [file for file in files if file.is_wheel and architecture_of(file) in (architecture, "any")]
    order = {mark: number for number, mark in enumerate(_PREFERRED)}
    return min(
        fit,
        key=lambda file: (min((n for mark, n in order.items() if mark in file.name), default=len(order)), file.name),
        default=None,
    )


@dataclass(frozen=True)
class Said:
    """What a wheel says of itself.

    Attributes:
        requires: Its requirements.
        requires_python: The Pythons it is for.
        version: ``__version__`` of its version.py, with the local version.
        cuda: The CUDA that torch was built for; empty: none.
        commit: The commit that it was built from.
        table: By CPU architecture the compute capabilities that torch's own table has for its CUDA; empty where it has none.
    """

    requires: tuple[str, ...] = ()
    requires_python: str = ""
    version: str = ""
    cuda: str = ""
    commit: str = ""


def said(file: File, package: str) -> Said:
    """Read a wheel's METADATA and version.py.

    Raises:
        Unreachable: it is not to be had, or makes no sense.
    """
    wanted = re.compile(rf"[^/]+\.dist-info/METADATA|{package}/version\.py")
    texts = read(file, wanted)
    metadata = next((text for name, text in texts.items() if name.endswith("METADATA")), b"").decode("utf-8", "replace")
    head = metadata.partition("\n\n")[0]
    version = next((text for name, text in texts.items() if name.endswith("version.py")), b"").decode(
        "utf-8", "replace"
    )

    def value(name: str) -> str:
        found = re.search(rf"^{name}(?::[^=\n]+)? = '([^']*)'", version, re.MULTILINE)
        return found[1] if found else ""

    return Said(
        requires=tuple(re.findall(r"^Requires-Dist: (.+)$", head, re.MULTILINE)),
        requires_python=next(iter(re.findall(r"^Requires-Python: (.+)$", head, re.MULTILINE)), ""),
        version=value("__version__"),
        cuda=value("cuda"),
        commit=value("git_version"),
    )


def read(file: File, wanted: re.Pattern[str]) -> dict[str, bytes]:
    """The members of a wheel whose whole name matches.

    Raises:
        Unreachable: it is not to be had, or is damaged.
    """
    try:
        with open_parts(file.url, file.size) as stream, zipfile.ZipFile(stream) as archive:
            return {name: archive.read(name) for name in archive.namelist() if wanted.fullmatch(name)}
    except (OSError, zipfile.BadZipFile, zlib.error, ValueError, RuntimeError) as error:
        raise Unreachable(f"{file.name} cannot be read in parts ({error})") from error


def binaries(file: File, most: int | None) -> Artifact:
    """Read the libraries of a wheel; those that take more than `most` bytes in it are left out.

    Raises:
        Unreachable: it is not to be had, or is damaged.
    """
    try:
        with _BIG, open_parts(file.url, file.size) as stream:
            return read_wheel(stream, file.name, most)
    except (OSError, Unusable) as error:
        raise Unreachable(f"{file.name} cannot be read in parts ({error})") from error


def sms(artifact: Artifact, package: str = "") -> list[str]:
    """The compute capabilities with machine code throughout, as the catalog writes them: ``9.0``, ``9.0a``."""
    codes = [library.code for library in artifact.libraries if library.judged and package in ("", library.package)]
    found = summary(codes)["sass"]["throughout"]
    return [capability(int(name.rstrip("af"))) + name.lstrip("0123456789") for name in found]


def backend(artifact: Artifact) -> str:
    """``cpu``, or CUDA by its major version: ``cuda12``."""
    names = {name for library in artifact.libraries for name in (*library.dynamic.needed, *library.dynamic.opens)}
    names |= {library.path.rpartition("/")[2] for library in artifact.libraries}
    majors = sorted({match[1] for name in names if (match := _CUDA.fullmatch(name))}, key=int)
    if majors:
        return f"cuda{majors[-1]}"
    return "cuda" if any(library.judged for library in artifact.libraries) else "cpu"


def host_gcc(header: bytes) -> str:
    """The newest major of gcc that nvcc takes, out of its crt/host_config.h; empty where it does not say."""
    found = re.search(rb"^\s*#\s*if\s+__GNUC__\s*>\s*(\d+)\s*$", header, re.MULTILINE)
    return found[1].decode() if found else ""


def compiled_for(program: bytes) -> list[str]:
    """The compute capabilities that nvcc or ptxas knows, out of the names in it: ``12.1``."""
    found = {int(number) for number in re.findall(rb"compute_(\d{2,3})\0", program)}
    return [capability(number) for number in sorted(found)]
