"""The command line of a model, the same for all models of a task, and loading one for whoever asks.

A model's runner is a file named after it. Its ``load(files, device)`` returns what does the task: a function of the text or of the sound, and of
the other sounds and texts of its task by name. Where the model's code is a source tree, that comes first on ``sys.path`` and the working folder is the one that the
catalog names (`place.enter`), before ``load`` is called.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import device, given, kept, measure, offline, place, serve, sound

if TYPE_CHECKING:  # this room travels without that one
    from ..records.model import Gives, ModelAnswer, ModelOf

# Loads the rooms by path, as the doctor does: a folder beside them could shadow the standard library.
START = """
import importlib, sys, types
rooms, argv = sys.argv[1], sys.argv[2:]
sys.path[:] = [p for p in sys.path if p]
package = sys.modules["wavesmith_rooms"] = types.ModuleType("wavesmith_rooms")
package.__path__ = [rooms]
sys.exit(importlib.import_module("wavesmith_rooms.models").main(argv))
"""
OWN = "own"
"""The package of the user's own runners, ``models/*.py`` of the folder that ``wavesmith_catalog`` names."""


def runner(name: str) -> Any:
    """The file here that runs a model: named after it, with `DEVICES` and `load`; the user's own before ours. `None` where there is none."""
    for package in (f".{OWN}", ""):
        try:
            found = importlib.import_module(f"{package}.{name}", __package__)
        except ModuleNotFoundError as error:
            if error.name is None or not error.name.startswith(str(__package__)):
                raise
            continue
        if hasattr(found, "load"):
            return found
    return None


def loaded(prefix: Path, name: str, asked: str = "auto") -> tuple[Any, str, str]:
    """What does a model's task, the device it computes on, and why that one.

    Raises:
        Unusable, NoDevice: it cannot be run; the message says why and the remedy.
    """
    model, backend = entry(prefix, name), runner(name)
    if backend is None:
        raise kept.Unusable(_no_runner(model))
    files = kept.files(prefix, model)
    chosen, why = device.choose(name, backend.DEVICES, devices_here(backend.DEVICES), asked)
    place.enter(prefix, model)
    try:
        return backend.load(files, chosen), chosen, why
    except kept.Unusable as problem:
        raise kept.Unusable(f"model {name}: {problem}") from problem
    except Exception as problem:  # upstream's code raises anything
        where = place.environment(prefix)
        raise kept.Unusable(
            f"model {name} does not load: {type(problem).__name__}: {problem}. Remedy: wavesmith-doctor {where} says whether the environment is whole; "
            f"what was changed in it by hand, wavesmith repair {where} makes good"
        ) from problem


def _no_runner(model: ModelOf) -> str:
    code = f"its code in {model['code']['folder']} of the environment" if "code" in model else model["package"]
    return f"model {model['name']} has no command line here yet. Remedy: use {code} itself"


def entry(prefix: Path, name: str) -> ModelOf:
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
        return ["directml"] if _directml() else []
    return ["rocm" if torch.version.hip else "cuda"]


def _directml() -> bool:
    """Whether torch-directml sees a GPU; outside of WSL it does not even import (libd3d12.so is missing)."""
    if importlib.util.find_spec("torch_directml") is None:
        return False
    try:
        return bool(importlib.import_module("torch_directml").is_available())
    except (ImportError, OSError):
        return False


def main(argv: Sequence[str]) -> int:
    """Run one model: the generation's prefix, the model's name, and what the user said.

    Returns:
        0; 2 where it cannot be run or was asked for wrongly.
    """
    prefix, name, *words = argv
    try:
        model = entry(Path(prefix), name)
        if runner(name) is None:
            raise kept.Unusable(_no_runner(model))
        options = _options(model, words)
        with offline.told(name):
            if getattr(options, "serve", None):
                return _serve(Path(prefix), model, options)
            answer = _run(Path(prefix), model, options)
    except (kept.Unusable, device.NoDevice, ValueError, OSError) as problem:
        print(f"wavesmith-run: {problem}", file=sys.stderr)
        return 2
    print(json.dumps(answer) if options.json else "\n".join(_lines(answer)))
    return 0


def _options(model: ModelOf, words: Sequence[str]) -> argparse.Namespace:
    languages = ", ".join(model["languages"])
    parser = argparse.ArgumentParser(
        prog=f"wavesmith-run ENVIRONMENT {model['name']}",
        description=f"{model['name']}: {model['does']}{f' ({languages})' if languages else ''}.",
    )
    if model["takes"] == "text":
        parser.add_argument("--text", help="the text")
    else:
        parser.add_argument("--in", dest="source", type=Path, required=True, metavar="WAV", help="a 16-bit WAV")
    may_take, may_say = _extras(model)
    for name, what in may_take.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=Path, metavar="WAV", help=what)
    for name, what in may_say.items():
        parser.add_argument(f"--{name.replace('_', '-')}", metavar=name.rpartition("_")[2].upper(), help=what)
    if model["gives"] == "sound":
        parser.add_argument(
            "--out", type=Path, default=Path("out.wav"), metavar="WAV", help="the WAV to write [out.wav]"
        )
    else:
        parser.add_argument("--out", type=Path, metavar="FILE", help="also write what was found to FILE")
    parser.add_argument(
        "--device",
        choices=("auto", *device.PRIORITY),
        default="auto",
        help="what to compute on [auto: the best one here]",
    )
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    if model["takes"] == "text" and model["gives"] == "sound":
        parser.add_argument(
            "--serve",
            type=int,
            metavar="PORT",
            help="be a server at this port of the loopback, with a page for browsers",
        )
    options = parser.parse_args(words)
    if model["takes"] == "text" and options.text is None and not getattr(options, "serve", None):
        parser.error("the following arguments are required: --text")
    if options.out and not getattr(options, "serve", None):
        given.place_for(options.out, model["gives"])
    return options


