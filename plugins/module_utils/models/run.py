"""The command line of a model, the same for all models of a task; and loading one for whoever asks."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from . import device, kept, measure, piper_demo, sherpa_onnx, silero_vad, sound, swift_f0, torchcrepe, whisper_tiny

# Loads the rooms by path, as the doctor does: a folder beside them could shadow the standard library.
START = """
import importlib, sys, types
rooms, argv = sys.argv[1], sys.argv[2:]
sys.path[:] = [p for p in sys.path if p]
package = sys.modules["wavesmith_rooms"] = types.ModuleType("wavesmith_rooms")
package.__path__ = [rooms]
sys.exit(importlib.import_module("wavesmith_rooms.models").main(argv))
"""
BACKENDS: Mapping[str, Any] = {
    "piper_demo": piper_demo,
    "sherpa_onnx": sherpa_onnx,
    "silero_vad": silero_vad,
    "swift_f0": swift_f0,
    "torchcrepe": torchcrepe,
    "whisper_tiny": whisper_tiny,
}
"""The models that can be run, by name."""
TEXT, SOUND = "text", "sound"
TASKS = {"tts": TEXT, "transcribe": SOUND, "segments": SOUND, "pitch": SOUND}
"""What each task takes that has a command line."""
_SAYS = {
    "tts": "speak a text into a WAV",
    "transcribe": "write down what is said in a WAV",
    "segments": "find where somebody speaks in a WAV",
    "pitch": "follow the pitch of the voice in a WAV",
}


def loaded(prefix: Path, name: str, asked: str = "auto") -> tuple[Any, str, str]:
    """What does a model's task, the device it computes on, and why that one.

    Raises:
        Unusable, NoDevice: it cannot be run; the message says why and the remedy.
    """
    model = entry(prefix, name)
    if name not in BACKENDS:
        raise kept.Unusable(f"model {name} has no command line here yet. Remedy: use {model['package']} itself")
    backend = BACKENDS[name]
    files = kept.files(prefix, model)
    chosen, why = device.choose(name, backend.DEVICES, devices_here(backend.DEVICES), asked)
    return backend.load(files, chosen), chosen, why


def entry(prefix: Path, name: str) -> dict[str, Any]:
    """A model of a generation.

    Raises:
        Unusable: the generation does not have it.
    """
    models = kept.models(prefix)
    if name not in models:
        raise kept.Unusable(
            f"there is no model {name} here. Remedy: use one of: {', '.join(sorted(models)) or '(none)'}"
        )
    return models[name]


def devices_here(able: Sequence[str]) -> list[str]:
    """The accelerators that torch sees; torch is loaded only for a model that could use one."""
    if tuple(able) == ("cpu",):
        return []
    torch = importlib.import_module("torch")
    if not torch.cuda.is_available():
        return []
    return ["rocm" if torch.version.hip else "cuda"]


def main(argv: Sequence[str]) -> int:
    """Run one model: the generation's prefix, the model's name, and what the user said.

    Returns:
        0; 2 where it cannot be run or was asked for wrongly.
    """
    prefix, name, *words = argv
    try:
        model = entry(Path(prefix), name)
        if model["task"] not in TASKS:
            raise kept.Unusable(
                f"models for {model['task']} have no command line here yet. Remedy: use {model['package']} itself"
            )
        options = _options(model, words)
        answer = _run(Path(prefix), model, options)
    except (kept.Unusable, device.NoDevice, ValueError, OSError) as problem:
        print(f"wavesmith-run: {problem}", file=sys.stderr)
        return 2
    print(json.dumps(answer) if options.json else "\n".join(_lines(answer)))
    return 0


def _options(model: Mapping[str, Any], words: Sequence[str]) -> argparse.Namespace:
    languages = ", ".join(model["languages"])
    parser = argparse.ArgumentParser(
        prog=f"wavesmith-run ENVIRONMENT {model['name']}",
        description=f"{model['name']}: {_SAYS[model['task']]}{f' ({languages})' if languages else ''}.",
    )
    if TASKS[model["task"]] == TEXT:
        parser.add_argument("--text", required=True, help="what to speak")
        parser.add_argument("--out", type=Path, default=Path("out.wav"), help="the WAV to write (out.wav)")
    else:
        parser.add_argument("--in", dest="source", type=Path, required=True, help="a 16-bit WAV")
        parser.add_argument("--out", type=Path, help="a file for what was found, too")
    parser.add_argument(
        "--device",
        choices=("auto", *device.PRIORITY),
        default="auto",
        help="what to compute on (auto: the best that is here)",
    )
    parser.add_argument("--json", action="store_true", help="answer as one line of JSON")
    return parser.parse_args(words)


def _run(prefix: Path, model: Mapping[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    given = None if TASKS[model["task"]] == TEXT else sound.read(options.source, model["sample_rate"])
    began = time.monotonic()
    work, chosen, why = loaded(prefix, model["name"], options.device)
    ready = time.monotonic()
    result = work(options.text if given is None else given)
    seconds = time.monotonic() - ready
    answer: dict[str, Any] = {
        "model": model["name"],
        "device": chosen,
        "why": why,
        "loading": round(ready - began, 3),
        "computing": round(seconds, 3),
    }
    if given is None:
        sound.write(options.out, result)
        # What is on the disk is what counts, not what was meant to be there.
        written = sound.read(options.out)
        answer.update(out=str(options.out), rate=written.rate, measured=measure.measure(written.samples, written.rate))
        lasted = written.seconds
    else:
        answer["found"] = found(model["task"], result)
        lasted = given.seconds
        if options.out:
            options.out.write_text(_text(answer["found"]) + "\n", encoding="utf-8")
    answer["real_time_factor"] = round(seconds / lasted, 3) if lasted else None
    return answer


def found(task: str, result: Any) -> Any:
    """What a model found, as plain data: a text, or rows."""
    if task == "transcribe":
        return result
    if task == "segments":
        return [[round(start, 3), round(end, 3)] for start, end in result]
    return [[round(float(at), 3), round(float(hertz), 1)] for at, hertz, voiced in zip(*result) if voiced]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "\n".join("\t".join(map(str, row)) for row in value)


def _lines(answer: Mapping[str, Any]) -> list[str]:
    lines = [f"device  {answer['device']}: {answer['why']}"]
    if "measured" in answer:
        got = answer["measured"]
        lines.append(
            f"wrote   {answer['out']}: {got['seconds']:.2f} s at {answer['rate']} Hz, level {got['rms']:.1f} dBFS, "
            f"peak {got['peak']:.1f} dBFS, {got['clipped']:.2%} clipped"
        )
    else:
        lines.append(_text(answer["found"]))
    lines.append(
        f"speed   real-time factor {answer['real_time_factor']} ({answer['computing']:.2f} s, and {answer['loading']:.2f} s to load)"
    )
    return lines
