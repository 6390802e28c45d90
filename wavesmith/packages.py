"""``wavesmith packages``: resolve, install and import what the catalog describes, and keep what came of it as a table."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.wavesmith.provision.plugins.module_utils.doctor.installed import modules_of
from ansible_collections.wavesmith.provision.plugins.module_utils.failures.base import Base
from ansible_collections.wavesmith.provision.plugins.module_utils.host.job import Failed
from ansible_collections.wavesmith.provision.plugins.module_utils.host.tools import explain
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.archive import all_constraints
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.guard import locked
from ansible_collections.wavesmith.provision.plugins.module_utils.terms.names import normal
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.catalog import ALWAYS, PACKAGE_INDEX, Catalog
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.variables import Environment, Wanted

from wavesmith import ROOT

NAME = "packages"
HELP = "resolve the catalog's packages for both CPU architectures, install and import them here, and write the table"
PAGE = ROOT / "docs" / "packages.md"
BEGIN, END = "<!-- begin: make packages-table -->", "<!-- end -->"
ARCHITECTURES = ("x86_64", "aarch64")
MACHINES: Mapping[tuple[str, bool], str] = {
    ("x86_64", False): "cpu-debian12",
    ("aarch64", False): "graviton3",
    ("x86_64", True): "rtx4090",
    ("aarch64", True): "dgx-spark",
}
"""Recorded machines that it is planned for, by CPU architecture and whether there is a GPU."""
GLIBC = "manylinux_2_36"
"""Debian 12's; no host has an older C library."""
PATIENCE = 900


@dataclass
class Row:
    """What came of one package on one architecture and Python.

    Attributes:
        package: Its name.
        architecture: CPU architecture.
        python: Minor version.
        stack: The stack it was planned with.
        version: What was resolved; empty where nothing was.
        packages: How many packages that is in all.
        imported: Its modules, where they were imported here.
        reason: Why it was not planned, resolved, installed or imported.
        seconds: How long it took.
    """

    package: str
    architecture: str
    python: str
    stack: str = ""
    version: str = ""
    packages: int = 0
    imported: list[str] = field(default_factory=list)
    reason: str = ""
    seconds: int = 0


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = "What was tried before is not tried again: remove FOLDER/packages.json to start over. Exit code: 0, or 2 for an unknown name."
    parser.add_argument("names", nargs="*", metavar="NAME", help="packages of the catalog [all that an index has]")
    parser.add_argument("--python", action="append", default=[], metavar="X.Y", help="Python versions [3.11 3.12]")
    parser.add_argument("--no-install", action="store_true", help="resolve only")
    parser.add_argument(
        "--folder", type=Path, default=ROOT / ".cache" / "packages", help="working folder [.cache/packages]"
    )
    parser.add_argument("--write", action="store_true", help="write the table into docs/packages.md")


def run(arguments: argparse.Namespace) -> int:
    """Try them one after the other."""
    from ansible_collections.wavesmith.provision.plugins.plugin_utils import catalog_files

    catalog = catalog_files.load()
    unknown = [name for name in arguments.names if name not in catalog.packages]
    if unknown:
        print(f"✗ package {unknown[0]!r} is not in the catalog. Remedy: correct the name", file=sys.stderr)
        return 2
    folder: Path = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / "packages.json"
    rows = [Row(**row) for row in json.loads(kept.read_text())] if kept.exists() else []
    done = {(row.package, row.architecture, row.python) for row in rows}
    for name in arguments.names or of_index(catalog):
        for python in arguments.python or ["3.11", "3.12"]:
            for architecture in ARCHITECTURES:
                if (name, architecture, python) in done:
                    continue
                row = attempt(name, architecture, python, catalog, folder, not arguments.no_install)
                rows.append(row)
                kept.write_text(json.dumps([asdict(entry) for entry in rows], indent=1) + "\n")
                print(
                    f"{name} {row.version} {architecture} Python {python}: {row.reason or _said(row)} ({row.seconds} s)"
                )
    text = table(rows)
    if arguments.write:
        PAGE.write_text(within(PAGE.read_text(encoding="utf-8"), text), encoding="utf-8")
    else:
        print(text)
    return 0


def of_index(catalog: Catalog) -> list[str]:
    """The packages that an index has: neither the torch family nor what is built from source alone."""
    family = {name for stack in catalog.stacks.values() for name in stack.versions}
    return [
        name
        for name, package in sorted(catalog.packages.items())
        if name not in {*family, *catalog.base} and not (package.recipe and package.recipe.use == ALWAYS)
    ]


