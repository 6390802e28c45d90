"""Look at a host: the files, commands and URLs behind what :mod:`platform` parses.

Everything below ``probe_root`` other than ``/`` is a recording: files are read below it, and a command's output is the
file ``.commands/<argv joined by spaces, '/' as '_'>.txt`` (beside it ``.timeout``: the command hung; ``.code``: its exit
status where it is not 0, negative for a signal). URLs are always really probed.
"""

from __future__ import annotations

import base64
import ctypes
import glob
import os
import pwd
import re
import shutil
import signal
import ssl
import stat
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

from . import hardware
from . import platform as parse

T = TypeVar("T")

NVIDIA_SMI = ["nvidia-smi", "--query-gpu=name,compute_cap,memory.total,driver_version", "--format=csv,noheader,nounits"]
# NVML itself, in a process of its own because a broken driver can hang or crash it: the same rows as NVIDIA_SMI gives,
# after a line with the newest CUDA. Function names and the code of "not supported": nvml.h.
NVML_QUERY = """
import ctypes
for name in ("libnvidia-ml.so.1", "/usr/lib/wsl/lib/libnvidia-ml.so.1"):
    try:
        nvml = ctypes.CDLL(name)
        break
    except OSError as error:
        missing = error
else:
    raise SystemExit(str(missing))
nvml.nvmlErrorString.restype = ctypes.c_char_p
code = nvml.nvmlInit_v2()
if code:
    raise SystemExit("Failed to initialize NVML: " + nvml.nvmlErrorString(code).decode())
def number(function, *handle):
    value = ctypes.c_int()
    return value.value if function(*handle, ctypes.byref(value)) == 0 else 0
def text(function, *handle):
    value = ctypes.create_string_buffer(96)
    return value.value.decode("utf-8", "replace") if function(*handle, value, 96) == 0 else "[N/A]"
cuda = number(nvml.nvmlSystemGetCudaDriverVersion_v2)
print("CUDA Version: %d.%d" % (cuda // 1000, cuda % 1000 // 10) if cuda else "")
for index in range(number(nvml.nvmlDeviceGetCount_v2)):
    gpu = ctypes.c_void_p()
    if nvml.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(gpu)) == 0:
        major, minor, memory = ctypes.c_int(), ctypes.c_int(), (ctypes.c_ulonglong * 3)()
        known = nvml.nvmlDeviceGetCudaComputeCapability(gpu, ctypes.byref(major), ctypes.byref(minor)) == 0
        sized = nvml.nvmlDeviceGetMemoryInfo(gpu, ctypes.byref(memory)) == 0
        print(
            text(nvml.nvmlDeviceGetName, gpu),
            "%d.%d" % (major.value, minor.value) if known else "[N/A]",
            memory[0] // 2**20 if sized else "[N/A]",
            text(nvml.nvmlSystemGetDriverVersion),
            sep=", ",
        )
"""
# -I -S: neither a user site nor PYTHONPATH can change the answer, and it starts in a few milliseconds.
PYTHON_QUERY = ["-IS", "-c", "import sys;print('%d.%d.%d' % sys.version_info[:3],sys.base_prefix)"]
# Commands that a login shell would find, but a remote run may not (WSL2 keeps nvidia-smi in its own folder).
EXTRA_PATH = (
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/wsl/lib:/usr/local/cuda/bin:/opt/rocm/bin"
)
INDEX_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")
PACKAGE_INDEX = "package_index"
# Installed packages that are witnesses: of L4T, of JetPack, of ROCm.
WITNESSES = ("nvidia-l4t-core", "nvidia-jetpack", "rocm-core")
PR_SVE_GET_VL = 51  # include/uapi/linux/prctl.h
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

    def listing(self, path: str) -> list[str]:
        """Return the names in a folder, sorted; none where there is no such folder."""
        try:
            return sorted(os.listdir(self.at(path)))
        except (OSError, ValueError):
            return []

    def python(self, name: str, code: str) -> Answer:
        """Run code in a Python process of its own; recorded as ``python <name>``."""
        return (
            self.run([sys.executable or "python3", "-IS", "-c", code]) if self.live else self._replay(["python", name])
        )

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
        code = self.read(f"{name}.code").strip()
        number = parse.natural(code.lstrip("-")) or 0
        return Answer(-number if code.startswith("-") else number, self.read(f"{name}.txt"))

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
    findings: list[parse.Finding] = []
    user = find_user(host)
    links = find_sources(host, user, sources or {}, default_index)
    probes = {name: Task(partial(probe_source, host, link)) for name, link in links.items()}
    nodes = host.glob("/sys/class/kfd/kfd/topology/nodes/*")
    nvccs = find_nvccs(host)
    ask = Questions(host)
    ask.command("smi", NVIDIA_SMI)
    ask.command("header", ["nvidia-smi"])
    ask.command("gcc", ["gcc", "-dumpfullversion"])
    ask.task("nvml", partial(host.python, "nvml", NVML_QUERY))
    if not nodes:
        ask.command("rocminfo", ["rocminfo"])
        ask.command("agents", ["rocm_agent_enumerator"])
    if user.uid != 0:
        ask.command("sudo", ["sudo", "-n", "true"])
        ask.command("groups", ["id", "-Gn"])
    for nvcc in nvccs:
        ask.command(f"{nvcc} version", [nvcc, "--version"])
        ask.command(f"{nvcc} arches", [nvcc, "--list-gpu-arch"])
    pythons = find_pythons(host)
    for path in pythons:
        ask.command(path, [path, *PYTHON_QUERY])

    uname = _uname(host)
    system = _os(host, uname[1])
    cpu = parse.parse_cpuinfo(host.read("/proc/cpuinfo"))
    packages = parse.parse_dpkg_status(host.read("/var/lib/dpkg/status"), [*apt_packages, *WITNESSES])
    apt = _apt(host, apt_packages, packages)
    slots = find_slots(host)
    nvidia, driver = _nvidia(host, ask, slots, findings)
    amd = _amd(host, ask, nodes, slots, user, findings)
    intel = [slot.gpu for slot in slots if slot.gpu.vendor == "intel"]
    accelerators = nvidia + amd + intel
    if not nvidia + amd and host.exists("/dev/dxg"):
        # All that Windows hides behind this device is reached through DirectX; what it is, only its drivers tell.
        makers = " or ".join(parse.windows_gpus(host.listing("/usr/lib/wsl/drivers"))) or "unknown"
        accelerators = [parse.Accelerator(vendor="directx", name=f"{makers} GPU of Windows", source="dxg")]
    machine = _machine(host, system, cpu, uname, accelerators, packages, findings)
    if machine["jetpack"] and driver["cuda"] is None:
        driver.update(cuda=parse.jetpack(machine["l4t"]).cuda, cuda_source="jetpack")  # type: ignore[union-attr]
    privilege = "root" if user.uid == 0 else "sudo" if ask.answer("sudo").code == 0 else "none"
    root = _expand(root, user) or (f"{user.home}/wavesmith" if privilege == "none" else "/opt/wavesmith")
    gcc = re.match(r"\d+(\.\d+)*$", parse.first_line(ask.answer("gcc").text), re.ASCII)
    observed: dict[str, Any] = {
        "schema": 1,
        "hostname": uname[0],
        "user": {**asdict(user), "privilege": privilege},
        "os": system,
        "machine": machine,
        "cpu": _cpu(host, uname[2], cpu, findings),
        "memory": parse.parse_meminfo(host.read("/proc/meminfo")),
        "disk": _disk(host, root),
        "accelerators": [asdict(accelerator) for accelerator in accelerators],
        "nvidia": driver,
        "rocm": _rocm(host, packages),
        "toolkits": find_toolkits(host, ask, nvccs),
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
            {
                "id": "user.privilege",
                "detail": f"{user.name} can not install the missing system packages: {', '.join(apt['missing'])}",
                "remedy": f"Let an administrator run: apt-get install {' '.join(apt['missing'])}",
            }
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
            findings.append({"id": f"source.{name}", "detail": detail, "remedy": remedy})
    return observed


class Questions:
    """Commands that run side by side, each with the host's timeout."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._tasks: dict[str, Task[Answer]] = {}
        self.deadline = time.monotonic() + host.timeout + 0.5

    def command(self, name: str, argv: Sequence[str]) -> None:
        """Start a command."""
        self.task(name, partial(self._host.run, argv))

    def task(self, name: str, work: Callable[[], Answer]) -> None:
        """Start a function."""
        self._tasks[name] = Task(work)

    def answer(self, name: str) -> Answer:
        """Wait for what was started under this name; what was not is not found."""
        if name not in self._tasks:
            return Answer(None, trouble="not found")
        done = self._tasks[name].result(self.deadline - time.monotonic())
        return done or Answer(None, trouble=f"no answer within {self._host.timeout:g} s")


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
        "wsl": _wsl(host) is not None,
        "container": parse.container_kind(
            host.read("/proc/1/environ"),
            host.read("/run/systemd/container"),
            podman=host.exists("/run/.containerenv"),
            docker=host.exists("/.dockerenv"),
        ),
        "systemd": host.exists("/run/systemd/system"),
    }


def _wsl(host: Host) -> str | None:
    """Return what says that this is WSL (a kernel built by its user need not name Microsoft)."""
    if "microsoft" in host.read("/proc/version").lower():
        return "/proc/version"
    return next((path for path in ("/proc/sys/fs/binfmt_misc/WSLInterop", "/dev/dxg") if host.exists(path)), None)


def _libc(host: Host) -> str:
    if host.glob("/lib/ld-musl-*"):
        return "musl"
    if not host.live:
        return host.run(["getconf", "GNU_LIBC_VERSION"]).text
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (OSError, ValueError):
        return ""


def _cpu(host: Host, architecture: str, cpu: parse.Cpu, findings: list[parse.Finding]) -> dict[str, Any]:
    if architecture not in ("x86_64", "aarch64"):
        findings.append(
            parse.finding(
                "cpu.architecture",
                f"The CPU architecture {architecture or 'unknown'} has no wheels of torch",
                "Take a host with x86_64 or aarch64.",
            )
        )
    elif cpu.isa == "generic" and cpu.cores:
        findings.append(
            parse.finding(
                "cpu.level",
                f"{cpu.model or 'The CPU'} has {'no AVX2' if architecture == 'x86_64' else 'no ARMv8.2 half precision'}",
                "Let a virtual machine see its host's CPU, or take a newer machine; nothing is compiled for this level.",
            )
        )
    return {
        "architecture": architecture,
        "isa": cpu.isa,
        # Only the cores this process may use.
        "cores": len(os.sched_getaffinity(0)) if host.live else cpu.cores,
        "model": cpu.model,
        "sve": _sve(host) if cpu.sve else None,
        "page_size": _page_size(host),
    }


def _sve(host: Host) -> dict[str, Any] | None:
    """Return the width of the SVE registers: of this process, else the system's default."""
    if host.live:
        try:
            length = ctypes.CDLL(None).prctl(PR_SVE_GET_VL, 0, 0, 0, 0)
        except (OSError, AttributeError):
            length = -1
        if length > 0:
            return {"bits": (length & 0xFFFF) * 8, "source": "prctl"}
    length = parse.natural(host.read("/proc/sys/abi/sve_default_vector_length"))
    return {"bits": length * 8, "source": "sve_default_vector_length"} if length else None


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


def _apt(host: Host, names: Sequence[str], installed: Mapping[str, str]) -> dict[str, Any]:
    return {
        "present": host.exists("/usr/bin/apt-get"),
        "installed": {name: installed[name] for name in names if name in installed},
        "missing": [name for name in dict.fromkeys(names) if name not in installed],
    }


def _rocm(host: Host, packages: Mapping[str, str]) -> dict[str, Any]:
    """Return ROCm's version: of /opt/rocm, else the newest other folder's, else the package's."""
    files = ["/opt/rocm/.info/version", *reversed(host.glob("/opt/rocm-*/.info/version"))]
    for path in files:
        version = parse.major_minor(parse.first_line(host.read(path)))
        if version:
            return {"version": version, "source": path}
    version = parse.major_minor(packages.get("rocm-core", ""))
    return {"version": version, "source": "rocm-core" if version else None}


def _machine(
    host: Host,
    system: Mapping[str, Any],
    cpu: parse.Cpu,
    uname: tuple[str, str, str],
    gpus: Sequence[parse.Accelerator],
    packages: Mapping[str, str],
    findings: list[parse.Finding],
) -> dict[str, Any]:
    """Say what kind of machine this is, by the first witness of docs/platform.md's order."""
    compatible = host.read("/proc/device-tree/compatible")
    dmi = {
        name: parse.first_line(host.read(f"/sys/class/dmi/id/{name}"))
        for name in ("product_name", "sys_vendor", "chassis_type")
    }
    product = dmi["product_name"]
    model = parse.first_line(host.read("/proc/device-tree/model")) or product
    l4t, l4t_source = parse.parse_l4t(host.read("/etc/nv_tegra_release")), "/etc/nv_tegra_release"
    if l4t is None:
        l4t, l4t_source = parse.version_in(packages.get("nvidia-l4t-core", "").partition("-")[0]), "nvidia-l4t-core"
    chip = parse.tegra_chip(compatible)
    arm = uname[2] == "aarch64"
    names = [gpu.name for gpu in gpus if gpu.vendor == "nvidia"]
    tegra = next((name for name in names if arm and parse.tegra_sm(name)), None)
    spark = next((gpu.name for gpu in gpus if arm and (gpu.sm == "12.1" or re.search(r"\bGB10\b", gpu.name))), None)
    # Never more of /etc/dgx-release than these two: it also holds the serial number.
    release = parse.key_values(host.read("/etc/dgx-release"), "=")
    dgx = f"{release.get('DGX_NAME', '')} {release.get('DGX_PLATFORM', '')}"
    fastos = parse.key_values(host.read("/etc/fastos-release"), "=").get("NAME", "")
    superchip = next((text for text in [*names, product] if re.search(r"\b(GH200|GB[23]00|Grace)\b", text)), None)
    witnesses = (
        ("jetson", l4t and l4t_source),
        ("jetson", chip and f"device tree: {chip}"),
        ("jetson", "tegra" in uname[1] and f"kernel {uname[1]}"),
        ("jetson", tegra and f"GPU {tegra}"),
        ("dgx_spark", spark and f"GPU {spark}"),
        ("dgx_spark", re.search(r"dgx.?spark", product, re.IGNORECASE) and f"product {product}"),
        ("dgx_spark", "spark" in fastos.lower() and "/etc/fastos-release"),
        ("dgx_spark", "spark" in dgx.lower() and "/etc/dgx-release"),
        ("grace", arm and superchip),
        ("grace", arm and names and cpu.model == "Neoverse-V2" and "Neoverse-V2 with an NVIDIA GPU"),
        ("wsl2", system["wsl"] and _wsl(host)),
        ("container", system["container"]),
        ("board", arm and model and not product and model),
        parse.machine_class(dmi["chassis_type"], dmi["sys_vendor"]),
    )
    kind, why = next((kind, str(why)) for kind, why in witnesses if why)
    jetson = kind == "jetson"
    jetpack = parse.jetpack(l4t) if jetson else None
    if jetson and l4t is None:
        findings.append(
            parse.finding(
                "jetson.l4t_missing",
                f"This is a Jetson ({why}), but nothing tells its L4T release",
                "In a container, mount the host's /etc/nv_tegra_release into it.",
            )
        )
    elif jetpack and not jetpack.exact:
        findings.append(
            parse.finding(
                "jetson.l4t_unknown",
                f"L4T {l4t} is not known; it is treated as JetPack {jetpack.version}, the nearest older one",
                "Update Wavesmith, or check that what was chosen fits.",
            )
        )
    said = parse.version_in(re.split(r"[+-]", packages.get("nvidia-jetpack", ""), maxsplit=1)[0])
    return {
        "model": model,
        "kind": kind,
        "why": why,
        "jetson": jetson,
        "module": parse.jetson_module(compatible),
        "l4t": l4t if jetson else None,
        "jetpack": (said or (jetpack.version if jetpack else None)) if jetson else None,
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


def find_nvccs(host: Host) -> list[str]:
    """Return every nvcc on the host: of the toolkits in their usual places, of CUDA_HOME, and the one on the path."""
    roots = [path for pattern in ("/usr/local/cuda*", "/opt/cuda*", "/usr/lib/*cuda*") for path in host.glob(pattern)]
    roots += [host.environ[name] for name in ("CUDA_HOME", "CUDA_PATH") if host.environ.get(name, "").startswith("/")]
    found: dict[str, str] = {}
    for path in [f"{root.rstrip('/')}/bin/nvcc" for root in roots]:
        if host.exists(path):
            found.setdefault(os.path.realpath(host.at(path)), path)
    on_path = host.which("nvcc")
    # A script that calls another toolkit's nvcc has no profile beside it.
    if on_path and (
        not found or os.path.exists(os.path.join(os.path.dirname(os.path.realpath(on_path)), "nvcc.profile"))
    ):
        found.setdefault(os.path.realpath(on_path), on_path)
    return list(found.values())


def find_toolkits(host: Host, ask: Questions, nvccs: Sequence[str]) -> list[dict[str, Any]]:
    """Return the CUDA toolkits: what version.json or nvcc says of them, and what nvcc compiles for (None: unknown)."""
    found: dict[str, dict[str, Any]] = {}

    def add(path: str, version: str | None, source: str, sms: list[str] | None, nvcc: bool) -> None:
        if version is not None:
            shown = os.path.realpath(path) if host.live else path
            key = os.path.realpath(host.at(path))
            found.setdefault(key, {"version": version, "path": shown, "source": source, "nvcc": nvcc, "sms": sms})

    for nvcc in nvccs:
        path = os.path.dirname(os.path.dirname(os.path.realpath(nvcc) if host.live else nvcc)) or "/usr"
        sms = parse.parse_gpu_arches(ask.answer(f"{nvcc} arches").text)
        version, source = parse.parse_version_json(host.read(f"{path}/version.json")), "version.json"
        if version is None:
            version, source = parse.parse_nvcc(ask.answer(f"{nvcc} version").text), "nvcc"
        add(path, version, source, sms, nvcc=True)
    for file in host.glob("/usr/local/cuda*/version.json"):
        add(os.path.dirname(file), parse.parse_version_json(host.read(file)), "version.json", None, nvcc=False)
    return sorted(found.values(), key=lambda toolkit: str(toolkit["path"]))


def find_slots(host: Host) -> list[parse.Slot]:
    """Return the GPUs on the PCI bus, in the order of their addresses."""
    paths = host.glob("/sys/bus/pci/devices/*/uevent")
    slots = (parse.pci_slot(os.path.basename(os.path.dirname(path)), host.read(path)) for path in paths)
    return [slot for slot in slots if slot is not None]


def _nvidia(
    host: Host, ask: Questions, slots: Sequence[parse.Slot], findings: list[parse.Finding]
) -> tuple[list[parse.Accelerator], dict[str, Any]]:
    """Return NVIDIA's GPUs by the first witness that shows any, and what is known of the driver."""
    smi, nvml = ask.answer("smi"), ask.answer("nvml")
    on_bus = [slot for slot in slots if slot.gpu.vendor == "nvidia"]
    by_smi, smi_driver = parse.parse_nvidia_smi(smi.text)
    by_nvml, nvml_driver = parse.parse_nvidia_smi(nvml.text)
    gpus = by_smi or [replace(gpu, source="nvml") for gpu in by_nvml]
    if not gpus:
        for path in host.glob("/proc/driver/nvidia/gpus/*/information"):
            name = parse.key_values(host.read(path), ":").get("Model", "")
            gpus.append(parse.Accelerator(vendor="nvidia", name=name or "unknown", source="proc"))
    model = parse.first_line(host.read("/proc/device-tree/model"))
    chip = parse.tegra_chip(host.read("/proc/device-tree/compatible"))
    if not gpus and chip:
        gpus = [parse.Accelerator(vendor="nvidia", name=model or "NVIDIA Jetson", source="device-tree")]
    if not gpus:
        gpus = [slot.gpu for slot in on_bus]
    if not gpus and host.exists("/usr/lib/wsl/lib/libcuda.so.1"):
        # Windows has NVIDIA's driver, but nvidia-smi and NVML do not work here (microsoft/WSL#11277).
        gpus = [parse.Accelerator(vendor="nvidia", name="NVIDIA GPU of Windows", source="libcuda")]
    if len(gpus) == 1 and gpus[0].sm is None and chip:
        witness = gpus[0].source if gpus[0].source == "device-tree" else f"{gpus[0].source}+device-tree"
        gpus = [replace(gpus[0], sm=hardware.TEGRA[chip], source=witness)]
    gpus = parse.complete(gpus, [slot.gpu for slot in on_bus])
    gpus = [
        replace(gpu, sm=sm, source=f"{gpu.source}+name")
        if gpu.sm is None and (sm := parse.tegra_sm(gpu.name)) is not None
        else gpu
        for gpu in gpus
    ]

    module = parse.parse_nvidia_version(host.read("/proc/driver/nvidia/version"))
    loaded = parse.version_in(parse.first_line(host.read("/sys/module/nvidia/version")))
    header = ask.answer("header").text
    drivers = (
        (smi_driver, "nvidia-smi"),
        (nvml_driver, "nvml"),
        (module, "proc"),
        (loaded, "sysfs"),
        (parse.parse_driver(header), "nvidia-smi"),
    )
    driver, driver_source = next((known for known in drivers if known[0]), (None, None))
    cudas = (
        (parse.parse_driver_cuda(header), "nvidia-smi"),
        (parse.parse_driver_cuda(nvml.text), "nvml"),
        (parse.driver_cuda(driver), "driver"),
    )
    cuda, cuda_source = next((known for known in cudas if known[0]), (None, None))
    if not by_smi:
        trouble = parse.judge_smi(smi.code, smi.text, smi.trouble)
        if trouble is not None:
            findings.append(trouble)
    findings.extend(parse.judge_nvidia(gpus, on_bus, driver, header))
    return gpus, {"driver": driver, "driver_source": driver_source, "cuda": cuda, "cuda_source": cuda_source}


def _amd(
    host: Host,
    ask: Questions,
    nodes: Sequence[str],
    slots: Sequence[parse.Slot],
    user: User,
    findings: list[parse.Finding],
) -> list[parse.Accelerator]:
    """Return AMD's GPUs by the first witness that shows any: KFD, rocminfo, rocm_agent_enumerator, PCI."""
    gpus = []
    for path in nodes:
        gfx = parse.gfx_name(parse.key_values(host.read(f"{path}/properties"), " ").get("gfx_target_version", ""))
        if gfx is None:
            continue
        banks = (parse.key_values(host.read(bank), " ") for bank in host.glob(f"{path}/mem_banks/*/properties"))
        memory = sum(parse.natural(bank.get("size_in_bytes", "")) or 0 for bank in banks)
        # Newer kernels name every GPU "ip discovery".
        name = parse.first_line(host.read(f"{path}/name")).replace("ip discovery", "") or gfx
        gpus.append(parse.Accelerator(vendor="amd", name=name, gfx=gfx, memory=memory or None, source="kfd"))
    seen = bool(gpus)
    on_bus = [slot.gpu for slot in slots if slot.gpu.vendor == "amd"]
    gpus = (
        gpus
        or parse.parse_rocminfo(ask.answer("rocminfo").text)
        or parse.parse_agents(ask.answer("agents").text)
        or on_bus
    )
    if seen and not host.exists("/dev/kfd"):
        findings.append(
            parse.finding(
                "amd.no_kfd",
                f"There is an AMD GPU ({gpus[0].name}), but no /dev/kfd",
                "Give the container /dev/kfd and /dev/dri, or load the kernel module amdgpu.",
            )
        )
    elif seen and user.uid != 0 and not _may_use(host, "/dev/kfd", ask):
        findings.append(
            parse.finding(
                "amd.access",
                f"{user.name} may not use /dev/kfd",
                f"Let an administrator run: usermod -aG render,video {user.name}; then log in anew.",
            )
        )
    elif gpus and gpus[0].source == "pci":
        findings.append(
            parse.finding(
                "amd.driver",
                f"There is an AMD GPU ({gpus[0].name}), but the kernel offers no compute node for it",
                "Load the kernel module amdgpu (of a kernel that knows this GPU), then look for /dev/kfd.",
            )
        )
    return gpus


def _may_use(host: Host, path: str, ask: Questions) -> bool:
    if host.live:
        return os.access(path, os.R_OK | os.W_OK)
    return not {"render", "video"}.isdisjoint(ask.answer("groups").text.split())
