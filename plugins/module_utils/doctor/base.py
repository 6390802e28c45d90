"""The records that checks are made of, and how a single check is run without letting anything escape."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, cast

from ..failures.base import NOTHING, Base
from ..records.evidence import plain
from ..records.failure import FailureBase
from ..records.generation import CheckResult, Outcome
from ..records.model import ModelOf
from . import words

PASS: Outcome = "pass"
FAIL: Outcome = "fail"
SKIP: Outcome = "skip"
UNJUDGED: Outcome = "unjudged"
REPAIR = "run the provisioning again: it makes a new generation beside this one and switches to it once it is verified"


class SpecError(ValueError):
    """The specification cannot be read, so nothing can be judged."""


class Failed(Exception):
    """Raised by a check that has found something wrong.

    Args:
        detail: What is wrong, naming the item.
        remedy: What to do about it; the check's own remedy when empty.
        evidence: What was measured.
        failure: The known failure that it is (`catalog/failures`), whose remedy it has.
    """

    def __init__(
        self, detail: str, remedy: str = "", evidence: Mapping[str, object] | None = None, failure: str = ""
    ) -> None:
        super().__init__(detail)
        self.remedy = remedy
        self.evidence = {**(evidence or {}), **({"failure": failure} if failure else {})}


class Skipped(Exception):
    """Raised by a check whose prerequisite is missing; its text is the reason."""


@dataclass(frozen=True)
class Spec:
    """What the environment should be.

    Attributes:
        imports: Distribution name to module name, for every package that must import.
        versions: Distribution name to version, for the packages of the stack.
        accelerated: Whether torch must compute on an accelerator; a fall to the CPU is then a failure.
        sms: Compute capabilities of the NVIDIA GPUs that it serves.
        built: Packages of it that were built from source.
        prebuilt: Whether wheels with GPU code that others built are allowed.
        hub: Address of the model hub, empty where none is in reach.
        models: The models of the environment by name, as `records.model.ModelOf`.
        speakers: Models of this host that speak: ``environment``, ``model`` and the ``command`` that runs it.
        known: The failures that are known.
        facts: What their remedies depend on, as ``machine``.
        past: What was measured on this host before, oldest first, by what it is.
    """

    environment: str
    generation: str
    prefix: Path
    root: Path
    stack: str = ""
    backend: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    imports: Mapping[str, str] = field(default_factory=dict)
    accelerated: bool = False
    sms: Sequence[str] = ()
    built: Sequence[str] = ()
    prebuilt: bool = True
    hub: str = ""
    models: Mapping[str, ModelOf] = field(default_factory=dict)
    speakers: Sequence[Mapping[str, str]] = ()
    known: Base = NOTHING
    facts: Mapping[str, str] = field(default_factory=dict)
    past: Mapping[str, Sequence[float]] = field(default_factory=dict)

    @property
    def python(self) -> Path:
        """The interpreter of the environment."""
        return self.prefix / "bin" / "python"

    @classmethod
    def read(cls, path: Path) -> Spec:
        """Read a specification from a JSON file.

        Raises:
            SpecError: Naming the file, the entry and what is wrong with it.
        """
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise SpecError(f"cannot read the specification {path}: {error}") from error
        if not isinstance(raw, dict):
            raise SpecError(f"the specification {path} is not a mapping")
        stack = _entry(raw, "stack", dict, {})
        spec = cls(
            environment=_entry(raw, "environment", str),
            generation=_entry(raw, "generation", str),
            prefix=Path(_entry(raw, "prefix", str)),
            root=Path(_entry(raw, "root", str, "")),
            stack=_entry(stack, "name", str, ""),
            backend=_entry(stack, "backend", str, ""),
            versions=_texts(stack, "versions"),
            imports=_texts(raw, "imports"),
            accelerated=_entry(raw, "accelerated", bool, False),
            sms=_entry(raw, "sms", list, []),
            built=_entry(raw, "built", list, []),
            prebuilt=_entry(raw, "prebuilt", bool, True),
            hub=_entry(raw, "hub", str, "") or "",
            models={model["name"]: model for model in _entry(raw, "models", list, [])},
            speakers=_entry(raw, "speakers", list, []),
            known=Base(cast(FailureBase, _entry(raw, "failures", dict, NOTHING.data))),
            facts=_texts(raw, "facts"),
            past=_entry(raw, "past", dict, {}),
        )
        if not spec.prefix.is_absolute() or not spec.prefix.is_dir():
            raise SpecError(f"the specification's 'prefix' is not a folder: {spec.prefix}")
        return spec


def _entry(raw: Mapping[str, object], name: str, kind: type, default: Any = None) -> Any:
    value = raw.get(name, default)
    if value is None and default is None:
        raise SpecError(f"the specification lacks '{name}'")
    if value is not None and not isinstance(value, kind):
        raise SpecError(f"the specification's '{name}' is {type(value).__name__}, not {kind.__name__}")
    return value


def _texts(raw: Mapping[str, object], name: str) -> dict[str, str]:
    value = _entry(raw, name, dict, {})
    wrong = [key for key, text in value.items() if not isinstance(text, str)]
    if wrong:
        raise SpecError(f"the specification's '{name}' has a value that is not text: {wrong[0]}")
    return dict(value)


@dataclass
class Context:
    """What a check works with.

    Attributes:
        evidence: Where WAV and PNG files are kept.
        scratch: An empty folder, removed when the doctor ends.
    """

    spec: Spec
    evidence: Path
    scratch: Path

    def wants(self, package: str) -> str:
        """The module of a package of this environment.

        Raises:
            Skipped: When the environment does not have the package.
        """
        if package not in self.spec.imports:
            raise Skipped(f"{package} is not part of this environment")
        return self.spec.imports[package]

    def wants_any(self, *packages: str) -> str:
        """The module of the first of some packages that this environment has.

        Raises:
            Skipped: When it has none of them.
        """
        for package in packages:
            if package in self.spec.imports:
                return self.spec.imports[package]
        raise Skipped(f"{' or '.join(packages)} is not part of this environment")

    def needs(self, module: str) -> None:
        """A module that the check itself computes with, whoever brought it here.

        Raises:
            Skipped: When it is not there.
        """
        if importlib.util.find_spec(module) is None:
            raise Skipped(f"{module}, which this is computed with, is not part of this environment")


@dataclass(frozen=True)
class Finding:
    """What a check that did not fail reports."""

    detail: str
    evidence: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Check:
    """One verification, judged in a process of its own.

    Attributes:
        run: Returns a finding, or raises `Failed` or `Skipped`.
        remedy: What to do when it fails and the failure itself names nothing better.
        failure: The known failure (`catalog/failures`) that it most often is: its remedy is taken where the words show no other one.
        heavy: It loads packages of the environment into its process, which begins with torch loaded.
        timeout: Seconds after which it is ended, and could not be judged.
        needs: Packages of the environment without which it is skipped.
        after: Checks whose files it works with.
        cost: About how many seconds it takes; the longest begin first.
        applies: Why it does not apply to an environment; empty where it does.
        alone: It measures, and nothing else may run meanwhile.
        stands: Its finding holds for the next generation while nothing that it loaded is different there (`carry`).
        rarely: It takes minutes: while its finding holds, it is not found again in the same generation either.
        model: The model that it judges; its finding rests on that one, and on no other.
    """

    id: str
    title: str
    run: Callable[[Context], Finding]
    remedy: str = REPAIR
    failure: str = ""
    heavy: bool = False
    timeout: float = 180.0
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    cost: float = 0.5
    applies: Callable[[Spec], str] = lambda _: ""
    alone: bool = False
    stands: bool = False
    rarely: bool = False
    model: str = ""

    def result(
        self,
        verdict: Outcome,
        detail: str,
        evidence: Mapping[str, object] | None = None,
        remedy: str = "",
        seconds: float = 0.0,
        cpu: float = 0.0,
    ) -> CheckResult:
        """One entry of the verdict's `checks`; what is not good carries a remedy."""
        return {
            "id": self.id,
            "title": self.title,
            "verdict": verdict,
            "detail": detail,
            "evidence": plain(evidence or {}),
            "remedy": (remedy or self.remedy) if verdict in (FAIL, UNJUDGED) else "",
            "seconds": round(seconds, 3),
            "cpu": round(cpu, 3),
        }


