"""pip can install nowhere but into the environment."""

from __future__ import annotations

import os
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .attacks import DECOY, WRAPPER_REMEDY, scratch, sum_up
from .base import REPAIR, Context, Failed, Finding, below, calm, command


def decoy_wheel(folder: Path) -> Path:
    """Make a wheel of one module, so that pip has something to install without any network."""
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{DECOY}-1.0.dist-info"
    members = {
        f"{DECOY}/__init__.py": "",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {DECOY}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: wavesmith\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    members[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in (*members, f"{info}/RECORD"))
    wheel = folder / f"{DECOY}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return wheel


def pip_user(context: Context) -> Finding:
    """pip cannot be talked into installing outside the prefix.

    Only `--user` is tried for real: where it works it lands in a temporary home. The others install under `--root`,
    which shows the folder that pip chose and never touches the prefix itself.
    """
    prefix, place = context.spec.prefix, scratch(context)
    if not (prefix / "bin/pip").exists():
        raise Failed(f"{prefix}/bin/pip is missing: the system's pip would be used instead", REPAIR)
    wheel = decoy_wheel(place / "wheel")
    options = ["install", "--no-index", "--no-deps", "--no-cache-dir", "--no-compile", "--disable-pip-version-check"]
    evidence: dict[str, object] = {}

    home = place / "home"
    home.mkdir()
    ran = command([prefix / "bin/pip", *options, "--user", wheel], calm(home), place)
    landed = _landed(home)
    wrong = [f"it installed to {landed[0]}"] if landed else [] if ran.code else ["it was not refused"]
    evidence["pip install --user"] = wrong or f"refused: {ran.tail}"

    outside = place / "outside"

    def settings(name: str, where: str, line: str) -> Path:
        path = place / name / where
        path.parent.mkdir(parents=True)
        path.write_text(f"[install]\n{line}\n", encoding="utf-8")
        return path

    hostile: dict[str, tuple[Path, dict[str, str]]] = {
        "PIP_USER=1": (home, {"PIP_USER": "1"}),
        "PIP_NO_USER=1": (home, {"PIP_NO_USER": "1"}),
        "PIP_TARGET": (home, {"PIP_TARGET": str(outside)}),
        "PIP_PREFIX": (home, {"PIP_PREFIX": str(outside)}),
        "PIP_PYTHON": (home, {"PIP_PYTHON": "/usr/bin/python3"}),
    }
    for number, line in enumerate((f"user = true\nno-user = true\ntarget = {outside}", f"prefix = {outside}")):
        shown = line.replace("\n", ", ")
        user = settings(f"user-{number}", ".config/pip/pip.conf", line)
        hostile[f"{shown} in ~/.config/pip/pip.conf"] = (place / f"user-{number}", {})
        hostile[f"{shown} in the file of PIP_CONFIG_FILE"] = (home, {"PIP_CONFIG_FILE": str(user)})
        settings(f"system-{number}", "pip/pip.conf", line)  # pip reads such a folder as it reads /etc
        hostile[f"{shown} in pip.conf of the system"] = (home, {"XDG_CONFIG_DIRS": str(place / f"system-{number}")})

    def attempt(folder: Path, variables: dict[str, str]) -> str | list[str]:
        root = Path(tempfile.mkdtemp(prefix="root-", dir=place))
        env = {**calm(folder), **variables}
        ran = command([context.spec.python, "-m", "pip", *options, "--root", root, wheel], env, place)
        inside = root / str(prefix.resolve()).lstrip("/")
        landed = [*_landed(outside), *(path for path in _landed(root) if not below(path, inside)), *_landed(folder)]
        wrong = [f"it installed to {path}" for path in landed] or ([f"pip fails: {ran.tail}"] if ran.code else [])
        return wrong or "no effect"

    # Two runs with everything that cannot cancel out; only where something gets through does each get a run of its own.
    runs: dict[bool, dict[str, str]] = {True: {}, False: {}}
    for name, (_, variables) in hostile.items():
        runs[name == "PIP_NO_USER=1" or name.startswith("prefix = ")].update(variables)
    together = {
        attempt(place / f"user-{number}", variables) == "no effect" for number, variables in enumerate(runs.values())
    }
    if together == {True}:
        evidence.update(dict.fromkeys(hostile, "no effect"))
    else:
        with ThreadPoolExecutor() as pool:
            evidence.update(zip(hostile, pool.map(lambda name: attempt(*hostile[name]), hostile)))
    return sum_up(evidence, "ways to make pip install elsewhere are refused or without effect", WRAPPER_REMEDY)


_PIP_FILES = ("/etc/xdg/pip/pip.conf", "/etc/pip.conf", "~/.pip/pip.conf", "~/.config/pip/pip.conf")
_TRUE = ("1", "true", "yes", "on", "y", "t")


def pip_settings(context: Context) -> Finding:
    """What the user's own pip settings would do, said by file and line; this environment passes over it.

    pip takes `no-user = true` for the option `--no-user` set to true, and then for `user = true`: the opposite of what was meant.
    """
    files = [os.path.expanduser(path) for path in (*_PIP_FILES, os.environ.get("PIP_CONFIG_FILE", ""))]
    found = [f"{path}:{number}: {what}" for path in files for number, what in pip_traps(path)]
    evidence = {"files": [path for path in files if os.path.isfile(path)], "passed over": found}
    if not found:
        return Finding("none of the user's settings makes pip install elsewhere", evidence)
    return Finding(f"{found[0]}" + (f" (and {len(found) - 1} more)" if len(found) > 1 else ""), evidence)


def pip_traps(path: str) -> list[tuple[int, str]]:
    """Lines of a `pip.conf` that take an installation out of the environment, with what to write instead."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
    except OSError:
        return []
    found = []
    for number, line in enumerate(lines, 1):
        key, _equals, value = (part.strip() for part in line.replace(":", "=", 1).partition("="))
        if key in ("no-user", "no_user") and value.lower() in _TRUE:
            found.append((number, f"`{key} = {value}` means the opposite to pip, `user = true`; write `user = false`"))
        elif key == "user" and value.lower() in _TRUE:
            found.append((number, "`user = true` is ignored here; write `user = false`"))
        elif key in ("target", "prefix", "root", "python") and value:
            found.append((number, f"`{key} = {value}` is ignored here; remove the line"))
    return found


def _landed(folder: Path) -> list[Path]:
    return [path for path in folder.rglob(DECOY) if path.is_dir()] if folder.is_dir() else []
