"""The rooms of the core: each file lies in one that the documents name, none imports upwards, and what is pure does no I/O."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "plugins" / "module_utils"
PACKAGE = "ansible_collections.wavesmith.provision.plugins.module_utils"
DOCUMENT = ROOT / "docs" / "architecture.md"
FILES = sorted(path for path in CORE.rglob("*.py") if "__pycache__" not in path.parts)

# Modules whose use is I/O, a clock, chance, or other processes, whatever is called in them.
WORLDLY = frozenset(
    [
        "asyncio",
        "ctypes",
        "fcntl",
        "getpass",
        "glob",
        "http.client",
        "importlib",
        "multiprocessing",
        "pathlib.Path",
        "pkgutil",
        "pty",
        "pwd",
        "random",
        "runpy",
        "secrets",
        "select",
        "shutil",
        "socket",
        "sqlite3",
        "ssl",
        "subprocess",
        "sys.stdin",
        "sys.stdout",
        "tarfile",
        "tempfile",
        "threading",
        "time",
        "urllib.request",
        "uuid",
        "zipfile",
    ]
)
# What of `os` is a function of its arguments.
PURE_OS = frozenset(["fspath", "fsdecode", "fsencode", "sep", "linesep", "PathLike", "stat_result"])
PURE_PATH = frozenset(["basename", "commonpath", "dirname", "isabs", "join", "normpath", "sep", "split", "splitext"])
# Methods that no value of ours has but a path or an open file.
WORLDLY_METHODS = frozenset(
    [
        "read_text",
        "read_bytes",
        "write_text",
        "write_bytes",
        "iterdir",
        "rglob",
        "mkdir",
        "unlink",
        "touch",
        "lstat",
        "is_file",
        "is_dir",
        "is_symlink",
        "readlink",
        "symlink_to",
    ]
)


def rooms() -> list[str]:
    """The rooms in their order, from the document: a line for each, the lowest first."""
    block = re.search(r"```text\nplugins/module_utils/\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert block, "docs/architecture.md lists the rooms of plugins/module_utils"
    return re.findall(r"^    (\w+)/ ", block[1], re.MULTILINE)


def name_of(path: Path) -> str:
    return str(path.relative_to(CORE))


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(CORE).with_suffix("").parts)


def imports(tree: ast.AST, path: Path) -> Iterator[str]:
    """The files of the core that a file imports, as ``plan.recipe`` (a package: ``plan``)."""
    here = path.relative_to(CORE).parent.parts
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = [*here[: len(here) - node.level + 1], *(node.module.split(".") if node.module else [])]
            for alias in node.names:
                inner = CORE.joinpath(*base, f"{alias.name}.py")
                yield ".".join([*base, alias.name] if inner.is_file() or not base else base)


def worldly(tree: ast.AST) -> Iterator[str]:
    """What in a file reads or changes anything but its arguments."""
    modules: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules.update(
                {alias.asname or alias.name.split(".")[0]: alias.asname or alias.name for alias in node.names}
            )
            yield from (f"import {alias.name}" for alias in node.names if alias.name in WORLDLY)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                if node.module in WORLDLY or f"{node.module}.{alias.name}" in WORLDLY:
                    yield f"from {node.module} import {alias.name}"
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("open", "input", "print")
        ):
            yield f"{node.func.id}()"
        if isinstance(node, ast.Attribute):
            if node.attr in WORLDLY_METHODS:
                yield f".{node.attr}"
            owner = ast.unparse(node.value)
            if (owner == "os" and node.attr not in PURE_OS | {"path"}) or (
                owner == "os.path" and node.attr not in PURE_PATH
            ):
                yield f"{owner}.{node.attr}"
            if f"{owner}.{node.attr}" in WORLDLY:
                yield f"{owner}.{node.attr}"


def touching(room: str) -> tuple[str, ...]:
    found: tuple[str, ...] = import_module(f"{PACKAGE}.{room}").TOUCHES_THE_WORLD
    return found


def test_every_file_of_the_core_lies_in_a_room_that_the_document_names() -> None:
    assert {path.relative_to(CORE).parts[0] for path in FILES} == set(rooms())
    assert all(len(path.relative_to(CORE).parts) > 1 for path in FILES)


@pytest.mark.parametrize("room", rooms())
def test_a_room_says_what_comes_in_what_goes_out_and_who_asks(room: str) -> None:
    said = ast.get_docstring(ast.parse((CORE / room / "__init__.py").read_text())) or ""
    assert all(word in said for word in ("In: ", "Out: ", "Asked by "))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_room_imports_upwards(path: Path) -> None:
    order = rooms()
    mine = order.index(path.relative_to(CORE).parts[0])
    above = [name for name in imports(ast.parse(path.read_text()), path) if order.index(name.split(".")[0]) > mine]
    assert not above, f"{name_of(path)} may import only from {', '.join(order[: mine + 1])}"


def touched() -> dict[str, str]:
    """The files that do I/O or import one that does, as ``host.job``, each with how it is known."""
    found = {dotted(path): calls[0] for path in FILES if (calls := list(worldly(ast.parse(path.read_text()))))}
    while True:
        more = {
            dotted(path): f"imports {name}"
            for path in FILES
            if dotted(path) not in found and path.stem != "__init__"
            for name in imports(ast.parse(path.read_text()), path)
            if name in found
        }
        if not more:
            return found
        found |= more


@pytest.mark.parametrize("room", rooms())
def test_the_files_that_do_io_are_those_that_the_room_names(room: str) -> None:
    found = {name.split(".")[1]: why for name, why in touched().items() if name.split(".")[0] == room}
    assert set(found) == set(touching(room)), found


OPEN = {
    "plugins/plugin_utils/interface.py": "variables, arguments and results of tasks, which Ansible hands over",
    "plugins/module_utils/host/module.py": "the options of modules, as AnsibleModule takes them",
    "plugins/module_utils/terms/kinds.py": "files as they were parsed",
    "plugins/module_utils/wanted/variables.py": "an inventory's variables while they are checked",
    "plugins/module_utils/records/shape.py": "JSON schemas, which are data without a record",
}
"""The only files that may say that a mapping has any keys and values, and why; what passes a door is a record."""


def test_mappings_of_anything_are_only_where_the_list_says() -> None:
    pattern = re.compile(r"(?:dict|Dict|Mapping|MutableMapping)\[str, (?:dict\[str, )?Any\b")
    files = [path for folder in ("plugins", "wavesmith") for path in (ROOT / folder).rglob("*.py")]
    found = {str(path.relative_to(ROOT)) for path in files if pattern.search(path.read_text())}
    assert found == set(OPEN)


def test_io_is_found_however_it_is_written() -> None:
    for source in (
        "open('x')",
        "import os\nos.listdir('.')",
        "p.read_text()",
        "import time",
        "from urllib.request import urlopen",
    ):
        assert list(worldly(ast.parse(source))), source
    assert not list(worldly(ast.parse("import os\nos.path.join('a', 'b')\nx.split()")))
