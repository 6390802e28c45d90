"""Nothing that is installed into an environment by hand changes its stack unseen: tried with the real pip, uv and Poetry.

The stack is a torch of a few bytes in an index that lies in a folder, so no network is needed (but for Poetry itself).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.doctor import guard as doctor
from ansible_collections.wavesmith.provision.plugins.module_utils.doctor.base import Context, Spec, perform
from ansible_collections.wavesmith.provision.plugins.module_utils.host import store
from ansible_collections.wavesmith.provision.plugins.module_utils.prefix import generation as prefix_generation

from . import conda_channel
from .test_prefix import UV, VERSION, Host, sha256, wheel
from .test_projects import own_files

ROOT = Path(__file__).resolve().parents[2]
TORCH = "2.11.0+cpu"
STACK = {"versions": {"torch": "2.11.0"}, "held": {"torch": "belongs to the stack cpu"}}
PIPS = [
    *Path(os.__file__).parent.glob("ensurepip/_bundled/pip-*.whl"),
    *Path("/usr/share/python-wheels").glob("pip-*.whl"),
]
pytestmark = [pytest.mark.process, pytest.mark.skipif(not PIPS, reason="this Python carries no pip")]


class Guarded(Host):
    """A host with an environment of torch and numpy, and a shop with what would replace its torch."""

    def __init__(self, folder: Path, *channel: Any) -> None:
        super().__init__(folder, *channel)
        self.serve("torch", {"torch/__init__.py": f"__version__ = '{TORCH}'\n"}, version=TORCH)
        self.serve("numpy", {"numpy/__init__.py": ""}, version="1.26.4")
        self.shop, self.home = folder / "shop", folder / "home"
        self.home.mkdir()
        other = {"torch/__init__.py": "__version__ = 'another'\n"}
        for version in ("2.7.0", "2.12.0"):
            shutil.copy(wheel(folder / "made", "torch", other, version=version), self._shelf())
        for name, needs in (("some_model", ["torch==2.7"]), ("good_model", ["torch>=2.7", "numpy"])):
            shutil.copy(wheel(folder / "made", name, {f"{name}.py": ""}, requires=needs), self._shelf())
        (self.shop / "requirements.txt").write_text("torch==2.7\n")
        (self.shop / "pins.txt").write_text("")

    def _shelf(self) -> Path:
        self.shop.mkdir(exist_ok=True)
        return self.shop

    def serve_pip(self) -> None:
        """Put this Python's own pip into the environment."""
        pip = self.simple / "pip" / PIPS[0].name
        pip.parent.mkdir()
        shutil.copy(PIPS[0], pip)
        pip.with_name("index.html").write_text(f'<a href="{pip.name}#sha256={sha256(pip)}">{pip.name}</a>')
        self.lock += f"pip=={pip.name.split('-')[1]} --hash=sha256:{sha256(pip)}\n"

    def spec(self, generation: str = "one") -> dict[str, Any]:
        return {**super().spec(generation), **STACK}

    @property
    def torch(self) -> list[str]:
        return sorted(path.name for path in self.site().glob("torch-*.dist-info"))

    @property
    def damage(self) -> list[str]:
        return store.damage(str(self.prefix()))

    def run(self, *argv: str | Path, shell: bool = False, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a tool in the shop as a user would: in an activated shell, or by its path alone."""
        activate = [f'. "{self.prefix()}/bin/activate"'] if shell else []
        script = "; ".join([*activate, 'exec "$@"'])
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-c", script, "bash", *argv],
            env={"PATH": os.environ["PATH"], "HOME": str(self.home), "PIP_FIND_LINKS": str(self.shop), **environment},
            cwd=self.shop,
            capture_output=True,
            text=True,
            check=False,
        )

    def pip(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return self.run(self.prefix() / "bin" / "pip", *arguments, **environment)

    def uv(self, *arguments: str | Path, shell: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        settings = {"UV_FIND_LINKS": str(self.shop), "UV_NO_CACHE": "1", **environment}
        return self.run(UV, "pip", *arguments, shell=shell, **settings)

    def judge(self) -> dict[str, Any]:
        """What the doctor says of the guard."""
        manifest = store.read_json(str(self.prefix() / store.MANIFEST))
        spec = Spec("speech", "one", self.prefix(), self.root, versions=manifest["versions"])
        return perform(doctor.CHECKS[0], Context(spec, self.root, self.root))


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A channel with Python, and Python's version."""
    folder = tmp_path_factory.mktemp("channel")
    try:
        return folder, conda_channel.make(folder, tmp_path_factory.mktemp("work"))
    except (ImportError, OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no Python package can be made here: {error}")


def make_host(request: pytest.FixtureRequest, engine: str, folder: Path) -> Guarded:
    if engine == "venv":
        return Guarded(folder)
    from . import test_conda  # without py-rattler this skips

    class Conda(Guarded, test_conda.Host):
        """Python from a channel, torch and numpy from the index."""

    return Conda(folder, request.getfixturevalue("channel"))


@pytest.fixture(scope="module", params=["venv", "conda"])
def kept(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Guarded:
    """An environment with pip that every attack of its tests must leave as it is."""
    host = make_host(request, request.param, tmp_path_factory.mktemp("kept"))
    host.serve_pip()
    host.install()
    return host


@pytest.fixture
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Guarded:
    found = make_host(request, getattr(request, "param", "venv"), tmp_path)
    found.install()
    return found


# Refused

REQUESTS: dict[str, Sequence[str]] = {
    "a pin": ["torch==2.7"],
    "a newer one": ["torch>=2.12"],
    "a requirements file": ["-r", "requirements.txt"],
    "a package that pins it": ["some-model"],
    "without dependencies": ["--no-deps", "torch==2.7"],
    "a wheel": ["./torch-2.7.0-py3-none-any.whl"],
}


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_an_installation_that_would_replace_torch_is_refused(kept: Guarded, tool: str, request_: list[str]) -> None:
    arguments = ["install", "--no-index", *request_]
    done = kept.pip(*arguments) if tool == "pip" else kept.uv(*arguments)
    assert done.returncode != 0 and ("ResolutionImpossible" if tool == "pip" else "unsatisfiable") in done.stderr
    assert (kept.torch, kept.damage) == ([f"torch-{TORCH}.dist-info"], [])
    if tool == "pip":
        said = f"{kept.prefix()}: Wavesmith keeps torch=={TORCH}, with which this environment was verified. Remedy: to have another version"
        assert said in done.stderr


def test_a_refusal_that_is_not_the_guards_is_pips_own(kept: Guarded) -> None:
    done = kept.pip("install", "--no-index", "no-such-package")
    assert done.returncode != 0 and "Wavesmith" not in done.stderr


@pytest.mark.parametrize(
    "environment",
    [
        {"PIP_CONSTRAINT": "/dev/null"},
        {"PIP_CONFIG_FILE": "/dev/null"},
        {"PIP_CONFIG_FILE": "{shop}/pip.conf"},
        {"PIP_ISOLATED": "1"},
        {"XDG_CONFIG_HOME": "{shop}"},
    ],
    ids=str,
)
def test_settings_of_the_user_do_not_take_the_guard_off_pip(kept: Guarded, environment: dict[str, str]) -> None:
    settings = f"[install]\nconstraint = {kept.shop}/pins.txt\n"
    (kept.shop / "pip").mkdir(exist_ok=True)
    for path in (kept.shop / "pip.conf", kept.shop / "pip" / "pip.conf"):
        path.write_text(settings)
    variables = {name: value.format(shop=kept.shop) for name, value in environment.items()}
    assert kept.pip("install", "--no-index", "-f", ".", "torch==2.7", **variables).returncode != 0
    assert (kept.torch, kept.damage) == ([f"torch-{TORCH}.dist-info"], [])


def test_constraints_on_pips_command_line_are_added_to_ours(kept: Guarded) -> None:
    assert kept.pip("install", "--no-index", "-c", "pins.txt", "torch==2.7").returncode != 0
    assert kept.damage == []


def test_pips_own_way_around_its_settings_is_refused_too(kept: Guarded) -> None:
    assert kept.pip("--isolated", "install", "--no-index", "-f", ".", "torch==2.7").returncode != 0
    assert kept.damage == []


def test_a_pip_of_another_python_is_refused_too(kept: Guarded) -> None:
    argv = [sys.executable, "-m", "pip", "--python", str(kept.prefix() / "bin" / "python")]
    if subprocess.run([*argv, "--version"], capture_output=True, check=False).returncode:
        pytest.skip("this Python has no pip")
    assert kept.run(*argv, "install", "--no-index", "torch==2.7").returncode != 0
    assert kept.damage == []


# Allowed, with torch as it is


@pytest.mark.parametrize("more", [[], ["--upgrade", "torch"]], ids=["plain", "upgrade"])
@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_a_package_that_fits_is_installed_beside_the_stack(kept: Guarded, tool: str, more: list[str]) -> None:
    arguments = ["install", "--no-index", *more, "good-model"]
    done = kept.pip(*arguments) if tool == "pip" else kept.uv(*arguments)
    assert done.returncode == 0, done.stderr
    assert (kept.site() / "good_model.py").exists()
    assert (kept.torch, kept.judge()["verdict"]) == ([f"torch-{TORCH}.dist-info"], "pass")
    (added,) = kept.damage
    assert re.fullmatch(r"added: lib/.*/good_model-.*\.dist-info, a package that its lock does not name", added)
    kept.uv("uninstall", "good-model")
    assert kept.damage == []


def test_a_users_own_constraints_hold_as_well(kept: Guarded) -> None:
    (kept.shop / "mine.txt").write_text("good_model==2\n")
    mine = str(kept.shop / "mine.txt")
    assert kept.pip("install", "--no-index", "good-model", PIP_CONSTRAINT=mine).returncode != 0
    assert "unsatisfiable" in kept.uv("install", "--no-index", "good-model", UV_CONSTRAINT=mine).stderr


def test_deactivation_gives_uvs_constraints_back(kept: Guarded) -> None:
    script = f'. "{kept.prefix()}/bin/activate"; echo "$UV_CONSTRAINT"; deactivate; echo "${{UV_CONSTRAINT-none}}"'
    own = f"{kept.prefix()}/wavesmith/constraints.txt"
    for before, after in (("", "none"), ("/mine.txt", "/mine.txt")):
        done = kept.run("bash", "-c", script, **({"UV_CONSTRAINT": before} if before else {}))
        assert done.stdout.splitlines() == [f"{own} {before}".strip(), after]


# Not prevented, and noticed


def by_uv_without_activation(host: Guarded) -> subprocess.CompletedProcess[str]:
    python = host.prefix() / "bin" / "python"
    return host.uv("install", "--no-index", "--python", python, "torch==2.7", shell=False)


def by_uv_with_constraints_of_ones_own(host: Guarded) -> subprocess.CompletedProcess[str]:
    return host.uv("install", "--no-index", "-c", "pins.txt", "torch==2.7")


def by_uv_pip_sync(host: Guarded) -> subprocess.CompletedProcess[str]:
    (host.shop / "only.txt").write_text("numpy==1.26.4\n")
    return host.uv("sync", "--no-index", "only.txt")


def by_uv_sync(host: Guarded) -> subprocess.CompletedProcess[str]:
    (host.shop / "pyproject.toml").write_text(
        f'[project]\nname = "voice"\nversion = "1"\nrequires-python = "=={VERSION}"\ndependencies = ["torch==2.7"]\n'
    )
    argv = [UV, "sync", "--active", "--offline", "--no-index", "--find-links", str(host.shop)]
    return host.run(*argv, shell=True, UV_NO_CACHE="1")


def by_removal(host: Guarded) -> subprocess.CompletedProcess[str]:
    return host.uv("uninstall", "torch")


def by_hand(host: Guarded) -> subprocess.CompletedProcess[str]:
    return host.run("sh", "-c", f"rm {host.site()}/torch/__init__.py && echo 0 > {host.site()}/torch/__init__.py")


def by_half_an_installation(host: Guarded) -> subprocess.CompletedProcess[str]:
    return host.run("cp", "-r", host.site() / f"torch-{TORCH}.dist-info", host.site() / "torch-2.7.0.dist-info")


def by_taking_the_guard_away(host: Guarded) -> subprocess.CompletedProcess[str]:
    return host.run("sh", "-c", f"rm {host.prefix()}/pip.conf; : > {host.prefix()}/wavesmith/constraints.txt")


CHANGES: dict[Callable[[Guarded], subprocess.CompletedProcess[str]], str] = {
    by_uv_without_activation: f"torch is 2.7.0, installed by uv, sealed was {TORCH}",
    by_uv_with_constraints_of_ones_own: f"torch is 2.7.0, installed by uv, sealed was {TORCH}",
    by_uv_pip_sync: "torch is gone",
    by_uv_sync: f"torch is 2.7.0, installed by uv, sealed was {TORCH}",
    by_removal: "torch is gone",
    by_hand: "torch has a file that is not its wheel's: torch/__init__.py",
    by_half_an_installation: "torch is there 2 times",
    by_taking_the_guard_away: "the constraint file for pip and uv, or pip.conf, is not the sealed one",
}


# What notices is the same for both engines, so two of them do for conda.
ATTEMPTS = [("venv", change) for change in CHANGES]
ATTEMPTS += [("conda", by_uv_without_activation), ("conda", by_removal)]


@pytest.mark.parametrize(("host", "change"), ATTEMPTS, indirect=["host"])
def test_a_stack_that_was_changed_anyway_is_noticed(
    host: Guarded, change: Callable[[Guarded], subprocess.CompletedProcess[str]]
) -> None:
    assert host.judge()["verdict"] == "pass"
    done = change(host)
    assert done.returncode == 0, done.stderr
    assert host.damage, "the next observation sees drift"
    result = host.judge()
    assert (result["verdict"], CHANGES[change] in result["detail"]) == ("fail", True), result["detail"]
    assert "wavesmith repair" in result["remedy"]


def test_a_stack_of_the_same_version_that_another_tool_installed_again_is_noticed(tmp_path: Path) -> None:
    host = Guarded(tmp_path)
    host.serve_pip()
    host.install()
    shutil.copy(host.simple / "torch" / f"torch-{TORCH}-py3-none-any.whl", host.shop)
    done = host.pip("install", "--no-index", "--force-reinstall", "--no-deps", f"torch=={TORCH}")
    assert done.returncode == 0, done.stderr
    assert host.damage and "torch was reinstalled" in host.judge()["detail"]


@pytest.mark.parametrize("target", ["configuration", "resolution/resolvelib/factory"])
def test_a_pip_that_runs_out_of_its_wheel_is_guarded_too(host: Guarded, tmp_path: Path, target: str) -> None:
    """As Poetry, virtualenv and get-pip start it: all modules of a folder of a zip file have one loader."""
    modules = {
        "__main__": "import sys; sys.path.insert(0, __file__.rpartition('/pip/')[0])\n"
        f"import pip._internal.{target.replace('/', '.')} as it; print(it.told())",
        f"_internal/{target}": "import pip._internal.later\nclass Configuration:\n    def load(self): self.said = 'loaded'\n"
        "class Factory:\n    def get_installation_error(self, error, constraints): return error\n"
        "def told(): return [it.__qualname__ for it in (Configuration.load, Factory.get_installation_error)]\n",
        "_internal/later": "",
        "_internal/utils/virtualenv": "",
    }
    folders = {str(parent) for name in modules for parent in Path("pip", name).parents if parent.name}
    (tmp_path / "shelf").mkdir()
    wheel_of_pip = tmp_path / "shelf" / "pip-99-py3-none-any.whl"
    with zipfile.ZipFile(wheel_of_pip, "w") as file:
        for folder in sorted(folders):
            file.writestr(f"{folder}/__init__.py", "")
        for name, text in modules.items():
            file.writestr(f"pip/{name}.py", text)
    done = host.run(host.prefix() / "bin" / "python", f"{wheel_of_pip}/pip")
    assert done.returncode == 0 and "_Pip." in done.stdout, done.stderr + done.stdout


@pytest.mark.slow
def test_poetry_is_not_stopped_but_noticed(host: Guarded, tmp_path: Path) -> None:
    """Poetry installs into an activated environment by itself and reads neither pip's nor uv's settings."""
    tool = tmp_path / "poetry"
    subprocess.run([UV, "venv", "--quiet", tool], check=True)
    subprocess.run([UV, "pip", "install", "--quiet", "--python", tool / "bin" / "python", "poetry"], check=True)
    (host.shop / "pyproject.toml").write_text(
        '[tool.poetry]\nname = "voice"\nversion = "1"\npackage-mode = false\n'
        f'[tool.poetry.dependencies]\npython = "^{VERSION}"\ntorch = {{path = "torch-2.7.0-py3-none-any.whl"}}\n'
    )
    done = host.run(tool / "bin" / "poetry", "install", "--no-interaction", shell=True)
    assert done.returncode == 0, done.stderr
    assert host.torch == ["torch-2.7.0.dist-info"] and host.damage
    assert "torch is 2.7.0, installed by Poetry" in host.judge()["detail"]


# What the packages themselves required


def test_the_manifest_keeps_what_packages_required_and_did_not_get(tmp_path: Path) -> None:
    host = Guarded(tmp_path)
    host.serve("singer", {"singer.py": ""}, requires=["torch==2.7", "numpy"])
    found = host.install()["overrides"]
    assert found == [
        {
            "package": "torch",
            "by": "singer 1.0",
            "asked": "torch==2.7",
            "got": TORCH,
            "why": "belongs to the stack cpu",
        }
    ]
    assert store.read_json(str(host.prefix() / store.MANIFEST))["overrides"] == found


def test_a_resolution_that_fails_names_who_asks_for_what(tmp_path: Path) -> None:
    host = Guarded(tmp_path)
    spec = {**host.spec(), "requirements": ["numpy==1.22.0"], "overrides": []}
    declared = [["numpy==1.22.0", "voice requirements.txt:7"], ["onnx", "voice requirements.txt:8"]]
    with pytest.raises(prefix_generation.Failed) as error:
        prefix_generation.resolve(host.job, str(host.root), {**spec, "declared": declared}, host.index)
    assert error.value.log[-1] == "numpy==1.22.0 is asked for by voice requirements.txt:7"


# Repaired


@pytest.mark.slow
def test_one_command_makes_a_changed_environment_good_again(tmp_path: Path) -> None:
    """The real playbooks on this machine, with numpy in the place of the stack: torch would be 5 GiB."""
    root = tmp_path / "root"
    voice = tmp_path / "voice"
    voice.mkdir()
    for name, text in own_files().items():
        (voice / name).write_text(text.replace("torch==2.7", "numpy<2"))
    settings = {
        "wavesmith_root": str(root),
        "wavesmith_locks": str(tmp_path / "locks"),
        "wavesmith_artifacts": str(tmp_path / "artifacts"),
        "wavesmith_system_packages": False,
        "wavesmith_probe_timeout": 30,
        "wavesmith_environments": {"plain": {"stack": "none", "packages": ["numpy"], "projects": ["voice"]}},
        "wavesmith_projects": {
            "voice": {"path": str(voice), "install": True, "overrides": {"numpy>=2": "this test has no old code"}}
        },
    }
    current = root / "envs" / "plain" / "current"

    def play(playbook: str, *more: str, form: str = "detail") -> str:
        argv = [Path(sys.executable).with_name("ansible-playbook"), "-i", "inventories/local", playbook]
        argv += ["-e", json.dumps(settings), *more]
        settled = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
        settled["WAVESMITH_BOARD"] = form
        environment = {**os.environ, **settled}
        done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
        return done.stdout

    first = play("site.yml")
    assert "override numpy<2 (voice pyproject.toml:8) -> 2." in first
    report = json.loads((tmp_path / "artifacts" / "localhost" / "report.json").read_text())
    assert [entry["by"] for entry in report["environments"][0]["overrides"]] == ["voice pyproject.toml:8"]
    made, python = os.readlink(current), str(current / "bin" / "python")
    subprocess.run([UV, "pip", "install", "--system-certs", "--quiet", "--python", python, "numpy==1.26.4"], check=True)
    assert "drifted" in play("playbooks/repair.yml")
    assert os.readlink(current) == f"{made}-r1"
    code = "import numpy, voice; print(voice.SOUND, numpy.__version__)"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("440 2.")
    again = play("playbooks/repair.yml", form="lines").splitlines()
    assert len(again) <= 5 and re.match(f"✓ localhost: plain {made}-r1 healthy .*pass", again[-2]), again
    assert re.match(r"1 of 1 host healthy, nothing to do", again[-1])
    play("playbooks/repair.yml", "-e", "wavesmith_repair=plain")
    assert os.readlink(current) == made  # what was changed is gone, so its name is free
