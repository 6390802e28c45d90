#!/usr/bin/python
# Copyright: Wavesmith contributors
# Apache License 2.0 (see LICENSE)
"""Show which GPUs wheels and environments can serve."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: audit
short_description: Show which GPUs wheels and environments can serve
version_added: "0.1.0"
description:
  - Reads out of every shared library for which GPUs it holds code, machine code (SASS) and PTX, and which libraries it needs.
    Neither a GPU nor a CUDA toolkit is needed. It changes nothing.
  - Says which of the host's GPUs are served, which are not, and what runs on the CPU only; what is built for another CPU architecture
    serves none. Finds a torch that is built for the CPU only where a GPU is to be used, CUDA libraries of different major versions,
    libraries that are needed or opened by name and that nothing provides, folders with nothing in them, and damaged files.
  - Fails when something cannot be served or is found wrong, and names the remedy. What runs on the CPU only is reported, and is not a failure.
options:
  paths:
    description:
      - Wheel files, folders of environments, or shared libraries, on the host.
      - Without any, the current generation of each environment of O(plan).
    type: list
    elements: str
    default: []
  sm:
    description:
      - Compute capabilities to serve, for example V(11.0).
      - Without any, those of the NVIDIA GPUs in O(observed).
    type: list
    elements: str
    default: []
  machine:
    description:
      - CPU architecture that it must run on, V(x86_64) or V(aarch64).
      - Without any, that of machines that have a GPU of O(sm), where there is but one such.
    type: str
    default: ""
  plan:
    description: The plan, as M(wavesmith.provision.plan) returned it.
    type: dict
    default: {}
  observed:
    description: What was observed, as M(wavesmith.provision.plan) returned it.
    type: dict
    default: {}
attributes:
  check_mode:
    description: It changes nothing, with or without check mode.
    support: full
  diff_mode:
    support: none
    description: There is never a difference to show.
author:
  - Wavesmith contributors (@wavesmith)
"""

EXAMPLES = r"""
- name: Audit what is current
  wavesmith.provision.audit:
    plan: "{{ wavesmith_plan.plan }}"
    observed: "{{ wavesmith_plan.observed }}"

- name: Ask of a wheel whether it runs on Thor
  wavesmith.provision.audit:
    paths: [/srv/wheels/torch-2.11.0-cp312-cp312-manylinux_2_28_aarch64.whl]
    sm: ["11.0"]
"""

RETURN = r"""
reports:
  description: One judgement for each path.
  returned: always
  type: list
  elements: dict
  contains:
    path:
      description: The path.
      type: str
    kind:
      description: Whether it is a V(wheel), a V(prefix) or a V(library).
      type: str
    verdict:
      description: The worst of the verdicts, V(serves), V(cpu_only) or V(cannot_serve).
      type: str
    serves:
      description: Whether everything that was asked about is served, and nothing was found.
      type: bool
    machines:
      description: The CPU architectures that it is for.
      type: list
      elements: str
    systems:
      description: Other systems than Linux with glibc that a wheel is for.
      type: list
      elements: str
    backend:
      description: What the torch in an environment was built for, for example C(cuda13_0).
      type: str
    examined:
      description: How many shared libraries it has.
      type: int
    wants:
      description: Libraries of accelerators that it wants from elsewhere, C(needed) by the loader and C(opened) by name.
      type: dict
    cpu_only:
      description: Packages that have builds for GPUs elsewhere and are built for the CPU only here.
      type: list
      elements: str
    targets:
      description: For C(sass) and C(ptx) the targets it holds C(throughout) and only in C(partial), with the number of fatbins.
      type: dict
    libraries:
      description: The same for each library with GPU code, and whether it counts (C(judged)).
      type: list
      elements: dict
    verdicts:
      description: For each compute capability its C(verdict) (V(serves), V(cpu_only) or V(cannot_serve)), how it is served, and why.
      type: list
      elements: dict
    findings:
      description: What is wrong, each with C(id), C(detail) and C(remedy).
      type: list
      elements: dict
text:
  description: The same for people.
  returned: always
  type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.audit.binaries import Unusable, inspect
from ..module_utils.audit.report import text
from ..module_utils.audit.verdict import judge, parse_sm


def main() -> None:
    """Wire the options to the core."""
    module = AnsibleModule(
        argument_spec={
            "paths": {"type": "list", "elements": "str", "default": []},
            "sm": {"type": "list", "elements": "str", "default": []},
            "machine": {"type": "str", "default": ""},
            "plan": {"type": "dict", "default": {}},
            "observed": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    try:
        sms = [parse_sm(word) for word in module.params["sm"]]
        reports = [judge(inspect(path), sms, module.params["machine"]) for path in module.params["paths"]]
    except (Unusable, ValueError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, reports=reports, text="\n".join(text(report) for report in reports))


if __name__ == "__main__":
    main()
