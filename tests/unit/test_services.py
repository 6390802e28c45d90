"""Models as services: what is asked of the inventory, the unit, the server, and the switch that they follow."""

from __future__ import annotations

import base64
import http.client
import io
import json
import threading
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.host import services, store
from ansible_collections.wavesmith.provision.plugins.module_utils.models import serve, sound
from ansible_collections.wavesmith.provision.plugins.module_utils.plan import models as plan_models
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted import variables
from ansible_collections.wavesmith.provision.plugins.modules import generation as module

from .conftest import make_manifest
from .test_plan import CATALOG, decide, host

PIPER: Any = plan_models.model_of(CATALOG.models["piper_demo"])
MUSIC: Any = plan_models.model_of(CATALOG.models["diffrhythm2"])


def tone(seconds: float = 1.0, level: float = 0.3) -> sound.Sound:
    times = numpy.arange(int(22050 * seconds)) / 22050
    return sound.Sound(22050, (numpy.sin(times * 2000) * level).astype("float32"))


def wav(made: sound.Sound, folder: Path) -> bytes:
    sound.write(folder / "made.wav", made)
    return (folder / "made.wav").read_bytes()


# The inventory and the plan


def environments(**services_of: dict[str, Any]) -> tuple[Any, list[Any]]:
    data = {name: {"stack": "none", "models": ["piper_demo"], "services": of} for name, of in services_of.items()}
    return variables._environments(data)


def test_a_service_is_a_model_and_its_port() -> None:
    found, refusals = environments(voice={"piper_demo": 8089})
    assert (refusals, found[0].services) == ([], {"piper_demo": 8089})


@pytest.mark.parametrize("port", [80, 65536, "8089", True, None])
def test_a_port_that_a_service_cannot_have_is_refused(port: Any) -> None:
    _found, refusals = environments(voice={"piper_demo": port})
    assert "but must be at a port from 1024 to 65535" in str(refusals)


@pytest.mark.parametrize("given", [["piper_demo"], "piper_demo", 8089])
def test_services_that_are_no_mapping_are_refused(given: Any) -> None:
    _found, refusals = environments(voice=given)
    assert "must be a mapping of models and ports" in str(refusals)


def test_two_services_at_one_port_are_refused() -> None:
    _found, refusals = environments(voice={"piper_demo": 8089}, other={"piper_demo": 8089})
    assert "services other's piper_demo and voice's piper_demo are both at port 8089" in str(refusals)


def planned(services_of: dict[str, int], models: tuple[str, ...] = ("piper_demo",), **observed: Any) -> Any:
    environment = variables.Environment("voice", stack="none", models=models, services=services_of)
    return decide(host(**observed), environment)


def test_the_plan_says_where_a_service_is() -> None:
    plan = planned({"piper_demo": 8089})
    assert plan.refusals == []
    (model,) = plan.environments[0].models
    assert model["service"] == {"port": 8089, "path": "/make", "ask": {"text": "This is a test."}}
    assert "; service at 127.0.0.1:8089" in plan_models.lines([model])[0]
    assert plan_models.digested([model])["services"] == {"piper_demo": model["service"]}
    assert "services" not in plan_models.digested([PIPER])


@pytest.mark.parametrize(
    ("services_of", "models", "observed", "said"),
    [
        ({"pipper_demo": 8089}, ("piper_demo",), {}, "service pipper_demo: it is none of the environment's models"),
        ({"whisper_tiny": 8089}, ("whisper_tiny",), {}, "a model of the task transcribe cannot be run as one"),
        ({"piper_demo": 8089}, ("piper_demo",), {"privilege": "none"}, "units of systemd need root's rights"),
    ],
)
def test_a_service_that_cannot_be_is_refused(
    services_of: dict[str, int], models: tuple[str, ...], observed: dict[str, str], said: str
) -> None:
    plan = planned(services_of, models, **({"user": {"name": "ada", **observed}} if observed else {}))
    assert any(said in refusal.problem for refusal in plan.refusals), plan.refusals


UNPINNED = sorted(
    name for name, model in CATALOG.models.items() if model.task.ask and any(part.unknown for part in model.weights)
)


