"""What is decided about the engine conda: its channels, its lock, its refusals, and what an environment finds set."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.plan import conda, environ
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.lockfile import LOCK_MARK
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.record import EnvironmentPlan
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.variables import Environment, Wanted, read
from ansible_collections.wavesmith.provision.plugins.plugin_utils.text import plan_text
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.test_plan import SILENT, decide, host, only, refusal

SPEECH = Environment("speech", engine="conda", stack="none", packages=("librosa",))
BUILT = Environment("speech", engine="conda", stack="none", packages=("pyworld",))
RECORD = {
    "channel": "conda-forge",
    "fn": "python-3.11.9-0.conda",
    "name": "python",
    "sha256": "0" * 64,
    "subdir": "linux-64",
    "version": "3.11.9",
}


def locks(item: EnvironmentPlan) -> dict[str, str]:
    return {
        item.lock["key"]: f"{LOCK_MARK}{item.lock['inputs']}\nlibrosa==0.11.0\n",
        item.conda["key"]: f"{LOCK_MARK}{item.conda['inputs']}\n{conda.lock_text([RECORD])}",
    }


def settled(**wanted: Any) -> EnvironmentPlan:
    return only(decide(host(), SPEECH, locks=locks(only(decide(host(), SPEECH, **wanted))), **wanted))


# Locks


def test_both_locks_are_resolved_first() -> None:
    item = only(decide(host(), SPEECH))
    assert (item.conda["key"].rpartition("-")[0], item.conda["status"], item.lock["status"]) == (
        "speech-python311-conda-linux-64",
        "missing",
        "missing",
    )
    assert item.phases == ["lock", "install", "verify", "activate"]


def test_only_the_missing_lock_is_resolved() -> None:
    item = only(decide(host(), SPEECH))
    half = {item.lock["key"]: locks(item)[item.lock["key"]]}
    result = decide(host(), SPEECH, locks=half)
    assert [step["detail"] for step in result.steps if step["phase"] == "lock"] == [f"resolve {item.conda['key']}"]


def test_a_generation_is_named_once_both_locks_are_there() -> None:
    item = settled()
    assert item.digest and item.phases == ["install", "verify", "activate"]


def test_the_engine_makes_another_generation() -> None:
    venv = Environment("speech", stack="none", packages=("librosa",))
    item = only(decide(host(), venv, locks=locks(only(decide(host(), SPEECH)))))
    assert item.digest and item.digest != settled().digest


def test_the_pip_lock_serves_both_engines() -> None:
    venv = Environment("speech", stack="none", packages=("librosa",))
    assert only(decide(host(), venv)).lock == only(decide(host(), SPEECH)).lock


def test_a_mirror_leaves_lock_and_generation_as_they_are() -> None:
    mirror = settled(conda_channels=("https://mirror.example.org/conda-forge/",))
    assert (mirror.digest, mirror.conda["status"]) == (settled().digest, "hit")


@pytest.mark.parametrize("change", [{"conda_channels": ("bioconda",)}, {"native": "channel"}, {"python": "3.11"}])
def test_what_is_asked_of_the_channel_decides_the_lock(change: dict[str, Any]) -> None:
    before, after = only(decide(host(), SPEECH)).conda, only(decide(host(), SPEECH, **change)).conda
    assert (before["inputs"] == after["inputs"]) == ("python" in change)


def test_native_software_of_the_channel_has_a_lock_of_its_own() -> None:
    item = only(decide(host(), SPEECH, native="channel"))
    assert item.conda["key"].startswith("speech-python311-conda-linux-64-native-")
    assert item.conda["specs"] == ["python 3.11.*", "compilers", "espeak-ng", "ffmpeg"]


def test_a_host_of_the_other_architecture_has_a_lock_of_its_own() -> None:
    observed = host(cpu={"architecture": "aarch64", "isa": "armv9"})
    assert only(decide(observed, SPEECH)).conda["key"].startswith("speech-python311-conda-linux-aarch64-")


# Python


def test_the_channel_gives_a_python_the_system_lacks() -> None:
    item = only(decide(host(), SPEECH, python="3.12"))
    assert item.python == {"path": "", "version": "3.12"} and item.conda["specs"] == ["python 3.12.*"]


def test_a_python_the_stack_has_no_wheels_for_is_refused() -> None:
    assert "needs Python 3.9" in refusal(decide(host(), SPEECH, python="3.9")).problem


def test_the_plan_says_where_python_is_from() -> None:
    observed = {**host(), "memory": {"total": 2**30}}
    result = decide(observed, SPEECH)
    assert "python   3.11 (from conda-forge), engine conda" in plan_text("h", result, observed)


# Refusals


def test_a_package_built_from_source_needs_the_systems_python() -> None:
    found = refusal(decide(host(), BUILT, python="3.12"))
    assert str(found) == (
        "environment speech: pyworld are built with the system's Python 3.12, which this host lacks. "
        "Remedy: install it with its headers, or set wavesmith_python to one that is there"
    )


def test_what_the_systems_compiler_builds_does_not_mix_with_the_channels_software() -> None:
    assert "one environment does not mix the two" in refusal(decide(host(), BUILT, native="channel")).problem


def test_a_virtual_environment_has_no_channel() -> None:
    venv = Environment("speech", stack="none", packages=("librosa",))
    assert refusal(decide(host(), venv, native="channel")).remedy == "set engine: conda, or wavesmith_native: system"


@pytest.mark.parametrize(
    ("channels", "problem"),
    [(("conda-forge", "/srv/conda-forge"), "two channels are called 'conda-forge'"), ((), "it is empty")],
)
def test_channels_that_cannot_serve_are_refused(channels: tuple[str, ...], problem: str) -> None:
    assert problem in refusal(decide(host(), SPEECH, conda_channels=channels)).problem


def test_a_silent_channel_is_refused_before_anything_is_changed() -> None:
    sources = {**host()["sources"], "channel conda-forge": SILENT}
    found = refusal(decide(host(sources=sources), SPEECH, conda_channel_alias="https://mirror.example.org"))
    assert found.problem == "the channel conda-forge does not answer (HTTP 503)"


def test_native_software_of_the_channel_is_not_missed_in_the_system() -> None:
    observed = host(apt={"present": True, "installed": {}, "missing": ["espeak-ng", "sox"]})
    assert decide(observed, SPEECH, native="channel").system_missing == ["sox"]


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("native", {"espeak-ng": "channel", "ffmpeg": "system"}, "must be text"),
        ("native", "both", "an environment takes all native software from one of them"),
        ("conda_channels", 3, "must be a list"),
        ("conda_channels", [1], "must be a list of names, URLs or folders"),
        ("conda_offline", "perhaps", "must be true or false"),
    ],
)
def test_a_variable_of_a_wrong_kind_is_refused(name: str, value: Any, problem: str) -> None:
    (found,) = read({f"wavesmith_{name}": value})[1]
    assert found.item == f"variable wavesmith_{name}" and problem in found.problem


# Channels


@pytest.mark.parametrize(
    ("entry", "alias", "name", "url"),
    [
        ("conda-forge", "", "conda-forge", f"{conda.ALIAS}/conda-forge"),
        ("conda-forge", "https://mirror.example.org/", "conda-forge", "https://mirror.example.org/conda-forge"),
        ("https://a.example.org/x/voices/", "", "voices", "https://a.example.org/x/voices"),
        ("/srv/voices", "https://mirror.example.org", "voices", "file:///srv/voices"),
    ],
)
def test_a_channel_is_a_name_an_address_or_a_folder(entry: str, alias: str, name: str, url: str) -> None:
    found = conda.channels(Wanted((), conda_channels=(entry,), conda_channel_alias=alias))
    assert found == (conda.Channel(name, url),)


def test_channels_are_asked_only_where_an_environment_needs_them() -> None:
    wanted = Wanted((SPEECH,), conda_channels=("/srv/voices",))
    assert conda.sources(wanted) == {"channel voices": "file:///srv/voices/noarch/repodata.json"}
    assert conda.sources(Wanted((Environment("speech"),))) == {}
    assert conda.sources(Wanted((SPEECH,), conda_channels=("/srv/voices",), conda_offline=True)) == {}


# Lock text

NAMES = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1)
RECORDS = st.lists(
    st.builds(
        lambda name, deps: {**RECORD, "name": name, "fn": f"{name}-1-0.conda", "depends": deps}, NAMES, st.lists(NAMES)
    ),
    unique_by=lambda record: str(record["fn"]),
)


@given(RECORDS)
def test_a_lock_reads_back_as_it_was_written_in_any_order(records: list[dict[str, Any]]) -> None:
    text = conda.lock_text(records)
    assert text == conda.lock_text(records[::-1])
    assert {record["fn"] for record in conda.read_lock(f"{LOCK_MARK}x\n{text}")} == {record["fn"] for record in records}


@given(st.text())
def test_any_text_is_a_lock_or_a_value_error(text: str) -> None:
    try:
        conda.read_lock(text)
    except ValueError as error:
        assert str(error).startswith("line ")


# What an environment finds set

KIT = {"version": "13.0", "path": "/usr/local/cuda-13.0", "source": "nvcc", "nvcc": True}
GPU = "cuda13_0"


def seen(*sms: str, kits: tuple[dict[str, Any], ...] = (KIT,)) -> dict[str, Any]:
    return {"accelerators": [{"sm": sm} for sm in sms], "toolkits": list(kits)}


def test_an_environment_for_gpus_finds_their_toolkit_and_architectures() -> None:
    assert environ.variables(GPU, seen("12.0", "8.6", "8.6"), "system") == {
        "CUDA_HOME": "/usr/local/cuda-13.0",
        "TORCH_CUDA_ARCH_LIST": "8.6;12.0",
        "TRITON_PTXAS_PATH": "/usr/local/cuda-13.0/bin/ptxas",
        "TRITON_PTXAS_BLACKWELL_PATH": "/usr/local/cuda-13.0/bin/ptxas",
    }


@pytest.mark.parametrize("kit", [{**KIT, "version": "12.8"}, {**KIT, "nvcc": False}])
def test_a_toolkit_that_cannot_serve_the_stack_is_not_named(kit: dict[str, Any]) -> None:
    assert set(environ.variables(GPU, seen("11.0", kits=(kit,)), "system")) == {"TORCH_CUDA_ARCH_LIST"}


def test_an_environment_for_the_cpu_finds_nothing_of_a_gpu() -> None:
    assert environ.variables("cpu", seen("11.0"), "system") == {}


def test_espeak_of_the_channel_is_found_in_the_prefix() -> None:
    found = environ.variables("cpu", seen(), "channel")
    assert found["PHONEMIZER_ESPEAK_LIBRARY"] == "{prefix}/lib/libespeak-ng.so.1"
