"""Look at a host: the files, commands and URLs behind what :mod:`platform` parses.

Everything below ``probe_root`` other than ``/`` is a recording: files are read below it, and a command's output is the
file ``.commands/<argv joined by spaces, '/' as '_'>.txt`` (an additional ``.timeout`` file: the command hung). URLs are
always really probed.
"""

from __future__ import annotations

import base64
import glob
import os
import pwd
import re
import shutil
import signal
import ssl
import stat
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

from . import platform as parse

T = TypeVar("T")

NVIDIA_SMI = ["nvidia-smi", "--query-gpu=name,compute_cap,memory.total,driver_version", "--format=csv,noheader,nounits"]
# -I -S: neither a user site nor PYTHONPATH can change the answer, and it starts in a few milliseconds.
PYTHON_QUERY = ["-IS", "-c", "import sys;print('%d.%d.%d' % sys.version_info[:3],sys.base_prefix)"]
# Commands that a login shell would find, but a remote run may not (WSL2 keeps nvidia-smi in its own folder).
EXTRA_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/wsl/lib:/usr/local/cuda/bin"
INDEX_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")
PACKAGE_INDEX = "package_index"
_FILE_LIMIT = 64 * 1024 * 1024


@dataclass(frozen=True)
class Answer:
    """What a command said: its exit status (None: it did not run or did not end), output, and what went wrong."""

    code: int | None
    text: str = ""
    trouble: str = ""


@dataclass(frozen=True)
class User:
    """Who observes."""

    name: str
    uid: int
    home: str


class Task(threading.Thread, Generic[T]):
    """A function's result from a thread that the interpreter does not wait for when it ends."""

    def __init__(self, work: Callable[[], T]) -> None:
        super().__init__(daemon=True)
        self._work = work
        self._done: list[T] = []
        self.start()

    def run(self) -> None:
        """Do the work."""
        self._done.append(self._work())

    def result(self, seconds: float) -> T | None:
        """Wait at most that long; None when it is not done."""
        self.join(max(0.0, seconds))
        return self._done[0] if self._done else None


