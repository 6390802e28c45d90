"""What is decided for a host: from the wanted state, the observed state and the catalog to a plan."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.plan import generation
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.decide import plan
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.lockfile import LOCK_MARK, SUFFIX, body_digest
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.record import PHASES, EnvironmentPlan, Plan
from ansible_collections.wavesmith.provision.plugins.module_utils.terms.refusal import Refusal
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted import catalog as types
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.project import Declared, OwnWheel, Project
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.variables import Environment, Wanted
from ansible_collections.wavesmith.provision.plugins.plugin_utils import catalog_files
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

GIB = 2**30
TOOLBOX = "0123456789abcdef"
CATALOG = catalog_files.load()
SPEECH = Environment("speech", packages=("torch", "librosa", "pyworld"))
PLAIN = Environment("plain", stack="none", packages=("librosa",))
SILENT = {"answers": False, "detail": "HTTP 503"}
ANSWERS = {"answers": True, "detail": "HTTP 200"}


# Builders: an ordinary host, and what differs from it


def gpu(sm: str | None, name: str = "a GPU", vendor: str = "nvidia") -> dict[str, Any]:
    return {"vendor": vendor, "name": name, "sm": sm, "gfx": None, "memory": None, "source": "nvidia-smi"}


def host(**changes: Any) -> dict[str, Any]:
    """What is observed on a bare Debian 12 machine with everything it takes; `cpu={"isa": …}` changes one key of a part."""
    observed: dict[str, Any] = {
        "schema": 1,
        "user": {"name": "root", "uid": 0, "home": "/root", "privilege": "root"},
        "os": {"id": "debian", "version_id": "12", "pretty_name": "Debian GNU/Linux 12 (bookworm)"},
        "machine": {"kind": "server"},
        "cpu": {"architecture": "x86_64", "isa": "avx2", "cores": 4},
        "memory": {"total": 32 * GIB, "available": 30 * GIB},
        "disk": {"path": "/opt", "free": 100 * GIB, "total": 200 * GIB},
        "accelerators": [],
        "nvidia": {"driver": None, "cuda": None},
        "compilers": {"gcc": "12.2.0"},
        "toolkits": [],
        "findings": [],
        "pythons": [{"path": "/usr/bin/python3.11", "version": "3.11.2", "headers": True, "venv": True}],
        "apt": {"present": True, "installed": {}, "missing": []},
        "sources": {"cpu_wheels": dict(ANSWERS), "package_index": dict(ANSWERS)},
        "root": "/opt/wavesmith",
        "toolbox": {"digest": TOOLBOX, "intact": True},
        "environments": {},
        "wheels": [],
        "build_memory": {},
        "busy": None,
    }
    for key, value in changes.items():
        observed[key] = {**observed[key], **value} if isinstance(observed[key], dict) else value
    return observed


def thor(**changes: Any) -> dict[str, Any]:
    """A host with an accelerator that has a stack."""
    parts = {
        "cpu": {"architecture": "aarch64", "isa": "armv9"},
        "accelerators": [gpu("11.0", "NVIDIA Thor")],
        "nvidia": {"driver": "580.82"},
    }
    return host(**{**parts, **changes})


def decide(
    observed: Mapping[str, Any],
    *environments: Environment,
    locks: Mapping[str, str] | None = None,
    catalog: types.Catalog = CATALOG,
    **wanted: Any,
) -> Plan:
    return plan(Wanted(environments=environments or (SPEECH,), **wanted), [], observed, catalog, locks or {}, TOOLBOX)


def only(result: Plan) -> EnvironmentPlan:
    (item,) = result.environments
    return item


def refusal(result: Plan) -> Refusal:
    (found,) = result.refusals
    return found


def locked(item: EnvironmentPlan, text: str = "librosa==0.11.0\n") -> dict[str, str]:
    """The lock that an environment's plan asks for, as the resolution would keep it."""
    return {item.lock["key"]: f"{LOCK_MARK}{item.lock['inputs']}\n{text}"}


def entry(item: EnvironmentPlan, name: str = "", **changes: Any) -> dict[str, Any]:
    """A generation of the wanted digest, as it is observed on a host."""
    made = {
        "name": name or str(item.digest)[:16],
        "complete": True,
        "digest": item.digest,
        "created": 1.0,
        "exit": 0,
        "intact": True,
    }
    return {**made, **changes}


def present(
    item: EnvironmentPlan,
    *others: dict[str, Any],
    damage: list[str] | None = None,
    exit_: int | None = 0,
    name: str = "",
) -> dict[str, Any]:
    """An environment whose current generation is the wanted one; `damage` is what is wrong with it."""
    broken = damage or []
    current = entry(item, name, exit=exit_, intact=not broken)
    manifest = {"digest": item.digest, "stack": item.stack, "origin": item.origin}
    verdict = None if exit_ is None else {"exit": exit_, "checks": []}
    return {
        item.name: {
            "current": {
                "generation": current["name"],
                "damage": broken[:5],
                "damaged": len(broken),
                "manifest": manifest,
                "verdict": verdict,
            },
            "generations": [current, *others],
        }
    }


def settled(
    observed: dict[str, Any], environment: Environment = SPEECH
) -> tuple[dict[str, Any], dict[str, str], EnvironmentPlan]:
    """A host after a run that did all it should: what is observed there, the locks at hand, and the plan of that run."""
    locks = locked(only(decide(observed, environment)))
    item = only(decide(observed, environment, locks=locks))
    after = copy.deepcopy(observed)
    after["wheels"] = [wheel.key for wheel in item.wheels]
    after["environments"] = present(item)
    return after, locks, item


# A host that is as intended


def test_a_host_that_is_as_it_shall_be_has_an_empty_plan() -> None:
    observed, locks, item = settled(host())
    result = decide(observed, locks=locks)
    assert (result.steps, result.phases, result.warnings, result.refusals, result.seconds) == ([], [], [], [], 0)
    assert (only(result).state, only(result).generation) == ("kept", str(item.digest)[:16])


def test_an_idle_host_is_not_asked_for_sources_disk_or_a_toolbox() -> None:
    observed, locks, _ = settled(host())
    observed.update(host(disk={"free": 0}, toolbox={"digest": None, "intact": False}))
    observed["environments"] = settled(host())[0]["environments"]
    observed["wheels"] = settled(host())[0]["wheels"]
    observed["sources"] = {"cpu_wheels": SILENT, "package_index": SILENT}
    result = decide(observed, locks=locks)
    assert (result.steps, result.refusals) == ([], [])


