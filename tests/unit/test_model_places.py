"""Where a model with a source tree runs: search path, variables, working folder, adapters; and its tier import."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.doctor import structure
from ansible_collections.wavesmith.provision.plugins.module_utils.doctor.base import (
    Check,
    Context,
    Finding,
    Spec,
    perform,
)
from ansible_collections.wavesmith.provision.plugins.module_utils.models import adapters, place

from wavesmith import model_sets

from .test_plan import CATALOG

TREE = "code/talker-0123456789ab"
DATA = "data/lexicon.txt"


def model(workdir: str = "source", **changes: Any) -> Any:
    code = {
        "git": "https://git.invalid/voices/talker",
        "commit": "0" * 40,
        "folder": TREE,
        "workdir": workdir,
        "modules": ["talker"],
        "adapters": [],
        "absent": [],
        **changes,
    }
    return {"name": "talker", "code": code, "variables": {"TALKER_DATA": "{code}/data", "TALKER_SITE": "{site}"}}


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    tree = tmp_path / "prefix" / TREE
    (tree / "data").mkdir(parents=True)
    (tree / DATA).write_text("hello")
    (tree / "talker.py").write_text("import os\nSAYS = open(os.environ['TALKER_DATA'] + '/lexicon.txt').read()\n")
    (tmp_path / "prefix/lib/python3.11/site-packages").mkdir(parents=True)
    return tmp_path / "prefix"


@pytest.fixture
def process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a model changes in its process is put back."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.chdir(tmp_path)
    yield
    for name in ("talker", "LangSegment", "LangSegment.LangSegment", "torchaudio"):
        sys.modules.pop(name, None)


@pytest.mark.usefixtures("process")
@pytest.mark.parametrize("workdir", ["source", "scratch", ""])
def test_a_model_runs_where_the_catalog_says(prefix: Path, tmp_path: Path, workdir: str) -> None:
    work = tmp_path / "work"
    work.mkdir()
    assert place.enter(prefix, model(workdir), work=work) == prefix / TREE
    assert Path.cwd() == {"source": prefix / TREE, "scratch": work, "": tmp_path}[workdir]
    assert sys.path[0] == str(prefix / TREE) and os.environ["TALKER_DATA"] == f"{prefix / TREE}/data"
    assert os.environ["TALKER_SITE"] == str(prefix / "lib/python3.11/site-packages")


@pytest.mark.usefixtures("process")
def test_a_model_of_a_package_runs_where_its_user_is(prefix: Path, tmp_path: Path) -> None:
    before = list(sys.path)
    packaged: Any = {"name": "piper_demo", "variables": {}}
    assert place.enter(prefix, packaged) == prefix / "lib/python3.11/site-packages"
    assert sys.path == before and Path.cwd() == tmp_path
    assert os.environ["HF_HUB_OFFLINE"] == os.environ["TRANSFORMERS_OFFLINE"] == "1"


def judged(prefix: Path, work: Path, wanted: Any) -> dict[str, Any]:
    """What the doctor's check says, in a process of its own."""
    work.mkdir()
    words = [str(model_sets._ROOMS), str(prefix), str(work), json.dumps([wanted]), "talker"]
    argv = [sys.executable, "-c", model_sets._IMPORT, *words]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.usefixtures("process")
@pytest.mark.parametrize("stand_ins", [{}, {DATA: lambda path: path.write_text("ours")}], ids=["whole", "lacking"])
def test_a_structure_says_how_much_memory_it_took_and_what_is_ours(
    prefix: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stand_ins: Any
) -> None:
    tried = types.SimpleNamespace(
        MEMORY_GIB=0.0, STAND_INS=stand_ins, structure=lambda context, code: Finding("tier structure", {"frames": 3})
    )
    monkeypatch.setattr(structure, "found", lambda name: tried)
    spec = Spec("e", "", prefix, prefix, models={"talker": model(absent=list(stand_ins))})
    (tmp_path / "scratch").mkdir()
    found = structure.structure("talker")(Context(spec, tmp_path, tmp_path / "scratch"))
    peak = found.evidence["peak GiB"]
    assert isinstance(peak, float) and 0 < peak < 64
    assert found.evidence["frames"] == 3 and found.evidence["stand-ins"] == list(stand_ins)
    assert found.detail.startswith("tier structure") and ("lexicon.txt of ours" in found.detail) == bool(stand_ins)


