"""The shared frame of the modules whose work is long: options, check mode, and one answer while the job goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..failures.base import NOTHING, Base
from ..observe.host import Host, find_user
from ..observe.sources import find_package_index
from . import owner, tools
from .job import Job, follow
from .store import StoreError

OPTIONS: dict[str, Any] = {
    "root": {"type": "str", "required": True},
    "package_index": {"type": "str", "default": "", "no_log": True},
    "run": {"type": "str", "default": "by hand"},
    "wait": {"type": "float", "default": 3600.0},
    "seen": {"type": "str", "default": ""},
    "failures": {"type": "dict", "default": {}},
    "download_timeout": {"type": "float", "default": tools.TIMEOUT},
}


def package_index(given: str) -> str:
    """The index to use: the given one, else what this host's own pip or uv is set up for, else the tools' default (empty)."""
    if given:
        return given
    host = Host("/", 3.0)
    return find_package_index(host, find_user(host))[0]


def settle(module: AnsibleModule, root: str) -> None:
    """Before anything is written: our own umask, how long tools wait for a server, and a root folder that no other user can write to."""
    owner.settle()
    tools.wait_for(module.params.get("download_timeout") or tools.TIMEOUT)
    problem, remedy = owner.trouble(root)
    if problem:
        module.fail_json(msg=f"{problem}. Remedy: {remedy}")


def known(given: Any) -> Base:
    """The failures that are known, as the action plugin gives them."""
    return Base(given) if given else NOTHING


def serve(
    module: AnsibleModule, name: str, todo: list[Any], work: Callable[[Job], Mapping[str, object]], changes: bool = True
) -> None:
    """Answer one call of a long module: nothing to do, check mode, still working, done, or failed with the reason."""
    given = module.params
    settle(module, given["root"])
    if not todo or module.check_mode:
        module.exit_json(changed=changes and bool(todo), finished=True, result={})

    def informed(job: Job) -> Mapping[str, object]:
        job.known = known(given["failures"])
        return work(job)

    try:
        answer = follow(given["root"], name, given["run"], informed, given["wait"], given["seen"])
    except StoreError as error:
        module.fail_json(msg=str(error))
    if "failure" in answer:
        module.fail_json(msg=answer["failure"], lines=answer.get("log", []), finished=True)
    module.exit_json(changed=changes, **answer)
