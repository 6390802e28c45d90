"""What a run did so far, host by host, and how that is shown; it has no clock and no screen of its own."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from typing import cast

from ansible_collections.wavesmith.provision.plugins.module_utils.plan.record import PHASES
from ansible_collections.wavesmith.provision.plugins.module_utils.records.host import KeptEnvironment
from ansible_collections.wavesmith.provision.plugins.module_utils.records.outcome import (
    EnvironmentOutcome,
    HostOutcome,
    ProblemOf,
    Returned,
    RunOutcome,
)
from ansible_collections.wavesmith.provision.plugins.module_utils.records.plan import PlanFile
from ansible_collections.wavesmith.provision.plugins.module_utils.records.report import EnvironmentReport
from ansible_collections.wavesmith.provision.plugins.module_utils.records.times import Times
from ansible_collections.wavesmith.provision.plugins.plugin_utils import artifacts, reach
from ansible_collections.wavesmith.provision.plugins.plugin_utils.interface import Result, Variables
from ansible_collections.wavesmith.provision.plugins.plugin_utils.progress import Update, duration
from ansible_collections.wavesmith.provision.plugins.plugin_utils.text import STATES, step_lines
from ansible_collections.wavesmith.provision.plugins.plugin_utils.times import PLANNED, Estimate

OURS = "wavesmith.provision."
DOES = {"lock": PHASES[:3], "build": PHASES[:3], "verify": (), "report": ()}
"""What playbooks do of a plan; those that are not here do all of it."""
TELLING = ("site", "provision", "reprovision", "activate", "verify", "report", "repair", "rollback", "status")
"""Playbooks at whose end it is said what is current, and what the doctor found in it."""
SWITCHING = ("site", "reprovision", "repair")
"""Playbooks after which a host whose plan has a switch has switched, if its turn came."""
QUIET_PHASES = ("plan", "report", "settings")
"""What takes no time worth a word."""
_PHASE_OF_ACTION = {
    "toolbox": "prepare",
    "elect": "build",
    "wheelhouse": "build",
    "wheels": "build",
    "python_env": "install",
    "packages": "install",
}
_PHASE_OF_ROLE = {"system_deps": "prepare", "toolbox": "prepare", "activate": "activate"}
_DATA = {
    "plan": ("unwanted",),
    "report": ("report",),
    "status": ("status",),
    "generation": ("current", "removed", "text"),
    "remove": ("removed", "text"),
    "job": ("job",),
}
"""What our modules return that the end of a run says, or that programs read."""


def phase_of(action: str, task: str, play: str) -> str:
    """The phase that a task belongs to, from its module, its role, else the name of its play."""
    name = action.removeprefix(OURS)
    if name not in (action, "generation"):
        return _PHASE_OF_ACTION.get(name, name)
    role = task.partition(" : ")[0].rpartition(".")[2]
    return _PHASE_OF_ROLE.get(role, play.lower() or "tasks")


@dataclass
class Span:
    """When a phase of a host began, and when its last task ended."""

    began: float
    ended: float
    failed: bool = False

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.ended - self.began


@dataclass
class Host:
    """One host of the run."""

    name: str
    plan: PlanFile = field(default_factory=lambda: PlanFile())
    text: str = ""
    saved: str = ""
    estimates: dict[str, Estimate] = field(default_factory=dict)
    subjects: dict[str, str] = field(default_factory=dict)
    spans: dict[str, Span] = field(default_factory=dict)
    now: str = ""
    update: Update | None = None
    data: Returned = field(default_factory=lambda: Returned())
    known: dict[str, KeptEnvironment] = field(default_factory=dict)
    """Its environments: as they were observed, and after each switch and each verdict as they are since."""
    changed: bool = False
    refused: bool = False
    unreachable: bool = False
    failed: bool = False
    runs: int = 0
    worked: set[str] = field(default_factory=set)
    recorded: Times | None = None
    does: tuple[str, ...] = PHASES
    changes: dict[str, list[str]] = field(default_factory=dict)

    @property
    def phases(self) -> list[str]:
        """What the plan has it do, as far as this playbook does it."""
        return [phase for phase in self.does if phase in self.plan.get("phases", ())]

    def estimate(self, phase: str) -> Estimate:
        """What to expect of a phase."""
        return self.estimates.get(phase, Estimate(0.0, PLANNED))

    def begin(self, phase: str, now: float) -> None:
        """A task of a phase starts here."""
        if phase != self.now:
            self.update = None
        self.now = phase
        self.spans.setdefault(phase, Span(now, now))

    def end(self, phase: str, now: float, failed: bool = False) -> None:
        """A task of a phase ended here."""
        span = self.spans.setdefault(phase, Span(now, now))
        span.ended, span.failed = now, span.failed or failed
        self.now, self.update = "", None

    def left(self, now: float) -> float:
        """Seconds until the plan is done, as far as is known."""
        waiting = sum(self.estimate(phase).seconds for phase in self.phases if phase not in self.spans)
        here = self.estimate(self.now).seconds - self.elapsed(now) if self.now else 0.0
        return waiting + max(0.0, here)

    def elapsed(self, now: float) -> float:
        """Seconds of the phase that it is in."""
        return now - self.spans[self.now].began if self.now in self.spans else 0.0

    def share(self, now: float) -> float:
        """How much of the plan is done, 0 to 1, by the time it takes."""
        done = sum(self.spans[phase].seconds for phase in self.phases if phase in self.spans and phase != self.now)
        spent = done + self.elapsed(now)
        whole = spent + self.left(now)
        return spent / whole if whole else 0.0


@dataclass
class Problem:
    """What went wrong, on the hosts where it did."""

    message: str
    hosts: list[str]


@dataclass
class Run:
    """One playbook."""

    playbook: str = ""
    check: bool = False
    hosts: dict[str, Host] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def host(self, name: str) -> Host:
        """The host of a name, new where it was not met yet."""
        return self.hosts.setdefault(name, Host(name, does=DOES.get(self.playbook, PHASES)))

    def problem(self, host: str, message: str) -> None:
        """Note what went wrong; the same thing on several hosts is one problem."""
        for known in self.problems:
            if known.message == message:
                known.hosts += [host] if host not in known.hosts else []
                return
        self.problems.append(Problem(message, [host]))

    @property
    def planning(self) -> bool:
        """Whether nothing is to be done but to plan."""
        return self.playbook == "plan"


def take(host: Host, action: str, result: Result) -> None:
    """Keep of a task's result what the end of the run says."""
    if result.get("changed"):
        host.changed = True
    if not action.startswith(OURS):
        if "stdout" in result and "rc" in result:
            host.data["ran"] = {"rc": result["rc"], "stdout": result["stdout"], "stderr": result["stderr"]}
        return
    name = action.removeprefix(OURS)
    if name == "plan" and "plan" in result:
        host.changes = {item["name"]: item["changes"] for item in result["plan"]["environments"] if item.get("changes")}
    if name == "plan" and "plan" in result and not host.plan:
        host.plan, host.text = result["plan"], str(result.get("text", ""))
        host.saved = str(result.get("saved", ""))
    if name == "plan":
        host.known.update((result.get("observed") or {}).get("environments") or {})
    if name in ("generation", "report"):
        host.known.update(result.get("kept") or {})
    if name == "verify":
        for environment, verdict in ((result.get("result") or {}).get("verdicts") or {}).items():
            if environment in host.known:
                host.known[environment] = artifacts.with_verdict(host.known[environment], verdict)
    host.data = cast(Returned, {**host.data, **{key: result[key] for key in _DATA.get(name, ()) if result.get(key)}})


