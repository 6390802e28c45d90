"""A host's folder, a package index in a folder, and sources of our own: what the tests of real builds stand on."""

from __future__ import annotations

import ensurepip
import gzip
import hashlib
import io
import os
import platform
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.wavesmith.provision.plugins.module_utils.build import worker
from ansible_collections.wavesmith.provision.plugins.module_utils.host.job import Job
from ansible_collections.wavesmith.provision.plugins.module_utils.plan import recipe
from ansible_collections.wavesmith.provision.plugins.module_utils.terms.variant import Variant
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted import catalog as types

from .conftest import known

UV = Path(sys.prefix) / "bin" / "uv"
BASE = os.path.realpath(sys.executable)
PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
ARCHITECTURE = platform.machine()

# A build backend that needs nothing but Python and a compiler: it prints what it runs, as setuptools does.
BACKEND = """\
import base64, hashlib, os, subprocess, sys, sysconfig, zipfile


def run(*argv):
    print(" ".join(argv), flush=True)
    subprocess.run(argv, check=True)


def build_wheel(folder, config_settings=None, metadata_directory=None):
    made = "voice" + sysconfig.get_config_var("EXT_SUFFIX")
    include = "-I" + sysconfig.get_paths()["include"]
    if os.path.exists("voice.cu"):
        codes = [f"-gencode=arch=compute_{sm},code=sm_{sm}" for sm in os.environ["ARCHITECTURES"].split()]
        run("nvcc", *codes, "-Xcompiler", "-fPIC", include, "-c", "voice.cu", "-o", "voice.o")
        run("nvcc", *codes, "-cudart", "static", "-shared", "voice.o", "-o", made)
    else:
        run("cc", "-fPIC", *os.environ.get("CFLAGS", "").split(), include, "-c", "voice.c", "-o", "voice.o")
        run("cc", "-shared", "voice.o", "-o", made, *os.environ.get("LIBS", "").split())
    tag = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    tags = f"{tag}-{tag}-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"
    info = "tinyvoice-1.0.dist-info"
    files = {
        made: open(made, "rb").read(),
        info + "/METADATA": b"Metadata-Version: 2.1\\nName: tinyvoice\\nVersion: 1.0\\n",
        info + "/WHEEL": f"Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: false\\nTag: {tags}\\n".encode(),
    }
    record = ""
    for path, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={digest},{len(data)}\\n"
    name = f"tinyvoice-1.0-{tags}.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as archive:
        for path, data in files.items():
            archive.writestr(path, data)
        archive.writestr(info + "/RECORD", record + info + "/RECORD,,\\n")
    return name
"""
PYPROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
C = """\
#include <Python.h>
static PyObject *pitch(PyObject *self, PyObject *none) { return PyLong_FromLong(220); }
static PyMethodDef methods[] = {{"pitch", pitch, METH_NOARGS, ""}, {0}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "voice", "", -1, methods};
PyMODINIT_FUNC PyInit_voice(void) { return PyModule_Create(&module); }
"""
CUDA = """\
#include <Python.h>
__global__ void louder(float *wave, int count) {
    int at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at < count) wave[at] *= 2.0f;
}
static PyObject *play(PyObject *self, PyObject *none) {
    louder<<<1, 32>>>(0, 0);
    return PyLong_FromLong(cudaGetLastError());
}
static PyMethodDef methods[] = {{"play", play, METH_NOARGS, ""}, {0}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "voice", "", -1, methods};
PyMODINIT_FUNC PyInit_voice(void) { return PyModule_Create(&module); }
"""
SOURCE = {"pyproject.toml": PYPROJECT, "backend.py": BACKEND, "voice.c": C}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def sdist(files: Mapping[str, str], name: str = "tinyvoice-1.0") -> bytes:
    """A source archive, the same bytes for the same files."""
    made = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=made, mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as archive,
    ):
        for path, text in files.items():
            entry = tarfile.TarInfo(f"{name}/{path}")
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return made.getvalue()


class Host:
    """A host's folder with a toolbox, and a package index of its own that lies in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "root"
        self.simple = folder / "simple"
        tools = self.root / "toolbox" / "current" / "bin"
        tools.mkdir(parents=True)
        (tools / "uv").symlink_to(UV)
        (tools / "python").symlink_to(sys.executable)
        (self.root / "state" / "job").mkdir(parents=True)
        self.job = Job(str(self.root / "state" / "job"), os.open(os.devnull, os.O_RDONLY))
        self.job.known = known()
        (pip,) = Path(ensurepip.__file__).parent.glob("_bundled/pip-*.whl")
        self.lock = f"pip=={pip.name.split('-')[1]} --hash=sha256:{self.serve('pip', pip.name, pip.read_bytes())}\n"

    def serve(self, package: str, name: str, data: bytes) -> str:
        """Put a file on the index; its sha256."""
        page = self.simple / package
        page.mkdir(parents=True, exist_ok=True)
        (page / name).write_bytes(data)
        (page / "index.html").write_text("".join(f'<a href="{path.name}">{path.name}</a>' for path in page.iterdir()))
        return sha256(data)

    def recipe(self, files: Mapping[str, str] = SOURCE, **changes: Any) -> types.Recipe:
        """A recipe for `files`, which are on the index; `changes` are of its data."""
        digest = self.serve("tinyvoice", "tinyvoice-1.0.tar.gz", sdist(files))
        release = {
            "version": "1.0",
            "source": {"index": "tinyvoice-1.0.tar.gz", "sha256": digest},
            "build_lock": "lock",
        }
        release |= changes.pop("release", {})
        data = {
            "use": "always",
            "releases": [release],
            "must_contain": {"extensions": ["voice"]},
            "smoke": "import voice; assert voice.pitch() == 220",
            "memory_gib": 0.5,
            "seconds": 5,
        }
        patches = changes.pop("patches", {})
        made = types.package(
            {"name": "tinyvoice", "requires": [], "module": "voice", "recipe": {**data, **changes}},
            {"lock": self.lock, **patches},
        ).recipe
        assert made is not None
        return made

    def spec(self, made: types.Recipe, target: recipe.Target | None = None) -> dict[str, Any]:
        """What the plan would give for that recipe."""
        found = target or recipe.Target(
            Variant(PYTHON, "cpu", "", "generic"), ARCHITECTURE, gcc="12.2.0", libc="glibc 2.36"
        )
        catalog = types.Catalog({}, {"tinyvoice": types.Package("tinyvoice", (), (), "voice", made)}, {}, {}, (), ())
        (spec,), problems = recipe.builds(
            ["tinyvoice"], catalog, {}, types.Origin("package_index", types.INDEX, "", "", 0, ""), found, BASE
        )
        assert not problems
        return spec

    def build(self, made: types.Recipe, target: recipe.Target | None = None) -> Path:
        """Build it; the folder of its wheel."""
        spec = self.spec(made, target)
        worker.build_wheels(self.job, str(self.root), [spec], self.simple.as_uri())
        return self.root / "wheels" / str(spec["key"])

    @property
    def left(self) -> list[str]:
        """What is in the wheelhouse and where wheels are built."""
        folders = [self.root / "wheels", self.root / "build"]
        return sorted(path.name for folder in folders if folder.exists() for path in folder.iterdir())

    @property
    def log(self) -> str:
        return Path(self.job.log_path).read_text()