def _extras(model: ModelOf) -> tuple[dict[str, str], dict[str, str]]:
    """The other sounds and texts of its task that a model takes: all, or those that its runner names in `OPTIONS`."""
    able = getattr(runner(model["name"]), "OPTIONS", None)
    may_take, may_say = (
        {name: what for name, what in asked.items() if able is None or name in able}
        for asked in (model["may_take"], model.get("may_say", {}))
    )
    return may_take, may_say


def _serve(prefix: Path, model: ModelOf, options: argparse.Namespace) -> int:
    """Be a server: upstream's own where the runner has one, else ours."""
    backend = runner(model["name"])
    if hasattr(backend, "serve"):
        chosen, why = device.choose(model["name"], backend.DEVICES, devices_here(backend.DEVICES), options.device)
        place.enter(prefix, model)
        print(f"device  {chosen}: {why}", flush=True)
        backend.serve(kept.files(prefix, model), chosen, options.serve)
        return 0
    work, chosen, why = loaded(prefix, model["name"], options.device)
    print(f"device  {chosen}: {why}\nserving http://127.0.0.1:{options.serve}/", flush=True)
    serve.server(model, work, options.serve).serve_forever()
    return 0


def _run(prefix: Path, model: ModelOf, options: argparse.Namespace) -> ModelAnswer:
    rate = model["sample_rate"]
    may_take, may_say = _extras(model)
    heard = None if model["takes"] == "text" else given.sound(options.source, rate)
    if heard is None:
        given.text(options.text)
    said = {name: getattr(options, name) for name in (*may_take, *may_say)}
    extra = {
        name: given.sound(value, rate) if name in may_take else value
        for name, value in said.items()
        if value is not None
    }
    if heard is not None and model["gives"] == "text":
        _note(given.doubt(options.source, heard))
    out = options.out and options.out.absolute()  # the model may work in another folder
    began = time.monotonic()
    _note(f"loading {model['name']}" if sys.stderr.isatty() else "")
    work, chosen, why = loaded(prefix, model["name"], options.device)
    ready = time.monotonic()
    _note(f"computing on {chosen}" if sys.stderr.isatty() else "")
    try:
        result = work(options.text if heard is None else heard, **extra)
    except kept.Unusable:
        raise
    except (ValueError, RuntimeError) as problem:
        other = "text" if heard is None else "sound"
        raise kept.Unusable(
            f"model {model['name']} cannot compute this: {problem}. Remedy: give it another {other}; where none works, wavesmith-doctor "
            f"{place.environment(prefix)} says whether the environment is whole"
        ) from problem
    seconds = time.monotonic() - ready
    answer: ModelAnswer = {
        "model": model["name"],
        "device": chosen,
        "why": why,
        "loading": round(ready - began, 3),
        "computing": round(seconds, 3),
        "real_time_factor": None,
    }
    if model["gives"] == "sound":
        sound.write(out, result)
        # What is on the disk is what counts, not what was meant to be there.
        heard = sound.read(out)
        answer["out"], answer["rate"] = str(options.out), heard.rate
        answer["measured"] = measure.measure(heard.samples, heard.rate)
    else:
        answer["found"] = found(model["gives"], result)
        if out:
            out.write_text(_text(answer["found"]) + "\n", encoding="utf-8")
    if heard is not None and heard.seconds:
        answer["real_time_factor"] = round(seconds / heard.seconds, 3)
    return answer


def _note(said: str) -> None:
    """Tell whoever waits, beside the answer."""
    if said:
        print(f"wavesmith-run: {said}", file=sys.stderr, flush=True)


def found(gives: Gives, result: Any) -> str | list[list[float]]:
    """What a model found, as plain data: a text, or rows."""
    if gives == "text":
        return str(result)
    if gives == "spans":
        return [[round(float(start), 3), round(float(end), 3)] for start, end in result]
    return [[round(float(at), 3), round(float(hertz), 1)] for at, hertz, voiced in zip(*result) if voiced]


def _text(value: str | list[list[float]]) -> str:
    return value if isinstance(value, str) else "\n".join("\t".join(map(str, row)) for row in value)


def _lines(answer: ModelAnswer) -> list[str]:
    lines = [f"device  {answer['device']}: {answer['why']}"]
    if "measured" in answer:
        got = answer["measured"]
        lines.append(
            f"wrote   {answer['out']}: {got['seconds']:.2f} s at {answer['rate']} Hz, level {got['rms']:.1f} dBFS, "
            f"peak {got['peak']:.1f} dBFS, {got['clipped']:.2%} clipped"
        )
    else:
        lines.append(_text(answer["found"]))
    took = f"{answer['computing']:.2f} s, and {answer['loading']:.2f} s to load"
    factor = answer["real_time_factor"]
    lines.append(f"speed   {took}" if factor is None else f"speed   real-time factor {factor} ({took})")
    return lines
