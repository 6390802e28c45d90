"""A fleet through several controllers: ansible-runner's transmit, worker and process over SSH, one record here.

The project and the inventory travel to each controller with every stage, so all of them run what is here. Every host belongs to one
controller. First all hosts are planned and their wheels built, then come the waves, of the whole fleet: the next one begins when all controllers
are done with this one.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ansible_collections.wavesmith.provision.plugins.module_utils.records.run import RunOptions
from ansible_collections.wavesmith.provision.plugins.module_utils.terms.kinds import Parsed
from ansible_collections.wavesmith.provision.plugins.module_utils.terms.shown import printable
from ansible_collections.wavesmith.provision.plugins.plugin_utils.ledger import Ledger, worked

from wavesmith import ROOT, playbook

TRAVELS = (
    "ansible.cfg",
    "catalog",
    "collections",
    "galaxy.yml",
    "group_vars",
    "meta",
    "playbooks",
    "plugins",
    "requirements",
    "roles",
    "schemas",
)
"""What of the project a controller needs."""
GOOD = ("switched", "unchanged")
PROGRAM = "ansible-runner"


class Controller(NamedTuple):
    """A machine that runs Ansible for some hosts.

    Attributes:
        name: As ssh takes it.
        program: Its ansible-runner.
    """

    name: str
    program: str = PROGRAM


def controllers(text: str) -> list[Controller]:
    """``ctl1,ada@ctl2:/opt/wavesmith/bin/ansible-runner``, each with the path of its program where that is not on its PATH."""
    found: list[Controller] = []
    for word in filter(None, (part.strip() for part in text.split(","))):
        name, there, path = word.partition(":/")
        if name.endswith("ssh"):  # ssh://ada@ctl1:2222:/path
            rest, again, path = path.lstrip("/").partition(":/")
            name, there = f"ssh://{rest}", again
        found.append(Controller(name, f"/{path}" if there else PROGRAM))
    return found


def waves(hosts: Sequence[str], sizes: str) -> list[list[str]]:
    """The hosts of each wave, as Ansible's ``serial`` divides them: numbers or percent, the last one again and again."""
    left = list(hosts)
    found: list[list[str]] = []
    words = [word.strip() for word in sizes.split(",") if word.strip()]
    while left:
        word = words[min(len(found), len(words) - 1)]
        size = int(int(word[:-1]) / 100 * len(hosts)) if word.endswith("%") else int(word)
        found.append(left[: max(1, size)])
        left = left[max(1, size) :]
    return found


