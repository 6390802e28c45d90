"""The doctor without the packages that it judges: its pure parts, and its attacks on small real prefixes."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils import doctor
from ansible_collections.wavesmith.provision.plugins.module_utils.audit import elf
from ansible_collections.wavesmith.provision.plugins.module_utils.audit import libraries as audit_libraries
from ansible_collections.wavesmith.provision.plugins.module_utils.doctor import (
    evidence,
    isolation,
    native,
    prefixes,
    registry,
    stack,
    table,
    voice,
)
from ansible_collections.wavesmith.provision.plugins.module_utils.doctor import pip as doctor_pip
from ansible_collections.wavesmith.provision.plugins.module_utils.doctor.base import (
    Check,
    Context,
    Failed,
    Finding,
    Skipped,
    Spec,
    SpecError,
    perform,
)
from ansible_collections.wavesmith.provision.plugins.module_utils.doctor.worker import START
from ansible_collections.wavesmith.provision.plugins.module_utils.verify.doctor import sources

from tests.unit import test_prefix as prefix_tests

from .conftest import make_fatbin, make_library

pytestmark = pytest.mark.process

WRAPPER = """#!/bin/bash -p
unset PYTHONPATH PYTHONHOME PYTHONUSERBASE PYTHONSTARTUP PIP_USER PIP_TARGET PIP_PREFIX LD_LIBRARY_PATH LD_PRELOAD
export PYTHONNOUSERSITE=1
exec -a {prefix}/bin/python {base} "$@"
"""
ISOLATION = {check.id: check for check in isolation.CHECKS}


def packages_of(prefix: Path) -> Path:
    return prefixes.site_packages(prefix)[0]


def make_prefix(prefix: Path, *options: str, wrapped: bool) -> Path:
    """Make a virtual environment, with a guarded interpreter as an environment has it or with the plain one."""
    base = os.path.realpath(sys.executable)
    subprocess.run([base, "-I", "-m", "venv", *options, str(prefix)], check=True, capture_output=True)
    for path in (prefix / "bin").glob("python*"):
        path.unlink()
    python = prefix / "bin/python"
    if wrapped:
        python.write_text(WRAPPER.format(prefix=prefix, base=base))
        python.chmod(0o755)
    else:
        python.symlink_to(base)
    (prefix / "bin/python3").symlink_to("python")
    return prefix


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prefix as `python_env` makes it, with pip."""
    prefix = prefix_tests.Host(tmp_path_factory.mktemp("good").resolve()).make()
    wheels = [
        *Path(os.__file__).parent.glob("ensurepip/_bundled/*.whl"),
        *Path("/usr/share/python-wheels").glob("*.whl"),
    ]
    pip = next((wheel for wheel in wheels if wheel.name.startswith("pip-")), None)
    if pip is None:
        pytest.skip("this Python carries no pip")
    argv = [
        prefix_tests.UV,
        "pip",
        "install",
        "--quiet",
        "--compile-bytecode",
        "--no-index",
        "--offline",
        "--python",
        prefix / "bin/python",
        pip,
    ]
    subprocess.run(argv, check=True)
    return prefix


@pytest.fixture
def leaky(tmp_path: Path) -> Path:
    """A prefix as `python -m venv` makes it, which environment variables can open."""
    return make_prefix(tmp_path.resolve() / "leaky", "--without-pip", wrapped=False)


@pytest.fixture
def leaky_with_pip(leaky: Path, good: Path) -> Path:
    """The same with pip in it."""
    for source in packages_of(good).glob("pip*"):
        shutil.copytree(source, packages_of(leaky) / source.name)
    script = leaky / "bin/pip"
    script.write_text(f"#!{leaky}/bin/python\nfrom pip._internal.cli.main import main\nmain()\n")
    script.chmod(0o755)
    return leaky


@pytest.fixture
def context_of(tmp_path: Path) -> Callable[..., Context]:
    def make(prefix: Path, **entries: Any) -> Context:
        for name in ("scratch", "evidence"):
            (tmp_path / name).mkdir(exist_ok=True)
        spec = Spec("speech", "0123456789abcdef", prefix, tmp_path, **entries)
        return Context(spec, tmp_path / "evidence", tmp_path / "scratch")

    return make


