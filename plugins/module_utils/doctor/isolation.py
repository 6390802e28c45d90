"""Isolation: every way a user site or a system package can leak in is attacked, in a process of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .base import REPAIR, Check, Context, Failed, Finding, Ran, Skipped, below, calm, command

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
    "prefix": sys.prefix, "base_prefix": sys.base_prefix, "base": getattr(sys, "_base_executable", ""),
    "executable": sys.executable, "version": list(sys.version_info[:2]), "path": [p for p in sys.path if p],
    "user_site": bool(site.ENABLE_USER_SITE), "stdlib": os.path.dirname(os.__file__),
    "origins": {name: origin(name) for name in json.loads(sys.argv[1])},
    "environ": {name: os.environ.get(name) for name in json.loads(sys.argv[2])},
}))
"""


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
) -> tuple[dict[str, Any] | None, Ran]:
    """Ask an interpreter, started `through` other commands, where it stands; None when it did not answer."""
    argv: list[str | Path] = [*through, python or context.spec.python, "-c", _PROBE]
    argv += [json.dumps(names), json.dumps(cleared)]
    ran = command(argv, env, context.scratch)
    for line in ran.out.splitlines():
        if ran.code == 0 and line.startswith(MARK):
            answer: dict[str, Any] = json.loads(line[len(MARK) :])
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
    origins: dict[str, str] = answer["origins"]
    if origins[DECOY]:
        found.append(f"{DECOY} can be imported from {origins[DECOY]}")
    for name in attack.shadows:
        origin = origins[name]
        if origin not in ("built-in", "frozen") and not (below(origin, prefix) or below(origin, answer["stdlib"])):
            found.append(f"{name} would be imported from {origin or 'nowhere'}")
    found += [f"{name} reaches the interpreter" for name, value in answer["environ"].items() if value is not None]
    return found


def _judge(context: Context, attacks: list[Attack], marks: Path, good: str) -> Finding:
    evidence: dict[str, Any] = {}
    for attack in attacks:
        for old in marks.glob("*.executed"):
            old.unlink()
        evidence[attack.name] = leaks(context, attack, marks) or "no effect"
    return _sum_up(evidence, good, WRAPPER_REMEDY)


def _sum_up(evidence: Mapping[str, Any], good: str, remedy: str) -> Finding:
    bad = [(name, outcome) for name, outcome in evidence.items() if isinstance(outcome, list)]
    if bad:
        first = f"{bad[0][0]}: {bad[0][1][0]}"
        more = sum(len(outcome) for _, outcome in bad) - 1
        raise Failed(first + (f" (and {more} more)" if more else ""), remedy, evidence)
    return Finding(f"{len(evidence)} {good}", evidence)


def _place(context: Context) -> Path:
    return Path(tempfile.mkdtemp(prefix="attack-", dir=context.scratch))


def site_packages(prefix: Path) -> list[Path]:
    """The package folders of a prefix, each once."""
    return sorted({path.resolve() for path in prefix.glob("lib*/python3*/site-packages") if path.is_dir()})


def installed_package(prefix: Path) -> str:
    """The name of a package that is installed, for a decoy to shadow."""
    here = site_packages(prefix)
    for name in ("torch", "numpy", "pip", "setuptools"):
        if any((folder / name / "__init__.py").is_file() for folder in here):
            return name
    packages = sorted(path.parent.name for folder in here for path in folder.glob("*/__init__.py"))
    return packages[0] if packages else "json"


def _interpreters(prefix: Path) -> list[Path]:
    return sorted(
        path
        for path in (prefix / "bin").glob("python*")
        if re.fullmatch(r"python(3(\.\d+)?)?", path.name) and os.access(path, os.X_OK)
    )


def _version(context: Context, home: Path) -> str:
    answer, ran = probe(context, calm(home))
    if answer is None:
        raise Failed(f"{context.spec.python} does not start: {ran.tail}")
    return "{}.{}".format(*answer["version"])