def perform(check: Check, context: Context) -> CheckResult:
    """Run one check; whatever it raises becomes its verdict."""
    started, used = time.monotonic(), sum(os.times()[:4])

    def result(verdict: Outcome, detail: str, evidence: Mapping[str, object], remedy: str = "") -> CheckResult:
        cpu = sum(os.times()[:4]) - used
        return check.result(verdict, detail, evidence, remedy, time.monotonic() - started, cpu)

    try:
        for package in check.needs:
            context.wants(package)
        if why := check.applies(context.spec):
            raise Skipped(why)
        finding = check.run(context)
        return result(PASS, finding.detail, finding.evidence)
    except Skipped as reason:
        return result(SKIP, str(reason), {})
    except Failed as failure:
        return result(FAIL, str(failure), failure.evidence, failure.remedy)
    except (Exception, SystemExit) as error:  # a check that breaks is a failed check, never a broken doctor
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{os.path.basename(place.filename)}:{place.lineno}"
        told = words.lines("".join(traceback.format_exception(type(error), error, error.__traceback__)))
        return result(FAIL, f"{type(error).__name__}: {error}", {"where": where, "said": told})


@dataclass(frozen=True)
class Ran:
    """How a command ended; `code` is -1 when it ran out of time or could not be started."""

    code: int
    out: str
    err: str

    @property
    def tail(self) -> str:
        """The line that says most of why it ended so."""
        return words.summary(self.err) or words.summary(self.out) or words.ending(self.code)


def command(argv: Sequence[str | Path], env: Mapping[str, str], cwd: Path, timeout: float = 300.0) -> Ran:
    """Run a command with exactly this environment and no standard input."""
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(
            words,
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout,
            check=False,
            encoding="utf-8",
            errors="replace",
        )
    except subprocess.TimeoutExpired:
        return Ran(-1, "", f"{words[0]} did not answer within {timeout:g} s")
    except OSError as error:
        return Ran(-1, "", f"cannot run {words[0]}: {error.strerror or error}")
    return Ran(done.returncode, done.stdout, done.stderr)


def calm(home: Path) -> dict[str, str]:
    """The smallest sensible environment of variables, to which an attack adds its own."""
    kept = {name: os.environ[name] for name in ("TMPDIR",) if name in os.environ}
    return {
        **kept,
        "HOME": str(home),
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def below(path: str | Path, folder: str | Path) -> bool:
    """Whether a path lies in a folder, once symbolic links are followed."""
    inner, outer = os.path.realpath(path), os.path.realpath(folder)
    return inner == outer or inner.startswith(outer.rstrip("/") + "/")
