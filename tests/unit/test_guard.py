"""Nobody but the stack decides on torch: what others ask for, what they get, and what is said of it."""

from __future__ import annotations

from ansible_collections.wavesmith.provision.plugins.module_utils.plan import guard
from ansible_collections.wavesmith.provision.plugins.module_utils.terms import names
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.project import Declared, Project
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet

WHY = {"torch": "belongs to the stack cpu"}


def contradicted(
    *requirements: str, versions: dict[str, str] | None = None, python: str = "3.12.3", complete: bool = True
) -> list[dict[str, str]]:
    declared = [Declared(requirement, "voice requirements.txt:1") for requirement in requirements]
    found = {"torch": "2.11.0+cpu"} if versions is None else versions
    return guard.contradicted(declared, found, WHY, python, "x86_64", complete)


def asked(found: list[dict[str, str]]) -> list[str]:
    return [entry["asked"] for entry in found]


# What is contradicted


def test_a_pin_that_another_version_contradicts_is_reported_with_who_asked_what_it_got_and_why() -> None:
    assert contradicted("torch==2.7") == [
        {
            "package": "torch",
            "by": "voice requirements.txt:1",
            "asked": "torch==2.7",
            "got": "2.11.0+cpu",
            "why": "belongs to the stack cpu",
        }
    ]


def test_a_requirement_that_is_met_is_not_reported() -> None:
    assert contradicted("torch", "torch>=2.7,<3", "torch==2.11.0", "torch==2.11.*") == []


def test_a_nightly_satisfies_a_range() -> None:
    assert contradicted("torch>=2.7", versions={"torch": "2.12.0.dev20260101"}) == []


def test_a_name_is_the_same_however_it_is_written() -> None:
    assert asked(contradicted("Lang_Segment==1", versions={"lang-segment": "2"})) == ["Lang_Segment==1"]


def test_a_requirement_for_another_kind_of_machine_is_not_reported() -> None:
    assert contradicted("torch==2.7 ; sys_platform == 'win32'", "torch==2.7 ; platform_machine == 'aarch64'") == []


def test_a_requirement_of_an_extra_that_nobody_chose_is_not_reported() -> None:
    assert contradicted("torch==2.7 ; extra == 'gpu'") == []


def test_the_python_of_the_environment_is_judged_too() -> None:
    assert [(entry["asked"], entry["got"]) for entry in contradicted("python>=3.9,<3.12")] == [
        ("python>=3.9,<3.12", "3.12.3")
    ]


def test_what_an_override_left_out_is_reported() -> None:
    assert contradicted("fairseq==0.12.2")[0]["got"] == "left out"


def test_before_the_lock_is_there_only_the_stack_is_judged() -> None:
    assert asked(contradicted("torch==2.7", "fairseq==0.12.2", complete=False)) == ["torch==2.7"]


def test_an_address_that_was_replaced_by_a_release_is_reported() -> None:
    line = "torch @ https://example.org/torch-2.11.0-py3-none-any.whl"
    assert len(contradicted(line)) == 1


@given(st.lists(st.sampled_from(["==2.7", ">=2.11", "<3", "!=2.11.0", "~=2.11", ">2.11"]), max_size=3))
def test_a_requirement_is_reported_exactly_when_its_specifier_does_not_hold_the_version(parts: list[str]) -> None:
    specifier = ",".join(parts)
    expected = not SpecifierSet(specifier).contains("2.11.0+cpu", prereleases=True)
    assert bool(contradicted(f"torch{specifier}")) == expected


# Why


def test_the_stack_is_the_reason_before_a_projects_own_override() -> None:
    project = Project("voice", overrides={"torch==2.7": "it wants so", "numpy<2": "it was compiled against 1"})
    found = guard.held("cpu", ["torch"], [("dualcodec", ["protobuf>=5"])], [project])
    assert found == {
        "torch": "belongs to the stack cpu",
        "numpy": "voice: it was compiled against 1",
        "protobuf": "an override of the package dualcodec",
    }


def test_a_project_does_not_ask_the_resolver_for_python() -> None:
    project = Project("voice", (Declared("python>=3.9", "x"), Declared("torch==2.7", "x")))
    assert project.requires == ["torch==2.7"]


# What uv says of an environment

CHECK = """\
Checked 7 packages in 0.50ms
Found 3 incompatibilities
The package `some-model` requires `torch[opt]==2.7 ; python_full_version >= '3.9'`, but `2.11.0+cpu` is installed
The package `some-model` requires `numpy`, but it's not installed
"""


def test_what_installed_packages_require_in_vain_is_read_from_uv() -> None:
    found = guard.installed_against(CHECK, {"some-model": "1.0"}, WHY)
    assert [(entry["package"], entry["by"], entry["got"], entry["why"]) for entry in found] == [
        ("numpy", "some-model 1.0", "left out", ""),
        ("torch", "some-model 1.0", "2.11.0+cpu", "belongs to the stack cpu"),
    ]


def test_where_everything_fits_nothing_is_reported() -> None:
    assert guard.installed_against("Checked 2 packages in 1ms\nAll installed packages are compatible\n", {}, {}) == []


# For people and for tools


def test_the_report_says_in_one_line_who_asked_what_and_got_what_and_why() -> None:
    assert guard.lines(contradicted("torch==2.7")) == [
        "torch==2.7 (voice requirements.txt:1) -> 2.11.0+cpu: belongs to the stack cpu"
    ]


def test_the_constraints_pin_every_package() -> None:
    text = guard.constraints({"torch": "2.11.0+cpu", "numpy": "1.26.4"})
    assert text.splitlines()[1:] == ["numpy==1.26.4", "torch==2.11.0+cpu"]


def test_a_lock_is_read_by_package() -> None:
    text = "# inputs\ntorch==2.11.0+cpu \\\n    --hash=sha256:00\nruamel.yaml==0.19.1 \\\n    --hash=sha256:00\n"
    assert guard.locked(text) == {"torch": "2.11.0+cpu", "ruamel-yaml": "0.19.1"}


def test_the_package_of_a_metadata_folder() -> None:
    assert names.package_of("Lang_Segment-0.2.0.dist-info") == "lang-segment"
    assert names.package_of("torch") == ""
