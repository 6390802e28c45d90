"""What passes a door: real values against their records, the JSON schemas, and the modules' documentation."""

from __future__ import annotations

import copy
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypedDict

import jsonschema_rs
import pytest
import yaml
from ansible_collections.wavesmith.provision.plugins.module_utils.audit.binaries import inspect
from ansible_collections.wavesmith.provision.plugins.module_utils.audit.verdict import judge
from ansible_collections.wavesmith.provision.plugins.module_utils.host import store
from ansible_collections.wavesmith.provision.plugins.module_utils.observe import probe
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.record import (
    DECIDED,
    EnvironmentPlan,
    Plan,
    WheelPlan,
)
from ansible_collections.wavesmith.provision.plugins.module_utils.records import shape
from ansible_collections.wavesmith.provision.plugins.module_utils.records.audit import AuditReport
from ansible_collections.wavesmith.provision.plugins.module_utils.records.failure import FailureBase
from ansible_collections.wavesmith.provision.plugins.module_utils.records.generation import GenerationManifest, Verdict
from ansible_collections.wavesmith.provision.plugins.module_utils.records.host import Observed, ObservedHost, Store
from ansible_collections.wavesmith.provision.plugins.module_utils.records.inspection import Inspection
from ansible_collections.wavesmith.provision.plugins.module_utils.records.job import JobState, Outcome, Progress
from ansible_collections.wavesmith.provision.plugins.module_utils.records.model import KeptWeights
from ansible_collections.wavesmith.provision.plugins.module_utils.records.outcome import RunOutcome
from ansible_collections.wavesmith.provision.plugins.module_utils.records.plan import (
    PlanFile,
    PlannedEnvironment,
    RefusalOf,
)
from ansible_collections.wavesmith.provision.plugins.module_utils.records.report import HostReport, ObservedBefore
from ansible_collections.wavesmith.provision.plugins.module_utils.records.task import InstallTask
from ansible_collections.wavesmith.provision.plugins.module_utils.records.times import Times
from ansible_collections.wavesmith.provision.plugins.module_utils.records.wheel import (
    PlannedWheel,
    Provenance,
    WheelManifest,
)
from ansible_collections.wavesmith.provision.plugins.module_utils.terms.refusal import Refusal
from ansible_collections.wavesmith.provision.plugins.modules import audit as audit_module
from ansible_collections.wavesmith.provision.plugins.modules import observe as observe_module

from .conftest import make_fatbin, make_library, make_manifest
from .test_samples import MACHINES, SAMPLES, planned

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = ROOT / "schemas"
KEPT: dict[str, type] = {
    "observed": ObservedHost,
    "plan": Plan,
    "generation-manifest": GenerationManifest,
    "verdict": Verdict,
    "provenance": Provenance,
    "wheel-manifest": WheelManifest,
    "job": JobState,
    "progress": Progress,
    "result": Outcome,
    "inspection": Inspection,
    "failures": FailureBase,
    "audit": AuditReport,
    "times": Times,
    "kept-weights": KeptWeights,
    "report": HostReport,
    "run": RunOutcome,
}
"""The JSON files that are kept, and what `wavesmith audit --json` prints, by the name of their schema."""


def contents(name: str) -> str:
    return json.dumps(shape.schema(KEPT[name]), indent=1, sort_keys=True) + "\n"


@pytest.mark.parametrize("name", KEPT)
def test_the_schema_of_each_kept_file_is_made_from_its_record(name: str) -> None:
    if os.environ.get("WAVESMITH_WRITE_DOCS"):
        SCHEMAS.mkdir(exist_ok=True)
        (SCHEMAS / f"{name}.json").write_text(contents(name))
    assert (SCHEMAS / f"{name}.json").read_text() == contents(name), "WAVESMITH_WRITE_DOCS=1 writes it anew"


def test_there_is_no_other_schema() -> None:
    assert {path.stem for path in SCHEMAS.iterdir()} == set(KEPT)


@pytest.mark.parametrize("name", KEPT)
def test_every_field_of_a_record_is_explained(name: str) -> None:
    schema = shape.schema(KEPT[name])
    for title, part in {name: schema, **schema.get("$defs", {})}.items():
        if title in ("RecipeOfWheel", "PlanFile", "PlannedEnvironment"):
            continue  # its fields are those of WheelSpec, of Plan and of EnvironmentPlan
        for key, entry in part.get("properties", {}).items():
            assert entry.get("description"), f"{title}.{key}"


@pytest.mark.parametrize("machine", MACHINES)
def test_what_is_observed_is_the_record(machine: str) -> None:
    observed = probe.observe(probe_root=str(SAMPLES / machine))
    assert shape.problems(observed, ObservedHost) == []
    assert set(observed) == set(shape.hints(ObservedHost))
    assert jsonschema_rs.is_valid(shape.schema(ObservedHost), observed)


@pytest.mark.parametrize("machine", ["jetson-thor", "zen4", "v100", "riscv64"])
def test_what_is_planned_is_the_record(machine: str) -> None:
    data = json.loads(json.dumps(planned(machine).data()))
    assert jsonschema_rs.is_valid(shape.schema(Plan), data)
    assert shape.problems(data, Plan) == []


def test_the_state_of_an_empty_host_is_the_record(tmp_path: Path) -> None:
    assert shape.problems(store.survey(str(tmp_path), ["speech"]), Store) == []