@dataclass
class Fleet:
    """One run.

    Attributes:
        ledger: The record.
        run: The run's name in it.
        artifacts: Where plans and reports go.
        cargo: What travels: ``project`` and ``inventories``.
        sources: The inventories, as paths below ``project``.
        owners: The controller of each host.
        extra: Arguments for every ansible-playbook.
        outcomes: What became of each host.
        seconds: By host and step.
    """

    ledger: Ledger
    run: str
    artifacts: Path
    cargo: Path
    sources: Sequence[str]
    owners: Mapping[str, Controller]
    extra: Sequence[str]
    outcomes: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, dict[str, float]] = field(default_factory=dict)

    def stage(self, name: str, hosts: Sequence[str], variables: Mapping[str, object]) -> None:
        """Run a playbook for some hosts, on all their controllers at once."""
        shares: dict[Controller, list[str]] = {}
        for host in hosts:
            shares.setdefault(self.owners[host], []).append(host)
        threads = [
            threading.Thread(target=self._share, args=(controller, name, share, variables))
            for controller, share in shares.items()
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _share(self, controller: Controller, name: str, hosts: Sequence[str], variables: Mapping[str, object]) -> None:
        """Run it on one controller; what it says goes into the record as it comes."""
        from ansible_runner.streaming import Processor, Transmitter

        ident = f"{self.run}-{name}-{hosts[0]}"
        given = {**variables, "wavesmith_artifacts": f"../artifacts/{ident}/hosts", "wavesmith_one_of_many": True}
        words = [word for source in self.sources for word in ("-i", source)]
        words += ["-l", ",".join(hosts), *self.extra, "-e", json.dumps(given)]
        ssh = ["ssh", "-o", "BatchMode=yes", *shlex.split(os.environ.get("ANSIBLE_SSH_COMMON_ARGS", ""))]
        folder = os.path.dirname(controller.program)
        path = f'PATH={shlex.quote(folder)}:"$PATH" ' if folder else ""  # ansible-playbook is beside it
        argv = [*ssh, controller.name, f"{path}exec {shlex.quote(controller.program)} worker"]
        with tempfile.TemporaryFile() as complaints:
            process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints)
            assert process.stdin is not None and process.stdout is not None
            with suppress(OSError), process.stdin as pipe:  # what is wrong is told below
                Transmitter(
                    _output=pipe,
                    private_data_dir=str(self.cargo),
                    playbook=f"playbooks/{name}.yml",
                    ident=ident,
                    cmdline=shlex.join(words),
                    envvars={"ANSIBLE_CONFIG": "ansible.cfg"},
                ).run()
            with tempfile.TemporaryDirectory(prefix="wavesmith-") as place:
                told: list[str] = []
                processor = Processor(
                    _input=process.stdout,
                    private_data_dir=place,
                    ident=ident,
                    quiet=True,
                    event_handler=lambda event: self._event(event, told),
                    status_handler=lambda status, **_: told.append(str(status.get("job_explanation") or "")),
                )
                processor.run()
                kept = Path(place, "artifacts", ident, "hosts")
                if kept.is_dir():
                    shutil.copytree(kept, self.artifacts, dirs_exist_ok=True)
            process.wait()
            complaints.seek(0)
            said = complaints.read().decode(errors="replace").strip().splitlines()
        # Each host that was to be planned has an outcome now, and each of a wave another one than that.
        for host in hosts:
            if host not in self.outcomes or (name != "build" and self.outcomes[host] == "planned"):
                why = (said or [line for line in told if line] or ["it ended without a word"])[-1]
                remedy = f"log in there, and run: {controller.program} --version"
                self._stop(host, "unreachable", f"controller {controller.name}: {why}. Remedy: {remedy}")

    def _event(self, event: Parsed, told: list[str]) -> bool:
        """Take in an event of a controller; none is kept as a file, and what Ansible says outside of tasks goes to `told`."""
        kind, data = str(event.get("event", "")), event.get("event_data") or {}
        host, result = str(data.get("host", "")), data.get("res") or {}
        if kind in ("verbose", "error", "warning") and not data:
            told.append(printable(str(event.get("stdout") or "")).strip())
        if host not in self.owners or not kind.startswith("runner_on_"):
            return False
        action = str(data.get("resolved_action") or data.get("task_action") or "").rpartition(".")[2]
        if "duration" in data:
            spent = self.seconds.setdefault(host, {})
            spent[action] = round(spent.get(action, 0.0) + float(data["duration"]), 3)
        if kind == "runner_on_ok":
            worked(self.ledger, self.run, host, action, result, time.time())
            if action == "plan" and "plan" in result:
                todo = any(item.get("phases") for item in result["plan"]["environments"])
                self._tell(host, "planned" if todo else "unchanged")
            elif action == "generation":
                self._tell(host, "switched")
        elif kind == "runner_on_failed" and not data.get("ignore_errors"):
            self._stop(host, "refused" if action == "plan" else "failed", str(result.get("msg") or "it says nothing"))
        elif kind == "runner_on_unreachable":
            self._stop(host, "unreachable", str(result.get("msg") or "it does not answer"))
        return False

    def _stop(self, host: str, outcome: str, why: str) -> None:
        line = why.splitlines()[0][:500]
        self.ledger.stopped(self.run, host, outcome, line, time.time())
        self._tell(host, outcome, line)

    def _tell(self, host: str, outcome: str, why: str = "") -> None:
        if self.outcomes.get(host) != outcome:
            self.outcomes[host] = outcome
            mark = {"switched": "✓", "unchanged": "✓", "planned": "·"}.get(outcome, "✗")
            print(f"{mark} {host} ({self.owners[host].name}): {outcome}{f': {why}' if why else ''}", flush=True)


