"""What somebody changes by hand on a real SSH host: `status` and the plan name it, the next run makes it good."""

from __future__ import annotations

from typing import Any

import pytest

SITE = "/opt/wavesmith/envs/small/current/lib/python3*/site-packages"
PIP = "/opt/wavesmith/envs/small/current/bin/pip"
WORKS = "import numpy, soundfile; print(numpy.arange(3).sum())"

BY_HAND = {
    "a package installed by pip": (f"{PIP} install --quiet six", "six"),
    "a package removed by pip": (f"{PIP} uninstall --quiet --yes soundfile", "soundfile"),
    "a file edited in place": (f"echo 'raise SystemExit(1)' | tee -a {SITE}/soundfile.py", "soundfile.py"),
    "a file edited by sed": (f"sed -i 's/^import /import  /' {SITE}/numpy/__init__.py", "numpy/__init__.py"),
    "a library replaced": (
        f"cp /bin/true {SITE}/numpy/_core/$(basename {SITE}/numpy/_core/_multiarray_umath*.so)",
        "_multiarray_umath",
    ),
}


def test_nothing_is_said_of_what_nobody_touched(here: Any) -> None:
    output = here.works("playbooks/plan.yml")
    assert "drifted" not in output, output
    assert "drifted" not in here.works("playbooks/status.yml", "-v")


@pytest.mark.parametrize("what", BY_HAND)
def test_is_noticed_and_repaired(here: Any, what: str) -> None:
    command, named = BY_HAND[what]
    before = here.current()
    here.root(command)
    planned = here.works("playbooks/plan.yml")
    assert "drifted" in planned and named in planned, planned
    assert here.current() == before, "a plan changes nothing"
    here.works("site.yml")
    after = here.current()
    assert after != before and after.partition("-")[0] == before.partition("-")[0], "the same, made again beside it"
    assert here.python(WORKS) == "3" and here.verdict()["verdict"] == "healthy"
    assert here.host.run("/opt/wavesmith/envs/small/current/bin/python -c 'import six'").rc != 0
    output = here.works("site.yml")
    assert f"REMOTE RUNS {here.name} 1" in output and "changed=0" in output, output


def test_a_system_package_that_was_removed_is_installed_again(here: Any) -> None:
    before = here.current()
    here.root("DEBIAN_FRONTEND=noninteractive apt-get remove --yes --quiet sox >/dev/null")
    assert not here.host.package("sox").is_installed
    assert "sox" in here.works("playbooks/plan.yml")
    here.works("site.yml")
    assert here.host.package("sox").is_installed
    assert here.current() == before, "the environment has nothing to do with it"


def test_a_link_that_names_something_else_is_put_right(here: Any) -> None:
    before = here.current()
    here.root("ln -sfn /usr /opt/wavesmith/envs/small/current")
    here.works("site.yml")
    assert here.current().partition("-")[0] == before.partition("-")[0] and here.python(WORKS) == "3"
