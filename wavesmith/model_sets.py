"""``wavesmith model try``: resolve the sets of models that share an environment, install them here and import everything of them."""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import sys
import tarfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from ansible_collections.wavesmith.provision.plugins.module_utils.doctor.installed import modules_of
from ansible_collections.wavesmith.provision.plugins.module_utils.host.job import Failed
from ansible_collections.wavesmith.provision.plugins.module_utils.plan import models
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.guard import locked
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.lock import imports_of
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.record import EnvironmentPlan
from ansible_collections.wavesmith.provision.plugins.module_utils.records.model import ModelSet
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.catalog import Catalog
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.variables import Environment, Wanted

from . import ROOT
from .packages import ARCHITECTURES, MACHINES, command, prefix_of, recorded, resolve, within

PAGE = ROOT / "docs" / "models.md"
BEGIN = "<!-- begin: wavesmith model try --write -->"
WSL = "wsl2-rx6700xt"
PYTHONS = ("3.11", "3.12")
_ROOMS = ROOT / "plugins" / "module_utils"
# The doctor's own check, in the environment that was made here, which has no manifest yet.
_IMPORT = """
import importlib, json, pathlib, sys, types
rooms, prefix, work, models, name = sys.argv[1:]
sys.path[:] = [p for p in sys.path if p]
package = sys.modules["wavesmith_rooms"] = types.ModuleType("wavesmith_rooms")
package.__path__ = [rooms]
base = importlib.import_module("wavesmith_rooms.doctor.base")
structure = importlib.import_module("wavesmith_rooms.doctor.structure")
prefix, work = pathlib.Path(prefix), pathlib.Path(work)
spec = base.Spec("try", "", prefix, prefix, models={model["name"]: model for model in json.loads(models)})
check = base.Check("import", name, structure.imports(name))
print(json.dumps(base.perform(check, base.Context(spec, work, work)), default=str))
"""


@dataclass
class Row:
    """What came of one set on one architecture and Python.

    Attributes:
        name: The set's.
        architecture: CPU architecture.
        python: Minor version.
        packages: How many are in the lock; 0 where it was not resolved.
        imported: How many modules were imported here.
        skipped: Why some were not, by what it is of.
        reason: Why it was not planned, resolved, installed or imported.
        seconds: How long it took.
        date: When, UTC.
    """

    name: str
    architecture: str
    python: str
    packages: int = 0
    imported: int = 0
    skipped: dict[str, str] = field(default_factory=dict)
    reason: str = ""
    seconds: int = 0
    date: str = ""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = (
        "The table has what earlier runs tried as well (FOLDER/sets.json). "
        "Exit code: 0 everything resolved and imported, 1 not everything, 2 an unknown name."
    )
    parser.add_argument("sets", nargs="*", metavar="SET", help="sets of catalog/model_sets.yml [all]")
    parser.add_argument("--python", action="append", metavar="X.Y", help=f"Pythons [{' and '.join(PYTHONS)}]")
    parser.add_argument("--architecture", action="append", choices=ARCHITECTURES, help="CPU architectures [both]")
    parser.add_argument("--no-install", action="store_true", help="resolve only")
    parser.add_argument(
        "--mirror", action="append", default=[], metavar="ADDRESS", help="as wavesmith_git_mirrors has them"
    )
    parser.add_argument(
        "--folder", type=Path, default=ROOT / ".cache" / "models", help="where it works [.cache/models]"
    )
    parser.add_argument("--json", action="store_true", help="print what was tried as one JSON document")
    parser.add_argument("--write", action="store_true", help="write the table into docs/models.md")


def run(arguments: argparse.Namespace) -> int:
    """Try the sets one after the other."""
    from ansible_collections.wavesmith.provision.plugins.plugin_utils import catalog_files

    sets, catalog = catalog_files.model_sets(), catalog_files.load()
    unknown = [name for name in arguments.sets if name not in sets]
    if unknown:
        print(f"✗ set {unknown[0]}: there is no such set. Remedy: use one of: {', '.join(sets)}", file=sys.stderr)
        return 2
    kept = arguments.folder / "sets.json"
    rows = {}
    if kept.exists():
        rows = {(row["name"], row["python"], row["architecture"]): Row(**row) for row in json.loads(kept.read_text())}
    tried = []
    for name in arguments.sets or sets:
        for python in arguments.python or PYTHONS:
            for architecture in arguments.architecture or ARCHITECTURES:
                row = attempt(Row(name, architecture, python), sets[name], catalog, arguments)
                rows[name, python, architecture] = row
                tried.append(row)
                kept.write_text(json.dumps([asdict(row) for row in rows.values()], indent=1) + "\n")
                if arguments.json:
                    continue
                print(f"{name} {architecture} Python {python}: {said(row)} ({row.seconds} s)", flush=True)
    text = table(sorted(rows.values(), key=lambda row: (list(sets).index(row.name), row.python)))
    if arguments.write:
        PAGE.write_text(within(PAGE.read_text(encoding="utf-8"), text, BEGIN), encoding="utf-8")
    elif not arguments.json:
        print(text)
    if arguments.json:
        print(json.dumps({"schema": 1, "sets": [asdict(row) for row in tried]}, indent=1))
    return 1 if any(row.reason for row in tried) else 0


