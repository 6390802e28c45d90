"""The rules of the house: what every role, module, lock and file of this project has in common."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
COLLECTION = ROOT / "collections" / "ansible_collections" / "wavesmith" / "provision"
ROLES = sorted(path for path in (ROOT / "roles").iterdir() if path.is_dir())
MODULES = sorted(path for path in (ROOT / "plugins" / "modules").glob("*.py") if path.name != "__init__.py")
TARGET_CODE = sorted(
    path
    for folder in ("modules", "module_utils")
    for path in (ROOT / "plugins" / folder).rglob("*.py")
    if "__pycache__" not in path.parts
)
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
PYTHONS = ("3.11", "3.12", "3.13")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name


def tracked_files() -> list[Path]:
    """What git would carry: tracked, or new and not ignored."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: which files are the project's own is not known")
    argv = [
        "git",
        "-c",
        "safe.directory=*",
        "-C",
        str(ROOT),
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]
    listed = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    paths = (ROOT / name for name in listed.split("\0") if name)
    return sorted(path for path in paths if path.is_file() and not path.is_symlink())


def text_of(path: Path) -> str | None:
    """The file's text, None for a binary file."""
    data = path.read_bytes()
    return None if b"\0" in data else data.decode("utf-8", errors="replace")


def pins(lock: Path) -> dict[str, tuple[str, list[str]]]:
    """Name -> (version, hashes) of a lock file. Raises ValueError for a line that is neither a pin nor a hash."""
    found: dict[str, tuple[str, list[str]]] = {}
    for line in lock.read_text().replace("\\\n", " ").splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = re.fullmatch(r"([A-Za-z0-9._-]+)==(\S+)((?:\s+--hash=sha256:[0-9a-f]{64})*)\s*", line)
        if match is None:
            raise ValueError(f"{lock.name}: not a pin with sha256 hashes: {line[:120]}")
        found[canonicalize_name(match[1])] = (match[2], re.findall(r"sha256:([0-9a-f]{64})", match[3]))
    return found


