"""Look at a host: the files, commands and URLs behind what :mod:`platform` parses.

Below another ``probe_root`` than ``/`` a recorded host is replayed (:mod:`_host`). URLs are always really probed.
"""

from __future__ import annotations

import base64
import os
import re
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from . import _hardware as look
from . import platform as parse
from ._host import Answer as Answer
from ._host import Host as Host
from ._host import Questions, Task, User
from ._host import find_user as find_user

# -I -S: neither a user site nor PYTHONPATH can change the answer, and it starts in a few milliseconds.
PYTHON_QUERY = ["-IS", "-c", "import sys;print('%d.%d.%d' % sys.version_info[:3],sys.base_prefix)"]
INDEX_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")
PACKAGE_INDEX = "package_index"


def observe(
    root: str = "",
    apt_packages: Sequence[str] = (),
    sources: Mapping[str, str] | None = None,
    default_index: str = "",
    probe_root: str = "/",
    timeout: float = 3.0,
) -> dict[str, Any]:
    """Return everything the plan needs to know about a host, short of the store's own state.

    Args:
        root: Wavesmith's folder there; '' for the usual place of that user.
        apt_packages: Names to report on.
        sources: URL by name; '' means not configured, for ``package_index`` what the host's own tools are set to.
        default_index: Package index where the host names none.
        probe_root: '/' or a recorded host's folder.
        timeout: Seconds for each command and each URL.
    """
    host = Host(probe_root, timeout)
    findings: list[parse.Finding] = []
    user = find_user(host)
    links = find_sources(host, user, sources or {}, default_index)
    probes = {name: Task(partial(probe_source, host, link)) for name, link in links.items()}
    ask = Questions(host)
    look.start(host, ask)
    ask.command("gcc", ["gcc", "-dumpfullversion"])
    if user.uid != 0:
        ask.command("sudo", ["sudo", "-n", "true"])
    pythons = find_pythons(host)
    for path in pythons:
        ask.command(path, [path, *PYTHON_QUERY])

    uname = _uname(host)
    system = _os(host, uname[1])
    cpu = parse.parse_cpuinfo(host.read("/proc/cpuinfo"))
    packages = parse.parse_dpkg_status(host.read("/var/lib/dpkg/status"), [*apt_packages, *look.WITNESSES])
    apt = _apt(host, apt_packages, packages)
    accelerators, driver = look.find_accelerators(host, ask, user, findings)
    machine = look.find_machine(host, system, cpu, uname, accelerators, packages, findings)
    jetpack = parse.jetpack(machine["l4t"])
    # Jetson's drivers have branches of their own, which the table of branches does not know.
    if jetpack and driver["cuda_source"] in (None, "driver"):
        driver.update(cuda=jetpack.cuda, cuda_source="jetpack")
    privilege = "root" if user.uid == 0 else "sudo" if ask.answer("sudo").code == 0 else "none"
    root = _expand(root, user) or (f"{user.home}/wavesmith" if privilege == "none" else "/opt/wavesmith")
    gcc = re.match(r"\d+(\.\d+)*$", parse.first_line(ask.answer("gcc").text), re.ASCII)
    observed: dict[str, Any] = {
        "schema": 1,
        "hostname": uname[0],
        "user": {**asdict(user), "privilege": privilege},
        "os": system,
        "machine": machine,
        "cpu": look.find_cpu(host, uname[2], cpu, findings),
        "memory": parse.parse_meminfo(host.read("/proc/meminfo")),
        "disk": _disk(host, root),
        "accelerators": [asdict(accelerator) for accelerator in accelerators],
        "nvidia": driver,
        "rocm": look.find_rocm(host, packages),
        "toolkits": look.find_toolkits(host, ask),
        "compilers": {"gcc": gcc.group(0) if gcc else None},
        "pythons": [python for path in pythons if (python := _python(host, path, ask.answer(path).text)) is not None],
        "apt": apt,
        "sources": {},
        "root": root,
        "findings": findings,
    }
    if system["libc"] == "musl":
        findings.append(
            parse.finding(
                "os.musl",
                f"The C library of {system['pretty_name'] or 'this system'} is musl; wheels of torch need glibc",
                "Take a distribution with glibc, or run in a container of one.",
            )
        )
    if privilege == "none" and apt["missing"]:
        findings.append(
            parse.finding(
                "user.privilege",
                f"{user.name} can not install the missing system packages: {', '.join(apt['missing'])}",
                f"Let an administrator run: apt-get install {' '.join(apt['missing'])}",
            )
        )
    for name, probe in probes.items():
        result, remedy = probe.result(ask.deadline - 0.3 - time.monotonic()) or (
            _source(links[name], answers=False, detail=f"no answer within {host.timeout:g} s", seconds=host.timeout),
            "Check name resolution, proxy and firewall, or configure a mirror.",
        )
        observed["sources"][name] = result
        if not result["answers"] and remedy:
            shown = result["url"] or "(none)"
            detail = f"The source {name} {shown} can not be used: {result['detail']}"
            findings.append(parse.finding(f"source.{name}", detail, remedy))
    return observed


