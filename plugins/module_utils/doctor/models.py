"""The models of an environment with their real weights: one speaks, another understands, and others agree on edges and pitch.

What is judged is a file: a sentence spoken by a model of this host, or by espeak-ng where there is none, with silence before and after it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..models import kept, measure, sound
from ..models.run import loaded, runner
from ..records.model import ModelAnswer, ModelOf
from . import jit, structure
from .base import REPAIR, Check, Context, Failed, Finding, Skipped, command
from .evidence import write_spectrograms
from .voice import SENTENCE
from .worker import quiet

SPOKEN, TRANSCRIPT, PICTURE = "spoken.wav", "transcript.txt", "spoken.png"
LEAD, TAIL = 0.5, 0.7
"""Seconds of silence before and after what was spoken."""
WORD_ERRORS, EDGE, PITCH = 0.15, 0.15, 0.03
"""Share of words that may be wrong; seconds by which an edge and share by which a pitch may be off."""
COPIED_SECONDS, CONVERTED_SECONDS = 0.1, 0.2
"""By how much a sound may be longer or shorter once it was decoded, or converted: a frame and its edges."""
LYRICS, STYLE = "[verse]\nthe river sings a song for you\nand all the world is new", "a quiet folk song with a guitar"
SUNG = (4.0, 10.0)
"""Seconds that a song may last: it is told the last."""
ANSWER = 900.0
"""Seconds that a model's command has for an answer."""
WEIGHTS_REMEDY = f"a file of its weights is not the one that the catalog names: {REPAIR}"


def checks(models: Mapping[str, ModelOf]) -> tuple[Check, ...]:
    """The checks of the models of an environment; none where it has no model."""
    if not models:
        return ()
    found = [_check("files", "weights are the catalog's", files, WEIGHTS_REMEDY)]
    for name in (name for name in sorted(models) if _why(models[name])):
        found += structure.checks(name, models[name])
        found.append(_check(f"tier.{name}", f"{name} with its weights", _skipped(name, models[name])))
    usable = {name: model for name, model in models.items() if not _why(model)}
    tasks: dict[str, list[str]] = {}
    for name, model in sorted(usable.items()):
        tasks.setdefault(model["task"], []).append(name)
    speaking = [
        _check(f"speaks.{name}", f"{name} speaks", _speaks(name), timeout=ANSWER + 60) for name in tasks.get("tts", ())
    ]
    found += speaking
    if set(tasks) & {"transcribe", "segments", "pitch", "codec", "convert"} and not speaking:
        found.append(_check("spoken", "a sentence is spoken", spoken, after=("voice.speak",), cost=1.5))
    heard = tuple(check.id for check in speaking) or ("models.spoken",)
    found += [
        _check(f"understands.{name}", f"{name} understands it", _understands(name), after=heard, cost=5.0)
        for name in tasks.get("transcribe", ())
    ]
    found += [
        _check(f"edges.{name}", f"{name} finds its edges", _edges(name), after=heard)
        for name in tasks.get("segments", ())
    ]
    found += [
        _check(
            f"copies.{name}",
            f"{name} encodes and decodes it",
            _copies(name),
            after=heard,
            cost=30.0,
            timeout=ANSWER + 60,
        )
        for name in tasks.get("codec", ())
    ]
    found += [
        _check(
            f"converts.{name}",
            f"{name} says it with another voice",
            _converts(name),
            after=heard,
            cost=30.0,
            timeout=ANSWER + 60,
        )
        for name in tasks.get("convert", ())
    ]
    found += [
        _check(f"sings.{name}", f"{name} makes music", _sings(name), cost=60.0, timeout=ANSWER + 60)
        for name in tasks.get("music", ())
    ]
    if tasks.get("pitch"):
        found.append(_check("pitch", "its pitch is agreed on", pitch(tasks["pitch"]), after=heard, cost=6.0))
    return tuple(found)


def _check(
    name: str,
    title: str,
    run: Callable[[Context], Finding],
    remedy: str = REPAIR,
    after: tuple[str, ...] = (),
    cost: float = 0.5,
    timeout: float = 180.0,
) -> Check:
    return Check(f"models.{name}", title, run, remedy, heavy=True, after=after, cost=cost, timeout=timeout)


def _why(model: ModelOf) -> str:
    """Why a model is not judged with its weights; empty where it is."""
    if model["refused"]:
        return str(model["refused"])
    return "" if runner(model["name"]) else "nothing here runs it yet"