@pytest.mark.parametrize("name", UNPINNED)
def test_a_service_without_its_weights_is_refused(name: str) -> None:
    model = CATALOG.models[name]
    item: Any = type("Item", (), {"name": "speech", "models": [plan_models.model_of(model)]})()
    (refusal,) = plan_models._serve(item, [model], {name: 7860}, host())
    weights = next(part for part in model.weights if part.unknown)
    assert refusal.problem == (
        f"service {name}: its weights {weights.name} ({weights.place}) are unpinned: {weights.unknown} must be known"
    )
    assert refusal.remedy == f"wavesmith model pin {name}, where the hub is in reach"


def test_the_services_that_people_ask_for_are_among_those() -> None:
    assert {"fish_speech", "fish_speech_s1", "diffrhythm2", "maskgct", "metis"} <= set(UNPINNED)


# The server


@pytest.fixture
def at() -> Iterator[Callable[..., tuple[int, bytes, str]]]:
    """Ask a server of Piper whose work is ours."""

    def work(text: str, **given: Any) -> sound.Sound:
        if text == "broken":
            raise RuntimeError("out of memory")
        return tone(len(text) / 10 + (given["voice"].seconds if "voice" in given else 0))

    server = serve.server(PIPER, work, 0)
    port = server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def ask(method: str, path: str, body: Any = None, **headers: str) -> tuple[int, bytes, str]:
        link = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        link.request(method, path, data, {"Content-Type": "application/json", **headers})
        answer = link.getresponse()
        return answer.status, answer.read(), answer.getheader("Content-Type", "")

    yield ask
    server.shutdown()
    server.server_close()


def test_a_text_becomes_a_wav(at: Callable[..., Any]) -> None:
    status, data, kind = at("POST", "/make", {"text": "hello you!"})
    assert (status, kind, services.silence(data)) == (200, "audio/wav", "")
    with wave.open(io.BytesIO(data)) as file:
        assert file.getnframes() == 22050


def test_a_wav_reaches_the_model(at: Callable[..., Any], tmp_path: Path) -> None:
    voice = base64.b64encode(wav(tone(2.0), tmp_path)).decode()
    status, data, _kind = at("POST", "/make", {"text": "hello you!", "voice": voice})
    with wave.open(io.BytesIO(data)) as file:
        assert (status, file.getnframes()) == (200, 3 * 22050)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "there is no text"),
        ({"text": " "}, "there is no text"),
        ({"text": "a", "colour": "blue"}, "colour is not known. Remedy: use seconds, text, voice, voice_text"),
        ({"text": 7}, "must be a JSON object of texts"),
        (["text"], "must be a JSON object of texts"),
        ({"text": "a", "voice": "%"}, "voice is no WAV in base64"),
        ({"text": "a", "voice": "AAAA"}, "cannot be read as WAV"),
        (b"text", "Expecting value"),
    ],
)
def test_what_is_asked_for_wrongly_is_told_so(at: Callable[..., Any], body: Any, said: str) -> None:
    status, data, _kind = at("POST", "/make", body)
    assert (status, said in json.loads(data)["error"]) == (400, True), data


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/health", {"Host": "evil.example:80"}, 403),
        ("POST", "/make", {"Host": "evil.example"}, 403),
        ("POST", "/make", {"Content-Type": "text/plain"}, 415),
        ("POST", "/make", {"Content-Length": str(10**9)}, 413),
        ("GET", "/../etc/passwd", {}, 404),
        ("POST", "/", {}, 404),
    ],
)
def test_what_comes_from_elsewhere_or_is_not_there_gets_nothing(
    at: Callable[..., Any], method: str, path: str, headers: dict[str, str], status: int
) -> None:
    assert at(method, path, {"text": "a"} if method == "POST" else None, **headers)[0] == status


def test_a_model_that_breaks_leaves_the_server_alive(at: Callable[..., Any]) -> None:
    status, data, _kind = at("POST", "/make", {"text": "broken"})
    assert (status, json.loads(data)["error"]) == (500, "RuntimeError: out of memory")
    assert at("GET", "/health")[:2] == (200, b'{"status": "ok", "model": "piper_demo"}')