@pytest.mark.process
@pytest.mark.parametrize("workdir", ["source", "scratch", ""])
def test_a_tree_that_imports_passes_its_tier(prefix: Path, tmp_path: Path, workdir: str) -> None:
    found = judged(prefix, tmp_path / "work", model(workdir))
    assert (found["verdict"], found["detail"]) == ("pass", "tier import: talker"), found
    assert not list(prefix.rglob("__pycache__"))


@pytest.mark.process
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import nowhere", "talker does not import: ModuleNotFoundError: No module named 'nowhere'"),
        ("raise SystemExit('no espeak')", "talker does not import: SystemExit: no espeak"),
        ("open('models/config.json')", "talker does not import: FileNotFoundError"),
    ],
)
def test_a_tree_that_does_not_import_fails_with_the_reason(prefix: Path, tmp_path: Path, text: str, said: str) -> None:
    (prefix / TREE / "talker.py").write_text(f"{text}\n")
    found = judged(prefix, tmp_path / "work", model())
    assert found["verdict"] == "fail" and found["detail"].startswith(said)


@pytest.mark.process
def test_a_module_from_elsewhere_is_no_import_of_the_tree(prefix: Path, tmp_path: Path) -> None:
    found = judged(prefix, tmp_path / "work", model(modules=["json"]))
    assert found["verdict"] == "fail" and "not from the model's tree" in found["detail"]


@pytest.mark.process
def test_a_file_that_the_mirror_lacked_and_nobody_stands_in_for_skips_the_tier(prefix: Path, tmp_path: Path) -> None:
    found = judged(prefix, tmp_path / "work", model(absent=[DATA]))
    assert (found["verdict"], found["detail"]) == ("skip", f"its repository's mirror lacks {DATA}, which it needs")


@pytest.fixture
def context(tmp_path: Path, prefix: Path) -> Callable[..., Context]:
    def made(wanted: Any) -> Context:
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        return Context(Spec("speech", "1", prefix, prefix, models={"talker": wanted}), tmp_path, scratch)

    return made


@pytest.mark.usefixtures("process")
@pytest.mark.parametrize("tier", [structure.imports, structure.structure])
def test_a_stand_in_takes_the_place_of_a_missing_file_in_a_copy_and_is_named(
    prefix: Path, context: Callable[..., Context], monkeypatch: pytest.MonkeyPatch, tier: Any
) -> None:
    (prefix / TREE / DATA).unlink()

    def works(context: Context, code: Path) -> structure.Finding:
        return structure.Finding((code / DATA).read_text())

    ours = types.SimpleNamespace(
        MEMORY_GIB=0.0, STAND_INS={DATA: lambda path: path.write_text("ours")}, structure=works
    )
    monkeypatch.setattr(structure, "found", lambda name: ours)
    found = perform(Check("t", "t", tier("talker")), context(model(absent=[DATA])))
    assert found["verdict"] == "pass" and found["detail"].endswith(
        "; in place of what the mirror lacks: lexicon.txt of ours"
    )
    assert found["evidence"]["stand-ins"] == [DATA] and not (prefix / TREE / DATA).exists()


@pytest.mark.usefixtures("process")
def test_the_copy_of_a_read_only_tree_can_be_written_to(prefix: Path, context: Callable[..., Context]) -> None:
    (prefix / TREE / "talker.py").chmod(0o444)
    code, _ = structure.enter(context(model()), model())
    assert (code / "talker.py").stat().st_mode & 0o200 and code != prefix / TREE