def _skipped(name: str, model: ModelOf) -> Any:
    tier = f"import was tried ({f'models.import.{name}' if 'code' in model else 'stack.imports'})"
    if structure.found(name) is not None:
        tier = f"structure was tried (models.structure.{name})"

    def skip(context: Context) -> Finding:
        raise Skipped(f"tier {tier}; {_why(context.spec.models[name])}")

    return skip


def files(context: Context) -> Finding:
    """The sha256 of every file of weights is the one that the catalog names."""
    count = size = 0
    for model in context.spec.models.values():
        if model["refused"]:
            continue
        wrong = kept.wrong_file(context.spec.prefix, model)
        if wrong:
            raise Failed(f"{model['name']}: {wrong} has another sha256")
        found = kept.files(context.spec.prefix, model)
        count, size = count + len(found), size + sum(path.stat().st_size for path in found)
    if not count:
        raise Skipped("no model here has pinned weights")
    return Finding(f"{count} files of weights, {size / 2**20:.0f} MiB, have the sha256 of the catalog", {"bytes": size})


def _speaks(name: str) -> Any:
    def speaks(context: Context) -> Finding:
        """A model speaks the sentence; what it wrote sounds like speech by number."""
        made = speak(context, _program(context, name))
        evidence = {"file": SPOKEN, "sentence": SENTENCE, **made}
        _listen(context, made["measured"], SENTENCE, evidence)
        got = made["measured"]
        return Finding(
            f"{got['seconds']:.2f} s at {made['rate']} Hz, {got['rms']:.1f} dBFS, voice at {got['hertz']:.0f} Hz, "
            f"real-time factor {made['real_time_factor']}",
            evidence,
        )

    return speaks


def _listen(context: Context, measured: Mapping[str, float], text: str, evidence: Mapping[str, object]) -> None:
    problems = measure.speech_problems(dict(measured), text)
    if problems:
        raise Failed(f"what was spoken is no speech: {'; '.join(problems)}", "", evidence)
    heard = sound.read(context.evidence / SPOKEN)
    write_spectrograms(context.evidence / PICTURE, [(heard.rate, heard.samples)])


def speak(context: Context, program: Path) -> ModelAnswer:
    """Let a model's command speak the sentence in a process of its own, and keep it with silence around it.

    Raises:
        Failed: it did not.
    """
    path = context.scratch / "spoken.wav"
    words: list[str | Path] = ["--text", SENTENCE]
    if getattr(runner(program.name), "WANTS_VOICE", False):
        words += ["--voice", _own_voice(context), "--voice-text", SENTENCE]
    made = _answer(context, program, words, path, "does not speak")
    _keep(context, path)
    return made


def _answer(context: Context, program: Path, words: list[str | Path], out: Path, problem: str) -> ModelAnswer:
    ran = command([program, *words, "--out", out, "--json"], quiet(context), context.scratch, ANSWER)
    if ran.code:
        raise Failed(f"{program.name} {problem}: {ran.tail}")
    made: ModelAnswer = json.loads(ran.out.splitlines()[-1])
    return made


def _own_voice(context: Context) -> Path:
    """The doctor's own speech, which says the sentence."""
    path = context.evidence / "speech.wav"
    if not path.is_file():
        raise Skipped("it speaks with the voice of a recording, and voice.speak gave none")
    return path


def _keep(context: Context, path: Path) -> None:
    import numpy

    heard = sound.read(path)
    lead, tail = (numpy.zeros(int(heard.rate * seconds), "float32") for seconds in (LEAD, TAIL))
    sound.write(context.evidence / SPOKEN, sound.Sound(heard.rate, numpy.concatenate([lead, heard.samples, tail])))


def spoken(context: Context) -> Finding:
    """A sentence to judge the others by: spoken by a model of another environment of this host, else by espeak-ng."""
    why = "no environment of this host has a model that speaks"
    for speaker in context.spec.speakers:
        try:
            made = speak(context, Path(speaker["command"]))
        except Failed as problem:
            why = str(problem)
            continue
        by = f"{speaker['model']} of environment {speaker['environment']}"
        evidence = {"file": SPOKEN, "by": by, "sentence": SENTENCE, **made}
        _listen(context, made["measured"], SENTENCE, evidence)
        return Finding(f"spoken by {by}: {made['measured']['seconds']:.2f} s at {made['rate']} Hz", evidence)
    path = context.evidence / "speech.wav"
    if not path.is_file():
        raise Skipped(f"{why}, and voice.speak gave no speech")
    _keep(context, path)
    heard = sound.read(path)
    _listen(context, measure.measure(heard.samples, heard.rate), SENTENCE, {"file": SPOKEN})
    return Finding(f"spoken by espeak-ng, because {why}", {"file": SPOKEN, "by": "espeak-ng", "sentence": SENTENCE})