class Host:
    """The files and commands of this machine, or of a recorded one below `root`."""

    def __init__(self, root: str = "/", timeout: float = 3.0) -> None:
        self.root = os.path.abspath(root or "/")
        self.live = self.root == "/"
        self.timeout = max(0.1, timeout)
        self.environ: Mapping[str, str] = os.environ if self.live else self._recorded_environ()

    def at(self, path: str) -> str:
        """Return where a path of the host really lies."""
        return path if self.live else os.path.join(self.root, path.lstrip("/"))

    def read(self, path: str) -> str:
        """Return a regular file's text, '' when there is none to read."""
        try:
            handle = os.open(self.at(path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (OSError, ValueError):
            return ""
        try:
            with os.fdopen(handle, "rb") as file:
                return parse.decode(file.read(_FILE_LIMIT)) if stat.S_ISREG(os.fstat(handle).st_mode) else ""
        except OSError:
            return ""

    def exists(self, path: str) -> bool:
        """Say whether the path exists (False also for a path that cannot be one)."""
        try:
            return os.path.exists(self.at(path))
        except ValueError:
            return False

    def glob(self, pattern: str) -> list[str]:
        """Return the host's paths that match, sorted."""
        found = glob.glob(glob.escape(self.root.rstrip("/")) + pattern)
        return sorted(found if self.live else ("/" + os.path.relpath(path, self.root) for path in found))

    def which(self, name: str) -> str | None:
        """Return a command's path; a recorded command has only its name."""
        if not self.live:
            return name
        return shutil.which(name, path=f"{self.environ.get('PATH', '')}:{EXTRA_PATH}")

    def run(self, argv: Sequence[str]) -> Answer:
        """Run a command with the timeout, in its own process group, without a terminal."""
        if not self.live:
            return self._replay(argv)
        program = self.which(argv[0])
        if program is None:
            return Answer(None, trouble="not found")
        try:
            process = subprocess.Popen(
                [program, *argv[1:]],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={**self.environ, "LC_ALL": "C"},
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            return Answer(None, trouble=str(error))
        try:
            output, _none = process.communicate(timeout=self.timeout)
        except subprocess.TimeoutExpired:
            try:
                os.killpg(process.pid, signal.SIGKILL)
                # A process stuck in the driver cannot be killed: it is left alone rather than waited for.
                process.communicate(timeout=0.2)
            except (OSError, subprocess.TimeoutExpired):
                pass
            return Answer(None, trouble=f"no answer within {self.timeout:g} s")
        return Answer(process.returncode, parse.decode(output))

    def _replay(self, argv: Sequence[str]) -> Answer:
        name = "/.commands/" + " ".join(argv).replace("/", "_")
        if self.exists(f"{name}.timeout"):
            return Answer(None, trouble=f"no answer within {self.timeout:g} s")
        if not self.exists(f"{name}.txt"):
            return Answer(None, trouble="not found")
        return Answer(0, self.read(f"{name}.txt"))

    def _recorded_environ(self) -> dict[str, str]:
        return parse.key_values(self.read("/.commands/env.txt"), "=")


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
    findings: list[dict[str, str]] = []
    user = find_user(host)
    links = find_sources(host, user, sources or {}, default_index)
    probes = {name: Task(partial(probe_source, host, link)) for name, link in links.items()}
    started = time.monotonic()
    commands = {
        name: Task(partial(host.run, argv))
        for name, argv in {
            "smi": NVIDIA_SMI,
            "header": ["nvidia-smi"],
            "gcc": ["gcc", "-dumpfullversion"],
            "sudo": ["sudo", "-n", "true"],
        }.items()
        if not (name == "sudo" and user.uid == 0)
    }
    pythons = {path: Task(partial(host.run, [path, *PYTHON_QUERY])) for path in find_pythons(host)}

    def answer(task: Task[Answer] | None) -> Answer:
        done = task.result(started + host.timeout + 0.5 - time.monotonic()) if task else None
        return done or Answer(None, trouble=f"no answer within {host.timeout:g} s")

    uname = _uname(host)
    system = _os(host, uname[1])
    cpu = parse.parse_cpuinfo(host.read("/proc/cpuinfo"))
    apt = _apt(host, apt_packages)
    toolkits = find_toolkits(host)
    accelerators, driver = _accelerators(host, answer(commands["smi"]), uname[2], findings)
    privilege = "root" if user.uid == 0 else "sudo" if answer(commands["sudo"]).code == 0 else "none"
    root = _expand(root, user) or (f"{user.home}/wavesmith" if privilege == "none" else "/opt/wavesmith")
    gcc = re.match(r"\d+(\.\d+)*$", parse.first_line(answer(commands["gcc"]).text), re.ASCII)
    compatible = host.read("/proc/device-tree/compatible")
    observed: dict[str, Any] = {
        "schema": 1,
        "hostname": uname[0],
        "user": {**asdict(user), "privilege": privilege},
        "os": system,
        "machine": {
            "model": parse.first_line(host.read("/proc/device-tree/model"))
            or parse.first_line(host.read("/sys/class/dmi/id/product_name")),
            "l4t": parse.parse_l4t(host.read("/etc/nv_tegra_release")),
            "jetson": parse.parse_compatible(compatible) is not None,
        },
        "cpu": {"architecture": uname[2], **asdict(_usable(host, cpu)), "page_size": _page_size(host)},
        "memory": parse.parse_meminfo(host.read("/proc/meminfo")),
        "disk": _disk(host, root),
        "accelerators": [asdict(accelerator) for accelerator in accelerators],
        "nvidia": {"driver": driver, "cuda": parse.parse_driver_cuda(answer(commands["header"]).text)},
        "rocm": {"version": parse.major_minor(parse.first_line(host.read("/opt/rocm/.info/version")))},
        "toolkits": toolkits,
        "compilers": {"gcc": gcc.group(0) if gcc else None},
        "pythons": [
            python for path, task in pythons.items() if (python := _python(host, path, answer(task).text)) is not None
        ],
        "apt": apt,
        "sources": {},
        "root": root,
        "findings": findings,
    }
    if privilege == "none" and apt["missing"]:
        findings.append(
            {
                "id": "user.privilege",
                "detail": f"{user.name} can not install the missing system packages: {', '.join(apt['missing'])}",
                "remedy": f"Let an administrator run: apt-get install {' '.join(apt['missing'])}",
            }
        )
    for name, probe in probes.items():
        result, remedy = probe.result(started + host.timeout + 0.2 - time.monotonic()) or (
            _source(links[name], answers=False, detail=f"no answer within {host.timeout:g} s", seconds=host.timeout),
            "Check name resolution, proxy and firewall, or configure a mirror.",
        )
        observed["sources"][name] = result
        if not result["answers"] and remedy:
            shown = result["url"] or "(none)"
            detail = f"The source {name} {shown} can not be used: {result['detail']}"
            findings.append({"id": f"source.{name}", "detail": detail, "remedy": remedy})
    return observed


def find_user(host: Host) -> User:
    """Return who runs this; for a recorded host root, unless ``id -u`` and ``id -un`` were recorded."""
    if host.live:
        uid = os.geteuid()
        try:
            entry = pwd.getpwuid(uid)
            return User(name=entry.pw_name, uid=uid, home=entry.pw_dir)
        except KeyError:
            return User(name=str(uid), uid=uid, home=host.environ.get("HOME", "/"))
    uid = parse.natural(host.run(["id", "-u"]).text) or 0
    name = parse.first_line(host.run(["id", "-un"]).text) or "root"
    return User(name=name, uid=uid, home="/root" if uid == 0 else f"/home/{name}")


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
    try:
        answers, detail, remedy = parse.judge_status(_status(url, host.timeout))
    except Exception as error:  # urllib and http.client raise almost anything for what a server or a URL can hold
        return result(False, *_explain(error))
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
        "wsl": "microsoft" in host.read("/proc/version").lower(),
        "container": parse.container_kind(
            host.read("/proc/1/environ"),
            host.read("/run/systemd/container"),
            podman=host.exists("/run/.containerenv"),
            docker=host.exists("/.dockerenv"),
        ),
        "systemd": host.exists("/run/systemd/system"),
    }


def _libc(host: Host) -> str:
    if not host.live:
        return host.run(["getconf", "GNU_LIBC_VERSION"]).text
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (OSError, ValueError):
        return ""  # musl has no such name


def _usable(host: Host, cpu: parse.Cpu) -> parse.Cpu:
    """Count only the cores this process may use."""
    return replace(cpu, cores=len(os.sched_getaffinity(0))) if host.live else cpu


def _page_size(host: Host) -> int:
    if host.live:
        return os.sysconf("SC_PAGESIZE")
    return parse.natural(host.run(["getconf", "PAGESIZE"]).text) or 4096


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


def _apt(host: Host, names: Sequence[str]) -> dict[str, Any]:
    installed = parse.parse_dpkg_status(host.read("/var/lib/dpkg/status"), names)
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


def find_toolkits(host: Host) -> list[dict[str, Any]]:
    """Return the CUDA toolkits below /usr/local, else the one whose nvcc is on the path."""
    found: dict[str, dict[str, Any]] = {}
    for path in host.glob("/usr/local/cuda*"):
        real = os.path.realpath(host.at(path))
        if real in found:
            continue
        nvcc = host.exists(f"{path}/bin/nvcc")
        version, source = parse.parse_version_json(host.read(f"{path}/version.json")), "version.json"
        if version is None and nvcc:
            version, source = parse.parse_nvcc(host.run([f"{path}/bin/nvcc", "--version"]).text), "nvcc"
        if version is not None:
            shown = real if host.live else path
            found[real] = {"version": version, "path": shown, "source": source, "nvcc": nvcc}
    if not found:
        version = parse.parse_nvcc(host.run(["nvcc", "--version"]).text)
        if version is not None:
            program = os.path.realpath(host.which("nvcc") or "") if host.live else "/usr/bin/nvcc"
            path = os.path.dirname(os.path.dirname(program))
            return [{"version": version, "path": path, "source": "nvcc", "nvcc": True}]
    return list(found.values())


def _accelerators(
    host: Host, smi: Answer, architecture: str, findings: list[dict[str, str]]
) -> tuple[list[parse.Accelerator], str | None]:
    """Return the GPUs by the best witness there is (nvidia-smi, /proc, PCI; kfd, PCI) and NVIDIA's driver version."""
    on_bus = []
    for path in host.glob("/sys/bus/pci/devices/*"):
        ids = (host.read(f"{path}/{name}") for name in ("vendor", "device", "class"))
        if (accelerator := parse.pci_accelerator(*ids)) is not None:
            on_bus.append(accelerator)
    tegra = parse.parse_compatible(host.read("/proc/device-tree/compatible"))
    nvidia, driver = parse.parse_nvidia_smi(smi.text)
    driver = driver or parse.parse_nvidia_version(host.read("/proc/driver/nvidia/version"))
    if not nvidia:
        for path in host.glob("/proc/driver/nvidia/gpus/*/information"):
            name = parse.key_values(host.read(path), ":").get("Model", "")
            nvidia.append(parse.Accelerator(vendor="nvidia", name=name or "unknown", source="proc"))
    if not nvidia and tegra:
        model = parse.first_line(host.read("/proc/device-tree/model"))
        nvidia = [parse.Accelerator(vendor="nvidia", name=model or "NVIDIA Jetson", source="proc")]
    if not nvidia:
        nvidia = [accelerator for accelerator in on_bus if accelerator.vendor == "nvidia"]
    if tegra and len(nvidia) == 1 and nvidia[0].sm is None:
        nvidia = [replace(nvidia[0], sm=tegra)]
    _judge_nvidia(smi, nvidia, driver, findings)

    amd = []
    for path in host.glob("/sys/class/kfd/kfd/topology/nodes/*"):
        gfx = parse.gfx_name(parse.key_values(host.read(f"{path}/properties"), " ").get("gfx_target_version", ""))
        if gfx is None:
            continue
        banks = (parse.key_values(host.read(bank), " ") for bank in host.glob(f"{path}/mem_banks/*/properties"))
        memory = sum(parse.natural(bank.get("size_in_bytes", "")) or 0 for bank in banks)
        name = parse.first_line(host.read(f"{path}/name")) or gfx
        amd.append(parse.Accelerator(vendor="amd", name=name, gfx=gfx, memory=memory or None, source="kfd"))
    return nvidia + (amd or [accelerator for accelerator in on_bus if accelerator.vendor == "amd"]), driver


def _judge_nvidia(
    smi: Answer, nvidia: list[parse.Accelerator], driver: str | None, findings: list[dict[str, str]]
) -> None:
    if any(accelerator.source == "nvidia-smi" for accelerator in nvidia):
        return
    if smi.trouble and smi.trouble != "not found":
        findings.append(
            {
                "id": "nvidia.smi",
                "detail": f"nvidia-smi: {smi.trouble}; the GPU's compute capability may be unknown",
                "remedy": "Run nvidia-smi by hand; if it hangs, see `dmesg | grep -i NVRM` and reboot the host.",
            }
        )
    elif smi.trouble != "not found":
        findings.append(
            {
                "id": "nvidia.smi",
                "detail": f"nvidia-smi: {parse.first_line(smi.text)[:200] or 'it printed nothing'}",
                "remedy": "Install the driver for this kernel and reboot, or give the container its GPU.",
            }
        )
    elif nvidia and driver is None and nvidia[0].source == "pci":
        findings.append(
            {
                "id": "nvidia.driver",
                "detail": f"There is an NVIDIA GPU ({nvidia[0].name}) but no driver",
                "remedy": "Install NVIDIA's driver (580 or newer for CUDA 13), or give the container its GPU.",
            }
        )
