"""The command as a wheel: built from this checkout, run where there is no checkout. What it then provisions is release/check.py's to show."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from wavesmith import INSTALLED, ROOT, inventory

CHECKOUT = Path(__file__).resolve().parents[2]


def test_a_checkout_is_no_wheel() -> None:
    assert not INSTALLED and ROOT == CHECKOUT


def test_a_wheel_takes_its_own_collection_first_and_writes_nothing_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANSIBLE_CONFIG", "ANSIBLE_COLLECTIONS_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(inventory, "INSTALLED", True)
    monkeypatch.setattr(inventory, "ROOT", Path("/usr/lib/site-packages/ansible_collections/wavesmith/provision"))
    found = inventory.settings()
    assert found["ANSIBLE_COLLECTIONS_PATH"].split(":")[0] == "/usr/lib/site-packages"
    assert found["ANSIBLE_LOCAL_TEMP"].startswith("~") and found["ANSIBLE_CONFIG"].endswith("provision/ansible.cfg")
    monkeypatch.setenv("ANSIBLE_COLLECTIONS_PATH", "/srv/mine")
    assert inventory.settings()["ANSIBLE_COLLECTIONS_PATH"] == "/usr/lib/site-packages:/srv/mine"
    monkeypatch.setenv("ANSIBLE_CONFIG", "/etc/mine.cfg")
    assert inventory.settings() == {"ANSIBLE_CONFIG": "/etc/mine.cfg"}


@pytest.mark.process
def test_the_wheel_answers_where_there_is_no_checkout(tmp_path: Path) -> None:
    uv = Path(sys.executable).with_name("uv")
    build = [
        uv,
        "build",
        "--quiet",
        "--wheel",
        "--no-build-isolation",
        "--python",
        sys.executable,
        "--out-dir",
        tmp_path,
        CHECKOUT,
    ]
    subprocess.run(build, check=True)
    (wheel,) = tmp_path.glob("wavesmith-*.whl")
    there = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(there)
    environ = {
        name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "WAVESMITH_", "PYTHON"))
    }

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "wavesmith", *words],
            cwd=tmp_path,
            env={**environ, "PYTHONPATH": str(there)},
            capture_output=True,
            text=True,
            check=False,
        )

    refused = run("provision")
    assert (
        refused.returncode == 2
        and refused.stderr.startswith("✗ inventory: none was named")
        and "wavesmith init" in refused.stderr
    )
    made = run("init", "fleet", "--host", "box01=ada@192.0.2.11")
    assert made.returncode == 0 and "speech:" in (tmp_path / "fleet" / "group_vars" / "all.yml").read_text(), (
        made.stderr
    )
    unknown = run("plan", "-i", "fleet", "-l", "box1")
    assert unknown.returncode == 2 and "did you mean box01" in unknown.stderr
    held = {path.relative_to(there).parts[:4] for path in there.rglob("*") if path.is_file()}
    assert ("ansible_collections", "wavesmith", "provision", "roles") in held
    assert {path.name for path in there.iterdir()} - {"ansible_collections", "wavesmith"} == {
        wheel.stem.rpartition("-py3")[0] + ".dist-info"
    }
