"""What modules can do in check mode and with diffs."""

from __future__ import annotations


class ModuleDocFragment:
    """Found by its file's name: C(wavesmith.provision.attributes), and C(.planned) or C(.shown) for diffs."""

    DOCUMENTATION = r"""
attributes:
  check_mode:
    description: Whether it can report what it would change, without changing it.
    support: full
"""

    PLANNED = r"""
attributes:
  diff_mode:
    support: none
    description: The plan shows the difference.
"""

    SHOWN = r"""
attributes:
  diff_mode:
    description: Whether it returns what it changed, or would change.
    support: full
"""
