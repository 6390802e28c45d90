"""From what is kept of each host to the rows of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..records.report import EnvironmentRow, Fleet, GenerationRow, HostRow


def fleet(kept: Mapping[str, Mapping[str, Any]]) -> Fleet:
    """The rows of a fleet.

    Args:
        kept: By host what its files have: ``plan``, ``observed``, ``report``, ``history``, and ``evidence`` (paths by environment).
            A host whose run ended early has only some of them.
    """
    return {"schema": 1, "hosts": [_host(name, kept[name]) for name in sorted(kept)]}


def _host(name: str, kept: Mapping[str, Any]) -> HostRow:
    plan, observed, report = (kept.get(part) or {} for part in ("plan", "observed", "report"))
    cpu, machine = observed.get("cpu") or {}, observed.get("machine") or {}
    gpus = [_gpu(gpu) for gpu in observed.get("accelerators") or ()]
    processor = f"{cpu.get('model') or 'CPU'}, {cpu.get('cores', '?')} cores" if cpu else ""
    planned = {item["name"]: item for item in plan.get("environments") or ()}
    reported = {row["environment"]: row for row in report.get("environments") or ()}
    stored = observed.get("environments") or {}
    names = sorted(planned.keys() | reported.keys())
    return {
        "name": name,
        "system": " ".join(
            filter(None, [(observed.get("os") or {}).get("pretty_name", ""), cpu.get("architecture", "")])
        ),
        "machine": machine.get("model") or machine.get("kind") or "",
        "processor": processor,
        "accelerators": gpus,
        "sibling": ", ".join(gpus) or processor,
        "refusals": [_refusal(item) for item in plan.get("refusals") or ()],
        "warnings": [str(item) for item in report.get("warnings") or plan.get("warnings") or ()],
        "environments": [
            _environment(one, planned.get(one) or {}, reported.get(one) or {}, stored.get(one) or {}, kept)
            for one in names
        ],
    }


def _gpu(gpu: Mapping[str, Any]) -> str:
    sm = f" (SM {gpu['sm']})" if gpu.get("sm") else ""
    return f"{gpu.get('name') or gpu.get('vendor') or 'GPU'}{sm}"


def _refusal(item: Any) -> str:
    if not isinstance(item, Mapping):
        return str(item)
    said = ": ".join(str(item[part]) for part in ("item", "problem") if item.get(part))
    return f"{said}. Remedy: {item['remedy']}" if item.get("remedy") else said


def _environment(
    name: str, planned: Mapping[str, Any], row: Mapping[str, Any], stored: Mapping[str, Any], kept: Mapping[str, Any]
) -> EnvironmentRow:
    current = stored.get("current") or {}
    verdict = row.get("verdict") or current.get("verdict") or {}
    generation = row.get("generation") or current.get("generation") or ""
    history = ((kept.get("history") or {}).get(name)) or {}
    return {
        "name": name,
        "generation": generation,
        "stack": row.get("stack") or planned.get("stack") or "",
        "stack_why": planned.get("stack_why") or "",
        "considered": [
            f"{one['stack']}: {one['why']}" for one in planned.get("considered") or () if not one.get("taken")
        ],
        "variant": planned.get("variant") or "",
        "versions": dict(planned.get("versions") or {}),
        "verdict": verdict.get("verdict") or "unknown",
        "seconds": float(verdict.get("seconds") or 0.0),
        "checks": list(verdict.get("checks") or ()),
        "generations": _generations(stored.get("generations") or (), generation, history),
        "wheels": sorted(f"{one['name']} {one.get('version') or ''}".strip() for one in planned.get("wheels") or ()),
        "overrides": [
            f"{one['package']}: {one['by']} asks for {one['asked']}, got {one['got']}"
            for one in row.get("overrides") or ()
        ],
        "evidence": sorted((kept.get("evidence") or {}).get(name) or ()),
        "performance": {key: float(value) for key, value in (verdict.get("performance") or {}).items()},
    }


def _generations(
    stored: Sequence[Mapping[str, Any]], current: str, history: Mapping[str, Mapping[str, str]]
) -> list[GenerationRow]:
    rows: list[GenerationRow] = []
    before: Mapping[str, str] | None = None
    for one in stored:
        packages = history.get(one["name"])
        rows.append(
            {
                "name": one["name"],
                "created": float(one.get("created") or 0.0),
                "exit": one.get("exit"),
                "current": one["name"] == current,
                "changes": changes(before, packages) if before is not None and packages is not None else [],
            }
        )
        before = packages
    return rows


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """What differs between the packages of two generations, a line each."""
    found = []
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if old is None:
            found.append(f"{name} {new} is new")
        elif new is None:
            found.append(f"{name} {old} is gone")
        elif old != new:
            found.append(f"{name} {old} → {new}")
    return found


def outliers(fleet: Fleet, share: float = 0.25) -> list[str]:
    """Measured numbers that are much below those of machines of the same kind, a sentence each.

    Args:
        fleet: The rows; at least three machines of a kind are needed.
        share: How much below the median counts.
    """
    values: dict[tuple[str, str, str], list[tuple[float, str]]] = {}
    for host in fleet["hosts"]:
        for environment in host["environments"]:
            for what, value in environment["performance"].items():
                values.setdefault((host["sibling"], environment["name"], what), []).append((value, host["name"]))
    found = []
    for (sibling, _, what), measured in sorted(values.items()):
        ordered = sorted(value for value, _ in measured)
        median = ordered[len(ordered) // 2]
        if len(ordered) < 3:
            continue
        found += [
            f"{name}: {what} is {value:.3g}, {1 - value / median:.0%} below the median {median:.3g} of {len(ordered)} machines with {sibling}"
            for value, name in measured
            if value < (1 - share) * median
        ]
    return found
