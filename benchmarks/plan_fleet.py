#!/usr/bin/env python3
"""How long choosing stacks and planning takes for a whole fleet: in one process on one core, and through Ansible.

    .venv/bin/python benchmarks/plan_fleet.py [--hosts 100 1000 10000] [--ansible 20] [--profile]

The hosts are the recorded machines of the tests over and over, each made different by its number alone, so that every run measures the
same fleet: name, memory, disk, driver, what it shall have, and how far it is (nothing there yet, settled, drifted, locks missing).
"""

from __future__ import annotations

import argparse
import cProfile
import json
import math
import os
import pstats
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "collections")]

import yaml  # noqa: E402
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.decide import plan  # noqa: E402
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.lockfile import LOCK_MARK  # noqa: E402
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.record import Plan  # noqa: E402
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.variables import read  # noqa: E402
from ansible_collections.wavesmith.provision.plugins.plugin_utils import catalog_files  # noqa: E402

from tests.unit.peers import SAMPLES, replay  # noqa: E402

TOOLBOX = "0123456789abcdef"
GIB = 2**30
CATALOG = catalog_files.load()
INVENTORY = ROOT / "inventories" / "local" / "group_vars" / "this_machine.yml"
PACKAGES = yaml.safe_load(INVENTORY.read_text(encoding="utf-8"))["wavesmith_environments"]["speech"]["packages"]
LOCKED = "".join(f"package-{number}==1.{number} \\\n    --hash=sha256:{number:064x}\n" for number in range(140))
"""A lock as long as that of the speech environment."""

Host = tuple[dict[str, Any], dict[str, Any], dict[str, str]]


def fleet(size: int) -> Iterator[Host]:
    """For each host: its variables, what is observed there, and the locks at hand; one after the other, as observations arrive."""
    machines = [replay(folder.name) for folder in sorted(SAMPLES.iterdir())]
    return (_host(number, machines[number % len(machines)]) for number in range(size))


def _host(number: int, machine: dict[str, Any]) -> Host:
    chance = random.Random(number)
    names = ["speech", "music", "recognition"][: chance.randint(1, 3)]
    variables = {
        "wavesmith_environments": {
            name: {
                "stack": "auto",
                "packages": ["torch", "torchaudio", *chance.sample(PACKAGES, 12)],
            }
            for name in names
        },
        **{f"role_variable_{place}": place for place in range(50)},
    }
    total = chance.choice((16, 32, 64, 128)) * GIB
    driver = machine["nvidia"]["driver"]
    observed = {
        **machine,
        "hostname": f"host{number:05}",
        "memory": {"total": total, "available": total - 4 * GIB},
        "disk": {"path": "/opt", "free": (2 if chance.random() < 0.02 else 400) * GIB, "total": 500 * GIB},
        "nvidia": {**machine["nvidia"], "driver": driver and f"{driver.split('.')[0]}.{chance.randint(10, 99)}.02"},
        "sources": {
            origin.name: {"answers": chance.random() < 0.99, "detail": "HTTP 200"}
            for stack in CATALOG.stacks.values()
            for origin in stack.origins
        },
    }
    how_far = chance.choice(("new", "unlocked", "settled", "settled", "settled", "drifted"))
    if how_far == "unlocked":
        return variables, observed, {}
    planned = decide((variables, observed, {}))
    locks = {
        item.lock["key"]: f"{LOCK_MARK}{item.lock['inputs']}\n{LOCKED}" for item in planned.environments if item.lock
    }
    if how_far != "new":
        settled = decide((variables, observed, locks))
        damage = ["lib/python3.12/site-packages/torch/__init__.py: changed"] if how_far == "drifted" else []
        observed["environments"] = {item.name: _present(item, damage) for item in settled.environments if item.digest}
        observed["wheels"] = [wheel.key for item in settled.environments for wheel in item.wheels if wheel.key]
        observed["toolbox"] = {"digest": TOOLBOX, "intact": True}
    return variables, observed, locks


