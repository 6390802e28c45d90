"""What a project requires, read from its own files as pip, uv and Poetry write them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.plan import guard
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.tasks import tasks
from ansible_collections.wavesmith.provision.plugins.module_utils.prefix import generation
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.project import Project
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.variables import Environment, Wanted
from ansible_collections.wavesmith.provision.plugins.plugin_utils import catalog_files, project_files
from hypothesis import given
from hypothesis import strategies as st

from .test_plan import CATALOG, decide, gpu, host, locked, only
from .test_prefix import VERSION, Host, sha256

SETS = Path(__file__).parent / "requirement_sets"


def project(folder: Path, files: dict[str, str], **source: Any) -> Project:
    """Write files into a folder and read it as a project named voice, which must be usable."""
    found, refusals = read(folder, files, **source)
    assert not refusals, str(refusals[0])
    return found["voice"]


def read(folder: Path, files: dict[str, str], **source: Any) -> tuple[dict[str, Project], list[Any]]:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    source = {"path": str(folder), **source}
    environment = Environment("speech", projects=("voice",))
    return project_files.read(Wanted((environment,), projects={"voice": source}), folder)


def declared(found: Project) -> dict[str, str]:
    return {item.by.removeprefix("voice "): item.requirement for item in found.declared}


def refusal(folder: Path, files: dict[str, str], **source: Any) -> str:
    _, refusals = read(folder, files, **source)
    (only,) = refusals
    return str(only)


# Requirements files


def test_each_requirement_is_remembered_with_its_file_and_line(tmp_path: Path) -> None:
    text = "# the model\ntorch==2.7  # tested\n\nnumpy \\\n  <2\n"
    assert declared(project(tmp_path, {"requirements.txt": text})) == {
        "requirements.txt:2": "torch==2.7",
        "requirements.txt:4": "numpy<2",
    }


def test_included_files_are_read_once_from_where_they_are(tmp_path: Path) -> None:
    files = {"requirements.txt": "-r more/base.txt\n", "more/base.txt": "torch\n-r ../requirements.txt\n"}
    assert declared(project(tmp_path, files)) == {"more/base.txt:1": "torch"}


def test_indexes_options_and_the_project_itself_are_passed_over(tmp_path: Path) -> None:
    text = "--extra-index-url https://example.org\n-c pins.txt\n-e .\n.\ntorch==2.7 --hash=sha256:00\n"
    assert list(declared(project(tmp_path, {"requirements.txt": text})).values()) == ["torch==2.7"]


def test_a_line_that_is_no_requirement_is_refused_with_its_place(tmp_path: Path) -> None:
    assert "requirements.txt:2: 'torch=2.7' is not a requirement" in refusal(
        tmp_path, {"requirements.txt": "numpy\ntorch=2.7\n"}
    )


def test_an_address_is_refused_because_no_hash_pins_it(tmp_path: Path) -> None:
    text = "fairseq @ git+https://example.org/fairseq\n"
    said = refusal(tmp_path, {"requirements.txt": text})
    assert "project voice: requirements.txt:1" in said and "Remedy: name a release of it under overrides" in said


def test_an_address_that_an_override_replaces_is_no_obstacle(tmp_path: Path) -> None:
    text = "fairseq @ git+https://example.org/fairseq\n"
    found = project(tmp_path, {"requirements.txt": text}, overrides={"fairseq ; python_version < '0'": "not used"})
    assert found.overrides == {"fairseq ; python_version < '0'": "not used"}


def test_a_file_outside_of_the_project_is_not_read(tmp_path: Path) -> None:
    assert "includes ../secret.txt, which is outside of the project" in refusal(
        tmp_path / "voice", {"requirements.txt": "-r ../secret.txt\n"}
    )


@given(st.text(alphabet=st.sampled_from("torch=<>!~;[]()@ -rc.#\\\n\t\"'7"), max_size=60))
def test_whatever_a_requirements_file_holds_is_read_or_refused_with_a_remedy(text: str) -> None:
    with TemporaryDirectory() as folder:
        found, refusals = read(Path(folder), {"requirements.txt": text})
    assert bool(found) != bool(refusals)
    assert all(item.remedy for item in refusals)


# pyproject.toml

STANDARD = """\
[project]
name = "Voice"
requires-python = ">=3.10"
dependencies = [
    "torch==2.7",
]
[project.optional-dependencies]
tts = ["onnx==1.17.0"]
all = ["voice[tts]", "gradio"]
[dependency-groups]
test = ["pytest>=8", {include-group = "lint"}]
lint = ["ruff"]
"""


def test_a_pyproject_is_taken_before_a_requirements_file(tmp_path: Path) -> None:
    files = {"pyproject.toml": STANDARD, "requirements.txt": "other\n"}
    assert declared(project(tmp_path, files)) == {"pyproject.toml:3": "python>=3.10", "pyproject.toml:5": "torch==2.7"}


def test_the_chosen_extras_bring_theirs_and_those_they_name(tmp_path: Path) -> None:
    found = project(tmp_path, {"pyproject.toml": STANDARD}, extras=["all"])
    assert set(found.requires) == {"torch==2.7", "onnx==1.17.0", "gradio"}


def test_the_chosen_groups_bring_theirs_and_those_they_include(tmp_path: Path) -> None:
    found = project(tmp_path, {"pyproject.toml": STANDARD}, groups=["test"])
    assert set(found.requires) == {"torch==2.7", "pytest>=8", "ruff"}


@pytest.mark.parametrize(("kind", "name"), [("extra", "tss"), ("group", "tests")])
def test_an_extra_or_group_that_is_not_there_is_refused_with_the_nearest(tmp_path: Path, kind: str, name: str) -> None:
    said = refusal(tmp_path, {"pyproject.toml": STANDARD}, **{f"{kind}s": [name]})
    assert f"has no {kind} '{name}'. Remedy: did you mean t" in said


def test_dependencies_that_only_a_build_backend_knows_are_refused(tmp_path: Path) -> None:
    text = '[project]\nname = "voice"\ndynamic = ["dependencies"]\n'
    assert "Remedy: name its requirements files under files" in refusal(tmp_path, {"pyproject.toml": text})


def test_a_pyproject_that_is_no_toml_is_refused(tmp_path: Path) -> None:
    assert "pyproject.toml cannot be read" in refusal(tmp_path, {"pyproject.toml": "[project\n"})


# Poetry

POETRY = """\
[tool.poetry.dependencies]
python = "^3.10"
torch = "^2.7"
transformers = {version = "~4.47.1", extras = ["torch"], markers = "sys_platform == 'linux'"}
onnx = {version = "1.17.0", optional = true}
[tool.poetry.extras]
tts = ["onnx"]
[tool.poetry.group.dev.dependencies]
pytest = "8.*"
"""


def test_the_constraints_of_poetry_become_requirements(tmp_path: Path) -> None:
    assert declared(project(tmp_path, {"pyproject.toml": POETRY})) == {
        "pyproject.toml:2": "python<4.0,>=3.10",
        "pyproject.toml:3": "torch<3.0,>=2.7",
        "pyproject.toml:4": 'transformers[torch]<4.48.0,>=4.47.1; sys_platform == "linux"',
    }


def test_extras_and_groups_of_poetry_are_chosen_by_name(tmp_path: Path) -> None:
    found = project(tmp_path, {"pyproject.toml": POETRY}, extras=["tts"], groups=["dev"])
    assert {"onnx==1.17.0", "pytest==8.*"} <= set(found.requires)


def test_a_poetry_dependency_on_a_folder_is_refused(tmp_path: Path) -> None:
    text = '[tool.poetry.dependencies]\nmelo = {path = "../melo"}\n'
    assert "pyproject.toml:2: melo is a path" in refusal(tmp_path, {"pyproject.toml": text})


def test_a_poetry_constraint_that_no_requirement_can_say_is_refused(tmp_path: Path) -> None:
    text = '[tool.poetry.dependencies]\ntorch = ">=2,<2.3 || ^3"\n'
    assert "pyproject.toml:2: 'torch" in refusal(tmp_path, {"pyproject.toml": text})


ODD = st.recursive(
    st.one_of(st.booleans(), st.integers(), st.sampled_from(["torch==2.7", "^2", "", "x y", "voice[a]", "*"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["a", "torch", "dependencies", "version", "git", "python"]), inner, max_size=3),
    ),
    max_leaves=6,
)


@given(
    st.sampled_from(["project.dependencies", "project.optional-dependencies", "dependency-groups", "project.dynamic"])
    | st.sampled_from(["tool.poetry.dependencies", "tool.poetry.extras", "tool.poetry.group", "project", "tool"]),
    ODD,
    st.sampled_from([{}, {"extras": ["a"]}, {"groups": ["a"]}]),
)
def test_whatever_a_pyproject_holds_is_read_or_refused_with_a_remedy(
    key: str, value: Any, chosen: dict[str, Any]
) -> None:
    text = toml(key, value)
    with TemporaryDirectory() as folder:
        found, refusals = read(Path(folder), {"pyproject.toml": text}, **chosen)
    assert bool(found) != bool(refusals)
    assert all(item.remedy for item in refusals)


def toml(key: str, value: Any) -> str:
    """A value as TOML, in one line."""

    def inline(item: Any) -> str:
        if isinstance(item, dict):
            return "{" + ", ".join(f'"{name}" = {inline(part)}' for name, part in item.items()) + "}"
        return "[" + ", ".join(map(inline, item)) + "]" if isinstance(item, list) else json.dumps(item)

    return f"{key} = {inline(value)}\n"


# Where a project is


def test_a_project_is_read_at_its_commit_whatever_the_branch_holds_now(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    repository = tmp_path / "repository"

    def git(*arguments: str) -> str:
        who = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
        argv = ["git", *who, "-C", str(repository), *arguments]
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()

    repository.mkdir()
    git("init", "-q")
    (repository / "requirements.txt").write_text("torch==2.7\n")
    git("add", ".")
    git("commit", "-qm", "one")
    commit = git("rev-parse", "HEAD")
    (repository / "requirements.txt").write_text("torch==2.8\n")
    git("commit", "-qam", "two")
    source = {"git": repository.as_uri(), "commit": commit}
    assert project_files.load("voice", source, tmp_path).requires == ["torch==2.7"]
    shutil.rmtree(repository)  # what was fetched once is not asked for again
    assert project_files.load("voice", source, tmp_path).requires == ["torch==2.7"]


def test_a_commit_that_cannot_be_had_is_refused(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    source = {"git": (tmp_path / "nowhere").as_uri(), "commit": "0" * 40}
    environment = Environment("speech", projects=("voice",))
    _, (refused,) = project_files.read(Wanted((environment,), projects={"voice": source}), tmp_path)
    assert "commit 000000000000 cannot be fetched" in str(refused)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"path": "/nowhere"}, "/nowhere is not a folder"),
        ({"git": "https://example.org/x"}, "see catalog/schema/project.json"),
        ({"path": ".", "overrides": {"numpy<2": ""}}, "see catalog/schema/project.json"),
        ({"path": ".", "files": ["setup.py"]}, "see catalog/schema/project.json"),
        ({"path": "."}, "it has neither pyproject.toml nor requirements.txt"),
        ({"path": ".", "files": ["missing.txt"]}, "it has no file missing.txt"),
        ("a folder", "see catalog/schema/project.json"),
    ],
)
def test_a_project_that_cannot_be_used_is_refused_with_the_remedy(tmp_path: Path, source: Any, said: str) -> None:
    environment = Environment("speech", projects=("voice",))
    found, (refused,) = project_files.read(Wanted((environment,), projects={"voice": source}), tmp_path)
    assert said in str(refused) and not found


def test_an_unknown_project_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    environment = Environment("speech", projects=("diffrythm2",))
    _, (refused,) = project_files.read(Wanted((environment,)), tmp_path)
    assert "did you mean diffrhythm2?" in str(refused)


# The project itself

BACKEND = """\
import os, zipfile
def build_wheel(folder, settings=None, metadata=None):
    info, name = "voice-1.0.dist-info", "voice-1.0-{tag}.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as archive:
        for path, text in [("voice.py", open("voice.py").read()), (f"{{info}}/METADATA", "Metadata-Version: 2.1\\nName: voice\\nVersion: 1.0\\n"),
                           (f"{{info}}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: {tag}\\n"), (f"{{info}}/RECORD", "")]:
            archive.writestr(zipfile.ZipInfo(path), text)
    return name
