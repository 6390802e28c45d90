"""The command `wavesmith`, where it is more than a view of something tested elsewhere."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from wavesmith import cli
from wavesmith.cli import main

from .conftest import make_fatbin, make_library

pytestmark = pytest.mark.process

ROOT = Path(__file__).resolve().parents[2]


def planned(folder: Path, host: str, *gpus: tuple[str, str | None]) -> None:
    """What wavesmith plan saves of a host, as far as the audit reads it."""
    accelerators = [{"vendor": "nvidia", "name": name, "sm": sm} for name, sm in gpus]
    path = folder / host / "observed.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"accelerators": accelerators}))


def library(folder: Path) -> str:
    path = folder / "kernels.so"
    path.write_bytes(make_library(make_fatbin((120, "", "sass"), (90, "", "sass")), machine=183))
    return str(path)


def test_audit_says_which_hosts_of_the_fleet_a_binary_cannot_serve(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet = tmp_path / "artifacts"
    planned(fleet, "thor01", ("NVIDIA Thor", "11.0"))
    planned(fleet, "spark01", ("NVIDIA GB10", "12.1"))
    planned(fleet, "mixed01", ("H100", "9.0"), ("T4", "7.5"))
    planned(fleet, "cpu01")
    assert main(["audit", library(tmp_path), "--fleet", str(fleet), "--json"]) == 1
    hosts = {item["host"]: item["serves"] for item in json.loads(capsys.readouterr().out)["hosts"]}
    assert hosts == {"cpu01": True, "mixed01": False, "spark01": True, "thor01": False}


def test_audit_shows_each_host_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    planned(tmp_path / "artifacts", "thor01", ("NVIDIA Thor", "11.0"))
    main(["audit", library(tmp_path), "--fleet", str(tmp_path / "artifacts")])
    assert "✗ thor01: cannot serve NVIDIA Thor (SM 11.0)" in capsys.readouterr().out


def test_audit_of_a_fleet_that_was_never_planned_says_what_to_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit", library(tmp_path), "--fleet", str(tmp_path)]) == 2
    assert "Remedy: run wavesmith plan" in capsys.readouterr().err


def test_plan_explains_each_stack_and_fails_on_a_refusal(tmp_path: Path) -> None:
    argv = [ROOT / ".venv" / "bin" / "wavesmith", "plan", "-i", ROOT / "inventories" / "local", "--explain"]
    environ = {**os.environ, "WAVESMITH_STACK": "directml"}
    done = subprocess.run(argv, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "cpu: directml is forced by environment variable WAVESMITH_STACK" in done.stdout
    assert "cannot work on this host: it is for " in done.stdout
    assert json.loads((tmp_path / "artifacts" / "localhost" / "plan.json").read_text())["refusals"]


def leaves(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The subcommands that have none below them."""
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not below:
        yield parser
    for action in below:
        for inner in action.choices.values():
            yield from leaves(inner)


DAY = "provision plan status generations rollback verify repair prune remove run logs audit build matrix catalog model"


def test_every_command_has_q_and_those_of_the_day_answer_programs() -> None:
    commands = {command.prog.removeprefix("wavesmith "): command for command in leaves(cli.parser())}
    assert [name for name, command in commands.items() if "-q" not in command._option_string_actions] == []
    for word in DAY.split():
        below = [command for name, command in commands.items() if name.split()[0] == word]
        assert below and all("--json" in command._option_string_actions for command in below), word


@pytest.mark.parametrize("code", [0, 1, 2])
def test_quiet_keeps_errors_and_the_exit_code(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def said(_arguments: argparse.Namespace) -> int:
        print("what is shown")
        print("what is wrong", file=sys.stderr)
        return code

    monkeypatch.setattr("wavesmith.matrix.run", said)
    argv = ["matrix", "--package", "torch", "--python", "3.12", "--cuda", "13.0"]
    assert cli.main([*argv, "-q"]) == code
    assert capsys.readouterr() == ("", "what is wrong\n")
    assert cli.main(argv) == code and capsys.readouterr().out == "what is shown\n"
