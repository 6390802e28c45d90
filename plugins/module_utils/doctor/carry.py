"""Findings that hold still: of the generation before, or of an earlier judgement of this one.

A finding depends on the packages that its process loaded, on those that it looked for in vain, on the model that it is of, and on the ground:
this doctor, the Python, what is wanted of the stack, and the system with its driver. Only checks that say so (`Check.stands`) are carried
over, only a `pass`, for 30 days, and never one that works with the files of a check whose own finding does not hold.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path

from ..records.generation import Basis, CheckResult, Touched, Verdict
from ..records.model import ModelOf
from .base import PASS, Check, Spec

LONGEST = timedelta(days=30)
"""After that a finding is found again."""
SYSTEM = ("/var/lib/dpkg/status", "/etc/ld.so.cache", "/etc/os-release")
"""Files that change when the system's packages and libraries do."""
DRIVER = ("/proc/driver/nvidia/version", "/sys/module/amdgpu/version")


@dataclass(frozen=True)
class Ground:
    """What findings in an environment depend on.

    Attributes:
        common: Digest of what all of them depend on.
        packages: Digest of the RECORD of each package, by its name.
        owners: The packages that have files in each component of site-packages (``torch``, ``numpy.libs``).
        models: What is wanted of each model, by its name.
    """

    common: str
    packages: Mapping[str, str]
    owners: Mapping[str, Sequence[str]]
    models: Mapping[str, ModelOf] = field(default_factory=dict)

    def basis(self, touched: Touched, model: str = "") -> Basis:
        """What a finding rests on; `model` is the one that it is of, empty where it may be of all of them."""
        names = sorted({name for part in touched["components"] for name in self.owners.get(part, (part,))})
        return self.of(names, touched["missing"], model)

    def of(self, names: Sequence[str], missing: Sequence[str], model: str = "") -> Basis:
        """The basis of a finding of these packages and of a model, as they are here."""
        here = {_plain(name) for name in [*self.owners, *self.packages]}
        found = [[name, self.packages.get(name, "")] for name in names]
        found += [[name, "there" if _plain(name) in here else ""] for name in missing]
        models = self.models.get(model) if model else self.models
        digest = hashlib.sha256(json.dumps([self.common, found, models], sort_keys=True).encode()).hexdigest()
        return {"packages": list(names), "missing": list(missing), "digest": digest}


def ground(spec: Spec) -> Ground:
    """Look at an environment and its host."""
    packages: dict[str, str] = {}
    owners: dict[str, set[str]] = {}
    for record in sorted(spec.prefix.glob("lib/python3.*/site-packages/*.dist-info/RECORD")):
        data = record.read_bytes()
        name = record.parent.name.partition("-")[0]
        # The addresses of scripts are the prefix's own, so their lines are left out.
        lines = [line for line in data.decode(errors="replace").splitlines() if not line.startswith("../")]
        packages[name] = hashlib.sha256("\n".join(lines).encode()).hexdigest()
        for line in lines:
            owners.setdefault(line.strip('"').partition("/")[0].partition(",")[0], set()).add(name)
    wanted = [
        spec.stack, spec.backend, dict(spec.versions), spec.accelerated, list(spec.sms), spec.prebuilt, spec.hub, dict(spec.facts),
    ]  # fmt: skip
    rooms = Path(__file__).resolve().parents[1]
    doctor = [(str(path.relative_to(rooms)), path.read_text("utf-8")) for path in sorted(rooms.rglob("*.py"))]
    host = [_stat(path) for path in SYSTEM] + [_text(path) for path in DRIVER]
    host += [_text(str(path)) for path in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))]
    machine = [platform.release(), platform.machine(), sys.version, _stat("/proc/self/exe")]
    common = hashlib.sha256(json.dumps([wanted, doctor, host, machine], default=str).encode()).hexdigest()
    return Ground(common, packages, {part: sorted(names) for part, names in owners.items()}, spec.models)


def holding(checks: Sequence[Check], earlier: Verdict, here: Ground, now: datetime) -> dict[str, CheckResult]:
    """The findings of an earlier verdict that hold here, by check.

    Args:
        checks: All that are asked for.
        earlier: An earlier verdict.
        here: This environment.
        now: UTC.
    """
    known = {check["id"]: check for check in earlier["checks"]}
    found: dict[str, CheckResult] = {}
    for check in checks:
        result = known.get(check.id)
        basis = (result or {}).get("basis")
        if not check.stands or result is None or basis is None or result["verdict"] != PASS:
            continue
        age = now - datetime.strptime(result["at"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
        if timedelta() <= age <= LONGEST and here.of(basis["packages"], basis["missing"], check.model) == basis:
            found[check.id] = {**result, "carried": result.get("carried") or earlier.get("generation", "")}
    run = {check.id for check in checks} - found.keys()
    while True:
        gone = {check.id for check in checks if check.id in found and run & set(check.after)}
        if not gone:
            return found
        run |= gone
        for name in gone:
            del found[name]


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _stat(path: str) -> list[object]:
    try:
        found = os.stat(path)
    except OSError:
        return [path]
    return [path, found.st_size, found.st_mtime_ns]


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