def user_site(context: Context) -> Finding:
    """Decoys below `~/.local` and below PYTHONUSERBASE."""
    place = _place(context)
    marks = place / "marks"
    version = _version(context, place)
    shadow = installed_package(context.spec.prefix)
    attacks = []
    for name, base in (("home", place / "home/.local"), ("userbase", place / "base")):
        folder = base / f"lib/python{version}/site-packages"
        for decoy in (DECOY, shadow, "usercustomize"):
            plant(folder, decoy, marks)
        (folder / "decoy.pth").write_text(f"import {DECOY}\n", encoding="utf-8")
        variables = {} if name == "home" else {"PYTHONUSERBASE": str(base), "PYTHONNOUSERSITE": ""}
        attacks.append(Attack(f"~/.local ({name})", place / "home", variables, (base,), (shadow,)))
    return _judge(context, attacks, marks, "attacks through a user site had no effect")


def pythonpath(context: Context) -> Finding:
    """Decoys on PYTHONPATH: a new module, an installed package, modules that Python starts with; each interpreter."""
    place = _place(context)
    marks = place / "marks"
    shadow = installed_package(context.spec.prefix)
    attacks = []
    for name in (DECOY, shadow, "sitecustomize", *STARTUP_MODULES):
        folder = place / f"path-{name}"
        plant(folder, name, marks, package=name not in ("site", "os"))
        shadows = () if name in (DECOY, "sitecustomize") else (name,)
        attacks.append(
            Attack(f"a decoy of {name}", place, {"PYTHONPATH": str(folder)}, (folder,), shadows, ("PYTHONPATH",))
        )
    finding = _judge(context, attacks, marks, "attacks through PYTHONPATH had no effect")
    evidence = dict(finding.evidence)
    for python in _interpreters(context.spec.prefix):
        evidence[f"bin/{python.name}"] = leaks(context, attacks[0], marks, python) or "no effect"
    return _sum_up(evidence, "attacks through PYTHONPATH had no effect", WRAPPER_REMEDY)


def pythonhome(context: Context) -> Finding:
    """PYTHONHOME and the other variables that move Python or its libraries."""
    place = _place(context)
    startup = place / "startup.py"
    startup.write_text("raise SystemExit('a decoy was executed')\n", encoding="utf-8")
    attacks = [
        Attack(name.lower(), place, {name: value}, (place,), (), (name,))
        for name, value in (
            ("PYTHONHOME", str(place)),
            ("PYTHONSTARTUP", str(startup)),
            ("PYTHONPLATLIBDIR", "lib-of-a-decoy"),
        )
    ]
    return _judge(context, attacks, place / "marks", "variables that move Python or its libraries had no effect")


def system_site(context: Context) -> Finding:
    """No package folder of the system, and no package that only the system has."""
    home = _place(context)
    evidence: dict[str, Any] = {}
    if not is_conda(context.spec.prefix):
        settings = read_pyvenv(context.spec.prefix / "pyvenv.cfg")
        evidence["include-system-site-packages"] = settings.get("include-system-site-packages", "")
        if evidence["include-system-site-packages"] != "false":
            raise Failed("pyvenv.cfg lets system packages in, or is missing", REPAIR, evidence)
    answer, ran = probe(context, calm(home))
    if answer is None:
        raise Failed(f"{context.spec.python} does not start: {ran.tail}", "", evidence)
    if is_conda(context.spec.prefix) and not below(answer["stdlib"], context.spec.prefix):
        raise Failed(f"the standard library is {answer['stdlib']}, not the environment's own", REPAIR, evidence)
    system = _system_folders(context, home, "/usr/bin/python3" if is_conda(context.spec.prefix) else answer["base"])
    mine = {entry.name.split(".")[0] for folder in site_packages(context.spec.prefix) for entry in folder.iterdir()}
    names = sorted({name for folder in system for name in _top_level(folder)} - mine)[:60]
    answer, ran = probe(context, calm(home), tuple(names))
    if answer is None:
        raise Failed(f"{context.spec.python} does not start: {ran.tail}", "", evidence)
    evidence.update({"system folders": [str(folder) for folder in system], "system packages tried": len(names)})
    bad = [entry for entry in answer["path"] if any(below(entry, folder) for folder in system)]
    bad += [
        f"{name} from {origin}"
        for name, origin in answer["origins"].items()
        if origin.startswith("/") and _foreign(origin, context, answer)
    ]
    if bad:
        raise Failed(f"a system package can be imported: {bad[0]}", REPAIR, {**evidence, "leaks": bad})
    return Finding(f"none of {len(names)} packages of the system can be imported", evidence)