def test_an_idle_host_does_not_care_who_else_works_on_it() -> None:
    observed, locks, _ = settled(host())
    observed["busy"] = {"pid": 7, "purpose": "install"}
    assert decide(observed, locks=locks).refusals == []


def test_a_host_that_wants_nothing_is_told_so() -> None:
    result = plan(Wanted(environments=()), [], host(), CATALOG, {}, TOOLBOX)
    assert result.steps == []
    assert "wavesmith_environments is empty" in result.warnings[0]


# What the wheelhouse has


def test_a_wheel_that_the_wheelhouse_has_is_fetched_not_built() -> None:
    (built,) = only(decide(host())).wheels
    offering = plan(Wanted(environments=(SPEECH,)), [], host(), CATALOG, {}, TOOLBOX, wheelhouse=[str(built.key)])
    (wheel,) = only(offering).wheels
    assert (wheel.key, wheel.status) == (built.key, "fetch") and wheel.seconds < built.seconds
    assert offering.phases[0] == "build" and offering.steps[0]["detail"].startswith("from the wheelhouse")


def test_a_wheel_that_is_on_the_host_is_not_fetched() -> None:
    observed, locks, item = settled(host())
    keys = [str(wheel.key) for wheel in item.wheels]
    result = plan(Wanted(environments=(SPEECH,)), [], observed, CATALOG, locks, TOOLBOX, wheelhouse=keys)
    assert result.steps == [] and [wheel.status for wheel in only(result).wheels] == ["hit"]


# From an offline bundle


@pytest.mark.parametrize("origin", ["cpu_wheels", "package_index"])
def test_a_bundle_serves_the_origin_that_its_lock_was_made_with(origin: str) -> None:
    catalog = types.from_index(CATALOG, "file:///stick/index/simple")
    observed = host(sources={"cpu_wheels": SILENT} if origin == "package_index" else {})
    locks = locked(only(decide(observed)))
    item = only(decide(host(), locks=locks, catalog=catalog, bundle="file:///stick"))
    assert (item.origin, item.lock["status"]) == (origin, "hit")
    assert item.origin_url in ("file:///stick/index/simple", "")
    assert item.wheels[0].spec["bundle"] == "file:///stick"


# A bare host


def test_a_bare_host_passes_all_phases_in_order() -> None:
    result = decide(host())
    assert result.phases == [phase for phase in PHASES if phase not in ("prepare", "weights")]
    assert [step["phase"] for step in result.steps] == ["build", "lock", "install", "verify", "activate"]
    assert only(result).state == "new"


def test_the_toolbox_comes_first_where_it_is_missing() -> None:
    result = decide(host(toolbox={"digest": None, "intact": False}))
    assert result.steps[0]["name"] == "toolbox"


@pytest.mark.parametrize("toolbox", [{"digest": "older", "intact": True}, {"digest": TOOLBOX, "intact": False}])
def test_a_toolbox_that_is_old_or_broken_is_made_again(toolbox: dict[str, Any]) -> None:
    assert decide(host(toolbox=toolbox)).steps[0]["name"] == "toolbox"


def test_system_packages_come_before_everything() -> None:
    result = decide(host(apt={"missing": ["sox", "ffmpeg"]}, toolbox={"digest": None, "intact": False}))
    assert [step["name"] for step in result.steps[:2]] == ["system packages", "toolbox"]
    assert result.system_missing == ["ffmpeg", "sox"]


def test_a_host_that_builds_a_wheel_gets_what_its_recipe_needs_and_one_that_fetches_it_does_not() -> None:
    package = CATALOG.packages["pyworld"]
    assert package.recipe
    made = replace(package.recipe, system_packages=(types.SystemPackages(("libpng-dev",)),))
    catalog = replace(CATALOG, packages={**CATALOG.packages, "pyworld": replace(package, recipe=made)})
    observed = host(apt={"missing": [name for name in catalog.apt if name.startswith("lib") and name != "libsndfile1"]})
    (wheel,) = only(decide(observed, catalog=catalog)).wheels
    assert decide(observed, catalog=catalog).system_missing == ["libpng-dev"], "not what other recipes need"
    fetching = plan(Wanted(environments=(SPEECH,)), [], observed, catalog, {}, TOOLBOX, wheelhouse=[str(wheel.key)])
    assert (only(fetching).wheels[0].status, fetching.system_missing) == ("fetch", [])
    found = refusal(decide({**observed, "user": {"name": "anna", "privilege": "none"}}, catalog=catalog))
    assert "apt-get install -y libpng-dev" in found.remedy


def test_the_estimate_is_the_sum_of_the_steps() -> None:
    result = decide(host())
    assert result.seconds == sum(step["seconds"] for step in result.steps) > 0


# Locks and digests


def test_without_a_lock_no_digest_is_known() -> None:
    item = only(decide(host()))
    assert (item.lock["status"], item.digest, item.generation) == ("missing", None, None)


def test_with_its_lock_the_generation_is_named_by_its_digest() -> None:
    item = only(decide(host(), locks=locked(only(decide(host())))))
    assert item.lock["status"] == "hit"
    assert item.generation == str(item.digest)[:16]
    assert "lock" not in item.phases


def test_a_lock_of_other_requirements_is_stale_and_resolved_again() -> None:
    locks = locked(only(decide(host())))
    item = only(decide(host(), replace(SPEECH, packages=(*SPEECH.packages, "encodec")), locks=locks))
    assert (item.lock["status"], item.digest) == ("stale", None)
    assert "lock" in item.phases


def test_two_hosts_that_ask_for_different_packages_under_one_name_have_a_lock_each() -> None:
    wishes = [SPEECH, replace(SPEECH, packages=(*SPEECH.packages, "encodec"))]
    locks: dict[str, str] = {}
    for wish in wishes:
        locks |= locked(only(decide(host(), wish, locks=locks)))
    found = [only(decide(host(), wish, locks=locks)) for wish in wishes]
    assert [(item.lock["status"], item.generation is None) for item in found] == [("hit", False)] * 2
    assert found[0].generation != found[1].generation


