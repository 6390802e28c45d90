"""The nursery: a process that loads torch once and forks a child for each check, so that none can take another down.

The doctor itself stays outside of it, loads nothing of the environment, and ends what takes too long (`schedule`).
"""

from __future__ import annotations

import faulthandler
import importlib.util
import json
import os
import select
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from .base import Check, Context, calm, perform
from .touched import Watch

# The rooms are loaded by path and `sys.path` is left alone: a folder beside them could shadow the standard library.
START = """
import importlib, sys, types
rooms, argv = sys.argv[1], sys.argv[2:]
sys.path[:] = [p for p in sys.path if p]
package = sys.modules["wavesmith_rooms"] = types.ModuleType("wavesmith_rooms")
package.__path__ = [rooms]
sys.exit(importlib.import_module("wavesmith_rooms.doctor").main(argv))
"""
PRELOADED = ("numpy", "torch")
"""What the heavy checks have in common. None of it starts threads or opens a GPU while it is imported: a fork would lose them."""
UNLOADED = 3
"""Exit of a nursery that could not load these: another one without them lets each check meet the reason itself."""
LAST_WORDS = 0.5
"""Seconds before its end in which a check that hangs tells where it is."""


def workers() -> int:
    """How many checks run at once."""
    return max(2, min(4, len(os.sched_getaffinity(0))))


def quiet(context: Context) -> dict[str, str]:
    """Variables for a process that loads the environment: nothing is written into the prefix or the user's home."""
    scratch = str(context.scratch)
    kept = (
        "LANG",
        "PATH",
        "CUDA_VISIBLE_DEVICES",
        "HIP_VISIBLE_DEVICES",
        "PHONEMIZER_ESPEAK_LIBRARY",
        "HF_TOKEN",
        "SSL_CERT_FILE",
        "NUMBA_CACHE_DIR",
    )
    hub = {"HF_ENDPOINT": context.spec.hub} if context.spec.hub else {"HF_HUB_OFFLINE": "1"}
    if context.spec.root.is_absolute():
        hub["HF_HUB_CACHE"] = str(context.spec.root / "weights/hub")  # fetched once for all environments
    threads = str(max(1, len(os.sched_getaffinity(0)) // workers()))
    return {
        **calm(Path(scratch)),
        "NUMBA_CACHE_DIR": f"{scratch}/numba",
        **{name: os.environ[name] for name in kept if name in os.environ},
        **hub,
        "PYTHONDONTWRITEBYTECODE": "1",
        "TMPDIR": scratch,
        "MPLCONFIGDIR": f"{scratch}/matplotlib",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TOKENIZERS_PARALLELISM": "false",
        # As many threads as there are cores for each check that runs at the same time.
        **{f"{library}_NUM_THREADS": threads for library in ("OMP", "MKL", "OPENBLAS", "NUMBA")},
    }


def nurse(checks: Mapping[str, Check], context: Context, modules: Sequence[str]) -> int:
    """Be the nursery: load `modules`, then fork a child for each check that is named on standard input.

    On standard output it says, a JSON object a line, that it is ready, and of each child its ``started``, ``lost`` and ``ended``.
    """
    watch = Watch(context.spec.prefix, context.spec.root)
    say = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints must not mix with our own output
    try:
        for module in modules:
            if importlib.util.find_spec(module) is not None:
                importlib.import_module(module)
    except (Exception, SystemExit) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        return UNLOADED
    print(json.dumps({"ready": True}), file=say, flush=True)
    children: dict[int, str] = {}
    asked = b""
    while True:
        if select.select([0], [], [], 0.01 if children else None)[0]:
            block = os.read(0, 65536)
            if not block:  # the doctor is gone or has all that it wanted
                for pid in children:
                    end(pid)
                os._exit(0)
            *names, asked = (asked + block).split(b"\n")
            for name in names:
                pid = os.fork()
                if pid == 0:
                    _judge(checks[name.decode()], context, watch, say)
                children[pid] = name.decode()
                print(json.dumps({"started": name.decode(), "pid": pid}), file=say, flush=True)
        while children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            if pid in children:
                code = os.waitstatus_to_exitcode(status)
                print(json.dumps({"ended": children.pop(pid), "code": code}), file=say, flush=True)


def _judge(check: Check, context: Context, watch: Watch, say: TextIO) -> None:
    """Be a child: judge one check, leave its result in a file, and end without asking anybody's finalisers.

    Where that cannot be done, as on a full disk, it says why on the nursery's own output.
    """
    try:
        os.setpgid(0, 0)  # so that what it starts ends with it
        log = os.open(log_path(context.scratch, check), os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for target, source in ((0, nothing), (1, log), (2, log)):
            os.dup2(source, target)
        sys.stdout = os.fdopen(
            1, "w", buffering=1, errors="replace", closefd=False
        )  # so that nothing is lost where it ends at once
        faulthandler.enable()
        faulthandler.dump_traceback_later(max(0.1, check.timeout - LAST_WORDS))
        own = Path(tempfile.mkdtemp(prefix=f"{check.id}-", dir=context.scratch))
        watch.begin()
        result = perform(check, replace(context, scratch=own))
        touched = watch.seen() if check.stands else None
        if touched is not None:
            result["touched"] = touched
        partial = result_path(context.scratch, check).with_suffix(".part")
        partial.write_text(json.dumps(result, default=str), encoding="utf-8")
        partial.rename(result_path(context.scratch, check))
        sys.stdout.flush()
        sys.stderr.flush()
    except Exception as error:  # no file, no thread: what it found is lost, and why is what is left to say
        why = str(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
        print(json.dumps({"lost": check.id, "why": why}), file=say, flush=True)
    finally:
        os._exit(0)


def end(pid: int) -> None:
    """End a child and what it started."""
    for kill in (os.killpg, os.kill):
        try:
            kill(pid, signal.SIGKILL)
        except OSError:
            continue


def log_path(scratch: Path, check: Check) -> Path:
    """Where a check's process writes what it prints."""
    return scratch / f"{check.id}.log"


def result_path(scratch: Path, check: Check) -> Path:
    """Where a check's process leaves its result."""
    return scratch / f"{check.id}.json"