def _foreign(path: str, context: Context, answer: Mapping[str, Any]) -> bool:
    if below(path, context.spec.prefix):
        return False
    inner = os.path.realpath(path)
    return not below(inner, answer["stdlib"]) or "site-packages" in inner or "dist-packages" in inner


def _system_folders(context: Context, home: Path, base: str) -> list[Path]:
    if not os.path.exists(base) or below(base, context.spec.prefix):
        return []
    known = "site.getsitepackages() + [p for p in sys.path if p.endswith('-packages')]"
    source = f"import json, site, sys; print(json.dumps({known}))"
    ran = command([base, "-I", "-c", source], calm(home), context.scratch)
    folders = json.loads(ran.out) if ran.code == 0 else []
    return sorted({Path(folder) for folder in folders if os.path.isdir(folder)})


def _top_level(folder: Path) -> Iterator[str]:
    for entry in folder.iterdir():
        if (entry / "__init__.py").is_file() or entry.suffix in (".py", ".so"):
            name = entry.name.split(".")[0]
            if name.isidentifier() and not name.startswith("__"):
                yield name


def is_conda(prefix: Path) -> bool:
    """Whether a prefix is a conda environment, which has a Python of its own and no `pyvenv.cfg`."""
    return (prefix / "conda-meta").is_dir()


