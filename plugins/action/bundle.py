"""Make an offline bundle on a host, from its plan and its locks; its wheels are signed first."""

from __future__ import annotations

from ansible.utils.display import Display
from ansible_collections.wavesmith.provision.plugins.module_utils.export import texts
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.record import Plan
from ansible_collections.wavesmith.provision.plugins.module_utils.records import shape
from ansible_collections.wavesmith.provision.plugins.module_utils.records.task import PackOf
from ansible_collections.wavesmith.provision.plugins.module_utils.wheels.manifest import Untrusted
from ansible_collections.wavesmith.provision.plugins.plugin_utils import catalog_files, code_files
from ansible_collections.wavesmith.provision.plugins.plugin_utils.catalog_files import TOOLBOX_LOCK
from ansible_collections.wavesmith.provision.plugins.plugin_utils.follow import FollowAction
from ansible_collections.wavesmith.provision.plugins.plugin_utils.git import Unusable
from ansible_collections.wavesmith.provision.plugins.plugin_utils.interface import Result, Variables
from ansible_collections.wavesmith.provision.plugins.plugin_utils.variables import (
    ours,
    overlay_folder,
    read_locks,
    settings,
)
from ansible_collections.wavesmith.provision.plugins.plugin_utils.wheelhouse import wheelhouse_of


class ActionModule(FollowAction):
    """Gives the module what it needs to know, and follows it."""

    def run(self, tmp: str | None = None, task_vars: Variables | None = None) -> Result:
        """Take the environments from the plan that was registered."""
        variables = task_vars or {}
        host, root = variables["inventory_hostname"], self._task.args["root"]
        own = ours(variables, self._templar)
        kept = wheelhouse_of(own)
        try:
            planned = shape.build(variables["wavesmith_plan"]["plan"], Plan)
            todo = texts.environments(planned, read_locks(own))
            packed = code_files.commits(
                settings(own, self._loader)[0], catalog_files.load(overlay=overlay_folder(own)).models
            )
            keys = sorted({wheel["key"] for item in todo for wheel in item["wheels"]})
            signing = {"root": root, "state": "collected", "keys": keys, "builder": host}
            if keys and not self._task.check_mode:
                signed = self.ask("wheelhouse", signing, variables)
                if signed.get("failed"):
                    return {**signed, "remote_runs": 1}
                kept.trust(host, signed["public"])
        except Unusable as error:
            problem = f"{error.problem}. Remedy: {error.remedy}"
            return {"failed": True, "changed": False, "remote_runs": 0, "msg": problem}
        except (ValueError, Untrusted) as error:
            return {"failed": True, "changed": False, "remote_runs": 0, "msg": str(error)}
        toolbox = TOOLBOX_LOCK.read_text(encoding="utf-8")
        more = {"builds": texts.builds(planned), "toolbox": toolbox, "signers": kept.signers_text()}
        packs = [] if self._task.check_mode else [PackOf(commit=name, path=str(path)) for name, path in packed.items()]
        self.bring(packs)
        self._task.args.update(environments=todo, commits=packs, **more)
        answer = super().run(tmp, variables)
        answer["remote_runs"] += bool(keys)
        return answer

    def conclude(self, answer: Result, variables: Variables) -> Result:
        """Say where the bundle is."""
        folder = (answer.get("result") or {}).get("bundle")
        if folder:
            Display().display(
                f"  [{variables['inventory_hostname']}] the bundle is {folder}: copy it, and set wavesmith_bundle on the other machine"
            )
        return answer
