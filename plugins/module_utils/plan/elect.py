"""Elect who builds which wheel: one builder for each wheel key among the hosts of a run.

A key stands for everything that can change the built bytes, architecture and toolchain counted in. So whoever plans a key
can build it for all the others, and two hosts that cannot share a wheel never name the same key.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..records.wheel import PlannedWheel, PlanOfWheels, Transfer, WheelSpec


@dataclass
class Share:
    """What one host does about wheels.

    Attributes:
        build: Specs of the wheels it builds, a wheel after those it is compiled against.
        fetch: Wheels that are there and it gets: key, name, version, and `source`, a host's name or empty for the wheelhouse.
        later: Wheels that another host builds and it gets then, in the same form.
        give: Keys it holds already and others in the run need.
    """

    build: list[WheelSpec] = field(default_factory=list)
    fetch: list[Transfer] = field(default_factory=list)
    later: list[Transfer] = field(default_factory=list)
    give: list[str] = field(default_factory=list)


def elect(
    plans: Mapping[str, PlanOfWheels],
    builders: Collection[str] = (),
    offered: Collection[str] = (),
    unreached: Mapping[str, Collection[str]] | None = None,
) -> dict[str, Share]:
    """Share out the wheels that the plans of a run's hosts miss.

    Keys that one was compiled against stay together, on one host. The longest work is given away first, each time to the
    host with the least to do; ties are broken by name, so that the same plans give the same answer.

    Args:
        plans: Each host's plan, as plain data.
        builders: Where there are any, only their wheels go to other hosts: a host that finds none among them builds for itself.
        offered: Keys that the wheelhouse has.
        unreached: Sources that told a host no, by its name: another one that can builds what is made of them.
    """
    away = unreached or {}
    shares = {host: Share() for host in sorted(plans)}
    holders: dict[str, str] = {}
    missing: dict[str, dict[str, PlannedWheel]] = {host: {} for host in shares}
    for host in shares:
        for environment in plans[host]["environments"]:
            for wheel in environment["wheels"]:
                if not wheel["key"]:
                    continue
                if wheel["status"] == "hit" and (host in builders or not builders):
                    holders.setdefault(wheel["key"], host)
                elif wheel["status"] != "hit" and "build" in environment["phases"]:
                    missing[host][wheel["key"]] = wheel
    wanted = {key: wheel for wheels in missing.values() for key, wheel in wheels.items()}
    sources = {key: "" if key in offered else holders[key] for key in wanted if key in offered or key in holders}
    load = dict.fromkeys(shares, 0)
    parts = list(_parts({key: wheel for key, wheel in wanted.items() if key not in sources}))
    for part in sorted(parts, key=lambda part: (-sum(wanted[key]["seconds"] for key in part), min(part))):
        able = [host for host in shares if not missing[host].keys().isdisjoint(part)]
        if builders and not (able := [host for host in able if host in builders]):
            for host in shares:
                own = missing[host].keys() & part
                shares[host].build += [missing[host].pop(key)["spec"] for key in _in_order(own, wanted)]
            continue
        sourced = {wanted[key]["spec"]["source"]["digest"] for key in part} if away else set()
        able = [host for host in able if sourced.isdisjoint(away.get(host, ()))] or able
        builder = min(able, key=lambda host: (load[host], -len(missing[host].keys() & part), host))
        like = next(wheel["spec"] for key, wheel in sorted(missing[builder].items()) if key in part)
        for key in _in_order(part, wanted):
            sources[key] = builder
            load[builder] += wanted[key]["seconds"]
            # The same key means the same Python, but each host has its own path to it.
            shares[builder].build.append({**wanted[key]["spec"], "python": like["python"]})
    for host, wheels in missing.items():
        for key, wheel in sorted(wheels.items()):
            source = sources[key]
            entry: Transfer = {"key": key, "name": wheel["name"], "version": wheel["version"], "source": source}
            if source == "" or holders.get(key) == source:
                shares[host].fetch.append(entry)
                if source and key not in shares[source].give:
                    shares[source].give.append(key)
            elif source != host:
                shares[host].later.append(entry)
    return shares


def hopeless(
    plans: Mapping[str, PlanOfWheels], unreached: Mapping[str, Collection[str]], builders: Collection[str] = ()
) -> dict[str, list[str]]:
    """Those of the sources that told a host no whose wheels no other host of the run has or builds, by the host's name.

    A wheel whose key is not known yet counts as the same where its source and variant are.
    """
    helpers: dict[str, list[PlannedWheel]] = {}
    missing: dict[str, list[PlannedWheel]] = {}
    for host, plan in plans.items():
        for environment in plan["environments"]:
            for wheel in environment["wheels"]:
                source = wheel["spec"]["source"]["digest"]
                builds = wheel["status"] == "build"
                if builds and source in unreached.get(host, ()):
                    missing.setdefault(host, []).append(wheel)
                elif host in builders or not builders:
                    helpers.setdefault(source, []).append(wheel)
    found: dict[str, list[str]] = {}
    for host, wheels in missing.items():
        for wheel in wheels:
            source = wheel["spec"]["source"]["digest"]
            if not any(_same(wheel, other) for other in helpers.get(source, ())):
                found.setdefault(host, []).append(source)
    return found


def _same(one: PlannedWheel, other: PlannedWheel) -> bool:
    if one["key"] and other["key"]:
        return one["key"] == other["key"]
    return one["spec"]["variant"] == other["spec"]["variant"]


def _names(value: Any) -> Iterator[str]:
    """Every text inside a spec."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _names(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _names(inner)


def _against(key: str, wheels: Mapping[str, PlannedWheel]) -> set[str]:
    """Those of `wheels` that one of them is compiled against: its spec names their keys."""
    return {name for name in _names(wheels[key]["spec"]) if name in wheels and name != key}


def _parts(wheels: Mapping[str, PlannedWheel]) -> Iterator[set[str]]:
    """Keys that hang together, because one is compiled against the other."""
    near: dict[str, set[str]] = {key: set() for key in wheels}
    for key in wheels:
        for other in _against(key, wheels):
            near[key].add(other)
            near[other].add(key)
    left = set(wheels)
    while left:
        part, edge = set(), {min(left)}
        while edge:
            part |= edge
            edge = set().union(*(near[key] for key in edge)) - part
        left -= part
        yield part


def _in_order(part: Collection[str], wheels: Mapping[str, PlannedWheel]) -> Iterator[str]:
    """The keys of a part, each after those it is compiled against."""
    inside = {key: wheels[key] for key in part}
    done: set[str] = set()
    while len(done) < len(inside):
        ready = sorted(key for key in inside if key not in done and _against(key, inside) <= done)
        ready = ready or sorted(
            inside.keys() - done
        )  # keys cannot name each other in a circle; a wrong plan must not hang
        yield ready[0]
        done.add(ready[0])