def run_elsewhere(argv: list[str], cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run an Ansible command in another folder, with nothing of this checkout's settings."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "PYTHONPATH"))}
    clean |= {
        "ANSIBLE_LOCAL_TEMP": str(cwd / "local"),
        "ANSIBLE_COLLECTIONS_PATH": str(cwd / "collections"),
        "HOME": str(cwd),
        "LC_ALL": "C.UTF-8",
        "NO_COLOR": "1",
    } | env
    tool = Path(sys.executable).parent / argv[0]
    done = subprocess.run(
        [str(tool), *argv[1:]], cwd=cwd, env=clean, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, f"{' '.join(argv)}\n{done.stdout}\n{done.stderr}"
    return done


# --- the collection in the checkout


def test_every_entry_of_the_collection_is_a_symlink_to_the_roots_own() -> None:
    wrong = [
        entry.name
        for entry in COLLECTION.iterdir()
        if not entry.is_symlink() or str(entry.readlink()) != f"../../../../{entry.name}" or not entry.exists()
    ]
    assert not wrong, f"stale copies or dangling links in {name_of(COLLECTION)} (did a tool's prerun replace them?)"


@pytest.mark.parametrize("entry", ["README.md", "catalog", "galaxy.yml", "meta", "playbooks", "plugins", "roles"])
def test_the_collection_holds(entry: str) -> None:
    assert (COLLECTION / entry).is_symlink()


@pytest.mark.parametrize(
    "entry",
    [".venv", ".ci", ".cache", ".ansible", ".config", "collections", "molecule", "inventories/local", "wavesmith"],
)
def test_the_artifact_leaves_out(entry: str) -> None:
    ignored = {pattern.rstrip("/") for pattern in yaml.safe_load((ROOT / "galaxy.yml").read_text())["build_ignore"]}
    assert entry in ignored, f"galaxy.yml: add {entry} to build_ignore"


def test_the_project_and_the_collection_have_one_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert yaml.safe_load((ROOT / "galaxy.yml").read_text())["version"] == project


def test_what_the_artifact_requires_is_what_the_project_requires() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    assert {line for line in lines if not line.startswith("#")} <= {*project}
    declared = yaml.safe_load((ROOT / "meta" / "execution-environment.yml").read_text())["dependencies"]
    assert declared == {"python": "requirements.txt", "system": "bindep.txt"} and (ROOT / "bindep.txt").is_file()


def test_the_wheel_holds_all_of_the_collection_that_the_artifact_does() -> None:
    """But what only people read, and the example of a fleet."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    held = {name.partition("/")[0] for name in settings["force-include"]}
    assert {"catalog", "meta", "playbooks", "plugins", "roles", "ansible.cfg", "galaxy.yml", "inventories"} <= held
    assert all((ROOT / name).exists() for name in settings["force-include"])


@pytest.mark.process
def test_the_built_artifact_runs_from_elsewhere(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for path in tracked_files():
        copy = source / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy)
    run_elsewhere(["ansible-galaxy", "collection", "build", "--output-path", str(tmp_path), str(source)], tmp_path)
    (artifact,) = tmp_path.glob("wavesmith-provision-*.tar.gz")
    with tarfile.open(artifact) as archive:
        names = archive.getnames()
    assert not [
        name
        for name in names
        if re.match(r"(\.venv|\.cache|collections|molecule|inventories/(local|fleet)|\.git/)", name)
    ]

    away = tmp_path / "away"
    away.mkdir()
    install = ["ansible-galaxy", "collection", "install", "--offline", "-p", str(away / "collections"), str(artifact)]
    run_elsewhere(install, away)
    docs = run_elsewhere(["ansible-doc", "--json", "-t", "module", "wavesmith.provision.observe"], away)
    found = json.loads(docs.stdout)["wavesmith.provision.observe"]["doc"]["filename"]
    assert Path(found).is_relative_to(away)
    playbooks = sorted((ROOT / "playbooks").glob("*.yml"))
    assert playbooks
    for playbook in playbooks:
        run_elsewhere(["ansible-playbook", "--syntax-check", f"wavesmith.provision.{playbook.stem}"], away)


# --- roles


@pytest.mark.parametrize("role", ROLES, ids=name_of)
class TestEveryRole:
    def test_documents_exactly_the_variables_it_has(self, role: Path) -> None:
        defaults = yaml.safe_load((role / "defaults" / "main.yml").read_text()) or {}
        specs = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text())["argument_specs"]
        assert set(defaults) == set(specs["main"].get("options") or {})

    def test_explains_each_default_above_it(self, role: Path) -> None:
        lines = (role / "defaults" / "main.yml").read_text().splitlines()
        bare = [
            line.split(":")[0]
            for number, line in enumerate(lines)
            if re.match(r"[a-z]\w*:", line) and not (number and lines[number - 1].startswith("#"))
        ]
        assert not bare, "each default carries its comment"

    def test_has_a_readme(self, role: Path) -> None:
        assert (role / "README.md").read_text().strip()

    def test_has_a_main_that_fits_on_a_screen(self, role: Path) -> None:
        assert len((role / "tasks" / "main.yml").read_text().splitlines()) <= 30


# --- modules and what they import


@pytest.fixture(scope="module")
def module_docs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    names = [f"wavesmith.provision.{path.stem}" for path in MODULES]
    where = tmp_path_factory.mktemp("docs")
    argv = ["ansible-doc", "--json", "-t", "module", *names]
    done = run_elsewhere(argv, where, ANSIBLE_COLLECTIONS_PATH=str(ROOT / "collections"))
    docs: dict[str, Any] = json.loads(done.stdout)
    return docs


@pytest.mark.parametrize("module", MODULES, ids=name_of)
class TestEveryModule:
    def test_is_shown_by_ansible_doc(self, module: Path, module_docs: dict[str, Any]) -> None:
        shown = module_docs[f"wavesmith.provision.{module.stem}"]
        assert shown["doc"]["short_description"]
        assert shown["examples"]
        assert shown["return"]

    def test_explains_each_option(self, module: Path, module_docs: dict[str, Any]) -> None:
        options = module_docs[f"wavesmith.provision.{module.stem}"]["doc"].get("options") or {}
        assert not [name for name, option in options.items() if not option.get("description")]

    def test_supports_check_mode(self, module: Path) -> None:
        text = module.read_text()
        action = ROOT / "plugins" / "action" / module.name
        # Where an action plugin does the work the module is its documentation only; Ansible's default is True there.
        assert "supports_check_mode=True" in text or (action.is_file() and "AnsibleModule(" not in text)


def test_every_role_is_shown_by_ansible_doc(tmp_path: Path) -> None:
    names = [f"wavesmith.provision.{role.name}" for role in ROLES]
    argv = ["ansible-doc", "--json", "-t", "role", *names]
    docs = json.loads(run_elsewhere(argv, tmp_path, ANSIBLE_COLLECTIONS_PATH=str(ROOT / "collections")).stdout)
    assert sorted(docs) == sorted(names)
    assert not [name for name, shown in docs.items() if not shown["entry_points"]["main"]["short_description"]]


@pytest.mark.parametrize("path", TARGET_CODE, ids=name_of)
class TestCodeForTargets:
    def test_is_python_3_9(self, path: Path) -> None:
        tree = ast.parse(path.read_text(), filename=str(path), feature_version=(3, 9))
        # feature_version lets `match` through; and 3.9 evaluates `int | None` unless annotations are strings.
        assert not [node for node in ast.walk(tree) if isinstance(node, ast.Match)]
        futures = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module == "__future__"]
        assert futures or not tree.body, "from __future__ import annotations"

    def test_needs_at_import_only_what_a_target_has(self, path: Path) -> None:
        # A package that is also run by itself, outside of any collection, may name itself.
        own = {folder.name for folder in path.parents if (folder / "__init__.py").is_file()}
        imported: set[str] = set()
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                imported.add(node.module or "")
        foreign = {
            name
            for name in imported
            if name.split(".")[0] not in sys.stdlib_module_names | own and not name.startswith("ansible.module_utils")
        }
        assert not foreign


# --- locks


@pytest.mark.parametrize("lock", LOCKS, ids=name_of)
class TestEveryLock:
    def test_pins_everything_by_hash(self, lock: Path) -> None:
        assert pins(lock)
        assert not [name for name, (_, hashes) in pins(lock).items() if not hashes]

    def test_names_no_address(self, lock: Path) -> None:
        assert "://" not in lock.read_text()
        assert not re.search(r"^\s*(-i|-f|-e|--(extra-)?index-url|--find-links|--trusted-host)", lock.read_text(), re.M)


@pytest.mark.parametrize("python", PYTHONS)
class TestTheLocksOfEachPython:
    def test_satisfy_the_project(self, python: str) -> None:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        for kind, wanted in (
            ("controller", project["dependencies"]),
            ("dev", project["dependencies"] + project["optional-dependencies"]["dev"]),
        ):
            locked = pins(ROOT / "requirements" / f"{kind}-py{python.replace('.', '')}.txt")
            for requirement in map(Requirement, wanted):
                marker = requirement.marker
                if marker and not marker.evaluate({"python_version": python, "python_full_version": f"{python}.0"}):
                    continue
                version = locked.get(canonicalize_name(requirement.name), ("",))[0]
                assert version and version in requirement.specifier, f"{kind}: {requirement}: run make lock"

    def test_agree_on_what_both_hold(self, python: str) -> None:
        folder, name = ROOT / "requirements", f"py{python.replace('.', '')}.txt"
        controller, dev = pins(folder / f"controller-{name}"), pins(folder / f"dev-{name}")
        assert {package: dev.get(package) for package in controller} == controller


def test_the_toolbox_lock_is_the_one_its_role_ships() -> None:
    lock = ROOT / "requirements" / "toolbox.txt"
    assert lock.resolve() == ROOT / "roles" / "toolbox" / "files" / "toolbox.txt"
    lines = (ROOT / "requirements" / "toolbox.in").read_text().splitlines()
    wanted = {line.strip() for line in lines if line.strip() and not line.startswith("#")}
    assert wanted == {f"{name}=={version}" for name, (version, _) in pins(lock).items()}, "run make lock"


# --- what the project's text says


def registry_hosts() -> set[str]:
    """Hosts that serve packages: pip's own defaults, and what this machine's pip and apt are set to use."""
    from pip._internal.models.index import PyPI, TestPyPI

    hosts = {PyPI.netloc, PyPI.file_storage_domain, TestPyPI.netloc, TestPyPI.file_storage_domain}
    argv = [sys.executable, "-m", "pip", "config", "list"]
    settings = subprocess.run(argv, capture_output=True, text=True, check=False).stdout
    settings += "\n".join(value for name, value in os.environ.items() if name.startswith(("PIP_", "UV_")))
    for file in [Path("/etc/apt/sources.list"), *Path("/etc/apt").glob("sources.list.d/*")]:
        if file.is_file():
            settings += file.read_text(errors="replace")
    hosts |= {urlsplit(url).hostname or "" for url in re.findall(r"https?://[^\s'\",]+", settings)}
    # Upstream's own wheel index is a fact of the catalog, not a setting of this machine.
    return {host for host in hosts if "." in host and host not in {"127.0.0.1", "download.pytorch.org"}}


def test_no_file_names_a_package_registrys_host() -> None:
    pattern = re.compile("|".join(rf"(?<![\w.-]){re.escape(host)}\b" for host in sorted(registry_hosts())))
    named = [
        f"{name_of(path)}: {found[0]}" for path in tracked_files() if (found := pattern.search(text_of(path) or ""))
    ]
    assert not named, "a mirror is a variable: name none"


def test_every_relative_link_in_the_documents_leads_somewhere() -> None:
    dead = []
    for path in tracked_files():
        if path.suffix != ".md":
            continue
        for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text_of(path) or ""):
            if not re.match(r"[a-z]+:", link) and not (path.parent / link).exists():
                dead.append(f"{name_of(path)}: {link}")
    assert not dead


def test_every_document_is_a_page_of_the_site() -> None:
    listed = set(re.findall(r"^docs/([\w-]+)$", (ROOT / "docs" / "index.md").read_text(), re.MULTILINE))
    assert {path.stem for path in (ROOT / "docs").glob("*.md")} - {"index"} == listed


def test_the_checks_before_a_commit_are_those_of_make_lint() -> None:
    target = re.search(r"^lint:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert target
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    words = [hook["entry"].removeprefix(".venv/bin/").split() for hook in hooks]
    lint = [line.split() for line in target[1].splitlines()]
    # ruff has two commands; the options may differ: a commit fixes what it can.
    assert [one[:2] if one[0] == "ruff" else one[:1] for one in words] == [
        one[:2] if one[0] == "ruff" else one[:1] for one in lint
    ]


def test_every_script_can_be_run() -> None:
    scripts = [path for path in tracked_files() if (text_of(path) or "").startswith("#!")]
    assert scripts
    # A module's shebang is replaced by Ansible; nobody runs that file.
    own = [path for path in scripts if (ROOT / "plugins") not in path.parents]
    assert not [name_of(path) for path in own if not os.access(path, os.X_OK)], "chmod +x"
    for path in own:
        if "bash" in path.read_text().splitlines()[0]:
            subprocess.run(["bash", "-n", str(path)], check=True)


# --- make's .venv


def make_venv(folder: Path, python: str, *, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run requirements/venv.sh in a copy of the checkout's requirements that asks for no package."""
    requirements = folder / "requirements"
    requirements.mkdir(exist_ok=True)
    shutil.copy2(ROOT / "requirements" / "venv.sh", requirements)
    for name in ("py311", "py312", "py313"):
        (requirements / f"controller-{name}.txt").write_text("# name==version, none here\n")
    env = {**os.environ, "PYTHON": python, "PATH": os.pathsep.join(filter(None, [str(path or ""), os.environ["PATH"]]))}
    argv = ["bash", str(requirements / "venv.sh"), "controller"]
    return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=120, check=False)


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.mark.process
class TestMakingTheVenv:
    def test_happens_once(self, tmp_path: Path) -> None:
        first, second = (make_venv(tmp_path, sys.executable) for _ in range(2))
        assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
        assert "Made .venv" in first.stderr
        assert second.stderr == ""

    def test_puts_the_command_there_which_runs_from_any_folder(self, tmp_path: Path) -> None:
        checkout = tmp_path / "a checkout"
        checkout.mkdir()
        make_venv(checkout, sys.executable)
        command = checkout / ".venv" / "bin" / "wavesmith"
        command.unlink()  # as in a .venv of before the command
        assert make_venv(checkout, sys.executable).returncode == 0
        for name in ("wavesmith", "collections"):
            (checkout / name).symlink_to(ROOT / name)
        (tmp_path / "linked").symlink_to(command)
        for path in (command, tmp_path / "linked"):
            done = subprocess.run(
                [str(path), "audit", "--help"], cwd=tmp_path, capture_output=True, text=True, check=False
            )
            assert "PATH" in done.stdout, done.stderr

    def test_is_done_again_after_an_interrupted_one(self, tmp_path: Path) -> None:
        make_venv(tmp_path, sys.executable)
        (tmp_path / ".venv" / "wavesmith-lock").unlink()
        assert "Made .venv" in make_venv(tmp_path, sys.executable).stderr

    def test_is_refused_for_an_old_python_with_the_remedy(self, tmp_path: Path) -> None:
        old = script(tmp_path / "bin" / "python3.8", "#!/bin/sh\nexit 1\n")
        done = make_venv(tmp_path, str(old))
        assert done.returncode == 1
        assert f"no Python >= 3.11 among: {old}" in done.stderr
        assert "make PYTHON=" in done.stderr

    @pytest.mark.skipif(shutil.which("apt-get") is None, reason="the remedy is another where there is no apt-get")
    def test_without_the_module_venv_and_without_root_says_the_one_command(self, tmp_path: Path) -> None:
        bare = script(
            tmp_path / "bin" / "python3",
            f'#!/bin/sh\ncase "$*" in *ensurepip*) exit 1;; esac\nexec {sys.executable} "$@"\n',
        )
        script(tmp_path / "bin" / "id", "#!/bin/sh\necho 1000\n")
        done = make_venv(tmp_path, str(bare), path=tmp_path / "bin")
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        assert done.returncode == 1
        assert f"remedy: run: sudo apt-get install -y python{version}-venv\n" in done.stderr
