"""``wavesmith build``: build wheels from source here, or print exactly how they would be built on any host."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from ansible_collections.wavesmith.provision.plugins.module_utils.plan import recipe
from ansible_collections.wavesmith.provision.plugins.module_utils.records.generation import PythonOf
from ansible_collections.wavesmith.provision.plugins.module_utils.records.host import Observed
from ansible_collections.wavesmith.provision.plugins.module_utils.records.wheel import WheelSpec
from ansible_collections.wavesmith.provision.plugins.module_utils.terms import digest
from ansible_collections.wavesmith.provision.plugins.module_utils.terms.refusal import Refusal
from ansible_collections.wavesmith.provision.plugins.module_utils.terms.url import split_url
from ansible_collections.wavesmith.provision.plugins.module_utils.terms.variant import Variant
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.catalog import (
    INDEX,
    SOURCE,
    WHEELHOUSE,
    Catalog,
    Stack,
)
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.variables import Wanted

NAME = "build"
HELP = "build wheels from source on this machine; with --dry-run print the exact environment and commands for any host"
SAMPLES = Path(__file__).resolve().parents[1] / "tests" / "unit" / "samples"
DONE, FAILED, UNUSABLE = 0, 1, 2
GIB = 2**30


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = "Exit code: 0 built, or already there; 1 a build failed; 2 it cannot be built for that host."
    parser.add_argument(
        "--package",
        action="append",
        default=[],
        metavar="NAME",
        help="a package, or NAME==VERSION for another release; may be given more than once",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print the environment and the commands, without building"
    )
    parser.add_argument(
        "--stack",
        default="",
        metavar="NAME",
        help="versions and backend of a stack of the catalog [the one that fits the host]",
    )
    parser.add_argument(
        "--python", default="", metavar="X.Y", help="Python version of the wheels [the newest that the host has]"
    )
    parser.add_argument(
        "--catalog",
        type=Path,
        metavar="FOLDER",
        help="folder of your own recipes and stacks, which replace the catalog's",
    )
    parser.add_argument(
        "--json", action="store_true", help="print what was built, or with --dry-run would be, as one JSON document"
    )
    parser.add_argument("--root", default="", metavar="FOLDER", help="Wavesmith's folder [/opt/wavesmith, ~/wavesmith]")
    facts = parser.add_mutually_exclusive_group()
    facts.add_argument(
        "--host-facts", metavar="FILE", help="with --dry-run: JSON file of what the module observe returned for a host"
    )
    facts.add_argument(
        "--sample", metavar="NAME", help="with --dry-run: name of a recorded machine in tests/unit/samples"
    )


class Unusable(Exception):
    """It cannot be built for that host; the message says why and what to do."""


def run(arguments: argparse.Namespace) -> int:
    """Print or build."""
    from ansible.errors import AnsibleError
    from ansible_collections.wavesmith.provision.plugins.plugin_utils import catalog_files

    elsewhere = arguments.host_facts or arguments.sample
    try:
        if elsewhere and not arguments.dry_run:
            raise Unusable("--host-facts and --sample are of other machines. Remedy: add --dry-run, or leave them out")
        catalog, observed = catalog_files.load(overlay=arguments.catalog), _observed(arguments)
        specs = _specs(arguments, catalog, observed)
    except (Unusable, AnsibleError) as error:
        return _refuse(str(error))
    missing = [spec for spec in specs if spec.get("key") not in observed["wheels"]]
    if arguments.dry_run and not arguments.json:
        print("\n\n".join(text(spec, observed) for spec in specs))
    if arguments.dry_run or not missing:
        return _done(observed, specs, missing, arguments)
    if any(not spec.get("key") for spec in missing):
        return _refuse("this machine has no compiler. Remedy: apt-get install -y build-essential")
    if not arguments.json:
        print("\n".join(_will(spec, observed) for spec in missing), flush=True)
    unreached = _unreached(observed["root"], missing)
    if unreached:
        return _refuse(*map(str, unreached))
    code = _build(observed["root"], missing, arguments)
    return code or _done(observed, specs, missing, arguments)


def _refuse(*problems: str) -> int:
    print("\n".join(f"✗ {problem}" for problem in problems), file=sys.stderr)
    return UNUSABLE


def _will(spec: WheelSpec, observed: Observed) -> str:
    """What will be built, from where, and roughly how long that takes."""
    count = recipe.jobs(observed["cpu"]["cores"], observed["memory"]["available"] / GIB, spec["memory_gib"])
    urls = spec["source"]["urls"]
    whence = split_url(urls[0]).shown if urls else "the package index"
    return f"builds {spec['name']} {spec['version']} for {spec['variant']} from {whence}, about {max(1, round(spec['seconds'] * 2 / count))} s"


def _unreached(root: str, missing: Sequence[WheelSpec]) -> list[Refusal]:
    """Ask the package index and the sources of what is to be built; refusals for those that say no."""
    from ansible_collections.wavesmith.provision.plugins.module_utils.observe.probe import ask_sources
    from ansible_collections.wavesmith.provision.plugins.module_utils.plan import record, repositories
    from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.catalog import PACKAGE_INDEX
    from ansible_collections.wavesmith.provision.plugins.plugin_utils.variables import default_index

    wheels = [record.WheelPlan(spec["name"], spec["version"], spec["key"], "build", 0, spec) for spec in missing]
    item = record.EnvironmentPlan("build", wheels=wheels, phases=["build"])
    asked = {PACKAGE_INDEX: "", **repositories.sources([item])}
    answers = ask_sources(asked, default_index(), timeout=Wanted.source_timeout, root=root)["sources"]
    silent, index = repositories.silent([item], answers), answers[PACKAGE_INDEX]
    for warning in silent.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    found = [*silent.refusals, *silent.elsewhere.values()]
    if not index["answers"] and not index["inconclusive"]:
        remedy = "check the network or proxy of this machine, or name a mirror in its pip.conf"
        found.insert(0, Refusal(f"source {PACKAGE_INDEX}", f"it does not answer ({index['detail']})", remedy))
    return found


def _observed(arguments: argparse.Namespace) -> Observed:
    from ansible_collections.wavesmith.provision.plugins.module_utils.host import store
    from ansible_collections.wavesmith.provision.plugins.module_utils.observe import probe
    from ansible_collections.wavesmith.provision.plugins.module_utils.records import shape
    from ansible_collections.wavesmith.provision.plugins.module_utils.records.host import ObservedHost
    from ansible_collections.wavesmith.provision.plugins.module_utils.terms.refusal import suggest

    if arguments.host_facts:
        try:
            found = json.loads(Path(arguments.host_facts).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise Unusable(
                f"{arguments.host_facts} cannot be read ({error}). Remedy: pass the JSON that observe returned"
            ) from error
        if isinstance(found, dict):
            found = found.get("observed", found)
        try:
            seen = shape.read(found, ObservedHost, arguments.host_facts, "run wavesmith plan for that host again")
        except shape.WrongRecord as error:
            raise Unusable(str(error)) from error
        return cast(Observed, {"wheels": [], "build_memory": {}, **seen})
    place = "/"
    if arguments.sample:
        known = [path.name for path in SAMPLES.iterdir() if path.is_dir()] if SAMPLES.is_dir() else []
        if arguments.sample not in known:
            raise Unusable(f"sample {arguments.sample!r} is not there. Remedy: {suggest(arguments.sample, known)}")
        place = str(SAMPLES / arguments.sample)
    observed = probe.observe(root=arguments.root, probe_root=place)
    kept = store.survey(observed["root"] if place == "/" else os.devnull, [])
    return cast(Observed, {**observed, **kept})


def _specs(arguments: argparse.Namespace, catalog: Catalog, observed: Observed) -> list[WheelSpec]:
    from ansible_collections.wavesmith.provision.plugins.module_utils.plan.choose import choose
    from ansible_collections.wavesmith.provision.plugins.module_utils.terms.refusal import suggest
    from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.variables import Environment

    choice = choose(
        Environment("build", stack=arguments.stack or "auto"),
        Wanted((), policy=(SOURCE, WHEELHOUSE, INDEX)),
        observed,
        catalog,
    )
    if choice.stack is None:
        raise Unusable("; ".join(map(str, choice.refusals)))
    stack = choice.stack
    python = _python(arguments.python, stack, observed)
    names, versions = [], dict(stack.versions)
    for asked in arguments.package or versions:
        name, _, version = asked.partition("==")
        if name not in catalog.packages or not catalog.packages[name].recipe:
            buildable = [known for known, package in catalog.packages.items() if package.recipe]
            raise Unusable(f"package {name!r} has no recipe. Remedy: {suggest(name, buildable)}")
        names.append(name)
        if version:
            versions[name] = version
    variant = Variant(".".join(python["version"].split(".")[:2]), stack.backend, choice.sm, observed["cpu"]["isa"])
    origin = next((origin for origin in stack.origins if origin.kind == SOURCE), stack.origins[0])
    if origin.kind == SOURCE:
        names = recipe.with_bases(names, catalog, versions)
    specs, problems = recipe.builds(
        names, catalog, versions, origin, recipe.target_of(observed, variant), python["path"]
    )
    if problems:
        raise Unusable("; ".join(map(str, problems)))
    for spec in specs:
        spec["memory_gib"] = max(spec["memory_gib"], observed.get("build_memory", {}).get(spec["name"], 0.0))
        spec["needed_by"] = ["wavesmith build"]
    return specs


def _python(wanted: str, stack: Stack, observed: Observed) -> PythonOf:
    fit = []
    for python in observed["pythons"]:
        minor = tuple(int(part) for part in python["version"].split(".")[:2])
        if (
            not wanted or wanted == ".".join(map(str, minor))
        ) and stack.python_minimum <= minor <= stack.python_maximum:
            fit.append((minor, python["path"], python["version"]))
    if not fit:
        seen = ", ".join(python["version"] for python in observed["pythons"]) or "none"
        raise Unusable(
            f"there is no Python {wanted or 'for that stack'} (this host has {seen}). Remedy: install it, or pass --python"
        )
    _minor, path, version = max(fit)
    return {"path": path, "version": version}


def text(spec: WheelSpec, observed: Observed) -> str:
    """One build for people: what is built from what, its environment, and its commands."""
    root = observed["root"]
    folder = f"{root}/build/{spec['name']}"
    cores, available = observed["cpu"]["cores"], observed["memory"]["available"] / GIB
    count = recipe.jobs(cores, available, spec["memory_gib"])
    places = {
        "jobs": str(count),
        "out": f"{folder}/out",
        "path": "$PATH",
        "prefix": f"{folder}/env",
        "python": f"{folder}/env/bin/python",
        "source": f"{folder}/source",
    }
    environment, commands = recipe.place(spec, places)
    source = spec["source"]
    whence = source["urls"][0] if source["urls"] else "the package index"
    key = spec.get("key")
    state = (
        "known when a compiler is there"
        if key is None
        else f"{key} ({'hit' if key in observed['wheels'] else 'build'})"
    )
    requirements = _requirements(spec, observed)
    against = [
        f"{entry['name']} {entry['version']} ({entry['key'] or 'of an index, by its lock'})"
        for entry in spec["against"]
    ]
    lines = [
        f"{spec['name']} {spec['version']} for {spec['variant']}",
        f"  key      {state}",
        f"  source   {source['kind']}: {source['name']} {source['digest']} from {whence}",
        *(f"  patch    {name}" for name in spec["patches"]),
        f"  with     {spec['compiler']}{', CUDA ' + spec['cuda'] if spec['cuda'] else ''}; {' '.join(dict.fromkeys(requirements))}",
        *(f"  against  {entry}" for entry in against),
        f"  jobs     {count} = min({cores} cores, ({available:.1f} - {recipe.RESERVE_GIB:g}) GiB / {spec['memory_gib']:g} GiB a job), at least 1",
        f"  must     {json.dumps({name: value for name, value in spec['contents'].items() if value})}",
        "",
        f"  cd {folder}/source",
        *(f"  export {name}={_quoted(value)}" for name, value in sorted(environment.items())),
        *(f"  {shlex.join(command)}" for command in commands),
    ]
    return "\n".join(lines)


def _requirements(spec: WheelSpec, observed: Observed) -> list[str]:
    """What the build environment gets: of the lock's lines those whose markers hold for its Python and CPU."""
    from packaging.markers import Marker

    minor = Variant.parse(spec["variant"]).python
    full = next((one["version"] for one in observed["pythons"] if one["version"].startswith(f"{minor}.")), f"{minor}.0")
    target = {
        "python_version": minor,
        "python_full_version": full,
        "platform_machine": observed["cpu"]["architecture"],
        "sys_platform": "linux",
        "platform_system": "Linux",
        "os_name": "posix",
    }
    found = []
    for line in recipe.pins(spec["build_lock"]):
        requirement, _, marker = line.partition(" --hash=")[0].rstrip(" \\").partition(";")
        if not line.startswith(" ") and (not marker.strip() or Marker(marker.strip()).evaluate(target)):
            found.append(requirement.strip())
    return found


