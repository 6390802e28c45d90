"""What checks measured, as the verdict keeps it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.doctor.base import PASS, Check, Finding
from ansible_collections.wavesmith.provision.plugins.module_utils.records import shape
from ansible_collections.wavesmith.provision.plugins.module_utils.records.evidence import Evidence, plain
from hypothesis import given
from hypothesis import strategies as st


@dataclass
class Tone:
    hertz: float
    kept: tuple[str, ...]


@pytest.mark.parametrize(
    ("measured", "kept"),
    [
        (numpy.float32(0.5), 0.5),
        (numpy.int64(3), 3),
        (numpy.bool_(True), True),
        (numpy.float64("nan"), "nan"),
        (numpy.array(2.5), 2.5),
        (float("inf"), "inf"),
        (float("-inf"), "-inf"),
        (Path("/opt/wavesmith"), "/opt/wavesmith"),
        ((1, "a", None), [1, "a", None]),
        ({"b", "a"}, ["a", "b"]),
        (Tone(440.0, ("x",)), {"hertz": 440.0, "kept": ["x"]}),
        ({1: {"a": [numpy.float32(1)]}}, {"1": {"a": [1.0]}}),
        ([[[[1]]]], [[["[1]"]]]),
        (ValueError("no"), "no"),
    ],
)
def test_what_a_check_measures_is_kept_as_plain_json(measured: Any, kept: object) -> None:
    found = plain({"it": measured})
    assert found == {"it": kept} and type(found["it"]) is type(kept)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert shape.problems(found, Evidence) == []


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.complex_numbers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3) | st.tuples(inner),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), ANYTHING, max_size=4))
def test_whatever_a_check_gives_the_verdict_can_be_read(measured: dict[str, Any]) -> None:
    found = plain(measured)
    assert shape.problems(found, Evidence) == []
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert plain(found) == found


def test_a_result_keeps_its_evidence_plain() -> None:
    check = Check("a.b", "a check", lambda context: Finding("fine"))
    assert check.result(PASS, "fine", {"off": numpy.float32("nan")})["evidence"] == {"off": "nan"}
