"""What was found in one generation holds for the next where nothing that it rests on is different."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.doctor import carry, structure
from ansible_collections.wavesmith.provision.plugins.module_utils.doctor.base import Check, Context, Finding, Spec
from ansible_collections.wavesmith.provision.plugins.module_utils.records.generation import CheckResult, Verdict
from ansible_collections.wavesmith.provision.plugins.module_utils.verify.doctor import install, sources

from .test_doctor import make_prefix, packages_of, write_spec

CODE: Any = {"code": {}}
NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
OWN = """
import importlib.util, os, subprocess
from importlib import metadata
from ..base import Check, Finding

def count(context, name):
    with open(context.spec.root / "ran", "a") as ran:
        ran.write(name + "\\n")
    return Finding(name)

def apple(context):
    import apple
    return count(context, "apple")

def pear(context):
    import pear
    return count(context, "pear")

def seeks(context):
    importlib.util.find_spec("cherry")
    try:
        metadata.version("plum")
    except metadata.PackageNotFoundError:
        pass
    return count(context, "seeks")

def looks(context):
    return count(context, "looks")

def starts(context):
    subprocess.run([context.spec.python, "-c", "pass"], check=True)
    return count(context, "starts")

def system(context):
    subprocess.run(["true"], check=True)
    return count(context, "system")

def writes(context):
    import pear
    (context.evidence / "written").write_text("by writes")
    return count(context, "writes")

def reads(context):
    assert (context.evidence / "written").read_text() == "by writes"
    return count(context, "reads")

CHECKS = (
    *(Check(f"own.{run.__name__}", run.__name__, run, heavy=True, stands=True) for run in (apple, pear, seeks, starts, system, writes)),
    Check("own.reads", "reads", reads, heavy=True, stands=True, after=("own.writes",)),
    Check("own.looks", "looks", looks, heavy=True),
)
"""
ALL = {"apple", "pear", "seeks", "starts", "system", "writes", "reads", "looks"}
ALWAYS = {"looks", "starts"}


def package(prefix: Path, name: str, text: str) -> None:
    """Install a package of one module."""
    folder = packages_of(prefix)
    (folder / f"{name}.py").write_text(text)
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "RECORD").write_text(
        f"{name}.py,sha256={hash(text)},{len(text)}\\n../../../bin/{name},,\\n{name}-1.0.dist-info/RECORD,,\\n"
    )


class Host:
    """An environment with its generations, and what ran in them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.first = make_prefix(root / "envs" / "speech" / "one", "--without-pip", wrapped=True)
        for name in ("apple", "pear"):
            package(self.first, name, "")

    def generation(self, name: str) -> Path:
        """Another generation with the same packages."""
        made = make_prefix(self.root / "envs" / "speech" / name, "--without-pip", wrapped=True)
        for source in packages_of(self.first).iterdir():
            target = packages_of(made) / source.name
            if source.is_dir():
                shutil.copytree(source, target, dirs_exist_ok=True)
            else:
                shutil.copy2(source, target)
        return made

    def judged(
        self, prefix: Path, carry_from: Path | None = None, own: str = OWN, words: Sequence[str] = ("--only", "own")
    ) -> tuple[set[str], Verdict]:
        """Which checks ran, and the verdict."""
        spec = json.loads(write_spec(self.root / f"{prefix.name}.json", prefix).read_text())
        spec.update(root=str(self.root), generation=prefix.name)
        program = install(str(self.root), str(prefix), spec, sources({"own": own}))
        (self.root / "ran").write_text("")
        evidence, out = prefix / "wavesmith" / "evidence", prefix / "wavesmith" / "verdict.json"
        argv = [program, *words, "--quiet", "--out", str(out), "--evidence", str(evidence)]
        argv += ["--carry", str(carry_from / "wavesmith")] if carry_from else []
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)
        verdict: Verdict = json.loads(out.read_text())
        failed = {check["id"] for check in verdict["checks"] if check["verdict"] == "fail"}
        assert not [name for name in failed if name.startswith("own.")], (done.stderr, verdict)
        return set((self.root / "ran").read_text().split()), verdict


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Host:
    made = Host(tmp_path_factory.mktemp("carried").resolve())
    assert made.judged(made.first)[0] == ALL
    return made