"""
OWN = """\
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "voice"
version = "1.0"
dependencies = ["torch==2.7"]
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "wavesmith" / "projects"


def own_files(tag: str = "py3-none-any", backend: str = BACKEND) -> dict[str, str]:
    return {"pyproject.toml": OWN, "backend.py": backend.format(tag=tag), "voice.py": "SOUND = 440\n"}


def test_a_project_itself_becomes_a_wheel_where_it_is_to_be_installed(tmp_path: Path, cache: Path) -> None:
    folder = tmp_path / "voice"
    assert project(folder, own_files()).wheel is None
    made = project(folder, own_files(), install=True).wheel
    assert made is not None and made.file == "voice-1.0-py3-none-any.whl"
    assert made.sha256 == sha256(Path(made.path))
    assert sorted(path.name for path in folder.iterdir()) == sorted(own_files()), "nothing is written into its folder"


def test_a_wheel_is_built_once_for_the_same_files_and_again_for_others(tmp_path: Path, cache: Path) -> None:
    folder = tmp_path / "voice"
    first = project(folder, own_files(), install=True).wheel
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "voice.pyc").write_text("")
    assert project(folder, own_files(), install=True).wheel == first
    other = project(folder, {**own_files(), "voice.py": "SOUND = 220\n"}, install=True).wheel
    assert first and other and first.content != other.content
    assert len([path for path in cache.iterdir() if not path.name.startswith(".")]) == 2


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (own_files(tag="cp311-cp311-linux_x86_64"), "its wheel is specific to a platform: voice-1.0-cp311-"),
        (own_files(backend="raise SystemExit('no {tag} today')"), "its wheel cannot be built"),
        ({**own_files(), "pyproject.toml": OWN.replace("[]", '["unknown-backend"]')}, "its wheel cannot be built"),
    ],
    ids=["for one machine", "broken", "a backend that no hash pins"],
)
def test_a_project_whose_wheel_cannot_be_had_is_refused(
    tmp_path: Path, cache: Path, files: dict[str, str], said: str
) -> None:
    text = refusal(tmp_path / "voice", files, install=True)
    assert text.startswith(f"project voice: {said}") and "Remedy: " in text
    assert not list(cache.iterdir()), "nothing half-made is left"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "table"),
    [
        ("poetry.core.masonry.api", '[tool.poetry]\npackages = [{include = "voice.py"}]'),
        ("hatchling.build", '[tool.hatch.build.targets.wheel]\nonly-include = ["voice.py"]'),
        ("setuptools.build_meta", '[tool.setuptools]\npy-modules = ["voice"]'),
    ],
)
def test_the_usual_build_backends_are_pinned(tmp_path: Path, cache: Path, backend: str, table: str) -> None:
    name = {"poetry": "poetry-core"}.get(backend.split(".")[0], backend.split(".")[0])
    system = f'[build-system]\nrequires = ["{name}"]\nbuild-backend = "{backend}"\n'
    text = system + f'[project]\nname = "voice"\nversion = "1.0"\n{table}\n'
    made = project(tmp_path / "voice", {"pyproject.toml": text, "voice.py": "SOUND = 440\n"}, install=True).wheel
    assert made is not None
    with zipfile.ZipFile(made.path) as archive:
        assert "voice.py" in archive.namelist()


