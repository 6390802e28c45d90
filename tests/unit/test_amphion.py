"""The runners of Amphion's models, as far as they need no torch: their files, their folder, and what they refuse."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy
import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.models import amphion, keys, metis, sound
from ansible_collections.wavesmith.provision.plugins.module_utils.models.kept import Unusable
from ansible_collections.wavesmith.provision.plugins.plugin_utils import catalog_files

from .test_plan import CATALOG

VOICE = sound.Sound(24000, numpy.zeros(2400, "float32"))
FILES = [Path(f"/store/snapshots/1/{path}") for path in (*metis._LOADED, metis._SPEAKS)]


@pytest.mark.parametrize("path", [*metis._LOADED, metis._SPEAKS])
def test_a_file_is_found_by_its_path_in_its_repository(path: str) -> None:
    assert amphion.find(FILES, path) == Path(f"/store/snapshots/1/{path}")


@pytest.mark.parametrize("path", ["codec/model.safetensors", "model_1.safetensor", "s2a_model/model.safetensors"])
def test_a_file_that_is_not_among_the_weights_is_named(path: str) -> None:
    with pytest.raises(Unusable, match=path):
        amphion.find(FILES, path)


@pytest.mark.parametrize(("seconds", "wanted"), [("", None), ("2", 2.0), ("0.5", 0.5), ("60", 60.0)])
def test_a_length_is_seconds_or_left_to_the_model(seconds: str, wanted: float | None) -> None:
    assert amphion.length(seconds) == wanted


@pytest.mark.parametrize("seconds", ["two", "0", "-1", "61", "nan"])
def test_what_is_no_length_is_refused(seconds: str) -> None:
    with pytest.raises(ValueError, match=f"--seconds {seconds} is no length"):
        amphion.length(seconds)


@pytest.mark.parametrize(("voice", "says"), [(None, ""), (None, "It works."), (VOICE, ""), (VOICE, "  ")])
def test_a_voice_without_its_words_is_refused_with_what_to_add(voice: sound.Sound | None, says: str) -> None:
    with pytest.raises(ValueError, match=r"add --voice WAV --voice-text"):
        amphion.prompt(voice, says)


def test_a_voice_and_its_words_are_taken() -> None:
    assert amphion.prompt(VOICE, "It works.") == (VOICE, "It works.")


def test_a_sound_is_a_file_for_as_long_as_it_is_needed() -> None:
    with amphion.as_file(VOICE) as path:
        assert sound.read(Path(path)).seconds == VOICE.seconds
    assert not os.path.exists(path)


@pytest.mark.parametrize(("device", "named"), [("cpu", "cpu"), ("cuda", "cuda"), ("rocm", "cuda")])
def test_devices_have_torch_s_names(device: str, named: str) -> None:
    assert amphion.torch_device(device) == named


@pytest.fixture
def back() -> Iterator[None]:
    before = Path.cwd()
    yield
    os.chdir(before)


@pytest.mark.usefixtures("back")
def test_metis_finds_weights_in_a_folder_of_its_own_and_its_tree_stays_as_it_is(tmp_path: Path) -> None:
    tree, store = tmp_path / "tree", tmp_path / "store"
    for path in (
        "models/__init__.py",
        "models/tts/metis/config/tts.json",
        "models/tts/maskgct/g2p.py",
        "utils/util.py",
    ):
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text(path)
    for path in (*metis._LOADED, metis._SPEAKS):
        (store / path).parent.mkdir(parents=True, exist_ok=True)
        (store / path).write_bytes(path.encode())
    before = sorted(tree.rglob("*"))
    metis.work(tree, [store / path for path in (*metis._LOADED, metis._SPEAKS)])
    assert Path.cwd() != tree and sorted(tree.rglob("*")) == before
    assert Path("models/tts/metis/config/tts.json").read_text() == "models/tts/metis/config/tts.json"
    assert Path("models/tts/maskgct/g2p.py").read_text() == "models/tts/maskgct/g2p.py"
    assert Path("utils/util.py").is_file() and Path("models/__init__.py").is_file()
    for path in metis._LOADED:
        assert (Path("models/tts/metis/ckpt") / path).read_bytes() == path.encode()
    (Path("models/tts/metis/ckpt") / ".cache").mkdir()  # what huggingface_hub writes beside what it downloads
    assert sorted(tree.rglob("*")) == before


def test_metis_lists_the_weights_that_its_runner_reads() -> None:
    listed = {weights.name: {file.path for file in weights.files} for weights in CATALOG.models["metis"].weights}
    assert listed.pop("maskgct") == {*metis._LOADED, metis._SPEAKS}
    assert list(listed) == ["w2v_bert_2_0"], "what transformers loads by its name"


def test_all_weights_of_the_catalog_are_loaded_by_a_model() -> None:
    loaded = {weights.name for model in CATALOG.models.values() for weights in model.weights}
    assert {path.stem for path in (catalog_files.FOLDER / "weights").iterdir()} == loaded


class Base:
    """Stands for `transformers.PreTrainedModel`: a file lacks what `lacking` says."""

    lacking: tuple[str, ...] = ()

    @classmethod
    def from_pretrained(cls, name: str, output_loading_info: bool = False) -> Any:
        return (
            (cls(), {"missing_keys": list(cls.lacking), "unexpected_keys": ["head"]}) if output_loading_info else cls()
        )


class Features(Base):
    """A model of that kind."""


@pytest.mark.parametrize(
    ("lacking", "said"),
    [
        ((), ""),
        (("encoder.0.weight",), r"the weights do not fit Features: missing keys: 1 \(encoder.0.weight\)"),
        (("a", "b", "c", "d"), r"missing keys: 4 \(a, b, c, …\)"),
        (("rotary.inv_freq",), ""),
    ],
)
def test_what_transformers_would_draw_at_random_is_refused(
    monkeypatch: pytest.MonkeyPatch, lacking: tuple[str, ...], said: str
) -> None:
    torch, transformers = ModuleType("torch"), ModuleType("transformers")
    torch.nn = SimpleNamespace(Module=type("Module", (), {"load_state_dict": None}))  # type: ignore[attr-defined]
    transformers.PreTrainedModel = Base  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "transformers", transformers)
    monkeypatch.setattr(Features, "lacking", lacking)
    before = Base.__dict__["from_pretrained"]
    with pytest.raises(Unusable, match=said) if said else nullcontext(), keys.exact(computed=("inv_freq",)):
        assert isinstance(Features.from_pretrained("somewhere"), Features)
    assert Base.__dict__["from_pretrained"] is before


class Value:
    """Stands for a tensor; those of one `place` share their storage."""

    def __init__(self, place: int) -> None:
        self.place = place

    def data_ptr(self) -> int:
        return self.place

    def numel(self) -> int:
        return 1


class Codec:
    """Stands for a torch module, of which two values are tied."""

    def state_dict(self) -> dict[str, Value]:
        return {"embed": Value(1), "head": Value(1), "norm.bias": Value(2)}


@pytest.mark.parametrize(
    ("there", "said"),
    [
        (("embed", "head", "norm.bias"), ""),
        (("embed", "norm.bias"), ""),
        (("embed", "head"), r"the weights do not fit Codec: missing keys: 1 \(norm.bias\)"),
        (("norm.bias",), r"missing keys: 2 \(embed, head\)"),
        (("embed", "norm.bias", "step"), r"unknown keys: 1 \(step\)"),
    ],
)
@pytest.mark.parametrize("folder", [True, False])
def test_what_torch_distributed_fills_in_from_the_module_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, there: tuple[str, ...], said: str, folder: bool
) -> None:
    file = tmp_path / "model.safetensors"
    file.touch()
    torch, accelerate, safetensors = ModuleType("torch"), ModuleType("accelerate"), ModuleType("safetensors")
    torch.nn = SimpleNamespace(Module=type("Module", (), {"load_state_dict": None}))  # type: ignore[attr-defined]
    accelerate.load_checkpoint_and_dispatch = lambda model, checkpoint: model  # type: ignore[attr-defined]
    safetensors.safe_open = (  # type: ignore[attr-defined]
        lambda path, kind: nullcontext(SimpleNamespace(keys=lambda: there if path == file else ()))
    )
    for module in (torch, accelerate, safetensors):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    before = accelerate.load_checkpoint_and_dispatch
    with pytest.raises(Unusable, match=said) if said else nullcontext(), keys.exact():
        accelerate.load_checkpoint_and_dispatch(Codec(), str(tmp_path if folder else file))
    assert accelerate.load_checkpoint_and_dispatch is before
