"""Nothing is fetched while a model runs: what is asked of a network is refused, and said with who asked, for what, and what to do."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.models import offline
from ansible_collections.wavesmith.provision.plugins.module_utils.models.kept import Unusable

ROOT = Path(__file__).resolve().parents[2]
NLTK = """
**********************************************************************
  Resource 'averaged_perceptron_tagger_eng' not found.
  Please use the NLTK Downloader to obtain the resource:

  >>> import nltk
  >>> nltk.download('averaged_perceptron_tagger_eng')

  For more information see: https://www.nltk.org/data.html

  Attempted to load taggers/averaged_perceptron_tagger_eng/

  Searched in:
    - '/root/nltk_data'
**********************************************************************
"""
"""What nltk 3.9 says."""


def torch_hub(url: str) -> Any:
    return urllib.request.urlopen(url)


def of_nltk() -> None:
    raise LookupError(NLTK)


def swallowed() -> None:
    try:
        socket.create_connection(("mirror.example.org", 443), timeout=1)
    except OSError:
        pass
    raise RuntimeError("no model was loaded")


def by_number() -> None:
    http.client.HTTPSConnection("192.0.2.7", timeout=1).request("GET", "/")


@pytest.mark.parametrize(
    ("fetch", "said"),
    [
        (
            lambda: torch_hub("https://github.com/snakers4/silero-vad/zipball/master"),
            "https://github.com/snakers4/silero",
        ),
        (lambda: torch_hub("http://download.example.org/hubert.pth"), "http://download.example.org/hubert.pth, which"),
        (of_nltk, "nltk's taggers/averaged_perceptron_tagger_eng/, which"),
        (swallowed, "mirror.example.org, which"),
        (by_number, "192.0.2.7, which"),
        (lambda: socket.gethostbyname("hub.example.org"), "hub.example.org, which"),
    ],
    ids=["torch.hub", "urllib", "nltk", "swallowed", "by number", "name"],
)
def test_a_download_that_is_missing_is_named(
    fetch: Callable[[], Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(Unusable) as refused, offline.told("vevo"):
        fetch()
    assert str(refused.value).startswith(f"model vevo: it asks for {said}")
    assert str(refused.value).endswith("nothing is fetched while it runs. " + offline.REMEDY)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("hf_hub_download('M4869/WavMark', 'step59000.pkl')", "M4869/WavMark/step59000.pkl"),
        (
            "hf_hub_download(repo_id='facebook/w2v-bert-2.0', filename='config.json')",
            "facebook/w2v-bert-2.0/config.json",
        ),
        ("snapshot_download('OpenMuQ/MuQ-large-msd-iter')", "OpenMuQ/MuQ-large-msd-iter"),
        ("HfApi().model_info('amphion/Vevo')", "amphion/Vevo"),
    ],
)
def test_what_the_hubs_own_client_is_asked_for_is_named(call: str, said: str, tmp_path: Path) -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'plugins/module_utils')!r})\n"
        "import importlib, types\n"
        "from huggingface_hub import HfApi, hf_hub_download, snapshot_download\n"
        "offline = importlib.import_module('models.offline')\n"
        f"with offline.told('openvoice'): {call}"
    )
    env = {"PATH": os.defpath, "HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=False)
    assert f"model openvoice: it asks for {said}, which" in done.stderr.strip().splitlines()[-1], done.stderr


@pytest.mark.parametrize("error", [FileNotFoundError("in.wav"), ValueError("no text"), KeyError("speaker")])
def test_an_error_of_another_kind_stays_what_it_is(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, offline.told("vevo"):
        raise error
    assert raised.value is error


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "localhost"])
def test_this_machine_may_be_asked(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        server = socket.create_server((address, 0), family=family)
    except OSError as error:
        pytest.skip(f"{address}: {error}")
    with server, offline.cut() as asked:
        socket.create_connection((address, server.getsockname()[1]), timeout=5).close()
        with socket.socket(family) as other:
            assert other.connect_ex((address, server.getsockname()[1])) == 0
    assert asked == []


def test_the_network_is_whole_again_afterwards() -> None:
    before = (socket.getaddrinfo, socket.gethostbyname, socket.socket.connect, socket.socket.connect_ex)
    with offline.cut() as asked, pytest.raises(OSError, match="the network is cut: hub.example.org was asked for"):
        socket.getaddrinfo("hub.example.org", 443)
    assert asked == ["hub.example.org"]
    assert (socket.getaddrinfo, socket.gethostbyname, socket.socket.connect, socket.socket.connect_ex) == before
