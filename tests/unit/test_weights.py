"""Weights of models: fetched from a real server that plays the hub, checked, laid out, and read by the hub's own client offline."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.host import removal
from ansible_collections.wavesmith.provision.plugins.module_utils.host.job import Failed, Job
from ansible_collections.wavesmith.provision.plugins.module_utils.models import kept
from ansible_collections.wavesmith.provision.plugins.module_utils.plan import models
from ansible_collections.wavesmith.provision.plugins.module_utils.records.model import WeightsOf
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted import weights as layout
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.model import WeightFile, Weights
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.variables import Environment, read
from ansible_collections.wavesmith.provision.plugins.module_utils.weights import download, fetch
from ansible_collections.wavesmith.provision.plugins.plugin_utils import catalog_files

from .conftest import make_manifest
from .hub import COMMIT, Hub, serving
from .test_plan import decide, host, only

ROOT = Path(__file__).resolve().parents[2]
CATALOG = catalog_files.load()
BIG, SMALL = b"w" * 300_000 + b"end", b'{"sample_rate": 24000}'


def pin(path: str, data: bytes) -> WeightFile:
    return WeightFile(path, len(data), hashlib.sha256(data).hexdigest())


def of_hub(repository: str = "ours/voice", files: dict[str, bytes] | None = None, **more: Any) -> Weights:
    pinned = tuple(pin(path, data) for path, data in (files or {"model.bin": BIG, "sub/config.json": SMALL}).items())
    return Weights("voice", "hub", repository, "MIT", True, pinned, revision=COMMIT, gated=False, **more)


def task(weights: Weights, root: Path) -> WeightsOf:
    model = replace(CATALOG.models["swift_f0"], weights=(weights,))
    (found,) = models.model_of(model, str(root))["weights"]
    return found


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    monkeypatch.setattr(fetch, "SPARE", 0)


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serving(Hub()) as found:
        found.files = {("ours/voice", "model.bin"): BIG, ("ours/voice", "sub/config.json"): SMALL}
        yield found


@pytest.fixture
def job(tmp_path: Path) -> Job:
    (tmp_path / "job").mkdir()
    return Job(str(tmp_path / "job"), 0)


def bring(
    job: Job, root: Path, hub: Hub, *wanted: Weights, mirrors: tuple[str, ...] = (), token: str = ""
) -> list[str]:
    return fetch.fetch(job, str(root), [task(weights, root) for weights in wanted], hub.url, mirrors, token)


# What is there afterwards


def test_weights_are_laid_out_read_only_once_by_their_sha256(tmp_path: Path, job: Job, hub: Hub) -> None:
    wanted = of_hub()
    assert bring(job, tmp_path, hub, wanted) == [layout.key(task(wanted, tmp_path))]
    blobs = {path.name: path for path in (tmp_path / "models/blobs").iterdir()}
    assert set(blobs) == {hashlib.sha256(data).hexdigest() for data in (BIG, SMALL)}
    assert {stat.S_IMODE(path.stat().st_mode) for path in blobs.values()} == {0o444}
    placed = Path(task(wanted, tmp_path)["folder"])
    assert (placed / "model.bin").read_bytes() == BIG and (placed / "sub/config.json").read_bytes() == SMALL
    assert bring(job, tmp_path, hub, wanted) == []


def test_the_hubs_own_client_reads_them_offline(tmp_path: Path, job: Job, hub: Hub) -> None:
    bring(job, tmp_path, hub, of_hub())
    program = (
        "from huggingface_hub import hf_hub_download, snapshot_download\n"
        "print(open(hf_hub_download('ours/voice', 'sub/config.json')).read(), snapshot_download('ours/voice'))"
    )
    env = {"PATH": os.defpath, "HOME": str(tmp_path), "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": f"{tmp_path}/models/hub"}
    asked = len(hub.asked)
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split(" /")[0] == SMALL.decode() and COMMIT in done.stdout
    assert len(hub.asked) == asked


def test_a_file_that_two_sets_share_is_fetched_once(tmp_path: Path, job: Job, hub: Hub) -> None:
    hub.files["ours/other", "copy.bin"] = BIG
    bring(job, tmp_path, hub, of_hub(), replace(of_hub("ours/other", {"copy.bin": BIG}), name="other"))
    assert sum("model.bin" in line or "copy.bin" in line for line in hub.asked) == 1
    assert len(list((tmp_path / "models/blobs").iterdir())) == 2


def test_what_was_fetched_can_be_removed_again(tmp_path: Path, job: Job, hub: Hub) -> None:
    hub.files["ours/other", "other.bin"] = b"other"
    wanted, other = of_hub(), of_hub("ours/other", {"other.bin": b"other"})
    key, stays = bring(job, tmp_path, hub, wanted, other)
    removal.remove(str(tmp_path), [f"weights {key}"], check=False)
    assert [path.stem for path in (tmp_path / layout.KEPT).iterdir()] == [stays]
    assert not Path(task(wanted, tmp_path)["folder"]).exists()
    assert [path.read_bytes() for path in (tmp_path / layout.BLOBS).iterdir()] == [b"other"]


def test_a_record_of_before_is_written_again_without_a_download(tmp_path: Path, job: Job, hub: Hub) -> None:
    (key,) = bring(job, tmp_path, hub, of_hub())
    record = tmp_path / layout.KEPT / f"{key}.json"
    record.write_text('{"name": "voice", "files": []}')
    asked = len(hub.asked)
    assert bring(job, tmp_path, hub, of_hub()) == [key]
    assert len(hub.asked) == asked and removal.kept(str(record))


def test_a_model_finds_its_weights_there(tmp_path: Path, job: Job, hub: Hub) -> None:
    bring(job, tmp_path, hub, of_hub())
    model = models.model_of(replace(CATALOG.models["swift_f0"], weights=(of_hub(),)), str(tmp_path))
    prefix = tmp_path / "envs/speech/one"
    (prefix / "wavesmith").mkdir(parents=True)
    (prefix / "wavesmith/manifest.json").write_text(json.dumps(make_manifest(models=[model])))
    assert [path.read_bytes() for path in kept.files(prefix, model)] == [BIG, SMALL]
    assert kept.wrong_file(prefix, model) == ""


def test_an_archive_gives_the_files_that_are_named_and_is_not_kept(tmp_path: Path, job: Job, hub: Hub) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:bz2") as tar:
        for name, data in (("voice/model.onnx", BIG), ("../../evil", b"x"), ("voice/README", b"y")):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
        link = tarfile.TarInfo("voice/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    (tmp_path / "voice.tar.bz2").write_bytes(packed.getvalue())
    wanted = Weights(
        "voice", "url", f"{hub.url}/nowhere.tar.bz2", "MIT", True, (pin("voice/model.onnx", BIG),),
        archive=pin("voice.tar.bz2", packed.getvalue()), mirrors=((tmp_path / "voice.tar.bz2").as_uri(),),
    )  # fmt: skip
    bring(job, tmp_path, hub, wanted)
    assert [path.read_bytes() for path in (tmp_path / "models/blobs").iterdir()] == [BIG]
    assert Path(task(wanted, tmp_path)["folder"], "voice/model.onnx").read_bytes() == BIG
    assert not list(tmp_path.rglob("evil")) and not list(tmp_path.rglob("README"))


def test_a_mirror_is_asked_before_the_hub(tmp_path: Path, job: Job, hub: Hub) -> None:
    mirror = tmp_path / "stick"
    mirror.mkdir()
    (mirror / hashlib.sha256(BIG).hexdigest()).write_bytes(BIG)
    bring(job, tmp_path, hub, of_hub(), mirrors=(mirror.as_uri(),))
    assert hub.asked == [f"GET /ours/voice/resolve/{COMMIT}/sub/config.json"]


# What goes wrong on the way


def test_a_download_that_is_cut_again_and_again_goes_on_where_it_ended(tmp_path: Path, job: Job, hub: Hub) -> None:
    hub.cut_after = 120_000
    bring(job, tmp_path, hub, of_hub(files={"model.bin": BIG}))
    assert [line.rpartition("bytes=")[2] for line in hub.asked[1:]] == ["120000-", "240000-"]


def test_what_came_before_a_failure_is_gone_on_from_by_the_next_run(tmp_path: Path, job: Job, hub: Hub) -> None:
    hub.cut_after = 50_000
    with pytest.raises(
        Failed, match=r"weights voice \(ours/voice\), model.bin: .*it ended early.*what was downloaded is kept"
    ):
        bring(job, tmp_path, hub, of_hub(files={"model.bin": BIG}))
    assert not (tmp_path / "models/kept").exists()
    hub.cut_after, hub.asked[:] = 0, []
    bring(job, tmp_path, hub, of_hub(files={"model.bin": BIG}))
    assert hub.asked == [f"GET /ours/voice/resolve/{COMMIT}/model.bin bytes=200000-"]


def test_a_download_longer_than_its_file_begins_again(tmp_path: Path, job: Job, hub: Hub) -> None:
    part = tmp_path / "models/blobs" / f".{hashlib.sha256(SMALL).hexdigest()}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(SMALL + b"more")
    bring(job, tmp_path, hub, of_hub())
    assert not part.exists()


@pytest.mark.parametrize("share", [0.01, 0.5, 1], ids=["begun", "half", "whole"])
def test_what_an_earlier_run_left_of_another_file_is_fetched_again(
    tmp_path: Path, job: Job, hub: Hub, share: float
) -> None:
    part = tmp_path / "models/blobs" / f".{hashlib.sha256(BIG).hexdigest()}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(bytes(int(len(BIG) * share)))
    bring(job, tmp_path, hub, of_hub(files={"model.bin": BIG}))
    assert hub.asked[-1] == f"GET /ours/voice/resolve/{COMMIT}/model.bin"
    assert Path(task(of_hub(), tmp_path)["folder"], "model.bin").read_bytes() == BIG


def test_another_file_of_the_same_size_is_refused_and_not_kept(tmp_path: Path, job: Job, hub: Hub) -> None:
    hub.files["ours/voice", "model.bin"] = BIG[:-3] + b"END"
    with pytest.raises(
        Failed, match=r"model.bin: the downloaded file has sha256 \w+…, the catalog names \w+….* Remedy: find out"
    ):
        bring(job, tmp_path, hub, of_hub())
    assert hashlib.sha256(BIG).hexdigest() not in {path.name for path in (tmp_path / "models/blobs").iterdir()}
    assert not list((tmp_path / "models/blobs").glob(f".{hashlib.sha256(BIG).hexdigest()}*"))


def test_a_gated_repository_without_a_token_says_what_to_do_and_with_one_is_fetched(
    tmp_path: Path, job: Job, hub: Hub
) -> None:
    hub.gated = {"ours/voice"}
    with pytest.raises(Failed, match=r"gated.*Remedy: accept its terms on the hub, and set HF_TOKEN"):
        bring(job, tmp_path, hub, of_hub())
    bring(job, tmp_path, hub, of_hub(), token=hub.token)


def test_the_token_does_not_go_to_where_the_hub_redirects(tmp_path: Path, job: Job, hub: Hub) -> None:
    with serving(Hub(files=dict(hub.files))) as storage:
        hub.gated, hub.storage = {"ours/voice"}, storage.url
        bring(job, tmp_path, hub, of_hub(), token=hub.token)
        assert set(hub.tokens) == {f"Bearer {hub.token}"} and storage.tokens == []
        assert len(storage.asked) == 2


def test_a_file_that_the_hub_lacks_is_named(tmp_path: Path, job: Job, hub: Hub) -> None:
    del hub.files["ours/voice", "sub/config.json"]
    with pytest.raises(Failed, match=r"sub/config.json: .*it has no such file \(404\)"):
        bring(job, tmp_path, hub, of_hub())


def test_a_silent_hub_is_named_with_the_ways_out(tmp_path: Path, job: Job, hub: Hub) -> None:
    with pytest.raises(Failed, match=r"Connection refused.*Remedy: check the network.*wavesmith_weights_mirrors"):
        fetch.fetch(job, str(tmp_path), [task(of_hub(), tmp_path)], "http://127.0.0.1:9", (), "")


def test_what_does_not_fit_is_refused_before_the_first_byte(
    tmp_path: Path, job: Job, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1, 1, 1000))
    with pytest.raises(Failed, match=r"weights of models: 0.0 MiB are free in .*, and 0.3 MiB are needed. Remedy"):
        bring(job, tmp_path, hub, of_hub())
    assert hub.asked == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_disk_that_fills_up_is_said_and_no_traceback(tmp_path: Path, job: Job, hub: Hub) -> None:
    part = tmp_path / "models/blobs" / f".{hashlib.sha256(BIG).hexdigest()}.part"
    part.parent.mkdir(parents=True)
    part.symlink_to("/dev/full")
    with pytest.raises(Failed, match=r"model.bin: .*No space left on device"):
        bring(job, tmp_path, hub, of_hub(files={"model.bin": BIG}))


def test_progress_is_told_in_bytes_and_checking_is_a_phase_of_its_own(tmp_path: Path, job: Job) -> None:
    counted = fetch._Bytes(300 << 20)
    counted.add(100 << 20)
    counted.tell(job)
    told = json.loads((tmp_path / "job/progress.json").read_text())
    assert (told["phase"], told["n"], told["m"]) == ("fetching weights", 100, 300) and "100.0 MiB of" in told["detail"]
    counted.add(200 << 20)
    counted.check(300 << 20)
    counted.tell(job)
    assert json.loads((tmp_path / "job/progress.json").read_text())["phase"] == "checking sha256"


def test_an_address_is_shown_without_its_password() -> None:
    assert download._shown("https://ada:secret@mirror.example/x") == "https://mirror.example/x"


# What the plan makes of it


def with_weights(weights: Weights, observed: dict[str, Any] | None = None, **wanted: Any) -> Any:
    model = replace(CATALOG.models["swift_f0"], weights=(weights,))
    catalog = replace(CATALOG, models={"swift_f0": model})
    return decide(
        observed or host(), Environment("pitch", stack="none", models=("swift_f0",)), catalog=catalog, **wanted
    )


def test_the_plan_fetches_weights_before_they_are_needed_and_counts_their_room() -> None:
    weights = of_hub(about_bytes=5 * 2**30)
    result = with_weights(weights)
    assert [step["phase"] for step in result.steps] == ["lock", "weights", "install", "verify", "activate"]
    assert "voice, 5.0 GiB" in [step["detail"] for step in result.steps]
    assert result.disk_gib > 5
    refused = with_weights(weights, host(disk={"free": 3 * 2**30}))
    assert refused.refusals[0].item == "disk of /opt"


def test_weights_that_are_there_are_not_fetched_again() -> None:
    name = layout.key(task(of_hub(), Path("/opt/wavesmith")))
    observed = {**host(), "weights": [name]}
    assert "weights" not in with_weights(of_hub(), observed).phases


def test_gated_weights_without_a_token_are_refused_in_the_plan() -> None:
    gated = replace(of_hub(), gated=True)
    (refused,) = with_weights(gated).refusals
    assert "weights voice (ours/voice) are gated" in refused.problem and "HF_TOKEN" in refused.remedy
    assert with_weights(gated, hub_token="hf_x").refusals == []


def test_unpinned_weights_are_not_fetched() -> None:
    item = only(with_weights(replace(of_hub(), revision=None)))
    assert item.weights == [] and "unpinned" in item.models[0]["refused"]


# Variables


def test_hub_and_token_are_those_of_the_inventory_before_those_of_the_environment() -> None:
    environ = {"HF_ENDPOINT": "https://mirror.example", "HF_TOKEN": "hf_env"}
    wanted, refusals = read({}, environ)
    assert (wanted.hub, wanted.hub_token, refusals) == ("https://mirror.example", "hf_env", [])
    wanted, _ = read({"wavesmith_hub": "https://own.example", "wavesmith_hub_token": "hf_own"}, environ)
    assert (wanted.hub, wanted.hub_token) == ("https://own.example", "hf_own")
    assert "hf_own" not in repr(wanted)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"wavesmith_hub": "mirror.example"}, "'mirror.example' is not an address"),
        ({"wavesmith_weights_mirrors": ["/srv/weights"]}, "'/srv/weights' is not an address"),
        ({"wavesmith_hub_token": "two words"}, "characters that no token has"),
        ({"wavesmith_hub_token": ["hf_secret"]}, "must be text"),
    ],
)
def test_a_wrong_variable_is_refused_and_a_token_never_shown(variables: dict[str, Any], said: str) -> None:
    (refused,) = read(variables)[1]
    assert said in refused.problem and "hf_secret" not in refused.problem and "two words" not in refused.problem


# Through Ansible


@pytest.mark.process
def test_weights_are_fetched_through_ansible_and_the_token_is_seen_nowhere(tmp_path: Path, hub: Hub) -> None:
    hub.gated = {"ours/voice"}
    book = tmp_path / "book.yml"
    book.write_text(
        json.dumps(
            [
                {
                    "hosts": "localhost",
                    "gather_facts": False,
                    "roles": [
                        {
                            "role": "wavesmith.provision.model",
                            "model_root": str(tmp_path / "root"),
                            "model_weights": [task(of_hub(), tmp_path / "root")],
                        }
                    ],
                }
            ]
        )
    )
    (tmp_path / "root").mkdir()
    env = {**os.environ, "HF_TOKEN": hub.token, "HF_ENDPOINT": hub.url, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    argv = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "localhost,", "-c", "local", str(book), "-vvv"]
    done = subprocess.run(argv, env=env, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert hub.token not in done.stdout + done.stderr
    found = [path for path in (tmp_path / "root").rglob("*") if path.is_file() and not path.is_symlink()]
    assert not [path for path in found if hub.token.encode() in path.read_bytes()]
    assert Path(task(of_hub(), tmp_path / "root")["folder"], "model.bin").read_bytes() == BIG


def book(root: Path) -> str:
    """As site.yml goes, without a plan of its own: what hosts need is in their variables."""
    plays = [
        {
            "hosts": "all",
            "gather_facts": False,
            "tasks": [
                {"set_fact": {"wavesmith_plan": "{{ planned }}"}},
                {"group_by": {"key": "wavesmith_planned"}},
                {"group_by": {"key": "wavesmith_weights"}, "when": "planned.weights | length > 0"},
            ],
        },
        {"import_playbook": str(ROOT / "playbooks" / "weights.yml")},
        {
            "hosts": "wavesmith_weights",
            "gather_facts": False,
            "roles": [
                {
                    "role": "wavesmith.provision.model",
                    "model_root": "{{ wavesmith_plan.plan.root }}",
                    "model_weights": "{{ wavesmith_plan.weights }}",
                }
            ],
        },
    ]
    (root / "book.yml").write_text(json.dumps(plays))
    return str(root / "book.yml")


class House(SimpleHTTPRequestHandler):
    """Serves the folder of the wheelhouse, and notes what was asked for."""

    asked: ClassVar[list[str]] = []

    def log_message(self, format: str, *args: object) -> None:
        self.asked.append(f"{args[0]} {args[1]}")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[str]:
    House.asked.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(House, directory=str(tmp_path / "house" / "wheelhouse")))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def fleet(tmp_path: Path, hub: Hub, house: str, needing: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """Bring weights to hosts of a fleet that has a wheelhouse; each is a folder of this machine."""
    hosts = {}
    for name in ("house", "one", "two"):
        root = tmp_path / name
        root.mkdir(exist_ok=True)
        wanted = [task(of_hub(), root)] if name in needing else []
        hosts[name] = {"ansible_connection": "local", "planned": {"plan": {"root": str(root)}, "weights": wanted}}
    inventory = {
        "all": {"hosts": hosts, "vars": {"wavesmith_wheelhouse": house}},
        "wheelhouse": {"hosts": {"house": {}}},
    }
    (tmp_path / "hosts.yml").write_text(json.dumps(inventory))
    env = {**os.environ, "HF_TOKEN": hub.token, "HF_ENDPOINT": hub.url, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    env |= {"no_proxy": "*", "WAVESMITH_BOARD": "detail"}
    argv = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(tmp_path / "hosts.yml"), book(tmp_path)]
    return subprocess.run(argv, env=env, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)


def has_them(root: Path) -> bool:
    return Path(task(of_hub(), root)["folder"], "model.bin").read_bytes() == BIG


@pytest.mark.process
@pytest.mark.parametrize("needing", [("one", "two"), ("house", "one", "two"), ("house", "two")], ids=" ".join)
def test_a_fleet_asks_the_hub_once_and_its_wheelhouse_for_each_other_host(
    tmp_path: Path, hub: Hub, house: str, needing: tuple[str, ...]
) -> None:
    hub.gated = {"ours/voice"}
    done = fleet(tmp_path, hub, house, needing)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(line.rpartition("/")[2] for line in hub.asked) == ["config.json", "model.bin"]
    names = [hashlib.sha256(data).hexdigest() for data in (BIG, SMALL)]
    others = [name for name in needing if name != "house"]
    expected = [f"GET /models/blobs/{name} HTTP/1.1 200" for name in names for _ in others]
    assert sorted(House.asked) == sorted(expected)
    assert all(has_them(tmp_path / name) for name in needing)
    kept_for_others = tmp_path / "house" / "wheelhouse" / layout.blob(names[0])
    assert kept_for_others.stat().st_nlink == (2 if "house" in needing else 1), "one copy for both"


@pytest.mark.process
@pytest.mark.parametrize("form", ["{folder}", "file://{folder}"], ids=["the controller's", "seen by all"])
def test_a_fleet_without_a_served_wheelhouse_asks_the_hub_once_through_the_controllers_folder(
    tmp_path: Path, hub: Hub, form: str
) -> None:
    hub.gated = {"ours/voice"}
    done = fleet(tmp_path, hub, form.format(folder=tmp_path / "shared"), ("house", "one", "two"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(line.rpartition("/")[2] for line in hub.asked) == ["config.json", "model.bin"]
    assert all(has_them(tmp_path / name) for name in ("house", "one", "two"))
    assert len(list((tmp_path / "shared" / layout.BLOBS).iterdir())) == 2


@pytest.mark.process
def test_where_the_wheelhouse_cannot_fetch_them_each_host_does_and_that_is_said(
    tmp_path: Path, hub: Hub, house: str
) -> None:
    (tmp_path / "house" / "wheelhouse").mkdir(parents=True)
    (tmp_path / "house" / "wheelhouse" / "models").write_text("in the way")
    done = fleet(tmp_path, hub, house, ("one", "two"))
    assert done.returncode == 0, done.stdout + done.stderr
    said = " ".join((done.stdout + done.stderr).split())
    assert "[house] weights are not fetched for the fleet: " in said and "Each host fetches them by itself" in said
    assert sorted(line.rpartition("/")[2] for line in hub.asked) == ["config.json"] * 2 + ["model.bin"] * 2
    assert has_them(tmp_path / "one") and has_them(tmp_path / "two")


@pytest.mark.process
def test_where_the_controller_cannot_keep_them_each_host_fetches_by_itself(tmp_path: Path, hub: Hub) -> None:
    (tmp_path / "shared").write_text("in the way")
    done = fleet(tmp_path, hub, str(tmp_path / "shared"), ("one", "two"))
    assert done.returncode == 0, done.stdout + done.stderr
    said = " ".join((done.stdout + done.stderr).split())
    assert "[one] weights are not fetched for the fleet: " in said and "File exists. Remedy: free some space on" in said
    assert has_them(tmp_path / "one") and has_them(tmp_path / "two")
