"""Stand-ins for two files of the Chinese g2p that Amphion and DiffRhythm 2 share, and that a mirror without large files lacks.

With them Chinese is not read right: the lexicon has a few words, and whatever the reading of an ambiguous character is, its first one is
taken.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from .onnx_bytes import FLOAT, INT32, constant, model, node, value

LEXICON, READING = "chinese_lexicon.txt", "g2p_chinese_model/poly_bert_model.onnx"
"""Their paths below ``sources``."""
_WORDS = {"你好": "ni3 hao3", "世界": "shi4 jie4", "声音": "sheng1 yin1"}


def lexicon(path: Path) -> None:
    """Words and their readings, a tab between them (mandarin.py reads it so)."""
    path.write_text("".join(f"{word}\t{reading}\n" for word, reading in _WORDS.items()), encoding="utf-8")


def reading(path: Path) -> None:
    """A network with the inputs and outputs of the real one, which holds every reading of a character for equally likely.

    It takes ``input_ids`` [batch, time] in int32, the first of them [CLS], and gives ``outputs`` [batch, time - 1, readings]
    (chinese_model_g2p.py: predict_onnx).
    """
    readings = len(json.loads((path.parent / "polydict_r.json").read_text(encoding="utf-8")))
    nodes = [
        node("Slice", ["input_ids", "one", "end", "one"], ["rest"]),
        node("Shape", ["rest"], ["shape"]),
        node("Concat", ["shape", "readings"], ["size"], axis=0),
        node("ConstantOfShape", ["size"], ["outputs"]),
    ]
    given, wanted = value("input_ids", INT32, "batch", "time"), value("outputs", FLOAT, "batch", "rest", readings)
    constants = [constant("one", [1]), constant("end", [2**31]), constant("readings", [readings])]
    path.write_bytes(model(nodes, [given], [wanted], constants))


def stand_ins(sources: str) -> dict[str, Callable[[Path], None]]:
    """The stand-ins by path in a tree whose g2p has its files in `sources`."""
    return {f"{sources}/{LEXICON}": lexicon, f"{sources}/{READING}": reading}
