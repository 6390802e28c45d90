"""The wanted state of one host, read from its inventory variables.

Every ``wavesmith_*`` variable has its name, type and default here and nowhere else; docs/variables.md explains each.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..terms.kinds import Parsed, kind_of
from ..terms.refusal import Refusal, suggest
from .catalog import INDEX, SOURCE, WHEELHOUSE
from .expectation import Expectation, read_expectation

_ENVIRONMENT_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


@dataclass(frozen=True)
class Environment:
    """A named Python prefix that a host should have."""

    name: str
    stack: str = "auto"
    engine: str = "venv"
    packages: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    services: Mapping[str, int] = field(default_factory=dict)
    """Models that are run as services, each with its port on the loopback."""
    projects: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wanted:
    """The wanted state of one host.

    Attributes:
        environments: What should be there.
        root: Folder of everything on the host; empty: ``/opt/wavesmith`` with root rights, else ``~/wavesmith``.
        stack: A stack's name that is forced on every environment that says ``auto``; ``auto`` chooses.
        forced_by: The variable of the run's own surroundings that names the stack; it goes before the inventory. Empty: none does.
        policy: Where packages with CUDA code may come from, best first: ``source``, ``wheelhouse``, ``index``.
        python: Python version for the environments (``3.12``); empty: the newest of the system that the stack knows.
        package_index: Address of the package index; empty: what the host's pip is set up for.
        keep_generations: How many generations `prune` keeps for each environment, the current one counted in.
        links: Whether the files of a generation are its own: ``auto`` (where it costs nothing, and always for every second one), ``copy``,
            or ``hardlink`` (never).
        keep_wheels: How many wheels of each package and variant that no generation needs `wheelhouse_prune` keeps.
        system_packages: Whether missing system packages are installed; with `False` they are only reported.
        apt_proxy: Address of a proxy that the apt run takes packages through; empty: what the host is set up for.
        probe_timeout: Seconds that a command of the host has to answer.
        download_timeout: Seconds that a server may say nothing during a download before it is asked again.
        source_timeout: Seconds in which a package source is asked, again and again, until it answers.
        conda_channels: Where engine ``conda`` takes packages from, in order: a channel's name, a URL, a folder of the host.
        conda_channel_alias: Address below which channels lie that are given by name; empty: conda's own.
        conda_offline: Whether channels are never asked over the network.
        native: Where espeak-ng, ffmpeg and compilers come from, ``system`` or ``channel``.
        projects: Projects of one's own by name, as ``catalog/schema/project.json`` has them.
        repair: Environments that get a new generation though nothing is seen to be wrong with them.
        remove: What the playbook `remove` removes; empty for all that is no longer wanted.
        rollback: Environments that the playbook `rollback` switches back, each with the generation to go to (empty: the one before);
            none named: all of them.
        upgrade: Packages whose newest releases the playbook `lock` takes; ``*`` for all.
        ccache_remote: Remote storage of ccache, as its ``CCACHE_REMOTE_STORAGE``; used by builds on hosts that have ccache.
        wheelhouse: Where wheels built from source are shared: a folder of the controller, a ``file://`` folder that the controller
            and the hosts see, or a http(s) address. Empty: a folder among the controller's artifacts.
        hub: Address of the model hub that weights come from.
        hub_token: What opens gated repositories there; never shown and never kept.
        weights_mirrors: Addresses below which weights lie by their sha256; they are asked before the hub.
        git_mirrors: Addresses of repositories, with ``{owner}`` and ``{name}``, and of a bundle's packs, with ``{commit}``; they are asked before a
            repository's own.
        bundle: Address of an offline bundle; ``file://`` for a folder, the same on the controller and the hosts.
        expect: What the host is, as its group says.
    """

    environments: tuple[Environment, ...]
    root: str = ""
    stack: str = "auto"
    forced_by: str = ""
    policy: tuple[str, ...] = (WHEELHOUSE, INDEX, SOURCE)
    python: str = ""
    package_index: str = ""
    keep_generations: int = 3
    links: str = "auto"
    keep_wheels: int = 2
    system_packages: bool = True
    apt_proxy: str = ""
    probe_timeout: float = 3.0
    source_timeout: float = 10.0
    download_timeout: float = 20.0
    conda_channels: tuple[str, ...] = ("conda-forge",)
    conda_channel_alias: str = ""
    conda_offline: bool = False
    native: str = "system"
    projects: Mapping[str, Parsed] = field(default_factory=dict)
    repair: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    rollback: Mapping[str, str] = field(default_factory=dict)
    upgrade: tuple[str, ...] = ()
    ccache_remote: str = ""
    wheelhouse: str = ""
    hub: str = "https://huggingface.co"
    hub_token: str = field(default="", repr=False)
    weights_mirrors: tuple[str, ...] = ()
    git_mirrors: tuple[str, ...] = ()
    bundle: str = ""
    expect: Expectation = field(default_factory=Expectation)


@dataclass(frozen=True)
class Variable:
    """A variable that a user sets; its full name begins with ``wavesmith_``.

    Attributes:
        types: What it may be; the first one is named in messages.
        playbook: The playbook that it is for; empty: it is part of the wanted state, or of where that is kept.
        secret: Whether its value is never shown.
    """

    types: tuple[type, ...]
    playbook: str = ""
    secret: bool = False


VARIABLES: Mapping[str, Variable] = {
    # the wanted state of a host
    "environments": Variable((dict,)),
    "root": Variable((str,)),
    "stack": Variable((str,)),
    "policy": Variable((list,)),
    "python": Variable((str,)),
    "package_index": Variable((str,)),
    "keep_generations": Variable((int,)),
    "links": Variable((str,)),
    "keep_wheels": Variable((int,)),
    "system_packages": Variable((bool,)),
    "apt_proxy": Variable((str,)),
    "probe_timeout": Variable((float, int)),
    "source_timeout": Variable((float, int)),
    "download_timeout": Variable((float, int)),
    "wheelhouse": Variable((str,)),
    "bundle": Variable((str,)),
    "conda_channels": Variable((list,)),
    "conda_channel_alias": Variable((str,)),
    "conda_offline": Variable((bool,)),
    "native": Variable((str,)),
    "projects": Variable((dict,)),
    "ccache_remote": Variable((str,)),
    "hub": Variable((str,)),
    "hub_token": Variable((str,), secret=True),
    "weights_mirrors": Variable((list,)),
    "git_mirrors": Variable((list,)),
    "expect": Variable((dict,)),
    # where the controller keeps things
    "locks": Variable((str,)),
    "artifacts": Variable((str,)),
    "catalog": Variable((str,)),
    "explain": Variable((bool,)),
    # for one run only
    "repair": Variable((list,), "repair"),
    "remove": Variable((list,), "remove"),
    "rollback": Variable((dict, list), "rollback"),
    "run": Variable((list,), "run"),
    "upgrade": Variable((list,), "lock"),
    "logs_job": Variable((str,), "logs"),
    "logs_lines": Variable((int,), "logs"),
    "audit_paths": Variable((list,), "audit"),
    "audit_sm": Variable((list,), "audit"),
    "audit_machine": Variable((str,), "audit"),
    "waves": Variable((list, str), "reprovision"),
    "failure_budget": Variable((int,), "reprovision"),
    "export_complete": Variable((bool,), "export"),
    "bundle_sources": Variable((bool,), "bundle"),
    "bundle_folder": Variable((str,), "bundle"),
    "matrix_package": Variable((str,), "matrix"),
    "matrix_python": Variable((str,), "matrix"),
    "matrix_cuda": Variable((str,), "matrix"),
    "matrix_file": Variable((str,), "matrix"),
    "performance": Variable((bool,), "verify"),
    "verify_full": Variable((bool,), "verify"),
    "report_evidence": Variable((bool,), "report"),
}
"""Every variable that a user sets."""
OWN_VARIABLES = frozenset({"plan", "pruned", "removed", "settings", "verify_hosts", "verify_what", "one_of_many"})
"""What the playbooks tell each other."""
OTHERS = ("ansible_", "awx_", "tower_", "semaphore_")
"""How the names of variables begin that others give to every run."""
_KINDS = {
    str: "text",
    int: "a whole number",
    bool: "true or false",
    float: "a number",
    dict: "a mapping",
    list: "a list",
}
_BOUNDS = {
    "keep_generations": (1, None, "keep at least the current one"),
    "keep_wheels": (0, None, "0 keeps only what is needed"),
    "logs_lines": (0, None, "give lines, such as 25"),
    "failure_budget": (0, 100, "give percent of a wave, such as 10"),
}
"""The least and the most that a number may be, and what to do about another one."""
_OF_INVENTORY = ("wavesmith_repair", "wavesmith_rollback")
"""Variables that name environments: the inventory says which there are."""
LINKS = ("auto", "copy", "hardlink")
ENGINES = ("venv", "conda")
_ENVIRONMENT_KEYS = {
    "stack": str,
    "engine": str,
    "packages": list,
    "models": list,
    "services": dict,
    "projects": list,
}
_PORTS = range(1024, 65536)


def _from_text(value: Any, types: tuple[type, ...]) -> Any:
    """A value given as text on the command line (``-e wavesmith_keep_generations=2``) as what it means."""
    if isinstance(value, str) and str not in types:
        if (int in types or float in types) and re.fullmatch(r"-?\d{1,9}", value):
            return int(value)
        if float in types and re.fullmatch(r"-?\d{1,9}\.\d{1,9}", value):
            return float(value)
        if bool in types and value.lower() in ("true", "false", "yes", "no"):
            return value.lower() in ("true", "yes")
        if list in types:
            return [word.strip() for word in value.split(",") if word.strip()]
    return value


def _as_text(key: str, value: Any) -> str:
    """How a value that must be text is written."""
    if isinstance(value, float) and str(value) == "3.1":
        return f'write it as text: wavesmith_{key}: "3.10" (without quotes, YAML reads 3.10 as the number 3.1)'
    scalar = not isinstance(value, (dict, list, tuple)) and value is not None
    return (
        f'write it as text: wavesmith_{key}: "{value}"' if scalar and not VARIABLES[key].secret else "write it as text"
    )


def unknown(names: Iterable[str], allowed: Iterable[str]) -> list[Refusal]:
    """Refusals for names given to a run (``-e``) that nothing here reads.

    Args:
        names: Names of the run's extra variables.
        allowed: Names of the roles' own variables.
    """
    known = {f"wavesmith_{name}" for name in (*VARIABLES, *OWN_VARIABLES)}
    roles = set(allowed)
    found = []
    for name in sorted(set(names) - known - roles):
        # A misspelt name of ours is refused by `read`, wherever it was set.
        if name.startswith(("wavesmith_", *OTHERS)):
            continue
        near = [known for known in VARIABLES if f"{name}_".startswith(f"{known}_")]
        whole = [f"wavesmith_{known}" for known in VARIABLES]
        near = near or [
            match.removeprefix("wavesmith_") for match in difflib.get_close_matches(name, whole, n=1, cutoff=0.9)
        ]
        near = near or difflib.get_close_matches(name, VARIABLES, n=1, cutoff=0.5)
        near = near or difflib.get_close_matches(name, roles, n=1, cutoff=0.8)
        meant = f"did you mean {'wavesmith_' if near[0] in VARIABLES else ''}{near[0]}? " if near else ""
        remedy = (
            f"{meant}docs/variables.md lists all; a variable that only your inventory uses belongs in the inventory"
        )
        if name == "_raw_params":  # what Ansible makes of words without a value
            found.append(Refusal("-e", "it is not NAME=VALUE", "write it as -e NAME=VALUE, or name a file: -e @FILE"))
            continue
        found.append(Refusal(f"variable {name}", "it was given with -e, and nothing reads it", remedy))
    return found


def read(variables: Parsed, environ: Mapping[str, str] | None = None) -> tuple[Wanted, list[Refusal]]:
    """Read the wanted state from a host's variables (all of them; those without our prefix are passed over).

    Args:
        variables: The host's variables.
        environ: Environment variables of the run, which can force a stack.

    Returns:
        The wanted state, with defaults for whatever was unusable, and a refusal for each such variable.
    """
    refusals: list[Refusal] = []
    values: dict[str, Any] = {}
    ours = {key[len("wavesmith_") :]: value for key, value in variables.items() if key.startswith("wavesmith_")}
    for key, value in ours.items():
        if key in OWN_VARIABLES:
            continue
        if key not in VARIABLES:
            remedy = suggest(f"wavesmith_{key}", [f"wavesmith_{name}" for name in VARIABLES])
            refusals.append(Refusal(f"variable wavesmith_{key}", "there is no such variable", remedy))
            continue
        if key == "environments":
            continue  # read below
        types = VARIABLES[key].types
        value = _from_text(value, types)
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            refusals.append(
                Refusal(
                    f"variable wavesmith_{key}",
                    f"it is {'a secret of another kind' if VARIABLES[key].secret else repr(value)}, but must be {_KINDS[types[0]]}",
                    _as_text(key, value) if types[0] is str else "correct it in the inventory (see docs/variables.md)",
                )
            )
        else:
            values[key] = value
    for name, (least, most, remedy) in _BOUNDS.items():
        value = values.get(name, least)
        if value < least or (most is not None and value > most):
            problem = f"it is {values.pop(name)}, but must be {least} or more" + (f", {most} at most" if most else "")
            refusals.append(Refusal(f"variable wavesmith_{name}", problem, remedy))
    refusals += _waves(values.get("waves", [1]))
    root = values.get("root", "")
    if root and (
        not root.startswith("/") or root.rstrip("/") in ("", "/usr", "/etc", "/bin", "/home", "/root", "/var", "/opt")
    ):
        refusals.append(
            Refusal(
                "variable wavesmith_root",
                f"{root!r} is not usable as Wavesmith's folder",
                "give an absolute path such as /opt/wavesmith",
            )
        )
        del values["root"]
    elif not re.fullmatch(r"[\w/.+@-]*", root):
        # The path stands in scripts and in their first lines, where neither spaces nor quotes can be.
        problem = f"{root!r} is not usable as Wavesmith's folder: it contains characters that scripts cannot use"
        refusals.append(Refusal("variable wavesmith_root", problem, "use letters, digits and / . _ + @ - only"))
        del values["root"]
    for name in ("probe_timeout", "source_timeout", "download_timeout"):
        if not 0 < values.get(name, 1) < float("inf"):
            problem = f"it is {values.pop(name)}, but must be more than 0"
            refusals.append(Refusal(f"variable wavesmith_{name}", problem, "give seconds, such as 10"))
    for name in ("wheelhouse", "bundle"):
        place = values.get(name, "")
        if place and not re.match(r"(https?://[^/]|file:///|/|~/)", place):
            problem = f"{place!r} is neither an absolute folder nor an address"
            remedy = "give a folder such as /srv/wheels, or an address that begins with http://, https:// or file:///"
            refusals.append(Refusal(f"variable wavesmith_{name}", problem, remedy))
            del values[name]
    refusals += [*_hub(values, environ or {}), *_git_mirrors(values)]
    proxy = values.get("apt_proxy", "")
    if proxy and not re.fullmatch(r"https?://[^/\s]+/?", proxy):
        problem = f"{proxy!r} is not the address of a proxy"
        refusals.append(Refusal("variable wavesmith_apt_proxy", problem, "write it as http://cache01:3142"))
        del values["apt_proxy"]
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
        problem = f"it is {values.pop('native')!r}, but must be system or channel: an environment takes all native software from one of them"
        refusals.append(Refusal("variable wavesmith_native", problem, "use system or channel"))
    if values.get("links", "auto") not in LINKS:
        problem = f"it is {values['links']!r}, but must be {', '.join(LINKS[:-1])} or {LINKS[-1]}"
        refusals.append(Refusal("variable wavesmith_links", problem, suggest(values.pop("links"), LINKS)))
    if "policy" in values:
        values["policy"], problems = _policy(values["policy"])
        refusals += problems
    if "expect" in values:
        values["expect"], problems = read_expectation(values["expect"])
        refusals += problems
    forced, problems = _forced(environ or {}, values.get("stack", "auto"))
    environments, more = _environments(ours.get("environments", {}))
    names = [environment.name for environment in environments]
    values["repair"] = tuple(values.get("repair", ()))
    values["remove"] = tuple(map(str, values.get("remove", ())))
    values["upgrade"] = tuple(values.get("upgrade", ()))
    chosen = values.get("rollback", {})
    values["rollback"] = dict(chosen) if isinstance(chosen, Mapping) else dict.fromkeys(chosen, "")
    for variable in ("repair", "rollback"):
        missing = [name for name in values[variable] if name not in names]
        if missing:
            problem = f"there is no environment {missing[0]!r} here"
            refusals.append(Refusal(f"variable wavesmith_{variable}", problem, suggest(str(missing[0]), names)))
    for name, generation in values["rollback"].items():
        if not isinstance(generation, str):
            problem = f"the generation of {name} is {kind_of(generation)}, but must be text"
            remedy = "name a folder below envs/, or leave it out for the generation before"
            refusals.append(Refusal("variable wavesmith_rollback", problem, remedy))
    kept = {key: value for key, value in values.items() if key in Wanted.__dataclass_fields__}
    return Wanted(environments=environments, **{**kept, **forced}), [*refusals, *problems, *more]


def given(variables: Parsed) -> list[Refusal]:
    """What is wrong with variables that are given to a run, whatever the inventory says; a template's value is not known yet."""
    known = {key: value for key, value in variables.items() if key not in _OF_INVENTORY and "{{" not in str(value)}
    return read(known)[1]


