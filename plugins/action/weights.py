"""Fetch the weights of models on a host; hub, mirrors and token are the inventory's, or those of the command's environment."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from ansible.utils.display import Display
from ansible_collections.wavesmith.provision.plugins.module_utils.records.model import WeightsOf
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.variables import Wanted, read
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.weights import BLOBS, key
from ansible_collections.wavesmith.provision.plugins.plugin_utils import progress, weights
from ansible_collections.wavesmith.provision.plugins.plugin_utils.follow import FollowAction
from ansible_collections.wavesmith.provision.plugins.plugin_utils.interface import Arguments, Result, Variables
from ansible_collections.wavesmith.provision.plugins.plugin_utils.variables import ours


class ActionModule(FollowAction):
    """Gives the module what no plan holds: the token, and from where weights come that were fetched once for all hosts."""

    phase = "weights"

    def run(self, tmp: str | None = None, task_vars: Variables | None = None) -> Result:
        """What the task itself says goes first; the wheelhouse is asked before the other mirrors."""
        variables = task_vars or {}
        wanted, _ = read(ours(variables, self._templar), os.environ)
        address = weights.address(wanted)
        served = self._task.args.get("served")
        given: Arguments = {
            "hub": wanted.hub,
            "mirrors": list(wanted.weights_mirrors),
            "token": wanted.hub_token,
            "weights": _of_the_run(variables) if served and address.startswith("http") else [],
        }
        given = {**given, **self._task.args}
        if served and not given["weights"]:
            return {"changed": False, "remote_runs": 0}
        if not served and given["weights"] and not self._task.check_mode:
            given["mirrors"] = [*self._shared(wanted, given["weights"], variables), *given["mirrors"]]
        self._task.args = given
        answer = super().run(tmp, variables)
        if served and answer.pop("failed", False):
            _not_shared(variables, answer.get("msg", "no reason was given"))
        return answer

    def _shared(self, wanted: Wanted, needed: Sequence[WeightsOf], variables: Variables) -> list[str]:
        """The address below which the host finds what was fetched for all; empty where nothing was."""
        address, place = weights.address(wanted), weights.folder(wanted)
        if place is None:
            return [f"{address}/{BLOBS}"] if address else []
        host, started = variables["inventory_hostname"], time.monotonic()
        problem = weights.fetch_once(
            place,
            needed,
            wanted,
            lambda said: progress.tell(self._update(host, said, time.monotonic() - started, self._estimate(variables))),
        )
        if problem:
            _not_shared(variables, problem)
            return []
        if address.startswith(weights.SEEN_BY_ALL):
            return [f"{address}/{BLOBS}"]
        folder = self._make_tmp_path()
        sent = [
            self._transfer_file(str(path), self._connection._shell.join_path(folder, name))
            for name, path in weights.files(place, needed).items()
        ]
        self._fixup_perms2([folder, *sent])
        return [f"file://{folder}"]


def _not_shared(variables: Variables, problem: str) -> None:
    Display().warning(
        f"[{variables['inventory_hostname']}] weights are not fetched for the fleet: {problem}. Each host fetches them by itself"
    )


def _of_the_run(variables: Variables) -> list[WeightsOf]:
    """The weights that any host of this run needs and lacks, each once."""
    found: dict[str, WeightsOf] = {}
    for host in variables["groups"].get("wavesmith_weights", ()):
        planned = variables["hostvars"][host].get("wavesmith_plan") or {}
        found.update((key(part), part) for part in planned.get("weights", ()))
    return list(found.values())