def _quoted(value: str) -> str:
    return f'"{value}"' if "$PATH" in value else shlex.quote(value)


def _done(
    observed: Observed, specs: Sequence[WheelSpec], missing: Sequence[WheelSpec], arguments: argparse.Namespace
) -> int:
    """Say which wheels there are."""
    rows = [
        {
            "name": spec["name"],
            "version": spec["version"],
            "variant": spec["variant"],
            "key": spec.get("key"),
            "state": "hit" if spec not in missing else "build" if arguments.dry_run else "built",
            "path": f"{observed['root']}/wheels/{spec['key']}" if spec.get("key") else None,
            **({"text": text(spec, observed)} if arguments.dry_run else {}),
        }
        for spec in specs
    ]
    if arguments.json:
        print(json.dumps({"schema": 1, "wheels": rows}, indent=1))
    elif not arguments.dry_run:
        print("\n".join(f"{row['state']:5} {row['name']} {row['version']} {row['path']}" for row in rows))
    return DONE


def _build(root: str, missing: Sequence[WheelSpec], arguments: argparse.Namespace) -> int:
    """Build what is not there, as the module `wheels` does: by a job that goes on where this command is ended."""
    # Here and not above: a hit does not wait for what only a build needs.
    from ansible_collections.wavesmith.provision.plugins.module_utils.build.worker import build_wheels
    from ansible_collections.wavesmith.provision.plugins.module_utils.failures.base import Base
    from ansible_collections.wavesmith.provision.plugins.module_utils.host import module
    from ansible_collections.wavesmith.provision.plugins.module_utils.host.job import Failed, Job, follow
    from ansible_collections.wavesmith.provision.plugins.module_utils.host.store import StoreError
    from ansible_collections.wavesmith.provision.plugins.module_utils.host.tools import make_toolbox
    from ansible_collections.wavesmith.provision.plugins.plugin_utils.catalog_files import COLLECTION, failures

    known = Base(failures(overlay=arguments.catalog))

    def work(job: Job) -> Mapping[str, object]:
        job.known = known
        return build_wheels(job, root, list(missing), index)

    try:
        index = module.package_index("")
        lock = (COLLECTION / "roles" / "toolbox" / "files" / "toolbox.txt").read_text(encoding="utf-8")
        make_toolbox(root, digest.digest(lock)[:16], lock, index, known)
        name = "build-" + digest.digest(sorted(spec["key"] for spec in missing))[:16]
        run_name, seen = f"wavesmith-{time.time()}", ""
        while True:
            answer = follow(root, name, run_name, work, 3600.0, seen)
            if answer["finished"]:
                break
            seen, now = answer["state"], answer["progress"]
            count = f" {now['n']}/{now['m']}" if now.get("m") else ""
            if arguments.json:
                continue
            print(
                f"  {now.get('phase', '')}{count} ({now.get('detail', '')}): {now.get('elapsed', 0):.0f} s",
                flush=True,
            )
    except (StoreError, Failed) as error:
        print(f"✗ {error}", file=sys.stderr)
        return FAILED
    if "failure" in answer:
        print(
            "\n".join([f"✗ {answer['failure']}", *(f"  | {line}" for line in answer.get("log", []))]),
            file=sys.stderr,
        )
        return FAILED
    return DONE
