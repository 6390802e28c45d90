"""The weights of every model of the catalog: files of ours under its names, on a hub of ours, pinned by `wavesmith model pin`, and all that goes wrong with them.

A model that joins the catalog is tried here without a change.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import numpy
import pytest
import yaml
from ansible_collections.wavesmith.provision.plugins.module_utils.host.job import Failed, Job
from ansible_collections.wavesmith.provision.plugins.module_utils.models import kept, run, sound
from ansible_collections.wavesmith.provision.plugins.module_utils.plan import models
from ansible_collections.wavesmith.provision.plugins.module_utils.records.model import ModelOf, WeightsOf
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted import weights as layout
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.model import HUB, PACKAGE, Weights
from ansible_collections.wavesmith.provision.plugins.module_utils.weights import fetch
from ansible_collections.wavesmith.provision.plugins.plugin_utils import catalog_files

from wavesmith.cli import main

from .conftest import make_manifest
from .hub import COMMIT, Hub, serving
from .test_voices import Module

ROOT = Path(__file__).resolve().parents[2]
CATALOG = catalog_files.load()
FETCHED = [name for name, model in CATALOG.models.items() if any(found.kind != PACKAGE for found in model.weights)]
OF_HUB = [name for name in FETCHED if any(found.kind == HUB for found in CATALOG.models[name].weights)]
TORCHS = (".safetensors", ".pth", ".pt", ".bin", ".pkl")
"""Files of weights that have keys."""
LONG, CUT = 30_000, 12_000
"""Bytes of a file that is no text, and those after which the hub cuts an answer off: three requests make one file."""


SECURE = "https://hub.invalid"
"""Stands in the catalog for our hub, which has no certificate."""


def content(repository: str, path: str) -> bytes:
    """A small file of our own for a path in a repository."""
    digest = hashlib.sha256(f"{repository} {path}".encode())
    if path.endswith((".json", ".txt")):
        return json.dumps({"of": digest.hexdigest()[:32]}).encode()
    return (digest.digest() * (LONG // 32 + 1))[:LONG]


def entry(weights: Weights, hub: Hub) -> dict[str, Any]:
    """Its entry of the catalog as it is before it was pinned, and for an address, which no hub can pin, with size and sha256 of ours."""
    unknown = {"bytes": None, "sha256": None}
    made: dict[str, Any] = {
        "name": weights.name,
        "licence": weights.licence,
        "commercial": weights.commercial,
        "files": [{"path": file.path, **unknown} for file in weights.files],
        "sources": ["a test"],
    }
    if weights.kind == HUB:
        for file in weights.files:
            hub.files[weights.place, file.path] = content(weights.place, file.path)
        made["source"] = {"hub": weights.place, "revision": None, "gated": None}
        return made
    name = weights.place.rpartition("/")[2]
    place = f"plain/{weights.name}"
    for file in made["files"]:
        data = content(place, file["path"])
        file.update(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    data = content(place, made["files"][0]["path"])
    if weights.archive:
        data = packed({file["path"]: content(place, file["path"]) for file in made["files"]})
    hub.files[place, name] = data
    made["source"] = {
        "url": f"{SECURE}/{place}/resolve/main/{name}",
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        **({"unpack": "tar.bz2"} if weights.archive else {}),
    }
    return made


def packed(files: dict[str, bytes]) -> bytes:
    import io
    import tarfile

    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:bz2") as archive:
        for path, data in files.items():
            member = tarfile.TarInfo(path)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def written(data: dict[str, Any]) -> str:
    """As people write it, which is what `wavesmith model pin` looks for."""
    source = data["source"]
    if "hub" in source:
        first = f"source: {{hub: {source['hub']}, revision: null, gated: null}}\n"
        files = "".join(f"  - path: {file['path']}\n    bytes: null\n    sha256: null\n" for file in data["files"])
        rest = {key: data[key] for key in ("name", "licence", "commercial", "sources")}
        return f"{yaml.safe_dump(rest)}{first}files:\n{files}"
    return yaml.safe_dump(data)


@dataclass
class World:
    """A hub that has the files of all models, and a catalog that was pinned from it."""

    hub: Hub
    catalog: Any
    files: dict[tuple[str, str], bytes]
    said: dict[str, int]

    def model(self, name: str, root: Path) -> ModelOf:
        return models.model_of(self.catalog.models[name], str(root))

    def wanted(self, name: str, root: Path) -> list[WeightsOf]:
        return models.to_fetch([self.model(name, root)], ())

    def bring(self, name: str, root: Path, token: str = "") -> list[str]:
        (root / "job").mkdir(parents=True, exist_ok=True)
        return fetch.fetch(Job(str(root / "job"), 0), str(root), self.wanted(name, root), self.hub.url, (), token)


@pytest.fixture(scope="module")
def pinned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("own")
    (folder / "weights").mkdir()
    with serving(Hub()) as hub, pytest.MonkeyPatch.context() as patch:
        patch.delenv("HF_TOKEN", raising=False)
        patch.setenv("HF_HUB_DISABLE_XET", "1")
        for weights in {found.name: found for name in FETCHED for found in CATALOG.models[name].weights}.values():
            if weights.kind != PACKAGE:
                (folder / "weights" / f"{weights.name}.yml").write_text(written(entry(weights, hub)))
        said = {}
        for name in FETCHED:
            catalog_files.load.cache_clear()  # a command reads it once, and here are several
            said[name] = main(["model", "pin", name, "--catalog", str(folder), "--hub", hub.url])
        catalog_files.load.cache_clear()
        catalog = catalog_files.load(overlay=folder)
        catalog_files.load.cache_clear()
        found = {}
        for name, model in catalog.models.items():
            ours = tuple(replace(part, place=part.place.replace(SECURE, hub.url)) for part in model.weights)
            found[name] = replace(model, weights=ours)
        yield World(hub, replace(catalog, models=found), dict(hub.files), said)


@pytest.fixture
def world(pinned: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    monkeypatch.setattr(fetch, "SPARE", 0)
    monkeypatch.setattr(fetch, "AT_ONCE", 1)
    hub = pinned.hub
    hub.asked.clear()
    hub.tokens.clear()
    yield pinned
    hub.files, hub.gated, hub.cut_after, hub.before = dict(pinned.files), set(), 0, lambda: None


def first(world: World, name: str) -> tuple[WeightsOf, str, tuple[str, str]]:
    """A set of weights of a model, the path that its message names, and where the hub has that."""
    weights = world.wanted(name, Path("/"))[0]
    path = (weights["archive"] or weights["files"][0])["path"]
    if weights["kind"] == HUB:
        return weights, path, (weights["place"], path)
    return weights, path, (f"plain/{weights['name']}", weights["place"].rpartition("/")[2])


def item(weights: WeightsOf, path: str) -> str:
    return f"weights {weights['name']} ({weights['place']}), {path}: "


# They come as they should


@pytest.mark.parametrize("name", FETCHED)
def test_they_are_pinned_by_the_command_and_fetched_whole(name: str, world: World, tmp_path: Path) -> None:
    assert world.said[name] == 0 and world.model(name, tmp_path)["refused"] == ""
    assert world.bring(name, tmp_path) == [layout.key(found) for found in world.wanted(name, tmp_path)]
    (tmp_path / "wavesmith").mkdir()
    manifest = make_manifest(models=[world.model(name, tmp_path)])
    (tmp_path / "wavesmith" / "manifest.json").write_text(json.dumps(manifest))
    if all(found["kind"] != PACKAGE for found in world.model(name, tmp_path)["weights"]):
        assert kept.wrong_file(tmp_path, world.model(name, tmp_path)) == ""
    assert not list((tmp_path / layout.BLOBS).glob(".*"))


@pytest.mark.parametrize("name", sorted(set(CATALOG.models) - set(FETCHED)))
def test_the_others_come_with_packages_and_ask_no_hub(name: str, world: World, tmp_path: Path) -> None:
    assert world.wanted(name, tmp_path) == [] and world.model(name, tmp_path)["refused"] == ""


def test_the_hubs_own_client_reads_all_of_them_offline(world: World, tmp_path: Path) -> None:
    read = []
    for name in OF_HUB:
        world.bring(name, tmp_path)
        read += [
            (weights["place"], file["path"], file["sha256"])
            for weights in world.wanted(name, tmp_path)
            for file in weights["files"]
            if weights["kind"] == HUB
        ]
    program = (
        "import hashlib, json, sys\nfrom huggingface_hub import hf_hub_download\n"
        "for place, path, digest in json.load(sys.stdin):\n"
        "    data = open(hf_hub_download(place, path), 'rb').read()\n"
        "    assert hashlib.sha256(data).hexdigest() == digest, path\n"
    )
    env = {"PATH": os.defpath, "HOME": str(tmp_path), "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": f"{tmp_path}/models/hub"}
    asked = len(world.hub.asked)
    subprocess.run([sys.executable, "-c", program], env=env, input=json.dumps(read), text=True, check=True)
    assert len(world.hub.asked) == asked and len(read) > len(OF_HUB)


# What goes wrong on the way


@pytest.mark.parametrize("name", FETCHED)
def test_cut_off_again_and_again_they_go_on_where_they_ended(name: str, world: World, tmp_path: Path) -> None:
    world.hub.cut_after = CUT
    world.bring(name, tmp_path)
    long = {path for (_, path), data in world.files.items() if len(data) == LONG}
    for weights in world.wanted(name, tmp_path):
        for file in weights["files"]:
            if weights["kind"] == HUB and file["path"] in long:
                asked = [
                    line for line in world.hub.asked if f"{weights['place']}/resolve/{COMMIT}/{file['path']}" in line
                ]
                assert [line.partition("bytes=")[2] for line in asked] == ["", "12000-", "24000-"]


@pytest.mark.parametrize("name", FETCHED)
def test_what_came_before_a_run_failed_is_gone_on_from(name: str, world: World, tmp_path: Path) -> None:
    weights, path, place = first(world, name)
    world.hub.cut_after = size = max(1, len(world.files[place]) // 10)
    with pytest.raises(Failed) as failed:
        world.bring(name, tmp_path)
    assert str(failed.value).startswith(item(weights, path)) and "it ended early" in str(failed.value)
    assert "wavesmith_weights_mirrors; what was downloaded is kept" in str(failed.value)
    world.hub.cut_after, world.hub.asked[:] = 0, []
    world.bring(name, tmp_path)
    assert world.hub.asked[0].endswith(f"bytes={4 * size}-")


@pytest.mark.parametrize("name", FETCHED)
def test_a_run_that_ended_while_it_checked_downloads_nothing_again(name: str, world: World, tmp_path: Path) -> None:
    for weights in world.wanted(name, tmp_path):
        for file in [weights["archive"]] if weights["archive"] else weights["files"]:
            assert file is not None and file["sha256"]
            data = next(data for data in world.files.values() if hashlib.sha256(data).hexdigest() == file["sha256"])
            part = tmp_path / layout.BLOBS / f".{file['sha256']}.part"
            part.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(data)
    world.bring(name, tmp_path)
    assert world.hub.asked == []


@pytest.mark.parametrize("name", FETCHED)
def test_another_file_than_the_pinned_one_is_refused(name: str, world: World, tmp_path: Path) -> None:
    weights, path, place = first(world, name)
    world.hub.files[place] = bytes(len(world.files[place]))
    with pytest.raises(Failed) as failed:
        world.bring(name, tmp_path)
    said = str(failed.value)
    assert said.startswith(f"{item(weights, path)}the downloaded file has sha256 ") and ", the catalog names " in said
    assert said.endswith("Remedy: find out who changed it; if the new one is wanted, wavesmith model pin names it")
    assert not (tmp_path / layout.KEPT).exists()


@pytest.mark.parametrize("name", OF_HUB)
def test_a_gated_repository_wants_a_token_and_opens_with_one(name: str, world: World, tmp_path: Path) -> None:
    wanted = [found for found in world.wanted(name, tmp_path) if found["kind"] == HUB]
    world.hub.gated = {found["place"] for found in wanted}
    with pytest.raises(Failed) as failed:
        world.bring(name, tmp_path)
    assert str(failed.value).startswith(f"weights {wanted[0]['name']} ({wanted[0]['place']}), ")
    assert "it requires a token with access (gated). Remedy: accept its terms on the hub, and set HF_TOKEN" in str(
        failed.value
    )
    assert world.hub.tokens == []
    world.bring(name, tmp_path, world.hub.token)
    assert set(world.hub.tokens) == {f"Bearer {world.hub.token}"}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Any]:
    """Makes a disk of so many bytes."""
    mounted: list[Path] = []

    def make(size: int) -> Path:
        place = tmp_path / "disk"
        place.mkdir()
        argv = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(place)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
        mounted.append(place)
        return place

    yield make
    for place in mounted:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("name", FETCHED)
def test_a_disk_that_is_too_small_is_refused_before_the_first_byte(name: str, world: World, disk: Any) -> None:
    root = disk(8192)
    with pytest.raises(
        Failed, match=r"weights of models: .* are free in .*/blobs, and .* are needed. Remedy: free some"
    ):
        fetch.fetch(Job(str(root.parent), 0), str(root), world.wanted(name, root), world.hub.url, (), "")
    assert world.hub.asked == []


@pytest.mark.parametrize("name", FETCHED)
def test_a_disk_that_others_fill_is_said_and_they_go_on_once_there_is_room(name: str, world: World, disk: Any) -> None:
    root, (weights, path, place) = disk(4 << 20), first(world, name)
    filler, left = root / "others", len(world.files[place]) // 2 // 4096 * 4096

    def fill() -> None:
        if not filler.exists():
            with open(filler, "wb", buffering=0) as file:
                room = os.statvfs(root)
                file.write(bytes(room.f_bavail * room.f_frsize - left))

    world.hub.before = fill
    job = Job(str(root.parent), 0)
    with pytest.raises(Failed) as failed:
        fetch.fetch(job, str(root), world.wanted(name, root), world.hub.url, (), "")
    assert str(failed.value) == (
        f"{item(weights, path)}No space left on device. "
        "Remedy: free some space, or make it writable; what was downloaded is kept"
    )
    world.hub.before = lambda: None
    filler.unlink()
    world.hub.asked.clear()
    fetch.fetch(job, str(root), world.wanted(name, root), world.hub.url, (), "")
    assert not left or world.hub.asked[0].endswith(f"bytes={left}-")


# What goes wrong while a model runs


class Upstream(ModuleType):
    """Stands for the code of a model: whatever of it is called loads weights that lack a key, as upstream does, not strictly."""

    __path__: ClassVar[list[str]] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Upstream(name)

    def __call__(self, *given: Any, **named: Any) -> Any:
        Module("head.weight", "head.bias").load_state_dict({"head.weight": 1}, strict=False)
        return self

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __mro_entries__(self, bases: Any) -> tuple[type, ...]:
        return (object,)


class Finder(MetaPathFinder, Loader):
    """Gives that for every module that a model imports."""

    names = frozenset(
        [
            "accelerate",
            "dualcodec",
            "fish_speech",
            "inference",
            "langid",
            "models",
            "openvoice",
            "safetensors",
            "soundfile",
            "tools",
            "torch",
            "torchaudio",
            "transformers",
            "utils",
            "wavmark",
        ]
    )

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        return ModuleSpec(name, self, is_package=True) if name.partition(".")[0] in self.names else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        made = Upstream(spec.name)
        if spec.name == "torch":
            made.nn = SimpleNamespace(Module=Module)  # type: ignore[attr-defined]
        if spec.name == "transformers":
            made.PreTrainedModel = type("PreTrainedModel", (), {"from_pretrained": classmethod(made)})  # type: ignore[attr-defined]
        return made

    def exec_module(self, module: ModuleType) -> None:
        pass


@pytest.fixture
def upstream(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The code of every model is ours, and this process is as before afterwards."""
    before, modules, here, path = dict(os.environ), dict(sys.modules), Path.cwd(), list(sys.path)
    for name in [name for name in sys.modules if name.partition(".")[0] in Finder.names]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    yield
    os.chdir(here)
    os.environ.clear()
    os.environ.update(before)
    sys.path[:] = path
    for name in set(sys.modules) - set(modules):
        del sys.modules[name]