def _heard(context: Context, rate: int) -> sound.Sound:
    path = context.evidence / SPOKEN
    if not path.is_file():
        raise Skipped("no speech was made that it could be tested with")
    return sound.read(path, rate)


def _work(context: Context, name: str) -> Any:
    return loaded(context.spec.prefix, name, "cpu")[0]


def _copies(name: str) -> Any:
    def copies(context: Context) -> Finding:
        """What a codec makes of the sentence is the sentence: as long, with its spectrum and its pitch."""
        rate = context.spec.models[name]["sample_rate"]
        given = _heard(context, rate)
        source, out = context.scratch / "given.wav", context.evidence / f"{name}.wav"
        sound.write(source, given)
        made = _answer(context, _program(context, name), ["--in", source], out, "does not encode and decode")
        got = sound.read(out, rate)
        distance = measure.mel_distance(given.samples, got.samples, rate)
        evidence = {"file": out.name, "distance": distance, "allowed": measure.DISTANCE, **made}
        problems = measure.copy_problems(
            measure.measure(given.samples, rate), made["measured"], distance, COPIED_SECONDS
        )
        if problems:
            raise Failed(f"what it decoded is not what it encoded: {'; '.join(problems)}", "", evidence)
        return Finding(
            f"{got.seconds:.2f} s came back, their spectrum {distance:.1f} dB away (allowed {measure.DISTANCE:g}), "
            f"real-time factor {made['real_time_factor']}",
            evidence,
        )

    return copies


def _converts(name: str) -> Any:
    def converts(context: Context) -> Finding:
        """What a model says with another voice is as long as the sentence, and speech by number."""
        given = _heard(context, context.spec.models[name]["sample_rate"])
        source, out = context.scratch / "given.wav", context.evidence / f"{name}.wav"
        sound.write(source, given)
        words: list[str | Path] = ["--in", source, "--voice", _own_voice(context)]
        made = _answer(context, _program(context, name), words, out, "does not convert")
        got, evidence = made["measured"], {"file": out.name, **made}
        problems = measure.speech_problems(got)
        if abs(got["seconds"] - given.seconds) > CONVERTED_SECONDS:
            problems.append(f"{given.seconds:.2f} s became {got['seconds']:.2f} s (allowed {CONVERTED_SECONDS:g} s)")
        if problems:
            raise Failed(f"what it converted is no speech: {'; '.join(problems)}", "", evidence)
        return Finding(
            f"{got['seconds']:.2f} s at {made['rate']} Hz, {got['rms']:.1f} dBFS, voice at {got['hertz']:.0f} Hz, "
            f"real-time factor {made['real_time_factor']}",
            evidence,
        )

    return converts


def _sings(name: str) -> Any:
    def sings(context: Context) -> Finding:
        """What a model makes of two lines is music by number, and as long as it was told; it may end before."""
        out, asked = context.evidence / f"{name}.wav", SUNG[1]
        words: list[str | Path] = ["--text", LYRICS, "--style-text", STYLE, "--seconds", f"{asked:g}"]
        made = _answer(context, _program(context, name), words, out, "does not sing")
        got, evidence = made["measured"], {"file": out.name, **made}
        problems = measure.music_problems(got, SUNG)
        if problems:
            raise Failed(f"what it made is no music: {'; '.join(problems)}", "", evidence)
        write_spectrograms(out.with_suffix(".png"), [(made["rate"], sound.read(out).samples)])
        return Finding(
            f"{got['seconds']:.2f} s at {made['rate']} Hz, {got['rms']:.1f} dBFS, real-time factor {made['real_time_factor']}",
            evidence,
        )

    return sings


def _program(context: Context, name: str) -> Path:
    return context.spec.prefix / "wavesmith" / "models" / name


def _understands(name: str) -> Any:
    def understands(context: Context) -> Finding:
        """What a model writes down is what was spoken, and noise is nothing of it."""
        heard = _heard(context, context.spec.models[name]["sample_rate"])
        work = _work(context, name)
        text = work(heard)
        (context.evidence / TRANSCRIPT).write_text(f"{text}\n", encoding="utf-8")
        errors = measure.word_errors(SENTENCE, text)
        evidence: dict[str, object] = {
            "file": TRANSCRIPT,
            "said": SENTENCE,
            "heard": text,
            "word errors": round(errors, 3),
        }
        if errors > WORD_ERRORS:
            raise Failed(f"{errors:.0%} of the words are wrong (allowed {WORD_ERRORS:.0%}): {text}", "", evidence)
        noise = measure.word_errors(SENTENCE, work(_noise(heard)))
        evidence["word errors of noise"] = round(noise, 3)
        if noise <= WORD_ERRORS:
            raise Failed("it recognises the sentence in noise too: it does not use its input", "", evidence)
        return Finding(f"word error rate {errors:.0%} (allowed {WORD_ERRORS:.0%}): {text}", evidence)

    return understands


