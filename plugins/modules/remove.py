#!/usr/bin/python
# Copyright: Wavesmith contributors
# Apache License 2.0 (see LICENSE)
"""Remove from a host what is no longer wanted."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: remove
short_description: Remove environments, weights and toolboxes that are no longer wanted, and caches
version_added: "0.1.0"
description:
  - Removes what M(wavesmith.provision.plan) found on the host and no environment of the host's plan needs.
  - It takes no generation of an environment that is wanted; for those see M(wavesmith.provision.generation).
options:
  root:
    description: Wavesmith's folder on the host.
    type: str
    required: true
  items:
    description:
      - What to remove, each with its kind, such as V(environment old), V(weights piper-0123456789abcdef), V(toolbox 0123456789abcdef).
      - V(caches) stands for all downloads, and files of weights that no set of weights has, which are fetched again when they are needed.
    type: list
    elements: str
    required: true
extends_documentation_fragment:
  - wavesmith.provision.attributes
  - wavesmith.provision.attributes.shown
author:
  - Wavesmith contributors (@wavesmith)
"""

EXAMPLES = r"""
- name: Remove an environment that is no longer wanted
  wavesmith.provision.remove:
    root: /opt/wavesmith
    items: [environment old]
"""

RETURN = r"""
removed:
  description: Bytes that each removed item freed, or would free.
  returned: always
  type: dict
  sample: {environment old: 1523834880}
freed:
  description: Bytes in all.
  returned: always
  type: int
text:
  description: What was removed, a line for each.
  returned: always
  type: list
  elements: str
"""

import os
from contextlib import nullcontext

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.host import removal, store
from ..module_utils.host.module import settle
from ..module_utils.prefix.conda import register


def main() -> None:
    """Wire the options to the core."""
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "str", "required": True},
            "items": {"type": "list", "elements": "str", "required": True},
        },
        supports_check_mode=True,
    )
    root, items, check = module.params["root"], module.params["items"], module.check_mode
    settle(module, root)
    removed: list[tuple[str, int]] = []
    try:
        if items and os.path.isdir(root):
            with nullcontext() if check else store.locked(root, f"removing {', '.join(items)}"):
                removed = removal.remove(root, items, check)
                if not check:
                    register(root)
    except store.StoreError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename or root}: {error.strerror}. Remedy: run as the owner of {root}")
    did = "would be removed" if check else "removed"
    module.exit_json(
        changed=bool(removed),
        removed=dict(removed),
        freed=sum(size for _, size in removed),
        text=[f"{item}: {did}, {size / 2**30:.2f} GiB" for item, size in removed] or ["nothing to remove"],
        diff={"before": {"there": [item for item, _ in removed]}, "after": {"there": []}},
    )


if __name__ == "__main__":
    main()
