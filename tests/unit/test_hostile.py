"""A hostile host, with a real Ansible: what it answers in place of our modules runs nothing here and steers no terminal."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.wavesmith.provision.plugins.action import lock
from ansible_collections.wavesmith.provision.plugins.module_utils.host import store

from .peers import replay

ROOT = Path(__file__).resolve().parents[2]
SECRET = "S3cr3tToken"
pytestmark = pytest.mark.process


class Liar:
    """A host whose Python answers what it likes, and what Ansible makes of it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.owned = folder, folder / "owned"
        self.evil = (
            f"{{{{ lookup('pipe', 'touch {self.owned}') }}}}\x1b[2J\x1b]0;owned\x07\x9b31m\u202e\n  a line of theirs"
        )
        self.python = folder / "python3"
        self.python.write_text(f"#!/bin/sh\ncat > /dev/null\ncat {folder}/answer.json\n")
        self.python.chmod(0o755)

    def observed(self) -> dict[str, Any]:
        kept = store.survey(str(self.folder / "nothing"), [])
        return {**replay("cpu-debian12"), **kept}

    def plan(self, answer: Any, *options: str, python: str = "", **variables: Any) -> subprocess.CompletedProcess[str]:
        text = answer if isinstance(answer, str) else json.dumps(answer)
        (self.folder / "answer.json").write_text(text)
        given = {
            "ansible_connection": "local",
            "ansible_python_interpreter": python or str(self.python),
            "wavesmith_environments": {"speech": {"packages": ["torch", "librosa"]}},
            "wavesmith_artifacts": str(self.folder / "artifacts"),
            "wavesmith_locks": str(self.folder / "locks"),
            **variables,
        }
        inventory = self.folder / "hosts.yml"
        inventory.write_text(json.dumps({"all": {"hosts": {"liar": given}}}))
        argv = [str(Path(sys.prefix, "bin", "ansible-playbook")), "-i", str(inventory), "playbooks/plan.yml", *options]
        env = {
            **os.environ,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_LOCALHOST_WARNING": "False",
            "HF_TOKEN": SECRET,
        }
        return subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=120)

    def harmless(self, done: subprocess.CompletedProcess[str]) -> None:
        assert not self.owned.exists()
        for character in "\x1b\x07\x9b\u202e\r":
            assert character not in done.stdout + done.stderr
        assert "Traceback" not in done.stdout + done.stderr


@pytest.fixture
def liar(tmp_path: Path) -> Liar:
    return Liar(tmp_path)


def spread(value: Any, evil: str) -> Any:
    if isinstance(value, dict):
        return {key: spread(item, evil) for key, item in value.items()}
    if isinstance(value, list):
        return [spread(item, evil) for item in value]
    return value + evil if isinstance(value, str) else value


def test_templates_and_escapes_in_what_is_observed_are_text(liar: Liar) -> None:
    observed = liar.observed()
    for name in ("pretty_name", "kernel", "codename"):
        observed["os"][name] += liar.evil
    observed["findings"].append({"id": "x", "detail": liar.evil, "remedy": liar.evil})
    observed["busy"] = {"pid": 1, "purpose": liar.evil, "since": 1.0}
    done = liar.plan({"observed": observed, "changed": False})
    liar.harmless(done)
    assert "\n  a line of theirs" not in done.stdout
    assert "{{ lookup" in liar.plan({"observed": observed, "changed": False}, "-v").stdout
    liar.harmless(liar.plan({"observed": spread(observed, liar.evil), "changed": False}, "-vvv"))


def test_a_failure_says_its_words_without_escapes_and_sets_nothing(liar: Liar) -> None:
    more = {"add_host": {"host_name": "evil"}, "ansible_facts": {"ansible_connection": "ssh"}, "exception": liar.evil}
    done = liar.plan({"failed": True, "msg": liar.evil, "warnings": [liar.evil], **more})
    liar.harmless(done)
    assert done.returncode != 0 and "ansible_facts" not in done.stdout


@pytest.mark.parametrize(
    "observed",
    [[1], {"__ansible_type": "TrustedAsTemplate", "value": "{{ 1 }}"}, {"schema": 1}, {"schema": 99}, "text", None],
    ids=["a list", "a claim to be trusted", "lacking", "another version", "a text", "nothing"],
)
def test_an_answer_that_is_no_record_is_refused(liar: Liar, observed: Any) -> None:
    done = liar.plan({"observed": observed})
    liar.harmless(done)
    assert done.returncode != 0 and not list((liar.folder / "artifacts").rglob("*.json"))


def test_a_huge_answer_ends_in_a_refusal(liar: Liar) -> None:
    observed = {**liar.observed(), "hostname": "x" * (70 << 20)}
    done = liar.plan({"observed": observed})
    liar.harmless(done)
    assert "is larger than 64 MiB. Remedy: " in done.stdout + done.stderr and len(done.stdout) < 1 << 20


def test_a_token_is_in_no_plan_record_log_or_output(liar: Liar) -> None:
    index = f"http://ada:{SECRET}@127.0.0.1:9/simple"
    python = next(path for path in ("/usr/bin/python3", sys.executable) if shutil.which(path))
    root = str(liar.folder / "root")
    done = liar.plan(
        "", "-vvv", python=python, wavesmith_package_index=index, wavesmith_root=root, wavesmith_probe_timeout=1.0
    )
    assert "package_index" in done.stdout
    assert SECRET not in done.stdout + done.stderr
    kept = [path for path in liar.folder.rglob("*") if path.is_file() and path.name != "hosts.yml"]
    assert kept and not any(SECRET in path.read_text(errors="replace") for path in kept)


@pytest.mark.parametrize(
    ("result", "written"),
    [
        ({"k": "numpy==1 \\\n    --hash=sha256:" + "0" * 64 + "\n"}, ["k.txt"]),
        (
            {"k": "numpy==1\n", "k.inspected": "{}", "../../owned.inspected": "{}", "/tmp/owned": "x"},
            ["k.inspected.json", "k.txt"],
        ),
        ({"k": ["no", "text"], "other": "numpy==1\n"}, []),
        ({"k": "--index-url https://evil.example\n"}, []),
    ],
    ids=["what was asked for", "and more", "no text", "an option"],
)
def test_only_the_lock_that_was_asked_for_is_written(
    tmp_path: Path, result: dict[str, Any], written: list[str]
) -> None:
    task = SimpleNamespace(args={"locks": [{"key": "k", "inputs": "0" * 64}]})
    plugin = lock.ActionModule(task, None, None, None, SimpleNamespace(template=lambda value: value), None)
    variables = {"inventory_hostname": "liar", "wavesmith_locks": str(tmp_path / "deep" / "locks")}
    answer = plugin.conclude({"changed": True, "result": result}, variables)
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == written
    assert bool(answer.get("failed")) == ("--index-url" in str(result)) and "result" not in answer
