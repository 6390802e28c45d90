#!/usr/bin/python
# Copyright: Wavesmith contributors
# Apache License 2.0 (see LICENSE)
"""Make the isolated prefix of new generations."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: python_env
short_description: Make the isolated prefix of new generations
version_added: "0.1.0"
description:
  - Makes a Python prefix beside the generations that are there. Isolation is in the prefix, its interpreter drops what could bring
    foreign packages in, so it holds in a shell, over ssh, in cron and in systemd units alike.
  - With the engine C(venv) it is a virtual environment of a Python of the host. With C(conda) py-rattler, which the toolbox has, links the
    packages of a conda lock into it, Python among them, each checked against its sha256.
  - A complete generation is never touched; an unfinished one of the same name is remade.
options:
  generations:
    description: Generations to make, as the plan gives them.
    type: list
    elements: dict
    required: true
extends_documentation_fragment:
  - wavesmith.provision.job
  - wavesmith.provision.job.followed
  - wavesmith.provision.attributes
  - wavesmith.provision.attributes.planned
author:
  - Wavesmith contributors (@wavesmith)
"""

EXAMPLES = r"""
- name: Make the prefixes
  wavesmith.provision.python_env:
    root: "{{ wavesmith_plan.plan.root }}"
    generations: "{{ wavesmith_plan.install }}"
"""

RETURN = r"""
finished:
  description: Whether the work has ended.
  returned: always
  type: bool
result:
  description: Names of the generations, as C(made).
  returned: when finished
  type: dict
"""


from ansible.module_utils.basic import AnsibleModule

from ..module_utils.host.job import Job
from ..module_utils.host.module import OPTIONS, serve
from ..module_utils.prefix.generation import make_prefix
from ..module_utils.terms.digest import digest


def main() -> None:
    """Wire the options to the core."""
    options = {**OPTIONS, "generations": {"type": "list", "elements": "dict", "required": True}}
    module = AnsibleModule(argument_spec=options, supports_check_mode=True)
    given = module.params

    def work(job: Job) -> dict[str, list[str]]:
        for number, spec in enumerate(given["generations"], 1):
            job.progress("making the prefix", number, len(given["generations"]), spec["environment"])
            make_prefix(job, given["root"], spec)
        return {"made": [spec["generation"] for spec in given["generations"]]}

    name = "prefix-" + digest([spec["generation"] for spec in given["generations"]])[:16]
    serve(module, name, given["generations"], work)


if __name__ == "__main__":
    main()
