"""Native parts: every library finds the libraries it needs, and ffmpeg, espeak-ng and the runtimes work from Python."""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib
import os
import re
import shutil

from ..audit.libraries import Part, link, remedy
from ..audit.linkage import from_python, resolve, shared_objects, system_libraries
from .base import Check, Context, Failed, Finding, Skipped, command
from .evidence import read_wav, write_tone
from .prefixes import site_packages
from .worker import quiet

TEXT = "hello"
_EXTENSION = re.compile(r"\.(?:cpython-[\w-]+|abi3)\.so$")
"""Names of modules that Python itself loads: those of a wheel for another processor, where a package may bring libraries for several."""


def libraries(context: Context) -> Finding:
    """Every ELF object below site-packages finds the libraries it needs, and those it opens by name; of alternatives one does."""
    system = system_libraries()
    objects = list(shared_objects(site_packages(context.spec.prefix)))
    if not objects:
        raise Skipped("the environment holds no native libraries")
    foreign = [
        f"{path.relative_to(folder)} is for {dynamic.machine}"
        for folder, path, _, dynamic in objects
        if _EXTENSION.search(path.name) and dynamic.machine != os.uname().machine
    ]
    provided = {name for _, path, _, dynamic in objects for name in (path.name, dynamic.soname)}
    preloaded: dict[str, list[str]] = {}
    parts = []
    for folder, path, code, dynamic in objects:
        short, lacking = str(path.relative_to(folder)), []
        for name in resolve(path, dynamic, system):
            if name in provided:  # another object of the prefix, which its package loads first
                preloaded.setdefault(name, []).append(short)
            else:
                lacking.append(name)
        parts.append(Part(short, dynamic.needed, tuple(lacking), dynamic.opens, bool(code.fatbins)))
    linkage = link(parts, provided | system, context.spec.backend)
    linkage = linkage.plus(from_python(context.spec.imports, provided | system))
    evidence: dict[str, object] = {
        "objects": len(objects),
        "needed": sum(len(dynamic.needed) for _, _, _, dynamic in objects),
        "loaded first by their package": {name: len(paths) for name, paths in sorted(preloaded.items())},
        "of the driver, absent here": list(linkage.driver),
        "optional plug-ins without their library": {name: list(paths) for name, paths in linkage.optional.items()},
        "taken of alternatives": dict(linkage.taken),
    }
    if foreign:
        raise Failed(
            f"{foreign[0]}, this machine is {os.uname().machine}", "", {**evidence, "foreign": foreign}, "exec_format"
        )
    if linkage.missing:
        more = f" (and {len(linkage.missing) - 1} more)" if len(linkage.missing) > 1 else ""
        told = {**evidence, "missing": [item.text for item in linkage.missing]}
        raise Failed(linkage.missing[0].text + more, remedy(linkage.missing), told)
    driver = ", ".join(linkage.driver)
    if driver and context.spec.accelerated:
        raise Failed(
            f"the driver's libraries are absent: {driver}",
            "",
            evidence,
            "driver_missing",
        )
    note = f"; {driver} comes with a driver" if driver else ""
    for fits in linkage.taken.values():
        note += f"; {fits} fits of its alternatives"
    return Finding(f"{evidence['needed']} needed libraries of {len(objects)} objects are found{note}", evidence)


def ffmpeg(context: Context) -> Finding:
    """ffmpeg, started from Python, encodes and decodes FLAC, MP3 and OGG; soundfile and audioread read the results."""
    program = shutil.which("ffmpeg")
    if not program:
        raise Failed("ffmpeg is not on PATH")
    place = context.scratch / "ffmpeg"
    place.mkdir(exist_ok=True)
    rate, frequency = 22050, 440.0
    tone = place / "tone.wav"
    write_tone(tone, rate, frequency, seconds=1.0)
    version = command([program, "-version"], quiet(context), place).out.split("\n")[0]
    evidence: dict[str, object] = {"ffmpeg": version}
    for kind in ("flac", "mp3", "ogg"):
        coded, decoded = place / f"tone.{kind}", place / f"from-{kind}.wav"
        for source, target in ((tone, coded), (coded, decoded)):
            ran = command([program, "-v", "error", "-y", "-i", source, target], quiet(context), place)
            if ran.code:
                raise Failed(f"ffmpeg cannot convert {kind}: {ran.tail}", "", evidence)
        got_rate, samples = read_wav(decoded)
        crossings = sum(1 for left, right in zip(samples, samples[1:]) if left < 0 <= right)
        seconds = len(samples) / got_rate
        measured = {"seconds": round(seconds, 3), "hertz": round(crossings / seconds, 1)}
        evidence[kind] = measured
        if abs(seconds - 1.0) > 0.15 or abs(crossings / seconds - frequency) > 0.15 * frequency:
            raise Failed(f"a tone of {frequency:g} Hz comes back from {kind} changed: {measured}", "", evidence)
        if "soundfile" in context.spec.imports:
            import soundfile

            _, read_rate = soundfile.read(coded)
            measured["soundfile"] = read_rate
    if "audioread" in context.spec.imports:
        audioread = importlib.import_module("audioread")
        with audioread.audio_open(str(place / "tone.mp3")) as stream:
            evidence["audioread"] = f"{type(stream).__module__}: {stream.samplerate} Hz"
    readers = "".join(f", read by {name}" for name in ("soundfile", "audioread") if name in context.spec.imports)
    return Finding(f"FLAC, MP3 and OGG round trips keep the tone{readers}", evidence)


