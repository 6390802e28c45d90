"""Run the doctor inside a generation and keep its verdict there."""

from __future__ import annotations

import json
import os
import pkgutil
import shutil
from typing import Any

from . import _store, doctor
from ._binaries import problems
from ._job import Failed, Job
from ._tools import environment
from .doctor import run as _run  # noqa: F401  (named so that its modules travel to the host)

_START = "import runpy, sys; sys.path.insert(0, sys.argv.pop(1)); runpy.run_module('doctor', run_name='__main__')"
_MAIN = b"import sys\n\nfrom doctor import main\n\nsys.exit(main(sys.argv[1:]))\n"


def sources() -> dict[str, bytes]:
    """The doctor's files by name. They travel inside the module's archive, which is gone once the connection's own run has
    ended, so they are read before the job is started.
    """
    names = ["__init__.py", "__main__.py", *(f"{module.name}.py" for module in pkgutil.iter_modules(doctor.__path__))]
    found = {name: pkgutil.get_data(doctor.__name__, name) for name in dict.fromkeys(names) if name != "__main__.py"}
    return {**{name: text for name, text in found.items() if text is not None}, "__main__.py": _MAIN}


def judge(job: Job, root: str, spec: dict[str, Any], files: dict[str, bytes]) -> dict[str, Any]:
    """Judge one generation with the doctor's `files` and return the verdict without its evidence.

    Raises:
        Failed: the doctor itself could not be run.
    """
    prefix = _store.generation_folder(root, spec["environment"], spec["generation"])
    manifest = _store.read_json(os.path.join(prefix, _store.MANIFEST))
    if not isinstance(manifest, dict):
        raise Failed(
            f"generation {spec['generation']} of {spec['environment']} is not complete. Remedy: provision this host"
        )
    work = os.path.join(root, "state", "doctor")
    shutil.rmtree(work, ignore_errors=True)
    for name, text in files.items():
        _store.write_text(os.path.join(work, "doctor", name), text.decode())
    evidence = os.path.join(prefix, "wavesmith", "evidence")
    shutil.rmtree(evidence, ignore_errors=True)
    os.makedirs(evidence)
    paths = {name: os.path.join(work, f"{name}.json") for name in ("spec", "verdict")}
    stack = {"name": manifest["stack"], "backend": manifest["backend"], "versions": manifest["versions"]}
    question = {key: manifest[key] for key in ("environment", "generation", "imports", "accelerated")}
    job.progress(f"{spec['environment']}: reading binaries")
    sms = manifest.get("sms", [])
    unfit, report = problems(prefix, sms, list(manifest["wheels"]), manifest.get("prebuilt", True))
    binaries = {"sms": sms, "problems": unfit, "targets": report.get("targets"), "read": bool(report)}
    question.update(stack=stack, prefix=prefix, root=root, hub="", binaries=binaries)
    _store.write_json(paths["spec"], question)
    argv = [
        os.path.join(prefix, "bin", "python"),
        "-c",
        _START,
        work,
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
    }
    job.run(argv, tools, folder=work, watch=watch, ok=(0, 1, 2))
    verdict = _store.read_json(paths["verdict"])
    if not isinstance(verdict, dict):
        raise Failed(f"the doctor left no verdict on {spec['environment']}. Remedy: read {job.log_path}")
    _store.write_json(os.path.join(prefix, _store.VERDICT), verdict)
    return _store.brief(verdict) or {}