# The catalog's own


def sets(name: str) -> Project:
    """A project of the catalog, read from the copy of its requirements instead of its repository."""
    source = catalog_files.projects()[name]
    files = [Path(file).name for file in source.get("files", ["pyproject.toml"])]
    copy = {key: source[key] for key in ("extras", "overrides") if key in source}
    return project_files.load(name, {**copy, "path": str(SETS / name), "files": files}, Path())


@pytest.mark.parametrize("name", sorted(catalog_files.projects()))
def test_a_project_of_the_catalog_is_read_as_upstream_wrote_it(name: str) -> None:
    source = catalog_files.projects()[name]
    assert any(requirement.startswith("torch") for requirement in sets(name).requires)
    (file,) = (SETS / name).iterdir()
    assert source["commit"] in file.read_text().splitlines()[0]
    assert any(source["commit"] in line for line in source["sources"])


@pytest.mark.slow
def test_four_projects_that_fight_over_torch_fit_one_environment_and_the_stack_stays(tmp_path: Path) -> None:
    """Really resolved with uv against the package index: MaskGCT and Vevo, DiffRhythm 2, DualCodec, fish-speech."""
    projects = {name: sets(name) for name in catalog_files.projects()}
    catalog = replace(CATALOG, projects=projects)
    environment = Environment("all_four", stack="cuda13_0_torch2_11", projects=tuple(projects))
    card = gpu("9.0", "NVIDIA H100")
    observed = host(
        accelerators=[card], nvidia={"driver": "580.82"}, pythons=[{"path": sys.executable, "version": VERSION}]
    )
    planned = decide(observed, environment, catalog=catalog)
    (spec,) = tasks(planned, {})["lock"]
    machine = Host(tmp_path)
    text = generation.resolve(machine.job, str(machine.root), spec, "")

    item = only(decide(observed, environment, catalog=catalog, locks=locked(only(planned), text)))
    versions = guard.locked(text)
    assert {name: versions[name] for name in item.versions} == item.versions
    stack = catalog.stacks["cuda13_0"].versions
    assert all(versions[name] == stack[name] for name in ("torch", "torchaudio", "torchvision"))
    torch = stack["torch"].rpartition(".")[0]
    assert [(entry["asked"], entry["by"], entry["got"].rpartition(".")[0]) for entry in item.overrides] == [
        ("accelerate==0.24.1", "amphion-maskgct requirements.txt:6", "1.15"),
        ("librosa==0.9.2", "diffrhythm2 requirements.txt:12", "0.11"),
        ("scipy==1.12.0", "amphion-maskgct requirements.txt:9", "1.15"),
        ("torch==2.0.1", "amphion-maskgct requirements.txt:4", torch),
        ("torch==2.7", "diffrhythm2 requirements.txt:2", torch),
        ("torch==2.8.0", "fish-speech pyproject.toml:8", torch),
        ("torchaudio==2.7", "diffrhythm2 requirements.txt:3", "2.11"),
        ("torchaudio==2.8.0", "fish-speech pyproject.toml:9", "2.11"),
        ("transformers==4.41.2", "amphion-maskgct requirements.txt:5", "4.47"),
    ]
    print("\n".join(guard.lines(item.overrides)))
