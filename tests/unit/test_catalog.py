"""What the catalog's files hold, and what is said about a broken one."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleError
from ansible_collections.wavesmith.provision.plugins.module_utils.terms.variant import Variant
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.catalog import (
    PACKAGE_INDEX,
    SOURCE,
    Catalog,
    Package,
    Release,
    Stack,
    cuda_version,
)
from ansible_collections.wavesmith.provision.plugins.plugin_utils import catalog_files
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
CATALOG = catalog_files.load()
PACKAGES = list(CATALOG.packages.values())
STACKS = list(CATALOG.stacks.values())
RECIPES = [package for package in PACKAGES if package.recipe]


def name(entry: Package | Stack) -> str:
    return entry.name


# Every entry


def test_every_file_is_an_entry() -> None:
    found = {path.stem for kind in ("stacks", "packages", "models") for path in (ROOT / "catalog" / kind).glob("*.yml")}
    assert found == {*CATALOG.stacks, *CATALOG.packages, *CATALOG.models}


@pytest.mark.parametrize("package", PACKAGES, ids=name)
def test_no_package_asks_for_the_torch_family_itself(package: Package) -> None:
    family = {member for stack in STACKS for member in stack.versions}
    asked = {canonicalize_name(Requirement(line).name) for line in (*package.requires, *package.overrides)}
    assert not asked & family


@pytest.mark.parametrize("package", PACKAGES, ids=name)
def test_a_package_is_had_from_an_index_unless_its_recipe_says_otherwise(package: Package) -> None:
    family = {member for stack in STACKS for member in stack.versions}
    built = package.recipe is not None and package.recipe.use == "always"
    assert bool(package.requires or package.for_torch) != (built or package.name in family)


RELEASES = [(package.name, release) for package in RECIPES if package.recipe for release in package.recipe.releases]
LOCKS = sorted((ROOT / "catalog" / "packages" / "locks").glob("*.txt"))


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.stem)
def test_every_lock_of_a_recipe_pins_by_hash(path: Path) -> None:
    for line in re.split(r"\n(?=\S)", path.read_text(encoding="utf-8").replace("\\\n", " ")):
        if line and not line.startswith("#"):
            assert re.match(r"[\w.-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", line), line


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.stem)
def test_every_lock_is_of_some_recipe_and_made_from_its_requirements(path: Path) -> None:
    named = {
        f"locks/{path.name}" in file.read_text(encoding="utf-8")
        for file in (ROOT / "catalog" / "packages").glob("*.yml")
    }
    assert any(named) and path.with_suffix(".in").is_file()


@pytest.mark.parametrize(("package", "release"), RELEASES, ids=lambda value: getattr(value, "version", value))
def test_a_recipe_names_the_source_of_its_version(package: str, release: Release) -> None:
    source = release.source
    if source.kind == "git":
        assert re.fullmatch(r"[0-9a-f]{40}", source.digest)
    else:
        name = re.sub("[-_.]", "[-_.]", package)
        assert re.fullmatch(rf"({name}-|v){re.escape(release.version)}\.(tar\.gz|zip)", source.name)
        assert re.fullmatch(r"[0-9a-f]{64}", source.digest)


CHECKED = (
    (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8").partition("## Checked upstream")[2].partition("\n## ")[0]
)
"""The table of the variables and the files in which their meaning was read."""


@pytest.mark.parametrize("package", RECIPES, ids=name)
def test_the_place_upstream_of_every_variable_is_named_and_was_looked_up(package: Package) -> None:
    rows = [line.split(" | ") for line in CHECKED.splitlines() if line.startswith("| ")]
    looked_up = {
        word
        for row in rows
        if package.name in row[0].lstrip("| ").split(", ")
        for word in re.findall(r"`(\w+)`", row[1])
    }
    file = yaml.safe_load((ROOT / "catalog" / "packages" / f"{package.name}.yml").read_text(encoding="utf-8"))
    for setting in file["recipe"].get("environment", []):
        assert re.search(r"(?:^|[ ;(])[\w.-]+/[\w.-]+:[\w./-]+@\w[\w.]*", setting["source"]), setting["source"]
        assert set(setting["set"]) <= looked_up, (
            "look it up in the file of upstream, then add it to docs/recipes.md, Checked upstream"
        )


@pytest.mark.parametrize("package", RECIPES, ids=name)
def test_flags_that_take_the_place_of_pythons_own_still_optimise(package: Package) -> None:
    # setuptools 81 replaces the flags of Python's own build by CFLAGS: with -march alone, nothing is optimised and Cython's overflows are undefined.
    assert package.recipe is not None
    for setting in package.recipe.settings:
        for variable in {"CFLAGS", "CXXFLAGS"} & set(setting.variables):
            assert {"-O3", "-DNDEBUG", "-fwrapv"} <= set(setting.variables[variable].split())


@pytest.mark.parametrize("package", RECIPES, ids=name)
def test_what_a_recipe_is_compiled_against_has_a_recipe_too(package: Package) -> None:
    assert package.recipe is not None
    assert all(CATALOG.packages[other].recipe for other in package.recipe.compiled_against)


@pytest.mark.parametrize("stack", STACKS, ids=name)
def test_the_backend_of_a_stack_can_be_written_in_a_variant(stack: Stack) -> None:
    variant = Variant("3.12", stack.backend, "", "generic")
    assert Variant.parse(variant.name) == variant


@pytest.mark.parametrize("stack", STACKS, ids=name)
def test_an_origin_is_the_package_index_or_has_an_address_or_is_built_here(stack: Stack) -> None:
    for origin in stack.origins:
        assert (origin.url == "") == (origin.name == PACKAGE_INDEX or origin.kind == SOURCE), origin


@pytest.mark.parametrize("stack", [stack for stack in STACKS if stack.sms], ids=name)
def test_a_stack_has_code_for_capabilities_that_its_cuda_can_compile(stack: Stack) -> None:
    known = catalog_files.load_cuda()
    cuda = cuda_version(stack.backend)
    for architecture, sms in stack.sms.items():
        for sm in sms:
            assert cuda in known.sms[sm].nvcc and architecture in known.sms[sm].architectures, sm
    assert stack.gcc == known.toolkits[cuda]


def test_no_two_stacks_of_one_kind_and_origin_are_equally_preferred_for_one_machine() -> None:
    ranks = [(s.backend.rstrip("0123456789_"), s.preference, s.machines) for s in STACKS]
    assert len(set(ranks)) == len(ranks)


def test_one_origin_has_one_address_in_all_stacks() -> None:
    addresses: dict[str, set[str]] = {}
    for stack in STACKS:
        for origin in stack.origins:
            addresses.setdefault(origin.name, set()).add(origin.url)
    assert all(len(found) == 1 for found in addresses.values())


def test_what_every_environment_gets_is_in_the_catalog() -> None:
    assert set(CATALOG.base) <= set(CATALOG.packages)


INVENTORIES = sorted((ROOT / "inventories").rglob("group_vars/**/*.yml"))


@pytest.mark.parametrize("path", INVENTORIES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_package_and_model_of_our_own_inventories_is_known(path: Path) -> None:
    wanted = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    family = {member for stack in STACKS for member in stack.versions}
    for environment in wanted.get("wavesmith_environments", {}).values():
        assert set(environment.get("packages", [])) <= {*CATALOG.packages, *family}
        assert set(environment.get("models", [])) <= set(CATALOG.models)


def test_the_systems_we_prepare_are_known_by_id_and_version() -> None:
    known = {name: platform.versions for name, platform in CATALOG.platforms.items()}
    assert known["debian"] == ("12", "13")
    assert known["ubuntu"] == ("22.04", "24.04", "25.10")


# Entries of one's own


def own(folder: Path, kind: str, name: str, **changes: Any) -> Path:
    """An overlay with a changed copy of one entry; what the entry names beside it comes along."""
    shutil.copytree(ROOT / "catalog" / kind, folder / kind)
    for path in (folder / kind).glob("*.yml"):
        if path.stem != name:
            path.unlink()
    return edit(folder / kind / f"{name}.yml", lambda data: data.update(changes))


def test_an_entry_of_ones_own_stands_for_that_of_the_catalog(tmp_path: Path) -> None:
    own(tmp_path, "stacks", "cpu", description="my own")
    loaded = catalog_files.load(overlay=tmp_path)
    assert loaded.stacks["cpu"].description == "my own"
    assert loaded.packages == CATALOG.packages


def test_a_recipe_of_ones_own_is_checked_and_named_by_its_path(tmp_path: Path) -> None:
    path = own(tmp_path, "packages", "pyworld", require=["pyworld"])
    with pytest.raises(AnsibleError, match=rf"^{path}: .*require.*Remedy: see catalog/schema/package.json"):
        catalog_files.load(overlay=tmp_path)


def test_a_folder_of_ones_own_that_holds_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        AnsibleError, match="wavesmith_catalog: .* has none of stacks/, packages/, models/, tasks/, weights/"
    ):
        catalog_files.load(overlay=tmp_path)


# A broken file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A catalog of one's own, to break."""
    return Path(shutil.copytree(ROOT / "catalog", tmp_path / "catalog"))


