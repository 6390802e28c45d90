"""Read the catalog's files, checked against their schema, into the core's records."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import yaml
from ansible.errors import AnsibleError
from ansible.module_utils.common.yaml import yaml_load  # libyaml where there is one: three times as fast
from ansible_collections.wavesmith.provision.plugins.module_utils.failures import base
from ansible_collections.wavesmith.provision.plugins.module_utils.failures.inventory import in_the_inventory
from ansible_collections.wavesmith.provision.plugins.module_utils.plan import matrix
from ansible_collections.wavesmith.provision.plugins.module_utils.records.failure import FailureBase, FailureOf
from ansible_collections.wavesmith.provision.plugins.module_utils.records.model import ModelSet
from ansible_collections.wavesmith.provision.plugins.module_utils.terms.kinds import Parsed
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted import catalog, model
from packaging.specifiers import SpecifierSet

try:
    import jsonschema_rs  # loads and answers in a tenth of the time of jsonschema, and every command waits for it
except ImportError:  # the collection was installed without its Python requirements
    jsonschema_rs = None  # type: ignore[assignment]

COLLECTION = Path(__file__).resolve().parents[2]
FOLDER = COLLECTION / "catalog"
OVERLAY = ("stacks", "packages", "models", "tasks", "weights", "platforms", "checks", "failures")
"""The folders that one's own catalog may have."""
FACTS = ("machine", "system", "architecture", "environment")
"""What is known of every host that a text is examined on."""
TOOLBOX_LOCK = COLLECTION / "roles" / "toolbox" / "files" / "toolbox.txt"


@lru_cache(maxsize=4)
def load(folder: Path = FOLDER, overlay: Path | None = None) -> catalog.Catalog:
    """Read and check the whole catalog.

    Args:
        folder: The catalog.
        overlay: A folder of one's own with any of `OVERLAY`; what has the name of an entry stands for it.

    Raises:
        AnsibleError: a file is not what its schema asks for; it names the file, the place and the rule.
    """
    if overlay and not any((overlay / kind).is_dir() for kind in OVERLAY):
        kinds = ", ".join(f"{kind}/" for kind in OVERLAY)
        raise AnsibleError(
            f"variable wavesmith_catalog: {overlay} has none of {kinds}. Remedy: name a folder that has one"
        )
    pairing = _read(folder / "pairing.yml", "pairing", folder)
    stacks = []
    for path in _entries("stacks", folder, overlay):
        stack = catalog.stack(_read(path, "stack", folder), load_cuda(folder).toolkits)
        _paired(path, stack, pairing)
        stacks.append(stack)
    packages = []
    for path in _entries("packages", folder, overlay):
        data = _read(path, "package", folder)
        files = {}
        for name in catalog.files_of(data["recipe"]) if "recipe" in data else ():
            if not (path.parent / name).is_file():
                raise AnsibleError(f"{path}: it names {name}, which is not there. Remedy: {_remedy(name)}")
            files[name] = (path.parent / name).read_text(encoding="utf-8")
        packages.append(catalog.package(data, files))
    system = _read(folder / "system_packages.yml", "system_packages", folder)
    return catalog.Catalog(
        stacks={stack.name: stack for stack in stacks},
        packages={package.name: package for package in packages},
        models=_models(folder, overlay),
        platforms={
            path.stem: catalog.platform(_read(path, "platform", folder))
            for path in _entries("platforms", folder, overlay)
        },
        apt_run=tuple(system["apt"]),
        apt_build=tuple(system["apt_build"]),
    )


def checks(overlay: Path | None = None, folder: Path = FOLDER) -> dict[str, str]:
    """The checks that are added to the doctor's, ``checks/*.py`` of the catalog and of the overlay: text by name.

    Raises:
        AnsibleError: a file is no Python; it names the file and the line.
    """
    return {path.stem: _python(path) for path in _entries("checks", folder, overlay, "py")}


def _python(path: Path) -> str:
    """The text of a file of one's own that will run on hosts."""
    if not path.stem.isidentifier():
        raise AnsibleError(f"{path}: its name is not that of a Python module. Remedy: name it like my_check.py")
    try:
        text = path.read_text(encoding="utf-8")
        compile(text, str(path), "exec")
    except (OSError, SyntaxError, ValueError) as error:
        raise AnsibleError(f"{path} cannot be compiled: {error}. Remedy: correct it") from error
    return text


@lru_cache(maxsize=4)
def failures(folder: Path = FOLDER, overlay: Path | None = None) -> FailureBase:
    """Read and check the known failures, and the facts of the catalog that they look up.

    Raises:
        AnsibleError: a file is not what its schema asks for, or names what there is not; it names the file and the place.
    """
    entries = {path: failure(_read(path, "failure", folder)) for path in _entries("failures", folder, overlay)}
    known = {entry["id"] for entry in entries.values()}
    for path, entry in entries.items():
        unknown = sorted({*entry.get("explains", [])} - known)
        if unknown:
            raise AnsibleError(f"{path}: there is no failure {unknown[0]}. Remedy: correct the name under explains")
        if overlay in path.parents:
            _usable(path, entry)
    return {"schema": 1, "tables": _tables(folder), "failures": list(entries.values())}


