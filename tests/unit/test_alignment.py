"""The doctor's reference for monotonic alignment: it finds what trying every path finds, and tells a path that is not the best."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy
import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.doctor import voice
from ansible_collections.wavesmith.provision.plugins.module_utils.doctor.base import Context, Failed, Skipped, Spec

SIZES = [(tokens, frames) for tokens, frames in voice.ALIGNED if frames < 20]


def every_path(tokens: int, frames: int) -> Any:
    """All monotonic paths: for each the token of each frame."""
    for steps in itertools.combinations(range(1, frames), tokens - 1):
        yield numpy.searchsorted(steps, range(frames), side="right")


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(("tokens", "frames"), SIZES)
def test_it_finds_what_trying_every_path_finds(tokens: int, frames: int, seed: int) -> None:
    values = numpy.random.default_rng(seed).integers(-50, 50, (tokens, frames)).astype("float32")
    best = max(float(values[path, range(frames)].sum()) for path in every_path(tokens, frames))
    assert voice.best_score(values) == best


def best_paths(values: Any) -> Any:
    """The best path through each of `voice.ALIGNED`, by going back through the scores: another way than the reference's."""
    paths = numpy.zeros(values.shape, "float32")
    for at, (tokens, frames) in enumerate(voice.ALIGNED):
        score = numpy.full((tokens, frames), -numpy.inf)
        score[0, 0] = values[at, 0, 0]
        for frame in range(1, frames):
            for token in range(tokens):
                before = max(score[token, frame - 1], score[token - 1, frame - 1] if token else -numpy.inf)
                score[token, frame] = before + values[at, token, frame]
        token = tokens - 1
        for frame in reversed(range(frames)):
            paths[at, token, frame] = 1
            if frame and token and score[token - 1, frame - 1] > score[token, frame - 1]:
                token -= 1
    return paths


@pytest.fixture(scope="module")
def values() -> Any:
    size = (len(voice.ALIGNED), max(t for t, _ in voice.ALIGNED), max(f for _, f in voice.ALIGNED))
    return numpy.random.default_rng(9).integers(-50, 50, size).astype("float32")


def test_the_best_paths_are_taken_for_such(values: Any) -> None:
    assert voice.misaligned(best_paths(values), values) == ""


def later(paths: Any) -> None:
    """Each token one frame longer than is best, where there is room."""
    paths[0, :4, :9] = 0
    paths[0, [0, 0, 0, 0, 0, 0, 1, 2, 3], range(9)] = 1


def gap(paths: Any) -> None:
    paths[1, :, 3] = 0


def two(paths: Any) -> None:
    paths[3, :6, 5] = 1


def back(paths: Any) -> None:
    paths[0, :4, :9] = 0
    paths[0, [0, 1, 2, 1, 2, 3, 3, 3, 3], range(9)] = 1


def outside(paths: Any) -> None:
    paths[2, 5, 300] = 1


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (later, "the path of 4 tokens in 9 frames scores"),
        (gap, "the path of 7 tokens in 7 frames is not monotonic"),
        (two, "the path of 6 tokens in 10 frames is not monotonic"),
        (back, "the path of 4 tokens in 9 frames is not monotonic"),
        (outside, "the path of 1 tokens in 5 frames is not monotonic"),
    ],
)
def test_a_path_that_is_not_the_best_is_told(values: Any, spoil: Any, said: str) -> None:
    paths = best_paths(values)
    spoil(paths)
    assert voice.misaligned(paths, values).startswith(said)


class Tensor:
    """As much of a torch tensor as an aligner uses."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def numpy(self) -> Any:
        return self.array


def context(tmp_path: Path, *names: str) -> Context:
    spec = Spec("speech", "one", tmp_path, tmp_path, imports={name: name for name in names})
    return Context(spec, tmp_path, tmp_path)


@pytest.fixture
def aligners(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    torch = ModuleType("torch")
    torch.from_numpy = Tensor  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch", torch)
    found = {}
    for name, tokens_first in voice.ALIGNERS.items():

        def search(values: Tensor, mask: Tensor, tokens_first: bool = tokens_first) -> Tensor:
            given = values.array if tokens_first else values.array.transpose(0, 2, 1)
            shown = mask.array if tokens_first else mask.array.transpose(0, 2, 1)
            assert [tuple(map(int, (part.any(1).sum(), part.any(0).sum()))) for part in shown] == list(voice.ALIGNED)
            paths = best_paths(given)
            return Tensor(paths if tokens_first else paths.transpose(0, 2, 1))

        found[name] = ModuleType(name)
        found[name].maximum_path = search  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, name, found[name])
    return found


@pytest.mark.parametrize(
    "names", [("monotonic_align",), ("monotonic_alignment_search",), ("monotonic_align", "monotonic_alignment_search")]
)
def test_what_an_environment_has_is_compared(
    tmp_path: Path, aligners: dict[str, ModuleType], names: tuple[str, ...]
) -> None:
    finding = voice.alignment(context(tmp_path, *names))
    assert all(name in finding.detail for name in names) and "the best path in each of 5 cases" in finding.detail


@pytest.mark.parametrize("name", sorted(voice.ALIGNERS))
def test_one_that_finds_another_path_fails_by_its_name(
    tmp_path: Path, aligners: dict[str, ModuleType], name: str
) -> None:
    aligners[name].maximum_path = lambda values, mask: Tensor(numpy.zeros(values.array.shape))  # type: ignore[attr-defined]
    with pytest.raises(Failed, match=f"{name}: the path of 4 tokens in 9 frames is not monotonic"):
        voice.alignment(context(tmp_path, *aligners))


def test_an_environment_without_one_is_skipped(tmp_path: Path) -> None:
    with pytest.raises(Skipped, match="monotonic_alignment_search or monotonic_align is not part of this environment"):
        voice.alignment(context(tmp_path, "torch"))
