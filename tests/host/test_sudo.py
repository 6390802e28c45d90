"""A user whose sudo asks for a password, and one who may not use sudo, on a real SSH host that lacks a system package."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

PASSWORD = "a horse, a battery"
MISSING = "sox"
USERS = {"asks": "asks ALL=(ALL) ALL", "barred": ""}
MAKE = """
useradd --create-home --shell /bin/bash {user}
echo '{user}:{password}' | chpasswd
cp -r ~plain/.ssh ~{user}/
chown -R {user}:{user} ~{user}/.ssh
echo '{rule}' >/etc/sudoers.d/{user}
chmod 0440 /etc/sudoers.d/{user}
"""
Run = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def run(host: Any, start_playbook: Callable[..., subprocess.Popen[str]]) -> Iterator[Run]:
    """A function that runs a playbook as one of these users; its exit status, and what it said in one line."""
    with host.sudo():
        for user, rule in USERS.items():
            made = MAKE.format(user=user, password=PASSWORD, rule=rule)
            host.check_output(f"bash -euc {shlex.quote(made)}")
        host.run(f"dpkg --remove --force-depends {MISSING}")

    def play(playbook: str, user: str, password: str = "") -> tuple[int, str]:
        given = {
            "ansible_user": user,
            "wavesmith_root": f"/opt/{user}",
            "wavesmith_environments": {"small": {"stack": "none", "packages": ["numpy"]}},
            **({"ansible_become_password": password} if password else {}),
        }
        done = start_playbook(f"playbooks/{playbook}.yml", "-e", json.dumps(given))
        said = done.communicate(timeout=300)[0]
        return done.returncode, re.sub(r"\s+", " ", said)

    yield play
    with host.sudo():
        host.run(f"apt-get install -y {MISSING}")
        for user in USERS:
            host.run(f"userdel --force --remove {user}; rm -rf /etc/sudoers.d/{user} /opt/{user}")


@pytest.mark.parametrize("user", USERS)
def test_without_a_password_it_is_refused_and_both_ways_out_are_named(run: Run, user: str) -> None:
    status, said = run("plan", user)
    assert status != 0 and f"are missing and user {user} may not install them. Remedy: " in said, said
    assert "apt-get install -y" in said and "or add -K where sudo asks this user for a password" in said


def test_with_its_password_the_plan_installs_them(run: Run) -> None:
    status, said = run("plan", "asks", PASSWORD)
    assert status == 0 and "system packages: " in said and MISSING in said, said


@pytest.mark.parametrize(
    ("user", "password", "told"),
    [
        (
            "asks",
            "wrong",
            "this host: sudo does not take the password that was given. Remedy: start again with -K and the password that this user has there",
        ),
        (
            "barred",
            PASSWORD,
            "this host: its user may not use sudo. Remedy: ask an administrator for that, or set ansible_user to a user who may",
        ),
    ],
)
def test_rights_that_cannot_be_had_are_told_once_and_nothing_is_changed(
    host: Any, run: Run, monkeypatch: pytest.MonkeyPatch, user: str, password: str, told: str
) -> None:
    monkeypatch.setenv("WAVESMITH_BOARD", "lines")  # a scenario shows Ansible's own words
    status, said = run("build", user, password)
    assert status != 0 and said.count(told) == 1, said
    assert not host.file(f"/opt/{user}").exists
