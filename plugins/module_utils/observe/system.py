"""What a host is, read out of texts: pure functions without I/O.

Every function here accepts any text and never raises: what cannot be understood is left out or ``None``.
:mod:`_probe` reads the files and runs the commands whose output is parsed here.
"""

from __future__ import annotations

import configparser
import json
import re
from collections.abc import Iterable
from typing import Any

from . import tables
from .texts import first_line, key_values, major_minor, natural


def windows_gpus(folders: Iterable[str]) -> list[str]:
    """Name the makers of the display drivers in Windows' driver store."""
    names = [folder.lower() for folder in folders if ".inf_" in folder]
    found = (maker for start, maker in tables.WINDOWS_DRIVERS if any(name.startswith(start) for name in names))
    return list(dict.fromkeys(found))


def parse_gpu_arches(text: str) -> list[str] | None:
    """Return the compute capabilities in the answer of ``nvcc --list-gpu-arch``, None where it gave none."""
    found = {int(digits) for digits in re.findall(r"^compute_(\d{2,3})\s*$", text, re.ASCII | re.MULTILINE)}
    return [f"{number // 10}.{number % 10}" for number in sorted(found)] or None


def machine_class(chassis: str, vendor: str) -> tuple[str, str]:
    """Tell a server from a workstation by SMBIOS' chassis type, else by the maker of virtual machines; and why."""
    number = natural(chassis) or 0
    if number in tables.SERVERS:
        return "server", f"chassis type {number}"
    if number in tables.WORKSTATIONS:
        return "workstation", f"chassis type {number}"
    if any(maker in vendor.lower() for maker in tables.VIRTUAL):
        return "server", f"a virtual machine of {vendor}"
    return "unknown", "nothing tells"


def parse_version_json(text: str) -> str | None:
    """Return ``13.0`` from a CUDA toolkit's ``version.json``."""
    try:
        data: Any = json.loads(text)
        version = data["cuda"]["version"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return major_minor(version) if isinstance(version, str) else None


def parse_nvcc(text: str) -> str | None:
    """Return ``13.0`` from ``nvcc --version``."""
    match = re.search(r"release (\d{1,4}\.\d{1,4})", text, re.ASCII)
    return match.group(1) if match else None


def parse_python(text: str) -> tuple[str, str] | None:
    """Parse ``<version> <prefix>`` as :data:`_probe.PYTHON_QUERY` prints it."""
    version, _space, prefix = first_line(text).partition(" ")
    if not re.match(r"3\.\d{1,4}\.\d{1,4}", version, re.ASCII) or not prefix.startswith("/"):
        return None
    return version, prefix


def parse_dpkg_status(text: str, wanted: Iterable[str], holding: str = "") -> dict[str, str]:
    """Return the version of each wanted package that is installed, virtual ones by the package that provides them.

    A package put on hold is installed too; one with only its configuration files left is not. Packages whose name holds the
    word `holding` are wanted too.
    """
    names = set(wanted)
    own: dict[str, str] = {}
    provided: dict[str, str] = {}
    if not names:
        return own
    for stanza in text.split("\n\n"):
        stanza = f"\n{stanza}\n"
        if "\nStatus: install ok installed\n" not in stanza and "\nStatus: hold ok installed\n" not in stanza:
            continue
        name, version = _field(stanza, "Package"), _field(stanza, "Version")
        if name in names or (holding and holding in name):
            own.setdefault(name, version)
        provides = _field(stanza, "Provides")
        if provides:
            for entry in provides.split(","):
                virtual = re.split(r"[\s(:]", entry.strip(), maxsplit=1)[0]
                if virtual in names:
                    provided.setdefault(virtual, version)
    return {**provided, **own}


def _field(stanza: str, name: str) -> str:
    start = stanza.find(f"\n{name}: ")
    if start < 0:
        return ""
    start += len(name) + 3
    return stanza[start : stanza.find("\n", start)].strip()


def parse_pip_conf(text: str) -> str:
    """Return the index URL that pip.conf sets for `pip install`, or ''."""
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(text)
    except configparser.Error:
        return ""
    for section in ("install", "global"):
        for key in ("index-url", "index_url"):
            value = parser.get(section, key, fallback="")
            if value and value.strip():
                return value.strip()
    return ""


def container_kind(environ: str, systemd_note: str, podman: bool, docker: bool) -> str:
    """Name the container technology: what PID 1's environment or systemd says, else the engines' marker files."""
    said = key_values(environ, "=").get("container", "") or first_line(systemd_note)
    return said or ("podman" if podman else "docker" if docker else "")


def judge_status(status: int) -> tuple[bool, str, str]:
    """Say whether an HTTP status means that the source can be used: (answers, detail, remedy)."""
    if status in (401, 403):
        return (
            False,
            f"HTTP {status}: it wants credentials",
            "Give credentials in the source's URL.",
        )
    if status == 404:
        return False, "HTTP 404: nothing at this address", "Correct the source's URL."
    if status == 407:
        return False, "HTTP 407: the proxy wants credentials", "Set http_proxy and https_proxy with credentials."
    if status >= 500:
        return False, f"HTTP {status}: the server fails", "Try again later, or configure a mirror."
    return True, f"HTTP {status}", ""
