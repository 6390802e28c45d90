"""Models: what the catalog says of them, what is planned, and how they are run and judged in an environment."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import pytest
from ansible.errors import AnsibleError
from ansible_collections.wavesmith.provision.plugins.module_utils.doctor import models as judged
from ansible_collections.wavesmith.provision.plugins.module_utils.doctor.base import Check, Context, Spec, perform
from ansible_collections.wavesmith.provision.plugins.module_utils.models import device, kept, measure, run, sound
from ansible_collections.wavesmith.provision.plugins.module_utils.plan import models
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.models import RUNNER
from ansible_collections.wavesmith.provision.plugins.module_utils.prefix import activation
from ansible_collections.wavesmith.provision.plugins.module_utils.prefix import models as prefix_models
from ansible_collections.wavesmith.provision.plugins.module_utils.structures import dualcodec
from ansible_collections.wavesmith.provision.plugins.module_utils.terms.refusal import Refusal, joined
from ansible_collections.wavesmith.provision.plugins.module_utils.verify.doctor import speakers
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.model import Model, WeightFile, Weights
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.variables import Environment, Wanted
from ansible_collections.wavesmith.provision.plugins.plugin_utils import catalog_files
from ansible_collections.wavesmith.provision.plugins.plugin_utils.text import plan_text

from .conftest import make_manifest
from .test_plan import CATALOG, decide, gpu, host, locked, only, refusal

REAL = ("piper_demo", "sherpa_onnx", "silero_vad", "swift_f0", "torchcrepe", "whisper_tiny")
SPEECH = Environment("speech", models=("whisper_tiny", "silero_vad", "torchcrepe", "swift_f0"))
VOICE = Environment("voice", stack="none", models=("piper_demo",))
RATE = 16000


# The catalog


def test_the_models_that_a_person_asks_for_are_there() -> None:
    wanted = {
        "dualcodec",
        "maskgct",
        "vevo",
        "metis",
        "fish_speech",
        "fish_speech_s1",
        "sherpa_onnx",
        "sherpa_ctc",
        "openvoice",
        "diffrhythm2",
    }
    assert wanted | set(REAL) <= set(CATALOG.models)


@pytest.mark.parametrize("name", REAL)
def test_the_weights_of_the_small_real_ones_are_pinned(name: str) -> None:
    assert [weights.unknown for weights in CATALOG.models[name].weights] == [""]
    assert models.model_of(CATALOG.models[name])["refused"] == ""


@pytest.mark.parametrize("model", CATALOG.models.values(), ids=lambda model: model.name)
def test_a_model_names_packages_and_projects_that_the_catalog_has(model: Model) -> None:
    assert set(model.packages) <= set(CATALOG.packages)
    assert not model.project or model.project in catalog_files.projects()


@pytest.mark.parametrize("model", CATALOG.models.values(), ids=lambda model: model.name)
def test_a_model_asks_for_torch_by_its_name_alone(model: Model) -> None:
    family = {name for stack in CATALOG.stacks.values() for name in stack.versions}
    asked = [line for line in model.requires if any(line.startswith(f"{name}=") for name in family)]
    assert not asked


@pytest.mark.parametrize("name", ["maskgct", "metis", "vevo", "fish_speech", "openvoice", "diffrhythm2", "dualcodec"])
def test_what_is_not_known_of_weights_is_said_and_not_guessed(name: str) -> None:
    said = models.model_of(CATALOG.models[name])["refused"]
    assert "unpinned: its revision" in said and f"Remedy: wavesmith model pin {name}" in said


def test_every_file_of_weights_belongs_to_a_model() -> None:
    used = {weights.name for model in CATALOG.models.values() for weights in model.weights}
    assert used == {path.stem for path in (catalog_files.FOLDER / "weights").glob("*.yml")}


def test_a_model_of_ones_own_joins_the_catalog(tmp_path: Path) -> None:
    own = (catalog_files.FOLDER / "models" / "swift_f0.yml").read_text().replace("name: swift_f0", "name: mine")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "mine.yml").write_text(own)
    assert catalog_files.load(overlay=tmp_path).models["mine"].weights == CATALOG.models["swift_f0"].weights


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("weights: [swift_f0]", "weights: [swift_f1]"), "there are no weights swift_f1"),
        (
            ("task: pitch", "task: sing"),
            r"there is no task sing\. Remedy: use one of codec, convert, .*, or write tasks/sing.yml",
        ),
        (("licence: MIT\n", ""), "licence"),
        (("code: {package: swift-f0}", "code: {git: x}"), "code: "),
        (("memory_gib: {host: 0.2, gpu: null}", "memory_gib: {host: 0}"), "memory_gib"),
    ],
)
def test_a_broken_model_is_refused_by_file_and_place(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    text = (catalog_files.FOLDER / "models" / "swift_f0.yml").read_text()
    assert change[0] in text
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "swift_f0.yml").write_text(text.replace(*change))
    with pytest.raises(AnsibleError, match=said) as raised:
        catalog_files.load(overlay=tmp_path)
    assert "swift_f0.yml" in str(raised.value)


def hub(**changes: Any) -> Weights:
    file = WeightFile("model.safetensors", 10, "a" * 64)
    return replace(Weights("w", "hub", "who/what", "MIT", True, (file,), revision="b" * 40), **changes)


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        (hub(), ""),
        (hub(revision=None), "its revision"),
        (hub(files=(WeightFile("x", None, None),)), "size and sha256 of x"),
        (hub(files=(WeightFile("x", 1, None), WeightFile("y", None, "a" * 64))), "sha256 of x, size of y"),
        (hub(complete=False), "which other files it needs"),
        (
            hub(revision=None, complete=False, files=(WeightFile("x", None, None),)),
            "its revision, size and sha256 of x and 1 more",
        ),
    ],
)
def test_what_keeps_weights_from_being_pinned(weights: Weights, said: str) -> None:
    assert weights.unknown == said


# The plan


def test_a_model_brings_what_it_requires_and_what_must_import() -> None:
    item = only(decide(host(), SPEECH))
    asked = item.lock["requirements"]
    assert {"torch==2.11.0+cpu", "torchcrepe==0.0.24", "silero-vad==6.2.3", "swift-f0==0.3.0"} <= set(asked)
    assert {
        "torch": "torch",
        "silero-vad": "silero_vad",
        "faster-whisper": "faster_whisper",
    }.items() <= item.imports.items()


def test_packages_of_the_catalog_that_a_model_names_are_in_its_environment() -> None:
    item = only(decide(host(), Environment("codec", models=("dualcodec",))))
    assert "dualcodec>=0.4.2" in item.lock["requirements"] and "protobuf>=5,<7" in item.lock["overrides"]


def test_an_unknown_model_is_refused_with_the_nearest() -> None:
    found = refusal(decide(host(), replace(SPEECH, models=("whisper_tiney",))))
    assert found.problem == "model 'whisper_tiney' is not in the catalog" and "whisper_tiny" in found.remedy


def test_a_model_under_the_gpl_gets_no_company() -> None:
    found = refusal(decide(host(), replace(SPEECH, models=("piper_demo", "swift_f0"))))
    assert found.problem.startswith("model piper_demo cannot be with swift_f0: it is under the GPL")
    assert found.remedy == "give piper_demo an environment of its own"


def test_a_model_that_computes_with_torch_is_refused_where_no_torch_is_wanted() -> None:
    found = refusal(decide(host(), replace(SPEECH, stack="none", models=("silero_vad",))))
    assert found.problem == "torch (model silero_vad) belongs to a stack, but stack is none"


def test_a_model_that_a_backend_cannot_run_is_refused_with_the_reason() -> None:
    wsl = host(
        machine={"kind": "wsl2"},
        accelerators=[gpu(None, "GPU of Windows", "directx")],
        sources={"package_index": {"answers": True, "detail": ""}},
    )
    (found,) = decide(wsl, Environment("codec", stack="directml", models=("dualcodec",))).refusals
    assert "model dualcodec does not work on directml: it computes on the CPU" in found.problem


def test_a_python_that_a_model_does_not_work_on_is_refused_by_its_name() -> None:
    young = replace(CATALOG.models["swift_f0"], python_minimum=(3, 12))
    catalog = replace(CATALOG, models={"young": replace(young, name="young")})
    found = refusal(decide(host(), Environment("a", models=("young",)), catalog=catalog))
    assert found.problem.startswith("stack cpu with young needs Python 3.12 to ")


def test_the_projects_of_models_are_read_with_the_environments_own() -> None:
    wanted = Wanted(environments=(Environment("a", models=("maskgct", "metis", "swift_f0"), projects=("mine",)),))
    (item,) = models.with_projects(wanted, CATALOG.models).environments
    assert item.projects == ("mine", "amphion-maskgct")


def test_a_licence_that_forbids_commercial_use_is_said_before_anything_is_fetched() -> None:
    several = (hub(licence="cc-by-nc-4.0", commercial=False), hub(licence="cc-by-nc-4.0", commercial=False))
    closed = replace(CATALOG.models["swift_f0"], weights=several)
    result = decide(
        host(), Environment("a", models=("swift_f0",)), catalog=replace(CATALOG, models={"swift_f0": closed})
    )
    assert result.warnings == ["model swift_f0: the licence of its weights (cc-by-nc-4.0) forbids commercial use"]


@pytest.mark.parametrize(
    ("observed", "said"),
    [
        (host(memory={"total": 4 * 2**30}), ["model big takes about 12 GiB of memory, this host has 4"]),
        (host(), []),
    ],
)
def test_a_host_with_too_little_memory_is_told(observed: dict[str, Any], said: list[str]) -> None:
    big = replace(CATALOG.models["swift_f0"], name="big", memory_host=12.0)
    result = decide(observed, Environment("a", models=("big",)), catalog=replace(CATALOG, models={"big": big}))
    assert result.warnings == said


def test_a_gpu_with_too_little_memory_is_told() -> None:
    card = {**gpu("9.0", "small card"), "memory": 2 * 2**30}
    big = replace(CATALOG.models["torchcrepe"], name="big", memory_gpu=12.0)
    observed = host(accelerators=[card], nvidia={"driver": "580.82"})
    result = decide(observed, Environment("a", models=("big",)), catalog=replace(CATALOG, models={"big": big}))
    assert "model big takes about 12 GiB of GPU memory, the largest GPU here has 2" in result.warnings


def test_the_plan_shows_task_licences_size_and_what_is_missing() -> None:
    observed = host()
    said = plan_text("here", decide(observed, Environment("codec", models=("dualcodec",))), observed)
    assert (
        "    model    dualcodec: codec; code of unknown licence, weights of unknown licence and MIT, 2.9 GiB; without its weights: "
        in said
    )


@pytest.mark.parametrize(
    ("name", "services"), [("maskgct", {}), ("maskgct", {"maskgct": 8000}), ("fish_speech", {}), ("dualcodec", {})]
)
def test_a_model_that_will_not_run_is_warned_of_with_the_remedy(name: str, services: dict[str, int]) -> None:
    observed = host()
    said = plan_text("here", decide(observed, Environment("m", models=(name,), services=services)), observed)
    warnings = [line for line in said.splitlines() if "will not run" in line]
    assert len(warnings) == 1 and f"wavesmith model pin {name}" in warnings[0] and "only its structure" in warnings[0]
    (line,) = (line for line in said.splitlines() if line.startswith("    model "))
    assert line.endswith("unpinned") and "Remedy" not in line and len(line) < 160


@pytest.mark.parametrize("name", ["maskgct", "fish_speech", "metis"])
def test_an_environment_that_is_refused_shows_no_empty_lines(name: str) -> None:
    observed = host()
    said = plan_text("here", decide(observed, Environment("m", models=(name,), services={name: 8000})), observed)
    assert "environment m: not planned, see the refusals" in said and "()" not in said
    assert not [line for line in said.splitlines() if line.strip() in ("variant", "origin", "now")]


@pytest.mark.parametrize(("size", "said"), [(0, "of unknown size"), (1, "0.1 MiB"), (3 * 2**30, "3.0 GiB")])
def test_weights_whose_size_is_not_known_are_not_shown_as_small(size: int, said: str) -> None:
    entry: Any = models.model_of(CATALOG.models["sherpa_ctc"])
    entry["weights"][0]["bytes"] = size
    assert f"weights of unknown licence, {said}" in models.lines([entry])[0]


def test_one_problem_of_several_items_is_refused_once() -> None:
    same = ("nobody has its commit", "add a mirror")
    given = [
        Refusal("project amphion", *same),
        Refusal("model maskgct", *same),
        Refusal("model metis", *same),
        Refusal("model x", "other", "fix it"),
    ]
    assert list(map(str, joined(given))) == [
        "project amphion, model maskgct, model metis: nobody has its commit. Remedy: add a mirror",
        "model x: other. Remedy: fix it",
    ]
    assert joined([]) == [] and joined(given[3:]) == given[3:] and joined([given[0], given[0]]) == [given[0]]


def test_other_weights_are_another_generation_and_no_models_are_the_one_from_before() -> None:
    plain = only(decide(host(), Environment("a", packages=("librosa",))))
    assert models.digested(plain.models) == {}
    first = models.digested([models.model_of(CATALOG.models["swift_f0"])])
    other = replace(CATALOG.models["swift_f0"], weights=(hub(),))
    assert first["runner"] == RUNNER and first != models.digested([models.model_of(other)])


def test_the_models_are_in_the_digest_of_a_generation() -> None:
    with_models = only(decide(host(), VOICE))
    locks = locked(with_models, "piper-tts==1.8.0\n")
    changed = replace(
        CATALOG.models["piper_demo"], weights=(replace(CATALOG.models["piper_demo"].weights[0], files=hub().files),)
    )
    catalog = replace(CATALOG, models={"piper_demo": changed})
    digests = {
        only(decide(host(), VOICE, locks=locks)).digest,
        only(decide(host(), VOICE, locks=locks, catalog=catalog)).digest,
    }
    assert len(digests) == 2 and None not in digests


def test_system_packages_of_a_model_are_installed_with_the_others() -> None:
    needy = replace(CATALOG.models["swift_f0"], apt=("portaudio19-dev",))
    catalog = replace(CATALOG, models={"swift_f0": needy})
    assert "portaudio19-dev" in catalog.apt
    bare = host(apt={"missing": ["portaudio19-dev"]})
    assert decide(bare, Environment("a", models=("swift_f0",)), catalog=catalog).system_missing == ["portaudio19-dev"]
    assert decide(bare, Environment("a", packages=("librosa",)), catalog=catalog).system_missing == []


# The device


@pytest.mark.parametrize(
    ("able", "found", "asked", "chosen", "why"),
    [
        (("cuda", "cpu"), ["cuda"], "auto", "cuda", "it is the best one here"),
        (("cuda", "rocm", "cpu"), ["rocm"], "auto", "rocm", "it is the best one here"),
        (("cuda", "cpu"), [], "auto", "cpu", "no other device is here"),
        (("cpu",), ["cuda"], "auto", "cpu", "m cannot compute on cuda, which stays unused"),
        (("cpu",), [], "auto", "cpu", "m needs no other"),
        (("cuda", "cpu"), ["cuda"], "cpu", "cpu", "it was asked for"),
    ],
)
def test_the_device_and_why(able: tuple[str, ...], found: list[str], asked: str, chosen: str, why: str) -> None:
    assert device.choose("m", able, found, asked) == (chosen, why)


@pytest.mark.parametrize(
    ("able", "found", "said"),
    [
        (("cpu",), ["cuda"], "m cannot compute on cuda. Remedy: say --device cpu or auto"),
        (("cuda", "cpu"), [], "cuda is not there or not usable. Remedy: use --device cpu"),
    ],
)
def test_a_device_that_cannot_be_had_is_refused_and_never_exchanged(
    able: tuple[str, ...], found: list[str], said: str
) -> None:
    with pytest.raises(device.NoDevice) as refused:
        device.choose("m", able, found, "cuda")
    assert str(refused.value) == said


# Measures


def voice(rate: int = RATE, seconds: float = 3.6, hertz: float = 120.0) -> Any:
    """Something like speech: a gliding voice with formants, in syllables, with a pause between words."""
    times = numpy.arange(int(rate * seconds)) / rate
    phase = 2 * numpy.pi * numpy.cumsum(hertz * (1 + 0.1 * numpy.sin(2 * numpy.pi * 0.7 * times))) / rate
    formants = ((500, 1.0), (1500, 0.5), (2500, 0.25))
    tone = sum(
        sum(gain / (1 + ((order * hertz - centre) / 120) ** 2) for centre, gain in formants) * numpy.sin(order * phase)
        for order in range(1, int(rate * 0.45 / hertz / 1.1))
    )
    syllables = numpy.clip(numpy.sin(2 * numpy.pi * 2.1 * times) + 0.4, 0, None) * (times % 1.3 < 1.1)
    sounded = numpy.asarray(tone) * syllables
    return (sounded / numpy.abs(sounded).max() * 0.6).astype("float32")


SAID = "The quick brown fox jumps over the lazy dog near the river bank."


def shuffled(samples: Any, rate: int, seconds: float) -> Any:
    size = int(rate * seconds)
    frames = samples[: len(samples) // size * size].reshape(-1, size)
    return numpy.random.default_rng(1).permutation(frames).reshape(-1)


def test_speech_is_taken_for_speech() -> None:
    measured = measure.measure(voice(), RATE)
    assert measure.speech_problems(measured, SAID) == []
    assert abs(measured["hertz"] / 120 - 1) < 0.1 and measured["seconds"] == 3.6


CONTROLS: dict[str, tuple[Callable[[Any], tuple[Any, int]], str]] = {
    "white noise": (lambda x: (numpy.random.default_rng(2).standard_normal(len(x)) * 0.1, RATE), "as flat as noise"),
    "rumbling noise": (
        lambda x: (numpy.cumsum(numpy.random.default_rng(2).standard_normal(len(x))) * 1e-3, RATE),
        "has a pitch",
    ),
    "silence": (lambda x: (x * 0, RATE), "its level is -200.0 dBFS"),
    "int16 saved as float": (lambda x: (numpy.clip(x * 32768, -1, 1), RATE), "are clipped"),
    "twice the rate": (lambda x: (x, 2 * RATE), "letters a second"),
    "half the rate": (lambda x: (x, RATE // 2), "letters a second"),
    "shuffled frames": (lambda x: (shuffled(x, RATE, 0.04), RATE), "jumps like chopped sound"),
    "shuffled short frames": (lambda x: (shuffled(x, RATE, 0.02), RATE), "jumps like chopped sound"),
    "not a number": (lambda x: (x * numpy.nan, RATE), "are clipped"),
    "nothing": (lambda x: (x[:0], RATE), "its level is -200.0 dBFS"),
}


@pytest.mark.parametrize("name", CONTROLS)
def test_what_is_no_speech_is_told_by_number(name: str) -> None:
    spoil, said = CONTROLS[name]
    assert any(said in problem for problem in measure.speech_problems(measure.measure(*spoil(voice())), SAID))


@pytest.mark.parametrize(
    ("heard", "errors"),
    [
        ("the quick brown fox", 0.0),
        ("The quick, brown fox.", 0.0),
        ("the quick brown dog", 0.25),
        ("the quick fox", 0.25),
        ("the very quick brown fox", 0.25),
        ("", 1.0),
        ("eins zwei drei vier fünf sechs", 1.5),
    ],
)
def test_word_errors(heard: str, errors: float) -> None:
    assert measure.word_errors("The quick brown fox", heard) == errors


def test_the_edges_of_a_sound_are_found_within_a_frame() -> None:
    padded = numpy.concatenate(
        [numpy.zeros(RATE // 2), 0.3 * numpy.sin(numpy.arange(RATE) * 0.1), numpy.zeros(RATE // 4)]
    )
    begins, ends = measure.edges(padded, RATE)
    assert abs(begins - 0.5) <= 0.01 and abs(ends - 1.5) <= 0.01


def test_two_pitches_are_compared_where_both_hear_a_voice() -> None:
    times, voiced = numpy.arange(10) * 0.1, numpy.arange(10) > 4
    off, share, frames = measure.agreement(
        times, numpy.full(10, 102.0), voiced, times, numpy.full(10, 100.0), times > 0.65
    )
    assert (round(off, 4), share, frames) == (0.02, 1.0, 3)


# Sounds


def test_a_written_sound_is_read_back(tmp_path: Path) -> None:
    sound.write(tmp_path / "a.wav", sound.Sound(RATE, voice()))
    again = sound.read(tmp_path / "a.wav")
    assert again.rate == RATE and numpy.abs(again.samples - voice()).max() < 2**-15


def test_whole_numbers_are_never_written_as_if_they_were_a_sound(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="int16 are no floats"):
        sound.write(tmp_path / "a.wav", sound.Sound(RATE, (voice() * 32767).astype("int16")))
    assert not (tmp_path / "a.wav").exists()


def test_what_is_no_wav_is_refused_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"ID3")
    with pytest.raises(ValueError, match="cannot be read as WAV.* Remedy: ffmpeg"):
        sound.read(tmp_path / "a.wav")


# In a prefix


def with_model(prefix: Path, name: str = "swift_f0", data: bytes = b"weights", **changes: Any) -> dict[str, Any]:
    """A prefix that keeps one model, its weights a file of ours."""
    file = prefix / "lib" / "python3.11" / "site-packages" / "w.bin"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    known = WeightFile("w.bin", len(data), hashlib.sha256(data).hexdigest())
    model = replace(CATALOG.models[name], weights=(hub(kind="package", revision=None, files=(known,)),), **changes)
    entry = models.model_of(model)
    (prefix / "wavesmith").mkdir(exist_ok=True)
    (prefix / "wavesmith" / "manifest.json").write_text(json.dumps(make_manifest(models=[entry])))
    return dict(entry)


def test_weights_are_found_and_compared_by_sha256(tmp_path: Path) -> None:
    model = with_model(tmp_path)
    assert [path.name for path in kept.files(tmp_path, model)] == ["w.bin"] and kept.wrong_file(tmp_path, model) == ""
    kept.files(tmp_path, model)[0].write_bytes(b"swapped")
    assert kept.wrong_file(tmp_path, model).endswith("w.bin")


def test_weights_of_another_size_are_not_loaded(tmp_path: Path) -> None:
    model = with_model(tmp_path)
    (tmp_path / "lib/python3.11/site-packages/w.bin").write_bytes(b"short")
    with pytest.raises(kept.Unusable, match="w.bin is missing or has another size. Remedy: provision"):
        kept.files(tmp_path, model)


class Singer:
    """A model of ours in place of one that needs packages."""

    DEVICES = ("cpu",)
    answer: Any = None

    @classmethod
    def load(cls, files: list[Path], device: str) -> Callable[[Any], Any]:
        assert files[0].read_bytes() == b"weights" and device == "cpu"
        return lambda given: cls.answer if not callable(cls.answer) else cls.answer(given)


@pytest.fixture
def singer(monkeypatch: pytest.MonkeyPatch) -> type[Singer]:
    monkeypatch.setattr(run, "runner", {"piper_demo": Singer, "whisper_tiny": Singer}.get)
    return Singer


def test_a_model_that_speaks_leaves_a_wav_and_says_what_is_in_it(
    tmp_path: Path, singer: type[Singer], capsys: pytest.CaptureFixture[str]
) -> None:
    with_model(tmp_path, "piper_demo")
    singer.answer = sound.Sound(RATE, voice())
    out = tmp_path / "out.wav"
    assert run.main([str(tmp_path), "piper_demo", "--text", "hello", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "device  cpu: piper_demo needs no other" in said and "3.60 s at 16000 Hz, level -" in said
    assert sound.read(out).seconds == 3.6 and "real-time factor" in said


def test_a_model_that_listens_answers_in_text_or_json(
    tmp_path: Path, singer: type[Singer], capsys: pytest.CaptureFixture[str]
) -> None:
    with_model(tmp_path, "whisper_tiny")
    sound.write(tmp_path / "in.wav", sound.Sound(RATE, voice()))
    singer.answer = lambda given: f"{given.seconds:g} s"
    words = [str(tmp_path), "whisper_tiny", "--in", str(tmp_path / "in.wav"), "--json"]
    assert run.main([*words, "--out", str(tmp_path / "said.txt")]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["found"], answer["device"]) == ("3.6 s", "cpu")
    assert (tmp_path / "said.txt").read_text() == "3.6 s\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["swift_f1", "--in", "a.wav"], "there is no model swift_f1 here. Remedy: use one of: swift_f0"),
        (["swift_f0", "--in", "none.wav"], "none.wav is not there. Remedy: name the WAV"),
        (["swift_f0", "--in", "/"], "/ is a folder. Remedy: name the WAV"),
        (["swift_f0", "--in", "{empty}"], "empty.wav holds no sound: its length is 0 s. Remedy: record"),
        (["swift_f0", "--in", "{cut}"], "cut.wav cannot be read as WAV: it ends too early. Remedy: ffmpeg -i"),
        (["swift_f0", "--in", "{wav}", "--device", "cuda"], "swift_f0 cannot compute on cuda"),
    ],
)
def test_what_cannot_be_run_is_refused_without_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    with_model(tmp_path)
    sound.write(tmp_path / "a.wav", sound.Sound(RATE, voice()))
    sound.write(tmp_path / "empty.wav", sound.Sound(RATE, voice()[:0]))
    (tmp_path / "cut.wav").write_bytes(b"")
    files = {"wav": tmp_path / "a.wav", "empty": tmp_path / "empty.wav", "cut": tmp_path / "cut.wav"}
    assert run.main([str(tmp_path), *(word.format(**files) for word in words)]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("words", ["", "   ", "\n\t", "...", "?! -"])
def test_a_text_without_a_word_is_refused_before_anything_is_loaded(
    tmp_path: Path, singer: type[Singer], capsys: pytest.CaptureFixture[str], words: str
) -> None:
    with_model(tmp_path, "piper_demo", b"not loaded")
    assert run.main([str(tmp_path), "piper_demo", "--text", words, "--out", str(tmp_path / "o.wav")]) == 2
    said = capsys.readouterr().err
    assert "--text" in said and "no letter or digit" in said and "Remedy" in said and not (tmp_path / "o.wav").exists()


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("{folder}", "is a folder. Remedy: name a file in it"),
        ("{folder}/nowhere/x.wav", "there is no folder"),
        ("{folder}/v.mp3", "only WAV is written. Remedy: --out"),
        ("{folder}/v.flac", "then ffmpeg -i"),
    ],
)
def test_a_file_that_cannot_be_written_is_refused_before_anything_is_computed(
    tmp_path: Path, singer: type[Singer], capsys: pytest.CaptureFixture[str], out: str, said: str
) -> None:
    with_model(tmp_path, "piper_demo", b"not loaded")
    there = sorted(tmp_path.rglob("*"))
    assert run.main([str(tmp_path), "piper_demo", "--text", "x", "--out", out.format(folder=tmp_path)]) == 2
    assert said in capsys.readouterr().err and sorted(tmp_path.rglob("*")) == there


@pytest.mark.parametrize(
    "problem", [ValueError("need at least one array"), RuntimeError("CUDA out of memory"), ValueError("")]
)
def test_what_a_model_cannot_compute_names_it_and_a_remedy(
    tmp_path: Path, singer: type[Singer], capsys: pytest.CaptureFixture[str], problem: Exception
) -> None:
    def broken(given: Any) -> Any:
        raise problem

    with_model(tmp_path, "piper_demo")
    singer.answer = broken
    assert run.main([str(tmp_path), "piper_demo", "--text", "x", "--out", str(tmp_path / "o.wav")]) == 2
    said = capsys.readouterr().err
    assert f"model piper_demo cannot compute this: {problem}. Remedy: give it another text" in said


@pytest.mark.parametrize(
    "problem", [ImportError("no _ufuncs"), AttributeError("no load"), OSError(2, "gone"), SyntaxError("bad")]
)
def test_a_model_whose_environment_was_changed_says_how_to_repair_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], problem: Exception
) -> None:
    class Broken(Singer):
        @classmethod
        def load(cls, files: list[Path], device: str) -> Any:
            raise problem

    monkeypatch.setattr(run, "runner", lambda name: Broken)
    prefix = tmp_path / "envs" / "ears" / "current"
    prefix.mkdir(parents=True)
    with_model(prefix, "piper_demo")
    assert run.main([str(prefix), "piper_demo", "--text", "x", "--out", str(tmp_path / "o.wav")]) == 2
    said = capsys.readouterr().err
    assert f"does not load: {type(problem).__name__}" in said and "wavesmith repair ears" in said


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        (numpy.zeros(RATE, "float32"), "is silent (-200 dBFS)"),
        (numpy.full(RATE, 1e-4, "float32"), "is silent (-81 dBFS)"),
        (numpy.random.default_rng(1).normal(0, 0.1, RATE).astype("float32"), "sounds like noise"),
        (voice(), ""),
    ],
    ids=["zeros", "nearly", "noise", "voice"],
)
def test_what_is_written_down_of_silence_and_noise_is_doubted(
    tmp_path: Path, singer: type[Singer], capsys: pytest.CaptureFixture[str], samples: Any, said: str
) -> None:
    with_model(tmp_path, "whisper_tiny")
    sound.write(tmp_path / "in.wav", sound.Sound(RATE, samples))
    singer.answer = "You"
    assert run.main([str(tmp_path), "whisper_tiny", "--in", str(tmp_path / "in.wav")]) == 0
    heard = capsys.readouterr()
    assert (said in heard.err if said else heard.err == "") and "You" in heard.out


def optional(path: Path) -> set[str]:
    """Names of the arguments with a default that functions of a runner's file have."""
    functions = [one.args for one in ast.walk(ast.parse(path.read_text())) if isinstance(one, ast.FunctionDef)]
    return {argument.arg for one in functions for argument in one.args[len(one.args) - len(one.defaults) :]}


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, model in CATALOG.models.items()
        if run.runner(name) and (model.task.may_take or model.task.may_say)
    ],
)
def test_the_help_of_a_model_offers_what_it_takes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    entry: Any = models.model_of(CATALOG.models[name])
    path = Path(run.__file__).with_name(f"{name}.py")
    task = CATALOG.models[name].task
    path = path.with_name("fish_speech.py") if name == "fish_speech_s1" else path  # the same runner
    able = optional(path) & {*task.may_take, *task.may_say}
    with pytest.raises(SystemExit):
        run._options(entry, ["--help"])
    offered = set(re.findall(r"--([a-z-]+)", capsys.readouterr().out))
    assert {option.replace("-", "_") for option in offered} & {*task.may_take, *task.may_say} == able


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("dualcodec", "its weights dualcodec (amphion/dualcodec) are unpinned"),
        ("openvoice", "its weights openvoice_v2 (myshell-ai/OpenVoiceV2) are unpinned"),
        ("sherpa_ctc", "its weights sherpa_nemo_ctc_en"),
    ],
)
def test_a_model_that_is_not_to_be_had_with_its_weights_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, said: str
) -> None:
    entry = models.model_of(CATALOG.models[name])
    (tmp_path / "wavesmith").mkdir()
    (tmp_path / "wavesmith" / "manifest.json").write_text(json.dumps(make_manifest(models=[entry])))
    sound.write(tmp_path / "in.wav", sound.Sound(entry["sample_rate"], numpy.zeros(100, "float32")))
    assert run.main([str(tmp_path), name, "--in", str(tmp_path / "in.wav")]) == 2
    assert said in capsys.readouterr().err


