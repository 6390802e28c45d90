"""Runners of fish-speech, OpenVoice, DiffRhythm 2 and sherpa-onnx: what they refuse, and weights that do not fit."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy
import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.doctor import models as judged
from ansible_collections.wavesmith.provision.plugins.module_utils.doctor import structure
from ansible_collections.wavesmith.provision.plugins.module_utils.doctor.base import (
    Context,
    Failed,
    Skipped,
    Spec,
    perform,
)
from ansible_collections.wavesmith.provision.plugins.module_utils.models import (
    adapters,
    device,
    diffrhythm2,
    fallback,
    fish_speech,
    fish_speech_s1,
    keys,
    measure,
    openvoice,
    run,
    sound,
)
from ansible_collections.wavesmith.provision.plugins.module_utils.models.kept import Unusable
from ansible_collections.wavesmith.provision.plugins.module_utils.models.sound import Sound
from ansible_collections.wavesmith.provision.plugins.module_utils.plan import models as plan_models
from ansible_collections.wavesmith.provision.plugins.module_utils.structures import tried

from .test_plan import CATALOG

SPOKEN = Sound(22050, numpy.zeros(22050, "float32"))


class Value:
    """A tensor, as far as its place and size go."""

    def __init__(self, place: int, size: int = 4) -> None:
        self.place, self.size = place, size

    def data_ptr(self) -> int:
        return self.place

    def numel(self) -> int:
        return self.size


class Module:
    """A torch module: names, and the parts that it is made of."""

    def __init__(self, *names: str, parts: tuple[Module, ...] = (), tied: str = "") -> None:
        self.values = {name: Value(place) for place, name in enumerate(names)}
        self.parts = parts
        if tied:
            self.values[tied] = Value(0)

    def state_dict(self) -> dict[str, Value]:
        return dict(self.values)

    def modules(self) -> Iterator[Module]:
        yield self
        for part in self.parts:
            yield from part.modules()

    def load_state_dict(self, state: dict[str, Any], strict: bool = True, assign: bool = False) -> Any:
        if any(value == "large" for value in state.values()):
            raise RuntimeError("Error(s) in loading:\n\tsize mismatch for a: [1] is not [2].")
        missing, unknown = [n for n in self.values if n not in state], [n for n in state if n not in self.values]
        if strict and (missing or unknown):
            raise RuntimeError("Error(s) in loading")
        return SimpleNamespace(missing_keys=missing, unexpected_keys=unknown)


@pytest.fixture
def torch(monkeypatch: pytest.MonkeyPatch) -> type[Module]:
    found = ModuleType("torch")
    found.nn = SimpleNamespace(Module=Module)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch", found)
    return Module


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ({"a": 1}, "Module: missing keys: 1 (b)."),
        ({"a": 1, "b": 1, "c": 1}, "Module: unknown keys: 1 (c)."),
        ({"e": 1, "f": 1, "g": 1, "h": 1}, "Module: missing keys: 2 (a, b), unknown keys: 4 (e, f, g, …)."),
        ({"a": "large", "b": 1}, "Module: size mismatch for a: [1] is not [2]."),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_their_keys(
    torch: type[Module], strict: bool, weights: dict[str, Any], said: str
) -> None:
    with pytest.raises(Unusable) as refused, keys.exact():
        Module("a", "b").load_state_dict(weights, strict=strict)
    assert str(refused.value) == f"the weights do not fit {said} {keys.REMEDY}"


def test_weights_that_fit_are_loaded_as_upstream_does(torch: type[Module]) -> None:
    before = Module.load_state_dict
    with keys.exact():
        found = Module("a", "b").load_state_dict({"a": 1, "b": 1}, strict=False, assign=True)
    assert (found.missing_keys, Module.load_state_dict) == ([], before)


@pytest.mark.parametrize(("weights", "computed"), [({"a": 1, "x.mask": 1}, ("mask",)), ({"a": 1}, ("mask", "table"))])
def test_what_a_module_computes_itself_may_be_there_or_not(
    torch: type[Module], weights: dict[str, Any], computed: tuple[str, ...]
) -> None:
    with keys.exact(computed):
        Module("a", "y.table" if "x.mask" not in weights else "y.mask").load_state_dict(weights, strict=False)
    with pytest.raises(Unusable), keys.exact():
        Module("a", "y.table").load_state_dict(weights, strict=False)


def test_of_tied_weights_one_is_enough(torch: type[Module]) -> None:
    with keys.exact():
        Module("a", "b", tied="head").load_state_dict({"a": 1, "b": 1}, strict=False)


def test_what_the_whole_replaces_need_not_have_fitted(torch: type[Module]) -> None:
    part = Module("a", "b")
    with keys.exact():
        part.load_state_dict({"a": 1}, strict=False)
        Module("a", "b", parts=(part,)).load_state_dict({"a": 1, "b": 1}, strict=False)
    with pytest.raises(Unusable, match="missing keys: 1"), keys.exact():
        part.load_state_dict({"a": 1}, strict=False)
        Module("a").load_state_dict({"a": 1}, strict=False)


def test_what_an_upstream_raises_itself_is_not_hidden(torch: type[Module]) -> None:
    with pytest.raises(FileNotFoundError), keys.exact():
        Module("a").load_state_dict({"a": 1}, strict=False)
        raise FileNotFoundError("model.pth")
    with pytest.raises(Unusable, match=r"missing keys: 1 \(a\)"), keys.exact():
        Module("a").load_state_dict({}, strict=False)
        raise RuntimeError("loaded with errors")


# Adapters


@pytest.mark.parametrize(
    ("device", "line", "refused"),
    [
        ("cuda", "session.cc:437 Available providers: CPUExecutionProvider, . Fallback to cpu!", True),
        ("cuda", "session.cc:12 loaded", False),
        ("cpu", "Fallback to cpu", False),
    ],
)
def test_a_fall_to_the_cpu_that_is_only_said_on_stderr_is_refused(
    capfd: pytest.CaptureFixture[str], device: str, line: str, refused: bool
) -> None:
    def ask() -> None:
        with fallback.no_fallback("sherpa-onnx", device):
            os.write(2, f"{line}\n".encode())

    if refused:
        with pytest.raises(Unusable, match="sherpa-onnx was asked for cuda and computes on the CPU"):
            ask()
    else:
        ask()
    assert line in capfd.readouterr().err


def test_the_watermark_is_read_from_its_file_and_no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    wavmark = ModuleType("wavmark")
    wavmark.load_model = asked.append  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wavmark", wavmark)
    adapters.watermark_from("/store/mark.pkl")
    wavmark.load_model("default")
    wavmark.load_model("/own.pkl")
    assert asked == ["/store/mark.pkl", "/own.pkl"]


# Runners


@pytest.fixture
def converter(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    told: list[Any] = []
    made = SimpleNamespace(
        extract_se=lambda files: told.append(files) or len(told),
        convert=lambda file, own, other: numpy.full(6, own + other / 10, "float32"),
        hps=SimpleNamespace(data=SimpleNamespace(sampling_rate=22050)),
    )
    monkeypatch.setattr(openvoice, "converter", lambda files, device: made)
    monkeypatch.setattr(openvoice, "file", lambda sound: sound)
    return told


def test_a_recording_gets_the_tone_of_a_voice(converter: list[Any]) -> None:
    other = Sound(22050, numpy.ones(22050, "float32"))
    made = openvoice.load([], "cpu")(SPOKEN, voice=other)
    assert (made.rate, made.samples[0]) == (22050, pytest.approx(1.2))
    assert [part[0] for part in converter] == [SPOKEN, other]


@pytest.mark.parametrize(
    ("voice", "said"),
    [
        (None, "Remedy: give a WAV of it with --voice"),
        (Sound(22050, numpy.zeros(0, "float32")), "lasts 0.00 s"),
        (Sound(22050, numpy.zeros(11025, "float32")), "lasts 0.50 s. Remedy: give 1 s of it or more"),
    ],
)
def test_openvoice_needs_a_voice_to_convert_to(converter: list[Any], voice: Sound | None, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        openvoice.load([], "cpu")(SPOKEN, voice=voice)


@pytest.mark.parametrize(("said", "frames"), [(None, fish_speech.FRAMES), ("10", 215), ("0.5", 11), ("1", 22)])
def test_seconds_become_frames_of_fish_speech(said: str | None, frames: int) -> None:
    assert fish_speech._frames(said, 44100) == frames


@pytest.mark.parametrize("said", ["soon", "-1", "0", "0.01", "nan"])
def test_what_is_no_length_of_speech_is_refused(said: str) -> None:
    with pytest.raises(ValueError, match=f"--seconds {said} is no length of speech"):
        fish_speech._frames(said, 44100)


def test_a_voice_without_its_words_is_refused_by_fish_speech(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", ModuleType("torch"))
    speak = fish_speech.speaker(fish_speech.Parts(None, None, None, lambda: ()))
    with pytest.raises(ValueError, match="Remedy: --voice-text"):
        speak("hello", voice=SPOKEN)


def test_both_commits_of_fish_speech_are_run_alike() -> None:
    assert (fish_speech_s1.load, fish_speech_s1.DEVICES) == (fish_speech.load, fish_speech.DEVICES)


def repository(store: Path, name: str, *files: str) -> list[Path]:
    written = {file: json.dumps(SETTINGS) if "MuLan" in name else "{}" for file in files}
    return tried.cached(
        store, name, {file: (lambda path, text=text: path.write_text(text)) for file, text in written.items()}
    )


SETTINGS = {"audio_model": {"name": "OpenMuQ/MuQ-large-msd-iter"}, "text_model": {"name": "xlm-roberta-base"}}


def test_diffrhythm2_finds_its_files_in_ckpt_by_the_names_that_it_asks_for(tmp_path: Path) -> None:
    store = tmp_path / "hub"
    files = [
        *repository(store, diffrhythm2.REPOSITORY, "model.safetensors", "model.json", "decoder.bin"),
        *repository(store, "OpenMuQ/MuQ-MuLan-large", "config.json"),
        *repository(store, "OpenMuQ/MuQ-large-msd-iter", "config.json"),
        *repository(store, "FacebookAI/xlm-roberta-base", "config.json", "tokenizer.json"),
    ]
    diffrhythm2.at_hand(files, tmp_path / "ckpt")
    found = {path.name: path for path in (tmp_path / "ckpt").iterdir()}
    assert set(found) == {
        "model.safetensors",
        "model.json",
        "decoder.bin",
        "models--OpenMuQ--MuQ-MuLan-large",
        "models--OpenMuQ--MuQ-large-msd-iter",
        "models--xlm-roberta-base",
    }
    assert found["models--xlm-roberta-base"].resolve() == (store / "models--FacebookAI--xlm-roberta-base").resolve()
    assert found["model.json"].resolve().parent.name == "blobs"


@pytest.mark.parametrize(
    ("text", "told", "said"),
    [
        ("la", {"seconds": "3.9", "style_text": "folk"}, "a song lasts 4 s or more"),
        ("la", {"seconds": "long", "style_text": "folk"}, "--seconds long is no number"),
        (" \n\n", {"style_text": "folk"}, "there are no lyrics"),
        ("la", {}, "Remedy: --style with a WAV, or --style-text with words"),
    ],
)
def test_diffrhythm2_refuses_what_it_cannot_sing(
    monkeypatch: pytest.MonkeyPatch, text: str, told: dict[str, str], said: str
) -> None:
    torch = ModuleType("torch")
    torch.inference_mode = lambda: pytest.MonkeyPatch.context()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch", torch)
    sing = diffrhythm2.singer(None, None, lambda lines: [], None)
    with pytest.raises(ValueError, match=said):
        sing(text, **told)


@pytest.mark.parametrize(("broken", "found"), [("", ["directml"]), ("libd3d12.so", []), ("absent", [])])
def test_a_gpu_of_directml_is_found_where_its_library_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, broken: str, found: list[str]
) -> None:
    torch = ModuleType("torch")
    torch.cuda = SimpleNamespace(is_available=lambda: False)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.delitem(sys.modules, "torch_directml", raising=False)
    text = f"raise OSError({broken!r})" if broken else "def is_available(): return True"
    if broken != "absent":
        (tmp_path / "torch_directml.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert run.devices_here(diffrhythm2.DEVICES) == found
    if found:
        chosen, why = device.choose("diffrhythm2", diffrhythm2.DEVICES, found)
        assert (chosen, why) == ("cpu", "diffrhythm2 cannot compute on directml, which stays unused")


# The structures


@pytest.mark.parametrize(("needed", "refused"), [(1.0, False), (3.9, False), (4.1, True), (12.0, True)])
def test_a_structure_that_needs_more_memory_than_there_is_is_skipped(
    monkeypatch: pytest.MonkeyPatch, needed: float, refused: bool
) -> None:
    monkeypatch.setattr(structure, "meminfo", lambda text: {"MemAvailable": 4 * 2**30})
    if not refused:
        structure.room(needed)
        return
    with pytest.raises(Skipped, match=f"about {needed:g} GiB of memory are needed, 4.0 are free"):
        structure.room(needed)


@pytest.mark.parametrize("name", ["fish_speech", "fish_speech_s1", "openvoice", "diffrhythm2", "sherpa_ctc"])
def test_a_structure_without_speech_is_skipped(tmp_path: Path, name: str) -> None:
    there = Context(Spec("speech", "one", tmp_path, tmp_path), tmp_path, tmp_path)
    with pytest.raises(Skipped, match="voice.resample gave no speech"):
        tried.speech(there, 16000, 1.0)
    assert structure.found(name).MEMORY_GIB > 0


def test_what_is_wrong_first_is_what_a_structure_fails_with() -> None:
    with pytest.raises(Failed, match="second") as failed:
        tried.judged({"first": False, "second": True, "third": True}, {"seen": 1})
    assert failed.value.evidence == {"seen": 1}
    tried.judged({"first": False}, {})


# What is sung

RATE, NOTES = 48000, (262, 330, 392, 523, 440, 349, 294, 262)


def song(seconds: float = 10.0) -> Any:
    """Notes of a plucked string, each half a second: they begin at once and fade."""
    times = numpy.arange(RATE // 2) / RATE
    notes = [
        sum(
            numpy.exp(-times * (2 + order)) * numpy.sin(2 * numpy.pi * hertz * order * times) / order
            for order in (1, 2, 3)
        )
        for hertz in NOTES
    ]
    whole = numpy.concatenate(notes * 4)[: int(RATE * seconds)]
    return (whole / numpy.abs(whole).max() * 0.5).astype("float32")


def noise(like: Any) -> Any:
    return numpy.random.default_rng(2).standard_normal(len(like)) * 0.1


def chopped(samples: Any) -> Any:
    frames = samples[: len(samples) // 480 * 480].reshape(-1, 480)
    return numpy.random.default_rng(1).permutation(frames).reshape(-1)


@pytest.mark.parametrize("seconds", [4.0, 6.5, 10.0])
def test_a_song_is_taken_for_music(seconds: float) -> None:
    assert measure.music_problems(measure.measure(song(seconds), RATE), judged.SUNG) == []


@pytest.mark.parametrize(
    ("spoil", "rate", "said"),
    [
        (noise, RATE, "as flat as noise"),
        (lambda x: x * 0, RATE, "its level is -200.0 dBFS"),
        (lambda x: numpy.clip(x * 32768, -1, 1), RATE, "are clipped"),
        (lambda x: numpy.sin(numpy.arange(len(x)) * 0.05) * 0.3, RATE, "its loudness is constant"),
        (chopped, RATE, "jumps like chopped sound"),
        (lambda x: x, RATE // 2, "it lasts 20.00 s"),
        (lambda x: x[: 3 * RATE], RATE, "it lasts 3.00 s"),
    ],
)
def test_what_is_no_music_is_told_by_number(spoil: Any, rate: int, said: str) -> None:
    problems = measure.music_problems(measure.measure(spoil(song()), rate), judged.SUNG)
    assert any(said in problem for problem in problems), problems


def singing(tmp_path: Path, samples: Any) -> Context:
    """A generation with DiffRhythm 2, whose command writes these samples."""
    for folder in ("evidence", "scratch", "prefix/wavesmith/models"):
        (tmp_path / folder).mkdir(parents=True)
    sound.write(tmp_path / "made.wav", Sound(RATE, numpy.asarray(samples, "float32")))
    answer = {
        "model": "diffrhythm2",
        "rate": RATE,
        "measured": measure.measure(sound.read(tmp_path / "made.wav").samples, RATE),
        "real_time_factor": 1.0,
    }
    command = tmp_path / "prefix" / "wavesmith" / "models" / "diffrhythm2"
    command.write_text(
        f"#!{sys.executable}\nimport shutil, sys\nassert sys.argv[sys.argv.index('--seconds') + 1] == '10'\n"
        f"shutil.copy({str(tmp_path / 'made.wav')!r}, sys.argv[sys.argv.index('--out') + 1])\nprint({json.dumps(answer)!r})\n"
    )
    command.chmod(0o755)
    entry: Any = {**plan_models.model_of(CATALOG.models["diffrhythm2"]), "refused": ""}
    spec = Spec("speech", "one", tmp_path / "prefix", tmp_path, models={"diffrhythm2": entry})
    return Context(spec, tmp_path / "evidence", tmp_path / "scratch")


@pytest.mark.parametrize(("spoil", "verdict"), [(lambda x: x, "pass"), (noise, "fail"), (chopped, "fail")])
def test_a_model_of_music_is_judged_by_the_file_that_it_wrote(tmp_path: Path, spoil: Any, verdict: str) -> None:
    there = singing(tmp_path, spoil(song()))
    (check,) = [check for check in judged.checks(there.spec.models) if check.id == "models.sings.diffrhythm2"]
    result = perform(check, there)
    assert (result["verdict"], (there.evidence / "diffrhythm2.wav").is_file()) == (verdict, True), result
