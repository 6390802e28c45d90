"""The stack: the versions that were asked for are the versions that are there, and everything imports."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict

from ..audit.binaries import problems
from . import words
from .base import REPAIR, Check, Context, Failed, Finding, Skipped, below, command
from .installed import modules_of
from .prefixes import site_packages
from .worker import quiet

_VERSIONS = """
import importlib.metadata as m, json, sys
found = {}
for name in json.loads(sys.argv[1]):
    try:
        found[name] = m.version(name)
    except m.PackageNotFoundError:
        found[name] = ""
print("WAVESMITH-PROBE " + json.dumps(found))
"""
# One JSON object per line before and after each import: what a crash interrupted can be named.
_IMPORTS = """
import contextlib, importlib, json, os, sys, time
out = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)
sys.path[:] = [p for p in sys.path if p]
for package, module in json.loads(sys.argv[1]):
    print(json.dumps({"start": package}), file=out, flush=True)
    began, error, place, before = time.monotonic(), "", "", os.lseek(2, 0, 1)
    try:
        place = getattr(importlib.import_module(module), "__file__", None) or ""
    except BaseException as problem:
        error = "%s: %s" % (type(problem).__name__, problem)
    seconds = round(time.monotonic() - began, 3)
    sys.stderr.flush()
    said = [before, os.lseek(2, 0, 1)]
    print(json.dumps({"package": package, "error": error, "file": place, "seconds": seconds, "said": said}), file=out, flush=True)
os._exit(0)
"""
IMPORT_TIMEOUT = 240.0


def same_version(wanted: str, found: str) -> bool:
    """Whether a version is the wanted one; a local part (`+cpu`) counts only when it was asked for."""
    return found == wanted or ("+" not in wanted and found.split("+")[0] == wanted)


def versions(context: Context) -> Finding:
    """Installed metadata equals the specification, and the CUDA of torch is the backend's."""
    wanted = context.spec.versions
    if not wanted:
        raise Skipped("the stack names no versions")
    ran = command([context.spec.python, "-c", _VERSIONS, json.dumps(list(wanted))], quiet(context), context.scratch)
    marked = [line for line in ran.out.splitlines() if line.startswith("WAVESMITH-PROBE ")]
    if ran.code or not marked:
        raise Failed(f"the installed versions cannot be read: {ran.tail}")
    found: dict[str, str] = json.loads(marked[0].split(" ", 1)[1])
    evidence: dict[str, object] = {
        name: {"wanted": version, "found": found[name] or None} for name, version in wanted.items()
    }
    wrong = [
        f"{name} is {found[name] or 'not installed'}, the stack wants {version}"
        for name, version in wanted.items()
        if not same_version(version, found[name])
    ]
    cuda = torch_cuda(context.spec.prefix)
    if cuda is not None:
        evidence["torch was built for"] = f"CUDA {cuda}" if cuda else "no CUDA"
        backend = context.spec.backend
        if backend.startswith("cuda") and backend[4:].replace("_", ".") != cuda:
            wrong.append(f"torch was built for {evidence['torch was built for']}, the backend is {backend}")
    if wrong:
        raise Failed("; ".join(wrong), "a later install replaced a package of the stack: " + REPAIR, evidence)
    return Finding(", ".join(f"{name} {found[name]}" for name in wanted), evidence)


def torch_cuda(prefix: Path) -> str | None:
    """The CUDA version written into the installed torch, without importing it; None when there is no torch."""
    for folder in site_packages(prefix):
        try:
            text = (folder / "torch/version.py").read_text(encoding="utf-8")
        except OSError:
            continue
        match = re.search(r"^cuda(?::[^=]+)? = '([^']+)'", text, re.MULTILINE)
        return match.group(1) if match else ""
    return None


def imports(context: Context) -> Finding:
    """Every package of the environment imports, in one process, from inside the prefix."""
    if not context.spec.imports:
        raise Skipped("the environment names no packages to import")
    wanted, bare, gone = modules_of(context.spec.prefix, context.spec.imports)
    results = import_all(context, wanted)
    evidence: dict[str, object] = {name: {"modules": "none: its wheel has none"} for name in bare}
    wrong = [f"{name}: it is not installed" for name in gone]
    for package, result in results.items():
        error = result["error"]
        if not error and result["file"] and not below(result["file"], context.spec.prefix):
            error = f"imported from {result['file']}, outside the prefix"
        said = words.lines(result["complaints"]) if error else []
        evidence[package] = {
            "seconds": result["seconds"],
            **({"error": error} if error else {}),
            **({"said": said} if said else {}),
        }
        if error:
            wrong.append(f"{package}: {_shown(error, result['complaints'])}")
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise Failed(wrong[0] + more, "", evidence)
    if not results:
        return Finding(f"{', '.join(bare)}: no module to import", evidence)
    slowest = max(results, key=lambda name: results[name]["seconds"])
    return Finding(f"{len(results)} packages import; slowest {slowest}, {results[slowest]['seconds']:.1f} s", evidence)


