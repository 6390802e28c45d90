"""The wanted state of one host, read from its inventory variables.

Every ``wavesmith_*`` variable has its name, type, default and meaning here and nowhere else.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_ENVIRONMENT_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


@dataclass(frozen=True)
class Refusal:
    """Why nothing will be done: the item, what is wrong with it, and the remedy."""

    item: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.item}: {self.problem}. Remedy: {self.remedy}"


@dataclass(frozen=True)
class Environment:
    """A named Python prefix a host shall have."""

    name: str
    stack: str = "auto"
    engine: str = "venv"
    packages: tuple[str, ...] = ()
    models: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wanted:
    """The wanted state of one host.

    Attributes:
        environments: What shall be there.
        root: Folder of everything on the host; empty: ``/opt/wavesmith`` with root rights, else ``~/wavesmith``.
        stack: A stack's name that is forced on every environment that says ``auto``; ``auto`` chooses.
        python: Python version for the environments (``3.12``); empty: the newest of the system that the stack knows.
        package_index: Address of the package index; empty: what the host's pip is set up for.
        keep_generations: How many generations `prune` keeps for each environment, the current one counted in.
        system_packages: Whether missing system packages are installed; with `False` they are only reported.
        probe_timeout: Seconds that a package source has to answer.
        conda_channels: Where engine ``conda`` takes packages from, in order: a channel's name, a URL, a folder of the host.
        conda_channel_alias: Address below which channels lie that are given by name; empty: the tools' own.
        conda_offline: Whether channels are never asked over the network.
        native: Where espeak-ng, ffmpeg and compilers come from, ``system`` or ``channel``.
    """

    environments: tuple[Environment, ...]
    root: str = ""
    stack: str = "auto"
    python: str = ""
    package_index: str = ""
    keep_generations: int = 3
    system_packages: bool = True
    probe_timeout: float = 3.0
    conda_channels: tuple[str, ...] = ("conda-forge",)
    conda_channel_alias: str = ""
    conda_offline: bool = False
    native: str = "system"


_TYPES: Mapping[str, tuple[type, ...]] = {
    "root": (str,),
    "stack": (str,),
    "python": (str,),
    "package_index": (str,),
    "keep_generations": (int,),
    "system_packages": (bool,),
    "probe_timeout": (float, int),
    "conda_channels": (list,),
    "conda_channel_alias": (str,),
    "conda_offline": (bool,),
    "native": (str,),
}
_KINDS = {str: "text", int: "a whole number", bool: "true or false", float: "a number", list: "a list of names"}
CONTROLLER_VARIABLES = frozenset({"locks", "artifacts", "environments", "plan", "verify_hosts", "verify_what"})
ENGINES = ("venv", "conda")
_ENVIRONMENT_KEYS = {"stack": str, "engine": str, "packages": list, "models": list}


def _from_text(value: Any, types: tuple[type, ...]) -> Any:
    """A value given as text on the command line (``-e wavesmith_keep_generations=2``) as what it means."""
    if isinstance(value, str) and str not in types:
        if int in types and re.fullmatch(r"\d{1,9}", value):
            return int(value)
        if bool in types and value.lower() in ("true", "false", "yes", "no"):
            return value.lower() in ("true", "yes")
    return value


def _kind(value: Any) -> str:
    """What a value is, in words for people."""
    for types, word in (
        (Mapping, "a mapping"),
        (str, "text"),
        (bool, "true or false"),
        ((list, tuple), "a list"),
        ((int, float), "a number"),
    ):
        if isinstance(value, types):
            return word
    return "nothing" if value is None else f"a {type(value).__name__}"


def suggest(name: str, known: Iterable[str]) -> str:
    """The remedy for an unknown name: the nearest known ones, else all of them."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if near:
        return "did you mean " + " or ".join(near) + "?"
    return "use one of: " + ", ".join(names) if names else "remove it: the catalog has none yet"