def ran_wrong(result: Result) -> str:
    """What a command of `wavesmith run` said before it failed."""
    said = [line for line in str(result.get("stderr") or "").splitlines() if line.strip()]
    if said and "Remedy: " in said[-1]:
        return said[-1].removeprefix("wavesmith-run: ")
    problem = f"it ended with {result['rc']}" + (f" ({said[-1].strip()})" if said else " and said nothing on stderr")
    return f"the command: {problem}. Remedy: correct it, or run it on that host to see all that it says"


def failure(action: str, task: str, result: Result) -> str:
    """What a failed task says, with a remedy."""
    message = str(result.get("msg") or "it failed").strip().removeprefix("Task failed: ")
    if "results" in result and message.startswith("One or more items failed"):
        message = "; ".join(str(item.get("msg")) for item in result["results"] if item.get("failed"))
    if "Remedy: " in message or message.startswith("the doctor's verdict"):
        return message
    if not action.startswith(OURS):
        rights = reach.no_rights(result)
        if rights:
            return rights
        ran = result.get("cmd") or []
        command = ran if isinstance(ran, str) else " ".join(map(str, ran))
        said = str(result.get("stderr") or "").strip().splitlines()[-1:]
        message = ": ".join([task, message.rstrip("."), *said]) + (f" ({command})" if command else "")
    return f"{message.rstrip('.')}. Remedy: fix it and start again; -v shows Ansible's own words"