def write_spec(path: Path, prefix: Path, **entries: Any) -> Path:
    raw = {
        "environment": "speech",
        "generation": "0123456789abcdef",
        "prefix": str(prefix),
        "root": "/opt/wavesmith",
        "stack": {"name": "cpu", "backend": "cpu", "versions": {}},
        "imports": {},
        "accelerated": False,
        "hub": "",
        **entries,
    }
    path.write_text(json.dumps(raw))
    return path


def test_what_a_check_comes_after_is_there() -> None:
    ids = {check.id for check in registry.CHECKS}
    assert {name for check in registry.CHECKS for name in check.after} <= ids


def run_doctor(tmp_path: Path, spec: Path, *options: str) -> tuple[int, dict[str, Any]]:
    out = tmp_path / "verdict.json"
    argv = ["--spec", str(spec), "--out", str(out), "--evidence", str(tmp_path / "evidence"), "--quiet", *options]
    return doctor.main(argv), json.loads(out.read_text())


# Isolation


@pytest.fixture(scope="session")
def attacked(good: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, dict[str, Any]], set[str]]:
    """All attacks on the guarded prefix: the results, and the files that they changed."""

    def files() -> set[str]:
        return {f"{path.relative_to(good)} {path.lstat().st_mtime_ns}" for path in good.rglob("*") if path.is_file()}

    scratch, before = tmp_path_factory.mktemp("scratch"), files()
    context = Context(Spec("speech", "0123456789abcdef", good, scratch), scratch, scratch)
    results = {name: perform(check, context) for name, check in ISOLATION.items()}
    return results, files() ^ before


@pytest.mark.parametrize("name", sorted(ISOLATION))
def test_a_guarded_prefix_passes(name: str, attacked: tuple[dict[str, dict[str, Any]], set[str]]) -> None:
    result = attacked[0][name]
    if result["verdict"] == "skip":
        pytest.skip(result["detail"])
    assert result["verdict"] == "pass", result


def test_attacks_leave_the_prefix_as_it_was(attacked: tuple[dict[str, dict[str, Any]], set[str]]) -> None:
    assert attacked[1] == set()


@pytest.mark.parametrize("name", ["pythonpath", "pythonhome", "pip_user", "libraries", "activated", "console_scripts"])
def test_a_plain_virtual_environment_fails(name: str, leaky_with_pip: Path, context_of: Callable[..., Context]) -> None:
    result = perform(ISOLATION[f"isolation.{name}"], context_of(leaky_with_pip))
    assert result["verdict"] == "fail", result
    assert "provisioning" in result["remedy"]


@pytest.mark.parametrize("name", ["user_site", "system_site"])
def test_a_prefix_with_system_packages_fails(name: str, leaky: Path, context_of: Callable[..., Context]) -> None:
    settings = leaky / "pyvenv.cfg"
    settings.write_text(settings.read_text().replace("site-packages = false", "site-packages = true"))
    result = perform(ISOLATION[f"isolation.{name}"], context_of(leaky))
    assert result["verdict"] == "fail", result


def test_an_unguarded_second_interpreter_is_found(leaky: Path, context_of: Callable[..., Context]) -> None:
    plain = os.readlink(leaky / "bin/python")
    (leaky / "bin/python").unlink()
    (leaky / "bin/python").write_text(WRAPPER.format(prefix=leaky, base=plain))
    (leaky / "bin/python").chmod(0o755)
    (leaky / "bin/python3").unlink()
    (leaky / "bin/python3").symlink_to(plain)
    result = perform(ISOLATION["isolation.pythonpath"], context_of(leaky))
    assert result["verdict"] == "fail"
    assert result["detail"].startswith("bin/python3: ")


@pytest.mark.parametrize("name", ["LD_LIBRARY_PATH", "LD_PRELOAD"])
def test_a_library_that_a_variable_brings_in_is_named(
    name: str, leaky_with_pip: Path, context_of: Callable[..., Context]
) -> None:
    found = perform(ISOLATION["isolation.libraries"], context_of(leaky_with_pip))["evidence"]
    assert found["nothing hostile"] == "no effect"
    assert "decoys" in found[name][0] or "cannot be imported" in found[name][0]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("no-user = true", "`no-user = true` means the opposite to pip, `user = true`; write `user = false`"),
        ("no_user: 1", "`no_user = 1` means the opposite to pip, `user = true`; write `user = false`"),
        ("user = yes", "`user = true` is ignored here; write `user = false`"),
        ("target = /srv/lib", "`target = /srv/lib` is ignored here; remove the line"),
    ],
)
def test_a_line_of_pip_conf_that_leads_elsewhere_is_named(tmp_path: Path, line: str, said: str) -> None:
    (tmp_path / "pip.conf").write_text(f"[install]\n{line}\nuser = false\nno-user = false\n# target = /x\n")
    assert doctor_pip.pip_traps(str(tmp_path / "pip.conf")) == [(2, said)]