def test_a_lock_of_before_is_taken_under_its_old_name_and_gives_the_same_generation() -> None:
    first = only(decide(host()))
    ((key, text),) = locked(first).items()
    old = only(decide(host(), locks={key.rpartition("-")[0]: text}))
    assert (old.lock["status"], old.digest) == ("hit", only(decide(host(), locks={key: text})).digest)
    assert old.lock["key"] == key.rpartition("-")[0]


@pytest.mark.parametrize("environment", [SPEECH, replace(SPEECH, engine="conda")], ids=["pip", "conda"])
def test_a_damaged_lock_stops_the_host_and_is_not_resolved_anew(environment: Environment) -> None:
    item = only(decide(host(), environment))
    lock = item.conda or item.lock
    text = f"{LOCK_MARK}{lock['inputs']}\n<<<<<<< HEAD\n"
    result = decide(host(), environment, locks={**locked(item), lock["key"]: text})
    assert refusal(result).problem == "line 2 holds a conflict marker of git (<<<<<<<)"
    assert (result.phases, result.steps) == ([], [])


def test_a_lock_cut_short_is_refused() -> None:
    locks = {key: text[: len(LOCK_MARK) + 20] for key, text in locked(only(decide(host()))).items()}
    assert refusal(decide(host(), locks=locks)).problem.startswith("line 1 does not say what it was resolved from")


def test_another_lock_text_makes_another_generation() -> None:
    first = only(decide(host()))
    one, two = (only(decide(host(), locks=locked(first, text))) for text in ("librosa==0.11.0\n", "librosa==0.10.2\n"))
    assert one.digest != two.digest


def test_one_lock_serves_all_instruction_sets_of_an_architecture() -> None:
    old, new = (only(decide(host(cpu={"isa": isa}))) for isa in ("avx2", "avx512"))
    assert old.lock["inputs"] == new.lock["inputs"]
    assert old.variant != new.variant


def test_the_lock_holds_the_stack_and_nothing_can_move_it() -> None:
    lock = only(decide(host())).lock
    assert lock["requirements"][0] == "torch==2.11.0+cpu"
    pinned = {"torch==2.11.0+cpu", "torchaudio==2.11.0+cpu", "torchvision==0.26.0+cpu", "triton==3.6.0"}
    assert pinned <= set(lock["overrides"])


def test_a_member_of_the_torch_family_that_nobody_asks_for_is_not_required_but_cannot_be_moved() -> None:
    lock = only(decide(host())).lock
    assert not [line for line in lock["requirements"] if line.startswith(("torchvision", "torchcodec"))]
    assert "torchcodec==0.11.1+cpu" in lock["overrides"]


def test_the_versions_of_a_generation_are_those_asked_for_and_those_that_the_lock_brings() -> None:
    assert only(decide(host())).versions == {"torch": "2.11.0"}
    locks = locked(only(decide(host())), "torch==2.11.0+cpu\ntorchvision==0.26.0+cpu\n")
    assert only(decide(host(), locks=locks)).versions == {"torch": "2.11.0", "torchvision": "0.26.0"}


def test_a_nightly_stack_gets_the_versions_of_the_night_its_lock_was_resolved_in() -> None:
    observed = thor(cpu={"architecture": "x86_64"}, accelerators=[gpu("12.0")])
    observed["sources"]["nightly_wheels"] = ANSWERS
    first = only(decide(observed, stack="nightly"))
    assert first.lock["requirements"][0] == "torch>=2.16.0.dev0"
    locks = locked(first, "torch==2.16.0.dev20261120+cu130\n")
    assert only(decide(observed, stack="nightly", locks=locks)).versions == {"torch": "2.16.0.dev20261120+cu130"}


def test_a_package_built_from_source_is_in_the_lock_by_its_exact_version() -> None:
    lock = only(decide(host())).lock
    assert "pyworld==0.3.5" in lock["requirements"]
    assert lock["built"] == ["pyworld"]


def test_before_a_compiler_is_there_neither_wheel_key_nor_digest_is_known() -> None:
    locks = locked(only(decide(host())))
    item = only(decide(host(compilers={"gcc": None}), locks=locks))
    assert (item.wheels[0].key, item.wheels[0].status, item.digest) == (None, "build", None)


# Generations


def test_a_first_generation_is_installed_verified_and_activated() -> None:
    observed, locks, _ = settled(host())
    observed["environments"] = {}
    assert only(decide(observed, locks=locks)).phases == ["install", "verify", "activate"]


def test_drift_makes_a_good_generation_beside_the_damaged_one() -> None:
    observed, locks, item = settled(host())
    observed["environments"] = present(item, damage=["missing: bin/pip"])
    result = decide(observed, locks=locks)
    assert (only(result).state, only(result).generation) == ("drifted", f"{str(item.digest)[:16]}-r1")
    assert only(result).phases == ["install", "verify", "activate"]


def test_drift_is_warned_of_with_the_first_file() -> None:
    observed, locks, item = settled(host())
    observed["environments"] = present(item, damage=[f"missing: {n}" for n in range(7)])
    result = decide(observed, locks=locks)
    remedy = "Remedy: wavesmith provision makes a good generation"
    assert result.warnings == [f"environment speech drifted: missing: 0 (and 6 more). {remedy}"]
    assert only(result).damage[-1] == "and 2 more"


def test_of_a_package_that_somebody_added_the_way_to_keep_it_is_said() -> None:
    observed, locks, item = settled(host())
    observed["environments"] = present(item, damage=["added: lib/x-1.dist-info, a package that its lock does not name"])
    (said,) = decide(observed, locks=locks).warnings
    assert said.endswith("; to keep a package, name it in wavesmith_environments")


def test_a_second_drift_takes_the_next_free_name() -> None:
    observed, locks, item = settled(host())
    short = str(item.digest)[:16]
    observed["environments"] = present(
        item, entry(item, short, intact=False), name=f"{short}-r1", damage=["missing: bin/pip"]
    )
    assert only(decide(observed, locks=locks)).generation == f"{short}-r2"


def kept(current: list[str], **older: list[str]) -> Any:
    """An environment on a host's disk: what differs in the generation in use, and in others by their names."""
    generations = [
        {"name": "now", "damage": current},
        *({"name": name, "damage": found} for name, found in older.items()),
    ]
    return {"current": {"generation": "now", "damage": current}, "generations": generations}


