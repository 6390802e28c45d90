"""A fleet as text for a terminal, as JUnit XML, and as a Prometheus textfile."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from xml.sax.saxutils import escape, quoteattr

from ..doctor.table import MARKS, pad
from ..records.report import EnvironmentRow, Fleet, HostRow

_TIME = "%Y-%m-%dT%H:%M:%SZ"
"""How a verdict says when (`doctor.run.TIME`)."""
_MARK = {"healthy": MARKS["pass"], "failed": MARKS["fail"], "unjudged": MARKS["unjudged"], "unknown": MARKS["skip"]}


def environments(fleet: Fleet) -> Iterator[tuple[HostRow, EnvironmentRow]]:
    """Every environment with its host."""
    for host in fleet["hosts"]:
        for environment in host["environments"]:
            yield host, environment


def counts(fleet: Fleet) -> dict[str, int]:
    """How many environments have each verdict."""
    found = dict.fromkeys(_MARK, 0)
    for _, environment in environments(fleet):
        found[environment["verdict"]] += 1
    return found


def unjudged(fleet: Fleet) -> str:
    """Which environments the doctor has not judged yet, with the remedy; empty where there are none."""
    names = [f"{host['name']} {one['name']}" for host, one in environments(fleet) if one["verdict"] == "unknown"]
    if not names:
        return "" if any(environments(fleet)) else "no environment was judged. Remedy: provision the hosts, then report"
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"not judged yet: {', '.join(names[:3])}{more}. Remedy: provision these hosts, or run wavesmith verify"


def terminal(fleet: Fleet) -> str:
    """A line for each environment, failures and their remedies after it."""
    rows = [
        (
            host["name"],
            environment["name"],
            environment["stack"],
            environment["generation"] or "nothing yet",
            environment,
        )
        for host, environment in environments(fleet)
    ]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(4)]
    lines = []
    for *cells, environment in rows:
        shown = " ".join(pad(str(cell), width) for cell, width in zip(cells, widths))
        lines.append(f"{_MARK[environment['verdict']]} {shown} {environment['verdict']}")
        for check in environment["checks"]:
            if check["verdict"] in ("fail", "unjudged"):
                lines.append(f"    {check['id']}: {check['detail']}")
                lines.append(f"    → {check.get('remedy') or 'see its evidence'}")
    for host in fleet["hosts"]:
        lines += [f"{_MARK['failed']} {host['name']}: {refusal}" for refusal in host["refusals"]]
    made = fleet["wheelhouse"]
    if made["needed"]:
        built = made["needed"] - made["there"]
        share = made["there"] / made["needed"]
        lines.append(f"wheels built from source: needed {made['needed']} times, built {built} times ({share:.0%} hits)")
    total = ", ".join(f"{count} {verdict}" for verdict, count in counts(fleet).items() if count)
    return (
        "\n".join(
            [
                *lines,
                f"{len(fleet['hosts'])} host{'' if len(fleet['hosts']) == 1 else 's'}: {total or 'no environment'}",
            ]
        )
        + "\n"
    )


def junit(fleet: Fleet) -> str:
    """JUnit XML: a suite for each environment, a case for each check."""
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', "<testsuites>"]
    for host, environment in environments(fleet):
        checks = environment["checks"]
        number = {kind: sum(check["verdict"] == kind for check in checks) for kind in ("fail", "skip", "unjudged")}
        name = quoteattr(f"{host['name']}.{environment['name']}")
        lines.append(
            f'<testsuite name={name} tests="{len(checks)}" failures="{number["fail"]}" errors="{number["unjudged"]}" '
            f'skipped="{number["skip"]}" time="{environment["seconds"]:.3f}">'
        )
        for check in checks:
            lines.append(
                f'<testcase classname={name} name={quoteattr(check["id"])} time="{check.get("seconds", 0.0):.3f}">'
            )
            kind = {"fail": "failure", "skip": "skipped", "unjudged": "error"}.get(check["verdict"])
            if kind:
                text = escape(_clean(f"remedy: {check['remedy']}")) if check.get("remedy") else ""
                lines.append(f"<{kind} message={quoteattr(_clean(check['detail']))}>{text}</{kind}>")
            lines.append("</testcase>")
        lines.append("</testsuite>")
    return "\n".join([*lines, "</testsuites>"]) + "\n"


def _clean(text: str) -> str:
    """Text without the characters that XML does not have."""
    return "".join(char for char in text if char >= " " or char in "\t\n")


def prometheus(fleet: Fleet) -> str:
    """A textfile for Prometheus' node exporter, on the controller."""
    codes = {"healthy": 0, "failed": 1, "unjudged": 2, "unknown": 3}
    blocks: dict[str, tuple[str, list[str]]] = {
        "wavesmith_verdict": ("The doctor's verdict: 0 healthy, 1 failed, 2 unjudged, 3 unknown.", []),
        "wavesmith_verdict_timestamp_seconds": ("When the doctor began.", []),
        "wavesmith_drift": ("Files of the generation in use that are not as they were sealed.", []),
        "wavesmith_checks": ("Checks by verdict.", []),
        "wavesmith_doctor_seconds": ("How long the doctor took.", []),
        "wavesmith_performance": ("What was measured.", []),
    }
    for host, environment in environments(fleet):
        labels = f'host="{_label(host["name"])}",environment="{_label(environment["name"])}"'
        more = f'{labels},stack="{_label(environment["stack"])}",generation="{_label(environment["generation"])}"'
        blocks["wavesmith_verdict"][1].append(f"wavesmith_verdict{{{more}}} {codes[environment['verdict']]}")
        if environment["judged"]:
            at = datetime.strptime(environment["judged"], _TIME).replace(tzinfo=timezone.utc).timestamp()
            blocks["wavesmith_verdict_timestamp_seconds"][1].append(
                f"wavesmith_verdict_timestamp_seconds{{{labels}}} {at:.0f}"
            )
        blocks["wavesmith_drift"][1].append(f"wavesmith_drift{{{labels}}} {environment['drift']}")
        for kind in MARKS:
            count = sum(check["verdict"] == kind for check in environment["checks"])
            blocks["wavesmith_checks"][1].append(f'wavesmith_checks{{{labels},verdict="{kind}"}} {count}')
        blocks["wavesmith_doctor_seconds"][1].append(f"wavesmith_doctor_seconds{{{labels}}} {environment['seconds']:g}")
        for what, value in sorted(environment["performance"].items()):
            blocks["wavesmith_performance"][1].append(
                f'wavesmith_performance{{{labels},what="{_label(what)}"}} {value:g}'
            )
    made = fleet["wheelhouse"]
    blocks["wavesmith_wheels_needed"] = (
        "How often a host needed a wheel that is built from source.",
        [f"wavesmith_wheels_needed {made['needed']}"],
    )
    blocks["wavesmith_wheels_hit"] = ("How often it had not to be built.", [f"wavesmith_wheels_hit {made['there']}"])
    lines = []
    for name, (help_text, values) in blocks.items():
        if values:
            lines += [f"# HELP {name} {help_text}", f"# TYPE {name} gauge", *values]
    return "\n".join(lines) + "\n"


def _label(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
