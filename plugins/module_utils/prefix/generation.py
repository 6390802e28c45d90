"""Make a generation: an isolated Python prefix, the packages of a lock in it, and the proof that the bytes are the right ones."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

from ..audit.binaries import problems
from ..host import store
from ..host.job import Failed, Job
from ..host.tools import environment, explain, free_bytes, run_uv, uv
from ..host.wheels import kept_wheel
from ..plan import guard
from ..plan.archive import all_constraints
from ..plan.lockfile import pinned
from ..plan.lockfile import repositories as commits
from ..plan.record import DECIDED
from ..records.generation import GenerationManifest, Override, PythonOf
from ..records.task import Installed, InstallTask, LockTask, OwnWheelFile
from ..terms.names import name_of, normal
from . import bytecode, code, links, models, proof, repositories
from .activation import ACTIVATE, DEACTIVATE, bin_activate, launcher, scripts, wrapper
from .conda import channel_packages, link

_PIP_CONF = """\
# What this generation was verified with stays: a requirement that contradicts it is refused.
# pip reads `no-user = true` as `user = true`, so both are set: whichever a user's own file has, ours is read after it.
[global]
{virtualenv}[install]
user = false
no-user = false
constraint = {constraints}
"""
_GUARD = '''\
"""Take foreign folders off the search path, also when Python was not started through this environment's bin/python, and
take out of pip's settings what would make it install elsewhere."""

import os
import sys

_roots = tuple(os.path.realpath(root) + os.sep for root in (sys.prefix, os.path.dirname(os.__file__)))
_REMEDY = (
    "Remedy: to have another version, change wavesmith_environments in the inventory and run `wavesmith provision`; "
    "to try one, use a virtual environment of your own"
)
_zip = f"python{sys.version_info[0]}{sys.version_info[1]}.zip"
sys.path[:] = [
    entry for entry in sys.path
    if os.path.basename(entry) == _zip or (os.path.realpath(entry) + os.sep).startswith(_roots)
]


class _Pip:
    """Finds pip's modules as ever, and changes two: what the user's settings say, and how it refuses."""

    names = ("user", "no-user", "target", "prefix", "root", "python")

    def __init__(self):
        self.changes = {
            "pip._internal.configuration": self.settings,
            "pip._internal.resolution.resolvelib.factory": self.refusals,
        }

    def find_spec(self, name, path=None, target=None):
        change = self.changes.pop(name, None)
        if change is None:
            return None
        import importlib.util
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            # All modules in one folder of a zip file (pip out of its wheel) have the same loader.
            if module.__name__ == name:
                change(module)

        spec.loader.exec_module = exec_module
        return spec

    def settings(self, module):
        """No file or variable of the user chooses where to install."""
        # Older pips refuse --user in virtual environments only (23.2 does), newer ones ask the site module as well.
        from pip._internal.utils import virtualenv
        virtualenv.virtualenv_no_global = lambda: True
        load = module.Configuration.load

        def loaded(self):
            load(self)
            for kind, settings in self._config.items():
                if kind == "site":
                    continue
                # pip 25 and newer keep the settings of each file by its name, older ones all in one.
                parts = [part for part in settings.values() if isinstance(part, dict)] or [settings]
                for part in parts:
                    for key in [key for key in part if key.rpartition(".")[2] in _Pip.names]:
                        del part[key]

        module.Configuration.load = loaded

    def refusals(self, module):
        """What contradicts the constraints of this environment is refused in its name."""
        explain = getattr(module.Factory, "get_installation_error", None)

        def explained(self, error, constraints):
            found = explain(self, error, constraints)
            try:
                names = sorted({cause.requirement.name for cause in error.causes} & set(constraints))
                kept = ", ".join(f"{name}{constraints[name].specifier}" for name in names)
            except Exception:
                kept = ""
            if kept:
                found.args = (f"{found}\\n{sys.prefix}: Wavesmith keeps {kept}, with which this environment was verified. " + _REMEDY,)
            return found

        if explain:
            module.Factory.get_installation_error = explained


if any("pip" in os.path.basename(word) for word in getattr(sys, "orig_argv", ())[1:4]):
    sys.meta_path.insert(0, _Pip())