def read_pyvenv(path: Path) -> dict[str, str]:
    """The settings of a `pyvenv.cfg`; empty when there is none."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    pairs = (line.split("=", 1) for line in lines if "=" in line)
    return {key.strip().lower(): value.strip().lower() for key, value in pairs}


def pth_files(context: Context) -> Finding:
    """No `.pth`, `.egg-link`, editable install, link or `sys.path` entry leads out of the prefix."""
    prefix = context.spec.prefix
    problems: list[str] = []
    seen: list[str] = []
    for folder in site_packages(prefix):
        for path in sorted(folder.glob("*.pth")):
            seen.append(path.name)
            problems += [f"{path.name}: {problem}" for problem in pth_problems(path, prefix)]
        problems += [f"{path.name} is a development install" for path in sorted(folder.glob("*.egg-link"))]
        for path in sorted(folder.glob("*.dist-info/direct_url.json")):
            if '"editable": true' in path.read_text(encoding="utf-8", errors="replace").replace('":true', '": true'):
                problems.append(f"{path.parent.name} is an editable install")
        problems += [
            f"{entry.name} links to {os.path.realpath(entry)}"
            for entry in sorted(folder.iterdir())
            if not below(entry, prefix)
        ]
    answer, ran = probe(context, calm(_place(context)))
    if answer is None:
        problems.append(f"Python does not start: {ran.tail}")
        answer = {"path": [], "stdlib": "/"}
    version = "".join(str(part) for part in answer.get("version", ()))
    for entry in answer["path"]:
        archive = os.path.join(os.path.dirname(answer["stdlib"]), f"python{version}.zip")
        if entry != archive and _foreign(entry, context, answer):
            problems.append(f"sys.path holds {entry}")
    evidence = {"pth files": seen, "sys.path": answer["path"], "problems": problems}
    if problems:
        raise Failed(problems[0], f"remove the package that placed it, or {REPAIR}", evidence)
    return Finding(f"{len(seen)} .pth file(s) and {len(answer['path'])} sys.path entries stay inside", evidence)


def pth_problems(path: Path, prefix: Path) -> list[str]:
    """What is wrong with one `.pth` file: a line that is a folder outside, or code that names one."""
    problems = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith(("import ", "import\t")):
            named = re.findall(r"""['"](/[^'"]+)['"]""", line)
            problems += [f"runs code that names {name}" for name in named if not below(name, prefix)]
            if "__editable__" in line:
                problems.append("is an editable install")
        elif not below(path.parent / line, prefix):
            problems.append(f"adds {line}")
    return problems


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
    prefix, place = context.spec.prefix, _place(context)
    if not (prefix / "bin/pip").exists():
        raise Failed(f"{prefix}/bin/pip is missing: a pip of the system would be used in its stead", REPAIR)
    wheel = decoy_wheel(place / "wheel")
    options = ["install", "--no-index", "--no-deps", "--no-cache-dir", "--no-compile", "--disable-pip-version-check"]
    evidence: dict[str, Any] = {}

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

    def attempt(name: str) -> str | list[str]:
        folder, variables = hostile[name]
        root = Path(tempfile.mkdtemp(prefix="root-", dir=place))
        env = {**calm(folder), **variables}
        ran = command([context.spec.python, "-m", "pip", *options, "--root", root, wheel], env, place)
        inside = root / str(prefix.resolve()).lstrip("/")
        landed = [*_landed(outside), *(path for path in _landed(root) if not below(path, inside)), *_landed(folder)]
        wrong = [f"it installed to {path}" for path in landed] or ([f"pip fails: {ran.tail}"] if ran.code else [])
        return wrong or "no effect"

    with ThreadPoolExecutor() as pool:
        evidence.update(zip(hostile, pool.map(attempt, hostile)))
    return _sum_up(evidence, "ways to make pip install elsewhere are refused or without effect", WRAPPER_REMEDY)


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
        return Finding("no setting of the user's would make pip install elsewhere", evidence)
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
            found.append((number, "`user = true` is passed over here; write `user = false`"))
        elif key in ("target", "prefix", "root", "python") and value:
            found.append((number, f"`{key} = {value}` is passed over here; remove the line"))
    return found


def _landed(folder: Path) -> list[Path]:
    return [path for path in folder.rglob(DECOY) if path.is_dir()] if folder.is_dir() else []


def console_scripts(context: Context) -> Finding:
    """Scripts start the prefix's Python; after activation `python` and `pip` are the prefix's too."""
    prefix, place = context.spec.prefix, _place(context)
    problems: list[str] = []
    scripts = 0
    for path in sorted((prefix / "bin").iterdir()):
        interpreter = shebang(path)
        if interpreter is None or "python" not in os.path.basename(interpreter):
            continue
        scripts += 1
        if not below(os.path.dirname(interpreter), prefix / "bin"):
            problems.append(f"bin/{path.name} starts {interpreter}")
    activate = prefix / "bin/activate"
    evidence: dict[str, Any] = {"scripts": scripts}
    if not activate.is_file():
        problems.append("bin/activate is missing")
    else:
        plant(place / "decoys", "pip", place / "marks")
        where = 'python -c "import sys; print(sys.prefix)"'
        lines = f'. "$1" && command -v python && command -v pip && {where} && pip --version'
        for name, variables in (
            ("a bare shell", {}),
            ("PYTHONPATH", {"PYTHONPATH": str(place / "decoys")}),
            ("PYTHONHOME", {"PYTHONHOME": str(place)}),
        ):
            env = {**calm(place), **variables}
            ran = command(["bash", "--noprofile", "--norc", "-c", lines, "bash", activate], env, place)
            said = ran.out.splitlines()
            evidence[name] = said
            if ran.code or len(said) < 4:
                problems.append(f"activated in {name}: {ran.tail}")
                continue
            problems += [
                f"activated in {name}: {what} is {path}"
                for what, path in zip(("python", "pip", "sys.prefix"), said)
                if not below(os.path.dirname(path) if what != "sys.prefix" else path, prefix)
            ]
            if not re.search(r" from (.+) \(python", said[3]) or not below(
                said[3].split(" from ")[1].rsplit(" (", 1)[0], prefix
            ):
                problems.append(f"activated in {name}: pip is {said[3]}")
    evidence["problems"] = problems
    if problems:
        raise Failed(
            problems[0] + (f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""), WRAPPER_REMEDY, evidence
        )
    return Finding(f"{scripts} scripts, and python and pip after activation, are the prefix's", evidence)


_LOADED = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
with open("/proc/self/maps") as file:
    print("\\n".join(sorted({line.split(None, 5)[5].strip() for line in file if "/" in line})))
"""
_RUNTIMES = ("libstdc++.so", "libgcc_s.so", "libcudart.so", "libcublas.so", "libcudnn.so", "libnvrtc.so", "libgomp.so")


