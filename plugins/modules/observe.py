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
        C(.commands/<argv joined by spaces, slashes as underscores>.txt) there, its exit status that of C(.code) beside
        it, and C(.timeout) means that it hung.
    type: str
    default: /
  libraries:
    description: Names of shared libraries (C(libavcodec.so.59)) to report, where the dynamic linker of the host has them.
    type: list
    elements: str
    default: []
  sources_only:
    description:
      - Ask the sources and look at nothing else; RV(observed) then holds C(sources) and C(findings) only. A source whose name is a sha256 or commit
        that is below O(root) already is not asked.
    type: bool
    default: false
  sudo_password:
    description: Whether a password for sudo is at hand, so that a user whom sudo asks for one counts as one who may use it.
    type: bool
    default: false
  timeout:
    description: Seconds that each command and each source gets to answer; a source is asked again within them.
    type: float
    default: 3.0
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
      description:
        - Hardware model, the C(kind) of machine, and in C(why) the witness for that.
        - The kind is C(jetson), C(dgx_spark) (any machine with GB10), C(grace), C(wsl2), C(wsl1), C(container), C(board),
          C(server), C(workstation) or C(unknown).
        - Of a Jetson also its module, L4T release and JetPack (of an unknown L4T the nearest older one's).
      type: dict
      sample:
        model: NVIDIA Jetson AGX Thor Developer Kit
        kind: jetson
        why: /etc/nv_tegra_release
        jetson: true
        module: Jetson AGX Thor (developer kit)
        l4t: 38.2.0
        jetpack: "7.0"
    cpu:
      description:
        - Architecture, instruction set level, usable cores, page size in bytes, model, and C(sve) with the width of the
          SVE registers in bits and its witness (C(null) where there is no SVE).
      type: dict
      sample:
        architecture: aarch64
        isa: armv9
        cores: 14
        model: Neoverse-V3AE
        sve: {bits: 128, source: prctl}
        page_size: 4096
    memory:
      description: Total and available main memory in bytes.
      type: dict
    disk:
      description: Free and total bytes of the file system for O(root), seen at its nearest existing parent.
      type: dict
    accelerators:
      description:
        - GPUs with vendor (C(nvidia), C(amd), C(intel); C(directx) for what WSL2 shows as C(/dev/dxg) only), name, C(sm)
          or C(gfx), memory in bytes (C(null) when unified or unknown), and the witness.
        - A C(+) in the witness joins that of the GPU and that of its C(sm).
      type: list
      elements: dict
      sample: [{vendor: nvidia, name: NVIDIA Thor, sm: "11.0", gfx: null, memory: null, source: nvidia-smi}]
    nvidia:
      description: Version of the driver, the newest CUDA it serves, and the witness of each.
      type: dict
      sample: {driver: 580.95.05, driver_source: nvidia-smi, cuda: "13.0", cuda_source: nvidia-smi}
    rocm:
      description: Version of ROCm and the witness.
      type: dict
      sample: {version: "6.4", source: /opt/rocm/.info/version}
    toolkits:
      description:
        - Every CUDA toolkit with version, path, the witness, whether the compiler is there, and in C(sms) the compute
          capabilities it compiles for (C(null) where nvcc does not list them).
      type: list
      elements: dict
      sample: [{version: "12.6", path: /usr/local/cuda-12.6, source: version.json, nvcc: true, sms: ["8.7", "9.0"]}]
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
      description: By name, the URL without credentials, whether it answers, whether that is C(inconclusive), detail, seconds, what configured it.
      type: dict
    root:
      description: Wavesmith's folder.
      type: str
    findings:
      description: What stands in the way, each with C(id), C(detail) and C(remedy).
      type: list
      elements: dict
    libraries:
      description: Those of O(libraries) that are there; V(null) where the dynamic linker could not be asked, or was asked about none.
      type: list
      elements: str
    toolbox:
      description: State of the toolbox.
      type: raw
    environments:
      description: State of each environment of O(environments).
      type: raw
    all_environments:
      description: Names of all environments on the host.
      type: list
      elements: str
    toolboxes:
      description: Digests of all toolboxes on the host.
      type: list
      elements: str
    wheels:
      description: Wheel keys at hand.
      type: raw
    weights:
      description: Sets of weights that are complete, by key.
      type: raw
    busy:
      description: The run that holds the root, if any.
      type: raw
"""


from ansible.module_utils.basic import AnsibleModule

from ..module_utils.host import owner
from ..module_utils.host.store import survey
from ..module_utils.observe.host import Host
from ..module_utils.observe.probe import ask_sources, observe
from ..module_utils.records.host import AskedSources, Observed
from ..module_utils.terms.url import split_url


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
            "libraries": {"type": "list", "elements": "str", "default": []},
            "sources_only": {"type": "bool", "default": False},
            "sudo_password": {"type": "bool", "default": False, "no_log": False},
            "timeout": {"type": "float", "default": 3.0},
        },
        supports_check_mode=True,
    )
    given = module.params
    sources = {str(name): str(url or "") for name, url in given["sources"].items()}
    observed: AskedSources | Observed
    if given["sources_only"]:
        observed = ask_sources(sources, given["default_index"], given["probe_root"], given["timeout"], given["root"])
    else:
        seen = observe(
            root=given["root"],
            apt_packages=given["apt_packages"],
            sources=sources,
            default_index=given["default_index"],
            probe_root=given["probe_root"],
            timeout=given["timeout"],
            libraries=given["libraries"],
            sudo_password=given["sudo_password"],
        )
        if given["probe_root"] == "/":
            seen["findings"] = [*seen["findings"], *owner.findings(seen["root"])]
        observed = {**seen, **survey(Host(given["probe_root"]).at(seen["root"]), given["environments"])}
    # Ansible hands the arguments back as `invocation`: credentials in a URL must not travel with them.
    given["sources"] = {name: source["url"] for name, source in observed["sources"].items()}
    given["default_index"] = split_url(given["default_index"]).shown
    module.exit_json(changed=False, observed=observed)


if __name__ == "__main__":
    main()