def _waves(waves: Any) -> list[Refusal]:
    """Hosts at a time: whole numbers from 1, and percent from 1 to 100."""
    words = [word.strip() for word in waves.split(",")] if isinstance(waves, str) else list(waves)
    wrong = [word for word in words if not re.fullmatch(r"[1-9]\d{0,5}|([1-9]\d?|100)%", str(word))]
    if words and not wrong:
        return []
    problem = f"{str(wrong[0])!r} is no number of hosts" if wrong and str(wrong[0]) else "it is empty"
    remedy = "give hosts at a time as numbers from 1 or as 1% to 100%, such as 1,10%,50%,100%"
    return [Refusal("variable wavesmith_waves", problem, remedy)]


def _hub(values: dict[str, Any], environ: Mapping[str, str]) -> list[Refusal]:
    """Where weights come from: the inventory's variables before those that the hub's own tools know, HF_ENDPOINT and HF_TOKEN."""
    found = {"hub": values.get("hub") or environ.get("HF_ENDPOINT", ""), "hub_token": values.get("hub_token", "")}
    found["hub_token"] = found["hub_token"] or environ.get("HF_TOKEN", "")
    values.update({name: value for name, value in found.items() if value})
    values["weights_mirrors"] = tuple(values.get("weights_mirrors", ()))
    refusals = []
    for name, places in (("hub", (values.get("hub", ""),)), ("weights_mirrors", values["weights_mirrors"])):
        for place in places:
            if place and (not isinstance(place, str) or not re.match(r"(https?://[^/]|file:///)", place)):
                remedy = "give an address that begins with http://, https:// or file:///"
                refusals.append(Refusal(f"variable wavesmith_{name}", f"{place!r} is not an address", remedy))
                values.pop(name, None)
    if not re.fullmatch(r"[\x21-\x7e]*", values.get("hub_token", "")):
        del values["hub_token"]
        refusals.append(
            Refusal("variable wavesmith_hub_token", "it holds characters that no token has", "copy it again")
        )
    return refusals


