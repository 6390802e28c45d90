"""What `observe` reports of recorded hosts, of this one, and of sources that answer in all the ways they do."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import io
import itertools
import json
import os
import shutil
import socket
import socketserver
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.wavesmith.provision.plugins.module_utils.observe import (
    amd,
    gpus,
    jetson,
    nvidia,
    place,
    sources,
    system,
    tables,
    texts,
)
from ansible_collections.wavesmith.provision.plugins.module_utils.observe import cpu as observe_cpu
from ansible_collections.wavesmith.provision.plugins.module_utils.observe import drivers as observe_drivers
from ansible_collections.wavesmith.provision.plugins.module_utils.observe import host as observe_host
from ansible_collections.wavesmith.provision.plugins.module_utils.observe import probe as observe_probe
from ansible_collections.wavesmith.provision.plugins.module_utils.terms import url as terms_url
from ansible_collections.wavesmith.provision.plugins.modules import observe as module
from hypothesis import given, settings
from hypothesis import strategies as st

SAMPLES = Path(__file__).parent / "samples"
SECRET = "geheim"


def replay(machine: str, **options: Any) -> dict[str, Any]:
    return observe_probe.observe(probe_root=str(SAMPLES / machine), **options)


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


def test_every_toolkit_says_what_it_compiles_for() -> None:
    assert replay("rtx5090-ubuntu2404")["toolkits"] == [
        {"version": "12.8", "path": "/usr/local/cuda-12.8", "source": "version.json", "nvcc": True, "sms": None},
        {"version": "13.0", "path": "/usr/local/cuda-13.0", "source": "nvcc", "nvcc": True, "sms": None},
    ]
    (toolkit,) = replay("h200")["toolkits"]
    assert toolkit["sms"][-3:] == ["10.0", "10.1", "12.0"]


def test_the_real_nvcc_of_this_machine_is_asked() -> None:
    toolkits = [toolkit for toolkit in observe_probe.observe()["toolkits"] if toolkit["nvcc"]]
    if not toolkits:
        pytest.skip("there is no nvcc on this machine")
    for toolkit in toolkits:
        assert "9.0" in toolkit["sms"]


def test_a_script_in_front_of_a_toolkit_is_not_another_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path, text in (
        ("cuda/bin/nvcc", "echo release 12.9, V12.9.41"),
        ("bin/nvcc", f"exec {tmp_path}/cuda/bin/nvcc"),
    ):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / path).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    monkeypatch.setenv("CUDA_HOME", f"{tmp_path}/cuda")
    mine = [toolkit for toolkit in observe_probe.observe()["toolkits"] if toolkit["path"].startswith(str(tmp_path))]
    assert [(toolkit["path"], toolkit["version"]) for toolkit in mine] == [(f"{tmp_path}/cuda", "12.9")]


def test_a_toolkit_named_by_cuda_home_is_found(tmp_path: Path) -> None:
    (tmp_path / ".commands").mkdir()
    (tmp_path / ".commands/env.txt").write_text("CUDA_HOME=/opt/nvidia/cuda\n")
    (tmp_path / "opt/nvidia/cuda/bin").mkdir(parents=True)
    (tmp_path / "opt/nvidia/cuda/bin/nvcc").touch()
    (tmp_path / "opt/nvidia/cuda/version.json").write_text('{"cuda": {"version": "12.9.1"}}')
    (toolkit,) = observe_probe.observe(probe_root=str(tmp_path))["toolkits"]
    assert (toolkit["path"], toolkit["version"]) == ("/opt/nvidia/cuda", "12.9")


def test_the_kernel_of_a_jetson_is_reported() -> None:
    assert replay("jetson-thor")["os"]["kernel"] == "6.8.12-tegra"


def test_a_hung_nvidia_smi_costs_one_timeout_and_the_driver_is_still_known() -> None:
    observed = replay("gpu-hung", timeout=0.5)
    assert "0.5 s" in observed["findings"][0]["detail"]
    assert observed["nvidia"] == {
        "driver": "580.65.06",
        "driver_source": "proc",
        "cuda": "13.0",
        "cuda_source": "driver",
    }


def test_an_nvidia_card_without_a_driver_is_a_finding(tmp_path: Path) -> None:
    shutil.copytree(SAMPLES / "gpu-not-found", tmp_path / "host")
    shutil.rmtree(tmp_path / "host/.commands")
    (tmp_path / "host/.commands").mkdir()
    (tmp_path / "host/.commands/uname -nrm.txt").write_text("lost01 6.8.0-85-generic x86_64")
    assert findings(observe_probe.observe(probe_root=str(tmp_path / "host"))) == ["nvidia.driver"]


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
    found, _driver = nvidia.parse_nvidia_smi(text)
    assert [(gpu.name, gpu.sm, gpu.memory) for gpu in found] == expected


@pytest.mark.parametrize(
    ("number", "name"),
    [("110000", "gfx1100"), ("90010", "gfx90a"), ("90402", "gfx942"), ("100300", "gfx1030"), ("0", None), ("x", None)],
)
def test_gfx_names(number: str, name: str | None) -> None:
    assert amd.gfx_name(number) == name


@pytest.mark.parametrize(
    ("driver", "cuda"),
    [("580.95.05", "13.0"), ("585.1", "13.0"), ("999.1", "13.3"), ("470.1", "11.4"), ("304.1", None), (None, None)],
)
def test_the_newest_cuda_of_a_driver_comes_from_the_table_of_branches(driver: str | None, cuda: str | None) -> None:
    assert nvidia.driver_cuda(driver) == cuda


@pytest.mark.parametrize(
    ("l4t", "version", "exact"),
    [
        ("38.2.0", "7.0", True),
        ("39.2", "7.2", True),
        ("38.9.1", "7.1", False),
        ("41.0.0", "7.2.1", False),
        ("28.2.1", "4.6.1", False),
    ],
)
def test_an_unknown_l4t_is_treated_as_the_nearest_older_one(l4t: str, version: str, exact: bool) -> None:
    jetpack = jetson.jetpack(l4t)
    assert jetpack is not None
    assert (jetpack.version, jetpack.exact) == (version, exact)


@pytest.mark.parametrize(
    ("code", "text", "trouble", "name"),
    [
        (None, "", "not found", None),
        (None, "", "no answer within 3 s", "nvidia.smi_hangs"),
        (None, "", "Exec format error", "nvidia.smi"),
        (-11, "", "", "nvidia.smi_crashes"),
        (139, "", "", "nvidia.smi_crashes"),
        (-250, "", "", "nvidia.smi_crashes"),
        (6, "No devices were found", "", "nvidia.no_devices"),
        (6, "No devices found", "", "nvidia.no_devices"),
        (12, "NVIDIA-SMI couldn't find libnvidia-ml.so library in your system.", "", "nvidia.no_library"),
        (9, "Failed to properly shut down NVML: Driver Not Loaded", "", "nvidia.not_loaded"),
        (255, "Unable to determine the device handle for GPU0000:17:00.0: Unknown Error", "", "nvidia.lost"),
        (18, "Failed to initialize NVML: Driver/library version mismatch", "", "nvidia.version_mismatch"),
        (255, "Failed to initialize NVML: Unknown Error", "", "nvidia.container_lost"),
        (4, "Failed to initialize NVML: Insufficient Permissions", "", "nvidia.access"),
        (2, 'Field "compute_cap" is not a valid field to query.', "", "nvidia.smi_old"),
        (15, "Unable to determine the device handle for GPU 0000:01:00.0: GPU is lost.", "", "nvidia.lost"),
        (1, "GPU access blocked by the operating system", "", "nvidia.blocked"),
        (0, "", "", "nvidia.smi"),
    ],
)
def test_each_way_in_which_nvidia_smi_fails_has_its_name(
    code: int | None, text: str, trouble: str, name: str | None
) -> None:
    symptom = nvidia.symptom_of(code, text, trouble)
    assert (symptom and symptom.id) == name


@pytest.mark.parametrize(
    ("ids", "kind", "name", "sm", "gfx"),
    [
        ("10DE:1DB6", "30200", "NVIDIA GV100 [10de:1db6]", "7.0", None),
        ("10DE:1EB8", "30200", "NVIDIA TU104 [10de:1eb8]", "7.5", None),
        ("10DE:20B0", "30200", "NVIDIA GA100 [10de:20b0]", "8.0", None),
        ("10DE:26B9", "30200", "NVIDIA AD102 [10de:26b9]", "8.9", None),
        ("10DE:2342", "30200", "NVIDIA GH100 [10de:2342]", "9.0", None),
        ("10DE:2901", "30200", "NVIDIA GB100 [10de:2901]", "10.0", None),
        ("10DE:3182", "30200", "NVIDIA GB110 [10de:3182]", "10.3", None),
        ("10DE:2B00", "30200", "NVIDIA Thor [10de:2b00]", "11.0", None),
        ("10DE:2E12", "30200", "NVIDIA GB10 [10de:2e12]", "12.1", None),
        ("10DE:FFFF", "30000", "NVIDIA GPU [10de:ffff]", None, None),
        ("1002:744C", "30000", "AMD Radeon RX 7900", None, "gfx1100"),
        ("1002:74A1", "120000", "AMD Instinct MI300X", None, "gfx942"),
        ("8086:56A0", "30000", "Intel Arc A770", None, None),
    ],
)
def test_a_pci_id_names_a_gpu(ids: str, kind: str, name: str, sm: str | None, gfx: str | None) -> None:
    slot = gpus.pci_slot("0000:01:00.0", f"PCI_CLASS={kind}\nPCI_ID={ids}\n")
    assert slot is not None
    assert (slot.gpu.name, slot.gpu.sm, slot.gpu.gfx) == (name, sm, gfx)


@pytest.mark.parametrize(
    "uevent",
    [
        "PCI_CLASS=40300\nPCI_ID=10DE:22BA\n",  # the audio function of a GPU
        "PCI_CLASS=120000\nPCI_ID=8086:7D1D\n",  # Intel's NPU
        "PCI_CLASS=30000\nPCI_ID=1A03:2000\n",  # a server's management console
        "PCI_CLASS=30200\nPCI_ID=1414:008E\n",  # WSL2's
        "",
    ],
)
def test_what_is_no_gpu_is_left_out(uevent: str) -> None:
    assert gpus.pci_slot("0000:01:00.0", uevent) is None


def test_no_two_entries_of_the_chip_table_contradict_each_other() -> None:
    for first, last, chip, _sm in tables.NVIDIA_CHIPS:
        assert first <= last, chip
    ranges = sorted((first, last) for first, last, _chip, _sm in tables.NVIDIA_CHIPS if first != last)
    assert all(one[1] < other[0] for one, other in itertools.pairwise(ranges))


def test_gpus_of_one_kind_take_the_capability_of_their_slots_though_a_container_sees_fewer() -> None:
    gpu, slot = gpus.Accelerator("nvidia", "A", source="proc"), gpus.Accelerator("nvidia", "B", sm="8.0")
    assert [found.sm for found in gpus.complete([gpu], [slot, slot])] == ["8.0"]
    assert [found.sm for found in gpus.complete([gpu], [slot, dataclasses.replace(slot, sm="9.0")])] == [None]


def test_rocm_agent_enumerator_is_the_last_resort(tmp_path: Path) -> None:
    (tmp_path / ".commands").mkdir()
    (tmp_path / ".commands/rocm_agent_enumerator.txt").write_text("gfx000\ngfx1101\n")
    (gpu,) = observe_probe.observe(probe_root=str(tmp_path))["accelerators"]
    assert (gpu["vendor"], gpu["gfx"], gpu["source"]) == ("amd", "gfx1101", "rocm_agent_enumerator")


@pytest.mark.parametrize(
    ("chassis", "vendor", "kind"),
    [("23", "Dell Inc.", "server"), ("10", "LENOVO", "workstation"), ("1", "QEMU", "server"), ("", "", "unknown")],
)
def test_the_chassis_tells_a_server_from_a_workstation(chassis: str, vendor: str, kind: str) -> None:
    assert system.machine_class(chassis, vendor)[0] == kind


def test_mixed_arm_cores_are_all_named() -> None:
    assert replay("gb10-dell")["cpu"]["model"] == "Cortex-A725, Cortex-X925"


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
    assert observe_cpu.isa_level(frozenset(flags.split())) == level


def test_mixed_cores_have_the_level_all_of_them_have() -> None:
    assert observe_cpu.parse_cpuinfo("processor: 0\nflags: avx2 fma\nprocessor: 1\nflags: sse2\n").isa == "generic"


def test_deeply_nested_json_is_no_version() -> None:
    assert system.parse_version_json("[" * 200_000) is None


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
    assert terms_url.split_url(url).shown == shown


# Package index and sources


def test_pip_conf_names_the_index_and_its_credentials_stay_inside() -> None:
    host = observe_host.Host(str(SAMPLES / "cpu-debian12"))
    url, by = sources.find_package_index(host, observe_host.find_user(host))
    assert (SECRET in url, by) == (True, "/etc/pip.conf")
    source = replay("cpu-debian12", sources={"package_index": ""}, timeout=0.5)["sources"]["package_index"]
    assert (source["url"], source["configured_by"]) == ("https://mirror.example.org/simple", "/etc/pip.conf")


@pytest.mark.parametrize("variable", ["UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"])
def test_a_variable_of_the_host_comes_before_its_files(variable: str, tmp_path: Path) -> None:
    (tmp_path / ".commands").mkdir()
    (tmp_path / ".commands/env.txt").write_text(f"{variable}=https://a.example.org/simple\n")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/pip.conf").write_text("[global]\nindex-url = https://b.example.org/simple\n")
    host = observe_host.Host(str(tmp_path))
    assert sources.find_package_index(host, observe_host.find_user(host)) == ("https://a.example.org/simple", variable)


def test_the_controllers_default_is_the_last_resort() -> None:
    host = observe_host.Host(str(SAMPLES / "wsl2"))
    user = observe_host.find_user(host)
    assert sources.find_package_index(host, user, "https://c.example.org") == ("https://c.example.org", "default_index")
    assert sources.find_package_index(host, user) == ("", "")


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
    source = probe(server, path, timeout=1.0)
    assert source["answers"] is answers, source
    assert source["inconclusive"] is (path in ("/500", "/503"))
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
    request = sources.urllib.request.Request("http://127.0.0.1:1/a", method="HEAD")
    request.add_unredirected_header("Authorization", "Basic x")
    moved = sources._SameOrigin().redirect_request(request, io.BytesIO(), 302, "", {}, "http://other.example.org/a")
    assert (moved.get_method(), moved.get_header("Authorization")) == ("HEAD", None)


@pytest.mark.parametrize(("failures", "answers"), [(2, True), (99, False)])
def test_a_resolver_that_is_busy_is_asked_again(
    server: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch, failures: int, answers: bool
) -> None:
    left, real = [socket.gaierror(socket.EAI_AGAIN, "busy")] * failures, socket.getaddrinfo
    monkeypatch.setattr(sources, "_has_route", lambda host: True)

    def getaddrinfo(*arguments: Any, **options: Any) -> Any:
        if left:
            raise left.pop()
        return real(*arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    source = probe(server, "/200", timeout=3.0 if answers else 0.5)
    assert (source["answers"], source["inconclusive"]) == (answers, not answers)


V6_ROUTE = " ".join(["0" * 32, "00", "0" * 32, "00", "f" * 32, "00000400", "00000002", "00000000", "00000003"])


@pytest.mark.parametrize(
    ("v4", "v6", "route"),
    [
        (
            "Iface Destination Gateway Flags RefCnt Use Metric Mask\neth0 00000000 010011AC 0003 0 0 0 00000000\n",
            "",
            True,
        ),
        (
            "Iface Destination Gateway Flags RefCnt Use Metric Mask\neth0 000011AC 00000000 0001 0 0 0 0000FFFF\n",
            "",
            False,
        ),
        ("Iface Destination\n", f"{V6_ROUTE} eth0\n", True),
        ("Iface Destination\n", f"{V6_ROUTE} lo\n", False),
        ("", "", True),
    ],
)
def test_a_name_that_a_host_without_a_route_cannot_resolve_is_a_no(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, v4: str, v6: str, route: bool
) -> None:
    (tmp_path / "proc/net").mkdir(parents=True)
    (tmp_path / "proc/net/route").write_text(v4)
    (tmp_path / "proc/net/ipv6_route").write_text(v6)

    def getaddrinfo(*_arguments: Any, **_options: Any) -> Any:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    asked = observe_probe.ask_sources({"x": "https://a.example.org"}, probe_root=str(tmp_path), timeout=0.3)
    assert asked["sources"]["x"]["inconclusive"] is route


@pytest.mark.parametrize(
    ("uid", "given", "privilege"), [(0, False, "root"), (1000, False, "none"), (1000, True, "sudo")]
)
def test_a_password_for_sudo_counts_as_sudo(tmp_path: Path, uid: int, given: bool, privilege: str) -> None:
    commands = tmp_path / ".commands"
    commands.mkdir()
    for name, said in {
        "id -u": f"{uid}\n",
        "id -un": "ada\n",
        "sudo -n true": "sudo: a password is required\n",
    }.items():
        (commands / f"{name}.txt").write_text(said)
    (commands / "sudo -n true.code").write_text("1\n")
    seen = observe_probe.observe(probe_root=str(tmp_path), sudo_password=given)
    assert seen["user"]["privilege"] == privilege
    assert seen["root"] == ("/home/ada/wavesmith" if privilege == "none" else "/opt/wavesmith")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a folder to another user")
@pytest.mark.parametrize(
    ("owner", "root"), [(1000, "/opt/wavesmith"), (1001, "/home/ada/wavesmith"), (0, "/home/ada/wavesmith")]
)
def test_what_was_made_with_a_password_for_sudo_is_found_without_it(tmp_path: Path, owner: int, root: str) -> None:
    commands = tmp_path / ".commands"
    commands.mkdir()
    for name, said in {"id -u": "1000\n", "id -un": "ada\n"}.items():
        (commands / f"{name}.txt").write_text(said)
    (tmp_path / "opt" / "wavesmith").mkdir(parents=True)
    os.chown(tmp_path / "opt" / "wavesmith", owner, owner)
    assert observe_probe.observe(probe_root=str(tmp_path))["root"] == root


MOUNTS = """\
/dev/sda1 / ext4 rw,relatime 0 0
tmpfs /tmp tmpfs rw,nosuid,noexec 0 0
/dev/sdb1 /mnt/my\\040disk xfs ro,noatime 0 0
/dev/sdc1 /opt ext4 rw 0 0
overlay /opt overlay ro 0 0
"""


@pytest.mark.parametrize(
    ("path", "point", "option"),
    [
        ("/srv/wavesmith", "/", "relatime"),
        ("/tmp/w", "/tmp", "noexec"),
        ("/tmpfoo", "/", "relatime"),
        ("/mnt/my disk/w", "/mnt/my disk", "ro"),
        ("/opt/wavesmith", "/opt", "ro"),
    ],
)
def test_the_file_system_of_a_path_is_the_nearest_and_last_mounted(path: str, point: str, option: str) -> None:
    found, _kind, options = place.mounted(MOUNTS, path)
    assert (found, option in options) == (point, True)


@pytest.mark.parametrize(
    ("mounts", "root", "finding"),
    [
        (MOUNTS, "/srv/wavesmith", []),
        (MOUNTS, "/tmp/wavesmith", ["root.noexec"]),
        (MOUNTS, "/opt/wavesmith", ["root.readonly"]),
        ("proc /tmp proc rw 0 0\n", "/tmp/wavesmith", ["root.kernel"]),
        ("sysfs /srv sysfs rw 0 0\n", "/srv/x/wavesmith", ["root.kernel"]),
        ("cgroup2 /opt cgroup2 rw 0 0\n", "/opt", ["root.kernel"]),
        ("", "/etc/passwd", ["root.file"]),
        ("", "/etc/passwd/wavesmith", ["root.file"]),
        ("", "/dead/wavesmith", ["root.link"]),
    ],
)
def test_what_is_wrong_with_the_folder_is_a_finding(tmp_path: Path, mounts: str, root: str, finding: list[str]) -> None:
    for folder in ("proc/self", "etc", "srv", "tmp", "opt"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "proc/self/mounts").write_text(mounts)
    (tmp_path / "etc/passwd").write_text("")
    (tmp_path / "dead").symlink_to(tmp_path / "gone")
    host = observe_host.Host(str(tmp_path))
    assert [found["id"] for found in place.find_obstacles(host, root, observe_host.find_user(host), "root")] == finding


class Flapping(socketserver.BaseRequestHandler):
    """Drops every connection but each fifth."""

    def handle(self) -> None:
        self.server.asked += 1  # type: ignore[attr-defined]
        if self.server.asked % 5 == 0:  # type: ignore[attr-defined]
            self.request.recv(1000)
            self.request.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


@contextlib.contextmanager
def serving(handler: type[socketserver.BaseRequestHandler]) -> Iterator[str]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as tcp:
        tcp.daemon_threads = True
        tcp.asked = 0  # type: ignore[attr-defined]
        threading.Thread(target=tcp.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{tcp.server_address[1]}/"
        tcp.shutdown()


@contextlib.contextmanager
def silent() -> Iterator[str]:
    """A server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"