def espeak(context: Context) -> Finding:
    """phonemizer's espeak backend loads its library; where it does not, the dynamic linker's own words are shown."""
    names = [os.environ.get("PHONEMIZER_ESPEAK_LIBRARY"), ctypes.util.find_library("espeak-ng"), "libespeak-ng.so.1"]
    evidence: dict[str, object] = {"espeak-ng": shutil.which("espeak-ng")}
    loaded, reasons = "", []
    for name in dict.fromkeys(name for name in names if name):
        try:
            ctypes.CDLL(name)
        except OSError as error:
            evidence[name] = str(error)
            reasons.append(str(error))
        else:
            loaded, evidence[name] = name, "loads"
            break
    from phonemizer.backend import EspeakBackend

    try:
        backend = EspeakBackend("en-us")
        spoken = backend.phonemize([TEXT], strip=True)[0]
    except Exception as error:  # what phonemizer says hides the linker's reason, so both are shown
        why = f" ({'; '.join(reasons)})" if reasons else ""
        raise Failed(f"phonemizer: {error}{why}", "", evidence) from error
    if not spoken.strip():
        raise Failed(f"phonemizer gives no phonemes for {TEXT!r}", "", evidence)
    version = ".".join(str(part) for part in backend.version())
    evidence[TEXT] = spoken
    return Finding(f"espeak-ng {version} ({loaded or 'found by phonemizer'}): {TEXT} is {spoken}", evidence)


def tiny_onnx(size: int = 4) -> bytes:
    """An ONNX model of one MatMul of two square matrices, encoded by hand (onnx.proto3, IR version 8, opset 13)."""

    def varint(value: int) -> bytes:
        out = b""
        while value > 127:
            out += bytes([value & 127 | 128])
            value >>= 7
        return out + bytes([value])

    def number(tag: int, value: int) -> bytes:
        return varint(tag << 3) + varint(value)

    def block(tag: int, content: bytes | str) -> bytes:
        raw = content.encode() if isinstance(content, str) else content
        return varint(tag << 3 | 2) + varint(len(raw)) + raw

    def value_info(name: str) -> bytes:
        shape = block(1, number(1, size)) * 2
        return block(1, name) + block(2, block(1, number(1, 1) + block(2, shape)))

    node = block(1, "a") + block(1, "b") + block(2, "y") + block(4, "MatMul")
    graph = (
        block(1, node)
        + block(2, "tiny")
        + block(11, value_info("a"))
        + block(11, value_info("b"))
        + block(12, value_info("y"))
    )
    return number(1, 8) + block(7, graph) + block(8, number(2, 13))


def onnxruntime(context: Context) -> Finding:
    """onnxruntime runs a model made here and gives numpy's result."""
    module = context.wants("onnxruntime")
    import numpy

    runtime = importlib.import_module(module)
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    session = runtime.InferenceSession(tiny_onnx(), options, providers=["CPUExecutionProvider"])
    random = numpy.random.default_rng(7)
    a, b = (random.standard_normal((4, 4)).astype("float32") for _ in range(2))
    error = float(numpy.abs(session.run(None, {"a": a, "b": b})[0] - a @ b).max())
    evidence = {"providers": runtime.get_available_providers(), "largest difference": error, "tolerance": 1e-5}
    if not error < 1e-5:
        raise Failed(f"a matrix product differs from numpy's by {error:.2g}", "", evidence)
    return Finding(f"{runtime.__version__} computes ({', '.join(evidence['providers'])})", evidence)


def sherpa_onnx(context: Context) -> Finding:
    """sherpa-onnx, without a model: its native buffer and its WAV writer give back what they were given."""
    import numpy
    import sherpa_onnx as sherpa

    tone = numpy.sin(numpy.arange(16000) * 2 * numpy.pi * 440 / 16000).astype("float32") * 0.5
    buffer = sherpa.CircularBuffer(32000)
    buffer.push(tone)
    back = numpy.asarray(buffer.get(buffer.head, buffer.size), dtype="float32")
    path = context.scratch / "sherpa.wav"
    sherpa.write_wave(str(path), tone, 16000)
    rate, samples = read_wav(path)
    written = numpy.asarray(samples, dtype="float32") / 32768
    evidence = {"onnxruntime": str(getattr(sherpa, "onnxruntime_version", "")), "rate": rate, "samples": len(samples)}
    if (
        not numpy.array_equal(back, tone)
        or rate != 16000
        or len(written) != len(tone)
        or float(numpy.abs(written - tone).max()) > 1e-3
    ):
        raise Failed("samples read back from sherpa-onnx differ", "", evidence)
    return Finding(f"{getattr(sherpa, 'version', '')} buffers and writes audio (no model needed)", evidence)


CHECKS = (
    Check("native.libraries", "native libraries resolve", libraries, cost=2.5),
    Check(
        "native.ffmpeg",
        "ffmpeg works from Python",
        ffmpeg,
        failure="ffmpeg_missing",
        heavy=True,
        cost=1.5,
    ),
    Check(
        "native.espeak",
        "espeak-ng works from Python",
        espeak,
        failure="espeak_missing",
        heavy=True,
        needs=("phonemizer",),
    ),
    Check("native.onnxruntime", "onnxruntime computes", onnxruntime, heavy=True),
    Check("native.sherpa_onnx", "sherpa-onnx works", sherpa_onnx, heavy=True, needs=("sherpa-onnx",)),
)
