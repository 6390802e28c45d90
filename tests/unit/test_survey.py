"""Surveys for AWX and Semaphore: every answer they can give is one that the playbooks take, and none is asked for."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.variables import VARIABLES, read

from wavesmith import survey
from wavesmith.cli import main

ROOT = Path(__file__).resolve().parents[2]
ANSWERS = {
    "integer": "5",
    "int": "5",
    "float": "2.5",
    "multiplechoice": "true",
    "enum": "true",
    "text": "a,b",
    "": "a,b",
    "password": "x",
}


def made(capsys: pytest.CaptureFixture[str], playbook: str, tool: str) -> Any:
    assert main(["survey", playbook, "--for", tool]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("tool", ["awx", "semaphore"])
@pytest.mark.parametrize("playbook", sorted({known.playbook for known in VARIABLES.values()} - {""} | set(survey.ALSO)))
def test_what_a_survey_asks_for_is_taken(capsys: pytest.CaptureFixture[str], playbook: str, tool: str) -> None:
    found = made(capsys, playbook, tool)
    questions = found["spec"] if tool == "awx" else found
    assert questions and (ROOT / "playbooks" / f"{playbook}.yml").is_file()
    for question in questions:
        name = question["variable" if tool == "awx" else "name"]
        assert question["required"] is False
        assert (question["question_description"] if tool == "awx" else question["description"]).strip()
        _, refusals = read({name: ANSWERS[question["type"]]})
        assert not [refusal for refusal in refusals if "but must be" in refusal.problem], (name, refusals)


def test_a_waves_survey_in_both_forms(capsys: pytest.CaptureFixture[str]) -> None:
    spec = {question["variable"]: question for question in made(capsys, "reprovision", "awx")["spec"]}
    assert list(spec) == ["wavesmith_waves", "wavesmith_failure_budget", "wavesmith_verify_full"]
    assert spec["wavesmith_failure_budget"]["type"] == "integer"
    assert spec["wavesmith_verify_full"]["choices"] == ["true", "false"]
    values = {item["name"]: item.get("values") for item in made(capsys, "reprovision", "semaphore")}
    assert [value["value"] for value in values["wavesmith_verify_full"] or ()] == ["true", "false"]


def test_a_playbook_that_may_be_told_nothing_is_refused_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["survey", "reprovison"]) == 2
    assert "did you mean reprovision" in capsys.readouterr().err


def test_no_playbook_asks_a_question() -> None:
    """AWX and Semaphore give a job no terminal."""
    for path in (ROOT / "playbooks").glob("*.yml"):
        assert not re.search(r"vars_prompt|ansible\.builtin\.pause", path.read_text()), path
