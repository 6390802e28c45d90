"""`wavesmith survey`: what a playbook may be told for one run, as the survey of an AWX job template or of a Semaphore template."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping

from ansible_collections.wavesmith.provision.plugins.module_utils.terms.refusal import Refusal, suggest
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.variables import VARIABLES, Variable

from wavesmith import ROOT, playbook

NAME = "survey"
HELP = "print a playbook's variables as a survey for AWX or Semaphore"
ALSO = {"site": ("verify_full",), "reprovision": ("verify_full",), "plan": ("explain",)}
"""Variables that other playbooks than their own pass on."""
DOCUMENT = ROOT / "docs" / "variables.md"
ROW = re.compile(r"^\| `wavesmith_(\w+)` \|(?:.*\|)? ([^|]*) \| ([^|]*) \|$", re.MULTILINE)
CHOICES: Mapping[type, list[str]] = {bool: ["true", "false"]}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = "Exit code: 0 printed, 2 there is no such playbook, or nothing that it may be told."
    parser.add_argument("playbook", help="its name, such as reprovision")
    parser.add_argument("--for", dest="tool", choices=FORMS, default="awx", help="whose survey it is [awx]")


def run(arguments: argparse.Namespace) -> int:
    """Print it."""
    asked = {name: known for name, known in VARIABLES.items() if known.playbook == arguments.playbook}
    asked |= {name: VARIABLES[name] for name in ALSO.get(arguments.playbook, ())}
    if not asked:
        have = {known.playbook for known in VARIABLES.values()} | set(ALSO)
        remedy = suggest(arguments.playbook, sorted(have - {""}))
        return playbook.refuse(
            [Refusal(f"playbook {arguments.playbook}", "there is nothing that it may be told", remedy)]
        )
    print(json.dumps(FORMS[arguments.tool](arguments.playbook, asked, meanings()), indent=1))
    return playbook.DONE


def meanings() -> dict[str, tuple[str, str]]:
    """The default and the meaning of each variable, as docs/variables.md has them."""
    found = {}
    for name, default, meaning in ROW.findall(DOCUMENT.read_text(encoding="utf-8")):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", meaning).replace("`", "")
        found[name] = (default.strip().strip("`"), text)
    return found


def _awx(name: str, asked: Mapping[str, Variable], known: Mapping[str, tuple[str, str]]) -> object:
    """AWX's ``survey_spec``, as the module ``ansible.controller.job_template`` takes it."""
    kinds = {bool: "multiplechoice", int: "integer", float: "float"}
    return {
        "name": f"wavesmith {name}",
        "description": f"What playbooks/{name}.yml may be told for one run.",
        "spec": [
            {
                "question_name": variable.replace("_", " "),
                "question_description": known[variable][1],
                "variable": f"wavesmith_{variable}",
                "type": "password" if of.secret else kinds.get(of.types[0], "text"),
                "required": False,
                "default": "",
                "choices": CHOICES.get(of.types[0], ""),
            }
            for variable, of in asked.items()
        ],
    }


def _semaphore(_: str, asked: Mapping[str, Variable], known: Mapping[str, tuple[str, str]]) -> object:
    """Semaphore's ``survey_vars`` of a template (db/Template.go, SurveyVar)."""
    kinds = {bool: "enum", int: "int"}
    return [
        {
            "name": f"wavesmith_{variable}",
            "title": variable.replace("_", " "),
            "description": known[variable][1],
            "type": "secret" if of.secret else kinds.get(of.types[0], ""),
            "required": False,
            **(
                {"values": [{"name": value, "value": value} for value in CHOICES[of.types[0]]]}
                if of.types[0] in CHOICES
                else {}
            ),
        }
        for variable, of in asked.items()
    ]


FORMS = {"awx": _awx, "semaphore": _semaphore}
