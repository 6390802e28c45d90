#!/usr/bin/python
# Copyright: Wavesmith contributors
# Apache License 2.0 (see LICENSE)
"""Say how the last long work on a host ended, with the lines of its log that matter."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: job
short_description: How the last work on a host ended
version_added: "0.1.0"
description:
  - Long work (building, resolving, installing, verifying) keeps its log on the host. This returns the last one's state, and the lines that matter.
options:
  root:
    description:
      - Wavesmith's folder on the host.
      - Empty means C(/opt/wavesmith) or C(~/wavesmith), whichever is there.
    type: str
    default: ""
  name:
    description: Another job than the last one.
    type: str
    default: ""
  lines:
    description: How many lines of the log.
    type: int
    default: 25
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
- name: Ask how the last work ended
  wavesmith.provision.job:
"""

RETURN = r"""
job:
  description: The job.
  returned: always
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.host import status, store


def main() -> None:
    """Wire the options to the core."""
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "str", "default": ""},
            "name": {"type": "str", "default": ""},
            "lines": {"type": "int", "default": 25},
        },
        supports_check_mode=True,
    )
    given = module.params
    root = given["root"] or store.existing_root()
    try:
        found = status.last_job(root, given["name"], given["lines"])
    except store.StoreError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, job=found)


if __name__ == "__main__":
    main()