def generation(world: World, name: str, root: Path) -> Path:
    """A generation that has the model, with its weights fetched and a source tree in which all its folders are."""
    world.bring(name, root)
    prefix = root / "envs/one"
    model = world.model(name, root)
    (prefix / "wavesmith").mkdir(parents=True)
    (prefix / "wavesmith" / "manifest.json").write_text(json.dumps(make_manifest(models=[model])))
    if "code" in model:
        for module in model["code"]["modules"]:
            (prefix / model["code"]["folder"] / module.replace(".", "/")).mkdir(parents=True)
    return prefix


@pytest.mark.parametrize("name", FETCHED)
@pytest.mark.usefixtures("upstream")
def test_weights_that_lack_a_key_are_refused_by_each_models_own_runner(name: str, world: World, tmp_path: Path) -> None:
    prefix = generation(world, name, tmp_path)
    if not any(path.suffix in TORCHS for path in kept.files(prefix, world.model(name, tmp_path))):
        pytest.skip("a network in ONNX has no keys to lack")
    with pytest.raises(kept.Unusable) as refused:
        run.loaded(prefix, name, "cpu")
    assert str(refused.value) == (
        f"model {name}: the weights do not fit Module: missing keys: 1 (head.bias). "
        "Remedy: take weights and code of the same release"
    )


