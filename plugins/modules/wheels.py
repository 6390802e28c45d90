#!/usr/bin/python
# Copyright: Wavesmith contributors
# Apache License 2.0 (see LICENSE)
"""Build wheels from source into the wheelhouse."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: wheels
short_description: Build wheels from source into the wheelhouse
version_added: "0.1.0"
description:
  - Builds every wheel whose key is not in the wheelhouse yet, in an isolated environment from hashed build requirements.
  - The source is checked against its sha256 or commit before anything of it runs. The built wheel is audited, tried in an environment of
    its own, and only then published, atomically, with its provenance and bill of materials.
  - A build that was killed for want of memory is tried again with half the jobs, and the next plan knows of it.
  - The work is done by a process of its own on the host, which outlives the connection. The action plugin of the same name shows
    how far it is; when a play is started again it finds the work that goes on, or its result.
options:
  root:
    description: Wavesmith's folder on the host.
    type: str
    required: true
  wheels:
    description: Wheels to build, as the plan gives them in C(spec).
    type: list
    elements: dict
    required: true
  package_index:
    description: Address of the package index; empty for the one the host's own pip is set up for.
    type: str
    default: ""
  ccache_remote:
    description: Remote storage of ccache, as C(CCACHE_REMOTE_STORAGE) takes it; used where the host has ccache.
    type: str
    default: ""
  run:
    description: Names the run that asks; given by the action plugin.
    type: str
    default: by hand
  wait:
    description: Seconds to wait for news before answering; given by the action plugin.
    type: float
    default: 3600.0
  seen:
    description: The state the caller has shown already; given by the action plugin.
    type: str
    default: ""
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    description: The plan shows the difference.
author:
  - Wavesmith contributors (@wavesmith)
"""

EXAMPLES = r"""
- name: Build what the plan found missing
  wavesmith.provision.wheels:
    root: "{{ wavesmith_plan.plan.root }}"
    wheels: "{{ wavesmith_plan.build }}"
"""

RETURN = r"""
finished:
  description: Whether the work has ended.
  returned: always
  type: bool
result:
  description: Names of the wheels that were built, as C(built).
  returned: when finished
  type: dict
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._build import build_wheels
from ..module_utils._job import Job
from ..module_utils._long import OPTIONS, package_index, serve
from ..module_utils.plan import digest


def main() -> None:
    """Wire the options to the core."""
    options = {
        **OPTIONS,
        "wheels": {"type": "list", "elements": "dict", "required": True},
        "ccache_remote": {"type": "str", "default": "", "no_log": True},
    }
    module = AnsibleModule(argument_spec=options, supports_check_mode=True)
    given = module.params
    name = "build-" + digest(sorted(spec.get("key", spec["name"]) for spec in given["wheels"]))[:16]
    index = package_index(given["package_index"])

    def work(job: Job) -> dict[str, Any]:
        return build_wheels(job, given["root"], given["wheels"], index, given["ccache_remote"])

    serve(module, name, given["wheels"], work)


if __name__ == "__main__":
    main()