SOXR = "changed: lib/python3.11/site-packages/soxr/__init__.py"


@pytest.mark.parametrize(
    ("environments", "said"),
    [
        ({"ears": kept([SOXR]), "speech": kept([SOXR])}, "file soxr/__init__.py: changed in environment ears, environment speech."),
        (
            {"ears": kept([SOXR]), "small": kept([], gone=[SOXR]), "voice": kept([])},
            "file soxr/__init__.py: changed in environment ears, generation gone of small.",
        ),
        (
            {"ears": kept([SOXR, "changed: lib/python3.11/site-packages/b.py"]), "conda": kept([SOXR.replace("3.11", "3.12"), "changed: lib/python3.12/site-packages/b.py"])},
            "file soxr/__init__.py and 1 more: changed in environment ears, environment conda.",
        ),
        ({"small": kept([SOXR], old=[SOXR])}, "file soxr/__init__.py: changed in environment small, generation old of small."),
        ({"ears": kept([SOXR]), "speech": kept(["missing: lib/python3.11/site-packages/soxr/__init__.py"])}, ""),
        ({"ears": kept([SOXR]), "speech": kept([])}, ""),
        ({}, ""),
    ],
)  # fmt: skip
def test_a_file_that_was_changed_in_several_environments_is_named_with_all_of_them(
    environments: Any, said: str
) -> None:
    found = generation.reached(environments)
    assert [warning for warning in found if not warning.startswith(said)] == [] and len(found) == bool(said)
    assert all("share files" in warning and "Remedy: wavesmith repair" in warning for warning in found)


def test_drift_switches_to_a_good_generation_that_is_there() -> None:
    observed, locks, item = settled(host())
    good = entry(item, f"{str(item.digest)[:16]}-r1")
    observed["environments"] = present(item, good, damage=["missing: bin/pip"])
    found = only(decide(observed, locks=locks))
    assert (found.state, found.generation, found.phases) == ("drifted", good["name"], ["activate"])


def test_an_installed_generation_nobody_judged_is_verified_and_activated() -> None:
    observed, locks, item = settled(host())
    observed["environments"] = {"speech": {"current": None, "generations": [entry(item, exit=None)]}}
    found = only(decide(observed, locks=locks))
    assert (found.state, found.phases) == ("switch", ["verify", "activate"])


def test_a_generation_that_was_not_healthy_is_judged_again() -> None:
    observed, locks, item = settled(host())
    observed["environments"] = present(item, exit_=1)
    assert only(decide(observed, locks=locks)).phases == ["verify", "activate"]


def test_a_healthy_generation_is_preferred_to_a_newer_one_that_is_not() -> None:
    observed, locks, item = settled(host())
    healthy, newer = entry(item, "healthy"), entry(item, "newer", exit=1, created=9.0)
    observed["environments"] = {"speech": {"current": None, "generations": [healthy, newer]}}
    found = only(decide(observed, locks=locks))
    assert (found.generation, found.phases) == ("healthy", ["activate"])


def test_an_unfinished_generation_is_made_again_under_its_name() -> None:
    observed, locks, item = settled(host())
    unfinished = {"name": str(item.digest)[:16], "complete": False, "digest": "", "created": 0.0, "exit": None}
    observed["environments"] = {"speech": {"current": None, "generations": [unfinished]}}
    found = only(decide(observed, locks=locks))
    assert (found.generation, found.phases[0]) == (unfinished["name"], "install")


def test_a_change_of_packages_makes_another_generation() -> None:
    observed, locks, item = settled(host())
    wider = replace(SPEECH, packages=(*SPEECH.packages, "encodec"))
    locks = {**locks, **locked(only(decide(observed, wider)))}
    found = only(decide(observed, wider, locks=locks))
    assert (found.state, found.current) == ("change", str(item.digest)[:16])
    assert found.generation not in (None, found.current)


def test_a_current_generation_without_a_manifest_is_never_made_again_in_place() -> None:
    """A run that removed the manifest of the current generation once left a plan that could not be carried out."""
    observed, locks, item = settled(host())
    gone = {
        "generation": str(item.digest)[:16],
        "damage": ["missing: wavesmith/manifest.json"],
        "damaged": 1,
        "manifest": {},
        "verdict": None,
    }
    unfinished = {"name": gone["generation"], "complete": False, "digest": "", "created": 0.0, "exit": None}
    observed["environments"] = {"speech": {"current": gone, "generations": [unfinished]}}
    found = only(decide(observed, locks=locks))
    assert (found.state, found.generation) == ("drifted", f"{gone['generation']}-r1")


# Stacks (how one is chosen: test_choose.py)


def test_the_plan_says_for_every_stack_why_it_was_taken_or_not() -> None:
    item = only(decide(thor()))
    assert {row["stack"] for row in item.considered} == set(CATALOG.stacks)
    assert (item.stack, item.stack_why) == ("cuda13_0", "for NVIDIA Thor (SM 11.0)")


def test_a_refused_choice_changes_nothing() -> None:
    result = decide(thor(accelerators=[gpu("3.7", "Tesla K80")]))
    assert "no code for Tesla K80 (SM 3.7)" in refusal(result).problem
    assert (result.steps, result.phases) == ([], [])


def test_what_was_noticed_on_the_host_is_warned_of_with_its_remedy() -> None:
    noticed = {"id": "nvidia.nouveau", "detail": "nouveau drives the GPU", "remedy": "install NVIDIA's driver"}
    silent = {"id": "source.cpu_wheels", "detail": "it is silent", "remedy": "wait"}
    result = decide(host(findings=[noticed, silent]))
    assert result.warnings == ["nouveau drives the GPU. Remedy: install NVIDIA's driver"]


def test_the_variant_has_the_gpu_of_a_cuda_stack_only() -> None:
    assert only(decide(thor())).variant == "python311-cuda13_0-sm110-armv9"
    assert only(decide(thor(), stack="cpu")).variant == "python311-cpu-armv9"


def test_an_environment_without_torch_needs_no_stack() -> None:
    item = only(decide(host(), PLAIN))
    assert (item.stack, item.versions, item.lock["overrides"]) == ("none", {}, [])