def test_what_the_audit_says_is_the_record(tmp_path: Path) -> None:
    (tmp_path / "lib.so").write_bytes(make_library(make_fatbin((120, "", "sass"), (90, "", "ptx"))))
    for asked in ([], [120, 75]):
        report = json.loads(json.dumps(judge(inspect(str(tmp_path / "lib.so")), asked)))
        assert shape.problems(report, AuditReport) == []
        assert jsonschema_rs.is_valid(shape.schema(AuditReport), report)


def test_the_module_documents_every_field_of_an_audit() -> None:
    documented = yaml.safe_load(audit_module.RETURN)["reports"]["contains"]
    assert set(documented) == set(shape.hints(AuditReport))


def test_the_module_documents_every_field_of_an_observed_host() -> None:
    (said,) = [yaml.safe_load(observe_module.RETURN)["observed"]]
    documented = said["contains"]
    assert set(documented) == {*shape.hints(ObservedHost), *shape.hints(Store)} - {"build_memory"}
    for name, entry in documented.items():
        if "sample" not in entry or name not in shape.hints(ObservedHost):
            continue
        assert shape.problems(entry["sample"], shape.hints(ObservedHost)[name], name) == []


def test_a_task_of_installing_holds_all_that_the_plan_decides() -> None:
    assert set(DECIDED) <= set(shape.hints(InstallTask))
    assert set(DECIDED) <= set(shape.hints(GenerationManifest))
    assert set(DECIDED) <= set(shape.hints(EnvironmentPlan))


@pytest.mark.parametrize(("read", "made"), [(PlanFile, Plan), (PlannedEnvironment, EnvironmentPlan)])
def test_what_others_read_of_a_plan_is_what_the_plan_has(read: type, made: type) -> None:
    rewritten = {
        "environments": list[PlannedEnvironment],
        "refusals": list[RefusalOf],
        "wheels": list[PlannedWheel],
    }
    written = shape.hints(made)
    for name, kind in shape.hints(read).items():
        assert kind == rewritten.get(name, written[name]), name
    for one, other in ((PlannedWheel, WheelPlan), (RefusalOf, Refusal)):
        assert shape.hints(one) == shape.hints(other)


def test_a_report_reads_what_is_observed() -> None:
    observed = shape.hints(Observed)
    assert {name: observed[name] for name in shape.hints(ObservedBefore)} == shape.hints(ObservedBefore)


GOOD = make_manifest()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": 0}, "manifest.json has schema version 0, and 1 is known here. Remedy: provision again"),
        ({"schema": 2}, "manifest.json has schema version 2, and 1 is known here"),
        ({"schema": None}, "manifest.json has no schema version, and 1 is known here"),
        ({"stack": None}, "manifest.json is not what it should be: stack is nothing, but must be text. Remedy"),
        ({"versions": {"torch": 2}}, "versions.torch is a number, but must be text"),
        ({"wheels": []}, "wheels is a list, but must be a mapping"),
        ({"accelerated": 1}, "accelerated is a number, but must be true or false"),
    ],
)
def test_a_file_of_another_schema_is_refused_by_name(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps({**GOOD, **change}))
    with pytest.raises(store.StoreError) as refused:
        store.read_record(str(path), GenerationManifest, "provision again")
    assert said in str(refused.value)


@pytest.mark.parametrize("name", GOOD)
def test_a_file_that_lacks_a_field_is_refused_by_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / "manifest.json"
    lacking = copy.deepcopy(GOOD)
    del lacking[name]
    path.write_text(json.dumps(lacking))
    with pytest.raises(store.StoreError, match="schema version" if name == "schema" else f"{name} is missing"):
        store.read_record(str(path), GenerationManifest, "provision again")


def test_what_a_newer_release_added_is_read(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps({**GOOD, "new": 1}))
    assert store.read_record(str(path), GenerationManifest, "x") == {**GOOD, "new": 1}


def test_a_file_that_is_not_there_is_none(tmp_path: Path) -> None:
    assert store.read_record(str(tmp_path / "none.json"), GenerationManifest, "x") is None


class Inner(TypedDict):
    """Inside.

    Attributes:
        n: A number
            of something.
    """

    n: int


@dataclass
class Outer:
    """Outside.

    Attributes:
        inner: What is inside.
    """

    inner: Inner
    kind: Literal["a", "b"]
    maybe: str | None = None
    listed: list[Inner] = field(default_factory=list)


@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        ({"inner": {"n": 1}, "kind": "a"}, []),
        ({"inner": {"n": 1}, "kind": "a", "maybe": None, "listed": [{"n": 2}]}, []),
        ({"inner": {"n": "1"}, "kind": "a"}, ["inner.n is text, but must be a whole number"]),
        ({"inner": {"n": True}, "kind": "a"}, ["inner.n is true or false, but must be a whole number"]),
        ({"inner": {}, "kind": "c"}, ["inner.n is missing", "kind is 'c', but must be one of 'a', 'b'"]),
        ({"kind": "a"}, ["inner is missing"]),
        ({"inner": {"n": 1}, "kind": "a", "maybe": 3}, ["maybe is a number, but must be text"]),
        ({"inner": {"n": 1}, "kind": "a", "listed": [{}]}, ["listed.0.n is missing"]),
        ([], ["it is a list, but must be a mapping"]),
    ],
)
def test_a_value_is_compared_with_its_record(value: Any, wrong: list[str]) -> None:
    assert shape.problems(value, Outer) == wrong
    assert jsonschema_rs.is_valid(shape.schema(Outer), value) is not bool(wrong)


def test_a_schema_carries_what_the_docstrings_say() -> None:
    assert shape.schema(Outer)["$defs"]["Inner"]["properties"]["n"]["description"] == "A number of something."
