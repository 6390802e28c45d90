"""Our own code in place of patches to models: what the catalog names under ``adapters``, each a function of that name.

A fault of upstream is worked round here and the tree stays as its commit has it. Those in `AT_ENTRY` are called before anything of the
model is imported, the others by what runs the model.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from collections.abc import Callable, Mapping
from typing import Any


def clone_view_buffers(module: Any) -> None:
    """Give each buffer of a torch module that is a view of a larger storage a storage of its own.

    ``torch.hann_window(n)`` is a view of n + 1 samples, and ``safetensors.torch.load_model`` refuses to load into a view (torch 2.4.1 to
    2.11.0, safetensors 0.4.5 to 0.8.0).
    """
    for part in module.modules():
        for name, buffer in list(part.named_buffers(recurse=False)):
            if buffer.untyped_storage().nbytes() > buffer.numel() * buffer.element_size():
                part._buffers[name] = buffer.clone()


def cast_time(transformer: Any) -> Any:
    """Let a module cast its argument ``time`` to the type of its own parameters; what is returned takes that away again.

    DiffRhythm 2's ``cfm.py`` makes it half precision whatever the model is, and the CPU cannot multiply the two.
    """

    def cast(module: Any, given: Any, named: Any) -> Any:
        if "time" in named:
            named = {**named, "time": named["time"].to(next(module.parameters()).dtype)}
        return given, named

    return transformer.register_forward_pre_hook(cast, with_kwargs=True)


def list_audio_backends() -> None:
    """Define ``torchaudio.list_audio_backends`` where torchaudio, from 2.9 on, has none: fish-speech of s1 asks it, and takes ``soundfile``."""
    torchaudio: Any = importlib.import_module("torchaudio")
    if not hasattr(torchaudio, "list_audio_backends"):
        torchaudio.list_audio_backends = lambda: ["soundfile"]


def complete_langsegment() -> None:
    """Give LangSegment 0.2.0, the only release on the index, the two names that its own ``__init__.py`` imports and its module does not have."""
    name = "LangSegment"
    found = importlib.util.find_spec(name)
    if found is None or name in sys.modules:
        return
    package = sys.modules[name] = types.ModuleType(name)
    package.__path__ = list(found.submodule_search_locations or ())
    try:
        inner: Any = importlib.import_module(f"{name}.LangSegment")
    finally:
        del sys.modules[name]
    for missing in ("setLangfilters", "getLangfilters"):
        if not hasattr(inner, missing):
            setattr(inner, missing, getattr(inner, missing.replace("Lang", ""), None))


def watermark_from(file: str) -> None:
    """Let ``wavmark.load_model()`` read a file where it would ask a hub.

    OpenVoice always marks what it converts: ``enable_watermark=False`` is handed on to a constructor that does not know it (TypeError).
    """
    wavmark: Any = importlib.import_module("wavmark")
    load = wavmark.load_model

    def from_file(path: str = "default") -> Any:
        return load(file if path == "default" else path)

    wavmark.load_model = from_file


AT_ENTRY: Mapping[str, Callable[[], None]] = {
    "complete_langsegment": complete_langsegment,
    "list_audio_backends": list_audio_backends,
}
"""Those that need nothing of the model."""