def attempt(row: Row, wanted: ModelSet, catalog: Catalog, arguments: argparse.Namespace) -> Row:
    """Plan, resolve, install and import one set."""
    began = time.monotonic()
    work = arguments.folder / f"{row.name}-{row.python}-{row.architecture}"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        planned = _planned(row, wanted, catalog, arguments.mirror)
        if isinstance(planned, str):
            row.reason = planned
        else:
            _attempt(row, *planned, work, not arguments.no_install)
    except Failed as error:
        row.reason = str(error).partition(". Remedy:")[0]
    finally:
        shutil.rmtree(work, ignore_errors=True)
    row.seconds, row.date = round(time.monotonic() - began), datetime.now(UTC).strftime("%Y-%m-%d")
    return row


def _planned(
    row: Row, wanted: ModelSet, catalog: Catalog, mirrors: Sequence[str]
) -> str | tuple[EnvironmentPlan, Catalog]:
    """The environment of a set on a recorded machine, or why it is refused there."""
    from ansible_collections.wavesmith.provision.plugins.module_utils.plan.decide import plan
    from ansible_collections.wavesmith.provision.plugins.plugin_utils import code_files, project_files

    environment = Environment(row.name, stack=wanted["stack"], models=tuple(wanted["models"]))
    asked = models.with_projects(Wanted((environment,), python=row.python, git_mirrors=tuple(mirrors)), catalog.models)
    projects, problems = project_files.read(asked, ROOT)
    with_code, missing = code_files.read(asked, catalog.models)
    catalog = replace(catalog, projects=projects, models=with_code)
    machine = MACHINES[row.architecture, False]
    if wanted["stack"] == "directml" and row.architecture == "x86_64":
        machine = WSL
    observed = recorded(machine, row.python, catalog)
    if machine == WSL:  # its torch is of an origin that is only planned with: what is resolved has no origin
        observed["sources"] = {name: {"answers": True, "detail": ""} for name in observed["sources"]}
    planned = plan(asked, [*problems, *missing], observed, catalog, {}, "")
    if planned.refusals:
        return planned.refusals[0].problem
    return planned.environments[0], catalog


def _attempt(row: Row, item: EnvironmentPlan, catalog: Catalog, work: Path, install: bool) -> None:
    built = {wheel.name for wheel in item.wheels}
    lines = [line for line in item.lock["requirements"] if line.partition("==")[0] not in built]
    # What the plan builds from source comes from the index here, as upstream published it.
    lines += [f"{wheel.name}=={wheel.version}" for wheel in item.wheels]
    text = resolve(work, lines, item.lock["overrides"], row.python, row.architecture, f"set {row.name}")
    row.packages = len(locked(text))
    if not install or row.architecture != platform.machine():
        return
    prefix = prefix_of(work, text, row.python, f"set {row.name}")
    for archive in item.code:
        with tarfile.open(archive.path) as packed:
            packed.extractall(prefix / archive.folder, filter="data")
    python = str(prefix / "bin" / "python")
    packages = [catalog.packages[name] for model in item.models for name in catalog.models[model["name"]].packages]
    imports = {**{name: name for name in item.versions}, **imports_of(packages, text)}
    imports.update(
        {name: module for model in item.models for name, module in catalog.models[model["name"]].imports.items()}
    )
    found, _, gone = modules_of(prefix, imports)
    if gone:
        raise Failed(f"{gone[0]} is not installed")
    for module in found.values():
        try:
            command([python, "-W", "ignore", "-c", f"import {module}"], f"import {module}")
        except Failed as error:
            if "libd3d12.so" not in str(error):
                raise
            row.skipped[module] = "libd3d12.so is a part of WSL"
            continue
        row.imported += 1
    for name in [model["name"] for model in item.models if "code" in model]:
        scratch = work / f"work-{name}"
        scratch.mkdir()
        words = [str(_ROOMS), str(prefix), str(scratch), json.dumps(item.models), name]
        answer = json.loads(
            command([python, "-B", "-W", "ignore", "-c", _IMPORT, *words], f"import of {name}").splitlines()[-1]
        )
        if answer["verdict"] == "fail":
            raise Failed(f"model {name}: {answer['detail']}")
        if answer["verdict"] == "skip":
            row.skipped[name] = answer["detail"]
        else:
            row.imported += len(catalog.models[name].modules)


def said(row: Row) -> str:
    """What came of a set, for people."""
    if row.reason:
        return row.reason
    if not row.imported:
        return f"resolves, {row.packages} packages"
    skipped = "".join(f"; {name} skipped: {why}" for name, why in row.skipped.items())
    return f"{row.packages} packages, {row.imported} modules import{skipped}"


def _cell(row: Row) -> str:
    return f"{said(row)} ({row.date}, {row.seconds} s)" if row.date else said(row)


def table(rows: Sequence[Row]) -> str:
    """A line for each set and Python, a column for each CPU architecture."""
    lines = [
        "| set | Python | " + " | ".join(ARCHITECTURES) + " |",
        "| --- | --- | " + " | ".join("---" for _ in ARCHITECTURES) + " |",
    ]
    for name, python in dict.fromkeys((row.name, row.python) for row in rows):
        own = {row.architecture: _cell(row) for row in rows if (row.name, row.python) == (name, python)}
        lines.append(
            f"| {name} | {python} | " + " | ".join(own.get(arch, "not tried") for arch in ARCHITECTURES) + " |"
        )
    return "\n".join(lines) + "\n"
