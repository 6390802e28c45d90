"""The options that every module of long work has."""

from __future__ import annotations


class ModuleDocFragment:
    """Found by its file's name: C(wavesmith.provision.job), and C(.followed) for the options that the action plugin sets."""

    DOCUMENTATION = r"""
description:
  - The work is done by a process of its own on the host, which outlives the connection. The action plugin of the same name shows
    how far it is; when a play is started again it finds the work that goes on, or its result.
options:
  root:
    description: Wavesmith's folder on the host.
    type: str
    required: true
  package_index:
    description: Address of the package index; empty for the one the host's own pip is set up for.
    type: str
    default: ""
"""

    FOLLOWED = r"""
options:
  run:
    description: Names the run that asks; given by the action plugin.
    type: str
    default: by hand
  wait:
    description: Seconds to wait for news before answering; given by the action plugin.
    type: float
    default: 3600.0
  failures:
    description: The known failures, by which a failure is explained; the action plugin sets it.
    type: dict
    default: {}
  download_timeout:
    description: Seconds that a server may say nothing during a download before it is asked again; given by the action plugin.
    type: float
    default: 20.0
  seen:
    description: The state the caller has shown already; given by the action plugin.
    type: str
    default: ""
"""