def named(verdict: Verdict) -> dict[str, CheckResult]:
    return {check["id"].partition(".")[2]: check for check in verdict["checks"]}


@pytest.mark.process
def test_where_nothing_is_different_only_what_always_runs_runs(host: Host) -> None:
    ran, verdict = host.judged(host.generation("same"), host.first)
    assert ran == ALWAYS
    found = named(verdict)
    assert set(found) == ALL
    assert {name for name in found if found[name].get("carried") == "one"} == ALL - ALWAYS
    assert found["apple"]["at"] == named(json.loads((host.first / "wavesmith/verdict.json").read_text()))["apple"]["at"]


@pytest.mark.process
def test_a_changed_package_runs_what_loads_it_and_what_follows_from_that(host: Host) -> None:
    pear = host.generation("pear")
    package(pear, "pear", "x = 1")
    assert host.judged(pear, host.first)[0] == ALWAYS | {"pear", "writes", "reads"}
    apple = host.generation("apple")
    package(apple, "apple", "x = 1")
    assert host.judged(apple, host.first)[0] == ALWAYS | {"apple"}


@pytest.mark.process
@pytest.mark.parametrize("name", ["cherry", "plum"])
def test_a_package_that_was_looked_for_in_vain_and_is_there_now_runs_what_looked(host: Host, name: str) -> None:
    made = host.generation(name)
    package(made, name, "")
    assert host.judged(made, host.first)[0] == ALWAYS | {"seeks"}


@pytest.mark.process
def test_an_unrelated_package_touches_nothing(host: Host) -> None:
    made = host.generation("walnut")
    package(made, "walnut", "")
    assert host.judged(made, host.first)[0] == ALWAYS


@pytest.mark.process
def test_a_package_that_went_runs_what_loaded_it(host: Host) -> None:
    made = host.generation("without")
    package(made, "apple", "")
    shutil.rmtree(packages_of(made) / "apple-1.0.dist-info")
    assert host.judged(made, host.first)[0] == ALWAYS | {"apple"}


@pytest.mark.process
def test_another_doctor_and_none_before_run_everything(host: Host) -> None:
    made = host.generation("doctor")
    assert host.judged(made, host.first, own=OWN + "\n# another\n")[0] == ALL
    assert host.judged(made, host.root / "nowhere")[0] == ALL
    assert host.judged(made)[0] == ALL


@pytest.mark.process
def test_a_carried_finding_keeps_its_first_date_and_generation(host: Host) -> None:
    second, third = host.generation("second"), host.generation("third")
    host.judged(second, host.first)
    _, verdict = host.judged(third, second)
    assert named(verdict)["apple"]["carried"] == "one"
    assert (third / "wavesmith/evidence/written").read_text() == "by writes"


RARE = OWN.replace("stands=True) for", "stands=True, rarely=True) for")
RARELY = ALL - {"looks", "reads"}


@pytest.mark.process
def test_what_takes_minutes_is_not_found_again_in_the_same_generation(host: Host) -> None:
    made = host.generation("again")
    assert host.judged(made, own=RARE, words=())[0] == ALL
    ran, verdict = host.judged(made, own=RARE, words=())
    assert ran == ALWAYS | {"reads"}, "what started a program of an environment is found again"
    assert {name for name, found in named(verdict).items() if found.get("carried") == "again"} == RARELY - ALWAYS
    package(made, "pear", "x = 2")
    assert host.judged(made, own=RARE, words=())[0] == ALWAYS | {"reads", "pear", "writes"}
    assert host.judged(made, own=RARE, words=("--full",))[0] == ALL
    assert host.judged(made, own=RARE)[0] == ALL, "--only asks for what it names"


def nothing(_: Context) -> Finding:
    return Finding("")


HERE = carry.Ground(
    "common", {"numpy": "1", "torch": "2"}, {"numpy": ["numpy"], "torch": ["torch"], "nvidia": ["torch", "cudnn"]}
)