def pack(folder: Path, sources: Sequence[str]) -> list[str]:
    """Put the project and the inventories into a folder; the inventories as a controller finds them from the project."""
    project = folder / "project"
    project.mkdir()
    for name in TRAVELS:
        own = ROOT / name
        if own.is_dir():
            shutil.copytree(own, project / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        elif own.exists():
            shutil.copy2(own, project / name)
    found = []
    for number, source in enumerate(sources):
        place = folder / "inventories" / str(number)
        if "," in source:
            place.parent.mkdir(exist_ok=True)
            found.append(source)
            continue
        path = Path(source)
        if path.is_dir():
            shutil.copytree(path, place, ignore=shutil.ignore_patterns("artifacts", ".git"))
            found.append(f"../inventories/{number}")
            continue
        place.mkdir(parents=True)
        shutil.copy2(path, place / path.name)
        for name in ("group_vars", "host_vars", "locks"):
            if (path.parent / name).is_dir():
                shutil.copytree(path.parent / name, place / name)
        found.append(f"../inventories/{number}/{path.name}")
    return found


@dataclass(frozen=True)
class Options:
    """How a run through controllers was started.

    Attributes:
        run: Its name.
        who: The user.
        here: This machine.
        limit: The hosts that it is limited to; empty for all.
        controllers: As they were given.
        waves: Hosts at a time.
        budget: Percent of a wave that may fail.
        extra: Arguments for ansible-playbook.
        variables: Variables for the run.
    """

    run: str
    who: str
    here: str
    limit: str
    controllers: str
    waves: str
    budget: int
    extra: Sequence[str]
    variables: Mapping[str, object]


def run(
    chosen: Sequence[Controller],
    sources: Sequence[str],
    hosts: Sequence[str],
    ledger: Ledger,
    artifacts: Path,
    options: Options,
) -> int:
    """Reprovision these hosts through these controllers.

    Args:
        sources: Paths of inventories.
        hosts: Names, in the order of the waves.
        options: How.

    Returns:
        The exit code.
    """
    name, started = options.run, time.time()
    recorded = RunOptions(limit=options.limit, inventory=list(sources), controllers=options.controllers)
    ledger.begin(name, "reprovision", options.who, options.here, started, recorded)
    with tempfile.TemporaryDirectory(prefix="wavesmith-") as scratch:
        cargo = Path(scratch)
        owners = {host: chosen[number % len(chosen)] for number, host in enumerate(hosts)}
        fleet = Fleet(ledger, name, artifacts, cargo, pack(cargo, sources), owners, options.extra)
        fleet.stage("build", hosts, options.variables)
        todo = [host for host in hosts if fleet.outcomes.get(host) == "planned"]
        for number, wave in enumerate(waves(todo, options.waves), 1):
            print(f"wave {number}: {', '.join(wave)}", flush=True)
            one = {**options.variables, "wavesmith_waves": "100%", "wavesmith_failure_budget": 100}
            fleet.stage("reprovision", wave, one)
            failed = [host for host in wave if fleet.outcomes.get(host) not in GOOD]
            if 100 * len(failed) > options.budget * len(wave):
                print(f"✗ stopped after wave {number}: {len(failed)} of {len(wave)} hosts failed", file=sys.stderr)
                break
    good = sum(fleet.outcomes.get(host) in GOOD for host in hosts)
    ledger.ended(name, "done" if good == len(hosts) else "failed", fleet.seconds, time.time())
    print(f"{good} of {len(hosts)} hosts as wanted, by {len(chosen)} controllers ({time.time() - started:.0f} s)")
    return playbook.DONE if good == len(hosts) else playbook.FAILED
