"""Which inventory a command takes, what is wrong with it or with `-l`, and what it says of this machine; read before anything starts."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stderr
from functools import cache
from pathlib import Path
from typing import Any

from ansible_collections.wavesmith.provision.plugins.module_utils.terms.refusal import Refusal, suggest
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.variables import given

from wavesmith import INSTALLED, ROOT

HERE = "hosts.yml"
"""What `wavesmith init` writes: the inventory of who stands in its folder."""
LOCAL = ROOT / "inventories" / "local"
"""This machine alone."""
_READ = (".yml", ".yaml", ".json")
"""How files end that are read as YAML."""
_ANSIBLES = re.compile(r"\[WARNING\]: Failed to parse inventory with '(?:yaml|toml)' plugin: (.+)")


def named(words: Sequence[str]) -> list[str]:
    """The inventories of `-i`, of WAVESMITH_INVENTORY, else of this folder; empty where there is none of these."""
    found = list(words)
    if not found and os.environ.get("WAVESMITH_INVENTORY"):
        found = [os.environ["WAVESMITH_INVENTORY"]]
    if not found and Path(HERE).is_file():
        found = [HERE]
    return [name if "," in name else str(Path(name).expanduser().absolute()) for name in found]


def settings() -> dict[str, str]:
    """Ansible's settings, as variables: the user's file, or the project's. As a wheel it brings no inventory, and nothing is written beside it."""
    if os.environ.get("ANSIBLE_CONFIG"):
        return {"ANSIBLE_CONFIG": os.environ["ANSIBLE_CONFIG"]}
    found = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    if INSTALLED:
        collections = (
            os.environ.get("ANSIBLE_COLLECTIONS_PATH") or "~/.ansible/collections:/usr/share/ansible/collections"
        )
        found |= {
            "ANSIBLE_COLLECTIONS_PATH": f"{ROOT.parents[2]}:{collections}",
            "ANSIBLE_LOCAL_TEMP": "~/.ansible/tmp",
        }
    return found


def shown(sources: Sequence[str]) -> list[str]:
    """The inventories, those of Ansible's settings where none was named."""
    os.environ.update(settings())
    from ansible import constants

    found: list[str] = [str(name) for name in sources or constants.DEFAULT_HOST_LIST]
    return found


def unnamed(sources: Sequence[str]) -> bool:
    """Whether nobody said which inventory: none was named, and who calls stands neither in one nor in the project's folder."""
    said = sources or os.environ.get("ANSIBLE_INVENTORY") or os.environ.get("ANSIBLE_CONFIG")
    return not said and not Path.cwd().is_relative_to(ROOT)


def nobody_said() -> Refusal:
    """The refusal of a command that changes hosts, where nobody said which."""
    local = "" if INSTALLED else f" (this machine alone is -i {LOCAL})"
    remedy = f"go into its folder, or add -i PLACE{local}; wavesmith init writes one"
    return Refusal("inventory", f"none was named, and {Path.cwd()} has no {HERE}", remedy)


def check(sources: Sequence[str], limit: str | None) -> list[Refusal]:
    """What is wrong with the inventories or with `-l`, before anything is started."""
    missing = [name for name in sources if "," not in name and not Path(name).exists()]
    if missing:
        remedy = "name a file or folder that is there, or write one: wavesmith init FOLDER"
        return [Refusal(f"inventory {name}", "there is no such file or folder", remedy) for name in missing]
    places = shown(sources)
    from ansible.errors import AnsibleError
    from ansible.inventory.manager import InventoryManager, split_host_pattern
    from ansible.parsing.dataloader import DataLoader

    _load_plugins()
    said, loader = io.StringIO(), DataLoader()
    refusals = _no_yaml(loader, _files(places))
    if refusals:
        return refusals
    item = f"inventory {', '.join(places)}"
    try:
        with redirect_stderr(said):
            found = InventoryManager(loader, places)
        names = [host.name for host in found.get_hosts("all")]
        if not names:
            return [Refusal(item, "it has no hosts", f"add one to its {HERE}, or write one: wavesmith init FOLDER")]
        if limit is not None and not limit.strip():
            return [Refusal("-l", "it is empty", "name hosts or groups, or leave it out for all of the inventory")]
        patterns = [part for part in split_host_pattern(limit or "") if part and not part.startswith("@")]
        unknown = [part for part in patterns if not found.get_hosts(part.lstrip("!&"), ignore_limits=True)]
        if unknown:
            known = [*names, *(group for group in found.groups if group not in ("all", "ungrouped"))]
            return [
                Refusal(f"-l {part}", f"{item} has no such host or group", suggest(part.lstrip("!&"), known))
                for part in unknown
            ]
        if limit is not None:
            found.subset(limit)
            if not found.get_hosts("all"):
                return [Refusal(f"-l {limit}", "it leaves no host", f"the inventory has: {', '.join(names)}")]
        return _no_yaml(loader, _variables(places))
    except AnsibleError as error:
        # Ansible warns of each way that it tried; what it says of YAML is the one that helps.
        tried = _ANSIBLES.search(said.getvalue())
        problem = " ".join((tried[1] if tried else str(error)).split()).rstrip(".")
        problem = re.sub(r"\"?<class '[^']*List'>\"?( instead)?", "a list", problem)
        return [Refusal(item, problem, "correct it: ansible-inventory --graph reads it")]


