"""Audit what is current on a host, or what was asked for, and show it."""

from __future__ import annotations

from ansible.utils.display import Display
from ansible_collections.wavesmith.provision.plugins.module_utils.audit.report import text
from ansible_collections.wavesmith.provision.plugins.module_utils.audit.verdict import CANNOT
from ansible_collections.wavesmith.provision.plugins.plugin_utils.answer import AskingAction
from ansible_collections.wavesmith.provision.plugins.plugin_utils.interface import Arguments, Result, Variables


class ActionModule(AskingAction):
    """Fill in from the plan what to look at, run the module once, and fail on what does not serve."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: Variables | None = None) -> Result:
        """Return what the module returned."""
        variables = task_vars or {}
        host = variables["inventory_hostname"]
        questions = question(self._task.args)
        if not questions["paths"]:
            Display().display(f"[{host}] nothing to audit: no environment is current here, and no path was named")
            return {"changed": False, "remote_runs": 0, "reports": [], "text": ""}
        answer = self.ask("audit", questions, variables)
        answer["remote_runs"] = 1
        if answer.get("failed") or "reports" not in answer:
            return {**answer, "failed": True}
        Display().display("\n".join(f"[{host}] {line}" for line in answer["text"].splitlines()))
        bad = [report for report in answer["reports"] if report["findings"] or report["verdict"] == CANNOT]
        if bad:
            # Only the message: everything else would bury it.
            answer.pop("reports")
            answer.pop("text")
            answer.update(failed=True, msg="\n".join(text(report) for report in bad))
        return answer


def question(arguments: Arguments) -> Result:
    """What the module is asked: as the task says, else each current generation for each NVIDIA GPU and the CPU of the host."""
    plan, observed = arguments.get("plan") or {}, arguments.get("observed") or {}
    current = [
        f"{plan['root']}/envs/{item['name']}/current" for item in plan.get("environments", []) if item.get("current")
    ]
    sms = [gpu["sm"] for gpu in observed.get("accelerators", []) if gpu.get("vendor") == "nvidia" and gpu.get("sm")]
    here = "" if arguments.get("sm") else observed.get("cpu", {}).get("architecture", "")
    machine = arguments.get("machine") or here
    found = {"paths": arguments.get("paths") or current, "sm": arguments.get("sm") or sorted(set(sms))}
    return {**found, **({"machine": machine} if machine else {})}
