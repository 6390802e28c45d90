"""What leaves a host as a whole: a Docker build context whose install step runs in a bare Debian, and a bundle that provisions without a network."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils import export
from ansible_collections.wavesmith.provision.plugins.plugin_utils.variables import from_bundle

ROOT = Path(__file__).resolve().parents[2]
PYTHON = "/usr/bin/python3"
SMALL = {"small": {"stack": "none", "packages": ["numpy", "soundfile", "pyworld"]}}


# The texts


@pytest.mark.parametrize(
    ("file", "project"),
    [
        ("pyworld-0.3.5-cp311-cp311-linux_x86_64.whl", ("pyworld", "0.3.5")),
        ("torch-2.10.0+cpu-cp312-cp312-manylinux_2_28_x86_64.whl", ("torch", "2.10.0+cpu")),
        ("descript_audio_codec-1.0.0-py3-none-any.whl", ("descript-audio-codec", "1.0.0")),
        ("antlr4-python3-runtime-4.8.tar.gz", ("antlr4-python3-runtime", "4.8")),
        ("PyYAML-6.0.zip", ("pyyaml", "6.0")),
    ],
)
def test_a_file_belongs_to_its_project(file: str, project: tuple[str, str]) -> None:
    assert export.project_of(file) == project


def test_a_complete_image_never_asks_an_index() -> None:
    text = export.dockerfile("speech", {"id": "ubuntu", "version_id": "24.04"}, ["git", "ffmpeg"], complete=True)
    installs = [line for line in text.splitlines() if "pip install" in line]
    assert "ARG BASE=ubuntu:24.04\n" in text and "ffmpeg git" in text
    assert len(installs) == 1 and "--no-index --find-links wheels -r wheels.txt" in installs[0]


def test_an_image_without_the_indexs_wheels_takes_only_those_from_one() -> None:
    text = export.dockerfile("speech", {"id": "debian", "version_id": "12"}, [], complete=False)
    built, rest = (line for line in text.splitlines() if "pip install" in line)
    assert "--no-index" in built and built.endswith("-r wheels.txt")
    assert "--no-index" not in rest and "--require-hashes" in rest and rest.endswith("-r index.txt")


def test_what_is_not_built_yet_is_not_exported() -> None:
    item = {
        "name": "e",
        "engine": "venv",
        "wheels": [{"name": "pyworld", "status": "build"}],
        "lock": {"key": "k", "status": "missing"},
    }
    with pytest.raises(
        ValueError, match=r"environment e lacks wheel pyworld, lock k. Remedy: run playbooks/build.yml first"
    ):
        export.environments({"environments": [item]}, {})


def test_what_comes_from_a_channel_is_refused_with_the_remedy() -> None:
    with pytest.raises(ValueError, match="environment e has engine conda.*Remedy: say engine: venv"):
        export.environments({"environments": [{"name": "e", "engine": "conda"}]}, {})


def test_a_bundle_stands_for_an_index_a_wheelhouse_and_locks() -> None:
    assert from_bundle("/media/stick/") == {
        "wavesmith_package_index": "file:///media/stick/index/simple",
        "wavesmith_wheelhouse": "file:///media/stick/wheelhouse",
        "wavesmith_locks": "/media/stick/locks",
    }
    assert "wavesmith_locks" not in from_bundle("http://house/bundle")


# For real


def hosts_py() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hosts", ROOT / "molecule" / "resources" / "hosts.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def playbook(folder: Path, name: str, *arguments: str, before: tuple[str, ...] = (), **more: Any) -> str:
    """Run a playbook on this machine with everything below a folder, and return its output; it must work."""
    variables = {
        "wavesmith_root": str(folder / "root"),
        "wavesmith_artifacts": str(folder / "artifacts"),
        "wavesmith_environments": SMALL,
        "wavesmith_system_packages": False,
        **more,
    }
    inventory = {"all": {"hosts": {"studio": {"ansible_connection": "local", "ansible_python_interpreter": PYTHON}}}}
    (folder / "hosts.json").write_text(json.dumps(inventory))
    argv = [*before, str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(folder / "hosts.json")]
    argv += [str(ROOT / "playbooks" / name), "-e", json.dumps(variables), *arguments]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "LC_ALL": "C.UTF-8"}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A machine with a network, which built the environment's wheel and made context and bundle."""
    folder = tmp_path_factory.mktemp("studio")
    more = {"wavesmith_locks": str(folder / "locks")}
    kept = folder / "root" / "cache" / "sources" / "0123"
    kept.mkdir(parents=True)
    (kept / "a-1.tar.gz").touch()
    playbook(folder, "bundle.yml", **more)
    playbook(folder, "export.yml", **more)
    return folder


