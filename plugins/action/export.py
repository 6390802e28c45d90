"""Make Docker build contexts on a host, from its plan and its locks."""

from __future__ import annotations

from ansible.utils.display import Display
from ansible_collections.wavesmith.provision.plugins.module_utils.export import texts
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.record import Plan
from ansible_collections.wavesmith.provision.plugins.module_utils.records import shape
from ansible_collections.wavesmith.provision.plugins.plugin_utils import catalog_files
from ansible_collections.wavesmith.provision.plugins.plugin_utils.follow import FollowAction
from ansible_collections.wavesmith.provision.plugins.plugin_utils.interface import Result, Variables
from ansible_collections.wavesmith.provision.plugins.plugin_utils.variables import ours, read_locks


class ActionModule(FollowAction):
    """Gives the module what it needs to know, and follows it."""

    def run(self, tmp: str | None = None, task_vars: Variables | None = None) -> Result:
        """Take the environments from the plan that was registered."""
        variables = task_vars or {}
        observed = variables["wavesmith_plan"]["observed"]
        planned = shape.build(variables["wavesmith_plan"]["plan"], Plan)
        try:
            locks = read_locks(ours(variables, self._templar))
            todo = texts.contexts(texts.environments(planned, locks))
        except ValueError as error:
            return {"failed": True, "changed": False, "remote_runs": 0, "msg": str(error)}
        for environment in planned.environments:
            left_out = [
                ("its projects' own wheels", environment.projects),
                ("its models' source trees", environment.code),
            ]
            for what in [what for what, there in left_out if there]:
                Display().warning(
                    f"environment {environment.name}: {what} are not in the context, only what they require. "
                    "Remedy: add to the Dockerfile how they are installed"
                )
        for item in todo:
            if not item["python"]["path"]:
                version = item["python"]["version"]
                Display().warning(
                    f"environment {item['environment']}: its Python {version} is a channel's, and this host's system has none. "
                    f"Remedy: where the image has none either, begin with one: --build-arg BASE=python:{version}"
                )
        system = {key: observed["os"][key] for key in ("id", "version_id")}
        apt = list(catalog_files.load().apt_run)
        self._task.args.update(environments=todo, system=system, apt=apt)
        return super().run(tmp, variables)

    def conclude(self, answer: Result, variables: Variables) -> Result:
        """Say where the contexts are."""
        for name, folder in sorted((answer.get("result") or {}).get("contexts", {}).items()):
            Display().display(f"  [{variables['inventory_hostname']}] docker build -t {name} {folder}")
        return answer
