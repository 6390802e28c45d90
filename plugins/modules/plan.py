#!/usr/bin/python
# Copyright: Wavesmith contributors
# Apache License 2.0 (see LICENSE)
"""Observe a host and plan what differs; done by the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: plan
short_description: Observe a host and plan what differs from its wanted state
version_added: "0.1.0"
description:
  - Runs M(wavesmith.provision.observe) on the host, once, then decides on the controller. Nothing is changed.
  - The wanted state is read from the host's C(wavesmith_*) variables (see docs/variables.md). Whatever is wrong with them, or cannot
    work on this host, is refused here, before anything is touched, with the remedy.
  - The plan is saved as JSON below C(wavesmith_artifacts).
options:
  only:
    description:
      - V(removal) plans nothing but what M(wavesmith.provision.remove) takes. No source is asked, nothing is saved, and what cannot be made
        on this host is not refused.
      - V(unreached) plans nothing; it refuses a host of whose wheels a source said no, where no other planned host has or builds them.
    type: str
    choices: [removal, unreached]
  locked:
    description: Refuses an environment whose lock is still not there, because the hosts that were to resolve it failed.
    type: bool
    default: false
extends_documentation_fragment:
  - wavesmith.provision.attributes
  - wavesmith.provision.attributes.shown
notes:
  - It is an action plugin; there is no module to run on the host but M(wavesmith.provision.observe).
author:
  - Wavesmith contributors (@wavesmith)
"""

EXAMPLES = r"""
- name: Plan
  wavesmith.provision.plan:
  register: wavesmith_plan
"""

RETURN = r"""
plan:
  description: Stack and why, variant, packages, generation digest, steps, warnings, refusals.
  returned: always
  type: dict
groups:
  description:
    - The groups that the host is a member of now, C(wavesmith_) before each. C(planned), and what has to be done, of C(prepare), C(build), C(lock),
      C(install), C(verify), C(activate).
    - C(unreached) where a source of its wheels said no. C(evidence) where C(wavesmith_report_evidence) is set.
  returned: always
  type: list
  elements: str
unreached:
  description: Why wheels cannot be built on this host, by the sources that told it no.
  returned: always
  type: dict
text:
  description: The plan for people.
  returned: always
  type: str
observed:
  description: What M(wavesmith.provision.observe) returned.
  returned: always
  type: dict
root:
  description: Wavesmith's folder on the host.
  returned: when O(only=removal); then nothing of the above is
  type: str
unwanted:
  description: What is on the host and no longer wanted.
  returned: when O(only=removal)
  type: list
  elements: str
  sample: [environment old, toolbox 0123456789abcdef]
remove:
  description: What of it C(wavesmith_remove) takes, all where that names nothing.
  returned: when O(only=removal)
  type: list
  elements: str
"""