def unreachable(host: str, result: Result, variables: Variables) -> str:
    """Why a host cannot be reached; the same reason on several hosts is one problem."""
    message = reach.no_way_in(host, variables, str(result.get("msg") or "it does not answer").strip())
    return f"this host: {message.removeprefix(f'host {host}: ')}"


def plan_text(host: Host) -> str:
    """The text of a host's plan, with the steps that this playbook does."""
    steps = host.plan.get("steps", ())
    mine = [step for step in steps if step["phase"] in host.phases]
    if len(mine) == len(steps):
        return host.text
    lines = host.text.splitlines()
    first = next((place for place, line in enumerate(lines) if line.startswith("  steps, about ")), len(lines))
    shown = step_lines(mine, sum(step["seconds"] for step in mine)) if mine else []
    return "\n".join([*lines[:first], *shown, *lines[first + 1 + len(steps) :]])


# The end


def outcome(run: Run, host: Host) -> str:
    """One word for what became of a host."""
    if host.unreachable:
        return "unreachable"
    if host.refused:
        return "refused"
    if host.failed:
        return "failed"
    if run.planning or run.check:
        return "would change" if host.phases or host.changed else "nothing to do"
    if run.playbook in SWITCHING and "activate" in host.phases and "activate" not in host.spans:
        return "not reached"
    return "changed" if host.changed else "nothing to do"


def environments(host: Host) -> list[EnvironmentOutcome]:
    """What is known of each environment, as it is now."""
    if host.data.get("status"):
        return [
            {
                "environment": row["environment"],
                "generation": row["generation"],
                "stack": row["stack"],
                "verdict": row["verdict"],
                "judged": row["judged"],
                "checks": row["checks"],
            }
            for row in host.data["status"]
        ]
    stacks = {item["name"]: item.get("stack") for item in host.plan.get("environments", ())}
    return [_known(name, host.known.get(name), stacks.get(name)) for name in stacks or host.known]


def _known(name: str, kept: KeptEnvironment | None, stack: str | None) -> EnvironmentOutcome:
    """An environment with what the doctor found in its current generation."""
    current = kept["current"] if kept else None
    found = current["verdict"] if current else None
    manifest = current["manifest"] if current else None
    counts = [check["verdict"] for check in (found["checks"] if found else ())]
    return {
        "environment": name,
        "generation": current["generation"] if current else None,
        "stack": manifest["stack"] if manifest else stack,
        "verdict": found["verdict"] if found else None,
        "judged": found.get("started") if found else None,
        "checks": {kind: counts.count(kind) for kind in ("pass", "fail", "skip")} if counts else None,
    }


def healthy(host: Host) -> bool:
    """Whether every environment of a host is there and was found healthy."""
    rows = environments(host)
    return bool(rows) and all(row["verdict"] == "healthy" for row in rows)