def find_package_index(host: Host, user: User, default: str = "") -> tuple[str, str]:
    """Return the package index the host's own tools are set to, with credentials, and what says so.

    pip's order: variables, the user's file, then the system's; `default` when none names one.
    """
    for variable in INDEX_VARIABLES:
        value = host.environ.get(variable, "").strip()
        if value:
            return value.encode("utf-8", "replace").decode(), variable
    for path in (
        f"{user.home}/.config/pip/pip.conf",
        f"{user.home}/.pip/pip.conf",
        "/etc/pip.conf",
        "/etc/xdg/pip/pip.conf",
    ):
        value = parse.parse_pip_conf(host.read(path))
        if value:
            return value, path
    return (default, "default_index") if default else ("", "")


@dataclass(frozen=True)
class Link:
    """A source to probe: the URL with its credentials, and what configured it."""

    url: str
    configured_by: str
    wanted: bool = False


def find_sources(host: Host, user: User, sources: Mapping[str, str], default_index: str) -> dict[str, Link]:
    """Resolve every source's URL."""
    links = {}
    for name, url in sources.items():
        if url or name != PACKAGE_INDEX:
            links[name] = Link(url or "", "sources" if url else "")
        else:
            links[name] = Link(*find_package_index(host, user, default_index), wanted=True)
    return links


def _source(link: Link, answers: bool, detail: str, seconds: float) -> dict[str, Any]:
    return {
        "url": parse.split_url(link.url).shown,
        "answers": answers,
        "detail": detail,
        "seconds": round(seconds, 3),
        "configured_by": link.configured_by,
    }


