"""Lines of an environment's ``packages``: what each asks for, and what cannot be meant."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.lock import imports_of
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.lockfile import (
    find,
    flaw,
    head,
    pinned,
    repositories,
)
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.record import Plan
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted import asked
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.catalog import Catalog, Limit, Package
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.variables import Environment, Wanted

from .test_plan import CATALOG, decide, gpu, host, locked, only, refusal

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def of(*lines: str, stack: str = "cpu", catalog: Catalog = CATALOG, **host_facts: object) -> Plan:
    return decide(host(**host_facts), Environment("lab", stack=stack, packages=lines), catalog=catalog)


def with_packages(*packages: Package) -> Catalog:
    return replace(CATALOG, packages={**CATALOG.packages, **{package.name: package for package in packages}})


# --- one line


@pytest.mark.parametrize(
    ("line", "name", "wants"),
    [
        ("pandas", "pandas", "pandas"),
        ("pandas>=2.2", "pandas", "pandas>=2.2"),
        (
            "Some_Package[extra] ~= 1.0 ; python_version < '3.13'",
            "some-package",
            'Some_Package[extra]~=1.0; python_version < "3.13"',
        ),
        (f"git+https://git.example/a/tool.git@{COMMIT}", "", f"git+https://git.example/a/tool.git@{COMMIT}"),
        (f"tool @ git+https://git.example/a/tool@{COMMIT}", "tool", f"tool @ git+https://git.example/a/tool@{COMMIT}"),
        (
            f"tool[gpu]@git+ssh://git@git.example:22/a/tool@{COMMIT}",
            "tool",
            f"tool[gpu] @ git+ssh://git@git.example:22/a/tool@{COMMIT}",
        ),
        (
            f"git+https://git.example/a/b@{COMMIT}#egg=tool&subdirectory=py/tool",
            "tool",
            f"tool @ git+https://git.example/a/b@{COMMIT}#subdirectory=py/tool",
        ),
    ],
)
def test_a_line_is_a_distribution_or_a_commit(line: str, name: str, wants: str) -> None:
    found = asked.read(line)
    assert (found.name, found.line) == (name, wants)
    assert bool(found.commit) == ("git+" in line)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "an option"),
        ("-e .", "an option"),
        ("--index-url=https://elsewhere", "an option"),
        ("-rf", "an option"),
        ("./mine", "it is a path"),
        ("/srv/mine", "it is a path"),
        ("pandas=2", "not a requirement"),
        ("pandas >= two", "not a requirement"),
        ("tool @ https://elsewhere/tool-1.0.tar.gz", "without a hash"),
        ("https://elsewhere/tool-1.0-py3-none-any.whl", "without a hash"),
        ("tool @ file:///srv/tool", "without a hash"),
        ("git+https://git.example/a/tool", "names no commit"),
        ("git+https://git.example/a/tool@main", "not a full commit"),
        ("git+https://git.example/a/tool@v1.0", "not a full commit"),
        (f"git+https://git.example/a/tool@{COMMIT[:12]}", "not a full commit"),
        (f"git+https://git.example/a/tool@{COMMIT.upper()}", "not a full commit"),
        (f"git+http://git.example/a/tool@{COMMIT}", "cannot be fetched from there"),
        (f"git+file:///srv/tool@{COMMIT}", "cannot be fetched from there"),
        (f"git+ext::sh -c id@{COMMIT}", "cannot be fetched from there"),
        (f"git+ext::https://git.example/a@{COMMIT}", "cannot be fetched from there"),
        (f"git+https://--upload-pack=id/a@{COMMIT}", "cannot be fetched from there"),
        (f"git+https://git.example/a/-tool@{COMMIT}", "cannot be fetched from there"),
        (f"git+https://git.example/a/../tool@{COMMIT}", "cannot be fetched from there"),
        (f"git+https://git.example/a b@{COMMIT}", "cannot be fetched from there"),
        (f"tool @ git+https://git.example/a@{COMMIT} ; python_version < '3.12'", "it has a marker"),
        (f"git+https://ada:secret@git.example/a/tool@{COMMIT}", "holds a password"),
        (f"git+https://git.example/a/tool@{COMMIT}#subdirectory=../../etc", "is not understood"),
        (f"git+https://git.example/a/tool@{COMMIT}#subdirectory=/etc", "is not understood"),
        (f"git+https://git.example/a/tool@{COMMIT}#egg=-rf", "is not understood"),
    ],
)
def test_a_line_that_pins_nothing_or_fetches_from_anywhere_is_refused(line: str, said: str) -> None:
    with pytest.raises(asked.Unclear) as error:
        asked.read(line)
    assert said in error.value.problem and error.value.remedy
    found = refusal(of(line))
    assert found.item == "environment lab" and repr(line) in found.problem and said in found.problem


@pytest.mark.parametrize(
    ("specifiers", "disagree"),
    [
        (["<2", ">=2"], True),
        (["==4.46.1", "==4.57.3"], True),
        (["==1.6.0", ">=1.12"], True),
        (["==2.*", "<2.0"], True),
        (["~=2.8.0", "==2.11.0"], True),
        (["<=1.5", ">1.5"], True),
        ([">1.5", "<1.6"], False),
        ([">=2.0.2", "<3"], False),
        (["==4.46.*", ">=4.46.1"], False),
        (["<1", "<5"], False),
        ([">=1.26,!=1.26.4", "<2"], False),
        (["==2.11.0+cpu", ">=2.11"], False),
        ([], False),
        (["", ">=1"], False),
    ],
)
def test_specifiers_disagree_where_no_version_satisfies_all(specifiers: list[str], disagree: bool) -> None:
    assert asked.disagree(specifiers) is disagree


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("librosaa", "librosa"),
        ("libros", "librosa"),
        ("transf0rmers", "transformers"),
        ("soundfyle", "soundfile"),
        ("fasterwhisper", "faster-whisper"),
        ("torhc", "torch"),
        ("transformers", ""),
        ("x-transformers", ""),
        ("sentence-transformers", ""),
        ("pipx", ""),
        ("pandas", ""),
    ],
)
def test_a_name_one_slip_from_a_known_one_is_told_from_another_package(name: str, meant: str) -> None:
    assert asked.mistyped(name, [*CATALOG.packages, "torch"]) == meant


# --- names that the catalog does not know


def test_any_distribution_of_the_index_is_taken_as_asked() -> None:
    result = of("pandas>=2.2", "tabulate", stack="none")
    item = only(result)
    assert not result.refusals
    assert {"pandas>=2.2", "tabulate"} <= set(item.lock["requirements"])
    assert {name: item.imports[name] for name in ("pandas", "tabulate")} == {"pandas": "", "tabulate": ""}


def test_a_name_next_to_a_known_one_is_refused_with_that() -> None:
    found = refusal(of("librosaa"))
    assert "'librosaa' is not in the catalog" in found.problem
    assert found.remedy.startswith("did you mean librosa?")


def test_only_what_the_lock_holds_is_imported() -> None:
    catalog = {name: Package(name, (name,)) for name in ("here", "elsewhere")}
    text = f"here==1.0\nvoice-tool @ git+https://git.example/a/b@{COMMIT}\n"
    assert imports_of([*catalog.values(), Package("known", (), module="known_one")], text) == {
        "here": "",
        "voice-tool": "",
        "known": "known_one",
    }


def test_a_repository_is_no_part_of_what_hashes_pin() -> None:
    text = (
        f"here==1.0 \\\n    --hash=sha256:1\ntool[a] @ git+https://git.example/a/b@{COMMIT}#subdirectory=py\nzip==2\n"
    )
    (found,) = repositories(text)
    assert (found.name, found.extras, found.url, found.commit, found.folder) == (
        "tool",
        "[a]",
        "https://git.example/a/b",
        COMMIT,
        "py",
    )
    assert pinned(text) == "here==1.0 \\\n    --hash=sha256:1\n\nzip==2\n"


def test_a_lock_with_a_repository_is_whole_until_somebody_edits_it() -> None:
    body = f"here==1.0 \\\n    --hash=sha256:{'1' * 64}\ntool @ git+https://git.example/a/b@{COMMIT}\n"
    text = head("a" * 64, body) + body
    assert flaw(text) is None
    assert find("stem", "a" * 64, {f"stem-{'a' * 8}": text}).status == "hit"
    other = text.replace(COMMIT, COMMIT[::-1])
    assert flaw(other) == (1, "no longer fits the lines below it: some were edited, added or removed")
    seen: Any = [{"name": "tool", "version": COMMIT[:12], "kind": "other"}]
    assert flaw(text, seen) is None
    found = flaw(other, seen)
    assert found and found[0] == 4 and "tool 76543210fedc is not the 0123456789ab that was resolved" in found[1]


# --- names that it knows


def test_what_is_asked_comes_beside_what_the_catalog_asks() -> None:
    item = only(of("dualcodec<1", "descript_audio_codec[dev]"))
    assert {"dualcodec>=0.4.2", "dualcodec<1", "descript-audio-codec", "descript_audio_codec[dev]"} <= set(
        item.lock["requirements"]
    )
    assert item.imports["descript-audio-codec"] == "dac"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (("dualcodec<0.4",), "dualcodec<0.4: no version of dualcodec satisfies it, and the catalog asks for >=0.4.2"),
        (("pandas<2", "pandas>=2"), "pandas<2, pandas>=2: no version of pandas satisfies it"),
        (("librosa<0.10", "librosa>=0.11"), "librosa<0.10, librosa>=0.11: no version of librosa satisfies it"),
        (
            ("descript-audio-codec", "protobuf<4"),
            "'protobuf<4' contradicts protobuf<7,>=5 (an override of descript-audio-codec)",
        ),
        (("fairseq>=0.13",), "fairseq is built from source, and its recipe builds 0.12.2, 0.12.3"),
        (("torch>=2.12",), "'torch>=2.12' contradicts torch==2.11.0 (belongs to the stack cpu)"),
        (("torch==2.11.0", "triton<3"), "'triton<3' contradicts triton==3.6.0 (belongs to the stack cpu)"),
    ],
)
def test_what_contradicts_the_catalog_or_the_stack_is_refused_by_name(lines: tuple[str, ...], said: str) -> None:
    result = of(*lines)
    assert len(result.refusals) == 1, result.refusals
    assert said in result.refusals[0].problem


def test_an_override_keeps_what_is_asked_of_the_same_package() -> None:
    item = only(of("descript-audio-codec", "protobuf==5.29.5"))
    assert "protobuf<7,==5.29.5,>=5" in item.lock["overrides"]


def test_a_release_of_a_recipe_is_chosen_by_its_specifier() -> None:
    index = {"package_index": {"answers": True, "detail": ""}, "cpu_wheels": {"answers": False, "detail": "HTTP 503"}}
    item = only(of("torch", "fairseq==0.12.3", sources=index))
    assert [(wheel.name, wheel.version) for wheel in item.wheels] == [("fairseq", "0.12.3")]


def test_a_commit_stands_for_the_release_of_a_package_that_the_catalog_knows() -> None:
    line = f"encodec @ git+https://git.example/a/encodec@{COMMIT}"
    item = only(of(line))
    assert line in item.lock["requirements"] and "encodec" not in item.lock["requirements"]
    assert item.imports["encodec"] == "encodec"


def test_another_commit_is_another_lock() -> None:
    one, other = (only(of(f"git+https://git.example/a/b@{commit}")) for commit in (COMMIT, COMMIT[::-1]))
    assert one.lock["inputs"] != other.lock["inputs"]


@pytest.mark.parametrize("line", [f"torch @ git+https://git.example/a/torch@{COMMIT}"])
def test_the_torch_family_comes_from_no_repository(line: str) -> None:
    assert "torch belongs to the stack" in refusal(of(line)).problem


def test_two_ways_to_have_one_package_are_refused() -> None:
    line = f"tool @ git+https://git.example/a/tool@{COMMIT}"
    assert "both a commit and something else are asked for" in refusal(of(line, "tool>=2")).problem


# --- without a stack


def test_without_a_stack_what_brings_in_the_torch_family_is_refused() -> None:
    """test_encodec_with_stack_none_brought_torch_2_15_with_torchaudio_2_11"""
    plan = Environment("plain", stack="none", packages=("encodec",))
    item = only(decide(host(), plan))
    assert {"torch", "torchaudio", "torchvision", "torchcodec", "triton"} <= set(item.lock["banned"])
    result = decide(host(), plan, locks=locked(item, "encodec==0.1.1\ntorch==2.15.0\ntorchaudio==2.11.0\n"))
    assert "its lock brings in torch, torchaudio, but stack is none" in refusal(result).problem
    assert result.phases == []


def test_without_a_stack_numpy_is_anybodys() -> None:
    """test_pandas_needs_numpy_which_belongs_to_a_stack: that one stack holds numpy does not make it part of the torch family."""
    assert any("numpy" in line for stack in CATALOG.stacks.values() for line in stack.requires)
    item = only(of("pandas", stack="none"))
    assert "numpy" not in {*item.lock["banned"], *item.held}


def test_with_a_stack_nothing_is_banned() -> None:
    assert only(of("encodec")).lock["banned"] == []


def test_what_a_package_imports_without_saying_so_is_the_stacks() -> None:
    assert {"torchaudio", "torchcodec"} <= set(only(of("coqui-tts")).versions)
    found = [str(said) for said in of("coqui-tts", stack="none").refusals]
    assert any("coqui-tts needs torchaudio, which belongs to a stack, but stack is none" in said for said in found)


# --- what cannot be together, and what a stack cannot serve


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            ("parler-tts", "qwen-tts"),
            "parler-tts cannot be with qwen-tts: parler-tts pins transformers==4.46.1, qwen-tts transformers==4.57.3",
        ),
        (("whisperx", "chatterbox-tts"), "whisperx pins numpy>=2.1, chatterbox-tts numpy<2"),
        (("f5-tts", "chatterbox-tts"), "f5-tts pins gradio>=6.15, chatterbox-tts gradio==6.8.0"),
        (("parler-tts", "transformers>=5"), "parler-tts pins transformers==4.46.1, which is asked for otherwise"),
    ],
)
def test_packages_that_cannot_live_together_are_refused_with_the_reason(lines: tuple[str, ...], said: str) -> None:
    assert said in "; ".join(found.problem for found in of(*lines).refusals)


def test_an_override_settles_what_two_pins_fight_over() -> None:
    one = Package("one", ("one",), overrides=("shared>=2",), pins={"shared": "==1"})
    other = Package("other", ("other",), pins={"shared": "==2"})
    assert not of("one", "other", catalog=with_packages(one, other)).refusals


def test_a_pair_is_refused_whichever_entry_names_the_other() -> None:
    one = Package("one", ("one",), conflicts={"other": "both listen on the same port"})
    for lines in (("one", "other"), ("other", "one")):
        result = of(*lines, catalog=with_packages(one, Package("other", ("other",))))
        assert "one cannot be with other: both listen on the same port" in refusal(result).problem


def test_what_the_index_has_for_one_architecture_is_refused_on_the_other() -> None:
    found = of("xformers", cpu={"architecture": "aarch64", "isa": "armv8_2"}).refusals[0]
    assert "xformers cannot be had here: the index has wheels for x86_64 only" in found.problem
    assert found.remedy == "leave xformers out"


@pytest.mark.parametrize("stack", ["cpu", "none"])
def test_what_is_for_a_gpu_alone_is_refused_without_one(stack: str) -> None:
    assert "vllm cannot be had here" in of("vllm", stack=stack).refusals[0].problem


def nvidia(sm: str = "9.0", driver: str = "580.82") -> dict[str, object]:
    """A host with an NVIDIA GPU."""
    everything = {origin.name for stack in CATALOG.stacks.values() for origin in stack.origins}
    return {
        "accelerators": [gpu(sm)],
        "nvidia": {"driver": driver},
        "sources": {name: {"answers": True, "detail": ""} for name in everything},
    }


def test_a_release_is_taken_by_the_torch_that_it_was_built_for() -> None:
    result = of("vllm", stack="auto", **nvidia())
    assert not result.refusals
    assert "vllm==0.26.0" in only(result).lock["requirements"]


def test_a_release_for_another_torch_is_refused_with_those_there_are() -> None:
    package = Package("serve", (), for_torch={"2.9.1": ("serve==1.0",), "2.10.0": ("serve==1.1",)})
    found = refusal(of("serve", catalog=with_packages(package)))
    assert found.problem == (
        "serve cannot be had here: its releases are built for torch 2.10.0, 2.9.1, and stack cpu has 2.11.0"
    )


def test_a_release_that_contradicts_the_one_for_the_stacks_torch_is_refused() -> None:
    result = of("vllm>=0.30", stack="cuda13_0_torch2_11", **nvidia())
    assert "'vllm>=0.30' contradicts vllm==0.26.0" in refusal(result).problem


def test_a_stack_that_can_serve_a_package_goes_before_one_that_cannot() -> None:
    package = Package(
        "only12", ("only12",), limits=(Limit("it is for CUDA 12", {"stack": ("cuda13_0", "cuda13_0_torch2_11")}),)
    )
    result = of("only12", stack="auto", catalog=with_packages(package), **nvidia())
    assert not result.refusals
    assert only(result).stack == "cuda12_8"


@pytest.mark.parametrize("fact", ["architecture", "backend", "machine", "stack"])
def test_a_limit_counts_where_all_its_conditions_hold(fact: str) -> None:
    here = {"architecture": "x86_64", "backend": "cpu", "machine": "server", "stack": "cpu"}
    elsewhere = Limit(
        "it does not work there at all", {**{key: (value,) for key, value in here.items()}, fact: ("other",)}
    )
    everywhere = Limit("it does not work here at all", {fact: (here[fact], "other")})
    assert not of("picky", catalog=with_packages(Package("picky", ("picky",), limits=(elsewhere,)))).refusals
    found = refusal(of("picky", catalog=with_packages(Package("picky", ("picky",), limits=(elsewhere, everywhere)))))
    assert "it does not work here at all" in found.problem


def test_a_package_that_needs_an_older_python_gets_the_one_there_is() -> None:
    pythons = [
        {"path": f"/usr/bin/python3.{minor}", "version": f"3.{minor}.1", "headers": True, "venv": True}
        for minor in (12, 13)
    ]
    assert only(of("chatterbox-tts", pythons=pythons)).python["version"] == "3.12.1"
    found = refusal(of("chatterbox-tts", pythons=pythons[1:]))
    assert "stack cpu with chatterbox-tts (" in found.problem and "needs Python 3.10 to 3.12" in found.problem


def test_what_a_package_brings_counts_as_if_it_were_named() -> None:
    """faster-whisper computes with ctranslate2, whose wheels on the index are for CUDA 12 on x86_64."""
    result = of("faster-whisper", stack="auto", **nvidia())
    assert not result.refusals
    assert only(result).stack == "cuda12_8"


def test_every_name_that_an_entry_gives_is_one_of_the_catalog() -> None:
    family = {name for stack in CATALOG.stacks.values() for name in stack.versions}
    for package in CATALOG.packages.values():
        assert {*package.needs, *package.conflicts} <= {*CATALOG.packages, *family}, package.name


def test_the_wanted_state_takes_lines_as_they_are() -> None:
    assert Wanted(environments=(Environment("lab", packages=("pandas>=2",)),)).environments[0].packages == (
        "pandas>=2",
    )
