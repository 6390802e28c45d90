"""What leaves a host as a whole: a Docker build context whose install step runs in a bare Debian, and a bundle that provisions without a network."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.build import source as build_source
from ansible_collections.wavesmith.provision.plugins.module_utils.export import bundle as export_bundle
from ansible_collections.wavesmith.provision.plugins.module_utils.export import texts
from ansible_collections.wavesmith.provision.plugins.module_utils.host.job import Failed, Job
from ansible_collections.wavesmith.provision.plugins.module_utils.plan import conda
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.record import EnvironmentPlan, Plan, WheelPlan
from ansible_collections.wavesmith.provision.plugins.module_utils.records.wheel import WheelSpec
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.variables import Wanted
from ansible_collections.wavesmith.provision.plugins.module_utils.wheels import manifest
from ansible_collections.wavesmith.provision.plugins.plugin_utils.variables import from_bundle

from tests.unit import conda_channel
from tests.unit.builder import SOURCE, Host, sdist
from tests.unit.test_code_files import ADDRESS, LEXICON, TALKER, Repository

pytestmark = pytest.mark.process

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
    assert texts.project_of(file) == project


def test_a_complete_image_never_asks_an_index() -> None:
    text = texts.dockerfile("speech", "3.12", {"id": "ubuntu", "version_id": "24.04"}, ["git", "ffmpeg"], complete=True)
    installs = [line for line in text.splitlines() if "pip install" in line]
    assert "ARG BASE=ubuntu:24.04\n" in text and "ffmpeg git" in text and "RUN python3.12 -m venv" in text
    assert len(installs) == 1 and "--no-index --find-links wheels -r wheels.txt" in installs[0]


def test_an_image_without_the_indexs_wheels_takes_only_those_from_one() -> None:
    text = texts.dockerfile("speech", "3.11", {"id": "debian", "version_id": "12"}, [], complete=False)
    built, rest = (line for line in text.splitlines() if "pip install" in line)
    assert "--no-index" in built and built.endswith("-r wheels.txt")
    assert "--no-index" not in rest and "--require-hashes" in rest and rest.endswith("-r index.txt")


def test_what_is_not_built_yet_is_not_exported() -> None:
    item = EnvironmentPlan(
        "e",
        wheels=[WheelPlan("pyworld", "0.3.5", None, "build", 60, cast(WheelSpec, {}))],
        conda={"key": "c", "status": "stale"},
        lock={"key": "k", "status": "missing"},
    )
    with pytest.raises(
        ValueError, match=r"environment e lacks wheel pyworld, lock c, lock k. Remedy: run wavesmith provision first"
    ):
        texts.environments(Plan("/opt", [item]), {})


@pytest.mark.parametrize(("banned", "refused"), [([], True), (["ffmpeg"], False)])
def test_an_image_has_its_native_software_from_apt(banned: list[str], refused: bool) -> None:
    found = [{"environment": "e", "conda": {"banned": banned}}]
    if refused:
        with pytest.raises(ValueError, match="environment e has native software from its channel.*Remedy: set"):
            texts.contexts(found)
    else:
        assert texts.contexts(found) == found


def test_a_bundle_stands_for_an_index_a_wheelhouse_and_locks() -> None:
    assert from_bundle("file:///media/my%20stick/") == {
        "wavesmith_package_index": "file:///media/my%20stick/index/simple",
        "wavesmith_wheelhouse": "file:///media/my%20stick/wheelhouse",
        "wavesmith_locks": "/media/my stick/locks",
    }
    assert "wavesmith_locks" not in from_bundle("http://house/bundle")


@pytest.mark.parametrize("entry", ["conda-forge", "https://mirror.example.org/conda-forge", "/srv/conda-forge"])
def test_a_bundle_stands_for_every_channel_by_its_name(entry: str) -> None:
    wanted = Wanted((), conda_channels=(entry,), conda_channel_alias="https://example.org", bundle="file:///stick/")
    assert conda.channels(wanted) == (conda.Channel("conda-forge", "file:///stick/channels/conda-forge"),)


def test_a_channel_of_a_bundle_has_pages_for_every_platform_and_only_what_is_locked() -> None:
    record = {"channel": "voices", "subdir": "noarch", "fn": "a-1-0.conda", "name": "a", "sha256": "0" * 64}
    pages = {path: json.loads(text) for path, text in conda.repodata([record]).items()}
    assert list(pages) == [f"voices/{subdir}/repodata.json" for subdir in ("noarch", "linux-64", "linux-aarch64")]
    found = {path: [*page["packages"], *page["packages.conda"]] for path, page in pages.items()}
    assert found == {path: ["a-1-0.conda"] if "noarch" in path else [] for path in pages}


class TestTheFilesForAPythonThatTheHostLacks:
    @pytest.fixture
    def fetch(self, tmp_path: Path) -> Callable[[str, str, bytes], list[str]]:
        """Fetch the one file of a package for a context; the files that were had."""

        def run(package: str, name: str, data: bytes) -> list[str]:
            host, got = Host(tmp_path), tmp_path / "got"
            lock = f"{package}==1.0 --hash=sha256:{host.serve(package, name, data)}\n"
            spec = {"key": "voice", "python": {"path": "", "version": "3.19"}, "origin_url": "", "lock": lock}
            export_bundle._fetch(host.job, str(host.root), spec, host.simple.as_uri(), "wheel", str(got))
            return os.listdir(got)

        return run

    def test_are_had(self, fetch: Callable[[str, str, bytes], list[str]]) -> None:
        made, tag = io.BytesIO(), f"cp319-cp319-manylinux_2_17_{platform.machine()}"
        with zipfile.ZipFile(made, "w") as archive:
            archive.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
            archive.writestr("tiny-1.0.dist-info/WHEEL", f"Wheel-Version: 1.0\nTag: {tag}\n")
        name = f"tiny-1.0-{tag}.whl"
        assert fetch("tiny", name, made.getvalue()) == [name]

    def test_are_not_built(self, fetch: Callable[[str, str, bytes], list[str]]) -> None:
        with pytest.raises(Failed, match="the files of voice: .*Remedy"):
            fetch("tinyvoice", "tinyvoice-1.0.tar.gz", sdist(SOURCE))


# Sources of git, and a bundle that is added to another one


def git(place: Path, *words: str) -> str:
    argv = [
        "git",
        "-c",
        "user.name=us",
        "-c",
        "user.email=us",
        "-c",
        "protocol.file.allow=always",
        "-C",
        str(place),
        *words,
    ]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """A proven checkout with a submodule, as a build leaves it, and the source that a recipe says."""
    inner, outer = tmp_path / "inner", tmp_path / "outer"
    for place in (inner, outer):
        place.mkdir()
        git(place, "init", "--quiet")
        (place / f"{place.name}.c").write_text("int answer = 42;\n")
        git(place, "add", ".")
        git(place, "commit", "--quiet", "-m", "one")
    git(outer, "submodule", "--quiet", "add", inner.as_uri(), "parts/inner")
    git(outer, "commit", "--quiet", "-m", "two")
    commit = git(outer, "rev-parse", "HEAD")
    return outer, {"kind": "git", "name": "outer", "digest": commit, "urls": [outer.as_uri()]}


@pytest.fixture
def job(tmp_path: Path) -> Job:
    (tmp_path / "job").mkdir()
    return Job(str(tmp_path / "job"), os.open(os.devnull, os.O_RDONLY))


class TestAGitSource:
    @pytest.fixture
    def bundle(self, job: Job, checkout: tuple[Path, dict[str, Any]], tmp_path: Path) -> str:
        """A bundle with that source, while where it came from is no more."""
        proven = build_source.fetch(job, str(tmp_path / "first"), "voice", checkout[1], dict(os.environ), "")
        build_source.pack(proven, str(tmp_path / "stick" / "sources"), dict(os.environ))
        shutil.rmtree(checkout[0])
        shutil.rmtree(tmp_path / "inner")
        return (tmp_path / "stick").as_uri()

    def fetch(self, job: Job, source: dict[str, Any], tmp_path: Path, bundle: str) -> Path:
        return Path(build_source.fetch(job, str(tmp_path / "second"), "voice", source, dict(os.environ), "", bundle))

    def test_is_had_from_a_bundle_with_its_submodules(
        self, job: Job, checkout: tuple[Path, dict[str, Any]], bundle: str, tmp_path: Path
    ) -> None:
        place = self.fetch(job, checkout[1], tmp_path, bundle)
        assert (place / "outer.c").is_file() and (place / "parts" / "inner" / "inner.c").is_file()
        assert self.fetch(job, checkout[1], tmp_path, "file:///nowhere") == place, "it is clean, so it is kept"

    def test_goes_from_one_bundle_into_the_next(
        self, job: Job, checkout: tuple[Path, dict[str, Any]], bundle: str, tmp_path: Path
    ) -> None:
        place = self.fetch(job, checkout[1], tmp_path, bundle)
        build_source.pack(str(place), str(tmp_path / "next"), dict(os.environ))
        assert sorted(os.listdir(tmp_path / "next")) == sorted(os.listdir(tmp_path / "stick" / "sources"))

    def test_that_was_changed_in_the_bundle_is_refused(
        self, job: Job, checkout: tuple[Path, dict[str, Any]], bundle: str, tmp_path: Path
    ) -> None:
        sources = tmp_path / "stick" / "sources"
        (other,) = {place.name for place in sources.iterdir()} - {checkout[1]["digest"]}
        shutil.copy(sources / other / build_source.PACK, sources / checkout[1]["digest"] / build_source.PACK)
        with pytest.raises(Failed, match="could not be fetched .*stick.*Remedy"):
            self.fetch(job, checkout[1], tmp_path, bundle)
        assert not (tmp_path / "second" / "cache" / "sources" / checkout[1]["digest"] / "outer").exists()


def part(folder: Path, files: dict[str, str]) -> Path:
    for name, text in {"locks/allowed_signers": "", **files}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


class TestAddingToABundle:
    def test_keeps_what_was_there(self, tmp_path: Path) -> None:
        there = {"index/files/a-1-py3-none-any.whl": "a", "wheelhouse/k/manifest.json": "theirs", "locks/e.txt": "old"}
        final = part(tmp_path, there)
        more = {"index/files/b-1-py3-none-any.whl": "b", "wheelhouse/k/manifest.json": "ours", "locks/e.txt": "new"}
        export_bundle._add(str(part(tmp_path / ".staging-bundle", more)), str(final))
        read = {name: (final / name).read_text() for name in {**there, **more}}
        assert read == {**more, "index/files/a-1-py3-none-any.whl": "a", "wheelhouse/k/manifest.json": "theirs"}

    def test_knows_the_signers_of_both(self, tmp_path: Path) -> None:
        one, two = "thor01 ssh-ed25519 AAAA1\n", "spark01 ssh-ed25519 AAAA2\n"
        final = part(tmp_path, {"locks/allowed_signers": one})
        export_bundle._add(str(part(tmp_path / ".staging-bundle", {"locks/allowed_signers": two})), str(final))
        assert manifest.read_signers((final / "locks" / "allowed_signers").read_text()).keys() == {
            "thor01",
            "spark01",
        }

    @pytest.mark.parametrize(
        ("theirs", "ours", "kept"), [("more", "x", "more"), ("x", "more", "more"), ("a", "b", "a")]
    )
    def test_of_a_commit_the_pack_with_more_of_it_counts(
        self, tmp_path: Path, theirs: str, ours: str, kept: str
    ) -> None:
        name = f"sources/{'0' * 40}/{build_source.PACK}"
        final = part(tmp_path, {name: theirs})
        export_bundle._add(str(part(tmp_path / ".staging-bundle", {name: ours})), str(final))
        assert (final / name).read_text() == kept

    @pytest.mark.parametrize(
        ("there", "message"),
        [
            ({"index/files/a-1-py3-none-any.whl": "other"}, "exists with other contents. Remedy"),
            ({"locks/allowed_signers": "thor01 ssh-ed25519 AAAA2\n"}, "the signing key of thor01 has changed.*Remedy"),
        ],
    )
    def test_is_refused_as_a_whole_where_the_two_disagree(
        self, tmp_path: Path, there: dict[str, str], message: str
    ) -> None:
        final = part(tmp_path, there)
        more = {"index/files/a-1-py3-none-any.whl": "a", "locks/allowed_signers": "thor01 ssh-ed25519 AAAA1\n"}
        staging = part(tmp_path / ".staging-bundle", {**more, "index/files/b-1-py3-none-any.whl": "b"})
        with pytest.raises(Failed, match=message):
            export_bundle._add(str(staging), str(final))
        assert not (final / "index" / "files" / "b-1-py3-none-any.whl").exists()

    def test_a_folder_of_something_else_is_left_alone(self, tmp_path: Path) -> None:
        (tmp_path / "photographs").mkdir()
        with pytest.raises(Failed, match="is neither empty nor a bundle. Remedy"):
            export_bundle._add(str(part(tmp_path / ".staging-bundle", {})), str(tmp_path))


# For real


def hosts_py() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hosts", ROOT / "molecule" / "resources" / "hosts.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def playbook(
    folder: Path, name: str, *arguments: str, before: tuple[str, ...] = (), host: str = "studio", **more: Any
) -> str:
    """Run a playbook on this machine with everything below a folder, and return its output; it must work."""
    variables = {
        "wavesmith_root": str(folder / "root"),
        "wavesmith_artifacts": str(folder / "artifacts"),
        "wavesmith_environments": SMALL,
        "wavesmith_system_packages": False,
        "wavesmith_probe_timeout": 20,  # the machine may be busy
        **more,
    }
    inventory = {"all": {"hosts": {host: {"ansible_connection": "local", "ansible_python_interpreter": PYTHON}}}}
    (folder / "hosts.json").write_text(json.dumps(inventory))
    argv = [*before, str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(folder / "hosts.json")]
    argv += [str(ROOT / "playbooks" / name), "-e", json.dumps(variables), *arguments]
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "LC_ALL": "C.UTF-8",
        "WAVESMITH_BOARD": "detail",
    }
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A machine with a network, which built the environment's wheel and made context and bundle."""
    folder = tmp_path_factory.mktemp("studio")
    more = {"wavesmith_locks": str(folder / "locks")}
    playbook(folder, "bundle.yml", **more)
    playbook(folder, "export.yml", **more)
    return folder