def edit(path: Path, change: Callable[[Any], Any]) -> Path:
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    changed = change(data)
    path.write_text(yaml.safe_dump(changed if isinstance(changed, dict) else data), encoding="utf-8")
    return path


def complaint(folder: Path) -> str:
    with pytest.raises(AnsibleError) as error:
        catalog_files.load(folder)
    return str(error.value)


def test_a_whole_catalog_loads_from_anywhere(folder: Path) -> None:
    loaded: Catalog = catalog_files.load(folder)
    assert loaded == CATALOG


@pytest.mark.parametrize(
    ("file", "change", "place"),
    [
        ("stacks/cpu.yml", lambda data: data["origins"][1].update(disk_gib="much"), "origins.1.disk_gib"),
        ("stacks/cpu.yml", lambda data: data["versions"].update(torch=2.11), "versions.torch"),
        ("stacks/cpu.yml", lambda data: data["origins"][0].update(url="http://plain"), "origins.0.url"),
        ("stacks/cuda13_0.yml", lambda data: data["sms"].update(x86_64=["sm_90"]), "sms.x86_64.0"),
        (
            "stacks/cuda13_0.yml",
            lambda data: {key: data[key] for key in data if key != "driver_minimum"},
            "driver_minimum",
        ),
        (
            "packages/pyworld.yml",
            lambda data: data["recipe"]["releases"][0]["source"].update(sha256="beef"),
            "recipe.releases.0.source",
        ),
        (
            "packages/pyworld.yml",
            lambda data: data["recipe"]["environment"].append({"set": {"A": "1"}}),
            "recipe.environment.1",
        ),
        (
            "packages/pyworld.yml",
            lambda data: data["recipe"]["releases"][0].update(source={"git": "https://a.example/b", "commit": "v1.0"}),
            "recipe.releases.0.source",
        ),
        ("packages/pyworld.yml", lambda data: {key: data[key] for key in data if key != "sources"}, "sources"),
        ("packages/librosa.yml", lambda data: data.update(require=["librosa"]), "require"),
        ("packages/librosa.yml", lambda data: {}, "the file"),
        ("platforms/debian.yml", lambda data: data.update(versions="12"), "versions"),
    ],
)
def test_a_file_against_its_schema_is_named_with_the_place(
    folder: Path, file: str, change: Callable[[Any], Any], place: str
) -> None:
    path = edit(folder / file, change)
    said = complaint(folder)
    assert said.startswith(f"{path}: ")
    assert place in said
    assert "Remedy: see catalog/schema/" in said


