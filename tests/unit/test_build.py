"""Real builds from sources of our own, with a real compiler: what is published, and what is not and why."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.host import store, wheels
from ansible_collections.wavesmith.provision.plugins.module_utils.host.job import Failed
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.recipe import Target
from ansible_collections.wavesmith.provision.plugins.module_utils.terms.variant import Variant

from .builder import ARCHITECTURE, CUDA, PYTHON, SOURCE, C, Host, sdist, sha256

pytestmark = [pytest.mark.process, pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler here")]
NVCC = Path("/usr/local/cuda/bin/nvcc")
needs_nvcc = pytest.mark.skipif(not NVCC.exists(), reason="there is no nvcc below /usr/local/cuda")


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def failure(host: Host, *arguments: Any) -> Failed:
    """How a build fails; nothing of it is left."""
    with pytest.raises(Failed) as error:
        host.build(*arguments)
    assert host.left == []
    return error.value


# A build that is well


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Host, Path]:
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler here")
    host = Host(tmp_path_factory.mktemp("built"))
    return host, host.build(host.recipe())


def test_a_wheel_is_published_with_its_provenance_and_its_bill_of_materials(built: tuple[Host, Path]) -> None:
    host, folder = built
    names = sorted(path.name for path in folder.iterdir())
    assert names[:2] == ["provenance.json", "sbom.cdx.json"]
    assert names[2].startswith("tinyvoice-1.0-cp") and len(names) == 3
    assert host.left == [folder.name]


def test_the_provenance_says_what_went_in_and_what_came_out(built: tuple[Host, Path]) -> None:
    host, folder = built
    said = json.loads((folder / "provenance.json").read_text())
    assert said["source"]["digest"] == sha256((host.simple / "tinyvoice" / "tinyvoice-1.0.tar.gz").read_bytes())
    assert said["sha256"] == sha256((folder / said["wheel"]).read_bytes())
    assert said["provides"][0].startswith("voice.cpython")
    assert said["commands"][0][3:5] == ["pip", "wheel"]
    assert said["environment"]["MAX_JOBS"] == str(said["jobs"])
    assert said["build_requirements"][0].startswith("pip==")
    assert re.search(r"\d+\.\d+", said["tools"]["gcc"])


def test_the_bill_of_materials_names_the_source_and_the_build_requirements(built: tuple[Host, Path]) -> None:
    bill = json.loads((built[1] / "sbom.cdx.json").read_text())
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert {part["name"] for part in bill["components"]} == {"tinyvoice-1.0.tar.gz", "pip"}
    references = [part["bom-ref"] for part in bill["components"]]
    assert bill["dependencies"][0]["dependsOn"] == references and len(set(references)) == len(references)


def test_a_wheel_that_is_there_is_not_built_again(built: tuple[Host, Path]) -> None:
    host, folder = built
    before = (folder / "provenance.json").stat().st_mtime_ns
    assert host.build(host.recipe()) == folder
    assert (folder / "provenance.json").stat().st_mtime_ns == before


def test_what_a_compile_job_took_is_remembered(built: tuple[Host, Path]) -> None:
    assert set(store.survey(str(built[0].root), [])["build_memory"]) <= {"tinyvoice"}


@pytest.mark.slow
def test_the_same_source_gives_the_same_compiled_code(built: tuple[Host, Path], tmp_path: Path) -> None:
    other = Host(tmp_path)
    again = other.build(other.recipe())

    def code(folder: Path) -> bytes:
        with zipfile.ZipFile(next(folder.glob("*.whl"))) as archive:
            return archive.read(next(name for name in archive.namelist() if name.endswith(".so")))

    assert code(again) == code(built[1])


def test_a_patch_of_the_recipe_is_in_the_wheel(host: Host) -> None:
    patch = "--- a/voice.c\n+++ b/voice.c\n@@ -1,2 +1,2 @@\n #include <Python.h>\n-" + C.splitlines()[1] + "\n+"
    patch += C.splitlines()[1].replace("220", "440") + "\n"
    name = "patches/tinyvoice-pitch.patch"
    made = host.recipe(
        release={"patches": [name]}, patches={name: patch}, smoke="import voice; assert voice.pitch() == 440"
    )
    said = json.loads((host.build(made) / "provenance.json").read_text())
    assert said["patches"] == {name: sha256(patch.encode())}


def test_variables_of_the_recipe_reach_the_compiler(host: Host) -> None:
    flags = [{"set": {"CFLAGS": "-DTHE_FLAG=7"}, "source": "test"}]
    host.build(host.recipe(environment=flags))
    assert "-DTHE_FLAG=7" in host.log


@pytest.mark.slow
def test_nothing_of_the_users_home_reaches_the_build(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / ".pydistutils.cfg").write_text("[build_ext]\ndefine=THE_FLAG\n")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    source = {**SOURCE, "backend.py": SOURCE["backend.py"] + "\nprint('home is', os.path.expanduser('~'))\n"}
    host.build(host.recipe(source))
    assert f"home is {host.root}/build/tinyvoice/home" in host.log


# Sources


def test_an_archive_with_another_sha256_is_refused_before_anything_of_it_runs(host: Host) -> None:
    made = host.recipe()
    host.serve("tinyvoice", "tinyvoice-1.0.tar.gz", sdist({**SOURCE, "voice.c": C.replace("220", "1")}))
    said = failure(host, made)
    assert "wrong sha256" in str(said) and "Remedy: find out who changed the file" in str(said)
    assert not Path(host.job.log_path).exists()


def test_a_truncated_archive_is_named(host: Host) -> None:
    made = host.recipe()
    path = host.simple / "tinyvoice" / "tinyvoice-1.0.tar.gz"
    path.write_bytes(path.read_bytes()[:100])
    assert "tinyvoice-1.0.tar.gz could not be fetched" in str(failure(host, made))


def test_an_archive_that_is_corrupt_as_its_recipe_names_it_is_said_to_be(host: Host) -> None:
    made = host.recipe()
    digest = host.serve("tinyvoice", "tinyvoice-1.0.tar.gz", b"no archive at all")
    made = host.recipe(
        release={"source": {"archive": (host.simple / "tinyvoice/broken-1.0.tar.gz").as_uri(), "sha256": digest}}
    )
    host.serve("tinyvoice", "broken-1.0.tar.gz", b"no archive at all")
    assert "broken-1.0.tar.gz cannot be unpacked" in str(failure(host, made))


def test_a_mirror_stands_in_for_an_address_that_is_gone(host: Host) -> None:
    digest = host.serve("mirror", "tinyvoice-1.0.tar.gz", sdist(SOURCE))
    source = {
        "archive": (host.folder / "gone" / "tinyvoice-1.0.tar.gz").as_uri(),
        "sha256": digest,
        "mirrors": [(host.simple / "mirror" / "tinyvoice-1.0.tar.gz").as_uri()],
    }
    assert host.build(host.recipe(release={"source": source})).is_dir()


@pytest.mark.slow
def test_a_source_that_was_fetched_needs_no_index_any_more(host: Host) -> None:
    made = host.recipe(smoke="raise SystemExit(1)")
    failure(host, made)
    shutil.rmtree(host.simple / "tinyvoice")
    assert "smoke test failed" in str(failure(host, made))


def test_an_index_without_the_file_is_named_with_where_to_put_it(host: Host) -> None:
    made = host.recipe()
    (host.simple / "tinyvoice" / "index.html").write_text("<a href='other-1.0.tar.gz'>other</a>")
    assert "the package index has no tinyvoice-1.0.tar.gz" in str(failure(host, made))


def test_a_patch_that_does_not_fit_is_named(host: Host) -> None:
    name = "patches/tinyvoice-none.patch"
    patch = "--- a/voice.c\n+++ b/voice.c\n@@ -1 +1 @@\n-no such line\n+another\n"
    said = failure(host, host.recipe(release={"patches": [name]}, patches={name: patch}))
    assert f"{name} does not fit the source. Remedy: correct the patch" in str(said)


def repository(folder: Path, files: dict[str, str]) -> str:
    """A git repository with one commit, and its full id."""
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    for words in (
        ["init", "--quiet"],
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", "one"],
    ):
        subprocess.run(["git", "-C", str(folder), *words], check=True)
    done = subprocess.run(["git", "-C", str(folder), "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return done.stdout.strip()


needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="there is no git here")


@pytest.mark.slow
@needs_git
def test_a_commit_is_built_with_its_submodules(host: Host) -> None:
    inner = repository(host.folder / "inner", {"voice.c": C})
    outer = host.folder / "outer"
    repository(outer, {**SOURCE, "voice.c": '#include "engine/voice.c"\n'})
    add = ["git", "-C", str(outer), "-c", "protocol.file.allow=always", "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*add, "submodule", "--quiet", "add", (host.folder / "inner").as_uri(), "engine"], check=True)
    subprocess.run([*add, "commit", "--quiet", "-m", "two"], check=True)
    commit = subprocess.run(
        ["git", "-C", str(outer), "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()
    folder = host.build(host.recipe(release={"source": {"git": outer.as_uri(), "commit": commit}}))
    assert json.loads((folder / "provenance.json").read_text())["source"]["digest"] == commit
    assert inner != commit


@needs_git
def test_a_commit_that_nobody_has_is_refused(host: Host) -> None:
    repository(host.folder / "voice", SOURCE)
    said = failure(host, host.recipe(release={"source": {"git": (host.folder / "voice").as_uri(), "commit": "0" * 40}}))
    assert f"commit {'0' * 40} of voice could not be fetched" in str(said)


@pytest.mark.slow
@needs_git
def test_a_checkout_that_somebody_changed_is_fetched_anew(host: Host) -> None:
    commit = repository(host.folder / "voice", SOURCE)
    made = host.recipe(
        release={"source": {"git": (host.folder / "voice").as_uri(), "commit": commit}}, smoke="raise SystemExit(1)"
    )
    failure(host, made)
    kept = host.root / "cache" / "sources" / commit / "voice" / "voice.c"
    kept.write_text("#error changed\n")
    assert "smoke test failed" in str(failure(host, made))
    assert kept.read_text() == C


# Compilers


def test_the_first_compiler_error_is_shown_with_the_log(host: Host) -> None:
    said = failure(
        host, host.recipe({**SOURCE, "voice.c": C.replace("PyLong_FromLong(220)", "PyLong_FromLong(pitsch)")})
    )
    assert re.search("error: .pitsch. undeclared", str(said)) and host.job.log_path in str(said)
    assert any("pitsch" in line for line in said.log)


def test_a_missing_header_is_named_with_its_remedy(host: Host) -> None:
    said = failure(host, host.recipe({**SOURCE, "voice.c": "#include <sndfile_none.h>\n" + C}))
    assert "the header sndfile_none.h is not on this host. Remedy: install the package that has it" in str(said)


def compiler(folder: Path, script: str) -> str:
    """A `cc` before the real one on PATH."""
    folder.mkdir()
    (folder / "cc").write_text(f'#!/bin/sh\n{script}\nexec {shutil.which("cc")} "$@"\n')
    (folder / "cc").chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def test_a_compiler_killed_for_memory_is_tried_again_with_half_the_jobs(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("half of one job is none")
    monkeypatch.setenv("PATH", compiler(host.folder / "bin", 'if [ "$MAX_JOBS" -gt 1 ]; then kill -9 $$; fi'))
    said = json.loads((host.build(host.recipe()) / "provenance.json").read_text())
    assert said["jobs"] == 1
    assert store.survey(str(host.root), [])["build_memory"]["tinyvoice"] > 0.5


def test_a_compiler_that_is_always_killed_ends_the_build_with_the_reason(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", compiler(host.folder / "bin", "kill -9 $$"))
    said = str(failure(host, host.recipe()))
    assert "for want of memory" in said and "MAX_JOBS=1" in said


def test_a_disk_that_is_full_in_the_middle_of_a_build_is_named(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", compiler(host.folder / "bin", "dd if=/dev/zero of=/dev/full count=1 || exit 1"))
    assert "the disk is full" in str(failure(host, host.recipe()))


# A recipe that lies


@pytest.mark.parametrize(
    ("promise", "word"),
    [
        ({"extensions": ["voice", "voice_gpu"]}, "it has no compiled module voice_gpu"),
        ({"modules": ["voices"]}, "it has no module voices"),
    ],
)
def test_a_wheel_without_what_its_recipe_promised_is_not_published(
    host: Host, promise: dict[str, Any], word: str
) -> None:
    said = str(failure(host, host.recipe(must_contain=promise)))
    assert word in said and "Remedy: correct the recipe" in said


def test_a_wheel_whose_code_is_wrong_fails_its_smoke_test(host: Host) -> None:
    said = failure(host, host.recipe(smoke="import voice; assert voice.pitch() == 441, 'it sings flat'"))
    assert "does not work: its smoke test failed" in str(said)
    assert any("it sings flat" in line for line in said.log)


def test_a_wheel_that_needs_a_library_nobody_has_is_not_published(host: Host) -> None:
    subprocess.run(["cc", "-shared", "-o", str(host.folder / "libnone.so"), "-x", "c", "/dev/null"], check=True)
    flags = [{"set": {"LIBS": f"-Wl,--no-as-needed -L{host.folder} -lnone"}, "source": "test"}]
    assert "nothing provides libnone.so" in str(failure(host, host.recipe(environment=flags)))


def test_a_wheel_whose_record_lies_is_not_published(host: Host) -> None:
    lying = SOURCE["backend.py"].replace("hashlib.sha256(data)", "hashlib.sha256(data + b'!')")
    assert "is not what RECORD says" in str(failure(host, host.recipe({**SOURCE, "backend.py": lying})))


def test_a_wheel_with_code_that_says_it_runs_anywhere_is_not_published(host: Host) -> None:
    lying = re.sub(r'tags = f"\{tag\}.*', 'tags = "py3-none-any"', SOURCE["backend.py"])
    assert "its name says that it runs on any platform" in str(
        failure(host, host.recipe({**SOURCE, "backend.py": lying}))
    )


def test_a_build_for_an_accelerator_that_gives_a_cpu_wheel_is_not_published(host: Host) -> None:
    target = Target(Variant(PYTHON, "rocm6_4", "", "generic"), ARCHITECTURE, gcc="12.2.0")
    made = host.recipe(must_contain={"extensions": ["voice"], "not_cpu_only": True})
    assert "it is built for the CPU only" in str(failure(host, made, target))


# CUDA code, really compiled


def cuda_target(sm: str = "11.0") -> Target:
    said = subprocess.run([NVCC, "--version"], capture_output=True, text=True, check=True).stdout
    version = re.findall(r"V(\d+\.\d+\.\d+)", said)[0]
    major, minor = version.split(".")[:2]
    variant = Variant(PYTHON, f"cuda{major}_{minor}", sm, "generic")
    return Target(variant, ARCHITECTURE, gcc="12.2.0", cuda=version, cuda_home="/usr/local/cuda")


def cuda_recipe(host: Host, compiled: str, promised: Any) -> Any:
    source = {
        **SOURCE,
        "voice.cu": CUDA.replace("PyMODINIT_FUNC", 'extern "C" PyMODINIT_FUNC' if False else "PyMODINIT_FUNC"),
    }
    return host.recipe(
        source,
        environment=[{"set": {"ARCHITECTURES": compiled}, "source": "test"}],
        must_contain={"extensions": ["voice"], "sass": promised, "not_cpu_only": True},
        smoke="import voice; assert voice.play.__name__ == 'play'",
    )


@needs_nvcc
def test_a_cuda_extension_for_two_gpus_holds_code_for_exactly_these(host: Host) -> None:
    folder = host.build(cuda_recipe(host, "110 121", ["11.0", "12.1"]), cuda_target())
    said = json.loads((folder / "provenance.json").read_text())
    assert said["targets"] == {"sass": ["110", "121"], "ptx": []}
    assert said["cuda"].startswith("13.") and "nvcc" in said["tools"]


@needs_nvcc
def test_a_lie_about_the_gpus_it_serves_is_caught_in_the_binary(host: Host) -> None:
    said = str(failure(host, cuda_recipe(host, "110", "host"), cuda_target("12.1")))
    assert "its GPU code is for SM 11.0, but the recipe promises SM 12.1 (read out of its fatbins)" in said


@pytest.mark.slow
@needs_nvcc
def test_an_architecture_that_nvcc_does_not_know_is_named_with_its_remedy(host: Host) -> None:
    said = str(failure(host, cuda_recipe(host, "101", ["10.1"]), cuda_target()))
    assert "nvcc does not know the GPU architecture: the toolkit (13.0) cannot compile for compute_101" in said
    assert "Remedy: use a toolkit of CUDA 12.8 to 12.9" in said


# What is kept


def test_a_wheel_that_was_changed_after_it_was_built_is_removed_and_named(host: Host) -> None:
    folder = host.build(host.recipe())
    wheel = next(folder.glob("*.whl"))
    wheel.write_bytes(wheel.read_bytes() + b"!")
    with pytest.raises(Failed, match="is not the file that was built"):
        wheels.kept_wheel(str(host.root), folder.name)
    assert host.left == []


def test_what_a_killed_build_left_behind_does_not_get_into_the_next_one(host: Host) -> None:
    left = host.root / "build" / "tinyvoice" / "source"
    left.mkdir(parents=True)
    (left / "voice.c").write_text("#error an old file\n")
    assert host.build(host.recipe()).is_dir()
