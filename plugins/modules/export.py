#!/usr/bin/python
# Copyright: Wavesmith contributors
# Apache License 2.0 (see LICENSE)
"""Make Docker build contexts of environments."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: export
short_description: Make Docker build contexts of environments
version_added: "0.1.0"
description:
  - Makes C(<root>/export/<environment>) with a Dockerfile, the wheels, and their sha256. The image installs nothing else, so a wheel that is
    missing, or is not the one that was built, fails its build.
options:
  environments:
    description: What to take, with lock, wheels and Python; given by the action plugin from the host's plan.
    type: list
    elements: dict
    default: []
  complete:
    description: Whether the wheels that the index serves are put into it, too; else the image's build gets those from an index.
    type: bool
    default: true
  system:
    description: The host's C(id) and C(version_id), for the image to begin with; given by the action plugin.
    type: dict
    default: {}
  apt:
    description: System packages for the image; given by the action plugin.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - wavesmith.provision.job
  - wavesmith.provision.job.followed
  - wavesmith.provision.attributes
attributes:
  diff_mode:
    support: none
    description: What is made is new each time.
author:
  - Wavesmith contributors (@wavesmith)
"""

EXAMPLES = r"""
- name: Make a Docker build context of each environment
  wavesmith.provision.export:
    root: "{{ wavesmith_plan.plan.root }}"
"""

RETURN = r"""
finished:
  description: Whether the work has ended.
  returned: always
  type: bool
result:
  description: The folders that were made, by environment, as C(contexts).
  returned: when finished
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.export.bundle import context
from ..module_utils.host.module import OPTIONS, package_index, serve
from ..module_utils.terms.digest import digest


def main() -> None:
    """Wire the options to the core."""
    options = {
        **OPTIONS,
        "environments": {"type": "list", "elements": "dict", "default": []},
        "complete": {"type": "bool", "default": True},
        "system": {"type": "dict", "default": {}},
        "apt": {"type": "list", "elements": "str", "default": []},
    }
    module = AnsibleModule(argument_spec=options, supports_check_mode=True)
    given = module.params
    index = package_index(given["package_index"])
    system, apt, complete = given["system"], given["apt"], given["complete"]
    serve(
        module,
        "export-" + digest([given["environments"], complete])[:16],
        given["environments"],
        lambda job: {
            "contexts": {
                spec["environment"]: context(job, given["root"], spec, index, system, apt, complete)
                for spec in given["environments"]
            }
        },
    )


if __name__ == "__main__":
    main()
