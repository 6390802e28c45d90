"""From what is kept of each host to the rows of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..records.host import Gpu, KeptEnvironment, KeptGeneration
from ..records.plan import PlannedEnvironment, RefusalOf
from ..records.report import EnvironmentReport, EnvironmentRow, Fleet, GenerationRow, HostRow, KeptOfHost
from ..records.run import WheelOfRun
from ..terms.refusal import Refusal
from .wheels import wheelhouse


def fleet(kept: Mapping[str, KeptOfHost], wheels: Sequence[WheelOfRun] = ()) -> Fleet:
    """The rows of a fleet.

    Args:
        kept: By host what its files have.
        wheels: How hosts had the wheels that are built from source, in all runs.
    """
    hosts = [_host(name, kept[name]) for name in sorted(kept)]
    return {"schema": 1, "hosts": hosts, "wheelhouse": wheelhouse(hosts, wheels)}


def _host(name: str, kept: KeptOfHost) -> HostRow:
    plan, observed, report = kept.get("plan", {}), kept.get("observed", {}), kept.get("report")
    cpu, machine, system = observed.get("cpu"), observed.get("machine"), observed.get("os")
    gpus = [_gpu(gpu) for gpu in observed.get("accelerators", ())]
    processor = f"{cpu['model'] or 'CPU'}, {cpu['cores']} cores" if cpu else ""
    planned = {item["name"]: item for item in plan.get("environments", ())}
    reported = {row["environment"]: row for row in (report["environments"] if report else ())}
    stored = observed.get("environments", {})
    # What is no longer wanted is in no plan; a plan that was refused may lack what is.
    names = sorted(planned if planned and not plan.get("refusals") else planned.keys() | reported.keys())
    return {
        "name": name,
        "system": " ".join(filter(None, [system["pretty_name"] if system else "", cpu["architecture"] if cpu else ""])),
        "machine": (machine["model"] or machine["kind"]) if machine else "",
        "processor": processor,
        "accelerators": gpus,
        "sibling": ", ".join(gpus) or processor,
        "refusals": [_refusal(item) for item in plan.get("refusals", ())],
        "warnings": list((report["warnings"] if report else []) or plan.get("warnings", [])),
        "environments": [
            _environment(one, planned.get(one, {}), reported.get(one), stored.get(one), kept) for one in names
        ],
    }


def _gpu(gpu: Gpu) -> str:
    sm = f" (SM {gpu['sm']})" if gpu["sm"] else ""
    return f"{gpu['name'] or gpu['vendor']}{sm}"


def _refusal(item: RefusalOf) -> str:
    return str(Refusal(**item))


def _environment(
    name: str,
    planned: PlannedEnvironment,
    row: EnvironmentReport | None,
    stored: KeptEnvironment | None,
    kept: KeptOfHost,
) -> EnvironmentRow:
    # What was observed is as new as the last switch and the last verdict; a report is what its run saw.
    current = stored["current"] if stored else None
    verdict = current["verdict"] if current else row["verdict"] if row and not stored else None
    generation = current["generation"] if current else (row["generation"] if row and not stored else "") or ""
    manifest = current["manifest"] if current else None
    history = kept.get("history", {}).get(name, {})
    return {
        "name": name,
        "generation": generation,
        "stack": manifest["stack"] if manifest else row["stack"] if row else planned.get("stack", ""),
        "stack_why": planned.get("stack_why", ""),
        "considered": [f"{one['stack']}: {one['why']}" for one in planned.get("considered", ()) if not one["taken"]],
        "variant": planned.get("variant", ""),
        "versions": dict(planned.get("versions", {})),
        "verdict": verdict["verdict"] if verdict else "unknown",
        "judged": verdict.get("started", "") if verdict else "",
        "seconds": verdict.get("seconds", 0.0) if verdict else 0.0,
        "drift": current["damaged"] if current and current["generation"] == generation else 0,
        "checks": list(verdict["checks"]) if verdict else [],
        "generations": _generations(stored["generations"] if stored else (), generation, history),
        "wheels": sorted(f"{one['name']} {one['version']}" for one in planned.get("wheels", ())),
        "overrides": [
            f"{one['package']}: {one['by']} asks for {one['asked']}, got {one['got']}"
            for one in (row["overrides"] if row else ())
        ],
        "evidence": sorted(kept.get("evidence", {}).get(name, ())),
        "performance": dict(verdict.get("performance", {})) if verdict else {},
    }


def _generations(
    stored: Sequence[KeptGeneration], current: str, history: Mapping[str, Mapping[str, str]]
) -> list[GenerationRow]:
    rows: list[GenerationRow] = []
    before: Mapping[str, str] | None = None
    for one in stored:
        packages = history.get(one["name"])
        rows.append(
            {
                "name": one["name"],
                "created": one.get("created", 0.0),
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
        for one in host["environments"]:
            for what, value in one["performance"].items():
                values.setdefault((host["sibling"], one["name"], what), []).append((value, host["name"]))
    found = []
    for (sibling, where, what), measured in sorted(values.items()):
        ordered = sorted(value for value, _ in measured)
        median = ordered[len(ordered) // 2]
        if len(ordered) < 3:
            continue
        found += [
            f"{name}, {where}: {what} is {value:.3g}, {1 - value / median:.0%} below the median {median:.3g} of {len(ordered)} machines with {sibling}"
            for value, name in measured
            if value < (1 - share) * median
        ]
    return found