def test_slow_flapping_and_silent_sources_are_asked_at_once_and_none_is_refused(server: ThreadingHTTPServer) -> None:
    with serving(Flapping) as flapping, silent() as mute:
        asked = {
            "slow": f"http://127.0.0.1:{server.server_port}/slow",
            "flapping": flapping,
            "silent": mute,
            "gone": "http://127.0.0.1:9/",
            "missing": f"http://127.0.0.1:{server.server_port}/404",
            "busy": f"http://127.0.0.1:{server.server_port}/503",
        }
        started = time.monotonic()
        found = observe_probe.ask_sources(asked, timeout=5.0)["sources"]
    assert time.monotonic() - started < 6.5
    assert {name: (state["answers"], state["inconclusive"]) for name, state in found.items()} == {
        "slow": (True, False),
        "flapping": (True, False),
        "silent": (False, True),
        "gone": (False, False),
        "missing": (False, False),
        "busy": (False, True),
    }


def test_a_server_that_only_starts_is_asked_again() -> None:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        port = place.getsockname()[1]

        def start() -> None:
            place.listen()
            connection, _ = place.accept()
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            connection.close()

        later = threading.Timer(0.6, start)
        later.start()
        found = observe_probe.ask_sources({"x": f"http://127.0.0.1:{port}/"}, timeout=5.0)["sources"]["x"]
        later.join()
    assert found["answers"], found


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
    assert observe_probe.observe(sources={"x": tmp_path.as_uri()})["sources"]["x"]["answers"] is True
    assert observe_probe.observe(sources={"x": (tmp_path / "no").as_uri()})["sources"]["x"]["answers"] is False


