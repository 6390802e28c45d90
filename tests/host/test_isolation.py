"""Isolation is a property of the prefix: it holds however a process was started, whatever the user's home holds."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

WAYS = ("interactive", "command", "systemd", "cron", "sudo")
USER = "plain"  # without sudo; its home is hostile, and root's is too
HOME = f"/home/{USER}"
CRON_TIMEOUT = 75.0  # seconds; cron looks once a minute

HOSTILE_VARIABLES = {
    "PYTHONPATH": f"{HOME}/hostile",
    "PYTHONHOME": f"{HOME}/hostile",
    "PYTHONSTARTUP": f"{HOME}/hostile/leak_path.py",
    "PYTHONUSERBASE": f"{HOME}/.local",
    "PIP_USER": "1",
    "PIP_NO_USER": "1",
    "PIP_TARGET": f"{HOME}/hostile",
    "PIP_PREFIX": f"{HOME}/hostile",
    "LD_LIBRARY_PATH": f"{HOME}/hostile/lib",
    "LD_PRELOAD": f"{HOME}/hostile/lib/preloaded.so",
    "VIRTUAL_ENV": f"{HOME}/hostile",
    "CONDA_PREFIX": f"{HOME}/hostile",
}
HOSTILE_PATH = f"{HOME}/hostile/bin:/usr/local/bin:/usr/bin:/bin"  # as it is while another environment is active
HOSTILE_SETTINGS = {"user": "true", "no-user": "true", "target": f"{HOME}/hostile", "prefix": f"{HOME}/hostile"}

# Modules and libraries that would be found before the environment's own, and some that only a leak can find.
HOSTILE_HOME = r"""
set -eu
site=$(/usr/bin/python3 -m site --user-site)
mkdir -p "$site" ~/hostile/lib ~/hostile/bin ~/.local/bin ~/.config/pip
for folder in "$site" ~/hostile; do
    echo 'raise SystemExit("hostile numpy")' >"$folder/numpy.py"
    echo 'import sys; sys.hostile = True' | tee "$folder/sitecustomize.py" >"$folder/usercustomize.py"
done
echo 'x = 1' >"$site/leak_user.py"
echo 'x = 1' >~/hostile/leak_path.py
echo 'import sys; sys.hostile = True' >"$site/hostile.pth"
for tool in python python3 pip; do
    printf '#!/bin/sh\necho hostile\n' | tee ~/.local/bin/$tool >~/hostile/bin/$tool
    chmod +x ~/.local/bin/$tool ~/hostile/bin/$tool
done
# No libraries at all: a process that meets one cannot load what it needs. The preloaded one is real: a false one is passed over.
for library in libstdc++.so.6 libgcc_s.so.1 libgomp.so.1 libcudart.so.12 libcudart.so.13; do
    echo hostile >~/hostile/lib/$library
done
cp "$(/sbin/ldconfig -p | sed -n 's|.*=> \(.*/libm\.so\.6\)$|\1|p' | head -n 1)" ~/hostile/lib/preloaded.so
printf '[install]\n@SETTINGS@\n' >~/.config/pip/pip.conf
echo 'export PATH=~/.local/bin:$PATH' >>~/.bashrc
/usr/bin/python3 - <<END
import os, zipfile
info = "decoy-1.0.dist-info"
with zipfile.ZipFile(os.path.expanduser("~/hostile/decoy-1.0-py3-none-any.whl"), "w") as wheel:
    wheel.writestr("decoy/__init__.py", "")
    wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: decoy\nVersion: 1.0\n")
    wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr(f"{info}/RECORD", "")
END
""".replace("@SETTINGS@", r"\n".join(f"{name} = {value}" for name, value in HOSTILE_SETTINGS.items()))

# Adds to /etc/pip.conf, which has the network's settings as well.
HOSTILE_SYSTEM = f"""
import configparser, shutil
shutil.copy2("/etc/pip.conf", "/etc/pip.conf.kept")
conf = configparser.RawConfigParser()
conf.read_dict({{"install": {HOSTILE_SETTINGS}}})
conf.read("/etc/pip.conf")
with open("/etc/pip.conf", "w") as file:
    conf.write(file)