def attempt(name: str, architecture: str, python: str, catalog: Catalog, folder: Path, install: bool) -> Row:
    """Plan, resolve, install and import one package."""
    began = time.monotonic()
    row = Row(name, architecture, python)
    try:
        _attempt(row, catalog, folder, install)
    except Failed as error:
        row.reason = str(error).partition(". Remedy:")[0]
        cause = [line.removeprefix("cause: ") for line in map(str.strip, error.log) if line.startswith("cause: ")]
        row.reason += f": {cause[0]}" if cause else ""
    row.reason = re.sub(r"\S*/(?:[^/\s]+/)+", "", row.reason)[:400]
    row.seconds = round(time.monotonic() - began)
    return row


def _attempt(row: Row, catalog: Catalog, folder: Path, install: bool) -> None:
    from ansible_collections.wavesmith.provision.plugins.module_utils.plan.decide import plan

    for gpu in (False, True):
        observed = recorded(MACHINES[row.architecture, gpu], row.python, catalog)
        environment = Environment("table", stack="auto" if gpu else "cpu", packages=(row.package,))
        planned = plan(Wanted((environment,), python=row.python), [], observed, catalog, {}, "")
        (item,) = planned.environments
        row.stack = item.stack or row.stack
        refused = [refusal.problem for refusal in planned.refusals]
        if not refused:
            break
        row.reason = refused[0].removeprefix(f"{row.package} cannot be had here: ")
        if row.reason == refused[0]:
            return
    else:
        return
    row.reason = ""
    work = folder / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    try:
        built = {wheel.name for wheel in item.wheels}
        text = resolve(
            work,
            [line for line in item.lock["requirements"] if line.partition("==")[0] not in built],
            item.lock["overrides"],
            row.python,
            row.architecture,
            row.package,
        )
        versions = locked(text)
        row.version, row.packages = versions.get(normal(row.package), ""), len(versions)
        if not install or row.architecture != platform.machine():
            return
        if gpu:
            row.reason = "resolved only: it wants a GPU, and nothing with a GPU is installed here"
            return
        prefix = prefix_of(work, text, row.python, row.package)
        _import(prefix, {row.package: catalog.packages[row.package].module}, row)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def recorded(machine: str, python: str, catalog: Catalog) -> Any:
    """A recorded machine with one Python, everything installed that it could need, and every source but the CPU wheels of torch."""
    from ansible_collections.wavesmith.provision.plugins.module_utils.observe import probe

    observed: Any = probe.observe(probe_root=str(ROOT / "tests" / "unit" / "samples" / machine))
    answers = {"answers": True, "detail": ""}
    origins = {origin.name for stack in catalog.stacks.values() for origin in stack.origins}
    return {
        **observed,
        "pythons": [{"path": "/usr/bin/python3", "version": f"{python}.0", "headers": True, "venv": True}],
        "toolbox": {"digest": "", "intact": True},
        "environments": {},
        "wheels": [],
        "busy": None,
        "disk": {"path": "/", "free": 2**40, "total": 2**40},
        "sources": {name: dict(answers, answers=name != "cpu_wheels") for name in {*origins, PACKAGE_INDEX}},
        "apt": {"present": True, "installed": {}, "missing": []},
    }


def uv(*words: str) -> list[str]:
    """A command of uv, which lies beside this Python."""
    return [str(Path(sys.executable).with_name("uv")), *words]


def command(argv: Sequence[str], item: str) -> str:
    """What a command prints.

    Raises:
        Failed: it failed, with what is known of the reason.
    """
    environ = {
        **os.environ,
        "UV_NO_CONFIG": "1",
        "UV_SYSTEM_CERTS": "1",
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_LINK_MODE": "hardlink",
        "LC_ALL": "C.UTF-8",
    }
    try:
        done = subprocess.run(
            argv, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"{item} did not end in {PATIENCE // 60} minutes") from None
    if done.returncode:
        from ansible_collections.wavesmith.provision.plugins.plugin_utils import catalog_files

        lines = done.stderr.strip().splitlines()
        said = last_error(lines) or f"exit {done.returncode}"
        raise explain(Failed(said, lines), item, Base(catalog_files.failures()))
    return done.stdout


def last_error(lines: Sequence[str]) -> str:
    """The line that says what went wrong: the last exception of Python's, else the last line with words in it."""
    said = [line.strip() for line in lines if re.search(r"\w", line)]
    errors = [
        (number, line) for number, line in enumerate(said) if re.match(r"(?:[\w.]+\.)?\w*(?:Error|Exception)\b", line)
    ]
    if not errors:
        return said[-1] if said else ""
    number, line = errors[-1]
    return line if line.partition(":")[2].strip() else " ".join(said[number : number + 2])