def test_a_trap_in_the_users_pip_conf_is_said_with_file_and_line(
    good: Path, context_of: Callable[..., Context], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / ".config" / "pip" / "pip.conf"
    path.parent.mkdir(parents=True)
    path.write_text("[global]\nno-user = true\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    result = perform(ISOLATION["isolation.pip_settings"], context_of(good))
    assert (result["verdict"], result["detail"].split(": ")[0]) == ("pass", f"{path}:2")


@pytest.mark.skipif(shutil.which("sudo") is None, reason="there is no sudo here")
def test_a_plain_virtual_environment_fails_through_sudo(leaky: Path, context_of: Callable[..., Context]) -> None:
    assert perform(ISOLATION["isolation.sudo"], context_of(leaky))["verdict"] == "fail"


def test_every_decoy_that_a_leak_executes_is_named(leaky_with_pip: Path, context_of: Callable[..., Context]) -> None:
    found = perform(ISOLATION["isolation.pythonpath"], context_of(leaky_with_pip))["evidence"]
    assert "encodings of the decoy was executed" in found["a decoy of encodings"]
    assert "sitecustomize of the decoy was executed" in found["a decoy of sitecustomize"]
    assert any("pip would be imported from" in leak for leak in found["a decoy of pip"])


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("outside.pth", "/usr/share\n", "outside.pth: adds /usr/share"),
        ("code.pth", "import sys; sys.path.append('/usr/share')\n", "code.pth: runs code that names /usr/share"),
        ("thing.egg-link", "/usr/share\n", "thing.egg-link is a development install"),
        ("x-1.dist-info/direct_url.json", '{"dir_info": {"editable": true}}', "x-1.dist-info is an editable install"),
    ],
)
def test_a_file_that_leads_out_of_the_prefix_is_found(
    name: str, text: str, complaint: str, leaky: Path, context_of: Callable[..., Context]
) -> None:
    assert perform(ISOLATION["isolation.pth_files"], context_of(leaky))["verdict"] == "pass"
    path = packages_of(leaky) / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    result = perform(ISOLATION["isolation.pth_files"], context_of(leaky))
    assert result["verdict"] == "fail"
    assert complaint in result["evidence"]["problems"]


def test_a_script_of_another_python_is_found(leaky: Path, context_of: Callable[..., Context]) -> None:
    script = leaky / "bin/tool"
    script.write_text("#!/usr/bin/python3\n")
    result = perform(ISOLATION["isolation.console_scripts"], context_of(leaky))
    assert "bin/tool starts /usr/bin/python3" in result["evidence"]["problems"]


@pytest.mark.parametrize(
    ("text", "interpreter"),
    [
        ("#!/p/bin/python\n", "/p/bin/python"),
        ("#!/usr/bin/env python3\n", "python3"),
        ('#!/bin/sh\n\'\'\'exec\' "/long/bin/python" "$0" "$@"\n', "/long/bin/python"),
        ("no script\n", None),
    ],
)
def test_shebang_names_the_interpreter(tmp_path: Path, text: str, interpreter: str | None) -> None:
    path = tmp_path / "script"
    path.write_text(text)
    assert prefixes.shebang(path) == interpreter


# ELF


def tiny_elf(needed: list[str], soname: str = "", runpath: str = "") -> bytes:
    """A 64-bit little-endian shared object with a dynamic section and nothing else."""
    strings, pairs = b"\0", []
    for tag, text in [(elf.DT_NEEDED, name) for name in needed] + [(elf.DT_SONAME, soname), (elf.DT_RUNPATH, runpath)]:
        if text:
            pairs.append((tag, len(strings)))
            strings += text.encode() + b"\0"
    start, shift = 64 + 2 * 56, 0x1000
    dynamic_size = 16 * (len(pairs) + 2)
    pairs += [(elf.DT_STRTAB, shift + start + dynamic_size), (elf.DT_NULL, 0)]
    dynamic = b"".join(struct.pack("<qQ", *pair) for pair in pairs)
    total = start + dynamic_size + len(strings)
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    header = struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 64, 0, 0, 64, 56, 2, 64, 0, 0)
    load = struct.pack("<IIQQQQQQ", elf.PT_LOAD, 4, 0, shift, shift, total, total, 0x1000)
    section = struct.pack(
        "<IIQQQQQQ", elf.PT_DYNAMIC, 4, start, shift + start, shift + start, dynamic_size, dynamic_size, 8
    )
    return ident + header + load + section + dynamic + strings