def _usable(path: Path, entry: FailureOf) -> None:
    """Refuse an entry whose patterns cannot be compiled, or whose texts name what nothing gives.

    Raises:
        AnsibleError: it names the file and the pattern or name.
    """
    try:
        captured = {name for pattern in patterns(entry) for name in base.compiled(pattern).groupindex}
    except ValueError as error:
        raise AnsibleError(f"{path}: {error}. Remedy: correct it") from error
    given = {*captured, *entry.get("defaults", {}), *entry.get("lookups", {}), *FACTS}
    texts = [
        entry["cause"],
        *(text for item in entry["remedies"] for text in (item["remedy"], item.get("command", ""))),
    ]
    unknown = sorted(set().union(*map(base.names_in, texts)) - given)
    if unknown:
        raise AnsibleError(
            f"{path}: its texts name {{{unknown[0]}}}, and no pattern captures it. Remedy: capture it, or give it under defaults"
        )


def patterns(entry: FailureOf) -> list[str]:
    """All regular expressions of a known failure."""
    return [*entry["patterns"], *entry.get("unless", []), *entry.get("context", [])]


def failure(data: Parsed) -> FailureOf:
    """A known failure from a checked file: without examples, its remedies as one list, before each that installs what it is in an environment of ours."""
    left_out = ("examples", "counter_examples", "instead", "remedy", "command")
    last = {name: data[name] for name in ("remedy", "command") if name in data}
    kept = {name: value for name, value in data.items() if name not in left_out}
    remedies = [*data.get("instead", []), last]
    return cast(
        FailureOf, {**kept, "remedies": [way for one in remedies for way in (in_the_inventory(one), one) if way]}
    )


def _tables(folder: Path) -> dict[str, dict[str, str]]:
    """What remedies look up: which gcc a CUDA takes, which CUDA takes a gcc, which CUDA compiles for a GPU, which driver a CUDA needs."""
    cuda = load_cuda(folder)
    stacks = [stack for stack in load(folder).stacks.values() if stack.driver_minimum]
    newest = {version: taken.maximum for version, taken in cuda.toolkits.items()}
    names = {
        written: str(sm.nvcc)
        for number, sm in cuda.sms.items()
        for written in (
            number,
            *(f"{kind}_{number.replace('.', '')}{end}" for kind in ("sm", "compute") for end in ("", "a", "f")),
        )
    }
    drivers: dict[str, str] = {}
    for stack in sorted(stacks, key=lambda stack: -stack.driver_minimum):
        drivers[catalog.cuda_version(stack.backend).partition(".")[0]] = str(stack.driver_minimum)
    return {
        "gcc_of_cuda": newest,
        "cuda_of_gcc": {gcc: version for version, gcc in reversed(newest.items())},
        "cuda_of_sm": names,
        "driver_of_cuda": drivers,
    }


def _models(folder: Path, overlay: Path | None) -> dict[str, model.Model]:
    weights = {
        path.stem: model.weights(_read(path, "weights", folder)) for path in _entries("weights", folder, overlay)
    }
    tasks = {path.stem: model.task(_read(path, "task", folder)) for path in _entries("tasks", folder, overlay)}
    runners = {path.stem: path for path in (overlay / "models").glob("*.py")} if overlay else {}
    found, known = {}, projects(folder)
    for path in _entries("models", folder, overlay):
        data = _read(path, "model", folder)
        if data["task"] not in tasks:
            raise AnsibleError(
                f"{path}: there is no task {data['task']}. Remedy: use one of {', '.join(tasks)}, or write tasks/{data['task']}.yml"
            )
        unknown = [name for name in data["weights"] if name not in weights]
        if unknown:
            raise AnsibleError(
                f"{path}: there are no weights {unknown[0]}. Remedy: write catalog/weights/{unknown[0]}.yml, or correct the name"
            )
        project = data["code"].get("project", "")
        if project and "git" not in known.get(project, {}):
            raise AnsibleError(
                f"{path}: there is no project {project} with a repository. Remedy: write catalog/projects/{project}.yml"
            )
        runner = _python(runners.pop(path.stem)) if path.stem in runners else ""
        found[path.stem] = model.model(data, weights, tasks, known, runner)
    for name, path in runners.items():
        raise AnsibleError(f"{path}: there is no model {name} for it to run. Remedy: write models/{name}.yml")
    return found


def _entries(kind: str, folder: Path, overlay: Path | None, suffix: str = "yml") -> list[Path]:
    """The files of one kind, by name; the overlay's in place of the catalog's."""
    found = {path.name: path for place in (folder, overlay) if place for path in (place / kind).glob(f"*.{suffix}")}
    return [path for _, path in sorted(found.items())]


