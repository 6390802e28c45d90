"""Run the checks in order and write the verdict."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import pkgutil
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Callable

from . import compute, guard, isolation, models, native, stack, voice
from .base import FAIL, PASS, SKIP, Check, Context, Failed, Finding, Skipped, Spec, SpecError, perform
from .table import render
from .worker import run_heavy, work

SCHEMA = 1
HEALTHY, FAILED, UNJUDGED = 0, 1, 2
NAMES = {HEALTHY: "healthy", FAILED: "failed", UNJUDGED: "unjudged"}
# What needs no package of the environment comes first; the heavy checks follow in one worker process.
CHECKS: tuple[Check, ...] = (
    *isolation.CHECKS,
    *stack.CHECKS,
    *guard.CHECKS,
    *native.CHECKS,
    *compute.CHECKS,
    *voice.CHECKS,
)


def all_checks(spec: Spec) -> tuple[Check, ...]:
    """The checks, after them those of the environment's models, and those of the user's own (``own/*.py``, each with a `CHECKS` like here).

    A file of theirs that cannot be loaded becomes a check that fails and says why.
    """
    found = [*CHECKS, *models.checks(spec.models)]
    try:
        own = importlib.import_module(".own", __package__)
    except ImportError:
        return tuple(found)
    for module in pkgutil.iter_modules(own.__path__):
        try:
            found += importlib.import_module(f".own.{module.name}", __package__).CHECKS
        except Exception as error:  # whatever a file of theirs does wrong
            found.append(_unusable(module.name, f"{type(error).__name__}: {error}"))
    return tuple(found)


def _unusable(name: str, problem: str) -> Check:
    def fail(_: Context) -> Finding:
        raise Failed(f"checks/{name}.py cannot be used: {problem}", "correct the file in wavesmith_catalog")

    return Check(f"own.{name}", f"the check {name} can be used", fail)


def main(argv: Sequence[str] | None = None) -> int:
    """Judge an environment.

    Returns:
        0 when it is healthy, 1 when a check failed, 2 when nothing could be judged.
    """
    options = _options(argv)
    if options.worker:
        return _be_worker(options)
    started, clock = datetime.now(timezone.utc), time.monotonic()
    spec: Spec | None = None
    results: list[dict[str, Any]] = []
    problem = ""
    try:
        spec = Spec.read(options.spec)
        options.evidence.mkdir(parents=True, exist_ok=True)
        checks = [check for check in all_checks(spec) if _chosen(check.id, options.only)]
        if not options.only:
            voice.forget(options.evidence)
            models.forget(options.evidence)
        with tempfile.TemporaryDirectory(prefix="wavesmith-doctor-") as scratch:
            context = Context(spec, options.evidence.resolve(), Path(scratch).resolve())
            results = judge(checks, context, options.spec.resolve(), _say if not options.quiet else _hush)
    except (SpecError, OSError) as error:
        problem = str(error)
    verdict = summarise(spec, results, started, time.monotonic() - clock, problem)
    try:
        _write(options.out, verdict)
    except OSError as error:
        print(f"cannot write the verdict {options.out}: {error.strerror or error}", file=sys.stderr)
        return UNJUDGED
    if options.table:
        print(render(verdict, shutil.get_terminal_size((110, 24)).columns))
    return int(verdict["exit"])


def judge(checks: Sequence[Check], context: Context, spec_file: Path, say: Callable[..., None]) -> list[dict[str, Any]]:
    """Run the checks, those that need the environment's packages last and in a worker; results in their order."""
    total, done = len(checks), 0

    def begin(check: Check) -> None:
        nonlocal done
        done += 1
        say(phase="check", n=done, m=total, detail=f"{check.id}: {check.title}")

    results: dict[str, dict[str, Any]] = {}
    for check in checks:
        if not check.heavy:
            begin(check)
            results[check.id] = perform(check, context)
    for result in run_heavy([check for check in checks if check.heavy], context, spec_file, begin):
        results[result["id"]] = result
    return [results[check.id] for check in checks]


def summarise(
    spec: Spec | None, results: list[dict[str, Any]], started: datetime, seconds: float, problem: str
) -> dict[str, Any]:
    """The verdict over all checks: failed when one failed, unjudged when none could be carried out."""
    outcomes = {result["verdict"] for result in results}
    if problem:
        result = Check("doctor.spec", "the environment can be judged", _cannot_judge).result(SKIP, problem)
        results = [*results, result]
    code = FAILED if FAIL in outcomes else UNJUDGED if problem or PASS not in outcomes else HEALTHY
    return {
        "schema": SCHEMA,
        "environment": spec.environment if spec else "",
        "generation": spec.generation if spec else "",
        "verdict": NAMES[code],
        "exit": code,
        "started": started.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "seconds": round(seconds, 3),
        "checks": results,
    }


def _cannot_judge(context: Context) -> Finding:
    raise Skipped("there is nothing to judge")


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="doctor", description="Judge an environment: exit 0 healthy, 1 failed, 2 could not judge."
    )
    parser.add_argument("--spec", type=Path, required=True, help="what the environment should be (JSON)")
    parser.add_argument("--out", type=Path, default=Path("verdict.json"), help="where to write the verdict (JSON)")
    parser.add_argument("--evidence", type=Path, default=Path("evidence"), help="folder for WAV and PNG files")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="PREFIX",
        help="run only checks whose id begins so; may be repeated",
    )
    parser.add_argument("--table", action="store_true", help="print the table at the end")
    parser.add_argument("--quiet", action="store_true", help="print no progress")
    parser.add_argument("--worker", default="", help=argparse.SUPPRESS)
    parser.add_argument("--scratch", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def _be_worker(options: argparse.Namespace) -> int:
    wanted = options.worker.split(",")
    spec = Spec.read(options.spec)
    known = {check.id: check for check in all_checks(spec)}
    work([known[name] for name in wanted], Context(spec, options.evidence, options.scratch))
    return HEALTHY


def _chosen(name: str, only: Sequence[str]) -> bool:
    return not only or any(name.startswith(prefix) for prefix in only)


def _say(**values: Any) -> None:
    print(json.dumps(values), flush=True)


def _hush(**values: Any) -> None:
    del values


def _write(path: Path, verdict: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(verdict, indent=1, ensure_ascii=False, default=str) + "\n", encoding="utf-8")
    os.replace(partial, path)
