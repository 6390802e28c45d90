"""A lock's files, looked at on their index before anything is installed: what is read of them, and what the plan makes of it."""

from __future__ import annotations

import base64
import functools
import http.server
import io
import json
import os
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.audit import ranges
from ansible_collections.wavesmith.provision.plugins.module_utils.audit.binaries import read_wheel
from ansible_collections.wavesmith.provision.plugins.module_utils.observe import probe
from ansible_collections.wavesmith.provision.plugins.module_utils.plan import inspection as rules
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.decide import plan
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.lockfile import LOCK_MARK
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.record import EnvironmentPlan
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.tasks import tasks
from ansible_collections.wavesmith.provision.plugins.module_utils.prefix import generation
from ansible_collections.wavesmith.provision.plugins.module_utils.prefix import inspect as looking
from ansible_collections.wavesmith.provision.plugins.module_utils.records import shape
from ansible_collections.wavesmith.provision.plugins.module_utils.records.inspection import Inspection
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.variables import Environment, Wanted
from ansible_collections.wavesmith.provision.plugins.plugin_utils import catalog_files

from .conftest import make_fatbin, make_library
from .test_archive import archive
from .test_libraries import FFMPEG, ffmpeg
from .test_prefix import BASE, VERSION, Host, wheel
from .test_samples import SAMPLES

CATALOG = catalog_files.load()
X86_64 = 62


# --- parts of files