def words(model: ModelOf, folder: Path) -> list[str]:
    """A command line for a model of any task."""
    if model["takes"] == "text":
        return ["--text", "[verse]", *(["--out", str(folder / "out.wav")] if model["gives"] == "sound" else [])]
    sound.write(folder / "in.wav", sound.Sound(model["sample_rate"], numpy.zeros(1000, "float32")))
    return ["--in", str(folder / "in.wav")]


@pytest.mark.parametrize("name", sorted(CATALOG.models))
@pytest.mark.usefixtures("upstream")
def test_what_a_model_would_download_while_it_runs_is_said_with_the_remedy(
    name: str, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    address = "https://download.example.org/models/more.pth"

    def load(files: list[Path], device: str) -> Any:
        def work(given: Any, **more: Any) -> Any:
            with urllib.request.urlopen(address) as answer:
                return answer.read()

        return work

    monkeypatch.setattr(run, "runner", {name: SimpleNamespace(DEVICES=("cpu",), load=load)}.get)
    monkeypatch.setattr(kept, "files", lambda prefix, model: [])
    monkeypatch.delenv("https_proxy", raising=False)
    monkeypatch.delenv("HTTPS_PROXY", raising=False)
    prefix = generation(world, name, tmp_path)
    assert run.main([str(prefix), name, *words(world.model(name, tmp_path), tmp_path)]) == 2
    assert capsys.readouterr().err.endswith(
        f"wavesmith-run: model {name}: it asks for {address}, which is not among its weights, and nothing is fetched while it runs. "
        "Remedy: add it to its weights (catalog/models and catalog/weights), and provision this host again\n"
    )


# Through the role


def through_ansible(world: World, folder: Path) -> tuple[int, str]:
    """Run the role `model` for every model at once, each a host with a folder of this machine; the exit code and what was said."""
    hosts = {
        name: {
            "ansible_connection": "local",
            "model_root": str(folder / name),
            "model_weights": world.wanted(name, folder / name),
        }
        for name in FETCHED
    }
    for name in FETCHED:
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "hosts.yml").write_text(json.dumps({"all": {"hosts": hosts}}))
    play = {"hosts": "all", "gather_facts": False, "roles": ["wavesmith.provision.model"]}
    (folder / "book.yml").write_text(json.dumps([play]))
    env = {name: value for name, value in os.environ.items() if name != "HF_TOKEN"}
    env |= {"HF_ENDPOINT": world.hub.url, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "WAVESMITH_BOARD": "detail"}
    argv = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(folder / "hosts.yml")]
    done = subprocess.run(
        [*argv, str(folder / "book.yml")], env=env, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600
    )
    return done.returncode, " ".join((done.stdout + done.stderr).split())