@pytest.mark.parametrize(
    ("environment", "stack"), [(replace(SPEECH, stack="none"), "auto"), (SPEECH, "none")], ids=["environment", "host"]
)
def test_torch_is_refused_where_no_stack_is_wanted(environment: Environment, stack: str) -> None:
    found = refusal(decide(host(), environment, stack=stack))
    assert "'torch' belongs to a stack" in found.problem


def test_a_group_that_builds_everything_is_told_what_wheels_of_an_index_would_save() -> None:
    observed = thor(
        machine={"kind": "jetson"},
        pythons=[{"path": "/usr/bin/python3.12", "version": "3.12.3", "headers": True, "venv": True}],
        toolkits=[{"version": "13.0", "path": "/usr/local/cuda", "nvcc": True}],
        compilers={"gcc": "13.3.0"},
    )
    item = only(decide(observed, policy=("wheelhouse", "source")))
    assert item.stack == "thor"
    torch = next(wheel for wheel in item.wheels if wheel.name == "torch")
    assert item.instead == {"stack": "cuda13_0", "torch": "2.14.1", "seconds": torch.seconds}
    assert only(decide(observed)).instead == {}


def test_a_build_is_estimated_by_the_jobs_that_memory_and_cores_allow() -> None:
    few, many = (only(decide(host(cpu={"cores": cores}))).wheels[0].seconds for cores in (2, 8))
    assert (few, many) == (60, 15)


# Variants that are named


def test_a_package_may_name_its_variant_where_it_is_that_of_torch() -> None:
    asked = replace(SPEECH, packages=("torch", "torchaudio-python311-cuda13_0-sm110-armv9"))
    result = decide(thor(), asked)
    assert (result.refusals, only(result).versions) == ([], {"torch": "2.14.1", "torchaudio": "2.11.0"})


@pytest.mark.parametrize(
    ("variant", "problem"),
    [
        ("python311-cuda13_0-sm90-armv9", "SM 9.0, torch's is 11.0"),
        ("python311-cuda13_0-sm110-armv8_2", "CPU level armv8_2, torch's is armv9"),
        ("python312-cuda12_8-sm110-armv9", "Python 3.12, torch's is 3.11; backend cuda12_8, torch's is cuda13_0"),
        ("python311-cpu-armv9", "backend cpu, torch's is cuda13_0; SM none, torch's is 11.0"),
    ],
)
def test_a_variant_that_is_not_that_of_torch_is_refused(variant: str, problem: str) -> None:
    found = refusal(decide(thor(), replace(SPEECH, packages=("torch", f"torchaudio-{variant}"))))
    assert found.problem == f"torchaudio-{variant} does not match torch: {problem}"
    assert found.remedy == "name torchaudio alone, or torchaudio-python311-cuda13_0-sm110-armv9"


# Building the stack


def test_a_stack_that_is_built_is_refused_where_the_catalog_has_no_recipe_for_it() -> None:
    catalog = replace(CATALOG, packages={name: item for name, item in CATALOG.packages.items() if name != "torch"})
    observed = thor(machine={"kind": "jetson"}, pythons=[{"path": "/usr/bin/python3.12", "version": "3.12.3"}])
    found = refusal(decide(observed, policy=("source",), catalog=catalog))
    assert found.problem == "the catalog has no recipe that builds torch 2.10.0"


# Origins


def test_the_first_origin_that_answers_is_taken_with_its_reason() -> None:
    item = only(decide(host()))
    assert (item.origin, item.origin_url) == ("cpu_wheels", CATALOG.stacks["cpu"].origins[0].url)
    assert "the CPU builds" in item.origin_why


def test_the_next_origin_is_taken_where_the_first_is_silent_and_the_plan_says_so() -> None:
    item = only(decide(host(sources={"cpu_wheels": SILENT})))
    assert (item.origin, item.origin_url) == ("package_index", "")
    assert "cpu_wheels does not answer (HTTP 503)" in item.origin_why
    assert item.lock["requirements"][0] == "torch==2.11.0"


def test_an_origin_in_use_stays_though_a_better_one_answers_again() -> None:
    observed, locks, _ = settled(host(sources={"cpu_wheels": SILENT}))
    observed["sources"] = host()["sources"]
    result = decide(observed, locks=locks)
    assert (only(result).origin, result.steps) == ("package_index", [])


def test_a_host_that_needs_nothing_gets_no_new_generation_because_its_origin_is_silent() -> None:
    observed, locks, _ = settled(host(sources={"cpu_wheels": SILENT}))
    observed["sources"] = {**host()["sources"], "package_index": SILENT}
    result = decide(observed, locks=locks)
    assert (only(result).state, only(result).origin, result.refusals) == ("kept", "package_index", [])


def test_a_drifted_host_falls_to_the_next_origin_where_its_own_is_silent() -> None:
    observed, locks, _ = settled(host())
    observed["environments"]["speech"]["current"].update(damage=["missing: a"], damaged=1)
    observed["environments"]["speech"]["generations"][-1]["intact"] = False
    observed["sources"]["cpu_wheels"] = SILENT
    result = decide(observed, locks=locks)
    assert (only(result).origin, result.refusals) == ("package_index", [])
    assert "cpu_wheels does not answer" in only(result).origin_why


def test_an_origin_of_another_stack_is_not_in_use() -> None:
    observed, _, _ = settled(thor())
    assert only(decide(observed, stack="cpu")).origin == "cpu_wheels"


def test_where_no_origin_answers_the_install_is_refused() -> None:
    result = decide(host(sources={"cpu_wheels": SILENT, "package_index": SILENT}))
    assert {found.item for found in result.refusals} == {"environment speech"}
    assert all("does not answer (HTTP 503)" in found.problem for found in result.refusals)


def test_the_package_index_is_needed_beside_the_origin_of_torch() -> None:
    assert "package_index" in refusal(decide(host(sources={"package_index": SILENT}))).problem


# Python


def test_the_newest_python_the_stack_knows_is_taken() -> None:
    pythons = [{"path": f"/usr/bin/python3.{minor}", "version": f"3.{minor}.1"} for minor in (9, 11, 12, 99)]
    assert only(decide(host(pythons=pythons))).python == {"path": "/usr/bin/python3.12", "version": "3.12.1"}


def test_the_python_of_the_system_is_preferred() -> None:
    pythons = [
        {"path": "/usr/bin/python3.11", "version": "3.11.2"},
        {"path": "/usr/local/bin/python3.13", "version": "3.13.0"},
    ]
    assert only(decide(host(pythons=pythons))).python["path"] == "/usr/bin/python3.11"