# Commands on this machine


def test_a_hanging_command_ends_with_its_children(tmp_path: Path) -> None:
    script = tmp_path / "hang"
    script.write_text('#!/bin/sh\nsleep 60 & echo $! > "$0.pid"; wait\n')
    script.chmod(0o755)
    started = time.monotonic()
    answer = observe_host.Host(timeout=0.3).run([str(script)])
    assert time.monotonic() - started < 2
    assert (answer.code, answer.trouble) == (None, "no answer within 0.3 s")
    child = int((tmp_path / "hang.pid").read_text())
    for _attempt in range(50):
        state = Path(f"/proc/{child}/stat")
        if not state.exists() or state.read_text().split()[2] == "Z":
            return
        time.sleep(0.05)
    pytest.fail(f"the child {child} of the hanging command still runs")


NVML = """
#include <stdio.h>
#include <string.h>
int nvmlInit_v2(void) { return INIT; }
const char *nvmlErrorString(int code) { return "Driver/library version mismatch"; }
int nvmlSystemGetCudaDriverVersion_v2(int *version) { *version = 13020; return 0; }
int nvmlSystemGetDriverVersion(char *text, unsigned size) { snprintf(text, size, "595.71.05"); return 0; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 2; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **gpu) { *gpu = (void *)(long)(index + 1); return 0; }
int nvmlDeviceGetName(void *gpu, char *text, unsigned size) {
    snprintf(text, size, gpu == (void *)1 ? "NVIDIA GeForce RTX 4090" : "NVIDIA GB10");
    return 0;
}
int nvmlDeviceGetCudaComputeCapability(void *gpu, int *major, int *minor) {
    *major = gpu == (void *)1 ? 8 : 12;
    *minor = gpu == (void *)1 ? 9 : 1;
    return 0;
}
int nvmlDeviceGetMemoryInfo(void *gpu, unsigned long long *memory) {
    if (gpu != (void *)1)
        return 3; /* NVML_ERROR_NOT_SUPPORTED */
    memory[0] = 24564ULL << 20;
    return 0;
}
"""


