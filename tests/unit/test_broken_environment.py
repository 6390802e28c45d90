"""Failures that are really produced in an environment that was really provisioned, each named by the doctor with its remedy.

``WAVESMITH_LAB`` may name the prefix of a provisioned environment with these packages; else one is provisioned. It is broken and mended in
place. ``WAVESMITH_WRITE_DOCS=1`` writes the table of docs/doctor.md from what was seen.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.doctor.base import REPAIR

from .lab import KILLED, ROOT, Given, Lab, bound, really

DOCUMENT = ROOT / "docs" / "doctor.md"
HEAD = "| what was done | check | what it says | remedy |\n| --- | --- | --- | --- |\n"
GPU = {"accelerated": True, "stack": {"name": "cuda13_0", "backend": "cuda13_0", "versions": {}}}
Damage = Callable[[Lab], AbstractContextManager[Given]]


@dataclass(frozen=True)
class Case:
    """A failure.

    Attributes:
        what: What is done.
        damage: Does it, and undoes it.
        check: The check that has to find it.
        says: What the check has to say.
        failure: The known failure that it has to name, or words of its own remedy.
    """

    what: str
    damage: Damage
    check: str
    says: str
    failure: str


CASES: list[Case] = []


def broken(what: str, check: str, says: str, failure: str) -> Callable[[Callable[[Lab], Iterator[Given]]], Damage]:
    """Add a case."""

    def add(damage: Callable[[Lab], Iterator[Given]]) -> Damage:
        made = contextmanager(damage)
        CASES.append(Case(what, made, check, says, failure))
        return made

    return add


def small(size: str, place: Path) -> list[str]:
    """Start something whose temporary files lie on a file system of this size."""
    place.mkdir(exist_ok=True)
    script = 'mount -t tmpfs -o size="$1" none "$2" || exit 90; export TMPDIR="$2"; shift 2; exec "$@"'
    return ["unshare", "--mount", "sh", "-c", script, "sh", size, str(place)]


# host


@broken("64 MiB for temporary files", "host.disk", r"64 MiB are free at ", "disk_full")
def _(lab: Lab) -> Iterator[Given]:
    yield Given(small("64m", lab.work / "small"))


@broken("a disk that is full while sound is converted", "native.ffmpeg", r"No space left on device", "disk_full")
def _(lab: Lab) -> Iterator[Given]:
    yield Given(small("150k", lab.work / "full"))


@broken("a clock a year behind", "host.clock", r"the clock is 87\d\d\.\d h behind", "timedatectl")
def _(lab: Lab) -> Iterator[Given]:
    made = lab.prefix / "wavesmith/manifest.json"
    before = made.stat()
    os.utime(made, (time.time() + 365 * 86400,) * 2)
    try:
        yield Given()
    finally:
        os.utime(made, ns=(before.st_atime_ns, before.st_mtime_ns))


# isolation


@broken(
    "`include-system-site-packages = true` in pyvenv.cfg",
    "isolation.system_site",
    r"system packages",
    "provisioning again",
)
def _(lab: Lab) -> Iterator[Given]:
    settings = lab.prefix / "pyvenv.cfg"
    text = re.sub("(?<=site-packages = )false", "true", settings.read_text())
    with lab.replaced(settings, text.encode()):
        yield Given()


@broken(
    "the guarded interpreter replaced by a link to the system's", "isolation.pythonpath", r"decoy", "provisioning again"
)
def _(lab: Lab) -> Iterator[Given]:
    python = lab.prefix / "bin/python"
    real = re.findall(r'exec -a "[^"]+" "([^"]+)"', python.read_text())[-1]
    with lab.hidden(python):
        python.symlink_to(real)
        yield Given()


@broken(
    "a `.pth` file that leads to the system's packages",
    "isolation.pth_files",
    r"more\.pth: adds /usr/lib/python3",
    "remove the package",
)
def _(lab: Lab) -> Iterator[Given]:
    with lab.added(lab.site / "more.pth", "/usr/lib/python3\n"):
        yield Given()


@broken(
    "a script that starts the system's Python",
    "isolation.console_scripts",
    r"starts /usr/bin/python3",
    "provisioning again",
)
def _(lab: Lab) -> Iterator[Given]:
    with lab.replaced(lab.prefix / "bin/accelerate", b"#!/usr/bin/python3\n"):
        yield Given()


@broken("pip removed", "isolation.pip_user", r"bin/pip is missing", "provisioning again")
def _(lab: Lab) -> Iterator[Given]:
    with lab.hidden(lab.prefix / "bin/pip"):
        yield Given()


# stack


@broken(
    "torchaudio 2.8 installed over that of the stack",
    "stack.versions",
    r"torchaudio is 2\.8\.0\S*, the stack wants",
    "replaced a package",
)
def _(lab: Lab) -> Iterator[Given]:
    with lab.installed("torchaudio==2.8.0"):
        yield Given()


@broken("torchaudio 2.8 beside a newer torch (its ABI)", "stack.imports", r"torchaudio", "undefined_symbol")
def _(lab: Lab) -> Iterator[Given]:
    with lab.installed("torchaudio==2.8.0"):
        yield Given()


@broken("the constraints that guard the stack removed", "stack.guard", r"constraint", "wavesmith repair")
def _(lab: Lab) -> Iterator[Given]:
    with lab.hidden(lab.prefix / "wavesmith/constraints.txt"):
        yield Given()


@broken("an onnxruntime that was made for NumPy 1 under NumPy 2", "stack.imports", r"onnxruntime: ", "numpy_abi")
def _(lab: Lab) -> Iterator[Given]:
    with lab.installed("onnxruntime==1.17.3"):
        yield Given()


@broken(
    "what is installed of torchaudio made unknown",
    "stack.versions",
    r"torchaudio is not installed, the stack wants",
    "replaced a package",
)
def _(lab: Lab) -> Iterator[Given]:
    with lab.hidden(*lab.site.glob("torchaudio-*.dist-info")):
        yield Given()


@broken("the modules of a package removed by hand", "stack.imports", r"No module named 'pyworld'", "wavesmith repair")
def _(lab: Lab) -> Iterator[Given]:
    with lab.hidden(lab.site / "pyworld"):
        yield Given()


@broken("a package whose module lies outside", "stack.imports", r"outside the prefix", "catalog")
def _(lab: Lab) -> Iterator[Given]:
    outside = lab.work / "pyworld"
    shutil.copytree(lab.site / "pyworld", outside, dirs_exist_ok=True)
    with lab.hidden(lab.site / "pyworld"):
        (lab.site / "pyworld").symlink_to(outside)
        yield Given()


def module(lab: Lab) -> Path:
    """A compiled module that a wheel built here has."""
    return next((lab.site / "pyworld").glob("pyworld*.so"))


@broken(
    "a library cut off in the middle",
    "stack.imports",
    r"pyworld: the process was ended by signal 7 \(SIGBUS\)",
    "provisioning again",
)
def _(lab: Lab) -> Iterator[Given]:
    with lab.replaced(module(lab), module(lab).read_bytes()[:4000]):
        yield Given()


@broken("an empty library", "stack.imports", r"pyworld: ImportError: .*file too short", "provisioning again")
def _(lab: Lab) -> Iterator[Given]:
    with lab.replaced(module(lab), b""):
        yield Given()


@broken(
    "a library for another processor",
    "native.libraries",
    r"pyworld\S* is for (aarch64|x86_64), this machine is",
    "exec_format",
)
def _(lab: Lab) -> Iterator[Given]:
    content = bytearray(module(lab).read_bytes())
    content[18:20] = (183 if os.uname().machine == "x86_64" else 62).to_bytes(2, "little")  # EM_AARCH64, EM_X86_64
    with lab.replaced(module(lab), bytes(content)):
        yield Given()


@broken(
    "a library that uses an instruction that this CPU lacks",
    "stack.imports",
    r"pyworld: .*signal 4",
    "illegal_instruction",
)
def _(lab: Lab) -> Iterator[Given]:
    with lab.replaced(
        module(lab), lab.compiled("ud", "__attribute__((constructor)) static void go(void) { __builtin_trap(); }")
    ):
        yield Given()


@broken("a library that reads where nothing is", "stack.imports", r"pyworld: .*signal 11", "catalog")
def _(lab: Lab) -> Iterator[Given]:
    body = "#include <signal.h>\n__attribute__((constructor)) static void go(void) { raise(SIGSEGV); }"
    with lab.replaced(module(lab), lab.compiled("segv", body)):
        yield Given()


@broken("a library that needs a newer C++ runtime", "stack.imports", r"GLIBCXX_9\.9\.9' not found", "glibcxx")
def _(lab: Lab) -> Iterator[Given]:
    versions = lab.work / "versions"
    versions.write_text("GLIBCXX_9.9.9 { global: newer; };\n")
    (lab.work / "lib").mkdir(exist_ok=True)
    (lab.work / "newer.c").write_text("int newer(void) { return 1; }\n")
    runtime = lab.work / "lib/libstdc++.so.6"
    argv = ["gcc", "-shared", "-fPIC", "-Wl,-soname,libstdc++.so.6", f"-Wl,--version-script={versions}", "-o", str(runtime)]  # fmt: skip
    subprocess.run([*argv, str(lab.work / "newer.c")], check=True)
    body = "int newer(void);\nint go(void) { return newer(); }\n"
    with lab.replaced(module(lab), lab.compiled("needs", body, str(runtime))):
        yield Given()


# native


@broken("a library of torch hidden", "native.libraries", r"needs libc10\.so", "same origin")
def _(lab: Lab) -> Iterator[Given]:
    with lab.hidden(lab.site / "torch/lib/libc10.so"):
        yield Given()


@broken(
    "the same, for what computes with torch",
    "torch.computes",
    r"libc10\.so: cannot open shared object",
    "wavesmith repair",
)
def _(lab: Lab) -> Iterator[Given]:
    with lab.hidden(lab.site / "torch/lib/libc10.so"):
        yield Given()


@broken("no ffmpeg", "native.ffmpeg", r"ffmpeg is not on PATH", "ffmpeg_missing")
def _(lab: Lab) -> Iterator[Given]:
    yield Given(bound(Path("/dev/null"), Path(shutil.which("ffmpeg") or "/usr/bin/ffmpeg")))


@broken("libespeak-ng hidden", "native.espeak", r"phonemizer: .*espeak", "espeak_missing")
def _(lab: Lab) -> Iterator[Given]:
    yield Given(bound(Path("/dev/null"), *_system("libespeak-ng.so.1")))


@broken("libsndfile hidden, soundfile's own and the system's", "audio.soundfile", r"sndfile", "sndfile_missing")
def _(lab: Lab) -> Iterator[Given]:
    with lab.hidden(*lab.site.glob("_soundfile_data/libsndfile*")):
        yield Given(bound(Path("/dev/null"), *_system("libsndfile.so.1")))


@broken("FFmpeg's libraries hidden", "audio.torchcodec", r"libtorchcodec", "torchcodec")
def _(lab: Lab) -> Iterator[Given]:
    yield Given(bound(Path("/dev/null"), *_system("libavcodec.so.*")))


@broken("the same, for torchaudio", "audio.torchaudio", r"libtorchcodec", "torchcodec")
def _(lab: Lab) -> Iterator[Given]:
    yield Given(bound(Path("/dev/null"), *_system("libavcodec.so.*")))


@broken("onnxruntime's library hidden", "native.onnxruntime", r"No module named 'onnxruntime", "wavesmith repair")
def _(lab: Lab) -> Iterator[Given]:
    with lab.hidden(*lab.site.glob("onnxruntime/capi/onnxruntime_pybind11_state*.so")):
        yield Given()


@broken(
    "a worker that is killed (SIGKILL)", "training.accelerate", r"ended by signal 9 \(SIGKILL\)", "memory_exhausted"
)
def _(lab: Lab) -> Iterator[Given]:
    yield Given(kill=KILLED)


@broken("2.5 GB of address space", "torch.computes", r"\.so: failed to map segment", "map_segment")
def _(lab: Lab) -> Iterator[Given]:
    yield Given(["prlimit", "--as=2500000000"])


# GPU: this machine has none, and the environment is to be for one


@broken(
    "an environment for a GPU where there is no driver",
    "torch.computes",
    r"sees none: Found no NVIDIA driver",
    "driver_missing",
)
def _(lab: Lab) -> Iterator[Given]:
    yield Given(spec=GPU)


@broken("accelerate falls back to the CPU", "training.accelerate", r"accelerate chose the CPU", "provisioning again")
def _(lab: Lab) -> Iterator[Given]:
    yield Given(spec=GPU)


@broken("ctranslate2 falls back to the CPU", "gpu.ctranslate2", r"ctranslate2 \S+ sees no GPU", "ctranslate2_cpu_only")
def _(lab: Lab) -> Iterator[Given]:
    yield Given(spec=GPU)


@broken(
    "a ctranslate2 for CUDA 12 beside CUDA 13",
    "native.libraries",
    r"ctranslate2\S* opens libcublas\.so\.12 by name",
    "take a build for",
)
def _(lab: Lab) -> Iterator[Given]:
    yield Given(spec=GPU)


# voice, models


@broken("espeak-ng hidden", "voice.speak", r"espeak-ng", "espeak_missing")
def _(lab: Lab) -> Iterator[Given]:
    yield Given(bound(Path("/dev/null"), Path(shutil.which("espeak-ng") or "/usr/bin/espeak-ng")))


@broken("espeak-ng's voices hidden", "voice.phonemes", r"phontab|espeak", "espeak_missing")
def _(lab: Lab) -> Iterator[Given]:
    (lab.work / "empty").mkdir(exist_ok=True)
    yield Given(
        bound(
            lab.work / "empty", *Path("/usr").glob("lib/*/espeak-ng-data"), *Path("/usr").glob("share/espeak-ng-data")
        )
    )


@broken("a file of weights with one byte changed", "models.files", r"sha256|not the", "weights")
def _(lab: Lab) -> Iterator[Given]:
    weights = lab.site / "silero_vad/data/silero_vad.jit"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    with lab.replaced(weights, bytes(content)):
        yield Given()


def _system(pattern: str) -> list[Path]:
    """Libraries of the system, each once."""
    return sorted(
        {path.resolve() for place in ("/usr/lib", "/lib") for path in Path(place).glob(f"*-linux-gnu/{pattern}")}
    )


SEEN: dict[str, str] = {}


def test_there_are_at_least_twenty_of_all_groups() -> None:
    assert len(CASES) >= 20 and len({case.what for case in CASES}) == len(CASES)
    groups = {case.check.split(".")[0] for case in CASES}
    assert groups >= {"host", "isolation", "stack", "native", "torch", "gpu", "audio", "voice", "training", "models"}


def test_the_document_has_them_all() -> None:
    rows = DOCUMENT.read_text().partition(HEAD)[2].partition("\n\n")[0].splitlines()
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows] == [case.what for case in CASES]
    assert [row.split(" | ")[1] for row in rows] == [f"`{case.check}`" for case in CASES]


@really
@pytest.mark.parametrize("case", CASES, ids=lambda case: re.sub(r"\W+", "-", case.what))
def test_what_is_broken_is_named_with_its_remedy(lab: Lab, case: Case) -> None:
    with case.damage(lab) as given:
        found = lab.judge(given, case.check)[case.check]
    assert found["verdict"] == "fail", found
    assert re.search(case.says, found["detail"]), found
    named = str(found["evidence"].get("failure", ""))
    assert named == case.failure or case.failure in found["remedy"], found
    said = re.sub(rf"{re.escape(str(lab.work))}/", "…/", found["detail"].replace(str(lab.site), "…"))
    said = re.sub(r"/wavesmith-doctor-\S+|\s*\(and \d+ more\)$", "", said.replace(str(lab.prefix), "…"))
    said = re.sub(r"\s+", " ", said)[:160].replace("|", "\\|").replace("<", "&lt;")
    remedy = f"`{named}`" if named else found["remedy"].replace(REPAIR, "provision again")
    SEEN[case.what] = f"| {case.what} | `{case.check}` | {said} | {remedy} |"


@really
def test_int16_that_torchaudio_saves_as_something_else_is_said(lab: Lab) -> None:
    found = lab.judge(Given(), "audio.torchaudio")["audio.torchaudio"]
    assert found["verdict"] == "pass", found
    assert found["evidence"]["int16"] == "saved as the same sound" or "give it float32" in found["detail"]


@really
def test_all_is_mended_and_healthy_again(lab: Lab) -> None:
    checks = lab.judge(Given(), "")
    assert [check for check in checks.values() if check["verdict"] in ("fail", "unjudged")] == []
    assert sum(check["verdict"] == "pass" for check in checks.values()) > 30
    assert all(len(check["detail"]) > 10 for check in checks.values() if check["verdict"] == "skip")
    if os.environ.get("WAVESMITH_WRITE_DOCS"):
        before, _, rest = DOCUMENT.read_text().partition(HEAD)
        rows = "\n".join(SEEN[case.what] for case in CASES)
        DOCUMENT.write_text(f"{before}{HEAD}{rows}\n\n{rest.partition(chr(10) * 2)[2]}")
