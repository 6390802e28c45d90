"""Look at a host: the files, commands and URLs behind what :mod:`platform` parses.

Below another ``probe_root`` than ``/`` a recorded host is replayed (:mod:`_host`). URLs are always really probed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

from ..records.host import Apt, AskedSources, Disk, Finding, ObservedHost, OperatingSystem, Python
from . import hardware as look
from . import jetson, place, texts
from .cpu import parse_cpuinfo, parse_meminfo
from .host import Host, Questions, User, find_user
from .sources import Probes, find_sources, source_state
from .system import container_kind, parse_dpkg_status, parse_python

# -I -S: neither a user site nor PYTHONPATH can change the answer, and it starts in a few milliseconds.
PYTHON_QUERY = ["-IS", "-c", "import sys;print('%d.%d.%d' % sys.version_info[:3],sys.base_prefix)"]


def observe(
    root: str = "",
    apt_packages: Sequence[str] = (),
    sources: Mapping[str, str] | None = None,
    default_index: str = "",
    probe_root: str = "/",
    timeout: float = 3.0,
    libraries: Sequence[str] = (),
    sudo_password: bool = False,
) -> ObservedHost:
    """Return everything the plan needs to know about a host, short of the store's own state.

    Args:
        root: Wavesmith's folder there; '' for the usual place of that user.
        apt_packages: Names to report on.
        sources: URL by name; '' means not configured, for ``package_index`` what the host's own tools are set to.
        default_index: Package index where the host names none.
        probe_root: '/' or a recorded host's folder.
        timeout: Seconds for each command and each URL.
        libraries: Names of shared libraries to report on.
        sudo_password: Whether a password for sudo is at hand.
    """
    host = Host(probe_root, timeout)
    findings: list[Finding] = []
    user = find_user(host)
    links = find_sources(host, user, sources or {}, default_index)
    probes = Probes(host, links, host.timeout)
    ask = Questions(host)
    look.start(host, ask)
    ask.command("gcc", ["gcc", "-dumpfullversion"])
    if libraries:
        ask.command("libraries", LINKER_CACHE)
    if user.uid != 0:
        ask.command("sudo", ["sudo", "-n", "true"])
    pythons = find_pythons(host)
    for path in pythons:
        ask.command(path, [path, *PYTHON_QUERY])

    uname = find_uname(host)
    system = find_system(host, uname[1])
    cpu = parse_cpuinfo(host.read("/proc/cpuinfo"))
    packages = parse_dpkg_status(host.read("/var/lib/dpkg/status"), [*apt_packages, *look.WITNESSES], holding="nvidia")
    apt = _apt(host, apt_packages, packages)
    accelerators, driver = look.find_accelerators(host, ask, user, system, packages, findings)
    machine = look.find_machine(host, system, cpu, uname, accelerators, packages, findings)
    jetpack = jetson.jetpack(machine["l4t"])
    # Jetson's drivers have branches of their own, which the table of branches does not know.
    if jetpack and driver["cuda_source"] in (None, "driver"):
        driver["cuda"], driver["cuda_source"] = jetpack.cuda, "jetpack"
    sudo = ask.answer("sudo").code == 0 or (sudo_password and host.which("sudo") is not None)
    privilege = "root" if user.uid == 0 else "sudo" if sudo else "none"
    root = _expand(root, user) or _usual_root(host, user, privilege)
    gcc = re.match(r"\d+(\.\d+)*$", texts.first_line(ask.answer("gcc").text), re.ASCII)
    observed: ObservedHost = {
        "schema": 1,
        "hostname": uname[0],
        "user": {"name": user.name, "uid": user.uid, "home": user.home, "privilege": privilege},
        "os": system,
        "machine": machine,
        "cpu": look.find_cpu(host, uname[2], cpu, findings),
        "memory": parse_meminfo(host.read("/proc/meminfo")),
        "disk": _disk(host, root),
        "accelerators": [accelerator.data() for accelerator in accelerators],
        "nvidia": driver,
        "rocm": look.find_rocm(host, packages),
        "toolkits": look.find_toolkits(host, ask),
        "compilers": {"gcc": gcc.group(0) if gcc else None},
        "pythons": [python for path in pythons if (python := _python(host, path, ask.answer(path).text)) is not None],
        "apt": apt,
        "sources": {},
        "root": root,
        "libraries": _present(ask.answer("libraries").text, libraries) if libraries else None,
        "findings": findings,
    }
    findings += place.find_obstacles(host, root, user, privilege)
    if system["libc"] == "musl":
        findings.append(
            texts.finding(
                "os.musl",
                f"The C library of {system['pretty_name'] or 'this system'} is musl; wheels of torch need glibc",
                "Take a distribution with glibc, or run in a container of one.",
            )
        )
    if privilege == "none" and apt["missing"]:
        findings.append(
            texts.finding(
                "user.privilege",
                f"{user.name} can not install the missing system packages: {', '.join(apt['missing'])}",
                f"Let an administrator run: apt-get install {' '.join(apt['missing'])}",
            )
        )
    observed["sources"] = probes.collect(findings)
    return observed


def _usual_root(host: Host, user: User, privilege: str) -> str:
    """Wavesmith's folder where nobody names one; one that was made with a password for sudo is found without it too."""
    place, own = "/opt/wavesmith", f"{user.home}/wavesmith"
    return place if privilege != "none" or host.owner(place) == user.uid else own