def nvml(folder: Path, monkeypatch: pytest.MonkeyPatch, init: str = "0") -> observe_host.Answer:
    """Ask a library of NVML's name that we compile here; the way to it is the real one."""
    if not shutil.which("gcc"):
        pytest.skip("there is no gcc on this machine")
    (folder / "nvml.c").write_text(NVML)
    subprocess.run(
        ["gcc", "-shared", "-fPIC", f"-DINIT={init}", "-o", folder / "libnvidia-ml.so.1", folder / "nvml.c"], check=True
    )
    monkeypatch.setenv("LD_LIBRARY_PATH", str(folder))
    return observe_host.Host(timeout=1).python("nvml", observe_drivers.NVML_QUERY)


def test_nvml_is_asked_where_nvidia_smi_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = nvml(tmp_path, monkeypatch)
    found, driver = nvidia.parse_nvidia_smi(answer.text)
    assert [(gpu.name, gpu.sm, gpu.memory) for gpu in found] == [
        ("NVIDIA GeForce RTX 4090", "8.9", 24564 * 1024**2),
        ("NVIDIA GB10", "12.1", None),
    ]
    assert (driver, nvidia.parse_driver_cuda(answer.text)) == ("595.71.05", "13.2")


def test_nvml_that_does_not_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = nvml(tmp_path, monkeypatch, init="18")
    assert answer.code == 1
    assert "Driver/library version mismatch" in answer.text


