"""The program `wavesmith-doctor`: choose the checks, let them be judged, and write the verdict."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Callable

from ..failures import command
from ..models import scratch as folders
from ..records import shape
from ..records.generation import CheckResult, Health, Verdict
from . import carry, models, voice
from .base import FAIL, PASS, SKIP, UNJUDGED, Check, Context, Finding, Skipped, Spec, SpecError
from .cause import explained
from .registry import MEASURES, all_checks, chosen
from .schedule import Schedule
from .table import render
from .worker import nurse

HEALTHY, FAILED, NOT_JUDGED = 0, 1, 2
TIME = "%Y-%m-%dT%H:%M:%SZ"
NAMES: Mapping[int, Health] = {HEALTHY: "healthy", FAILED: "failed", NOT_JUDGED: "unjudged"}


def main(argv: Sequence[str] | None = None) -> int:
    """Judge an environment.

    Returns:
        0 when it is healthy, 1 when a check failed, 2 when it could not be judged.
    """
    options = _options(argv)
    if options.nurse:
        spec = Spec.read(options.spec)
        known = {check.id: check for check in all_checks(spec)}
        context = Context(spec, options.evidence, options.scratch)
        return nurse(known, context, [name for name in options.nurse.split(",") if name != "-"])
    if options.paste or options.known:
        return _recognise(options)
    started, clock = datetime.now(timezone.utc), time.monotonic()
    spec_or_none: Spec | None = None
    results: list[CheckResult] = []
    problem = ""
    try:
        spec = spec_or_none = Spec.read(options.spec)
        checks = [check for check in all_checks(spec) if chosen(check.id, options.only, options.performance)]
        if not checks:
            raise SpecError(
                f"no check of this environment begins with {' or '.join(options.only)}. Remedy: --list names them all"
            )
        if options.list:
            print("\n".join(f"{check.id:34} {check.title}" for check in checks))
            return HEALTHY
        scratch = folders.folder("doctor")
        try:
            evidence = options.evidence.resolve() if options.evidence else scratch / "evidence"
            evidence.mkdir(parents=True, exist_ok=True)
            if not options.only:
                voice.forget(evidence)
                models.forget(evidence)
            context = Context(spec, evidence, scratch)
            here = carry.ground(spec)
            held = _held(options, checks, spec, here, started, evidence)
            left = [check for check in checks if check.id not in held]
            results = judge(left, context, options.spec.resolve(), _say if options.progress else _hush)
            results = _whole(checks, results, held, here, started)
        finally:
            folders.remove(scratch)
    except (SpecError, OSError) as error:
        problem = str(error)
    verdict = summarise(spec_or_none, results, started, time.monotonic() - clock, problem)
    try:
        if options.out:
            _write(options.out, verdict)
    except OSError as error:
        print(f"cannot write the verdict {options.out}: {error.strerror or error}", file=sys.stderr)
        return NOT_JUDGED
    if options.json:
        print(json.dumps(verdict, indent=1, ensure_ascii=False, default=str))
    elif not options.quiet:
        print(render(verdict, shutil.get_terminal_size((110, 24)).columns), end="")
    return verdict["exit"]


def _held(
    options: argparse.Namespace,
    checks: Sequence[Check],
    spec: Spec,
    here: carry.Ground,
    now: datetime,
    evidence: Path,
) -> dict[str, CheckResult]:
    """The findings that are not found again: what takes minutes and was asked of this generation before, and what the one before has."""
    if options.full:
        return {}
    own = None if options.only else _verdict(spec.prefix / "wavesmith")
    rare = {check.id for check in checks if check.rarely}
    held = {name: found for name, found in carry.holding(checks, own, here, now).items() if name in rare} if own else {}
    before = _verdict(options.carry) if options.carry and (options.carry / "evidence").is_dir() else None
    if before and before["exit"] == HEALTHY:
        carried = carry.holding(checks, before, here, now)
        if carried:
            shutil.copytree(options.carry / "evidence", evidence, dirs_exist_ok=True)
        held = {**carried, **held}
    return held


def _verdict(folder: Path) -> Verdict | None:
    """The verdict in a generation's folder, where there is one that can be read."""
    try:
        found: Verdict = shape.read(json.loads((folder / "verdict.json").read_text("utf-8")), Verdict, "", "")
    except (OSError, ValueError, shape.WrongRecord):
        return None
    return found


