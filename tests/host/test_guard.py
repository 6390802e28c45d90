"""What an environment's owner does to it with pip by hand, over SSH: refused, or noticed and made good again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

OTHER = "1.26.4"  # of numpy; not what the environment was made with


@pytest.fixture
def numpy(ssh: Callable[..., Any], environment: Any) -> Callable[[], str]:
    """Return a function that says which numpy the environment imports; nothing where it imports none."""

    def ask() -> str:
        return str(ssh("maker", f"{environment.prefix}/bin/python -c 'import numpy; print(numpy.__version__)'").stdout)

    return ask


@pytest.mark.parametrize("activate", [False, True], ids=["by its path", "activated"])
def test_another_version_of_a_package_is_refused(ssh: Any, environment: Any, numpy: Any, activate: bool) -> None:
    before = numpy()
    pip = f". {environment.prefix}/bin/activate && pip" if activate else f"{environment.prefix}/bin/pip"
    done = ssh("maker", f"{pip} install numpy=={OTHER}")
    assert done.returncode != 0 and "ResolutionImpossible" in done.stderr, done.stdout + done.stderr
    assert numpy() == before != OTHER


def test_a_package_that_was_uninstalled_is_noticed_and_repaired(
    ssh: Any, environment: Any, numpy: Any, start_playbook: Any
) -> None:
    before = numpy()
    assert ssh("maker", f"{environment.prefix}/bin/pip uninstall --yes numpy").returncode == 0
    assert numpy() == ""
    repair = start_playbook("playbooks/repair.yml")
    output, _ = repair.communicate(timeout=600)
    assert repair.returncode == 0 and "drifted" in output, output
    assert numpy() == before
