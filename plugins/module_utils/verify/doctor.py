"""Run the doctor inside a generation and keep its verdict there."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import audit, doctor, models, terms
from ..audit.binaries import problems
from ..doctor import run as _run  # noqa: F401  (named so that its modules travel to the host)
from ..doctor.worker import START
from ..host import rooms, store
from ..host.job import Failed, Job
from ..host.tools import environment
from ..models import kept
from ..prefix.models import COMMANDS, own_runners
from ..records.generation import GenerationManifest, Verdict
from ..records.task import VerifyTask
from ..wanted.weights import HUB_CACHE

_ROOMS = (audit, doctor, models, terms)
"""What travels into an environment: the doctor, and the rooms it imports from."""


def sources(own: Mapping[str, str]) -> dict[str, bytes]:
    """The files of the doctor's rooms by path, and the user's own checks (text by name) among them."""
    found = rooms.sources(_ROOMS)
    if own:
        found["doctor/own/__init__.py"] = b""
        found.update({f"doctor/own/{name}.py": text.encode() for name, text in own.items()})
    return found


def speakers(root: str, judged: Mapping[str, str]) -> list[dict[str, str]]:
    """The models of a host that speak, each with the command that runs it.

    Args:
        root: The host's folder.
        judged: Generations by environment that stand for what is current there.
    """
    found = []
    folder = os.path.join(root, "envs")
    for name in sorted(os.listdir(folder)):
        generation = judged.get(name) or store.pointed(os.path.join(folder, name))
        prefix = os.path.join(folder, name, generation or "")
        if not generation or not os.path.exists(os.path.join(prefix, store.MANIFEST)):
            continue
        for model in kept.models(Path(prefix)).values():
            command = os.path.join(prefix, COMMANDS, model["name"])
            if model["task"] == "tts" and os.path.exists(command):
                found.append({"environment": name, "model": model["name"], "command": command})
    return found


def judge(job: Job, root: str, spec: VerifyTask, files: dict[str, bytes], judged: Mapping[str, str]) -> Verdict:
    """Judge one generation with the doctor's `files` and return the verdict without its evidence.

    `judged` has the generations that are judged in this run, by environment.

    Raises:
        Failed: the doctor itself could not be run.
    """
    prefix = store.generation_folder(root, spec["environment"], spec["generation"])
    manifest = store.read_record(
        os.path.join(prefix, store.MANIFEST), GenerationManifest, "provision this host: it makes a new generation"
    )
    if manifest is None:
        raise Failed(
            f"generation {spec['generation']} of {spec['environment']} is not complete. Remedy: provision this host"
        )
    work = os.path.join(root, "state", "doctor")
    shutil.rmtree(work, ignore_errors=True)
    for name, text in {**files, **own_runners(manifest.get("models", []))}.items():
        store.write_text(os.path.join(work, "rooms", name), text.decode())
    evidence = os.path.join(prefix, "wavesmith", "evidence")
    shutil.rmtree(evidence, ignore_errors=True)
    os.makedirs(evidence)
    paths = {name: os.path.join(work, f"{name}.json") for name in ("spec", "verdict")}
    stack = {"name": manifest["stack"], "backend": manifest["backend"], "versions": manifest["versions"]}
    question: dict[str, Any] = {
        "environment": manifest["environment"],
        "generation": manifest["generation"],
        "imports": manifest["imports"],
        "accelerated": manifest["accelerated"],
        "models": manifest.get("models", []),
        "speakers": speakers(root, judged),
    }
    job.progress(f"{spec['environment']}: reading binaries")
    sms = manifest.get("sms", [])
    unfit, report = problems(prefix, sms, list(manifest["wheels"]), manifest.get("prebuilt", True))
    binaries = {"sms": sms, "problems": unfit, "read": report is not None}
    if report is not None:
        binaries.update(targets=report["targets"], cpu_only=report["cpu_only"])
    question.update(stack=stack, prefix=prefix, root=root, hub="", binaries=binaries)
    store.write_json(paths["spec"], question)
    argv = [
        os.path.join(prefix, "bin", "python"),
        "-c",
        START,
        os.path.join(work, "rooms"),
        "--spec",
        paths["spec"],
        "--out",
        paths["verdict"],
        "--evidence",
        evidence,
    ]

    def watch() -> None:
        with open(job.log_path, "rb") as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - 4096))
            for line in reversed(log.read().decode(errors="replace").splitlines()):
                if line.startswith('{"'):
                    try:
                        state = json.loads(line)
                    except ValueError:
                        continue
                    job.progress(
                        f"{spec['environment']}: doctor", state.get("n", 0), state.get("m", 0), state.get("detail", "")
                    )
                    return

    job.progress(f"{spec['environment']}: doctor")
    # Byte code of the doctor and caches of what it imports belong to its work folder, not to a home directory or the generation.
    tools = {
        **environment(root, ""),
        "PYTHONDONTWRITEBYTECODE": "1",
        "NUMBA_CACHE_DIR": os.path.join(work, "numba"),
        "MPLCONFIGDIR": work,
        "HF_HUB_CACHE": os.path.join(root, HUB_CACHE),
    }
    job.run(argv, tools, folder=work, watch=watch, ok=(0, 1, 2))
    verdict = store.read_record(paths["verdict"], Verdict, f"read {job.log_path}")
    if verdict is None:
        raise Failed(f"the doctor left no verdict on {spec['environment']}. Remedy: read {job.log_path}")
    store.write_json(os.path.join(prefix, store.VERDICT), verdict)
    return store.brief(verdict)