@pytest.fixture
def away(tmp_path: Path) -> tuple[str, ...]:
    """How to run something without any network, and without the machine's own pip settings, which may name folders."""
    (tmp_path / "home").mkdir()
    return ("unshare", "-n", "env", f"HOME={tmp_path}/home", "PIP_CONFIG_FILE=/dev/null")


needs_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root: unshare -n, chroot")


@pytest.mark.slow
@needs_root
def test_a_bundle_provisions_without_any_network(studio: Path, tmp_path: Path, away: tuple[str, ...]) -> None:
    bundle = tmp_path / "stick"
    shutil.copytree(studio / "root" / "bundle", bundle)
    output = playbook(tmp_path, "site.yml", before=away, wavesmith_bundle=str(bundle))
    assert "pyworld 0.3.5: from the wheelhouse" in output
    python = tmp_path / "root" / "envs" / "small" / "current" / "bin" / "python"
    subprocess.run([str(python), "-c", "import numpy, soundfile, pyworld"], check=True)
    again = playbook(tmp_path, "site.yml", before=away, wavesmith_bundle=str(bundle))
    assert re.search(r"REMOTE RUNS\s+studio 1\n", again), again


@pytest.mark.slow
@needs_root
def test_a_wheel_is_built_again_from_a_bundle_without_any_network(
    studio: Path, tmp_path: Path, away: tuple[str, ...]
) -> None:
    bundle = tmp_path / "my stick"
    shutil.copytree(studio / "root" / "bundle", bundle)
    more = {"wavesmith_bundle": str(bundle), "wavesmith_policy": ["source"]}
    output = playbook(tmp_path, "site.yml", before=away, host="stage", **more)
    assert "pyworld 0.3.5: from source" in output
    python = tmp_path / "root" / "envs" / "small" / "current" / "bin" / "python"
    subprocess.run([str(python), "-c", "import pyworld"], check=True)


