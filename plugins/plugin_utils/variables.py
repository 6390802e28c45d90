"""A host's ``wavesmith_*`` variables as the controller sees them: plain values, and what is wrong with them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from ansible import constants
from ansible.utils.vars import load_extra_vars
from ansible_collections.wavesmith.provision.plugins.module_utils.plan.lockfile import SUFFIX
from ansible_collections.wavesmith.provision.plugins.module_utils.terms.refusal import Refusal, suggest
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.expectation import ITEM
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.variables import Wanted, read, unknown
from ansible_collections.wavesmith.provision.plugins.plugin_utils.catalog_files import COLLECTION
from ansible_collections.wavesmith.provision.plugins.plugin_utils.interface import Variables

_SCHEMES = ("http://", "https://", "file://")
"""How the address of a bundle begins."""


def settings(variables: Variables, loader: Any) -> tuple[Wanted, list[Refusal]]:
    """The wanted state of a host from its variables (see `ours`), and a refusal for each that is wrong or that nothing reads."""
    wanted, refusals = read(variables, os.environ)
    refusals = [*_outranked(loader), *refusals]
    return wanted, [*misplaced([str(name) for name in load_extra_vars(loader)]), *refusals]


def misplaced(names: Sequence[str]) -> list[Refusal]:
    """A refusal for each name given to a run (``-e``) that nothing reads, or that no run may set."""
    problems = unknown(names, ()) and unknown(names, _role_variables())
    if "wavesmith_expect" in names:
        why = "it was given with -e, so it would hold for every host of the run, this machine included"
        problems.append(Refusal(ITEM, why, "set it in the group_vars of the group that it is about"))
    return problems


def _outranked(loader: Any) -> list[Refusal]:
    """A refusal where the project's own ``group_vars`` are loaded, but not below the inventory's: its ``ansible.cfg`` is not in use."""
    beside = Path(loader.get_basedir(), "group_vars").resolve()
    order = list(constants.VARIABLE_PRECEDENCE)
    own = (COLLECTION / "playbooks" / "group_vars").resolve()
    if beside != own or not own.is_dir() or order.index("groups_plugins_play") < order.index("all_inventory"):
        return []
    problem = f"{COLLECTION / 'ansible.cfg'} is not in use, so {beside} would outrank your inventory"
    return [
        Refusal(
            "Ansible's settings", problem, f"export ANSIBLE_CONFIG={COLLECTION / 'ansible.cfg'}, or run in {COLLECTION}"
        )
    ]


def _role_variables() -> list[str]:
    """Names of the roles' own variables."""
    files = sorted((COLLECTION / "roles").glob("*/defaults/main.yml"))
    return [
        line.partition(":")[0]
        for file in files
        for line in file.read_text(encoding="utf-8").splitlines()
        if line[:1].islower()
    ]


def plain(value: Any) -> Any:
    """A value without what Ansible hangs on it (the file and line it is from): text that `json`, `re` and `pathlib` take."""
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return int.__index__(value)
    return float.__float__(value) if isinstance(value, float) else value


def ours(variables: Variables, templar: Any) -> Variables:
    """A host's ``wavesmith_*`` variables as values, and where its inventory is; a bundle stands for what it holds."""
    found = {key: plain(templar.template(value)) for key, value in variables.items() if key.startswith("wavesmith_")}
    bundle = found.get("wavesmith_bundle")
    if isinstance(bundle, str) and bundle.startswith(("/", "~/")):
        bundle = found["wavesmith_bundle"] = Path(bundle).expanduser().as_uri()
    return {
        **(from_bundle(bundle) if isinstance(bundle, str) and bundle.startswith(_SCHEMES) else {}),
        **found,
        "inventory_dir": plain(variables.get("inventory_dir")),
    }


def from_bundle(bundle: str) -> dict[str, str]:
    """The variables that an offline bundle, given by its address, stands for, unless they are set."""
    url = bundle.rstrip("/")
    found = {"wavesmith_package_index": f"{url}/index/simple", "wavesmith_wheelhouse": f"{url}/wheelhouse"}
    if url.startswith("file://"):
        found["wavesmith_locks"] = unquote(urlsplit(url).path) + "/locks"
    return found