def resolve(
    work: Path, requirements: list[str], overrides: list[str], python: str, architecture: str, item: str
) -> str:
    """The lock of requirements for a Python and a CPU architecture; `item` is what they are of."""
    for name, lines in (("requirements", requirements), ("overrides", overrides)):
        # The same versions, whichever index has their builds: nothing with a GPU is installed here.
        text = "".join(f"{line}\n" for line in lines)
        (work / f"{name}.txt").write_text(re.sub(r"\+(?:cu|rocm|cpu)[\w.]*", "", text))
    argv = uv("pip", "compile", "--quiet", "--no-header", "--no-annotate", "--python-version", python)
    argv += ["--python-platform", f"{architecture}-{GLIBC}", "--override", str(work / "overrides.txt")]
    return command([*argv, str(work / "requirements.txt")], f"resolving {item}")


def prefix_of(work: Path, lock: str, python: str, item: str) -> Path:
    """A virtual environment of a lock; archives that do not build with today's tools are built with older ones."""
    prefix, file = work / "prefix", work / "lock.txt"
    file.write_text(lock)
    try:  # a python3.12 on PATH may be a shim with nothing behind it
        found = command(uv("python", "find", python), f"Python {python}").strip()
    except Failed as error:
        raise Failed(f"there is no Python {python} on this machine to import it with") from error
    command(uv("venv", "--quiet", "--python", found, str(prefix)), f"Python {python}")
    argv = uv("pip", "install", "--quiet", "--no-deps", "--python", str(prefix), "--requirement", str(file))
    try:
        command(argv, f"installing {item}")
    except Failed:
        older = work / "older.txt"
        older.write_text("".join(f"{line}\n" for line in all_constraints(python)))
        command([*argv, "--build-constraints", str(older)], f"installing {item}")
    return prefix


def _import(prefix: Path, imports: Mapping[str, str], row: Row) -> None:
    found, _, gone = modules_of(prefix, imports)
    if gone:
        raise Failed(f"{gone[0]} is not installed")
    for module in found.values():
        command([str(prefix / "bin" / "python"), "-W", "ignore", "-c", f"import {module}"], f"import {module}")
        row.imported.append(module)


def _said(row: Row) -> str:
    return f"imports {', '.join(row.imported)}" if row.imported else f"resolves, {row.packages} packages"


def table(rows: Sequence[Row]) -> str:
    """The table, and below it the reasons in full."""
    pythons = sorted({row.python for row in rows}, key=lambda text: int(text.partition(".")[2]))
    head = ["package", "version", "stack", *(f"{python} {arch}" for python in pythons for arch in ARCHITECTURES)]
    lines = ["| " + " | ".join(head) + " |", "| " + " | ".join("---" for _ in head) + " |"]
    reasons: dict[str, list[str]] = {}
    for name in sorted({row.package for row in rows}):
        own = {(row.python, row.architecture): row for row in rows if row.package == name}
        cells = [_cell(own.get((python, arch)), reasons) for python in pythons for arch in ARCHITECTURES]
        versions = sorted({row.version for row in own.values() if row.version})
        stacks = sorted({row.stack for row in own.values() if row.version and row.stack})
        lines.append("| " + " | ".join([name, ", ".join(versions), ", ".join(stacks), *cells]) + " |")
    notes = [
        f"- note ({number}), {', '.join(dict.fromkeys(names))}: {why}"
        for number, (why, names) in enumerate(reasons.items(), 1)
    ]
    return "\n".join([*lines, "", *notes]).rstrip() + "\n"


def _cell(row: Row | None, reasons: dict[str, list[str]]) -> str:
    if row is None:
        return "not tried"
    note = ""
    if row.reason:
        reasons.setdefault(row.reason, []).append(row.package)
        note = f", note ({list(reasons).index(row.reason) + 1})"
    if row.imported and not row.reason:
        return f"imports ({row.packages})"
    return f"resolves{note or f' ({row.packages})'}" if row.version else f"no{note.replace(', note', '')}"


def within(page: str, text: str, begin: str = BEGIN) -> str:
    """A page with `text` between its marks."""
    head, _, rest = page.partition(begin)
    return f"{head}{begin}\n\n{text}\n{END}{rest.partition(END)[2]}"