def test_needed_and_runpath_are_read(tmp_path: Path) -> None:
    path = tmp_path / "libx.so"
    path.write_bytes(tiny_elf(["liba.so.1", "libb.so"], "libx.so.2", "$ORIGIN:$ORIGIN/../lib"))
    assert elf.read_dynamic(path) == elf.Dynamic(
        "x86_64", ("liba.so.1", "libb.so"), "libx.so.2", (), ("$ORIGIN", "$ORIGIN/../lib")
    )


def test_a_program_and_a_library_of_the_system_are_read() -> None:
    assert any(name.startswith("libc.") for name in elf.read_dynamic(Path("/bin/sh").resolve()).needed)
    maps = Path("/proc/self/maps").read_text().split()
    libc = next(word for word in maps if "/libc.so" in word or "/libc-" in word)
    assert elf.read_dynamic(Path(libc)).soname.startswith("libc.so")


@pytest.mark.parametrize("content", [b"", b"#!/bin/sh\n", tiny_elf(["a"])[:40], b"\x7fELF" + bytes(60)])
def test_what_is_no_elf_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.so"
    path.write_bytes(content)
    with pytest.raises(elf.NotElf):
        elf.read_dynamic(path)


@pytest.fixture
def with_library(leaky: Path, context_of: Callable[..., Context]) -> Callable[..., dict[str, Any]]:
    """Judge the native libraries of a prefix that holds one more."""

    def judge(name: str, needed: list[str], runpath: str = "", soname: str = "", **entries: Any) -> dict[str, Any]:
        path = packages_of(leaky) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tiny_elf(needed, soname, runpath))
        return perform(native.CHECKS[0], context_of(leaky, **entries))

    return judge


def test_a_library_that_nothing_provides_is_a_failure(with_library: Callable[..., dict[str, Any]]) -> None:
    """The CUDA build of torchaudio beside a torch without CUDA."""
    result = with_library("torchaudio/lib/libtorchaudio.so", ["libc.so.6", "libc10_cuda.so"])
    assert result["verdict"] == "fail"
    assert result["detail"] == "torchaudio/lib/libtorchaudio.so needs libc10_cuda.so"
    assert "origin" in result["remedy"]


def test_libraries_are_found_by_runpath_or_in_the_prefix(with_library: Callable[..., dict[str, Any]]) -> None:
    with_library("torch/lib/libc10.so", ["libc.so.6"])
    assert with_library("one/_one.so", ["libc10.so"], "$ORIGIN/../torch/lib")["verdict"] == "pass"
    result = with_library("two/_two.so", ["libc10.so"])
    assert result["verdict"] == "pass"
    assert result["evidence"]["loaded first by their package"] == {"libc10.so": 1}


def ffmpeg_cores(with_library: Callable[..., dict[str, Any]], *there: int, **entries: Any) -> dict[str, Any]:
    """Judge a prefix with one core of a codec for each FFmpeg from 4 to 8, on a host with these."""
    result: dict[str, Any] = {}
    for version in there:
        with_library(f"host/libavcodec-test{version}.so", [], soname=f"libavcodec-test.so.{version + 54}")
    for version in range(4, 9):
        needed = ["libc.so.6", f"libavcodec-test.so.{version + 54}"]
        result = with_library(f"torchcodec/libtorchcodec_core{version}.so", needed, **entries)
    return result


@pytest.mark.parametrize("version", [4, 5, 6, 7, 8])
def test_an_environment_with_torchcodec_is_healthy_where_one_core_fits_the_ffmpeg_of_the_host(
    with_library: Callable[..., dict[str, Any]], version: int
) -> None:
    result = ffmpeg_cores(with_library, version)
    assert result["verdict"] == "pass"
    assert f"torchcodec/libtorchcodec_core{version}.so fits of its alternatives" in result["detail"]


