"""Ways to bring foreign code into an environment, really tried."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

from .base import REPAIR, Context, Failed, Finding, Ran, below, calm, command

WRAPPER_REMEDY = (
    "bin/python must clear the PYTHON and PIP variables before it starts Python, and its wrapper is missing or was "
    f"replaced: {REPAIR}"
)
DECOY = "wavesmith_decoy"
MARK = "WAVESMITH-PROBE "
# Standard modules that the interpreter imports while it starts: shadowing one of them takes the process over.
STARTUP_MODULES = ("encodings", "site", "os")

_PROBE = """
import importlib.util, json, os, site, sys
def origin(name):
    try:
        spec = importlib.util.find_spec(name)
    except Exception as error:
        return "error: %s" % error
    if spec is None:
        return ""
    return spec.origin or list(spec.submodule_search_locations or [""])[0]
print("WAVESMITH-PROBE " + json.dumps({
    "prefix": sys.prefix, "base": getattr(sys, "_base_executable", ""),
    "version": list(sys.version_info[:2]), "path": [p for p in sys.path if p],
    "user_site": bool(site.ENABLE_USER_SITE), "stdlib": os.path.dirname(os.__file__),
    "origins": {name: origin(name) for name in json.loads(sys.argv[1])},
    "environ": {name: os.environ.get(name) for name in json.loads(sys.argv[2])},
}))
"""


class Started(TypedDict):
    """Where an interpreter stands, as it says itself.

    Attributes:
        prefix: `sys.prefix`.
        base: The interpreter that a virtual environment was made with.
        version: Major and minor version.
        path: `sys.path` without the working directory.
        user_site: Whether the user site is enabled.
        stdlib: Folder of the standard library.
        origins: Where each module that was asked for would be imported from; empty where it is not found.
        environ: Value of each variable that was asked for; `None` where it is not set.
    """

    prefix: str
    base: str
    version: list[int]
    path: list[str]
    user_site: bool
    stdlib: str
    origins: dict[str, str]
    environ: dict[str, str | None]


@dataclass(frozen=True)
class Attack:
    """One hostile setting.

    Attributes:
        variables: What the attacker puts into the environment of variables.
        hostile: Folders that must not appear in `sys.path`.
        shadows: Installed or standard modules that a decoy tries to replace.
        cleared: Variables that must not reach the interpreter.
    """

    name: str
    home: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    hostile: tuple[Path, ...] = ()
    shadows: tuple[str, ...] = ()
    cleared: tuple[str, ...] = ()


def probe(
    context: Context,
    env: Mapping[str, str],
    names: tuple[str, ...] = (),
    cleared: tuple[str, ...] = (),
    python: Path | None = None,
    through: tuple[str, ...] = (),
) -> tuple[Started | None, Ran]:
    """Ask an interpreter, started `through` other commands, where it stands; None when it did not answer."""
    argv: list[str | Path] = [*through, python or context.spec.python, "-c", _PROBE]
    argv += [json.dumps(names), json.dumps(cleared)]
    ran = command(argv, env, context.scratch)
    for line in ran.out.splitlines():
        if ran.code == 0 and line.startswith(MARK):
            answer: Started = json.loads(line[len(MARK) :])
            return answer, ran
    return None, ran


def plant(folder: Path, name: str, marks: Path, package: bool = True) -> None:
    """Put a decoy module into a folder; when Python executes it, it leaves a file in `marks` and stops.

    It uses `posix` alone, because a decoy of `encodings` runs before files can be opened.
    """
    where = folder / name / "__init__.py" if package else folder / f"{name}.py"
    where.parent.mkdir(parents=True, exist_ok=True)
    marks.mkdir(parents=True, exist_ok=True)
    mark = marks / f"{name}.executed"
    where.write_text(
        "import posix\n"
        f"posix.close(posix.open({os.fspath(mark)!r}, posix.O_CREAT | posix.O_WRONLY))\n"
        "raise ImportError('a decoy was executed')\n",
        encoding="utf-8",
    )


def leaks(
    context: Context, attack: Attack, marks: Path, python: Path | None = None, through: tuple[str, ...] = ()
) -> list[str]:
    """Carry out one attack; each sentence says what leaked."""
    env = {**calm(attack.home), **attack.variables}
    if through:  # what stands between may drop the variables, so they are set behind it
        through = (*through, "env", *(f"{name}={value}" for name, value in env.items()))
    answer, ran = probe(context, env, (DECOY, *attack.shadows), attack.cleared, python, through)
    found = [f"{name} of the decoy was executed" for name in sorted(path.stem for path in marks.glob("*.executed"))]
    if answer is None:
        return [*found, f"Python did not start: {ran.tail}"]
    prefix = context.spec.prefix
    if not below(answer["prefix"], prefix):
        found.append(f"sys.prefix became {answer['prefix']}")
    if answer["user_site"]:
        found.append("the user site is enabled")
    found += [f"sys.path holds {entry}" for entry in answer["path"] if any(below(entry, bad) for bad in attack.hostile)]
    origins = answer["origins"]
    if origins[DECOY]:
        found.append(f"{DECOY} can be imported from {origins[DECOY]}")
    for name in attack.shadows:
        origin = origins[name]
        if origin not in ("built-in", "frozen") and not (below(origin, prefix) or below(origin, answer["stdlib"])):
            found.append(f"{name} would be imported from {origin or 'nowhere'}")
    found += [f"{name} reaches the interpreter" for name, value in answer["environ"].items() if value is not None]
    return found


def judge(context: Context, attacks: list[Attack], marks: Path, good: str) -> Finding:
    evidence: dict[str, object] = {}
    for attack in attacks:
        for old in marks.glob("*.executed"):
            old.unlink()
        evidence[attack.name] = leaks(context, attack, marks) or "no effect"
    return sum_up(evidence, good, WRAPPER_REMEDY)


def sum_up(evidence: Mapping[str, object], good: str, remedy: str) -> Finding:
    bad = [(name, outcome) for name, outcome in evidence.items() if isinstance(outcome, list)]
    if bad:
        first = f"{bad[0][0]}: {bad[0][1][0]}"
        more = sum(len(outcome) for _, outcome in bad) - 1
        raise Failed(first + (f" (and {more} more)" if more else ""), remedy, evidence)
    return Finding(f"{len(evidence)} {good}", evidence)


def scratch(context: Context) -> Path:
    return Path(tempfile.mkdtemp(prefix="attack-", dir=context.scratch))
