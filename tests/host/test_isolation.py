"""Isolation is a property of the prefix: it holds however a process was started, whatever the user's home holds."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

WAYS = ("interactive", "command", "systemd", "cron")
USER = "plain"  # without sudo; its home is hostile
CRON_TIMEOUT = 75.0  # seconds; cron looks once a minute

HOSTILE_VARIABLES = {
    "PYTHONPATH": f"/home/{USER}/hostile",
    "PYTHONSTARTUP": f"/home/{USER}/hostile/leak_path.py",
    "PYTHONUSERBASE": f"/home/{USER}/.local",
    "PIP_USER": "1",
    "PIP_TARGET": f"/home/{USER}/hostile",
}

# Modules that would be found before the environment's own, and some that only a leak can find.
HOSTILE_HOME = r"""
set -eu
site=$(/usr/bin/python3 -m site --user-site)
mkdir -p "$site" ~/hostile ~/.local/bin
for folder in "$site" ~/hostile; do
    echo 'raise SystemExit("hostile numpy")' >"$folder/numpy.py"
    echo 'import sys; sys.hostile = True' | tee "$folder/sitecustomize.py" >"$folder/usercustomize.py"
done
echo 'x = 1' >"$site/leak_user.py"
echo 'x = 1' >~/hostile/leak_path.py
echo 'import sys; sys.hostile = True' >"$site/hostile.pth"
for tool in python python3 pip; do
    printf '#!/bin/sh\necho hostile\n' >~/.local/bin/$tool
    chmod +x ~/.local/bin/$tool
done
echo 'export PATH=~/.local/bin:$PATH' >>~/.bashrc
"""

# Every answer is one line `name<TAB>text`; the file appears when all are there.
PROBE = r"""#!/bin/bash
prefix=@PREFIX@
exec >~/answers.$1.part 2>/dev/null
say() { printf '%s\t%s\n' "$1" "$(tr '\n' ' ')"; }
python() { "$prefix/bin/python" "$@"; }
python -c 'import os, sys; print(os.path.realpath(sys.prefix))' | say sys.prefix
python -c 'import site; print(site.ENABLE_USER_SITE)' | say user_site
python -c 'import numpy; print(numpy.__file__)' | say numpy
python -c 'import sys; print(getattr(sys, "hostile", False))' | say startup
python -c 'import sys; print([p for p in sys.path if "/home/" in p or "dist-packages" in p or p == ""][1:])' | say path
for name in leak_user leak_path apt_pkg; do
    python -c "import importlib.util as u; print(u.find_spec('$name'))" | say "$name"
done
unset -f python
. "$prefix/bin/activate"
command -v python | say "which python"
command -v pip | say "which pip"
python -c 'import sys; print(sys.executable)' | say executable
pip --version | say "pip version"
{ pip install --user --no-index wavesmith-nothing 2>&1; echo "status $?"; } | say "pip --user"
mv ~/answers.$1.part ~/answers.$1
"""


@pytest.fixture(scope="module")
def answers(host: Any, ssh: Callable[..., Any], environment: Any) -> Iterator[Callable[[str], dict[str, str]]]:
    """Return a function that runs the probe one way, once, and gives its answers."""
    known: dict[str, dict[str, str]] = {}
    probe = f"/home/{USER}/probe.sh"
    assert ssh(USER, "bash -s", stdin=HOSTILE_HOME).returncode == 0
    body = PROBE.replace("@PREFIX@", environment.prefix)
    assert ssh(USER, f"cat >{probe} && chmod +x {probe}", stdin=body).returncode == 0
    # Crontab first: the minute passes while the others run.
    lines = [f"{name}={value}" for name, value in HOSTILE_VARIABLES.items()]
    crontab = "\n".join([*lines, f"* * * * * {probe} cron", ""])
    assert ssh(USER, "crontab -", stdin=crontab).returncode == 0
    deadline = time.monotonic() + CRON_TIMEOUT

    def run(way: str) -> dict[str, str]:
        if way in known:
            return known[way]
        pairs = [f"{name}={value}" for name, value in HOSTILE_VARIABLES.items()]
        if way == "interactive":
            ssh(USER, "bash -i", tty=True, stdin=f"export {' '.join(pairs)}\n{probe} interactive\nexit\n")
        elif way == "command":
            ssh(USER, f"env {' '.join(pairs)} {probe} command")
        elif way == "systemd":
            settings = " ".join(f"--setenv={shlex.quote(pair)}" for pair in pairs)
            ssh("maker", f"sudo systemd-run --quiet --wait --pipe --uid={USER} {settings} {probe} systemd")
        file = f"/home/{USER}/answers.{way}"
        while (found := ssh(USER, f"cat {file}")).returncode != 0 and way == "cron" and time.monotonic() < deadline:
            time.sleep(2)
        assert found.returncode == 0, f"the probe did not finish by way of {way}: {found.stderr}"
        pairs_found = (line.partition("\t") for line in found.stdout.splitlines())
        known[way] = {name: text.strip() for name, _, text in pairs_found}
        return known[way]

    yield run
    ssh(USER, f"crontab -r; rm -rf ~/.local ~/hostile ~/answers.* {probe}; sed -i '/local.bin/d' ~/.bashrc")


@pytest.mark.parametrize("way", WAYS)
class TestStartedBy:
    """One property each, for each way to start a process."""

    def test_prefix_is_the_generation(self, answers: Any, way: str, environment: Any) -> None:
        assert answers(way)["sys.prefix"].startswith(f"{environment.home}/")

    def test_user_site_is_off(self, answers: Any, way: str) -> None:
        assert answers(way)["user_site"] == "False"

    def test_packages_are_the_environments_own(self, answers: Any, way: str, environment: Any) -> None:
        assert answers(way)["numpy"].startswith(f"{environment.home}/")

    def test_no_hostile_code_runs_at_startup(self, answers: Any, way: str) -> None:
        assert answers(way)["startup"] == "False"

    def test_search_path_leads_nowhere_else(self, answers: Any, way: str) -> None:
        assert answers(way)["path"] == "[]"

    @pytest.mark.parametrize("module", ["leak_user", "leak_path", "apt_pkg"])
    def test_module_from_outside_is_not_found(self, answers: Any, way: str, module: str) -> None:
        assert answers(way)[module] == "None"

    @pytest.mark.parametrize("tool", ["python", "pip"])
    def test_activation_finds_tool_in_prefix(self, answers: Any, way: str, tool: str, environment: Any) -> None:
        assert answers(way)[f"which {tool}"].startswith(f"{environment.home}/")

    def test_executable_is_in_prefix(self, answers: Any, way: str, environment: Any) -> None:
        assert answers(way)["executable"].startswith(f"{environment.home}/")

    def test_pip_is_the_environments_own(self, answers: Any, way: str, environment: Any) -> None:
        assert f"from {environment.home}/" in answers(way)["pip version"]

    def test_pip_install_user_is_refused(self, answers: Any, way: str) -> None:
        answer = answers(way)["pip --user"]
        assert "--user" in answer and not answer.endswith("status 0"), answer
