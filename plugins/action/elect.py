"""Elect one builder for each wheel key among the hosts of a play, on the controller; each host gets its share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.elect import Share, elect
from ansible_collections.wavesmith.provision.plugins.module_utils.records import shape
from ansible_collections.wavesmith.provision.plugins.plugin_utils.batch import planned_of, share_of
from ansible_collections.wavesmith.provision.plugins.plugin_utils.interface import Result, Variables
from ansible_collections.wavesmith.provision.plugins.plugin_utils.variables import ours
from ansible_collections.wavesmith.provision.plugins.plugin_utils.wheelhouse import wheelhouse_of


class ActionModule(ActionBase):
    """Elects once for all hosts of the batch; no remote run."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: Variables | None = None) -> Result:
        """Return what this host builds, fetches, and gives to others before and after the building."""
        variables = task_vars or {}
        host, groups = variables["inventory_hostname"], variables["groups"]
        builders = groups.get("builders", ())
        kept = wheelhouse_of(ours(variables, self._templar), len(groups["all"]))
        batch = list(variables["ansible_play_batch"])

        def elected() -> dict[str, object]:
            plans, unreached = planned_of(variables, batch)
            shares = elect(plans, builders, kept.offered(), unreached)
            _show(shares)
            return {name: asdict(share) for name, share in shares.items()}

        mine = shape.build(share_of(host, self._task._uuid, batch, elected) or {}, Share)
        built = [spec["key"] for spec in mine.build]
        return {
            "changed": False,
            "remote_runs": 0,
            **asdict(mine),
            "keep": built if kept.shared and (host in builders or not builders) else [],
        }


def _show(shares: Mapping[str, Share]) -> None:
    """Who builds what for how many, where that is more than one host's own matter."""
    if len(shares) < 2:
        return
    for host, share in shares.items():
        for spec in share.build:
            others = sum(entry["key"] == spec["key"] for other in shares.values() for entry in other.later)
            Display().display(
                f"  {spec['name']} {spec['version']} for {spec['variant']} is built by {host}"
                + (f", {others} more get it from there" if others else "")
            )
