"""How the wanted state is read from inventory variables, and what is said about a wrong one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.terms.refusal import Refusal, suggest
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.variables import (
    OWN_VARIABLES,
    VARIABLES,
    Environment,
    Wanted,
    read,
    unknown,
)
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.variables import given as alone
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = (ROOT / "docs" / "variables.md").read_text()
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=12)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=8,
)
KNOWN = [
    "root",
    "stack",
    "policy",
    "python",
    "package_index",
    "keep_generations",
    "system_packages",
    "probe_timeout",
    "ccache_remote",
    "projects",
    "repair",
    "wheelhouse",
    "bundle",
]
SETTINGS = ["stack", "engine", "packages", "models", "projects"]


def refusal(variables: dict[str, Any]) -> Refusal:
    """The one refusal that these variables give."""
    (found,) = read(variables)[1]
    return found


def test_an_environment_to_repair_that_is_not_there_is_refused_with_the_nearest_name() -> None:
    found = refusal({"wavesmith_environments": {"speech": {}}, "wavesmith_repair": ["speeches"]})
    assert str(found) == (
        "variable wavesmith_repair: there is no environment 'speeches' here. Remedy: did you mean speech?"
    )


# What the run's own environment forces


@pytest.mark.parametrize(
    ("environ", "stack", "forced_by"),
    [
        ({}, "cpu", ""),
        ({"WAVESMITH_STACK": ""}, "cpu", ""),
        ({"WAVESMITH_STACK": "thor"}, "thor", "environment variable WAVESMITH_STACK"),
        ({"PYTORCH_FORCE_NIGHTLY": "true"}, "nightly", "environment variable PYTORCH_FORCE_NIGHTLY"),
        (
            {"PYTORCH_FORCE_NIGHTLY": "1", "WAVESMITH_STACK": "nightly"},
            "nightly",
            "environment variable WAVESMITH_STACK",
        ),
        ({"PYTORCH_FORCE_NIGHTLY": "false"}, "cpu", ""),
        ({"PYTORCH_FORCE_STABLE": "true"}, "cpu", ""),
        ({"PYTORCH_FORCE_STABLE": "true", "WAVESMITH_STACK": "thor"}, "thor", "environment variable WAVESMITH_STACK"),
    ],
)
def test_the_environment_of_the_run_forces_a_stack(environ: dict[str, str], stack: str, forced_by: str) -> None:
    wanted, refusals = read({"wavesmith_stack": "cpu"}, environ)
    assert (wanted.stack, wanted.forced_by, refusals) == (stack, forced_by, [])


def test_forcing_stable_sets_a_nightly_stack_of_the_inventory_aside() -> None:
    wanted, _ = read({"wavesmith_stack": "nightly"}, {"PYTORCH_FORCE_STABLE": "yes"})
    assert (wanted.stack, wanted.forced_by) == ("auto", "environment variable PYTORCH_FORCE_STABLE")


@pytest.mark.parametrize(
    "environ",
    [
        {"PYTORCH_FORCE_NIGHTLY": "true", "PYTORCH_FORCE_STABLE": "true"},
        {"PYTORCH_FORCE_NIGHTLY": "true", "WAVESMITH_STACK": "cpu"},
        {"PYTORCH_FORCE_STABLE": "true", "WAVESMITH_STACK": "nightly"},
    ],
)
def test_what_contradicts_itself_is_refused(environ: dict[str, str]) -> None:
    (found,) = read({}, environ)[1]
    assert found.item == "environment variables " + ", ".join(sorted(environ, key=lambda name: name[0] != "W"))
    assert found.remedy == "set one of them only"


# The policy


@pytest.mark.parametrize("policy", [[], ["source", "source"], ["sauce"], [["source"]], [3]])
def test_a_policy_lists_each_origin_once(policy: list[Any]) -> None:
    found = refusal({"wavesmith_policy": policy})
    assert found.item == "variable wavesmith_policy"
    assert "must list source, wheelhouse, index" in found.problem


def test_a_misspelt_origin_gets_the_nearest_name() -> None:
    assert "did you mean source" in refusal({"wavesmith_policy": ["sourced"]}).remedy


# Good input


def test_no_variables_want_nothing_and_are_not_refused() -> None:
    assert read({}) == (Wanted(environments=()), [])


def test_every_variable_is_read() -> None:
    variables = {
        "wavesmith_environments": {
            "speech": {"stack": "cpu", "engine": "venv", "packages": ["torch"], "models": ["m"]}
        },
        "wavesmith_root": "/srv/wavesmith",
        "wavesmith_stack": "cpu",
        "wavesmith_policy": ["source", "wheelhouse"],
        "wavesmith_python": "3.12",
        "wavesmith_package_index": "https://mirror.example/simple",
        "wavesmith_keep_generations": 5,
        "wavesmith_system_packages": False,
        "wavesmith_probe_timeout": 1.5,
    }
    expected = Wanted(
        environments=(Environment("speech", "cpu", "venv", ("torch",), ("m",)),),
        root="/srv/wavesmith",
        stack="cpu",
        policy=("source", "wheelhouse"),
        python="3.12",
        package_index="https://mirror.example/simple",
        keep_generations=5,
        system_packages=False,
        probe_timeout=1.5,
    )
    assert read(variables) == (expected, [])


def test_variables_of_others_are_passed_over() -> None:
    assert read({"ansible_host": 3, "wave": [], "environments": "x"}) == (Wanted(environments=()), [])


def test_what_the_playbooks_tell_each_other_is_no_wanted_state() -> None:
    assert read({"wavesmith_plan": {"phases": []}, "wavesmith_settings": {}}) == (Wanted(environments=()), [])


@pytest.mark.parametrize("name", sorted(VARIABLES))
def test_a_value_of_another_kind_is_refused_for_every_variable(name: str) -> None:
    (refusal,) = read({f"wavesmith_{name}": object()})[1]
    assert refusal.item == f"variable wavesmith_{name}" and "must" in refusal.problem and refusal.remedy


@pytest.mark.parametrize("name", sorted(VARIABLES))
def test_a_misspelt_variable_is_refused_with_the_nearest(name: str) -> None:
    (refusal,) = read({f"wavesmith_{name}x": ""})[1]
    assert refusal.problem == "there is no such variable" and f"wavesmith_{name}" in refusal.remedy


@pytest.mark.parametrize("name", sorted(VARIABLES))
def test_every_variable_is_documented_in_one_row(name: str) -> None:
    rows = re.findall(rf"^\| `wavesmith_{name}` \|(.*)$", DOCUMENT, re.MULTILINE)
    assert len(rows) == 1
    playbook = VARIABLES[name].playbook
    assert rows[0].startswith(f" `{playbook}` |") if playbook else not rows[0].startswith(" `")


def test_no_other_variable_is_documented() -> None:
    assert set(re.findall(r"^\| `wavesmith_(\w+)`", DOCUMENT, re.MULTILINE)) == set(VARIABLES)


def test_the_playbooks_read_no_other_variable() -> None:
    used = {
        name
        for path in [*(ROOT / "playbooks").glob("*.yml"), *(ROOT / "roles").rglob("*.yml")]
        for name in re.findall(r"\bwavesmith_([a-z_]+)\b", re.sub(r"(?m)#.*$", "", path.read_text()))
    }
    groups = {
        "planned",
        "prepare",
        "build",
        "lock",
        "weights",
        "install",
        "verify",
        "activate",
        "evidence",
        "unreached",
    }
    assert used - groups <= {*VARIABLES, *OWN_VARIABLES}


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("rollback_environment", "did you mean wavesmith_rollback?"),
        ("keep_generations", "did you mean wavesmith_keep_generations?"),
        ("matrix_cuda", "did you mean wavesmith_matrix_cuda?"),
        ("wavesmit_stack", "did you mean wavesmith_stack?"),
        ("toolbox_rot", "did you mean toolbox_root?"),
        ("zzz", "docs/variables.md lists all"),
    ],
)
def test_a_name_given_to_a_run_that_nothing_reads_is_refused(name: str, remedy: str) -> None:
    (refusal,) = unknown([name, "ansible_user", "awx_job_id", "wavesmith_stack", "toolbox_root"], ["toolbox_root"])
    assert refusal.item == f"variable {name}" and refusal.remedy.startswith(remedy)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("speech", {"speech": ""}),
        ("speech, music", {"speech": "", "music": ""}),
        (["music"], {"music": ""}),
        ({"speech": "0123"}, {"speech": "0123"}),
    ],
)
def test_environments_to_roll_back_are_named_in_any_form(given: Any, wanted: dict[str, str]) -> None:
    there = {"wavesmith_environments": {"speech": {}, "music": {}}}
    found, refusals = read({**there, "wavesmith_rollback": given})
    assert (found.rollback, refusals) == (wanted, [])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"wavesmith_keep_generations": "0"}, "variable wavesmith_keep_generations: it is 0, but must be 1 or more"),
        ({"wavesmith_keep_generations": "-1"}, "variable wavesmith_keep_generations: it is -1, but must be 1 or more"),
        ({"wavesmith_keep_wheels": -1}, "variable wavesmith_keep_wheels: it is -1, but must be 0 or more"),
        ({"wavesmith_rollback": "speexh"}, "variable wavesmith_rollback: there is no environment 'speexh' here"),
        ({"wavesmith_rollback": {"speech": 3}}, "the generation of speech is a number, but must be text"),
        ({"wavesmith_repair": "speexh"}, "variable wavesmith_repair: there is no environment 'speexh' here"),
    ],
)
def test_what_a_run_is_told_wrongly_is_refused(given: dict[str, Any], said: str) -> None:
    (refusal,) = read({"wavesmith_environments": {"speech": {}}, **given})[1]
    assert said in str(refusal)


@pytest.mark.parametrize(
    "waves", ["abc", "0", "200%", "-1", "", "0%", "1,,2", "1;2", [], [0], [1, "x"], ["101%"], [1.5]]
)
def test_what_is_no_size_of_waves_is_refused(waves: object) -> None:
    (refusal,) = read({"wavesmith_waves": waves})[1]
    assert refusal.item == "variable wavesmith_waves" and "such as 1,10%,50%,100%" in refusal.remedy


@pytest.mark.parametrize("waves", ["1", "1,10%,50%,100%", " 1, 5 , 100%", [1, "10%"], [500]])
def test_sizes_of_waves_are_numbers_or_percent(waves: object) -> None:
    assert read({"wavesmith_waves": waves})[1] == []


@pytest.mark.parametrize(
    ("budget", "good"), [(0, True), ("10", True), (100, True), (-1, False), (101, False), ("x", False)]
)
def test_a_budget_is_percent(budget: object, good: bool) -> None:
    assert (read({"wavesmith_failure_budget": budget})[1] == []) is good


def test_what_a_run_is_given_is_checked_as_far_as_no_inventory_is_needed() -> None:
    wrong = {"wavesmith_root": "x", "wavesmith_python": "4", "wavesmith_kep": 1}
    assert len(alone(wrong)) == 3
    assert alone({"wavesmith_repair": ["speech"], "wavesmith_rollback": {"speech": ""}}) == [], (
        "the inventory names those"
    )
    assert alone({"wavesmith_root": "{{ playbook_dir }}/x", "colour": "x"}) == []


def test_a_whole_number_of_seconds_is_a_timeout() -> None:
    assert read({"wavesmith_probe_timeout": 2})[0].probe_timeout == 2


def test_a_package_named_twice_is_wanted_once() -> None:
    wanted, _ = read({"wavesmith_environments": {"speech": {"packages": ["librosa", "encodec", "librosa"]}}})
    assert wanted.environments[0].packages == ("librosa", "encodec")


def test_environments_come_in_the_order_of_their_names() -> None:
    wanted, _ = read({"wavesmith_environments": {"b": {}, "a": {}}})
    assert [environment.name for environment in wanted.environments] == ["a", "b"]


def test_an_environment_without_settings_takes_the_defaults() -> None:
    assert read({"wavesmith_environments": {"speech": {}}})[0].environments == (Environment("speech"),)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("keep_generations", "2", 2),
        ("system_packages", "False", False),
        ("system_packages", "yes", True),
        ("probe_timeout", "4", 4),
    ],
)
def test_a_value_from_the_command_line_is_what_its_text_means(name: str, text: str, value: Any) -> None:
    wanted, refusals = read({f"wavesmith_{name}": text})
    assert (getattr(wanted, name), refusals) == (value, [])


def test_text_stays_text_where_text_is_wanted() -> None:
    assert read({"wavesmith_python": "3.12"})[0].python == "3.12"


# Bad input: one refusal, which names the item, the problem and the remedy


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("root", 5, "must be text"),
        ("root", None, "must be text"),
        ("root", "relative/path", "not usable as Wavesmith's folder"),
        ("root", "~/wavesmith", "not usable as Wavesmith's folder"),
        ("root", "/", "not usable as Wavesmith's folder"),
        ("root", "/opt/", "not usable as Wavesmith's folder"),
        ("root", '/srv/"$(reboot)"', "not usable as Wavesmith's folder"),
        ("stack", ["cpu"], "must be text"),
        ("python", 3.12, "must be text"),
        ("python", "3", "not a Python version"),
        ("python", "2.7", "not a Python version"),
        ("python", "3.12.1", "not a Python version"),
        ("package_index", {"url": "x"}, "must be text"),
        ("keep_generations", "many", "must be a whole number"),
        ("keep_generations", 2.5, "must be a whole number"),
        ("keep_generations", True, "must be a whole number"),
        ("keep_generations", 0, "1 or more"),
        ("keep_generations", -2, "1 or more"),
        ("system_packages", "maybe", "must be true or false"),
        ("system_packages", 1, "must be true or false"),
        ("probe_timeout", "3 s", "must be a number"),
        ("probe_timeout", True, "must be a number"),
        ("probe_timeout", 0, "more than 0"),
        ("probe_timeout", -1.0, "more than 0"),
        ("probe_timeout", float("nan"), "more than 0"),
        ("environments", ["speech"], "must map each environment's name"),
        ("environments", "speech", "must map each environment's name"),
        ("environments", None, "must map each environment's name"),
    ],
)
def test_a_wrong_variable_is_refused_by_its_name(name: str, value: Any, problem: str) -> None:
    found = refusal({f"wavesmith_{name}": value})
    assert found.item == f"variable wavesmith_{name}"
    assert problem in found.problem
    assert found.remedy


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (None, "not a mapping"),
        (["torch"], "not a mapping"),
        ({"stack": 3}, "stack is 3, but must be text"),
        ({"packages": "torch"}, "packages is 'torch', but must be a list of names"),
        ({"packages": [1]}, "must be a list of names"),
        ({"models": {}}, "must be a list of names"),
        ({"engine": "cnda"}, "engine 'cnda' is not known"),
        ({"package": []}, "it has no setting 'package'"),
        ({3: []}, "it has no setting 3"),
    ],
)
def test_a_wrong_setting_is_refused_by_its_environment(settings: Any, problem: str) -> None:
    found = refusal({"wavesmith_environments": {"speech": settings}})
    assert found.item == "environment speech"
    assert problem in found.problem
    assert found.remedy


@pytest.mark.parametrize("name", ["", "Speech", "../etc", "a/b", "current ", "1st", "a" * 41, "a\n"])
def test_an_environment_is_named_as_a_folder_can_be(name: str) -> None:
    assert "cannot be used as a folder's name" in refusal({"wavesmith_environments": {name: {}}}).problem


def test_a_name_that_is_no_text_is_refused() -> None:
    assert "cannot be used as a folder's name" in refusal({"wavesmith_environments": {7: {}}}).problem


def test_a_wrong_environment_does_not_hide_a_right_one() -> None:
    wanted, refusals = read({"wavesmith_environments": {"good": {}, "bad": 3}})
    assert [environment.name for environment in wanted.environments] == ["good"]
    assert len(refusals) == 1


def test_a_wrong_value_leaves_the_default() -> None:
    wanted, _ = read({"wavesmith_keep_generations": 0, "wavesmith_root": "here", "wavesmith_python": "x"})
    assert wanted == Wanted(environments=())


def test_all_that_is_wrong_is_said_at_once() -> None:
    variables = {
        "wavesmith_root": 1,
        "wavesmith_python": "x",
        "wavesmith_environments": {"speech": {"stack": 1, "engine": 2}},
    }
    assert len(read(variables)[1]) == 4


def test_a_refusal_reads_as_item_problem_and_remedy() -> None:
    assert str(Refusal("variable x", "it is wrong", "mend it")) == "variable x: it is wrong. Remedy: mend it"


# Suggestions


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("wavesmith_enviroments", "wavesmith_environments"),
        ("wavesmith_keep_generation", "wavesmith_keep_generations"),
        ("wavesmith_python_version", "wavesmith_python"),
        ("wavesmith_lock", "wavesmith_locks"),
    ],
)
def test_a_misspelt_variable_is_answered_with_the_near_one(wrong: str, right: str) -> None:
    found = refusal({wrong: {}})
    assert found.item == f"variable {wrong}"
    assert right in found.remedy and "did you mean" in found.remedy


def test_a_misspelt_setting_is_answered_with_the_near_one() -> None:
    assert "packages" in refusal({"wavesmith_environments": {"speech": {"pakages": []}}}).remedy


def test_a_name_like_no_other_is_answered_with_all_of_them() -> None:
    assert suggest("zzz", ["torch", "librosa"]) == "use one of: librosa, torch"


def test_where_nothing_is_known_the_remedy_is_to_remove_it() -> None:
    assert "remove it" in suggest("vits", [])


# Whatever is written in an inventory


@given(
    st.dictionaries(
        st.one_of(st.sampled_from([*KNOWN, "environments"]), st.text(max_size=12)).map(
            lambda name: f"wavesmith_{name}"
        ),
        JSON,
    )
)
def test_no_variables_make_it_raise(variables: dict[str, Any]) -> None:
    wanted, refusals = read(variables)
    assert isinstance(wanted, Wanted)
    assert all(found.item and found.problem and found.remedy for found in refusals)


@given(
    st.dictionaries(
        st.one_of(st.just("speech"), st.text(max_size=8)),
        st.one_of(JSON, st.dictionaries(st.one_of(st.sampled_from(SETTINGS), st.text(max_size=8)), JSON, max_size=4)),
        max_size=3,
    )
)
def test_every_environment_is_read_or_refused(environments: dict[str, Any]) -> None:
    wanted, refusals = read({"wavesmith_environments": environments})
    read_names = {environment.name for environment in wanted.environments}
    refused = {found.item.removeprefix("environment ") for found in refusals}
    assert read_names | refused == set(environments)
    assert not read_names & refused


@given(st.sampled_from(KNOWN), JSON)
def test_one_variable_gives_one_refusal_at_most(name: str, value: Any) -> None:
    refusals = read({f"wavesmith_{name}": value})[1]
    assert [found.item for found in refusals] in ([], [f"variable wavesmith_{name}"])


@pytest.mark.parametrize("name", ["wheelhouse", "bundle"])
@pytest.mark.parametrize("place", ["/srv/x", "~/x", "file:///srv/x", "http://house:8427", "https://u:p@house/x"])
def test_a_folder_or_an_address_is_a_place(name: str, place: str) -> None:
    assert read({f"wavesmith_{name}": place})[1] == []


@pytest.mark.parametrize("name", ["wheelhouse", "bundle"])
@pytest.mark.parametrize("place", ["x", "../x", "ftp://house/x", "file://x", "http:///x"])
def test_what_is_neither_a_folder_nor_an_address_is_refused(name: str, place: str) -> None:
    found = refusal({f"wavesmith_{name}": place})
    assert found.item == f"variable wavesmith_{name}" and place in found.problem and "/srv/wheels" in found.remedy


@pytest.mark.parametrize(
    ("value", "remedy"),
    [
        (3.12, 'write it as text: wavesmith_python: "3.12"'),
        (3.1, 'write it as text: wavesmith_python: "3.10" (without quotes, YAML reads 3.10 as the number 3.1)'),
        (3, 'write it as text: wavesmith_python: "3"'),
        (["3.12"], "write it as text"),
    ],
)
def test_a_value_that_must_be_text_is_shown_as_text(value: object, remedy: str) -> None:
    _, (refusal,) = read({"wavesmith_python": value})
    assert refusal.remedy == remedy


def test_a_secret_is_not_shown_as_text_either() -> None:
    _, (refusal,) = read({"wavesmith_hub_token": 12345})
    assert "12345" not in str(refusal)


@pytest.mark.parametrize(("name", "remedy"), [("speech", "use one of: ears, voice"), ("voic", "did you mean voice?")])
def test_only_near_names_are_suggested(name: str, remedy: str) -> None:
    assert suggest(name, ["voice", "ears"]) == remedy