def _whole(
    checks: Sequence[Check],
    fresh: Sequence[CheckResult],
    held: Mapping[str, CheckResult],
    here: carry.Ground,
    at: datetime,
) -> list[CheckResult]:
    """All results in their order, each with its date, and those that may be carried over with what they rest on."""
    found, models_of = dict(held), {check.id: check.model for check in checks}
    for result in fresh:
        touched = result.pop("touched", None)
        result["at"] = at.strftime(TIME)
        if touched is not None and result["verdict"] == PASS:
            result["basis"] = here.basis(touched, models_of[result["id"]])
        found[result["id"]] = result
    return [found[check.id] for check in checks]


def _recognise(options: argparse.Namespace) -> int:
    try:
        spec = Spec.read(options.spec)
    except SpecError as error:
        print(error, file=sys.stderr)
        return command.UNUSABLE
    return command.run(options, spec.known.data, str(spec.prefix), spec.environment)


def judge(checks: Sequence[Check], context: Context, spec_file: Path, say: Callable[..., None]) -> list[CheckResult]:
    """Judge the checks side by side, each in a process of its own; results in their order."""
    total, done = len(checks), 0

    def begin(check: Check) -> None:
        nonlocal done
        done += 1
        say(phase="check", n=done, m=total, detail=f"{check.id}: {check.title}")

    results = Schedule(checks, context, spec_file, begin).run()
    known, facts = (
        context.spec.known,
        {**context.spec.facts, "judged": "environment", "environment": context.spec.environment},
    )
    return [explained(results[check.id], check.remedy, check.failure, known, facts) for check in checks]


def summarise(
    spec: Spec | None, results: Sequence[CheckResult], started: datetime, seconds: float, problem: str = ""
) -> Verdict:
    """The verdict over all checks: failed when one failed, unjudged when one or all could not be carried out."""
    results = list(results)
    if problem:
        results.append(Check("doctor.spec", "the environment can be judged", _cannot_judge).result(SKIP, problem))
    outcomes = {result["verdict"] for result in results}
    undone = problem or UNJUDGED in outcomes or PASS not in outcomes
    code = FAILED if FAIL in outcomes else NOT_JUDGED if undone else HEALTHY
    return {
        "schema": 1,
        "environment": spec.environment if spec else "",
        "generation": spec.generation if spec else "",
        "verdict": NAMES[code],
        "exit": code,
        "started": started.strftime(TIME),
        "seconds": round(seconds, 3),
        "checks": results,
        "performance": measured(results),
    }


def measured(results: Sequence[CheckResult]) -> dict[str, float]:
    """The rates that checks of performance measured, by what they are; what other checks measure is evidence of theirs."""
    found: dict[str, float] = {}
    for result in results:
        if not result["id"].startswith(MEASURES):
            continue
        numbers = result["evidence"].get("measured")
        if isinstance(numbers, dict):
            found.update({name: number for name, number in numbers.items() if isinstance(number, (int, float))})
    return found


def _cannot_judge(context: Context) -> Finding:
    raise Skipped("there is nothing to judge")


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="wavesmith-doctor",
        description="Judge an environment: exit 0 healthy, 1 failed, 2 could not judge.",
        epilog=f"With --paste: {command.EXITS}",
    )
    parser.add_argument("--spec", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="PREFIX",
        help="run only checks whose id starts with this; may be repeated",
    )
    parser.add_argument(
        "--performance", action="store_true", help="also measure how fast this host computes (about 20 s)"
    )
    parser.add_argument(
        "--full",
        action="store_true",
        help="run all checks [all but those that take minutes, where nothing is different]",
    )
    parser.add_argument("--list", action="store_true", help="list the checks and run none")
    command.ask(parser.add_mutually_exclusive_group())
    command.elsewhere(parser)
    parser.add_argument("--json", action="store_true", help="print the verdict, or what was recognised, as JSON")
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write the verdict there (JSON)")
    parser.add_argument("--evidence", type=Path, metavar="FOLDER", help="keep WAV and PNG files there")
    parser.add_argument("--quiet", action="store_true", help="print no table")
    parser.add_argument("--progress", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--carry", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--nurse", default="", help=argparse.SUPPRESS)
    parser.add_argument("--scratch", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def _say(**values: object) -> None:
    print(json.dumps(values), flush=True)


def _hush(**values: object) -> None:
    del values


def _write(path: Path, verdict: Verdict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(verdict, indent=1, ensure_ascii=False, default=str) + "\n", encoding="utf-8")
    os.replace(partial, path)