def _git_mirrors(values: dict[str, Any]) -> list[Refusal]:
    bundle = values.get("bundle", "")
    packs = (f"{bundle.rstrip('/')}/sources/{{commit}}",) if _MIRROR.match(bundle) else ()
    values["git_mirrors"] = (*packs, *values.get("git_mirrors", ()))
    wrong = [place for place in values["git_mirrors"] if not isinstance(place, str) or not _MIRROR.match(place)]
    if not wrong:
        return []
    values["git_mirrors"] = ()
    remedy = "give an address such as file:///srv/git/{owner}/{name}.git, https:// or ssh://"
    return [Refusal("variable wavesmith_git_mirrors", f"{wrong[0]!r} is no address of repositories", remedy)]


_MIRROR = re.compile(r"(https?|ssh)://[^/-]|file:///|[\w.]+@[\w.-]+:(?!-)")


def _policy(listed: Any) -> tuple[tuple[str, ...], list[Refusal]]:
    kinds = (SOURCE, WHEELHOUSE, INDEX)
    unknown = [kind for kind in listed if kind not in kinds]
    if listed and not unknown and len(set(listed)) == len(listed):
        return tuple(listed), []
    problem = f"it is {listed!r}, but must list {', '.join(kinds)}, those that are allowed, best first"
    remedy = suggest(str(unknown[0]), kinds) if unknown else "name each of those you allow once"
    return Wanted.policy, [Refusal("variable wavesmith_policy", problem, remedy)]