def read(variables: Mapping[str, Any]) -> tuple[Wanted, list[Refusal]]:
    """Read the wanted state from a host's variables (all of them; those without our prefix are passed over).

    Returns:
        The wanted state, with defaults for whatever was unusable, and a refusal for each such variable.
    """
    refusals: list[Refusal] = []
    values: dict[str, Any] = {}
    ours = {key[len("wavesmith_") :]: value for key, value in variables.items() if key.startswith("wavesmith_")}
    for key, value in ours.items():
        if key in CONTROLLER_VARIABLES:
            continue
        types = _TYPES.get(key)
        value = _from_text(value, types or ())
        if types is None:
            refusals.append(
                Refusal(
                    f"variable wavesmith_{key}",
                    "there is no such variable",
                    suggest(f"wavesmith_{key}", [f"wavesmith_{name}" for name in [*_TYPES, "environments", "locks"]]),
                )
            )
        elif not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            refusals.append(
                Refusal(
                    f"variable wavesmith_{key}",
                    f"it is {value!r}, but must be {_KINDS[types[0]]}",
                    "correct it in the inventory (see docs/variables.md)",
                )
            )
        else:
            values[key] = value
    if values.get("keep_generations", 1) < 1:
        refusals.append(
            Refusal("variable wavesmith_keep_generations", "it must be 1 or more", "keep at least the current one")
        )
        del values["keep_generations"]
    root = values.get("root", "")
    if root and (
        not root.startswith("/") or root.rstrip("/") in ("", "/usr", "/etc", "/bin", "/home", "/root", "/var", "/opt")
    ):
        refusals.append(
            Refusal(
                "variable wavesmith_root",
                f"{root!r} is not a folder of our own",
                "give an absolute path such as /opt/wavesmith",
            )
        )
        del values["root"]
    elif not re.fullmatch(r"[\w/.+@-]*", root):
        # The path stands in scripts and in their first lines, where neither spaces nor quotes can be.
        problem = f"{root!r} is not a folder of our own: it holds characters that scripts cannot name"
        refusals.append(Refusal("variable wavesmith_root", problem, "use letters, digits and / . _ + @ - only"))
        del values["root"]
    if not values.get("probe_timeout", 1) > 0:
        refusals.append(
            Refusal("variable wavesmith_probe_timeout", "it must be more than 0", "give seconds, such as 3")
        )
        del values["probe_timeout"]
    python = values.get("python", "")
    if python and not re.fullmatch(r"3\.\d{1,2}", python):
        refusals.append(
            Refusal("variable wavesmith_python", f"{python!r} is not a Python version", 'write it as text: "3.12"')
        )
        del values["python"]
    if not all(isinstance(entry, str) and entry.strip("/") for entry in values.get("conda_channels", ())):
        problem = f"it is {values.pop('conda_channels')!r}, but must be a list of names, URLs or folders"
        refusals.append(Refusal("variable wavesmith_conda_channels", problem, "name one, such as conda-forge"))
    values["conda_channels"] = tuple(values.get("conda_channels", Wanted.conda_channels))
    if values.get("native", "system") not in ("system", "channel"):
        problem = f"it is {values.pop('native')!r}, but one environment takes all native software from one place"
        refusals.append(Refusal("variable wavesmith_native", problem, "say system or channel"))
    environments, problems = _environments(ours.get("environments", {}))
    return Wanted(environments=environments, **values), refusals + problems


def _environments(data: Any) -> tuple[tuple[Environment, ...], list[Refusal]]:
    if not isinstance(data, Mapping):
        problem = f"it is {_kind(data)}, but must map each environment's name to its settings"
        return (), [Refusal("variable wavesmith_environments", problem, "see docs/variables.md for an example")]
    found: list[Environment] = []
    refusals: list[Refusal] = []
    for name, settings in sorted(data.items(), key=lambda item: str(item[0])):
        item = f"environment {name}"
        if not isinstance(name, str) or not _ENVIRONMENT_NAME.fullmatch(name):
            refusals.append(Refusal(item, "its name is not usable as a folder", "use lower-case letters, digits and _"))
            continue
        if not isinstance(settings, Mapping):
            refusals.append(
                Refusal(item, f"its settings are {settings!r}, not a mapping", "see docs/variables.md for an example")
            )
            continue
        good = True
        for key, value in settings.items():
            kind = _ENVIRONMENT_KEYS.get(key)
            if kind is None:
                refusals.append(Refusal(item, f"it has no setting {key!r}", suggest(str(key), _ENVIRONMENT_KEYS)))
            elif not isinstance(value, kind) or (kind is list and not all(isinstance(entry, str) for entry in value)):
                expected = "text" if kind is str else "a list of names"
                refusals.append(
                    Refusal(item, f"{key} is {value!r}, but must be {expected}", "correct it in the inventory")
                )
            else:
                continue
            good = False
        if settings.get("engine", "venv") not in ENGINES and good:
            refusals.append(
                Refusal(item, f"engine {settings['engine']!r} is not known", suggest(settings["engine"], ENGINES))
            )
            good = False
        if good:
            found.append(
                Environment(
                    name=name,
                    stack=settings.get("stack", "auto"),
                    engine=settings.get("engine", "venv"),
                    packages=tuple(dict.fromkeys(settings.get("packages", ()))),
                    models=tuple(dict.fromkeys(settings.get("models", ()))),
                )
            )
    return tuple(found), refusals
