"""A host without any accelerator."""

from __future__ import annotations

import json
from typing import Any

import pytest

TORCH = {"torch": {"stack": "auto", "packages": ["torch", "torchaudio"]}}
ENVIRONMENTS = ("features", "voice", "ears")


def test_no_accelerator_is_found_and_torch_would_be_the_cpus(here: Any, tmp_path: Any) -> None:
    assert here.kept("observed.json")["accelerators"] == []
    here.works("playbooks/plan.yml", wavesmith_environments=TORCH, wavesmith_artifacts=str(tmp_path))
    (item,) = json.loads((tmp_path / here.name / "plan.json").read_text())["environments"]
    assert item["stack"] == "cpu" and "-cpu-" in item["variant"]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_an_environment_was_found_healthy(here: Any, environment: str) -> None:
    verdict = here.verdict(environment)
    assert verdict["verdict"] == "healthy", [c for c in verdict["checks"] if c["verdict"] == "fail"]


def test_it_understands_what_it_said(here: Any) -> None:
    heard = here.checks("ears")["models.understands.whisper_tiny"]
    assert heard["verdict"] == "pass" and "word error rate" in heard["detail"], heard


def test_a_user_hears_a_sentence_of_his_own(here: Any) -> None:
    say = "/opt/wavesmith/bin/wavesmith-run voice piper_demo --text 'It works on my machine.' --out /tmp/say.wav"
    said = here.host.run(say)
    assert said.rc == 0 and "device cpu" in " ".join(said.stdout.split()), said.stdout + said.stderr
    seconds = "import soundfile; s = soundfile.info('/tmp/say.wav'); print(s.duration)"
    assert 0.5 < float(here.python(seconds, "features")) < 10


def test_its_features_are_those_of_the_sound(here: Any) -> None:
    code = (
        "import librosa, numpy; t = numpy.arange(22050) / 22050; tone = numpy.sin(2 * numpy.pi * 440 * t);"
        " print(round(float(numpy.median(librosa.feature.spectral_centroid(y=tone, sr=22050)))))"
    )
    assert abs(int(here.python(code, "features")) - 440) < 10
