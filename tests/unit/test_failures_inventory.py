"""What fixes a failure in an environment of Wavesmith goes by way of its inventory: what pip or uv put into a generation is drift."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.wavesmith.provision.plugins.module_utils.doctor.cause import explained
from ansible_collections.wavesmith.provision.plugins.module_utils.failures.inventory import in_the_inventory, installs
from ansible_collections.wavesmith.provision.plugins.module_utils.failures.match import recognise
from ansible_collections.wavesmith.provision.plugins.module_utils.verify import doctor

from .conftest import known

FILES = sorted((Path(__file__).resolve().parents[2] / "catalog" / "failures").glob("*.yml"))
ENTRIES: dict[str, dict[str, Any]] = {path.stem: yaml.safe_load(path.read_text()) for path in FILES}
BY_HAND = re.compile(r"\b(?:pip3?|conda|mamba) (?:install|uninstall)\b")
LOWERS_SAFETY = re.compile(
    r"NO_WEIGHTS_ONLY_LOAD|trusted-host|break-system-packages|no-verify|chmod 777|--privileged|safe\.directory|VERIFY=0"
)
"""What a command may hold only beside the condition under which it is right."""


def commands(entry: dict[str, Any]) -> list[str]:
    return [one["command"] for one in [entry, *entry.get("instead", [])] if "command" in one]


INSTALLING = [name for name, entry in ENTRIES.items() if any(BY_HAND.search(command) for command in commands(entry))]


def test_there_are_such_remedies() -> None:
    assert len(INSTALLING) >= 20


@pytest.mark.parametrize("name", INSTALLING)
def test_in_an_environment_of_ours_nothing_is_installed_by_hand(name: str) -> None:
    for example in ENTRIES[name]["examples"]:
        answer = next(item.answer for item in recognise(example, known(), {"environment": "ears"}) if item.id == name)
        assert not BY_HAND.search(answer.command), answer.command
        if "ears" in answer.remedy:
            assert "inventory" in answer.remedy and answer.command.endswith("wavesmith provision")


@pytest.mark.parametrize("name", INSTALLING)
def test_elsewhere_the_command_stays_what_it_is(name: str) -> None:
    for example in ENTRIES[name]["examples"]:
        answer = next(item.answer for item in recognise(example, known()) if item.id == name)
        assert "wavesmith provision" not in answer.command and "environment" not in re.findall(
            r"\{(\w+)\}", answer.remedy
        )


@pytest.mark.parametrize(
    ("command", "words", "then"),
    [
        ('uv pip install "numpy<2"', 'add "numpy<2" to its packages', "wavesmith provision"),
        ("uv pip install soundfile torchcodec", 'add "soundfile" and "torchcodec" to its packages', "wavesmith provision"),
        ("pip install -U numba", "newest release", "wavesmith lock --upgrade numba && wavesmith provision"),
        ('python3 -m pip install -U "setuptools>=66.1,<82"', 'add "setuptools>=66.1,<82"', "wavesmith provision"),
        ("uv pip uninstall a b; uv pip install b", 'add "b" to its packages and leave out what brings a', "wavesmith provision"),
        ("echo 'cython<3' > build.txt; uv pip install --build-constraints build.txt …", "recipe", "wavesmith provision"),
        ('conda install -c conda-forge "libstdcxx-ng>=13"', 'add "libstdcxx-ng>=13"', "wavesmith provision"),
    ],
)  # fmt: skip
def test_what_an_installer_would_do_is_said_of_the_inventory(command: str, words: str, then: str) -> None:
    way = in_the_inventory({"remedy": "Do it", "command": command, "when": {"machine": "wsl2"}})
    assert way is not None and words in way["remedy"] and way["command"] == then
    assert way["when"] == {"machine": "wsl2", "environment": ".+"}


@pytest.mark.parametrize(
    "command",
    ["pip check", "pip list | grep -i cudnn", "apt-get install -y ffmpeg", "nvidia-smi", "", "uv cache clean"],
)
def test_what_installs_nothing_into_an_environment_stays(command: str) -> None:
    assert installs(command) is None and in_the_inventory({"remedy": "Do it", "command": command}) is None


NUMPY = "_ARRAY_API not found\n"


@pytest.mark.parametrize(
    ("path", "environment"),
    [
        ("/opt/wavesmith/envs/ears/current/lib/python3.11/site-packages/x.py", "ears"),
        ("/home/ada/wavesmith/envs/my_voice/0a628c1c5e9706fe/lib/x.py", "my_voice"),
        ("/srv/w/envs/speech/0a628c1c5e9706fe-r2/lib/x.py", "speech"),
        ("/opt/conda/envs/ears/lib/python3.11/site-packages/x.py", ""),
        ("/home/ada/.venv/lib/python3.11/site-packages/x.py", ""),
    ],
)
def test_a_text_says_by_its_paths_that_it_is_of_an_environment_of_ours(path: str, environment: str) -> None:
    (item,) = recognise(f'  File "{path}", line 1, in <module>\n{NUMPY}', known())
    assert (f"environment {environment}:" in item.answer.remedy) is bool(environment)
    assert item.answer.command == ("wavesmith provision" if environment else 'uv pip install "numpy<2"')


def test_a_check_that_fails_names_the_way_of_the_inventory() -> None:
    given: Any = {"id": "x", "verdict": "fail", "detail": NUMPY, "remedy": "repair", "evidence": {}}
    found = explained(given, "repair", "", known(), {"environment": "ears"})
    assert "environment ears:" in found["remedy"] and "wavesmith provision" in found["remedy"]


@pytest.mark.parametrize(
    "said",
    [
        NUMPY,
        "ModuleNotFoundError: No module named 'sklearn'\n",
        "nvrtc: error: invalid value for --gpu-architecture (-arch)\n",
    ],
)
def test_the_command_of_a_host_names_its_environment(said: str, tmp_path: Path) -> None:
    prefix = tmp_path / "envs" / "ears" / "current"
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin" / "python").write_text(f'#!/bin/sh\nexec {sys.executable} -IS "$@"\n')
    (prefix / "bin" / "python").chmod(0o755)
    question = {"environment": "ears", "generation": "g", "prefix": str(prefix), "failures": known().data}
    doctor.install(str(tmp_path), str(prefix), question, doctor.sources({}))
    argv = [tmp_path / "bin" / "wavesmith-doctor", "ears", "--json", "--paste", "-"]
    done = subprocess.run(argv, input=said, capture_output=True, text=True, timeout=60, check=False)
    (item,) = json.loads(done.stdout)["recognised"]
    assert "environment ears:" in item["remedy"] and item["command"] == "wavesmith provision"
    done = subprocess.run([*argv, "--elsewhere"], input=said, capture_output=True, text=True, timeout=60, check=False)
    assert json.loads(done.stdout)["recognised"][0]["command"].startswith("uv pip install")


def test_a_command_that_lowers_safety_carries_its_condition() -> None:
    lowering = [command for entry in ENTRIES.values() for command in commands(entry) if LOWERS_SAFETY.search(command)]
    assert lowering and not [command for command in lowering if "# only if" not in command]
