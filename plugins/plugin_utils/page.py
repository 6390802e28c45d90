"""The report as one HTML file: it opens without a server, makes no request, and holds 500 hosts."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.wavesmith.provision.plugins.module_utils.records.failure import FailureBase
from ansible_collections.wavesmith.provision.plugins.module_utils.records.report import EnvironmentRow, Fleet, HostRow
from ansible_collections.wavesmith.provision.plugins.module_utils.report import texts
from ansible_collections.wavesmith.provision.plugins.module_utils.report.fleet import outliers
from ansible_collections.wavesmith.provision.plugins.plugin_utils.page_failures import known_to_the_page
from ansible_collections.wavesmith.provision.plugins.plugin_utils.progress import duration
from jinja2 import Environment, FileSystemLoader, StrictUndefined

TEMPLATES = Path(__file__).parent / "report"
MOST_DATA, MOST_EVIDENCE = 2_000_000, 600_000
"""Bytes of data from which details of passed checks are left out, and of sounds and pictures that the file itself holds."""
_KINDS = {".wav": "audio/wav", ".png": "image/png"}
_CODES = {"pass": "p", "fail": "f", "skip": "s", "unjudged": "u"}


class _Texts:
    """Texts by number: the same one on many hosts is kept once."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def __call__(self, text: str) -> int:
        return self.numbers.setdefault(text, len(self.numbers))


def page(fleet: Fleet, made: str, artifacts: Path, known: FailureBase) -> str:
    """The file's text.

    Args:
        made: When, for people.
        known: The known failures, by which a pasted text is recognised.
        artifacts: Where evidence lies; what is small enough is held by the file, the rest is linked beside it.
    """
    data = _data(fleet, passes=True)
    if len(data) > MOST_DATA:
        data = _data(fleet, passes=False)
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["duration"] = duration
    return environment.get_template("page.html.j2").render(
        made=made,
        data=data,
        evidence=_script(_evidence(fleet, artifacts)),
        hosts=len(fleet["hosts"]),
        counts=texts.counts(fleet),
        refused=sum(bool(host["refusals"]) for host in fleet["hosts"]),
        outliers=outliers(fleet),
        wheelhouse=fleet["wheelhouse"],
        known=_script(known_to_the_page(known)),
        script="\n".join((TEMPLATES / name).read_text(encoding="utf-8") for name in ("page.js", "paste.js")),
        style=(TEMPLATES / "page.css").read_text(encoding="utf-8"),
    )


def _script(value: Any) -> str:
    """JSON that may stand in a script element."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def _data(fleet: Fleet, passes: bool) -> str:
    text = _Texts()
    titles: dict[str, str] = {}
    for _, environment in texts.environments(fleet):
        titles.update({check["id"]: check.get("title", "") for check in environment["checks"]})
    ids = {name: number for number, name in enumerate(titles)}
    hosts = [_host(host, ids, text, passes) for host in fleet["hosts"]]
    return _script({"checks": list(titles.items()), "hosts": hosts, "texts": list(text.numbers), "whole": passes})


def _host(host: HostRow, ids: Mapping[str, int], text: Callable[[str], int], passes: bool) -> list[Any]:
    told = [host["system"], host["machine"], host["processor"], ", ".join(host["accelerators"]), host["sibling"]]
    return [
        host["name"],
        [text(one) for one in told],
        [text(one) for one in host["refusals"]],
        [text(one) for one in host["warnings"]],
        [_environment(one, ids, text, passes) for one in host["environments"]],
    ]


def _environment(
    environment: EnvironmentRow, ids: Mapping[str, int], text: Callable[[str], int], passes: bool
) -> list[Any]:
    marks, details = ["-"] * len(ids), {}
    for check in environment["checks"]:
        number = ids[check["id"]]
        marks[number] = _CODES[check["verdict"]]
        if passes or check["verdict"] != "pass":
            seconds = round(check.get("seconds", 0.0), 1)
            details[number] = [text(check["detail"]), text(check.get("remedy", "")), seconds]
    versions = " ".join(f"{name} {version}" for name, version in environment["versions"].items())
    told = [environment["stack"], environment["stack_why"], environment["variant"], versions]
    return [
        environment["name"],
        environment["verdict"],
        environment["generation"],
        round(environment["seconds"], 1),
        [text(one) for one in told],
        "".join(marks),
        details,
        [
            [one["name"], int(one["created"]), one["exit"], [text(change) for change in one["changes"]]]
            for one in environment["generations"]
        ],
        [[text(one) for one in environment[part]] for part in ("considered", "wheels", "overrides")],
        environment["evidence"],
        {what: float(f"{value:.4g}") for what, value in environment["performance"].items()},
    ]


def _evidence(fleet: Fleet, artifacts: Path) -> dict[str, str]:
    """Sounds and pictures by path as data addresses, those of failures first, as many as there is room for."""
    ordered = sorted(texts.environments(fleet), key=lambda pair: pair[1]["verdict"] == "healthy")
    found: dict[str, str] = {}
    room = MOST_EVIDENCE
    for _, environment in ordered:
        for name in environment["evidence"]:
            path = artifacts / name
            if path.suffix not in _KINDS or not path.is_file() or path.stat().st_size > room:
                continue
            room -= path.stat().st_size
            found[name] = f"data:{_KINDS[path.suffix]};base64,{base64.b64encode(path.read_bytes()).decode()}"
    return found