NAMED = 5
"""Hosts that the last sentence names."""
BAD = ("refused", "failed", "unreachable", "not reached")
MARKS = {"nothing to do": "✓", "changed": "✓", "would change": "○", "not reached": "○", **dict.fromkeys(BAD[:3], "✗")}


def host_line(run: Run, host: Host) -> str:
    """What became of a host, in one line."""
    end = outcome(run, host)
    return f"{MARKS[end]} {host.name}: {'; '.join(_phrases(run, host, end)) or end}"


def _phrases(run: Run, host: Host, end: str) -> list[str]:
    if end == "not reached":
        return ["not reached: the run stopped before its turn; what is current stays in use"]
    if end in ("refused", "unreachable"):
        return [f"{end}, nothing was changed" if not host.changed else end]
    if end == "failed" and run.playbook == "run" and "ran" in host.data:
        return [f"the command ended with {host.data['ran']['rc']}"]
    if end == "failed":
        where = [phase for phase, span in host.spans.items() if span.failed]
        after = f" in {where[-1]} after {duration(host.spans[where[-1]].seconds)}" if where else ""
        kept = "; what is current stays in use" if host.plan and not run.planning else ""
        return [f"failed{after}{kept}"]
    found = []
    removed = []
    if host.data.get("removed"):
        removed = [
            line
            for line in host.data["text"]
            if run.playbook == "prune" or host.data["removed"].get(line.partition(": ")[0])
        ]
    if removed and run.playbook != "repair":
        found = removed
    elif host.plan and (run.planning or run.check):
        found = [
            f"{item['name']} {STATES[item['state']]}" for item in host.plan.get("environments", ()) if item.get("state")
        ]
        if host.phases:
            seconds = sum(host.estimate(phase).seconds for phase in host.phases)
            found.append(f"about {duration(seconds)}")
    elif run.playbook in TELLING and any(row["verdict"] for row in environments(host)):
        found = [_environment(row) for row in environments(host)]
    elif host.data.get("current"):
        already = "" if host.changed else " already"
        found = [f"{name} is generation {generation}{already}" for name, generation in host.data["current"].items()]
    elif host.plan and run.playbook in TELLING:
        found = [f"{row['environment']} is not there yet" for row in environments(host)]
    found += removed if run.playbook == "repair" else []
    warnings = len(host.plan.get("warnings", ()))
    if warnings and not host.phases and not run.planning and not removed:
        said = "warnings" if warnings > 1 else f"warning ({host.plan['warnings'][0].partition('. Remedy: ')[0]})"
        found.append(f"{warnings} {said}, see wavesmith plan")
    return found


SHOWN = 12
"""Changes of an environment that the end of a run names."""


def change_lines(run: Run) -> list[str]:
    """What new generations changed: each kind once, with its hosts where there are others."""
    kinds: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for host in run.hosts.values():
        for row in _reported(host):
            if row.get("changes"):
                kinds.setdefault((row["environment"], tuple(row["changes"])), []).append(host.name)
    found = []
    for (environment, said), hosts in kinds.items():
        where = f" on {', '.join(hosts[:NAMED])}{' …' if len(hosts) > NAMED else ''}" if len(run.hosts) > 1 else ""
        more = f", and {len(said) - SHOWN} more (wavesmith report)" if len(said) > SHOWN else ""
        found.append(f"  {environment}{where}: {', '.join(said[:SHOWN])}{more}")
    return found


def _reported(host: Host) -> list[EnvironmentReport]:
    return host.data["report"]["environments"] if "report" in host.data else []


def _environment(row: EnvironmentOutcome) -> str:
    if not row["generation"]:
        return f"{row['environment']} is not there yet"
    if not row["verdict"]:
        return f"{row['environment']} {row['generation']} not judged yet"
    since = f" of {when(row['judged'])}" if row["judged"] else ""
    checks = row["checks"]
    counts = f" ({checks['pass']} pass, {checks['fail']} fail, {checks['skip']} skip)" if checks else ""
    return f"{row['environment']} {row['generation']} {row['verdict']}{counts}{since}"