def test_a_model_that_nothing_runs_yet_is_refused_with_where_its_code_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = {**models.model_of(CATALOG.models["openvoice"]), "name": "singer"}
    (tmp_path / "wavesmith").mkdir()
    (tmp_path / "wavesmith" / "manifest.json").write_text(json.dumps(make_manifest(models=[entry])))
    assert run.main([str(tmp_path), "singer", "--text", "x"]) == 2
    said = capsys.readouterr().err
    assert "model singer has no command line here yet" in said and "code/OpenVoice-74a1d147b17a" in said


def generation(root: Path, environment: str, name: str = "swift_f0") -> Path:
    """A current generation that has one model and what runs it."""
    prefix = root / "envs" / environment / "one"
    (prefix / "bin").mkdir(parents=True)
    entry = with_model(prefix, name)
    (prefix / "bin" / "python").symlink_to(sys.executable)
    for path, text in activation.scripts(str(prefix), {}).items():
        (prefix / path).parent.mkdir(parents=True, exist_ok=True)
        (prefix / path).write_text(text)
    prefix_models.write(str(prefix), [entry], prefix_models.sources())  # type: ignore[list-item]
    (root / "envs" / environment / "current").symlink_to("one")
    return prefix


def launched(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    (root / "bin").mkdir(exist_ok=True)
    program = root / "bin" / "wavesmith-run"
    program.write_text(activation.launcher(str(root)))
    program.chmod(0o755)
    return subprocess.run([program, *words], capture_output=True, text=True, check=False, env={"PATH": os.defpath})


def test_a_model_is_run_by_its_name_in_an_environment(tmp_path: Path) -> None:
    prefix = generation(tmp_path, "pitch")
    assert stat.S_IMODE((prefix / "wavesmith/models/swift_f0").stat().st_mode) == 0o755
    done = launched(tmp_path, "pitch", "swift_f0", "--help")
    assert done.returncode == 0 and "swift_f0: follow the pitch of the voice in a WAV" in done.stdout, done.stderr


def test_a_command_still_is_one_where_models_are(tmp_path: Path) -> None:
    generation(tmp_path, "pitch")
    assert launched(tmp_path, "pitch", "echo", "as before").stdout == "as before\n"


def test_what_is_neither_command_nor_model_is_refused_with_the_models_there_are(tmp_path: Path) -> None:
    generation(tmp_path, "pitch")
    done = launched(tmp_path, "pitch", "swift_f1")
    assert (done.returncode, done.stderr.strip()) == (
        127,
        "wavesmith-run: there is no command swift_f1, and no such model in environment pitch. Remedy: its models are: swift_f0",
    )


def test_every_runner_of_ours_travels_to_a_host() -> None:
    """What a module does not import is not in what Ansible sends."""
    room = Path(run.__file__).parent
    ours = {path.stem for path in room.glob("*.py") if "\ndef load(" in path.read_text()}
    assert "piper_demo" in ours and all(hasattr(prefix_models, name) for name in ours)


def test_an_environment_without_models_gets_nothing_of_theirs(tmp_path: Path) -> None:
    prefix_models.write(str(tmp_path), [], prefix_models.sources())
    assert list(tmp_path.iterdir()) == []


# The doctor


@pytest.fixture
def context(tmp_path: Path) -> Callable[..., Context]:
    def make(*names: str, speakers: Any = ()) -> Context:
        for name in ("evidence", "scratch", "prefix"):
            (tmp_path / name).mkdir(exist_ok=True)
        entries = {name: with_model(tmp_path / "prefix", name) for name in names}
        spec = Spec("speech", "one", tmp_path / "prefix", tmp_path, models=entries, speakers=speakers)
        return Context(spec, tmp_path / "evidence", tmp_path / "scratch")

    return make


def ids(names: tuple[str, ...]) -> list[str]:
    return [check.id for check in judged.checks({name: dict(models.model_of(CATALOG.models[name])) for name in names})]


def test_an_environment_without_models_has_no_checks_of_them() -> None:
    assert ids(()) == []


def test_the_checks_follow_from_the_models() -> None:
    assert ids(("piper_demo",)) == ["models.files", "models.speaks.piper_demo"]
    assert ids(SPEECH.models) == [
        "models.files",
        "models.spoken",
        "models.understands.whisper_tiny",
        "models.edges.silero_vad",
        "models.pitch",
    ]


def test_a_model_without_its_weights_is_skipped_with_the_tier_it_reached_and_why(
    context: Callable[..., Context],
) -> None:
    there = context()
    entry = dict(models.model_of(CATALOG.models["dualcodec"]))
    there = Context(replace(there.spec, models={"dualcodec": entry}), there.evidence, there.scratch)
    (_files, _structure, check) = judged.checks(there.spec.models)
    result = perform(check, there)
    assert (check.id, result["verdict"]) == ("models.tier.dualcodec", "skip")
    assert result["detail"].startswith(
        "tier structure was tried (models.structure.dualcodec); its weights dualcodec (amphion/dualcodec) are unpinned"
    )


def check_named(there: Context, name: str) -> dict[str, Any]:
    (check,) = [check for check in judged.checks(there.spec.models) if check.id == name]
    return perform(check, there)


def hearing(there: Context, samples: Any = None) -> None:
    spoken = voice() if samples is None else samples
    padded = numpy.concatenate([numpy.zeros(RATE // 2, "float32"), spoken, numpy.zeros(RATE // 2, "float32")])
    sound.write(there.evidence / judged.SPOKEN, sound.Sound(RATE, padded))


def answering(monkeypatch: pytest.MonkeyPatch, answers: dict[str, Callable[[sound.Sound], Any]]) -> None:
    monkeypatch.setattr(judged, "loaded", lambda prefix, name, asked: (answers[name], "cpu", ""))


def is_noise(given: sound.Sound) -> bool:
    return measure.measure(given.samples, given.rate)["flatness"] > 0.5


def test_changed_weights_fail(context: Callable[..., Context]) -> None:
    there = context("swift_f0")
    assert check_named(there, "models.files")["verdict"] == "pass"
    kept.files(there.spec.prefix, there.spec.models["swift_f0"])[0].write_bytes(b"swapped")
    result = check_named(there, "models.files")
    assert (result["verdict"], "w.bin has another sha256" in result["detail"]) == ("fail", True)


def program(path: Path, body: str) -> Path:
    path.write_text(f"#!{sys.executable}\nimport shutil, sys\nout = sys.argv[sys.argv.index('--out') + 1]\n{body}")
    path.chmod(0o755)
    return path


def speaking(folder: Path, samples: Any) -> Path:
    """A command that speaks as a model's does, whatever it is asked."""
    sound.write(folder / "said.wav", sound.Sound(RATE, samples))
    answer = {"rate": RATE, "real_time_factor": 0.1, "measured": measure.measure(samples, RATE)}
    return program(
        folder / "speaks", f"shutil.copy({str(folder / 'said.wav')!r}, out)\nprint({json.dumps(answer)!r})\n"
    )


def test_a_sentence_is_spoken_by_a_model_of_another_environment(
    context: Callable[..., Context], tmp_path: Path
) -> None:
    command = speaking(tmp_path, voice())
    there = context("whisper_tiny", speakers=[{"environment": "voice", "model": "piper_demo", "command": str(command)}])
    result = check_named(there, "models.spoken")
    assert (result["verdict"], result["detail"][:48]) == ("pass", "spoken by piper_demo of environment voice: 3.60 "), (
        result
    )
    kept_sound = sound.read(there.evidence / judged.SPOKEN)
    assert kept_sound.seconds == pytest.approx(3.6 + judged.LEAD + judged.TAIL, abs=0.001)
    assert (there.evidence / judged.PICTURE).stat().st_size > 1000


@pytest.mark.parametrize("name", ["white noise", "silence", "int16 saved as float", "shuffled frames"])
def test_a_model_that_does_not_speak_fails(context: Callable[..., Context], tmp_path: Path, name: str) -> None:
    spoiled = numpy.asarray(CONTROLS[name][0](voice())[0], "float32")
    there = context(
        "whisper_tiny", speakers=[{"environment": "v", "model": "m", "command": str(speaking(tmp_path, spoiled))}]
    )
    result = check_named(there, "models.spoken")
    assert result["verdict"] == "fail" and result["detail"].startswith("what was spoken is no speech: ")


def test_espeak_stands_in_where_nothing_speaks_and_that_is_said(
    context: Callable[..., Context], tmp_path: Path
) -> None:
    broken = program(tmp_path / "broken", "sys.exit('no voice')\n")
    there = context("whisper_tiny", speakers=[{"environment": "voice", "model": "m", "command": str(broken)}])
    assert "voice.speak gave no speech" in check_named(there, "models.spoken")["detail"]
    sound.write(there.evidence / "speech.wav", sound.Sound(RATE, voice()))
    result = check_named(there, "models.spoken")
    assert (result["verdict"], result["detail"]) == (
        "pass",
        "spoken by espeak-ng, because broken does not speak: no voice",
    )


@pytest.mark.parametrize(
    ("hears", "verdict", "said"),
    [
        (lambda given: "" if is_noise(given) else SAID, "pass", "word error rate 0%"),
        (lambda given: "" if is_noise(given) else "the thick brown socks", "fail", "of the words are wrong"),
        (lambda given: SAID, "fail", "it recognises the sentence in noise too"),
    ],
)
def test_what_was_spoken_is_understood(
    context: Callable[..., Context], monkeypatch: pytest.MonkeyPatch, hears: Any, verdict: str, said: str
) -> None:
    there = context("whisper_tiny")
    hearing(there)
    answering(monkeypatch, {"whisper_tiny": hears})
    result = check_named(there, "models.understands.whisper_tiny")
    assert result["verdict"] == verdict and said in result["detail"]
    assert (there.evidence / judged.TRANSCRIPT).exists()


@pytest.mark.parametrize(
    ("finds", "verdict", "said"),
    [
        (lambda given: [(0.55, 4.0)], "pass", "off by 0.0"),
        (lambda given: [(0.3, 4.0)], "fail", "speech from 0.30 to 4.00 s, it lasts from 0.5"),
        (lambda given: [], "fail", "it finds no speech in the sentence"),
    ],
)
def test_the_edges_of_the_sentence_are_found(
    context: Callable[..., Context], monkeypatch: pytest.MonkeyPatch, finds: Any, verdict: str, said: str
) -> None:
    there = context("silero_vad")
    hearing(there, voice() + 0.02 * numpy.sin(numpy.arange(len(voice())) * 0.3).astype("float32"))

    def only_speech(given: sound.Sound) -> Any:
        return [] if is_noise(given) or not given.samples.any() else finds(given)

    answering(monkeypatch, {"silero_vad": only_speech})
    result = check_named(there, "models.edges.silero_vad")
    assert result["verdict"] == verdict and said in result["detail"], result


@pytest.mark.parametrize("what", ["noise", "silence"])
def test_a_detector_that_hears_speech_everywhere_fails(
    context: Callable[..., Context], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    there = context("silero_vad")
    hearing(there)
    begins, ends = measure.edges(sound.read(there.evidence / judged.SPOKEN).samples, RATE)

    def everywhere(given: sound.Sound) -> Any:
        quiet = not given.samples.any()
        return (
            []
            if quiet and what == "noise"
            else []
            if is_noise(given) and not quiet and what == "silence"
            else [(begins, ends)]
        )

    answering(monkeypatch, {"silero_vad": everywhere})
    result = check_named(there, "models.edges.silero_vad")
    assert (result["verdict"], result["detail"]) == ("fail", f"it finds speech in {what}")


def tracker(factor: float) -> Callable[[sound.Sound], Any]:
    """Follows the pitch of our voice and of the tone, off by a factor."""

    def follow(given: sound.Sound) -> Any:
        frames = measure._frames(given.samples, given.rate)
        hertz, strength = measure._pitch(frames, given.rate)
        return numpy.arange(len(frames)) * measure.FRAME / 2, hertz * factor, strength > 0.5

    return follow


@pytest.mark.parametrize(
    ("factors", "verdict", "said"),
    [
        ((1.0, 1.0), "pass", "torchcrepe within 0.0%, 100% of"),
        ((1.0, 2.0), "fail", "torchcrepe is off by"),
        ((1.025, 0.975), "fail", "disagree on the pitch"),
    ],
)
def test_two_models_agree_on_the_pitch(
    context: Callable[..., Context],
    monkeypatch: pytest.MonkeyPatch,
    factors: tuple[float, float],
    verdict: str,
    said: str,
) -> None:
    there = context("swift_f0", "torchcrepe")
    hearing(there)
    answering(monkeypatch, {"swift_f0": tracker(factors[0]), "torchcrepe": tracker(factors[1])})
    result = check_named(there, "models.pitch")
    assert result["verdict"] == verdict and said in result["detail"], result


def test_who_speaks_on_a_host_is_found_among_what_is_judged_and_what_is_current(tmp_path: Path) -> None:
    generation(tmp_path, "voice", "piper_demo")
    generation(tmp_path, "pitch")
    mute = generation(tmp_path, "mute", "maskgct") / "wavesmith" / "manifest.json"
    manifest = json.loads(mute.read_text())
    manifest["models"][0]["refused"] = "its weights are unpinned"
    mute.write_text(json.dumps(manifest))
    (found,) = speakers(str(tmp_path), {})
    assert (found["environment"], found["model"]) == ("voice", "piper_demo")
    assert found["command"] == str(tmp_path / "envs/voice/one/wavesmith/models/piper_demo")
    (tmp_path / "envs/voice/current").unlink()
    assert speakers(str(tmp_path), {}) == []
    assert len(speakers(str(tmp_path), {"voice": "one"})) == 1


def test_what_an_earlier_run_kept_does_not_pass_for_this_one(tmp_path: Path) -> None:
    for name in (judged.SPOKEN, judged.TRANSCRIPT, judged.PICTURE):
        (tmp_path / name).write_text("old")
    judged.forget(tmp_path)
    assert list(tmp_path.iterdir()) == []


# Random weights, upstream's own classes

CODES = {"semantic codes": [1, 1, 24], "acoustic codes": [1, 7, 24], "samples": [48000, 46076]}


@pytest.mark.parametrize(
    ("change", "largest", "said"),
    [
        ({}, (16383, 4095), ""),
        ({"semantic codes": [1, 1, 23], "acoustic codes": [1, 7, 23]}, (0, 0), "not [1, 1, 25]"),
        ({"acoustic codes": [1, 8, 24]}, (0, 0), "not [1, 7, 24]"),
        ({}, (16384, 0), "outside of codebooks"),
        ({}, (0, 4096), "outside of codebooks"),
        ({"samples": [48000, 46081]}, (0, 0), "not as 46080 or 16 less"),
        ({"samples": [48000, 46000]}, (0, 0), "not as 46080 or 16 less"),
    ],
)
def test_the_codes_of_dualcodec_have_one_shape_and_range(
    change: dict[str, Any], largest: tuple[int, int], said: str
) -> None:
    found = dualcodec.wrong({**CODES, **change}, *largest)
    assert (said in found) if said else found == ""


def test_a_structure_check_without_speech_is_skipped(context: Callable[..., Context]) -> None:
    there = context("dualcodec")
    result = perform(Check("s", "s", lambda context: dualcodec.structure(context, Path())), there)
    assert (result["verdict"], result["detail"]) == ("skip", "voice.resample gave no speech at 24000 Hz")


# Codecs, and models that convert


def copying(folder: Path, name: str, change: Callable[[Any], tuple[Any, int]] | None) -> Path:
    """A command that answers as a codec's or a converter's does: with its input, changed; `None`: it fails."""
    body = "sys.exit('no room')\n"
    if change is not None:
        samples, rate = change(hearing_samples())
        sound.write(folder / "made.wav", sound.Sound(rate, numpy.asarray(samples, "float32")))
        made = sound.read(folder / "made.wav")
        answer = {"rate": rate, "real_time_factor": 0.1, "measured": measure.measure(made.samples, rate)}
        body = f"shutil.copy({str(folder / 'made.wav')!r}, out)\nprint({json.dumps(answer)!r})\n"
    path = folder / "prefix" / "wavesmith" / "models" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return program(path, body)


def hearing_samples() -> Any:
    return numpy.concatenate([numpy.zeros(RATE // 2), voice(), numpy.zeros(RATE // 2)]).astype("float32")


def judging(context: Callable[..., Context], name: str, rate: int) -> Context:
    """What judges a model with its weights, at a rate that needs no resampling."""
    there = context()
    entry = {**models.model_of(CATALOG.models[name]), "refused": "", "weights": [], "sample_rate": rate}
    there = Context(replace(there.spec, models={name: entry}), there.evidence, there.scratch)
    hearing(there)
    sound.write(there.evidence / "speech.wav", sound.Sound(RATE, voice(hertz=200)))
    return there


def quieter(samples: Any) -> tuple[Any, int]:
    return samples * 0.9, RATE


SPOILED: dict[str, tuple[Callable[[Any], tuple[Any, int]], str]] = {
    "white noise": (CONTROLS["white noise"][0], "dB away"),
    "silence": (CONTROLS["silence"][0], "dB away"),
    "int16 saved as float": (CONTROLS["int16 saved as float"][0], "are clipped"),
    "half the rate": (lambda x: (numpy.repeat(x, 2), RATE), "s came back as"),
    "shuffled frames": (CONTROLS["shuffled frames"][0], "dB away"),
    "another pitch": (lambda x: (numpy.interp(numpy.arange(len(x)) * 1.1, numpy.arange(len(x)), x), RATE), "its pitch"),
    "half a second later": (lambda x: (numpy.roll(x, RATE // 2), RATE), "dB away"),
}


def test_a_codec_that_gives_the_sentence_back_passes(context: Callable[..., Context], tmp_path: Path) -> None:
    there = judging(context, "dualcodec", RATE)
    copying(tmp_path, "dualcodec", quieter)
    result = check_named(there, "models.copies.dualcodec")
    assert (result["verdict"], result["evidence"]["file"]) == ("pass", "dualcodec.wav"), result


@pytest.mark.parametrize("name", SPOILED)
def test_a_codec_that_gives_something_else_back_fails(
    context: Callable[..., Context], tmp_path: Path, name: str
) -> None:
    there = judging(context, "dualcodec", RATE)
    change, said = SPOILED[name]
    copying(tmp_path, "dualcodec", change)
    result = check_named(there, "models.copies.dualcodec")
    assert (result["verdict"], said in result["detail"]) == ("fail", True), result["detail"]


def test_a_converter_that_speaks_as_long_passes(context: Callable[..., Context], tmp_path: Path) -> None:
    there = judging(context, "vevo", RATE)
    copying(tmp_path, "vevo", quieter)
    assert check_named(there, "models.converts.vevo")["verdict"] == "pass"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("white noise", "as flat as noise"),
        ("silence", "its level is"),
        ("half the rate", "s became"),
        ("shuffled frames", "jumps like chopped sound"),
    ],
)
def test_a_converter_that_does_not_speak_fails(
    context: Callable[..., Context], tmp_path: Path, name: str, said: str
) -> None:
    there = judging(context, "vevo", RATE)
    copying(tmp_path, "vevo", SPOILED[name][0])
    result = check_named(there, "models.converts.vevo")
    assert (result["verdict"], said in result["detail"]) == ("fail", True), result["detail"]


@pytest.mark.parametrize(
    ("model", "check"), [("dualcodec", "models.copies.dualcodec"), ("vevo", "models.converts.vevo")]
)
def test_a_command_that_fails_says_why(context: Callable[..., Context], tmp_path: Path, model: str, check: str) -> None:
    there = judging(context, model, RATE)
    copying(tmp_path, model, None)
    result = check_named(there, check)
    assert (result["verdict"], "no room" in result["detail"]) == ("fail", True)


@pytest.mark.parametrize(
    ("change", "least", "most"),
    [
        (lambda x: x, 0.0, 0.0),
        (lambda x: x * 0.9, 0.1, 1.0),
        (lambda x: numpy.roll(x, RATE // 2), 10.0, 60.0),
        (lambda x: x * 0, 10.0, 60.0),
    ],
)
def test_the_distance_of_spectra_grows_with_what_is_different(
    change: Callable[[Any], Any], least: float, most: float
) -> None:
    assert least <= measure.mel_distance(voice(), change(voice()), RATE) <= most


@pytest.mark.parametrize("name", ["maskgct", "metis"])
def test_a_model_that_wants_a_voice_is_given_the_doctor_s_own(
    context: Callable[..., Context], tmp_path: Path, name: str
) -> None:
    there = judging(context, name, RATE)
    path = copying(tmp_path, name, lambda samples: (voice(), RATE))
    heard = "given = dict(zip(sys.argv[1::2], sys.argv[2::2]))\n"
    heard += f"assert given['--voice'].endswith('/speech.wav') and given['--voice-text'] == {SAID!r}, sys.argv\n"
    path.write_text(path.read_text().replace("out = ", f"{heard}out = ", 1))
    assert check_named(there, f"models.speaks.{name}")["verdict"] == "pass"
    (there.evidence / "speech.wav").unlink()
    result = check_named(there, f"models.speaks.{name}")
    assert (result["verdict"], result["detail"]) == (
        "skip",
        "it speaks with the voice of a recording, and voice.speak gave none",
    )
