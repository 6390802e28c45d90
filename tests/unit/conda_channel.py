"""Make a real conda channel in a folder: a ``python`` package out of a Python of this machine, and small ones beside it.

Standard library only: a host's Python runs it to make a channel there. By hand, to see what the engine does without a
channel in reach::

    python tests/unit/conda_channel.py FOLDER
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path

SUBDIR = f"linux-{'aarch64' if platform.machine() == 'aarch64' else '64'}"
PLACEHOLDER = "/wavesmith_placeholder" + "_placehold" * 20
"""As conda-build does it: long enough for any prefix that is put in its place."""
_LEFT_OUT = {
    "test",
    "tests",
    "idlelib",
    "lib2to3",
    "turtledemo",
    "tkinter",
    "ensurepip",
    "site-packages",
    "__pycache__",
}
_ASK = "import json, os, sys, sysconfig as s; print(json.dumps([s.get_path('stdlib'), '%d.%d.%d' % sys.version_info[:3], s.get_config_var('LIBDIR'), s.get_config_var('INSTSONAME'), sys.base_prefix]))"
_LAUNCHER = "int Py_BytesMain(int, char **); int main(int count, char **words) { return Py_BytesMain(count, words); }\n"


def package(
    channel: Path,
    name: str,
    files: Mapping[str, bytes | Path],
    version: str = "1.0",
    depends: tuple[str, ...] = (),
    subdir: str = "noarch",
    placeholder: Mapping[str, str] | None = None,
) -> Path:
    """Write one package; `files` maps its paths to bytes, or to a file to copy; `placeholder` names a file's mode."""
    archive = channel / subdir / f"{name}-{version}-0.tar.bz2"
    archive.parent.mkdir(parents=True, exist_ok=True)
    index = {"name": name, "version": version, "build": "0", "build_number": 0, "depends": list(depends)}
    index |= {"subdir": subdir, "noarch": "generic"} if subdir == "noarch" else {"subdir": subdir}
    paths = []
    with tarfile.open(archive, "w:bz2", compresslevel=1) as tar:

        def add(path: str, data: bytes, mode: int = 0o644) -> None:
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode, entry.mtime = len(data), mode, 1_700_000_000
            tar.addfile(entry, io.BytesIO(data))

        for path, source in sorted(files.items()):
            if isinstance(source, Path) and source.is_symlink() and "/" not in os.readlink(source):
                entry = tarfile.TarInfo(path)
                entry.type, entry.linkname = tarfile.SYMTYPE, os.readlink(source)
                tar.addfile(entry)
                paths.append({"_path": path, "path_type": "softlink"})  # a link has no sha256
                continue
            data = source.read_bytes() if isinstance(source, Path) else source
            add(path, data, 0o755 if path.startswith("bin/") else 0o644)
            fact = {"_path": path, "path_type": "hardlink", "sha256": hashlib.sha256(data).hexdigest()}
            fact["size_in_bytes"] = len(data)  # type: ignore[assignment]
            if mode := (placeholder or {}).get(path):
                fact |= {"file_mode": mode, "prefix_placeholder": PLACEHOLDER}
            paths.append(fact)
        add("info/index.json", json.dumps(index).encode())
        add("info/paths.json", json.dumps({"paths": paths, "paths_version": 1}).encode())
        add("info/files", "\n".join(path["_path"] for path in paths).encode())
    return archive


def python_package(channel: Path, python: str, work: Path) -> str:
    """Pack a Python that finds its home by where it lies, as conda's does; returns its version.

    A shared one gets a launcher of ours that finds its library relative to itself. Debian's changes (``dist-packages``) are
    taken back, for conda's Python has ``site-packages``.
    """
    asked = subprocess.run([python, "-I", "-c", _ASK], capture_output=True, text=True, check=True).stdout
    stdlib, version, libdir, library, base = json.loads(asked)
    minor = ".".join(version.split(".")[:2])
    files: dict[str, bytes | Path] = {}
    for folder, names, found in os.walk(stdlib):
        names[:] = [name for name in names if name not in _LEFT_OUT and not name.startswith("config-")]
        inner = os.path.relpath(folder, stdlib)
        for name in found:
            if not name.endswith((".a", ".pyc")) and name not in ("EXTERNALLY-MANAGED", "sitecustomize.py"):
                files[os.path.normpath(f"lib/python{minor}/{inner}/{name}")] = Path(folder, name).resolve()
    text = Path(stdlib, "sysconfig.py").read_text()
    text = text.replace("prefix_scheme = 'posix_local'", "prefix_scheme = 'posix_prefix'")
    files[f"lib/python{minor}/sysconfig.py"] = text.encode()
    files[f"lib/python{minor}/site-packages/README.txt"] = b"packages are installed here\n"
    placeholder = {}
    for path, source in files.items():
        if "_sysconfigdata" in path and isinstance(source, Path):
            files[path] = source.read_bytes().replace(base.encode(), PLACEHOLDER.encode())
            placeholder[path] = "text"
    program = Path(os.path.realpath(python))
    if library.encode() in program.read_bytes():  # Debian has such a library, and a program that does without it
        (work / "launcher.c").write_text(_LAUNCHER)
        program = work / "launcher"
        where = ["-L", libdir, f"-l:{library}", "-Wl,-rpath,$ORIGIN/../lib"]
        subprocess.run(["gcc", "-o", program, work / "launcher.c", *where], check=True)
        subprocess.run(["strip", "-o", work / library, f"{libdir}/{library}"], check=True)
        files[f"lib/{library}"] = work / library
    # Of site it takes the copy that is compiled in. Both names have the same length.
    files[f"bin/python{minor}"] = program.read_bytes().replace(b"dist-packages", b"site-packages")
    for name in ("python3", "python"):
        link = work / name
        link.unlink(missing_ok=True)
        link.symlink_to(f"python{minor}")
        files[f"bin/{name}"] = link
    package(channel, "python", files, version, subdir=SUBDIR, placeholder=placeholder)
    return version


def index(channel: Path) -> None:
    """Write the channel's ``repodata.json``."""
    for subdir in ("noarch", SUBDIR):
        packages = {}
        for archive in sorted((channel / subdir).glob("*.tar.bz2")):
            with tarfile.open(archive) as tar:
                facts = json.load(tar.extractfile("info/index.json"))  # type: ignore[arg-type]
            data = archive.read_bytes()
            digests = {"sha256": hashlib.sha256(data).hexdigest(), "md5": hashlib.md5(data).hexdigest()}
            packages[archive.name] = facts | digests | {"size": len(data)}
        repodata = {"info": {"subdir": subdir}, "packages": packages, "packages.conda": {}, "repodata_version": 1}
        (channel / subdir).mkdir(parents=True, exist_ok=True)
        (channel / subdir / "repodata.json").write_text(json.dumps(repodata))


def make(channel: Path, work: Path, python: str = getattr(sys, "_base_executable", sys.executable)) -> str:
    """A channel with Python, and with stand-ins for what a real one has of ours: espeak-ng and ffmpeg. Returns Python's version."""
    version = python_package(channel, python, work)
    for name, library in (("espeak-ng", "libespeak-ng.so.1"), ("ffmpeg", "libavcodec.so.61")):
        package(channel, name, {f"lib/{library}": b"a stand-in\n"}, subdir=SUBDIR)
    package(channel, "greeting", {"share/greeting": b"hello from 1.0\n"}, "1.0")
    index(channel)
    return version


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        print(make(Path(sys.argv[1]), Path(scratch), *sys.argv[2:]))
