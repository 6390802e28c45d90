#!/usr/bin/python
# Copyright: Wavesmith contributors
# Apache License 2.0 (see LICENSE)
"""Read a host's variables and refuse what is wrong with them; done by the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: settings
short_description: Read a host's variables and refuse what is wrong with them
version_added: "0.1.0"
description:
  - Reads the host's C(wavesmith_*) variables (see docs/variables.md) as M(wavesmith.provision.plan) does, and refuses unknown names, wrong
    values, and names given with C(-e) that nothing reads. For playbooks that do not plan.
options: {}
extends_documentation_fragment:
  - wavesmith.provision.attributes
attributes:
  diff_mode:
    description: Whether it returns what it changed, or would change.
    support: none
notes:
  - It is an action plugin; nothing runs on the host.
author:
  - Wavesmith contributors (@wavesmith)
"""

EXAMPLES = r"""
- name: Read the settings
  wavesmith.provision.settings:
  register: wavesmith_settings
"""

RETURN = r"""
settings:
  description: The value of each variable by its name without C(wavesmith_), defaults filled in.
  returned: when nothing is refused
  type: dict
  sample: {root: "", keep_generations: 3, rollback: {speech: ""}}
"""