FORCE_STACK, FORCE_NIGHTLY, FORCE_STABLE = "WAVESMITH_STACK", "PYTORCH_FORCE_NIGHTLY", "PYTORCH_FORCE_STABLE"
NIGHTLY = "nightly"


def _forced(environ: Mapping[str, str], stack: str) -> tuple[dict[str, str], list[Refusal]]:
    """The stack that the environment of the run forces: WAVESMITH_STACK, then PYTORCH_FORCE_NIGHTLY and PYTORCH_FORCE_STABLE."""
    on = {name: environ.get(name, "").strip().lower() in ("1", "true", "yes") for name in (FORCE_NIGHTLY, FORCE_STABLE)}
    named = environ.get(FORCE_STACK, "").strip()
    if (
        all(on.values())
        or (named and named != NIGHTLY and on[FORCE_NIGHTLY])
        or (named == NIGHTLY and on[FORCE_STABLE])
    ):
        given = ", ".join(name for name in (FORCE_STACK, *on) if environ.get(name))
        return {}, [Refusal(f"environment variables {given}", "they contradict each other", "set one of them only")]
    if named:
        return {"stack": named, "forced_by": f"environment variable {FORCE_STACK}"}, []
    if on[FORCE_NIGHTLY]:
        return {"stack": NIGHTLY, "forced_by": f"environment variable {FORCE_NIGHTLY}"}, []
    if on[FORCE_STABLE] and stack == NIGHTLY:
        return {"stack": "auto", "forced_by": f"environment variable {FORCE_STABLE}"}, []
    return {}, []


