"""What the structures of models share: files of ours in a tree, and the network cut."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.doctor import structure
from ansible_collections.wavesmith.provision.plugins.module_utils.doctor.base import Failed
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.models import model_of
from ansible_collections.wavesmith.provision.plugins.module_utils.structures import chinese, cut, onnx_bytes, vevo

from .test_plan import CATALOG


@pytest.mark.parametrize(
    ("number", "data"),
    [(0, b"\x08\x00"), (127, b"\x08\x7f"), (300, b"\x08\xac\x02"), (2**31, b"\x08\x80\x80\x80\x80\x08")],
)
def test_whole_numbers_are_written_as_protobuf_does(number: int, data: bytes) -> None:
    # 300 is the example of protobuf's own description of its encoding.
    assert onnx_bytes.message((1, number)) == data


@pytest.mark.parametrize(
    ("value", "data"), [("testing", b"\x12\x07testing"), (b"\x01\x02", b"\x12\x02\x01\x02"), ("", b"\x12\x00")]
)
def test_texts_and_messages_have_their_length_before_them(value: str | bytes, data: bytes) -> None:
    assert onnx_bytes.message((2, value)) == data


def test_a_long_message_has_a_length_of_two_bytes() -> None:
    assert onnx_bytes.message((2, b"x" * 200))[:3] == b"\x12\xc8\x01"


def test_the_network_of_readings_is_as_wide_as_the_tree_has_readings(tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    numpy = pytest.importorskip("numpy")
    for count in (1, 3, 7):
        folder = tmp_path / str(count)
        folder.mkdir()
        (folder / "polydict_r.json").write_text(json.dumps({str(at): at for at in range(count)}), encoding="utf-8")
        chinese.reading(folder / "poly_bert_model.onnx")
        session = runtime.InferenceSession(str(folder / "poly_bert_model.onnx"), providers=["CPUExecutionProvider"])
        (scores,) = session.run(["outputs"], {"input_ids": numpy.ones((2, 5), "int32")})
        assert scores.shape == (2, 4, count)


def test_every_word_of_the_lexicon_has_a_reading_for_each_character(tmp_path: Path) -> None:
    chinese.lexicon(tmp_path / "words")
    rows = [line.split("\t") for line in (tmp_path / "words").read_text(encoding="utf-8").splitlines()]
    assert rows and all(len(word) == len(reading.split()) for word, reading in rows)


def _resolve() -> None:
    socket.getaddrinfo("hub.example", 443)


def _connect() -> None:
    with socket.socket() as end:
        end.connect(("192.0.2.1", 443))


def _swallow() -> None:
    try:
        socket.gethostbyname("hub.example")
    except OSError:
        pass


@pytest.mark.parametrize(
    ("ask", "host"), [(_resolve, "hub.example"), (_connect, "192.0.2.1"), (_swallow, "hub.example")]
)
def test_what_is_asked_of_a_cut_network_fails_even_where_the_error_is_swallowed(
    ask: Callable[[], None], host: str
) -> None:
    with pytest.raises((Failed, OSError), match=host), cut.network():
        ask()


def test_a_cut_network_is_whole_again_afterwards_and_own_sockets_work_meanwhile(tmp_path: Path) -> None:
    before = (socket.getaddrinfo, socket.socket.connect)
    with cut.network(), socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(str(tmp_path / "own"))
        server.listen()
        client.connect(str(tmp_path / "own"))
    assert (socket.getaddrinfo, socket.socket.connect) == before


@pytest.mark.parametrize(
    ("samples", "wanted"),
    [
        (134715, 134400),
        (48000, 47040),
        (72000, 71040),
    ],  # the first was measured with HuBERT's 24 layers, the second with 18
)
def test_what_vevo_converts_is_as_long_as_its_codes_are_many(samples: int, wanted: int) -> None:
    assert vevo.length(samples) == wanted


@pytest.mark.parametrize("name", ["maskgct", "metis", "vevo", "dualcodec"])
def test_a_structure_says_what_it_takes_and_the_doctor_plans_with_it(name: str) -> None:
    entry = model_of(CATALOG.models[name])
    if name != "dualcodec":
        entry["code"] = {
            "git": "", "commit": "", "folder": "", "workdir": "source", "modules": [], "adapters": [], "absent": []
        }  # fmt: skip
    (check,) = [check for check in structure.checks(name, entry) if check.id == f"models.structure.{name}"]
    tried = structure.found(name)
    assert (check.cost, check.alone) == (tried.SECONDS, tried.MEMORY_GIB > structure.ALONE_FROM)


@pytest.mark.parametrize("name", ["maskgct", "metis", "vevo"])
def test_every_file_that_a_mirror_may_lack_has_a_stand_in(name: str) -> None:
    model = CATALOG.models[name]
    assert model.tree is not None and set(model.tree.may_lack) <= set(structure.found(name).STAND_INS)