@pytest.mark.process
def test_the_role_brings_those_of_every_model(world: World, tmp_path: Path) -> None:
    code, said = through_ansible(world, tmp_path)
    assert code == 0, said
    for name in FETCHED:
        for weights in world.wanted(name, tmp_path / name):
            for file in weights["files"]:
                data = Path(weights["folder"], file["path"]).read_bytes()
                assert hashlib.sha256(data).hexdigest() == file["sha256"]


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["cut", "other", "gated"])
def test_the_role_says_for_every_model_what_went_wrong(fault: str, world: World, tmp_path: Path) -> None:
    expected = {"cut": "it ended early", "other": "the downloaded file has sha256", "gated": "set HF_TOKEN"}[fault]
    names = OF_HUB if fault == "gated" else FETCHED
    if fault == "cut":
        world.hub.cut_after = 2
    elif fault == "other":
        world.hub.files = {place: bytes(len(data)) for place, data in world.files.items()}
    else:
        world.hub.gated = {place for place, _ in world.files}
    code, said = through_ansible(world, tmp_path)
    assert code == 2 and "Traceback" not in said
    for name in names:
        (told,) = re.findall(rf"fatal: \[{name}\]: FAILED! .*?msg: '(.*?)' remote_runs", said)
        assert told.startswith(
            tuple(f"weights {part['name']} ({part['place']}), " for part in world.wanted(name, tmp_path))
        )
        assert expected in told
    world.hub.cut_after, world.hub.gated, world.hub.files = 0, set(), dict(world.files)
    code, said = through_ansible(world, tmp_path)
    assert code == 0, said
