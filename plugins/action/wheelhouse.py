"""Carry wheels between hosts: from a builder into the controller's store, from there or from a served wheelhouse to a host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.utils.display import Display
from ansible_collections.wavesmith.provision.plugins.module_utils.host.store import StoreError
from ansible_collections.wavesmith.provision.plugins.module_utils.records.wheel import WheelManifest
from ansible_collections.wavesmith.provision.plugins.module_utils.terms.digest import digest
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.catalog import SOURCE
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.variables import read
from ansible_collections.wavesmith.provision.plugins.module_utils.wheels import wheelhouse
from ansible_collections.wavesmith.provision.plugins.module_utils.wheels.manifest import MANIFEST, SIGNATURE, Untrusted
from ansible_collections.wavesmith.provision.plugins.plugin_utils.follow import FollowAction
from ansible_collections.wavesmith.provision.plugins.plugin_utils.interface import Result, Variables
from ansible_collections.wavesmith.provision.plugins.plugin_utils.variables import ours
from ansible_collections.wavesmith.provision.plugins.plugin_utils.wheelhouse import Wheelhouse, had, wheelhouse_of


class ActionModule(FollowAction):
    """The controller's half of each state of the module."""

    def run(self, tmp: str | None = None, task_vars: Variables | None = None) -> Result:
        """Do what the state asks for; the failure of a wheel is a message with its remedy."""
        variables = task_vars or {}
        own = ours(variables, self._templar)
        kept = wheelhouse_of(own, len(variables["groups"]["all"]))
        state = self._task.args["state"]
        try:
            if state == "collected":
                return self._collect(kept, variables)
            if state == "present":
                return self._bring(kept, variables, read(own)[0].policy)
            if state == "served":
                return self._serve(kept, variables)
            return self._prune(kept, variables)
        except (Untrusted, StoreError) as error:
            return _failure(str(error))
        except AnsibleError as error:
            return _failure(
                f"{error.message}. Remedy: check that the host can be reached, then start again: what was transferred is kept"
            )
        except OSError as error:
            return _failure(
                f"{error.filename or kept.store}: {error.strerror}. Remedy: free some space on the controller, or make it writable"
            )

    def _ask(self, variables: Variables, **arguments: Any) -> Result:
        """One run of the module on the host."""
        given = {"root": self._task.args.get("root", ""), "state": self._task.args["state"], **arguments}
        answer = self.ask("wheelhouse", given, variables)
        answer["remote_runs"] = 1
        return answer

    def _collect(self, kept: Wheelhouse, variables: Variables) -> Result:
        keys = self._task.args.get("keys") or []
        host, builders = variables["inventory_hostname"], variables["groups"].get("builders", ())
        if builders and host not in builders:
            keys = []  # what it built in need is its own: others take wheels of builders only
        if not keys or self._task.check_mode:
            return {"changed": bool(keys), "remote_runs": 0}
        answer = self._ask(variables, keys=keys, builder=host)
        if answer.get("failed"):
            return answer
        if kept.trust(host, answer["public"]):
            Display().display(
                f"  [{host}] is a new signer of wheels: its key was added to {kept.signers}; commit that file"
            )
        signers = kept.signers_text()
        kept.store.mkdir(parents=True, exist_ok=True)
        for key in keys:
            wrong = wheelhouse.flaw(str(kept.store), key, signers) if (kept.store / key).exists() else ""
            taken = wheelhouse.publish(self._fetcher(key), str(kept.store), key, signers, replace=bool(wrong))
            answer["changed"] = answer["changed"] or taken
            if wrong:
                _warn_replaced(f"the store of this controller ({kept.store})", key, wrong, host)
        return answer

    def _fetcher(self, key: str) -> wheelhouse.Take:
        return lambda name, path: self._connection.fetch_file(f"{self._task.args['root']}/wheels/{key}/{name}", path)

    def _bring(self, kept: Wheelhouse, variables: Variables, allowed: tuple[str, ...]) -> Result:
        wheels = {wheel["key"]: wheel for wheel in self._task.args.get("wheels") or []}
        fallback = bool(self._task.args.get("fallback")) and SOURCE in allowed
        if not wheels or self._task.check_mode:
            return {"changed": bool(wheels), "remote_runs": 0, "build": []}
        served, stored = kept.served(), wheelhouse.entries(str(kept.store))
        sources = {key: f"{kept.address}/{key}/" for key in wheels if key in served}
        sources.update(
            self._upload(kept.store, {key: stored[key] for key in wheels if key in stored and key not in served})
        )
        refused = {key: _missing(wheel) for key, wheel in wheels.items() if key not in sources}
        answer: Result = {"changed": False, "remote_runs": 0}
        if sources:
            self._task.args = {
                **{name: self._task.args[name] for name in ("root", "state")},
                "sources": sources,
                "expected": {key: digest(stored[key]) for key in sources if key in stored},
                "signers": kept.signers_text(),
            }
            answer = super().run(None, variables)
            if answer.get("failed"):
                return answer
            result = answer.get("result") or {}
            refused.update(result.get("refused", {}))
            answer["changed"] = bool(result.get("published"))
            answer["wheels"] = had(variables, result.get("published", []), "brought")
        lines = [
            f"wheel {wheels[key]['name']} {wheels[key]['version']}: {reason}" for key, reason in sorted(refused.items())
        ]
        if refused and not fallback:
            return {**answer, "failed": True, "msg": "\n".join(lines)}
        for line in lines:
            Display().warning(
                f"[{variables['inventory_hostname']}] {line}. It is built here instead, as wavesmith_policy allows"
            )
        environments = variables["wavesmith_plan"]["plan"]["environments"]
        specs = {wheel["key"]: wheel["spec"] for item in environments for wheel in item["wheels"]}
        return {**answer, "build": [specs[key] for key in specs if key in refused]}

    def _serve(self, kept: Wheelhouse, variables: Variables) -> Result:
        if self._task.check_mode:
            return {"changed": False, "remote_runs": 0}
        stored, host = wheelhouse.entries(str(kept.store)), variables["inventory_hostname"]
        answer = self._ask(variables, keys=sorted(stored), signers=kept.signers_text())
        if answer.get("failed"):
            return _silenced(answer, host)
        missing = {key: entry for key, entry in stored.items() if key not in answer["held"]}
        if not missing:
            return answer
        self._task.args = {
            **{name: self._task.args[name] for name in ("root", "state")},
            "sources": self._upload(kept.store, missing),
            "signers": kept.signers_text(),
        }
        answer = super().run(None, variables)
        answer["remote_runs"] += 1
        kept.forget()
        result = answer.get("result") or {}
        for key, wrong in result.get("replaced", {}).items():
            _warn_replaced(f"the wheelhouse on {host}", key, wrong, "this controller's store")
        refused = result.get("refused", {})
        if refused:
            lines = [f"wheel {stored[key]['wheel']}: {reason}" for key, reason in sorted(refused.items())]
            answer.update(failed=True, msg="\n".join(lines))
        return _silenced(answer, host)

    def _prune(self, kept: Wheelhouse, variables: Variables) -> Result:
        keep = int(self._task.args.get("keep", 2))
        if self._task.args.get("folder", "wheels") == "wheels":
            return self._ask(variables, keep=keep, folder="wheels")
        hosts, host = variables["groups"]["all"], variables["inventory_hostname"]
        asked = {name: variables["hostvars"][name].get("wheelhouse_pruned") or {} for name in hosts}
        silent = sorted(name for name, answer in asked.items() if "used" not in answer)
        if silent:
            return _failure(
                f"it is not known which wheels {', '.join(silent)} needs, so nothing that is kept for others is removed. "
                "Remedy: run this for all hosts, without -l, once each can be reached"
            )
        keys = sorted({key for answer in asked.values() for key in answer["used"]})
        answer: Result = {"changed": False, "remote_runs": 0, "removed": []}
        if host in variables["groups"].get("wheelhouse", ()):
            answer = self._ask(variables, keep=keep, folder="wheelhouse", keys=keys)
        if host == variables["ansible_play_hosts_all"][0] and kept.store.is_dir() and not answer.get("failed"):
            removed = wheelhouse.prune(str(kept.store), keys, keep, self._task.check_mode)
            answer.update(changed=answer["changed"] or bool(removed), removed=sorted({*answer["removed"], *removed}))
        return answer

    def _upload(self, store: Path, wheels: dict[str, WheelManifest]) -> dict[str, str]:
        """Put wheels of the store into the host's temporary folder; what the address of each one's files begins with."""
        if not wheels:
            return {}
        folder = self._make_tmp_path()
        sources, paths = {}, []
        for key, entry in wheels.items():
            sources[key] = self._connection._shell.join_path(folder, f"{key}.")
            for name in (MANIFEST, SIGNATURE, *entry["files"]):
                paths.append(self._transfer_file(str(store / key / name), sources[key] + name))
        self._fixup_perms2([folder, *paths])
        return sources


def _missing(wheel: dict[str, str]) -> str:
    if not wheel["source"]:
        return "the wheelhouse had it when the run began, and no longer has it. Remedy: start again: it will be rebuilt"
    return (
        f"its builder {wheel['source']} did not provide it in this run (wheel key {wheel['key']}). "
        f"Remedy: see what {wheel['source']} said above, fix it and start again"
    )


def _warn_replaced(where: str, key: str, wrong: str, source: str) -> None:
    Display().warning(
        f"wheel {key} in {where} was not what its builder signed: {wrong}. It was replaced by the good one of {source}. "
        "Remedy: find out who could write there"
    )


def _silenced(answer: Result, host: str) -> Result:
    """A wheelhouse that cannot be served is reported and stops no host: the controller brings the wheels itself."""
    if answer.pop("failed", False):
        Display().warning(f"[{host}] the wheelhouse did not get its wheels: {answer.get('msg', 'no reason was given')}")
    return answer


def _failure(message: str) -> Result:
    return {"changed": False, "failed": True, "remote_runs": 0, "msg": message}