def _edges(name: str) -> Any:
    def edges(context: Context) -> Finding:
        """A model finds where the sentence begins and ends, and no speech in noise or silence."""
        heard = _heard(context, context.spec.models[name]["sample_rate"])
        work = _work(context, name)
        wanted, found = measure.edges(heard.samples, heard.rate), work(heard)
        evidence: dict[str, object] = {"by level": wanted, "found": found, "tolerance": EDGE}
        if not found:
            raise Failed("it finds no speech in the sentence", "", evidence)
        got = (found[0][0], found[-1][1])
        off = [abs(mine - theirs) for mine, theirs in zip(got, wanted)]
        if max(off) > EDGE:
            raise Failed(
                f"speech from {got[0]:.2f} to {got[1]:.2f} s, it lasts from {wanted[0]:.2f} to {wanted[1]:.2f} (allowed {EDGE:g} s)",
                "",
                evidence,
            )
        for what, other in (("noise", _noise(heard)), ("silence", sound.Sound(heard.rate, heard.samples * 0))):
            if work(other):
                raise Failed(f"it finds speech in {what}", "", evidence)
        return Finding(
            f"speech from {got[0]:.2f} to {got[1]:.2f} s, off by {off[0]:.2f} and {off[1]:.2f} s (allowed {EDGE:g}); none in noise",
            evidence,
        )

    return edges


def pitch(names: list[str]) -> Any:
    """The check of the models that follow pitch."""

    def agreed(context: Context) -> Finding:
        """Each hears the pitch of a tone that is known, and on the sentence they agree with one another."""
        jit.without()
        import numpy

        evidence: dict[str, object] = {"tolerance": PITCH}
        found = {}
        for name in names:
            rate, work = context.spec.models[name]["sample_rate"], _work(context, name)
            times = numpy.arange(rate) / rate
            tone = sum(0.3 / order * numpy.sin(2 * numpy.pi * 147 * order * times) for order in range(1, 8))
            _at, hertz, voiced = work(sound.Sound(rate, numpy.asarray(tone, "float32") * 0.5))
            off = float(numpy.median(hertz[voiced]) / 147 - 1) if voiced.any() else -1.0
            evidence[f"{name} on a tone of 147 Hz"] = round(off, 4)
            if abs(off) > PITCH:
                raise Failed(f"{name} is off by {off:.1%} on a tone of 147 Hz (allowed {PITCH:.0%})", "", evidence)
            found[name] = work(_heard(context, rate))
        first, *others = found
        if not others:
            return Finding(
                f"{first} hears a tone of 147 Hz within {PITCH:.0%}; no other model is here to agree with", evidence
            )
        said = []
        for other in others:
            off, share, frames = measure.agreement(*found[first], *found[other])
            evidence[f"{first} and {other}"] = {
                "median": round(off, 4),
                "share within tolerance": round(share, 3),
                "frames": frames,
            }
            if abs(off) > PITCH or share < 0.8 or frames < 20:
                raise Failed(
                    f"{first} and {other} disagree on the pitch: median {off:.1%}, {share:.0%} of {frames} frames within {PITCH:.0%}",
                    "",
                    evidence,
                )
            said.append(f"{other} within {abs(off):.1%}, {share:.0%} of {frames} frames")
        _at, hertz, voiced = found[first]
        return Finding(
            f"{first} hears {numpy.median(hertz[voiced]):.0f} Hz, and {'; '.join(said)} (allowed {PITCH:.0%})", evidence
        )

    return agreed


def _noise(heard: sound.Sound) -> sound.Sound:
    """White noise as long as a sound."""
    import numpy

    drawn = numpy.random.default_rng(3).standard_normal(len(heard.samples)) * 0.1
    return sound.Sound(heard.rate, drawn.astype("float32"))


def forget(folder: Path) -> None:
    """Remove what an earlier run kept: it must not pass for this one's."""
    for name in (SPOKEN, TRANSCRIPT, PICTURE):
        (folder / name).unlink(missing_ok=True)
