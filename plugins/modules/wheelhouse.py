#!/usr/bin/python
# Copyright: Wavesmith contributors
# Apache License 2.0 (see LICENSE)
"""Sign, bring, serve and prune wheels that travel between hosts."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: wheelhouse
short_description: Sign, bring, serve and prune wheels that travel between hosts
version_added: "0.1.0"
description:
  - Wheels are kept by their key. A builder signs the manifest of each with its own key; whoever takes a wheel in, verifies the signature,
    the signer and the sha256 of every file first, and publishes it in one rename. Nothing of a wheel that is not right is kept.
  - With O(state=present) and O(state=served) the work is done by a process of its own on the host, which outlives the connection.
options:
  root:
    description: Wavesmith's folder on the host; empty for the one that is there.
    type: str
    default: ""
  state:
    description:
      - C(collected) signs O(keys) on the host and brings them into the controller's store.
      - C(present) brings O(wheels) to the host, from the served wheelhouse or the controller's store.
      - C(served) brings everything of the controller's store into C(<root>/wheelhouse), also in place of what was changed there, and writes the
        index pages.
      - C(pruned) removes wheels that no generation needs, but for the newest.
    type: str
    required: true
    choices: [collected, present, served, pruned]
  keys:
    description:
      - With C(collected), what to sign.
      - With C(served), what the controller's store has; given by the action plugin.
      - With C(pruned), what is needed elsewhere.
    type: list
    elements: str
    default: []
  wheels:
    description: Wheels to bring, as M(wavesmith.provision.elect) gives them in C(fetch).
    type: list
    elements: dict
    default: []
  fallback:
    description: Whether a wheel that is not right may be built here instead, where C(wavesmith_policy) allows it; C(build) says which.
    type: bool
    default: false
  folder:
    description: With C(pruned), which folder of wheels; C(wheelhouse) means what is kept for others, in the controller's store too.
    type: str
    default: wheels
    choices: [wheels, wheelhouse]
  keep:
    description: With C(pruned), how many of each package and variant stay, needed or not.
    type: int
    default: 2
  sources:
    description: What the address of each file of a key begins with; given by the action plugin.
    type: dict
    default: {}
  signers:
    description: Who may sign, in the form of C(allowed_signers) of ssh-keygen(1); given by the action plugin.
    type: str
    default: ""
  expected:
    description: Digest of the manifest of each key that the controller keeps; given by the action plugin.
    type: dict
    default: {}
  builder:
    description: The host's name as a signer; given by the action plugin.
    type: str
    default: ""
extends_documentation_fragment:
  - wavesmith.provision.job.followed
  - wavesmith.provision.attributes
  - wavesmith.provision.attributes.planned
author:
  - Wavesmith contributors (@wavesmith)
"""

EXAMPLES = r"""
- name: Keep what was built for the others
  wavesmith.provision.wheelhouse:
    root: "{{ wavesmith_plan.plan.root }}"
    state: collected
    keys: "{{ wheelhouse_elected.keep }}"

- name: Bring the wheels that others built
  wavesmith.provision.wheelhouse:
    root: "{{ wavesmith_plan.plan.root }}"
    state: present
    wheels: "{{ wheelhouse_elected.fetch }}"
"""

RETURN = r"""
public:
  description: The host's public signing key.
  returned: with O(state=collected)
  type: str
build:
  description: Specs of wheels that could not be had as they should be, and are to be built here.
  returned: with O(state=present)
  type: list
  elements: dict
held:
  description: Those of O(keys) that C(<root>/wheelhouse) has, and that were not changed there.
  returned: with O(state=served)
  type: list
  elements: str
used:
  description: Keys that the host's generations were made from.
  returned: with O(state=pruned)
  type: list
  elements: str
removed:
  description: Keys that were removed, or would be in check mode.
  returned: with O(state=pruned)
  type: list
  elements: str
"""

import os
from contextlib import nullcontext

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.host import store
from ..module_utils.host.job import Job
from ..module_utils.host.module import OPTIONS, serve, settle
from ..module_utils.records.wheel import Brought, Signed
from ..module_utils.terms.digest import digest
from ..module_utils.wheels import wheelhouse
from ..module_utils.wheels.manifest import KEYS


def main() -> None:
    """Wire the options to the core."""
    names = ("root", "run", "wait", "seen", "failures", "download_timeout")
    module = AnsibleModule(
        argument_spec={
            **{name: OPTIONS[name] for name in names},
            "root": {"type": "str", "default": ""},
            "state": {"type": "str", "required": True, "choices": ["collected", "present", "served", "pruned"]},
            "keys": {"type": "list", "elements": "str", "default": [], "no_log": False},
            "wheels": {"type": "list", "elements": "dict", "default": []},
            "fallback": {"type": "bool", "default": False},
            "folder": {"type": "str", "default": "wheels", "choices": ["wheels", "wheelhouse"]},
            "keep": {"type": "int", "default": 2},
            "sources": {"type": "dict", "default": {}},
            "signers": {"type": "str", "default": ""},
            "expected": {"type": "dict", "default": {}},
            "builder": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    given = module.params
    given["root"] = root = given["root"] or store.existing_root()
    settle(module, root)
    served = given["state"] == "served"
    folder = os.path.join(root, "wheelhouse" if served else given["folder"])
    try:
        if given["state"] == "collected":
            module.exit_json(**_sign(root, given["keys"], given["builder"]))
        elif given["state"] == "pruned":
            removed = _prune(root, folder, given["keys"], given["keep"], module.check_mode)
            module.exit_json(changed=bool(removed), removed=removed, used=wheelhouse.used(root))
        elif served and not given["sources"]:
            there = [key for key in given["keys"] if os.path.isdir(os.path.join(folder, key))]
            held = [key for key in there if not wheelhouse.flaw(folder, key, given["signers"])]
            module.exit_json(changed=False, held=held)
    except store.StoreError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(
            msg=f"{error.filename or root}: {error.strerror}. Remedy: run as the owner of {root}, or free some space"
        )
    # Ansible hands the arguments back as `invocation`: credentials in an address must not travel with them.
    sources, given["sources"] = given["sources"], {}

    def work(job: Job) -> Brought:
        return wheelhouse.bring(job, folder, sources, given["signers"], served, given["expected"])

    name = f"{given['state']}-{digest([folder, sorted(sources)])[:16]}"
    serve(module, name, list(sources), work)


def _sign(root: str, keys: list[str], builder: str) -> Signed:
    signed = [key for key in keys if wheelhouse.sign(root, key, builder)]
    return {"changed": bool(signed), "public": wheelhouse.signing_key(root)[1]}


def _prune(root: str, folder: str, keys: list[str], keep: int, check: bool) -> list[str]:
    if not os.path.isdir(folder):
        return []
    with nullcontext() if check else store.locked(root, f"pruning {folder}"):
        removed = wheelhouse.prune(folder, [*keys, *wheelhouse.used(root)], keep, check)
        if removed and not check and os.path.exists(os.path.join(folder, KEYS)):
            wheelhouse.write_index(folder)
    return removed


if __name__ == "__main__":
    main()