def libraries(context: Context) -> Finding:
    """LD_LIBRARY_PATH, LD_PRELOAD and LD_AUDIT bring no library in, and what the environment has of its own is what is loaded.

    The decoys are no libraries at all: a process that meets one cannot load what it needs.
    """
    prefix, place = context.spec.prefix, _place(context)
    name = installed_package(prefix)
    own = {path.name for path in prefix.rglob("*.so*") if path.name.startswith(_RUNTIMES) and not path.is_dir()}
    decoys = place / "decoys"
    decoys.mkdir()
    for decoy in {
        *own,
        "libstdc++.so.6",
        "libgcc_s.so.1",
        "libm.so.6",
        "libz.so.1",
        "libcudart.so.12",
        "libcudart.so.13",
    }:
        (decoys / decoy).write_text("a decoy", encoding="utf-8")
    libm = next(
        (line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if "/libm.so" in line), ""
    )
    preload = decoys / "preloaded.so"
    if libm:
        shutil.copyfile(libm, preload)  # a real one: a false one is only complained about
    evidence: dict[str, Any] = {}
    for attack, variables in {
        "nothing hostile": {},
        "LD_LIBRARY_PATH": {"LD_LIBRARY_PATH": str(decoys)},
        "LD_PRELOAD": {"LD_PRELOAD": str(preload)},
        "LD_AUDIT": {"LD_AUDIT": str(preload)},
    }.items():
        ran = command(
            [context.spec.python, "-c", _LOADED, "math", "zlib", name], {**calm(place), **variables}, place, 180.0
        )
        loaded = ran.out.split("\n") if ran.code == 0 else []
        wrong = [f"{name} cannot be imported: {ran.tail}"] if ran.code else []
        wrong += [f"{path} was loaded" for path in loaded if below(path, decoys)]
        wrong += [
            f"{path} was loaded, though the environment has its own"
            for path in loaded
            if os.path.basename(path) in own and not below(path, prefix)
        ]
        evidence[attack] = wrong or "no effect"
    remedy = f"a library of the system is found first: {WRAPPER_REMEDY}"
    finding = _sum_up(evidence, "ways to put a foreign library first have no effect", remedy)
    return Finding(finding.detail, {**finding.evidence, "imported": name, "libraries of its own": sorted(own)})