# Adapters


@pytest.mark.parametrize("name", sorted({name for known in CATALOG.models.values() for name in known.adapters}))
def test_an_adapter_that_the_catalog_names_is_there(name: str) -> None:
    assert callable(getattr(adapters, name)) and getattr(adapters, name).__doc__


LANGSEGMENT = {
    "__init__.py": "from .LangSegment import LangSegment,getTexts,setfilters,setLangfilters,getLangfilters\n",
    "LangSegment.py": (
        "class LangSegment: pass\ndef getTexts(text): return [text]\ndef setfilters(kinds): return kinds\ndef getfilters(): return ['en']\n"
    ),
}


@pytest.mark.usefixtures("process")
def test_langsegment_imports_once_it_has_the_names_that_it_asks_for(tmp_path: Path) -> None:
    folder = tmp_path / "site" / "LangSegment"
    folder.mkdir(parents=True)
    for name, text in LANGSEGMENT.items():
        (folder / name).write_text(text)
    sys.path.insert(0, str(folder.parent))
    with pytest.raises(ImportError, match="setLangfilters"):
        __import__("LangSegment")
    adapters.complete_langsegment()
    import LangSegment  # type: ignore[import-not-found]

    assert LangSegment.setLangfilters(["zh"]) == ["zh"] and LangSegment.getLangfilters() == ["en"]


@pytest.mark.usefixtures("process")
def test_langsegment_that_is_not_there_is_nobodys_fault() -> None:
    adapters.complete_langsegment()
    assert "LangSegment" not in sys.modules


@pytest.mark.usefixtures("process")
@pytest.mark.parametrize("there", [True, False])
def test_audio_backends_are_listed_where_torchaudio_has_no_list(there: bool) -> None:
    made: Any = types.ModuleType("torchaudio")
    if there:
        made.list_audio_backends = lambda: ["ffmpeg"]
    sys.modules["torchaudio"] = made
    adapters.list_audio_backends()
    assert made.list_audio_backends() == (["ffmpeg"] if there else ["soundfile"])


class Buffer:
    """A torch tensor as far as the adapter looks: how large it and its storage are."""

    def __init__(self, count: int, storage: int) -> None:
        self.count, self.storage = count, storage

    def numel(self) -> int:
        return self.count

    def element_size(self) -> int:
        return 4

    def untyped_storage(self) -> Any:
        return types.SimpleNamespace(nbytes=lambda: self.storage)

    def clone(self) -> Buffer:
        return Buffer(self.count, self.count * 4)


@pytest.mark.parametrize(("storage", "cloned"), [(7684, True), (7680, False)])
def test_a_buffer_that_is_a_view_gets_a_storage_of_its_own(storage: int, cloned: bool) -> None:
    window = Buffer(1920, storage)
    part: Any = types.SimpleNamespace(_buffers={"window": window})
    part.named_buffers = lambda recurse: part._buffers.items()
    adapters.clone_view_buffers(types.SimpleNamespace(modules=lambda: [part]))
    assert (part._buffers["window"] is not window) == cloned and part._buffers["window"].storage == 7680


@pytest.mark.parametrize("given", [{"time": True}, {}])
def test_time_is_cast_to_what_the_model_computes_with(given: dict[str, bool]) -> None:
    hooks: list[Any] = []
    transformer: Any = types.SimpleNamespace(
        parameters=lambda: iter([types.SimpleNamespace(dtype="float32")]),
        register_forward_pre_hook=lambda hook, with_kwargs: hooks.append(hook) or "handle",
    )
    assert adapters.cast_time(transformer) == "handle"
    named = {"time": types.SimpleNamespace(to=lambda dtype: f"time as {dtype}")} if given else {"x": 1}
    assert hooks[0](transformer, ("x",), named) == (("x",), {"time": "time as float32"} if given else {"x": 1})
