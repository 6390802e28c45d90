#!/usr/bin/python
# Copyright: Wavesmith contributors
# Apache License 2.0 (see LICENSE)
"""Say what is on a host: environments, their generations, and whether what is current is as it was made."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: status
short_description: Environments of a host, and their generations
version_added: "0.1.0"
description:
  - Returns, for each environment that is wanted or there, its current generation, since when, the doctor's verdict, its stack, what differs from how it was
    made, and all its generations.
  - It asks no package source and changes nothing.
options:
  root:
    description:
      - Wavesmith's folder on the host.
      - Empty means C(/opt/wavesmith) or C(~/wavesmith), whichever is there.
    type: str
    default: ""
  environments:
    description: The environments that are wanted.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - wavesmith.provision.attributes
attributes:
  diff_mode:
    support: none
    description: It changes nothing.
author:
  - Wavesmith contributors (@wavesmith)
"""

EXAMPLES = r"""
- name: Ask what is there
  wavesmith.provision.status:
    environments: [speech]
"""

RETURN = r"""
root:
  description: Wavesmith's folder on the host.
  returned: always
  type: str
status:
  description: An entry for each environment.
  returned: always
  type: list
  elements: dict
"""

import os

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.host import status, store


def main() -> None:
    """Wire the options to the core."""
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "str", "default": ""},
            "environments": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    root = module.params["root"] or store.existing_root()
    try:
        rows = status.environments(root, module.params["environments"])
    except OSError as error:
        module.fail_json(
            msg=f"{error.filename or root}: {error.strerror}. Remedy: run as the owner of {root}, or with become"
        )
    module.exit_json(changed=False, root=os.path.abspath(root), status=rows)


if __name__ == "__main__":
    main()
