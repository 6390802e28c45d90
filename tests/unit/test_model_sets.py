"""`wavesmith model try`: which models share an environment, and what came of trying them."""

from __future__ import annotations

import argparse
import json
import platform
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.host.job import Failed
from ansible_collections.wavesmith.provision.plugins.plugin_utils import catalog_files, code_files, project_files

from tests.unit.test_projects import sets as project_set
from wavesmith import model_sets

from .test_plan import CATALOG

SETS = catalog_files.model_sets()
HERE = platform.machine()
OTHER = next(name for name in model_sets.ARCHITECTURES if name != HERE)


@pytest.fixture(autouse=True)
def local(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requirements of projects from the copies of the tests; no repository is asked."""
    found = {name: project_set(name) for name in catalog_files.projects()}
    monkeypatch.setattr(project_files, "read", lambda wanted, folder: (found, []))
    monkeypatch.setattr(code_files, "read", lambda wanted, models: (dict(models), []))


def arguments(folder: Path, *words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    model_sets.configure(parser)
    return parser.parse_args([*words, "--folder", str(folder)])


def test_every_model_that_needs_a_repository_is_in_a_set() -> None:
    named = {name for wanted in SETS.values() for name in wanted["models"]}
    assert {name for name, model in CATALOG.models.items() if model.tree} <= named <= set(CATALOG.models)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("python", model_sets.PYTHONS)
@pytest.mark.parametrize("architecture", model_sets.ARCHITECTURES)
def test_a_set_is_planned_for_one_environment_or_refused_with_the_reason(
    name: str, python: str, architecture: str
) -> None:
    found = model_sets._planned(model_sets.Row(name, architecture, python), SETS[name], CATALOG, [])
    if (name, architecture) == ("directml", "aarch64"):
        assert isinstance(found, str) and "directml" in found
    else:
        assert not isinstance(found, str), found
        assert [model["name"] for model in found[0].models] == SETS[name]["models"]


def answering(monkeypatch: pytest.MonkeyPatch, verdict: dict[str, Any], broken: str = "") -> list[list[str]]:
    """Nothing is really resolved, installed and run; a module whose import fails."""
    asked: list[list[str]] = []
    lock = "torch==2.11.0\n" + "".join(f"{name}==1\n" for name in ("openvoice-needs", "librosa"))

    def run(argv: list[str], item: str) -> str:
        asked.append(argv)
        if broken and item == f"import {broken}":
            raise Failed(f"{item}: OSError: libd3d12.so: cannot open shared object file")
        return json.dumps(verdict)

    monkeypatch.setattr(model_sets, "resolve", lambda *words: lock)
    monkeypatch.setattr(model_sets, "prefix_of", lambda work, *words: work)
    monkeypatch.setattr(model_sets, "modules_of", lambda prefix, imports: ({name: name for name in imports}, [], []))
    monkeypatch.setattr(model_sets, "command", run)
    return asked


@pytest.mark.parametrize(
    ("verdict", "imported", "reason"),
    [
        ({"verdict": "pass", "detail": "tier import"}, 2, ""),
        ({"verdict": "skip", "detail": "its mirror lacks a file"}, 1, ""),
        (
            {"verdict": "fail", "detail": "openvoice.api does not import"},
            1,
            "model openvoice: openvoice.api does not import",
        ),
    ],
)
def test_what_came_of_a_set_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verdict: dict[str, str], imported: int, reason: str
) -> None:
    answering(monkeypatch, verdict)
    row = model_sets.attempt(model_sets.Row("openvoice", HERE, "3.11"), SETS["openvoice"], CATALOG, arguments(tmp_path))
    assert (row.imported, row.reason) == (imported, reason)
    assert ("openvoice" in row.skipped) == (verdict["verdict"] == "skip")


def test_another_architecture_is_resolved_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answering(monkeypatch, {})
    row = model_sets.attempt(
        model_sets.Row("openvoice", OTHER, "3.12"), SETS["openvoice"], CATALOG, arguments(tmp_path)
    )
    assert (row.packages, row.imported, row.reason, asked) == (3, 0, "", [])


def test_what_wsl_alone_has_is_a_reason_to_skip_and_not_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(monkeypatch, {"verdict": "pass", "detail": ""}, broken="torch")
    row = model_sets.attempt(model_sets.Row("openvoice", HERE, "3.11"), SETS["openvoice"], CATALOG, arguments(tmp_path))
    assert row.skipped == {"torch": "libd3d12.so is a part of WSL"} and not row.reason


def test_the_table_has_a_line_for_each_set_and_python() -> None:
    rows = [
        model_sets.Row("speech", "x86_64", "3.11", 268, 40, seconds=412, date="2026-11-28"),
        model_sets.Row("speech", "aarch64", "3.11", 260),
        model_sets.Row("directml", "aarch64", "3.12", reason="stack directml is for x86_64"),
    ]
    assert model_sets.table(rows).splitlines()[2:] == [
        "| speech | 3.11 | 268 packages, 40 modules import (2026-11-28, 412 s) | resolves, 260 packages |",
        "| directml | 3.12 | not tried | stack directml is for x86_64 |",
    ]


def test_an_unknown_set_is_refused_with_those_there_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert model_sets.run(arguments(tmp_path, "singing")) == 2
    assert (
        "✗ set singing: there is no such set. Remedy: use one of: speech, openvoice, directml"
        in capsys.readouterr().err
    )


def test_what_was_tried_before_stays_in_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answering(monkeypatch, {"verdict": "pass", "detail": ""})
    for python, words in (("3.11", ["--no-install"]), ("3.12", [])):
        assert model_sets.run(arguments(tmp_path, "openvoice", "--python", python, "--architecture", HERE, *words)) == 0
    said = capsys.readouterr().out
    assert "| openvoice | 3.11 | " in said and "resolves, 3 packages" in said.split("| openvoice | 3.12 |")[-2]
    assert "| openvoice | 3.12 | " in said and "3 packages, 2 modules import" in said
