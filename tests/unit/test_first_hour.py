"""README, the script of the first hour and its transcript say the same commands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.first_hour import sources
from tests.first_hour.steps import DOCUMENT, FLEET, README, STEPS, blocks, named_in, section, small_example, typed_in


@pytest.fixture(scope="module")
def readme() -> str:
    return README.read_text(encoding="utf-8")


def test_each_command_of_the_first_hour_is_one_of_readme_word_for_word(readme: str) -> None:
    said = {*typed_in(readme), *named_in(readme)}
    strange = [step.typed for step in STEPS if not step.ours and step.typed not in said]
    assert not strange


def test_the_first_hour_types_all_that_readme_says_of_the_first_hosts(readme: str) -> None:
    typed = [step.typed for step in STEPS]
    wanted = typed_in(section(readme, FLEET))
    assert len(wanted) >= 9 and set(wanted) <= set(typed)
    order = [command for command in typed if command in wanted]
    assert [command for n, command in enumerate(order) if command not in order[:n]] == [
        command for n, command in enumerate(wanted) if command not in wanted[:n]
    ]


@pytest.mark.parametrize(
    "command", ["plan", "provision", "status", "generations", "rollback", "verify", "repair", "prune", "remove"]
)
def test_the_first_hour_has(command: str) -> None:
    assert any(re.match(rf"wavesmith {command}\b", step.typed) for step in STEPS)


def test_the_transcript_is_of_these_steps() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    typed = [re.sub(r"    # [\d.]+ s$", "", line) for line in (f"$ {line}" for line in _first_lines(text))]
    assert typed[: len(STEPS)] == [f"$ {step.typed}" for step in STEPS]


def _first_lines(text: str) -> list[str]:
    return [block.splitlines()[0].removeprefix("$ ") for block in blocks(text, "console")]


def test_readmes_small_example_is_what_hosts_get() -> None:
    assert "small: {stack: none" in small_example() and small_example().startswith("---\n")


def test_an_index_of_a_folder_has_its_wheels_and_behaves_as_its_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tiny_pkg-1.0-py3-none-any.whl").write_bytes(b"x")
    monkeypatch.setattr(sources.time, "sleep", lambda _seconds: None)
    with sources.serving(tmp_path, "127.0.0.1") as indexes:
        assert (
            b'href="tiny-pkg/"' in indexes.page("")
            and b"#sha256=" in indexes.page("tiny-pkg")
            and indexes.page("none") == b""
        )
        assert [indexes.answers("a", "flapping") for _ in range(4)] == [False, True, False, True]
        assert indexes.answers("a", "plain") and indexes.answers("a", "slow") and indexes.asked["a", "flapping"] == 4
