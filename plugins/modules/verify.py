#!/usr/bin/python
# Copyright: Wavesmith contributors
# Apache License 2.0 (see LICENSE)
"""Run the doctor in generations."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: verify
short_description: Run the doctor in generations
version_added: "0.1.0"
description:
  - Runs the doctor with the interpreter of each generation and keeps its verdict and evidence with the generation.
options:
  generations:
    description: Generations to judge, as the plan gives them.
    type: list
    elements: dict
    required: true
  checks:
    description: Checks of one's own, Python text by name; the action plugin takes them from C(wavesmith_catalog).
    type: dict
    default: {}
  performance:
    description: Whether it is also measured how fast the host computes; it takes 20 s more.
    type: bool
    default: false
  full:
    description:
      - Whether all checks run.
      - If not, what was found in the current generation holds for a new one, with its date, where nothing that the check loaded is different
        there. Another doctor, Python, system package or driver is such a difference, and so are 30 days. In a generation that is judged again
        that is so for the checks that take minutes (C(models.structure)); all others run.
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

from ..module_utils.host.module import OPTIONS, serve
from ..module_utils.terms.digest import digest
from ..module_utils.verify.doctor import judge, sources


def main() -> None:
    """Wire the options to the core."""
    options = {
        **OPTIONS,
        "generations": {"type": "list", "elements": "dict", "required": True},
        "checks": {"type": "dict", "default": {}},
        "performance": {"type": "bool", "default": False},
        "full": {"type": "bool", "default": False},
    }
    module = AnsibleModule(argument_spec=options, supports_check_mode=True)
    given = module.params
    files = sources(given["checks"])
    judged = {spec["environment"]: spec["generation"] for spec in given["generations"]}
    name = "verify-" + digest([spec["generation"] for spec in given["generations"]])[:16]
    serve(
        module,
        name,
        given["generations"],
        lambda job: {
            "verdicts": {
                spec["environment"]: judge(job, given["root"], spec, files, judged, given["performance"], given["full"])
                for spec in given["generations"]
            }
        },
        changes=False,
    )


if __name__ == "__main__":
    main()