def ask_sources(
    sources: Mapping[str, str], default_index: str = "", probe_root: str = "/", timeout: float = 10.0, root: str = ""
) -> AskedSources:
    """Ask a host's package sources alone; the arguments are those of `observe`. What was fetched before (`<digest>/…`) is not asked."""
    host, findings = Host(probe_root), list[Finding]()
    links = find_sources(host, find_user(host), sources, default_index)
    kept = {
        name
        for name in links
        if "/" in name and root and host.listing(f"{root}/cache/sources/{name.partition('/')[0]}")
    }
    found = {name: source_state(links[name], True, "kept on the host", 0.0) for name in kept}
    asked = {name: link for name, link in links.items() if name not in kept}
    return {"sources": {**found, **Probes(host, asked, timeout).collect(findings)}, "findings": findings}


LINKER_CACHE = ["/sbin/ldconfig", "-p"]


def _present(cache: str, asked: Sequence[str]) -> list[str] | None:
    """Which of some libraries are in what ``ldconfig -p`` prints; `None` where it printed nothing."""
    names = {line.split()[0] for line in cache.splitlines() if "=>" in line}
    return sorted(names & set(asked)) if names else None


def find_uname(host: Host) -> tuple[str, str, str]:
    """Return hostname, kernel release and architecture."""
    if host.live:
        uname = os.uname()
        return uname.nodename, uname.release, uname.machine
    words = texts.first_line(host.run(["uname", "-nrm"]).text).split()
    return (words[0], words[1], words[2]) if len(words) == 3 else ("", "", "unknown")


def find_system(host: Host, kernel: str) -> OperatingSystem:
    release = texts.key_values(host.read("/etc/os-release") or host.read("/usr/lib/os-release"), "=")
    return {
        "id": release.get("ID", ""),
        "version_id": release.get("VERSION_ID", ""),
        "pretty_name": release.get("PRETTY_NAME", ""),
        "codename": release.get("VERSION_CODENAME", ""),
        "kernel": kernel,
        "libc": texts.first_line(_libc(host)),
        "wsl": look.wsl_witness(host) is not None,
        "container": container_kind(
            host.read("/proc/1/environ"),
            host.read("/run/systemd/container"),
            podman=host.exists("/run/.containerenv"),
            docker=host.exists("/.dockerenv"),
        ),
        "systemd": host.exists("/run/systemd/system"),
    }


def _libc(host: Host) -> str:
    if host.glob("/lib/ld-musl-*"):
        return "musl"
    if not host.live:
        return host.run(["getconf", "GNU_LIBC_VERSION"]).text
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (OSError, ValueError):
        return ""


def _expand(root: str, user: User) -> str:
    root = root.strip()
    if root == "~" or root.startswith("~/"):
        root = user.home + root[1:]
    return root.rstrip("/") or root


def _disk(host: Host, root: str) -> Disk:
    path = os.path.abspath(root)
    while path != "/" and not host.exists(path):
        path = os.path.dirname(path)
    try:
        size = os.statvfs(host.at(path))
    except (OSError, ValueError):
        return {"path": path, "free": 0, "total": 0}
    return {"path": path, "free": size.f_bavail * size.f_frsize, "total": size.f_blocks * size.f_frsize}


def _apt(host: Host, names: Sequence[str], installed: Mapping[str, str]) -> Apt:
    return {
        "present": host.exists("/usr/bin/apt-get"),
        "installed": {name: installed[name] for name in names if name in installed},
        "missing": [name for name in dict.fromkeys(names) if name not in installed],
    }


def find_pythons(host: Host) -> list[str]:
    """Return the CPython executables of the system, one path for each real file."""
    found: dict[str, str] = {}
    for pattern in ("/usr/bin/python3.*", "/usr/local/bin/python3.*"):
        for path in host.glob(pattern):
            if re.search(r"/python3\.\d+$", path) and (not host.live or os.access(path, os.X_OK)):
                found.setdefault(os.path.realpath(host.at(path)), path)
    return sorted(found.values(), key=lambda path: (int(path.rpartition(".")[2]), path))


def _python(host: Host, path: str, said: str) -> Python | None:
    known = parse_python(said)
    if known is None:
        return None
    version, prefix = known
    name = "python" + ".".join(version.split(".")[:2])
    return {
        "path": path,
        "version": version,
        "headers": host.exists(f"{prefix}/include/{name}/Python.h"),
        # Debian splits ensurepip off into pythonX.Y-venv: without it `python -m venv` fails.
        "venv": any(host.exists(f"{prefix}/{lib}/{name}/ensurepip/__init__.py") for lib in ("lib", "lib64")),
    }