def _environments(data: Any) -> tuple[tuple[Environment, ...], list[Refusal]]:
    if not isinstance(data, Mapping):
        problem = f"it is {kind_of(data)}, but must map each environment's name to its settings"
        return (), [Refusal("variable wavesmith_environments", problem, "see docs/variables.md for an example")]
    found: list[Environment] = []
    refusals: list[Refusal] = []
    for name, settings in sorted(data.items(), key=lambda item: str(item[0])):
        item = f"environment {name}"
        if not isinstance(name, str) or not _ENVIRONMENT_NAME.fullmatch(name):
            refusals.append(
                Refusal(item, "its name cannot be used as a folder's name", "use lower-case letters, digits and _")
            )
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
                expected = {str: "text", list: "a list of names", dict: "a mapping of models and ports"}[kind]
                refusals.append(
                    Refusal(item, f"{key} is {value!r}, but must be {expected}", "correct it in the inventory")
                )
            elif key == "services" and (wrong := [entry for entry in value.items() if not _is_port(entry)]):
                problem = f"service {wrong[0][0]} is at {wrong[0][1]!r}, but must be at a port from 1024 to 65535"
                refusals.append(Refusal(item, problem, "give each service a port of its own"))
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
                    services=dict(settings.get("services", {})),
                    projects=tuple(dict.fromkeys(settings.get("projects", ()))),
                )
            )
    ports = [(port, f"{item.name}'s {name}") for item in found for name, port in item.services.items()]
    for port in dict.fromkeys(port for port, _ in ports):
        names = [name for other, name in ports if other == port]
        if len(names) > 1:
            problem = f"services {' and '.join(names)} are both at port {port}"
            refusals.append(Refusal("variable wavesmith_environments", problem, "give each service a port of its own"))
    return tuple(found), refusals


def _is_port(entry: tuple[Any, Any]) -> bool:
    name, port = entry
    return isinstance(name, str) and isinstance(port, int) and not isinstance(port, bool) and port in _PORTS
