#!/usr/bin/python
# Copyright: Wavesmith contributors
# Apache License 2.0 (see LICENSE)
"""Let the doctor judge generations."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: verify
short_description: Let the doctor judge generations
version_added: "0.1.0"
description:
  - Runs the doctor with the interpreter of each generation and keeps its verdict and evidence with the generation.
  - The work is done by a process of its own on the host, which outlives the connection. The action plugin of the same name shows
    how far it is; when a play is started again it finds the work that goes on, or its result.
options:
  root:
    description: Wavesmith's folder on the host.
    type: str
    required: true
  generations:
    description: Generations to judge, as the plan gives them.
    type: list
    elements: dict
    required: true
  package_index:
    description: Address of the package index; empty for the one the host's own pip is set up for.
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
- name: Verify the new generations
  wavesmith.provision.verify:
    root: "{{ wavesmith_plan.plan.root }}"
    generations: "{{ wavesmith_plan.verify }}"
"""

RETURN = r"""
finished:
  description: Whether the work has ended.
  returned: always
  type: bool
result:
  description: Verdicts by environment, as C(verdicts).
  returned: when finished
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._doctor import judge, sources
from ..module_utils._long import OPTIONS, serve
from ..module_utils.plan import digest


def main() -> None:
    """Wire the options to the core."""
    options = {**OPTIONS, "generations": {"type": "list", "elements": "dict", "required": True}}
    module = AnsibleModule(argument_spec=options, supports_check_mode=True)
    given = module.params
    files = sources()
    name = "verify-" + digest([spec["generation"] for spec in given["generations"]])[:16]
    serve(
        module,
        name,
        given["generations"],
        lambda job: {
            "verdicts": {spec["environment"]: judge(job, given["root"], spec, files) for spec in given["generations"]}
        },
        changes=False,
    )


if __name__ == "__main__":
    main()
