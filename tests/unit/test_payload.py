"""What a run without work costs: our modules are packed once for all runs, and their compiled code is kept."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.machinery import SourceFileLoader
from pathlib import Path

import pytest
from ansible import constants
from ansible_collections.wavesmith.provision.plugins.plugin_utils import compiled, payload

ROOT = Path(__file__).resolve().parents[2]
NAME = f"{payload.PREFIX}observe-ZIP_DEFLATED-none"


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, Path]]:
    """The folder of all runs, and the one of this run."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "DEFAULT_LOCAL_TMP", str(tmp_path / "run"))
    (tmp_path / "run").mkdir()
    payload._folder.cache_clear()
    yield payload._folder(), tmp_path / "run" / "ansiballz_cache"
    payload._folder.cache_clear()


def pack(run: Path, text: bytes = b"packed") -> None:
    """What Ansible does where nothing is there."""
    run.mkdir(exist_ok=True)
    if not (run / NAME).exists():
        (run / NAME).write_bytes(text)


def another_run(run: Path) -> None:
    for path in run.iterdir():
        path.unlink()


def test_what_one_run_packed_the_next_one_has(places: tuple[Path, Path]) -> None:
    _, run = places
    with payload.kept("observe"):
        pack(run)
    another_run(run)
    with payload.kept("observe"):
        assert (run / NAME).read_bytes() == b"packed"


def test_what_was_damaged_is_packed_again(places: tuple[Path, Path]) -> None:
    kept, run = places
    with payload.kept("observe"):
        pack(run)
    another_run(run)
    (file,) = kept.iterdir()
    file.write_bytes(b"something else")
    with payload.kept("observe"):
        assert not (run / NAME).exists()
        pack(run, b"again")
    assert [path.read_bytes() for path in kept.iterdir()] == [b"again"]


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o775])
def test_a_folder_that_others_may_write_to_is_not_used(places: tuple[Path, Path], mode: int) -> None:
    kept, run = places
    with payload.kept("observe"):
        pack(run)
    another_run(run)
    kept.chmod(mode)
    with payload.kept("observe"):
        assert not (run / NAME).exists()


def test_another_users_folder_and_a_link_are_not_used(
    places: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, run = places
    with payload.kept("observe"):
        pack(run)
    another_run(run)
    with monkeypatch.context() as other:
        other.setattr(os, "geteuid", lambda: 12345)
        with payload.kept("observe"):
            assert not (run / NAME).exists()
    kept.rename(tmp_path / "elsewhere")
    kept.symlink_to(tmp_path / "elsewhere")
    with payload.kept("observe"):
        assert not (run / NAME).exists()


def test_packed_for_a_debugger_is_not_kept(places: tuple[Path, Path]) -> None:
    kept, run = places
    with payload.kept("observe"):
        run.mkdir()
        (run / f"{payload.PREFIX}observe-ZIP_DEFLATED-debugpy").write_bytes(b"debugged")
    assert not kept.exists()


def test_only_the_newest_states_of_the_sources_are_kept(places: tuple[Path, Path]) -> None:
    kept, run = places
    for number in range(6):
        old = kept.parent / f"old{number}"
        old.mkdir(parents=True)
        os.utime(old, (number, number))
    with payload.kept("observe"):
        pack(run)
    assert {path.name for path in kept.parent.iterdir()} == {kept.name, "old5", "old4", "old3"}


def test_a_home_that_cannot_be_written_to_stops_nothing(places: tuple[Path, Path], tmp_path: Path) -> None:
    _, run = places
    (tmp_path / "cache").write_text("a file in its place")
    with payload.kept("observe"):
        pack(run)


@pytest.mark.process
def test_ansible_takes_what_was_packed_before(tmp_path: Path) -> None:
    """What stands in the cache is what runs on the host: where it is made unusable, the run fails."""
    env = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    inventory = tmp_path / "hosts.json"
    host = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "wavesmith_environments": {}}
    shared = {**host, "wavesmith_root": f"{tmp_path}/root", "wavesmith_artifacts": f"{tmp_path}/artifacts"}
    inventory.write_text(json.dumps({"all": {"hosts": {"here": shared}}}))

    def plan() -> str:
        argv = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(inventory), "playbooks/plan.yml"]
        done = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
        return f"{done.returncode} {done.stdout}{done.stderr}"

    assert plan().startswith("0 ")
    (file,) = (tmp_path / "wavesmith" / "modules").glob("*/*")
    data = pickle.dumps(replace(pickle.loads(file.read_bytes()), zip_data=b"bm8gemlw"))
    file.unlink()
    (file.parent / f"{file.name.rpartition('.')[0]}.{hashlib.sha256(data).hexdigest()}").write_bytes(data)
    assert not plan().startswith("0 ")  # it was taken: it cannot run


@pytest.mark.parametrize("name", ["plugin_utils.text", "module_utils.plan.decide", "module_utils.plan"])
def test_our_modules_come_from_their_compiled_code(name: str) -> None:
    plugins = ROOT / "collections" / "ansible_collections" / "wavesmith" / "provision" / "plugins"
    folder = plugins.joinpath(*name.split(".")[:-1])
    spec = compiled.Compiled.find_spec(compiled.OURS + name, [str(folder)])
    assert spec is not None and isinstance(spec.loader, SourceFileLoader)


@pytest.mark.parametrize("name", ["ansible_collections.community.general.plugins.module_utils.x", "json", "nothing"])
def test_others_modules_are_left_to_ansible(name: str) -> None:
    assert compiled.Compiled.find_spec(name, [str(ROOT / "wavesmith")]) is None


def test_what_is_no_module_is_left_to_ansible() -> None:
    assert compiled.Compiled.find_spec(f"{compiled.OURS}nothing", [str(ROOT / "plugins")]) is None
    assert compiled.Compiled.find_spec(f"{compiled.OURS}action", [str(ROOT / "plugins")]) is None
