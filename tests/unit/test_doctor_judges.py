"""The doctor judges each check in a process of its own: whatever becomes of that process is the check's verdict."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.doctor import words
from ansible_collections.wavesmith.provision.plugins.module_utils.records import shape
from ansible_collections.wavesmith.provision.plugins.module_utils.records.generation import Verdict
from ansible_collections.wavesmith.provision.plugins.module_utils.verify.doctor import install, sources

from .test_doctor import make_prefix, packages_of, write_spec

CHECKS = """
import ctypes, os, subprocess, sys, time
from ..base import Check, Finding

def segfault(context):
    ctypes.string_at(0)

def abort(context):
    os.write(2, b"terminate called after throwing an instance of 'std::runtime_error'\\n  what():  no kernel image is available\\n")
    os.abort()

def ends(context):
    print("Error: the licence server does not answer")
    os._exit(7)

def exits(context):
    sys.exit("no device")

def cannot_keep(context):
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # as a full disk: every write is an error
    return Finding("fine")

def unkept(context):
    os.mkdir(context.scratch.parent / "own.unkept.part")
    return Finding("found, and nowhere to keep it")


def hangs(context):
    subprocess.Popen(["sleep", "61"])
    wait_for_the_driver()

def wait_for_the_driver():
    time.sleep(60)

def noisy(context):
    print('{"ended": "own.noisy", "code": 9}', flush=True)
    return Finding("spoke")

def slow(context):
    time.sleep(0.8)
    (context.evidence / "file").write_text(str(os.getpid()))
    return Finding("slow")

def follows(context):
    assert (context.evidence / "file").read_text() != str(os.getpid())
    return Finding("found it")

CHECKS = (
    *(Check(f"own.{run.__name__}", run.__name__, run, "mend it", heavy=True, timeout=20) for run in (segfault, abort, ends, exits, cannot_keep, noisy, unkept)),
    Check("own.hangs", "hangs", hangs, heavy=True, timeout=1.0),
    Check("own.slow", "slow", slow), Check("own.slow2", "slow", slow), Check("own.follows", "follows", follows, heavy=True, after=("own.slow",)),
    Check("own.needs", "needs", slow, needs=("torch",)),
    Check("own.applies", "applies", slow, applies=lambda spec: "" if spec.accelerated else "no GPU is wanted"),
)
"""


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bare environment with a torch of ours, which `broken.py` in it makes worse."""
    made = make_prefix(tmp_path_factory.mktemp("judged").resolve() / "prefix", "--without-pip", wrapped=True)
    (packages_of(made) / "torch.py").write_text("")
    return made


def judged(prefix: Path, folder: Path, *options: str, own: str = CHECKS) -> tuple[int, Verdict, str]:
    """What the program in an environment says, with its exit status and what else it printed."""
    program = install(
        str(folder), str(prefix), json.loads(write_spec(folder / "s.json", prefix).read_text()), sources({"own": own})
    )
    argv = [program, "--json", "--evidence", str(folder / "evidence"), *options]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, shape.read(json.loads(done.stdout), Verdict, "the verdict", ""), done.stderr