"""
CALM_AGAIN = "rm -rf ~/.local ~/.config/pip ~/hostile ~/landed ~/answers.*; sed -i '/local.bin/d' ~/.bashrc"

# Every answer is one line `name<TAB>text`; the file appears when all are there.
PROBE = r"""#!/bin/bash
prefix=@PREFIX@
exec >~/answers.$1.part 2>/dev/null
say() { printf '%s\t%s\n' "$1" "$(tr '\n' ' ')"; }
python() { "$prefix/bin/python" "$@"; }
python -c 'import os, sys; print(os.path.realpath(sys.prefix))' | say sys.prefix
python -c 'import site; print(site.ENABLE_USER_SITE)' | say user_site
python -c 'import numpy; print(numpy.__file__)' | say numpy
python -c 'import numpy; print([line for line in open("/proc/self/maps") if "hostile" in line])' | say libraries
python -c 'import sys; print(getattr(sys, "hostile", False))' | say startup
python -c 'import sys; print([p for p in sys.path if "/home/" in p or "/root/" in p or "dist-packages" in p or p == ""][1:])' | say path
python -c 'import os; print([name for name in "@NAMES@".split() if name in os.environ])' | say variables
for name in leak_user leak_path apt_pkg; do
    python -c "import importlib.util as u; print(u.find_spec('$name'))" | say "$name"
