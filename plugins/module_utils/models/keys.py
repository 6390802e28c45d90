"""Weights that fit their model exactly: several upstreams load with ``strict=False``, and what is missing stays random."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .kept import Unusable

SHOWN = 3
"""How many names a message has."""
REMEDY = "Remedy: take weights and code of the same release"


@contextmanager
def exact(computed: Sequence[str] = ()) -> Iterator[None]:
    """Refuse weights that lack a key of the torch module that they are loaded into, or have one more.

    What is loaded into a part of a module that is loaded later does not count: the whole replaces it.

    Args:
        computed: Last parts of the names of buffers that the module computes itself: whether the weights have them does not matter.

    Raises:
        Unusable: they do not fit; it names the module and the keys.
    """
    module = importlib.import_module("torch").nn.Module
    load = module.load_state_dict
    wrong: list[tuple[Any, str]] = []

    def tolerant(self: Any, state_dict: Any, strict: bool = True, **named: Any) -> Any:
        del strict  # what does not fit is said below, for all upstreams in one way
        try:
            found = load(self, state_dict, False, **named)
        except RuntimeError as error:  # a shape
            raise Unusable(f"the weights do not fit {type(self).__name__}: {_last(error)}. {REMEDY}") from error
        parts = {id(part) for part in self.modules()}
        wrong[:] = [(part, said) for part, said in wrong if id(part) not in parts]
        missing = [key for key in _untied(self, found.missing_keys) if not _is_one(key, computed)]
        unknown = [key for key in found.unexpected_keys if not _is_one(key, computed)]
        if missing or unknown:
            wrong.append((self, mismatch(type(self).__name__, missing, unknown)))
        return found

    module.load_state_dict = tolerant
    try:
        with _pretrained(wrong, computed), _dispatched(wrong, computed):
            yield
    except Exception as error:
        if wrong:  # upstream says the same in its own way
            raise Unusable(wrong[0][1]) from error
        raise
    finally:
        module.load_state_dict = load
    if wrong:
        raise Unusable(wrong[0][1])


@contextmanager
def _pretrained(wrong: list[tuple[Any, str]], computed: Sequence[str]) -> Iterator[None]:
    """Note what transformers draws at random because its weights lack it: it warns at most. Weights for more than the model are usual there."""
    transformers: Any = sys.modules.get("transformers")
    if transformers is None:
        yield
        return
    base = transformers.PreTrainedModel
    load = base.__dict__["from_pretrained"]

    def noted(cls: Any, *given: Any, **named: Any) -> Any:
        model, found = load.__get__(None, cls)(*given, **{**named, "output_loading_info": True})
        missing = [key for key in sorted(found["missing_keys"]) if not _is_one(key, computed)]
        if missing:
            wrong.append((model, mismatch(cls.__name__, missing, [])))
        return model

    base.from_pretrained = classmethod(noted)
    try:
        yield
    finally:
        base.from_pretrained = load


@contextmanager
def _dispatched(wrong: list[tuple[Any, str]], computed: Sequence[str]) -> Iterator[None]:
    """Compare the keys of a file that accelerate loads: torch.distributed fills in what it lacks from the module before anybody can tell."""
    accelerate: Any = sys.modules.get("accelerate")
    if accelerate is None:
        yield
        return
    load = accelerate.load_checkpoint_and_dispatch

    def noted(model: Any, checkpoint: Any, *given: Any, **named: Any) -> Any:
        loaded = load(model, checkpoint, *given, **named)
        file = Path(checkpoint)
        file = file / "model.safetensors" if file.is_dir() else file
        if file.suffix == ".safetensors":
            with importlib.import_module("safetensors").safe_open(file, "pt") as opened:
                there = set(opened.keys())
            known = model.state_dict().keys()
            missing = [key for key in _untied(model, sorted(known - there)) if not _is_one(key, computed)]
            unknown = [key for key in sorted(there - known) if not _is_one(key, computed)]
            if missing or unknown:
                wrong.append((model, mismatch(type(model).__name__, missing, unknown)))
        return loaded

    accelerate.load_checkpoint_and_dispatch = noted
    try:
        yield
    finally:
        accelerate.load_checkpoint_and_dispatch = load


def mismatch(name: str, missing: Sequence[str], unknown: Sequence[str]) -> str:
    """What is wrong with weights, for people."""
    parts = [
        f"{what}: {len(keys)} ({', '.join(keys[:SHOWN])}{', …' if len(keys) > SHOWN else ''})"
        for keys, what in ((missing, "missing keys"), (unknown, "unknown keys"))
        if keys
    ]
    return f"the weights do not fit {name}: {', '.join(parts)}. {REMEDY}"


def _last(error: RuntimeError) -> str:
    return str(error).strip().splitlines()[-1].strip().rstrip(".")


def _is_one(key: str, names: Sequence[str]) -> bool:
    return key.rpartition(".")[2] in names


def _untied(module: Any, missing: Sequence[str]) -> list[str]:
    """Missing keys whose value is not that of a key that was there: of tied weights a file has one."""
    values = module.state_dict()
    there = {values[key].data_ptr() for key in values.keys() - set(missing)}
    return [
        key for key in missing if key not in values or not values[key].numel() or values[key].data_ptr() not in there
    ]