def _shown(error: str, complaints: str) -> str:
    """The one line of an error; where it has only a kind, what was printed before it."""
    kind, _, text = error.partition(": ")
    first = next((line for line in text.splitlines() if line.strip()), "") or words.summary(complaints)
    return f"{kind}: {first.strip()}" if first else kind


class Imported(TypedDict):
    """What became of the import of a package.

    Attributes:
        package: Its distribution.
        error: Why it does not import; empty where it does.
        file: Where its module is; empty where that is not known.
        seconds: How long it took.
        complaints: What was printed meanwhile.
    """

    package: str
    error: str
    file: str
    seconds: float
    complaints: str


class _Line(Imported, total=False):
    """A line of the process that imports: that it starts with a package, or what became of one."""

    start: str
    said: list[int]


def import_all(context: Context, wanted: Mapping[str, str]) -> dict[str, Imported]:
    """Import every package; after a crash, go on with the rest in a new process."""
    left = list(wanted.items())
    results: dict[str, Imported] = {}
    end = time.monotonic() + IMPORT_TIMEOUT
    while left:
        lines, reason = _import_process(context, left, max(5.0, end - time.monotonic()))
        started = ""
        for line in lines:
            if "start" in line:
                started = line["start"]
            else:
                results[line["package"]] = line
        if started and started not in results:
            results[started] = _unknown(started, reason)
        if not started or time.monotonic() > end:
            for package, _ in left:
                results.setdefault(package, _unknown(package, reason or "not tried"))
        left = [(package, module) for package, module in left if package not in results]
    return {package: results[package] for package in wanted}


def _unknown(package: str, reason: str) -> Imported:
    return {"package": package, "error": reason, "file": "", "seconds": 0.0, "complaints": ""}


def _import_process(context: Context, pairs: Sequence[tuple[str, str]], timeout: float) -> tuple[list[_Line], str]:
    with (
        tempfile.TemporaryFile("w+", dir=context.scratch) as said,
        tempfile.TemporaryFile("w+b", dir=context.scratch) as complained,
    ):
        argv = [str(context.spec.python), "-W", "ignore", "-c", _IMPORTS, json.dumps(pairs)]
        try:
            code = subprocess.run(
                argv,
                env=quiet(context),
                cwd=context.scratch,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=complained,
                timeout=timeout,
                check=False,
            ).returncode
            reason = words.ending(code)
        except subprocess.TimeoutExpired:
            reason = "the import did not end in time"
        except OSError as error:
            reason = f"cannot run {argv[0]}: {error.strerror or error}"
        for stream in (said, complained):
            stream.seek(0)
        complaints = complained.read()
        why = words.summary(complaints.decode(errors="replace"))
        lines: list[_Line] = [json.loads(line) for line in said if line.startswith("{") and line.endswith("}\n")]
    for line in lines:
        begin, end = line.get("said", (0, 0))
        line["complaints"] = complaints[begin:end].decode(errors="replace")
    return lines, reason + (f": {why}" if why else "")


def binaries(context: Context) -> Finding:
    """The libraries hold machine code for the GPUs of this host, and come from where the policy allows."""
    spec = context.spec
    unfit, report = problems(str(spec.prefix), spec.sms, spec.built, spec.prebuilt)
    if report is None:
        raise Skipped("this host has no NVIDIA GPU, and its policy allows CUDA code that others built")
    on_cpu = report["cpu_only"]
    evidence: dict[str, object] = {"GPUs": list(spec.sms), "targets": report["targets"]}
    if on_cpu:
        evidence["built for the CPU only"] = on_cpu
    for problem in unfit:
        raise Failed(problem["detail"], problem["remedy"], evidence)
    note = f"; {', '.join(on_cpu)}: built for the CPU only" if on_cpu and spec.sms else ""
    return Finding(f"there is machine code for SM {', '.join(spec.sms) or '(no GPU)'}{note}", evidence)


CHECKS = (
    Check("stack.versions", "stack versions match", versions),
    Check(
        "stack.imports",
        "packages import",
        imports,
        f"add what the message says is missing to that package's entry in the catalog, or {REPAIR}",
        timeout=IMPORT_TIMEOUT + 30.0,
        cost=6.0,
    ),
    Check("stack.binaries", "binaries serve the GPU", binaries, timeout=600.0, cost=3.0),
)