@pytest.mark.parametrize("init", ["*(int *)0", "({for(;;);0;})"])
def test_nvml_that_crashes_or_hangs_harms_nobody(init: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = time.monotonic()
    answer = nvml(tmp_path, monkeypatch, init)
    assert time.monotonic() - started < 3
    assert answer.code != 0
    assert nvidia.parse_nvidia_smi(answer.text) == ([], None)


def test_a_drivers_file_that_blocks_its_reader_costs_one_timeout(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "information")
    answer = observe_host.Host(timeout=0.3).cat([str(tmp_path / "information")])
    assert (answer.code, answer.trouble) == (None, "no answer within 0.3 s")


def test_a_fifo_in_place_of_a_file_does_not_block(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    os.mkfifo(tmp_path / "proc/cpuinfo")
    assert observe_probe.observe(probe_root=str(tmp_path))["cpu"]["cores"] == 0


def test_this_machine_is_observed_quickly() -> None:
    started = time.monotonic()
    observed = observe_probe.observe(apt_packages=["git"])
    assert time.monotonic() - started < 2
    assert observed["cpu"]["architecture"] == os.uname().machine
    assert observed["disk"]["total"] > observed["disk"]["free"] > 0
    assert observed["memory"]["total"] > 0
    json.dumps(observed)


# Any content


def asked() -> list[str]:
    """Return every file below a probe root that observing one of the samples looked at: files and commands' outputs."""
    seen = set()

    class Recorder(observe_host.Host):
        def at(self, path: str) -> str:
            seen.add(path.lstrip("/"))
            return super().at(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(observe_probe, "Host", Recorder)
        for machine in SAMPLES.iterdir():
            observe_probe.observe(probe_root=str(machine))
    files = {path for path in seen if any((machine / path).is_file() for machine in SAMPLES.iterdir())}
    return sorted(files | {".commands/rocm_agent_enumerator.txt", ".commands/env.txt"})


READ = asked()
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


@settings(max_examples=150, deadline=None)
@given(contents=st.dictionaries(st.sampled_from(READ), CONTENT, max_size=40))
def test_no_content_of_any_file_and_no_output_of_any_command_makes_it_raise(contents: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as root:
        for name, content in contents.items():
            path = Path(root, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        # An index that the noise happens to name is resolved but not asked.
        host = observe_host.Host(root)
        terms_url.split_url(sources.find_package_index(host, observe_host.find_user(host))[0])
        observed = observe_probe.observe(probe_root=root, apt_packages=["git", "c++"])
    json.dumps(observed).encode()
    assert all(finding["id"] and finding["detail"] and finding["remedy"] for finding in observed["findings"])


@settings(max_examples=60, deadline=None)
@given(
    machine=st.sampled_from(sorted(path.name for path in SAMPLES.iterdir())),
    noise=st.dictionaries(st.sampled_from(READ), CONTENT, min_size=1, max_size=3),
)
def test_a_machine_with_a_few_spoilt_files_is_still_observed(machine: str, noise: dict[str, bytes]) -> None:
    class Spoilt(observe_host.Host):
        def read(self, path: str) -> str:
            spoilt = noise.get(path.lstrip("/"))
            return super().read(path) if spoilt is None else texts.decode(spoilt)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(observe_probe, "Host", Spoilt)
        observed = replay(machine)
    json.dumps(observed).encode()


@given(st.text())
def test_no_url_makes_it_raise(url: str) -> None:
    terms_url.split_url(url)
    system.parse_pip_conf(url)
    system.parse_pip_conf(f"[global]\n{url}")


@given(user=st.text("abc:@/?#%[]", max_size=8), host=st.sampled_from(["a.example.org", "[::1]", "h:1"]))
def test_no_password_of_any_shape_is_shown(user: str, host: str) -> None:
    assert SECRET not in terms_url.split_url(f"https://{user}:{SECRET}{user}@{host}/simple").shown


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
