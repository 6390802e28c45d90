"""What `observe` reports of recorded hosts, of this one, and of sources that answer in all the ways they do."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.wavesmith.provision.plugins.module_utils import _probe
from ansible_collections.wavesmith.provision.plugins.module_utils import platform as parse
from ansible_collections.wavesmith.provision.plugins.modules import observe as module
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SAMPLES = Path(__file__).parent / "samples"
SECRET = "geheim"


def replay(machine: str, **options: Any) -> dict[str, Any]:
    return _probe.observe(probe_root=str(SAMPLES / machine), **options)


def findings(observed: dict[str, Any]) -> list[str]:
    return [finding["id"] for finding in observed["findings"]]


# Recorded hosts


@pytest.mark.parametrize(
    ("machine", "architecture", "isa", "cores"),
    [
        ("cpu-debian12", "x86_64", "avx512bf16", 4),
        ("rtx5090-ubuntu2404", "x86_64", "avx2", 8),
        ("jetson-thor", "aarch64", "armv9", 14),
        ("dgx-spark", "aarch64", "armv9", 20),
        ("wsl2", "x86_64", "avx512bf16", 2),
        ("gpu-hung", "x86_64", "avx2", 2),
    ],
)
def test_the_cpu_is_named_by_its_level(machine: str, architecture: str, isa: str, cores: int) -> None:
    cpu = replay(machine)["cpu"]
    assert (cpu["architecture"], cpu["isa"], cpu["cores"]) == (architecture, isa, cores)


@pytest.mark.parametrize(
    ("machine", "gpus"),
    [
        ("cpu-debian12", []),
        ("rtx5090-ubuntu2404", [("NVIDIA GeForce RTX 5090", "12.0", None, 34190917632, "nvidia-smi")] * 2),
        ("jetson-thor", [("NVIDIA Thor", "11.0", None, None, "nvidia-smi")]),
        ("dgx-spark", [("NVIDIA GB10", "12.1", None, None, "nvidia-smi")]),
        ("wsl2", [("NVIDIA GeForce RTX 4070", "8.9", None, 12878610432, "nvidia-smi")]),
        ("gpu-hung", [("NVIDIA H100 80GB HBM3", None, None, None, "proc")]),
        ("gpu-not-found", [("PCI device 10de:2330", None, None, None, "pci")]),
        ("rx7900-ubuntu2404", [("navi31", None, "gfx1100", 25753026560, "kfd")]),
    ],
)
def test_the_accelerators_are_found_by_the_best_witness(machine: str, gpus: list[tuple[Any, ...]]) -> None:
    found = replay(machine)["accelerators"]
    assert [(gpu["name"], gpu["sm"], gpu["gfx"], gpu["memory"], gpu["source"]) for gpu in found] == gpus


def test_driver_and_toolkits_are_told_apart() -> None:
    observed = replay("rtx5090-ubuntu2404")
    assert observed["nvidia"] == {"driver": "580.95.05", "cuda": "13.0"}
    assert observed["toolkits"] == [
        {"version": "12.8", "path": "/usr/local/cuda-12.8", "source": "version.json", "nvcc": True},
        {"version": "13.0", "path": "/usr/local/cuda-13.0", "source": "nvcc", "nvcc": True},
    ]


def test_a_jetson_is_known_by_its_device_tree() -> None:
    observed = replay("jetson-thor")
    assert observed["machine"] == {"model": "NVIDIA Jetson AGX Thor Developer Kit", "l4t": "38.2.0", "jetson": True}
    assert observed["os"]["kernel"] == "6.8.12-tegra"


def test_a_jetson_without_nvidia_smi_takes_its_capability_from_the_device_tree(tmp_path: Path) -> None:
    tree = tmp_path / "proc/device-tree"
    tree.mkdir(parents=True)
    (tree / "compatible").write_bytes(b"nvidia,p3768-0000+p3767-0000\0nvidia,p3767-0000\0nvidia,tegra234\0")
    (tree / "model").write_bytes(b"NVIDIA Jetson Orin NX\0")
    (gpu,) = _probe.observe(probe_root=str(tmp_path))["accelerators"]
    assert (gpu["name"], gpu["sm"], gpu["source"]) == ("NVIDIA Jetson Orin NX", "8.7", "proc")


def test_a_hung_nvidia_smi_is_a_finding_and_the_driver_still_known() -> None:
    observed = replay("gpu-hung", timeout=0.5)
    assert findings(observed) == ["nvidia.smi"]
    assert "0.5 s" in observed["findings"][0]["detail"]
    assert observed["nvidia"] == {"driver": "580.65.06", "cuda": None}


def test_no_devices_were_found_is_a_finding() -> None:
    observed = replay("gpu-not-found")
    assert findings(observed) == ["nvidia.smi"]
    assert "No devices were found" in observed["findings"][0]["detail"]


def test_an_nvidia_card_without_a_driver_is_a_finding(tmp_path: Path) -> None:
    shutil.copytree(SAMPLES / "gpu-not-found", tmp_path / "host")
    shutil.rmtree(tmp_path / "host/.commands")
    assert findings(_probe.observe(probe_root=str(tmp_path / "host"))) == ["nvidia.driver"]


def test_wsl_is_recognised_and_sudo_makes_the_system_folder_usable() -> None:
    observed = replay("wsl2")
    assert observed["os"]["wsl"] is True
    assert observed["os"]["systemd"] is False
    assert observed["user"] == {"name": "ada", "uid": 1000, "home": "/home/ada", "privilege": "sudo"}
    assert observed["root"] == "/opt/wavesmith"


def test_without_sudo_the_root_is_at_home_and_missing_packages_are_a_finding() -> None:
    observed = replay("cpu-debian12", apt_packages=["git", "sox"])
    assert observed["user"]["privilege"] == "none"
    assert observed["root"] == "/home/ada/wavesmith"
    assert findings(observed) == ["user.privilege"]
    assert "apt-get install sox" in observed["findings"][0]["remedy"]


@pytest.mark.parametrize(("root", "expected"), [("~/w", "/home/ada/w"), ("/srv/w/", "/srv/w"), ("/", "/")])
def test_a_given_root_is_kept(root: str, expected: str) -> None:
    assert replay("cpu-debian12", root=root)["root"] == expected


def test_only_packages_that_are_really_installed_count() -> None:
    wanted = ["git", "espeak-ng", "sox", "ffmpeg", "libsndfile1", "c++-compiler", "c++", "nothing"]
    apt = replay("cpu-debian12", apt_packages=wanted)["apt"]
    assert apt["present"] is True
    assert list(apt["installed"]) == ["git", "espeak-ng", "ffmpeg", "c++-compiler", "c++"]
    assert apt["installed"]["c++"] == "4:12.2.0-3"
    assert apt["missing"] == ["sox", "libsndfile1", "nothing"]


def test_a_python_without_headers_or_venv_says_so() -> None:
    assert replay("cpu-debian12")["pythons"] == [
        {"path": "/usr/bin/python3.11", "version": "3.11.2", "headers": False, "venv": False}
    ]
    assert replay("wsl2")["pythons"][0]["headers"] is True
    assert replay("dgx-spark")["pythons"][0]["venv"] is True


# Parsers


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("NVIDIA GB10, 12.1, [N/A], 580.95.05", [("NVIDIA GB10", "12.1", None)]),
        ("Orin (nvgpu), [N/A], [N/A], [N/A]", [("Orin (nvgpu)", None, None)]),
        ("Odd, Name, 9.0, 1024, 1.2", [("Odd, Name", "9.0", 1024**3)]),
        ("A, 8.0, 1, 1.2\nB, 9.0, 2, 1.2", [("A", "8.0", 1024**2), ("B", "9.0", 2 * 1024**2)]),
        ("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver, a, b, c", []),
        ("", []),
    ],
)
def test_nvidia_smi_rows(text: str, expected: list[tuple[Any, ...]]) -> None:
    found, _driver = parse.parse_nvidia_smi(text)
    assert [(gpu.name, gpu.sm, gpu.memory) for gpu in found] == expected


@pytest.mark.parametrize(
    ("number", "name"),
    [("110000", "gfx1100"), ("90010", "gfx90a"), ("90402", "gfx942"), ("100300", "gfx1030"), ("0", None), ("x", None)],
)
def test_gfx_names(number: str, name: str | None) -> None:
    assert parse.gfx_name(number) == name


@pytest.mark.parametrize(
    ("flags", "level"),
    [
        ("sse2", "generic"),
        ("avx2 fma", "avx2"),
        ("avx2 fma avx512f avx512bw avx512dq avx512vl", "avx512"),
        ("avx2 fma avx512f avx512bw avx512dq avx512vl avx512_vnni", "avx512vnni"),
        ("asimd fphp asimdhp", "armv8_2"),
        ("asimd sve2 fphp asimdhp", "armv9"),
        ("asimd", "generic"),
    ],
)
def test_isa_levels(flags: str, level: str) -> None:
    assert parse.isa_level(frozenset(flags.split())) == level


def test_mixed_cores_have_the_level_all_of_them_have() -> None:
    assert parse.parse_cpuinfo("processor: 0\nflags: avx2 fma\nprocessor: 1\nflags: sse2\n").isa == "generic"


def test_deeply_nested_json_is_no_version() -> None:
    assert parse.parse_version_json("[" * 200_000) is None


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"https://ada:{SECRET}@mirror.example.org/simple", "https://mirror.example.org/simple"),
        (f"https://{SECRET}@mirror.example.org:8443/simple/", "https://mirror.example.org:8443/simple/"),
        (f"corp=https://ada:{SECRET}@mirror.example.org/simple", "https://mirror.example.org/simple"),
        (f"https://ada:{SECRET}/x@mirror.example.org/simple", "https://mirror.example.org/simple"),
        (f"https://ada:{SECRET}#x@mirror.example.org/simple", "https://mirror.example.org/simple"),
        (f"ada:{SECRET}@mirror.example.org/simple", "mirror.example.org/simple"),
        (f"https://ada:{SECRET}@[::1/simple", "https://[::1/simple"),
        ("https://mirror.example.org/@scope/simple", "https://mirror.example.org/@scope/simple"),
        ("https://[::1]:8080/simple", "https://[::1]:8080/simple"),
    ],
)
def test_credentials_are_never_shown(url: str, shown: str) -> None:
    assert parse.split_url(url).shown == shown


# Package index and sources


def test_pip_conf_names_the_index_and_its_credentials_stay_inside() -> None:
    host = _probe.Host(str(SAMPLES / "cpu-debian12"))
    url, by = _probe.find_package_index(host, _probe.find_user(host))
    assert (SECRET in url, by) == (True, "/etc/pip.conf")
    source = replay("cpu-debian12", sources={"package_index": ""}, timeout=0.5)["sources"]["package_index"]
    assert (source["url"], source["configured_by"]) == ("https://mirror.example.org/simple", "/etc/pip.conf")


@pytest.mark.parametrize("variable", ["UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"])
def test_a_variable_of_the_host_comes_before_its_files(variable: str, tmp_path: Path) -> None:
    (tmp_path / ".commands").mkdir()
    (tmp_path / ".commands/env.txt").write_text(f"{variable}=https://a.example.org/simple\n")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/pip.conf").write_text("[global]\nindex-url = https://b.example.org/simple\n")
    host = _probe.Host(str(tmp_path))
    assert _probe.find_package_index(host, _probe.find_user(host)) == ("https://a.example.org/simple", variable)


def test_the_controllers_default_is_the_last_resort() -> None:
    host = _probe.Host(str(SAMPLES / "wsl2"))
    user = _probe.find_user(host)
    assert _probe.find_package_index(host, user, "https://c.example.org") == ("https://c.example.org", "default_index")
    assert _probe.find_package_index(host, user) == ("", "")


def test_no_package_index_at_all_is_a_finding_and_an_unset_other_source_is_none() -> None:
    observed = replay("wsl2", sources={"package_index": "", "torch_cpu": ""})
    assert findings(observed) == ["source.package_index"]
    assert observed["sources"]["torch_cpu"]["detail"] == "not configured"


class Handler(BaseHTTPRequestHandler):
    """Answers `/<status>`; `/slow` late, `/private` with the right credentials only, `/nohead` to GET only."""

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        self.server.seen.append((self.command, self.path))  # type: ignore[attr-defined]
        wanted = "Basic " + base64.b64encode(f"ada:{SECRET}".encode()).decode()
        location = ""
        if self.path == "/slow":
            time.sleep(1.5)
            status = 200
        elif self.path == "/private":
            status = 200 if self.headers.get("Authorization") == wanted else 401
        elif self.path == "/nohead":
            status = 405 if self.command == "HEAD" else 200
        elif self.path == "/moved":
            status, location = 302, "/private"
        else:
            status = int(self.path.strip("/"))
        with contextlib.suppress(OSError):
            self.send_response(status)
            if location:
                self.send_header("Location", location)
            self.send_header("Content-Length", "1000000000")
            self.end_headers()

    def log_message(self, *_args: Any) -> None:
        """Stay silent."""


@pytest.fixture(scope="module")
def server() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.seen = []  # type: ignore[attr-defined]
        http.daemon_threads = True
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield http
        http.shutdown()


def probe(server: ThreadingHTTPServer, path: str, login: str = "", timeout: float = 3.0) -> dict[str, Any]:
    url = f"http://{login}127.0.0.1:{server.server_port}{path}"
    observed = replay("wsl2", sources={"x": url}, timeout=timeout)
    assert SECRET not in json.dumps(observed)
    return {**observed["sources"]["x"], "findings": observed["findings"]}


@pytest.mark.parametrize(
    ("path", "answers"),
    [(f"/{status}", True) for status in (200, 204, 416, 429)]
    + [(f"/{status}", False) for status in (401, 403, 404, 407, 500, 503)],
)
def test_which_http_answers_count(server: ThreadingHTTPServer, path: str, answers: bool) -> None:
    source = probe(server, path)
    assert source["answers"] is answers, source
    assert bool(source["findings"]) is not answers


def test_a_source_without_head_is_asked_with_get(server: ThreadingHTTPServer) -> None:
    server.seen.clear()  # type: ignore[attr-defined]
    assert probe(server, "/nohead")["answers"] is True
    assert server.seen == [("HEAD", "/nohead"), ("GET", "/nohead")]  # type: ignore[attr-defined]


def test_credentials_are_used_and_follow_a_redirect_to_the_same_origin(server: ThreadingHTTPServer) -> None:
    assert probe(server, "/private")["answers"] is False
    assert probe(server, "/private", f"ada:{SECRET}@")["answers"] is True
    assert probe(server, "/moved", f"ada:{SECRET}@")["answers"] is True


def test_credentials_do_not_follow_a_redirect_to_another_origin(server: ThreadingHTTPServer) -> None:
    request = _probe.urllib.request.Request("http://127.0.0.1:1/a", method="HEAD")
    request.add_unredirected_header("Authorization", "Basic x")
    moved = _probe._SameOrigin().redirect_request(request, io.BytesIO(), 302, "", {}, "http://other.example.org/a")
    assert (moved.get_method(), moved.get_header("Authorization")) == ("HEAD", None)


def test_a_slow_source_costs_no_more_than_the_timeout(server: ThreadingHTTPServer) -> None:
    started = time.monotonic()
    source = probe(server, "/slow", timeout=0.3)
    assert time.monotonic() - started < 1.2
    assert (source["answers"], len(source["findings"])) == (False, 1)


@pytest.mark.parametrize(
    "url", ["ftp://a.example.org", "nonsense", "http://", "http://[::1", "https://a b", "http://a:x/"]
)
def test_a_url_that_is_none_does_not_answer(url: str) -> None:
    assert replay("wsl2", sources={"x": url}, timeout=0.5)["sources"]["x"]["answers"] is False


def test_a_folder_can_be_a_source(tmp_path: Path) -> None:
    assert _probe.observe(sources={"x": tmp_path.as_uri()})["sources"]["x"]["answers"] is True
    assert _probe.observe(sources={"x": (tmp_path / "no").as_uri()})["sources"]["x"]["answers"] is False


# Commands on this machine


def test_a_hanging_command_ends_with_its_children(tmp_path: Path) -> None:
    script = tmp_path / "hang"
    script.write_text('#!/bin/sh\nsleep 60 & echo $! > "$0.pid"; wait\n')
    script.chmod(0o755)
    started = time.monotonic()
    answer = _probe.Host(timeout=0.3).run([str(script)])
    assert time.monotonic() - started < 2
    assert (answer.code, answer.trouble) == (None, "no answer within 0.3 s")
    child = int((tmp_path / "hang.pid").read_text())
    for _attempt in range(50):
        state = Path(f"/proc/{child}/stat")
        if not state.exists() or state.read_text().split()[2] == "Z":
            return
        time.sleep(0.05)
    pytest.fail(f"the child {child} of the hanging command still runs")


def test_a_fifo_in_place_of_a_file_does_not_block(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    os.mkfifo(tmp_path / "proc/cpuinfo")
    assert _probe.observe(probe_root=str(tmp_path))["cpu"]["cores"] == 0


def test_this_machine_is_observed_quickly() -> None:
    started = time.monotonic()
    observed = _probe.observe(apt_packages=["git"])
    assert time.monotonic() - started < 2
    assert observed["cpu"]["architecture"] == os.uname().machine
    assert observed["disk"]["total"] > observed["disk"]["free"] > 0
    assert observed["memory"]["total"] > 0
    json.dumps(observed)


# Any content


READ = [
    "etc/os-release",
    "etc/nv_tegra_release",
    "etc/pip.conf",
    "proc/cpuinfo",
    "proc/meminfo",
    "proc/version",
    "proc/1/environ",
    "proc/device-tree/compatible",
    "proc/device-tree/model",
    "proc/driver/nvidia/version",
    "proc/driver/nvidia/gpus/0/information",
    "run/systemd/container",
    "sys/bus/pci/devices/0/vendor",
    "sys/bus/pci/devices/0/device",
    "sys/bus/pci/devices/0/class",
    "sys/class/kfd/kfd/topology/nodes/0/name",
    "sys/class/kfd/kfd/topology/nodes/0/properties",
    "sys/class/kfd/kfd/topology/nodes/0/mem_banks/0/properties",
    "usr/local/cuda-13.0/version.json",
    "opt/rocm/.info/version",
    "var/lib/dpkg/status",
    "usr/bin/python3.12",
    ".commands/env.txt",
    ".commands/uname -nrm.txt",
    ".commands/id -u.txt",
    ".commands/id -un.txt",
    ".commands/getconf PAGESIZE.txt",
    ".commands/gcc -dumpfullversion.txt",
    ".commands/nvcc --version.txt",
    ".commands/nvidia-smi.txt",
    f".commands/{' '.join(_probe.NVIDIA_SMI)}.txt",
    f".commands/{' '.join(['_usr_bin_python3.12', *_probe.PYTHON_QUERY])}.txt",
]
# Real content cut and joined with noise reaches deeper than noise alone.
REAL = [path.read_bytes() for path in sorted(SAMPLES.rglob("*")) if path.is_file() and path.stat().st_size]
CONTENT = st.one_of(
    st.binary(max_size=200),
    st.builds(
        lambda real, cut, noise: real[:cut] + noise + real[cut:],
        st.sampled_from(REAL),
        st.integers(0, 400),
        st.binary(max_size=20),
    ),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(contents=st.lists(CONTENT, min_size=len(READ), max_size=len(READ)))
def test_no_content_of_any_file_makes_it_raise(tmp_path: Path, contents: list[bytes]) -> None:
    for name, content in zip(READ, contents, strict=True):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    # An index that the noise happens to name is resolved but not asked.
    host = _probe.Host(str(tmp_path))
    parse.split_url(_probe.find_package_index(host, _probe.find_user(host))[0])
    observed = _probe.observe(probe_root=str(tmp_path), apt_packages=["git", "c++"])
    json.dumps(observed).encode()


@given(st.text())
def test_no_url_makes_it_raise(url: str) -> None:
    parse.split_url(url)
    parse.parse_pip_conf(url)
    parse.parse_pip_conf(f"[global]\n{url}")


@given(user=st.text("abc:@/?#%[]", max_size=8), host=st.sampled_from(["a.example.org", "[::1]", "h:1"]))
def test_no_password_of_any_shape_is_shown(user: str, host: str) -> None:
    assert SECRET not in parse.split_url(f"https://{user}:{SECRET}{user}@{host}/simple").shown


# The module


def run_module(**arguments: Any) -> dict[str, Any]:
    output = io.StringIO()
    with patch_module_args(arguments), contextlib.redirect_stdout(output), pytest.raises(SystemExit) as ended:
        module.main()
    assert ended.value.code == 0, output.getvalue()
    result: dict[str, Any] = json.loads(output.getvalue())
    return result


@pytest.mark.parametrize("check", [False, True])
def test_the_module_never_changes_anything(check: bool, tmp_path: Path) -> None:
    result = run_module(root=str(tmp_path), environments=["speech"], _ansible_check_mode=check)
    assert result["changed"] is False
    assert result["observed"]["schema"] == 1
    assert result["observed"]["environments"]["speech"]["current"] is None
    assert not list(tmp_path.iterdir())


def test_the_module_returns_no_credentials_even_in_its_invocation() -> None:
    result = run_module(
        probe_root=str(SAMPLES / "wsl2"),
        sources={"package_index": "", "x": f"nonsense://ada:{SECRET}@a.example.org/y"},
        default_index=f"file://ada:{SECRET}@/nowhere",
    )
    assert SECRET not in json.dumps(result)
    assert result["observed"]["sources"]["package_index"]["configured_by"] == "default_index"
