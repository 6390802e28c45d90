#!/usr/bin/python
# Copyright: Wavesmith contributors
# Apache License 2.0 (see LICENSE)
"""Make the toolbox."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: toolbox
short_description: Make the toolbox, a virtual environment with the pinned tools
version_added: "0.1.0"
description:
  - Makes C(<root>/toolbox/<digest>) from a lock with hashes and points C(current) to it. The system Python gets nothing.
options:
  root:
    description: Wavesmith's folder on the host; made when it is missing.
    type: str
    required: true
  lock:
    description: Text of the lock.
    type: str
    required: true
  package_index:
    description: Address of the package index; empty for the one the host's own pip is set up for.
    type: str
    default: ""
  download_timeout:
    description: Seconds that a server may say nothing during a download before it is asked again; the action plugin sets it.
    type: float
    default: 20.0
  failures:
    description: The known failures, by which a failure is explained; the action plugin sets it.
    type: dict
    default: {}
extends_documentation_fragment:
  - wavesmith.provision.attributes
  - wavesmith.provision.attributes.planned
author:
  - Wavesmith contributors (@wavesmith)
"""

EXAMPLES = r"""
- name: Make the toolbox
  wavesmith.provision.toolbox:
    root: /opt/wavesmith
    lock: "{{ lookup('ansible.builtin.file', 'toolbox.txt') }}"
"""

RETURN = r"""
path:
  description: Folder of the toolbox.
  returned: always
  type: str
"""

import hashlib
import os

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.host.job import Failed
from ..module_utils.host.module import OPTIONS, known, package_index, settle
from ..module_utils.host.store import StoreError, pointed
from ..module_utils.host.tools import make_toolbox, uv


def main() -> None:
    """Wire the options to the core."""
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "str", "required": True},
            "lock": {"type": "str", "required": True},
            **{name: OPTIONS[name] for name in ("package_index", "download_timeout", "failures")},
        },
        supports_check_mode=True,
    )
    given = module.params
    settle(module, given["root"])
    folder = os.path.join(given["root"], "toolbox")
    digest = hashlib.sha256(given["lock"].encode()).hexdigest()[:16]
    path = os.path.join(folder, digest)
    if module.check_mode:
        there = pointed(folder) == digest and os.access(uv(given["root"]), os.X_OK)
        module.exit_json(changed=not there, path=path)
    try:
        index = package_index(given["package_index"])
        changed = make_toolbox(given["root"], digest, given["lock"], index, known(given["failures"]))
    except StoreError as error:
        module.fail_json(msg=str(error))
    except Failed as error:
        module.fail_json(msg=str(error), lines=error.log)
    except OSError as error:
        module.fail_json(
            msg=f"{error.filename or folder}: {error.strerror}. Remedy: free some space, or run as the owner of {given['root']}"
        )
    module.exit_json(changed=changed, path=path)


if __name__ == "__main__":
    main()