@pytest.mark.slow
@needs_root
def test_a_bundle_of_two_hosts_serves_both_engines_without_any_network(
    studio: Path, tmp_path: Path, away: tuple[str, ...]
) -> None:
    pytest.importorskip("rattler", reason="py-rattler is not in this environment: make venv-dev")
    bundle = tmp_path / "stick"
    shutil.copytree(studio / "root" / "bundle", bundle)
    with tempfile.TemporaryDirectory(prefix="wb") as short:  # conda's prefixes must not be long
        other, host = Path(short, "other"), Path(short, "host")
        for folder in (other, host):
            folder.mkdir()
        version = conda_channel.make(other / "voices", tmp_path)
        voice = {"voice": {"engine": "conda", "stack": "none", "packages": ["numpy"]}}
        more = {"wavesmith_python": ".".join(version.split(".")[:2])}
        there = {"wavesmith_locks": str(other / "locks"), "wavesmith_conda_channels": [str(other / "voices")]}
        playbook(
            other, "bundle.yml", wavesmith_bundle_folder=str(bundle), wavesmith_environments=voice, **there, **more
        )
        playbook(other, "export.yml", wavesmith_environments=voice, **there, **more)
        context = other / "root" / "export" / "voice"
        assert list((context / "wheels").glob("numpy-*.whl"))
        assert f"RUN python{more['wavesmith_python']} -m venv" in (context / "Dockerfile").read_text()
        shutil.rmtree(other)
        more |= {"wavesmith_bundle": str(bundle), "wavesmith_conda_channels": ["voices"]}
        playbook(host, "site.yml", before=away, wavesmith_environments={**SMALL, **voice}, **more)
        for name in ("small", "voice"):
            python = host / "root" / "envs" / name / "current" / "bin" / "python"
            subprocess.run([str(python), "-c", "import numpy"], check=True)
        assert (python.parent.parent / "conda-meta" / "history").exists()