def test_an_environment_with_torchcodec_fails_where_no_core_fits(with_library: Callable[..., dict[str, Any]]) -> None:
    result = ffmpeg_cores(with_library)
    assert result["verdict"] == "fail"
    assert result["detail"].startswith("none of torchcodec/libtorchcodec_core{4,5,6,7,8}.so can be loaded")
    assert "libavcodec-test" in result["detail"]
    assert len(result["evidence"]["missing"]) == 1


@pytest.mark.parametrize(
    ("backend", "verdict"), [("cuda13_0", "pass"), ("cuda12_8", "fail"), ("cuda14_0", "fail"), ("cpu", "pass")]
)
def test_of_libraries_for_several_cudas_the_one_for_the_stacks_must_be_there(
    with_library: Callable[..., dict[str, Any]], backend: str, verdict: str
) -> None:
    with_library("nvidia/cu13/lib/libcublas.so.13", [], soname="libcublas.so.13")
    with_library("bitsandbytes/libbitsandbytes_cpu.so", ["libc.so.6"])
    with_library("bitsandbytes/libbitsandbytes_cuda128.so", ["libcublas.so.12"])
    result = with_library("bitsandbytes/libbitsandbytes_cuda130.so", ["libcublas.so.13"], backend=backend)
    assert result["verdict"] == verdict


@pytest.mark.parametrize(
    ("opens", "there"),
    [
        ("libcublas.so.12", "libcublas.so.13"),
        ("libcudnn.so.8", "libcudnn.so.9"),
        ("libcufft.so.11", "libcufft.so.12"),
    ],
)
def test_a_library_that_is_opened_by_name_and_has_another_version_is_a_failure(
    leaky: Path, context_of: Callable[..., Context], opens: str, there: str
) -> None:
    for name, content in {
        "ctranslate2.libs/libctranslate2.so.4": make_library(make_fatbin((90, "", "sass")), opens=[opens]),
        f"nvidia/cu13/lib/{there}": make_library(soname=there),
    }.items():
        path = packages_of(leaky) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    result = perform(native.CHECKS[0], context_of(leaky, accelerated=True, backend="cuda13_0"))
    assert result["verdict"] == "fail"
    assert f"opens {opens} by name, but only {there} is present" in result["detail"]
    assert result["remedy"].startswith("take a build for the stack's CUDA")


def test_what_python_code_opens_must_be_on_the_host(
    with_library: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_libraries, "OPENED_FROM_PYTHON", (("sounds", "libwavesmith-test.so.2", "sounds.py"),))
    result = with_library("x/x.so", ["libc.so.6"], imports={"sounds": "sounds"})
    assert result["detail"] == "sounds opens libwavesmith-test.so.2 by name, and nothing provides it"


def test_plug_ins_may_lack_their_library(with_library: Callable[..., dict[str, Any]]) -> None:
    result = with_library("nvidia/nvshmem/lib/nvshmem_transport_x.so.3", ["libnothere.so.1"])
    assert result["verdict"] == "pass"
    assert any("libnothere.so.1" in name for name in result["evidence"]["optional plug-ins without their library"])


def test_the_driver_is_missed_only_where_an_accelerator_is_wanted(with_library: Callable[..., dict[str, Any]]) -> None:
    absent = "libnvidia-wavesmith-test.so.1"
    assert with_library("torch/lib/x.so", [absent])["verdict"] == "pass"
    result = with_library("torch/lib/x.so", [absent], accelerated=True)
    assert (result["verdict"], result["evidence"]["failure"]) == ("fail", "driver_missing")


# Stack


@pytest.mark.parametrize(
    ("wanted", "found", "same"),
    [
        ("2.11.0", "2.11.0", True),
        ("2.11.0", "2.11.0+cpu", True),
        ("2.11.0+cpu", "2.11.0+cpu", True),
        ("2.11.0+cpu", "2.11.0", False),
        ("2.11.0", "2.11.1", False),
        ("2.11.0", "", False),
    ],
)
def test_a_local_version_counts_only_when_asked_for(wanted: str, found: str, same: bool) -> None:
    assert stack.same_version(wanted, found) is same


def test_a_replaced_stack_package_is_found(good: Path, context_of: Callable[..., Context]) -> None:
    result = perform(stack.CHECKS[0], context_of(good, versions={"pip": "1.0", "torch": "2.11.0"}))
    assert result["verdict"] == "fail"
    assert "torch is not installed, the stack wants 2.11.0" in result["detail"]
    assert "the stack wants 1.0" in result["detail"]


