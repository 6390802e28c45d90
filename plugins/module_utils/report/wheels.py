"""The wheels that a fleet builds from source: who built each, how long that took, and how often it had not to be built."""

from __future__ import annotations

from collections.abc import Sequence

from ..records.report import HostRow, WheelhouseOf, WheelRow
from ..records.run import WheelOfRun

NONE = "No package of these hosts is built from source: all come as wheels of an index, so there is nothing to keep for others."
UNRECORDED = "No run is recorded yet that built or needed one of these wheels."
ALONE = "With one host there is nobody to share wheels with: it builds each once, and has it for its next generations."


def wheelhouse(hosts: Sequence[HostRow], record: Sequence[WheelOfRun]) -> WheelhouseOf:
    """What is built from source.

    Args:
        hosts: The rows of the fleet.
        record: How hosts had their wheels in all runs, the oldest first.
    """
    found: dict[tuple[str, str], WheelRow] = {}

    def row(wheel: str, variant: str) -> WheelRow:
        empty: WheelRow = {
            "wheel": wheel,
            "variant": variant,
            "hosts": [],
            "built": [],
            "seconds": None,
            "needed": 0,
            "there": 0,
        }
        return found.setdefault((wheel, variant), empty)

    for host in hosts:
        for environment in host["environments"]:
            for wheel in environment["wheels"]:
                planned = row(wheel, environment["variant"])["hosts"]
                if host["name"] not in planned:
                    planned.append(host["name"])
    for one in record:
        mine = row(f"{one['name']} {one['version']}", one["variant"])
        mine["needed"] += 1
        if one["how"] != "built":
            mine["there"] += 1
            continue
        mine["built"] = [*(name for name in mine["built"] if name != one["host"]), one["host"]]
        mine["seconds"] = one["seconds"]
    needed = sum(one["needed"] for one in found.values())
    note = NONE if not found else UNRECORDED if not needed else ALONE if len(hosts) == 1 else ""
    return {
        "note": note,
        "needed": needed,
        "there": sum(one["there"] for one in found.values()),
        "wheels": [found[key] for key in sorted(found)],
    }