def _remedy(name: str) -> str:
    return "make it with `make lock`" if name.startswith("locks/") else "write that patch, or correct the name"


def _paired(path: Path, stack: catalog.Stack, pairing: Parsed) -> None:
    """Refuse a stack whose versions do not belong together.

    Raises:
        AnsibleError: it names the package, its version and those that fit.
    """
    versions = {**stack.versions, **stack.brings}
    torch = versions["torch"].removeprefix(">=")
    for name, rows in pairing.items():
        if name == "sources" or name not in versions:
            continue
        row: Parsed = next((row for row in rows if _within(torch, row["torch"])), {"fits": ""})
        wanted = f"=={torch}" if row["fits"] == "same" else row["fits"]
        if not _within(versions[name].removeprefix(">="), wanted):
            known = f"it takes {wanted}" if wanted else "no version is known to fit"
            raise AnsibleError(
                f"{path}: {name} {versions[name]} does not belong to torch {torch}: {known}. "
                "Remedy: correct the version, or add the pair with its source to catalog/pairing.yml"
            )
        cuda = catalog.cuda_version(stack.backend)
        by_others = any(origin.kind != catalog.SOURCE for origin in stack.origins)
        if cuda and by_others and cuda not in row.get("cuda", [cuda]):
            raise AnsibleError(
                f"{path}: there is no {name} {versions[name]} for CUDA {cuda}, and one for another CUDA does not import beside torch "
                f"{torch}: upstream built it for {', '.join(row['cuda'])}. Remedy: take a torch for one of these, or build {name} from source"
            )


def _within(version: str, specifier: str) -> bool:
    return bool(specifier) and SpecifierSet(specifier).contains(version, prereleases=True)


@lru_cache(maxsize=4)
def load_cuda(folder: Path = FOLDER) -> matrix.Toolchain:
    """Read and check what the CUDA toolkits can compile (``catalog/cuda.yml``).

    Raises:
        AnsibleError: the file is not what its schema asks for; it names the place and the rule.
    """
    path = folder / "cuda.yml"
    try:
        return matrix.toolchain(_read(path, "cuda", folder))
    except ValueError as error:
        raise AnsibleError(f"{path}: {error}. Remedy: add what it names, or correct the name") from error


@lru_cache(maxsize=4)
def model_sets(folder: Path = FOLDER) -> dict[str, ModelSet]:
    """Read and check the sets of models that share an environment (``catalog/model_sets.yml``): stack and models of each, by name."""
    return dict(_read(folder / "model_sets.yml", "model_sets", folder))


@lru_cache(maxsize=4)
def projects(folder: Path = FOLDER) -> dict[str, Parsed]:
    """Read and check the projects of the catalog, by name.

    Raises:
        AnsibleError: a file is not what its schema asks for; it names the file, the place and the rule.
    """
    return {path.stem: _read(path, "project", folder) for path in sorted((folder / "projects").glob("*.yml"))}


@lru_cache(maxsize=32)
def _validator(path: Path) -> Any:
    return jsonschema_rs.Draft202012Validator(json.loads(path.read_text(encoding="utf-8")))


def problem(data: Any, kind: str, folder: Path = FOLDER) -> str:
    """What is wrong with data by the schema of its kind; empty where nothing is. Of several things, the outermost."""
    if jsonschema_rs is None:
        raise AnsibleError(
            "the Python package jsonschema-rs is missing on the controller. Remedy: pip install jsonschema-rs"
        )
    validator = _validator(folder / "schema" / f"{kind}.json")
    bare = _bare_key(data)
    if bare:
        return bare
    if validator.is_valid(data):
        return ""
    found = min(validator.iter_errors(data), key=lambda error: len(error.instance_path))
    return f"{'.'.join(map(str, found.instance_path)) or 'the file'}: {found.message}"


def _bare_key(data: Any, place: str = "the file") -> str:
    """What is wrong where YAML takes a key for something else than text, as 13.0 without quotes; empty where it takes none."""
    for key, value in data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ():
        if isinstance(data, dict) and not isinstance(key, str):
            return f"{place}: the key {key!r} is not text: write it in quotes"
        found = _bare_key(value, f"{place}.{key}".removeprefix("the file."))
        if found:
            return found
    return ""


def _read(path: Path, kind: str, folder: Path) -> Parsed:
    try:
        data = yaml_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        said = " ".join(str(error).split())
        raise AnsibleError(f"{path} cannot be read: {said}. Remedy: correct the file") from None
    wrong = problem(data, kind, folder)
    if wrong:
        raise AnsibleError(f"{path}: {wrong}. Remedy: see catalog/schema/{kind}.json")
    for key in ("name", "id"):
        if key in data and data[key] != path.stem:
            raise AnsibleError(f"{path}: {key} is {data[key]!r}. Remedy: name the file {data[key]}.yml")
    return dict(data)