@pytest.mark.parametrize(("line", "cuda"), [("cuda: Optional[str] = '13.0'", "13.0"), ("cuda = None", "")])
def test_the_cuda_of_torch_is_read_without_importing_it(leaky: Path, line: str, cuda: str) -> None:
    assert stack.torch_cuda(leaky) is None
    (packages_of(leaky) / "torch").mkdir()
    (packages_of(leaky) / "torch/version.py").write_text(f"__version__ = '2.11.0'\n{line}\n")
    assert stack.torch_cuda(leaky) == cuda


def test_imports_go_on_after_a_package_that_crashes(leaky: Path, context_of: Callable[..., Context]) -> None:
    (packages_of(leaky) / "crashing.py").write_text("import os\nos.kill(os.getpid(), 11)\n")
    (packages_of(leaky) / "last.py").touch()
    (packages_of(leaky) / "noisy.py").write_text("import os\nprint('{\"package\": 1}')\nos.write(1, b'noise')\n")
    wanted = {"absent": "absent_module", "crash": "crashing", "noisy": "noisy", "last": "last"}
    result = perform(stack.CHECKS[1], context_of(leaky, imports=wanted))
    assert result["verdict"] == "fail"
    assert result["detail"].startswith("absent: ModuleNotFoundError")
    assert "signal 11" in result["evidence"]["crash"]["error"]
    assert "error" not in result["evidence"]["noisy"]
    assert "error" not in result["evidence"]["last"]