def activated(context: Context) -> Finding:
    """Another environment that is active already: neither ours started by its path, nor ours activated on top, mixes with it."""
    prefix, place = context.spec.prefix, _place(context)
    other = place / "other"
    (other / "bin").mkdir(parents=True)
    for name in ("python", "python3", "pip"):
        (other / "bin" / name).write_text("#!/bin/sh\necho a decoy was executed\n", encoding="utf-8")
        (other / "bin" / name).chmod(0o755)
    plant(other / "lib", DECOY, place / "marks")
    variables = {
        "VIRTUAL_ENV": str(other),
        "CONDA_PREFIX": str(other),
        "CONDA_DEFAULT_ENV": "other",
        "PYTHONPATH": str(other / "lib"),
        "PATH": f"{other}/bin:/usr/local/bin:/usr/bin:/bin",
    }
    attack = Attack("started by its path", place, variables, (other,), (), ("VIRTUAL_ENV", "CONDA_PREFIX"))
    evidence: dict[str, Any] = {attack.name: leaks(context, attack, place / "marks") or "no effect"}
    lines = '. "$1" && command -v python && command -v pip && echo "${VIRTUAL_ENV:-$CONDA_PREFIX}"'
    ran = command(
        ["bash", "--noprofile", "--norc", "-c", lines, "bash", prefix / "bin/activate"],
        {**calm(place), **variables},
        place,
    )
    said = ran.out.splitlines() if ran.code == 0 else []
    wrong = [f"it cannot be activated: {ran.tail}"] if len(said) < 3 else []
    wrong += [f"{path} is found" for path in said[:2] if not below(os.path.dirname(path), prefix)]
    wrong += [f"tools are told of {path}" for path in said[2:] if not below(path, prefix)]
    evidence["activated on top"] = wrong or "no effect"
    return _sum_up(evidence, "ways in from another active environment lead to this one alone", WRAPPER_REMEDY)


def sudo(context: Context) -> Finding:
    """Started through sudo with hostile variables: root's home and root's variables change nothing either."""
    place = _place(context)
    tried = command(["sudo", "-n", "true"], calm(place), place, 10.0)
    if tried.code != 0:
        raise Skipped(f"sudo cannot be used here: {tried.tail}")
    marks, decoys = place / "marks", place / "decoys"
    plant(decoys, DECOY, marks)
    plant(decoys, "sitecustomize", marks)
    version = _version(context, place)
    plant(place / f"home/.local/lib/python{version}/site-packages", DECOY, marks)
    attacks = [
        Attack("PYTHONPATH", place, {"PYTHONPATH": str(decoys)}, (decoys,), (), ("PYTHONPATH",)),
        Attack("a user site", place / "home", {}, (place / "home",)),
    ]
    evidence = {attack.name: leaks(context, attack, marks, through=("sudo", "-n")) or "no effect" for attack in attacks}
    return _sum_up(evidence, "attacks through sudo had no effect", WRAPPER_REMEDY)


def shebang(path: Path) -> str | None:
    """The interpreter that a script names, also in the two-line form used when its path is too long for the kernel."""
    if not path.is_file():
        return None
    with path.open("rb") as stream:
        head = stream.read(1024)
    if not head.startswith(b"#!"):
        return None
    lines = head.decode("utf-8", "replace").splitlines()
    words = lines[0][2:].split()
    if len(lines) > 1 and lines[1].startswith("'''exec'"):
        words = lines[1].split()[1:]
    if words and os.path.basename(words[0]) == "env" and len(words) > 1:
        words = words[1:]
    return words[0].strip("\"'") if words else None


CHECKS = (
    Check("isolation.user_site", "no user site", user_site, WRAPPER_REMEDY),
    Check("isolation.pythonpath", "PYTHONPATH is ignored", pythonpath, WRAPPER_REMEDY),
    Check("isolation.pythonhome", "PYTHONHOME is ignored", pythonhome, WRAPPER_REMEDY),
    Check("isolation.system_site", "no system packages", system_site),
    Check("isolation.pth_files", "nothing leads out of the prefix", pth_files),
    Check("isolation.pip_user", "pip stays in the prefix", pip_user, WRAPPER_REMEDY),
    Check("isolation.pip_settings", "pip's own settings lead nowhere else", pip_settings),
    Check("isolation.libraries", "no foreign library comes first", libraries, WRAPPER_REMEDY, timeout=900.0),
    Check("isolation.activated", "another active environment has no effect", activated, WRAPPER_REMEDY),
    Check("isolation.sudo", "sudo has no effect", sudo, WRAPPER_REMEDY),
    Check("isolation.console_scripts", "scripts use the prefix", console_scripts, WRAPPER_REMEDY),
)