@pytest.mark.parametrize("model", [PIPER, MUSIC])
def test_the_page_has_a_field_for_each_thing_that_the_model_may_be_given(model: Any) -> None:
    page = serve.page(model)
    assert all(f'name="{name}"' in page for name in ("text", *model["may_take"], *model["may_say"]))
    assert "http" not in page.lower().replace("http-equiv", "")


# What is heard


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: wav(tone(), folder), ""),
        (lambda folder: wav(tone(level=0.0), folder), "its level is"),
        (lambda folder: wav(tone(0.1), folder), "it lasts 0.10 s"),
        (lambda folder: b'{"error": "no"}', "what came is no WAV"),
        (lambda folder: b"", "what came is no WAV"),
    ],
)
def test_a_service_is_heard_by_the_sound_that_it_makes(tmp_path: Path, spoil: Any, said: str) -> None:
    found = services.silence(spoil(tmp_path))
    assert found.startswith(said) if said else found == ""


# The unit and the switch


@pytest.mark.parametrize(
    ("prefix", "accelerated", "lines"),
    [
        ("/opt/wavesmith/envs/voice/one", False, ("ProtectHome=yes", "PrivateDevices=yes")),
        ("/home/ada/wavesmith/envs/voice/one", True, ("ProtectHome=read-only", "DeviceAllow=char-nvidia* rw")),
        ("/root/wavesmith/envs/voice/one", False, ("ProtectHome=read-only", "PrivateDevices=yes")),
    ],
)
def test_a_unit_may_do_no_more_than_it_must(prefix: str, accelerated: bool, lines: tuple[str, ...]) -> None:
    name, text = services.unit("/opt/wavesmith", "voice", prefix, "piper_demo", 8089, accelerated)
    assert name == "wavesmith-voice-piper_demo.service"
    wanted = (f"ExecStart={prefix}/wavesmith/models/piper_demo --serve 8089", "DynamicUser=yes", "IPAddressDeny=any")
    assert {*wanted, "IPAddressAllow=localhost", "CapabilityBoundingSet=", *lines} <= set(text.splitlines())
    assert ("PrivateDevices=yes" in text) is not accelerated


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """A systemd that does what it is told, and notes it; the service of generation ``bad`` makes no sound."""
    told: list[tuple[str, ...]] = []
    (tmp_path / "units").mkdir()
    monkeypatch.setattr(services, "FOLDER", str(tmp_path / "units"))
    monkeypatch.setattr(services, "BOOTED", str(tmp_path))
    monkeypatch.setattr(services, "_systemctl", lambda *words: told.append(words) or "active")
    monkeypatch.setattr(services, "_last_words", lambda name: "")

    def ask(service: Any) -> bytes:
        unit = (tmp_path / "units" / "wavesmith-voice-piper_demo.service").read_text()
        return b"" if "/bad/" in unit else wav(tone(), tmp_path)

    monkeypatch.setattr(services, "_ask", ask)
    return told


def generation(root: Path, name: str, served: bool = True) -> None:
    prefix = root / "envs" / "voice" / name / "wavesmith"
    prefix.mkdir(parents=True)
    model = {"name": "piper_demo", "service": {"port": 8089, "path": "/make", "ask": {"text": "a"}}}
    models = [model] if served else []
    (prefix / "manifest.json").write_text(json.dumps(make_manifest(models=models)))
    (prefix / "verdict.json").write_text(json.dumps({"exit": 0}))


def test_a_service_follows_the_switch_forward_and_back(tmp_path: Path, systemd: list[tuple[str, ...]]) -> None:
    for name in ("one", "two"):
        generation(tmp_path, name)
    unit = tmp_path / "units" / "wavesmith-voice-piper_demo.service"
    assert module._switch(str(tmp_path), "voice", "one") == ["service wavesmith-voice-piper_demo.service was made"]
    assert systemd == [("daemon-reload",), ("enable", unit.name), ("restart", unit.name)]
    assert module._switch(str(tmp_path), "voice", "two") == ["service wavesmith-voice-piper_demo.service was changed"]
    assert "/two/" in unit.read_text()
    module._switch(str(tmp_path), "voice", "one")
    assert "/one/" in unit.read_text() and systemd[-1] == ("restart", unit.name)


