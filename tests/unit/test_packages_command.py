"""`wavesmith packages`: what is tried of the catalog, and how it is told."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.host.job import Failed
from ansible_collections.wavesmith.provision.plugins.plugin_utils import catalog_files

from wavesmith import packages
from wavesmith.cli import main
from wavesmith.packages import Row

CATALOG = catalog_files.load()
PAGE = packages.PAGE.read_text(encoding="utf-8")


def test_what_only_a_recipe_has_and_the_torch_family_are_left_out() -> None:
    names = packages.of_index(CATALOG)
    assert {"faster-whisper", "vllm", "librosa", "nemo_toolkit"} <= set(names)
    assert not {"torch", "torchaudio", "fairseq", "flash-attn", "pip", "setuptools"} & set(names)


def test_a_name_that_the_catalog_does_not_have_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["packages", "nothing-of-this", "--folder", str(tmp_path)]) == 2
    assert "'nothing-of-this' is not in the catalog" in capsys.readouterr().err


ROWS = [
    Row("voice", "x86_64", "3.11", "cpu", "1.0", 12, ["voice"]),
    Row("voice", "aarch64", "3.11", "cpu", "1.0", 12),
    Row("voice", "x86_64", "3.12", "cpu", "1.0", 12, ["voice"], "import voice.more: ImportError: no"),
    Row("alone", "x86_64", "3.11", reason="the index has wheels for aarch64 only"),
    Row("alone", "aarch64", "3.11", "cuda13_0", "2.0", 99),
]


def test_the_table_says_what_was_imported_what_resolves_and_why_not() -> None:
    lines = packages.table(ROWS).splitlines()
    assert lines[0] == "| package | version | stack | 3.11 x86_64 | 3.11 aarch64 | 3.12 x86_64 | 3.12 aarch64 |"
    assert lines[2] == "| alone | 2.0 | cuda13_0 | no (1) | resolves (99) | not tried | not tried |"
    assert lines[3] == "| voice | 1.0 | cpu | imports (12) | resolves (12) | resolves, note (2) | not tried |"
    assert lines[5:] == [
        "- note (1), alone: the index has wheels for aarch64 only",
        "- note (2), voice: import voice.more: ImportError: no",
    ]


def test_the_table_takes_the_place_of_the_one_before() -> None:
    page = f"# Head\n{packages.BEGIN}\nold\n{packages.END}\ntail\n"
    assert packages.within(page, "new\n") == f"# Head\n{packages.BEGIN}\n\nnew\n\n{packages.END}\ntail\n"
    assert packages.within(packages.within(page, "a\n"), "b\n") == packages.within(page, "b\n")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Traceback:\n  File x\nImportError: no module\n", "ImportError: no module"),
        (
            "Traceback:\nImportError: \n   pip install voice[codec]\n```\nsome more\n```",
            "ImportError: pip install voice[codec]",
        ),
        ("one\nvoice.errors.AudioError: bad\nhint: x", "voice.errors.AudioError: bad"),
        ("error: something failed\n```\n", "error: something failed"),
        ("", ""),
    ],
)
def test_the_line_that_says_what_is_wrong_is_found(text: str, line: str) -> None:
    assert packages.last_error(text.splitlines()) == line


def test_a_package_is_planned_and_resolved_as_a_host_would_and_not_tried_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[list[str]] = []

    def run(argv: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        asked.append([*argv, *Path(argv[-1]).read_text().split("\n")])
        return subprocess.CompletedProcess(argv, 0, "torch==2.11.0\nsnac==1.2.1\n", "")

    monkeypatch.setattr(packages.subprocess, "run", run)
    words = ["packages", "snac", "xformers", "--python", "3.12", "--no-install", "--folder", str(tmp_path)]
    assert main(words) == 0
    rows = {(row["package"], row["architecture"]): row for row in json.loads((tmp_path / "packages.json").read_text())}
    assert rows["snac", "aarch64"]["version"] == "1.2.1" and rows["snac", "aarch64"]["stack"] == "cpu"
    assert "aarch64-manylinux_2_36" in [word for line in asked for word in line]
    assert "x86_64 only" in rows["xformers", "aarch64"]["reason"]
    assert rows["xformers", "x86_64"]["stack"] == "cuda12_8"
    assert not any("+cu" in word for line in asked for word in line), "the versions, whichever index has their builds"
    before = len(asked)
    assert main(words) == 0 and len(asked) == before
    assert "| snac | 1.2.1 | cpu | resolves (2) | resolves (2) |" in capsys.readouterr().out


def test_the_page_shows_what_the_command_makes() -> None:
    shown = PAGE.partition(packages.BEGIN)[2].partition(packages.END)[0]
    names = re.findall(r"^\| ([a-z][\w-]*) \| [\d.]", shown, re.MULTILINE)
    assert {"piper-tts", "faster-whisper", "whisperx", "vllm"} <= set(names)
    assert set(names) <= set(CATALOG.packages)


@pytest.mark.process
@pytest.mark.parametrize(
    "shim", ["", "#!/bin/sh\nexit 127\n", "#!/bin/sh\necho 3.19\n"], ids=["none", "broken", "no Python"]
)
def test_a_python_that_does_not_run_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shim: str) -> None:
    (tmp_path / "bin").mkdir()
    if shim:
        (tmp_path / "bin/python3.19").write_text(shim)
        (tmp_path / "bin/python3.19").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(tmp_path / "installed"))
    with pytest.raises(Failed, match="there is no Python 3.19 on this machine to import it with"):
        packages.prefix_of(tmp_path, "", "3.19", "it")