def earlier(**changes: Any) -> Verdict:
    basis = HERE.basis({"components": ["numpy", "nvidia"], "missing": ["jax"]})
    result: CheckResult = {
        "id": "a",
        "title": "",
        "verdict": "pass",
        "detail": "",
        "evidence": {},
        "at": "2026-11-01T12:00:00Z",
        "basis": basis,
    }
    result.update(changes)  # type: ignore[typeddict-item]
    return {"schema": 1, "verdict": "healthy", "exit": 0, "checks": [result], "generation": "one"}


def held(verdict: Verdict, here: carry.Ground = HERE, now: datetime = NOW, stands: bool = True) -> set[str]:
    return set(carry.holding([Check("a", "", nothing, stands=stands)], verdict, here, now))


def test_a_namespace_stands_for_all_that_have_files_in_it() -> None:
    assert earlier()["checks"][0]["basis"]["packages"] == ["cudnn", "numpy", "torch"]


@pytest.mark.parametrize(("verdict", "kept"), [("pass", {"a"}), ("skip", set()), ("fail", set()), ("unjudged", set())])
def test_only_a_pass_is_carried(verdict: str, kept: set[str]) -> None:
    assert held(earlier(verdict=verdict)) == kept


@pytest.mark.parametrize(("days", "kept"), [(0, {"a"}), (3, {"a"}), (4, set()), (-28, set())])
def test_for_thirty_days_and_never_from_the_future(days: int, kept: set[str]) -> None:
    assert held(earlier(), now=NOW + timedelta(days=days)) == kept


@pytest.mark.parametrize(
    "here",
    [
        carry.Ground("other", HERE.packages, HERE.owners),
        carry.Ground("common", {**HERE.packages, "numpy": "9"}, HERE.owners),
        carry.Ground("common", {"torch": "2"}, HERE.owners),
        carry.Ground("common", {**HERE.packages, "JAX": "1"}, HERE.owners),
        carry.Ground("common", HERE.packages, {**HERE.owners, "jax": ["other"]}),
    ],
)
def test_what_it_rests_on_is_compared(here: carry.Ground) -> None:
    assert held(earlier()) == {"a"}
    assert held(earlier(), here) == set()


MODELS: dict[str, Any] = {"maskgct": {"commit": "1"}, "vevo": {"commit": "2"}}


@pytest.mark.parametrize(
    ("models", "of_one", "of_all"),
    [
        (MODELS, {"a"}, {"a"}),
        ({**MODELS, "dualcodec": {"commit": "3"}}, {"a"}, set()),
        ({**MODELS, "vevo": {"commit": "9"}}, {"a"}, set()),
        ({**MODELS, "maskgct": {"commit": "9"}}, set(), set()),
        ({"vevo": {"commit": "2"}}, set(), set()),
    ],
    ids=["the same", "one more", "another changed", "its own changed", "its own gone"],
)
def test_a_finding_of_a_model_rests_on_that_model_alone(
    models: dict[str, Any], of_one: set[str], of_all: set[str]
) -> None:
    touched: Any = {"components": ["numpy"], "missing": []}
    before, here = replace(HERE, models=MODELS), replace(HERE, models=models)
    for model, kept in (("maskgct", of_one), ("", of_all)):
        check = Check("a", "", nothing, stands=True, model=model)
        assert set(carry.holding([check], earlier(basis=before.basis(touched, model)), here, NOW)) == kept


def test_the_tiers_of_a_model_rest_on_it_and_the_structure_is_found_rarely() -> None:
    known = {check.id: check for name in ("maskgct", "openvoice", "vevo") for check in structure.checks(name, CODE)}
    assert len(known) == 6
    for name, check in known.items():
        kind, _, model = name.removeprefix("models.").partition(".")
        assert (check.stands, check.rarely, check.model) == (True, kind == "structure", model), name


def test_a_check_that_does_not_stand_is_not_carried() -> None:
    assert held(earlier(), stands=False) == set()


def test_the_ground_of_a_folder_without_packages_is_empty(tmp_path: Path) -> None:
    found = carry.ground(Spec("speech", "one", tmp_path, tmp_path))
    assert (found.packages, found.owners) == ({}, {})