def default_index() -> str:
    """pip's default package index, from pip itself; empty where the controller has no pip."""
    try:
        from pip._internal.models.index import PyPI
    except ImportError:
        return ""
    return str(PyPI.simple_url)


def locks_folder(variables: Variables) -> Path:
    """Where locks are kept: ``wavesmith_locks``, else ``locks/`` beside the host's inventory."""
    if variables.get("wavesmith_locks"):
        return Path(variables["wavesmith_locks"]).expanduser()
    inventory = variables.get("inventory_dir")
    return Path(inventory) / "locks" if inventory else Path.cwd() / "locks"


def read_locks(variables: Variables) -> dict[str, str]:
    """The text of every lock at hand by its key, and of the inspection beside it by the key with `inspection.SUFFIX`."""
    folder = locks_folder(variables)
    files = [*sorted(folder.glob("*.txt")), *sorted(folder.glob(f"*{SUFFIX}.json"))]
    # Bytes that are not text are reported with their line where the lock is used.
    return {path.stem: path.read_text(encoding="utf-8", errors="replace") for path in files}


def cannot_keep(folder: Path) -> list[Refusal]:
    """A refusal where no lock can be written to a folder; nothing is made to find that out."""
    place = folder.absolute()
    while not os.path.lexists(place):
        place = place.parent
    try:
        check_writable(place)
    except OSError as error:
        remedy = "name another folder in wavesmith_locks, or change its owner"
        problem = f"a lock has to be written, but {place} cannot be written to ({_said(error)})"
        return [Refusal(f"locks {folder}", problem, remedy)]
    return []


def check_writable(folder: Path) -> None:
    """Raise OSError where no file can be made in a folder. Not by its mode: root passes that, and a read-only file system does not."""
    with tempfile.TemporaryFile(dir=folder):
        pass


def _said(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def unusable(variables: Variables, error: OSError) -> Refusal:
    """A refusal for a file of the controller that cannot be read or written."""
    path, said = str(error.filename or ""), _said(error)
    for name, folder in (("locks", locks_folder(variables)), ("artifacts", artifacts_folder(variables))):
        if path.startswith(str(folder)) or str(folder.absolute()).startswith(path):
            remedy = f"name another folder in wavesmith_{name}, or change its owner"
            return Refusal(f"{name} {folder}", f"{path} cannot be used ({said})", remedy)
    return Refusal(f"file {path}", f"it cannot be used ({said})", "change its owner")


def strangers(variables: Variables) -> list[str]:
    """Warnings for files of ``group_vars/`` and ``host_vars/`` beside the inventory whose group or host is not in it: nothing reads them."""
    groups = variables.get("groups") or {}
    known = {"group": [*groups, "all", "ungrouped"], "host": list(groups.get("all", ()))}
    found = []
    for kind, names in known.items():
        folder = Path(str(plain(variables.get("inventory_dir")) or "."), f"{kind}_vars")
        for path in sorted(folder.glob("*")) if folder.is_dir() else ():
            name = path.name.removesuffix(path.suffix) if path.suffix in (".yml", ".yaml", ".json") else path.name
            if name not in names and not name.startswith("."):
                found.append(f"{path} belongs to no {kind} of the inventory. Remedy: {suggest(name, names)}")
    return found


def overlay_folder(variables: Variables) -> Path | None:
    """Recipes and stacks of one's own: ``wavesmith_catalog``, seen from the inventory."""
    named = variables.get("wavesmith_catalog")
    return Path(variables.get("inventory_dir") or ".", Path(str(named)).expanduser()) if named else None


def artifacts_folder(variables: Variables) -> Path:
    """Where plans and reports are kept: ``wavesmith_artifacts``, else ``artifacts/`` in the working directory."""
    return Path(variables.get("wavesmith_artifacts") or "artifacts").expanduser().absolute()