class Server(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; `parts` says whether it gives parts of files, `secret` what it asks for."""

    parts = True
    secret = ""
    sent = 0

    def do_GET(self) -> None:
        cls = type(self)
        if (
            cls.secret
            and self.headers.get("Authorization") != "Basic " + base64.b64encode(cls.secret.encode()).decode()
        ):
            self.send_error(401)
            return
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            super().do_GET()
            return
        data, asked = path.read_bytes(), self.headers.get("Range", "")
        if asked and cls.parts:
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start = int(first) if first else max(0, len(data) - int(last))
            end = int(last) + 1 if first and last else len(data)
            body = data[start:end]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{start + len(body) - 1}/{len(data)}")
        else:
            body = data
            self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        cls.sent += len(body)
        try:
            self.wfile.write(body)
        except OSError:
            pass  # it was told enough

    def log_message(self, *_: Any) -> None:
        """Nothing on the test's output."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, type[Server]]]:
    """The address of a server of `tmp_path`/served, and its class, to change how it answers."""
    (tmp_path / "served").mkdir()
    kind = type("Own", (Server,), {"sent": 0})
    handler = functools.partial(kind, directory=str(tmp_path / "served"))
    own = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=own.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{own.server_address[1]}", kind
    own.shutdown()


def big_wheel(path: Path, members: dict[str, bytes], ballast: int = 12 << 20) -> Path:
    """A wheel with so much else in it that nobody would fetch all of it."""
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("x/ballast.bin", os.urandom(1 << 10) * (ballast >> 10))
        for name, data in members.items():
            packed.writestr(name, data, zipfile.ZIP_DEFLATED)
    return path


MEMBERS = {
    "x/a.so": make_library(
        make_fatbin((90, "", "sass")), needed=["libavcodec.so.60", "libc.so.6"], opens=["libcublas.so.12"]
    ),
    "x-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: x\nVersion: 1.0\n",
}


def test_of_a_large_wheel_only_what_is_looked_at_travels(tmp_path: Path, server: tuple[str, type[Server]]) -> None:
    url, kind = server
    path = big_wheel(tmp_path / "served/x-1.0-cp312-cp312-linux_x86_64.whl", MEMBERS)
    with ranges.open_parts(f"{url}/{path.name}", path.stat().st_size) as stream:
        artifact = read_wheel(stream, path.name)
    assert artifact.distributions == ("x",)
    assert artifact.libraries[0].dynamic.opens == ("libcublas.so.12",)
    assert kind.sent < 1 << 20


def test_reading_in_parts_gives_the_same_bytes(tmp_path: Path, server: tuple[str, type[Server]]) -> None:
    url, _ = server
    data = os.urandom((5 << 20) + 77)
    (tmp_path / "served/x").write_bytes(data)
    with ranges.open_parts(f"{url}/x", len(data)) as stream:
        for offset, length in ((0, 10), (3 << 20, 1 << 20), (len(data) - 5, 99), (1, 2 << 20), (3 << 20, 9)):
            stream.seek(offset)
            assert stream.read(length) == data[offset : offset + length]
        stream.seek(0)
        assert stream.read() == data


def test_a_small_file_is_fetched_at_once_also_where_no_parts_are_given(
    tmp_path: Path, server: tuple[str, type[Server]]
) -> None:
    url, kind = server
    kind.parts = False
    (tmp_path / "served/x").write_bytes(b"hello")
    with ranges.open_parts(f"{url}/x", 5) as stream:
        assert stream.read() == b"hello"


@pytest.mark.parametrize("size", [0, 5 << 20])
def test_a_large_file_that_is_not_given_in_parts_is_left_alone(
    tmp_path: Path, server: tuple[str, type[Server]], size: int
) -> None:
    url, kind = server
    kind.parts = False
    (tmp_path / "served/x").write_bytes(bytes(5 << 20))
    with pytest.raises(ranges.NoParts, match="does not serve ranges"):
        ranges.open_parts(f"{url}/x", size)


@pytest.mark.parametrize(("name", "said"), [("nowhere", "answers 404"), ("x", "is 5242880 bytes long, the index says")])
def test_what_is_wrong_is_said(tmp_path: Path, server: tuple[str, type[Server]], name: str, said: str) -> None:
    url, _ = server
    (tmp_path / "served/x").write_bytes(bytes(5 << 20))
    with pytest.raises(ranges.NoParts, match=said):
        ranges.open_parts(f"{url}/{name}", 9 << 20)


def test_a_server_that_is_not_there_is_said() -> None:
    with pytest.raises(ranges.NoParts, match="does not answer"):
        ranges.open_parts("http://127.0.0.1:9/x")


def test_user_and_password_are_sent(tmp_path: Path, server: tuple[str, type[Server]]) -> None:
    url, kind = server
    kind.secret = "ada:a/b"
    (tmp_path / "served/x").write_bytes(b"hello")
    with ranges.open_parts(f"{url}/x".replace("://", "://ada:a%2Fb@"), 5) as stream:
        assert stream.read() == b"hello"
    with pytest.raises(ranges.NoParts, match="401"):
        ranges.open_parts(f"{url}/x", 5)


# --- which files they are

PYLOCK = """lock-version = "1.0"
created-by = "uv"

[[packages]]
name = "Numpy"
version = "2.5.5"
sdist = { url = "https://files.example/numpy-2.5.5.tar.gz", upload-time = 2026-10-01T00:00:00Z, size = 9, hashes = { sha256 = "aa" } }
wheels = [{ url = "https://files.example/numpy-2.5.5-cp312-cp312-manylinux_2_28_x86_64.whl", upload-time = 2026-10-02T10:00:00Z, size = 77, hashes = { sha256 = "bb" } }]

[[packages]]
name = "jieba"
version = "0.42.1"
sdist = { url = "https://files.example/jieba-0.42.1.tar.gz", size = 5, hashes = { sha256 = "cc" } }

[[packages]]
name = "mine"
version = "1.0"
vcs = { type = "git", url = "https://git.example/mine", commit-id = "abc" }

[[packages]]
name = "torch"
version = "2.11.0+cu130"
wheels = [{ url = "file:///srv/torch-2.11.0%2Bcu130-cp312-cp312-linux_x86_64.whl", hashes = { sha256 = "dd" } }]
"""


SEVERAL = """
[[packages]]
name = "charset-normalizer"
version = "3.5.3"
sdist = { url = "https://files.example/charset_normalizer-3.5.3.tar.gz", size = 9, hashes = { sha256 = "aa" } }
wheels = [
    { url = "https://files.example/charset_normalizer-3.5.3-cp311-cp311-manylinux_2_28_x86_64.whl", size = 33, hashes = { sha256 = "bb" } },
    { url = "https://files.example/charset_normalizer-3.5.3-cp37-abi3-manylinux_2_28_x86_64.whl", size = 44, hashes = { sha256 = "cc" } },
]
"""


def test_of_several_wheels_that_fit_the_first_is_looked_at() -> None:
    ((file, address, size),) = looking.locked_files(SEVERAL)
    assert (file["kind"], file["sha256"], file["size"], size) == ("wheel", "bb", 33, 33) and "cp311-cp311" in address


def test_the_resolver_says_which_file_each_package_is() -> None:
    found = {file["name"]: (file, address, size) for file, address, size in looking.locked_files(PYLOCK)}
    assert {name: entry[0]["kind"] for name, entry in found.items()} == {
        "numpy": "wheel",
        "jieba": "archive",
        "mine": "other",
        "torch": "wheel",
    }
    file, address, size = found["numpy"]
    assert (file["sha256"], file["published"], size) == ("bb", "2026-10-02", 77)
    assert address.endswith("manylinux_2_28_x86_64.whl")
    assert found["jieba"][0]["published"] == ""
    assert found["torch"][0]["file"] == "torch-2.11.0+cu130-cp312-cp312-linux_x86_64.whl"


# --- reading a lock's files


class Index:
    """A package index on an HTTP server, and a host that resolves with it."""

    def __init__(self, folder: Path, url: str) -> None:
        self.host = Host(folder / "host")
        self.folder = folder / "served"
        self.url = url
        (self.host.root / "cache").mkdir()

    def serve(self, name: str, files: dict[str, Any], **options: Any) -> None:
        made = wheel(self.folder, name, files, **options)
        made.rename(made.with_name(made.name.replace("-any.whl", f"-linux_{os.uname().machine}.whl")))

    def archive(self, name: str, files: dict[str, str], version: str = "1.0") -> None:
        place = self.folder / name
        place.mkdir(parents=True, exist_ok=True)
        with tarfile.open(place / f"{name}-{version}.tar.gz", "w:gz") as packed:
            text = f"Metadata-Version: 2.2\nName: {name}\nVersion: {version}\n"
            for path, content in {"PKG-INFO": text, **files}.items():
                entry = tarfile.TarInfo(f"{name}-{version}/{path}")
                entry.size = len(content)
                packed.addfile(entry, io.BytesIO(content.encode()))

    def inspect(self, *requirements: str) -> Inspection:
        for place in self.folder.iterdir():
            links = "".join(
                f'<a href="{path.name}">{path.name}</a>\n' for path in place.iterdir() if path.suffix != ".html"
            )
            (place / "index.html").write_text(links)
        spec: Any = {
            "environment": "speech",
            "generation": None,
            "python": {"path": BASE, "version": VERSION},
            "origin_url": "",
            "wheels": [],
            "key": "speech",
            "inputs": "",
            "requirements": list(requirements),
            "overrides": [],
            "declared": [],
        }
        job, root = self.host.job, str(self.host.root)
        text = generation.resolve(job, root, spec, self.url)
        found = looking.inspect(job, root, spec, text, self.url)
        assert shape.problems(found, Inspection) == []
        return found


@pytest.fixture
def index(tmp_path: Path, server: tuple[str, type[Server]]) -> Index:
    return Index(tmp_path, server[0])


def test_wheels_and_archives_of_a_lock_are_looked_at(index: Index) -> None:
    index.serve(
        "fast", {f"fast/{name.rpartition('/')[2]}": data for name, data in MEMBERS.items() if name.endswith(".so")}
    )
    index.archive(
        "old", {"setup.py": "import pkg_resources\nfrom setuptools import setup\nsetup(name='old', version='1.0')\n"}
    )
    files = {file["name"]: file for file in index.inspect("fast", "old")["files"]}
    assert files["fast"]["libraries"] == [
        {"path": "fast/a.so", "needed": ["libavcodec.so.60"], "opens": ["libcublas.so.12"], "gpu": True}
    ]
    assert files["fast"]["accelerated"] is True
    assert files["old"]["kind"] == "archive"
    assert "pkg_resources" in files["old"]["build"]["imports"]


def test_what_was_read_is_kept_by_the_files_sha256(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    index.serve("fast", {"fast/a.so": MEMBERS["x/a.so"]})
    first = index.inspect("fast")
    kept = list((index.host.root / "cache/inspected").iterdir())
    assert [path.stem for path in kept] == [first["files"][0]["sha256"]]
    monkeypatch.setattr(looking, "open_parts", lambda *_: pytest.fail("it was read before"))
    assert index.inspect("fast") == first


def test_an_index_that_gives_no_parts_of_large_files_is_said_not_waited_for(
    index: Index, server: tuple[str, type[Server]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranges, "WHOLE", 100)
    server[1].parts = False
    for number in range(6):
        index.serve(f"p{number}", {"p/a.so": make_library()})
    found = index.inspect(*(f"p{number}" for number in range(6)))
    assert {file["unseen"] for file in found["files"]} == {"the server does not serve ranges"}


def test_where_the_resolver_does_not_say_which_files_they_are_that_is_said(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.serve("fast", {"fast/a.py": "x = 1\n"})
    monkeypatch.setattr(looking, "compiling", lambda *_: ["/bin/sh", "-c", "echo no such index >&2; exit 2"])
    assert index.inspect("fast")["problem"] == "the index could not be asked where they are: no such index"


@pytest.mark.parametrize(
    ("files", "accelerated"),
    [
        ({"ctranslate2.libs/libctranslate2.so.4": make_library(make_fatbin((80, "", "sass")))}, True),
        ({"torchcodec/libtorchcodec_core6.so": make_library(needed=["libc10_cuda.so"])}, True),
        ({"onnxruntime/capi/libonnxruntime_providers_cuda.so": make_library()}, True),
        ({"numpy/core.so": make_library(needed=["libm.so.6"])}, False),
        ({"torch/lib/libtorch_cpu.so": make_library(), "torch/lib/libtorch.so": make_library()}, False),
        ({"torch/lib/libtorch_cpu.so": make_library(), "torch/lib/libtorch_cuda.so": make_library()}, True),
    ],
)
def test_a_wheel_tells_whether_it_has_to_do_with_accelerators(
    tmp_path: Path, files: dict[str, bytes], accelerated: bool
) -> None:
    path = big_wheel(tmp_path / "x-1.0-cp312-cp312-linux_x86_64.whl", files, 1 << 10)
    with path.open("rb") as stream:
        assert looking.of_wheel(read_wheel(stream, path.name))["accelerated"] is accelerated


def test_a_library_that_is_too_large_to_read_leaves_it_open(tmp_path: Path) -> None:
    path = big_wheel(
        tmp_path / "x-1.0-cp312-cp312-linux_x86_64.whl", {"x/libx.so": make_library(os.urandom(9999))}, 1 << 10
    )
    with path.open("rb") as stream:
        found = looking.of_wheel(read_wheel(stream, path.name, most=100))
    assert (found["accelerated"], found["skipped"], found["provides"]) == (None, ["x/libx.so"], ["libx.so"])


# --- judging

PARTS = {
    "torchcodec": ("libtorch.so",),
    "torch": ("libtorch.so", "libtorch_cpu.so", "libtorch_cuda.so", "libc10_cuda.so"),
}


def read_file(name: str, version: str = "1.0", **more: Any) -> dict[str, Any]:
    return {"name": name, "version": version, "kind": "wheel", "unseen": "", "libraries": [], "provides": [], **more}


def library(path: str, *needed: str, opens: tuple[str, ...] = (), gpu: bool = False) -> dict[str, Any]:
    return {"path": path, "needed": list(needed), "opens": list(opens), "gpu": gpu}


CUDA13 = read_file("nvidia-cublas", provides=["libcublas.so.13", "libcudart.so.13", "libnvrtc.so.13"])
TORCH = read_file("torch", "2.11.0", provides=list(PARTS["torch"]), accelerated=True)


def torchcodec(*common: str) -> dict[str, Any]:
    """torchcodec with a core for each FFmpeg; each core also needs `common`."""
    cores = [library(f"torchcodec/libtorchcodec_core{major}.so", *ffmpeg(major), *common) for major in FFMPEG]
    return read_file("torchcodec", "0.11.1", libraries=cores)


def judged(
    *files: Any,
    machine: str = "dgx-spark",
    backend: str = "cuda13_0",
    libraries: list[str] | None = None,
    missing: tuple[str, ...] = (),
    policy: tuple[str, ...] = ("wheelhouse", "index", "source"),
    problem: str = "",
    **more: Any,
) -> rules.Judged:
    """What the plan makes of a lock with these files on a recorded machine that has these libraries of those asked about."""
    observed: Any = probe.observe(probe_root=str(SAMPLES / machine))
    observed.update(libraries=libraries, apt={"present": True, "installed": {}, "missing": list(missing)})
    item = EnvironmentPlan("asr", backend=backend, stack=backend, accelerated=backend != "cpu", origin="package_index")
    item.python, item.lock = {"path": "/usr/bin/python3", "version": "3.12.3"}, {"key": "asr-lock"}
    for key, value in more.items():
        setattr(item, key, value)
    inspection: Any = {"schema": 1, "lock": "", "files": list(files), "problem": problem}
    return rules.judge(item, inspection, observed, CATALOG, policy)


def said(found: rules.Judged) -> str:
    return "\n".join([*(str(refusal) for refusal in found.refusals), *found.warnings])


# an archive that will not build


@pytest.mark.parametrize("title", ["numpy 1.25.2", "resampy 0.2.2", "samplerate 0.1.0", "pynini 2.1.5"])
def test_an_archive_that_will_not_build_is_refused_by_name_with_the_reason_and_a_way(title: str) -> None:
    (refusal,) = judged(archive(title)).refusals
    assert refusal.problem.startswith(
        f"{title} has no wheel for Python 3.12 on aarch64, and its source archive will not build: "
    )
    assert f"override {title.partition(' ')[0]} with a release that has a wheel" in refusal.remedy


def test_an_archive_that_builds_is_told_with_the_tools_it_is_held_to() -> None:
    found = judged(archive("openai-whisper 20231117"), archive("kenlm 0.2.0"))
    assert found.refusals == []
    assert found.constraints == ["setuptools<82", "cmake<4"]
    assert (
        found.archives[0]
        == "openai-whisper 20231117: built on the host from its source archive with setuptools<82, cmake<4"
    )


# libraries that nothing brings


@pytest.mark.parametrize(
    ("needed", "owner"),
    [
        ("libnppicc.so.13", "nvidia-npp"),
        ("libcublas.so.12", "nvidia-cublas-cu12"),
        ("libcufft.so.11", "nvidia-cufft-cu12"),
    ],
)
def test_a_library_of_cuda_that_nothing_brings_is_refused_with_who_has_it(needed: str, owner: str) -> None:
    (refusal,) = judged(CUDA13, read_file("fast", libraries=[library("fast/_C.so", needed)])).refusals
    assert (
        f"fast 1.0: fast/_C.so needs {needed}; neither the lock, the system nor a driver provides it" in refusal.problem
    )
    assert owner in refusal.remedy


def test_torchcodec_for_aarch64_that_needs_npp_is_refused_once_for_all_its_cores() -> None:
    """test_libnppicc_so_13_cannot_open_shared_object_file: torchcodec 0.11.1 for aarch64 on DGX Spark and Thor."""
    (refusal,) = judged(CUDA13, TORCH, torchcodec("libnppicc.so.13", "libtorch.so"), libraries=[*ffmpeg(6)]).refusals
    assert refusal.problem.startswith(
        "torchcodec 0.11.1: none of torchcodec/libtorchcodec_core{4,5,6,7,8}.so can be loaded: each needs libnppicc.so.13"
    )
    assert "put source first in wavesmith_policy" in refusal.remedy


def test_the_toolkit_of_the_host_brings_it_too() -> None:
    assert said(judged(CUDA13, TORCH, torchcodec("libnppicc.so.13"), libraries=["libnppicc.so.13", *ffmpeg(6)])) == ""


@pytest.mark.parametrize("major", FFMPEG)
def test_one_core_that_fits_the_ffmpeg_of_the_host_is_enough(major: int) -> None:
    assert said(judged(TORCH, torchcodec("libtorch.so"), libraries=[*ffmpeg(major)])) == ""


def test_a_host_without_any_ffmpeg_is_warned() -> None:
    (warning,) = judged(TORCH, torchcodec("libtorch.so"), libraries=["libother.so.1"]).warnings
    assert "none of torchcodec/libtorchcodec_core{4,5,6,7,8}.so can be loaded" in warning
    assert "Remedy: apt-get install ffmpeg" in warning


def test_system_packages_that_will_be_installed_bring_their_libraries() -> None:
    found = judged(TORCH, torchcodec("libtorch.so"), libraries=["libother.so.1"], missing=("ffmpeg",))
    assert said(found) == ""


def test_a_host_that_was_not_asked_is_not_accused() -> None:
    assert said(judged(TORCH, torchcodec("libtorch.so"), libraries=None)) == ""
    assert said(judged(TORCH, torchcodec("libtorch.so"), libraries=["x"], engine="conda")) == ""


@pytest.mark.parametrize(
    ("name", "package"),
    [("libGL.so.1", "libgl1"), ("libportaudio.so.2", "libportaudio2"), ("libasound.so.2", "libasound2")],
)
def test_a_library_of_the_system_that_is_missing_is_a_warning_with_its_package(name: str, package: str) -> None:
    found = judged(read_file("cv", libraries=[library("cv/cv.so", name)]), libraries=["x"], backend="cpu")
    assert found.refusals == []
    assert f"cv/cv.so needs {name}" in found.warnings[0]
    assert f"apt-get install {package}" in found.warnings[0]


def test_a_library_that_python_code_opens_is_looked_for_on_the_host() -> None:
    assert "sounddevice opens libportaudio.so.2" in said(
        judged(read_file("sounddevice"), libraries=["x"], backend="cpu")
    )
    assert said(judged(read_file("sounddevice"), libraries=["libportaudio.so.2"], backend="cpu")) == ""


def test_a_drivers_library_is_no_matter_here() -> None:
    assert said(judged(read_file("fast", libraries=[library("fast/_C.so", "libcuda.so.1")]), libraries=["x"])) == ""


def test_of_bitsandbytes_only_the_library_for_the_stacks_cuda_counts() -> None:
    libraries = [
        library("bitsandbytes/libbitsandbytes_cuda118.so", "libcublas.so.11"),
        library("bitsandbytes/libbitsandbytes_cuda128.so", "libcublas.so.12"),
        library("bitsandbytes/libbitsandbytes_cuda130.so", "libcublas.so.13"),
        library("bitsandbytes/libbitsandbytes_rocm72.so", "libhipblas.so.3"),
    ]
    found = read_file("bitsandbytes", libraries=libraries)
    assert said(judged(CUDA13, found)) == ""
    assert "libbitsandbytes_cuda130.so needs libcublas.so.13" in said(judged(found))


# opened by name


def test_a_library_opened_by_name_of_another_cuda_is_refused() -> None:
    """test_library_libcublas_so_12_is_not_found: ctranslate2 for x86_64 on a stack of CUDA 13, brought by another package."""
    opener = library("ctranslate2.libs/libctranslate2.so.4", opens=("libcublas.so.12",), gpu=True)
    (refusal,) = judged(CUDA13, read_file("ctranslate2", "4.8.5", libraries=[opener]), machine="rtx4090").refusals
    assert "opens libcublas.so.12 by name, but only libcublas.so.13 is present" in refusal.problem
    assert "name ctranslate2 in the environment's packages" in refusal.remedy
    assert said(judged(CUDA13, read_file("ctranslate2", libraries=[opener]), machine="rtx4090", backend="cpu")) == ""


# for the CPU only


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("ctranslate2", "name ctranslate2 in the environment's packages, so that it is built from source"),
        ("onnxruntime", "the distribution onnxruntime-gpu"),
        ("faiss-cpu", "conda, or a build from source"),
        ("llama-cpp-python", "a build from source with GGML_CUDA"),
        ("jaxlib", "the extra of jax for CUDA, as jax[cuda13]"),
        ("onnxruntime-genai", "the distribution onnxruntime-genai-cuda"),
        ("sherpa-onnx", "a build from source on a stack of CUDA 12, for which upstream has an onnxruntime"),
    ],
)
def test_a_build_for_the_cpu_on_a_host_whose_gpu_is_to_be_used_is_said_with_the_way_out(name: str, way: str) -> None:
    (warning,) = judged(TORCH, read_file(name, "4.8.5", accelerated=False)).warnings
    assert f"{name} 4.8.5 is built for the CPU only and will not use the GPU" in warning
    assert way in warning


def test_where_nothing_may_be_built_the_policy_is_part_of_the_way() -> None:
    found = judged(read_file("ctranslate2", accelerated=False), policy=("index",))
    assert "add source to wavesmith_policy" in found.warnings[0]


@pytest.mark.parametrize("change", [{"backend": "cpu"}, {"on_cpu": ["onnxruntime"]}])
def test_it_is_not_said_where_no_gpu_is_meant_or_it_was_said_before(change: dict[str, Any]) -> None:
    assert said(judged(read_file("onnxruntime", accelerated=False), **change)) == ""


@pytest.mark.parametrize("accelerated", [None, True])
def test_what_could_not_be_read_whole_or_has_gpu_code_is_not_called_a_cpu_build(accelerated: bool | None) -> None:
    assert said(judged(read_file("onnxruntime", accelerated=accelerated))) == ""


def test_a_torch_for_the_cpu_from_an_index_for_gpus_is_refused() -> None:
    """torch 2.10.0 for aarch64 of the package index."""
    (refusal,) = judged(read_file("torch", "2.10.0", accelerated=False), versions={"torch": "2.10.0"}).refusals
    assert (
        refusal.problem == "torch 2.10.0 from package_index is built for the CPU only, and stack cuda13_0 is for a GPU"
    )


# what could not be looked at


def test_files_that_could_not_be_looked_at_are_named_with_the_reason() -> None:
    (warning,) = judged(read_file("fast", unseen="the server does not serve ranges"), TORCH).warnings
    assert "1 of 2 files of lock asr-lock could not be inspected" in warning
    assert "fast 1.0 (the server does not serve ranges)" in warning


def test_an_index_that_is_silent_is_said() -> None:
    (warning,) = judged(problem="the index could not be asked where they are: no answer").warnings
    assert "the files of lock asr-lock could not be inspected before they are installed: the index" in warning


# --- kept beside the lock

LOCK = f"{LOCK_MARK}1234\nfast==1.0 \\\n    --hash=sha256:00\n"


def beside(text: str = LOCK, **more: Any) -> dict[str, str]:
    found = {"schema": 1, "lock": rules.body_digest(text), "files": [CUDA13], "problem": "", **more}
    return {"k": LOCK, "k.inspected": json.dumps(found)}


def test_an_inspection_belongs_to_one_text_of_a_lock() -> None:
    assert rules.inspection_of("k", beside()) is not None
    assert rules.inspection_of("k", {**beside(), "k": LOCK.replace("1234", "5678")}) is not None
    assert rules.inspection_of("k", {**beside(), "k": LOCK.replace("fast", "slow")}) is None
    assert rules.inspection_of("k", {"k": LOCK}) is None


@pytest.mark.parametrize("change", [{"schema": 2}, {"files": [{"name": "x"}]}, {"lock": 1}])
def test_a_file_that_is_no_inspection_is_none(change: dict[str, Any]) -> None:
    assert rules.inspection_of("k", beside(**change)) is None
    assert rules.inspection_of("k", {"k": LOCK, "k.inspected": "{"}) is None


def test_a_host_is_asked_about_what_its_locks_want_and_do_not_bring() -> None:
    files = [CUDA13, torchcodec("libcublas.so.13"), read_file("sounddevice")]
    asked = rules.wanted_of_hosts(beside(files=files))
    assert {"libavcodec.so.60", "libportaudio.so.2"} <= set(asked)
    assert "libcublas.so.13" not in asked
    assert rules.wanted_of_hosts({}) == []


# --- in the plan


def planned(**files: Any) -> tuple[Any, dict[str, str]]:
    """The plan of a recorded DGX Spark whose lock is at hand, with what was read of it."""
    observed: Any = probe.observe(probe_root=str(SAMPLES / "dgx-spark"))
    origins = {origin.name for stack in CATALOG.stacks.values() for origin in stack.origins}
    observed.update(
        toolbox={"digest": "toolbox", "intact": True},
        environments={},
        wheels=[],
        busy=None,
        disk={"path": "/opt", "free": 2**40, "total": 2**40},
        sources={name: {"answers": True, "detail": "HTTP 200"} for name in origins},
        apt={"present": True, "installed": {}, "missing": []},
    )
    wanted = Wanted(environments=(Environment("asr", packages=("torch", "onnxruntime")),))
    first = plan(wanted, [], observed, CATALOG, {}, "toolbox")
    lock = first.environments[0].lock
    text = f"{LOCK_MARK}{lock['inputs']}\ntorch==2.11.0\n"
    locks = {lock["key"]: text}
    if files:
        found = {"schema": 1, "lock": rules.body_digest(text), "problem": "", **files}
        locks[lock["key"] + rules.SUFFIX] = json.dumps(found)
    return plan(wanted, [], observed, CATALOG, locks, "toolbox"), locks


def test_a_plan_refuses_before_anything_is_installed() -> None:
    result, _ = planned(files=[TORCH, torchcodec("libnppicc.so.13")])
    assert "libnppicc.so.13" in result.refusals[0].problem
    assert result.phases == []


def test_a_plan_hands_the_constraints_of_archives_to_who_installs() -> None:
    result, locks = planned(files=[TORCH, archive("openai-whisper 20231117")])
    assert result.refusals == []
    (task,) = tasks(result, locks)["install"]
    assert task["constraints"] == ["setuptools<82"]
    assert result.environments[0].archives


def test_a_lock_that_was_never_looked_at_is_told() -> None:
    result, _ = planned()
    assert "they were not inspected when it was resolved" in result.environments[0].unseen
    assert result.refusals == []


def test_what_is_said_of_a_package_before_the_lock_is_not_said_again_after_it() -> None:
    result, _ = planned(files=[TORCH, read_file("onnxruntime", accelerated=False)])
    assert sum("onnxruntime" in warning for warning in result.warnings) == 1


def test_the_answer_of_the_dynamic_linker_is_part_of_what_is_observed(tmp_path: Path) -> None:
    commands = tmp_path / ".commands"
    commands.mkdir()
    (commands / "_sbin_ldconfig -p.txt").write_text(
        "2 libs found in cache `/etc/ld.so.cache'\n\tlibz.so.1 (libc6,x86-64) => /lib/libz.so.1\n\tlibavcodec.so.59 (libc6) => /lib/x\n"
    )
    found = probe.observe(probe_root=str(tmp_path), libraries=["libavcodec.so.59", "libavcodec.so.60"])
    assert found["libraries"] == ["libavcodec.so.59"]
    assert probe.observe(probe_root=str(tmp_path))["libraries"] is None


# --- building old archives


@pytest.mark.slow
@pytest.mark.parametrize(
    ("requirement", "holds"),
    [("openai-whisper==20231117", "setuptools<82"), ("pyyaml==5.4.1", "cython<3"), ("kenlm==0.2.0", "cmake<4")],
)
def test_an_old_archive_of_the_index_is_resolved_and_installed_with_the_tools_of_its_day(
    tmp_path: Path, requirement: str, holds: str
) -> None:
    if sys.version_info >= (3, 13):
        pytest.skip("these archives are older than Python 3.13")
    host = Host(tmp_path)
    root = str(host.root)
    (host.root / "cache").mkdir(exist_ok=True)
    name = requirement.partition("==")[0]
    spec: Any = {
        "environment": "speech",
        "generation": None,
        "python": {"path": BASE, "version": VERSION},
        "origin_url": "",
        "wheels": [],
        "key": "k",
        "inputs": "",
        "requirements": [requirement],
        "overrides": [],
        "declared": [],
    }
    if name == "openai-whisper":
        spec["overrides"] = [f"{other}; python_version < '3'" for other in ("torch", "triton", "numba", "tiktoken")]
    lock = generation.resolve(host.job, root, spec, "")
    found = looking.inspect(host.job, root, spec, lock, "")
    (file,) = [file for file in found["files"] if file["name"] == name]
    constraints = judged(*found["files"], backend="cpu").constraints
    assert file["kind"] == "archive"
    assert holds in constraints
    host.lock = lock
    generation.make_prefix(host.job, root, host.spec())
    generation.install(host.job, root, {**host.spec(), "constraints": constraints}, "", {})
    assert list(host.site().glob(f"{name.replace('-', '_')}*.dist-info")) or list(host.site().glob("PyYAML*.dist-info"))


# rocBLAS without kernels

ROCBLAS = "torch/lib/rocblas/library/TensileLibrary_lazy_{}.dat"


@pytest.mark.parametrize(
    ("names", "kernels"),
    [
        (
            [
                ROCBLAS.format("gfx1100"),
                ROCBLAS.format("gfx90a"),
                "torch/lib/rocblas/library/Kernels.so-000-gfx906.hsaco",
            ],
            ["gfx1100", "gfx90a"],
        ),
        (["_rocm_sdk_libraries/lib/rocblas/library/TensileLibrary_gfx906.dat"], ["gfx906"]),
        (["torch/lib/hipblaslt/library/TensileLibrary_lazy_gfx942.dat"], None),
        (["torch/lib/librocblas.so"], None),
    ],
)
def test_a_wheel_tells_what_its_rocblas_has_kernels_for(
    tmp_path: Path, names: list[str], kernels: list[str] | None
) -> None:
    path = big_wheel(tmp_path / "torch-2.11.0-cp312-cp312-linux_x86_64.whl", dict.fromkeys(names, b""), 1 << 10)
    with path.open("rb") as stream:
        assert looking.of_wheel(read_wheel(stream, path.name)).get("rocblas") == kernels


@pytest.mark.parametrize(
    ("machine", "kernels", "refused"),
    [
        ("mi50", ["gfx1100", "gfx908"], True),
        ("mi50", ["gfx906"], False),
        ("mi50", [], False),  # not known
        ("phoenix-rx7900", ["gfx1100"], False),
        ("phoenix-780m", ["gfx1100"], True),
        ("cpu-debian12", ["gfx1100"], False),
    ],
)
def test_a_gpu_that_rocblas_has_no_kernels_for_is_refused_before_anything_is_installed(
    machine: str, kernels: list[str], refused: bool
) -> None:
    wheel = read_file("torch", "2.11.0", rocblas=kernels) if kernels else read_file("torch", "2.11.0")
    found = judged(wheel, machine=machine, backend="rocm7_2")
    assert bool(found.refusals) is refused
    if refused:
        assert found.refusals[0].problem.startswith("rocBLAS of torch 2.11.0 has no kernels for ")
        assert "the stack cpu" in found.refusals[0].remedy
    assert judged(wheel, machine=machine, backend="cuda13_0").refusals == []