done
unset -f python
@RUN@ sh -c 'command -v python; command -v pip; echo "${VIRTUAL_ENV:-$CONDA_PREFIX}"; python -c "import sys; print(sys.prefix)"' | say wavesmith-run
. "$prefix/bin/activate"
command -v python | say "which python"
command -v pip | say "which pip"
echo "${VIRTUAL_ENV:-$CONDA_PREFIX}" | say "active environment"
python -c 'import sys; print(sys.executable)' | say executable
pip --version | say "pip version"
{ pip install --user --no-index wavesmith-nothing 2>&1; echo "status $?"; } | say "pip --user"
# Below another root: shows which folder pip chooses, and leaves the environment as it is.
pip install -qq --no-index --no-deps --no-cache-dir --root ~/landed ~/hostile/decoy-1.0-py3-none-any.whl 2>&1 | say "pip fails"
find ~ @HOME@ -type d -name decoy 2>/dev/null | sort -u | say "pip lands"
rm -rf ~/landed
mv ~/answers.$1.part ~/answers.$1
"""


@pytest.fixture(scope="module")
def answers(host: Any, ssh: Callable[..., Any], environment: Any) -> Iterator[Callable[[str], dict[str, str]]]:
    """Return a function that runs the probe one way, once, and gives its answers."""
    known: dict[str, dict[str, str]] = {}
    probe = f"{HOME}/probe.sh"

    def do(user: str, command: str, stdin: str = "") -> str:
        done = ssh(user, command, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return str(done.stdout)

    do(USER, "bash -s", HOSTILE_HOME)
    do("maker", "sudo bash -s", HOSTILE_HOME)
    do("maker", "sudo python3 -", HOSTILE_SYSTEM)
    run_one = f"{environment.root}/bin/wavesmith-run {environment.name}"
    placed = {"PREFIX": environment.prefix, "NAMES": " ".join(HOSTILE_VARIABLES), "RUN": run_one, "HOME": HOME}
    body = PROBE
    for name, value in placed.items():
        body = body.replace(f"@{name}@", value)
    do(USER, f"cat >{probe} && chmod +x {probe}", body)
    pairs = [f"{name}={value}" for name, value in {**HOSTILE_VARIABLES, "PATH": HOSTILE_PATH}.items()]
    # Crontab first: the minute passes while the others run.
    do(USER, "crontab -", "\n".join([*pairs, f"* * * * * {probe} cron", ""]))
    deadline = time.monotonic() + CRON_TIMEOUT

    def run(way: str) -> dict[str, str]:
        if way in known:
            return known[way]
        if way == "interactive":
            ssh(USER, "bash -i", tty=True, stdin=f"export {' '.join(pairs)}\n{probe} interactive\nexit\n")
        elif way == "command":
            ssh(USER, f"env {' '.join(pairs)} {probe} command")
        elif way == "systemd":
            settings = " ".join(f"--setenv={shlex.quote(pair)}" for pair in pairs)
            ssh("maker", f"sudo systemd-run --quiet --wait --pipe --uid={USER} {settings} {probe} systemd")
        elif way == "sudo":  # it drops some of the variables, so they are set behind it
            ssh("maker", f"sudo env {' '.join(pairs)} {probe} sudo")
        show = f"sudo cat {'/root' if way == 'sudo' else HOME}/answers.{way}"
        while (found := ssh("maker", show)).returncode != 0 and way == "cron" and time.monotonic() < deadline:
            time.sleep(2)
        assert found.returncode == 0, f"the probe did not finish by way of {way}: {found.stderr}"
        lines = (line.partition("\t") for line in found.stdout.splitlines())
        known[way] = {name: text.strip() for name, _, text in lines}
        return known[way]

    yield run
    do(USER, f"crontab -r; rm -f {probe}; {CALM_AGAIN}")
    do("maker", "sudo bash -s", f"{CALM_AGAIN}; mv /etc/pip.conf.kept /etc/pip.conf")


@pytest.mark.parametrize("way", WAYS)
class TestStartedBy:
    """One property each, for each way to start a process."""

    def test_prefix_is_the_generation(self, answers: Any, way: str, environment: Any) -> None:
        assert answers(way)["sys.prefix"].startswith(f"{environment.home}/")

    def test_user_site_is_off(self, answers: Any, way: str) -> None:
        assert answers(way)["user_site"] == "False"

    def test_packages_are_the_environments_own(self, answers: Any, way: str, environment: Any) -> None:
        assert answers(way)["numpy"].startswith(f"{environment.home}/")

    def test_no_foreign_library_is_loaded(self, answers: Any, way: str) -> None:
        assert answers(way)["libraries"] == "[]"

    def test_no_hostile_variable_reaches_python(self, answers: Any, way: str) -> None:
        assert answers(way)["variables"] == "[]"

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

    def test_activation_puts_this_environment_in_the_place_of_another(
        self, answers: Any, way: str, environment: Any
    ) -> None:
        assert answers(way)["active environment"].startswith(f"{environment.home}/")

    def test_wavesmith_run_finds_everything_in_the_prefix(self, answers: Any, way: str, environment: Any) -> None:
        found = answers(way)["wavesmith-run"].split()
        assert len(found) == 4 and all(path.startswith(f"{environment.home}/") for path in found), found

    def test_executable_is_in_prefix(self, answers: Any, way: str, environment: Any) -> None:
        assert answers(way)["executable"].startswith(f"{environment.home}/")

    def test_pip_is_the_environments_own(self, answers: Any, way: str, environment: Any) -> None:
        assert f"from {environment.home}/" in answers(way)["pip version"]

    def test_pip_install_user_is_refused(self, answers: Any, way: str) -> None:
        answer = answers(way)["pip --user"]
        assert "--user" in answer and not answer.endswith("status 0"), answer

    def test_pip_installs_into_the_prefix_alone(self, answers: Any, way: str, environment: Any) -> None:
        assert answers(way)["pip fails"] == ""
        root, _, landed = answers(way)["pip lands"].partition("/landed")
        assert " " not in landed and landed.startswith(f"{environment.home}/"), root + landed