@pytest.mark.slow
@needs_root
def test_a_model_of_a_repository_is_provisioned_from_a_bundle_without_any_network(
    tmp_path: Path, away: tuple[str, ...]
) -> None:
    repository = Repository(tmp_path / "git")
    models = tmp_path / "catalog" / "models"
    models.mkdir(parents=True)
    (models / "talker.yml").write_text(TALKER.format(address=ADDRESS, commit=repository.commit))
    wanted: dict[str, Any] = {
        "wavesmith_environments": {"voice": {"stack": "none", "packages": ["numpy"], "models": ["talker"]}},
        "wavesmith_catalog": str(models.parent),
    }
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    mirror = f"file://{repository.folder.parents[1]}/{{owner}}/{{name}}.git"
    more = {"wavesmith_git_mirrors": [mirror], "wavesmith_locks": str(here / "locks"), **wanted}
    playbook(here, "bundle.yml", before=("env", f"XDG_CACHE_HOME={here}/cache"), **more)
    bundle = tmp_path / "stick"
    shutil.copytree(here / "root" / "bundle", bundle)
    for gone in (here, repository.folder):
        shutil.rmtree(gone)
    playbook(there, "site.yml", before=(*away, f"XDG_CACHE_HOME={there}/cache"), wavesmith_bundle=str(bundle), **wanted)
    current = there / "root" / "envs" / "voice" / "current"
    assert (current / f"code/talker-{repository.commit[:12]}/{LEXICON}").read_text() == "hello həˈloʊ\n"
    checks = {check["id"]: check for check in json.loads((current / "wavesmith/verdict.json").read_text())["checks"]}
    assert checks["models.import.talker"]["verdict"] == "pass", checks["models.import.talker"]


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