class _SameOrigin(urllib.request.HTTPRedirectHandler):
    """Follow redirects with HEAD kept, and credentials kept for the same origin only."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        new = super().redirect_request(req, fp, code, msg, headers, newurl)
        if new is not None:
            new.method = req.get_method()
            secret = req.unredirected_hdrs.get("Authorization")
            if secret and urlsplit(req.full_url)[:2] == urlsplit(new.full_url)[:2]:
                new.add_unredirected_header("Authorization", secret)
        return new


def probe_source(host: Host, link: Link) -> tuple[dict[str, Any], str]:
    """Ask a source whether it answers, without its body; return what was seen and a remedy ('' when none is due)."""
    started = time.monotonic()

    def result(answers: bool, detail: str, remedy: str = "") -> tuple[dict[str, Any], str]:
        return _source(link, answers, detail, time.monotonic() - started), remedy

    if not link.url:
        remedy = "Set wavesmith's package index, UV_DEFAULT_INDEX, or index-url in pip.conf." if link.wanted else ""
        return result(False, "not configured", remedy)
    url = parse.split_url(link.url)
    scheme = url.shown.partition(":")[0].lower()
    if scheme == "file":
        there = host.exists(urllib.request.url2pathname(urlsplit(url.shown).path))
        return result(there, "folder" if there else "no such folder", "" if there else "Correct the source's URL.")
    if scheme not in ("http", "https") or re.search(r"\s", url.shown):
        return result(False, "not a URL that can be probed", "Give a http, https or file URL.")
    for tries_left in (2, 1, 0):
        try:
            answers, detail, remedy = parse.judge_status(_status(url, host.timeout))
            break
        except Exception as error:  # urllib and http.client raise almost anything for what a server or a URL can hold
            # A resolver that is only busy says so (EAI_AGAIN), and so does a host without a network, which does not wait long.
            busy = getattr(getattr(error, "reason", error), "errno", None) == socket.EAI_AGAIN
            if not busy or not tries_left or time.monotonic() - started > host.timeout / 2:
                return result(False, *_explain(error))
            time.sleep(0.3)
    return result(answers, detail, remedy)


def _status(url: parse.Url, timeout: float) -> int:
    """Return the HTTP status of a HEAD request; where HEAD is not served, of a GET whose body is not read."""
    opener = urllib.request.build_opener(_SameOrigin)
    status = 0
    for method in ("HEAD", "GET"):
        request = urllib.request.Request(url.shown, method=method, headers={"User-Agent": "wavesmith-observe"})
        if method == "GET":
            request.add_header("Range", "bytes=0-1023")
        if url.user is not None:
            pair = f"{url.user}:{url.password or ''}".encode("utf-8", "replace")
            request.add_unredirected_header("Authorization", "Basic " + base64.b64encode(pair).decode("ascii"))
        try:
            with opener.open(request, timeout=timeout) as response:
                status = int(response.status)
        except urllib.error.HTTPError as error:
            status = error.code
            error.close()
        # Some mirrors and object stores refuse HEAD only.
        if status not in (400, 403, 404, 405, 501):
            break
    return 200 if status == 416 else status


def _explain(error: BaseException) -> tuple[str, str]:
    reason = getattr(error, "reason", error)
    if isinstance(reason, ssl.SSLCertVerificationError):
        detail = f"its certificate is not trusted ({reason.verify_message})"
        return detail, "Set SSL_CERT_FILE to the CA bundle that signed it, or add the CA to the system's store."
    if isinstance(reason, TimeoutError):  # socket.timeout is its alias from 3.10 on; in 3.9 the text says it
        return "no answer in time", "Check proxy and firewall, or configure a mirror."
    return parse.first_line(str(reason)) or type(
        reason
    ).__name__, "Check the URL, name resolution and proxy, or configure a mirror."


def _uname(host: Host) -> tuple[str, str, str]:
    """Return hostname, kernel release and architecture."""
    if host.live:
        uname = os.uname()
        return uname.nodename, uname.release, uname.machine
    words = parse.first_line(host.run(["uname", "-nrm"]).text).split()
    return (words[0], words[1], words[2]) if len(words) == 3 else ("", "", "unknown")


def _os(host: Host, kernel: str) -> dict[str, Any]:
    release = parse.key_values(host.read("/etc/os-release") or host.read("/usr/lib/os-release"), "=")
    return {
        "id": release.get("ID", ""),
        "version_id": release.get("VERSION_ID", ""),
        "pretty_name": release.get("PRETTY_NAME", ""),
        "codename": release.get("VERSION_CODENAME", ""),
        "kernel": kernel,
        "libc": parse.first_line(_libc(host)),
        "wsl": look.wsl_witness(host) is not None,
        "container": parse.container_kind(
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


def _disk(host: Host, root: str) -> dict[str, Any]:
    path = os.path.abspath(root)
    while path != "/" and not host.exists(path):
        path = os.path.dirname(path)
    try:
        size = os.statvfs(host.at(path))
    except (OSError, ValueError):
        return {"path": path, "free": 0, "total": 0}
    return {"path": path, "free": size.f_bavail * size.f_frsize, "total": size.f_blocks * size.f_frsize}


def _apt(host: Host, names: Sequence[str], installed: Mapping[str, str]) -> dict[str, Any]:
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


def _python(host: Host, path: str, said: str) -> dict[str, Any] | None:
    known = parse.parse_python(said)
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
