"""What another generation changes, in the plan beforehand and in the report afterwards."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.wavesmith.provision.plugins.action.report import ActionModule
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.changes import changes, expected, wanted_packages
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.record import WheelPlan
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.project import OwnWheel
from ansible_collections.wavesmith.provision.plugins.plugin_utils.text import plan_text

from .test_plan import SPEECH, decide, host, locked, only, settled

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ({"b": "1", "c": "1.0"}, {"a": "1.2", "c": "1.1"}, ["+ a 1.2", "- b", "c 1.0 → 1.1"]),
        ({"a": "1"}, {"a": "1"}, []),
        ({}, {"b": "2", "a": "1"}, ["+ a 1", "+ b 2"]),
        ({"torch": "2.11.0+cpu"}, {"torch": "2.11.0+cu130"}, ["torch 2.11.0+cpu → 2.11.0+cu130"]),
        ({"torch": "2.11.0+cu130"}, {"torch": "2.11.0"}, []),
        ({"certifi": "2026.01.04", "x": "1.10"}, {"certifi": "2026.1.4", "x": "1.1"}, ["x 1.10 → 1.1"]),
        ({"voice": "1.0"}, {"voice": ""}, []),
        ({}, {"voice": ""}, ["+ voice"]),
    ],
)
def test_what_changes_is_named(before: dict[str, str], after: dict[str, str], said: list[str]) -> None:
    assert changes(before, after) == said


def test_the_packages_to_come_are_those_of_lock_repositories_wheels_and_projects() -> None:
    lock = f"# x\nNumPy==2.3.5 \\\n    --hash=sha256:00\nkokoro @ git+https://example.org/kokoro@{COMMIT}\n"
    wheel = WheelPlan("pyworld", "0.3.5", None, "hit", 0, {})  # type: ignore[typeddict-item]
    own = OwnWheel("my_voice-1.2-py3-none-any.whl", "", "", "")
    found = wanted_packages(lock, [wheel], [own])
    assert found == {"numpy": "2.3.5", "kokoro": "", "pyworld": "0.3.5", "my-voice": "1.2"}


def changed_plan() -> Any:
    """A host whose generation has other packages than its lock names now."""
    observed, locks, _ = settled(host())
    observed["environments"]["speech"]["current"]["manifest"]["packages"] = {"librosa": "0.10.2", "sox": "1.5"}
    wish = replace(SPEECH, packages=(*SPEECH.packages, "encodec"))
    locks |= locked(only(decide(observed, wish, locks=locks)), "librosa==0.11.0\nencodec==0.1.1\n")
    return observed, decide(observed, wish, locks=locks)


def test_the_plan_shows_what_changes_where_the_lock_is_known() -> None:
    observed, result = changed_plan()
    said = only(result).changes
    assert {"+ encodec 0.1.1", "librosa 0.10.2 → 0.11.0", "- sox"} <= set(said)
    text = plan_text("h", result, {**observed, "memory": {"total": 2**30}})
    assert "    change   librosa 0.10.2 → 0.11.0\n" in text


def test_before_the_lock_is_known_what_is_asked_for_says_what_changes() -> None:
    observed, _, _ = settled(host())
    there = {"librosa": "0.10.2", "torch": "2.11.0+cpu", "sox": "1.5", "cffi": "2.0", "numba": "0.60"}
    told = dict.fromkeys(("librosa", "torch", "sox", "numba", "pip"), "")
    observed["environments"]["speech"]["current"]["manifest"].update(packages=there, imports=told)
    wish = replace(SPEECH, packages=("torch", "librosa", "encodec", "numba>=0.61"))
    said = only(decide(observed, wish)).changes
    assert said == ["+ encodec", "numba 0.60 → >=0.61", "- sox", "all other versions: known after the lock"]


def test_where_only_the_lock_is_new_that_is_said() -> None:
    observed, _, _ = settled(host())
    observed["environments"]["speech"]["current"]["manifest"].update(packages={"librosa": "0.11.0"}, imports={})
    wish = replace(SPEECH, packages=("librosa",))
    assert only(decide(observed, replace(wish, stack="none"))).changes == ["all other versions: known after the lock"]


def test_the_first_time_what_was_asked_for_is_named_and_the_rest_counted() -> None:
    wish = replace(SPEECH, stack="none", packages=("librosa", f"kokoro @ git+https://example.org/kokoro@{COMMIT}"))
    bare = decide(host(), wish)
    assert only(bare).changes == ["+ kokoro", "+ librosa", "+ what these need: known after the lock"]
    body = f"kokoro @ git+https://example.org/kokoro@{COMMIT}\nlibrosa==0.11.0\nnumpy==2.4.1\npip==26.0\n"
    result = decide(host(), wish, locks=locked(only(bare), body))
    assert only(result).changes == ["+ kokoro", "+ librosa 0.11.0", "+ 2 that these need"]
    text = plan_text("h", result, {**host(), "memory": {"total": 2**30}})  # type: ignore[arg-type]
    assert "    change   + kokoro, + librosa 0.11.0, + 2 that these need\n" in text


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        ({"origin": "cpu_wheels"}, "origin cpu_wheels → package_index"),
        ({"stack": "cpu"}, "stack cpu → none"),
        ({"python": {"path": "/usr/bin/python3.10", "version": "3.10.1"}}, "Python 3.10.1 → 3.11.2"),
        ({}, "no package: what Wavesmith itself puts into an environment is another version now, or its settings are"),
    ],
)
def test_where_no_package_differs_the_plan_says_what_does(manifest: dict[str, Any], said: str) -> None:
    wish = replace(SPEECH, stack="none", packages=("librosa",))
    item = only(decide(host(), wish))
    before: Any = {
        "packages": {"librosa": "0.11.0"},
        "stack": "none",
        "origin": item.origin,
        "engine": "venv",
        **manifest,
    }
    assert expected(item, before, "librosa==0.11.0\n", ()) == [said]


def test_what_was_added_by_hand_is_said_where_other_packages_are_wanted_too() -> None:
    observed, locks, _ = settled(host())
    observed["environments"]["speech"]["current"].update(damage=["added: lib/x-1.dist-info, a package"], damaged=3)
    wish = replace(SPEECH, packages=(*SPEECH.packages, "encodec"))
    locks |= locked(only(decide(observed, wish, locks=locks)), "librosa==0.11.0\nencodec==0.1.1\n")
    result = decide(observed, wish, locks=locks)
    assert (only(result).state, only(result).damage[-1]) == ("change", "and 2 more")
    assert any(said.startswith("environment speech drifted: added: ") for said in result.warnings)


CURRENT = {"generation": "old", "manifest": {"packages": {"a": "1", "b": "1"}}}


@pytest.mark.parametrize(
    ("generation", "made", "current", "said"),
    [
        ("new", {"contents": {"a": "2"}}, CURRENT, ["a 1 → 2", "- b"]),
        ("new", None, CURRENT, ["as planned"]),
        ("old", None, CURRENT, []),
        ("new", {"contents": {"a": "2"}}, None, ["as planned"]),
    ],
    ids=["made now", "was there", "kept", "the first one"],
)
def test_the_report_names_what_a_switch_changed(generation: str, made: Any, current: Any, said: list[str]) -> None:
    action = object.__new__(ActionModule)
    assert action._changes({"changes": ["as planned"]}, current, generation, made) == said
