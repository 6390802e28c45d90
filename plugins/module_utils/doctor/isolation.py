"""Isolation: every way a user site or a system package can leak in is attacked, in a process of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from .attacks import DECOY, STARTUP_MODULES, WRAPPER_REMEDY, Attack, judge, leaks, plant, probe, scratch, sum_up
from .base import REPAIR, Check, Context, Failed, Finding, Skipped, below, calm, command
from .pip import pip_settings, pip_user
from .prefixes import installed_package, interpreters, is_conda, python_version, read_pyvenv, shebang, site_packages


def user_site(context: Context) -> Finding:
    """Decoys below `~/.local` and below PYTHONUSERBASE."""
    place = scratch(context)
    marks = place / "marks"
    version = python_version(context, place)
    shadow = installed_package(context.spec.prefix)
    attacks = []
    for name, base in (("home", place / "home/.local"), ("userbase", place / "base")):
        folder = base / f"lib/python{version}/site-packages"
        for decoy in (DECOY, shadow, "usercustomize"):
            plant(folder, decoy, marks)
        (folder / "decoy.pth").write_text(f"import {DECOY}\n", encoding="utf-8")
        variables = {} if name == "home" else {"PYTHONUSERBASE": str(base), "PYTHONNOUSERSITE": ""}
        attacks.append(Attack(f"~/.local ({name})", place / "home", variables, (base,), (shadow,)))
    return judge(context, attacks, marks, "attacks through a user site had no effect")


def pythonpath(context: Context) -> Finding:
    """Decoys on PYTHONPATH: a new module, an installed package, modules that Python starts with; each interpreter."""
    place = scratch(context)
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
    finding = judge(context, attacks, marks, "attacks through PYTHONPATH had no effect")
    evidence = dict(finding.evidence)
    for python in interpreters(context.spec.prefix):
        evidence[f"bin/{python.name}"] = leaks(context, attacks[0], marks, python) or "no effect"
    return sum_up(evidence, "attacks through PYTHONPATH had no effect", WRAPPER_REMEDY)


def pythonhome(context: Context) -> Finding:
    """PYTHONHOME and the other variables that move Python or its libraries."""
    place = scratch(context)
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
    return judge(context, attacks, place / "marks", "variables that move Python or its libraries had no effect")


def system_site(context: Context) -> Finding:
    """No package folder of the system, and no package that only the system has."""
    home = scratch(context)
    evidence: dict[str, object] = {}
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
        if origin.startswith("/") and _foreign(origin, context, answer["stdlib"])
    ]
    if bad:
        raise Failed(f"a system package can be imported: {bad[0]}", REPAIR, {**evidence, "leaks": bad})
    return Finding(f"none of {len(names)} packages of the system can be imported", evidence)


def _foreign(path: str, context: Context, stdlib: str) -> bool:
    if below(path, context.spec.prefix):
        return False
    inner = os.path.realpath(path)
    return not below(inner, stdlib) or "site-packages" in inner or "dist-packages" in inner


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
    answer, ran = probe(context, calm(scratch(context)))
    if answer is None:
        problems.append(f"Python does not start: {ran.tail}")
    entries = answer["path"] if answer else []
    if answer:
        version = "".join(str(part) for part in answer["version"])
        archive = os.path.join(os.path.dirname(answer["stdlib"]), f"python{version}.zip")
        problems += [
            f"sys.path holds {entry}"
            for entry in entries
            if entry != archive and _foreign(entry, context, answer["stdlib"])
        ]
    evidence = {"pth files": seen, "sys.path": entries, "problems": problems}
    if problems:
        raise Failed(problems[0], f"remove the package that placed it, or {REPAIR}", evidence)
    return Finding(f"{len(seen)} .pth file(s) and {len(entries)} sys.path entries stay inside", evidence)


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


def console_scripts(context: Context) -> Finding:
    """Scripts start the prefix's Python; after activation `python` and `pip` are the prefix's too."""
    prefix, place = context.spec.prefix, scratch(context)
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
    evidence: dict[str, object] = {"scripts": scripts}
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
        raise Failed(problems[0] + (f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""), REPAIR, evidence)
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
    prefix, place = context.spec.prefix, scratch(context)
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
    attacks = {
        "LD_LIBRARY_PATH": {"LD_LIBRARY_PATH": str(decoys)},
        "LD_PRELOAD": {"LD_PRELOAD": str(preload)},
        "LD_AUDIT": {"LD_AUDIT": str(preload)},
    }

    def attempt(variables: Mapping[str, str]) -> str | list[str]:
        argv: list[str | Path] = [context.spec.python, "-c", _LOADED, "math", "zlib", name]
        ran = command(argv, {**calm(place), **variables}, place, 180.0)
        loaded = ran.out.split("\n") if ran.code == 0 else []
        wrong = [f"{name} cannot be imported: {ran.tail}"] if ran.code else []
        wrong += [f"{path} was loaded" for path in loaded if below(path, decoys)]
        wrong += [
            f"{path} was loaded, though the environment has its own"
            for path in loaded
            if os.path.basename(path) in own and not below(path, prefix)
        ]
        return wrong or "no effect"

    # All at once first: only where something gets through is it worth to load the package again for each.
    together = attempt({key: value for variables in attacks.values() for key, value in variables.items()})
    evidence: dict[str, object] = dict.fromkeys(attacks, together)
    if together != "no effect":
        evidence = {attack: attempt(variables) for attack, variables in {"nothing hostile": {}, **attacks}.items()}
    remedy = f"a library of the system is found first: {WRAPPER_REMEDY}"
    finding = sum_up(evidence, "ways to put a foreign library first have no effect", remedy)
    return Finding(finding.detail, {**finding.evidence, "imported": name, "libraries of its own": sorted(own)})


def activated(context: Context) -> Finding:
    """Another environment that is active already: neither ours started by its path, nor ours activated on top, mixes with it."""
    prefix, place = context.spec.prefix, scratch(context)
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
    evidence: dict[str, object] = {attack.name: leaks(context, attack, place / "marks") or "no effect"}
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
    return sum_up(evidence, "ways in from another active environment lead to this one alone", WRAPPER_REMEDY)


def sudo(context: Context) -> Finding:
    """Started through sudo with hostile variables: root's home and root's variables change nothing either."""
    place = scratch(context)
    tried = command(["sudo", "-n", "true"], calm(place), place, 10.0)
    if tried.code != 0:
        raise Skipped(f"sudo cannot be used here: {tried.tail}")
    marks, decoys = place / "marks", place / "decoys"
    plant(decoys, DECOY, marks)
    plant(decoys, "sitecustomize", marks)
    version = python_version(context, place)
    plant(place / f"home/.local/lib/python{version}/site-packages", DECOY, marks)
    attacks = [
        Attack("PYTHONPATH", place, {"PYTHONPATH": str(decoys)}, (decoys,), (), ("PYTHONPATH",)),
        Attack("a user site", place / "home", {}, (place / "home",)),
    ]
    evidence = {attack.name: leaks(context, attack, marks, through=("sudo", "-n")) or "no effect" for attack in attacks}
    return sum_up(evidence, "attacks through sudo had no effect", WRAPPER_REMEDY)


CHECKS = (
    Check("isolation.user_site", "no user site", user_site, WRAPPER_REMEDY),
    Check("isolation.pythonpath", "PYTHONPATH is ignored", pythonpath, WRAPPER_REMEDY),
    Check("isolation.pythonhome", "PYTHONHOME is ignored", pythonhome, WRAPPER_REMEDY),
    Check("isolation.system_site", "no system packages", system_site),
    Check("isolation.pth_files", "nothing leads out of the prefix", pth_files),
    Check("isolation.pip_user", "pip stays in the prefix", pip_user, WRAPPER_REMEDY, cost=2.5),
    Check("isolation.pip_settings", "pip's own settings lead nowhere else", pip_settings),
    Check("isolation.libraries", "no foreign library comes first", libraries, WRAPPER_REMEDY, timeout=600.0, cost=2.5),
    Check("isolation.activated", "another active environment has no effect", activated, WRAPPER_REMEDY),
    Check("isolation.sudo", "sudo has no effect", sudo, WRAPPER_REMEDY),
    Check("isolation.console_scripts", "scripts use the prefix", console_scripts, cost=1.0),
)
