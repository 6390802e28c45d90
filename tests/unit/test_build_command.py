"""`wavesmith build`: what it prints for any host, held against files that were read through line by line, and what it builds here."""

from __future__ import annotations

import json
import re
import shutil
import time
from pathlib import Path

import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.host import store
from ansible_collections.wavesmith.provision.plugins.module_utils.observe import probe

from wavesmith import cli

from .test_repositories import overlay_with_archive

GOLDEN = Path(__file__).parent / "golden"
# Each variable in these files has its place upstream in the `source` of its recipe (catalog/packages/*.yml).
HOSTS = {
    "thor": ["--sample", "jetson-thor"],
    "spark": ["--sample", "dgx-spark"],
    "rtx50": ["--sample", "rtx5090-ubuntu2404", "--stack", "cuda12_8"],
    "cpu": ["--sample", "cpu-debian12"],
}
PACKAGES = [
    f"--package={name}" for name in ("torch==2.10.0", "torchvision==0.25.0", "torchaudio==2.10.0", "sherpa-onnx")
]
CHANGES_OFTEN = ("  key ", "  with ", "  against ")
"""Lines that change with a lock: the keys and the versions of the build requirements."""


def said(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert cli.main(["build", *argv]) == 0
    return capsys.readouterr().out


def complaint(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert cli.main(["build", *argv]) == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("host", HOSTS)
def test_environment_and_commands_are_these(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = said(capsys, "--dry-run", *HOSTS[host], *PACKAGES)
    shown = "".join(f"{line}\n" for line in out.splitlines() if not line.startswith(CHANGES_OFTEN))
    assert shown == (GOLDEN / f"build-{host}.txt").read_text(encoding="utf-8")


def test_what_is_compiled_against_torch_names_its_key(capsys: pytest.CaptureFixture[str]) -> None:
    out = said(capsys, "--dry-run", "--sample", "jetson-thor", "--package", "torchaudio")
    keys = re.findall(r"  key      ([0-9a-f]{32}) \(build\)", out)
    assert f"  against  torch 2.10.0 ({keys[0]})" in out


def test_a_host_is_also_given_by_its_facts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sample = Path(__file__).parent / "samples" / "jetson-thor"
    facts = tmp_path / "thor.json"
    facts.write_text(json.dumps({"observed": {**probe.observe(probe_root=str(sample)), "wheels": []}}))
    one = said(capsys, "--dry-run", "--host-facts", str(facts), "--package", "torch")
    assert one == said(capsys, "--dry-run", "--sample", "jetson-thor", "--package", "torch")


@pytest.mark.parametrize(
    ("argv", "word"),
    [
        (["--dry-run", "--package", "pywrld"], "package 'pywrld' has no recipe. Remedy: did you mean pyworld"),
        (
            ["--dry-run", "--sample", "jetson-thro"],
            "sample 'jetson-thro' is not there. Remedy: did you mean jetson-thor",
        ),
        (["--dry-run", "--host-facts", "/nowhere.json"], "/nowhere.json cannot be read"),
        (["--sample", "jetson-thor"], "--host-facts and --sample are of other machines. Remedy: add --dry-run"),
        (["--dry-run", "--sample", "cpu-debian12", "--stack", "thor"], "Remedy: "),
        (["--dry-run", "--package", "pyworld==9.9"], "the catalog has no recipe that builds pyworld 9.9"),
        (["--dry-run", "--python", "3.99"], "there is no Python 3.99"),
    ],
)
def test_what_cannot_be_built_is_said_with_the_remedy(
    argv: list[str], word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert word in complaint(capsys, *argv)


@pytest.mark.process
@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler here")
@pytest.mark.parametrize(
    ("index", "archive", "says"),
    [
        ("http://127.0.0.1:9/simple", "", "✗ source package_index: it does not answer (Connection refused)"),
        ("file:///nowhere/simple", "", "✗ source package_index: it does not answer (no such folder)"),
        (
            "",
            "https://127.0.0.1:9/pyworld.tar.gz",
            "✗ wheel pyworld 0.3.5: its source does not answer (https://127",
        ),
    ],
)
def test_sources_are_asked_before_a_toolbox_is_touched(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    index: str,
    archive: str,
    says: str,
) -> None:
    argv = ["--root", str(tmp_path / "root"), "--stack", "none", "--package", "pyworld"]
    if index:
        monkeypatch.setenv("UV_DEFAULT_INDEX", index)
    if archive:
        overlay_with_archive(tmp_path / "catalog", archive)
        argv += ["--catalog", str(tmp_path / "catalog")]
    assert cli.main(["build", *argv]) == 2
    out, err = capsys.readouterr()
    assert out.startswith("builds pyworld 0.3.5 for python3") and says in err and "Remedy: " in err, err
    assert not (tmp_path / "root").exists()


def test_what_is_built_is_also_told_to_programs_or_not_at_all(capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["--dry-run", "--sample", "cpu-debian12", "--package", "pyworld"]
    (row,) = json.loads(said(capsys, *argv, "--json"))["wheels"]
    assert (row["name"], row["version"], row["state"]) == ("pyworld", "0.3.5", "build") and row["key"] in row["text"]
    assert said(capsys, *argv, "-q") == ""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler here")
def test_a_package_of_the_index_is_built_here_and_then_is_a_hit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["--root", str(tmp_path), "--stack", "none", "--package", "monotonic_alignment_search"]
    assert "built monotonic_alignment_search 0.2.1" in said(capsys, *argv)
    started = time.monotonic()
    assert said(capsys, *argv).startswith("hit   monotonic_alignment_search 0.2.1")
    assert time.monotonic() - started < 5
    assert len(store.survey(str(tmp_path), [])["wheels"]) == 1


@pytest.mark.parametrize(("host", "numpy"), [("thor", "numpy==2.5.5"), ("cpu", "numpy==2.4.6")])
def test_each_requirement_is_named_once_as_its_markers_say(
    host: str, numpy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = said(capsys, "--dry-run", *HOSTS[host], "--package=torch==2.10.0")
    (line,) = [line for line in out.splitlines() if line.startswith("  with ")]
    names = [word.partition("==")[0] for word in line.split(";")[1].split()]
    assert len(names) == len(set(names)) > 10 and numpy in line.split()
