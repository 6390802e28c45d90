#!/usr/bin/python
# Copyright: Wavesmith contributors
# Apache License 2.0 (see LICENSE)
"""Observe a host: everything the plan needs, in one run."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: observe
short_description: Observe everything about a host that a plan needs
version_added: "0.1.0"
description:
  - Reports architecture, CPU level, memory, disk, operating system, accelerators, CUDA and ROCm, compilers, Pythons,
    system packages, package sources, and the state of Wavesmith's own folder, in one remote run.
  - It reads files, runs short commands with a timeout, and asks package sources for their headers. It changes nothing.
  - What cannot be found out is empty or C(null); what stands in the way of an installation is listed as a finding
    with its remedy. No file content makes it fail.
options:
  root:
    description:
      - Wavesmith's folder on the host.
      - Empty means C(/opt/wavesmith) for root or with passwordless sudo, else C(~/wavesmith).
    type: str
    default: ""
  environments:
    description: Names of the environments whose generations to report.
    type: list
    elements: str
    default: []
  apt_packages:
    description: Names of the system packages to report as installed or missing.
    type: list
    elements: str
    default: []
  sources:
    description:
      - Package sources to probe, a URL by name.
      - An empty URL means not configured; for the name C(package_index) it means the one the host's own tools use
        (E(UV_DEFAULT_INDEX), E(UV_INDEX_URL), E(PIP_INDEX_URL), the user's or the system's C(pip.conf)).
      - Credentials in a URL are used for the probe and never reported.
    type: dict
    default: {}
  default_index:
    description: Package index to probe as C(package_index) where the host names none.
    type: str
    default: ""
  probe_root:
    description:
      - Folder below which every file is read.
      - With another folder than C(/) a recorded host is replayed. The output of a command is then the content of
        C(.commands/<argv joined by spaces, slashes as underscores>.txt) there.
    type: str
    default: /
  timeout:
    description: Seconds that each command and each source gets to answer.
    type: float
    default: 3.0
attributes:
  check_mode:
    support: full
    description: It changes nothing, with or without check mode.
  diff_mode:
    support: none
    description: There is never a difference to show.
author:
  - Wavesmith contributors (@wavesmith)
"""

EXAMPLES = r"""
- name: Observe the host
  wavesmith.provision.observe:
    environments: [speech]
    apt_packages: [espeak-ng, ffmpeg]
    sources:
      package_index: ""
      torch_cpu: https://download.pytorch.org/whl/cpu
  register: observation

- name: Replay a recorded host
  wavesmith.provision.observe:
    probe_root: tests/unit/samples/jetson-thor
"""

RETURN = r"""
observed:
  description: What was observed.
  returned: always
  type: dict
  contains:
    schema:
      description: Version of this structure.
      type: int
    hostname:
      description: The host's own name.
      type: str
    user:
      description: Who observed, with C(privilege) C(root), C(sudo) or C(none).
      type: dict
      sample: {name: root, uid: 0, home: /root, privilege: root}
    os:
      description: Distribution, kernel, C library, and whether it is WSL, a container, or runs systemd.
      type: dict
    machine:
      description: Hardware model, whether it is a Jetson, and its L4T release.
      type: dict
      sample: {model: NVIDIA Jetson AGX Thor Developer Kit, l4t: 38.2.0, jetson: true}
    cpu:
      description: Architecture, instruction set level, usable cores, page size in bytes, model.
      type: dict
      sample: {architecture: aarch64, isa: armv9, cores: 14, page_size: 4096, model: ""}
    memory:
      description: Total and available main memory in bytes.
      type: dict
    disk:
      description: Free and total bytes of the file system for O(root), seen at its nearest existing parent.
      type: dict
    accelerators:
      description: GPUs with vendor, name, C(sm) or C(gfx), memory in bytes (C(null) when unified) and the witness.
      type: list
      elements: dict
      sample: [{vendor: nvidia, name: NVIDIA Thor, sm: "11.0", gfx: null, memory: null, source: nvidia-smi}]
    nvidia:
      description: Version of the driver and the newest CUDA it serves.
      type: dict
    rocm:
      description: Version of ROCm below C(/opt/rocm).
      type: dict
    toolkits:
      description: CUDA toolkits with version, path, the witness, and whether the compiler is there.
      type: list
      elements: dict
    compilers:
      description: Version of each compiler by name, C(null) when absent.
      type: dict
    pythons:
      description: The system's Pythons with path, version, and whether headers and venv are there.
      type: list
      elements: dict
    apt:
      description: Whether apt is there, the version of each package of O(apt_packages) installed, and those missing.
      type: dict
    sources:
      description: By name, the URL without credentials, whether it answers, detail, seconds, what configured it.
      type: dict
    root:
      description: Wavesmith's folder.
      type: str
    findings:
      description: What stands in the way, each with C(id), C(detail) and C(remedy).
      type: list
      elements: dict
    toolbox:
      description: State of the toolbox.
      type: raw
    environments:
      description: State of each environment of O(environments).
      type: raw
    wheels:
      description: Wheel keys at hand.
      type: raw
    busy:
      description: The run that holds the root, if any.
      type: raw
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._probe import Host, observe
from ..module_utils._store import survey
from ..module_utils.platform import split_url


def main() -> None:
    """Wire the options to the core."""
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "str", "default": ""},
            "environments": {"type": "list", "elements": "str", "default": []},
            "apt_packages": {"type": "list", "elements": "str", "default": []},
            "sources": {"type": "dict", "default": {}},
            "default_index": {"type": "str", "default": ""},
            "probe_root": {"type": "str", "default": "/"},
            "timeout": {"type": "float", "default": 3.0},
        },
        supports_check_mode=True,
    )
    given = module.params
    observed = observe(
        root=given["root"],
        apt_packages=given["apt_packages"],
        sources={str(name): str(url or "") for name, url in given["sources"].items()},
        default_index=given["default_index"],
        probe_root=given["probe_root"],
        timeout=given["timeout"],
    )
    observed.update(survey(Host(given["probe_root"]).at(observed["root"]), given["environments"]))
    # Ansible hands the arguments back as `invocation`: credentials in a URL shall not travel with them.
    given["sources"] = {name: source["url"] for name, source in observed["sources"].items()}
    given["default_index"] = split_url(given["default_index"]).shown
    module.exit_json(changed=False, observed=observed)


if __name__ == "__main__":
    main()