@pytest.fixture(scope="module")
def results(prefix: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("results")
    code, verdict, _ = judged(prefix, folder, "--only", "own.", "--only", "isolation.pip_settings")
    assert (code, verdict["verdict"]) == (1, "failed")
    return {check["id"]: check for check in verdict["checks"]}


@pytest.mark.process
@pytest.mark.parametrize(
    ("name", "said", "more"),
    [
        (
            "segfault",
            "the process was ended by signal 11 (SIGSEGV): Segmentation fault, in string_at (__init__.py:",
            "in segfault",
        ),
        ("abort", "signal 6 (SIGABRT): what():  no kernel image is available", "terminate called after"),
        ("ends", "the process ended with exit 7: Error: the licence server does not answer", "licence"),
        ("exits", "SystemExit: no device", "Traceback"),
        ("cannot_keep", "result lost: [Errno 27] File too large", ""),
        ("unkept", "result lost: [Errno 21] Is a directory", ""),
    ],
)
def test_the_end_of_its_process_fails_a_check_with_what_it_said(
    results: dict[str, Any], name: str, said: str, more: str
) -> None:
    found = results[f"own.{name}"]
    assert (found["verdict"], found["remedy"]) == ("fail", "mend it")
    assert said in found["detail"]
    assert not more or any(more in line for line in found["evidence"]["said"]), found


@pytest.mark.process
def test_out_of_time_is_not_judged_and_says_where_it_hung(results: dict[str, Any]) -> None:
    found = results["own.hangs"]
    assert found["verdict"] == "unjudged"
    assert "it did not answer within 1 s: it hung, in wait_for_the_driver" in found["detail"]
    assert "--only own.hangs" in found["remedy"]
    assert found["seconds"] < 10


@pytest.mark.process
def test_the_others_go_on_side_by_side_and_after_each_other(results: dict[str, Any]) -> None:
    assert {results[f"own.{name}"]["verdict"] for name in ("noisy", "slow", "slow2", "follows")} == {"pass"}
    assert results["isolation.pip_settings"]["verdict"] == "pass"


@pytest.mark.process
def test_what_a_check_needs_and_what_it_applies_to_are_reasons_to_skip(results: dict[str, Any]) -> None:
    assert (results["own.needs"]["verdict"], results["own.needs"]["detail"]) == (
        "skip",
        "torch is not part of this environment",
    )
    assert (results["own.applies"]["verdict"], results["own.applies"]["detail"]) == ("skip", "no GPU is wanted")


@pytest.mark.process
def test_nothing_that_a_check_started_is_left(results: dict[str, Any]) -> None:
    del results
    end = time.monotonic() + 5
    while time.monotonic() < end:
        commands = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                commands.append(path.read_bytes())
            except OSError:
                continue
        if b"sleep\x0061\x00" not in commands:
            return
        time.sleep(0.1)
    raise AssertionError("a process of a check that hung is still there")


@pytest.mark.process
def test_one_check_that_could_not_be_judged_leaves_all_unjudged(prefix: Path, tmp_path: Path) -> None:
    code, verdict, _ = judged(prefix, tmp_path, "--only", "own.hangs", "--only", "own.noisy")
    assert (code, verdict["verdict"]) == (2, "unjudged")


@pytest.mark.process
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "raise ImportError('libcudart.so.13: cannot open shared object file')",
            "libcudart.so.13: cannot open shared object",
        ),
        (
            "import os; os.write(2, b'Illegal instruction in libtorch\\n'); os.abort()",
            "Illegal instruction in libtorch",
        ),
        ("import ctypes; ctypes.string_at(0)", "signal 11"),
    ],
)
def test_a_torch_that_breaks_what_loads_it_fails_the_checks_that_want_it_and_no_other(
    prefix: Path, tmp_path: Path, text: str, said: str
) -> None:
    own = """
from ..base import Check, Finding
def loads(context):
    import torch
    return Finding("loaded")
CHECKS = (Check("own.loads", "loads", loads, heavy=True), Check("own.other", "other", lambda _: Finding("fine"), heavy=True))
"""
    torch = packages_of(prefix) / "torch.py"
    torch.write_text(text)
    try:
        code, verdict, _ = judged(prefix, tmp_path, "--only", "own.", own=own)
    finally:
        torch.write_text("")
    loads, other = verdict["checks"]
    assert (code, loads["verdict"], other["verdict"]) == (1, "fail", "pass")
    assert said in loads["detail"]


@pytest.mark.process
def test_an_interpreter_that_never_starts_fails_every_check(tmp_path: Path) -> None:
    leaky = make_prefix(tmp_path.resolve() / "leaky", "--without-pip", wrapped=False)
    base = os.readlink(leaky / "bin/python")
    (leaky / "bin/python").unlink()
    (leaky / "bin/python").write_text(
        f'#!/bin/sh\ncase "$*" in *--nurse*) echo "bad interpreter: Exec format error" >&2; kill -9 $$;; esac\nexec {base} "$@"\n'
    )
    (leaky / "bin/python").chmod(0o755)
    code, verdict, _ = judged(leaky, tmp_path, "--only", "own.noisy", "--only", "own.slow")
    assert (code, {check["verdict"] for check in verdict["checks"]}) == (1, {"fail"})
    assert all(
        "signal 9 (SIGKILL): bad interpreter: Exec format error" in check["detail"] for check in verdict["checks"]
    )


