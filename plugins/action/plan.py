"""Observe a host once, then decide on the controller what differs from its wanted state."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.wavesmith.provision.plugins.module_utils.plan import (
    ask,
    conda,
    decide,
    models,
    record,
    repositories,
)
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.elect import hopeless
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.inspection import wanted_of_hosts
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.lockfile import upgrading
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.tasks import tasks
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.unwanted import for_removal
from ansible_collections.wavesmith.provision.plugins.module_utils.records import shape
from ansible_collections.wavesmith.provision.plugins.module_utils.terms.refusal import Refusal, joined
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.asked import OFTEN
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.catalog import (
    PACKAGE_INDEX,
    WHEELHOUSE,
    Catalog,
    from_index,
)
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.variables import Wanted
from ansible_collections.wavesmith.provision.plugins.plugin_utils import (
    catalog_files,
    code_files,
    progress,
    project_files,
    reach,
    times,
)
from ansible_collections.wavesmith.provision.plugins.plugin_utils.answer import AskingAction, observed_of
from ansible_collections.wavesmith.provision.plugins.plugin_utils.batch import planned_of, share_of
from ansible_collections.wavesmith.provision.plugins.plugin_utils.interface import Arguments, Result, Variables
from ansible_collections.wavesmith.provision.plugins.plugin_utils.text import plan_text, refusal_text
from ansible_collections.wavesmith.provision.plugins.plugin_utils.variables import (
    artifacts_folder,
    cannot_keep,
    check_writable,
    default_index,
    from_bundle,
    locks_folder,
    ours,
    overlay_folder,
    read_locks,
    settings,
    strangers,
    unusable,
)
from ansible_collections.wavesmith.provision.plugins.plugin_utils.wheelhouse import wheelhouse_of

# Each host is planned in a process forked from this one: what is read here is read once for all of them.
with contextlib.suppress(AnsibleError):  # run() reports a broken catalog
    catalog_files.load()


_FOLDERS = tuple(f"variable wavesmith_{name}" for name in ("catalog", "locks", "artifacts"))
"""What has to be right before anything else can be read."""


class ActionModule(AskingAction):
    """Observe, plan, show, save."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: Variables | None = None) -> Result:
        """Return the plan and, for the roles that act on it, what each phase gets."""
        variables = task_vars or {}
        host = variables["inventory_hostname"]
        if self._task.args.get("only") == "unreached":
            return self._unreached(host, variables)
        own = ours(variables, self._templar)
        wanted, refusals = settings(own, self._loader)
        if any(refusal.item in _FOLDERS for refusal in refusals):
            return _refused(refusals)
        try:
            catalog = catalog_files.load(overlay=overlay_folder(own))
            locks = read_locks(own)
            saved = artifacts_folder(own) / host / "plan.json"
            saved.parent.mkdir(parents=True, exist_ok=True)
            check_writable(saved.parent)
        except OSError as error:
            return _refused([unusable(own, error)])
        if wanted.bundle:
            catalog = from_index(catalog, wanted.package_index)
        wanted = models.with_projects(wanted, catalog.models)
        projects, problems = project_files.read(wanted, Path(own["inventory_dir"] or "."))
        with_code, missing = code_files.read(wanted, catalog.models)
        problems = joined([*problems, *missing])
        staying, more = upgrading(locks, wanted.upgrade) if wanted.upgrade else (locks, [])
        questions = {**self._questions(wanted, catalog, locks), "sudo_password": self._has_sudo_password(variables)}
        answer = self._observe(questions, variables)
        if "observed" not in answer:
            return answer
        try:
            observed, runs = observed_of(answer), 1
        except shape.WrongRecord as error:
            return {"changed": False, "failed": True, "remote_runs": 1, "msg": str(error)}
        toolbox = hashlib.sha256(catalog_files.TOOLBOX_LOCK.read_bytes()).hexdigest()[:16]
        catalog = replace(catalog, projects=projects, models=with_code)
        observed["sources"] = dict.fromkeys(_sources(wanted, catalog, catalog.stacks), record.NOT_ASKED)

        def decided(offered: Collection[str] = ()) -> record.Plan:
            return decide.plan(wanted, [*refusals, *problems, *more], observed, catalog, staying, toolbox, offered)

        planned, silent = decided(), repositories.Silent()
        if self._task.args.get("only") == "removal":
            planned = for_removal(planned, [*refusals, *problems, *more])
            if planned.refusals:
                return {"changed": False, "failed": True, "remote_runs": 1, "msg": refusal_text(planned)}
            found = {"root": planned.root, "unwanted": planned.unwanted, "remove": planned.remove}
            return {"changed": False, "remote_runs": 1, **found}
        if planned.downloading:
            # Only a host with work to do is asked what it can reach: a silent source must not hold up those without.
            sources = _sources(wanted, catalog, [item.stack for item in planned.downloading if item.stack])
            sources |= {} if wanted.bundle else repositories.sources(planned.downloading)
            earlier = ((variables.get("wavesmith_plan") or {}).get("observed") or {}).get("sources", {})
            if all(earlier.get(name, record.NOT_ASKED) != record.NOT_ASKED for name in sources):
                observed["sources"] = earlier
            else:
                asked = self._ask(sources, observed["root"], wanted.source_timeout, variables)
                if "observed" not in asked:
                    return asked
                observed["sources"].update(asked["observed"]["sources"])
                observed["findings"] += asked["observed"]["findings"]
                runs = 2
            kept = wheelhouse_of(own, len(variables.get("groups", {}).get("all", [])))
            # Not asked where it may not be used; where it does not answer there is a warning, and what it has is built.
            if any("lock" in item.phases for item in planned.environments):
                problems += [_one_of_many(host)] if own.get("wavesmith_one_of_many") else cannot_keep(locks_folder(own))
            offered = kept.offered() if WHEELHOUSE in wanted.policy else {}
            planned = decided(offered)
            if self._task.args.get("locked") and not self._task.check_mode:
                problems += [refusal for item in planned.environments for refusal in _not_locked(item, locks)]
            if not wanted.bundle:
                silent = repositories.silent(planned.downloading, observed["sources"])
            if len(variables.get("ansible_play_hosts_all", [host])) == 1:
                silent.refusals += silent.elsewhere.values()
            problems += silent.refusals
            if problems:
                planned = decided(offered)
            planned.warnings += silent.warnings
        planned.warnings += strangers(variables)
        times.tell(planned, times.read(saved.with_name(times.NAME)))
        plan = planned.data()
        explain = boolean(own.get("wavesmith_explain"), strict=False)
        evidence = boolean(own.get("wavesmith_report_evidence"), strict=False)
        groups = [
            "planned",
            *plan["phases"],
            *(["unreached"] if silent.elsewhere else []),
            *(["evidence"] if evidence else []),
        ]
        text = plan_text(host, planned, observed, explain)
        for path, data in ((saved, plan), (saved.with_name("observed.json"), observed)):
            path.write_text(json.dumps(data, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        progress.detail(f"{text}\n  saved as {saved}")
        if planned.refusals:
            # Only the message: everything else would bury it, and the plan is saved. The board shows the text where it is asked for.
            return {
                "changed": False,
                "failed": True,
                "remote_runs": runs,
                "msg": refusal_text(planned),
                "saved": str(saved),
                **({"text": plan_text(host, planned, observed, explain, refusals=False)} if progress.speaks() else {}),
            }
        return {
            "changed": False,
            "remote_runs": runs,
            "plan": plan,
            "groups": groups,
            **({} if "wavesmith_plan" in variables else _member(groups)),
            "unreached": {source: str(refusal) for source, refusal in silent.elsewhere.items()},
            "observed": observed,
            "text": text,
            "saved": str(saved),
            "diff": _difference(planned),
            "damaged": {
                name: ""
                for name, entry in observed["environments"].items()
                if any(item.get("damage") for item in entry["generations"])
            },
            "bundle_index": from_bundle(wanted.bundle)["wavesmith_package_index"] if wanted.bundle else "",
            **tasks(
                planned,
                locks,
                sorted({*catalog.packages, *ask.family_of(catalog), *OFTEN.split()}),
                wanted.bundle,
                wanted.upgrade,
            ),
        }

    def _unreached(self, host: str, variables: Variables) -> Result:
        """Refuse a host whose wheels are made of sources that told it no, and that no other host of the run has or builds."""
        hosts = list(variables["groups"]["wavesmith_planned"])

        def decide_for_all() -> dict[str, list[str]]:
            plans, unreached = planned_of(variables, hosts)
            return hopeless(plans, unreached, variables["groups"].get("builders", ()))

        hopeless_here = cast("list[str] | None", share_of(host, self._task._uuid, hosts, decide_for_all))
        said = variables["wavesmith_plan"]["unreached"]
        if not hopeless_here:
            return {"changed": False, "remote_runs": 0}
        message = "\n".join(dict.fromkeys(said[source] for source in hopeless_here))
        return {"changed": False, "failed": True, "remote_runs": 0, "msg": message}

    def _questions(self, wanted: Wanted, catalog: Catalog, locks: dict[str, str]) -> Result:
        return {
            "root": wanted.root,
            "environments": [environment.name for environment in wanted.environments],
            "apt_packages": catalog.apt,
            "timeout": float(wanted.probe_timeout),
            "libraries": wanted_of_hosts(locks),
        }

    def _ask(self, sources: dict[str, str], root: str, seconds: float, variables: Variables) -> Result:
        questions = {
            "root": root,
            "sources": sources,
            "default_index": default_index(),
            "sources_only": True,
            "timeout": float(seconds),
        }
        return self._observe(questions, variables)

    def _observe(self, questions: Arguments, variables: Variables) -> Result:
        """What the module `observe` answers; where it cannot, why, with the remedy."""
        host = variables["inventory_hostname"]
        try:
            answer = self.ask("observe", questions, variables)
        except AnsibleConnectionFailure as error:
            told = {name: variables[name] for name in ("ansible_user", "ansible_host") if name in variables}
            message = reach.no_way_in(host, self._templar.template(told), str(error))
            raise AnsibleConnectionFailure(message) from None
        if answer.get("failed") or "observed" not in answer:
            if reach.no_python(answer):
                found = (answer.get("ansible_facts") or {}).get("discovered_interpreter_python")
                python = variables.get("ansible_python_interpreter") or found or "/usr/bin/python3"
                remedy = "run there: apt-get install -y python3, and set ansible_python_interpreter: /usr/bin/python3"
                return _refused([Refusal(f"host {host}", f"it has no Python at {python} that runs", remedy)])
            return {**answer, "failed": True}
        return answer

    def _has_sudo_password(self, variables: Variables) -> bool:
        """Whether sudo's password was given: with -K, or as a variable."""
        names = ("ansible_become_password", "ansible_become_pass", "ansible_sudo_pass")
        return bool(self._play_context.become_pass or any(variables.get(name) for name in names))


def _member(groups: list[str]) -> Result:
    """What makes the host a member of these groups, as ``group_by`` says it: one group for all, whose parents they are.

    A task of its own for that is a process more for each host, also for those with nothing to do.
    """
    parents = [f"wavesmith_{name}" for name in groups]
    alone = len(parents) == 1
    return {
        "add_group": parents[0] if alone else "_".join(["wavesmith", *groups]),
        "parent_groups": ["all"] if alone else parents,
    }


def _one_of_many(host: str) -> Refusal:
    """Each of several controllers would resolve a lock of its own."""
    problem = "a lock is missing, and every controller would resolve another one"
    return Refusal(f"host {host}", problem, f"resolve it here first: wavesmith lock -l {host}")


def _not_locked(item: record.EnvironmentPlan, locks: Collection[str]) -> list[Refusal]:
    """The hosts that were to resolve its lock failed."""
    return [
        Refusal(
            f"environment {item.name}",
            f"no host could resolve its lock {lock['key']}",
            "fix what is said of the hosts that tried, and start again",
        )
        for lock in (item.conda, item.lock)
        if lock and lock["status"] != "hit" and lock["key"] not in locks
    ]


def _refused(refusals: Sequence[Refusal]) -> Result:
    return {"changed": False, "failed": True, "remote_runs": 0, "msg": "\n".join(map(str, refusals))}


def _sources(wanted: Wanted, catalog: Catalog, stacks: Iterable[str]) -> dict[str, str]:
    """The address of each source of some stacks by its name; the package index's is empty where the host's own settings say it."""
    known = [catalog.stacks[name] for name in stacks if name in catalog.stacks]
    origins = {origin.name: origin.url for stack in known for origin in stack.origins if origin.url}
    return {**origins, **conda.sources(wanted), PACKAGE_INDEX: wanted.package_index}


def _difference(plan: record.Plan) -> dict[str, dict[str, object]]:
    steps = [step["name"] for step in plan.steps]
    after: dict[str, object] = {item.name: item.generation or "known after the lock" for item in plan.environments}
    return {
        "before": {item.name: item.current for item in plan.environments},
        "after": {**after, **({"steps": steps} if steps else {})},
    }
