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
options:
  wheels:
    description: Wheels to build, as the plan gives them in C(spec).
    type: list
    elements: dict
    required: true
  ccache_remote:
    description: Remote storage of ccache, as C(CCACHE_REMOTE_STORAGE) takes it; used where the host has ccache.
    type: str
    default: ""
extends_documentation_fragment:
  - wavesmith.provision.job
  - wavesmith.provision.job.followed
  - wavesmith.provision.attributes
  - wavesmith.provision.attributes.planned
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
  description: The wheels that were built, as C(built), each with its C(name), C(version), C(variant), C(key) and the C(seconds) it took.
  returned: when finished
  type: dict
"""


from ansible.module_utils.basic import AnsibleModule

from ..module_utils.build.worker import build_wheels
from ..module_utils.host.job import Job
from ..module_utils.host.module import OPTIONS, package_index, serve
from ..module_utils.records.wheel import BuiltWheel
from ..module_utils.terms.digest import digest


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

    def work(job: Job) -> dict[str, list[BuiltWheel]]:
        return build_wheels(job, given["root"], given["wheels"], index, given["ccache_remote"])

    serve(module, name, given["wheels"], work)


if __name__ == "__main__":
    main()