@pytest.mark.process
def test_the_program_of_the_host_runs_those_of_its_environments(prefix: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    for name in ("speech", "voice"):
        (root / "envs" / name).mkdir(parents=True)
        (root / "envs" / name / "current").symlink_to(prefix)
    install(str(root), str(prefix), json.loads(write_spec(tmp_path / "s.json", prefix).read_text()), sources({}))

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([str(root / "bin/wavesmith-doctor"), *words], capture_output=True, text=True, check=False)

    both = run("--only", "isolation.pip_settings")
    assert (both.returncode, both.stdout.count("✓ healthy: 1 pass")) == (0, 2)
    assert run("speech", "--only", "isolation.pip_settings").stdout.count("✓ healthy") == 1
    assert (run("speech", "--only", "torch").returncode, run("speech", "--list").returncode) == (2, 0)
    lost = run("spech")
    assert lost.returncode == 2
    assert "no environment spech" in lost.stderr
    assert "speech voice" in lost.stderr


SEGFAULT = """\
Fatal Python error: Segmentation fault

Current thread 0x00007f3f (most recent call first):
  File "/p/site-packages/torch/_ops.py", line 755 in __call__
  File "/p/site-packages/torch/nn/functional.py", line 12 in conv1d

Extension modules: numpy.core._multiarray_umath, torch._C (total: 2)
"""
LINKER = "/p/bin/python: symbol lookup error: /p/torch/lib/libtorch_cpu.so: undefined symbol: iJIT_NotifyEvent\n"
CUDA = """\
/p/torch/cuda/__init__.py:287: UserWarning: NVIDIA Thor with CUDA capability sm_110 is not compatible with the current PyTorch
  warnings.warn(
Traceback (most recent call last):
  File "/p/x.py", line 3, in <module>
    y = torch.ones(2, device="cuda") @ x
        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
torch.AcceleratorError: CUDA error: no kernel image is available for execution on the device
CUDA kernel errors might be asynchronously reported at some other API call, so the stacktrace below might be incorrect.
For debugging consider passing CUDA_LAUNCH_BLOCKING=1
"""
ROCBLAS = """\
rocBLAS error: Cannot read /opt/rocm/lib/rocblas/library/TensileLibrary.dat: No such file or directory for GPU arch : gfx1103
Fatal Python error: Aborted

Thread 0x00007 (most recent call first):
  File "/p/measure.py", line 9 in measure
"""
CXX = """\
terminate called after throwing an instance of 'c10::Error'
  what():  CUDA driver error: device not ready
Exception raised from create at ../aten/src/ATen/cuda/CUDABlas.cpp:1 (most recent call first):
frame #0: c10::Error::Error(c10::SourceLocation, std::string) + 0x57
frame #1: <unknown function> + 0x1
"""
HANG = """\
Timeout (0:01:00)!
Thread 0x00007 (most recent call first):
  File "/p/torch/cuda/__init__.py", line 314 in _lazy_init
  File "/p/x.py", line 1 in <module>
"""


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (SEGFAULT, "Segmentation fault, in __call__ (_ops.py:755)"),
        (LINKER, LINKER.strip()),
        (CUDA, "torch.AcceleratorError: CUDA error: no kernel image is available for execution on the device"),
        (ROCBLAS, ROCBLAS.splitlines()[0]),
        (CXX, "what():  CUDA driver error: device not ready"),
        (HANG, "it hung, in _lazy_init (__init__.py:314)"),
        (
            "python: malloc.c:2617: sysmalloc: Assertion `old_top' failed.\nlast words\n",
            "python: malloc.c:2617: sysmalloc: Assertion `old_top' failed.",
        ),
        ("Killed\n", "Killed"),
        ("working on it\nbye\n", "bye"),
        ("", ""),
    ],
)
def test_the_line_that_says_most_is_shown(text: str, line: str) -> None:
    assert words.summary(text) == line


@pytest.mark.parametrize(
    ("text", "wanted", "unwanted"),
    [
        (CUDA, ["CUDA error: no kernel image", 'File "/p/x.py", line 3'], ["^^^^", "warnings.warn("]),
        (SEGFAULT, ["Fatal Python error", "line 755 in __call__", "line 12 in conv1d"], []),
        (
            "\n".join(f"step {number} failed" for number in range(500)),
            ["step 0 failed", "step 499 failed", "more lines"],
            ["step 250 failed"],
        ),
        (
            "\n".join(["progress"] * 300 + ["bus error", *(f"epoch {number}" for number in range(50))]),
            ["bus error", "epoch 49"],
            ["epoch 3\n"],
        ),
    ],
)
def test_all_that_matters_is_kept_and_not_more(text: str, wanted: list[str], unwanted: list[str]) -> None:
    kept = "\n".join(words.lines(text))
    assert all(line in kept for line in wanted), kept
    assert not any(line in kept for line in unwanted), kept
    assert len(kept.splitlines()) <= words.MOST_LINES + 1


@pytest.mark.parametrize(
    ("code", "how"),
    [
        (0, "the process ended with exit 0"),
        (127, "the process ended with exit 127"),
        (-4, "the process was ended by signal 4 (SIGILL)"),
        (-99, "the process was ended by signal 99"),
    ],
)
def test_how_a_process_ended_is_said(code: int, how: str) -> None:
    assert words.ending(code) == how