def test_binaries_that_do_not_serve_the_gpu_are_a_failure_with_their_targets(
    good: Path, context_of: Callable[..., Context], monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = {"id": "no_code_for_gpu", "detail": "it cannot serve SM 11.0", "remedy": "choose another stack"}
    monkeypatch.setattr(stack, "problems", lambda *_: ([problem], {"targets": {"sass": {}}, "cpu_only": []}))
    result = perform(stack.CHECKS[2], context_of(good, sms=["11.0"]))
    assert (result["verdict"], result["detail"], result["remedy"]) == ("fail", problem["detail"], problem["remedy"])
    assert result["evidence"] == {"GPUs": ["11.0"], "targets": {"sass": {}}}


def test_binaries_that_serve_the_gpu_pass(
    good: Path, context_of: Callable[..., Context], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack, "problems", lambda *_: ([], {"targets": {}, "cpu_only": []}))
    assert perform(stack.CHECKS[2], context_of(good, sms=["11.0"]))["verdict"] == "pass"


def test_what_is_built_for_the_cpu_only_is_named_where_there_is_a_gpu(
    good: Path, context_of: Callable[..., Context], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack, "problems", lambda *_: ([], {"targets": {}, "cpu_only": ["ctranslate2", "onnxruntime"]}))
    result = perform(stack.CHECKS[2], context_of(good, sms=["12.1"]))
    assert result["verdict"] == "pass"
    assert result["detail"].endswith("; ctranslate2, onnxruntime: built for the CPU only")


def test_binaries_that_nobody_has_to_read_are_skipped_not_passed(
    good: Path, context_of: Callable[..., Context]
) -> None:
    assert perform(stack.CHECKS[2], context_of(good))["verdict"] == "skip"


def test_what_a_check_computes_with_and_is_not_there_is_a_skip_not_a_failure(
    good: Path, context_of: Callable[..., Context]
) -> None:
    context = context_of(good)
    context.needs("json")
    with pytest.raises(Skipped, match="no_such_module, which this is computed with, is not part of this environment"):
        context.needs("no_such_module")


def test_a_module_from_outside_the_prefix_is_a_failure(good: Path, context_of: Callable[..., Context]) -> None:
    result = perform(stack.CHECKS[1], context_of(good, imports={"json": "json"}))
    assert "outside the prefix" in result["detail"]


# A check, the worker and the verdict


@pytest.mark.parametrize(
    ("outcome", "verdict", "detail"),
    [
        (Finding("good"), "pass", "good"),
        (Skipped("no hub"), "skip", "no hub"),
        (Failed("bad", "mend it"), "fail", "bad"),
        (ZeroDivisionError("by zero"), "fail", "ZeroDivisionError: by zero"),
    ],
)
def test_whatever_a_check_does_becomes_its_verdict(
    outcome: Finding | Exception, verdict: str, detail: str, tmp_path: Path, context_of: Callable[..., Context]
) -> None:
    def act(context: Context) -> Finding:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    result = perform(Check("x.y", "title", act), context_of(tmp_path))
    assert (result["verdict"], result["detail"]) == (verdict, detail)
    assert bool(result["remedy"]) == (verdict == "fail")


def test_a_healthy_prefix_exits_zero(tmp_path: Path, good: Path) -> None:
    code, verdict = run_doctor(tmp_path, write_spec(tmp_path / "spec.json", good), "--only", "isolation.pythonhome")
    assert code == 0
    assert {key: verdict[key] for key in ("schema", "environment", "generation", "verdict", "exit")} == {
        "schema": 1,
        "environment": "speech",
        "generation": "0123456789abcdef",
        "verdict": "healthy",
        "exit": 0,
    }
    assert sorted(verdict["checks"][0]) == [
        "at",
        "cpu",
        "detail",
        "evidence",
        "id",
        "remedy",
        "seconds",
        "title",
        "verdict",
    ]


def test_a_leaky_prefix_exits_one(tmp_path: Path, leaky: Path) -> None:
    code, verdict = run_doctor(tmp_path, write_spec(tmp_path / "spec.json", leaky), "--only", "isolation.pythonhome")
    assert (code, verdict["verdict"]) == (1, "failed")


@pytest.mark.parametrize("only", ["nothing", "voice.mell", "Stack"])
def test_a_check_that_is_not_there_is_told_with_the_remedy(tmp_path: Path, only: str) -> None:
    code, verdict = run_doctor(tmp_path, write_spec(tmp_path / "spec.json", tmp_path), "--only", only)
    assert code == 2 and [f"begins with {only}. Remedy: --list" in check["detail"] for check in verdict["checks"]] == [
        True
    ]


def test_nothing_but_skipped_checks_is_unjudged(tmp_path: Path, good: Path) -> None:
    code, verdict = run_doctor(tmp_path, write_spec(tmp_path / "spec.json", good), "--only", "voice.mel")
    assert (code, verdict["verdict"]) == (2, "unjudged")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "cannot read the specification"),
        ("[]", "is not a mapping"),
        ('{"environment": "speech"}', "lacks 'generation'"),
        ('{"environment": 3}', "'environment' is int, not str"),
        ('{"environment": "s", "generation": "g", "prefix": "/nowhere/at/all"}', "is not a folder: /nowhere/at/all"),
        ('{"environment": "s", "generation": "g", "prefix": "/", "imports": {"a": 1}}', "value that is not text: a"),
    ],
)
def test_a_bad_specification_exits_two_and_says_why(tmp_path: Path, text: str, complaint: str) -> None:
    spec = tmp_path / "spec.json"
    spec.write_text(text)
    with pytest.raises(SpecError, match=complaint):
        Spec.read(spec)
    code, verdict = run_doctor(tmp_path, spec)
    assert (code, verdict["verdict"]) == (2, "unjudged")
    assert complaint in verdict["checks"][0]["detail"]


def test_a_copy_of_its_rooms_is_all_that_a_host_needs(tmp_path: Path, good: Path) -> None:
    for name, text in sources({}).items():
        path = tmp_path / "rooms" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)
    spec = write_spec(tmp_path / "spec.json", good)
    argv = [
        good / "bin/python",
        "-c",
        START,
        tmp_path / "rooms",
        "--spec",
        spec,
        "--out",
        tmp_path / "out/verdict.json",
    ]
    argv += [
        "--evidence",
        tmp_path / "evidence",
        "--only",
        "isolation.user",
        "--only",
        "torch.computes",
        "--progress",
        "--quiet",
    ]
    done = subprocess.run([str(word) for word in argv], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(line["phase"], line["n"], line["m"]) for line in lines] == [("check", 1, 2), ("check", 2, 2)]
    assert json.loads((tmp_path / "out/verdict.json").read_text())["verdict"] == "healthy"


def test_sounds_of_an_earlier_run_are_forgotten(tmp_path: Path) -> None:
    for name in (*voice.FILES, "kept.txt"):
        (tmp_path / name).touch()
    voice.forget(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]


def test_ids_are_unique_and_every_check_has_a_remedy() -> None:
    assert len({check.id for check in registry.CHECKS}) == len(registry.CHECKS)
    assert all(check.remedy and check.title for check in registry.CHECKS)


# The table


