"""`wavesmith model`: what a model hub knows of weights is written into the catalog, and nothing else is."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from ansible_collections.wavesmith.provision.plugins.plugin_utils import catalog_files

from wavesmith.cli import main

from .hub import COMMIT, Hub, serving

LARGE, SMALL = b"w" * 100, b"{}"
WEIGHTS = """\
name: mine
source: {hub: who/mine, revision: null, gated: null}
licence: MIT
commercial: true
files:
  # the network itself
  - path: model.safetensors
    bytes: null
    sha256: null
  - path: config.json
    bytes: null
    sha256: null
sources:
  - "a test"
"""
MODEL = """\
name: mine
description: One of ours
task: codec
code: {package: mine}
licence: MIT
languages: []
sample_rate: 24000
memory_gib: {host: 1, gpu: null}
weights: [mine]
sources: ["a test"]
"""


@pytest.fixture
def hub() -> Iterator[Hub]:
    served = Hub()
    served.repository("who/mine", model_dot_safetensors=LARGE, config_dot_json=SMALL, README_dot_md=b"hello")
    with serving(served) as running:
        yield running


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    for kind, text in (("models", MODEL), ("weights", WEIGHTS)):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "mine.yml").write_text(text)
    return tmp_path


def pin(own: Path, hub: Hub, *more: str) -> int:
    catalog_files.load.cache_clear()  # a command reads it once, and here are several
    return main(["model", "pin", "mine", "--catalog", str(own), "--hub", hub.url, *more])


def test_revision_size_and_sha256_are_written_and_comments_stay(own: Path, hub: Hub) -> None:
    assert pin(own, hub) == 0
    text = (own / "weights" / "mine.yml").read_text()
    data = yaml.safe_load(text)
    assert data["source"] == {"hub": "who/mine", "revision": COMMIT, "gated": False}
    assert data["files"] == [
        {"path": "model.safetensors", "bytes": 100, "sha256": hashlib.sha256(LARGE).hexdigest()},
        {"path": "config.json", "bytes": 2, "sha256": hashlib.sha256(SMALL).hexdigest()},
    ]
    assert "  # the network itself\n" in text


def test_what_is_pinned_is_not_asked_about_again(own: Path, hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    pin(own, hub)
    hub.asked.clear()
    assert pin(own, hub) == 0 and hub.asked == []
    assert "the weights of mine are pinned already" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("revision: null", "revision: null"), ""),
        (("bytes: null", "bytes: 99"), "model.safetensors has 100 at c0ffee"),
        (("sha256: null", f"sha256: {'a' * 64}"), "the catalog says aaaa"),
        (
            ("path: config.json", "path: other.json"),
            "there is no file other.json. Remedy: correct files; there are: README.md, config",
        ),
        (("who/mine", "who/else"), "Remedy: correct its name or revision"),
    ],
)
def test_what_contradicts_the_hub_is_refused_and_nothing_is_written(
    own: Path, hub: Hub, capsys: pytest.CaptureFixture[str], change: tuple[str, str], said: str
) -> None:
    path = own / "weights" / "mine.yml"
    path.write_text(path.read_text().replace(*change, 1))
    before = path.read_text()
    assert pin(own, hub) == (2 if said else 0)
    assert said in capsys.readouterr().err
    assert (path.read_text() == before) is bool(said)


def test_an_unknown_revision_is_refused(own: Path, hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    assert pin(own, hub, "--revision", "d" * 40) == 2
    assert "Remedy: correct its name or revision" in capsys.readouterr().err


def test_a_gated_repository_is_refused_with_the_remedy_and_opened_by_a_token(
    own: Path, hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.gated.add("who/mine")
    assert pin(own, hub) == 2
    assert "it is gated. Remedy: accept its terms on the hub, and set HF_TOKEN" in capsys.readouterr().err
    # The client reads the token once in a process.
    code = f"from wavesmith.cli import main; raise SystemExit(main(['model', 'pin', 'mine', '--catalog', {str(own)!r}, '--hub', {hub.url!r}]))"
    root = Path(__file__).resolve().parents[2]
    environ = {"HF_TOKEN": hub.token, "PATH": "/usr/bin:/bin", "HOME": str(own)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load((own / "weights" / "mine.yml").read_text())["source"]["gated"] is True
    assert hub.token not in done.stdout + done.stderr + "".join(path.read_text() for path in own.rglob("*.yml"))


def test_a_hub_that_does_not_answer_is_said(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model", "pin", "mine", "--catalog", str(own), "--hub", "http://127.0.0.1:9"]) == 2
    assert "does not answer" in capsys.readouterr().err


def test_weights_whose_files_are_not_all_known_stay_unpinned_and_are_listed(
    own: Path, hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    path = own / "weights" / "mine.yml"
    path.write_text(path.read_text().replace("sources:", "complete: false\nsources:"))
    assert pin(own, hub) == 1
    assert "still unpinned: name what else it needs under files" in (said := capsys.readouterr().out)
    assert "The repository has: README.md" in said


def test_an_unknown_model_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model", "pin", "whisper"]) == 2
    assert "there is no model whisper. Remedy: use one of: " in capsys.readouterr().err


def test_the_list_says_what_is_unpinned(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model", "list"]) == 0
    said = capsys.readouterr().out
    assert "piper_demo: tts; code GPL-3.0-or-later, weights CC0-1.0, 60.3 MiB\n" in said
    assert "vevo: convert; code MIT, weights cc-by-nc-4.0 and MIT, 3.5 GiB; without its weights: vevo" in said