def test_a_service_that_is_right_is_not_restarted(tmp_path: Path, systemd: list[tuple[str, ...]]) -> None:
    generation(tmp_path, "one")
    module._switch(str(tmp_path), "voice", "one")
    systemd.clear()
    assert module._switch(str(tmp_path), "voice", "one") == []
    assert systemd == [
        ("enable", "wavesmith-voice-piper_demo.service"),
        ("start", "wavesmith-voice-piper_demo.service"),
    ]


def test_a_service_that_makes_no_sound_takes_the_switch_back(tmp_path: Path, systemd: list[tuple[str, ...]]) -> None:
    for name in ("one", "bad"):
        generation(tmp_path, name)
    module._switch(str(tmp_path), "voice", "one")
    with pytest.raises(store.StoreError, match="made no sound .* generation one of voice is current again"):
        module._switch(str(tmp_path), "voice", "bad")
    assert store.pointed(str(tmp_path / "envs" / "voice")) == "one"
    assert "/one/" in (tmp_path / "units" / "wavesmith-voice-piper_demo.service").read_text()


def test_a_first_generation_whose_service_makes_no_sound_does_not_become_current(
    tmp_path: Path, systemd: list[tuple[str, ...]]
) -> None:
    generation(tmp_path, "bad")
    with pytest.raises(store.StoreError, match="made no sound .* voice has no current one"):
        module._switch(str(tmp_path), "voice", "bad")
    assert store.pointed(str(tmp_path / "envs" / "voice")) is None
    assert list((tmp_path / "units").iterdir()) == []


def test_a_service_that_nobody_wants_any_more_is_removed(tmp_path: Path, systemd: list[tuple[str, ...]]) -> None:
    generation(tmp_path, "one")
    generation(tmp_path, "without", served=False)
    module._switch(str(tmp_path), "voice", "one")
    other = tmp_path / "units" / "wavesmith-voice-other.service"
    other.write_text("# Wavesmith /somewhere/else: written\n")
    assert module._switch(str(tmp_path), "voice", "without") == [
        "service wavesmith-voice-piper_demo.service was removed"
    ]
    assert ("disable", "--now", "wavesmith-voice-piper_demo.service") in systemd
    assert list((tmp_path / "units").iterdir()) == [other]


@pytest.mark.parametrize(("state", "restarts"), [("failed", "0"), ("activating", "2"), ("inactive", "0")])
def test_a_service_that_ends_again_and_again_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, state: str, restarts: str
) -> None:
    def refused(service: Any) -> bytes:
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(services, "_ask", refused)
    monkeypatch.setattr(services, "_systemctl", lambda *words: restarts if words[0] == "show" else state)
    monkeypatch.setattr(services, "_last_words", lambda name: f"journalctl -u {name}")
    with pytest.raises(store.StoreError, match=r"made no sound \(it ended\). Remedy: journalctl -u x.service"):
        services._hear("x.service", {"port": 8089, "path": "/make", "ask": {"text": "a"}})


def test_a_service_that_still_loads_is_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[int] = []

    def later(service: Any) -> bytes:
        asked.append(1)
        if len(asked) < 2:
            raise ConnectionRefusedError(111, "Connection refused")
        return wav(tone(), tmp_path)

    monkeypatch.setattr(services, "_ask", later)
    monkeypatch.setattr(services, "_systemctl", lambda *words: "1" if words[0] == "show" else "active")
    services._hear("x.service", {"port": 8089, "path": "/make", "ask": {"text": "a"}})
    assert len(asked) == 2


def test_a_host_without_services_needs_no_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    generation(tmp_path, "one", served=False)
    assert module._switch(str(tmp_path), "voice", "one") == []


def test_a_host_without_systemd_is_told_what_services_need(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "units").mkdir()
    monkeypatch.setattr(services, "FOLDER", str(tmp_path / "units"))
    monkeypatch.setattr(services, "BOOTED", str(tmp_path / "none"))
    generation(tmp_path, "one")
    with pytest.raises(store.StoreError, match=r"systemd does not run here.* voice has no current one"):
        module._switch(str(tmp_path), "voice", "one")
    assert list((tmp_path / "units").iterdir()) == []