def test_a_wanted_python_is_taken() -> None:
    pythons = [{"path": f"/usr/bin/python3.{minor}", "version": f"3.{minor}.1"} for minor in (11, 12)]
    assert only(decide(host(pythons=pythons), python="3.11")).python["version"] == "3.11.1"


@pytest.mark.parametrize(
    ("pythons", "seen"),
    [([], "none"), ([{"path": "/usr/bin/python3.9", "version": "3.9.2"}], "3.9.2 (/usr/bin/python3.9)")],
)
def test_a_host_without_a_python_for_the_stack_is_refused(pythons: list[dict[str, str]], seen: str) -> None:
    problem = refusal(decide(host(pythons=pythons))).problem
    assert "needs Python 3.10 to 3.14" in problem and seen in problem


# Wheel keys


def key_of(observed: dict[str, Any]) -> str | None:
    return only(decide(observed)).wheels[0].key


@pytest.mark.parametrize(
    "change",
    [
        {"compilers": {"gcc": "13.1.0"}},
        {"os": {"libc": "glibc 2.41"}},
        {"cpu": {"isa": "avx512"}},
        {"cpu": {"architecture": "aarch64", "isa": "armv9"}},
        {"pythons": [{"path": "/usr/bin/python3.12", "version": "3.12.3"}]},
        {"accelerators": [gpu("9.0")]},
    ],
    ids=["compiler", "libc", "isa", "architecture", "python", "backend"],
)
def test_a_wheel_key_changes_with_what_of_a_host_can_change_the_bytes(change: dict[str, Any]) -> None:
    assert key_of(host(**change)) != key_of(host())


def test_a_wheel_key_does_not_change_with_words_about_the_stack() -> None:
    stack = replace(CATALOG.stacks["cpu"], description="other words")
    catalog = replace(CATALOG, stacks={**CATALOG.stacks, "cpu": stack})
    assert only(decide(host(), catalog=catalog)).wheels[0].key == key_of(host())


def test_a_wheel_key_does_not_change_with_where_python_lies() -> None:
    pythons = [{"path": "/usr/local/bin/python3.11", "version": "3.11.2"}]
    assert key_of(host(pythons=pythons)) == key_of(host())


def test_a_wheel_key_does_not_change_with_a_patch_release_of_python() -> None:
    pythons = [{"path": "/usr/bin/python3.11", "version": "3.11.14"}]
    assert key_of(host(pythons=pythons)) == key_of(host())


def test_what_a_build_needed_here_is_known_to_the_next_plan() -> None:
    (wheel,) = only(decide(host(build_memory={"pyworld": 3.5}))).wheels
    assert wheel.spec["memory_gib"] == 3.5


def test_what_needs_less_than_its_recipe_says_keeps_the_recipes_memory() -> None:
    (wheel,) = only(decide(host(build_memory={"pyworld": 0.1}))).wheels
    assert wheel.spec["memory_gib"] == 1.0


def test_a_wheel_at_hand_is_not_built_again() -> None:
    key = key_of(host())
    item = only(decide(host(wheels=[key])))
    assert (item.wheels[0].status, "build" in item.phases) == ("hit", False)


# Refusals


def test_an_unsupported_system_is_refused_with_those_that_are() -> None:
    found = refusal(decide(host(os={"id": "fedora", "version_id": "42", "pretty_name": "Fedora Linux 42"})))
    assert "Fedora Linux 42" in found.problem
    assert "debian 12, 13; ubuntu 22.04, 24.04, 25.10" in found.remedy


@pytest.mark.parametrize("version", ["11", "1", "120", ""])
def test_another_version_of_a_known_system_is_refused(version: str) -> None:
    assert "not supported" in refusal(decide(host(os={"version_id": version}))).problem


def test_a_point_release_of_a_known_system_is_supported() -> None:
    assert decide(host(os={"version_id": "12.5"})).refusals == []


def test_a_full_disk_is_refused_with_free_and_needed_space() -> None:
    found = refusal(decide(host(disk={"free": 2 * GIB})))
    assert found.item == "disk of /opt"
    assert "2.0 GiB are free" in found.problem and "GiB are needed" in found.problem


def seen(item: EnvironmentPlan, **sizes: int | None) -> dict[str, str]:
    """The lock that an environment asks for, with what was inspected of its files: their sizes, where the index told them."""
    locks = locked(item, "".join(f"{name}==1\n" for name in sizes))
    files = [
        {"name": name, "version": "1", "kind": "wheel", **({} if size is None else {"size": size})}
        for name, size in sizes.items()
    ]
    text = locks[item.lock["key"]]
    inspection = {"schema": 1, "lock": body_digest(text), "files": files, "problem": ""}
    return {**locks, item.lock["key"] + SUFFIX: json.dumps(inspection)}


def test_the_room_is_that_of_the_files_where_the_index_told_their_sizes() -> None:
    item = only(decide(host(), PLAIN))
    small, large = (decide(host(), PLAIN, locks=seen(item, librosa=size, numpy=size)) for size in (2**20, 2**29))
    assert small.disk_gib < 0.1 and large.disk_gib == pytest.approx(4.2, abs=0.1)
    took = [next(step["seconds"] for step in result.steps if step["phase"] == "install") for result in (small, large)]
    assert took[0] < 20 and took[1] > 150


def test_the_room_of_the_stack_is_the_catalogs() -> None:
    item = only(decide(host()))
    files = {"torch": 2**33, "nvidia-cudnn-cu13": 2**33, "librosa": 2**20}
    assert decide(host(), locks=seen(item, **files)).disk_gib == pytest.approx(1.2, abs=0.1)


def test_a_file_whose_size_is_not_told_counts_as_the_others() -> None:
    item = only(decide(host(), PLAIN))
    known = decide(host(), PLAIN, locks=seen(item, a=2**28, b=2**28, c=None)).disk_gib
    assert known == pytest.approx(3 * 0.25 * 4.2, abs=0.1)
    guessed = decide(host(), PLAIN, locks=seen(item, a=2**28, b=None, c=None)).disk_gib
    assert guessed == decide(host(), PLAIN).disk_gib < 1


