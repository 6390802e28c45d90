"""Filter ``wavesmith.provision.matrix``: the build matrix of a package."""

from __future__ import annotations

DOCUMENTATION = r"""
name: matrix
short_description: The build matrix of a package
version_added: 0.2.0
author: Wavesmith contributors (@wavesmith)
description:
  - Every variant of a package for one Python and one CUDA version, and the truth about each.
    It exists when there is a machine that could run it and a compiler of that CUDA version that can build it.
  - What is true comes from C(catalog/cuda.yml). Nothing is asked of any host.
positional: python, cuda
options:
  _input:
    description: Package, for example V(torchaudio).
    type: str
    required: true
  python:
    description: Python version as text, for example V(3.13).
    type: str
    required: true
  cuda:
    description: CUDA version as text, for example V(12.8).
    type: str
    required: true
  sms:
    description: Compute capabilities. Without any, those of an ordinary matrix.
    type: list
    elements: str
    default: []
  isas:
    description: CPU levels. Without any, all six.
    type: list
    elements: str
    default: []
  cpu_only:
    description: Whether the rows without CUDA are wanted, too.
    type: bool
    default: true
  form:
    description: What to give.
    type: str
    default: rows
    choices:
      rows: A mapping for each variant.
      names: The full names.
      include: A mapping with the rows as C(include), which CI systems call a matrix.
      table: A text for people.
"""

EXAMPLES = r"""
- name: Show what can be built for CUDA 13.0
  ansible.builtin.debug:
    msg: "{{ 'torchaudio' | wavesmith.provision.matrix('3.12', '13.0') | selectattr('exists') | map(attribute='name') }}"

- name: Show the whole truth about CUDA 12.8
  ansible.builtin.debug:
    msg: "{{ 'torchaudio' | wavesmith.provision.matrix('3.13', '12.8', form='table') }}"
"""

RETURN = r"""
_value:
  description:
    - What O(form) asks for. A row has V(name), V(package), V(python), V(backend), V(cuda), V(sm), V(isa), V(architecture),
      V(nvcc_minimum), V(nvcc_maximum), V(gcc_minimum) and V(gcc_maximum) (the versions that can build it, both counted in,
      empty where there is no bound or no such compiler), V(exists), and V(reason) where it does not.
  type: raw
"""

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.wavesmith.provision.plugins.module_utils.plan import matrix as core
from ansible_collections.wavesmith.provision.plugins.plugin_utils.catalog_files import load_cuda


def matrix(
    package: str,
    python: str,
    cuda: str,
    *,
    sms: list[str] | None = None,
    isas: list[str] | None = None,
    cpu_only: bool = True,
    form: str = "rows",
) -> Any:
    """The build matrix of a package, see DOCUMENTATION.

    Raises:
        AnsibleFilterError: something asked for is unknown; the message names it and the remedy.
    """
    known = load_cuda()
    try:
        made = core.rows(known, package, python, cuda, sms=sms or (), isas=isas or (), cpu_only=cpu_only)
    except core.MatrixError as error:
        raise AnsibleFilterError(f"matrix: {error}") from error
    if form == "rows":
        return [row.as_dict() for row in made]
    if form == "names":
        return [row.name for row in made]
    if form == "include":
        return {"include": [row.as_dict() for row in made]}
    if form == "table":
        return core.text(core.grid(known, made))
    raise AnsibleFilterError(f"matrix: form {form!r}: there is no such form. Remedy: use rows, names, include or table")


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name to function."""
        return {"matrix": matrix}
