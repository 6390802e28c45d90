"""Run the doctor inside a generation and keep its verdict there."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from .. import audit, doctor, failures, models, observe, records, structures, terms
from ..doctor import run as _run  # noqa: F401  (named so that its modules travel to the host)
from ..doctor.worker import START
from ..failures.probes import facts
from ..host import rooms, store
from ..host.job import Failed, Job
from ..host.tools import environment
from ..models import kept
from ..observe.host import Host
from ..prefix.models import COMMANDS, own_runners
from ..records.generation import GenerationManifest, Verdict
from ..records.task import VerifyTask
from ..structures import (  # noqa: F401  (named so that they travel to the host)
    diffrhythm2,
    dualcodec,
    fish_speech,
    fish_speech_s1,
    maskgct,
    metis,
    openvoice,
    sherpa_ctc,
    vevo,
)
from ..wanted.weights import HUB_CACHE

_ROOMS = (audit, doctor, failures, models, observe, records, structures, terms)
"""What travels into an environment: the doctor, and the rooms it imports from."""
PLACE = "wavesmith/doctor"
"""Where it lies in a prefix."""
PAST, REMEMBERED = "state/performance.json", 20
"""On the host: what was measured before, and how many numbers of each kind."""
_PROGRAM = """\
#!/bin/sh
# Judge this environment, or (--paste) say which known failure a text shows: see --help. It needs no network and no rights but to read the environment.
exec "{prefix}/bin/python" -B -W ignore -c '{start}' "{prefix}/{place}/rooms" --spec "{prefix}/{place}/spec.json" "$@"
"""
_FOR_THE_HOST = """\
#!/bin/sh
# wavesmith-doctor [ENVIRONMENT] [OPTION...]: judge an environment of this host, or all of them; the worst exit status counts.
case "${{1-}}" in
-* | "") set -- "" "$@" ;;
esac
name=$1
shift
once=
for word in "$@"; do
    case $word in
    --paste | --paste=* | --known | -h | --help) once=yes ;; # not of an environment
    esac
done
worst=0
for program in "{root}"/envs/${{name:-*}}/current/bin/wavesmith-doctor; do
    if [ ! -x "$program" ]; then
        echo "wavesmith-doctor: there is no environment ${{name:-at all}} in {root}/envs that was judged. Remedy: run wavesmith verify, or use one of:" $(cd "{root}/envs" && echo *) >&2
        exit 2
    fi
    [ -z "$once" ] || exec "$program" "$@"
    "$program" "$@"
    status=$?
    # 1, a failed check, is worse than 2, which could not be judged.
    if [ "$worst" -eq 0 ] || [ "$status" -eq 1 ]; then worst=$status; fi
done
exit "$worst"
"""


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
            if model["task"] == "tts" and not model["refused"] and os.path.exists(command):
                found.append({"environment": name, "model": model["name"], "command": command})
    return found


def install(root: str, prefix: str, question: Mapping[str, object], files: Mapping[str, bytes]) -> str:
    """Put the doctor and what it is asked into a generation, with a program to run it there and one for the whole host.

    Like the verdict and the evidence it is written again whenever the generation is verified.

    Returns:
        The program's path.
    """
    folder = os.path.join(prefix, PLACE)
    shutil.rmtree(folder, ignore_errors=True)
    for name, text in files.items():
        store.write_text(os.path.join(folder, "rooms", name), text.decode())
    store.write_json(os.path.join(folder, "spec.json"), question)
    program = os.path.join(prefix, "bin", "wavesmith-doctor")
    store.write_text(program, _PROGRAM.format(prefix=prefix, place=PLACE, start=START), 0o755)
    store.write_text(os.path.join(root, "bin", "wavesmith-doctor"), _FOR_THE_HOST.format(root=root), 0o755)
    return program


def past(root: str, environment: str) -> dict[str, list[float]]:
    """What was measured of an environment on this host, oldest first."""
    kept = store.read_json(os.path.join(root, PAST))
    found = kept.get(environment) if isinstance(kept, dict) else None
    return found if isinstance(found, dict) else {}


def keep(root: str, environment: str, measured: Mapping[str, float]) -> None:
    """Keep what was measured now, and not more than the last `REMEMBERED` numbers."""
    kept = store.read_json(os.path.join(root, PAST))
    everything = kept if isinstance(kept, dict) else {}
    mine = past(root, environment)
    everything[environment] = {
        what: [*mine.get(what, []), *([measured[what]] if what in measured else [])][-REMEMBERED:]
        for what in {**mine, **measured}
    }
    store.write_json(os.path.join(root, PAST), everything)


def judge(
    job: Job,
    root: str,
    spec: VerifyTask,
    files: dict[str, bytes],
    judged: Mapping[str, str],
    measure: bool = False,
    full: bool = False,
) -> Verdict:
    """Judge one generation with the doctor's `files` and return the verdict without its evidence.

    Args:
        judged: The generations that are judged in this run, by environment.
        measure: Whether it is also measured how fast the host computes.
        full: Whether all checks run, also those that nothing can have changed for since they ran.

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
    evidence = os.path.join(prefix, "wavesmith", "evidence")
    shutil.rmtree(evidence, ignore_errors=True)
    os.makedirs(evidence)
    question: dict[str, object] = {
        "environment": manifest["environment"],
        "generation": manifest["generation"],
        "prefix": prefix,
        "root": root,
        "stack": {"name": manifest["stack"], "backend": manifest["backend"], "versions": manifest["versions"]},
        "imports": manifest["imports"],
        "accelerated": manifest["accelerated"],
        "sms": manifest.get("sms", []),
        "built": list(manifest["wheels"]),
        "prebuilt": manifest.get("prebuilt", True),
        "models": manifest.get("models", []),
        "speakers": speakers(root, judged),
        "past": past(root, spec["environment"]),
        "hub": "",
    }
    question.update(failures=job.known.data, facts=facts(Host()))
    program = install(root, prefix, question, {**files, **own_runners(manifest.get("models", []))})

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
    work = os.path.join(root, "state", "doctor")
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(work)
    kept = os.path.join(work, "verdict.json")
    folder = os.path.join(root, "envs", spec["environment"])
    current = store.pointed(folder)
    argv = [
        program,
        "--progress",
        "--quiet",
        "--out",
        kept,
        "--evidence",
        evidence,
        *(["--performance"] if measure else []),
        *(["--full"] if full else []),
        *([] if full or current in (None, spec["generation"]) else ["--carry", f"{folder}/{current}/wavesmith"]),
    ]
    tools = {
        **environment(root, ""),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HF_HUB_CACHE": os.path.join(root, HUB_CACHE),
    }
    job.run(argv, tools, folder=work, watch=watch, ok=(0, 1, 2))
    verdict = store.read_record(kept, Verdict, f"read {job.log_path}")
    if verdict is None:
        raise Failed(f"the doctor left no verdict on {spec['environment']}. Remedy: read {job.log_path}")
    store.write_json(os.path.join(prefix, store.VERDICT), verdict)
    if verdict.get("performance"):
        keep(root, spec["environment"], verdict["performance"])
    return store.brief(verdict)