def test_the_larger_origin_needs_more_disk() -> None:
    small, large = decide(host()), decide(host(sources={"cpu_wheels": SILENT}))
    assert small.disk_gib < large.disk_gib


def test_missing_system_packages_without_rights_are_refused_with_the_command() -> None:
    found = refusal(decide(host(user={"name": "anna", "privilege": "none"}, apt={"missing": ["sox", "ffmpeg"]})))
    assert "anna may not install them" in found.problem
    assert "apt-get install -y ffmpeg sox" in found.remedy


def test_without_rights_nothing_is_refused_where_no_system_package_is_missing() -> None:
    assert decide(host(user={"privilege": "none"})).refusals == []


def test_system_packages_that_are_not_ours_to_install_are_only_reported() -> None:
    result = decide(host(apt={"missing": ["sox"]}), system_packages=False)
    assert result.system_missing == []
    assert "sox" in result.warnings[0]


def test_work_that_goes_on_is_told_but_may_be_taken_over() -> None:
    result = decide(host(busy={"pid": 4711, "purpose": "install-abc"}))
    assert "install-abc (process 4711)" in result.warnings[0]
    assert result.steps


def test_an_unknown_package_is_refused_with_the_near_name() -> None:
    found = refusal(decide(host(), replace(SPEECH, packages=("librossa",))))
    assert "'librossa'" in found.problem and "did you mean librosa" in found.remedy


def test_an_unknown_model_is_refused() -> None:
    assert "model 'vits' is not in the catalog" in refusal(decide(host(), replace(SPEECH, models=("vits",)))).problem


def test_an_unknown_stack_of_an_environment_is_refused_with_the_near_name() -> None:
    found = refusal(decide(host(), replace(SPEECH, stack="cuda13")))
    assert (found.item, "cuda13_0" in found.remedy) == ("environment speech", True)


def test_an_unknown_stack_of_the_host_is_refused_once() -> None:
    found = refusal(decide(host(), SPEECH, replace(SPEECH, name="other"), stack="cdua13_0"))
    assert (found.item, "cuda13_0" in found.remedy) == ("variable wavesmith_stack", True)


def test_what_was_wrong_with_the_variables_refuses_the_whole_host() -> None:
    earlier = Refusal("variable wavesmith_root", "it is wrong", "mend it")
    result = plan(Wanted(environments=(SPEECH,)), [earlier], host(), CATALOG, {}, TOOLBOX)
    assert (result.refusals, result.steps, result.phases) == ([earlier], [], [])


def test_all_refusals_are_said_at_once() -> None:
    result = decide(host(os={"id": "arch"}, disk={"free": 0}), replace(SPEECH, packages=("librosaa",)), PLAIN)
    assert {found.item for found in result.refusals} == {"environment speech", "this host", "disk of /opt"}


# Plain data


def test_a_plan_is_plain_data() -> None:
    data = decide(thor()).data()
    assert json.loads(json.dumps(data)) == data


# Whatever a host looks like

