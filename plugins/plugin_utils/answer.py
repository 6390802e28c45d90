"""What a host answers, taken in: the host may be anybody's, so nothing of it steers a terminal, is endless, or is no record."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.wavesmith.provision.plugins.module_utils.records import shape
from ansible_collections.wavesmith.provision.plugins.module_utils.records.host import Observed
from ansible_collections.wavesmith.provision.plugins.module_utils.terms.shown import printable
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.variables import Wanted
from ansible_collections.wavesmith.provision.plugins.plugin_utils import payload
from ansible_collections.wavesmith.provision.plugins.plugin_utils.catalog_files import failures
from ansible_collections.wavesmith.provision.plugins.plugin_utils.interface import Arguments, Result, Variables
from ansible_collections.wavesmith.provision.plugins.plugin_utils.variables import ours, overlay_folder

LARGEST = 64 << 20
"""Characters of all texts in an answer; the locks of ten environments with what was read of their files are a tenth of it."""
DEEPEST = 64
REMEDY = "find out what answers there: it is not the module that was run"


class TooMuch(ValueError):
    """An answer that no module of ours gives."""


class AskingAction(ActionBase):
    """An action plugin whose module runs on the host."""

    def ask(self, module: str, arguments: Arguments, variables: Variables) -> Result:
        """Run a module of this collection there, and return what it answers, safe to show; its failure keeps the lines that matter."""
        with payload.kept(module):
            answer = self._execute_module(
                module_name=f"wavesmith.provision.{module}", module_args=arguments, task_vars=variables
            )
        if answer.get("failed") and answer.get("lines"):
            answer["msg"] = "\n".join([answer["msg"], *(f"  | {line}" for line in answer.pop("lines"))])
        # Ansible prints the host's text in it unchanged; our modules put their message into `msg`.
        answer.pop("exception", None)
        facts = answer.pop("ansible_facts", None) or {}
        known = {name: value for name, value in facts.items() if name.startswith("discovered_interpreter_")}
        try:
            return {**safe(answer), **({"ansible_facts": known} if known else {})}
        except TooMuch as error:
            return {
                "failed": True,
                "changed": False,
                "msg": f"the answer of {variables.get('inventory_hostname', 'the host')} {error}",
            }


class DownloadingAction(AskingAction):
    """An action plugin whose module runs tools that download."""

    def given(self, variables: Variables) -> Arguments:
        """The arguments of the task, how long a server may say nothing, and the failures that are known."""
        own = ours(variables, self._templar)
        seconds = own.get("wavesmith_download_timeout", Wanted.download_timeout)
        return {**self._task.args, "download_timeout": seconds, "failures": failures(overlay=overlay_folder(own))}


class PlainAction(AskingAction):
    """Runs the module of the same name with the arguments of the task."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: Variables | None = None) -> Result:
        """Return what the module returned."""
        return self.ask(
            (self._task.resolved_action or self._task.action).rpartition(".")[2], self._task.args, task_vars or {}
        )


def safe(answer: Result) -> Result:
    """An answer with `printable` texts only.

    Raises:
        TooMuch: it is larger or deeper than any answer of ours.
    """
    left = LARGEST

    def walk(value: Any, depth: int) -> Any:
        nonlocal left
        if depth > DEEPEST:
            raise TooMuch(f"is more than {DEEPEST} levels deep. Remedy: {REMEDY}")
        if isinstance(value, str):
            left -= len(value)
            if left < 0:
                raise TooMuch(f"is larger than {LARGEST >> 20} MiB. Remedy: {REMEDY}")
            return printable(value)
        if isinstance(value, dict):
            return {walk(key, depth + 1): walk(item, depth + 1) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [walk(item, depth + 1) for item in value]
        return value

    found: Result = walk(answer, 0)
    return found


def observed_of(answer: Result) -> Observed:
    """What the module `observe` saw.

    Raises:
        shape.WrongRecord: it is no such record; the message says where.
    """
    return shape.read(answer["observed"], Observed, "what the host answers", REMEDY)