def _present(item: Any, damage: list[str]) -> dict[str, Any]:
    """An environment whose current generation is the wanted one, with two older ones beside it."""
    name = item.digest[:16]
    made = {"name": name, "complete": True, "digest": item.digest, "created": 3.0, "exit": 0, "intact": not damage}
    older = [{**made, "name": f"{age:016x}", "digest": f"{age:064x}", "created": float(age)} for age in (1, 2)]
    current = {
        "generation": name,
        "damage": damage,
        "damaged": len(damage),
        "manifest": {"digest": item.digest, "stack": item.stack, "origin": item.origin},
        "verdict": {"exit": 0, "checks": []},
    }
    return {"current": current, "generations": [made, *older]}


def decide(host: Host) -> Plan:
    """All that the controller decides about one host."""
    variables, observed, locks = host
    wanted, refusals = read(variables)
    return plan(wanted, refusals, observed, CATALOG, locks, TOOLBOX)


def measure(hosts: Iterable[Host]) -> tuple[float, list[dict[str, Any]]]:
    """Seconds of one core for the planning of all hosts, and their plans as plain data, all of which are kept."""
    seconds, plans = 0.0, []
    for host in hosts:
        start = time.process_time()
        plans.append(decide(host).data())
        seconds += time.process_time() - start
    return seconds, plans


def memory() -> float:
    """The most that this process ever had in memory, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def through_ansible(number: int) -> tuple[float, float]:
    """``playbooks/plan.yml`` for so many hosts that are all this machine: seconds, and seconds of the processors."""
    with tempfile.TemporaryDirectory(prefix="wavesmith-plan-") as folder:
        variables = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "wavesmith_environments": {"speech": {"packages": ["torch", "torchaudio", "librosa"]}},
            "wavesmith_artifacts": str(Path(folder, "artifacts")),
            "wavesmith_locks": str(Path(folder, "locks")),
            "wavesmith_probe_timeout": 30.0,
        }
        hosts = {f"host{place:03}": {"wavesmith_root": str(Path(folder, f"root{place}"))} for place in range(number)}
        inventory = Path(folder, "hosts.yml")
        inventory.write_text(json.dumps({"all": {"hosts": hosts, "vars": variables}}))
        argv = [str(Path(sys.prefix, "bin", "ansible-playbook")), "-i", str(inventory), "playbooks/plan.yml"]
        env = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_LOCALHOST_WARNING": "False"}
        start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        ran = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
        seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        if len(list(Path(folder, "artifacts").glob("*/plan.json"))) != number:
            raise SystemExit(ran.stdout[-2000:] + ran.stderr[-2000:])
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--hosts", type=int, nargs="+", default=[100, 1000, 10000], help="sizes of the fleet")
    parser.add_argument(
        "--ansible", type=int, nargs="*", default=[], help="also plan so many local hosts through Ansible"
    )
    parser.add_argument("--profile", action="store_true", help="show where the time of the first size goes")
    options = parser.parse_args()
    if options.profile:
        hosts = list(fleet(options.hosts[0]))
        with cProfile.Profile() as profile:
            measure(hosts)
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)
        return
    print(f"{len(CATALOG.stacks)} stacks, {len(PACKAGES)} packages, {len(list(SAMPLES.iterdir()))} recorded machines")
    print(f"{'hosts':>7} {'seconds':>8} {'ms/host':>8} {'plans MiB':>10} {'refused':>8}")
    points = []
    for size in sorted(options.hosts):
        hosts = fleet(size)
        before = memory()
        seconds, plans = measure(hosts)
        refused = sum(bool(made["refusals"]) for made in plans)
        points.append((math.log(size), math.log(seconds)))
        print(
            f"{size:>7} {seconds:>8.2f} {1000 * seconds / size:>8.2f} {memory() - before:>10.0f} {refused:>8}",
            flush=True,
        )
        del plans
    if len(points) > 1:
        power = statistics.linear_regression(*zip(*points, strict=True))
        print(f"seconds grow with hosts to the power of {power.slope:.2f}")
    print(f"peak memory {memory():.0f} MiB")
    for number in options.ansible:
        seconds, busy = through_ansible(number)
        print(
            f"playbooks/plan.yml, {number} hosts that are this machine: {seconds:.1f} s, {busy:.1f} s of the processors"
        )


if __name__ == "__main__":
    main()
