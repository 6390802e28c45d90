#!/usr/bin/python
# Copyright: Wavesmith contributors
# Apache License 2.0 (see LICENSE)
"""Report on a host; done by the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: report
short_description: Report on a host on the screen and as JSON, or on all hosts as a page
version_added: "0.1.0"
description:
  - Shows each environment with its generation and the doctor's table, and saves the same as JSON below C(wavesmith_artifacts).
  - It works on the controller only and makes no remote run.
options:
  plan:
    description: The plan, as M(wavesmith.provision.plan) returned it. Needed unless O(page=true).
    type: dict
  observed:
    description: What was observed, as M(wavesmith.provision.plan) returned it. Needed unless O(page=true).
    type: dict
  page:
    description: Write C(report.html) on all hosts of which something is kept below C(wavesmith_artifacts), and report on no host.
    type: bool
    default: false
  verdicts:
    description: Verdicts of this run by environment; one on another generation than the current one is not shown.
    type: dict
    default: {}
  kept:
    description: Environments as they are after the run's switch, as M(wavesmith.provision.generation) returned them.
    type: dict
    default: {}
  installed:
    description: Generations this run made, with the requirements that were overridden in each.
    type: list
    elements: dict
    default: []
extends_documentation_fragment:
  - wavesmith.provision.attributes
attributes:
  diff_mode:
    support: none
    description: It changes nothing on a host.
author:
  - Wavesmith contributors (@wavesmith)
"""

EXAMPLES = r"""
- name: Report
  wavesmith.provision.report:
    plan: "{{ wavesmith_plan.plan }}"
    observed: "{{ wavesmith_plan.observed }}"

- name: Write the page of all hosts
  wavesmith.provision.report:
    page: true
  run_once: true
"""

RETURN = r"""
kept:
  description: Environments of the host as they are now.
  returned: unless O(page=true)
  type: dict
report:
  description: The report.
  returned: unless O(page=true)
  type: dict
saved:
  description: Path of the JSON file, or of the page, on the controller.
  returned: always
  type: str
"""