def when(stamp: str) -> str:
    """A time that is kept in UTC, as the clock here shows it."""
    try:
        read = datetime.datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.timezone.utc)
    except ValueError:
        return stamp
    return read.astimezone().strftime("%Y-%m-%d %H:%M")


def sentence(run: Run, seconds: float) -> str:
    """The whole run in one sentence."""
    ends = {host.name: outcome(run, host) for host in run.hosts.values()}
    if not ends:
        return "no host took part. Remedy: check the inventory and -l"
    bad = [name for name, end in ends.items() if end in BAD]
    changed = [name for name, end in ends.items() if end in ("changed", "would change")]
    judged = [
        host
        for host in run.hosts.values()
        if run.playbook in TELLING and any(row["verdict"] for row in environments(host))
    ]
    of = f"of {len(ends)} host{'s' if len(ends) > 1 else ''}"
    parts = []
    if judged and not run.check:
        good = [host for host in judged if ends[host.name] not in BAD and healthy(host)]
        parts.append(f"{len(good)} {of} healthy")
    elif run.planning or run.check:
        parts.append(f"{len(ends) - len(bad) - len(changed)} {of} as intended")
    else:
        parts.append(f"{len(ends) - len(bad)} {of} done")
    if changed:
        parts.append(f"{len(changed)} {'would change' if run.planning or run.check else 'changed'}")
    elif not bad and not run.planning and run.playbook not in ("status", "logs", "verify"):
        parts.append("nothing to do" if judged or run.check else "nothing changed")
    for end in BAD:
        named = [name for name in bad if ends[name] == end]
        if named:
            more = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
            parts.append(f"{len(named)} {end}: {', '.join(named[:NAMED])}{more}")
    if run.check:
        parts.append("check mode, nothing was changed")
    return f"{', '.join(parts)} ({duration(seconds)})" if seconds >= 10 else f"{', '.join(parts)} ({seconds:.1f} s)"


def error_lines(run: Run) -> list[str]:
    """Each problem once, with its hosts in the inventory's order."""
    found = []
    for problem in run.problems:
        first, *more = problem.message.splitlines()
        found.append(f"✗ {', '.join(name for name in run.hosts if name in problem.hosts)}: {first}")
        found += [f"  {line}" for line in more]
    return found


def as_data(run: Run, seconds: float) -> RunOutcome:
    """The run for a program."""
    return {
        "schema": 1,
        "playbook": run.playbook,
        "check": run.check,
        "seconds": round(seconds, 1),
        "summary": sentence(run, seconds),
        "hosts": {host.name: _host(run, host) for host in run.hosts.values()},
        "errors": [_problem(problem.hosts, line) for problem in run.problems for line in _messages(problem.message)],
    }


def _host(run: Run, host: Host) -> HostOutcome:
    found: HostOutcome = {
        "outcome": outcome(run, host),
        "changed": host.changed,
        "remote_runs": host.runs,
        "phases": {phase: round(span.seconds, 1) for phase, span in host.spans.items()},
        "estimates": {phase: {"seconds": made.seconds, "basis": made.basis} for phase, made in host.estimates.items()},
        "environments": environments(host),
        "changes": {row["environment"]: row["changes"] for row in _reported(host) if row["changes"]},
    }
    if host.plan:
        found["plan"] = host.plan
    returned = {key: value for key, value in host.data.items() if key != "report"}
    return cast(HostOutcome, {**found, **returned})


def _messages(message: str) -> list[str]:
    """A message's refusals, one each, where every line is one; else the whole."""
    lines = message.splitlines()
    return lines if all("Remedy: " in line for line in lines) else [message]


def _problem(hosts: list[str], message: str) -> ProblemOf:
    said, _, remedy = message.partition("Remedy: ")
    item, colon, problem = said.strip().rstrip(".").partition(": ")
    return {
        "hosts": hosts,
        "message": message,
        "item": item if colon else "",
        "problem": problem if colon else item,
        "remedy": remedy.strip(),
    }