'''
_VENV_ACTIVATE = """
. "{prefix}/{activate}"
"""
_VENV_DEACTIVATE = """\
    . "{prefix}/{deactivate}"
"""


def make_prefix(job: Job, root: str, spec: InstallTask) -> None:
    """Make the empty, isolated prefix of a generation; an unfinished one of the same name is removed first."""
    prefix = store.generation_folder(root, spec["environment"], spec["generation"])
    folder = os.path.dirname(prefix)
    os.makedirs(folder, mode=0o755, exist_ok=True)
    for name in store.leftovers(folder):
        path = os.path.join(folder, name)
        shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)
    if _complete(prefix, spec):
        return
    if store.pointed(folder) == spec["generation"]:
        raise Failed(f"generation {spec['generation']} of {spec['environment']} is in use. Remedy: plan again")
    store.remove(prefix)
    if spec["engine"] == "conda":
        link(job, root, spec, prefix)
        base = _move_python(prefix, spec["python"]["version"])
    else:
        base = os.path.realpath(spec["python"]["path"])
        argv = [uv(root), "venv", "--quiet", "--no-project", "--python", spec["python"]["path"]]
        try:
            run_uv(job, [*argv, "--prompt", spec["environment"], prefix], environment(root, ""))
        except Failed as error:
            raise explain(error, f"environment {spec['environment']}", job.known) from error
    _isolate(prefix, base, spec)
    store.write_text(os.path.join(root, "bin", "wavesmith-run"), launcher(root), 0o755)


def _complete(prefix: str, spec: InstallTask) -> bool:
    """Whether the generation is there already: a run before this one finished it after its controller was gone.

    Raises:
        Failed: another one is there under its name.
    """
    manifest = store.read_json(os.path.join(prefix, store.MANIFEST))
    if manifest is None:
        return False
    if manifest.get("digest") != spec["digest"] or store.damage(prefix):
        raise Failed(
            f"generation {spec['generation']} of {spec['environment']} is complete and must not be changed. Remedy: plan again"
        )
    return True


def site_packages(prefix: str, version: str) -> str:
    """The folder packages are installed to."""
    return os.path.join(prefix, "lib", "python" + ".".join(version.split(".")[:2]), "site-packages")


def _move_python(prefix: str, version: str) -> str:
    """Take conda's interpreter out of the way of the wrapper; from ``libexec`` it finds ``../lib`` as well."""
    name = "python" + ".".join(version.split(".")[:2])
    base = os.path.join(prefix, "libexec", name)
    try:
        os.makedirs(os.path.dirname(base), exist_ok=True)
        os.rename(os.path.join(prefix, "bin", name), base)
    except FileNotFoundError as error:
        raise Failed(
            f"the channel's python has no bin/{name}. Remedy: name another channel in wavesmith_conda_channels"
        ) from error
    os.symlink("python", os.path.join(prefix, "bin", name))
    return base


def _write(path: str, text: str, mode: int = 0o644) -> None:
    """Write a file of a generation that is not sealed yet: what a power cut takes of it is seen as damage, or made anew."""
    store.write_text(path, text, mode, durable=False)


def _isolate(prefix: str, base: str, spec: InstallTask) -> None:
    conda, values = spec["engine"] == "conda", spec["variables"]
    python = os.path.join(prefix, "bin", "python")
    constraints = os.path.join(prefix, guard.CONSTRAINTS)
    os.unlink(python)
    _write(python, wrapper(prefix, base, values), 0o755)
    for name in os.listdir(os.path.join(prefix, "bin")):
        path = os.path.join(prefix, "bin", name)
        if re.fullmatch(r"python[\d.]+", name):
            os.unlink(path)
            os.symlink("python", path)
    _write(constraints, guard.constraints({}))  # filled in when the packages are there
    # Only a virtual environment passes for one: pip would refuse to install into any other.
    virtualenv = "" if conda else "require-virtualenv = true\n"
    _write(os.path.join(prefix, "pip.conf"), _PIP_CONF.format(virtualenv=virtualenv, constraints=constraints))
    site = site_packages(prefix, spec["python"]["version"])
    _write(os.path.join(site, "_wavesmith_isolation.py"), _GUARD)
    _write(os.path.join(site, "_wavesmith_isolation.pth"), "import _wavesmith_isolation\n")
    for relative, text in scripts(prefix, values).items():
        _write(os.path.join(prefix, relative), text)
    activate = os.path.join(prefix, "bin", "activate")
    if conda:
        _write(activate, bin_activate(prefix, spec["environment"]))
        return
    with open(activate, encoding="utf-8") as file:
        text = file.read()
    head, found, tail = text.partition("deactivate () {\n")
    if not found:
        raise Failed("uv's activate script has no deactivate function any more. Remedy: report it; use the pinned uv")
    leave = _VENV_DEACTIVATE.format(prefix=prefix, deactivate=DEACTIVATE)
    _write(activate, head + found + leave + tail + _VENV_ACTIVATE.format(prefix=prefix, activate=ACTIVATE))


def resolve(job: Job, root: str, spec: LockTask, package_index: str) -> str:
    """Resolve the lock of one environment and return its text: exact versions and hashes, no address of an index.

    Raises:
        Failed: nothing satisfies the requirements, or the index does not answer.
    """
    folder = os.path.join(root, "state", "lock-" + spec["key"])
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    job.progress("resolving", detail=spec["key"])
    try:
        paths = {name: os.path.join(folder, f"{name}.txt") for name in ("requirements", "overrides", "old", "lock")}
        tools, python = environment(root, package_index), _python(root, spec["python"])

        def build(words: list[str]) -> None:
            _with_older_tools(job, words, tools, spec["python"], paths["old"], [])

        sources, bundle = os.path.join(folder, "sources"), spec.get("bundle", "")
        lines, local = repositories.localized(
            job, root, spec["requirements"], sources, python[:2], tools, bundle, build
        )
        store.write_text(paths["requirements"], "\n".join(lines) + "\n")
        # What was built here is that file and nothing else, whatever an index has under its name.
        built = {wheel["name"]: Path(kept_wheel(root, wheel["key"])).as_uri() for wheel in spec["wheels"]}
        overrides = [line for line in spec["overrides"] if name_of(line) not in built]
        overrides += [f"{name}{_extras(name, spec)} @ {address}" for name, address in built.items()]
        store.write_text(paths["overrides"], "\n".join(overrides) + "\n")
        argv = [
            *compiling(root, spec),
            "--no-annotate",
            "--generate-hashes",
            "--no-emit-index-url",
            "--no-emit-find-links",
        ]
        argv += ["--override", paths["overrides"], "--output-file", paths["lock"]]
        if spec.get("before"):
            # uv keeps to the versions that its output file names.
            store.write_text(paths["lock"], pinned(spec["before"]))
            argv += [word for name in spec.get("upgrade", []) for word in ("--upgrade-package", name)]
        argv += [f"--no-emit-package={name}" for name in built]
        try:
            _with_older_tools(job, [*argv, paths["requirements"]], tools, spec["python"], paths["old"], [])
        except Failed as error:
            known = explain(error, f"resolving {spec['key']}", job.known, spec.get("known", []))
            raise _with_origins(known, spec["declared"]) from error
        with open(paths["lock"], encoding="utf-8") as file:
            text = file.read()
        if {*guard.locked(text)} & {*spec.get("banned", [])}:
            told = [word for word in argv if word not in ("--no-annotate", "--generate-hashes")]
            run_uv(job, [*told, "--annotation-style", "line", paths["requirements"]], tools)
            with open(paths["lock"], encoding="utf-8") as file:
                raise Failed(guard.brought(spec["environment"], file.read(), spec["banned"]))
        for place, line in local.items():
            text = text.replace(f"{place}\n", f"{line}\n")
        return text
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _extras(name: str, spec: LockTask) -> str:
    """The extras of a package that are asked for, as ``[train]``: an override stands for the whole requirement."""
    asked = [
        re.match(r"\s*[\w.-]+\s*\[([^\]]*)\]", line) for line in spec["requirements"] if name_of(line) == normal(name)
    ]
    extras = sorted({extra.strip() for found in asked if found for extra in found[1].split(",")})
    return f"[{','.join(extras)}]" if extras else ""


def compiling(root: str, spec: LockTask) -> list[str]:
    """The beginning of uv's command that resolves for an environment."""
    return [uv(root), "pip", "compile", "--quiet", "--no-header", *_python(root, spec["python"]), *_origin(spec)]


def _with_older_tools(
    job: Job,
    argv: list[str],
    tools: dict[str, str],
    python: PythonOf,
    path: str,
    constraints: list[str],
    watch: Callable[[], None] | None = None,
) -> None:
    """Run uv with these constraints on what archives are built with; where one does not build, again with all tools as they once were.

    Args:
        path: The file for the constraints.
    """

    def run(lines: list[str]) -> None:
        store.write_text(path, "".join(f"{line}\n" for line in lines))
        run_uv(job, [*argv, *(["--build-constraints", path] if lines else [])], tools, watch)

    try:
        run(constraints)
    except Failed as error:
        older = all_constraints(python["version"])
        if older == constraints or not any(_UNBUILT.search(line) for line in error.log):
            raise
        job.progress("building with older tools", detail=", ".join(older))
        try:
            run(older)
        except Failed as again:
            # What was said first is about the package's own wishes; unless it builds now, and something else is wrong.
            raise error if any(_UNBUILT.search(line) for line in again.log) else again from None


_UNBUILT = re.compile(
    r"Failed to (?:download and )?build|build backend|\[stderr\]|^\s*Traceback \(most|CMake Error|hint: This error likely"
)


def _python(root: str, python: PythonOf) -> list[str]:
    # The channel's Python is not there yet: the toolbox's stands in, and gets the version as an option.
    tools = os.path.join(root, "toolbox", "current", "bin", "python")
    return (
        ["--python", python["path"]] if python["path"] else ["--python", tools, "--python-version", python["version"]]
    )


def _with_origins(error: Failed, declared: list[list[str]]) -> Failed:
    """The failure with who declares the requirements that the resolver's lines name."""
    named = {normal(word) for line in error.log for word in re.findall(r"[A-Za-z0-9][\w.-]*", line)}
    asked = [f"{asked} is asked for by {by}" for asked, by in declared if name_of(asked) in named]
    return Failed(str(error), [*error.log, *asked])


def _origin(spec: InstallTask | LockTask) -> list[str]:
    # Every file is pinned by hash, so the best match over both indexes cannot bring in a stranger's file at install.
    return ["--index", spec["origin_url"], "--index-strategy", "unsafe-best-match"] if spec["origin_url"] else []


def install(job: Job, root: str, spec: InstallTask, package_index: str, rooms: Mapping[str, bytes]) -> Installed:
    """Make one generation whole: packages of the lock, wheels built from source, byte check, manifest.

    `rooms` is what runs models there (`models.sources`).

    Raises:
        Failed: the reason and the remedy; the unfinished prefix is removed, what was downloaded stays in the cache.
    """
    prefix = store.generation_folder(root, spec["environment"], spec["generation"])
    if _complete(prefix, spec):
        return {
            "environment": spec["environment"],
            "generation": spec["generation"],
            "packages": None,
            "contents": {},
            "overrides": [],
        }
    try:
        return _fill(job, root, spec, package_index, prefix, rooms)
    except BaseException:
        store.remove(prefix)
        raise


def _fill(
    job: Job, root: str, spec: InstallTask, package_index: str, prefix: str, rooms: Mapping[str, bytes]
) -> Installed:
    before, beside_shares = _in_use(root, spec)
    wanted_links = spec.get("links", links.AUTO)
    tools = environment(root, package_index)
    python = os.path.join(prefix, "bin", "python")
    site = site_packages(prefix, spec["python"]["version"])
    wanted = re.findall(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==", spec["lock"], re.MULTILINE)
    count = len(wanted) + len(spec["wheels"])
    fetched = commits(spec["lock"])
    count += len(fetched)
    wheels = [kept_wheel(root, wheel["key"]) for wheel in spec["wheels"]]
    wheels += [_own_wheel(prefix, wheel) for wheel in spec["projects"]]
    if not os.path.exists(python):
        raise Failed(f"the prefix {prefix} is not there. Remedy: run the playbook again")
    trees = spec.get("code", [])
    code.place(root, prefix, trees)
    lock = os.path.join(prefix, "wavesmith", "lock.txt")
    _write(lock, spec["lock"])
    scratch = os.path.join(root, "state", f"install-{spec['environment']}")
    files = os.path.join(scratch, "lock.txt") if fetched else lock  # no hash pins a repository: its commit does
    if fetched:
        shutil.rmtree(scratch, ignore_errors=True)
        os.makedirs(scratch)
        _write(files, pinned(spec["lock"]))
    free, own = free_bytes(root), _own(prefix)

    def watch() -> None:
        done = sum(name.endswith(".dist-info") for name in os.listdir(site))
        fetched = max(0, free - free_bytes(root)) / 2**20
        job.progress("linking" if done else "downloading", done, count, f"{fetched:.0f} MiB written")

    add = [uv(root), "pip", "install", "--quiet", "--python", python, "--no-deps"]
    locked = [*add, "--require-hashes", *_origin(spec), "--requirement", files]
    old = os.path.join(root, "state", f"build-constraints-{spec['environment']}.txt")
    try:
        _with_older_tools(job, locked, tools, spec["python"], old, spec.get("constraints", []), watch)
        wheels += repositories.wheels(
            job,
            root,
            spec["lock"],
            scratch,
            ["--python", python],
            tools,
            spec.get("bundle", ""),
            lambda words: _with_older_tools(job, words, tools, spec["python"], old, []),
        )
        if wheels:
            run_uv(job, [*add, "--no-index", *wheels], tools)
        spare = {}
        if beside_shares and wanted_links == links.AUTO:
            older = store.of_other_files(root, spec["environment"], False)
            spare = proof.same_files(older, prefix, os.path.relpath(site, prefix)) if older else {}
        job.progress("making files its own")
        shares = links.separate(prefix, wanted_links, beside_shares, spare)
        job.progress("checking bytes", count, count)
        wrong = proof.wrong_bytes(site)
        if wrong:
            # A file of the cache was changed in place through a hard link: fetch those packages again.
            names = sorted(wrong)
            job.progress("fetching damaged packages again", 0, len(names), ", ".join(names))
            run_uv(job, [uv(root), "cache", "clean", "--quiet", *names], tools)
            again = [argument for name in names for argument in ("--reinstall-package", name)]
            run_uv(job, [*locked, *again], tools, watch)
            if wheels:
                run_uv(job, [*add, "--no-index", *again, *wheels], tools)
            shares = links.separate(prefix, wanted_links, beside_shares, {})
            wrong = proof.wrong_bytes(site)
            if wrong:
                name, path = sorted(wrong.items())[0]
                raise Failed(
                    f"{name}: {path} is not the file its wheel declares. Remedy: remove {root}/cache/uv and start again"
                )
        taken = sorted(name for name, mark in _own(prefix).items() | own.items() if own.get(name) != mark)
        if taken:
            raise Failed(
                f"a package replaces {taken[0]}, which isolates this environment. "
                "Remedy: remove the package that has a script or data file of that name, or take another release"
            )
        job.progress("reading binaries", count, count)
        unfit, _report = problems(prefix, spec["sms"], [wheel["name"] for wheel in spec["wheels"]], spec["prebuilt"])
        if unfit:
            raise Failed("; ".join(f"{problem['detail']}. Remedy: {problem['remedy']}" for problem in unfit))
        job.progress("compiling byte code", count, count)
        older = store.of_other_files(root, spec["environment"], shares) if before else ""
        _compile(job, prefix, [before, older], site, code.folders(prefix, trees), tools)
    except Failed as error:
        raise explain(error, f"environment {spec['environment']}", job.known) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    job.progress("sealing", count, count)
    for name in (".lock", ".gitignore", "CACHEDIR.TAG"):  # uv's own; the lock file is writable for everyone
        if os.path.exists(os.path.join(prefix, name)):
            os.unlink(os.path.join(prefix, name))
    models.write(prefix, spec["models"], rooms)
    packages = proof.installed(site)
    _write(os.path.join(prefix, guard.CONSTRAINTS), guard.constraints(packages, spec["held"]))
    decided = cast(GenerationManifest, {key: value for key, value in spec.items() if key in DECIDED})
    manifest: GenerationManifest = {
        **decided,
        "schema": 1,
        "created": time.time(),
        "environment": spec["environment"],
        "generation": spec["generation"],
        "overrides": [*spec["overrides"], *_overridden(root, python, tools, packages, spec["held"])],
        "lock_key": spec["key"],
        "wheels": {wheel["name"]: wheel["key"] for wheel in spec["wheels"]},
        "packages": packages,
        "channel_packages": channel_packages(prefix),
        "records": {name: proof.record(site, name) for name in spec["versions"]},
        "shares_files": shares,
    }
    bytecode.keep(prefix)
    store.seal(prefix, manifest)
    return {
        "environment": spec["environment"],
        "generation": spec["generation"],
        "packages": len(packages),
        "contents": packages,
        "overrides": manifest["overrides"],
    }


_OURS = re.compile(
    r"bin/(python|activate)[^/]*|libexec/.*|pip\.conf|pyvenv\.cfg|etc/conda/.*|.*/_wavesmith_isolation\.\w+"
)


def _own(prefix: str) -> dict[str, str]:
    """Files in a prefix that are ours and not a package's, each with the attributes that change when it is written."""
    return {name: json.dumps(mark) for name, mark in store.marks(prefix) if _OURS.fullmatch(name)}


def _in_use(root: str, spec: InstallTask) -> tuple[str, bool | None]:
    """The prefix of the generation in use, and whether the one that stays beside the new one shares the cache's files; empty and `None` for none.

    That is the one in use, or where it was damaged the one that a rollback would go to: a damaged one is gone back to by nobody.
    """
    folder = store.environment_folder(root, spec["environment"])
    current = store.pointed(folder)
    before = store.read_json(os.path.join(folder, current, store.MANIFEST)) if current else None
    if not current or not isinstance(before, dict):
        return "", None
    prefix, stays = os.path.join(folder, current), before
    if store.damage(prefix):
        try:
            target = store.rollback_target(root, spec["environment"])
        except store.StoreError:
            return prefix, None
        stays = store.read_json(os.path.join(folder, target, store.MANIFEST)) or {}
    # Generations of before that was known are hard links.
    return prefix, bool(stays.get("shares_files", True))


def _compile(
    job: Job, prefix: str, generations: list[str], site: str, folders: list[str], tools: dict[str, str]
) -> None:
    """Take what byte code the generation in use and an older one have of the same sources, and compile the rest."""
    before, older = generations
    tag = f".cpython-{os.path.basename(os.path.dirname(site))[len('python') :].replace('.', '')}.pyc"
    taken = bytecode.share(older, prefix, tag) if older else set()
    taken |= bytecode.reuse(before, prefix, os.path.relpath(site, prefix), tag) if before else set()
    rest = bytecode.uncompiled([site, *folders], tag, taken)
    argv = [os.path.join(prefix, "bin", "python"), "-m", "compileall", "-q"]
    environ = {**tools, "PYTHONDONTWRITEBYTECODE": ""}
    if len(rest) > _FEW:
        job.run([*argv, "-j", "0", site, *folders], environ, ok=(0, 1))  # of folders it compiles several files at once
    elif rest:
        listed = os.path.join(prefix, "wavesmith", "uncompiled")
        _write(listed, "".join(f"{path}\n" for path in rest))
        job.run([*argv, "-i", listed], environ, ok=(0, 1))
        os.unlink(listed)


_FEW = 200


def _own_wheel(prefix: str, wheel: OwnWheelFile) -> str:
    """Keep a project's own wheel in the generation, and return its path."""
    data = base64.b64decode(wheel["data"])
    if hashlib.sha256(data).hexdigest() != wheel["sha256"]:
        raise Failed(f"{wheel['file']} is not the wheel that was built. Remedy: run the playbook again")
    path = os.path.join(prefix, "wavesmith", wheel["file"])
    with open(path, "wb") as file:
        file.write(data)
    return path


def _overridden(
    root: str, python: str, tools: dict[str, str], packages: dict[str, str], held: dict[str, str]
) -> list[Override]:
    """What the installed packages require and did not get."""
    argv = [uv(root), "pip", "check", "--python", python]
    done = subprocess.run(argv, env=tools, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return guard.installed_against(done.stderr + done.stdout, packages, held)
