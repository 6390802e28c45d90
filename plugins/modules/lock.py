#!/usr/bin/python
# Copyright: Wavesmith contributors
# Apache License 2.0 (see LICENSE)
"""Resolve the locks of environments."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: lock
short_description: Resolve the locks of environments
version_added: "0.1.0"
description:
  - Resolves exact versions and hashes with uv, once for each environment, Python and origin. No address of an index is written,
    so a mirror can serve the same lock.
  - Looks at the files that a lock names, before anything is installed. Only parts of them are fetched, and what was read is kept by their sha256.
  - For the engine C(conda) also what the channels give, with py-rattler, once for each environment, Python and platform.
options:
  locks:
    description: Locks to resolve, as the plan gives them.
    type: list
    elements: dict
    required: true
  again:
    description: Leaves out the locks that are there by now, so that another host resolves what the one elected before could not.
    type: bool
    default: false
extends_documentation_fragment:
  - wavesmith.provision.job
  - wavesmith.provision.job.followed
  - wavesmith.provision.attributes
  - wavesmith.provision.attributes.planned
author:
  - Wavesmith contributors (@wavesmith)
"""

EXAMPLES = r"""
- name: Resolve missing locks
  wavesmith.provision.lock:
    root: "{{ wavesmith_plan.plan.root }}"
    locks: "{{ wavesmith_plan.lock }}"
"""

RETURN = r"""
finished:
  description: Whether the work has ended.
  returned: always
  type: bool
result:
  description:
    - Text of each lock by its key, and by the key with C(.inspected) what was read of the files that it names, as JSON.
  returned: when finished
  type: dict
"""


import json
from typing import cast

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.host.job import Job
from ..module_utils.host.module import OPTIONS, package_index, serve
from ..module_utils.plan.lockfile import SUFFIX
from ..module_utils.prefix.conda import solve
from ..module_utils.prefix.generation import resolve
from ..module_utils.prefix.inspect import inspect
from ..module_utils.records.task import ChannelLockTask, LockTask
from ..module_utils.terms.digest import digest


def main() -> None:
    """Wire the options to the core."""
    options = {
        **OPTIONS,
        "locks": {"type": "list", "elements": "dict", "required": True},
        "again": {"type": "bool", "default": False},
    }
    module = AnsibleModule(argument_spec=options, supports_check_mode=True)
    given = module.params
    name = "lock-" + digest(given["locks"])[:16]
    index = package_index(given["package_index"])

    def one(job: Job, spec: LockTask | ChannelLockTask) -> dict[str, str]:
        if "specs" in spec:
            return {spec["key"]: solve(job, given["root"], cast(ChannelLockTask, spec))}
        text = resolve(job, given["root"], spec, index)
        seen = inspect(job, given["root"], spec, text, index)
        return {spec["key"]: text, spec["key"] + SUFFIX: json.dumps(seen, indent=1, sort_keys=True) + "\n"}

    serve(
        module,
        name,
        given["locks"],
        lambda job: {key: text for spec in given["locks"] for key, text in one(job, spec).items()},
    )


if __name__ == "__main__":
    main()
