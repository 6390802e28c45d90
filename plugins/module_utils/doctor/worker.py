"""The worker: one process that loads the environment's heavy packages once and runs the checks that need them.

The doctor itself stays outside it, so that a package which takes its process down is a failed check and nothing more.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Callable

from .base import FAIL, Check, Context, calm, perform

# The rooms are loaded by path and `sys.path` is left alone: a folder beside them could shadow the standard library.
START = """
import importlib, sys, types
rooms, argv = sys.argv[1], sys.argv[2:]
sys.path[:] = [p for p in sys.path if p]
package = sys.modules["wavesmith_rooms"] = types.ModuleType("wavesmith_rooms")
package.__path__ = [rooms]
sys.exit(importlib.import_module("wavesmith_rooms.doctor").main(argv))
"""


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
    )
    hub = {"HF_ENDPOINT": context.spec.hub} if context.spec.hub else {"HF_HUB_OFFLINE": "1"}
    if context.spec.hub and context.spec.root.is_absolute():
        hub["HF_HUB_CACHE"] = str(context.spec.root / "weights/hub")  # fetched once for all environments
    return {
        **calm(Path(scratch)),
        **{name: os.environ[name] for name in kept if name in os.environ},
        **hub,
        "PYTHONDONTWRITEBYTECODE": "1",
        "NUMBA_CACHE_DIR": f"{scratch}/numba",
        "MPLCONFIGDIR": f"{scratch}/matplotlib",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }


def work(checks: Sequence[Check], context: Context) -> None:
    """Be the worker: run the checks and print one JSON object before and one after each."""
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints must not mix with the results
    for check in checks:
        print(json.dumps({"start": check.id}), file=out, flush=True)
        print(json.dumps({"result": perform(check, context)}, default=str), file=out, flush=True)
    out.flush()
    os._exit(0)  # finalisers of native libraries have nothing more to say


def run_heavy(
    checks: Sequence[Check],
    context: Context,
    spec_file: Path,
    begin: Callable[[Check], None],
) -> Iterator[dict[str, Any]]:
    """Run checks in a worker; a new one is started for what is left when it dies or hangs.

    Args:
        spec_file: The specification, which the worker reads again.
        begin: Called as each check begins.
    """
    left = list(checks)
    while left:
        started: Check | None = None
        began = time.monotonic()
        for message in _worker(left, context, spec_file):
            if "start" in message:
                started = next(check for check in left if check.id == message["start"])
                began = time.monotonic()
                begin(started)
            elif "result" in message:
                yield message["result"]
                left.pop(0)
                started = None
            elif left:
                victim = started or left[0]
                if started is None:
                    begin(victim)
                yield victim.result(FAIL, message["ended"], seconds=time.monotonic() - began)
                left.pop(0)


def _worker(checks: Sequence[Check], context: Context, spec_file: Path) -> Iterator[Mapping[str, Any]]:
    """What one worker says; at last `{"ended": why}`."""
    argv = [str(context.spec.python), "-W", "ignore", "-c", START, str(Path(__file__).resolve().parents[1])]
    argv += ["--spec", str(spec_file), "--evidence", str(context.evidence), "--scratch", str(context.scratch)]
    argv += ["--worker", ",".join(check.id for check in checks)]
    with tempfile.TemporaryFile("w+", dir=context.scratch) as complained:
        try:
            process = subprocess.Popen(
                argv,
                env=quiet(context),
                cwd=context.scratch,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=complained,
                encoding="utf-8",
                errors="replace",
            )
        except OSError as error:
            yield {"ended": f"cannot run {argv[0]}: {error.strerror or error}"}
            return
        said: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=_listen, args=(process, said), daemon=True).start()
        late, timeout = False, checks[0].timeout
        try:
            while True:
                try:
                    line = said.get(timeout=timeout)
                except queue.Empty:
                    late = True
                    break
                if line is None:
                    break
                if line.startswith('{"'):
                    message = json.loads(line)
                    timeout = next((check.timeout for check in checks if check.id == message.get("start")), timeout)
                    yield message
        finally:
            if process.poll() is None and (late or sys.exc_info()[0] is not None):
                process.kill()
            process.wait()
        complained.seek(0)
        tail = complained.read().strip().splitlines()[-1:]
    why = f"gave no answer within {timeout:g} s" if late else _ending(process.returncode)
    yield {"ended": why + (f": {tail[0]}" if tail else "")}


def _listen(process: subprocess.Popen[str], said: queue.Queue[str | None]) -> None:
    if process.stdout is not None:
        for line in process.stdout:
            said.put(line)
    said.put(None)


def _ending(code: int) -> str:
    return f"the process was ended by signal {-code}" if code < 0 else f"the process ended with exit {code}"
