#!/usr/bin/python
# Copyright: Wavesmith contributors
# Apache License 2.0 (see LICENSE)
"""Make the offline bundle of a host's environments."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: bundle
short_description: Make the offline bundle of a host's environments
version_added: "0.1.0"
description:
  - Makes C(<root>/bundle) with everything that provisioning the same environments on such a host needs without a network, but for system packages,
    the files of their locks and of the toolbox as a package index, packages of conda channels, the signed wheels that were built from source, what
    building those again takes, and the locks.
options:
  environments:
    description: What to take, with lock, wheels and Python; given by the action plugin from the host's plan.
    type: list
    elements: dict
    default: []
  builds:
    description: What goes along to build wheels again, sources and build requirements; given by the action plugin from the host's plan.
    type: list
    elements: dict
    default: []
  commits:
    description: Packs of the commits that the environments are planned with, of models and of projects; brought by the action plugin.
    type: list
    elements: dict
    default: []
  sources:
    description: Whether what builds take goes along.
    type: bool
    default: true
  folder:
    description: Where to. A bundle that is there stays, and this one is added to it, so that one folder serves hosts of several kinds. By default
      C(<root>/bundle), rebuilt from scratch.
    type: path
    default: ""
  toolbox:
    description: The toolbox's lock; given by the action plugin.
    type: str
    default: ""
  signers:
    description: Who may sign, in the form of C(allowed_signers) of ssh-keygen(1); given by the action plugin.
    type: str
    default: ""
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
- name: Make the offline bundle
  wavesmith.provision.bundle:
    root: "{{ wavesmith_plan.plan.root }}"
"""

RETURN = r"""
finished:
  description: Whether the work has ended.
  returned: always
  type: bool
result:
  description: The folder that was made, as C(bundle).
  returned: when finished
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.export.bundle import bundle, keep_packs
from ..module_utils.host.module import OPTIONS, package_index, serve
from ..module_utils.terms.digest import digest


def main() -> None:
    """Wire the options to the core."""
    options = {
        **OPTIONS,
        "environments": {"type": "list", "elements": "dict", "default": []},
        "builds": {"type": "list", "elements": "dict", "default": []},
        "commits": {"type": "list", "elements": "dict", "default": []},
        "sources": {"type": "bool", "default": True},
        "folder": {"type": "path", "default": ""},
        "toolbox": {"type": "str", "default": ""},
        "signers": {"type": "str", "default": ""},
    }
    module = AnsibleModule(argument_spec=options, supports_check_mode=True)
    given = module.params
    root, todo, index = given["root"], given["environments"], package_index(given["package_index"])
    builds = given["builds"] if given["sources"] else []
    packs = [] if module.check_mode else keep_packs(root, given["commits"])
    more = (given["toolbox"], given["signers"], given["folder"])
    name = f"bundle-{digest([todo, builds, packs, given['folder']])[:16]}"
    serve(module, name, todo, lambda job: {"bundle": bundle(job, root, todo, builds, packs, index, *more)})


if __name__ == "__main__":
    main()
