#!/usr/bin/python
# Copyright: Wavesmith contributors
# Apache License 2.0 (see LICENSE)
"""Install the packages of a lock into new generations."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: packages
short_description: Install the packages of a lock into new generations
version_added: "0.1.0"
description:
  - Installs exactly the files a lock names by hash, and the wheels built from source, hard-linked from the cache.
  - Then every byte is compared with what the wheels declare, byte code is compiled, and the generation is sealed with its manifest.
options:
  generations:
    description: Generations to fill, as the plan gives them.
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
- name: Install the packages
  wavesmith.provision.packages:
    root: "{{ wavesmith_plan.plan.root }}"
    generations: "{{ wavesmith_plan.install }}"
"""

RETURN = r"""
finished:
  description: Whether the work has ended.
  returned: always
  type: bool
result:
  description: What was installed, as C(installed).
  returned: when finished
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.host.module import OPTIONS, package_index, serve, settle
from ..module_utils.prefix.code import keep
from ..module_utils.prefix.generation import install
from ..module_utils.prefix.models import sources
from ..module_utils.terms.digest import digest


def main() -> None:
    """Wire the options to the core."""
    options = {**OPTIONS, "generations": {"type": "list", "elements": "dict", "required": True}}
    module = AnsibleModule(argument_spec=options, supports_check_mode=True)
    given = module.params
    index = package_index(given["package_index"])
    rooms = sources()
    if not module.check_mode:
        settle(module, given["root"])
        for spec in given["generations"]:
            keep(given["root"], spec.get("code", []))
    name = "install-" + digest([spec["generation"] for spec in given["generations"]])[:16]
    serve(
        module,
        name,
        given["generations"],
        lambda job: {"installed": [install(job, given["root"], spec, index, rooms) for spec in given["generations"]]},
    )


if __name__ == "__main__":
    main()
