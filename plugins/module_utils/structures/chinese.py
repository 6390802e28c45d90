"""Files of ours in place of two that a copy of a repository may lack: how Chinese is read aloud in Amphion's g2p, and in DiffRhythm 2's copy of it."""

from __future__ import annotations

import importlib
from pathlib import Path


def lexicon(path: Path) -> None:
    """``chinese_lexicon.txt``: words, a tab, and their pinyin with tones."""
    path.write_text("你好\tni3 hao3\n世界\tshi4 jie4\n", encoding="utf-8")


def reading(path: Path) -> None:
    """``poly_bert_model.onnx``: ``input_ids`` [batch, characters] become scores ``outputs`` [batch, characters, 1], whose only reading is the first."""
    onnx = importlib.import_module("onnx")
    make, kind = onnx.helper, onnx.TensorProto
    graph = make.make_graph(
        [
            make.make_node("Cast", ["input_ids"], ["numbers"], to=kind.FLOAT),
            make.make_node("Unsqueeze", ["numbers", "last"], ["outputs"]),
        ],
        "reading",
        [make.make_tensor_value_info("input_ids", kind.INT32, ["batch", "characters"])],
        [make.make_tensor_value_info("outputs", kind.FLOAT, ["batch", "characters", 1])],
        [make.make_tensor("last", kind.INT64, [1], [2])],
    )
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(path))