WORD = st.text(max_size=10)
VERSION = st.one_of(st.just("3.11.2"), st.from_regex(r"[0-9]{1,2}\.[0-9]{1,2}(\.[0-9]{1,3})?", fullmatch=True))
GPU = st.fixed_dictionaries(
    {
        "vendor": st.sampled_from(["nvidia", "amd"]),
        "name": WORD,
        "sm": st.one_of(
            st.none(), st.sampled_from(["11.0", "12.1"]), st.from_regex(r"[0-9]{1,3}\.[0-9]{1,3}", fullmatch=True)
        ),
        "gfx": st.none(),
        "memory": st.none(),
    }
)
SOURCE = st.fixed_dictionaries({"answers": st.booleans(), "detail": WORD})
GENERATION = st.fixed_dictionaries(
    {
        "name": st.from_regex(r"[0-9a-f]{16}(-r[1-9])?", fullmatch=True),
        "complete": st.just(True),
        "digest": WORD,
        "created": st.floats(0, 1e10),
        "exit": st.sampled_from([None, 0, 1, 2]),
        "intact": st.booleans(),
    }
)
CURRENT = st.fixed_dictionaries(
    {
        "generation": WORD,
        "damage": st.lists(WORD, max_size=2),
        "damaged": st.integers(0, 9),
        "manifest": st.dictionaries(st.sampled_from(["digest", "origin", "stack"]), WORD),
        "verdict": st.one_of(st.none(), st.fixed_dictionaries({"exit": st.integers(0, 2)})),
    }
)
OBSERVED = st.fixed_dictionaries(
    {
        "user": st.fixed_dictionaries({"name": WORD, "privilege": st.sampled_from(["root", "sudo", "none"])}),
        "os": st.fixed_dictionaries(
            {
                "id": st.one_of(st.just("debian"), WORD),
                "version_id": st.one_of(st.just("12"), WORD),
                "pretty_name": WORD,
            }
        ),
        "cpu": st.fixed_dictionaries(
            {
                "architecture": st.one_of(st.sampled_from(["x86_64", "aarch64"]), WORD),
                "isa": WORD,
                "cores": st.integers(1, 512),
            }
        ),
        "memory": st.fixed_dictionaries({"total": st.integers(0, 2**42), "available": st.integers(0, 2**42)}),
        "disk": st.fixed_dictionaries({"path": WORD, "free": st.integers(0, 2**40)}),
        "accelerators": st.lists(GPU, max_size=2),
        "nvidia": st.fixed_dictionaries({"driver": st.one_of(st.none(), VERSION, WORD)}),
        "compilers": st.dictionaries(st.just("gcc"), st.one_of(st.none(), VERSION)),
        "pythons": st.lists(st.fixed_dictionaries({"path": WORD, "version": VERSION}), max_size=2),
        "apt": st.fixed_dictionaries({"missing": st.lists(WORD, max_size=2)}),
        "sources": st.dictionaries(st.sampled_from(["cpu_wheels", "package_index"]), SOURCE),
        "root": WORD,
        "toolbox": st.fixed_dictionaries({"digest": st.one_of(st.none(), WORD), "intact": st.booleans()}),
        "environments": st.dictionaries(
            st.just("speech"),
            st.fixed_dictionaries(
                {"current": st.one_of(st.none(), CURRENT), "generations": st.lists(GENERATION, max_size=2)}
            ),
        ),
        "wheels": st.lists(WORD, max_size=2),
        "busy": st.one_of(st.none(), st.dictionaries(st.sampled_from(["pid", "purpose"]), WORD)),
    }
)
ENVIRONMENT = st.builds(
    Environment,
    name=st.just("speech"),
    stack=st.sampled_from(["auto", "none", "cpu", "cuda13_0", "nope"]),
    packages=st.lists(st.one_of(st.sampled_from([*CATALOG.packages, "torch"]), WORD), max_size=4).map(tuple),
    models=st.lists(WORD, max_size=1).map(tuple),
)
WANTED = st.builds(
    Wanted,
    environments=st.lists(ENVIRONMENT, max_size=1).map(tuple),
    stack=st.sampled_from(["auto", "none", "cpu", "nope"]),
    python=st.sampled_from(["", "3.11"]),
    system_packages=st.booleans(),
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(WANTED, OBSERVED)
def test_every_host_gets_a_plan_or_refusals_that_name_a_remedy(wanted: Wanted, observed: dict[str, Any]) -> None:
    result = plan(wanted, [], observed, CATALOG, {}, TOOLBOX)
    assert all(found.item and found.problem and found.remedy for found in result.refusals)
    assert not (result.refusals and result.steps)
    assert [phase for phase in PHASES if phase in {step["phase"] for step in result.steps}] == result.phases


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(WANTED, OBSERVED)
def test_the_same_input_gives_the_same_bytes_and_is_left_alone(wanted: Wanted, observed: dict[str, Any]) -> None:
    before = copy.deepcopy(observed)
    one, two = (json.dumps(plan(wanted, [], observed, CATALOG, {}, TOOLBOX).data(), sort_keys=True) for _ in range(2))
    assert one == two
    assert observed == before


@given(st.sampled_from(["avx2", "avx512", "armv9"]), st.sampled_from([[], [gpu("11.0")], [gpu("12.1"), gpu("12.0")]]))
def test_after_a_run_that_did_it_all_nothing_is_left_to_do(isa: str, accelerators: list[dict[str, Any]]) -> None:
    observed, locks, _ = settled(thor(cpu={"architecture": "aarch64", "isa": isa}, accelerators=accelerators))
    assert decide(observed, locks=locks).steps == []


# Projects and what the stack overrides


def with_project(*requirements: str, overrides: Mapping[str, str] | None = None, **changes: Any) -> tuple[Any, Any]:
    """An environment with torch and a project `voice` that requires this, and the catalog that knows it."""
    declared = tuple(Declared(line, f"voice requirements.txt:{n}") for n, line in enumerate(requirements, 1))
    project = Project("voice", declared, overrides or {})
    return Environment("speech", projects=("voice",), **changes), replace(CATALOG, projects={"voice": project})


def overridden(item: EnvironmentPlan) -> list[tuple[str, str]]:
    return [(entry["asked"], entry["got"]) for entry in item.overrides]


def test_a_projects_pin_on_torch_is_overridden_and_said_before_anything_is_resolved() -> None:
    environment, catalog = with_project("torch==2.7", "numpy==1.26.0")
    item = only(decide(host(), environment, catalog=catalog))
    assert overridden(item) == [("torch==2.7", item.versions["torch"])]
    assert {"torch==2.7", "numpy==1.26.0"} <= set(item.lock["requirements"])
    assert any(line.startswith("torch==2.11.0") for line in item.lock["overrides"])


def test_once_resolved_the_versions_of_the_lock_are_judged() -> None:
    environment, catalog = with_project("numpy==1.22.0", "fairseq", overrides={"numpy<2": "1.22 has no wheel"})
    item = only(decide(host(), environment, catalog=catalog))
    item = only(decide(host(), environment, catalog=catalog, locks=locked(item, "numpy==1.26.4\n")))
    assert overridden(item) == [("fairseq", "left out"), ("numpy==1.22.0", "1.26.4")]
    assert item.overrides[1]["why"] == "voice: 1.22 has no wheel"


def test_a_projects_requirements_are_part_of_the_lock() -> None:
    environment, catalog = with_project("numpy")
    locks = locked(only(decide(host(), environment, catalog=catalog)))
    assert only(decide(host(), environment, catalog=catalog, locks=locks)).lock["status"] == "hit"
    environment, catalog = with_project("numpy", "scipy")
    assert only(decide(host(), environment, catalog=catalog, locks=locks)).lock["status"] == "stale"


def test_another_wheel_of_a_project_is_another_generation() -> None:
    environment, catalog = with_project()
    locks = locked(only(decide(host(), environment, catalog=catalog)))
    digests = set()
    for content in ("", "one", "two"):
        own = OwnWheel("voice-1.0-py3-none-any.whl", "/x", "0" * 64, content) if content else None
        project = replace(catalog.projects["voice"], wheel=own)
        digests.add(
            only(decide(host(), environment, catalog=replace(catalog, projects={"voice": project}), locks=locks)).digest
        )
    assert len(digests) == 3 and None not in digests


def test_a_project_that_requires_torch_gets_that_of_the_stack() -> None:
    environment, catalog = with_project("torchaudio>=2")
    assert "torchaudio" in only(decide(host(), environment, catalog=catalog)).versions


def test_torch_is_refused_to_a_project_where_the_environment_has_no_stack() -> None:
    environment, catalog = with_project("torch==2.7", stack="none")
    found = refusal(decide(host(), environment, catalog=catalog))
    assert str(found) == (
        "environment speech: torch==2.7 (voice requirements.txt:1) belongs to a stack, but stack is none. "
        "Remedy: set stack: auto"
    )


def test_an_override_of_a_project_on_a_package_of_the_stack_is_refused() -> None:
    environment, catalog = with_project("torch", overrides={"torch==2.7": "it was trained with it"})
    assert str(refusal(decide(host(), environment, catalog=catalog))) == (
        "project voice: its override torch==2.7 is on a package that belongs to the stack cpu. "
        "Remedy: leave it out; for that version, choose a stack for environment speech that has this version"
    )


def test_an_environment_that_shall_be_repaired_gets_a_new_generation_though_nothing_is_wrong() -> None:
    observed, locks, item = settled(host())
    result = decide(observed, locks=locks, repair=("speech",))
    assert (only(result).generation, result.phases) == (f"{item.generation}-r1", ["install", "verify", "activate"])