def test_a_file_that_is_no_yaml_is_named_with_the_line(folder: Path) -> None:
    path = folder / "packages" / "librosa.yml"
    path.write_text("name: librosa\nrequires: [librosa\n", encoding="utf-8")
    said = complaint(folder)
    assert str(path) in said and "line 3" in said and "Remedy: correct the file" in said


def test_a_file_that_is_not_text_is_named(folder: Path) -> None:
    path = folder / "packages" / "librosa.yml"
    path.write_bytes(b"name: \xff\xfe")
    said = complaint(folder)
    assert str(path) in said and "Remedy: correct the file" in said


def test_a_file_named_other_than_its_entry_is_refused(folder: Path) -> None:
    (folder / "packages" / "librosa.yml").rename(folder / "packages" / "liberosa.yml")
    assert "Remedy: name the file librosa.yml" in complaint(folder)


@pytest.mark.parametrize(
    ("package", "version", "fits"),
    [("torchaudio", "2.10.0", ">=2.11"), ("torchvision", "0.25.0", "==0.26.*"), ("torchcodec", "0.9.1", ">=0.11")],
)
def test_a_stack_whose_versions_do_not_belong_together_is_refused(
    folder: Path, package: str, version: str, fits: str
) -> None:
    path = edit(folder / "stacks" / "cpu.yml", lambda data: data["versions"].update({package: version}))
    said = complaint(folder)
    assert said.startswith(f"{path}: {package} {version} does not belong to torch 2.11.0: it takes {fits}. Remedy: ")