@pytest.mark.parametrize("width", [60, 80, 140])
def test_the_table_keeps_to_its_width(width: int) -> None:
    checks = [
        {"id": "isolation.user_site", "verdict": "pass", "detail": "fine", "seconds": 0.12},
        {"id": "voice.mel", "verdict": "fail", "detail": "音声 differs " * 20, "remedy": "mend " * 40, "seconds": 12},
        {"id": "voice.pitch", "verdict": "skip", "detail": "no speech", "seconds": 0},
    ]
    shown = table.render({"environment": "speech", "verdict": "failed", "seconds": 3.2, "checks": checks}, width)
    lines = shown.splitlines()
    assert all(table.display_width(line) <= width for line in lines)
    assert "remedy: mend" in shown
    assert lines[-1] == "✗ failed: 1 pass, 1 fail, 1 skip, 3.2 s"


def test_the_table_draws_whatever_it_is_given() -> None:
    assert "unjudged: 0 pass, 0 fail, 0 skip" in table.render({})
    assert "? x" in table.render({"checks": [{"id": "x"}]})


def test_a_word_longer_than_the_line_is_broken() -> None:
    assert table.wrap("ab /a/very/long/path 音音音", 6) == ["ab", "/a/ver", "y/long", "/path", "音音音"]
    assert table.wrap("", 6) == [""]


def test_wide_and_combining_characters_are_measured() -> None:
    assert [table.display_width(text) for text in ("abc", "音声", "e\u0301", "✓")] == [3, 4, 1, 1]
    assert table.pad("音", 4) == "音  "


# Evidence and the voice


def test_png_holds_the_pixels() -> None:
    picture = evidence.png([bytes(range(6)), bytes(range(6, 12))], 2)
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    place, chunks = 8, {}
    while place < len(picture):
        size, kind = struct.unpack_from(">I4s", picture, place)
        content = picture[place + 8 : place + 8 + size]
        assert zlib.crc32(kind + content) == struct.unpack_from(">I", picture, place + 8 + size)[0]
        chunks[kind] = content
        place += 12 + size
    assert struct.unpack(">IIBBBBB", chunks[b"IHDR"]) == (2, 2, 8, 2, 0, 0, 0)
    assert zlib.decompress(chunks[b"IDAT"]) == b"\0\0\1\2\3\4\5\0\6\7\x08\x09\x0a\x0b"
    with pytest.raises(ValueError, match="wrong length"):
        evidence.png([b"\0"], 2)


def test_a_panel_is_stretched_from_dark_to_bright() -> None:
    (row,) = evidence.panel([[0, 255]], 4)
    dark, bright = bytes(evidence.COLOURS[0]), bytes(evidence.COLOURS[-1])
    assert row == dark * 2 + bright * 2


def test_wav_files_come_back(tmp_path: Path) -> None:
    evidence.write_wav(tmp_path / "x.wav", 24000, [0.0, 0.5, -2.0, 2.0])
    rate, samples = evidence.read_wav(tmp_path / "x.wav")
    assert (rate, list(samples)) == (24000, [0, 16383, -32767, 32767])


def test_phonemes_are_compared_without_stress_and_punctuation() -> None:
    stressed = "h\u0259l\u02c8o\u028a, w\u02c8\u025c\u02d0ld"
    assert voice.bare(stressed) == voice.bare("h\u0259lo\u028a w\u025c\u02d0ld") == "h\u0259lo\u028aw\u025c\u02d0ld"
    assert voice.bare("t\u0361\u0283") == voice.bare("t\u0283")
    assert voice.bare("hello") != voice.bare("hallo")


@pytest.fixture
def hub() -> Iterator[tuple[str, list[int]]]:
    """A hub on this machine, and the status it answers with."""
    status = [200]

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(status[0])
            self.end_headers()

        def log_message(self, *words: Any) -> None:
            del words

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", status
        server.shutdown()


def test_a_hub_answers_unless_it_is_broken(hub: tuple[str, list[int]]) -> None:
    address, status = hub
    answers = {}
    for code in (200, 404, 503):
        status[0] = code
        answers[code] = voice.hub_answers(address)
    assert answers == {200: True, 404: True, 503: False}


@pytest.mark.parametrize("address", ["", "ftp://127.0.0.1", "http://127.0.0.1:1"])
def test_no_hub_does_not_answer(address: str) -> None:
    assert not voice.hub_answers(address, timeout=1.0)