def roots_here(sources: Sequence[str]) -> list[str]:
    """Wavesmith's folder on this machine, as the inventory says it: ``wavesmith_root`` of the hosts that are reached without a connection."""
    places = shown(sources)
    from ansible.errors import AnsibleError
    from ansible.inventory.manager import InventoryManager
    from ansible.parsing.dataloader import DataLoader
    from ansible.template import Templar
    from ansible.vars.manager import VariableManager

    _load_plugins()
    loader = DataLoader()
    try:
        with redirect_stderr(io.StringIO()):
            inventory = InventoryManager(loader, places)
            manager = VariableManager(loader=loader, inventory=inventory)
            found = []
            for host in inventory.get_hosts("all"):
                variables = manager.get_vars(host=host)
                if variables.get("ansible_connection") == "local" and variables.get("wavesmith_root"):
                    found.append(str(Templar(loader, variables).template(variables["wavesmith_root"])))
    except AnsibleError:
        return []  # what is wrong with it is said where hosts are asked
    return list(dict.fromkeys(str(Path(root).expanduser()) for root in found))


def hosts(sources: Sequence[str], limit: str | None = None) -> list[str]:
    """Names of the hosts, or of those of `-l`, of an inventory that can be read."""
    places = shown(sources)
    from ansible.inventory.manager import InventoryManager
    from ansible.parsing.dataloader import DataLoader

    _load_plugins()
    with redirect_stderr(io.StringIO()):
        found = InventoryManager(DataLoader(), places)
        found.subset(limit)
        return [str(host.name) for host in found.get_hosts("all")]


def files_of(extra: Sequence[str]) -> list[Refusal]:
    """A refusal for each file of variables (``-e @FILE``) that is not there or no YAML."""
    from ansible.parsing.dataloader import DataLoader

    paths = [Path(words[1:]).expanduser() for words in extra if words.startswith("@")]
    missing = [path for path in paths if not path.is_file()]
    there = iter([path.absolute() for path in paths if path not in missing])
    refusals = [Refusal(f"-e @{path}", "there is no such file", "correct its name") for path in missing]
    return [*refusals, *_no_yaml(DataLoader(), there)]


def variables_of(extra: Sequence[str], own: Mapping[str, object]) -> list[Refusal]:
    """What is wrong with the variables of a run, those of ``-e`` and the command's own, before any host is asked."""
    if not extra and not own:
        return []
    from ansible.errors import AnsibleError
    from ansible.parsing.dataloader import DataLoader
    from ansible.parsing.splitter import parse_kv

    _load_plugins()
    from ansible_collections.wavesmith.provision.plugins.plugin_utils.variables import misplaced, plain

    refusals, loader, found = files_of(extra), DataLoader(), dict[str, object]()
    for words in extra if not refusals else ():
        try:
            if words.startswith("@"):
                value = loader.load_from_file(str(Path(words[1:]).expanduser().absolute()))
            else:
                value = loader.load(words) if words[:1] in ("/", ".", "[", "{") else parse_kv(words)
        except AnsibleError as error:
            said = " ".join(str(error).split()).rstrip(".")
            return [Refusal(f"-e {words}", f"it cannot be read ({said})", "write it as -e NAME=VALUE, or as YAML")]
        found.update(plain(value) if isinstance(value, dict) else {"_raw_params": ""})
    return refusals or [*misplaced(list(found)), *given({**found, **own})]


def _files(places: Sequence[str]) -> Iterator[Path]:
    """The files of inventories that are read as YAML."""
    for path in (Path(name) for name in places if "," not in name):
        yield from (
            one
            for one in (sorted(path.iterdir()) if path.is_dir() else [path])
            if one.suffix in _READ and one.is_file()
        )


def _variables(places: Sequence[str]) -> Iterator[Path]:
    """The files of variables beside inventories."""
    folders = {Path(name) if Path(name).is_dir() else Path(name).parent for name in places if "," not in name}
    for path in sorted(path for folder in folders for path in folder.glob("*_vars/**/*") if path.is_file()):
        if path.suffix in (*_READ, "") and not path.name.startswith("."):
            yield path


def _no_yaml(loader: Any, paths: Iterator[Path]) -> list[Refusal]:
    """A refusal for each file that is no YAML, with the line."""
    import yaml
    from ansible.errors import AnsibleError

    refusals = []
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            said = (error.strerror or str(error)).lower()
            refusals.append(Refusal(str(path), f"it cannot be read ({said})", "correct its owner or its mode"))
            continue
        if text.startswith("$ANSIBLE_VAULT"):
            continue
        try:
            loader.load(text, file_name=str(path))
        except AnsibleError as error:
            cause = error.__cause__
            mark = getattr(cause, "problem_mark", None) if isinstance(cause, yaml.YAMLError) else None
            where = f"line {mark.line + 1}: " if mark is not None else ""
            said = getattr(cause, "problem", None) or str(error)
            remedy = "keep one of them" if "uplicate" in said else "correct it: it is no YAML"
            refusals.append(Refusal(str(path), f"{where}{' '.join(str(said).split()).rstrip('.')}", remedy))
    return refusals


@cache
def _load_plugins() -> None:
    """Ansible's plugins, for inventories that need one: once in a process."""
    from ansible.plugins.loader import init_plugin_loader

    # Imported before Ansible's own way to find collections takes over, which knows none that was not loaded as one.
    from ansible_collections.wavesmith.provision.plugins.plugin_utils import variables  # noqa: F401

    init_plugin_loader()
