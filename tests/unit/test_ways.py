"""Ways in that no login shell is part of: a real Jupyter kernel, and the calls that VS Code makes with the interpreter one picks.

VS Code itself does not run here. What it calls is in its sources: python_files/interpreterInfo.py by a shell
(microsoft/vscode-python, src/client/pythonEnvironments/base/info/interpreter.ts), `-c` (microsoft/python-environment-tools,
crates/pet-python-utils/src/env.rs), `-I` before a script (vscode-python, …/environmentManagers/conda.ts), `source …/activate`
beside the interpreter (…/environmentActivationProviders/bash.ts), and debugpy by its path (…/debugger/extension/adapter/factory.ts).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.host import store

from .test_prefix import UV, VERSION, Host

pytestmark = pytest.mark.slow
DOCS = Path(__file__).resolve().parents[2] / "docs" / "isolation.md"

# Answers one line; run as a script, as `-c`, and in a kernel.
ASK = r"""
import json, os, site, sys
print("ANSWER " + json.dumps({
    "prefix": sys.prefix,
    "executable": sys.executable,
    "user_site": bool(site.ENABLE_USER_SITE),
    "hostile": [entry for entry in sys.path if "hostile" in entry] + sorted(name for name in sys.modules if name.startswith("leak")),
    "libraries": [line for line in open("/proc/self/maps") if "hostile" in line],
    "variables": sorted(name for name, value in os.environ.items() if "hostile" in value and name not in ("HOME", "PATH", "PWD")),
}))
"""
# Jupyter runs under a Python of its own: what is hostile begins where it starts the kernel.
CLIENT = """
import json, os, sys
from jupyter_client.manager import start_new_kernel
name, cells, hostile = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
os.environ.update(hostile)
manager, client = start_new_kernel(kernel_name=name)
said = []
for cell in cells:
    said.append("")
    def keep(message):
        said[-1] += message["content"].get("text", "") + "".join(message["content"].get("traceback", ()))
    client.execute_interactive(cell, output_hook=keep, timeout=60)
