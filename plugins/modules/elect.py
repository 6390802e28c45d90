#!/usr/bin/python
# Copyright: Wavesmith contributors
# Apache License 2.0 (see LICENSE)
"""Elect one builder for each wheel key; done by the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: elect
short_description: Elect one builder for each wheel key among the hosts of a play
version_added: "0.1.0"
description:
  - Reads the plans that M(wavesmith.provision.plan) registered as C(wavesmith_plan) on the hosts of the play (of the batch, with
    C(serial)) and shares out the wheels that are missing, so that each wheel key is built once. Nothing is run on the hosts.
  - A host that plans the key builds it, where the group C(builders) has hosts only those build for others; the longest builds go to different hosts.
  - A wheel that the wheelhouse or a host of the play has is not built.
options: {}
extends_documentation_fragment:
  - wavesmith.provision.attributes
attributes:
  diff_mode:
    description: Whether it returns what it changed, or would change.
    support: none
notes:
  - It is an action plugin; there is no module to run on the host.
author:
  - Wavesmith contributors (@wavesmith)
"""

EXAMPLES = r"""
- name: Elect a builder for each wheel
  wavesmith.provision.elect:
  register: wheelhouse_elected
"""

RETURN = r"""
build:
  description: Specs of the wheels this host builds, for M(wavesmith.provision.wheels).
  returned: always
  type: list
  elements: dict
fetch:
  description: Wheels that are there and this host gets, for M(wavesmith.provision.wheelhouse); an empty source is the wheelhouse.
  returned: always
  type: list
  elements: dict
  sample: [{key: 0123456789abcdef0123456789abcdef, name: pyworld, version: 0.3.5, source: ""}]
later:
  description: Wheels that another host of the play builds and this host gets then.
  returned: always
  type: list
  elements: dict
  sample: [{key: 0123456789abcdef0123456789abcdef, name: pyworld, version: 0.3.5, source: thor01}]
give:
  description: Keys that this host holds and others need before they build.
  returned: always
  type: list
  elements: str
keep:
  description: Keys that this host builds and that are kept for others.
  returned: always
  type: list
  elements: str
"""
