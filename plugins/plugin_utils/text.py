"""The plan for people."""

from __future__ import annotations

from collections.abc import Sequence

from ansible_collections.wavesmith.provision.plugins.module_utils.plan import guard, models
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.record import EnvironmentPlan, Plan
from ansible_collections.wavesmith.provision.plugins.module_utils.records.host import Observed
from ansible_collections.wavesmith.provision.plugins.module_utils.records.plan import Step
from ansible_collections.wavesmith.provision.plugins.module_utils.terms.refusal import Refusal
from ansible_collections.wavesmith.provision.plugins.module_utils.terms.shown import one_line
from ansible_collections.wavesmith.provision.plugins.plugin_utils.progress import duration


def plan_text(host: str, plan: Plan, observed: Observed, explain: bool = False, refusals: bool = True) -> str:
    """A readable plan: what the host is, what each environment gets and why, the steps, warnings and refusals.

    With `explain` also the reason why each other stack was not taken or was refused. Without `refusals` those are left to
    who shows them at the end.
    """
    cpu, memory, disk = observed["cpu"], observed["memory"], observed["disk"]
    gpus = ", ".join(f"{gpu['name']} SM {gpu['sm']}" if gpu["sm"] else gpu["name"] for gpu in observed["accelerators"])
    lines = [
        (
            f"{host}: {observed['os']['pretty_name']}, {cpu['architecture']} {cpu['isa']}, {cpu['cores']} cores, "
            f"{memory['total'] / 2**30:.0f} GiB, {gpus or 'no accelerator'}; {disk['free'] / 2**30:.0f} GiB free for {plan.root}"
        )
    ]
    for item in plan.environments:
        considered = [
            f"    {'takes  ' if row['taken'] else 'not    '}  {row['stack']}: {row['why']}" for row in item.considered
        ]
        if not item.stack:
            lines += [f"  environment {item.name}: not planned, see the refusals", *(considered if explain else [])]
            continue
        versions = " ".join(f"{name} {version}" for name, version in sorted(item.versions.items()))
        lines += [
            f"  environment {item.name}: {STATES[item.state]}",
            f"    stack    {item.stack} ({item.stack_why}){': ' + versions if versions else ''}",
            *(considered if explain else []),
            *([f"    variant  {item.variant}"] if item.variant else []),
            *([f"    origin   {item.origin} ({item.origin_why})"] if item.origin else []),
            f"    python   {item.python['version']} ({item.python['path'] or _channels(item)}), engine {item.engine}",
            *(f"    lock     {lock['key']} ({LOCKS[lock['status']]})" for lock in (item.conda, item.lock) if lock),
        ]
        lines += [
            f"    wheel    {wheel.name} {wheel.version}: {wheel.status}{' ' + wheel.key if wheel.key else ''}"
            for wheel in item.wheels
        ]
        lines += [f"    unseen   the files of the lock: {item.unseen}"] if item.unseen else []
        lines += [f"    archive  {line}" for line in item.archives]
        lines += [f"    override {line}" for line in guard.lines(item.overrides)]
        lines += [f"    model    {line}" for line in models.lines(item.models)]
        if item.instead:
            other = item.instead
            lines.append(
                f"    instead  with index in wavesmith_policy: stack {other['stack']} (torch {other['torch']}) from an index, "
                f"about {duration(other['seconds'])} of building less"
            )
        if item.state:
            lines.append(f"    now      {item.current or 'nothing'} -> {item.generation or 'known after the lock'}")
        fresh = [", ".join(item.changes)] if item.state == "new" and item.changes else item.changes
        lines += [f"    change   {text}" for text in fresh]
        lines += [f"    damage   {text}" for text in item.damage]
    if plan.steps:
        lines += step_lines(plan.steps, plan.seconds, plan.disk_gib)
    elif not plan.refusals:
        lines.append("  nothing to do")
    lines += [f"  unwanted: {text} (wavesmith remove takes it off)" for text in plan.unwanted]
    lines += [f"  warning: {text}" for text in plan.warnings]
    lines += [f"  refused: {_refusal(refusal)}" for refusal in plan.refusals if refusals]
    return "\n".join(map(one_line, lines))


def step_lines(steps: Sequence[Step], seconds: float, disk_gib: float = 0.0) -> list[str]:
    """Steps with their times, a line each below how long they take and how much room."""
    room = f" and {disk_gib} GiB" if disk_gib else ""
    return [
        f"  steps, about {duration(seconds)}{room}:",
        *(
            f"    {number}. {step['name']}: {step['detail']} (~{duration(step['seconds'])})"
            for number, step in enumerate(steps, 1)
        ),
    ]


LOCKS = {
    "hit": "hit",
    "missing": "missing",
    "stale": "missing: the one there is for what was asked before",
    "damaged": "damaged",
}
STATES = {
    "": "not planned, see the refusals",
    "new": "will be made",
    "change": "gets a new generation",
    "kept": "is as intended",
    "drifted": "drifted, will be replaced by a good generation",
    "switch": "switches to a generation that is there",
}


def _channels(item: EnvironmentPlan) -> str:
    return "from " + ", ".join(channel["name"] for channel in item.conda.get("channels", ()))


def _refusal(refusal: Refusal) -> str:
    return f"{refusal.item}: {refusal.problem}. Remedy: {refusal.remedy}"


def refusal_text(plan: Plan) -> str:
    """All refusals, one a line."""
    return "\n".join(one_line(_refusal(refusal)) for refusal in plan.refusals)