client.stop_channels()
manager.shutdown_kernel()
print(json.dumps(said))
"""


@dataclass(frozen=True)
class Place:
    """An environment with ipykernel (and so debugpy), Jupyter's client in another one, and what is hostile."""

    root: Path
    prefix: Path
    client: Path
    hostile: dict[str, str]

    @property
    def picked(self) -> Path:
        """The interpreter as a user names it."""
        return self.prefix.parent / "current" / "bin" / "python"

    def shell(self, command: str, *words: str | Path) -> str:
        """What a command prints in a shell where everything is hostile."""
        argv = ["bash", "--noprofile", "--norc", "-c", command, "bash", *words]
        done = subprocess.run(argv, env=self.hostile, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def check(self, output: str) -> None:
        """Nothing of the hostile has reached the interpreter that answered."""
        answer = json.loads(re.findall(r"^ANSWER (.*)$", output, re.MULTILINE)[-1])
        assert answer == {
            "prefix": str(self.prefix),
            "executable": str(self.prefix / "bin" / "python"),
            "user_site": False,
            "hostile": [],
            "libraries": [],
            "variables": [],
        }


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("ways")
    host = Host(folder)
    prefix, client, hostile = host.make(), folder / "client", folder / "hostile"
    store.point(str(prefix.parent), prefix.name)
    install = [UV, "pip", "install", "--quiet", "--system-certs", "--python"]
    subprocess.run([*install, prefix / "bin" / "python", "ipykernel", "pip"], check=True)
    subprocess.run([UV, "venv", "--quiet", client], check=True)
    subprocess.run([*install, client / "bin" / "python", "jupyter-client"], check=True)
    minor = ".".join(VERSION.split(".")[:2])
    for where in (hostile, hostile / "home" / ".local" / "lib" / f"python{minor}" / "site-packages"):
        where.mkdir(parents=True)
        (where / "sitecustomize.py").write_text("import leak")
        (where / "usercustomize.py").write_text("import leak")
        (where / "leak.py").write_text("")
        (where / "zmq.py").write_text("raise SystemExit('a hostile zmq')")
    (hostile / "bin").mkdir()
    for tool in ("python", "python3", "pip"):
        (hostile / "bin" / tool).write_text("#!/bin/sh\necho hostile\n")
        (hostile / "bin" / tool).chmod(0o755)
    libm = next(line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if "/libm.so" in line)
    shutil.copyfile(libm, hostile / "preloaded.so")
    (hostile / "libstdc++.so.6").write_text("no library")  # zmq needs one
    names = "PYTHONPATH PYTHONHOME PYTHONUSERBASE PIP_TARGET PIP_PREFIX VIRTUAL_ENV CONDA_PREFIX LD_LIBRARY_PATH"
    variables = dict.fromkeys(names.split(), str(hostile))
    variables |= {
        "PYTHONSTARTUP": str(hostile / "leak.py"),
        "LD_PRELOAD": str(hostile / "preloaded.so"),
        "PIP_USER": "1",
    }
    variables |= {"HOME": str(hostile / "home"), "PATH": f"{hostile}/bin:{os.environ['PATH']}"}
    return Place(host.root, prefix, client, variables)


# Jupyter


@pytest.fixture(scope="module")
def kernels(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of Jupyter's with a kernel that ipykernel made, and the one of our documentation."""
    folder = tmp_path_factory.mktemp("jupyter")
    subprocess.run(
        [place.picked, "-m", "ipykernel", "install", "--prefix", folder, "--name", "made"],
        check=True,
        capture_output=True,
    )
    (text,) = re.findall(r"^```json\n(.*?)^```", DOCS.read_text(), re.MULTILINE | re.DOTALL)
    ours = folder / "share" / "jupyter" / "kernels" / "speech"
    ours.mkdir()
    (ours / "kernel.json").write_text(text.replace("/opt/wavesmith", str(place.root)))
    return folder / "share" / "jupyter"


def run_cells(place: Place, kernels: Path, kernel: str, *cells: str) -> list[str]:
    argv = [place.client / "bin" / "python", "-I", "-c", CLIENT, kernel, json.dumps(cells), json.dumps(place.hostile)]
    calm = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "JUPYTER_PATH": str(kernels)}
    done = subprocess.run(argv, env=calm, capture_output=True, text=True, check=False, timeout=180)
    assert done.returncode == 0, done.stderr
    said: list[str] = json.loads(done.stdout.splitlines()[-1])
    return said


@pytest.mark.parametrize("kernel", ["made", "speech"])
def test_a_kernel_is_isolated(place: Place, kernels: Path, kernel: str) -> None:
    answer, version = run_cells(place, kernels, kernel, ASK, "%pip --version")
    place.check(answer)
    assert f"from {place.prefix}/lib/" in version


def test_the_kernel_of_wavesmith_run_finds_the_environments_tools(place: Place, kernels: Path) -> None:
    version, found = run_cells(place, kernels, "speech", "!pip --version", "!command -v python")
    assert f"from {place.prefix}/lib/" in version and found.strip() == f"{place.prefix}/bin/python"


def test_the_kernel_that_ipykernel_makes_stays_in_its_generation(place: Place, kernels: Path) -> None:
    spec: dict[str, Any] = json.loads((kernels / "kernels" / "made" / "kernel.json").read_text())
    assert spec["argv"][0] == f"{place.prefix}/bin/python"


# VS Code


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "ask.py"
    path.write_text(ASK)
    return path


@pytest.mark.parametrize("options", [(), ("-I",), ("-X", "frozen_modules=off")], ids=" ".join)
def test_a_script_of_vs_code_is_answered_by_the_environment(
    place: Place, script: Path, options: tuple[str, ...]
) -> None:
    place.check(place.shell('"$@"', place.picked, *options, script))


def test_code_of_vs_code_is_answered_by_the_environment(place: Place) -> None:
    place.check(place.shell('"$@"', place.picked, "-c", ASK))


def test_a_terminal_of_vs_code_activates_the_environment(place: Place, script: Path) -> None:
    found = place.shell('source "$1" && command -v python && python "$2"', place.picked.with_name("activate"), script)
    assert found.splitlines()[0] == f"{place.prefix}/bin/python"
    place.check(found)


def test_a_program_that_is_debugged_is_in_the_environment(place: Place, script: Path) -> None:
    (debugpy,) = place.prefix.glob("lib/python3*/site-packages/debugpy")
    place.check(place.shell('"$@"', place.picked, debugpy, "--listen", "127.0.0.1:0", script))
