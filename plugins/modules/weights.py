#!/usr/bin/python
# Copyright: Wavesmith contributors
# Apache License 2.0 (see LICENSE)
"""Fetch the weights of models into the host's store."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: weights
short_description: Fetch the weights of models into the host's store
version_added: "0.1.0"
description:
  - Brings every file that the plan names into C(<root>/models), once by its sha256 for all models and environments, and lays the files of a
    hub's repository out as its cache, so that models find them offline.
  - Several files come at once; what was interrupted goes on from where it ended. A file counts only after its sha256 was checked. Whether all of it
    fits on the disk is asked before the first byte.
  - Mirrors are asked first, then the hub, or the address in the catalog. The token goes to the hub alone, not to where it redirects.
options:
  weights:
    description: Sets of weights, as the plan gives them.
    type: list
    elements: dict
    default: []
  served:
    description:
      - Whether they are fetched for other hosts, into C(<root>/wheelhouse/models), where the wheelhouse serves each file by its sha256. Without
        O(weights) they are what the hosts of the run need; where no wheelhouse is served, nothing. A failure is a warning, as the others then fetch by themselves.
    type: bool
    default: false
  hub:
    description: Address of the model hub.
    type: str
    required: true
  mirrors:
    description: Addresses below which files lie by their sha256.
    type: list
    elements: str
    default: []
  token:
    description: What opens gated repositories of the hub. It is kept nowhere.
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
- name: Fetch the weights of the models
  wavesmith.provision.weights:
    root: "{{ wavesmith_plan.plan.root }}"
    weights: "{{ wavesmith_plan.weights }}"
    hub: https://huggingface.co

- name: Fetch for the fleet what its hosts need
  wavesmith.provision.weights:
    root: "{{ wavesmith_plan.plan.root }}"
    served: true
"""

RETURN = r"""
finished:
  description: Whether the work has ended.
  returned: always
  type: bool
result:
  description: Keys of the sets of weights that were brought, as C(fetched).
  returned: when finished
  type: dict
"""

import os

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.host.job import Job
from ..module_utils.host.module import OPTIONS, serve
from ..module_utils.terms.digest import digest
from ..module_utils.wanted.weights import SERVED, key
from ..module_utils.weights.fetch import fetch


def main() -> None:
    """Wire the options to the core."""
    options = {
        **OPTIONS,
        "weights": {"type": "list", "elements": "dict", "default": []},
        "served": {"type": "bool", "default": False},
        "hub": {"type": "str", "required": True},
        "mirrors": {"type": "list", "elements": "str", "default": []},
        "token": {"type": "str", "default": "", "no_log": True},
    }
    module = AnsibleModule(argument_spec=options, supports_check_mode=True)
    given = module.params
    name = "weights-" + digest([given["served"], sorted(key(weights) for weights in given["weights"])])[:16]
    own, others = given["root"], os.path.join(given["root"], SERVED)
    store, beside = (others, own) if given["served"] else (own, others)

    def work(job: Job) -> dict[str, list[str]]:
        got = fetch(job, store, given["weights"], given["hub"], given["mirrors"], given["token"], beside)
        return {"fetched": got}

    serve(module, name, given["weights"], work)


if __name__ == "__main__":
    main()