needs_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root: unshare -n, chroot")


@pytest.mark.slow
@needs_root
def test_a_bundle_provisions_without_any_network(studio: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "stick"
    shutil.copytree(studio / "root" / "bundle", bundle)
    assert (bundle / "sources" / "0123" / "a-1.tar.gz").exists()
    (tmp_path / "home").mkdir()  # the machine's own pip settings, which may name folders, stay out
    away = ("unshare", "-n", "env", f"HOME={tmp_path}/home", "PIP_CONFIG_FILE=/dev/null")
    output = playbook(tmp_path, "site.yml", before=away, wavesmith_bundle=str(bundle))
    assert "pyworld 0.3.5: from the wheelhouse" in output
    python = tmp_path / "root" / "envs" / "small" / "current" / "bin" / "python"
    subprocess.run([str(python), "-c", "import numpy, soundfile, pyworld"], check=True)
    again = playbook(tmp_path, "site.yml", before=away, wavesmith_bundle=str(bundle))
    assert re.search(r"REMOTE RUNS\s+studio 1\n", again), again


@pytest.fixture(scope="module")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of a bare Debian or Ubuntu of this machine's release, with Python and venv."""
    if shutil.which("mmdebstrap") is None or os.getuid() != 0:
        pytest.skip("needs mmdebstrap and root")
    hosts = hosts_py()
    codename, root = hosts.os_release()["VERSION_CODENAME"], tmp_path_factory.mktemp("debian") / "root"
    argv = ["mmdebstrap", "--quiet", "--variant=minbase", "--include=python3,python3-venv"]
    argv += [*(f"--aptopt={line}" for line in hosts.apt_settings()), codename, str(root), *hosts.apt_sources(codename)]
    subprocess.run(argv, check=True, timeout=600)
    return root


def build_image(context: Path, debian: Path) -> subprocess.CompletedProcess[str]:
    """Do what the Dockerfile does from its COPY on, in a chroot without a network."""
    text = (context / "Dockerfile").read_text()
    place = re.findall(r"^WORKDIR (.*)", text, re.MULTILINE)[-1]
    steps = re.findall(r"^RUN (.*)", text.split("COPY . .")[1], re.MULTILINE)
    inside = debian / place.lstrip("/")
    shutil.rmtree(debian / "opt" / "wavesmith", ignore_errors=True)
    shutil.copytree(context, inside)
    script = f"set -e; cd {place}; " + "; ".join(steps)
    argv = [
        "unshare",
        "-n",
        "env",
        "-i",
        "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME=/root",
        "LC_ALL=C.UTF-8",
        "chroot",
        str(debian),
        "sh",
        "-c",
        script,
    ]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=600)


@pytest.mark.slow
class TestTheInstallStepOfTheImage:
    @pytest.fixture
    def context(self, studio: Path, tmp_path: Path) -> Path:
        copy = tmp_path / "context"
        shutil.copytree(studio / "root" / "export" / "small", copy)
        return copy

    def test_works_with_the_wheels(self, context: Path, debian: Path) -> None:
        done = build_image(context, debian)
        assert done.returncode == 0, done.stdout + done.stderr
        words = ["/opt/wavesmith/small/bin/python", "-c", "import numpy, pyworld; print(pyworld.__version__)"]
        done = subprocess.run(["chroot", str(debian), *words], capture_output=True, text=True, check=False)
        assert done.stdout.strip() == "0.3.5", done.stderr

    @pytest.mark.parametrize("name", ["pyworld", "numpy"])
    def test_fails_without_a_wheel(self, context: Path, debian: Path, name: str) -> None:
        (wheel,) = (context / "wheels").glob(f"{name}-*.whl")
        wheel.unlink()
        done = build_image(context, debian)
        assert done.returncode != 0 and f"No matching distribution found for {name}" in done.stderr

    def test_fails_with_another_wheel_of_the_same_name(self, context: Path, debian: Path) -> None:
        (wheel,) = (context / "wheels").glob("pyworld-*.whl")
        with open(wheel, "ab") as file:
            file.write(b"\0")
        done = build_image(context, debian)
        assert done.returncode != 0 and "DO NOT MATCH THE HASHES" in done.stderr