# torch 2.15.0 of the package index is CUDA 13.2, torchaudio 2.11.0 is 13.0: `import torchaudio` raises, though the ABI is stable.
@pytest.mark.parametrize("backend", ["cuda13_2", "cuda12_9", "cuda13_4"])
def test_a_torchaudio_for_another_cuda_than_torchs_is_refused(folder: Path, backend: str) -> None:
    path = edit(folder / "stacks" / "cuda13_0.yml", lambda data: data.update(backend=backend))
    cuda = cuda_version(backend)
    said = complaint(folder)
    assert said.startswith(
        f"{path}: there is no torchaudio 2.11.0 for CUDA {cuda}, and one for another CUDA does not import"
    )
    assert "upstream built it for 12.6, 12.8, 13.0. Remedy: " in said


def test_a_torchaudio_that_is_built_here_is_for_the_cuda_of_its_torch(folder: Path) -> None:
    newer = {"torch": "2.13.0", "torchvision": "0.28.0", "torchaudio": "2.11.0", "torchcodec": "0.13.0"}
    edit(
        folder / "stacks" / "thor.yml",
        lambda data: data.update(backend="cuda13_2", versions=newer, brings={"triton": "3.7.1"}),
    )
    assert "torchaudio" in catalog_files.load(folder).stacks["thor"].versions


@pytest.mark.parametrize(
    ("torch", "package", "version", "fits"),
    [
        ("2.14.1", "torchvision", "0.29.0", ">=0.29.1"),
        ("2.15.0", "torchvision", "0.29.0", ">=0.29.1"),
        ("2.14.1", "torchcodec", "0.11.1", ">=0.12"),
        ("2.12.1", "torchcodec", "0.11.1", ">=0.12"),
        ("2.12.1", "triton", "3.7.0", "==3.7.1"),
        ("2.14.1", "triton", "3.9.0", "==3.8.*"),
        ("2.15.0", "triton", "4.0.0", "==3.9.*"),
    ],
)
def test_what_wheels_say_of_each_other_is_held(folder: Path, torch: str, package: str, version: str, fits: str) -> None:
    """Each is what the metadata of the published wheels requires, or upstream's table of versions."""
    path = edit(
        folder / "stacks" / "cpu.yml", lambda data: data.update(versions={"torch": torch, package: version}, brings={})
    )
    assert complaint(folder).startswith(
        f"{path}: {package} {version} does not belong to torch {torch}: it takes {fits}. Remedy: "
    )


def test_torchaudio_2_10_is_paired_with_its_own_torch_only(folder: Path) -> None:
    edit(folder / "stacks" / "thor.yml", lambda data: data["versions"].update(torchaudio="2.11.0"))
    assert "torchaudio 2.11.0 does not belong to torch 2.10.0: it takes ==2.10.0" in complaint(folder)


def test_a_torch_whose_pair_nobody_knows_is_refused(folder: Path) -> None:
    edit(folder / "stacks" / "directml.yml", lambda data: data["versions"].update(torch="2.3.1", torchaudio="2.3.1"))
    assert "torchvision 0.19.1 does not belong to torch 2.3.1: no version is known to fit" in complaint(folder)


def test_a_recipe_whose_build_requirements_are_missing_is_refused(folder: Path) -> None:
    (folder / "packages" / "locks" / "cython-numpy.txt").unlink()
    said = complaint(folder)
    assert "locks/cython-numpy.txt, which is not there. Remedy: make it" in said


def test_a_recipe_whose_patch_is_missing_is_refused(folder: Path) -> None:
    edit(
        folder / "packages" / "pyworld.yml",
        lambda data: data["recipe"]["releases"][0].update(patches=["patches/pyworld-none.patch"]),
    )
    assert "patches/pyworld-none.patch, which is not there. Remedy: write that patch" in complaint(folder)


def test_a_catalog_without_its_system_packages_is_refused(folder: Path) -> None:
    (folder / "system_packages.yml").unlink()
    assert "system_packages.yml cannot be read" in complaint(folder)


def test_a_controller_without_its_requirements_is_told_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog_files, "jsonschema_rs", None)
    assert "Remedy: pip install jsonschema-rs" in complaint(folder)
